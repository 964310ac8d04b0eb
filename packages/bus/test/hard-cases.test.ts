/** Much poison at once, errors without a text, handlers that never end, listeners that are too slow, options that are none. */
import { AteError, type Chain } from '@ate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { unhandledIn } from '../../../scripts/lib/unhandled.ts'
import { type Bus, type BusOptions, bus } from '../src/index.ts'
import { closeAll, closeLater, codeOf, collect, Done, type Letters, open, turns, until } from './kit.ts'

afterEach(closeAll)

async function make(options: BusOptions = {}): Promise<{ chain: Chain; events: Bus<Letters, Letters> }> {
  const chain = await open()
  const events = bus<Letters>(chain, options)
  closeLater(chain)
  closeLater(events)
  return { chain, events }
}

const fail = (thrown: unknown) => () => {
  throw thrown
}

describe('poison', () => {
  it('is set aside also if all of it does not fit into one commit', async () => {
    const { chain, events } = await make()
    const most = 1200
    await chain.transact(async (tx) => {
      for (let n = 0; n < most; n++) await events.publish('a', n, { tx })
    })
    const text = '€'.repeat(1000)
    const sub = events.subscribe('s', 'a', fail(new Error(text)), { order: 'none', retry: { max: 1 }, prefetch: 4096 })
    await sub.drain()
    const [info] = await collect(events.subscriptions())
    expect(await events.lag('s')).toEqual({ events: 0, ms: 0 })
    expect(info?.dead).toBe(most)
  })

  it('is set aside with a text that can be stored, whatever was thrown', async () => {
    const { events } = await make()
    await events.publish('a', 1)
    const thrown = [new Error(`${'x'.repeat(992)}😀😀😀😀`), Object.create(null), new Error('half \ud83d'), undefined]
    for (const [n, one] of thrown.entries()) {
      await events.subscribe(`s${n}`, 'a', fail(one), { retry: { max: 1 } }).drain()
      expect(await collect(events.dead(`s${n}`))).toHaveLength(1)
    }
    const halts = events.subscribe('halts', 'a', fail(thrown[0]), { retry: { max: 1 }, onPoison: 'halt' })
    expect(await codeOf(halts.drain())).toBe('SUBSCRIPTION_HALTED')
  })

  it('reaches the one who asks', async () => {
    const { events } = await make()
    const desk = events.respond('a', fail(Object.create(null)))
    await desk.ready
    expect(await codeOf(events.request('a', 1, { timeout: '30s' }))).toBe('REQUEST_FAILED')
  })

  it('is tried again by the default waits if the backoff function gives no duration', async () => {
    const { events } = await make()
    await events.publish('a', 1)
    for (const [n, backoff] of [() => Number.NaN, fail(new Error('no table'))].entries()) {
      const sub = events.subscribe(`s${n}`, 'a', fail(new Error('no')), {
        retry: { max: 2, backoff: backoff as never },
      })
      await sub.drain()
      expect((await collect(events.dead(`s${n}`)))[0]?.attempts).toBe(2)
    }
  })
})

describe('what is delivered again', () => {
  it('has its time limit, and does not hold up a close', async () => {
    const { events } = await make()
    let hangs = 0
    const handler = (): unknown => {
      if (hangs < 0) throw new Error('no')
      hangs++
      return new Promise(() => undefined)
    }
    hangs = -1
    await events.publish('a', 1)
    const first = events.subscribe('s', 'a', handler, { retry: { max: 1 }, timeout: 20 })
    await first.drain()
    hangs = 0
    await events.redrive('s')
    let dead: readonly { readonly error: string }[] = []
    for (let i = 0; i < 1000 && dead.length === 0; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      dead = await collect(events.dead('s'))
    }
    expect(dead[0]?.error).toContain('HANDLER_TIMEOUT')
    await first.close()
    const second = events.subscribe('s', 'a', handler, { grace: 10 })
    await second.ready
    hangs = 0
    await events.redrive('s')
    await until(() => hangs === 1)
    await second.close()
    // It is not lost: the next one gets it.
    const seen: number[] = []
    events.subscribe('s', 'a', ({ data }) => void seen.push(data))
    await until(() => seen.length === 1)
  })

  it('delivers all that waits to be delivered again to who comes later', async () => {
    const { events } = await make()
    let fails = true
    const seen = new Set<number>()
    const subscribe = () =>
      events.subscribe(
        's',
        'a',
        ({ data }) => {
          if (fails) throw new Error('no')
          seen.add(data)
        },
        { retry: { max: 1 }, order: 'none' },
      )
    const count = 120
    const first = subscribe()
    await Promise.all(Array.from({ length: count }, (_, i) => events.publish('a', i)))
    await first.drain()
    await first.close()
    expect(await events.redrive('s')).toBe(count)
    fails = false
    subscribe()
    await until(() => seen.size === count)
  })

  it('commits what returns within the grace of a close', async () => {
    const { chain, events } = await make()
    let step: 'fails' | 'waits' | 'returns' = 'fails'
    await events.publish('a', 7)
    const sub = events.subscribe(
      's',
      'a',
      async ({ data, effect }) => {
        if (step === 'fails') throw new Error('no')
        step = 'waits'
        while (step === 'waits') await turns(1)
        effect((tx) => tx.create(Done, data))
      },
      { retry: { max: 1 } },
    )
    await sub.drain()
    step = 'returns'
    await events.redrive('s')
    await until(() => step === 'waits')
    const closed = sub.close()
    await turns(2)
    step = 'returns'
    await closed
    expect(chain.children(Done).count()).toBe(1)
  })
})

