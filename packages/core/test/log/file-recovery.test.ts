/**
 * Opening at its edges: what a rotation left, seals, a torn tail of one byte, and segments that another process has written
 * anew under an open reader. (Cuts at every operation: file-power.test.ts.)
 */
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../src/log/crc32.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import {
  decodeSegmentHeader,
  encodeFrame,
  encodeSeal,
  encodeSegmentHeader,
  frameBytes,
  NO_HASH,
  SEAL_BYTES,
  type SegmentHeader,
} from '../../src/log/file-frame.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { changeManifest, closedLog, newerFormat, outcome } from './damage-kit.ts'
import { Trial, untilFault } from './trial.ts'

const [FIRST, SECOND, TAIL, NEXT] = ['seg-000000.ate', 'seg-000001.ate', 'seg-000002.ate', 'seg-000003.ate']
const HEADER_BYTES = 4096

function flip({ fs }: Trial, name: string, at: number): void {
  fs.pokeByte(name, at, fs.peek(name)[at]! ^ 1)
}

function headerOf(bytes: Uint8Array): SegmentHeader {
  return decodeSegmentHeader(bytes.subarray(0, HEADER_BYTES), crc32) as SegmentHeader
}

/** Without its tail: a rotation that went no further than the seal. The last segment is a sealed one. */
async function endsWithSeal(): Promise<Trial> {
  const trial = await closedLog()
  const { firstSeq, before } = headerOf(trial.fs.peek(TAIL))
  trial.fs.drop(TAIL)
  changeManifest(trial, { segmentCount: 2, durableCount: firstSeq, durableHash: before })
  trial.submitted.length = firstSeq
  return trial
}

describe('a long tail', () => {
  it('is walked in steps, between which a writer gives way', async () => {
    const fs = new SimFileSystem(1, { folder: 'missing' })
    let pauses = 0
    const parts = {
      fs,
      random: seededRandom(1),
      clock: manualClock(),
      create: true,
      label: new Uint8Array(32).fill(1),
      pause: async () => void pauses++,
    }
    const log = await openFileLog(parts)
    const records = 40
    for (let seq = 0; seq < records; seq++)
      await log.append(testBatch(seq, [500_000]), { after: log.head(), durability: 'os', load: 'alone' })
    await log.close()
    expect(pauses).toBe(0)
    const again = await openFileLog(parts)
    expect([pauses, again.head()?.seq]).toEqual([2, records - 1])
    await again.close()
  })
})

describe('a segment that a rotation left without a frame', () => {
  it('is no part of the log, whatever its header is, and a writer takes it away', async () => {
    for (const size of [0, 100, HEADER_BYTES]) {
      const trial = await closedLog()
      trial.fs.open(NEXT, 'create').close()
      trial.fs.poke(NEXT, () => new Uint8Array(size).fill(9))
      expect((await outcome(trial, trial.submitted.length)).what).toBe('same')
      expect(trial.fs.files()).not.toContain(NEXT)
    }
  })

  it('is damage where MANIFEST lists it with records', async () => {
    const trial = await closedLog()
    trial.fs.poke(TAIL, (bytes) => bytes.slice(0, HEADER_BYTES))
    expect(await outcome(trial, 16)).toMatchObject({ what: 'DAMAGED', facts: { segment: TAIL } })
    const empty = await closedLog()
    for (const name of [FIRST, SECOND, TAIL]) empty.fs.drop(name)
    changeManifest(empty, { segmentCount: 0 })
    expect((await outcome(empty, 0)).what).toBe('DAMAGED')
  })
})

