/**
 * What stands in a folder: segments checked, the tail walked, and a bad end judged.
 *
 * A bad frame is a torn tail only if nothing says that it was ever durable: not the manifest, not the durable mark of
 * the frames before it or of any later one with this nonce. Otherwise it is damage, an error that names the place.
 * Nothing is changed here: file-repair.ts cuts what is torn, under the lock.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { atOnce, type Steps } from '../base/steps.ts'
import type { Crc32 } from './crc32.ts'
import { damaged, errnoOf } from './file-errors.ts'
import {
  checkFrameBody,
  decodeFrameHeader,
  decodeSeal,
  decodeSegmentHeader,
  FRAME_HEADER_BYTES,
  type FrameHeader,
  NO_HASH,
  SEAL_BYTES,
  SEGMENT_HEADER_BYTES,
  type Seal,
  type SegmentHeader,
} from './file-frame.ts'
import { MANIFEST, type Manifest, readManifest } from './file-manifest.ts'
import {
  FrameWalk,
  indexFrame,
  newSegment,
  numberBehind,
  RecordIndex,
  type Segment,
  segmentName,
  WALK_BYTES,
  WINDOW_BYTES,
} from './file-segment.ts'
import type { FileSystem, OpenFile } from './file-system.ts'

const FRAME_MAGIC_BYTE = 0x41
/** So much of a segment is walked in one step: some 5 ms. */
const STEP_BYTES: number = 8 * 1024 * 1024
/** How often a reader looks again before it calls something damage. */
const LOOKS_MAX = 3

/** The log as far as it is known. */
export interface LogState {
  readonly segments: Segment[]
  readonly index: RecordIndex
  /** Hash of the newest record; zeros if there is none. */
  lastHash: Uint8Array
  /** Records that some mark on the disk says were durable. */
  markedCount: number
  /** Counts segments that compaction, here or in another process, has written anew. */
  generation: number
}

/** What stands after the last good frame of the tail: nothing but zeros, or bytes that a crash left. */
export interface TornTail {
  readonly segment: Segment
  readonly offset: number
  /** End of the bytes that are not zero; equal to `offset` if all are. */
  readonly end: number
}

export interface Inspection {
  readonly state: LogState
  readonly torn: TornTail | undefined
  /** Names of segments without any frame that a crash during rotation left behind. */
  readonly leftovers: readonly string[]
  /** What stands behind the good part, if damage is kept. */
  readonly damage: AteError | undefined
}

export function countOf(state: LogState): number {
  return state.segments.at(-1)?.nextSeq ?? 0
}

/** Numbers of segments from that of the first, `firstSegment`, on: what the manifest calls their count. */
export function numbersUsed(state: LogState, firstSegment: number): number {
  const last = state.segments.at(-1)
  return last ? numberBehind(last.header) - firstSegment : 0
}

/**
 * Reads what stands in the folder. Sealed segments are checked at both ends and walked when they are read; the tail is
 * walked now. It stops between parts of the walk, so that who holds the lock can give way: a reader goes on at once.
 * @throws AteError DAMAGED (unless `onDamage` is 'keep': then it is told beside what is good before it) | UNSUPPORTED_FORMAT
 */
export function* inspectLog(
  fs: FileSystem,
  stored: { readonly manifest: Manifest; readonly numbers: readonly number[]; readonly onDamage: 'refuse' | 'keep' },
  crc: Crc32,
): Steps<Inspection> {
  const { manifest, onDamage } = stored
  const state: LogState = {
    segments: [],
    index: new RecordIndex(),
    lastHash: NO_HASH,
    markedCount: manifest.durableCount,
    generation: 0,
  }
  const leftovers: string[] = []
  try {
    yield* readSegments(fs, stored, state, leftovers, crc)
    return { state, torn: judgeTail(fs, state, manifest, crc), leftovers, damage: undefined }
  } catch (error) {
    if (onDamage === 'refuse' || !isAteError(error) || error.code !== 'DAMAGED') throw error
    return { state, torn: undefined, leftovers, damage: error }
  }
}

