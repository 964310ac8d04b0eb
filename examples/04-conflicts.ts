// Fifty transactions change one entity at once. Each is run again until what it read still stands, so none is lost.
import { defineType, openChain } from '@ate/core'

const Page = defineType<{ views: number }>('page')

const chain = await openChain('memory:')
const page = await chain.transact((tx) => tx.create(Page, { views: 0 }))

let runs = 0
const view = () =>
  chain.transact(async (tx) => {
    runs++ // Counts the runs; real transactions have no effects outside of themselves, because they may run twice.
    await tx.update(page, ({ views }) => ({ views: views + 1 }))
  })
await Promise.all(Array.from({ length: 50 }, view))

console.log('views:', (await chain.load(Page, page.id)).value.views)
console.log('every view ran at least once:', runs >= 50)

// A transaction that is committed by hand is not run again: it says that it conflicts.
const slow = chain.begin()
const seen = await slow.load(Page, page.id)
await view()
await slow.update(seen, () => ({ views: seen.value.views + 1000 }))
await slow.commit().catch((error) => console.log(error.code))
await chain.close()

// Output:
// views: 50
// every view ran at least once: true
// CONFLICT
