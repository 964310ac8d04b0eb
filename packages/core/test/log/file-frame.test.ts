/** The bytes of frames, headers and slots: what is written is read, and every guard of a walk has a frame that only it refuses. */
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex, utf8 } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { type Crc32, crc32 } from '../../src/log/crc32.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import {
  checkFrameBody,
  decodeFrameHeader,
  decodeSeal,
  decodeSegmentHeader,
  encodeFrame,
  encodeSeal,
  encodeSegmentHeader,
  frameBytes,
  frameParts,
  putU32,
  SEAL_BYTES,
  type SegmentHeader,
} from '../../src/log/file-frame.ts'
import { encodeSlot, MANIFEST, type Manifest, SLOT_BYTES } from '../../src/log/file-manifest.ts'
import { FrameWalk, newSegment, RecordIndex, segmentName, segmentNumber } from '../../src/log/file-segment.ts'
import { LIVE } from '../../src/log/standing.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { Trial } from './trial.ts'

const NONCE = new Uint8Array(16).fill(0x5a)
const HEADER: SegmentHeader = {
  format: 2,
  number: 7,
  span: 1,
  firstSeq: 100,
  label: new Uint8Array(32).fill(1),
  nonce: NONCE,
  writerEpoch: 3,
  before: new Uint8Array(32).fill(2),
}

function recordBytes(batch: readonly LogRecord[]): number {
  return batch.reduce((bytes, record) => bytes + 36 + record.bytes.length, 0)
}

interface Mark {
  readonly durableCount: number
  readonly writerEpoch: number
  readonly nonce: Uint8Array
}

function frameOf(batch: readonly LogRecord[], mark: Partial<Mark> = {}): Uint8Array {
  const size = recordBytes(batch)
  const frame = new Uint8Array(frameBytes(size))
  encodeFrame(frame, batch, size, { durableCount: batch[0]!.seq, writerEpoch: 3, nonce: NONCE, ...mark }, crc32)
  return frame
}

it('a frame in parts has the bytes of one in a piece, and those of its records stand where they were', () => {
  for (const sizes of [[0], [1], [5, 0, 3], [8, 700, 12, 1]]) {
    const batch = testBatch(5, sizes)
    const mark = { durableCount: 5, writerEpoch: 3, nonce: NONCE }
    const { header, parts } = frameParts(batch, recordBytes(batch), mark, crc32)
    const whole = frameOf(batch)
    expect(toHex(Buffer.concat(parts))).toBe(toHex(whole))
    expect(header).toEqual(decodeFrameHeader(whole, 0, NONCE, crc32))
    expect(batch.map(({ bytes }) => parts.includes(bytes))).toEqual(batch.map(() => true))
  }
})

describe('crc32', () => {
  it('gives the check value of the catalogue, in one piece or in many', () => {
    const bytes = utf8('123456789')
    expect(crc32(bytes)).toBe(0xcbf43926)
    expect(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4)))).toBe(0xcbf43926)
    expect(crc32(new Uint8Array(0))).toBe(0)
  })

  it('agrees with a bit-by-bit twin, and with zlib where Node has it', () => {
    const twin: Crc32 = (bytes, seed = 0) => {
      let crc = ~seed
      for (const byte of bytes) {
        crc ^= byte
        for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
      }
      return ~crc >>> 0
    }
    const native = (zlib as { readonly crc32?: Crc32 }).crc32 ?? twin
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(0xffffffff), (bytes, seed) => {
        expect(crc32(bytes, seed)).toBe(twin(bytes, seed))
        expect(crc32(bytes, seed)).toBe(native(bytes, seed))
      }),
    )
  })
})

