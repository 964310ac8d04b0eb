/**
 * Looks, from the log alone, whether everything that was ordered happened once: the hold, the capture, the job, the events,
 * the invoice and the sum of each order. For a shop at rest: what changes meanwhile looks like a mistake.
 */
import { holdOf, invoiceOf, Order, type Shop, Turnover } from './shop.ts'

export interface Audit {
  readonly orders: Readonly<Record<string, { readonly state: string; readonly tracking: string | undefined }>>
  /** What is wrong, in words; nothing if all is well. */
  readonly problems: readonly string[]
}

/** How often each thing was found for one order. */
class Tally {
  readonly #counts = new Map<string, Map<string, number>>()

  add(order: string, what: string, count = 1): void {
    const counts = this.#counts.get(order) ?? new Map<string, number>()
    this.#counts.set(order, counts.set(what, (counts.get(what) ?? 0) + count))
  }

  /** Each order's counts that are not those of `wanted`, and orders that are none. */
  differences(wanted: ReadonlyMap<string, Readonly<Record<string, number>>>): string[] {
    const orders = new Set([...wanted.keys(), ...this.#counts.keys()])
    return [...orders].flatMap((order) => {
      const [want, got] = [wanted.get(order) ?? {}, Object.fromEntries(this.#counts.get(order) ?? [])]
      const names = [...new Set([...Object.keys(want), ...Object.keys(got)])]
      const wrong = names.filter((name) => (want[name] ?? 0) !== (got[name] ?? 0))
      return wrong.map((name) => `order ${order}: ${name} is ${got[name] ?? 0}, not ${want[name] ?? 0}`)
    })
  }
}

export async function audit(shop: Shop): Promise<Audit> {
  const { chain, bank, events, shipping, archive } = shop
  const wanted = new Map<string, Record<string, number>>()
  const orders: Record<string, { state: string; tracking: string | undefined }> = {}
  let shippedCents = 0
  for await (const { name, value } of chain.children(Order)) {
    const { state, cents, tracking } = value
    const shipped = state === 'shipped' ? 1 : 0
    orders[name!] = { state, tracking }
    shippedCents += shipped * cents
    wanted.set(name!, {
      held: cents,
      captured: shipped * cents,
      'jobs waiting': 1 - shipped,
      'jobs done': shipped,
      'events of placing': 1,
      'events of shipping': shipped,
      invoices: shipped,
    })
  }

  const found = new Tally()
  for await (const { kind, id, of, amount } of bank.entries()) {
    const cents = Number(amount.units)
    if (kind === 'hold') found.add(orderOf(id), 'held', cents)
    if (kind === 'capture') found.add(orderOf(of!), 'captured', cents)
  }
  for await (const { topic, key } of events.read('order.*'))
    found.add(key!, topic === 'order.placed' ? 'events of placing' : 'events of shipping')
  for (const order of wanted.keys()) {
    for await (const _ of archive.versions(invoiceOf(order))) found.add(order, 'invoices')
    const job = await shipping.get(`ship:${order}`)
    if (job) found.add(order, `jobs ${job.state === 'active' ? 'waiting' : job.state}`)
  }

  const problems = found.differences(wanted)
  const equal = (what: string, is: number | bigint, should: number | bigint): void => {
    if (BigInt(is) !== BigInt(should)) problems.push(`${what} is ${is}, not ${should}`)
  }
  equal('what the shop has', (await bank.balance('shop')).posted, shippedCents)
  equal('the turnover', (await chain.named(Turnover, 'turnover'))!.value, shippedCents)
  for (const { debits, credits } of (await bank.trial()).values()) equal('the sum of debits', debits, credits)
  await bank.verify() // throws RULE_BROKEN if a balance is not what the journal makes of it
  for await (const finding of archive.fsck()) if (!finding.ok) problems.push(`${finding.problem} in the archive`)
  if (!(await chain.verify()).ok) problems.push('the log does not verify')
  return { orders, problems }
}

function orderOf(hold: string): string {
  return hold.slice(holdOf('').length)
}
