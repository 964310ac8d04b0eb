/**
 * Compaction of a file log: a segment whose records need fewer bytes is written anew beside the old one, with the same
 * records, seqs and hashes, and takes its name by a rename. Both are whole at any moment, so a crash leaves one of them.
 *
 * Order that matters: the new file is durable, and so is all that made bytes superfluous, before the old one goes. Work
 * goes in steps that give way to appends; only sealed segments are touched, so the writer and this never meet.
 */
import type { Clock, Randomness } from '../base/environment.ts'
import { randomBytes } from '../base/environment.ts'
import { throwIfAborted } from '../base/errors.ts'
import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type { Compacted, Compaction, LogRecord } from './engine.ts'
import { damaged, diskError, errnoOf } from './file-errors.ts'
import {
  encodeFrame,
  encodeSeal,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  frameBytes,
  getU32,
  SEAL_BYTES,
  SEGMENT_FORMAT,
  type SegmentHeader,
} from './file-frame.ts'
import { writeWhole } from './file-manifest.ts'
import { countOf, type LogState, replaceSegment } from './file-recovery.ts'
import { advance, FrameWalk, newSegment, type Segment, startFor } from './file-segment.ts'
import type { FileSystem, OpenFile } from './file-system.ts'
import { type FileWriter, removeIfThere } from './file-writer.ts'

/** Ends the name of a segment that is being written anew. */
export const COMPACTING = '.new'
/** Bytes read in one call, written in one frame, and written between two syncs: each bounds a pause of the writer. */
const READ_BYTES: number = 1024 * 1024
const FRAME_BYTES: number = 256 * 1024
const SYNC_BYTES: number = 4 * 1024 * 1024
/** Work between two looks at the clock, and how long it may take, in ms. */
const STEP_MS = 4
/** A segment is written anew if that frees at least this many bytes, and this part of it. */
const FREED_BYTES_MIN = 4096
const FREED_PART_MIN = 1 / 16
/** Another process holds the file open on a system where an open file keeps its name. */
const IN_USE: ReadonlySet<string | undefined> = new Set(['EPERM', 'EACCES', 'EBUSY'])

export interface CompactParts {
  readonly fs: FileSystem
  readonly crc: Crc32
  readonly random: Randomness
  readonly clock: Clock
  readonly state: LogState
  readonly writer: FileWriter
  /** Throws if the log was closed meanwhile. */
  readonly check: () => void
  /** The file of that name is another one now. */
  readonly onReplaced: (name: string) => void
}

/** @throws AteError DAMAGED | DISK_FULL | IO_ERROR | WRITER_FENCED | WRITER_POISONED. What is not done yet is as before. */
export async function compactFiles(parts: CompactParts, compaction: Compaction): Promise<Compacted> {
  const { state, writer } = parts
  const end = countOf(state)
  const total = { records: 0, bytesFreed: 0, inUse: 0 }
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
    const before = segment.endOffset
    const rewrite = new SegmentRewrite(parts, compaction, segment)
    const replaced = await rewrite.run(i)
    if (!replaced) total.inUse++
    else {
      total.records += rewrite.changed
      total.bytesFreed += before - replaced.endOffset
    }
  }
  return total
}

async function reclaimableBytes(parts: CompactParts, compaction: Compaction, segment: Segment): Promise<number> {
  let bytes = 0
  for await (const record of recordsOf(parts, compaction, segment)) bytes += compaction.reclaimable(record)
  return bytes
}

/** The records of a segment up to its known end, one by one; valid until the next one. Gives way now and then. */
async function* recordsOf(
  { fs, crc, clock, check }: CompactParts,
  compaction: Compaction,
  segment: Segment,
): AsyncGenerator<LogRecord, void, void> {
  const file = open(fs, segment.name, 'read')
  // A tail grows meanwhile: what comes now is not looked at.
  const { endOffset: end, nextSeq } = segment
  let began = clock.monotonic()
  try {
    const walk = new FrameWalk(file, segment, startFor(segment, segment.header.firstSeq), crc, {
      end,
      readBytes: READ_BYTES,
    })
    for (let frame = walk.next(); frame && frame.header.kind === 'data'; frame = walk.next()) {
      const { window } = walk
      let at = frame.at + FRAME_HEADER_BYTES
      for (let seq = frame.header.firstSeq; seq < frame.header.firstSeq + frame.header.count; seq++) {
        const from = at + RECORD_HEADER_BYTES
        at = from + getU32(window, at)
        yield { seq, hash: window.subarray(from - 32, from), bytes: window.subarray(from, at) }
        if (clock.monotonic() - began < STEP_MS) continue
        await compaction.pause()
        throwIfAborted(compaction.signal)
        check()
        began = clock.monotonic()
      }
    }
    if (walk.position.nextSeq < nextSeq)
      throw damaged({ segment: segment.name, offset: walk.position.offset, firstSeq: walk.position.nextSeq })
  } catch (error) {
    throw namedError(error, segment.name)
  } finally {
    file.close()
  }
}

/** One segment on its way into a new file. */
class SegmentRewrite {
  /** Records whose bytes are fewer now. */
  changed = 0
  readonly #parts: CompactParts
  readonly #compaction: Compaction
  readonly #old: Segment
  readonly #header: SegmentHeader
  readonly #name: string
  readonly #new: Segment
  readonly #batch: LogRecord[] = []
  #batchBytes = 0
  #unsynced = 0
  /** Of each record of the segment: its place in the new file. */
  readonly #offsets: number[] = []
  readonly #lengths: number[] = []
  #lastHash: Uint8Array