describe('a frame', () => {
  it('has these bytes', () => {
    const record = { seq: 2, hash: new Uint8Array(32).fill(0xaa), bytes: new Uint8Array([1, 2, 3]) }
    const head = '4154454600000028' + '0000000000000002' + '00000001' + '00000001' + '0000000000000002'
    const rest = `${'5a'.repeat(16)}0000000000000003`
    const body = `00000003${'aa'.repeat(32)}01020300`
    const shown = toHex(frameOf([record]))
    expect(shown.slice(0, 112)).toBe(head + rest)
    expect(shown.slice(128)).toBe(body)
  })

  it('is not taken with one byte changed, wherever it is', () => {
    const frame = frameOf(testBatch(5, [3, 0, 20]))
    const isWhole = (bytes: Uint8Array): boolean => {
      const header = decodeFrameHeader(bytes, 0, NONCE, crc32)
      return header !== undefined && header.bodyBytes === bytes.length - 64 && checkFrameBody(bytes, 0, header, crc32)
    }
    expect(isWhole(frame)).toBe(true)
    for (let at = 0; at < frame.length; at++) {
      const changed = frame.slice()
      changed[at]! ^= 1
      expect(isWhole(changed)).toBe(false)
    }
  })

  it('is refused by its shape even if every CRC fits', () => {
    const forged = (change: (frame: Uint8Array) => void): boolean => {
      const frame = frameOf(testBatch(5, [30, 10]))
      change(frame)
      putU32(frame, 56, crc32(frame.subarray(64)))
      putU32(frame, 60, crc32(frame.subarray(0, 60)))
      const header = decodeFrameHeader(frame, 0, NONCE, crc32)
      return header !== undefined && checkFrameBody(frame, 0, header, crc32)
    }
    expect(forged(() => {})).toBe(true)
    expect(forged((frame) => putU32(frame, 0, 0x41544547))).toBe(false)
    expect(forged((frame) => putU32(frame, 4, 20 * 1024 * 1024))).toBe(false)
    expect(forged((frame) => putU32(frame, 16, 0))).toBe(false)
    expect(forged((frame) => putU32(frame, 16, 1))).toBe(false)
    expect(forged((frame) => putU32(frame, 16, 3))).toBe(false)
    expect(forged((frame) => putU32(frame, 20, 3))).toBe(false)
    expect(forged((frame) => putU32(frame, 20, 2))).toBe(false)
    expect(forged((frame) => putU32(frame, 64, 0xffffffff))).toBe(false)
    expect(forged((frame) => frame.fill(0, 32, 48))).toBe(false)
  })

  it('seals what it says', () => {
    const seal = { records: 9, offset: 70_000, hash: new Uint8Array(32).fill(4) }
    const frame = encodeSeal(seal, 109, { durableCount: 100, writerEpoch: 3, nonce: NONCE }, crc32)
    expect(frame.length).toBe(SEAL_BYTES)
    const header = decodeFrameHeader(frame, 0, NONCE, crc32)!
    expect([header.kind, header.firstSeq, header.count]).toEqual(['seal', 109, 0])
    expect(checkFrameBody(frame, 0, header, crc32)).toBe(true)
    expect(decodeSeal(frame, 0)).toEqual(seal)
  })
})

describe('a segment header', () => {
  it('stands twice, and either copy is enough', () => {
    const bytes = encodeSegmentHeader(HEADER, crc32)
    expect(bytes.length).toBe(4096)
    for (const at of [0, 2048]) {
      const damaged = bytes.slice().fill(0xff, at, at + 512)
      expect(decodeSegmentHeader(damaged, crc32)).toEqual(HEADER)
    }
    expect(decodeSegmentHeader(bytes.slice().fill(0xff, 100, 2100), crc32)).toBe(undefined)
    expect(decodeSegmentHeader(bytes.subarray(0, 100), crc32)).toBe(undefined)
  })

  it('is found by its name only', () => {
    expect(segmentName(12)).toBe('seg-000012.ate')
    expect(segmentNumber('seg-000012.ate')).toBe(12)
    expect(segmentNumber('seg-1234567.ate')).toBe(1_234_567)
    for (const name of ['seg-12.ate', 'seg-0000012.ate', 'seg-000012.ate.bak', 'xseg-000012.ate', 'seg--00012.ate']) {
      expect(segmentNumber(name)).toBe(undefined)
    }
  })
})

