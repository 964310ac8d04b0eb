/** What comes again: ids, unique keys and options that were used before, and jobs that are gone while somebody works on them. */
import { AteError, type Chain, type EntityId, type Transaction } from '@ate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { type Handle, queue } from '../src/index.ts'
import { IN, JobRecord, LaneRecord, OptionsRecord } from '../src/queue-records.ts'
import { codeOf, expectCode, openWorld, turns, type World } from './kit.ts'

let world: World
afterEach(() => world.close())

const AT_ONCE = { keep: { done: { count: 0 }, dead: { count: 0 } } } as const

/** A handler that says what it runs, and returns when it is let. */
function gated(): {
  readonly running: Set<number>
  handler(job: { data: number }): Promise<string>
  end(n: number): void
} {
  const running = new Set<number>()
  const gates = new Map<number, () => void>()
  return {
    running,
    async handler({ data }) {
      running.add(data)
      await new Promise<void>((resolve) => gates.set(data, resolve))
      running.delete(data)
      return `did ${data}`
    },
    end: (n) => gates.get(n)!(),
  }
}

type Method = (...args: unknown[]) => unknown

/** With another method in place of one of its own. */
function replacing<T extends object>(of: T, method: keyof T, instead: (own: Method, ...args: unknown[]) => unknown): T {
  return new Proxy(of, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      const own = value.bind(target) as Method
      return name === method ? (...args: unknown[]) => instead(own, ...args) : own
    },
  })
}

describe('an id that comes again', () => {
  it('is another job for who holds a lease of the first, and did not hear that it is gone', async () => {
    world = await openWorld(1)
    const cutOff = world.process()
    const old = gated()
    cutOff.queue<number, string>(AT_ONCE).work(old.handler)
    const jobs = world.process().queue<number, string>(AT_ONCE)
    await jobs.add(1, { id: 'x' })
    await turns(20)
    expect([...old.running]).toEqual([1])
    cutOff.partition()
    await jobs.cancel('x')
    jobs.work(({ data }) => `here ${data}`)
    await world.pass(2000)
    expect(await jobs.get('x')).toBeUndefined()
    const result = (await jobs.add(2, { id: 'x' })).result()
    old.end(1)
    cutOff.heal()
    await world.pass(2000)
    expect(await result).toBe('here 2')
  })

  it('does not wait for a worker whose session still lists the first', async () => {
    world = await openWorld(2)
    const busy = gated()
    const worker = world.process().queue<number, string>(AT_ONCE).work(busy.handler, { concurrency: 2 })
    const jobs = world.process().queue<number, string>(AT_ONCE)
    await jobs.addMany([[1, { id: 'x' }], [2]])
    await turns(20)
    void worker.stop({ grace: '1h' })
    busy.end(1)
    await turns(20)
    jobs.work(({ data }) => `here ${data}`)
    await world.pass(2000)
    expect(await jobs.get('x')).toBeUndefined()
    const again = await jobs.add(3, { id: 'x' })
    await world.pass(1000)
    expect((await jobs.get(again.id))?.state ?? 'done and gone').not.toBe('active')
    busy.end(2)
    await worker.done
  })
})

it('an id is taken out and added again in one transaction', async () => {
  world = await openWorld(13)
  const jobs = world.process().queue<number>()
  await jobs.add(1, { id: 'x' })
  const parent = await jobs.entity()
  await world.chain.transact(async (tx) => {
    tx.delete((await tx.named(JobRecord, 'x', { parent, in: IN.jobs }))!)
    await jobs.add(2, { id: 'x', tx })
  })
  expect((await jobs.get('x'))?.data).toBe(2)
})

