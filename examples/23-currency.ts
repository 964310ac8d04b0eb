// A crypto currency. Each coin belongs to whoever holds it. That none is spent twice, or comes from nothing, are rules of
// the chain: every copy enforces them, whoever stores the log, and also against the mint.
import { createIdentity, currency, isAteError, money, moneyText, openChain } from '@ate/ledger'
import { purse } from '@ate/ledger/coin'

const GOLD = currency('GOLD', 3)
const [mint, alice, bob] = [await createIdentity(), await createIdentity(), await createIdentity()]
const refused = (what: string) => (error: unknown) => console.log(`${what}:`, isAteError(error) ? error.code : error)
const at = 'file:./gold'

const chain = await openChain(at, { as: mint })
const mints = purse(chain, GOLD)
const coin = await mints.mint(money(GOLD, '10.000'), alice)
await mints.give(coin, mint).catch(refused('the mint takes it back'))
await chain.close()

const hers = await openChain(at, { as: alice, id: chain.id })
const wallet = purse(hers, GOLD)
await wallet.mint(money(GOLD, '1'), alice).catch(refused('alice mints'))
await wallet.carve(coin, [money(GOLD, '10'), money(GOLD, '1')]).catch(refused('parts worth more than the whole'))
const [, small] = await wallet.carve(coin, [money(GOLD, '7.500'), money(GOLD, '2.500')])
await wallet.give(small!, bob)
await wallet.give(small!, alice).catch(refused('alice spends it again'))
await hers.close()

const his = await openChain(at, { as: bob, id: chain.id })
const pocket = purse(his, GOLD)
for await (const { value, owner } of pocket.coins({ owner: 'everyone' }))
  console.log(owner === bob.fingerprint ? 'bob' : 'alice', 'has', moneyText(value))
console.log('of', moneyText(await pocket.supply()), 'and the log verifies:', (await his.verify()).ok)
await his.close()

// Output:
// the mint takes it back: NOT_AUTHORIZED
// alice mints: NOT_AUTHORIZED
// parts worth more than the whole: NOT_CONSERVED
// alice spends it again: NOT_AUTHORIZED
// alice has 7.500 GOLD
// bob has 2.500 GOLD
// of 10.000 GOLD and the log verifies: true
