// A service on a chain: typed calls, sealed between caller and service, each answered once although two instances serve.
import { defineService, defineType, invoke, isServiceError, openChain, ServiceError, service } from '@ate/core'
import { z } from 'zod'

const Order = defineType<{ item: string; pieces: number }>('order')
const Shop = defineService('shop', {
  price: { input: z.object({ item: z.string() }), output: z.object({ cents: z.number() }) },
  order: { input: z.object({ item: z.string(), pieces: z.number().int() }), output: z.object({ id: z.string() }) },
})

const chain = await openChain('memory:')
const prices: Record<string, number> = { tea: 250, coffee: 300 }
const served = [1, 2].map(() =>
  service(chain, Shop, {
    price: ({ item }) => {
      const cents = prices[item]
      if (cents === undefined) throw new ServiceError('NOT_SOLD', `we have no ${item}`)
      return { cents }
    },
    // A function of the transaction that writes the reply: the order and the reply are there together, once, or not at all.
    order: (wanted) => (tx) => ({ id: tx.create(Order, wanted).id }),
  }),
)

const shop = invoke(chain, Shop)
console.log(await shop.price({ item: 'tea' }))
const { id } = await shop.order({ item: 'tea', pieces: 3 })
console.log((await chain.load(Order, id)).value)

const told = (error: unknown) =>
  console.log(isServiceError(error) ? [error.reason, error.text] : (error as { code: string }).code)
await shop.price({ item: 'milk' }).catch(told)
await shop.order({ item: 'tea', pieces: 0.5 }).catch(told) // refused here: nothing was written

// Without an instance a call waits, then is withdrawn: nobody will answer it later.
for (const instance of served) await instance.close()
await shop.price({ item: 'tea' }, { timeout: '100ms' }).catch(told)
console.log('orders:', chain.children(Order).count())
await chain.close()

// Output:
// { cents: 250 }
// { item: 'tea', pieces: 3 }
// [ 'NOT_SOLD', 'we have no milk' ]
// BAD_VALUE
// TIMEOUT
// orders: 1
