/** Where a body stands in the log, and the hash that the verified chain has of it. */
import { AteError } from '../base/errors.ts'
import { wordAt } from '../event/entity-words.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'

export interface StoredBody {
  readonly record: number
  readonly block: number
  readonly offset: number
  readonly size: number
  /** SHA-256 of the ciphertext, eight words from `hashAt` on. */
  readonly hash: Int32Array
  readonly hashAt: number
}

/** Hashes that stand in one piece of memory: who keeps one of them keeps them all. */
const HASHES_TOGETHER = 16

/** Where bodies of events stand, with copies of their hashes: a record's bytes do not outlive the step. */
export class StoredBodies {
  #hashes = new Int32Array(0)
  #at = 0

  of(record: number, { block, offset, size, hashBytes, hashAt: from }: TransactionEvent): StoredBody {
    if (this.#at === this.#hashes.length) {
      // The first one is often the only one.
      this.#hashes = new Int32Array(8 * (this.#at === 0 ? 1 : HASHES_TOGETHER))
      this.#at = 0
    }
    const [hash, hashAt] = [this.#hashes, this.#at]
    this.#at += 8
    for (let i = 0; i < 8; i++) hash[hashAt + i] = wordAt(hashBytes!, from + 4 * i)
    return { record, block, offset, size, hash, hashAt }
  }
}

/** Whether these 32 bytes are the hash of the body. */
export function isHashOf({ hash, hashAt }: StoredBody, bytes: Uint8Array): boolean {
  for (let i = 0; i < 8; i++) if (wordAt(bytes, 4 * i) !== hash[hashAt + i]) return false
  return true
}

export function badSlice({ record, block, offset }: StoredBody): AteError {
  return new AteError('BAD_BODY', { seq: record, block, offset })
}

/** The hash may stand in a row of the view, which changes while the body is being read. */
export function withOwnHash(body: StoredBody): StoredBody {
  const { record, block, offset, size, hash, hashAt } = body
  return { record, block, offset, size, hash: hash.slice(hashAt, hashAt + 8), hashAt: 0 }
}
