/**
 * Bounded counters and conservation: clear numbers that every replica and a server without keys judge alike.
 * A change of a counter carries no version and changes none, so that a hot counter never conflicts.
 */
import { COUNTER_BITS_MAX } from '../base/limits.ts'
import { textOfWords, wordsOf } from '../event/entity-words.ts'
import { TIME_AND_DEBT_LEVEL } from '../event/format.ts'
import type { CounterFields, PolicyListFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { mayManage, mayWrite, names, type PolicyList } from '../trust/policy.ts'
import type { Journal } from '../view/journal.ts'
import type { Counter, View } from '../view/view.ts'
import type { FoldTarget } from './fold.ts'
import { retained } from './fold-locks.ts'
import { resolvePolicyList } from './fold-trust.ts'
import type { Judge } from './judge.ts'
import { type Refusal, refuse } from './verdict.ts'

const MAGNITUDE_MAX = (1n << BigInt(COUNTER_BITS_MAX)) - 1n

/** What a transaction does to counters: judged when its last event has been applied. */
export interface CounterChanges {
  /** Sum of the changes by row of the unit. */
  readonly units: Map<number, bigint>
  /** Rows whose counters changed. */
  readonly touched: Set<number>
}

export function createCounters(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
  changes: CounterChanges,
  countMax: number,
): Refusal | undefined {
  const { view } = target
  const fields = event.rare!.counters!
  if (fields.length > countMax) return refuse('COUNTER_BOUNDS', { counters: fields.length, max: countMax })
  const counters: Counter[] = []
  for (const field of fields) {
    if (counters.some((counter) => counter.name === field.name))
      return refuse('COUNTER_BOUNDS', { counter: field.name, what: 'named twice' })
    const unit = field.unit ? liveRow(view, field.unit) : undefined
    if (unit === -1) return refuse('NOT_FOUND', { entity: textOfWords(wordsOf(field.unit!)), what: 'unit' })
    const debt = unit === undefined ? undefined : mayOwe(target, field, unit, judge)
    if (debt) return debt
    const up = resolveOptional(target, field.up)
    const down = resolveOptional(target, field.down)
    if (up === null || down === null) return refuse('NO_ROLE', { counter: field.name })
    counters.push({ name: field.name, value: field.value, floor: field.floor, ceiling: field.ceiling, unit, up, down })
    if (unit !== undefined) changes.units.set(unit, (changes.units.get(unit) ?? 0n) + field.value)
  }
  journal.changing(event.row)
  view.setExtra(event.row, { ...view.extraOf(event.row), counters })
  changes.touched.add(event.row)
  return undefined
}

/** A counter below 0 is the other half of money from nothing: who does not govern the unit makes none that can go there. */
function mayOwe({ view, trust }: FoldTarget, field: CounterFields, unit: number, judge: Judge): Refusal | undefined {
  if (trust.level < TIME_AND_DEBT_LEVEL || (field.floor !== undefined && field.floor >= 0n)) return undefined
  if (mayWrite(view, unit, judge.identity) || mayManage(view, unit, judge.identity)) return undefined
  return refuse('NOT_AUTHORIZED', {
    counter: field.name,
    needs: 'write or manage of the unit, or a floor of 0 or more',
  })
}

function resolveOptional(target: FoldTarget, fields: PolicyListFields | undefined): PolicyList | undefined | null {
  if (fields === undefined || fields === 'inherit') return undefined
  return resolvePolicyList(target.trust, fields) ?? null
}

function liveRow(view: View, id: Uint8Array): number {
  const words = wordsOf(id)
  return view.findLive(words.a, words.b, words.c, words.d)
}

export function addToCounter(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
  changes: CounterChanges,
): Refusal | undefined {
  const { view } = target
  const { counter: name, amount } = event.rare ?? {}
  const extra = view.extraOf(event.row)
  const index = extra.counters.findIndex((counter) => counter.name === name)
  if (index < 0 || amount === undefined) return refuse('NO_COUNTER', { counter: name })
  const counter = extra.counters[index]!
  const list = amount < 0n ? counter.down : counter.up
  const may = list === undefined ? mayWrite(view, event.row, judge.identity) : names(list, judge.identity)
  if (!may) return refuse('NOT_AUTHORIZED', { counter: name, needs: amount < 0n ? 'down' : 'up' })
  const kept = retained(extra, judge)
  if (kept) return kept
  journal.changing(event.row)
  const counters = extra.counters.with(index, { ...counter, value: counter.value + amount })
  view.setExtra(event.row, { ...extra, counters })
  if (counter.unit !== undefined) changes.units.set(counter.unit, (changes.units.get(counter.unit) ?? 0n) + amount)
  changes.touched.add(event.row)
  return undefined
}

/** A deleted entity's counters go to 0, which conservation sees. */
export function dropCounters(target: FoldTarget, row: number, changes: CounterChanges): void {
  for (const counter of target.view.extraOf(row).counters) {
    if (counter.unit !== undefined)
      changes.units.set(counter.unit, (changes.units.get(counter.unit) ?? 0n) - counter.value)
  }
  changes.touched.delete(row)
}

/** Bounds on the state after the last event, and the sum of each unit. */
export function checkCounters(target: FoldTarget, judge: Judge, changes: CounterChanges): Refusal | undefined {
  const { view } = target
  for (const row of changes.touched) {
    for (const { name, value, floor, ceiling } of view.extraOf(row).counters) {
      const low = floor ?? -MAGNITUDE_MAX
      const high = ceiling ?? MAGNITUDE_MAX
      if (value < low || value > high)
        return refuse('COUNTER_BOUNDS', { entity: view.idText(row), counter: name, value, floor, ceiling })
    }
  }
  for (const [unit, sum] of changes.units) {
    if (sum !== 0n && !mayWrite(view, unit, judge.identity))
      return refuse('NOT_CONSERVED', { sum, unit: view.idText(unit) })
  }
  return undefined
}