describe('a walk', () => {
  /** The seqs of the frames that a walk takes from a file of these frames. */
  const walked = (frames: readonly Uint8Array[]): number[] => {
    const fs = new SimFileSystem(1)
    const file = fs.open('seg', 'create')
    file.write([encodeSegmentHeader(HEADER, crc32), ...frames], 0)
    const segment = newSegment(HEADER)
    const walk = new FrameWalk(file, segment, segment.walked, crc32)
    const seqs: number[] = []
    for (let frame = walk.next(); frame; frame = walk.next()) seqs.push(frame.header.firstSeq)
    return seqs
  }
  const first = frameOf(testBatch(100, [10, 20]))

  it('takes frames in sequence, also when the writer changes', () => {
    const second = frameOf(testBatch(102, [5]), { writerEpoch: 4 })
    expect(walked([first, second, frameOf(testBatch(103, [5]), { writerEpoch: 4 })])).toEqual([100, 102, 103])
  })

  it('stops at a gap, a repetition, another nonce, an older writer, and a mark ahead of itself', () => {
    expect(walked([first, frameOf(testBatch(103, [5]))])).toEqual([100])
    expect(walked([first, first])).toEqual([100])
    expect(walked([first, frameOf(testBatch(102, [5]), { nonce: new Uint8Array(16) })])).toEqual([100])
    expect(walked([first, frameOf(testBatch(102, [5]), { writerEpoch: 2 })])).toEqual([100])
    expect(walked([first, frameOf(testBatch(102, [5]), { durableCount: 103 })])).toEqual([100])
    expect(walked([first, frameOf(testBatch(102, [5])).subarray(0, 70)])).toEqual([100])
    expect(walked([first, new Uint8Array(8), frameOf(testBatch(102, [5]))])).toEqual([100])
  })
})

describe('the index', () => {
  it('holds what was set, and 0 for all else', () => {
    const index = new RecordIndex()
    const random = seededRandom(4)
    const kept = new Map<number, number>()
    for (let i = 0; i < 2000; i++) {
      const seq = random.oneIn(2) ? random.below(3000) : random.below(2 ** 32) * 1000
      kept.set(seq, i + 1)
      index.set(seq, i + 1, i)
    }
    for (const [seq, offset] of kept) expect([index.offset(seq), index.length(seq)]).toEqual([offset, offset - 1])
    for (let seq = 0; seq < 3000; seq++) if (!kept.has(seq)) expect(index.offset(seq)).toBe(0)
  })
})

describe('marks', () => {
  const slot = (trial: Trial, change: Partial<Manifest>): void => {
    const manifest: Manifest = {
      generation: 90,
      writerEpoch: 9,
      label: trial.log!.label!,
      firstSegment: 0,
      segmentCount: 1,
      durableCount: 0,
      durableHash: new Uint8Array(32),
      standing: LIVE,
      hasSlots: false,
      ...change,
    }
    trial.fs.poke(MANIFEST, (all) => {
      all.set(encodeSlot(manifest, crc32), (manifest.generation % 2) * SLOT_BYTES)
      return all
    })
  }

  async function twoRecords(): Promise<Trial> {
    const trial = new Trial(1)
    await trial.open()
    await trial.append([10])
    await trial.append([20])
    await trial.close()
    return trial
  }

  it('of the manifest are held against the log: how many records, and the hash of the last', async () => {
    const trial = await twoRecords()
    slot(trial, { durableCount: 2, durableHash: trial.submitted[1]!.hash })
    await (await trial.open(true)).close()
    slot(trial, { durableCount: 3 })
    const missing = await trial.open(true).catch((error) => error)
    expect(isAteError(missing) && [missing.code, missing.facts['firstSeq'], missing.facts['lastSeq']]).toEqual([
      'DAMAGED',
      2,
      2,
    ])
    slot(trial, { durableCount: 2, durableHash: trial.submitted[0]!.hash })
    expect(await codeOf(() => trial.open(true))).toBe('DAMAGED')
  })

  it('of a slot that stands in the place of the other do not count', async () => {
    const trial = await twoRecords()
    trial.fs.poke(MANIFEST, (all) => {
      const [a, b] = [all.slice(0, 4096), all.slice(4096)]
      all.set(b, 0)
      all.set(a, 4096)
      return all
    })
    expect(await codeOf(() => trial.open(true))).toBe('DAMAGED')
  })

  it('move the writer epoch up at each opening', async () => {
    const trial = await twoRecords()
    const epoch = (): number => {
      const bytes = trial.fs.peek(MANIFEST)
      const [a, b] = [bytes[23]!, bytes[4096 + 23]!]
      return Math.max(a, b)
    }
    const before = epoch()
    await (await trial.open()).close()
    await (await trial.open()).close()
    expect(epoch()).toBe(before + 2)
  })

  it('of a later frame show that the one before it was durable', async () => {
    const trial = new Trial(1)
    const log = await trial.open()
    for (let i = 0; i < 3; i++) await trial.append([50])
    const { offset } = log.place(1)!
    await trial.kill()
    trial.fs.poke('seg-000000.ate', (all) => {
      all[offset]! ^= 1
      return all
    })
    const error = await trial.open().catch((thrown) => thrown)
    expect(isAteError(error) && [error.code, error.facts['firstSeq'], error.facts['lastSeq']]).toEqual([
      'DAMAGED',
      1,
      1,
    ])
  })
})

