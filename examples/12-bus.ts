// Typed topics. A durable subscription whose effects are committed with its cursor: exactly once, whatever fails.
import { bus } from '@ate/bus'
import { defineType, openChain } from '@ate/core'
import { z } from 'zod'

const Total = defineType<number>('total')
const chain = await openChain('file:./shop')
const events = bus(chain, {
  topics: {
    'order.placed': z.object({ id: z.string(), cents: z.number().int() }),
    'order.shipped': z.object({ id: z.string(), by: z.string() }),
    'stock.query': z.object({ sku: z.string() }),
  },
})

// Together in flight, events share commits and syncs.
const total = await chain.transact((tx) => tx.put(Total, 'all orders', 0))
const place = (n: number) =>
  events.publish('order.placed', { id: `o${n}`, cents: n }, { key: `o${n}`, id: `place:o${n}` })
await Promise.all(Array.from({ length: 1000 }, (_, i) => place(i + 1)))
await events.publish('order.placed', { id: 'o1', cents: 1 }, { id: 'place:o1' }) // the same id: the same event
await events.publish('order.shipped', { id: 'o7', by: 'bike' }, { key: 'o7' })

// `order.*` narrows to two topics, and `topic` narrows the data.
let runs = 0
const books = events.subscribe('books', 'order.*', (event) => {
  runs++
  if (event.topic === 'order.shipped') return console.log(`${event.data.id} went by ${event.data.by}`)
  if (event.attempt === 1 && event.data.cents % 100 === 0) throw new Error('flaky')
  const { cents } = event.data
  event.effect((tx) => tx.update(Total, total, (sum) => sum + cents)) // with the cursor, or not at all
}, { retry: { backoff: 1 } }) // biome-ignore format: it reads as a call
await books.drain()
console.log((await chain.load(Total, total)).value, runs)

// Live: from now on, and as fast as the listener is.
const heard = new Promise<string>((resolve) => {
  events.on('order.>', ({ topic, key }) => resolve(`heard ${topic} of ${key}`))
})
await place(1001)
console.log(await heard)

// Again, from any point.
for await (const { topic, data } of events.read('order.shipped')) console.log(topic, data.id)

const answers = events.respond('stock.query', ({ data }) => ({ left: data.sku.length }))
await answers.ready
console.log(await events.request('stock.query', { sku: 'tea' }, z.object({ left: z.number() })))

await events.close()
await chain.close()

// Output:
// o7 went by bike
// 500500 1011
// heard order.placed of o1001
// order.shipped o7
// { left: 3 }