describe('a unique key', () => {
  it('is that of the one behind, when the first has ended', async () => {
    world = await openWorld(3)
    const jobs = world.process().queue<number, string>()
    const { running, handler, end } = gated()
    jobs.work(handler, { concurrency: 8 })
    const unique = { key: 'k', onConflict: 'after' } as const
    for (const n of [1, 2, 3]) {
      await jobs.add(n, { unique })
      await turns(20)
      if (n === 1) continue
      // One waits behind the one that runs.
      expect([...running]).toEqual([n - 1])
      end(n - 1)
      await turns(30)
      expect([...running]).toEqual([n])
    }
    end(3)
    await turns(20)
    expect((await jobs.counts()).done).toBe(3)
  })

  it('is so also when the first is not kept any more', async () => {
    world = await openWorld(4)
    const jobs = world.process().queue<number, string>(AT_ONCE)
    const { running, handler, end } = gated()
    jobs.work(handler, { concurrency: 8 })
    const unique = { key: 'k', onConflict: 'after' } as const
    await jobs.add(1, { unique })
    await turns(20)
    await jobs.add(2, { unique })
    end(1)
    await world.pass(2000)
    expect((await jobs.counts()).done).toBe(0)
    await jobs.add(3, { unique })
    await turns(20)
    expect([...running]).toEqual([2])
  })
})

describe('a job that is gone while it runs', () => {
  it('is lost to its handler, and holds nothing up', async () => {
    world = await openWorld(5)
    const jobs = world.process().queue<number>()
    const codes: unknown[] = []
    const worker = jobs.work(async ({ signal }) => {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      codes.push((signal.reason as { code: string }).code)
    })
    await jobs.add(1, { id: 'x' })
    await turns(20)
    await remove('x')
    await turns(20)
    expect(codes).toEqual(['LEASE_LOST'])
    await worker.stop()

    async function remove(id: string): Promise<void> {
      const parent = await jobs.entity()
      await world.chain.transact(async (tx) => tx.delete((await tx.named(JobRecord, id, { parent, in: IN.jobs }))!))
    }
  })

  it('is a lost lease to who ends it before he hears of that', async () => {
    world = await openWorld(6)
    const cutOff = world.process()
    const outcomes: string[] = []
    const observe = (seen: { kind: string; outcome?: string }): void =>
      void (seen.outcome && outcomes.push(seen.outcome))
    const old = gated()
    cutOff.queue<number, string>({ ...AT_ONCE, observe }).work(old.handler)
    const jobs = world.process().queue<number, string>(AT_ONCE)
    await jobs.add(1, { id: 'x' })
    await turns(20)
    cutOff.partition()
    await jobs.cancel('x')
    jobs.work(() => '')
    await world.pass(2000)
    old.end(1)
    cutOff.heal()
    await world.pass(1000)
    expect(outcomes).toEqual(['lost'])
  })
})

it('the end of a job that an end beside it has deleted is LEASE_LOST', async () => {
  world = await openWorld(12)
  const jobs = world.process().queue<number>()
  await jobs.addMany([1, 2])
  const leases = jobs.leases({ prefetch: 1 })
  const [first, second] = [(await leases.next()).value!, (await leases.next()).value!]
  first.effect((tx) => tx.delete(second.id as EntityId))
  const ends = [first.complete(0).then(() => 'done', codeOf), second.complete(0).then(() => 'done', codeOf)]
  expect(await Promise.all(ends)).toEqual(['done', 'LEASE_LOST'])
})

it('a job that is added in a transaction is cancelled in the same', async () => {
  world = await openWorld(7)
  const jobs = world.process().queue<number>()
  const cancelled = await world.chain.transact(async (tx) => {
    await jobs.add(1, { id: 'x', tx })
    return jobs.cancel('x', { tx })
  })
  expect([cancelled, (await jobs.get('x'))?.state]).toEqual([true, 'cancelled'])
})

