/**
 * What a member writes by hand where he may: he may write in his own place, and at a topic, and what he writes there is no event of
 * another topic, and no answer to a request. What is no value of the bus's types keeps nobody from the rest.
 */
import { inspect } from 'node:util'
import { type Chain, createIdentity, defineType, memoryEngine, openChain } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EventType, IN, LetterType, ReplyType, SubscriptionType, TopicType } from '../src/bus-records.ts'
import { type Bus, bus } from '../src/index.ts'
import { alice, closeAll, closeLater, codeOf, place as newPlace, open, openAt } from './kit.ts'

let chain: Chain
let events: Bus<Record<string, unknown>, Record<string, unknown>>
beforeEach(async () => {
  chain = closeLater(await open())
  events = closeLater(bus(chain))
})
afterEach(closeAll)

const Own = defineType<string>('own')

async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of source) found.push(one)
  return found
}

/** A topic node by hand, with an event below it. */
async function forge(parent: string, name: string, topic: string): Promise<void> {
  await chain.transact((tx) => {
    const node = tx.create(TopicType, { bus: 'bus', topic }, { parent, in: IN.topics, name })
    tx.create(EventType, { d: 'forged' }, { parent: node, in: IN.events })
  })
}

describe('a node that says it is another topic is none', () => {
  beforeEach(async () => {
    await events.publish('order.placed', 'real')
    await events.publish('mine.x', 'real too')
  })

  const cases: readonly [string, () => Promise<string>, string, string][] = [
    [
      'in a place of his own',
      async () => (await chain.transact((tx) => tx.create(Own, 'x'))).id,
      'placed',
      'order.placed',
    ],
    ['below his topic', async () => events.node('mine'), 'placed', 'order.placed'],
    ['below his topic, as deep as it stands', async () => events.node('mine.x'), 'gone', 'order.placed.gone'],
    ['beside it, under another name', async () => events.node('order'), 'other', 'order.placed'],
    ['at the bus', async () => events.node(), 'order.placed', 'order.placed'],
  ]
  it.each(cases)('%s', async (_, place, name, topic) => {
    await forge(await place(), name, topic)
    // Whoever has seen none of the nodes yet.
    const others = closeLater(bus(chain))
    expect((await all(others.read('>'))).map(({ data }) => data)).toEqual(['real', 'real too'])
    expect((await all(others.topics())).map((one) => one.topic)).toEqual(['order.placed', 'mine.x'])
  })

  it('nor if he writes another topic into the one that is his', async () => {
    const mine = await events.node('mine')
    await chain.transact((tx) => tx.update(TopicType, mine, (value) => ({ ...value, topic: 'order' })))
    await forge(mine, 'placed', 'order.placed')
    const others = closeLater(bus(chain))
    expect((await all(others.read('>'))).map(({ data }) => data)).toEqual(['real'])
  })

  it('nor if what it says is no topic at all', async () => {
    for (const topic of ['', 'a b', 'x.*', '>', 'a'.repeat(300)])
      await chain.transact((tx) => {
        const node = tx.create(TopicType, { bus: 'bus', topic }, { in: IN.topics })
        tx.create(EventType, { d: 'forged' }, { parent: node, in: IN.events })
      })
    expect((await all(closeLater(bus(chain)).read('>'))).map(({ data }) => data)).toEqual(['real', 'real too'])
  })
})

it('who reads a topic, and neither the bus nor what is above, reads its events, and no others', async () => {
  const at = newPlace()
  const [mine, bob] = [await openAt(at), await createIdentity()]
  const { publicId } = await alice()
  const own = bus(mine, { access: { read: [publicId], write: [publicId] } })
  await own.publish('order.paid', 'not his')
  const node = await own.node('order.placed')
  await mine.transact((tx) => tx.setPolicy(node, { read: [publicId, bob.publicId] }))
  // Sealed anew for him: what it is called.
  await mine.transact((tx) => tx.update(TopicType, node, (value) => ({ ...value })))
  await own.publish('order.placed', 'real, for him')
  await mine.transact((tx) => {
    const forged = tx.create(TopicType, { bus: 'bus', topic: 'order.placed' }, { name: 'placed', read: 'everyone' })
    tx.create(EventType, { d: 'forged' }, { parent: forged, in: IN.events })
  })
  await own.close()
  await mine.close()
  const his = closeLater(await openChain(memoryEngine(at.store), { as: bob, id: at.id! }))
  const seen = (await all(closeLater(bus(his)).read('order.placed', { from: 'start' }))).map(({ data }) => data)
  expect(seen).toEqual(['real, for him'])
})

