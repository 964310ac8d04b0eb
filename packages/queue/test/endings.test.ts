/** What is hard to end: failures that are hard to store, data at the limit, workers that cannot go on, parents that are gone. */
import { AteError, type Chain } from '@ate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type Queue, queue } from '../src/index.ts'
import { IN, JobRecord } from '../src/queue-records.ts'
import { retryWait } from '../src/queue-rules.ts'
import { sizeOf } from '../src/sizes.ts'
import { codeOf, expectCode, openWorld, turns, type World } from './kit.ts'

let world: World
afterEach(() => world?.close())

const RETRY = { retry: { max: 2, backoff: '50ms' } } as const

describe('a failure', () => {
  it('is stored and counted, whatever was thrown', async () => {
    world = await openWorld(1)
    const jobs = world.process().queue<number>(RETRY)
    const thrown = [new Error(`${'x'.repeat(491)}${'😀'.repeat(7)}`), Object.create(null), new Error('half \ud83d')]
    await jobs.addMany(thrown.map((_, n) => [n, { id: `j${n}` }] as const))
    let runs = 0
    jobs.work((job) => {
      if (++runs > 50) return
      throw thrown[job.data]
    })
    await world.pass(1000)
    expect(runs).toBe(6)
    const errors = await Promise.all(thrown.map(async (_, n) => (await jobs.get(`j${n}`))?.errors[1]))
    expect(errors).toEqual([`Error: ${'x'.repeat(491)}…`, 'what has no text', 'Error: half \ufffd'])
    expect((await jobs.counts()).dead).toBe(3)
  })

  it('waits by default, and says why, if the backoff function gives no duration', async () => {
    world = await openWorld(2)
    const given: readonly (() => unknown)[] = [
      () => Number.NaN,
      () => 'soon',
      () => {
        throw new Error('no table')
      },
    ]
    for (const [n, backoff] of given.entries()) {
      const jobs = world.process().queue<number>({ retry: { max: 3, backoff: backoff as never } }, `q${n}`)
      const { id } = await jobs.add(1)
      let runs = 0
      const worker = jobs.work(() => {
        runs++
        throw new Error('no')
      })
      await world.pass(400)
      expect([runs, (await jobs.get(id))?.state]).toEqual([1, 'scheduled'])
      expect((await jobs.get(id))?.errors[1]).toMatch(/^backoff: /)
      await worker.stop()
    }
    expect(retryWait({ backoff: () => 1.5 }, 1, 0, 0)).toEqual({ ms: 2 })
    expect(retryWait({ backoff: () => 2 ** 53 - 1 }, 1, 0, 1e12).ms).toBeLessThan(8.64e15)
  })

  it('that cannot be recorded keeps the lease, and is recorded later: the handler does not run again meanwhile', async () => {
    world = await openWorld(3)
    const { chain, environment } = world.process()
    let isFull = false
    const jobs = queue<number>(
      failing(chain, () => isFull),
      'jobs',
      { retry: { max: 1 } },
      environment,
    )
    const { id } = await jobs.add(1)
    let runs = 0
    jobs.work(() => {
      runs++
      isFull = true
      throw new Error('no')
    })
    await world.pass(2500)
    expect([runs, (await jobs.get(id))?.state]).toEqual([1, 'active'])
    isFull = false
    await world.pass(5000)
    expect([runs, (await jobs.get(id))?.state]).toEqual([1, 'dead'])
  })

  it('that waits to be recorded does not hold up a stop', async () => {
    world = await openWorld(4)
    const { chain, environment } = world.process()
    let isFull = false
    const jobs = queue<number>(
      failing(chain, () => isFull),
      'jobs',
      {},
      environment,
    )
    const { id } = await jobs.add(1)
    const worker = jobs.work(() => {
      isFull = true
      throw new Error('no')
    })
    await world.pass(300)
    const stopped = worker.stop()
    isFull = false
    await stopped
    expect((await jobs.get(id))?.state).toBe('scheduled')
  })
})

/** A chain whose disk is full for as long as `isFull` says. */
function failing(chain: Chain, isFull: () => boolean): Chain {
  return new Proxy(chain, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (property !== 'transact' || !isFull()) return value
      return () => Promise.reject(new AteError('DISK_FULL'))
    },
  })
}

