/** Frames, blocks and standings at their edges: bytes whose CRCs fit, and which one check alone refuses. */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { BATCH_BYTES_MAX } from '../../src/base/limits.ts'
import { crc32 } from '../../src/log/crc32.ts'
import {
  checkBlock,
  checkFrameBody,
  decodeFrameHeader,
  decodeSegmentHeader,
  encodeFrame,
  encodeSeal,
  encodeSegmentHeader,
  frameBytes,
  putU32,
} from '../../src/log/file-frame.ts'
import { checkStanding, STANDINGS, type StandingState } from '../../src/log/standing.ts'
import { testBatch } from '../../src/testing/log-suite.ts'

const NONCE = new Uint8Array(16).fill(0x5a)
const MARK = { durableCount: 5, writerEpoch: 3, nonce: NONCE }

function frameOf(sizes: readonly number[], into = 0): Uint8Array {
  const batch = testBatch(5, sizes)
  const size = sizes.reduce((sum, one) => sum + 36 + one, 0)
  const frame = new Uint8Array(frameBytes(size)).fill(into)
  encodeFrame(frame, batch, size, MARK, crc32)
  return frame
}

/** The same bytes with a changed header, whose CRCs fit a body of `bodyBytes`. */
function changed(frame: Uint8Array, words: Readonly<Record<number, number>>, bodyBytes: number): Uint8Array {
  const copy = new Uint8Array(Math.max(frame.length, 64 + bodyBytes))
  copy.set(frame)
  putU32(copy, 4, bodyBytes)
  for (const [at, value] of Object.entries(words)) putU32(copy, Number(at), value)
  putU32(copy, 56, crc32(copy.subarray(64, 64 + bodyBytes)))
  putU32(copy, 60, crc32(copy.subarray(0, 60)))
  return copy
}

function isTaken(frame: Uint8Array): boolean {
  const header = decodeFrameHeader(frame, 0, NONCE, crc32)
  return header !== undefined && checkFrameBody(frame, 0, header, crc32)
}

describe('a frame', () => {
  it('has a body of whole words, up to the largest batch, and of a kind that there is', () => {
    const header = (bodyBytes: number, kind = 1): unknown =>
      decodeFrameHeader(changed(frameOf([4]), { 4: bodyBytes, 20: kind }, 0), 0, NONCE, crc32)?.bodyBytes
    const most = Math.ceil(BATCH_BYTES_MAX / 8) * 8
    expect([header(40), header(most), header(39), header(most + 8)]).toEqual([40, most, undefined, undefined])
    expect([1, 2, 0, 3].map((kind) => header(40, kind))).toEqual([40, 40, undefined, undefined])
  })

  it('holds its records, and nothing behind them but what fills a word', () => {
    for (const sizes of [[4], [3], [8, 0], [0], [3, 0, 20]]) expect(isTaken(frameOf(sizes))).toBe(true)
    const one = frameOf([4])
    expect(isTaken(changed(one, {}, 40))).toBe(true)
    expect(isTaken(changed(one, {}, 48))).toBe(false)
    expect(isTaken(changed(frameOf([3]), {}, 39))).toBe(false)
    // A record that reaches beyond the body, as the last one; and no record at all, in a body of nothing.
    for (const size of [5, 12, 0xffff_ffff]) expect(isTaken(changed(one, { 64: size }, 40))).toBe(false)
    expect(isTaken(changed(one, { 16: 0 }, 0))).toBe(false)
    expect(isTaken(changed(frameOf([8, 0]), { 16: 3 }, 80))).toBe(false)
  })

  it('fills its last word with zeros, whatever stood there', () => {
    expect(frameOf([3], 0xff)).toEqual(frameOf([3]))
  })

  it('that seals holds one seal and no records', () => {
    const seal = encodeSeal({ records: 9, offset: 70, hash: new Uint8Array(32) }, 109, MARK, crc32)
    expect(isTaken(seal)).toBe(true)
    expect(isTaken(changed(seal, { 16: 1 }, seal.length - 64))).toBe(false)
    expect(isTaken(changed(seal, {}, seal.length - 64 + 8))).toBe(false)
  })
})

describe('a block', () => {
  const kind = { magic: 0x41544553, formatMax: 2 }
  const block = (format: number, magic = kind.magic): Uint8Array => {
    const bytes = new Uint8Array(512)
    putU32(bytes, 0, magic)
    bytes[4] = format
    putU32(bytes, 508, crc32(bytes.subarray(0, 508)))
    return bytes
  }
  it('is whole, of its magic, and of a format that is known', () => {
    expect([0, 1, 2, 3].map((format) => checkBlock(block(format), kind, crc32))).toEqual([
      'newer',
      'good',
      'good',
      'newer',
    ])
    expect(checkBlock(block(1, 5), kind, crc32)).toBe('bad')
    expect(checkBlock(block(1).subarray(0, 511), kind, crc32)).toBe('bad')
    expect(checkBlock(new Uint8Array(0), kind, crc32)).toBe('bad')
  })

  it('of a newer format at the head of a segment is not read around', () => {
    const header = {
      number: 7,
      span: 1,
      firstSeq: 100,
      label: new Uint8Array(32).fill(1),
      nonce: NONCE,
      writerEpoch: 3,
      before: new Uint8Array(32),
    }
    const known = encodeSegmentHeader({ ...header, format: 2 }, crc32)
    const newer = encodeSegmentHeader({ ...header, format: 99 }, crc32)
    expect(decodeSegmentHeader(known, crc32)).toMatchObject(header)
    known.set(newer.subarray(0, 512))
    expect(decodeSegmentHeader(known, crc32)).toBe('newer')
  })
})

describe('a standing', () => {
  const code = (state: StandingState, purpose: 'read' | 'write', allowed?: readonly StandingState[]): string => {
    try {
      checkStanding({ state, note: 'there' }, purpose, allowed)
      return 'nothing'
    } catch (error) {
      return isAteError(error) ? error.code : String(error)
    }
  }
  it('says what may be done, and why not', () => {
    expect(STANDINGS.map((state) => code(state, 'read'))).toEqual([
      ...['nothing', 'nothing', 'nothing', 'nothing'],
      ...['CHAIN_INCOMPLETE', 'CHAIN_DESTROYED'],
    ])
    expect(STANDINGS.map((state) => code(state, 'write'))).toEqual([
      ...['nothing', 'CHAIN_COPY', 'CHAIN_COPY', 'CHAIN_MOVED'],
      ...['CHAIN_INCOMPLETE', 'CHAIN_DESTROYED'],
    ])
    expect([code('live', 'write', ['copy']), code('copy', 'write', ['copy'])]).toEqual(['CHAIN_EXISTS', 'nothing'])
  })
})
