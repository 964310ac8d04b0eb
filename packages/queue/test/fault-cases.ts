/**
 * Faults, each with what has to come of it, on whatever engine the world stands on: workers that die before or after a
 * commit, that are stopped past their lease while others take over, that race at the end of a lease; clocks that jump; poison;
 * a log that is compacted.
 */
import { afterEach, describe, expect, it } from 'vitest'
import type { Job, Queue } from '../src/index.ts'
import { type Client, findingsOf } from './history.ts'
import { codeOf, EffectOf, expectCode, type Process, turns, type World } from './kit.ts'

let world: World
afterEach(() => world?.close())

export const LEASE = { lease: '2s', retry: { max: 10, backoff: '100ms' } } as const

function client(): Client {
  return { acknowledged: new Set(), attempted: new Set() }
}

async function addAll(jobs: Queue<number, number, unknown>, seen: Client, count: number): Promise<void> {
  const adding = Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const id = `j${seen.attempted.size}`
      seen.attempted.add(id)
      await jobs.add(n, { id })
      seen.acknowledged.add(id)
    }),
  )
  await world.wait(adding)
}

const effect = (job: Job<number>): void => job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))

async function expectClean(seen: Client, done: number): Promise<void> {
  await world.wait(world.chain.refresh())
  const found = await world.wait(findingsOf(world.chain, seen))
  expect(found).toMatchObject({ lost: [], duplicated: [], unexpected: [], done, open: 0 })
}

