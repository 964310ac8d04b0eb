/**
 * Leases and locks: who has the say over a key, until when, under which fence. Those of many keys stand in one entity, so
 * that keys which come and go leave nothing behind.
 *
 * - Whoever takes one, or takes it over, writes the slot under the version that it read: of two, one is refused.
 * - A lease that is over is taken over under a guard of chain time, so that no clock but the chain's decides.
 * - The fence is the version of the slot: it rises with every holder of every key in it.
 * - A transaction that guards a lease reads the slot under guard: it commits before the slot changes, or not at all.
 */
import { AteError, type Transaction } from '@ate/core'
import { SlotRecord, type SlotRow } from './cache-records.ts'
import { slotNameOf } from './cache-rules.ts'
import { type Store, unlessBad } from './store.ts'

/** A lease that ended so long ago, in ms of chain time, is left out when its slot is written: its holder is gone. */
const FORGET_MS = 60_000

export interface Hold {
  readonly key: string
  readonly by: string
  readonly fence: number
}

export type Taken = { readonly hold: Hold } | { readonly until: number }

interface Slot {
  readonly id: string | undefined
  readonly name: string
  readonly rows: readonly SlotRow[]
}

export class Slots {
  readonly #store: Store
  readonly #in: string

  constructor(store: Store, collection: string) {
    this.#store = store
    this.#in = collection
  }

  /** The lease of a key, or chain time until which somebody else has it. */
  async take(tx: Transaction, key: string, wanted: { readonly by: string; readonly ttlMs: number }): Promise<Taken> {
    const slot = await this.#read(tx, key)
    const held = rowOf(slot, key)
    if (held && held[2] > tx.now) return { until: held[2] }
    if (held) tx.guard.notBefore(held[2])
    const { by, ttlMs } = wanted
    const fence = slot.id === undefined ? 1 : tx.versionOf(slot.id) + 1
    this.#write(tx, slot, [...without(slot, key, tx.now), [key, by, tx.now + ttlMs, fence]])
    return { hold: { key, by, fence } }
  }

  /** Moves the end on to `ttlMs` from now. @throws AteError LEASE_LOST */
  async renew(tx: Transaction, hold: Hold, ttlMs: number): Promise<void> {
    const slot = await this.#own(tx, hold)
    const { key, by, fence } = hold
    this.#write(tx, slot, [...without(slot, key, tx.now), [key, by, tx.now + ttlMs, fence]])
  }

  /** @throws AteError LEASE_LOST */
  async guard(tx: Transaction, hold: Hold): Promise<void> {
    await this.#own(tx, hold)
  }

  /** Gives it back; nothing happens if somebody else has it by now. */
  async release(tx: Transaction, hold: Hold): Promise<void> {
    const slot = await this.#read(tx, hold.key)
    if (isOwn(slot, hold)) this.#write(tx, slot, without(slot, hold.key, tx.now))
  }

  /** Takes it from whoever has it. */
  async end(tx: Transaction, key: string): Promise<void> {
    const slot = await this.#read(tx, key)
    if (rowOf(slot, key)) this.#write(tx, slot, without(slot, key, tx.now))
  }

  async #own(tx: Transaction, hold: Hold): Promise<Slot> {
    const slot = await this.#read(tx, hold.key)
    if (!isOwn(slot, hold)) throw new AteError('LEASE_LOST', { cache: this.#store.name, fence: hold.fence })
    return slot
  }

  async #read(tx: Transaction, key: string): Promise<Slot> {
    const name = slotNameOf(key)
    const { chain, node } = this.#store
    const place = { parent: node!, in: this.#in }
    const entity = await unlessBad(tx.named(SlotRecord, name, place))
    if (entity) return { id: entity.id, name, rows: entity.value.rows }
    // One that somebody has spoilt has no rows, and its version still: fences go on.
    const id = chain.idOf(SlotRecord, name, place)
    return { id: chain.has(id) ? id : undefined, name, rows: [] }
  }

  #write(tx: Transaction, { name }: Slot, rows: readonly SlotRow[]): void {
    tx.put(SlotRecord, name, { rows }, { parent: this.#store.node!, in: this.#in })
  }
}

function rowOf({ rows }: Slot, key: string): SlotRow | undefined {
  return rows.find(([of]) => of === key)
}

function isOwn(slot: Slot, { key, by, fence }: Hold): boolean {
  const row = rowOf(slot, key)
  return row?.[1] === by && row[3] === fence
}

function without({ rows }: Slot, key: string, now: number): SlotRow[] {
  return rows.filter(([of, , until]) => of !== key && until > now - FORGET_MS)
}
