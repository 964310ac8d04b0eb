/**
 * Compaction of a log in IndexedDB: a few records are read, what shrinks is put back in one transaction, and appends get
 * their turn. Each record stands as it was or as it will be.
 */
import { throwIfAborted } from '../base/errors.ts'
import type { Compacted, Compaction, LogRecord } from '../log/engine.ts'

export interface CompactParts {
  /** Records from `from` on, `end` not included; their bytes stay as they are. */
  read(from: number, end: number, chunkBytes: number): Promise<readonly LogRecord[]>
  /** Stores them in place of those of the same seqs, which are `bytesFreed` larger together. */
  replace(records: readonly LogRecord[], bytesFreed: number): Promise<void>
}

/** Records of which the living are looked up at once. */
const RANGE_RECORDS = 16_384
/** Bytes of one step: some ms of work. */
const STEP_BYTES: number = 1024 * 1024

export async function compactRecords(
  compaction: Compaction,
  count: number,
  { read, replace }: CompactParts,
): Promise<Compacted> {
  let changed = 0
  let bytesFreed = 0
  for (let from = 0; from < count; from += RANGE_RECORDS) {
    const end = Math.min(count, from + RANGE_RECORDS)
    await compaction.begin(from, end)
    for (let seq = from; seq < end; ) {
      await compaction.settle()
      await compaction.pause()
      throwIfAborted(compaction.signal)
      const chunk = await read(seq, end, STEP_BYTES)
      const smaller = rewriteAll(chunk, compaction)
      const freed = smaller.reduce((sum, { seq: at, bytes }) => sum + chunk[at - seq]!.bytes.length - bytes.length, 0)
      if (smaller.length > 0) await replace(smaller, freed)
      bytesFreed += freed
      changed += smaller.length
      seq += chunk.length
    }
  }
  return { records: changed, bytesFreed, inUse: 0 }
}

function rewriteAll(chunk: readonly LogRecord[], compaction: Compaction): readonly LogRecord[] {
  const smaller: LogRecord[] = []
  for (const record of chunk) {
    const bytes = compaction.reclaimable(record) > 0 ? compaction.rewrite(record)?.slice() : undefined
    if (bytes) smaller.push({ ...record, bytes })
  }
  return smaller
}
