/**
 * Reading a file log: whole frames in order with their CRC checked each time, parts of records by the index, and the
 * scrub, which looks at every byte again and goes on after a problem.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type { LogProblem, LogRecord } from './engine.ts'
import { damaged, diskError } from './file-errors.ts'
import {
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  getU32,
  SEGMENT_HEADER_BYTES,
} from './file-frame.ts'
import { MANIFEST, readSlots, SLOT_BYTES } from './file-manifest.ts'
import { countOf, type LogState, laterFrames, openIfThere, takeMerged, takeReplaced } from './file-recovery.ts'
import {
  FrameWalk,
  indexFrame,
  numberBehind,
  type Position,
  type Segment,
  startFor,
  WALK_BYTES,
  WINDOW_BYTES,
} from './file-segment.ts'
import type { FileSystem, OpenFile } from './file-system.ts'

/** Bytes that are read in one call even for a chunk of a few: most records fit, and a syscall costs as much. */
const READ_BYTES_MIN: number = 64 * 1024
/** The same where all of it is looked at: what was read is still in the processor's cache when it is checked. */
const SCAN_BYTES: number = 4 * 1024 * 1024
/** Files held open for readPart. */
const HANDLES_MAX = 16

interface OpenSegment {
  readonly file: OpenFile
  readonly segment: Segment
}

export class FileReader {
  readonly #fs: FileSystem
  readonly #crc: Crc32
  readonly #state: LogState
  /** By name, least recently used first. */
  readonly #handles = new Map<string, OpenSegment>()

  constructor(fs: FileSystem, state: LogState, crc: Crc32) {
    this.#fs = fs
    this.#state = state
    this.#crc = crc
  }

