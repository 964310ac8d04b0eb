/** The bus as its users see it, on a chain in memory. */
import { type AteError, type Chain, defineType } from '@ate/core'
import { afterEach, describe, expect, it } from 'vitest'
import { type Bus, type BusObservation, bus } from '../src/index.ts'
import { codeOf, collect, deferred, open, shape, turns, until } from './kit.ts'

interface Topics {
  'invoice.paid': { order: string }
  'invoice.sent': { order: string; to: string }
  'stock.query': { sku: string }
  'a.b.c': number
  note: string
}
const Note = defineType<string>('note')
const openBuses: { close(): Promise<void> }[] = []

afterEach(async () => {
  for (const one of openBuses.splice(0).reverse()) await one.close()
})

async function make(options: Parameters<typeof bus>[1] = {}): Promise<{ chain: Chain; events: Bus<Topics, Topics> }> {
  const chain = await open()
  const events = bus<Topics>(chain, options)
  openBuses.push(chain, events)
  return { chain, events }
}

describe('publishing', () => {
  it('stores an event with all that was given', async () => {
    const { chain, events } = await make()
    const before = chain.now
    const { id, cursor } = await events.publish(
      'invoice.paid',
      { order: 'o1' },
      { key: 'o1', id: 'pay:o1', headers: { traceparent: '00-1-2-03' } },
    )
    expect(id).toBe('pay:o1')
    const [event, ...more] = await collect(events.read('>'))
    expect(more).toEqual([])
    expect(event).toMatchObject({
      topic: 'invoice.paid',
      data: { order: 'o1' },
      id: 'pay:o1',
      key: 'o1',
      source: `ate:${chain.id}`,
      headers: { traceparent: '00-1-2-03' },
      cursor: { chain: chain.id, seq: cursor!.seq },
    })
    expect(event!.time.getTime()).toBeGreaterThanOrEqual(before - 1000)
  })

  it('of one id stores one event, whoever is first', async () => {
    const { events } = await make()
    const all = Array.from({ length: 20 }, (_, i) => events.publish('note', `n${i}`, { id: 'one' }))
    expect((await Promise.all(all)).map(({ id }) => id)).toEqual(Array.from({ length: 20 }, () => 'one'))
    await events.publish('note', 'late', { id: 'one' })
    expect((await collect(events.read('note'))).map(({ data }) => data)).toEqual(['n0'])
    await events.publish('invoice.paid', { order: 'x' }, { id: 'one' }) // another topic
    expect((await collect(events.read('>'))).length).toBe(2)
  })

  it('with a transaction is there with it, or not at all', async () => {
    const { chain, events } = await make()
    await chain.transact(async (tx) => {
      tx.create(Note, 'n')
      const { id, cursor } = await events.publish('note', 'in', { tx })
      expect(id).toMatch(/^[0-9a-z]{26}$/)
      expect(cursor).toBeUndefined()
      await events.publish('note', 'twice', { tx, id: 'i' })
      await events.publish('note', 'twice again', { tx, id: 'i' })
    })
    const failed = chain.transact(async (tx) => {
      await events.publish('a.b.c', 1, { tx })
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    expect((await collect(events.read('>'))).map(({ data }) => data)).toEqual(['in', 'twice'])
    await events.publish('a.b.c', 2)
    expect((await collect(events.read('a.>'))).map(({ data }) => data)).toEqual([2])
  })

  it('refuses what is wrong, with a code, and stores nothing', async () => {
    const { chain, events } = await make()
    const raw = events as unknown as Bus<Record<string, unknown>, Record<string, unknown>>
    for (const topic of [
      '',
      '.',
      'a..b',
      'a b',
      'a.*',
      'a.>',
      'x'.repeat(65),
      Array(17).fill('a').join('.'),
      3 as never,
    ])
      expect(await codeOf(raw.publish(topic, 1))).toBe('BAD_TOPIC')
    expect(await codeOf(raw.publish('a', 1, { key: '' }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(raw.publish('a', 1, { id: 'x'.repeat(256) }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(raw.publish('a', 1, { headers: { a: 1 as never } }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(raw.publish('a', 1, { headers: { a: 'x'.repeat(17_000) } }))).toBe('BAD_ARGUMENT')
    expect(await codeOf(raw.publish('a', () => 1))).toBe('BAD_VALUE')
    expect(await codeOf(raw.publish('a', 'x'.repeat(1_000_000)))).toBe('VALUE_TOO_LARGE')
    expect(await codeOf(raw.publish('a', 1, { tx: 3 as never }))).toBe('BAD_ARGUMENT')
    expect(await collect(events.read('>'))).toEqual([])
    await events.close()
    expect(await codeOf(events.publish('note', 'x'))).toBe('BUS_CLOSED')
    const other = bus<Topics>(chain)
    await chain.close()
    expect(await codeOf(other.publish('note', 'x'))).toBe('CHAIN_CLOSED')
    await other.close()
  })

  it('keeps to its schemas, both ways', async () => {
    const { chain } = await make()
    const topics = { 'a.b': shape<{ n: number }>({ n: 'number' }), 'a.c': shape<{ t: string }>({ t: 'string' }) }
    const strict = bus(chain, { topics })
    openBuses.push(strict)
    await strict.publish('a.b', { n: 1 })
    expect(await codeOf(strict.publish('a.b', { n: 'x' } as never))).toBe('BAD_VALUE')
    expect(await codeOf(strict.publish('a.d' as never, { n: 1 } as never))).toBe('UNKNOWN_TOPIC')
    const loose = bus<{ 'a.b': unknown }>(chain)
    await loose.publish('a.b', 'does not fit')
    const seen: unknown[] = []
    const books = strict.subscribe('books', 'a.*', (event) => seen.push(event.data))
    await strict.publish('a.b', { n: 2 })
    await books.drain()
    expect(seen).toEqual([{ n: 1 }, { n: 2 }])
    const dead = await collect(strict.dead('books'))
    expect(dead).toMatchObject([{ topic: 'a.b', attempts: 1 }])
    expect(dead[0]!.error).toContain('BAD_VALUE')
    expect(await codeOf(collect(strict.read('a.b')))).toBe('BAD_VALUE')
  })

  it('checks with a schema that takes its time', async () => {
    const { chain } = await make()
    const { validate, ...rest } = shape<{ n: number }>({ n: 'number' })['~standard']
    const slow = { '~standard': { ...rest, validate: async (value: unknown) => validate(value) } }
    const events = bus(chain, { topics: { a: slow } })
    openBuses.push(events)
    await events.publish('a', { n: 1 })
    expect(await codeOf(events.publish('a', { n: '' } as never))).toBe('BAD_VALUE')
    expect((await collect(events.read('a'))).length).toBe(1)
  })
})

describe('reading', () => {
  it('by pattern, in the order of the log', async () => {
    const { events } = await make()
    await events.publish('note', '1')
    await events.publish('a.b.c', 2)
    await events.publish('invoice.paid', { order: '3' })
    const topics = async (pattern: string): Promise<string[]> =>
      (await collect(events.read(pattern as '>'))).map(({ topic }) => topic)
    expect(await topics('>')).toEqual(['note', 'a.b.c', 'invoice.paid'])
    expect(await topics('*')).toEqual(['note'])
    expect(await topics('*.*')).toEqual(['invoice.paid'])
    expect(await topics('a.>')).toEqual(['a.b.c'])
    expect(await topics('a.*')).toEqual([])
    expect(await topics('*.b.*')).toEqual(['a.b.c'])
    for (const bad of ['', '>.a', 'a.>.b', 'a*', '*a', 'a..b'])
      expect(await codeOf(() => topics(bad))).toBe('BAD_PATTERN')
  })

  it('from and to any point', async () => {
    const { chain, events } = await make()
    for (let i = 0; i < 10; i++) await events.publish('note', `${i}`)
    await events.publish('a.b.c', 10)
    const all = await collect(events.read('note'))
    const read = async (options: Parameters<typeof events.read>[1]): Promise<string> =>
      (await collect(events.read('note', options))).map(({ data }) => data).join('')
    expect(await read({ from: 'last' })).toBe('9')
    expect(await read({ from: 'end' })).toBe('')
    expect(await read({ from: all[3]!.cursor })).toBe('456789')
    expect(await read({ from: { chain: chain.id, seq: all[3]!.cursor.seq } })).toBe('3456789')
    expect(await read({ from: all[3]!.cursor, to: all[5]!.cursor })).toBe('45')
    expect(await read({ from: new Date(0) })).toBe('0123456789')
    expect(await read({ from: new Date(Date.now() + 60_000) })).toBe('')
    expect(await read({ from: { ago: '1h' } })).toBe('0123456789')
    expect(await read({ to: new Date(0) })).toBe('')
    const stop = new AbortController()
    const live: string[] = []
    const reading = (async () => {
      for await (const { data } of events.read('note', { from: 'end', live: true, signal: stop.signal }))
        live.push(data)
    })()
    await turns()
    await events.publish('note', 'x')
    await until(() => live.length === 1)
    stop.abort(new Error('enough'))
    await expect(reading).rejects.toThrow('enough')
    for (const bad of [{ chain: 'other', seq: 1 }, { chain: chain.id, seq: -1 }, { seq: 1 }, 'begin', new Date('x'), 7])
      expect(await codeOf(collect(events.read('note', { from: bad as never })))).toBe('BAD_CURSOR')
    expect(await codeOf(() => collect(events.read('note', { to: 'end', live: true })))).toBe('BAD_ARGUMENT')
  })

  it('sees nothing of another bus of the chain', async () => {
    const { chain, events } = await make()
    const other = bus<Topics>(chain, { name: 'other' })
    openBuses.push(other)
    await events.publish('note', 'mine')
    await other.publish('note', 'theirs', { id: 'x' })
    expect((await collect(events.read('>'))).map(({ data }) => data)).toEqual(['mine'])
    expect((await collect(other.read('>'))).map(({ data }) => data)).toEqual(['theirs'])
  })
})

describe('listening', () => {
  it('hears what comes, and nothing before', async () => {
    const { events } = await make()
    await events.publish('note', 'before')
    const heard: unknown[] = []
    const stop = new AbortController()
    const listener = events.on('invoice.*', ({ topic, data }) => heard.push([topic, data.order]), {
      signal: stop.signal,
    })
    await events.publish('invoice.paid', { order: 'o1' })
    await events.publish('note', 'other')
    await events.publish('invoice.sent', { order: 'o1', to: 'x' })
    await until(() => heard.length === 2)
    expect(heard).toEqual([
      ['invoice.paid', 'o1'],
      ['invoice.sent', 'o1'],
    ])
    stop.abort()
    await listener.done
    await events.publish('invoice.paid', { order: 'o2' })
    await turns()
    expect(heard.length).toBe(2)
  })

  it.each(['drop-oldest', 'drop-newest', 'error'] as const)('that is slow: %s', async (overflow) => {
    const { events } = await make()
    const gate = deferred()
    const heard: string[] = []
    const listener = events.on(
      'note',
      async ({ data }) => {
        heard.push(data)
        await gate.promise
      },
      { buffer: 3, overflow },
    )
    const failed = listener.done.catch((error) => error.code)
    for (let i = 0; i < 10; i++) await events.publish('note', `${i}`)
    await until(() => listener.dropped === (overflow === 'error' ? 0 : 6))
    await turns()
    gate.resolve()
    if (overflow === 'error') expect(await failed).toBe('OVERFLOW')
    else await until(() => heard.length === 4)
    expect(heard.join('')).toBe({ 'drop-oldest': '0789', 'drop-newest': '0123', error: '0' }[overflow])
    expect(listener.dropped).toBe(overflow === 'error' ? 0 : 6)
    await listener.close()
  })

  it('ends with what its function throws', async () => {
    const { events } = await make()
    const listener = events.on('note', () => {
      throw new Error('mine')
    })
    const done = expect(listener.done).rejects.toThrow('mine')
    await events.publish('note', 'x')
    await done
  })
})

describe('ephemeral topics', () => {
  it('never touch the log, and are heard at once', async () => {
    const { chain, events } = await make({ ephemeral: ['note', 'a.>'] })
    const second = bus<Topics>(chain)
    openBuses.push(second)
    const heard: unknown[] = []
    events.on('>', ({ data, cursor }) => heard.push([data, cursor]))
    second.on('note', ({ data }) => heard.push(data))
    const { records } = chain.stats()
    expect(await events.publish('note', 'hello')).toEqual({ id: expect.any(String) })
    await events.publish('a.b.c', 7)
    await until(() => heard.length === 3)
    expect(heard).toContainEqual(['hello', undefined])
    expect(heard).toContainEqual('hello')
    expect(chain.stats().records).toBe(records)
    expect(await codeOf(() => events.subscribe('s', 'note', () => undefined))).toBe('NOT_STORED')
    expect(await codeOf(() => collect(events.read('a.b.c')))).toBe('NOT_STORED')
    expect(await codeOf(chain.transact((tx) => events.publish('note', 'x', { tx })))).toBe('NOT_STORED')
  })

  it('answer requests without the log', async () => {
    const { chain, events } = await make({ ephemeral: ['stock.query'] })
    expect(await codeOf(events.request('stock.query', { sku: 'a' }))).toBe('NO_REPLY')
    const one = events.respond('stock.query', ({ data }) => `1:${data.sku}`)
    const two = events.respond('stock.query', async ({ data }) => `2:${data.sku}`)
    const { records } = chain.stats()
    const replies = await Promise.all([1, 2, 3, 4].map(() => events.request('stock.query', { sku: 'a' })))
    expect(replies.sort()).toEqual(['1:a', '1:a', '2:a', '2:a'])
    expect(chain.stats().records).toBe(records)
    await one.close()
    await two.close()
    expect(await codeOf(events.request('stock.query', { sku: 'a' }))).toBe('NO_REPLY')
  })
})

describe('requests', () => {
  it('are answered by one of the group', async () => {
    const { chain, events } = await make()
    const second = bus<Topics>(chain)
    openBuses.push(second)
    const asked: string[] = []
    const first = events.respond('stock.query', ({ data }) => {
      asked.push(data.sku)
      return { left: data.sku.length }
    })
    await first.ready
    await second.respond('stock.query', ({ data }) => {
      asked.push(data.sku)
      return { left: data.sku.length }
    }).ready
    const reply = shape<{ left: number }>({ left: 'number' })
    const answers = await Promise.all(
      ['a', 'bb', 'ccc'].map((sku) => events.request('stock.query', { sku }, reply, { timeout: '20s' })),
    )
    expect(answers.map(({ left }) => left)).toEqual([1, 2, 3])
    expect(asked.sort()).toEqual(['a', 'bb', 'ccc'])
    const wrong = shape<{ right: number }>({ right: 'number' })
    expect(await codeOf(events.request('stock.query', { sku: 'x' }, wrong))).toBe('BAD_VALUE')
  })

  it('that fail, that nobody answers, that are given up', async () => {
    const { events } = await make()
    expect(await codeOf(events.request('stock.query', { sku: 'x' }, { timeout: 20 }))).toBe('NO_REPLY')
    const responder = events.respond('stock.query', () => {
      throw new RangeError('empty')
    })
    await responder.ready
    const error = await events.request('stock.query', { sku: 'x' }).catch((thrown: AteError) => thrown as AteError)
    expect([(error as AteError).code, (error as AteError).facts['error']]).toEqual([
      'REQUEST_FAILED',
      'RangeError: empty',
    ])
    await responder.close()
    const stop = new AbortController()
    const given = events.request('stock.query', { sku: 'x' }, { signal: stop.signal })
    await turns()
    stop.abort(new Error('never mind'))
    await expect(given).rejects.toThrow('never mind')
    const closed = codeOf(events.request('stock.query', { sku: 'x' }))
    await turns()
    await events.close()
    expect(await closed).toBe('BUS_CLOSED')
  })
})

describe('retention', () => {
  it('by count: the oldest go, readers begin behind them, ids may come again', async () => {
    const { chain, events } = await make({ retain: { count: 5 } })
    for (let i = 0; i < 20; i++) await events.publish('note', `${i}`, { id: `n${i}` })
    const kept = async (): Promise<string> => (await collect(events.read('note'))).map(({ data }) => data).join(' ')
    for (let i = 0; i < 100 && (await kept()) !== '15 16 17 18 19'; i++)
      await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await kept()).toBe('15 16 17 18 19')
    expect(await collect(events.topics())).toEqual([{ topic: 'note', events: 5 }])
    const seen: string[] = []
    await events.subscribe('s', 'note', ({ data }) => seen.push(data)).drain()
    expect(seen.join(' ')).toBe('15 16 17 18 19')
    await events.publish('note', 'again', { id: 'n0' })
    expect(await kept()).toContain('again')
    await chain.compact()
    expect(await kept()).toContain('again')
  })
})

describe('looking', () => {
  it('at topics and subscriptions', async () => {
    const { events } = await make()
    expect(await collect(events.topics())).toEqual([])
    await events.publish('a.b.c', 1)
    await events.publish('note', 'x')
    await events.publish('note', 'y')
    const subscription = events.subscribe('s', 'note', () => undefined, { order: 'key' })
    await subscription.drain()
    expect(await collect(events.topics())).toEqual([
      { topic: 'a.b.c', events: 1 },
      { topic: 'note', events: 2 },
    ])
    expect(await collect(events.subscriptions())).toEqual([
      { name: 's', pattern: 'note', order: 'key', dead: 0, halted: undefined },
    ])
    expect(await events.lag('s')).toEqual({ events: 0, ms: 0 })
    expect(await codeOf(events.lag('nobody'))).toBe('NOT_FOUND')
    expect(await codeOf(events.seek('nobody', 'end'))).toBe('NOT_FOUND')
  })

  it('an observer hears the names of OpenTelemetry', async () => {
    const seen: BusObservation[] = []
    const { events } = await make({ observe: (one) => seen.push(one) })
    await events.publish('note', 'x', { id: 'i' })
    await events.subscribe('s', 'note', () => undefined).drain()
    expect(seen.map(({ operation }) => operation)).toEqual(['publish', 'process', 'settle'])
    expect(seen[1]).toMatchObject({
      attributes: {
        'messaging.system': 'ate',
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        'messaging.destination.name': 'note',
        'messaging.destination.subscription.name': 's',
        'messaging.consumer.group.name': 's',
        'messaging.message.id': 'i',
      },
      seconds: expect.any(Number),
    })
    await codeOf((events as unknown as Bus<Record<string, unknown>, Topics>).publish('no topic', 1))
    await turns()
    expect(seen.at(-1)?.attributes['error.type']).toBe('BAD_TOPIC')
  })

  it('what is stored names no topic in clear', async () => {
    const { chain, events } = await make()
    await events.publish('invoice.paid', { order: 'o1' }, { key: 'keyed', id: 'identified' })
    const clear: string[] = []
    for await (const record of chain.records())
      clear.push(JSON.stringify(record, (_, v) => (typeof v === 'bigint' ? `${v}` : v)))
    expect(clear.join('')).toContain('bus:event')
    for (const word of ['invoice', 'paid', 'o1"', 'keyed', 'identified']) expect(clear.join('')).not.toContain(word)
  })
})