describe('a seal', () => {
  it('that is not whole is damage of its own segment', async () => {
    for (const at of [SEAL_BYTES - 1, SEAL_BYTES - 64 - 20, 48, 40, 8, 1]) {
      const trial = await closedLog()
      flip(trial, FIRST, trial.fs.peek(FIRST).length - at)
      expect(await outcome(trial, 16)).toMatchObject({ what: 'DAMAGED', facts: { segment: FIRST } })
    }
  })

  it('at the end of a log does not hide what is damaged before it, with and without a begun segment behind', async () => {
    for (const isBegun of [false, true]) {
      const trial = await endsWithSeal()
      if (isBegun) trial.fs.open(NEXT.replace('3', '2'), 'create').close()
      expect((await outcome(trial, trial.submitted.length, ['reader'])).what).toBe('same')
      flip(trial, SECOND, HEADER_BYTES + 200)
      expect(await codeOf(() => trial.open(true))).toBe('DAMAGED')
    }
  })

  it('at the end of a log is where a reader stops, and where the next segment begins', async () => {
    const trial = await endsWithSeal()
    const count = trial.submitted.length
    const reader = await trial.open(true)
    expect(await reader.refresh!()).toMatchObject({ seq: count - 1 })
    trial.ends = new Set([...trial.ends, count])
    await trial.open()
    await trial.append([100])
    expect(trial.log!.place(count)?.segment).toBe(TAIL)
    expect(await reader.refresh!()).toMatchObject({ seq: count })
    await reader.close()
    await trial.close()
  })

  it('behind a frame that fills what one walk reads leaves the hash of the newest record right', async () => {
    const trial = new Trial(1, { segmentBytes: 1024 * 1024 + HEADER_BYTES + 100 })
    await trial.open()
    // A frame of 32 bytes less than the window: there is no room in it for the header of the seal.
    await trial.append([524_204, 524_204])
    await trial.append([10])
    await trial.close()
    const { firstSeq, before } = headerOf(trial.fs.peek(SECOND))
    expect([firstSeq, trial.fs.peek(FIRST).length]).toEqual([2, HEADER_BYTES + 1024 * 1024 - 32 + SEAL_BYTES])
    trial.fs.drop(SECOND)
    changeManifest(trial, { segmentCount: 1, durableCount: 2, durableHash: before })
    const log = await trial.open(true)
    expect(log.head()).toEqual({ seq: 1, hash: trial.submitted[1]!.hash })
    await log.close()
  })

  it('of another record ends nothing: it is a torn tail', async () => {
    const trial = new Trial(1, { zeroFillBytes: 0 })
    await trial.open()
    await trial.append([100])
    await trial.kill()
    const bytes = trial.fs.peek(FIRST)
    const { nonce } = headerOf(bytes)
    const mark = { durableCount: 0, writerEpoch: 1, nonce }
    const seal = encodeSeal({ records: 1, offset: bytes.length, hash: NO_HASH }, 1, mark, crc32)
    trial.fs.poke(FIRST, () => new Uint8Array(Buffer.concat([bytes, seal])))
    const log = await trial.open()
    expect(log.residue!().quarantine.map((file) => file.bytes)).toEqual([seal.findLastIndex((byte) => byte !== 0) + 1])
    await trial.append([100])
    expect(log.place(1)!.segment).toBe(FIRST)
    await trial.close()
  })
})

describe('a torn tail', () => {
  it('of one byte is kept', async () => {
    const trial = new Trial(1, { zeroFillBytes: 0 })
    await trial.open()
    await trial.append([100])
    await trial.kill()
    trial.fs.poke(FIRST, (bytes) => new Uint8Array([...bytes, 5]))
    const log = await trial.open()
    expect(log.residue!().quarantine.map(({ bytes }) => bytes)).toEqual([1])
    await trial.close()
  })
})

/** The bytes of a segment with these records, with a seal, and with a nonce that no other segment has. */
function sealedSegment(
  header: SegmentHeader,
  records: readonly LogRecord[],
  options: { readonly seal: 'whole' | 'none' } = { seal: 'whole' },
): Uint8Array {
  const nonce = new Uint8Array(16).fill(0x77)
  const mark = { durableCount: header.firstSeq, writerEpoch: header.writerEpoch, nonce }
  const size = records.reduce((sum, { bytes }) => sum + 36 + bytes.length, 0)
  const frame = new Uint8Array(frameBytes(size))
  encodeFrame(frame, records, size, mark, crc32)
  const hash = records.at(-1)!.hash
  const nextSeq = records.at(-1)!.seq + 1
  const parts = [encodeSegmentHeader({ ...header, nonce }, crc32), frame]
  const offset = HEADER_BYTES + frame.length
  if (options.seal === 'whole')
    parts.push(encodeSeal({ records: nextSeq - header.firstSeq, offset, hash }, nextSeq, mark, crc32))
  return new Uint8Array(Buffer.concat(parts))
}

