/** Durable subscriptions: order, retries, what is set aside, and effects that happen with the cursor. */
import { type Chain, defineType, type Effect } from '@ate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { type Bus, bus, type SubscribeOptions } from '../src/index.ts'
import { closeAll, closeLater, codeOf, collect, deferred, open, openAt, place, turns, until } from './kit.ts'

interface Topics {
  'a.x': number
  'a.y': number
  b: number
}
const Done = defineType<number>('done')
afterEach(closeAll)

async function make(): Promise<{ chain: Chain; events: Bus<Topics, Topics> }> {
  const chain = await open()
  const events = bus<Topics>(chain)
  closeLater(chain)
  closeLater(events)
  return { chain, events }
}

async function publish(
  events: Bus<Topics, Topics>,
  topic: keyof Topics,
  from: number,
  to: number,
  key?: string,
): Promise<void> {
  for (let n = from; n < to; n++) await events.publish(topic, n, key === undefined ? {} : { key })
}

async function effects(chain: Chain): Promise<number[]> {
  return (await collect(chain.children(Done))).map(({ value }) => value)
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('a subscription', () => {
  it('delivers what was published before and after it, once and in order', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 10)
    const seen: number[] = []
    const books = events.subscribe('books', 'a.*', async ({ data }) => {
      await turns(1)
      seen.push(data)
    })
    await books.drain()
    await publish(events, 'a.x', 10, 20)
    await publish(events, 'b', 0, 3)
    await books.drain()
    expect(seen).toEqual(range(0, 20))
    expect(await books.lag()).toEqual({ events: 0, ms: 0 })
    await books.close()
    await publish(events, 'a.y', 20, 25)
    expect(await events.lag('books')).toMatchObject({ events: 5 })
    const again = events.subscribe('books', 'a.*', ({ data }) => seen.push(data), { from: 'end' }) // it is known: goes on
    await again.drain()
    expect(seen).toEqual(range(0, 25))
  })

  it.each([
    ['end', []],
    ['last', [4]],
    ['start', [0, 1, 2, 3, 4]],
  ] as const)('of a new name begins at %s', async (from, expected) => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 5)
    const seen: number[] = []
    const books = events.subscribe('books', 'a.*', ({ data }) => seen.push(data), { from })
    await books.drain()
    expect(seen).toEqual(expected)
    await publish(events, 'a.x', 5, 6)
    await books.drain()
    expect(seen).toEqual([...expected, 5])
  })

  it('goes on where it was when the chain is opened again', async () => {
    const at = place()
    let chain = await openAt(at)
    let events = bus<Topics>(chain)
    await publish(events, 'a.x', 0, 10)
    const seen: number[] = []
    await events.subscribe('books', 'a.*', ({ data }) => seen.push(data)).drain()
    await chain.close() // without closing the bus
    chain = await openAt(at)
    closeLater(chain)
    events = bus<Topics>(chain)
    await publish(events, 'a.x', 10, 15)
    await events.subscribe('books', 'a.*', ({ data }) => seen.push(data), { lease: 100 }).drain()
    expect(seen).toEqual(range(0, 15))
  })

  it('of another pattern or order is another one', async () => {
    const { events } = await make()
    await events.subscribe('books', 'a.*', () => undefined).ready
    expect(await codeOf(events.subscribe('books', 'a.>', () => undefined).done)).toBe('SUBSCRIPTION_MISMATCH')
    expect(await codeOf(events.subscribe('books', 'a.*', () => undefined, { order: 'none' }).done)).toBe(
      'SUBSCRIPTION_MISMATCH',
    )
  })

  it('refuses what is wrong', async () => {
    const { events } = await make()
    const raw = events as unknown as Bus<Record<string, unknown>, Record<string, unknown>>
    const subscribe = (name: string, pattern: string, options: SubscribeOptions = {}): unknown =>
      raw.subscribe(name, pattern, () => undefined, options)
    expect(await codeOf(() => subscribe('', 'a'))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => subscribe('s', '>.a'))).toBe('BAD_PATTERN')
    for (const options of [{ concurrency: 0 }, { prefetch: 10_000 }, { retry: { max: 0 } }, { lease: '5 s' as never }])
      expect(await codeOf(() => subscribe('s', 'a', options))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => raw.subscribe('s', 'a', 3 as never))).toBe('BAD_ARGUMENT')
  })

  it('closes with its signal, and lets what runs come to its end', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 2)
    const gate = deferred()
    const seen: number[] = []
    const stop = new AbortController()
    const books = events.subscribe(
      'books',
      'a.*',
      async ({ data }) => {
        await gate.promise
        seen.push(data)
      },
      { signal: stop.signal },
    )
    await turns()
    const lag = await events.lag('books')
    expect(lag.events).toBe(2)
    stop.abort()
    await turns()
    gate.resolve()
    await books.done
    expect(seen).toEqual([0])
    expect((await events.lag('books')).events).toBe(1)
    expect(await codeOf(books.drain())).toBe('BUS_CLOSED')
  })

  it('aborts what does not come to its end', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 1)
    let reason: unknown
    const books = events.subscribe(
      'books',
      'a.*',
      ({ signal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => {
            reason = signal.reason
          })
        }),
      { grace: 20 },
    )
    await turns()
    await books.close()
    expect(reason).toMatchObject({ code: 'BUS_CLOSED' })
    expect((await events.lag('books')).events).toBe(1)
  })
})