function* readSegments(
  fs: FileSystem,
  stored: { readonly manifest: Manifest; readonly numbers: readonly number[] },
  state: LogState,
  leftovers: string[],
  crc: Crc32,
): Steps<void> {
  const { manifest } = stored
  const listed = manifest.firstSegment + manifest.segmentCount
  const numbers = stored.numbers.filter((number) => number >= manifest.firstSegment).sort((a, b) => a - b)
  const last = Math.max(listed - 1, numbers.at(-1) ?? -1)
  const present = new Set(numbers)
  for (let number = manifest.firstSegment; number <= last; ) {
    if (!present.has(number)) throw missing(number, state)
    if (number >= listed && isLeftover(fs, number, state)) {
      leftovers.push(segmentName(number))
      number++
    } else {
      yield* addSegment(fs, state, { manifest, number, sealedBelow: listed }, crc)
      number = numberBehind(state.segments.at(-1)!.header)
    }
  }
}

/** True if a crash came before the segment was listed: it can hold no frame, for the first one comes after that. */
function isLeftover(fs: FileSystem, number: number, state: LogState): boolean {
  const file = openSegment(fs, number, state)
  try {
    return file.size() <= SEGMENT_HEADER_BYTES
  } finally {
    file.close()
  }
}

function missing(number: number, state: LogState): AteError {
  return damaged({ segment: segmentName(number), offset: 0, firstSeq: countOf(state), what: 'the file is missing' })
}

/** Beside a writer it may be merged into an older one since it was listed: who looks again finds that one. */
function openSegment(fs: FileSystem, number: number, state: LogState): OpenFile {
  const file = openIfThere(fs, segmentName(number))
  if (!file) throw missing(number, state)
  return file
}

