/**
 * Claims that are handed out when they are written, and ends that go many in one transaction: what they save, and that
 * neither a power cut nor a neighbour costs anybody anything.
 */
import { type Chain, openChain } from '@ate/core'
import { quickPlatform, type SimFileSystem, type TestPlatform, type TestPlatformOptions } from '@ate/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { type Job, type Queue, type QueueEnvironment, type QueueOptions, queue } from '../src/index.ts'
import { FenceRecord, IN, JobRecord } from '../src/queue-records.ts'
import { EffectOf, expectCode, person, turns } from './kit.ts'

const disks = new Map<string, SimFileSystem>()
const chains: Chain[] = []
let platform: TestPlatform
/** Turns of the event loop that a sync takes. */
let syncTurns = 1
/** Syncs that are under way. */
let syncing = 0

afterEach(async () => {
  for (const chain of chains.splice(0)) await chain.close().catch(() => undefined)
  disks.clear()
  syncTurns = 1
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
        const sync = async (): Promise<void> => {
          syncing++
          await turns(syncTurns)
          syncing--
          return file.sync()
        }
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
      void jobs.addMany([n])
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
        await jobs.addMany([1]).catch(() => undefined)
      } else {
        platform.setWallClock(platform.environment.clock.now() + life * 60_000)
        for (let i = 0; i < 40; i++) {
          platform.advance(100)
          await turns(2)
        }
        // A second one, that is claimed by a session that stands.
        if (life < 3 && !cut) await jobs.addMany([life + 1]).catch(() => undefined)
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
    await jobs.addMany([1])
    await expectCode(worker.done, 'WRITER_POISONED')
    expect(lost).toEqual(['aborted'])
  })
})

