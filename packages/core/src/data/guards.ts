/** Conditions that an author sets himself, judged at the transaction's place in the log. */
import { AteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import { type EntityWords, ROOT_ENTITY } from '../event/entity-words.ts'
import { GUARD, type GuardKind } from '../event/format.ts'
import type { Draft } from './draft.ts'
import { type EntityRef, parentWords, wordsOfRef } from './entity.ts'

export interface Guards {
  version(ref: EntityRef, version: number): void
  members(parent: EntityRef | undefined, collection: string, count: number): void
  subtree(ref: EntityRef | undefined, count: number): void
  expired(ref: EntityRef): void
  /** Chain time of the record is below `time`, Unix ms; else the function runs again. */
  before(time: number): void
  /** Chain time of the record is `time` or later. */
  notBefore(time: number): void
}

/** Those of a transaction. Each throws AteError BAD_ARGUMENT | BAD_ID. */
export function guardsOf(draft: Draft, chain: ChainId): Guards {
  const add = (kind: GuardKind, entity: EntityWords, collection: string, count: number): void => {
    if (!Number.isSafeInteger(count) || count < 0) throw new AteError('BAD_ARGUMENT', { what: 'a guard counts' })
    draft.guard({ kind, entity, collection, count })
  }
  return {
    version: (ref, version) => add(GUARD.version, wordsOfRef(ref, chain), '', version),
    members: (parent, collection, count) => add(GUARD.members, parentWords(parent, chain), collection, count),
    subtree: (ref, count) => add(GUARD.subtree, parentWords(ref, chain), '', count),
    expired: (ref) => add(GUARD.expired, wordsOfRef(ref, chain), '', 0),
    before: (time) => add(GUARD.before, ROOT_ENTITY, '', time),
    notBefore: (time) => add(GUARD.notBefore, ROOT_ENTITY, '', time),
  }
}
