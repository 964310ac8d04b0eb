// Several kits on one chain, and one transaction across them: the money and the mail, or neither. And a cache beside them.
import { cache } from '@ate/cache'
import { ledger, money, openChain, USD } from '@ate/ledger'
import { queue } from '@ate/queue'

const chain = await openChain('memory:')
const bank = ledger(chain)
const rates = cache<number>(chain, 'rates')
const mails = queue<{ to: string }>(chain, 'mails')
await bank.account('world:usd', { currency: USD, floor: 'none' })
await bank.account('alice:usd', { currency: USD })
await bank.account('shop:usd', { currency: USD })
await bank.transfer({ from: 'world:usd', to: 'alice:usd', amount: money(USD, '100.00'), id: 'dep-1' })
await bank.transfer({ from: 'world:usd', to: 'alice:usd', amount: money(USD, '100.00'), id: 'dep-1' }) // one effect

await chain.transact(async (tx) => {
  await bank.transfer({ from: 'alice:usd', to: 'shop:usd', amount: money(USD, '25.00') }, { tx })
  await mails.add({ to: 'alice' }, { tx })
})
await chain
  .transact(async (tx) => {
    await mails.add({ to: 'nobody' }, { tx })
    await bank.transfer({ from: 'alice:usd', to: 'shop:usd', amount: money(USD, '999.00') }, { tx })
  })
  .catch((error) => console.log(error.code)) // and no mail
console.log((await bank.balance('alice:usd')).posted, (await mails.counts()).waiting)

let calls = 0
const load = async () => {
  calls++
  return 1.08
}
console.log(await Promise.all([1, 2, 3].map(() => rates.getOrSet('eur', load, { ttl: '1m' }))), calls)
await chain.close()

// Output:
// INSUFFICIENT
// 7500n 1
// [ 1.08, 1.08, 1.08 ] 1
