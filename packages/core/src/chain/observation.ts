/**
 * What a chain tells those who watch it: counts, sizes, times, ids and codes. Never a value, a name, a key or a
 * plaintext, so that observations can go to a log or to a service of others.
 *
 * Each observation is one plain object. `ms` is a difference of monotonic time. New kinds and fields may be added.
 */
import type { ErrorCode } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import type { Durability } from '../log/engine.ts'

interface Common {
  /** Undefined while the chain is being opened and its id is not known yet. */
  readonly chain: ChainId | undefined
}

/** A chain was opened: its log was read, verified and folded. */
export interface OpenObservation extends Common {
  readonly kind: 'open'
  readonly records: number
  readonly bytes: number
  readonly ms: number
}

/** The fold judged a transaction of this process, in the turn in which it was staged. */
export interface FoldObservation extends Common {
  readonly kind: 'fold'
  readonly events: number
  readonly ms: number
}

/** One commit was sealed, encoded and signed. */
export interface SealObservation extends Common {
  readonly kind: 'seal'
  readonly seq: number
  readonly transactions: number
  readonly bytes: number
  readonly ms: number
}

/** The engine stored records that belong together, and they are acknowledged at `durability`. */
export interface AppendObservation extends Common {
  readonly kind: 'append'
  /** Seq of the first. */
  readonly seq: number
  readonly records: number
  readonly transactions: number
  readonly bytes: number
  readonly durability: Durability
  readonly ms: number
}

/** The file engine waited for the disk; part of an append, or of closing. */
export interface SyncObservation extends Common {
  readonly kind: 'sync'
  readonly ms: number
}

/** A hybrid signature over a range of commits was made. */
export interface AttestObservation extends Common {
  readonly kind: 'attest'
  readonly commits: number
  readonly ms: number
}

/** Records were verified and folded: what another process appended (`refresh`), or the whole log again (`verify`). */
export interface VerifyObservation extends Common {
  readonly kind: 'verify'
  readonly cause: 'refresh' | 'verify'
  readonly records: number
  readonly problems: number
  readonly ms: number
}

/** The sealed body of an entity was read from the log and opened. What comes from the cache is not told. */
export interface ReadObservation extends Common {
  readonly kind: 'read'
  readonly seq: number
  readonly bytes: number
  readonly ms: number
}

/** A transaction conflicted with another and is run again: `run` 2 is the first time. */
export interface RerunObservation extends Common {
  readonly kind: 'rerun'
  readonly run: number
}

/** The rules refused a transaction: of this process before it was stored, or of a record (`stored`), void for everybody. */
export interface RefusalObservation extends Common {
  readonly kind: 'refusal'
  readonly where: 'staged' | 'stored'
  readonly code: ErrorCode
}

/**
 * The way to the server that orders the records came up, broke (it is tried again), or is closed for good: `code` says why.
 * The first `online` follows `open`.
 */
export interface ConnectionObservation extends Common {
  readonly kind: 'connection'
  readonly state: 'online' | 'offline' | 'ended'
  readonly code?: ErrorCode
}

/** Something is wrong that is no mistake of the caller: damage, forgery, another history, a disk that fails. */
export interface AlarmObservation extends Common {
  readonly kind: 'alarm'
  readonly code: ErrorCode
  readonly seq?: number
  readonly segment?: string
  readonly offset?: number
}

export type Observation =
  | OpenObservation
  | FoldObservation
  | SealObservation
  | AppendObservation
  | SyncObservation
  | AttestObservation
  | VerifyObservation
  | ReadObservation
  | RerunObservation
  | RefusalObservation
  | ConnectionObservation
  | AlarmObservation

export type ObservationKind = Observation['kind']

/**
 * Called after what it is told of, in a turn of its own: so it may call the chain. It is called for every observation;
 * what it throws does not reach the chain: the first is told as a warning of the process, and doctor counts them.
 */
export type Observer = (observation: Observation) => void

export const OBSERVATION_KINDS: readonly ObservationKind[] = [
  'open',
  'fold',
  'seal',
  'append',
  'sync',
  'attest',
  'verify',
  'read',
  'rerun',
  'refusal',
  'connection',
  'alarm',
]
