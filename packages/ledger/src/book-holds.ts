/**
 * Open holds as the journal makes them, and the entities that stand for them below the accounts that they debit: writers ask
 * those what is free, so each says what its entry says, comes with it, and goes with what resolves it. Pure.
 */
import type { ClearCounter } from './books.ts'
import { type Amounts, HELD, type HoldValue } from './ledger-records.ts'

export interface OpenHold extends HoldValue {
  /** Its id. */
  readonly name: string
  readonly fromName: string
  readonly toName: string
  /** Of the entity that stands for it; undefined if nobody can tell, since the account is gone from the chain now. */
  readonly entity: string | undefined
}

export interface MadeEntity {
  readonly kind: 'hold'
  readonly entity: string
  /** Undefined where compaction has dropped it. */
  readonly value: unknown
  readonly counters: readonly ClearCounter[]
}

/** What a transaction did to holds, and to the entities that stand for them. */
export class HoldsDone {
  readonly made: OpenHold[] = []
  readonly resolved: OpenHold[] = []
  readonly entities: Map<string, MadeEntity> = new Map()
  readonly gone: Set<string> = new Set()
}

export interface BrokenHold {
  readonly rule: string
  readonly entry?: string
}

/** `open` are entities of holds that were open before; the first thing that does not fit, if there is one. */
export function brokenHold(
  { made, resolved, entities, gone }: HoldsDone,
  open: ReadonlyMap<string, OpenHold>,
  amounts: Amounts,
): BrokenHold | undefined {
  const expected = new Set<string>()
  for (const hold of made) {
    // The deletion of its account is a breach that is met later.
    if (hold.entity === undefined) return undefined
    const event = entities.get(hold.entity)
    if (!event) return { rule: 'an open hold stands below its account', entry: hold.name }
    if (!isAs(hold, event, amounts)) return { rule: 'a hold keeps what it says', entry: hold.name }
    expected.add(hold.entity)
  }
  for (const entity of entities.keys()) {
    if (!expected.has(entity)) return { rule: 'a hold stands in the journal' }
  }
  const over = new Set<string>()
  for (const { entity, name } of resolved) {
    if (entity === undefined) return undefined
    if (!gone.has(entity)) return { rule: 'a hold that is resolved is gone', entry: name }
    over.add(entity)
  }
  for (const entity of gone) {
    if (open.has(entity) && !over.has(entity))
      return { rule: 'a hold stands until it is resolved', entry: open.get(entity)!.name }
  }
  return undefined
}

function isAs(hold: OpenHold, { value, counters }: MadeEntity, amounts: Amounts): boolean {
  const held = counters.find((counter) => counter.name === HELD)
  const keeps = amounts === 'sealed' ? counters.length === 0 : counters.length === 1 && held?.value === hold.units
  if (!keeps || value === undefined) return keeps
  if (typeof value !== 'object' || value === null) return false
  const { from, to, units, until } = value as Partial<HoldValue>
  return from === hold.from && to === hold.to && units === hold.units && until === hold.until
}