it('a reply is one only where replies stand', async () => {
  let forged = (): void => undefined
  const isForged = new Promise<void>((resolve) => {
    forged = resolve
  })
  await closeLater(events.respond('ask', () => isForged.then(() => 'real'))).ready
  const asked = events.request('ask', 1)
  for await (const { id } of events.read('ask', { live: true })) {
    await chain.transact((tx) => {
      tx.create(ReplyType, { request: id, data: 'forged' })
      tx.create(ReplyType, { request: id, data: 'forged' }, { in: IN.replies })
      tx.create(defineType<unknown>(ReplyType.name), null, { in: IN.replies })
    })
    break
  }
  forged()
  expect(await asked).toBe('real')
})

const GARBAGE: readonly unknown[] = [
  null,
  5,
  'x',
  [],
  {},
  { d: 1, at: 'x', floor: 'x', pattern: 5, bus: 5, request: 5, h: 5 },
]

it.each(GARBAGE.map((value) => [inspect(value), value]))('%s in place of what the bus stores', async (_, value) => {
  await events.publish('a', 1)
  const failing = events.subscribe('s', 'a', () => Promise.reject(new Error('no')), { retry: { max: 1 } })
  await failing.drain()
  await failing.close()
  const node = await events.node()
  const [subscription] = chain.children(SubscriptionType, node, IN.subscriptions).ids()
  const topic = await events.node('a')
  const any = (type: { readonly name: string }) => defineType<unknown>(type.name)
  await chain.transact((tx) => {
    tx.create(any(TopicType), value, { parent: node, in: IN.topics, name: 'odd' })
    tx.create(any(SubscriptionType), value, { parent: node, in: IN.subscriptions, name: 'odd' })
    tx.create(any(ReplyType), value, { parent: node, in: IN.replies })
    for (const collection of [IN.dead, IN.again])
      tx.create(any(LetterType), value, { parent: subscription!, in: collection })
  })
  const others = closeLater(bus(chain))
  expect((await all(others.subscriptions())).map(({ name }) => name)).toEqual(['s'])
  expect((await all(others.topics())).map((one) => one.topic)).toEqual(['a'])
  expect((await all(others.dead('s'))).map(({ data }) => data)).toEqual([1])
  expect(await codeOf(others.lag('odd'))).toBe('BAD_VALUE')
  expect(await others.redrive('s')).toBe(1)
  const seen: unknown[] = []
  const working = others.subscribe('s', 'a', ({ data }) => void seen.push(data), { retry: { max: 1 } })
  closeLater(others.respond('ask', () => 'answer'))
  expect(await others.request('ask', 1)).toBe('answer')
  await events.publish('a', 2)
  await working.drain()
  while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve))
  expect([...seen].sort()).toEqual([1, 2])
  // An event that is none fails as one that its handler cannot take.
  await chain.transact((tx) => void tx.create(any(EventType), value, { parent: topic, in: IN.events }))
  const isEvent = typeof value === 'object' && value !== null && !Array.isArray(value) && !('h' in value)
  expect(await codeOf(all(others.read('a')))).toBe(isEvent ? 'nothing was thrown' : 'BAD_VALUE')
  await working.drain()
  await working.close()
})

it.each(GARBAGE.map((value) => [inspect(value), value]))(
  '%s where a listener hears: the others are heard on',
  async (_, value) => {
    const told: unknown[] = []
    const others = closeLater(
      bus(chain, {
        observe: ({ operation, attributes }) => {
          if (operation === 'drop') told.push(attributes['error.type'])
        },
      }),
    )
    const heard: unknown[] = []
    let isOver = (): void => undefined
    const over = new Promise<void>((resolve) => {
      isOver = resolve
    })
    const listener = others.on(
      'a',
      ({ data }) => {
        heard.push(data)
        if (data === 'last') isOver()
      },
      { overflow: 'error' },
    )
    await events.publish('a', 'first')
    const topic = await events.node('a')
    const any = defineType<unknown>(EventType.name)
    await chain.transact((tx) => void tx.create(any, value, { parent: topic, in: IN.events }))
    await events.publish('a', 'last')
    await Promise.race([over, listener.done])
    const isEvent = typeof value === 'object' && value !== null && !Array.isArray(value) && !('h' in value)
    expect(heard).toEqual(isEvent ? ['first', undefined, 'last'] : ['first', 'last'])
    expect([listener.dropped, told]).toEqual(isEvent ? [0, []] : [1, ['BAD_VALUE']])
  },
)