describe('what has ended', () => {
  it('is removed in its time, cancelled jobs that a worker finds at its start as well', async () => {
    world = await openWorld(8)
    const jobs = world.process().queue<number>({ keep: { dead: '1m' } })
    const { id } = await jobs.add(1)
    await jobs.cancel(id)
    const other = world.process().queue<number>()
    other.work(() => undefined)
    await world.pass(65_000, 1000)
    expect(await other.get(id)).toBeUndefined()
  })

  it('is kept for a time or by number: one in place of the other is another option', async () => {
    world = await openWorld(9)
    const jobs = world.process().queue<number>({ keep: { done: '7d' } })
    const stored = async () => (await world.chain.child(OptionsRecord, await jobs.entity(), IN.options))?.value
    await jobs.add(1)
    await expectCode(
      world
        .process()
        .queue<number>({ keep: { done: { count: 5 } } })
        .add(2),
      'QUEUE_MISMATCH',
    )
    expect(await stored()).toEqual({ keepDoneMs: 7 * 86_400_000 })
    await jobs.configure({ keep: { done: { count: 5 }, dead: '1d' } })
    expect(await stored()).toEqual({ keepDoneCount: 5, keepDeadMs: 86_400_000 })
  })
})

it('a repeat is refused for what its jobs would be refused for', async () => {
  world = await openWorld(10)
  const jobs = world.process().queue<number>()
  await expectCode(jobs.repeat('r', { every: '1s' }, 1, { priority: 1.5 }), 'BAD_ARGUMENT')
})

it('starts of a long window do not grow beyond what the lane takes', async () => {
  world = await openWorld(11)
  const jobs = world.process().queue<number>({ limit: { starts: 100_000, every: '1d' } })
  await jobs.add(0)
  const parent = await jobs.entity()
  const { now } = world.chain
  // As many as an entity takes: one more made the lane too large, and that ended the worker.
  const starts: number[] = []
  for (let i = 0; i < 32_750; i++) starts.push(now - 40_000 + i, 1)
  await world.chain.transact((tx) => {
    const lane = { claims: 0, sessions: [], starts: [[0, null, ...starts] as [number, null, ...number[]]] }
    tx.putChild(LaneRecord, lane, { parent, in: IN.lane })
  })
  const worker = jobs.work(() => undefined)
  for (let n = 0; n < 20; n++) {
    await jobs.add(n)
    await world.pass(20, 10)
  }
  expect(await Promise.race([worker.done.then(() => 'ended', String), 'works'])).toBe('works')
})

it('is claimed at its own turn also where it is claimed with its add', async () => {
  world = await openWorld(9)
  const jobs = world.process().queue<number, string>(AT_ONCE)
  const seen: (readonly [data: number, attempt: number])[] = []
  const worker = jobs.work(({ data, attempt }) => {
    seen.push([data, attempt])
    return `did ${data}`
  })
  for (let n = 0; n < 4; n++) {
    // The newest job is one that the handle knows.
    await jobs.add(9, { delay: '1d' })
    await turns()
    const before = world.chain.head.seq
    const { result } = await jobs.add(n, { id: 'x' })
    expect(await result()).toBe(`did ${n}`)
    // With its claim in one record, once there is a session; its end; and it is removed.
    if (n > 0) expect(world.chain.head.seq - before).toBe(2)
    await world.pass(2000)
    expect(await jobs.get('x')).toBeUndefined()
  }
  expect(seen).toEqual([0, 1, 2, 3].map((n) => [n, 1]))
  await worker.stop()
})

it('is not that of another queue: what a queue gives, cancels and retries is its own', async () => {
  world = await openWorld(10)
  const chain = world.process()
  const [mine, other] = [chain.queue<number>({}), queue<number>(world.chain, 'another')]
  const { id } = await other.add(1)
  expect(await mine.get(id)).toBeUndefined()
  expect(await mine.cancel(id)).toBe(false)
  expect(await mine.retry(id)).toBe(0)
  await expectCode(mine.result(id), 'NOT_FOUND')
  expect(await other.get(id)).toMatchObject({ id, state: 'waiting' })
  const own = await world.chain.transact(async (tx) => {
    const { id: added } = await mine.add(2, { tx })
    expect(await mine.cancel(added, { tx })).toBe(true)
    return added
  })
  expect(await mine.get(own)).toMatchObject({ state: 'cancelled' })
  await other.close()
})