it('counts what retention took from a slow listener as dropped, and goes on', async () => {
  const real = await open()
  const events = bus<Letters>(compactedBehind(real, 7))
  closeLater(real)
  closeLater(events)
  const seen: number[] = []
  const listener = events.on('a', ({ data }) => void seen.push(data))
  const strict = events.on('a', () => undefined, { overflow: 'error' })
  const end = codeOf(strict.done)
  for (let n = 0; n < 9; n++) await events.publish('a', n)
  await until(() => seen.at(-1) === 8)
  expect(seen).toEqual([0, 8])
  expect(listener.dropped).toBe(7)
  expect(await end).toBe('OVERFLOW')
})

/** A chain of which compaction has taken the events from the second one on, as many as are said, before they were opened. */
function compactedBehind(chain: Chain, count: number): Chain {
  return own(
    chain,
    'eventBatches',
    (batches) =>
      async function* (...args: Parameters<Chain['eventBatches']>) {
        let number = 0
        for await (const batch of batches(...args)) {
          yield batch.map((event) => {
            const isGone = event.op === 'create' && event.collection === 'e' && ++number > 1 && number <= 1 + count
            return isGone ? own(event, 'open', () => () => Promise.reject(new AteError('BODY_DROPPED'))) : event
          })
        }
      },
  )
}

/** An object with one property of another. */
function own<T extends object, K extends keyof T>(object: T, name: K, make: (value: T[K]) => unknown): T {
  return new Proxy(object, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target)
      const bound = typeof value === 'function' ? value.bind(target) : value
      return property === name ? make(bound as T[K]) : bound
    },
  })
}

