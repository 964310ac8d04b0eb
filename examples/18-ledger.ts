// A shop's money: exact amounts, an account that cannot be overdrawn, one effect for one id, a hold that is captured in
// part, and books that everybody who may read them adds up again.
import { createIdentity, ledger, money, moneyText, openChain, USD } from '@ate/ledger'

const chain = await openChain('file:./shop', { as: await createIdentity() })
const bank = ledger(chain)
await bank.account('world:usd', { currency: USD, floor: 'none' }) // where money comes from
await bank.account('alice:usd', { currency: USD })
await bank.account('shop:usd', { currency: USD })

const deposit = { id: 'dep-1', from: 'world:usd', to: 'alice:usd', amount: money(USD, '100.00') }
console.log('first', (await bank.transfer(deposit)).existed, 'again', (await bank.transfer(deposit)).existed)

const refused = (error: { code: string }) => console.log(error.code)
await bank.transfer({ ...deposit, amount: money(USD, '50.00') }).catch(refused) // the same id, something else
await bank.transfer({ from: 'alice:usd', to: 'shop:usd', amount: money(USD, '999.00') }).catch(refused)

const hold = await bank.hold({ from: 'alice:usd', to: 'shop:usd', amount: money(USD, '40.00') }, { expires: '7d' })
const { posted, available } = await bank.balance('alice:usd')
console.log('posted', posted, 'available', available)
await hold.capture(money(USD, '38.50'))

// A thousand callers at once share one commit.
const cent = { from: 'world:usd', to: 'alice:usd', amount: money(USD, '0.01') }
const before = chain.head.seq
await Promise.all(Array.from({ length: 1000 }, () => bank.transfer(cent)))
console.log('records:', chain.head.seq - before)

for await (const { kind, from, to, amount } of bank.entries({ limit: 3 }))
  console.log(kind, from, to, moneyText(amount))
for (const [code, { debits, credits }] of await bank.trial()) console.log(code, debits === credits, debits)
console.log('entries that agree:', (await bank.verify()).entries)
await chain.close()

// Output:
// first false again true
// ID_REUSED
// INSUFFICIENT
// posted 10000n available 6000n
// records: 1
// post world:usd alice:usd 100.00 USD
// hold alice:usd shop:usd 40.00 USD
// capture alice:usd shop:usd 38.50 USD
// USD true 14850n
// entries that agree: 1003