describe('limits that are configured anew', () => {
  it('go on with the starts of before, in whatever order they stand', async () => {
    world = await openWorld(21)
    const hour = { starts: 2, every: '1h' } as const
    const second = { starts: 100, every: '1s' } as const
    const jobs = world.process().queue<number>({ limit: [second, hour] })
    const started: number[] = []
    jobs.work(({ data }) => void started.push(data))
    await jobs.add(1)
    await world.pass(5000)
    await jobs.addMany([2, 3])
    await world.pass(1000)
    expect(started).toEqual([1, 2])
    await jobs.configure({ limit: [hour, second] })
    await world.pass(10_000)
    expect(started).toEqual([1, 2])
    await world.pass(3_600_000, 60_000)
    expect(started).toEqual([1, 2, 3])
  })

  it('hold at once: what waited by the old ones waits no more', async () => {
    world = await openWorld(22)
    const jobs = world.process().queue<number>({ limit: { starts: 1, every: '1h' } })
    const started: number[] = []
    jobs.work(({ data }) => void started.push(data))
    await jobs.addMany([1, 2])
    await world.pass(1000)
    await jobs.configure({ limit: { starts: 10, every: '1h' } })
    await world.pass(1000)
    expect(started).toEqual([1, 2])
  })

  it('hold for who begins to work after that, with a handle from before', async () => {
    world = await openWorld(29)
    const jobs = world.process().queue<number>()
    await jobs.addMany([1, 2])
    await world
      .process()
      .queue<number>()
      .configure({ limit: { starts: 1, every: '1h' } })
    const started: number[] = []
    jobs.work(({ data }) => void started.push(data))
    await world.pass(1000)
    expect(started).toEqual([1])
  })

  it('hold at once for groups too, whose first goes on', async () => {
    world = await openWorld(23)
    const jobs = world.process().queue<number>({
      limit: [
        { active: 1, per: 'group' },
        { starts: 2, every: '1h', per: 'group' },
      ],
    })
    const busy = gated()
    jobs.work(busy.handler, { concurrency: 8 })
    for (const n of [1, 2, 3]) await jobs.add(n, { group: 'g' })
    await world.pass(1000)
    expect([...busy.running]).toEqual([1])
    await jobs.configure({ limit: { active: 2, per: 'group' } })
    await world.pass(1000)
    expect([...busy.running]).toEqual([1, 2])
    for (const n of [1, 2]) busy.end(n)
    await world.pass(1000)
    busy.end(3)
    await world.pass(1000)
  })
})

describe('a result that its queue does not keep', () => {
  it('is that of its handle all the same, whenever that is asked', async () => {
    world = await openWorld(24)
    const jobs = world.process().queue<number, number>(AT_ONCE)
    const handle = await jobs.add(3)
    const before = handle.result()
    const asked = world.process().queue<number, number>(AT_ONCE).result(handle.id)
    await turns()
    jobs.work(({ data }) => {
      if (data === 4) throw new Error('no such')
      return 2 * data
    })
    await world.pass(3000)
    expect(await jobs.get(handle.id)).toBeUndefined()
    expect(await Promise.all([before, asked, handle.result()])).toEqual([6, 6, 6])
    await expectCode(jobs.result(handle.id), 'NOT_FOUND')
    const other = await jobs.add(4)
    await jobs.configure({ retry: { max: 1 } })
    await world.pass(3000)
    await expect(other.result()).rejects.toMatchObject({ code: 'JOB_FAILED' })
  })

  it('is that of who has asked by its id before it ended, and hears of it when it is gone', async () => {
    world = await openWorld(28)
    const jobs = world.process().queue<number, number>(AT_ONCE)
    const asks = world.process()
    const { id } = await jobs.add(3)
    const result = asks.queue<number, number>(AT_ONCE).result(id)
    await turns()
    asks.partition()
    jobs.work(({ data }) => 2 * data)
    await world.pass(3000)
    expect(await jobs.get(id)).toBeUndefined()
    asks.heal()
    await world.pass(100)
    expect(await result).toBe(6)
  })

  it('is that of a job that was an effect, too', async () => {
    world = await openWorld(25)
    const jobs = world.process().queue<number, number>(AT_ONCE)
    const mails = world.process().queue<number, number>(AT_ONCE, 'mails')
    const handles: Handle<number>[] = []
    jobs.work(async (job) => {
      handles.push(await mails.add(1, { tx: job.tx }), ...(await mails.addMany([2, 3], { tx: job.tx })))
      return 0
    })
    mails.work(({ data }) => 10 * data, { concurrency: 8 })
    await jobs.add(1)
    await world.pass(5000)
    expect(await mails.counts()).toMatchObject({ waiting: 0, active: 0, done: 0 })
    expect(await Promise.all(handles.map((handle) => handle.result({ timeout: '1s' })))).toEqual([10, 20, 30])
  })
})

