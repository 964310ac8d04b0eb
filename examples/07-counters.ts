// A tiny currency out of bounded counters. The bounds, and that nothing is made or lost in a transfer, are rules of the
// chain: every replica enforces them, against whoever writes.
import { createIdentity, defineType, openChain } from '@ate/core'

const Unit = defineType<{ name: string }>('unit')
const Account = defineType<{ owner: string }>('account')

const bank = await createIdentity()
const alice = await createIdentity()
const chain = await openChain('file:./money', { as: bank })

// Only who may write the unit mints and burns: that is the bank, which made the chain.
const { mine, hers } = await chain.transact((tx) => {
  const gold = tx.create(Unit, { name: 'gold' })
  const balance = { unit: gold, floor: 0n, up: 'everyone' as const } // anybody may pay in; nobody may overdraw
  return {
    mine: tx.create(Account, { owner: 'bank' }, { counters: { balance: { ...balance, value: 100n } } }),
    hers: tx.create(
      Account,
      { owner: 'alice' },
      { counters: { balance: { ...balance, value: 20n, down: [alice] } }, write: [alice] },
    ),
  }
})
await chain.close()

const asAlice = await openChain('file:./money', { as: alice, id: chain.id })
const pay = (amount: bigint, received: bigint = amount) =>
  asAlice.transact((tx) => {
    tx.add(hers, 'balance', -amount)
    tx.add(mine, 'balance', received)
  })
const refused = (error: { code: string }) => console.log(error.code)

await Promise.all([pay(5n), pay(7n)]) // counters never conflict
console.log(asAlice.counter(hers, 'balance'), asAlice.counter(mine, 'balance'))

await pay(100n).catch(refused) // more than she has
await pay(1n, 2n).catch(refused) // one out of nothing
await asAlice.transact((tx) => tx.add(mine, 'balance', -1n)).catch(refused) // out of the bank's pocket
console.log(asAlice.counter(hers, 'balance') + asAlice.counter(mine, 'balance'))
await asAlice.close()

// Output:
// 8n 112n
// COUNTER_BOUNDS
// NOT_CONSERVED
// NOT_AUTHORIZED
// 120n
