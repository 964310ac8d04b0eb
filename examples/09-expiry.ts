// What expires is gone for every reader at once, by the time of the chain; sweep takes it off the view. What is retained
// stays: nobody changes or deletes it before its time, not even who made the chain.
import { setTimeout } from 'node:timers/promises'
import { defineType, openChain } from '@ate/core'

const Note = defineType<{ text: string }>('note')
const chain = await openChain('memory:')

const note = await chain.transact((tx) => tx.create(Note, { text: 'back in a second' }, { ttl: '1s' }))
console.log((await chain.get(Note, note.id))?.value.text)
await setTimeout(1100)
console.log(await chain.get(Note, note.id))

// Only commits move the time of the chain, by which every replica judges alike; then sweep drops what has expired.
const contract = await chain.transact((tx) => tx.create(Note, { text: 'signed' }, { retain: chain.now + 60_000 }))
console.log('swept:', await chain.sweep())

const refused = (error: { code: string }) => console.log(error.code)
await chain.transact((tx) => tx.delete(contract)).catch(refused)
await chain.transact((tx) => tx.retain(contract, { retain: chain.now + 1 })).catch(refused)
await chain.close()

// Output:
// back in a second
// undefined
// swept: 1
// RETAINED
// RETAIN_SHRINKS
