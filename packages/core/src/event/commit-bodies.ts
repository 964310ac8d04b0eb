/** The sealed bodies of a commit that was parsed: which bytes of them stand there, and whether they are the signed ones. */
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { KnownCommit } from './commit-parse.ts'
import { type BlockBytes, sliceAt } from './kept-runs.ts'

/** What stands at `at` of a record, hashed. */
export interface HashedBody {
  readonly at: number
  readonly size: number
  readonly hash: Uint8Array
}

/**
 * Checks every sealed slice that is there against the hash that its signed header carries. `hashed`: of the same bytes, by
 * others. @throws AteError BAD_BODY
 */
export function checkBodies(crypto: CryptoProvider, commit: KnownCommit, hashed?: readonly HashedBody[]): void {
  const hash = new Uint8Array(32)
  for (const transaction of commit.transactions) {
    for (const event of transaction.events) {
      if (!event.body) continue
      const from = sliceAt(commit.blocks[event.block]!, event.offset, event.size)
      if (from === undefined) continue
      const known = hashed?.find(({ at, size }) => at === from && size === event.size)
      if (known) hash.set(known.hash)
      else crypto.sha256Into(commit.bytes.subarray(from, from + event.size), hash, 0)
      for (let i = 0; i < 32; i++) {
        if (hash[i] !== event.hashBytes![event.hashAt + i]) throw new AteError('BAD_BODY', { seq: commit.record.seq })
      }
    }
  }
}

/** Bytes of bodies that stand in the blocks of a commit: what compaction has dropped is not counted. */
export function bodyBytes(blocks: readonly BlockBytes[]): number {
  let sum = 0
  for (const { size, runs } of blocks) {
    if (runs === undefined) sum += size
    else for (const run of runs) sum += run.size
  }
  return sum
}
