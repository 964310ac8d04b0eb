/**
 * What examples/shop says of its own books: nothing while all is well, and what is wrong of each thing that is not. And who of
 * its processes may what.
 */
import { expect, it } from 'vitest'
import { audit } from '../../examples/shop/audit.ts'
import { carrierToken, keepCredentials } from '../../examples/shop/credentials.ts'
import { openShop, placeOrder, type Shop, setUp, ship, Turnover } from '../../examples/shop/shop.ts'
import { createIdentity, type Identity, memoryEngine, memoryStore, openChain } from '../../packages/core/src/index.ts'
import { money, USD } from '../../packages/ledger/src/index.ts'
import { vault } from '../../packages/vault/src/index.ts'

const tea = { customer: 'alice', item: 'tea', pieces: 2 } as const
const codeOf = (error: { readonly code?: string }) => error.code

it('takes an order whole, once, or not at all, and finds what does not belong there', async () => {
  const chain = await openChain('memory:', { as: await createIdentity() })
  const shop = openShop(chain)
  await setUp(shop, [])
  await setUp(shop, [])
  const [id, other] = [crypto.randomUUID(), crypto.randomUUID()]
  expect(await placeOrder(shop, { id, ...tea })).toMatchObject({ existed: false, order: { cents: 900 } })
  expect(await placeOrder(shop, { id, ...tea })).toMatchObject({ existed: true })
  expect(await placeOrder(shop, { id, ...tea, pieces: 3 }).catch(codeOf)).toBe('ID_REUSED')
  expect(await placeOrder(shop, { id: other, ...tea, item: 'teapot', pieces: 100 }).catch(codeOf)).toBe('INSUFFICIENT')
  expect(await audit(shop)).toEqual({ orders: { [id]: { state: 'placed', tracking: undefined } }, problems: [] })

  shop.shipping.work((job) => ship(shop, job, async (key) => `parcel of ${key.length > 0}`))
  await shop.shipping.idle()
  await chain.transact((tx) => tx.put(Turnover, 'turnover', 900))
  expect(await audit(shop)).toEqual({
    orders: { [id]: { state: 'shipped', tracking: 'parcel of true' } },
    problems: [],
  })

  await chain.transact((tx) => tx.put(Turnover, 'turnover', 1800))
  await shop.events.publish('order.shipped', { cents: 900, tracking: 'again' }, { key: id })
  await shop.events.publish('order.placed', { ...tea, cents: 900 }, { key: other })
  await shop.bank.transfer({ from: 'alice', to: 'shop', amount: money(USD, '1.00') })
  await shop.bank.hold(
    { id: `order:${other}`, from: 'alice', to: 'shop', amount: money(USD, '1.00') },
    { expires: '1d' },
  )
  expect((await audit(shop)).problems).toEqual([
    `order ${id}: events of shipping is 2, not 1`,
    `order ${other}: held is 100, not 0`,
    `order ${other}: events of placing is 1, not 0`,
    'what the shop has is 1000, not 900',
    'the turnover is 1800, not 900',
  ])
  await shop.shipping.close()
  await chain.close()
})

it('gives the token of the carrier to workers alone, and the chain to nobody else to govern', async () => {
  const store = memoryStore()
  const [owner, web, worker] = [await createIdentity(), await createIdentity(), await createIdentity()]
  let id: string | undefined
  const as = async (who: Identity, run: (shop: Shop) => Promise<void>): Promise<void> => {
    const chain = await openChain(memoryEngine(store), { as: who, ...(id === undefined ? {} : { id }) })
    id = chain.id
    const shop = openShop(chain)
    await run(shop)
    await Promise.all([shop.events.close(), shop.shipping.close(), shop.views.close()])
    await chain.close()
  }
  let token = ''
  for (let start = 0; start < 2; start++)
    await as(owner, async (shop) => {
      await keepCredentials(shop.chain, worker)
      await setUp(shop, [web, worker])
      await vault(shop.chain).secret('bank/pin').put('1234')
      const now = await carrierToken(shop.chain)
      expect(start === 0 ? now.length : now).toBe(start === 0 ? 32 : token)
      token = now
    })

  const order = crypto.randomUUID()
  await as(web, async (shop) => {
    expect(await carrierToken(shop.chain).catch(codeOf)).toBe('NOT_FOUND')
    expect(await vault(shop.chain).role('worker').add(web.publicId).catch(codeOf)).toBe('NO_READ_KEY')
    expect(await placeOrder(shop, { id: order, ...tea })).toMatchObject({ existed: false })
  })
  await as(worker, async (shop) => {
    expect(await carrierToken(shop.chain)).toBe(token)
    const pin = vault(shop.chain).secret('bank/pin')
    expect(await pin.get().catch(codeOf)).toBe('NOT_FOUND')
    expect(await vault(shop.chain).secret('carrier/token').put('mine').catch(codeOf)).toBe('NOT_AUTHORIZED')
    shop.shipping.work((job) => ship(shop, job, async () => 'a parcel'))
    await shop.shipping.idle()
    expect((await audit(shop)).orders).toEqual({ [order]: { state: 'shipped', tracking: 'a parcel' } })
  })
})
