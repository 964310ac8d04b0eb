/**
 * What stands in the folder of a damaged log, read without its MANIFEST having to be whole: runs of good frames, and what
 * lies between them. Nothing is judged or changed here; whether records are what they claim is for who verifies them.
 */
import { equalBytes, toHex } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type { LogRecord } from './engine.ts'
import { diskError, errnoOf } from './file-errors.ts'
import {
  decodeSegmentHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  getU32,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './file-frame.ts'
import { MANIFEST, type Manifest, openManifest, readManifest } from './file-manifest.ts'
import { laterFrames, listFolder } from './file-recovery.ts'
import { FileRing } from './file-ring.ts'
import {
  FrameWalk,
  newSegment,
  numberBehind,
  type Position,
  type Segment,
  segmentName,
  segmentNumber,
} from './file-segment.ts'
import type { FileSystem, OpenFile } from './file-system.ts'

/** Records `firstSeq` to `lastSeq` that stand in good frames, one behind the other, from `offset` on. */
export interface GoodRun {
  readonly segment: string
  readonly offset: number
  readonly firstSeq: number
  readonly lastSeq: number
}

/** Bytes that are no good frames; the seqs that stood there, as far as its neighbours tell. */
export interface BadPlace {
  readonly segment: string
  readonly offset: number
  readonly what: string
  readonly firstSeq?: number
  readonly lastSeq?: number
}

export interface Survey {
  /** Undefined if MANIFEST is not whole. */
  readonly manifest: Manifest | undefined
  readonly label: Uint8Array | undefined
  /** In the order of the segments. */
  readonly runs: readonly GoodRun[]
  readonly problems: readonly BadPlace[]
  /** The highest seq that anything in the folder says was stored; -1 for none. */
  readonly lastSeq: number
}

interface Findings {
  /** Those that can be trusted. */
  readonly headers: SegmentHeader[]
  readonly runs: GoodRun[]
  readonly problems: BadPlace[]
  label: Uint8Array | undefined
  lastSeq: number
}

/** @throws AteError CHAIN_NOT_FOUND | UNSUPPORTED_FORMAT | IO_ERROR (of the folder itself) */
export function surveyLog(fs: FileSystem, crc: Crc32): Survey {
  const names = diskCall('list', () => listFolder(fs)) ?? []
  const numbers = names.map(segmentNumber).filter((number) => number !== undefined)
  if (numbers.length === 0 && !names.includes(MANIFEST)) throw new AteError('CHAIN_NOT_FOUND')
  const found: Findings = { headers: [], runs: [], problems: [], label: undefined, lastSeq: -1 }
  const manifest = tryManifest(fs, crc, found.problems)
  if (manifest) found.lastSeq = manifest.durableCount - 1
  if (manifest && manifest.durableCount > 0) found.label = manifest.label
  let wholeBelow = 0
  for (const number of numbers.sort((a, b) => a - b)) {
    // What a merge has left of the others says no more than a whole one that stands for them.
    if (number < wholeBelow) continue
    if (surveySegment(fs, number, crc, found)) wholeBelow = numberBehind(found.headers.at(-1)!)
  }
  reportMissing(numbers, manifest, found)
  const { headers: _, ...rest } = found
  return { manifest, ...rest }
}

function tryManifest(fs: FileSystem, crc: Crc32, problems: BadPlace[]): Manifest | undefined {
  try {
    const file = openManifest(fs, 'read')
    if (!file) throw new AteError('DAMAGED', { what: 'the file is missing' })
    try {
      return readManifest(file, crc)
    } finally {
      file.close()
    }
  } catch (error) {
    if (isAteError(error) && error.code !== 'DAMAGED') throw error
    const what = isAteError(error) ? String(error.facts['what'] ?? 'no slot is whole') : unreadable(error)
    problems.push({ segment: MANIFEST, offset: 0, what })
    return undefined
  }
}

function reportMissing(
  numbers: readonly number[],
  manifest: Manifest | undefined,
  { headers, problems }: Findings,
): void {
  const isMerged = (number: number): boolean =>
    headers.some((header) => header.number < number && number < numberBehind(header))
  const listed = manifest ? manifest.firstSegment + manifest.segmentCount : 0
  const last = Math.max(listed - 1, numbers.at(-1) ?? -1)
  for (let number = manifest?.firstSegment ?? 0; number <= last; number++) {
    if (!numbers.includes(number) && !isMerged(number))
      problems.push({ segment: segmentName(number), offset: 0, what: 'the file is missing' })
  }
}

/** True if all of it is good, up to its seal. */
function surveySegment(fs: FileSystem, number: number, crc: Crc32, found: Findings): boolean {
  const name = segmentName(number)
  let file: OpenFile | undefined
  try {
    file = fs.open(name, 'read')
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
    const header = decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)), crc)
    if (header === 'newer') throw new AteError('UNSUPPORTED_FORMAT', { file: name })
    // What crashed in a rotation has no frame, and perhaps no header.
    if (!header && file.size() <= SEGMENT_HEADER_BYTES) return false
    if (!header) found.problems.push({ segment: name, offset: 0, what: 'both copies of the header are bad' })
    else if (header.number !== number)
      found.problems.push({ segment: name, offset: 0, what: `the header is that of segment ${header.number}` })
    else if (found.label && !equalBytes(found.label, header.label))
      found.problems.push({
        segment: name,
        offset: 0,
        what: `the segment belongs to another log, ${toHex(header.label)}`,
      })
    else {
      found.label ??= header.label
      found.lastSeq = Math.max(found.lastSeq, header.firstSeq - 1)
      found.headers.push(header)
      return surveyFrames(file, newSegment(header), crc, found)
    }
  } catch (error) {
    if (isAteError(error)) throw error
    found.problems.push({ segment: name, offset: 0, what: unreadable(error) })
  } finally {
    file?.close()
  }
  return false
}

