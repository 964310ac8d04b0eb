/** `ate queue ...`: looks into the queues of a chain, and does what an operator does with them. */
import { AteError, type Chain } from '@ate/core'
import { type JobState, type Queue, queue, queueNames } from '@ate/queue'
import { type Command, InvalidArgumentError } from 'commander'
import { verbsOf } from './command-options.ts'
import { addExamples, QUEUE_EXAMPLES } from './examples.ts'
import { type LookOptions, look } from './look.ts'
import { openPlace } from './open-place.ts'
import { counted, print, printable, timeText, toJson } from './output.ts'

type Jobs = Queue<unknown, unknown, unknown>

interface QueueCommandOptions extends LookOptions {
  readonly state?: JobState
  readonly group?: string
  readonly limit?: number
  readonly reason?: string
  readonly jobId?: string
  readonly delay?: string
  readonly priority?: number
  readonly timeout?: string
}

const STATES: readonly JobState[] = ['waiting', 'scheduled', 'blocked', 'active', 'done', 'dead', 'cancelled']
/** How often is looked whether a job has ended, in ms. */
const REFRESH_MS = 200
const NAME = ['<name>', 'the name of the queue'] as const
const JOB = ['<job>', 'the id of the job'] as const

/** Adds `queue` with its verbs. `common` gives what stands before the command's name. */
export function addQueue(ate: Command, common: () => object): void {
  const group = ate
    .command('queue')
    .description('Look into the queues of a chain; retry, cancel, pause, add.')
    .helpCommand(false)
  const verb = verbsOf(group)
  const all = (options: object): QueueCommandOptions => ({ ...common(), ...options })
  verb('ls', 'List the queues, with their counts.').action((place, options) => list(place, all(options)))
  verb('counts', 'Count the jobs of a queue by their state, and say how old the oldest waiting one is.')
    .argument(...NAME)
    .action((place, name, options) => counts(place, name, all(options)))
  verb('list', 'List jobs, in the order in which they were added.')
    .argument(...NAME)
    .option('--state <state>', STATES.join(', '), stateOf)
    .option('--group <group>', 'of this group')
    .option('--limit <n>', 'at most this many', wholeNumber, 100)
    .action((place, name, options) => listJobs(place, name, all(options)))
  verb('peek', 'Show a job: its state, data, errors and result.')
    .argument(...NAME)
    .argument(...JOB)
    .action((place, name, job, options) => peek(place, name, job, all(options)))
  verb('result', 'Wait until a job has ended, and print what its handler returned.')
    .argument(...NAME)
    .argument(...JOB)
    .option('--timeout <duration>', 'no longer than this, as 30s; without an end if left out')
    .action((place, name, job, options) => result(place, name, job, all(options)))
  verb('retry', 'Run a dead or cancelled job again.')
    .argument(...NAME)
    .argument(...JOB)
    .action((place, name, job, options) => retry(place, name, job, all(options)))
  verb('redrive', 'Run dead jobs again, oldest first.')
    .argument(...NAME)
    .option('--limit <n>', 'at most this many', wholeNumber)
    .action((place, name, options) => redrive(place, name, all(options)))
  verb('cancel', 'Cancel a job, also one that runs.')
    .argument(...NAME)
    .argument(...JOB)
    .option('--reason <text>', 'kept with the job')
    .action((place, name, job, options) => cancel(place, name, job, all(options)))
  verb('pause', 'Start no more jobs of a queue, on all workers.')
    .argument(...NAME)
    .action((place, name, options) => pause(place, name, 'pause', all(options)))
  verb('resume', 'Start jobs of a queue again.')
    .argument(...NAME)
    .action((place, name, options) => pause(place, name, 'resume', all(options)))
  verb('publish', 'Add a job.')
    .alias('add')
    .argument(...NAME)
    .argument('<json>', 'its data')
    .option('--job-id <id>', 'the same id is the same job')
    .option('--delay <duration>', 'as 90s, 15m, 24h')
    .option('--priority <n>', 'larger goes first', wholeNumber)
    .option('--group <group>', 'its FIFO group')
    .action((place, name, json, options) => publish(place, name, json, all(options)))
  addExamples(group, QUEUE_EXAMPLES)
}

