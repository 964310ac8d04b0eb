/**
 * Seeded runs: processes that add and work on one queue with groups, priorities, limits, flaky handlers and snoozes, and
 * are stopped, killed at any commit and started again, while clocks jump. Then everything is let run, and the history is
 * checked. A seed that fails is printed with its run; ATE_QUEUE_RUNS sets how many there are.
 */

import { type SeededRandom, seededRandom } from '@ate/core/testing'
import { expect, it } from 'vitest'
import type { Job, Queue, QueueOptions } from '../src/index.ts'
import { type Client, findingsOf, mostStarts } from './history.ts'
import { EffectOf, openWorld, type Process, type World } from './kit.ts'

const FIRST = Number(process.env['ATE_QUEUE_SEED'] ?? 1)
const RUNS = Number(process.env['ATE_QUEUE_RUNS'] ?? 4)
const STARTS = { starts: 12, every: '1s' } as const
const OPTIONS: QueueOptions<Data> = {
  lease: '2s',
  retry: { max: 200, backoff: '50ms' },
  limit: [{ active: 5 }, STARTS],
  keep: { done: '1d' },
}

interface Data {
  readonly n: number
}

interface Running {
  readonly process: Process
  readonly queue: Queue<Data, Data, unknown>
}

/** Without limits, a job that a waiting worker takes is claimed in the commit that adds it. */
const UNLIMITED: QueueOptions<Data> = { lease: '2s', retry: OPTIONS.retry!, keep: OPTIONS.keep! }

function start(world: World, random: SeededRandom, options: QueueOptions<Data>): Running {
  const process = world.process()
  const jobs = process.queue<Data>(options)
  const worker = jobs.work(
    async (job: Job<Data>) => {
      job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
      if (random.oneIn(8)) throw new Error('flaky')
      if (random.oneIn(12)) job.snooze(100)
      if (random.oneIn(6)) await job.step('step', () => job.data.n)
      if (random.oneIn(3))
        await new Promise<void>((resolve) => process.environment.start(random.below(400), resolve, 'lets go'))
    },
    { concurrency: 1 + random.below(4), prefetch: random.below(3) },
  )
  worker.done.catch((error) => console.log('worker ended', error))
  return { process, queue: jobs }
}

function addSome(jobs: Queue<Data, Data, unknown>, client: Client, random: SeededRandom): void {
  for (let i = random.below(6); i > 0; i--) {
    const id = `j${client.attempted.size}`
    client.attempted.add(id)
    const group = random.oneIn(2) ? `g${random.below(3)}` : undefined
    void jobs
      .add(
        { n: i },
        {
          id,
          ...(random.oneIn(4) ? { priority: random.below(3) } : {}),
          ...(group === undefined ? (random.oneIn(5) ? { delay: random.below(2000) } : {}) : { group }),
        },
      )
      .then(() => client.acknowledged.add(id))
      .catch(() => undefined)
  }
}

async function disturb(
  {
    world,
    options,
    clocks,
  }: { readonly world: World; readonly options: QueueOptions<Data>; readonly clocks: 'jump' | 'go' },
  running: Running[],
  random: SeededRandom,
): Promise<void> {
  const index = random.below(running.length)
  const { process } = running[index]!
  switch (random.below(8)) {
    case 0:
      process.killAt(random.below(4), random.oneIn(2) ? 'before' : 'after')
      break
    case 1:
      process.kill()
      break
    case 2:
    case 3:
      process.freeze()
      break
    case 4:
      for (const one of running) one.process.thaw()
      break
    case 5:
      if (clocks === 'jump')
        world.platform.setWallClock(world.platform.environment.clock.now() + random.below(20_000) - 10_000)
      break
  }
  if (process.isDead && !random.oneIn(3)) running[index] = start(world, random, options)
}

async function run(seed: number): Promise<void> {
  const random = seededRandom(seed)
  const world = await openWorld(seed)
  // The times in the log tell how often jobs start only where the clock goes on.
  const clocks = seed % 2 === 0 ? 'jump' : 'go'
  const options = seed % 3 === 0 ? UNLIMITED : OPTIONS
  const client: Client = { acknowledged: new Set(), attempted: new Set() }
  const running = Array.from({ length: 3 }, () => start(world, random, options))
  for (let round = 0; round < 25; round++) {
    addSome(running[random.below(running.length)]!.queue, client, random)
    await world.pass(50 + random.below(600), 50)
    await disturb({ world, options, clocks }, running, random)
  }
  for (const { process } of running) process.thaw()
  running.push(start(world, random, options))
  for (let i = 0; i < 100; i++) {
    await world.pass(1000, 100)
    const { waiting, scheduled, active, blocked } = await running.at(-1)!.queue.counts()
    if (waiting + scheduled + active + blocked === 0) break
  }
  const found = await findingsOf(world.chain, client)
  expect({ seed, ...found }).toMatchObject({ seed, lost: [], duplicated: [], unexpected: [], open: 0 })
  expect(found.done).toBeGreaterThanOrEqual(client.acknowledged.size)
  if (options.limit) expect(found.mostActive).toBeLessThanOrEqual(5)
  expect(found.mostActiveOfGroup).toBeLessThanOrEqual(1)
  if (options.limit && clocks === 'go') expect(mostStarts(found.starts, 1000)).toBeLessThanOrEqual(STARTS.starts)
  await world.close()
}

for (let i = FIRST; i < FIRST + RUNS; i++) it(`seed ${i}`, () => run(i))
