/** Guards: conditions of a transaction on the state before it, judged by clear numbers only. */
import { textOfWords } from '../event/entity-words.ts'
import { GUARD, TIME_AND_DEBT_LEVEL } from '../event/format.ts'
import type { Guard } from '../event/transaction-event.ts'
import { ROW } from '../view/entity-table.ts'
import type { View } from '../view/view.ts'
import type { FoldTarget } from './fold.ts'
import type { Judge } from './judge.ts'
import { type Refusal, refuse } from './verdict.ts'

export function checkGuard({ view, trust }: FoldTarget, guard: Guard, judge: Judge): Refusal | undefined {
  if (guard.kind === GUARD.before || guard.kind === GUARD.notBefore) return checkTime(trust.level, guard, judge)
  const { a, b, c, d } = guard.entity
  const row = view.table.find(a, b, c, d)
  const found = row < 0 ? 0 : guardedCount(view, guard, row)
  if (guard.kind === GUARD.expired) {
    const expires = row < 0 ? undefined : view.extraOf(row).expires
    return expires !== undefined && expires <= judge.time
      ? undefined
      : refuse('NOT_EXPIRED', { entity: textOfWords(guard.entity) })
  }
  if (row >= 0 && listOfGuard(view, guard, row) > judge.baseSeq)
    return refuse('STALE_BASE', { entity: textOfWords(guard.entity) })
  if (found === guard.count) return undefined
  return refuse('CONFLICT', { entity: textOfWords(guard.entity), expected: guard.count, found })
}

/** Whoever saw it earlier or later looks again: to him it is a conflict with the clock. */
function checkTime(level: number, { kind, count }: Guard, { time }: Judge): Refusal | undefined {
  if (level < TIME_AND_DEBT_LEVEL) return refuse('LEVEL_TOO_LOW', { level, needs: TIME_AND_DEBT_LEVEL })
  if (kind === GUARD.before ? time < count : time >= count) return undefined
  return refuse('CONFLICT', { [kind === GUARD.before ? 'before' : 'notBefore']: count, found: time })
}

function guardedCount(view: View, guard: Guard, row: number): number {
  if (guard.kind === GUARD.version) return view.table.get(row, ROW.version)
  if (guard.kind === GUARD.subtree) return view.table.get(row, ROW.subtree)
  const collection = view.names.find(guard.collection)
  return collection === undefined ? 0 : (view.children.find(row, collection)?.version ?? 0)
}

/** The floor that a guard is judged against: that of the list it speaks of. */
function listOfGuard(view: View, guard: Guard, row: number): number {
  if (guard.kind === GUARD.members) {
    const collection = view.names.find(guard.collection)
    return collection === undefined ? 0 : (view.children.find(row, collection)?.floor ?? 0)
  }
  if (row === 0) return 0
  return view.children.find(view.parentOf(row), view.table.get(row, ROW.collection))?.floor ?? 0
}
