/**
 * The bytes of a segment file: a header of 4,096 bytes, then frames, then zeros up to the end of the file.
 * Integers are big-endian. Every byte of a frame is under a CRC, padding included; frames begin at multiples of 8.
 *
 * Segment header: the same 512 bytes at offsets 0 and 2048, zeros between, so that one bad sector is survived.
 *
 *     0  u32  magic "ATES"            72  u64  writer epoch
 *     4  u8   format (2, 3), 3 zeros  80  [32] hash of the record before the first (zeros: none)
 *     8  u64  segment number         112  u64  format 3: count of numbers that it stands for, from its own on; else zeros
 *    16  u64  first seq              120  zeros
 *    24  [32] label (the chain)      508  u32  CRC of bytes 0 to 507
 *    56  [16] nonce, random
 *
 * Frame: one batch, or the seal that ends a segment.
 *
 *     0  u32  magic "ATEF"            32  [16] nonce of the segment: stale bytes of other files never parse
 *     4  u32  body bytes              48  u64  writer epoch: never less than that of the frame before
 *     8  u64  first seq               56  u32  CRC of the body
 *    16  u32  count of records        60  u32  CRC of bytes 0 to 59
 *    20  u32  kind: 1 data, 2 seal    64  body
 *    24  u64  durable count: records whose sync had returned when this frame was built
 *
 * Body of a data frame: count x { u32 length, [32] record hash, bytes }, zeros to a multiple of 8.
 * Body of a seal: u64 records of the segment, u64 offset of the seal, [32] hash of the last record.
 */
import { equalBytes } from '../base/bytes.ts'
import { BATCH_BYTES_MAX } from '../base/limits.ts'
import { RECORD_HEADER_BYTES } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type { LogRecord } from './engine.ts'

/** Of a segment. Format 2 may hold compacted commits (event/kept-runs.ts), format 1 does not; else they are one. */
export const SEGMENT_FORMAT = 2
/** Of a segment that several neighbours were merged into. */
export const MERGED_FORMAT = 3
export const SEGMENT_HEADER_BYTES = 4096
export const FRAME_HEADER_BYTES = 64
export const SEAL_BYTES: number = FRAME_HEADER_BYTES + 48
export const BLOCK_BYTES = 512
const COPY_OFFSET = 2048
const SPAN_AT = 112
const SEGMENT_MAGIC = 0x41544553
const FRAME_MAGIC = 0x41544546
const DATA = 1
const SEAL = 2
export const NO_HASH: Uint8Array = new Uint8Array(32)

export interface SegmentHeader {
  readonly format: number
  readonly number: number
  /** Numbers of segments that it stands for: its own, and those of the ones behind it that were merged into it. */
  readonly span: number
  readonly firstSeq: number
  readonly label: Uint8Array
  readonly nonce: Uint8Array
  readonly writerEpoch: number
  /** Hash of record `firstSeq - 1`; zeros for the first segment of a log. */
  readonly before: Uint8Array
}

export interface FrameHeader {
  readonly bodyBytes: number
  readonly firstSeq: number
  readonly count: number
  readonly kind: 'data' | 'seal'
  readonly durableCount: number
  readonly writerEpoch: number
}

export interface Seal {
  readonly records: number
  readonly offset: number
  readonly hash: Uint8Array
}

export function putU32(target: Uint8Array, at: number, value: number): void {
  target[at] = value >>> 24
  target[at + 1] = value >>> 16
  target[at + 2] = value >>> 8
  target[at + 3] = value
}

export function putU64(target: Uint8Array, at: number, value: number): void {
  putU32(target, at, Math.floor(value / 2 ** 32))
  putU32(target, at + 4, value >>> 0)
}

export function getU32(source: Uint8Array, at: number): number {
  return ((source[at]! << 24) | (source[at + 1]! << 16) | (source[at + 2]! << 8) | source[at + 3]!) >>> 0
}

/** Above 2^53 the result is inexact, and at least 2^53: callers compare against smaller numbers. */
export function getU64(source: Uint8Array, at: number): number {
  return getU32(source, at) * 2 ** 32 + getU32(source, at + 4)
}

function align8(size: number): number {
  return Math.ceil(size / 8) * 8
}

