/**
 * Claims that are handed out when they are written, and ends that go many in one transaction: what they save, and that
 * neither a power cut nor a neighbour costs anybody anything.
 */
import { type Chain, openChain } from '@ate/core'
import { quickPlatform, type SimFileSystem, type TestPlatform, type TestPlatformOptions } from '@ate/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { type Job, type Queue, type QueueEnvironment, type QueueOptions, queue } from '../src/index.ts'
import { EffectOf, expectCode, person, turns } from './kit.ts'

const disks = new Map<string, SimFileSystem>()
const chains: Chain[] = []
let platform: TestPlatform

afterEach(async () => {
  for (const chain of chains.splice(0)) await chain.close().catch(() => undefined)
  disks.clear()
})

/** As the disk of the system: a sync of a group is done by a thread, and the process goes on meanwhile. */
const withThread: NonNullable<TestPlatformOptions['wrapDisk']> = (fs) =>
  new Proxy(fs, {
    get(target, property) {
      if (property !== 'open') {
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return (...args: Parameters<typeof fs.open>) => {
        const file = fs.open(...args)
        const sync = (): Promise<void> => turns(1).then(() => file.sync())
        return { ...file, sync }
      }
    },
  })

async function open(seed = 1): Promise<Chain> {
  platform = quickPlatform(seed, { disks, wrapDisk: withThread })
  const chain = await openChain('file:/q', { as: await person() }, platform)
  chains.push(chain)
  return chain
}

function environment(): QueueEnvironment {
  const { timers, clock } = platform.environment
  return {
    start: (delayMs, run) => timers.start(delayMs, run),
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    random: () => 0.5,
    monotonic: () => clock.monotonic(),
  }
}

function jobsOn<R = unknown>(chain: Chain, options: QueueOptions<number> = {}): Queue<number, number, R> {
  return queue<number, R>(chain, 'jobs', options, environment())
}

const syncs = (): number => disks.get('/q')!.counts.syncs

describe('a claim', () => {
  it('is handed out before it is synced: one sync from the add to the start', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    const started: number[] = []
    const worker = jobs.work(() => void started.push(syncs()))
    // The first claim makes the session, and that one is waited for.
    await jobs.add(0)
    await turns()
    for (let n = 1; n <= 3; n++) {
      const before = syncs()
      void jobs.add(n)
      await turns()
      expect(started[n]! - before).toBe(1)
    }
    await worker.stop()
  })

  it('is waited for where others may write too', async () => {
    const chain = await open()
    const shared = new Proxy(chain, {
      get: (target, property) => {
        const value: unknown = property === 'isAlone' ? false : Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const jobs = jobsOn(shared)
    const started: number[] = []
    const worker = jobs.work(() => void started.push(syncs()))
    await jobs.add(0)
    await turns()
    const before = syncs()
    void jobs.add(1)
    await turns()
    expect(started[1]! - before).toBe(2)
    await worker.stop()
  })

  it('that a power cut takes leaves its job waiting, and its fence to nobody', async () => {
    const seen: (readonly [data: number, attempt: number, fence: bigint])[] = []
    for (let life = 0; life < 4; life++) {
      const chain = await open(life + 1)
      const disk = disks.get('/q')!
      const jobs = jobsOn(chain, { lease: '1s' })
      let cut = false
      jobs
        .work((job) => {
          seen.push([job.data, job.attempt, job.fence])
          job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
          if (job.data === 0 || life === 3) return
          // It runs while its claim is being synced: the power goes before that is done.
          cut = true
          disk.crash()
        })
        .done.catch(() => undefined)
      if (life === 0) {
        await jobs.add(0)
        await turns()
        await jobs.add(1).catch(() => undefined)
      } else {
        platform.setWallClock(platform.environment.clock.now() + life * 60_000)
        for (let i = 0; i < 40; i++) {
          platform.advance(100)
          await turns(2)
        }
        // A second one, that is claimed by a session that stands.
        if (life < 3 && !cut) await jobs.add(life + 1).catch(() => undefined)
      }
      await turns()
      if (life < 3) await chain.close().catch(() => undefined)
    }
    const fences = seen.map(([, , fence]) => fence)
    expect(fences).toEqual([...new Set(fences)].sort((a, b) => Number(a - b)))
    const chain = chains.at(-1)!
    const done = new Set(seen.map(([data]) => data))
    expect(chain.children(EffectOf).count()).toBe(done.size)
    expect((await jobsOn(chain).counts()).done).toBe(done.size)
  })

  it('is no more than the session can take back: a sync that fails ends the worker, and nothing is done', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    const lost: string[] = []
    const worker = jobs.work(async (job: Job<number>) => {
      if (job.data === 0) return
      disks.get('/q')!.faults.failSync = syncs() + 1
      await new Promise<void>((resolve) => job.signal.addEventListener('abort', () => resolve()))
      lost.push('aborted')
    })
    await jobs.add(0)
    await turns()
    await jobs.add(1)
    await expectCode(worker.done, 'WRITER_POISONED')
    expect(lost).toEqual(['aborted'])
  })
})

describe('ends of attempts', () => {
  it('of one turn are one transaction', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    await jobs.addMany(Array.from({ length: 40 }, (_, n) => n))
    const ids = new Set<string>()
    const worker = jobs.work((job) => job.effect((tx) => void ids.add(tx.id)), { concurrency: 40 })
    await jobs.idle()
    await worker.stop()
    expect(ids.size).toBeLessThanOrEqual(3)
  })

  it('do not fail with a neighbour, nor wait for it', async () => {
    const chain = await open()
    const jobs = jobsOn(chain, { retry: { max: 1 } })
    await jobs.addMany(Array.from({ length: 12 }, (_, n) => n))
    let goOn = (): void => undefined
    const stuck = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const worker = jobs.work(
      (job) =>
        job.effect(async (tx) => {
          tx.create(EffectOf, { job: job.id, fence: job.fence })
          if (job.data === 2) await stuck
          if (job.data === 9) throw new Error('its effect throws')
        }),
      { concurrency: 12 },
    )
    for (let i = 0; i < 6; i++) {
      await turns(4)
      platform.advance(20)
    }
    await turns()
    expect(await jobs.counts()).toMatchObject({ done: 10, dead: 1, active: 1 })
    goOn()
    await turns()
    expect(await jobs.counts()).toMatchObject({ done: 11, dead: 1, active: 0 })
    expect(chain.children(EffectOf).count()).toBe(11)
    await worker.stop()
  })

  it('that conflict with somebody go alone from then on', async () => {
    const chain = await open()
    const other = await chain.transact((tx) => tx.create(EffectOf, { job: '', fence: 0n }))
    const jobs = jobsOn(chain)
    await jobs.addMany(Array.from({ length: 8 }, (_, n) => n))
    const runs = new Map<number, Set<string>>()
    let isFirst = true
    const worker = jobs.work(
      (job) =>
        job.effect(async (tx) => {
          runs.set(job.data, (runs.get(job.data) ?? new Set()).add(tx.id))
          await tx.get(EffectOf, other)
          if (!isFirst) return
          isFirst = false
          await chain.transact((theirs) => theirs.update(EffectOf, other, (value) => ({ ...value, fence: 1n })))
        }),
      { concurrency: 8 },
    )
    await jobs.idle()
    await worker.stop()
    const last = new Set([...runs.values()].map((ids) => [...ids].at(-1)))
    expect(last.size).toBe(8)
    expect(Math.max(...[...runs.values()].map(({ size }) => size))).toBe(2)
  })

  it('that are too much for one commit go in several', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    await jobs.addMany(Array.from({ length: 6 }, (_, n) => n))
    const text = 'x'.repeat(300_000)
    const worker = jobs.work((job) => job.effect((tx) => tx.create(EffectOf, { job: text, fence: job.fence })), {
      concurrency: 6,
    })
    await jobs.idle()
    await worker.stop()
    expect(chain.children(EffectOf).count()).toBe(6)
  })

  it('leave out one that was cancelled meanwhile, and commit the others', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    const handles = await jobs.addMany(Array.from({ length: 8 }, (_, n) => n))
    let goOn = (): void => undefined
    const all = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const worker = jobs.work(
      async (job) => {
        job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
        await all
      },
      { concurrency: 8 },
    )
    await turns()
    const cancelled = jobs.cancel(handles[2]!.id)
    goOn()
    await cancelled
    await turns()
    expect(await jobs.counts()).toMatchObject({ done: 7, cancelled: 1, active: 0 })
    expect(chain.children(EffectOf).count()).toBe(7)
    await worker.stop()
  })
})