describe('a segment that another process has written anew under an open reader', () => {
  /** What a reader that was open before reads after `name` has become those bytes. */
  async function readAfter(
    name: string,
    change: (header: SegmentHeader, records: readonly LogRecord[], trial: Trial) => Uint8Array,
  ): Promise<string> {
    const trial = await closedLog()
    const reader = await trial.open(true)
    const records = trial.submitted.filter(({ seq }) => reader.place(seq)!.segment === name)
    trial.fs.poke(name, (bytes) => change(headerOf(bytes), records, trial))
    const what = await codeOf(async () => {
      if (name === TAIL) await reader.refresh!()
      const found = await readAll(reader)
      expect(found.map(({ bytes }) => bytes)).toEqual(trial.submitted.map(({ bytes }) => bytes))
    })
    await reader.close()
    return what
  }

  it('is taken if it holds the same records', async () => {
    expect(await readAfter(SECOND, (header, records) => sealedSegment(header, records))).toBe('nothing')
    expect(await readAfter(TAIL, (header, records) => sealedSegment(header, records))).toBe('nothing')
  })

  it('is DAMAGED if anything of it is another', async () => {
    const other = new Uint8Array(32).fill(8)
    const changes: Readonly<Record<string, (header: SegmentHeader, records: readonly LogRecord[]) => Uint8Array>> = {
      number: (header, records) => sealedSegment({ ...header, number: header.number + 1 }, records),
      label: (header, records) => sealedSegment({ ...header, label: other }, records),
      before: (header, records) => sealedSegment({ ...header, before: other }, records),
      'first seq': (header, records) =>
        sealedSegment(
          { ...header, firstSeq: header.firstSeq + 1 },
          records.map((record) => ({ ...record, seq: record.seq + 1 })),
        ),
      'no seal': (header, records) => sealedSegment(header, records, { seal: 'none' }),
      'a record fewer': (header, records) => sealedSegment(header, records.slice(0, -1)),
      'no first record': (header, records) =>
        sealedSegment({ ...header, firstSeq: header.firstSeq + 1 }, records.slice(1)),
      'a record fewer, under the hash of the last': (header, records) =>
        sealedSegment(header, [...records.slice(0, -2), { ...records.at(-2)!, hash: records.at(-1)!.hash }]),
      'another last record': (header, records) =>
        sealedSegment(header, [...records.slice(0, -1), { ...records.at(-1)!, hash: other }]),
    }
    for (const [what, change] of Object.entries(changes))
      expect([what, await readAfter(SECOND, change)]).toEqual([what, 'DAMAGED'])
    expect(await readAfter(TAIL, (header, records) => sealedSegment(header, records.slice(0, -1)))).toBe('DAMAGED')
  })

  it('of newer software is that, and one whose header is broken is read as it is known', async () => {
    expect(await readAfter(SECOND, (_, __, trial) => newerFormat(trial.fs.peek(SECOND)))).toBe('UNSUPPORTED_FORMAT')
    expect(await readAfter(SECOND, (_, __, trial) => trial.fs.peek(SECOND).fill(0, 0, HEADER_BYTES))).toBe('nothing')
  })
})

it('a log that was made by a process that died before its name was durable is whole, or not there, whatever is cut', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const trial = new Trial(seed)
    // Behind that of MANIFEST.new comes the sync of the folder.
    trial.fs.faults.failSync = 2
    expect(await codeOf(() => trial.open())).toBe('IO_ERROR')
    trial.fs.kill()
    trial.fs.faults = { cutAfter: trial.fs.counts.operations + 1 + (seed % 8) }
    await untilFault(async () => {
      await trial.open()
      await trial.append([100])
    })
    trial.fs.faults = {}
    await trial.powerCutAndCheck()
  }
})
