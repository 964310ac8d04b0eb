/**
 * A client in a process of its own. It is told what to do when it is started, says when it is ready, begins when it is told
 * to, and answers with its figures.
 */
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../quantile.ts'
import { openValues } from '../values.ts'
import type { Figures } from '../workloads.ts'
import type { Connecting, NetworkService } from './service.ts'
import { loadService } from './services.ts'

export interface Task extends Connecting {
  readonly service: string
  readonly job: string
  readonly seconds: number
  readonly warmSeconds: number
  /** Commits in flight, connections, chains or values: whatever the job counts. */
  readonly count: number
}

/** Prepares, and gives what is to be timed. */
type Job = (service: NetworkService, task: Task) => Promise<() => Promise<Figures>>

const JOBS: Record<string, Job> = { flight, pace, follow, fill, read, hold, shake, chains, listen }

const VALUES = 4_096
/** Between two commits whose way to another client is timed: each goes alone. */
const PACE_MS = 3
const FILL_VALUES = 1_000
const STAMP_CHARS = 20
const LOOK_MS = 50
const SHAKES_AT_ONCE = 4
/** Warming up takes seconds of the processor, which a busy machine gives out slowly: and no longer than this many times. */
const WARM_TIMES_MAX = 8
const SHUTDOWN_MS = 30_000

/** Keeps `count` commits in flight: until its code is compiled, and then while it is timed. */
async function flight(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  const client = await service.connect(task)
  const values = openValues(process.pid).batch(VALUES)
  let next = 0
  async function fly(isOver: () => boolean): Promise<number[]> {
    const times: number[] = []
    async function commitOn(): Promise<void> {
      for (let started = performance.now(); !isOver(); ) {
        await client.commit(values[next++ % VALUES]!)
        const now = performance.now()
        times.push(now - started)
        started = now
      }
    }
    await Promise.all(Array.from({ length: task.count }, commitOn))
    return times
  }
  await fly(warming(task.warmSeconds))
  return async () => {
    const started = performance.now()
    const used = processorUs()
    const times = await fly(() => performance.now() > started + task.seconds * 1_000)
    return {
      rate: (times.length / (performance.now() - started)) * 1_000,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      commits: times.length,
      clientUs: (processorUs() - used) / times.length,
    }
  }
}

/** Tells whether this process has been at work for so many seconds. */
function warming(seconds: number): () => boolean {
  const latest = performance.now() + seconds * WARM_TIMES_MAX * 1_000
  let lookAt = 0
  let isWarm = false
  return () => {
    const now = performance.now()
    if (now >= lookAt) {
      lookAt = now + LOOK_MS
      isWarm = now > latest || processorUs() > seconds * 1e6
    }
    return isWarm
  }
}

function processorUs(): number {
  const { user, system } = process.cpuUsage()
  return user + system
}

/** Commits one after the other with a pause, each with the time at which it was begun. */
async function pace(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  const client = await service.connect(task)
  const values = openValues(1).batch(VALUES)
  const isWarm = warming(task.warmSeconds)
  for (let i = 0; i === 0 || !isWarm(); i++) await client.commit(stamped(0n, values[i % VALUES]!))
  return async () => {
    const times: number[] = []
    const until = performance.now() + (task.warmSeconds + task.seconds) * 1_000
    for (let i = 0; performance.now() < until; i++) {
      const started = process.hrtime.bigint()
      await client.commit(stamped(started, values[i % VALUES]!))
      times.push(Number(process.hrtime.bigint() - started) / 1e6)
      await sleep(PACE_MS)
    }
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
  }
}

function stamped(at: bigint, value: string): string {
  return `${at}`.padStart(STAMP_CHARS, '0') + value.slice(STAMP_CHARS)
}

/** Receives what `pace` commits: the clock of the system is one for all its processes. */
async function follow(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  const client = await service.connect(task)
  const times: number[] = []
  let warmUntil = Number.POSITIVE_INFINITY
  await client.follow((value) => {
    const took = Number(process.hrtime.bigint() - BigInt(value.slice(0, STAMP_CHARS))) / 1e6
    if (performance.now() >= warmUntil) times.push(took)
  })
  return async () => {
    warmUntil = performance.now() + task.warmSeconds * 1_000
    await sleep((task.warmSeconds + task.seconds) * 1_000 + 100)
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), count: times.length }
  }
}

/** Writes `count` values, 1,000 at once. */
async function fill(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  const client = await service.connect(task)
  const values = openValues(7)
  return async () => {
    const started = performance.now()
    for (let left = task.count; left > 0; left -= FILL_VALUES)
      await client.commitAll(values.batch(Math.min(left, FILL_VALUES)))
    const seconds = (performance.now() - started) / 1_000
    await client.close()
    return { seconds }
  }
}

/** A reader who has nothing yet takes all. */
async function read(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  return async () => {
    const used = processorUs()
    const started = performance.now()
    const seen = await service.readAll(task, task.count)
    const seconds = (performance.now() - started) / 1_000
    if (seen < task.count) throw new Error(`${service.name} gave ${seen} of ${task.count} values`)
    return { seconds, clientSeconds: (processorUs() - used) / 1e6 }
  }
}

/** Opens `count` connections and keeps them. */
async function hold(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  return async () => {
    for (let i = 0; i < task.count; i++) await service.idle(task.address)
    return {}
  }
}

async function shake(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  let count = 0
  async function shakeUntil(isOver: () => boolean): Promise<void> {
    async function shakeOn(): Promise<void> {
      for (; !isOver(); count++) await service.shake!(task.address)
    }
    await Promise.all(Array.from({ length: SHAKES_AT_ONCE }, shakeOn))
  }
  await shakeUntil(warming(task.warmSeconds))
  return async () => {
    count = 0
    const started = performance.now()
    const used = processorUs()
    await shakeUntil(() => performance.now() > started + task.seconds * 1_000)
    return {
      rate: (count / (performance.now() - started)) * 1_000,
      clientMs: (processorUs() - used) / count / 1_000,
      count,
    }
  }
}

/** Makes `count` chains, and keeps them open. */
async function chains(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  return async () => {
    await service.openChains!(task.address, process.pid * 1e5, task.count)
    return {}
  }
}

/** Follows, until it is stopped from outside. */
async function listen(service: NetworkService, task: Task): Promise<() => Promise<Figures>> {
  const client = await service.connect(task)
  await client.follow(() => undefined)
  return async () => ({})
}

const task = JSON.parse(process.argv[2] ?? '{}') as Task
const service = await loadService(task.service)
const run = await JOBS[task.job]!(service, task)
process.once('message', () => {
  run().then(
    (figures) => process.send!({ figures }),
    (error: unknown) => process.send!({ failure: error instanceof Error ? error.message : String(error) }),
  )
})
// What it holds, it holds until the bench lets go of it.
process.once('disconnect', () => process.exit())
setInterval(() => undefined, SHUTDOWN_MS)
process.send!('ready')
