// A chain in a folder: one value written, read back, and changed.
import { defineType, openChain } from '@ate/core'
import { z } from 'zod' // any Standard Schema library

const World = defineType('world', z.object({ commandment: z.string() }))

await using chain = await openChain('file:./universe')
const world = await chain.transact((tx) => tx.create(World, { commandment: 'Hello' }))
console.log((await chain.load(World, world.id)).value.commandment)

// The explicit form: it says what the acknowledgement survives. Left without commit, it is rolled back.
await using tx = chain.begin({ durability: 'disk' })
await tx.update(world, (value) => ({ ...value, commandment: `${value.commandment} again` }))
const receipt = await tx.commit()
console.log((await chain.load(World, world.id)).value.commandment, `- record ${receipt.seq}, on ${receipt.durability}`)

// Output:
// Hello
// Hello again - record 2, on disk
