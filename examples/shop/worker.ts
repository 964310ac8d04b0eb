/** What a worker does: it ships orders, and sums up the turnover. */
import { carrierClient } from './carrier.ts'
import { BOOKS, type Shop, ship, Turnover } from './shop.ts'

const CONCURRENCY = 8

/** Works until the chain is closed. */
export async function startWorker(
  shop: Shop,
  carrier: { readonly url: string; readonly token: string },
): Promise<void> {
  const send = carrierClient(carrier.url, carrier.token)
  shop.shipping.work((job) => ship(shop, job, send), { concurrency: CONCURRENCY })
  const turnover = (await shop.chain.named(Turnover, 'turnover'))!
  shop.events.subscribe(
    'turnover',
    'order.shipped',
    async ({ data, effect, tx }) => {
      // With the cursor of the subscription, or not at all: each order counts once.
      effect((tx) => tx.update(turnover, (sum) => sum + data.cents))
      await shop.views.delete(BOOKS, { tx })
    },
    { lease: '2s' },
  )
}
