/** What is refused, with which code, and that nothing is lost by it; and likely mistakes. */
import { afterEach, expect, it } from 'vitest'
import { z } from 'zod'
import { queue } from '../src/index.ts'
import { codeOf, expectCode, openWorld, turns, type World } from './kit.ts'

let world: World
afterEach(() => world?.close())

it('refuses options that make no sense, before anything is written', async () => {
  world = await openWorld(1)
  const { chain } = world
  const head = chain.head.seq
  const bad: readonly (() => unknown)[] = [
    () => queue(chain, ''),
    () => queue(chain, 'x'.repeat(300)),
    () => queue({} as never, 'jobs'),
    () => queue(chain, 'jobs', { retry: { max: 0 } }),
    () => queue(chain, 'jobs', { retry: { backoff: 'soon' as never } }),
    () => queue(chain, 'jobs', { lease: '1ms' }),
    () => queue(chain, 'jobs', { timeout: 0 }),
    () => queue(chain, 'jobs', { limit: { active: 0 } }),
    () => queue(chain, 'jobs', { limit: { starts: 1, every: 0 } }),
    () => queue(chain, 'jobs', { limit: { active: 1, per: 'user' as never } }),
    () => queue(chain, 'jobs', { keep: { done: { count: -1 } } }),
    () => queue(chain, 'half \ud800'),
    () => queue(chain, 'jobs', null as never),
    () => queue(chain, 'jobs', { retry: 5 as never }),
    () => queue(chain, 'jobs', { retry: null as never }),
    () => queue(chain, 'jobs', { limit: null as never }),
    () => queue(chain, 'jobs', { limit: [null] as never }),
    () => queue(chain, 'jobs', { limit: {} as never }),
    () => queue(chain, 'jobs', { limit: { active: 1, starts: 1, every: '1s' } as never }),
    () => queue(chain, 'jobs', { limit: { starts: 1 } as never }),
    () => queue(chain, 'jobs', { keep: null as never }),
    () => queue(chain, 'jobs', { keep: { done: null as never } }),
    () => queue(chain, 'jobs', { group: 'g' as never }),
    () => queue(chain, 'jobs', { observe: 5 as never }),
    () => queue(chain, 'jobs', { data: 5 as never }),
    () => queue(chain, 'jobs', { data: z.number(), result: {} as never }),
    () => queue(chain, 'jobs').work(() => undefined, null as never),
    () => queue(chain, 'jobs').work(() => undefined, { signal: 5 as never }),
    () => queue(chain, 'jobs').work(() => undefined, { grace: 'x' as never }),
    () => queue(chain, 'jobs').workBatch(async () => [], undefined as never),
    () => queue(chain, 'jobs').leases(null as never),
    () => queue(chain, 'jobs').work(undefined as never),
    () => queue(chain, 'jobs').work(() => undefined, { concurrency: 0 }),
    () => queue(chain, 'jobs').workBatch(async () => [], { size: 0 }),
    () => queue(chain, 'jobs').leases({ prefetch: -1 }),
  ]
  for (const make of bad) {
    let code = ''
    try {
      make()
    } catch (error) {
      code = codeOf(error)
    }
    expect(code, String(make)).toBe('BAD_ARGUMENT')
  }
  expect(chain.head.seq).toBe(head)
})

