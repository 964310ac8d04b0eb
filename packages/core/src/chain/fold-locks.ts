/**
 * Locks (level 4): what is locked is written once. Neither it nor anything below it is changed or moved, nothing is added
 * below it but holds, and nothing of it is deleted before its time, whoever asks. What a lock says only grows.
 *
 * Time is chain time, which whoever orders the records of a chain can hurry on. So what is kept under compliance goes only
 * when a quorum of the witnesses that were named when it was locked have signed that its time is over, too.
 */

import { LOCKS_LEVEL } from '../event/format.ts'
import type { RareFields } from '../event/rare-fields.ts'
import { mayManage } from '../trust/policy.ts'
import { ROW } from '../view/entity-table.ts'
import type { Extra, Lock, View } from '../view/view.ts'
import { NO_SET } from '../view/witness-times.ts'
import type { Judge } from './judge.ts'
import { type Refusal, refuse } from './verdict.ts'

/** The collection of what holds a locked entity: as long as one is there, nothing of it is deleted. */
export const HOLDS = 'ate:holds'

export function checkLocksLevel(level: number, rare: RareFields): Refusal | undefined {
  if (level >= LOCKS_LEVEL || (rare.lock ?? rare.witnesses ?? rare.digest ?? rare.bypass) === undefined)
    return undefined
  return refuse('LEVEL_TOO_LOW', { level, needs: LOCKS_LEVEL })
}

/** A hold is put and released, and nothing else. */
function isHold(view: View, row: number): boolean {
  return (
    view.table.get(row, ROW.collection) === view.names.find(HOLDS) &&
    view.extraOf(view.parentOf(row)).lock !== undefined
  )
}

/** Of a creation, or a move to there. */
export function checkPlace(view: View, level: number, parent: number, collection: string): Refusal | undefined {
  if (level < LOCKS_LEVEL) return undefined
  const node = view.lockedNode(parent)
  if (collection === HOLDS)
    return node === parent ? undefined : refuse('RESERVED_NAME', { collection, what: 'a hold is of what is locked' })
  return node < 0 ? undefined : refuse('WRITE_ONCE', { entity: view.idText(node) })
}

/** Of a put, a move, an expiry or a counter. */
export function checkUnlocked(view: View, row: number): Refusal | undefined {
  const node = view.lockedNode(row)
  return node < 0 ? undefined : refuse('WRITE_ONCE', { entity: view.idText(node) })
}

/** Of a deletion: every lock at or above `row` is over. The release of a hold asks for none of them. */
export function checkDeletion(
  view: View,
  row: number,
  judge: Judge,
  bypass: RareFields['bypass'],
): Refusal | undefined {
  if (isHold(view, row)) return retained(view.extraOf(row), judge)
  if (view.extraOf(row).lock === undefined) {
    const refusal = retained(view.extraOf(row), judge)
    if (refusal) return refusal
  }
  for (let node = view.lockedNode(row); node >= 0; node = view.lockedNode(view.parentOf(node))) {
    const refusal = checkLock(view, node, judge, bypass)
    if (refusal) return refusal
    if (node === 0) return undefined
  }
  return undefined
}

function checkLock(view: View, node: number, judge: Judge, bypass: RareFields['bypass']): Refusal | undefined {
  const { retain, holds, lock } = view.extraOf(node)
  const held = countHolds(view, node)
  if (holds.length > 0 || held > 0) return refuse('RETAINED', { until: retain, holds, held })
  if (retain === 0) return undefined
  if (lock!.mode === 'governance' && bypass && mayManage(view, view.parentOf(node), judge.identity)) return undefined
  if (retain > judge.time) return refuse('RETAINED', { until: retain, holds, held })
  if (lock!.mode === 'governance') return undefined
  const proven = view.witnesses.provenAt(lock!.witnesses)
  return proven < retain ? refuse('TIME_UNPROVEN', { until: retain, proven }) : undefined
}

/** Without a lock: by chain time, and holds that never end. */
export function retained({ retain, holds }: Extra, judge: Judge): Refusal | undefined {
  return retain <= judge.time && holds.length === 0 ? undefined : refuse('RETAINED', { until: retain, holds })
}

export function countHolds(view: View, row: number): number {
  const collection = view.names.find(HOLDS)
  return collection === undefined ? 0 : (view.children.find(row, collection)?.live ?? 0)
}

/** The lock after an event that asks for one. */
export function growLock(view: View, row: number, mode: Lock['mode']): Lock | Refusal {
  if (row === 0) return refuse('NOT_AUTHORIZED', { what: 'the root is not locked' })
  const before = view.extraOf(row).lock
  if (before?.mode === 'compliance')
    return mode === 'compliance' ? before : refuse('RETAIN_SHRINKS', { mode: before.mode })
  // Whoever manages here may name other witnesses later: what was locked before keeps its own.
  const witnesses = before !== undefined && before.witnesses !== NO_SET ? before.witnesses : setInForce(view, row)
  return { mode, witnesses }
}

/** The set of the nearest node above that has named one. */
function setInForce(view: View, row: number): number {
  for (let node = view.parentOf(row); ; node = view.parentOf(node)) {
    const set = view.extraOf(node).witnesses
    if (set !== undefined) return set
    if (node === 0) return NO_SET
  }
}
