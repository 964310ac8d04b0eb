/** What a chain has sent to the server that orders its records, and what has not come back yet. */
import type { AteError } from '../base/errors.ts'
import { KIND } from '../event/format.ts'
import type { LogRecord } from '../log/engine.ts'
import { hasKeys, keysOf } from './entity-keys.ts'
import type { LinkEntry } from './link.ts'
import type { Batch } from './staged.ts'
import { type Refusal, refuse } from './verdict.ts'

/** A commit that was signed, and whose number nothing has taken yet. */
export interface Sent {
  readonly number: number
  readonly batch: Batch
  readonly payload: Uint8Array
  readonly hash: Uint8Array
  /** It stands in this machine's outbox, or will. */
  isKept: boolean
  /** Ids of the transactions of one that an earlier process has signed: nobody waits for them. */
  readonly restored?: readonly Uint8Array[]
  /** Why the server did not take it, and the empty commit that takes its number. */
  refused?: { readonly refusals: readonly Refusal[]; readonly payload: Uint8Array; readonly hash: Uint8Array }
}

/** A record that is no commit, on its way. */
export interface Other {
  readonly entry: LinkEntry
  readonly done: (record: LogRecord) => void
  readonly fail: (error: AteError) => void
}

export type Submitted = Sent | Other

/** Its number was taken by the commit that stands for nothing. */
export function refusalsOf({ batch, refused, restored }: Sent): readonly Refusal[] {
  const refusals = refused?.refusals ?? [refuse('SEQ_USED')]
  return (restored ?? batch.transactions).map((_, i) => refusals[i] ?? refusals[0]!)
}

/** What stands for one that was refused has no keys. */
export function entryOf({ batch, payload, refused }: Sent): LinkEntry {
  if (refused) return { kind: KIND.commit, payload: refused.payload }
  const keys = hasKeys(batch) ? keysOf(batch) : []
  return { kind: KIND.commit, payload, ...(keys.length > 0 ? { keys } : {}) }
}
