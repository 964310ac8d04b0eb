/** What stands in clear beside an entity: its own policies, and its counters. */
import { fromBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type EntityId, fingerprintOf } from '../base/ids.ts'
import { countHolds } from '../chain/fold-locks.ts'
import { type EntityWords, textOfWords } from '../event/entity-words.ts'
import type { PolicyList } from '../trust/policy.ts'
import { ROW } from '../view/entity-table.ts'
import type { View } from '../view/view.ts'
import { NO_SET } from '../view/witness-times.ts'

/** Whom a policy names: fingerprints of identities, and roles as `role:NAME`. */
export type PolicyNames = 'everyone' | 'nobody' | readonly string[]

/** The policies that an entity has itself; what it inherits is left out. */
export interface PolicyInfo {
  readonly read?: PolicyNames
  readonly write?: PolicyNames
  readonly manage?: PolicyNames
  readonly allow: PolicyNames
  /** Managers of what is above do not manage it. */
  readonly closed: boolean
}

export interface CounterInfo {
  readonly value: bigint
  readonly floor: bigint | undefined
  readonly ceiling: bigint | undefined
  /** The entity that is its unit. */
  readonly unit: EntityId | undefined
  /** Who may add to it, and take from it, if not who may write the entity. */
  readonly up: PolicyNames | undefined
  readonly down: PolicyNames | undefined
}

/** How an entity is kept, as all replicas enforce it; what is above it is left out. */
export interface RetentionInfo {
  /** Chain time in Unix ms until which it is kept; 0 for none. */
  readonly until: number
  /** Holds that never end, by name. */
  readonly holds: readonly string[]
  /** Holds of `tx.hold` that are there. */
  readonly held: number
  readonly lock: 'governance' | 'compliance' | undefined
  /** Whose time a lock waits for: their names, and the newest time that a quorum of them has signed, Unix ms. */
  readonly witnesses:
    | { readonly names: readonly string[]; readonly quorum: number; readonly provenAt: number }
    | undefined
}

/** As acknowledged, but for `held`, which counts what is staged. @throws AteError NOT_FOUND */
export function retentionInfo(view: View, words: EntityWords): RetentionInfo {
  const row = visibleRow(view, words)
  const { retain, holds, lock, witnesses } = view.acknowledgedExtra(row)
  const set = lock?.witnesses ?? witnesses ?? NO_SET
  return {
    until: retain,
    holds,
    held: countHolds(view, row),
    lock: lock?.mode,
    witnesses:
      set === NO_SET
        ? undefined
        : {
            names: view.witnesses.witnessesOf(set).map(({ name }) => name),
            quorum: view.witnesses.sets[set]!.quorum,
            provenAt: view.witnesses.provenAt(set),
          },
  }
}

/** As acknowledged. @throws AteError NOT_FOUND */
export function policyInfo(view: View, words: EntityWords): PolicyInfo {
  const policy = view.policies[view.acknowledged(visibleRow(view, words), ROW.policy)]
  if (!policy) return { allow: [], closed: false }
  const { read, write, manage, allow, closed } = policy
  return {
    ...(read === undefined ? {} : { read: namesOf(read) }),
    ...(write === undefined ? {} : { write: namesOf(write) }),
    ...(manage === undefined ? {} : { manage: namesOf(manage) }),
    allow: namesOf(allow),
    closed,
  }
}

/** As acknowledged. @throws AteError NOT_FOUND | NO_COUNTER */
export function counterInfo(view: View, words: EntityWords, name: string): CounterInfo {
  const { counters } = view.acknowledgedExtra(visibleRow(view, words))
  const found = counters.find((counter) => counter.name === name)
  if (!found) throw new AteError('NO_COUNTER', { counter: name })
  const { value, floor, ceiling, unit, up, down } = found
  return {
    value,
    floor,
    ceiling,
    unit: unit === undefined ? undefined : view.idText(unit),
    up: up && namesOf(up),
    down: down && namesOf(down),
  }
}

/** @throws AteError NOT_FOUND */
export function visibleRow(view: View, words: EntityWords): number {
  const row = view.table.find(words.a, words.b, words.c, words.d)
  if (row < 0 || !view.isVisible(row)) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
  return row
}

function namesOf(list: PolicyList): PolicyNames {
  if (typeof list === 'string') return list
  return list.map(({ role, identity }) => (role ? `role:${role.name}` : fingerprintOf(fromBinaryText(identity))))
}