/** A block of 512 bytes with a CRC at its end: 'newer' if its format is none of 1 to `formatMax`. */
export function checkBlock(
  block: Uint8Array,
  kind: { readonly magic: number; readonly formatMax: number },
  crc: Crc32,
): 'good' | 'newer' | 'bad' {
  if (block.length < BLOCK_BYTES || getU32(block, 0) !== kind.magic) return 'bad'
  if (crc(block.subarray(0, BLOCK_BYTES - 4)) !== getU32(block, BLOCK_BYTES - 4)) return 'bad'
  return block[4]! >= 1 && block[4]! <= kind.formatMax ? 'good' : 'newer'
}

/** The whole 4,096 bytes. */
export function encodeSegmentHeader(header: SegmentHeader, crc: Crc32): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES)
  putU32(bytes, 0, SEGMENT_MAGIC)
  bytes[4] = header.format
  putU64(bytes, 8, header.number)
  putU64(bytes, 16, header.firstSeq)
  bytes.set(header.label, 24)
  bytes.set(header.nonce, 56)
  putU64(bytes, 72, header.writerEpoch)
  bytes.set(header.before, 80)
  if (header.format === MERGED_FORMAT) putU64(bytes, SPAN_AT, header.span)
  putU32(bytes, BLOCK_BYTES - 4, crc(bytes.subarray(0, BLOCK_BYTES - 4)))
  bytes.copyWithin(COPY_OFFSET, 0, BLOCK_BYTES)
  return bytes
}

/** The header from whichever copy is whole; 'newer' if a later format made it; undefined if both are bad. */
export function decodeSegmentHeader(bytes: Uint8Array, crc: Crc32): SegmentHeader | 'newer' | undefined {
  for (const at of [0, COPY_OFFSET]) {
    const block = bytes.subarray(at, at + BLOCK_BYTES)
    const state = checkBlock(block, { magic: SEGMENT_MAGIC, formatMax: MERGED_FORMAT }, crc)
    if (state === 'newer') return state
    const header = state === 'good' ? segmentHeaderIn(block) : undefined
    if (header) return header
  }
  return undefined
}

function segmentHeaderIn(block: Uint8Array): SegmentHeader | undefined {
  const format = block[4]!
  const span = format === MERGED_FORMAT ? getU64(block, SPAN_AT) : 1
  // None is merged of one: who goes from segment to segment comes on.
  if (format === MERGED_FORMAT && span < 2) return undefined
  return {
    format,
    number: getU64(block, 8),
    span,
    firstSeq: getU64(block, 16),
    label: block.slice(24, 56),
    nonce: block.slice(56, 72),
    writerEpoch: getU64(block, 72),
    before: block.slice(80, 112),
  }
}

/** `bodyCrc`: of what stands behind the header. */
function putFrameHeader(frame: Uint8Array, header: FrameHeader, bodyCrc: number, nonce: Uint8Array, crc: Crc32): void {
  putU32(frame, 0, FRAME_MAGIC)
  putU32(frame, 4, header.bodyBytes)
  putU64(frame, 8, header.firstSeq)
  putU32(frame, 16, header.count)
  putU32(frame, 20, header.kind === 'data' ? DATA : SEAL)
  putU64(frame, 24, header.durableCount)
  frame.set(nonce, 32)
  putU64(frame, 48, header.writerEpoch)
  putU32(frame, 56, bodyCrc)
  putU32(frame, 60, crc(frame.subarray(0, 60)))
}

/** Bytes of the frame of a batch whose records take `recordBytes` with their headers. */
export function frameBytes(recordBytes: number): number {
  return FRAME_HEADER_BYTES + align8(recordBytes)
}

/** What goes into each frame of a segment. */
export interface FrameMark {
  readonly durableCount: number
  readonly writerEpoch: number
  readonly nonce: Uint8Array
}

/** Writes the frame of `batch` to the beginning of `target`, which has room for it. */
export function encodeFrame(
  target: Uint8Array,
  batch: readonly LogRecord[],
  recordBytes: number,
  mark: FrameMark,
  crc: Crc32,
): FrameHeader {
  let at = FRAME_HEADER_BYTES
  for (const record of batch) {
    putRecordHeader(target, at, record)
    target.set(record.bytes, at + RECORD_HEADER_BYTES)
    at += RECORD_HEADER_BYTES + record.bytes.length
  }
  const end = frameBytes(recordBytes)
  target.fill(0, at, end)
  const header = dataHeader(batch, recordBytes, mark)
  putFrameHeader(target, header, crc(target.subarray(FRAME_HEADER_BYTES, end)), mark.nonce, crc)
  return header
}

