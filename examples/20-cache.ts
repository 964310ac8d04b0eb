// A cache: read at the speed of memory, loaded once however many ask, invalidated in the same commit as what it stands for,
// and never older than what one has written.
import { cache, openChain } from '@ate/cache'
import { defineType } from '@ate/core'

const Price = defineType<{ sku: string; cents: number }>('price')

const chain = await openChain('memory:') // or file:./shop; ws://host/db/shop for many processes
const prices = cache<number>(chain, 'prices', { ttl: '10m', swr: '1h', max: 10_000 })

// What it stands for, elsewhere in the chain; it could be any database.
const tea = await chain.transact((tx) => tx.create(Price, { sku: 'tea', cents: 450 }))
let loads = 0
const load = async (): Promise<number> => {
  loads++
  return (await chain.load(Price, tea)).value.cents
}
const asked = Array.from({ length: 100 }, () => prices.getOrSet('tea', load, { tags: ['drinks'] }))
console.log(new Set(await Promise.all(asked)), 'loaded', loads)
console.log('at once:', prices.get('tea'))

// The price and its invalidation are one commit: nobody sees one without the other.
await chain.transact(async (tx) => {
  await tx.update(tea, (price) => ({ ...price, cents: 490 }))
  await prices.invalidate({ tags: ['drinks'], tx })
})
console.log('after:', prices.get('tea'), await prices.getOrSet('tea', load, { tags: ['drinks'] }), 'loaded', loads)

// Compare and set, counters, locks.
const { version } = await prices.set('milk', 120, { if: 'absent' })
await prices.set('milk', 130, { if: version! })
await prices.set('milk', 140, { if: version! }).catch((error) => console.log(error.code))
console.log(await Promise.all([1, 2, 3].map(() => prices.incr('visits'))))
const lock = await prices.lock('report', { ttl: '10s' })
await chain.transact((tx) => lock.guard(tx)) // commits only while this is the holder
await lock.release()

const { hits, loads: ran, entries } = prices.stats
console.log({ hits, ran, entries })
await chain.close()

// Output:
// Set(1) { 450 } loaded 1
// at once: 450
// after: undefined 490 loaded 2
// CAS_MISMATCH
// [ 1, 2, 3 ]
// { hits: 1, ran: 2, entries: 3 }
