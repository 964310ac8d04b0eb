/**
 * Compaction of a log in memory, one slab after the other: its records are written into a new one, which takes its place in one
 * step; then what has become small stands together. Loaded when something is compacted.
 */
import { assert } from '../base/errors.ts'
import type { Compaction } from './engine.ts'
import { HASH_BYTES, type RecordSlabs, SLAB_BYTES, Slab } from './record-slabs.ts'

/** Records that are compacted before others get their turn. */
const STEP_RECORDS = 64

/** `check` throws when the log may not be written any more. What is done by then stays done. */
export async function compactSlabs(
  log: RecordSlabs,
  compaction: Compaction,
  check: () => void,
): Promise<{ readonly records: number; readonly bytesFreed: number }> {
  const end = log.size
  const done = { records: 0, bytesFreed: 0 }
  await compaction.begin(0, end)
  for (let index = 0; index < log.slabs.length && log.slabs[index]!.first < end; index++) {
    const { records, bytesFreed } = await compactSlab(log, index, { end, compaction, check })
    done.records += records
    done.bytesFreed += bytesFreed
  }
  if (done.records > 0) await join(log, compaction, check)
  return done
}

interface Step {
  readonly end: number
  readonly compaction: Compaction
  readonly check: () => void
}

/** Writes a slab anew if records of it are smaller then. */
async function compactSlab(
  log: RecordSlabs,
  index: number,
  { end, compaction, check }: Step,
): Promise<{ readonly records: number; readonly bytesFreed: number }> {
  const old = log.slabs[index]!
  let slab: Slab | undefined
  let records = 0
  for (let seq = old.first; seq < Math.min(end, old.end); seq++) {
    if (seq % STEP_RECORDS === 0 || seq === old.first) {
      await turn(compaction, check)
    }
    const record = old.record(seq)
    const bytes = compaction.reclaimable(record) > 0 ? compaction.rewrite(record) : undefined
    if (bytes) {
      slab ??= copyUpTo(old, seq)
      records++
    }
    slab?.push(record.hash, bytes ?? record.bytes)
  }
  if (!slab) return { records, bytesFreed: 0 }
  assert(log.slabs[index] === old, 'one compaction at a time')
  const bytesFreed = log.bytes
  // What was appended meanwhile; nothing is awaited from here on, or what comes between would be lost.
  copy(old, slab.end, old.end, slab)
  slab.close()
  log.generation++
  replace(log, index, 1, slab)
  return { records, bytesFreed: bytesFreed - log.bytes }
}

/** Neighbours that have room in one: else a large value that was dropped would leave a slab for what is left of its record. */
async function join(log: RecordSlabs, compaction: Compaction, check: () => void): Promise<void> {
  for (let index = 0; index + 1 < log.slabs.length; index++) {
    let count = 0
    let bytes = 0
    for (let next = log.slabs[index]; next && bytes + next.usedBytes <= SLAB_BYTES; next = log.slabs[index + count]) {
      bytes += next.usedBytes
      count++
    }
    if (count < 2) continue
    const slab = new Slab(log.slabs[index]!.first, bytes)
    for (const old of log.slabs.slice(index, index + count)) copy(old, old.first, old.end, slab)
    slab.close()
    replace(log, index, count, slab)
    await turn(compaction, check)
  }
}

/** `slab` holds the records of `count` of them from `index` on, in as many bytes or fewer. */
function replace(log: RecordSlabs, index: number, count: number, slab: Slab): void {
  for (const old of log.slabs.splice(index, count, slab)) {
    log.bytes -= recordBytes(old)
    old.room.retire()
  }
  log.bytes += recordBytes(slab)
}

/** Without their hashes. */
function recordBytes({ usedBytes, first, end }: Slab): number {
  return usedBytes - HASH_BYTES * (end - first)
}

/** Others have theirs; what they have ended meanwhile goes no further. */
async function turn(compaction: Compaction, check: () => void): Promise<void> {
  await compaction.pause()
  await compaction.settle()
  if (compaction.signal?.aborted) throw compaction.signal.reason
  check()
}

function copyUpTo(old: Slab, seq: number): Slab {
  const slab = new Slab(old.first, old.usedBytes)
  copy(old, old.first, seq, slab)
  return slab
}

function copy(from: Slab, seq: number, end: number, to: Slab): void {
  for (let at = seq; at < end; at++) {
    const { hash, bytes } = from.record(at)
    to.push(hash, bytes)
  }
}