/** The same frame, in parts of which the records' own bytes are some: nothing large is copied. */
export function frameParts(
  batch: readonly LogRecord[],
  recordBytes: number,
  mark: FrameMark,
  crc: Crc32,
): { readonly header: FrameHeader; readonly parts: readonly Uint8Array[] } {
  const frame = new Uint8Array(FRAME_HEADER_BYTES)
  const parts: Uint8Array[] = [frame]
  let bodyCrc = 0
  const add = (part: Uint8Array): void => {
    parts.push(part)
    bodyCrc = crc(part, bodyCrc)
  }
  for (const record of batch) {
    const recordHeader = new Uint8Array(RECORD_HEADER_BYTES)
    putRecordHeader(recordHeader, 0, record)
    add(recordHeader)
    add(record.bytes)
  }
  add(new Uint8Array(align8(recordBytes) - recordBytes))
  const header = dataHeader(batch, recordBytes, mark)
  putFrameHeader(frame, header, bodyCrc, mark.nonce, crc)
  return { header, parts }
}

function putRecordHeader(target: Uint8Array, at: number, { bytes, hash }: LogRecord): void {
  putU32(target, at, bytes.length)
  target.set(hash, at + 4)
}

function dataHeader(
  batch: readonly LogRecord[],
  recordBytes: number,
  { durableCount, writerEpoch }: FrameMark,
): FrameHeader {
  const bodyBytes = align8(recordBytes)
  return { bodyBytes, firstSeq: batch[0]!.seq, count: batch.length, kind: 'data', durableCount, writerEpoch }
}

export function encodeSeal(seal: Seal, nextSeq: number, mark: FrameMark, crc: Crc32): Uint8Array {
  const frame = new Uint8Array(SEAL_BYTES)
  putU64(frame, FRAME_HEADER_BYTES, seal.records)
  putU64(frame, FRAME_HEADER_BYTES + 8, seal.offset)
  frame.set(seal.hash, FRAME_HEADER_BYTES + 16)
  const { durableCount, writerEpoch, nonce } = mark
  const bodyBytes = SEAL_BYTES - FRAME_HEADER_BYTES
  const bodyCrc = crc(frame.subarray(FRAME_HEADER_BYTES))
  const header: FrameHeader = { bodyBytes, firstSeq: nextSeq, count: 0, kind: 'seal', durableCount, writerEpoch }
  putFrameHeader(frame, header, bodyCrc, nonce, crc)
  return frame
}

/** The header at `at`, where at least 64 bytes are; undefined if these bytes are no frame of this segment. */
export function decodeFrameHeader(
  source: Uint8Array,
  at: number,
  nonce: Uint8Array,
  crc: Crc32,
): FrameHeader | undefined {
  if (getU32(source, at) !== FRAME_MAGIC) return undefined
  if (!equalBytes(source.subarray(at + 32, at + 48), nonce)) return undefined
  if (crc(source.subarray(at, at + 60)) !== getU32(source, at + 60)) return undefined
  const bodyBytes = getU32(source, at + 4)
  const kind = getU32(source, at + 20)
  if (bodyBytes % 8 !== 0 || bodyBytes > align8(BATCH_BYTES_MAX) || (kind !== DATA && kind !== SEAL)) return undefined
  return {
    bodyBytes,
    firstSeq: getU64(source, at + 8),
    count: getU32(source, at + 16),
    kind: kind === DATA ? 'data' : 'seal',
    durableCount: getU64(source, at + 24),
    writerEpoch: getU64(source, at + 48),
  }
}

/** True if the body of the frame at `at` is whole and of the right shape. */
export function checkFrameBody(source: Uint8Array, at: number, header: FrameHeader, crc: Crc32): boolean {
  const from = at + FRAME_HEADER_BYTES
  const end = from + header.bodyBytes
  if (crc(source.subarray(from, end)) !== getU32(source, at + 56)) return false
  if (header.kind === 'seal') return header.count === 0 && header.bodyBytes === SEAL_BYTES - FRAME_HEADER_BYTES
  let next = from
  for (let i = 0; i < header.count; i++) {
    if (end - next < RECORD_HEADER_BYTES) return false
    next += RECORD_HEADER_BYTES + getU32(source, next)
    if (next > end) return false
  }
  return header.count > 0 && end - next < 8
}

export function decodeSeal(source: Uint8Array, at: number): Seal {
  const from = at + FRAME_HEADER_BYTES
  return { records: getU64(source, from), offset: getU64(source, from + 8), hash: source.slice(from + 16, from + 48) }
}