describe('data at the limit', () => {
  const MAX = 880 * 1024
  /** With what else a job has. */
  const text = (left: number): string => 'x'.repeat(MAX - left)

  it('leaves room for errors and the ending', async () => {
    world = await openWorld(5)
    const jobs = world.process().queue<string>({ retry: { max: 12, backoff: 0 } })
    await expectCode(jobs.add(text(0)), 'VALUE_TOO_LARGE')
    await expectCode(jobs.add(new Array(65_450).fill(0) as never), 'VALUE_TOO_LARGE')
    const { id } = await jobs.add(text(100), { id: 'i'.repeat(400) })
    jobs.work(() => {
      throw new Error('€'.repeat(600))
    })
    await world.pass(1500)
    const info = await jobs.get(id)
    expect([info?.state, info?.errors.length, info?.errors[9]?.length]).toEqual(['dead', 10, 500])
  })

  it('fails the attempt whose step or result does not fit, with a code', async () => {
    world = await openWorld(6)
    const jobs = world.process().queue<string>({ retry: { max: 1 } })
    await jobs.add(text(10_000), { id: 'step' })
    await jobs.add(text(10_000), { id: 'result' })
    jobs.work(async (job) => {
      if (job.id === 'result') return 'x'.repeat(30_000)
      return job.step('s', () => 'x'.repeat(15_000))
    })
    await world.pass(500)
    for (const id of ['step', 'result']) {
      const info = await jobs.get(id)
      expect([id, info?.state, info?.errors[0]?.slice(0, 15)]).toEqual([id, 'dead', 'VALUE_TOO_LARGE'])
    }
  })

  it('ends a job that was added when nothing was kept free', async () => {
    world = await openWorld(7)
    const jobs = world.process().queue<string>({ retry: { max: 2, backoff: '50ms' } })
    const parent = await jobs.entity()
    const data = 'x'.repeat(896 * 1024 - 500)
    const job = await world.chain.transact((tx) => tx.create(JobRecord, { data, added: 0 }, { parent, in: IN.jobs }))
    jobs.work(() => {
      throw new Error('no '.repeat(100))
    })
    await world.pass(500)
    expect(await jobs.get(job.id)).toMatchObject({ state: 'dead', attempt: 2 })
  })

  it('is measured as it is encoded, or a little more', () => {
    const values: readonly (readonly [unknown, number])[] = [
      ['aé€😀', 11],
      [[1, 24, 256, 65_536, 2 ** 33, 0.5, -25], 1 + 1 + 2 + 3 + 5 + 9 + 9 + 2],
      [new Uint8Array(300), 303],
      [[null, true, undefined], 4],
    ]
    for (const [value, bytes] of values) expect(sizeOf(value).bytes).toBe(bytes)
    expect(sizeOf({ a: 1, b: undefined, c: new Date(0) })).toEqual({ bytes: 5 + 2 + 1 + 2 + 12, items: 5 })
  })
})

describe('a worker', () => {
  it('goes on beside a repeat whose data does not fit any more, which makes dead jobs', async () => {
    world = await openWorld(8)
    const { chain, environment } = world.process()
    const old = queue<{ to: unknown }>(chain, 'jobs', {}, environment)
    await old.repeat('k'.repeat(400), { every: '1s' }, { to: 5 })
    const jobs = queue(chain, 'jobs', { data: z.object({ to: z.string() }) }, environment)
    let ran = 0
    const worker = jobs.work(() => void ran++)
    await world.pass(2500)
    await jobs.add({ to: 'a' })
    await world.pass(500)
    expect(ran).toBe(1)
    const dead: string[] = []
    for await (const { id } of jobs.list({ state: 'dead' })) dead.push(id)
    expect(dead.length).toBeGreaterThanOrEqual(2)
    expect((await jobs.get(dead[0]!))?.errors[0]).toContain('BAD_VALUE')
    await worker.stop()
  })

  it('that failed is heard: by done, and where nobody looks at that as an unhandled rejection', async () => {
    world = await openWorld(9)
    const { chain, environment } = world.process()
    await queue<number>(chain, 'jobs', { lease: '5s' }, environment).add(1)
    const heard: string[] = []
    const others = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', (error) => heard.push(codeOf(error)))
    try {
      queue<number>(chain, 'jobs', { lease: '6s' }, environment).work(() => undefined)
      await turns(40)
      await new Promise((resolve) => setTimeout(resolve, 1))
    } finally {
      process.removeAllListeners('unhandledRejection')
      for (const other of others) process.on('unhandledRejection', other)
    }
    expect(heard).toEqual(['QUEUE_MISMATCH'])
  })

  it('can be started after one that failed, and works', async () => {
    world = await openWorld(10)
    const { chain, environment } = world.process()
    let isRevoked = true
    const jobs = queue<number>(
      denying(chain, () => isRevoked),
      'jobs',
      {},
      environment,
    )
    await jobs.add(1)
    const first = jobs.work(() => undefined)
    const second = jobs.work(() => undefined)
    const ends = [first, second].map(({ done }) => done.catch(codeOf))
    await world.pass(300)
    expect(await Promise.all(ends)).toEqual(['NOT_AUTHORIZED', 'NOT_AUTHORIZED'])
    isRevoked = false
    let ran = 0
    jobs.work(() => void ran++)
    await world.pass(300)
    expect(ran).toBe(1)
    await world.chain.close()
    await turns(40)
    await expectCode(jobs.work(() => undefined).done, 'fulfilled')
  })

  it('frees the slots of a batch whose jobs are aborted, whatever its handler does', async () => {
    world = await openWorld(11)
    const jobs = world.process().queue<number>({ timeout: '200ms', retry: { max: 2, backoff: '10ms' } })
    await jobs.addMany([1, 2])
    let calls = 0
    const worker = jobs.workBatch(
      () => {
        calls++
        return new Promise(() => undefined)
      },
      { size: 2 },
    )
    await world.pass(1000)
    expect([calls >= 2, (await jobs.counts()).dead]).toEqual([true, 2])
    await jobs.add(3, { id: 'last' })
    await world.pass(100)
    const stopped = worker.stop({ grace: '50ms' })
    await world.pass(200)
    await stopped
    expect(await jobs.get('last')).toMatchObject({ state: 'waiting', attempt: 0 })
  })

  it('waits for whatever can be awaited', async () => {
    world = await openWorld(12)
    const jobs = world.process().queue<number>({ retry: { max: 1 } })
    const { id } = await jobs.add(1)
    // biome-ignore lint/suspicious/noThenProperty: what query builders are
    const query = { then: (_: unknown, no: (error: Error) => void) => no(new Error('insert failed')) }
    jobs.work(() => query as never)
    await world.pass(200)
    expect((await jobs.get(id))?.errors).toEqual(['Error: insert failed'])
  })
})