it('refuses adds that make no sense', async () => {
  world = await openWorld(2)
  const jobs = world.process().queue<unknown>()
  await jobs.add(1, { id: 'a' })
  await expectCode(jobs.add(1, { id: '' }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { id: 7 as never }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { delay: 'tomorrow' as never }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { at: new Date('x') }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { at: 5, delay: 5 }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { priority: 0.5 }), 'BAD_ARGUMENT')
  // What another library calls so, and a slip, is not passed over.
  await expect(jobs.add(1, { jobId: 'x' } as never)).rejects.toThrow(/given: jobId/)
  expect(() => jobs.work(() => 1, { concurency: 3 } as never)).toThrow(/given: concurency/)
  expect(() => jobs.workBatch(async () => [], { size: 1, sise: 3 } as never)).toThrow(/given: sise/)
  expect(() => queue(world.chain, 'jobs', { attempts: 3 } as never)).toThrow(/given: attempts/)
  const members = [
    { keep: { don: '1d' } },
    { keep: { done: { cuont: 1 } } },
    { retry: { tries: 1 } },
    { limit: { active: 1, pre: 'group' } },
  ]
  for (const options of members)
    expect(() => queue(world.chain, 'slips', options as never), JSON.stringify(options)).toThrow(
      /given: (don|cuont|tries|pre)\b/,
    )
  await expect(jobs.add(1, { unique: { key: 'k', fro: '1h' } } as never)).rejects.toThrow(/given: fro/)
  await expect(jobs.repeat('k', { every: '1h', mised: 'all' } as never, 1)).rejects.toThrow(/given: mised/)
  await expect(jobs.repeat('k', { every: '1h' }, 1, { delay: 1 } as never)).rejects.toThrow(/given: delay/)
  const slips: readonly (readonly [string, () => unknown])[] = [
    ['txn', () => jobs.addMany([1], { txn: 1 } as never)],
    ['txn', () => jobs.unrepeat('k', { txn: 1 } as never)],
    ['txn', () => jobs.pause({ txn: 1 } as never)],
    ['txn', () => jobs.resume({ txn: 1 } as never)],
    ['why', () => jobs.cancel('a', { why: '' } as never)],
    ['max', () => jobs.retry({ state: 'dead', max: 1 } as never)],
    ['wait', () => jobs.result('a', { wait: 1 } as never)],
    ['max', () => jobs.leases({ max: 1 } as never)],
    [
      'sate',
      () =>
        jobs
          .list({ sate: 'dead' } as never)
          [Symbol.asyncIterator]()
          .next(),
    ],
    [
      'since',
      () =>
        jobs
          .events({ since: 0 } as never)
          [Symbol.asyncIterator]()
          .next(),
    ],
    ['timeout', () => jobs.idle({ timeout: 1 } as never)],
    ['group', () => jobs.configure({ group: 'g' } as never)],
  ]
  for (const [given, call] of slips)
    await expect((async () => call())(), `${given} of ${String(call)}`).rejects.toThrow(
      new RegExp(`given: ${given}\\b`),
    )
  const handle = await jobs.add(1, { id: 'a' })
  await expect(handle.result({ wait: 1 } as never)).rejects.toThrow(/given: wait/)
  await expectCode(jobs.add(1, null as never), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, 5 as never), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { unique: null as never }), 'BAD_ARGUMENT')
  for (const half of ['a\ud800', '\udc00'])
    for (const options of [{ id: half }, { group: half }, { unique: { key: half } }])
      await expectCode(jobs.add(1, options), 'BAD_ARGUMENT')
  const reserved = await jobs.add(1, { id: 'ate:x' }).catch(String)
  expect(reserved).toContain('reserved')
  await expectCode(jobs.add(1, { id: 'b', unique: { key: 'k' } }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { unique: { key: 'k', onConflict: 'x' as never } }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { after: [{ id: 'nobody' }] }), 'NOT_FOUND')
  await expectCode(jobs.add(1, { after: 'a' as never }), 'BAD_ARGUMENT')
  await expectCode(jobs.add(1, { id: 'c', after: [{ id: 'c' }] }), 'DEPENDENCY_CYCLE')
  await expectCode(jobs.add(1, { tx: {} as never }), 'BAD_ARGUMENT')
  await expectCode(
    jobs.add(() => 1),
    'BAD_VALUE',
  )
  await expectCode(jobs.add('x'.repeat(1_000_000)), 'VALUE_TOO_LARGE')
  await expectCode(jobs.addMany(5 as never), 'BAD_ARGUMENT')
  const circle = jobs.addMany([
    [1, { id: 'x', after: [{ id: 'z' }] }],
    [2, { id: 'y', after: [{ id: 'x' }] }],
    [3, { id: 'z', after: [{ id: 'y' }] }],
  ])
  await expectCode(circle, 'DEPENDENCY_CYCLE')
  await expectCode(jobs.retry({ state: 'done' } as never), 'BAD_ARGUMENT')
  await expectCode(jobs.configure(null as never), 'BAD_ARGUMENT')
  await expectCode(jobs.cancel('a', { reason: 5 as never }), 'BAD_ARGUMENT')
  for (const from of ['foo', -1, Number.NaN, 1.5, null])
    await expectCode(
      jobs
        .events({ from: from as never })
        [Symbol.asyncIterator]()
        .next(),
      'BAD_ARGUMENT',
    )
  for (const options of [{ state: 'foo' }, { group: 5 }, { limit: 'x' }, null])
    await expectCode(
      jobs
        .list(options as never)
        [Symbol.asyncIterator]()
        .next(),
      'BAD_ARGUMENT',
    )
  expect((await jobs.counts()).waiting).toBe(1)
})