export function openIfThere(fs: FileSystem, name: string): OpenFile | undefined {
  try {
    return fs.open(name, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function readSegmentHeader(file: OpenFile, crc: Crc32): SegmentHeader | 'newer' | undefined {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
  return decodeSegmentHeader(bytes.subarray(0, file.read(bytes, 0)), crc)
}

/**
 * Opens segment `number` for reading, checks that it follows what is known, and takes it in; walks over it if the number behind
 * it is not below `sealedBelow`, or it has no whole seal.
 */
function* addSegment(
  fs: FileSystem,
  state: LogState,
  segment: { readonly manifest: Manifest; readonly number: number; readonly sealedBelow: number },
  crc: Crc32,
): Steps<void> {
  const name = segmentName(segment.number)
  const file = openSegment(fs, segment.number, state)
  try {
    const header = readSegmentHeader(file, crc)
    const before = state.segments.at(-1)
    if (header === 'newer') throw new AteError('UNSUPPORTED_FORMAT', { file: name })
    const wrong = header ? misplaced(header, segment, state) : 'both copies of the header are bad'
    if (wrong !== undefined || !header)
      throw damaged({ segment: name, offset: 0, firstSeq: countOf(state), what: wrong ?? '' })
    if (before && !before.sealed)
      throw damaged({ segment: before.name, offset: before.endOffset, firstSeq: before.nextSeq, what: 'no seal' })
    const added = newSegment(header)
    state.segments.push(added)
    state.markedCount = Math.max(state.markedCount, header.firstSeq)
    const walk = numberBehind(header) >= segment.sealedBelow
    if (walk || !takeSeal(file, added, state, crc)) yield* walkOn(file, state, crc)
  } finally {
    file.close()
  }
}

function misplaced(
  header: SegmentHeader,
  segment: { readonly manifest: Manifest; readonly number: number },
  state: LogState,
): string | undefined {
  if (header.number !== segment.number) return `the header is that of segment ${header.number}`
  if (!equalBytes(header.label, segment.manifest.label)) return 'the segment belongs to another log'
  const before = state.segments.at(-1)
  if (!before) return undefined
  if (header.firstSeq !== before.nextSeq) return `it begins at ${header.firstSeq}`
  if (!equalBytes(header.before, state.lastHash)) return 'it follows another record'
  return undefined
}

/** Takes in a sealed segment by the seal at its end, without walking it; false if there is no whole seal. */
function takeSeal(file: OpenFile, segment: Segment, state: LogState, crc: Crc32): boolean {
  const size = file.size()
  const bytes = new Uint8Array(SEAL_BYTES)
  if (size < SEGMENT_HEADER_BYTES + SEAL_BYTES || file.read(bytes, size - SEAL_BYTES) < SEAL_BYTES) return false
  const header = decodeFrameHeader(bytes, 0, segment.header.nonce, crc)
  if (header?.kind !== 'seal' || !checkFrameBody(bytes, 0, header, crc)) return false
  const seal = decodeSeal(bytes, 0)
  if (!fits(seal, segment, header.firstSeq, size - SEAL_BYTES)) return false
  segment.nextSeq = header.firstSeq
  segment.endOffset = size
  segment.sealed = true
  state.lastHash = seal.hash
  return true
}

function fits(seal: Seal, segment: Segment, nextSeq: number, offset: number): boolean {
  return seal.offset === offset && segment.header.firstSeq + seal.records === nextSeq
}

/**
 * If another process has written segment `index` anew, alone or merged with those behind it, takes the new one in the place of
 * the old ones; `file` is the one that has its name now. @throws AteError DAMAGED if it is not the same records
 */
export function takeReplaced(file: OpenFile, state: LogState, index: number, crc: Crc32): void {
  const old = state.segments[index]!
  const header = readSegmentHeader(file, crc)
  if (header === 'newer') throw new AteError('UNSUPPORTED_FORMAT', { file: old.name })
  if (!header || equalBytes(header.nonce, old.header.nonce)) return
  const end = numberBehind(header)
  let behind = index + 1
  while (behind < state.segments.length && state.segments[behind]!.header.number < end) behind++
  const last = state.segments[behind - 1]!
  const next = state.segments[behind]
  const added = newSegment(header)
  const found = { ...state }
  const { number, firstSeq, before, label } = old.header
  const isSame =
    header.number === number &&
    header.firstSeq === firstSeq &&
    equalBytes(header.before, before) &&
    equalBytes(header.label, label) &&
    takeSeal(file, added, found, crc) &&
    (next
      ? added.nextSeq === last.nextSeq && equalBytes(found.lastHash, next.header.before)
      : added.nextSeq >= last.nextSeq)
  if (!isSame) throw damaged({ segment: old.name, offset: 0, firstSeq, what: 'another segment stands here' })
  if (!next) state.lastHash = found.lastHash
  state.index.forget(firstSeq, last.nextSeq)
  replaceSegments(state, { from: index, to: behind }, added)
}

/** Walks over the old segments that are under way go on in their files, and leave the index alone from now on. */
export function replaceSegments(
  state: LogState,
  { from, to }: { readonly from: number; readonly to: number },
  segment: Segment,
): void {
  for (const old of state.segments.splice(from, to - from, segment)) old.walked = { ...old.walked, offset: -1 }
  state.generation++
}

/**
 * Where the file of segment `number` is gone: the older one that another process has merged it into, which is taken in its
 * place; undefined if there is none.
 */
export function takeMerged(fs: FileSystem, state: LogState, number: number, crc: Crc32): Segment | undefined {
  for (let i = state.segments.length - 1; i >= 0; i--) {
    if (state.segments[i]!.header.number >= number) continue
    const file = openIfThere(fs, state.segments[i]!.name)
    try {
      if (file) takeReplaced(file, state, i, crc)
    } finally {
      file?.close()
    }
    if (numberBehind(state.segments[i]!.header) > number) return state.segments[i]
  }
  return undefined
}

/** Walks the last segment on from where it is known, up to the first frame that is not good. */
function* walkOn(file: OpenFile, state: LogState, crc: Crc32): Steps<void> {
  const segment = state.segments.at(-1)!
  if (segment.sealed) return
  const walk = new FrameWalk(file, segment, segment.walked, crc, { readBytes: WALK_BYTES })
  if (segment.nextSeq === segment.header.firstSeq) state.lastHash = segment.header.before
  let stoppedAt = segment.walked.offset
  for (let frame = walk.next(); frame; frame = walk.next()) {
    const { header, at } = frame
    if (frame.offset - stoppedAt >= STEP_BYTES) {
      stoppedAt = frame.offset
      yield
    }
    if (header.kind === 'seal') {
      const seal = decodeSeal(walk.window, at)
      if (!fits(seal, segment, header.firstSeq, frame.offset) || !equalBytes(seal.hash, state.lastHash)) return
    }
    state.markedCount = Math.max(state.markedCount, header.durableCount)
    indexFrame(segment, state.index, { ...frame, window: walk.window })
    if (header.kind === 'seal') return
    const offset = state.index.offset(segment.nextSeq - 1) - frame.offset + at
    state.lastHash = walk.window.slice(offset - 32, offset)
  }
}

/**
 * Judges what follows the last good frame. A live writer may have gone on between the walk and the look at the rest:
 * then the walk goes on too, and only a tail that stands still is judged.
 * @throws AteError DAMAGED if a mark says that more was durable.
 */
function judgeTail(fs: FileSystem, state: LogState, manifest: Manifest, crc: Crc32): TornTail | undefined {
  for (;;) {
    try {
      return judgeStillTail(fs, state, manifest, crc)
    } catch (error) {
      const count = countOf(state)
      const last = state.segments.at(-1)
      if (last && !last.sealed) walkTail(fs, state, crc)
      if (countOf(state) === count) throw error
    }
  }
}

function judgeStillTail(fs: FileSystem, state: LogState, manifest: Manifest, crc: Crc32): TornTail | undefined {
  const segment = state.segments.at(-1)
  const count = countOf(state)
  if (!segment) {
    if (manifest.durableCount > 0)
      throw damaged({ segment: segmentName(manifest.firstSegment), offset: 0, what: 'the file is missing' })
    return undefined
  }
  const file = fs.open(segment.name, 'read')
  try {
    const rest = scanRest(file, segment, crc)
    const marked = Math.max(state.markedCount, rest.markedCount)
    if (marked > count) {
      const lastSeq = rest.nextSeq === undefined ? marked - 1 : Math.max(rest.nextSeq - 1, count)
      throw damaged({
        segment: segment.name,
        offset: segment.endOffset,
        firstSeq: count,
        lastSeq,
        what: 'a durable record is not whole',
      })
    }
    if (manifest.durableCount === count && count > 0 && !equalBytes(manifest.durableHash, state.lastHash)) {
      throw damaged({
        segment: segment.name,
        offset: segment.endOffset,
        firstSeq: count - 1,
        lastSeq: count - 1,
        what: 'another record stood here',
      })
    }
    return rest.end > segment.endOffset || file.size() > segment.endOffset
      ? { segment, offset: segment.endOffset, end: rest.end }
      : undefined
  } finally {
    file.close()
  }
}

/** Looks through the bytes behind the last good frame: where they stop being zeros, and what later headers say. */
function scanRest(
  file: OpenFile,
  segment: Segment,
  crc: Crc32,
): { readonly end: number; readonly markedCount: number; readonly nextSeq: number | undefined } {
  let markedCount = 0
  let nextSeq: number | undefined
  const end = laterFrames(file, { segment, from: segment.endOffset, to: file.size() }, crc, (header) => {
    if (header.firstSeq < segment.nextSeq) return 'on'
    markedCount = Math.max(markedCount, header.durableCount)
    if (header.firstSeq > segment.nextSeq) nextSeq ??= header.firstSeq
    return 'on'
  })
  return { end, markedCount, nextSeq }
}

/**
 * Calls `visit` with every frame header of this segment in the bytes `from` to `to`, whole body or not, until it says
 * 'stop'. Gives the end of the bytes looked at that are not zero.
 */
export function laterFrames(
  file: OpenFile,
  range: { readonly segment: Segment; readonly from: number; readonly to: number },
  crc: Crc32,
  visit: (header: FrameHeader, offset: number) => 'on' | 'stop',
): number {
  const { segment, from, to } = range
  const window = new Uint8Array(Math.min(WINDOW_BYTES, Math.max(0, to - from)))
  let end = from
  // Windows overlap by a header, so that none is missed where two meet.
  for (let offset = from; offset < to; offset += window.length - FRAME_HEADER_BYTES) {
    const bytes = window.subarray(0, file.read(window.subarray(0, to - offset), offset))
    let last = bytes.length - 1
    while (last >= 0 && bytes[last] === 0) last--
    if (last >= 0) end = Math.max(end, offset + last + 1)
    for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length && at <= last; at += 8) {
      if (bytes[at] !== FRAME_MAGIC_BYTE) continue
      const header = decodeFrameHeader(bytes, at, segment.header.nonce, crc)
      if (header && visit(header, offset + at) === 'stop') return end
    }
    if (offset + bytes.length >= to || bytes.length <= FRAME_HEADER_BYTES) break
  }
  return end
}

/** Takes in what was written since: walks the tail on, and from segment to segment. Gives the newest manifest. */
export function readOn(fs: FileSystem, state: LogState, crc: Crc32): Manifest {
  const manifest = readManifestNow(fs, crc)
  // A log without records may have been begun anew, with other segments.
  if (countOf(state) === 0) takeUnused(state)
  state.markedCount = Math.max(state.markedCount, manifest.durableCount)
  const listed = manifest.firstSegment + manifest.segmentCount
  for (;;) {
    if (state.segments.at(-1)?.sealed === false) walkTail(fs, state, crc)
    const number = manifest.firstSegment + numbersUsed(state, manifest.firstSegment)
    if (state.segments.at(-1)?.sealed === false || number >= listed) break
    // What was known last may stand for this one too by now.
    if (isThere(fs, number) || !takeMerged(fs, state, number, crc))
      atOnce(addSegment(fs, state, { manifest, number, sealedBelow: 0 }, crc))
  }
  judgeTail(fs, state, manifest, crc)
  return manifest
}

function isThere(fs: FileSystem, number: number): boolean {
  const file = openIfThere(fs, segmentName(number))
  file?.close()
  return file !== undefined
}

function walkTail(fs: FileSystem, state: LogState, crc: Crc32): void {
  const last = state.segments.at(-1)!
  const file = openIfThere(fs, last.name)
  if (!file) {
    if (takeMerged(fs, state, last.header.number, crc)) return
    throw missing(last.header.number, state)
  }
  try {
    takeReplaced(file, state, state.segments.length - 1, crc)
    atOnce(walkOn(file, state, crc))
  } finally {
    file.close()
  }
}

function readManifestNow(fs: FileSystem, crc: Crc32): Manifest {
  const file = fs.open(MANIFEST, 'read')
  try {
    return readManifest(file, crc)
  } finally {
    file.close()
  }
}

/** A reader beside a writer may meet a frame or a slot while it is being written: it looks again before it judges. */
export function patiently<T>(look: () => T): T {
  for (let attempt = 1; ; attempt++) {
    try {
      return look()
    } catch (error) {
      if (attempt === LOOKS_MAX || !isAteError(error) || error.code !== 'DAMAGED') throw error
    }
  }
}

/**
 * A segment without any record, in a log without any: the first append was interrupted. Its header holds the label of a
 * chain that never began, so it is taken out, from the manifest first.
 */
export function takeUnused(state: LogState): readonly string[] {
  if (countOf(state) > 0) return []
  const names = state.segments.map((segment) => segment.name)
  state.segments.length = 0
  state.lastHash = NO_HASH
  return names
}

/** Names in the folder, or undefined if there is no folder. */
export function listFolder(fs: FileSystem): readonly string[] | undefined {
  try {
    return fs.list('')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    if (errnoOf(error) === 'ENOTDIR') throw new AteError('NOT_A_CHAIN', { found: 'a file' }, { cause: error })
    throw error
  }
}
