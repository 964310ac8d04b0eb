/**
 * What a transaction has put, as the verbs in the same transaction find it: the chain itself knows it once that is committed.
 * A run that comes again is another transaction, and has put nothing yet.
 */
import type { Transaction } from '@ate/core'
import type { Ref, Stored } from './objects.ts'

/** What a put within a transaction knows before that commits. */
export type Staged = Omit<Stored, 'seq' | 'at'>

interface Puts {
  /** By version, in the order of the puts. */
  readonly [archive: string]: Map<string, Staged>
}

const puts = new WeakMap<Transaction, Puts>()

/** It was put here, or what was put here is kept otherwise now. */
export function noteStaged(tx: Transaction, archive: string, staged: Staged): void {
  const before = puts.get(tx)
  const here = before?.[archive] ?? new Map<string, Staged>()
  here.set(staged.version, staged)
  puts.set(tx, { ...before, [archive]: here })
}

/** Undefined if this transaction has not put it. A name is its newest put. */
export function findStaged(tx: Transaction, archive: string, ref: Ref): Staged | undefined {
  const here = puts.get(tx)?.[archive]
  if (!here) return undefined
  if (typeof ref === 'string') return [...here.values()].findLast(({ name }) => name === ref)
  const found = here.get(ref?.version)
  return found?.name === ref?.name ? found : undefined
}