/** The chain, each of whose transactions that deletes something ends with `deleting`. */
function withDeletions(chain: Chain, deleting: () => void | Promise<void>): Chain {
  return replacing(chain, 'transact', (transact, run, options) =>
    transact(async (tx: Transaction) => {
      let deletes = false
      const seen = replacing(tx, 'delete', (remove, ...args) => {
        deletes = true
        remove(...args)
      })
      const result = await (run as (tx: Transaction) => unknown)(seen)
      if (deletes) await deleting()
      return result
    }, options),
  )
}

it('jobs that could not be removed are removed later', async () => {
  world = await openWorld(26)
  const worker = world.process()
  let refused = 0
  const chain = withDeletions(worker.chain, () => {
    if (refused++ < 2) throw new AteError('TX_RETRIES', {})
  })
  const jobs = queue<number>(chain, 'jobs', AT_ONCE, worker.environment)
  jobs.work(() => undefined)
  await jobs.addMany([1, 2, 3])
  await world.pass(1500)
  expect((await jobs.counts()).done).toBe(3)
  await world.pass(5000)
  expect(refused).toBeGreaterThan(2)
  expect((await jobs.counts()).done).toBe(0)
  expect(world.chain.children(JobRecord, await jobs.entity(), IN.jobs).count()).toBe(0)
})

it('a job that has run again while it was being removed stays', async () => {
  world = await openWorld(53)
  const worker = world.process()
  let again = async (): Promise<void> => undefined
  const chain = withDeletions(worker.chain, () => again())
  const jobs = queue<number>(chain, 'jobs', { keep: { dead: '1h' } }, worker.environment)
  const { id } = await jobs.add(1)
  await jobs.cancel(id)
  again = async () => {
    again = async () => undefined
    expect(await jobs.retry(id)).toBe(1)
    expect(await jobs.cancel(id)).toBe(true)
  }
  jobs.work(() => undefined)
  await world.pass(3_605_000, 5000)
  expect((await jobs.get(id))?.state).toBe('cancelled')
  await world.pass(3_605_000, 5000)
  expect(await jobs.get(id)).toBeUndefined()
})

