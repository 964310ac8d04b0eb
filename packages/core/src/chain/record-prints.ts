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

/** Of fewer events each hash is made in place: as fast, and nothing is kept. */
const EVENTS_MIN = 16
/** Bytes of a record an event: of larger ones the hash is most of the work, however it is parted. */
const BYTES_AN_EVENT_MAX = 1024

/** Prints that stand in one piece of memory, by seq; a piece grows up to it, so that a small chain is small. */
const CHUNK = 4096
const CHUNK_FIRST = 16

/** By seq of the record, in at most 32 bytes a record of the chain. */
export class RecordPrints {
  readonly #chunks: (Uint8Array | undefined)[] = []

  set(seq: number, print: Uint8Array): void {
    const index = Math.floor(seq / CHUNK)
    const place = seq % CHUNK
    let chunk = this.#chunks[index]
    if (chunk === undefined || chunk.length <= 32 * place) {
      const grown = new Uint8Array(32 * Math.min(CHUNK, Math.max(CHUNK_FIRST, 2 * place)))
      if (chunk) grown.set(chunk)
      chunk = grown
      this.#chunks[index] = chunk
    }
    chunk.set(print, 32 * place)
  }

  /** A view; undefined if there is none. */
  at(seq: number): Uint8Array | undefined {
    const at = 32 * (seq % CHUNK)
    const print = this.#chunks[Math.floor(seq / CHUNK)]?.subarray(at, at + 32)
    return print?.some((byte) => byte !== 0) ? print : undefined
  }

  *entries(): Generator<[number, Uint8Array], void, undefined> {
    for (let index = 0; index < this.#chunks.length; index++) {
      const count = (this.#chunks[index]?.length ?? 0) / 32
      for (let seq = index * CHUNK; seq < index * CHUNK + count; seq++) {
        const print = this.at(seq)
        if (print) yield [seq, print]
      }
    }
  }
}

/** Of a record with so many events; undefined if it is not worth one. */
export function printOf(crypto: CryptoProvider, bytes: Uint8Array, events: number): Uint8Array | undefined {
  return events < EVENTS_MIN || bytes.length > events * BYTES_AN_EVENT_MAX ? undefined : crypto.sha256(bytes)
}

/** Of a commit that was verified. */
export function notePrint(replica: Replica, { record, bytes, transactions }: KnownCommit): void {
  const events = transactions.reduce((sum, transaction) => sum + transaction.events.length, 0)
  keepPrint(replica, record.seq, printOf(replica.crypto, bytes, events))
}

export function keepPrint(replica: Replica, seq: number, print: Uint8Array | undefined): void {
  if (!print) return
  replica.prints ??= new RecordPrints()
  replica.prints.set(seq, print)
}

/** The commit, if these very bytes were verified as this record; undefined: it is to be looked at. */
export function knownCommit(
  crypto: CryptoProvider,
  prints: RecordPrints | undefined,
  { seq, bytes }: LogRecord,
): KnownCommit | undefined {
  const print = prints?.at(seq)
  return print && equalBytes(crypto.sha256(bytes), print) ? parseKnown(bytes) : undefined
}
