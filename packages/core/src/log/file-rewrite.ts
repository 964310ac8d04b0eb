/**
 * A segment that is written anew, alone or merged with the sealed ones behind it: beside the old ones, with the same records,
 * seqs and hashes, and under the name of the first by a rename. What it stands for is whole at any moment.
 *
 * Order that matters: the new file is durable, and so is all that made bytes superfluous, before the first of the old ones
 * goes; and its name is durable before the others go, which it stands for from the rename on.
 */
import type { Clock, Randomness } from '../base/environment.ts'
import { randomBytes } from '../base/environment.ts'
import { throwIfAborted } from '../base/errors.ts'
import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type { Compaction, LogRecord } from './engine.ts'
import { damaged, diskError, errnoOf, isOutOfFiles } from './file-errors.ts'
import {
  encodeFrame,
  encodeSeal,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  frameBytes,
  getU32,
  MERGED_FORMAT,
  SEAL_BYTES,
  SEGMENT_FORMAT,
  type SegmentHeader,
} from './file-frame.ts'
import { writeWhole } from './file-manifest.ts'
import { type LogState, replaceSegments } from './file-recovery.ts'
import { advance, FrameWalk, newSegment, numberBehind, type Segment, segmentNumber, startFor } from './file-segment.ts'
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
  /** The file of that name is another one now, or gone. */
  readonly onReplaced: (name: string) => void
}

/** What becomes of the records; `settle` resolves when the old bytes may go. */
export type Rewriting = Pick<Compaction, 'rewrite' | 'settle' | 'pause' | 'signal'>

/** The records of a segment up to its known end, one by one; valid until the next one. Gives way now and then. */
export async function* recordsOf(
  { fs, crc, clock, check }: CompactParts,
  compaction: Pick<Rewriting, 'pause' | 'signal'>,
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

/** One segment, or sealed neighbours, on the way into a new file. */
export class SegmentRewrite {
  /** Records whose bytes are fewer now. */
  changed = 0
  readonly #parts: CompactParts
  readonly #rewriting: Rewriting
  readonly #old: readonly Segment[]
  readonly #header: SegmentHeader
  readonly #name: string
  readonly #new: Segment
  readonly #batch: LogRecord[] = []
  #batchBytes = 0
  #unsynced = 0
  /** Of each record: its place in the new file. */
  readonly #offsets: number[] = []
  readonly #lengths: number[] = []
  #lastHash: Uint8Array

  /** `old`: one at least, one behind the other. */
  constructor(parts: CompactParts, rewriting: Rewriting, old: readonly Segment[]) {
    this.#parts = parts
    this.#rewriting = rewriting
    this.#old = old
    const first = old[0]!
    this.#name = first.name + COMPACTING
    const { number, firstSeq, label, before } = first.header
    const span = numberBehind(old[old.length - 1]!.header) - number
    const format = span > 1 ? MERGED_FORMAT : SEGMENT_FORMAT
    const nonce = randomBytes(parts.random, 16)
    const { writerEpoch } = parts.writer
    this.#header = { format, number, span, firstSeq, label, nonce, writerEpoch, before }
    this.#new = newSegment(this.#header)
    this.#lastHash = before
  }

  /** The new segment in the place of the old ones; undefined if the first of their files cannot be replaced now. */
  async run(): Promise<Segment | undefined> {
    const { fs } = this.#parts
    try {
      await this.#writeFile()
      await this.#rewriting.settle()
      this.#parts.check()
      throwIfAborted(this.#rewriting.signal)
      return await this.#replace()
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
      for (const segment of this.#old) await this.#copy(file, segment)
      await this.#writeBatch(file)
      this.#writeSeal(file)
      await file.sync()
    } finally {
      file.close()
    }
  }

  async #copy(file: OpenFile, segment: Segment): Promise<void> {
    for await (const record of recordsOf(this.#parts, this.#rewriting, segment)) {
      const rewritten = this.#rewriting.rewrite(record)
      if (rewritten) this.changed++
      this.#add(record, rewritten ?? record.bytes)
      if (this.#batchBytes >= FRAME_BYTES) await this.#writeBatch(file)
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

  async #replace(): Promise<Segment | undefined> {
    const { fs, state, writer, onReplaced } = this.#parts
    const [first] = this.#old
    writer.fence()
    // Before the rename: an open file keeps its name on some systems.
    for (const { name } of this.#old) onReplaced(name)
    try {
      fs.rename(this.#name, first!.name)
    } catch (error) {
      if (!IN_USE.has(errnoOf(error))) throw error
      removeIfThere(fs, this.#name)
      return undefined
    }
    const from = state.segments.indexOf(first!)
    replaceSegments(state, { from, to: from + this.#old.length }, this.#new)
    const { firstSeq } = this.#header
    for (let i = 0; i < this.#offsets.length; i++) state.index.set(firstSeq + i, this.#offsets[i]!, this.#lengths[i]!)
    // Of one alone it does not matter whether the new name is durable: under the old one stands the same.
    if (this.#old.length > 1) await this.#removeOthers()
    return this.#new
  }

  /** Steps of their own: the log is whole between them, and what is left where one does not come about goes later. */
  async #removeOthers(): Promise<void> {
    const { fs, state, writer, clock } = this.#parts
    await this.#giveWay()
    const names = mergedFiles(fs, state.segments)
    try {
      fs.syncFolder('')
    } catch (error) {
      throw isOutOfFiles(error) ? error : writer.poison(error)
    }
    let began = clock.monotonic()
    for (const name of names) {
      removeUnlessInUse(fs, name)
      if (clock.monotonic() - began < STEP_MS) continue
      await this.#giveWay()
      began = clock.monotonic()
    }
  }

  async #giveWay(): Promise<void> {
    await this.#rewriting.pause()
    this.#parts.check()
    this.#parts.writer.fence()
  }
}

/** What a crash has left of a merge: files of segments that another one stands for. Errors are those of the file system. */
export function removeMerged(fs: FileSystem, segments: readonly Segment[]): void {
  const names = mergedFiles(fs, segments)
  if (names.length === 0) return
  // The new name before the old ones go: a process that died may have left it where a power cut undoes it.
  fs.syncFolder('')
  for (const name of names) removeUnlessInUse(fs, name)
}

function mergedFiles(fs: FileSystem, segments: readonly Segment[]): string[] {
  return fs.list('').filter((name) => isMerged(segmentNumber(name), segments))
}

function isMerged(number: number | undefined, segments: readonly Segment[]): boolean {
  return number !== undefined && segments.some(({ header }) => header.number < number && number < numberBehind(header))
}

/** One that another process holds open, where that matters, stays until the next time. */
function removeUnlessInUse(fs: FileSystem, name: string): void {
  try {
    fs.remove(name)
  } catch (error) {
    if (!IN_USE.has(errnoOf(error))) throw error
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
