/**
 * Prints: a hash of all bytes of each record of many small bodies, as this machine has verified it, with its root, slices, signature and
 * link. One comparison says of such a record, when it is read again, what a hash for each of its bodies says of another one. Part
 * of `#large`: a page makes none.
 *
 * Invariant: a print is of bytes that were verified as that record of this chain, in this process or before the snapshot, whose tag
 * says so. What has no print, or stands there in other bytes (compacted, damaged, replaced), is looked at as if there were none.
 */
import { equalBytes } from '../base/bytes.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { KnownCommit } from '../event/commit-parse.ts'
import { parseKnown } from '../event/known-commit.ts'
import type { LogRecord } from '../log/engine.ts'
import type { Replica } from './replica.ts'

/** By seq of the record. */
export type RecordPrints = Map<number, Uint8Array>

/** Of fewer events each hash is made in place: as fast, and nothing is kept. */
const EVENTS_MIN = 16
/** Bytes of a record an event: of larger ones the hash is most of the work, however it is parted. */
const BYTES_AN_EVENT_MAX = 1024

/** Of a record with so many events; undefined if it is not worth one. */
export function printOf(crypto: CryptoProvider, bytes: Uint8Array, events: number): Uint8Array | undefined {
  return events < EVENTS_MIN || bytes.length > events * BYTES_AN_EVENT_MAX ? undefined : crypto.sha256(bytes)
}

/** Of a commit that was verified. */
export function notePrint({ crypto, prints }: Replica, { record, bytes, transactions }: KnownCommit): void {
  const events = transactions.reduce((sum, transaction) => sum + transaction.events.length, 0)
  const print = printOf(crypto, bytes, events)
  if (print) prints.set(record.seq, print)
}

/** The commit, if these very bytes were verified as this record; undefined: it is to be looked at. */
export function knownCommit(
  crypto: CryptoProvider,
  prints: RecordPrints,
  { seq, bytes }: LogRecord,
): KnownCommit | undefined {
  const print = prints.get(seq)
  return print && equalBytes(crypto.sha256(bytes), print) ? parseKnown(bytes) : undefined
}
