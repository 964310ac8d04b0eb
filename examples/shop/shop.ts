/**
 * The shop: kits that stand on one chain, and the two transactions that go across them. Whoever has the chain open, a web
 * process or a worker, on a file or at a server, does the same with it.
 */
import { bus } from '@ate/bus'
import { cache } from '@ate/cache'
import { AteError, type Chain, defineType, type Identity, role } from '@ate/core'
import { type Ledger, ledger, money, moneyText, USD } from '@ate/ledger'
import { type Job, queue } from '@ate/queue'
import { worm } from '@ate/worm'
import { z } from 'zod'

/** Dollars and cents apiece. */
export const ITEMS = { tea: '4.50', coffee: '7.20', cup: '12.00', teapot: '999.00' } as const
export const CUSTOMERS = ['alice', 'bob'] as const
const PIECES_MAX = 100
/** What each customer has to begin with. */
const ALLOWANCE = '10000.00'

/** What a customer asks for. He draws the id: the same id again is the same order, however often it is sent. */
export const OrderRequest = z.object({
  id: z.uuid(),
  customer: z.enum(CUSTOMERS),
  item: z.enum(Object.keys(ITEMS) as (keyof typeof ITEMS)[]),
  pieces: z.int().min(1).max(PIECES_MAX),
})
export type OrderRequest = z.output<typeof OrderRequest>

export interface OrderValue extends Omit<OrderRequest, 'id'> {
  readonly cents: number
  readonly state: 'placed' | 'shipped'
  /** What the carrier calls the parcel. */
  readonly tracking?: string
}

export const Order = defineType<OrderValue>('order')
/** Cents of all that was shipped, summed by a subscription of the bus. */
export const Turnover = defineType<number>('turnover')

const topics = {
  'order.placed': z.object({ customer: z.string(), item: z.string(), pieces: z.int(), cents: z.int() }),
  'order.shipped': z.object({ cents: z.int(), tracking: z.string() }),
}

/** Key of the books in the cache. */
export const BOOKS = 'books'
/** Invoices stay that long, whoever wants them gone. */
const RETAIN = '10y'

/** A worker that is not heard of for this long has died: others take its jobs. */
const LEASE = '2s'

export type Shop = ReturnType<typeof openShop>
export type ShippingJob = Job<{ readonly order: string }>

export function openShop(chain: Chain) {
  return {
    chain,
    bank: ledger(chain),
    archive: worm(chain, { defaults: { retain: RETAIN } }),
    views: cache<Books>(chain, 'views'),
    events: bus(chain, { topics }),
    shipping: queue<{ readonly order: string }>(chain, 'shipping', { lease: LEASE, retry: { backoff: '100ms' } }),
  }
}

/** Lets what runs come to its end, and closes the chain. */
export async function closeShop({ chain, events, shipping, views }: Shop): Promise<void> {
  await Promise.all([events.close(), shipping.close(), views.close()])
  await chain.close()
}

/** The root of every chain has this id. */
const ROOT = '0'.repeat(26)

/**
 * Who may what, accounts, and what customers have, by the owner: `members` are the shop's processes, which read and write
 * the chain and govern nothing. To be called at each start: it is done once.
 */
export async function setUp({ chain, archive, bank }: Shop, members: readonly Identity[]): Promise<void> {
  if (await chain.named(Turnover, 'turnover')) return
  for (const { publicId } of members) await archive.addWriter(publicId)
  await chain.transact(async (tx) => {
    // The owner makes the role: he is in it.
    for (const { publicId } of members) tx.role('shop').add(publicId)
    if (members.length > 0) tx.setPolicy(ROOT, { read: [role('shop')], write: [role('shop')] })
    await bank.account('world', { currency: USD, floor: 'none' }, { tx })
    await bank.account('shop', { currency: USD }, { tx })
    for (const customer of CUSTOMERS) {
      await bank.account(customer, { currency: USD }, { tx })
      const amount = money(USD, ALLOWANCE)
      await bank.transfer({ id: `allowance:${customer}`, from: 'world', to: customer, amount }, { tx })
    }
    tx.put(Turnover, 'turnover', 0)
  })
}