/** True if nothing but good frames stands there, the seal last. */
function surveyFrames(file: OpenFile, segment: Segment, crc: Crc32, found: Findings): boolean {
  const size = file.size()
  const before = found.problems.length
  let at: Position | undefined = segment.walked
  while (at) {
    const walk: FrameWalk = new FrameWalk(file, segment, at, crc, { end: size })
    let isSealed = false
    for (let frame = walk.next(); frame; frame = walk.next()) {
      isSealed = frame.header.kind === 'seal'
      found.lastSeq = Math.max(found.lastSeq, lastOf(frame.header))
    }
    const end = walk.position
    if (end.nextSeq > at.nextSeq)
      found.runs.push({ segment: segment.name, offset: at.offset, firstSeq: at.nextSeq, lastSeq: end.nextSeq - 1 })
    if (end.offset >= size || isSealed) return isSealed && found.problems.length === before
    at = passDamage(file, { segment, end, size }, crc, found)
  }
  return false
}

/** Notes the bad bytes from `end` on, and gives the next frame whose header is whole; zeros to the end are no damage. */
function passDamage(
  file: OpenFile,
  { segment, end, size }: { readonly segment: Segment; readonly end: Position; readonly size: number },
  crc: Crc32,
  found: Findings,
): Position | undefined {
  let next: Position | undefined
  const visit = (header: FrameHeader, offset: number): 'on' | 'stop' => {
    found.lastSeq = Math.max(found.lastSeq, lastOf(header))
    if (offset === end.offset || header.firstSeq < end.nextSeq) return 'on'
    next = { offset, nextSeq: header.firstSeq, writerEpoch: header.writerEpoch }
    return 'stop'
  }
  const last = laterFrames(file, { segment, from: end.offset, to: size }, crc, visit)
  if (last <= end.offset && !next) return undefined
  const { offset, nextSeq: firstSeq } = end
  const known = next && next.nextSeq > firstSeq ? { firstSeq, lastSeq: next.nextSeq - 1 } : next ? {} : { firstSeq }
  found.problems.push({ segment: segment.name, offset, what: 'no whole frame', ...known })
  return next
}

/** The seq that a frame ends with, or that it says was durable, whichever is higher. */
function lastOf({ firstSeq, count, durableCount }: FrameHeader): number {
  return Math.max(firstSeq + count, durableCount) - 1
}

/** The records of the runs from seq 0 on, one behind the other, as far as they go; bytes are valid until the next chunk. */
export async function* salvagedRecords(
  fs: FileSystem,
  { runs }: Survey,
  crc: Crc32,
): AsyncGenerator<readonly LogRecord[], void, undefined> {
  let seq = 0
  for (;;) {
    // Of one that is damaged, the files that were merged into it may have what it lacks.
    const run = runs.find(({ firstSeq, lastSeq }) => firstSeq <= seq && seq <= lastSeq)
    if (!run) return
    const file = diskCall(run.segment, () => fs.open(run.segment, 'read'))
    try {
      for (const records of diskFrames(file, run, crc)) {
        const chunk = records.filter((record) => record.seq >= seq)
        if (chunk.length > 0) yield chunk
      }
    } finally {
      file.close()
    }
    seq = run.lastSeq + 1
  }
}

/** One frame a chunk. */
function* diskFrames(file: OpenFile, run: GoodRun, crc: Crc32): Generator<readonly LogRecord[], void, undefined> {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
  const header = diskCall(run.segment, () => decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)), crc))
  if (!header || header === 'newer') throw new AteError('DAMAGED', { segment: run.segment, offset: 0 })
  const from = { offset: run.offset, nextSeq: run.firstSeq, writerEpoch: 0 }
  const walk = new FrameWalk(file, newSegment(header), from, crc)
  while (walk.position.nextSeq <= run.lastSeq) {
    const frame = diskCall(run.segment, () => walk.next())
    if (!frame) throw new AteError('DAMAGED', { segment: run.segment, offset: walk.position.offset })
    yield recordsOf(walk.window, frame.at, frame.header)
  }
}

function recordsOf(window: Uint8Array, frameAt: number, { firstSeq, count }: FrameHeader): LogRecord[] {
  const records: LogRecord[] = []
  let at = frameAt + FRAME_HEADER_BYTES
  for (let i = 0; i < count; i++) {
    const bytesAt = at + RECORD_HEADER_BYTES
    const end = bytesAt + getU32(window, at)
    records.push({
      seq: firstSeq + i,
      hash: window.subarray(bytesAt - 32, bytesAt),
      bytes: window.subarray(bytesAt, end),
    })
    at = end
  }
  return records
}

/** The ring of a folder whose log cannot be opened, for reading. */
export function salvagedRing(fs: FileSystem, crc: Crc32): Pick<FileRing, 'names' | 'get' | 'unnamed' | 'close'> {
  return FileRing.forReading({ fs, crc, check: () => undefined, poison: (error) => diskError(error, { step: 'ring' }) })
}

function unreadable(error: unknown): string {
  return `the disk does not give it: ${errnoOf(error) ?? String(error)}`
}

function diskCall<T>(what: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw diskError(error, { segment: what })
  }
}