  constructor(parts: CompactParts, compaction: Compaction, old: Segment) {
    this.#parts = parts
    this.#compaction = compaction
    this.#old = old
    this.#name = old.name + COMPACTING
    const { number, firstSeq, label, before } = old.header
    const nonce = randomBytes(parts.random, 16)
    const { writerEpoch } = parts.writer
    this.#header = { format: SEGMENT_FORMAT, number, firstSeq, label, nonce, writerEpoch, before }
    this.#new = newSegment(this.#header)
    this.#lastHash = before
  }

  /** The new segment in the place of the old one; undefined if the old file cannot be replaced now. */
  async run(index: number): Promise<Segment | undefined> {
    const { fs } = this.#parts
    try {
      await this.#writeFile()
      await this.#compaction.settle()
      this.#parts.check()
      throwIfAborted(this.#compaction.signal)
      return this.#replace(index)
    } catch (error) {
      removeIfThere(fs, this.#name)
      throw namedError(error, this.#name)
    }
  }

  async #writeFile(): Promise<void> {
    const { fs, crc } = this.#parts
    removeIfThere(fs, this.#name)
    const file = open(fs, this.#name, 'create')
    try {
      writeWhole(file, [encodeSegmentHeader(this.#header, crc)], 0)
      for await (const record of recordsOf(this.#parts, this.#compaction, this.#old)) {
        const rewritten = this.#compaction.rewrite(record)
        if (rewritten) this.changed++
        this.#add(record, rewritten ?? record.bytes)
        if (this.#batchBytes >= FRAME_BYTES) await this.#writeBatch(file)
      }
      await this.#writeBatch(file)
      this.#writeSeal(file)
      await file.sync()
    } finally {
      file.close()
    }
  }

  /** Copies: what the walk and the compaction give is valid for a moment only. */
  #add({ seq, hash }: LogRecord, bytes: Uint8Array): void {
    this.#batch.push({ seq, hash: hash.slice(), bytes: bytes.slice() })
    this.#batchBytes += RECORD_HEADER_BYTES + bytes.length
  }

  async #writeBatch(file: OpenFile): Promise<void> {
    if (this.#batch.length === 0) return
    const segment = this.#new
    const offset = segment.endOffset
    const frame = new Uint8Array(frameBytes(this.#batchBytes))
    const header = encodeFrame(frame, this.#batch, this.#batchBytes, this.#mark(this.#batch[0]!.seq), this.#parts.crc)
    writeWhole(file, [frame], offset)
    let at = offset + FRAME_HEADER_BYTES
    for (const { bytes } of this.#batch) {
      at += RECORD_HEADER_BYTES
      this.#offsets.push(at)
      this.#lengths.push(bytes.length)
      at += bytes.length
    }
    advance(segment, header, offset, offset + frame.length)
    this.#lastHash = this.#batch[this.#batch.length - 1]!.hash
    this.#batch.length = 0
    this.#batchBytes = 0
    this.#unsynced += frame.length
    if (this.#unsynced < SYNC_BYTES) return
    this.#unsynced = 0
    await file.sync()
  }

  #writeSeal(file: OpenFile): void {
    const segment = this.#new
    const offset = segment.endOffset
    const records = segment.nextSeq - segment.header.firstSeq
    const seal = encodeSeal(
      { records, offset, hash: this.#lastHash },
      segment.nextSeq,
      this.#mark(segment.nextSeq),
      this.#parts.crc,
    )
    writeWhole(file, [seal], offset)
    segment.endOffset = offset + SEAL_BYTES
    segment.walked = { ...segment.walked, offset: segment.endOffset }
    segment.sealed = true
  }

  /** All that stands before a frame was durable long ago. */
  #mark(seq: number): Parameters<typeof encodeFrame>[3] {
    const { nonce, writerEpoch } = this.#header
    return { durableCount: seq, writerEpoch, nonce }
  }

  #replace(index: number): Segment | undefined {
    const { fs, state, writer, onReplaced } = this.#parts
    writer.fence()
    // Before the rename: an open file keeps its name on some systems.
    onReplaced(this.#old.name)
    try {
      fs.rename(this.#name, this.#old.name)
    } catch (error) {
      if (!IN_USE.has(errnoOf(error))) throw error
      removeIfThere(fs, this.#name)
      return undefined
    }
    replaceSegment(state, index, this.#new)
    const { firstSeq } = this.#header
    for (let i = 0; i < this.#offsets.length; i++) state.index.set(firstSeq + i, this.#offsets[i]!, this.#lengths[i]!)
    // Whether the new name is durable does not matter: under the old one stands the same.
    return this.#new
  }
}

/** Files that a crash left half written. */
export function removeUnfinished(fs: FileSystem, names: readonly string[]): void {
  const unfinished = names.filter((name) => /^seg-\d+\.ate\.new$/.test(name))
  for (const name of unfinished) removeIfThere(fs, name)
  if (unfinished.length > 0) fs.syncFolder('')
}

function open(fs: FileSystem, name: string, mode: 'read' | 'create'): OpenFile {
  try {
    return fs.open(name, mode)
  } catch (error) {
    throw namedError(error, name)
  }
}

/** Errors of the disk name the file; the reason of an abort stays what it is. */
function namedError(error: unknown, segment: string): unknown {
  return errnoOf(error) === undefined ? error : diskError(error, { segment })
}