/**
 * The order, the hold on the customer's money, the job and the event: all of them, or none.
 * @throws AteError INSUFFICIENT | ID_REUSED if another order has this id
 */
export function placeOrder({ chain, bank, shipping, events, views }: Shop, { id, ...wanted }: OrderRequest) {
  const price = money(USD, ITEMS[wanted.item])
  const amount = { ...price, units: price.units * BigInt(wanted.pieces) }
  const order: OrderValue = { ...wanted, cents: Number(amount.units), state: 'placed' }
  return chain.transact(async (tx) => {
    const before = await tx.named(Order, id)
    if (before) return { existed: true, order: same(before.value, order, id) }
    tx.create(Order, order, { name: id })
    await bank.hold({ id: holdOf(id), from: wanted.customer, to: 'shop', amount }, { expires: '7d', tx })
    await shipping.add({ order: id }, { id: `ship:${id}`, tx })
    await events.publish('order.placed', { ...wanted, cents: order.cents }, { id, key: id, tx })
    await views.delete(BOOKS, { tx })
    return { existed: false, order }
  })
}

/**
 * What a worker does with a job. The carrier is outside of the chain: it may be told twice, and knows by the key that it
 * is the same parcel. All else is in the commit of "done", and so happens once, whoever is killed when.
 */
export async function ship(shop: Shop, job: ShippingJob, send: Send): Promise<void> {
  const { chain, bank, events, archive, views } = shop
  const { order: id } = job.data
  const { value } = (await chain.named(Order, id))!
  const tracking = await job.step('send', (key) => send(key, `${value.pieces} ${value.item} for ${value.customer}`))
  const { tx } = job
  job.effect(async (real) =>
    real.update((await real.named(Order, id))!, (now) => ({ ...now, state: 'shipped' as const, tracking })),
  )
  await bank.capture(holdOf(id), undefined, { tx })
  await archive.put(invoiceOf(id), invoiceText(id, value, tracking), { type: 'text/plain', tx })
  await events.publish('order.shipped', { cents: value.cents, tracking }, { id, key: id, tx })
  await views.delete(BOOKS, { tx })
}

/** Gives the number of the parcel; the same for the same key. */
export type Send = (key: string, what: string) => Promise<string>

export interface Books {
  readonly accounts: readonly { readonly name: string; readonly posted: string; readonly available: string }[]
  /** Whether debits equal credits in the journal. */
  readonly balanced: boolean
  readonly turnover: number
  readonly waiting: number
  readonly shipped: number
}

/** From the cache, until the next commit that changes them: each deletes them in the same commit. */
export function books(shop: Shop): Promise<Books> {
  return shop.views.getOrSet(BOOKS, () => addUp(shop), { ttl: '1h' })
}

async function addUp({ chain, bank, shipping }: Shop): Promise<Books> {
  const { done } = await shipping.counts()
  return {
    accounts: await accountsOf(bank),
    balanced: [...(await bank.trial()).values()].every(({ debits, credits }) => debits === credits),
    turnover: (await chain.named(Turnover, 'turnover'))!.value,
    waiting: chain.children(Order).count() - done,
    shipped: done,
  }
}

async function accountsOf(bank: Ledger): Promise<Books['accounts']> {
  const accounts = []
  for await (const { name, posted, available } of bank.accounts())
    accounts.push({ name, posted: String(posted), available: String(available) })
  return accounts
}

export function invoiceOf(order: string): string {
  return `invoices/${order}.txt`
}

function invoiceText(order: string, { customer, item, pieces, cents }: OrderValue, tracking: string): string {
  const total = moneyText({ currency: USD, units: BigInt(cents) })
  return `Invoice of order ${order}\n\nTo ${customer}: ${pieces} x ${item}, ${total}\nSent as ${tracking}\n`
}

export function holdOf(order: string): string {
  return `order:${order}`
}

function same(before: OrderValue, now: OrderValue, id: string): OrderValue {
  const { customer, item, pieces } = before
  if (customer === now.customer && item === now.item && pieces === now.pieces) return before
  throw new AteError('ID_REUSED', { order: id }, { hint: 'another order has this id; draw a new one' })
}