describe('order', () => {
  it.each(['topic', 'key', 'none'] as const)('%s', async (order) => {
    const { events } = await make()
    for (let n = 0; n < 20; n++) {
      await events.publish('a.x', n, { key: n % 2 ? 'odd' : 'even' })
      await events.publish('a.y', n, { key: n % 2 ? 'odd' : 'even' })
    }
    const running = new Map<string, number>()
    let most = 0
    let clashes = 0
    const lane = (topic: string, key: string | undefined): string =>
      order === 'topic' ? topic : order === 'key' ? key! : 'all'
    const seen = new Map<string, number[]>()
    const books = events.subscribe(
      'books',
      'a.*',
      async ({ topic, key, data }) => {
        const at = lane(topic, key)
        const now = (running.get(at) ?? 0) + 1
        if (now > 1) clashes++
        running.set(at, now)
        most = Math.max(
          most,
          [...running.values()].reduce((a, b) => a + b),
        )
        await turns(1 + (data % 3))
        seen.set(at, [...(seen.get(at) ?? []), data])
        running.set(at, running.get(at)! - 1)
      },
      { order, concurrency: 8 },
    )
    await books.drain()
    expect([...seen.values()].flat().length).toBe(40)
    if (order === 'none') {
      expect(most).toBe(8)
      return
    }
    expect(clashes).toBe(0)
    expect(most).toBe(2)
    for (const data of seen.values()) expect(data).toEqual([...data].sort((a, b) => a - b))
  })
})

