// A coin that only its owner can hand on. The chain's rules enforce it: no server, and not even who made the chain.
import { AteError, createIdentity, defineType, openChain } from '@ate/core'
import { z } from 'zod'

const Coin = defineType('coin', z.object({ worth: z.number() }))
const [mint, alice, bob, carol] = [
  await createIdentity(),
  await createIdentity(),
  await createIdentity(),
  await createIdentity(),
]
const codeOf = (error: unknown) => (error instanceof AteError ? error.code : String(error))

// The mint makes the chain. It strikes a coin for alice: `closed`, so that who manages the chain does not manage the coin.
const chain = await openChain('file:./coins', { as: mint })
const coin = await chain.transact((tx) =>
  tx.create(Coin, { worth: 5 }, { closed: true, read: 'everyone', write: [alice], manage: [alice] }),
)
await chain
  .transact((tx) => tx.setPolicy(coin, { write: [mint], manage: [mint] }))
  .catch((error) => {
    console.log('the mint takes it back:', codeOf(error))
  })
await chain.close()

// Alice hands it to bob: from the next record on, he alone decides over it.
const asAlice = await openChain('file:./coins', { as: alice, id: chain.id })
await asAlice.transact((tx) => tx.setPolicy(coin, { write: [bob], manage: [bob] }))
await asAlice
  .transact((tx) => tx.setPolicy(coin, { write: [carol], manage: [carol] }))
  .catch((error) => {
    console.log('alice spends it again:', codeOf(error))
  })
await asAlice.close()

const asBob = await openChain('file:./coins', { as: bob, id: chain.id })
await asBob.transact((tx) => tx.setPolicy(coin, { write: [carol], manage: [carol] }))
console.log('bob hands on a coin worth', (await asBob.load(Coin, coin.id)).value.worth)
console.log('the log verifies:', (await asBob.verify()).ok)
await asBob.close()

// Output:
// the mint takes it back: NOT_AUTHORIZED
// alice spends it again: NOT_AUTHORIZED
// bob hands on a coin worth 5
// the log verifies: true
