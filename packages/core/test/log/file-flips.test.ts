/**
 * One flipped bit of a log that was closed: the same data, or DAMAGED with the name of the file. One bit of every byte of
 * a log of 64 KiB, drawn from a seed; ATE_FLIP_BITS=8 takes every bit of every byte, ATE_FLIP_KIB=256 four logs of other
 * records: each bit costs an opening of its whole log, which a larger one makes slower.
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import * as zlib from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { type Crc32, crc32 } from '../../src/log/crc32.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { MANIFEST } from '../../src/log/file-manifest.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { appendTo, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'

const ALL_BYTES = 1024 * Number(process.env['ATE_FLIP_KIB'] ?? 64)
const BITS = Number(process.env['ATE_FLIP_BITS'] ?? 1)
const SEED = Number(process.env['ATE_SEED'] ?? 1)
const LOGS = Math.ceil(ALL_BYTES / (64 * 1024))
/** Of one log. */
const SIZE = ALL_BYTES / LOGS
const SEGMENT_BYTES = SIZE / 4
// The engine's own twin is held against this one in file-frame.test.ts; here it is asked a billion times.
const crc: Crc32 = (zlib as { readonly crc32?: Crc32 }).crc32 ?? crc32
const parts = { random: seededRandom(SEED), clock: manualClock(), crc32: crc, segmentBytes: SEGMENT_BYTES }

/** A closed log of about SIZE bytes in four or five segments, the last of some frames. */
async function closedLog(
  seed: number,
): Promise<{ readonly fs: SimFileSystem; readonly records: readonly LogRecord[] }> {
  const fs = new SimFileSystem(seed)
  const random = seededRandom(seed + 1)
  const records: LogRecord[] = []
  const log = await openFileLog({ ...parts, fs, create: true })
  while (log.sizeBytes() < SIZE - 4096) {
    const sizes = Array.from({ length: 1 + random.below(3) }, () => random.below(SIZE / 32))
    const batch = testBatch(records.length, sizes, seed)
    records.push(...batch)
    await appendTo(log, batch)
  }
  await log.close()
  return { fs, records }
}

/** Opens and reads everything: 'same', or the file that DAMAGED names. Anything else throws. */
async function outcome(fs: FileSystem, records: readonly LogRecord[], readOnly: boolean): Promise<string> {
  try {
    const log = await openFileLog({ ...parts, fs, readOnly })
    try {
      let seq = 0
      for await (const chunk of log.read(0)) for (const record of chunk) checkSame(record, records[seq++])
      if (seq !== records.length || log.head()?.seq !== seq - 1) throw new Error(`${seq} of ${records.length} records`)
    } finally {
      await log.close()
    }
    return 'same'
  } catch (error) {
    if (!isAteError(error) || error.code !== 'DAMAGED') throw error
    return String(error.facts['segment'])
  }
}

function checkSame(record: LogRecord, given: LogRecord | undefined): void {
  const isSame =
    given?.seq === record.seq &&
    Buffer.compare(record.bytes, given.bytes) === 0 &&
    Buffer.compare(record.hash, given.hash) === 0
  if (!isSame) throw new Error(`record ${record.seq} is not what was written`)
}

const seeds = Array.from({ length: LOGS }, (_, i) => SEED + i)
const what = `${SIZE / 1024} KiB, ${BITS === 8 ? 'every bit' : 'one'} of every byte`
describe.each(seeds)(`a flipped bit in a log of ${what}, seed %i`, (seed) => {
  it('is DAMAGED by the name of its file, or the data is the same', async () => {
    const { fs, records } = await closedLog(seed)
    const random = seededRandom(seed + 2)
    const count = { same: 0, damaged: 0 }
    for (const name of [...fs.files()].sort()) {
      const bytes = fs.peek(name)
      for (let at = 0; at < bytes.length; at++) {
        for (let i = 0; i < BITS; i++) {
          const bit = BITS === 8 ? i : random.below(8)
          fs.pokeByte(name, at, bytes[at]! ^ (1 << bit))
          const found = await outcome(fs, records, true).catch((error) => {
            throw new Error(`seed ${seed}, ${name}, byte ${at}, bit ${bit}: ${error.message}`, { cause: error })
          })
          if (found === 'same') count.same++
          else if (found === name) count.damaged++
          else throw new Error(`seed ${seed}, ${name}, byte ${at}, bit ${bit}: ${found} is called damaged`)
        }
        fs.pokeByte(name, at, bytes[at]!)
      }
    }
    // What may be the same: a slot or the copy of a header that is not needed, zeros between.
    expect(count.damaged).toBeGreaterThan(BITS * (SIZE - 6 * 4096))
    expect(count.same).toBeLessThan(BITS * (2 + 5) * 4096 + 1)
    expect(await outcome(fs, records, true)).toBe('same')
  })

  it('is judged no other by a writer, who cuts nothing that was durable', async () => {
    const { fs, records } = await closedLog(seed)
    const random = seededRandom(seed + 3)
    for (const name of [MANIFEST, [...fs.files()].sort().at(-1)!]) {
      const size = fs.peek(name).length
      for (let at = 0; at < size; at += BITS === 8 ? 1 : 1 + random.below(7)) {
        const copy = new SimFileSystem(seed)
        for (const file of fs.files()) fs.copyTo(copy, file, file)
        copy.pokeByte(name, at, fs.peek(name)[at]! ^ (1 << random.below(8)))
        const found = await outcome(copy, records, false)
        if (found !== 'same' && found !== name) throw new Error(`${name}, byte ${at}: ${found} is called damaged`)
        if (found === 'same') expect(await outcome(copy, records, true)).toBe('same')
      }
    }
  })
})