function list(place: string, options: QueueCommandOptions): Promise<void> {
  return look(place, options, async (chain) => {
    const names = await queueNames(chain)
    for (const name of names) {
      const jobs = queue(chain, name)
      const found = await jobs.counts()
      if (options.json) await print(toJson({ queue: name, ...found }))
      else await print(`${printable(name)}  ${countsText(found)}`)
      await jobs.close()
    }
    if (names.length === 0 && !options.json) await print('There are no queues here.')
  })
}

function counts(place: string, name: string, options: QueueCommandOptions): Promise<void> {
  return looking(place, name, options, async (jobs) => {
    const found = await jobs.counts()
    await print(options.json ? toJson({ queue: name, ...found }) : countsText(found))
  })
}

function countsText({ oldestWaitingMs, paused, ...states }: Awaited<ReturnType<Jobs['counts']>>): string {
  const some = STATES.filter((state) => states[state] > 0).map((state) => `${states[state]} ${state}`)
  const age = states.waiting > 0 ? `, the oldest waits for ${(oldestWaitingMs / 1000).toFixed(1)} s` : ''
  return `${some.length === 0 ? 'empty' : some.join(', ')}${age}${paused ? ', paused' : ''}`
}

function listJobs(place: string, name: string, options: QueueCommandOptions): Promise<void> {
  return looking(place, name, options, async (jobs) => {
    const { state, group, limit } = options
    const wanted = {
      ...(state === undefined ? {} : { state }),
      ...(group === undefined ? {} : { group }),
      ...(limit === undefined ? {} : { limit }),
    }
    for await (const job of jobs.list(wanted))
      await print(options.json ? toJson(job) : `${job.state.padEnd(10)}${printable(job.id)}`)
  })
}

function peek(place: string, name: string, id: string, options: QueueCommandOptions): Promise<void> {
  return looking(place, name, options, async (jobs) => {
    const job = await jobs.get(id)
    if (!job)
      throw notFound(
        { job: id, queue: name },
        'the queue has no job of this id, or does not keep it any more: `ate queue list` lists them',
      )
    if (options.json) return print(toJson(job))
    const rows: readonly (readonly [string, string | undefined])[] = [
      ['job', job.id],
      ['state', job.state],
      ['attempt', String(job.attempt)],
      ['added', timeText(job.added.getTime())],
      ['ended', job.ended && timeText(job.ended.getTime())],
      ['data', toJson(job.data)],
      ['progress', job.progress === undefined ? undefined : toJson(job.progress)],
      ['result', job.result === undefined ? undefined : toJson(job.result)],
      ...job.errors.map((error) => ['error', error] as const),
    ]
    for (const [label, text] of rows) if (text !== undefined) await print(`${label.padEnd(10)}${printable(text)}`)
  })
}

function result(place: string, name: string, id: string, options: QueueCommandOptions): Promise<void> {
  return looking(place, name, options, async (jobs, chain) => {
    const { timeout } = options
    // It is opened for reading: beside a writer of a folder, what comes is there when it is asked for.
    const asking = setInterval(() => chain.refresh().catch(() => undefined), REFRESH_MS)
    try {
      // Checked by the queue, as every duration.
      const wanted = timeout === undefined ? {} : { timeout: timeout as `${number}s` }
      await print(toJson((await jobs.result(id, wanted)) ?? null))
    } finally {
      clearInterval(asking)
    }
  })
}