it('refuses repeats that make no sense', async () => {
  world = await openWorld(3)
  const jobs = world.process().queue<unknown>()
  await expectCode(jobs.repeat('r', { cron: 'x' }, 1), 'BAD_CRON')
  await expectCode(jobs.repeat('r', { cron: '* * * * *', tz: 'Nowhere' }, 1), 'BAD_CRON')
  await expectCode(jobs.repeat('r', { cron: '0 0 30 2 *' }, 1), 'BAD_CRON')
  await expectCode(jobs.repeat('r', { every: 10 }, 1), 'BAD_ARGUMENT')
  await expectCode(jobs.repeat('', { every: '1m' }, 1), 'BAD_ARGUMENT')
  for (const when of [null, undefined, {}, { every: '5s', cron: '* * * * *' }])
    await expectCode(jobs.repeat('r', when as never, 1), 'BAD_ARGUMENT')
  await jobs.unrepeat('nobody')
})

it('checks data when it is added and when it is leased, and sets aside what does not fit any more', async () => {
  world = await openWorld(4)
  const { chain, environment } = world.process()
  const old = queue(chain, 'jobs', { data: z.object({ n: z.number() }) }, environment)
  await expectCode(old.add({ n: 'x' } as never), 'BAD_VALUE')
  const { id } = await old.add({ n: 1 })
  await old.add({ n: 20 })
  const strict = queue(chain, 'jobs', { data: z.object({ n: z.number().min(10) }), result: z.string() }, environment)
  const seen: number[] = []
  strict.work((job) => {
    seen.push(job.data.n)
    return 'ok'
  })
  await world.pass(200)
  expect(seen).toEqual([20])
  const info = await strict.get(id)
  expect([info?.state, info?.data]).toEqual(['dead', { n: 1 }])
  expect(info?.errors[0]).toContain('BAD_VALUE')
})

it('gives handlers what the schema makes of the data', async () => {
  world = await openWorld(5)
  const { chain, environment } = world.process()
  const jobs = queue(
    chain,
    'jobs',
    { data: z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }) },
    environment,
  )
  const { id } = await jobs.add({ at: '2026-01-01T00:00:00Z' })
  const seen: Date[] = []
  jobs.work((job) => void seen.push(job.data.at))
  await world.pass(200)
  expect(seen).toEqual([new Date('2026-01-01T00:00:00Z')])
  expect((await jobs.get(id))?.state).toBe('done')
})

it('refuses a result that does not fit, as a failure of the attempt', async () => {
  world = await openWorld(6)
  const { chain, environment } = world.process()
  const jobs = queue(chain, 'jobs', { data: z.number(), result: z.string(), retry: { max: 1 } }, environment)
  const { id } = await jobs.add(1)
  jobs.work(() => 5 as never)
  await world.pass(200)
  const info = await jobs.get(id)
  expect([info?.state, info?.errors[0]?.includes('BAD_VALUE')]).toEqual(['dead', true])
})

it('ends with its chain: workers stop, and every verb says so', async () => {
  world = await openWorld(7)
  const jobs = world.process().queue<number>()
  const handle = await jobs.add(1, { delay: '1h' })
  const waiting = handle.result().catch(codeOf)
  const idle = jobs.idle().then(() => 'idle', codeOf)
  const worker = jobs.work(() => undefined)
  await world.pass(100)
  await world.chain.close()
  await turns(40)
  await worker.done
  expect(await waiting).toBe('CHAIN_CLOSED')
  expect(await idle).toBe('idle')
  await expectCode(jobs.add(2), 'CHAIN_CLOSED')
  await expectCode(jobs.counts(), 'CHAIN_CLOSED')
})

it('ends by itself when the handle is closed, and says so to who goes on', async () => {
  world = await openWorld(8)
  const jobs = world.process().queue<number>()
  jobs.work(() => undefined)
  await jobs.add(1)
  await world.pass(100)
  await jobs.close()
  await expectCode(jobs.add(2), 'CHAIN_CLOSED')
  const other = world.process().queue<number>()
  expect((await other.counts()).done).toBe(1)
  await other.close()
})

it('refuses what comes after the handler has returned', async () => {
  world = await openWorld(9)
  const jobs = world.process().queue<number>()
  const late: string[] = []
  jobs.work((job) => {
    setTimeout(() => {
      try {
        job.effect(() => undefined)
      } catch (error) {
        late.push(codeOf(error))
      }
    }, 0)
  })
  await jobs.add(1)
  await world.pass(100)
  await new Promise((resolve) => setTimeout(resolve, 5))
  expect(late).toEqual(['TX_CLOSED'])
})

it('what has no text is refused by its name all the same', async () => {
  world = await openWorld(99)
  const jobs = world.process().queue<number>()
  const bare = Object.create(null) as never
  for (const call of [
    () => jobs.add(1, { priority: bare }),
    () => jobs.add(1, { delay: bare }),
    () => jobs.repeat('r', { every: bare }, 1),
    () => jobs.configure({ lease: bare }),
  ])
    await expectCode((async () => call())(), 'BAD_ARGUMENT')
  await expectCode(jobs.repeat('r', { cron: bare }, 1), 'BAD_CRON')
})
