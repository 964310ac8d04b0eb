/**
 * A commit without the bodies that nobody needs any more. Clear part, signature and hashes stay as they are, so links,
 * roots, proofs and attestations verify, and the record hash is the same; the fold decides the same.
 */
import { ByteWriter } from '../codec/writer.ts'
import type { ParsedCommit } from './commit-parse.ts'
import { COMMIT } from './format.ts'
import { COMPACTED, type KeptRun, sliceAt, writeKeptRuns } from './kept-runs.ts'

export class CommitCompactor {
  readonly #out = new ByteWriter(1 << 16)
  readonly #table = new ByteWriter(1 << 10)

  /**
   * The bytes of the commit with those bodies only that `isLive` names by block and offset, valid until the next call;
   * undefined if that would free nothing. What was dropped before stays dropped.
   */
  compact(commit: ParsedCommit, isLive: (block: number, offset: number) => boolean): Uint8Array | undefined {
    const kept: KeptRun[][] = commit.blocks.map(() => [])
    let drops = false
    for (const { events } of commit.transactions) {
      for (const { body, block, offset, size } of events) {
        if (!body || size === 0) continue
        const at = sliceAt(commit.blocks[block]!, offset, size)
        if (at === undefined) continue
        if (isLive(block, offset)) keep(kept[block]!, { offset, size, at })
        else drops = true
      }
    }
    return drops ? this.#write(commit, kept) : undefined
  }

  #write({ bytes, clearEnd }: ParsedCommit, kept: readonly KeptRun[][]): Uint8Array | undefined {
    const out = this.#out
    out.reset()
    out.part(bytes, 0, clearEnd)
    out.buffer[COMMIT.clearLength] = out.buffer[COMMIT.clearLength]! | (COMPACTED >>> 24)
    writeKeptRuns(out, this.#table, bytes, kept)
    // Many small runs can cost more than what lies between them.
    return out.at < bytes.length ? out.bytes() : undefined
  }
}

/** Slices of a block come in order; neighbours are one run. */
function keep(runs: KeptRun[], slice: KeptRun): void {
  const last = runs[runs.length - 1]
  if (last && last.offset + last.size === slice.offset && last.at + last.size === slice.at) {
    runs[runs.length - 1] = { offset: last.offset, size: last.size + slice.size, at: last.at }
  } else runs.push(slice)
}
