// Named entities are a map, whose names are blinded on disk; children are ordered lists, read by the page; an index
// declared with the type finds entities by their values.
import { defineType, openChain } from '@ate/core'
import { z } from 'zod'

const City = defineType('city', z.object({ country: z.string(), people: z.number() }), {
  indexes: { country: ({ country }) => country },
})

await using chain = await openChain('file:./atlas')
await chain.transact((tx) => {
  tx.put(City, 'Delft', { country: 'NL', people: 100_000 })
  tx.put(City, 'Ghent', { country: 'BE', people: 265_000 })
  tx.put(City, 'Leiden', { country: 'NL', people: 127_000 })
})
await chain.transact((tx) => tx.put(City, 'Delft', { country: 'NL', people: 109_000 })) // the same entity again

console.log('Delft:', (await chain.named(City, 'Delft'))?.value.people)
console.log('Paris:', await chain.named(City, 'Paris'))
console.log('in NL:', (await chain.find(City, 'country', 'NL')).map(({ value }) => value.people).sort())

const cities = chain.children(City)
const page = await cities.page({ limit: 2 })
const rest = await cities.page({ limit: 2, after: page[1]! })
console.log('pages:', page.length, rest.length, 'of', cities.count())

// A name is taken once: who creates it a second time is told so.
await chain
  .transact((tx) => tx.create(City, { country: 'US', people: 650 }, { name: 'Ghent' }))
  .catch((error) => console.log(error.code))

// Output:
// Delft: 109000
// Paris: undefined
// in NL: [ 109000, 127000 ]
// pages: 2 1 of 3
// NAME_TAKEN