describe('segments made by hand', () => {
  const none = new Uint8Array(32)
  const label = new Uint8Array(32).fill(1)
  const batch = testBatch(0, [10, 20])

  /** Two segments that fit, but for what `change` says. */
  const made = (change: {
    readonly header?: Partial<SegmentHeader>
    readonly seal?: { readonly records?: number; readonly offset?: number }
    readonly tail?: readonly LogRecord[]
  }): SimFileSystem => {
    const fs = new SimFileSystem(1)
    const put = (name: string, parts: readonly Uint8Array[]): void => void fs.open(name, 'create').write(parts, 0)
    const first = frameOf(batch)
    const offset = 4096 + first.length
    const mark = { durableCount: 2, writerEpoch: 3, nonce: NONCE }
    const seal = encodeSeal({ records: 2, offset, hash: batch[1]!.hash, ...change.seal }, 2, mark, crc32)
    put('seg-000000.ate', [
      encodeSegmentHeader({ ...HEADER, number: 0, firstSeq: 0, before: none }, crc32),
      first,
      seal,
    ])
    const header = { ...HEADER, number: 1, firstSeq: 2, before: batch[1]!.hash, ...change.header }
    put('seg-000001.ate', [encodeSegmentHeader(header, crc32), frameOf(change.tail ?? testBatch(2, [30]))])
    const manifest = {
      generation: 2,
      writerEpoch: 3,
      label,
      firstSegment: 0,
      segmentCount: 2,
      durableCount: 0,
      durableHash: none,
      standing: LIVE,
      hasSlots: false,
    }
    put(MANIFEST, [encodeSlot(manifest, crc32), encodeSlot({ ...manifest, generation: 1 }, crc32)])
    return fs
  }
  const opened = (fs: SimFileSystem): Promise<string> =>
    codeOf(async () => {
      const log = await openFileLog({ fs, random: seededRandom(1), clock: manualClock(), readOnly: true })
      if ((await readAll(log)).length !== log.head()!.seq + 1) throw new Error('records are missing')
      await log.close()
    })

  it('are taken if all fits', async () => {
    expect(await opened(made({}))).toBe('nothing')
  })

  it('are refused for each thing that does not fit', async () => {
    expect(await opened(made({ header: { number: 2 } }))).toBe('DAMAGED')
    expect(await opened(made({ header: { firstSeq: 3 }, tail: testBatch(3, [30]) }))).toBe('DAMAGED')
    expect(await opened(made({ header: { before: batch[0]!.hash } }))).toBe('DAMAGED')
    expect(await opened(made({ header: { label: none } }))).toBe('DAMAGED')
    expect(await opened(made({ seal: { records: 1 } }))).toBe('DAMAGED')
    expect(await opened(made({ seal: { offset: 4096 } }))).toBe('DAMAGED')
  })
})
