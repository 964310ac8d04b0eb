/** What a server learns of a log without opening it: its standing, its bytes, its first record, and what hides them. */
import { expect, it } from 'vitest'
import { crc32 } from '../../src/log/crc32.ts'
import { encodeSeal, encodeSegmentHeader, type SegmentHeader } from '../../src/log/file-frame.ts'
import { glanceAtLog } from '../../src/log/file-glance.ts'
import { encodeSlot, MANIFEST, readManifest, SLOT_BYTES } from '../../src/log/file-manifest.ts'
import { codeOf } from '../../src/testing/log-suite.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { closedLog, newerFormat } from './damage-kit.ts'
import { Trial } from './trial.ts'

const FIRST = 'seg-000000.ate'
const NONCE = new Uint8Array(16).fill(7)

const HEADER: SegmentHeader = {
  format: 2,
  number: 0,
  span: 1,
  firstSeq: 0,
  label: new Uint8Array(32).fill(3),
  nonce: NONCE,
  writerEpoch: 1,
  before: new Uint8Array(32),
}

function firstOf({ fs }: Trial): Uint8Array | undefined {
  return glanceAtLog(fs, crc32).firstRecord
}

it('says its standing, the bytes of its segments and its first record', async () => {
  const trial = await closedLog()
  const files = trial.fs.files().filter((name) => name.startsWith('seg-'))
  expect(glanceAtLog(trial.fs, crc32)).toEqual({
    standing: 'live',
    bytes: files.reduce((sum, name) => sum + trial.fs.peek(name).length, 0),
    firstRecord: trial.submitted[0]!.bytes,
  })
})

it('finds no record in a log that holds none, and no log where there is none', async () => {
  const trial = new Trial(1)
  await trial.open()
  await trial.close()
  expect(glanceAtLog(trial.fs, crc32)).toEqual({ standing: 'live', bytes: 0, firstRecord: undefined })
  expect(await codeOf(() => glanceAtLog(new SimFileSystem(1), crc32))).toBe('CHAIN_NOT_FOUND')
  trial.fs.faults.failRead = trial.fs.counts.reads + 1
  expect(await codeOf(() => glanceAtLog(trial.fs, crc32))).toBe('IO_ERROR')
})

it('gives no first record whose segment is damaged, newer, another, or does not begin with it', async () => {
  const trial = await closedLog()
  const whole = trial.fs.peek(FIRST)
  const given = (bytes: Uint8Array): Uint8Array | undefined => {
    trial.fs.poke(FIRST, () => bytes)
    return firstOf(trial)
  }
  expect(given(whole.slice().fill(0, 0, 4096))).toBe(undefined)
  expect(given(newerFormat(whole.slice()))).toBe(undefined)
  expect(given(whole.with(4096 + 200, whole[4096 + 200]! ^ 1))).toBe(undefined)
  const mark = { durableCount: 0, writerEpoch: 1, nonce: NONCE }
  const seal = encodeSeal({ records: 0, offset: 4096, hash: new Uint8Array(32) }, 0, mark, crc32)
  expect(given(Buffer.concat([encodeSegmentHeader(HEADER, crc32), seal]))).toBe(undefined)
  const later = await closedLog()
  const second = later.fs.peek('seg-000001.ate')
  expect(given(second)).toBe(undefined)
  expect(given(whole)).toEqual(trial.submitted[0]!.bytes)
})

it('counts no segment before the first that MANIFEST names', async () => {
  const trial = await closedLog()
  const size = glanceAtLog(trial.fs, crc32).bytes
  const file = trial.fs.open(MANIFEST, 'read')
  const manifest = readManifest(file, crc32)
  file.close()
  trial.fs.poke(MANIFEST, (bytes) => {
    const slot = encodeSlot({ ...manifest, firstSegment: 1 }, crc32)
    bytes.set(slot, (manifest.generation % 2) * SLOT_BYTES)
    return bytes
  })
  const bytes = size - trial.fs.peek(FIRST).length
  expect(glanceAtLog(trial.fs, crc32)).toEqual({ standing: 'live', bytes, firstRecord: undefined })
})