describe('an event that fails', () => {
  it('is tried again, and holds up its lane only', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 3)
    await publish(events, 'a.y', 10, 13)
    const seen: string[] = []
    const books = events.subscribe(
      'books',
      'a.*',
      ({ data, attempt }) => {
        if (data === 1 && attempt < 4) throw new Error('flaky')
        seen.push(`${data}@${attempt}`)
      },
      { retry: { backoff: 10 }, concurrency: 2 },
    )
    await books.drain()
    expect(seen).toEqual(['0@1', '10@1', '11@1', '12@1', '1@4', '2@1'])
  })

  it('for good is set aside with its error, and delivered again when asked', async () => {
    const { chain, events } = await make()
    await publish(events, 'a.x', 0, 5)
    let isMended = false
    const seen: number[] = []
    const books = events.subscribe(
      'books',
      'a.*',
      ({ data, effect }) => {
        if (data % 2 && !isMended) throw new TypeError(`odd ${data}`)
        seen.push(data)
        effect((tx) => tx.create(Done, data))
      },
      { retry: { max: 2, backoff: 1 } },
    )
    await books.drain()
    expect(seen).toEqual([0, 2, 4])
    expect(await collect(events.dead('books'))).toMatchObject([
      { topic: 'a.x', data: 1, error: 'TypeError: odd 1', attempts: 2 },
      { topic: 'a.x', data: 3, error: 'TypeError: odd 3', attempts: 2 },
    ])
    expect(await events.redrive('books', { limit: 1 })).toBe(1)
    for (let i = 0; i < 100 && (await collect(events.dead('books'))).at(-1)!.attempts < 4; i++) await turns()
    await until(() => seen.length === 3)
    isMended = true
    for (let i = 0; i < 1000 && (await collect(events.dead('books'))).length < 2; i++) await turns()
    expect(await events.redrive('books')).toBe(2)
    await until(() => seen.length === 5)
    for (let i = 0; i < 100 && (await effects(chain)).length < 5; i++) await turns()
    expect((await effects(chain)).sort()).toEqual([0, 1, 2, 3, 4])
    expect(await collect(events.dead('books'))).toEqual([])
    expect(await events.redrive('books')).toBe(0)
  })

  it('for good halts the subscription, if it is to', async () => {
    const { chain, events } = await make()
    await publish(events, 'a.x', 0, 5)
    let isMended = false
    const handler = ({ data, effect }: { data: number; effect: (run: Effect) => void }): void => {
      if (data === 2 && !isMended) throw new Error('two')
      effect((tx) => tx.create(Done, data))
    }
    const options = { retry: { max: 1 }, onPoison: 'halt' } as const
    const books = events.subscribe('books', 'a.*', handler, options)
    const drained = codeOf(books.drain())
    expect(await codeOf(books.done)).toBe('SUBSCRIPTION_HALTED')
    expect(await drained).toMatch(/SUBSCRIPTION_HALTED|BUS_CLOSED/)
    expect(await effects(chain)).toEqual([0, 1])
    expect(await codeOf(events.subscribe('books', 'a.*', handler, options).done)).toBe('SUBSCRIPTION_HALTED')
    expect((await collect(events.subscriptions()))[0]).toMatchObject({ halted: 'Error: two' })
    isMended = true
    await events.redrive('books')
    await events.subscribe('books', 'a.*', handler, options).drain()
    expect(await effects(chain)).toEqual([0, 1, 2, 3, 4])
  })

  it('takes too long: it is told, and tried again', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 1)
    const reasons: unknown[] = []
    const books = events.subscribe(
      'books',
      'a.*',
      ({ signal, attempt }) =>
        attempt === 2
          ? undefined
          : new Promise(() => {
              signal.addEventListener('abort', () => reasons.push(signal.reason.code))
            }),
      { timeout: 20, retry: { backoff: 1 } },
    )
    await books.drain()
    expect(reasons).toEqual(['HANDLER_TIMEOUT'])
  })

  it('in its effects counts as failed; those beside it are committed, in order', async () => {
    const { chain, events } = await make()
    await publish(events, 'a.x', 0, 50)
    const failed = new Map<number, number>()
    const books = events.subscribe(
      'books',
      'a.*',
      ({ data, effect }) => {
        effect((now) => {
          const count = failed.get(data) ?? 0
          // 7 fails twice, 31 for ever.
          if ((data === 7 && count < 2) || data === 31) {
            failed.set(data, count + 1)
            throw new Error(`effect ${data}`)
          }
          now.create(Done, data)
        })
      },
      { retry: { max: 3, backoff: 1 } },
    )
    await books.drain()
    expect(await effects(chain)).toEqual(range(0, 50).filter((n) => n !== 31))
    expect(await collect(events.dead('books'))).toMatchObject([{ data: 31, error: 'Error: effect 31', attempts: 3 }])
  })
})

