/**
 * Segments as they are known in memory, the index of their records, and the walk over their frames.
 *
 * The index holds 8 bytes a record, in chunks, so that it grows without a pause. It is made by walking frames with
 * their CRC checked, so what it names was whole when it was read.
 */

import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import {
  checkFrameBody,
  decodeFrameHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  getU32,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './file-frame.ts'
import type { OpenFile } from './file-system.ts'

/** Bytes read in one call. */
export const WINDOW_BYTES: number = 8 * 1024 * 1024
/** The same where frames are only looked at: what was read is still in the processor's cache when it is checked. */
export const WALK_BYTES: number = 1024 * 1024
/** A frame is remembered as a place to start from at most every so many bytes. */
const MARK_BYTES = 64 * 1024
const CHUNK_RECORDS = 65_536

export function segmentName(number: number): string {
  return `seg-${String(number).padStart(6, '0')}.ate`
}

/** The number in a segment's name, undefined for any other name. */
export function segmentNumber(name: string): number | undefined {
  const match = /^seg-(\d{6,15})\.ate$/.exec(name)
  const number = match ? Number(match[1]) : -1
  return segmentName(number) === name ? number : undefined
}

/** The number of the segment behind it. */
export function numberBehind({ number, span }: SegmentHeader): number {
  return number + span
}

/** A place between frames: everything before it in the segment is known. */
export interface Position {
  readonly offset: number
  readonly nextSeq: number
  readonly writerEpoch: number
}

export interface Segment {
  readonly name: string
  readonly header: SegmentHeader
  /** End of the last good frame that is known, seal included. */
  endOffset: number
  /** Seq after the last record that is known. */
  nextSeq: number
  sealed: boolean
  /** How far its frames were walked and indexed. */
  walked: Position
  /** Frames to start a walk from: seqs and offsets, ascending. */
  readonly markSeqs: number[]
  readonly markOffsets: number[]
}

export function newSegment(header: SegmentHeader): Segment {
  const { number, firstSeq, writerEpoch } = header
  return {
    name: segmentName(number),
    header,
    endOffset: SEGMENT_HEADER_BYTES,
    nextSeq: firstSeq,
    sealed: false,
    walked: { offset: SEGMENT_HEADER_BYTES, nextSeq: firstSeq, writerEpoch },
    markSeqs: [],
    markOffsets: [],
  }
}

/**
 * Offset and length of the bytes of each record within its segment. Offset 0: not indexed. A chunk begins small, so
 * that a thousand small logs are cheap, and is at most 512 KiB, so that growing never pauses for long.
 */
export class RecordIndex {
  readonly #chunks = new Map<number, Uint32Array>()

  set(seq: number, offset: number, length: number): void {
    const key = Math.floor(seq / CHUNK_RECORDS)
    const at = 2 * (seq % CHUNK_RECORDS)
    let chunk = this.#chunks.get(key)
    if (!chunk || at >= chunk.length) {
      const grown = new Uint32Array(Math.min(2 * CHUNK_RECORDS, Math.max(256, 2 * at)))
      if (chunk) grown.set(chunk)
      chunk = grown
      this.#chunks.set(key, chunk)
    }
    chunk[at] = offset
    chunk[at + 1] = length
  }

  /** Records `from` to `to` - 1 stand elsewhere now. */
  forget(from: number, to: number): void {
    for (let seq = from; seq < to; seq++) if (this.offset(seq) !== 0) this.set(seq, 0, 0)
  }

  offset(seq: number): number {
    return this.#chunks.get(Math.floor(seq / CHUNK_RECORDS))?.[2 * (seq % CHUNK_RECORDS)] ?? 0
  }

  length(seq: number): number {
    return this.#chunks.get(Math.floor(seq / CHUNK_RECORDS))?.[2 * (seq % CHUNK_RECORDS) + 1] ?? 0
  }
}

/** Takes a good frame at `offset` of the segment into the index, if it is the next one that the index lacks. */
export function indexFrame(
  segment: Segment,
  index: RecordIndex,
  frame: { readonly header: FrameHeader; readonly offset: number; readonly window: Uint8Array; readonly at: number },
): void {
  const { header, offset, window } = frame
  if (offset !== segment.walked.offset) return
  let at = frame.at + FRAME_HEADER_BYTES
  const toOffset = offset - frame.at
  for (let i = 0; i < header.count; i++) {
    const length = getU32(window, at)
    index.set(header.firstSeq + i, toOffset + at + RECORD_HEADER_BYTES, length)
    at += RECORD_HEADER_BYTES + length
  }
  const end = offset + FRAME_HEADER_BYTES + header.bodyBytes
  advance(segment, header, offset, end)
}

/** Moves the known end of the segment past a frame that was walked or written. */
export function advance(segment: Segment, header: FrameHeader, offset: number, end: number): void {
  const last = segment.markOffsets.at(-1)
  if (header.kind === 'data' && (last === undefined || offset - last >= MARK_BYTES)) {
    segment.markSeqs.push(header.firstSeq)
    segment.markOffsets.push(offset)
  }
  const nextSeq = header.firstSeq + header.count
  segment.walked = { offset: end, nextSeq, writerEpoch: header.writerEpoch }
  if (end <= segment.endOffset) return
  segment.endOffset = end
  segment.nextSeq = nextSeq
  if (header.kind === 'seal') segment.sealed = true
}

/** The nearest place at or before `seq` from which the segment can be walked. */
export function startFor(segment: Segment, seq: number): Position {
  if (seq >= segment.walked.nextSeq) return segment.walked
  let low = 0
  let high = segment.markSeqs.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segment.markSeqs[middle]! <= seq) low = middle + 1
    else high = middle
  }
  const { header } = segment
  if (low === 0) return { offset: SEGMENT_HEADER_BYTES, nextSeq: header.firstSeq, writerEpoch: header.writerEpoch }
  return { offset: segment.markOffsets[low - 1]!, nextSeq: segment.markSeqs[low - 1]!, writerEpoch: header.writerEpoch }
}

