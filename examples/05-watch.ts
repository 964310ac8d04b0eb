// Streams: `watch` says which entities change from now on; `events` replays what was committed, from any record.
import { defineType, openChain } from '@ate/core'

const Note = defineType<{ text: string }>('note')

const chain = await openChain('memory:')
const first = await chain.transact((tx) => tx.create(Note, { text: 'milk' }))

// A change that nobody has taken yet and the next one of the same entity are one: a slow watcher misses no entity.
const changes = chain.watch({ type: Note })
const next = async () => {
  const { value } = await changes.next()
  if (value) console.log(value.kind, (await chain.get(Note, value.id))?.value.text ?? '-')
}
const created = next() // watching begins with the first call
await chain.transact((tx) => tx.create(Note, { text: 'bread' }))
await created
await chain.transact((tx) => tx.update(first, () => ({ text: 'oat milk' })))
await next()
await chain.transact((tx) => tx.delete(first))
await next()
await changes.return()

console.log('-- and all of it again')
for await (const event of chain.events({ from: 0, until: 'end' })) {
  console.log(event.seq, event.op, event.op === 'delete' ? '-' : (await event.value(Note)).text)
}
await chain.close()

// Output:
// created bread
// changed oat milk
// deleted -
// -- and all of it again
// 1 create milk
// 2 create bread
// 3 put oat milk
// 4 delete -