describe('a claim of what is being added', () => {
  /** A worker with a session that stands, and what it starts. */
  async function standing(
    options: QueueOptions<number> & {
      readonly concurrency?: number
      readonly through?: (chain: Chain) => Chain
      readonly wakes?: boolean
    } = {},
  ) {
    const { concurrency = 1, through = (chain) => chain, wakes = true, ...rest } = options
    const chain = through(await open())
    const timers = wakes ? {} : { start: () => ({ cancel: () => undefined }) }
    const jobs = queue<number>(chain, 'jobs', rest, { ...environment(), ...timers })
    const started: (readonly [data: number, syncs: number])[] = []
    const held: (() => void)[] = []
    const worker = jobs.work(
      async ({ data }) => {
        started.push([data, syncs()])
        if (data >= 100) await new Promise<void>((resolve) => held.push(resolve))
      },
      { concurrency, prefetch: 0 },
    )
    await jobs.add(0)
    await turns()
    started.length = 0
    return { chain, jobs, worker, started, held }
  }
  const recordsOf = async (chain: Chain, run: () => Promise<unknown>): Promise<number> => {
    const before = chain.head.seq
    await run()
    return chain.head.seq - before
  }

  it('is in the record that adds it, and starts behind its sync', async () => {
    const { chain, jobs, worker, started } = await standing()
    for (const id of [undefined, 'named']) {
      const before = syncs()
      // One record with the add and the lease, and one with the end.
      expect(await recordsOf(chain, () => jobs.add(1, id === undefined ? {} : { id }).then(() => turns()))).toBe(2)
      expect(started.splice(0)).toEqual([[1, before + 1]])
    }
    expect(await jobs.counts()).toMatchObject({ waiting: 0, active: 0, done: 3 })
    await worker.stop()
  })

  it('has the order of priorities and of arrival, and no more than the worker takes', async () => {
    const { chain, jobs, worker, started, held } = await standing({ concurrency: 2 })
    const adding = async (): Promise<void> => {
      void jobs.add(104, { delay: '1h' })
      void jobs.add(101)
      void jobs.add(102)
      void jobs.add(103, { priority: 5 })
      await turns()
    }
    expect(await recordsOf(chain, adding)).toBe(1)
    expect(started.map(([data]) => data)).toEqual([103, 101])
    expect(await jobs.counts()).toMatchObject({ waiting: 1, active: 2, scheduled: 1 })
    for (const goOn of held.splice(0)) goOn()
    await turns()
    expect(started.map(([data]) => data)).toEqual([103, 101, 102])
    held.pop()?.()
    await worker.stop()
  })

  it('never overtakes what came before, also if nobody here has heard of that yet', async () => {
    const { chain, jobs, worker, started } = await standing()
    // In a transaction of somebody else, which is staged and not acknowledged.
    let first: Promise<unknown> | undefined
    await new Promise<void>((staged) => {
      first = chain.transact((tx) => jobs.add(1, { tx }), { staged })
    })
    void jobs.add(2)
    await Promise.all([first, turns()])
    const third = jobs.addMany([3])
    await third
    void jobs.add(4)
    await turns()
    expect(started.map(([data]) => data)).toEqual([1, 2, 3, 4])
    await worker.stop()
  })

  it('is left to a claim of its own where there are limits or groups, or while the queue is paused', async () => {
    const limited = await standing({ limit: { active: 1 } })
    expect(await recordsOf(limited.chain, () => limited.jobs.add(1).then(() => turns()))).toBe(3)
    await limited.chain.close()
    disks.clear()
    const { chain, jobs, worker, started } = await standing()
    expect(await recordsOf(chain, () => jobs.add(1, { group: 'g' }).then(() => turns()))).toBe(3)
    // The pause is in the log, and the follower has not heard of it.
    await Promise.all([jobs.pause(), jobs.add(2)])
    await turns()
    expect(started.map(([data]) => data)).toEqual([1])
    await jobs.resume()
    await turns()
    expect(started.map(([data]) => data)).toEqual([1, 2])
    await worker.stop()
  })

  it('is not made of a job that has a date, nor in front of one whose date has come', async () => {
    const { jobs, worker, started } = await standing({ wakes: false })
    await jobs.add(1, { delay: '10s' })
    await turns()
    expect(started).toEqual([])
    platform.advance(20_000)
    await jobs.add(2)
    await turns()
    expect(started.map(([data]) => data)).toEqual([1, 2])
    await worker.stop()
  })

  it('is no more than the worker takes while another claim is on its way, nor is another one while it is', async () => {
    let late: 'written' | 'acknowledged' | undefined
    const through = (chain: Chain): Chain =>
      new Proxy(chain, {
        get: (target, property) => {
          const value: unknown = Reflect.get(target, property, target)
          if (property !== 'transact') return typeof value === 'function' ? value.bind(target) : value
          return async (...[run, options]: Parameters<Chain['transact']>) => {
            const written = options?.written
            const slow = late === 'written' && written ? { written: () => void turns(30).then(written) } : {}
            const result = await target.transact(run, { ...options, ...slow })
            if (late) await turns(late === 'written' && written ? 30 : 4)
            return result
          }
        },
      })
    const { chain, jobs, worker, started, held } = await standing({ through })
    late = 'written'
    void jobs.addMany([101])
    await turns(10)
    expect(await recordsOf(chain, () => Promise.all([jobs.add(102), turns(40)]))).toBe(1)
    expect(started.map(([data]) => data)).toEqual([101])
    late = undefined
    held.pop()!()
    await turns()
    held.pop()!()
    await turns()
    late = 'acknowledged'
    const adding = async (): Promise<void> => {
      const first = jobs.add(103)
      await turns(2)
      await Promise.all([first, jobs.addMany([104]), turns()])
    }
    expect(await recordsOf(chain, adding)).toBe(2)
    expect(started.map(([data]) => data)).toEqual([101, 102, 103])
    expect(await jobs.counts()).toMatchObject({ waiting: 1, active: 1 })
    held.pop()!()
    await turns()
    held.pop()!()
    await worker.stop()
  })

  it('is not handed out if its sync fails', async () => {
    const { jobs, worker, started } = await standing()
    disks.get('/q')!.faults.failSync = syncs() + 1
    await expectCode(jobs.add(1), 'WRITER_POISONED')
    await turns()
    expect(started).toEqual([])
    await Promise.all([expectCode(worker.done, 'WRITER_POISONED'), worker.stop()])
  })

  it('is dropped if the session is gone: the job is added all the same, and starts', async () => {
    const { chain, jobs, worker, started } = await standing()
    for await (const fence of chain.children(FenceRecord, await jobs.entity(), IN.fences))
      await chain.transact((tx) => tx.delete(fence.id))
    await jobs.add(1)
    await turns()
    platform.advance(1000)
    await turns()
    expect(started.map(([data]) => data)).toEqual([1])
    await worker.stop()
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

  it('fill one record while the one before is synced, also those of a handler that is alone', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    for (let at = 0; at < 4000; at += 1000) await jobs.addMany(Array.from({ length: 1000 }, (_, n) => at + n))
    syncTurns = 20
    const before = syncs()
    let meanwhile = 0
    const worker = jobs.work((job) => {
      job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
      if (syncing > 0) meanwhile++
    })
    await jobs.idle()
    await worker.stop()
    expect(chain.children(EffectOf).count()).toBe(4000)
    expect(syncs() - before).toBeLessThanOrEqual(25)
    expect(meanwhile).toBeGreaterThan(3000)
  })

  it('are no more in one turn than the concurrency and 10 ms of a handler that answers at once', async () => {
    const chain = await open()
    const jobs = jobsOn(chain)
    await jobs.addMany(Array.from({ length: 1000 }, (_, n) => n))
    let ran = 0
    let most = 0
    const worker = jobs.work(
      () => {
        platform.advance(1)
        if (ran++ === 0) setImmediate(() => (ran = 0))
        most = Math.max(most, ran)
      },
      { concurrency: 50 },
    )
    await jobs.idle()
    await worker.stop()
    expect(most).toBeLessThanOrEqual(60)
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

  it('take in what was written to a job while it was being read', async () => {
    const chain = await open()
    let isFirst = true
    /** A read that takes its time: somebody writes the job when its value is known and not yet here. */
    const slow = new Proxy(chain, {
      get(target, property) {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        const call = value.bind(target) as (...args: unknown[]) => Promise<unknown>
        if (property !== 'get') return call
        return async (type: { name: string }, id: string) => {
          const found = await call(type, id)
          if (type.name !== JobRecord.name || !isFirst) return found
          isFirst = false
          await chain.transact((tx) => tx.update(JobRecord, id, (job) => ({ ...job, progress: 'halfway' })))
          return found
        }
      },
    })
    const jobs = jobsOn(slow)
    const { id } = await jobs.add(1)
    const worker = jobs.work(() => 'result')
    await jobs.idle()
    await worker.stop()
    expect(isFirst).toBe(false)
    expect(await jobs.get(id)).toMatchObject({ state: 'done', result: 'result', progress: 'halfway' })
  })
})