  async *read(
    from: number,
    options: { readonly chunkBytes: number; readonly signal: AbortSignal | undefined; readonly check: () => void },
  ): AsyncGenerator<readonly LogRecord[], void, undefined> {
    let seq = from
    while (seq < countOf(this.#state)) {
      const { file, segment } = this.#open(this.#segmentOf(seq))
      try {
        for (const chunk of this.#walk(file, segment, seq, options.chunkBytes)) {
          options.check()
          throwIfAborted(options.signal)
          yield chunk
          seq = chunk.at(-1)!.seq + 1
        }
      } finally {
        file.close()
      }
    }
  }

  /** The records of one segment from `from` to its known end, as views into the walk's window. */
  *#walk(file: OpenFile, segment: Segment, from: number, chunkBytes: number): Generator<LogRecord[], void, undefined> {
    const end = segment.endOffset
    // Who asks for little at a time (one record, say) does not wait for a whole window.
    const readBytes = Math.min(WINDOW_BYTES, Math.max(READ_BYTES_MIN, chunkBytes))
    const walk = new FrameWalk(file, segment, startFor(segment, from), this.#crc, { end, readBytes })
    let chunk: LogRecord[] = []
    let chunkSize = 0
    for (let frame = this.#next(walk, segment); frame; frame = this.#next(walk, segment)) {
      const window = walk.window
      indexFrame(segment, this.#state.index, { ...frame, window })
      let at = frame.at + FRAME_HEADER_BYTES
      for (let seq = frame.header.firstSeq; seq < frame.header.firstSeq + frame.header.count; seq++) {
        const bytesAt = at + RECORD_HEADER_BYTES
        const length = getU32(window, at)
        at = bytesAt + length
        if (seq < from) continue
        if (chunk.length > 0 && chunkSize + length > chunkBytes) {
          yield chunk
          chunk = []
          chunkSize = 0
        }
        chunk.push({ seq, hash: window.subarray(bytesAt - 32, bytesAt), bytes: window.subarray(bytesAt, at) })
        chunkSize += length
      }
      if (chunk.length > 0 && !walk.holdsNext()) {
        yield chunk
        chunk = []
        chunkSize = 0
      }
    }
    if (chunk.length > 0) yield chunk
    if (walk.position.offset < end) throw this.#damage(file, segment, walk.position)
  }

  #next(walk: FrameWalk, segment: Segment): ReturnType<FrameWalk['next']> {
    return this.#io(segment, () => walk.next())
  }

  #io<T>(segment: Segment, call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw diskError(error, { segment: segment.name })
    }
  }

  #damage(file: OpenFile, segment: Segment, at: Position): AteError {
    const { lastSeq } = this.#problem(file, segment, at, segment).problem
    return damaged({ segment: segment.name, offset: at.offset, firstSeq: at.nextSeq, lastSeq })
  }

  /** Synchronous: the index of a segment that was not read yet is made on the way. */
  readPart(seq: number, offset: number, size: number, out?: Uint8Array): Uint8Array {
    const place = this.#place(seq)
    if (!place || offset < 0 || size < 0 || offset + size > place.length)
      throw new AteError('NOT_FOUND', { seq, offset, size })
    const { segment, file } = place
    const bytes = out?.subarray(0, size) ?? new Uint8Array(size)
    const read = this.#io(segment, () => file.read(bytes, place.offset + offset))
    if (read < size) throw damaged({ segment: segment.name, offset: place.offset, firstSeq: seq, lastSeq: seq })
    return bytes
  }

  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    const place = this.#place(seq)
    return place && { segment: place.segment.name, offset: place.offset }
  }

  #place(
    seq: number,
  ):
    | { readonly segment: Segment; readonly file: OpenFile; readonly offset: number; readonly length: number }
    | undefined {
    const { index, segments } = this.#state
    const firstSeq = segments[0]?.header.firstSeq ?? 0
    if (!Number.isSafeInteger(seq) || seq < firstSeq || seq >= countOf(this.#state)) return undefined
    const { segment, file } = this.#handle(this.#segmentOf(seq))
    if (index.offset(seq) === 0) this.#indexUpTo(file, segment, seq)
    if (index.offset(seq) === 0) throw damaged({ segment: segment.name, offset: 0, firstSeq: seq, lastSeq: seq })
    return { segment, file, offset: index.offset(seq), length: index.length(seq) }
  }

  /** Walks on in a segment that was not read yet, over what is damaged: that stays out of the index. */
  #indexUpTo(file: OpenFile, segment: Segment, seq: number): void {
    while (segment.walked.nextSeq <= seq) {
      const walk = new FrameWalk(file, segment, segment.walked, this.#crc, {
        end: segment.endOffset,
        readBytes: WALK_BYTES,
      })
      for (let frame = this.#next(walk, segment); frame; frame = this.#next(walk, segment)) {
        indexFrame(segment, this.#state.index, { ...frame, window: walk.window })
        // All that was read is taken in: the next record asked for is mostly the next in the log.
        if (segment.walked.nextSeq > seq && !walk.holdsNext()) return
      }
      if (segment.walked.nextSeq > seq) return
      const { next } = this.#problem(file, segment, walk.position, segment)
      if (!next) throw this.#damage(file, segment, walk.position)
      segment.walked = next
    }
  }

  #segmentOf(seq: number): Segment {
    const { segments } = this.#state
    let low = 0
    let high = segments.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (segments[middle]!.nextSeq <= seq) low = middle + 1
      else high = middle
    }
    const segment = segments[low]
    if (!segment || seq < segment.header.firstSeq) throw new AteError('NOT_FOUND', { seq })
    return segment
  }

  /**
   * The file that has the segment's name now: if another process has written it anew, with what is known of that one. If its
   * name is gone, the one that it was merged into.
   */
  #open(segment: Segment): OpenSegment {
    const file = this.#io(segment, () => openIfThere(this.#fs, segment.name))
    if (!file) return this.#openMerged(segment)
    try {
      const index = this.#state.segments.indexOf(segment)
      this.#io(segment, () => takeReplaced(file, this.#state, index, this.#crc))
      return { file, segment: this.#state.segments[index]! }
    } catch (error) {
      file.close()
      throw error
    }
  }

  #openMerged(segment: Segment): OpenSegment {
    const { number } = segment.header
    const merged = this.#io(segment, () => takeMerged(this.#fs, this.#state, number, this.#crc))
    // Else it is gone: the error of opening it.
    return merged
      ? this.#open(merged)
      : this.#io(segment, () => ({ file: this.#fs.open(segment.name, 'read'), segment }))
  }

  #handle(segment: Segment): OpenSegment {
    const held = this.#handles.get(segment.name)
    if (held?.segment === segment) {
      if (this.#handles.size > 1) {
        this.#handles.delete(segment.name)
        this.#handles.set(segment.name, held)
      }
      return held
    }
    this.release(segment.name)
    if (this.#handles.size >= HANDLES_MAX) this.release(this.#handles.keys().next().value!)
    const opened = this.#open(segment)
    // One that it was merged into stands for others too, which nobody will ask for by their names.
    for (const [name, other] of this.#handles) if (!this.#state.segments.includes(other.segment)) this.release(name)
    this.#handles.set(opened.segment.name, opened)
    return opened
  }

  /** Closes the file that is held of that name. */
  release(name: string): void {
    this.#handles.get(name)?.file.close()
    this.#handles.delete(name)
  }

  /** Problems of every byte up to the known end, from a fresh handle; and how far it has come; and the records up to the first that is lost. */
  async *scan(options: {
    readonly pause: () => Promise<void>
    readonly signal: AbortSignal | undefined
  }): AsyncGenerator<LogProblem | number | readonly LogRecord[], void, undefined> {
    yield* this.#scanManifest()
    const { segments } = this.#state
    const passed = { nextSeq: segments[0]?.header.firstSeq ?? 0 }
    // By number: the segments behind this one may be merged meanwhile, with this one too.
    for (let number = 0; ; ) {
      const known = segments.find(({ header }) => numberBehind(header) > number)
      if (!known) return
      const opened = this.#openToScan(known)
      if ('code' in opened) {
        yield opened
        number = numberBehind(known.header)
        continue
      }
      const { file, segment } = opened
      const before = this.#bytesBefore(segment)
      try {
        for (const step of this.#scanSegment(file, segment, passed)) {
          throwIfAborted(options.signal)
          yield typeof step === 'number' ? before + step : step
          if (typeof step === 'number') await options.pause()
        }
      } catch (error) {
        yield unreadable(error, segment)
      } finally {
        file.close()
      }
      yield before + segment.endOffset
      number = numberBehind(segment.header)
    }
  }

  #openToScan(segment: Segment): OpenSegment | LogProblem {
    try {
      return this.#open(segment)
    } catch (error) {
      return unreadable(error, segment)
    }
  }

  #scanManifest(): LogProblem[] {
    const file = this.#fs.open(MANIFEST, 'read')
    try {
      const slots = readSlots(file, this.#crc)
      return slots.flatMap((slot, index) =>
        slot ? [] : [noRecord(MANIFEST, index * SLOT_BYTES, countOf(this.#state))],
      )
    } finally {
      file.close()
    }
  }

  /** Yields problems, offsets as it goes on, and records as long as none is lost: `passed.nextSeq` is the next one. */
  *#scanSegment(
    file: OpenFile,
    segment: Segment,
    passed: { nextSeq: number },
  ): Generator<LogProblem | number | LogRecord[], void, undefined> {
    const end = segment.endOffset
    const nextSeq = segment.nextSeq
    if (!this.#headerIsWhole(file, segment)) yield noRecord(segment.name, 0, segment.header.firstSeq)
    const { firstSeq, writerEpoch } = segment.header
    let from: Position | undefined = { offset: SEGMENT_HEADER_BYTES, nextSeq: firstSeq, writerEpoch }
    while (from && from.offset < end) {
      const walk = new FrameWalk(file, segment, from, this.#crc, { end, readBytes: SCAN_BYTES })
      let reported = from.offset
      let chunk: LogRecord[] = []
      for (let frame = this.#next(walk, segment); frame; frame = this.#next(walk, segment)) {
        const frameEnd = frame.header.firstSeq + frame.header.count
        // Of one that others were merged into meanwhile, the first frames may have been passed, or a part of one.
        if (frame.header.firstSeq <= passed.nextSeq && passed.nextSeq < frameEnd) {
          takeRecords(chunk, walk.window, frame, passed.nextSeq)
          passed.nextSeq = frameEnd
        }
        // Views into the window: whoever takes them is done when the walk reads on.
        if (chunk.length > 0 && !walk.holdsNext()) {
          yield chunk
          chunk = []
        }
        if (walk.position.offset - reported < WINDOW_BYTES) continue
        reported = walk.position.offset
        yield reported
      }
      if (chunk.length > 0) yield chunk
      if (walk.position.offset >= end) break
      const found: { readonly problem: LogProblem; readonly next: Position | undefined } = this.#problem(
        file,
        segment,
        walk.position,
        { endOffset: end, nextSeq },
      )
      yield found.problem
      from = found.next
    }
  }

  #headerIsWhole(file: OpenFile, segment: Segment): boolean {
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
    const expected = encodeSegmentHeader(segment.header, this.#crc)
    return this.#io(segment, () => file.read(bytes, 0)) === bytes.length && equalBytes(bytes, expected)
  }

  /** What is lost at a bad frame, and the next frame whose header is whole. */
  #problem(
    file: OpenFile,
    segment: Segment,
    at: Position,
    limit: { readonly endOffset: number; readonly nextSeq: number },
  ): { readonly problem: LogProblem; readonly next: Position | undefined } {
    let next: Position | undefined
    const visit = (header: FrameHeader, offset: number): 'on' | 'stop' => {
      if (header.firstSeq < at.nextSeq) return 'on'
      next = { offset, nextSeq: header.firstSeq, writerEpoch: header.writerEpoch }
      return 'stop'
    }
    this.#io(segment, () => laterFrames(file, { segment, from: at.offset + 8, to: limit.endOffset }, this.#crc, visit))
    const lastSeq = (next ?? limit).nextSeq - 1
    return {
      problem: { code: 'DAMAGED', segment: segment.name, offset: at.offset, firstSeq: at.nextSeq, lastSeq },
      next,
    }
  }

  sizeBytes(): number {
    let bytes = 0
    for (const segment of this.#state.segments) bytes += segment.endOffset
    return bytes
  }

  #bytesBefore({ header }: Segment): number {
    let bytes = 0
    for (const segment of this.#state.segments) if (segment.header.number < header.number) bytes += segment.endOffset
    return bytes
  }

  close(): void {
    for (const name of [...this.#handles.keys()]) this.release(name)
  }
}

/** The records of a good frame from seq `from` on, as views of the window. */
function takeRecords(
  chunk: LogRecord[],
  window: Uint8Array,
  { header, at }: { readonly header: FrameHeader; readonly at: number },
  from: number,
): void {
  let next = at + FRAME_HEADER_BYTES
  for (let seq = header.firstSeq; seq < header.firstSeq + header.count; seq++) {
    const bytesAt = next + RECORD_HEADER_BYTES
    next = bytesAt + getU32(window, next)
    if (seq < from) continue
    chunk.push({
      seq,
      hash: window.subarray(bytesAt - 32, bytesAt),
      bytes: window.subarray(bytesAt, next),
    })
  }
}

/** What the disk does not give may be any record of the segment; other errors go through. */
function unreadable(error: unknown, segment: Segment): LogProblem {
  if (!isAteError(error) || (error.code !== 'IO_ERROR' && error.code !== 'DAMAGED')) throw error
  const { firstSeq } = segment.header
  return { code: 'DAMAGED', segment: segment.name, offset: 0, firstSeq, lastSeq: segment.nextSeq - 1 }
}

/** A problem that touches no record: its last seq is before its first. */
function noRecord(segment: string, offset: number, seq: number): LogProblem {
  return { code: 'DAMAGED', segment, offset, firstSeq: seq, lastSeq: seq - 1 }
}