/** `open` makes a world for so many processes, 3 if it is not said. */
export function faultCases(open: (seed: number, processes?: number) => Promise<World>): void {
  describe('workers that die', () => {
    it('F1, F3: before the commit of done: leased again, effects once', async () => {
      world = await open(1)
      const seen = client()
      const a = world.process()
      const b = world.process()
      await addAll(b.queue<number>(LEASE), seen, 20)
      // The claim is one commit, what was done next another.
      a.killAt(1, 'before')
      a.queue<number>(LEASE).work(effect, { concurrency: 4 })
      await world.pass(500)
      expect(a.isDead).toBe(true)
      const jobs = b.queue<number>(LEASE)
      jobs.work(effect, { concurrency: 4 })
      await world.pass(6000)
      await expectClean(seen, 20)
      expect((await world.wait(jobs.counts())).active).toBe(0)
    })

    it('F2: after the commit, before it heard of it: not run again', async () => {
      world = await open(2)
      const seen = client()
      const a = world.process()
      const b = world.process()
      await addAll(b.queue<number>(LEASE), seen, 1)
      // Opening is read, the claim is one commit, done the next.
      a.killAt(1, 'after')
      a.queue<number>(LEASE).work(effect)
      await world.pass(500)
      expect(a.isDead).toBe(true)
      const ran: number[] = []
      b.queue<number>(LEASE).work((job) => {
        ran.push(job.data)
        effect(job)
      })
      await world.pass(6000)
      expect(ran).toEqual([])
      await expectClean(seen, 1)
    })
  })

  describe('workers that are stopped past their lease', () => {
    /** A takes the job and is stopped in its handler; B finishes it, or is still at it, when A goes on. */
    async function zombie(
      bIsDone: boolean,
    ): Promise<{ readonly a: Process; readonly signals: string[]; readonly outcomes: string[] }> {
      const seen = client()
      const a = world.process()
      const b = world.process()
      const signals: string[] = []
      const outcomes: string[] = []
      let goOn = (): void => undefined
      await addAll(b.queue<number>(LEASE), seen, 1)
      a.queue<number>({
        ...LEASE,
        observe: (one) => void (one.kind === 'processed' && outcomes.push(one.outcome)),
      }).work(async (job) => {
        effect(job)
        job.signal.addEventListener('abort', () => signals.push(codeOf(job.signal.reason)))
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      })
      await world.pass(300)
      a.freeze()
      let bGoesOn = (): void => undefined
      const attempts: number[] = []
      b.queue<number>(LEASE).work(async (job) => {
        attempts.push(job.attempt)
        effect(job)
        if (!bIsDone)
          await new Promise<void>((resolve) => {
            bGoesOn = resolve
          })
      })
      await world.pass(4000)
      expect(attempts).toEqual([2])
      goOn()
      a.thaw()
      await world.pass(500)
      bGoesOn()
      await world.pass(500)
      await expectClean(seen, 1)
      return { a, signals, outcomes }
    }

    it('F4: its job is done by another: LEASE_LOST, and nothing of its effects', async () => {
      world = await open(3)
      const { outcomes } = await zombie(true)
      expect(outcomes).toEqual(['lost'])
    })

    it('F5: another is still at it: the same', async () => {
      world = await open(4)
      const { outcomes } = await zombie(false)
      expect(outcomes).toEqual(['lost'])
    })

    it('F4 by hand: a lease that was taken over completes nothing, and says so', async () => {
      world = await open(5)
      const seen = client()
      const a = world.process()
      const b = world.process()
      await addAll(b.queue<number>(LEASE), seen, 1)
      const next = a.queue<number>(LEASE).leases().next()
      await world.pass(300)
      const lease = (await world.wait(next)).value!
      effect(lease)
      a.freeze()
      b.queue<number>(LEASE).work(effect)
      await world.pass(4000)
      a.thaw()
      await expectCode(world.wait(lease.complete(undefined)), 'LEASE_LOST')
      expect(codeOf(lease.signal.reason)).toBe('LEASE_LOST')
      await expectClean(seen, 1)
    })

    it('F6: done races with the takeover: one of them wins', async () => {
      for (const offset of [0, 1, 2, 3]) {
        world = await open(60 + offset)
        const seen = client()
        const a = world.process()
        const b = world.process()
        await addAll(b.queue<number>(LEASE), seen, 5)
        let goOn: (() => void)[] = []
        a.queue<number>(LEASE).work(
          async (job) => {
            effect(job)
            await new Promise<void>((resolve) => goOn.push(resolve))
          },
          { concurrency: 5 },
        )
        await world.pass(300)
        a.freeze()
        b.queue<number>(LEASE).work(effect, { concurrency: 5 })
        await world.pass(1700 + 50 * offset, 50)
        for (const go of goOn) go()
        goOn = []
        a.thaw()
        // Both have their turn in the same moment now.
        world.platform.advance(250)
        await turns(offset)
        await world.pass(6000)
        for (const go of goOn) go()
        await world.pass(200)
        await expectClean(seen, 5)
        if (offset < 3) await world.close()
      }
    })

    it('keeps the lease of a handler that takes longer than it, as long as the process lives', async () => {
      world = await open(7)
      const jobs = world.process().queue<number>(LEASE)
      const other = world.process().queue<number>(LEASE)
      let goOn = (): void => undefined
      const attempts: number[] = []
      const handler = async (job: Job<number>): Promise<void> => {
        attempts.push(job.attempt)
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      }
      jobs.work(handler)
      await world.wait(jobs.add(1))
      await world.pass(300)
      other.work(handler)
      await world.pass(10_000)
      goOn()
      await world.pass(200)
      expect(attempts).toEqual([1])
      expect((await world.wait(jobs.counts())).done).toBe(1)
    })
  })

  describe('the same from two sides', () => {
    it('F15: two processes add the same id at once: one job, the same handle', async () => {
      world = await open(8)
      const [a, b] = [world.process(), world.process()].map((one) => one.queue<number, number>())
      const handles = await world.wait(
        Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? a! : b!).add(n, { id: 'same' }))),
      )
      const results = handles.map((handle) => handle.result())
      a!.work((job) => job.data)
      b!.work((job) => job.data)
      await world.pass(300)
      expect(new Set(await world.wait(Promise.all(results))).size).toBe(1)
      expect((await world.wait(a!.counts())).done).toBe(1)
    })

    it('F16: a parent that is cancelled or removed leaves no child behind', async () => {
      world = await open(9)
      const jobs = world.process().queue<number>({ keep: { dead: '1s' } })
      const parent = await world.wait(jobs.add(1, { delay: '1h' }))
      const child = await world.wait(jobs.add(2, { after: [parent] }))
      const willing = await world.wait(jobs.add(3, { after: [parent], onParentFail: 'run' }))
      const ran: number[] = []
      jobs.work((job) => void ran.push(job.data))
      await world.wait(jobs.cancel(parent.id))
      await world.pass(1500)
      expect(ran).toEqual([3])
      expect((await world.wait(willing.result())) === undefined).toBe(true)
      await world.pass(3000, 250)
      await expectCode(world.wait(child.result()), 'JOB_FAILED')
      await expectCode(world.wait(jobs.result(child.id)), 'NOT_FOUND')
      expect(await world.wait(jobs.counts())).toMatchObject({ blocked: 0, waiting: 0, dead: 0, cancelled: 0 })
    })
  })

  describe('clocks', () => {
    it('F12: jumps of the wall clock start nothing early, and take no lease away', async () => {
      world = await open(10)
      const jobs = world.process().queue<number>(LEASE)
      const seen = client()
      const started: number[] = []
      let goOn = (): void => undefined
      jobs.work(
        async (job) => {
          started.push(job.attempt)
          effect(job)
          if (job.id === 'j0')
            await new Promise<void>((resolve) => {
              goOn = resolve
            })
        },
        { concurrency: 2 },
      )
      await addAll(jobs, seen, 1)
      seen.attempted.add('late')
      await world.wait(jobs.add(9, { id: 'late', delay: '30s' }))
      seen.acknowledged.add('late')
      await world.pass(300)
      const base = world.platform.environment.clock.now()
      for (const jump of [3_600_000, -3_600_000, 1000, -60_000, 0]) {
        world.platform.setWallClock(base + jump)
        await world.pass(1000)
      }
      // A record that was written an hour ahead has moved chain time: a delayed job may be due by it, never before it.
      goOn()
      await world.pass(31_000, 500)
      await expectClean(seen, 2)
      expect(started).toEqual([1, 1])
    })
  })

  describe('poison', () => {
    it('F13: a handler that never returns, and does not listen: its slot is free when its time is out, and it is dead in the end', async () => {
      world = await open(12)
      const jobs = world.process().queue<number>({ ...LEASE, timeout: '500ms', retry: { max: 2, backoff: 0 } })
      const ran: number[] = []
      jobs.work(({ data }) => {
        ran.push(data)
        return data === 0 ? new Promise<never>(() => undefined) : undefined
      })
      const { id } = await world.wait(jobs.add(0))
      await world.wait(jobs.add(1))
      await world.pass(400)
      expect(ran).toEqual([0])
      await world.pass(2000)
      expect(ran.toSorted()).toEqual([0, 0, 1])
      const info = await world.wait(jobs.get(id))
      expect([info?.state, info?.errors.length]).toEqual(['dead', 2])
      expect((await world.wait(jobs.counts())).done).toBe(1)
    })

    it('F13: a job that kills its workers is dead in the end', async () => {
      world = await open(11, 7)
      const options = { ...LEASE, retry: { max: 3, backoff: 0 } } as const
      const first = world.process().queue<number>(options)
      const { id } = await world.wait(first.add(1))
      for (let i = 0; i < 3; i++) {
        const victim = world.process()
        victim.queue<number>(options).work(() => {
          victim.kill()
          return new Promise<void>(() => undefined)
        })
        await world.pass(300)
        expect(victim.isDead).toBe(true)
        const saviour = world.process().queue<number>(options)
        const off = saviour.leases({ prefetch: 0 })
        if (i < 2) await world.wait(first.pause())
        const waiting = off.next().catch(() => undefined)
        await world.pass(5000, 250)
        await world.wait(first.resume())
        await world.wait(off.return())
        await waiting
      }
      const info = await world.wait(first.get(id))
      expect([info?.state, info?.errors.length]).toEqual(['dead', 3])
    })
  })

  describe('the log', () => {
    it('F17: a restart from it, compacted, keeps ids, leases and fences', async () => {
      world = await open(14)
      const seen = client()
      const a = world.process()
      await addAll(a.queue<number>(LEASE), seen, 10)
      a.killAt(4, 'before')
      a.queue<number>(LEASE).work(effect, { concurrency: 2 })
      await world.pass(500)
      world = await world.restart()
      const jobs = world.process().queue<number>(LEASE)
      await world.wait(jobs.add(0, { id: 'j0' }))
      jobs.work(effect, { concurrency: 2 })
      await world.pass(8000, 100)
      const { done, waiting, active } = await world.wait(jobs.counts())
      expect([done, waiting, active]).toEqual([10, 0, 0])
      expect(world.chain.children(EffectOf).count()).toBe(10)
    })
  })
  describe('a takeover that comes too late', () => {
    it('is refused when the pulse was renewed after it had been seen to be over', async () => {
      world = await open(16)
      const [a, b] = [world.process(), world.process()]
      const seen = client()
      let goOn = (): void => undefined
      const attempts: number[] = []
      const handler = async (job: Job<number>): Promise<void> => {
        attempts.push(job.attempt)
        effect(job)
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      }
      const jobs = a.queue<number>(LEASE)
      await addAll(jobs, seen, 1)
      jobs.work(handler)
      await world.pass(300)
      b.queue<number>(LEASE).work(handler)
      await world.pass(100)
      // By the time of the chain the lease is over, by the clock of its holder it is not.
      world.platform.setWallClock(world.platform.environment.clock.now() + 3_600_000)
      b.freezeAt(0)
      await world.wait(world.process().queue<number>({}, 'other').add(1))
      await world.pass(1500)
      b.thaw()
      await world.pass(1000)
      expect(attempts).toEqual([1])
      goOn()
      await world.pass(200)
      await expectClean(seen, 1)
    })
  })
}
