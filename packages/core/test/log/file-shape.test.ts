/**
 * Frames and blocks whose checksums fit and whose shape does not: each is refused by the check that is there for it, at
 * the header where memory would be spent on it, and a walk through a small window gives views that stay as they are.
 */
import { describe, expect, it } from 'vitest'
import { BATCH_BYTES_MAX } from '../../src/base/limits.ts'
import { crc32 } from '../../src/log/crc32.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import {
  checkBlock,
  checkFrameBody,
  decodeFrameHeader,
  encodeFrame,
  encodeSeal,
  encodeSegmentHeader,
  frameBytes,
  putU32,
  SEGMENT_FORMAT,
} from '../../src/log/file-frame.ts'
import { FrameWalk, newSegment } from '../../src/log/file-segment.ts'
import { testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'

const NONCE = new Uint8Array(16).fill(0x5a)
const MARK = { durableCount: 0, writerEpoch: 1, nonce: NONCE }
const MAX = BATCH_BYTES_MAX + 8 - (BATCH_BYTES_MAX % 8 || 8)

function frameOf(batch: readonly LogRecord[], target?: Uint8Array): Uint8Array {
  const size = batch.reduce((bytes, record) => bytes + 36 + record.bytes.length, 0)
  const frame = target?.subarray(0, frameBytes(size)) ?? new Uint8Array(frameBytes(size))
  encodeFrame(frame, batch, size, MARK, crc32)
  return frame
}

/** Both checksums made to fit. */
function sealed(frame: Uint8Array): Uint8Array {
  putU32(frame, 56, crc32(frame.subarray(64)))
  putU32(frame, 60, crc32(frame.subarray(0, 60)))
  return frame
}

function isWhole(frame: Uint8Array): boolean {
  const header = decodeFrameHeader(sealed(frame), 0, NONCE, crc32)
  return header !== undefined && checkFrameBody(frame, 0, header, crc32)
}

describe('the header of a frame', () => {
  it('is refused for what it says of its size and kind, before a body is looked at', () => {
    const changed = (at: number, value: number): boolean => {
      const frame = frameOf(testBatch(0, [30]))
      putU32(frame, at, value)
      return decodeFrameHeader(sealed(frame), 0, NONCE, crc32) !== undefined
    }
    expect([changed(4, 72), changed(4, MAX), changed(20, 1), changed(20, 2)]).toEqual([true, true, true, true])
    for (const size of [71, 73, 76, MAX + 8, 2 ** 31, 2 ** 32 - 8]) expect(changed(4, size)).toBe(false)
    for (const kind of [0, 3, 2 ** 31]) expect(changed(20, kind)).toBe(false)
  })
})

describe('the body of a frame', () => {
  const two = (): Uint8Array => frameOf(testBatch(0, [28, 20]))

  it('holds its records, exactly', () => {
    expect(isWhole(two())).toBe(true)
    const frame = two()
    // Behind the first record there are 56 bytes: a second that reaches to the end, one beyond it, one far beyond.
    for (const [length, good] of [
      [20, true],
      [13, true],
      [12, false],
      [21, false],
      [28, false],
      [2 ** 32 - 1, false],
    ] as const) {
      putU32(frame, 64 + 64, length)
      expect([length, isWhole(frame)]).toEqual([length, good])
    }
  })

  it('has room for the head of each record that it counts, and no room left', () => {
    for (const [count, good] of [
      [0, false],
      [1, false],
      [2, true],
      [3, false],
      [2 ** 32 - 1, false],
    ] as const) {
      const frame = two()
      putU32(frame, 16, count)
      expect([count, isWhole(frame)]).toEqual([count, good])
    }
    // Eight bytes are one unit of padding too many.
    expect(isWhole(new Uint8Array([...two(), ...new Uint8Array(8)]))).toBe(false)
  })

  it('is not empty, even if nothing is counted', () => {
    const frame = new Uint8Array(64)
    frame.set(two().subarray(0, 64))
    putU32(frame, 4, 0)
    putU32(frame, 16, 0)
    expect(isWhole(frame)).toBe(false)
  })

  it('of a seal has no records, and its own size', () => {
    const seal = (): Uint8Array => encodeSeal({ records: 1, offset: 4096, hash: new Uint8Array(32) }, 1, MARK, crc32)
    expect(isWhole(seal())).toBe(true)
    const counting = seal()
    putU32(counting, 16, 1)
    expect(isWhole(counting)).toBe(false)
    for (const size of [40, 56]) {
      const frame = new Uint8Array(64 + size)
      frame.set(seal().subarray(0, 64 + size))
      putU32(frame, 4, size)
      expect(isWhole(frame)).toBe(false)
    }
  })

  it('is closed by zeros, whatever stood in the buffer', () => {
    const frame = frameOf(testBatch(0, [1]), new Uint8Array(200).fill(0xff))
    expect(frame.subarray(64 + 37)).toEqual(new Uint8Array(3))
  })
})

describe('a block', () => {
  const kind = { magic: 0x41544553, formatMax: SEGMENT_FORMAT }
  const block = (format: number, magic = kind.magic): Uint8Array => {
    const header = {
      format,
      number: 0,
      span: 1,
      firstSeq: 0,
      label: new Uint8Array(32),
      nonce: NONCE,
      writerEpoch: 1,
      before: new Uint8Array(32),
    }
    const bytes = encodeSegmentHeader(header, crc32).slice(0, 512)
    putU32(bytes, 0, magic)
    putU32(bytes, 508, crc32(bytes.subarray(0, 508)))
    return bytes
  }

  it('is of its kind, whole, and of a format that is known', () => {
    for (let format = 1; format <= SEGMENT_FORMAT; format++) expect(checkBlock(block(format), kind, crc32)).toBe('good')
    for (const format of [0, SEGMENT_FORMAT + 1, 255]) expect(checkBlock(block(format), kind, crc32)).toBe('newer')
    expect(checkBlock(block(1, kind.magic + 1), kind, crc32)).toBe('bad')
    // What is not there reads as zeros, which may be its sum.
    expect(checkBlock(block(1).subarray(0, 508), kind, () => 0)).toBe('bad')
    const rotten = block(1)
    rotten[300]! ^= 1
    expect(checkBlock(rotten, kind, crc32)).toBe('bad')
  })
})

describe('a walk through a small window', () => {
  it('gives every frame, and views that stay as they are while it says so', () => {
    const seed = Number(process.env['ATE_SEED'] ?? 1)
    const random = seededRandom(seed)
    for (let round = 0; round < 60; round++) {
      const fs = new SimFileSystem(round)
      const header = {
        format: 1,
        number: 0,
        span: 1,
        firstSeq: 0,
        label: NONCE,
        nonce: NONCE,
        writerEpoch: 1,
        before: new Uint8Array(32),
      }
      const records = testBatch(
        0,
        Array.from({ length: 12 }, () => random.below(300)),
        round,
      )
      const file = fs.open('seg', 'create')
      file.write(
        [encodeSegmentHeader({ ...header, label: new Uint8Array(32) }, crc32), ...records.map((one) => frameOf([one]))],
        0,
      )
      const segment = newSegment(header)
      const walk = new FrameWalk(file, segment, segment.walked, crc32, { readBytes: 64 + random.below(900) })
      const views: Uint8Array[] = []
      let isKept = true
      for (let frame = walk.next(); frame; frame = walk.next()) {
        if (!isKept) views.length = 0
        const at = frame.at + 64 + 36
        views.push(walk.window.subarray(at, at + records[frame.header.firstSeq]!.bytes.length))
        const first = frame.header.firstSeq - views.length + 1
        for (const [i, view] of views.entries())
          expect([seed, round, view]).toEqual([seed, round, records[first + i]!.bytes])
        isKept = walk.holdsNext()
      }
      expect(walk.position.nextSeq).toBe(12)
      expect(walk.holdsNext()).toBe(true)
    }
  })
})
