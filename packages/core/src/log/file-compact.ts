/**
 * Compaction of a file log: segments whose records need fewer bytes are written anew, and small neighbours are merged, so that a
 * log that is compacted again and again has no more files than its bytes ask for.
 *
 * Work goes in steps that give way to appends; only sealed segments are touched, so the writer and this never meet. How a
 * segment takes the place of others is in file-rewrite.ts.
 */
import { isRefusedWrite } from '../base/errors.ts'
import type { Compacted, Compaction } from './engine.ts'
import { SEAL_BYTES, SEGMENT_HEADER_BYTES } from './file-frame.ts'
import { runsToMerge } from './file-merge.ts'
import { countOf } from './file-recovery.ts'
import { type CompactParts, type Rewriting, recordsOf, SegmentRewrite } from './file-rewrite.ts'
import type { Segment } from './file-segment.ts'

/** A segment is written anew if that frees at least this many bytes, and this part of it. */
const FREED_BYTES_MIN = 4096
const FREED_PART_MIN = 1 / 16

interface Total {
  records: number
  bytesFreed: number
  inUse: number
}

/** @throws AteError DAMAGED | DISK_FULL | IO_ERROR | WRITER_FENCED | WRITER_POISONED. What is not done yet is as before. */
export async function compactFiles(parts: CompactParts, compaction: Compaction): Promise<Compacted> {
  const total: Total = { records: 0, bytesFreed: 0, inUse: 0 }
  await shrinkSegments(parts, compaction, total)
  try {
    await mergeSegments(parts, compaction, total)
  } catch (error) {
    // Nothing is lost by waiting for the next time, and what was asked for is done.
    if (!isRefusedWrite(error)) throw error
  }
  return total
}

async function shrinkSegments(parts: CompactParts, compaction: Compaction, total: Total): Promise<void> {
  const { state, writer } = parts
  const end = countOf(state)
  for (let i = 0; i < state.segments.length; i++) {
    const segment = state.segments[i]!
    if (segment.header.firstSeq >= end) break
    await compaction.begin(segment.header.firstSeq, segment.nextSeq)
    const reclaimable = await reclaimableBytes(parts, compaction, segment)
    if (reclaimable < Math.max(FREED_BYTES_MIN, segment.endOffset * FREED_PART_MIN)) continue
    if (!segment.sealed) {
      await writer.roll()
      // What came meanwhile is in it too.
      await compaction.begin(segment.header.firstSeq, segment.nextSeq)
    }
    await rewrite(parts, compaction, [segment], total)
  }
}

async function reclaimableBytes(parts: CompactParts, compaction: Compaction, segment: Segment): Promise<number> {
  let bytes = 0
  for await (const record of recordsOf(parts, compaction, segment)) bytes += compaction.reclaimable(record)
  return bytes
}

/** The newest segment is left alone, sealed or not: who reads beside the writer is there, and it is small only for now. */
async function mergeSegments(parts: CompactParts, compaction: Compaction, total: Total): Promise<void> {
  const { state, writer } = parts
  const around = SEGMENT_HEADER_BYTES + SEAL_BYTES
  const sealed = state.segments.slice(0, -1)
  const sizes = sealed.map(({ endOffset }) => endOffset - around)
  const copying: Rewriting = {
    rewrite: () => undefined,
    // What is sealed is durable, and nothing of it goes.
    settle: () => Promise.resolve(),
    pause: () => compaction.pause(),
    signal: compaction.signal,
  }
  for (const { from, to } of runsToMerge(sizes, writer.segmentBytes - around))
    await rewrite(parts, copying, sealed.slice(from, to), total)
}

async function rewrite(
  parts: CompactParts,
  rewriting: Rewriting,
  segments: readonly Segment[],
  total: Total,
): Promise<void> {
  const before = segments.reduce((bytes, { endOffset }) => bytes + endOffset, 0)
  const rewrite = new SegmentRewrite(parts, rewriting, segments)
  const replaced = await rewrite.run()
  if (!replaced) total.inUse++
  else {
    total.records += rewrite.changed
    total.bytesFreed += before - replaced.endOffset
  }
}