describe('a job behind one that has failed', () => {
  it('is dead when it is added, or does not wait: its parent may be removed before anybody hears of it', async () => {
    world = await openWorld(27)
    const adder = world.process().queue<number>(AT_ONCE)
    const ran: number[] = []
    const parent = await adder.add(1)
    const done = await adder.add(2)
    await adder.cancel(parent.id)
    const workers = world.process()
    const jobs = workers.queue<number>(AT_ONCE)
    const child = await adder.add(3, { after: [parent] })
    await adder.add(4, { after: [parent, done], onParentFail: 'run', id: 'four' })
    expect((await adder.get(child.id))?.state).toBe('dead')
    expect((await adder.get('four'))?.state).toBe('blocked')
    jobs.work(({ data }) => void ran.push(data))
    await world.pass(3000)
    expect(ran).toEqual([2, 4])
    await expectCode(child.result(), 'JOB_FAILED')
    await expectCode(adder.add(5, { after: [parent] }), 'NOT_FOUND')
  })

  it('does not run if its parent fails and is removed while it is being added', async () => {
    world = await openWorld(50)
    const jobs = world.process().queue<number>({ ...AT_ONCE, retry: { max: 1 } })
    const ran: number[] = []
    const parent = await jobs.add(1)
    let runs = 0
    const adding = world.chain.transact(async (tx) => {
      await jobs.add(2, { tx, after: [parent] })
      if (++runs > 1) return
      jobs.work(({ data }) => {
        ran.push(data)
        throw new Error('no such')
      })
      await world.pass(3000)
    })
    await expectCode(adding, 'NOT_FOUND')
    await world.pass(1000)
    expect(ran).toEqual([1])
  })

  it('is failed before its parent goes, also by who has not heard of it when that fails', async () => {
    world = await openWorld(51)
    const adder = world.process().queue<number>({ ...AT_ONCE, retry: { max: 1 } })
    const worker = world.process()
    let slow = ''
    let go = (): void => undefined
    const slowly = new Promise<void>((resolve) => {
      go = resolve
    })
    const chain = replacing(worker.chain, 'get', async (get, ...args) => {
      if (args[1] === slow) await slowly
      return get(...args)
    })
    const jobs = queue<number>(chain, 'jobs', {}, worker.environment)
    const ran: number[] = []
    let fail = (): void => undefined
    jobs.work(
      async ({ data }) => {
        ran.push(data)
        if (data !== 1) return
        await new Promise<void>((_, reject) => {
          fail = () => reject(new Error('no such'))
        })
      },
      { concurrency: 8 },
    )
    const parent = await adder.add(1)
    await world.pass(100)
    await world.chain.transact(async (tx) => {
      slow = (await adder.add(2, { tx })).id
    })
    const child = await adder.add(3, { after: [parent] })
    fail()
    await world.pass(3000)
    go()
    await world.pass(3000)
    expect(ran).toEqual([1, 2])
    await expectCode(child.result(), 'JOB_FAILED')
    expect(world.chain.children(JobRecord, await jobs.entity(), IN.jobs).count()).toBe(0)
  })

  it('keeps its parent, if it cannot be failed itself', async () => {
    world = await openWorld(52)
    const worker = world.process()
    let orphan = ''
    const chain = replacing(worker.chain, 'transact', (transact, run, options) =>
      transact((tx: Transaction) => {
        const update = replacing(tx, 'update', async (update, ...args) => {
          if (args[1] === orphan) throw new AteError('VALUE_TOO_LARGE', {})
          return update(...args)
        })
        return (run as (tx: Transaction) => unknown)(update)
      }, options),
    )
    const jobs = queue<number>(chain, 'jobs', AT_ONCE, worker.environment)
    const ran: number[] = []
    const parent = await jobs.add(1, { delay: '1h' })
    orphan = (await jobs.add(2, { after: [parent] })).id
    await jobs.cancel(parent.id)
    jobs.work(({ data }) => void ran.push(data))
    await world.pass(5000)
    expect((await jobs.get(parent.id))?.state).toBe('cancelled')
    await jobs.close()
    orphan = ''
    world
      .process()
      .queue<number>(AT_ONCE)
      .work(({ data }) => void ran.push(data))
    await world.pass(5000)
    expect(ran).toEqual([])
  })

  it('never runs, however fast the failed one is removed', async () => {
    // The child is added at each of the transactions in which the other is worked on, fails and is removed.
    for (let at = 0; at < 12; at++) {
      world = await openWorld(30 + at)
      const worker = world.process()
      const jobs = worker.queue<number>({ ...AT_ONCE, retry: { max: 1 } })
      const adder = world.process().queue<number>(AT_ONCE)
      const ran: number[] = []
      const parent = await adder.add(1)
      worker.freezeAt(at)
      jobs.work(({ data }) => {
        ran.push(data)
        throw new Error('no such')
      })
      await world.pass(3000)
      // What it hears of while it stands still it takes in later.
      const child = await adder.add(2, { after: [parent] }).catch(codeOf)
      worker.thaw()
      await world.pass(3000)
      expect(ran, `frozen at ${at}`).not.toContain(2)
      if (typeof child !== 'string') await expectCode(child.result(), 'JOB_FAILED')
      await world.close()
    }
  })
})
