/**
 * What a writer does at open before it appends, under the lock. Each step may be interrupted and is done again:
 * a torn tail is kept in quarantine/, then cut; what no mark calls durable is written again and synced.
 *
 * Written again, because after a sync that failed the page cache shows bytes that the disk lacks, and a later sync
 * says nothing about them (fsyncgate): only bytes that are dirty are written.
 */

import { RECORD_HEADER_BYTES } from './batch.ts'
import { errnoOf } from './file-errors.ts'
import { FRAME_HEADER_BYTES, SEAL_BYTES } from './file-frame.ts'
import { writeWhole } from './file-manifest.ts'
import type { LogState, TornTail } from './file-recovery.ts'
import type { Segment } from './file-segment.ts'
import type { FileSystem, OpenFile } from './file-system.ts'

export const QUARANTINE = 'quarantine'
const COPY_BYTES = 1024 * 1024

/** Removes segments that never held a frame. */
export function removeLeftovers(fs: FileSystem, names: readonly string[]): void {
  for (const name of names) fs.remove(name)
  if (names.length > 0) fs.syncFolder('')
}

/**
 * Keeps the bytes of a torn tail aside, then cuts them off. The name is the same until the writer epoch moves on, so
 * an interrupted cut overwrites its own copy and never an older one.
 */
export function cutTornTail(fs: FileSystem, torn: TornTail, writerEpoch: number): void {
  const from = fs.open(torn.segment.name, 'write')
  try {
    if (torn.end > torn.offset) {
      makeSyncedFolder(fs, QUARANTINE)
      const name = `${QUARANTINE}/${torn.segment.name}-${torn.offset}-epoch-${writerEpoch}.torn`
      const kept = openEmpty(fs, name)
      try {
        copy(from, kept, { from: torn.offset, to: torn.end, shift: torn.offset })
        kept.syncNow()
      } finally {
        kept.close()
      }
      fs.syncFolder(QUARANTINE)
    }
    from.truncate(torn.offset)
    from.syncNow()
  } finally {
    from.close()
  }
}

/** Makes everything that was read durable: from here on the log as recovered is the log. */
export function settle(fs: FileSystem, state: LogState): void {
  const segment = state.segments.at(-1)
  if (!segment) return
  const from = unsettledOffset(segment, state)
  if (from >= segment.endOffset) return
  const file = fs.open(segment.name, 'write')
  try {
    copy(file, file, { from, to: segment.endOffset, shift: 0 })
    file.syncNow()
  } finally {
    file.close()
  }
}

/** Where the first frame begins that no mark covers. Marks stand between frames. */
function unsettledOffset(segment: Segment, state: LogState): number {
  const seq = Math.max(state.markedCount, segment.header.firstSeq)
  if (seq < segment.nextSeq) return state.index.offset(seq) - RECORD_HEADER_BYTES - FRAME_HEADER_BYTES
  return segment.sealed ? segment.endOffset - SEAL_BYTES : segment.endOffset
}

export function makeSyncedFolder(fs: FileSystem, name: string): void {
  try {
    fs.makeFolder(name)
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
  }
  fs.syncFolder('')
}

function openEmpty(fs: FileSystem, name: string): OpenFile {
  try {
    return fs.open(name, 'create')
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error
    const file = fs.open(name, 'write')
    file.truncate(0)
    return file
  }
}

function copy(
  source: OpenFile,
  target: OpenFile,
  range: { readonly from: number; readonly to: number; readonly shift: number },
): void {
  const buffer = new Uint8Array(Math.min(COPY_BYTES, range.to - range.from))
  for (let at = range.from; at < range.to; ) {
    const size = source.read(buffer.subarray(0, Math.min(buffer.length, range.to - at)), at)
    if (size === 0) throw Object.assign(new Error('the file ended early'), { code: 'EIO' })
    writeWhole(target, [buffer.subarray(0, size)], at - range.shift)
    at += size
  }
}