describe('refuses', () => {
  it('a point that no record has yet, where it would be stored', async () => {
    const { chain, events } = await make()
    await events.publish('a', 1)
    const point = { chain: chain.id, seq: 10 ** 9 }
    const sub = events.subscribe('s', 'a', () => undefined)
    await sub.drain()
    expect(await codeOf(events.seek('s', point))).toBe('BAD_CURSOR')
    expect(await codeOf(events.subscribe('t', 'a', () => undefined, { from: point }).done)).toBe('BAD_CURSOR')
    await events.seek('s', { chain: chain.id, seq: chain.head.seq })
  })

  it('options that make no sense', async () => {
    const { chain, events } = await make()
    const handler = (): undefined => undefined
    const subscriptions: readonly unknown[] = [
      null,
      { order: 'topics' },
      { onPoison: 'stop' },
      { concurrency: 0 },
      { prefetch: 1.5 },
      { retry: null },
      { retry: { max: 0 } },
      { retry: { backoff: 'x' } },
      { lease: 'x' },
      { timeout: 'x' },
      { timeout: 0 },
      { grace: 'x' },
      { signal: 5 },
    ]
    for (const [n, options] of subscriptions.entries())
      expect(await codeOf(() => events.subscribe(`s${n}`, 'a', handler, options as never)), `${n}`).toBe('BAD_ARGUMENT')
    const buses: readonly unknown[] = [
      null,
      { name: '' },
      { name: 'half \ud800' },
      { name: '€'.repeat(200) },
      { topics: 5 },
      { topics: { a: 5 } },
      { ephemeral: 'a.>' },
      { access: 5 },
      { observe: 5 },
      ...[5, { count: -1 }, { count: '5' }, { count: 1.5 }, { bytes: Number.NaN }, { for: 'x' }].map((retain) => ({
        retain,
      })),
    ]
    for (const [n, options] of buses.entries())
      expect(await codeOf(() => bus(chain, options as never)), `${n}`).toBe('BAD_ARGUMENT')
    await events.subscribe('known', 'a', handler).ready
    for (const limit of [0, -1, Number.NaN, 'x', 0.5])
      expect(await codeOf(events.redrive('known', { limit: limit as never }))).toBe('BAD_ARGUMENT')
    for (const to of ['x', null, 5, { chain: 'other', seq: 1 }, new Date(Number.NaN)])
      expect(await codeOf(collect(events.read('a', { to: to as never })))).toBe('BAD_CURSOR')
    for (const options of [5, null, { timeout: 'x' }, { signal: 5 }])
      expect(await codeOf(events.request('a', 1, options as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(events.publish('a', 1, null as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(events.publish('a', 1, { id: '€'.repeat(255) }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => events.on('a', handler, null as never))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => events.respond('a', handler, { group: 5 as never }))).toBe('BAD_ARGUMENT')
  })
})

it('answers on the longest topics', async () => {
  const chain = await open()
  const events = bus(chain)
  closeLater(chain)
  closeLater(events)
  const topic = ['a', 'b', 'c', 'd'].map((one) => one.repeat(63)).join('.')
  expect(topic).toHaveLength(255)
  const desk = events.respond(topic, () => 5)
  await desk.ready
  expect(await events.request(topic, 1, { timeout: '30s' })).toBe(5)
})

it('says why a subscription is over to who drains it', async () => {
  const { events } = await make()
  await events.subscribe('s', 'a', () => undefined).ready
  const wrong = events.subscribe('s', 'b', () => undefined)
  expect(await codeOf(wrong.done)).toBe('SUBSCRIPTION_MISMATCH')
  await events.publish('b', 1)
  expect(await codeOf(wrong.drain())).toBe('SUBSCRIPTION_MISMATCH')
  const sub = events.subscribe('f', 'b', () => new Promise(() => undefined), { grace: 0 })
  await sub.ready
  const drained = codeOf(sub.drain())
  await turns(5)
  await sub.close()
  expect(await drained).toBe('BUS_CLOSED')
})

describe('a failure that nobody looks at', () => {
  const halting = { retry: { max: 1 }, onPoison: 'halt' } as const
  const ways: readonly (readonly [string, string[], (events: Bus<Letters, Letters>) => Promise<unknown>])[] = [
    ['of a subscription', ['SUBSCRIPTION_HALTED'], async (events) => events.subscribe('s', 'a', fail('no'), halting)],
    [
      'of one that cannot be opened',
      ['BAD_CURSOR'],
      async (events) => events.subscribe('s', 'a', fail('no'), { from: 1 as never }),
    ],
    ['of a listener', ['no'], async (events) => events.on('a', fail('no'))],
    ['that done tells', [], (events) => codeOf(events.subscribe('s', 'a', fail('no'), halting).done)],
    ['that drain tells', [], (events) => codeOf(events.subscribe('s', 'a', fail('no'), halting).drain())],
    ['that ready tells', [], (events) => codeOf(events.subscribe('s', 'a', fail('no'), { from: 1 as never }).ready)],
    ['that is none: it was closed', [], (events) => events.subscribe('s', 'a', () => undefined).close()],
  ]
  it.each(ways)('%s: is heard once, as an unhandled rejection: %s', async (_name, heard, run) => {
    const { events } = await make()
    await events.publish('a', 1)
    expect(
      await unhandledIn(async () => {
        await run(events)
        await events.publish('a', 2)
        await turns(60)
      }),
    ).toEqual(heard)
  })

  it('is none of what is begun on a chain that is closed', async () => {
    const { chain, events } = await make()
    await chain.close()
    const ends: Promise<void>[] = []
    const unhandled = await unhandledIn(async () => {
      ends.push(events.on('a', () => undefined).done)
      ends.push(events.subscribe('s', 'a', () => undefined).done)
      await turns()
    })
    expect(unhandled).toEqual([])
    await Promise.all(ends)
  })

  it('is none if the chain was closed', async () => {
    const { chain, events } = await make()
    expect(
      await unhandledIn(async () => {
        await events.subscribe('s', 'a', () => undefined).ready
        events.on('a', () => undefined)
        events.subscribe('late', 'a', () => undefined)
        await chain.close()
      }),
    ).toEqual([])
  })
})

describe('a read that goes on with what comes', () => {
  it('ends when it is left, and when its bus is closed, also while it waits', async () => {
    const { events } = await make()
    await events.publish('a', 1)
    const read = events.read('a', { live: true })
    expect(await read.next()).toMatchObject({ value: { data: 1 } })
    const waiting = read.next()
    await turns()
    await read.return()
    expect(await waiting).toEqual({ done: true, value: undefined })
    const other = collect(events.read('a', { live: true }))
    await turns()
    await events.close()
    expect(await other).toHaveLength(1)
  })

  it('unlike one that comes to an end, which says that it did not', async () => {
    const { events } = await make()
    await events.publish('a', 1)
    const read = events.read('a')
    await events.close()
    expect(await codeOf(collect(read))).toBe('BUS_CLOSED')
  })
})
