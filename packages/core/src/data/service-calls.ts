/**
 * What an instance of a service does to a call, each in one transaction: take it, keep it, answer it, give it back. All
 * that instances agree upon stands in the log, so they may be in one process or on many machines.
 *
 * - Who takes a slot writes its lease, by name: of two the second finds it. A lease that has run out is taken over under a
 *   guard on chain time; one of an older call in the same slot is over whatever its time says.
 * - A reply is written on the lease and the request that were read in the same transaction: if another instance has taken
 *   over, if the caller has withdrawn, or if either has expired, it is void, and so is what was to commit with it.
 */
import { AteError, isAteError } from '../base/errors.ts'
import { type EntityId, type Fingerprint, toBase32 } from '../base/ids.ts'
import { Chain } from './chain.ts'
import type { Entity } from './entity.ts'
import {
  type AnsweredCall,
  authorOf,
  expiryOf,
  type FailedCall,
  fingerprintOfName,
  isAllowed,
  isOverdue,
  LEASES,
  Lease,
  type LeaseValue,
  type ServicePlace,
  Slot,
} from './service-place.ts'
import type { Transaction } from './transaction.ts'

/** A call that this try holds. */
export interface TakenCall {
  readonly slot: EntityId
  readonly call: string
  readonly token: string
  readonly procedure: string
  readonly input: unknown
  readonly caller: Fingerprint
  /** False if the caller was taken off the list since its desk was made. */
  readonly mayCall: boolean
  /** Chain time in Unix ms. */
  readonly deadline: number
}

export type Reply = Omit<AnsweredCall, 'call'> | Omit<FailedCall, 'call'>

/** What a lease costs when it is lost is another run of a handler: no reason to wait for a disk. */
const LIGHT = { durability: 'memory' } as const
/** Somebody else was faster, or the slot is not what it should be: nothing is to be done. */
const NOT_OURS: ReadonlySet<string> = new Set([
  'NOT_EXPIRED',
  'NAME_TAKEN',
  'NOT_FOUND',
  'NO_READ_KEY',
  'LOCKED',
  'BAD_VALUE',
  'WRONG_TYPE',
])

/** Takes the call that waits in a slot; undefined if none does, or if another instance is at it. */
export async function takeCall(
  chain: Chain,
  place: ServicePlace,
  slot: EntityId,
  leaseMs: number,
): Promise<TakenCall | undefined> {
  try {
    return await chain.transact((tx) => take(chain, tx, { place, slot, leaseMs }), LIGHT)
  } catch (error) {
    if (isAteError(error) && NOT_OURS.has(error.code)) return undefined
    throw error
  }
}

async function take(
  chain: Chain,
  tx: Transaction,
  { place, slot, leaseMs }: { readonly place: ServicePlace; readonly slot: EntityId; readonly leaseMs: number },
): Promise<TakenCall | undefined> {
  const core = Chain.coreOf(chain)
  // Asked for before the value: if it changes in between, the guard on what was read says so.
  const asking = authorOf(core, slot)
  const found = await tx.get(Slot, slot)
  const author = await asking
  const deadline = expiryOf(core, slot)
  if (found?.value.state !== 'asked' || author === undefined || deadline === undefined) return undefined
  const { call, procedure, input } = found.value
  const lease = await leaseOf(tx, place, slot)
  if (lease?.value.call === call) return undefined
  const token = toBase32(core.newNonce())
  const made = tx.put(Lease, slot, { call, token }, { parent: place.service, in: LEASES, ttl: leaseMs })
  if (isOverdue(core, made.id)) tx.guard.expired(made)
  const mayCall = isAllowed(core, place, author, 'call')
  return { slot, call, token, procedure, input, caller: fingerprintOfName(author), mayCall, deadline }
}

function leaseOf(tx: Transaction, place: ServicePlace, slot: EntityId): Promise<Entity<LeaseValue> | undefined> {
  return tx.named(Lease, slot, { parent: place.service, in: LEASES })
}

/** The lease of this try, on a request that still waits. @throws AteError CALL_LOST */
async function held(tx: Transaction, place: ServicePlace, taken: TakenCall): Promise<Entity<LeaseValue>> {
  const lease = await leaseOf(tx, place, taken.slot)
  if (lease?.value.token !== taken.token) throw lost(taken, lease ? 'taken over' : 'the lease has run out')
  const found = await tx.get(Slot, taken.slot)
  if (found?.value.state !== 'asked' || found.value.call !== taken.call)
    throw lost(taken, found ? 'withdrawn' : 'expired')
  return lease
}

export function lost(taken: Pick<TakenCall, 'call' | 'procedure'>, why: string): AteError {
  return new AteError('CALL_LOST', { call: taken.call, procedure: taken.procedure, why })
}

/** Writes the reply that `make` gives, with all that it writes itself. @throws AteError CALL_LOST and those of `make` */
export async function answerCall(
  chain: Chain,
  place: ServicePlace,
  taken: TakenCall,
  make: (tx: Transaction) => Reply | Promise<Reply>,
): Promise<void> {
  await chain.transact(async (tx) => {
    const lease = await held(tx, place, taken)
    const reply = await make(tx)
    await tx.update(Slot, taken.slot, () => ({ ...reply, call: taken.call }))
    tx.delete(lease)
  })
}

/** Renews the lease of a handler that takes its time. @throws AteError CALL_LOST */
export async function keepCall(chain: Chain, place: ServicePlace, taken: TakenCall, leaseMs: number): Promise<void> {
  await chain.transact(async (tx) => tx.expire(await held(tx, place, taken), { ttl: leaseMs }), LIGHT)
}

/** Gives the lease back, so that another instance need not wait for its end. */
export async function giveBackCall(chain: Chain, place: ServicePlace, taken: TakenCall): Promise<void> {
  const core = Chain.coreOf(chain)
  await chain.transact(async (tx) => {
    tx.delete(await held(tx, place, taken))
    // Changes nothing of the request; but instances hear of it only if something happens to its slot.
    tx.expire(taken.slot, { ttl: Math.max(0, taken.deadline - core.now) })
  }, LIGHT)
}