describe('effects', () => {
  it('are committed with the cursor, many events at a time', async () => {
    const { chain, events } = await make()
    await Promise.all(range(0, 1000).map((n) => events.publish('a.x', n)))
    const { records } = chain.stats()
    const books = events.subscribe('books', 'a.x', async (event) => {
      event.effect((tx) => tx.create(Done, event.data))
      await events.publish('b', event.data, { tx: event.tx, id: `b${event.data}` })
    })
    await books.drain()
    expect(await effects(chain)).toEqual(range(0, 1000))
    expect((await collect(events.read('b'))).map(({ data }) => data)).toEqual(range(0, 1000))
    expect(chain.stats().records - records).toBeLessThan(100)
  })

  it('run again after a conflict, without the handler', async () => {
    const { chain, events } = await make()
    const total = await chain.transact((tx) => tx.put(Done, 'total', 0))
    await publish(events, 'a.x', 1, 11)
    let handled = 0
    const books = events.subscribe('books', 'a.x', ({ data, effect }) => {
      handled++
      effect((now) => now.update(Done, total, (sum) => sum + data))
    })
    const others = (async () => {
      for (let i = 0; i < 30; i++) await chain.transact((tx) => tx.update(Done, total, (sum) => sum + 1000))
    })()
    await Promise.all([books.drain(), others])
    expect((await chain.load(Done, total)).value).toBe(30_055)
    expect(handled).toBe(10)
  })

  it('after the handler has returned are refused', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 1)
    let late: (() => unknown) | undefined
    const books = events.subscribe('books', 'a.x', ({ effect }) => {
      late = () => effect(() => undefined)
    })
    await books.drain()
    expect(await codeOf(() => late!())).toBe('TX_CLOSED')
  })

  it('too large for one commit are committed in parts', async () => {
    const { chain, events } = await make()
    await publish(events, 'a.x', 0, 8)
    const Large = defineType<string>('large')
    const books = events.subscribe('books', 'a.x', ({ data, effect }) => {
      effect((now) => now.create(Large, `${data}`.repeat(300_000)))
    })
    await books.drain()
    const sizes = (await collect(chain.children(Large))).map(({ value }) => value[0])
    expect(sizes.join('')).toBe('01234567')
  })
})

describe('members of one name', () => {
  it('take turns: one delivers, the other takes over', async () => {
    const { chain, events } = await make()
    const second = bus<Topics>(chain)
    closeLater(second)
    const seen: string[] = []
    const one = events.subscribe('books', 'a.*', ({ data, fence }) => seen.push(`1:${data}:${fence}`), { lease: 200 })
    await publish(events, 'a.x', 0, 3)
    await one.drain()
    const two = second.subscribe('books', 'a.*', ({ data, fence }) => seen.push(`2:${data}:${fence}`), { lease: 200 })
    await publish(events, 'a.x', 3, 6)
    await two.drain()
    expect(seen).toEqual(range(0, 6).map((n) => `1:${n}:1`))
    await one.close()
    await publish(events, 'a.x', 6, 8)
    await two.drain()
    expect(seen.slice(6)).toEqual(['2:6:2', '2:7:2'])
  })

  it('seek moves whoever delivers', async () => {
    const { events } = await make()
    await publish(events, 'a.x', 0, 5)
    const all = await collect(events.read('a.x'))
    const seen: number[] = []
    const books = events.subscribe('books', 'a.*', ({ data }) => seen.push(data))
    await books.drain()
    await events.seek('books', all[2]!.cursor)
    await until(() => seen.length === 7)
    await events.seek('books', 'start')
    await until(() => seen.length === 12)
    await books.drain()
    expect(seen).toEqual([0, 1, 2, 3, 4, 3, 4, 0, 1, 2, 3, 4])
    await events.seek('books', 'end')
    await publish(events, 'a.x', 5, 6)
    await until(() => seen.at(-1) === 5)
    expect(await codeOf(events.seek('books', { chain: 'x', seq: 1 }))).toBe('BAD_CURSOR')
  })
})
