/**
 * The stored side of a subscription: who holds it, and how far it has come. Everything is one entity that is written
 * under a guard, so of two holders one is refused with all that it wanted to commit.
 */
import { AteError, type Chain, type EntityId, type Transaction } from '@ate/core'
import { IN, type Order, type StoredSubscription, SubscriptionType } from './bus-records.ts'
import type { Position } from './bus-rules.ts'
import { busError } from './errors.ts'

/** A holder as it was when it took the subscription. */
export interface Hold {
  readonly fence: number
  readonly holder: string
}

export interface CursorPlace {
  readonly chain: Chain
  readonly id: EntityId
  readonly name: string
}

/** Finds the subscription of a name, or makes it. @throws AteError SUBSCRIPTION_MISMATCH */
export async function openCursor(
  chain: Chain,
  bus: EntityId,
  wanted: {
    readonly name: string
    readonly pattern: string
    readonly order: Order
    readonly start: () => Promise<Position>
  },
): Promise<CursorPlace> {
  const { name, pattern, order } = wanted
  const place = { parent: bus, in: IN.subscriptions }
  const known = await chain.named(SubscriptionType, name, place)
  const floor = known ? known.value.floor : await wanted.start()
  const found =
    known ??
    (await chain.transact(
      async (tx) =>
        (await tx.named(SubscriptionType, name, place)) ??
        tx.create(
          SubscriptionType,
          { pattern, order, floor, done: [], tries: [], fence: 0, holder: '', until: 0 },
          { ...place, name },
        ),
    ))
  const { value } = found
  if (value.pattern !== pattern || value.order !== order)
    throw busError('SUBSCRIPTION_MISMATCH', {
      subscription: name,
      stored: `${value.pattern}, order ${value.order}`,
      given: `${pattern}, order ${order}`,
    })
  return { chain, id: found.id, name }
}

export async function readCursor({ chain, id }: CursorPlace): Promise<StoredSubscription> {
  return (await chain.load(SubscriptionType, id)).value
}

const MEMBERS = Symbol.for('ate.bus.members')

/** Members in this process, of all copies of this package. */
export function members(): Set<string> {
  const shared = globalThis as { [MEMBERS]?: Set<string> }
  shared[MEMBERS] ??= new Set()
  return shared[MEMBERS]
}

/** A lease as another member saw it. */
export interface SeenLease {
  readonly fence: number
  readonly until: number
}

/**
 * Takes the subscription if nobody holds it, or tells whose lease is in the way. `lapsed` is a lease that has not moved
 * for as long as a lease lasts, by this member's own monotonic clock: it does not matter what time its holder thinks it is.
 */
export function takeHold(
  place: CursorPlace,
  holder: string,
  options: { readonly now: number; readonly leaseMs: number; readonly lapsed: SeenLease | undefined },
): Promise<{ readonly taken: StoredSubscription } | { readonly seen: SeenLease }> {
  const { chain, id } = place
  const { now, leaseMs, lapsed } = options
  return chain.transact(async (tx) => {
    const { value } = await tx.load(SubscriptionType, id)
    const { fence, until } = value
    if (value.halted) return { taken: value }
    const isLapsed = until <= now || (lapsed?.fence === fence && lapsed.until === until)
    // A chain that only this process writes: a holder that is not here is gone, and nobody waits for its lease.
    const isGone = value.holder === '' || value.holder === holder || (chain.isAlone && !members().has(value.holder))
    if (!isLapsed && !isGone) return { seen: { fence, until } }
    const taken = { ...value, fence: fence + 1, holder, until: now + leaseMs }
    await tx.update(SubscriptionType, id, () => taken)
    return { taken }
  })
}

/** Changes the cursor, if this hold is still the newest one. @throws AteError LEASE_LOST */
export async function writeCursor(
  tx: Transaction,
  place: CursorPlace,
  { fence, holder }: Hold,
  next: (value: StoredSubscription) => StoredSubscription,
): Promise<void> {
  await tx.update(SubscriptionType, place.id, (value) => {
    if (value.fence !== fence || value.holder !== holder)
      throw new AteError('LEASE_LOST', { subscription: place.name, fence, newest: value.fence })
    return next(value)
  })
}
