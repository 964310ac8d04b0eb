/** Compaction of a segment of many frames: they are written one by one, synced on the way, and hold what they held. */
import { describe, expect, it } from 'vitest'
import type { LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { appendTo, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'

const RECORD_BYTES = 200 * 1024

describe('a segment of many frames', () => {
  it('is written anew frame by frame, with syncs between, and survives a power cut at once', async () => {
    const fs = new SimFileSystem(1)
    const parts = { fs, random: seededRandom(1), clock: manualClock(), zeroFillBytes: 0 }
    const log = await openFileLog({ ...parts, create: true })
    const batch = testBatch(
      0,
      Array.from({ length: 40 }, () => RECORD_BYTES),
    )
    for (let i = 0; i < batch.length; i += 8) await appendTo(log, batch.slice(i, i + 8))
    const short = ({ seq, bytes }: LogRecord): Uint8Array => (seq % 4 === 0 ? bytes.subarray(0, 100) : bytes)
    const { syncs, writes } = fs.counts
    const compacted = await log.compact({
      begin: async () => {},
      reclaimable: (record) => record.bytes.length - short(record).length,
      rewrite: (record) => (record.seq % 4 === 0 ? short(record) : undefined),
      settle: async () => {},
      pause: async () => {},
      signal: undefined,
    })
    expect(compacted.records).toBe(10)
    // Thirty whole records of 200 KiB: some fifteen frames, and 6 MiB take a sync after 4, one at the end, one of the seal.
    expect(fs.counts.writes - writes).toBeGreaterThan(12)
    expect(fs.counts.syncs - syncs).toBeGreaterThanOrEqual(3)
    fs.crash()
    await log.close().catch(() => undefined)
    const again = await openFileLog(parts)
    const found = await readAll(again)
    expect(found.length).toBe(40)
    for (const [seq, record] of found.entries()) {
      const isWhole = Buffer.compare(record.bytes, batch[seq]!.bytes) === 0
      const isShort = Buffer.compare(record.bytes, short(batch[seq]!)) === 0
      expect([seq, isWhole || isShort]).toEqual([seq, true])
    }
    expect(await again.scrub()).toEqual([])
    await again.close()
  })
})