/**
 * Walks the frames of a segment forward through a window of big reads. It stops at the first frame that is not whole,
 * not of this segment, out of sequence, or of an older writer than the one before (stale bytes after a cut).
 */
export class FrameWalk {
  readonly #file: OpenFile
  readonly #nonce: Uint8Array
  readonly #crc: Crc32
  readonly #end: number
  readonly #readBytes: number
  #position: Position
  #window: Uint8Array = new Uint8Array(0)
  #windowOffset = 0
  #windowSize = 0

  constructor(
    file: OpenFile,
    segment: Segment,
    from: Position,
    crc: Crc32,
    options: { readonly end?: number; readonly readBytes?: number } = {},
  ) {
    this.#file = file
    this.#nonce = segment.header.nonce
    this.#crc = crc
    this.#position = from
    this.#end = options.end ?? file.size()
    this.#readBytes = options.readBytes ?? WINDOW_BYTES
  }

  /** Where the next frame begins. */
  get position(): Position {
    return this.#position
  }

  /** The window and the place of the last frame in it; valid until next() reads on (see `holdsNext`). */
  get window(): Uint8Array {
    return this.#window
  }

  /** True if next() answers from the window, so that views into it stay as they are. */
  holdsNext(): boolean {
    const at = this.#position.offset - this.#windowOffset
    if (at < 0 || at + FRAME_HEADER_BYTES > this.#windowSize) return this.#position.offset >= this.#end
    return at + FRAME_HEADER_BYTES + getU32(this.#window, at + 4) <= this.#windowSize
  }

  /** The next good frame: its header, its offset in the file and in the window. Undefined where the walk stops. */
  next(): { readonly header: FrameHeader; readonly offset: number; readonly at: number } | undefined {
    const { offset, nextSeq, writerEpoch } = this.#position
    if (!this.#hold(offset, FRAME_HEADER_BYTES)) return undefined
    let at = offset - this.#windowOffset
    const header = decodeFrameHeader(this.#window, at, this.#nonce, this.#crc)
    if (!header || header.firstSeq !== nextSeq || header.writerEpoch < writerEpoch) return undefined
    if (header.durableCount > nextSeq) return undefined
    const size = FRAME_HEADER_BYTES + header.bodyBytes
    if (!this.#hold(offset, size)) return undefined
    at = offset - this.#windowOffset
    if (!checkFrameBody(this.#window, at, header, this.#crc)) return undefined
    this.#position = { offset: offset + size, nextSeq: nextSeq + header.count, writerEpoch: header.writerEpoch }
    return { header, offset, at }
  }

  /** True if `size` bytes from file offset `offset` stand in the window, reading on if need be. */
  #hold(offset: number, size: number): boolean {
    const at = offset - this.#windowOffset
    if (at >= 0 && at + size <= this.#windowSize) return true
    if (offset + size > this.#end) return false
    const wanted = Math.min(Math.max(size, this.#readBytes), this.#end - offset)
    if (this.#window.length < wanted) this.#window = new Uint8Array(wanted)
    this.#windowOffset = offset
    this.#windowSize = this.#file.read(this.#window.subarray(0, wanted), offset)
    return size <= this.#windowSize
  }
}