function retry(place: string, name: string, id: string, options: QueueCommandOptions): Promise<void> {
  return writing(place, name, options, async (jobs) => {
    if ((await jobs.retry(id)) === 0)
      throw notFound({ job: id }, 'no job of this id is dead or cancelled: `ate queue peek` shows what it is')
    await said(options, { retried: 1 }, 'it waits again')
  })
}

function redrive(place: string, name: string, options: QueueCommandOptions): Promise<void> {
  return writing(place, name, options, async (jobs) => {
    const { limit } = options
    const retried = await jobs.retry({ state: 'dead', ...(limit === undefined ? {} : { limit }) })
    await said(options, { retried }, `${counted(retried, 'job')} to run again`)
  })
}

function cancel(place: string, name: string, id: string, options: QueueCommandOptions): Promise<void> {
  return writing(place, name, options, async (jobs) => {
    const { reason } = options
    const cancelled = await jobs.cancel(id, reason === undefined ? {} : { reason })
    if (!cancelled) throw notFound({ job: id }, 'no job of this id is open: it has ended, or is not there')
    await said(options, { cancelled: 1 }, 'cancelled')
  })
}

function pause(place: string, name: string, verb: 'pause' | 'resume', options: QueueCommandOptions): Promise<void> {
  return writing(place, name, options, async (jobs) => {
    await jobs[verb]()
    await said(options, { paused: verb === 'pause' }, verb === 'pause' ? 'paused' : 'resumed')
  })
}

function publish(place: string, name: string, json: string, options: QueueCommandOptions): Promise<void> {
  const data = parsed(json)
  const { jobId, delay, priority, group } = options
  return writing(
    place,
    name,
    options,
    async (jobs) => {
      const { id } = await jobs.add(data, {
        ...(jobId === undefined ? {} : { id: jobId }),
        // Checked by the queue, as every duration.
        ...(delay === undefined ? {} : { delay: delay as `${number}s` }),
        ...(priority === undefined ? {} : { priority }),
        ...(group === undefined ? {} : { group }),
      })
      await said(options, { id }, id)
    },
    'made if it is not there',
  )
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new AteError('BAD_ARGUMENT', { what: 'the data of a job is JSON' }, { cause })
  }
}

async function said({ json }: QueueCommandOptions, facts: object, text: string): Promise<void> {
  await print(json ? toJson(facts) : text)
}

function looking(
  place: string,
  name: string,
  options: QueueCommandOptions,
  run: (jobs: Jobs, chain: Chain) => Promise<void>,
): Promise<void> {
  return look(place, options, (chain) => within(chain, name, run))
}

async function writing(
  place: string,
  name: string,
  options: QueueCommandOptions,
  run: (jobs: Jobs) => Promise<void>,
  missing: 'is an error' | 'made if it is not there' = 'is an error',
): Promise<void> {
  const chain = await openPlace(place, options, 'write')
  try {
    await within(chain, name, run, missing)
  } finally {
    await chain.close()
  }
}

function notFound(facts: Readonly<Record<string, string>>, hint: string): AteError {
  return new AteError('NOT_FOUND', facts, { hint })
}

/** A name that was mistyped must not become a queue. */
async function within(
  chain: Chain,
  name: string,
  run: (jobs: Jobs, chain: Chain) => Promise<void>,
  missing: 'is an error' | 'made if it is not there' = 'is an error',
): Promise<void> {
  if (missing === 'is an error' && !(await queueNames(chain)).includes(name))
    throw notFound({ queue: name, chain: chain.id }, 'the chain has no queue of this name: `ate queue ls` lists them')
  const jobs = queue(chain, name)
  try {
    await run(jobs, chain)
  } finally {
    await jobs.close()
  }
}

function stateOf(text: string): JobState {
  const found = STATES.find((state) => state === text)
  if (!found) throw new InvalidArgumentError(`It must be one of ${STATES.join(', ')}.`)
  return found
}

function wholeNumber(text: string): number {
  const value = Number(text)
  if (!/^-?\d+$/.test(text) || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number.')
  return value
}