/** A chain that may not be written to for as long as `isDenied` says, by who claims. */
function denying(chain: Chain, isDenied: () => boolean): Chain {
  let count = 0
  return new Proxy(chain, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      // The first two make the queue and add the job.
      if (property !== 'transact' || count++ < 2 || !isDenied()) return value
      return () => Promise.reject(new AteError('NOT_AUTHORIZED'))
    },
  })
}

describe('a parent in another queue that is removed before anybody looks', () => {
  async function family(
    keep: 'done' | 'dead',
  ): Promise<{ readonly children: Queue<number, number, unknown>; readonly child: string }> {
    world = await openWorld(13)
    const one = world.process()
    const parents = one.queue<number>({ retry: { max: 1 }, keep: { [keep]: { count: 0 } } }, 'parents')
    const children = one.queue<number>({}, 'children')
    const parent = await parents.add(1)
    const child = await children.add(1, { after: [parent] })
    parents.work(() => {
      if (keep === 'dead') throw new Error('no')
    })
    await world.pass(2500)
    expect(await parents.get(parent.id)).toBeUndefined()
    return { children, child: child.id }
  }

  it('fails its child if it was dead', async () => {
    const { children, child } = await family('dead')
    let ran = 0
    children.work(() => void ran++)
    await world.pass(1500)
    expect([ran, (await children.get(child))?.state]).toEqual([0, 'dead'])
  })

  it('lets it run if it was done', async () => {
    const { children, child } = await family('done')
    children.work(() => undefined)
    await world.pass(1500)
    expect((await children.get(child))?.state).toBe('done')
  })
})

it('keeps a unique key for its time, also when the job is gone', async () => {
  world = await openWorld(14)
  const jobs = world.process().queue<number>({ keep: { done: { count: 0 } } })
  let ran = 0
  jobs.work(() => void ran++)
  const unique = { key: 'k', for: '1h' } as const
  const first = await jobs.add(1, { unique })
  await world.pass(2500)
  expect(await jobs.get(first.id)).toBeUndefined()
  expect((await jobs.add(2, { unique })).id).toBe(first.id)
  await world.pass(1000)
  expect(ran).toBe(1)
  await world.pass(3_600_000, 600_000)
  expect((await jobs.add(3, { unique })).id).not.toBe(first.id)
  await world.pass(1000)
  expect(ran).toBe(2)
})

it('runs a step once that is asked for twice at a time, and gives what later attempts get', async () => {
  world = await openWorld(15)
  const jobs = world.process().queue<number>({ retry: { max: 2, backoff: '10ms' } })
  await jobs.add(1)
  let charged = 0
  const seen: unknown[] = []
  jobs.work(async (job) => {
    const charge = (): Promise<number> => turns(2).then(() => ++charged)
    const twice = await Promise.all([job.step('charge', charge), job.step('charge', charge)])
    const nothing = await job.step('nothing', () => undefined)
    const object = await job.step('object', () => ({ a: undefined, b: [1] }))
    seen.push([twice, nothing, object, Object.keys(object)])
    if (job.attempt === 1) throw new Error('again')
  })
  await world.pass(1000)
  expect(charged).toBe(1)
  expect(seen).toEqual(Array(2).fill([[1, 1], undefined, { b: [1] }, ['b']]))
})
