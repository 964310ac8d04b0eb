/**
 * A segment that is written anew, at its edges: what stops it, what must not be lost by it, and what is left where it ends
 * early. (Cuts at every operation and random lives: file-compact.test.ts.)
 */
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/environment.ts'
import type { Compaction, LogEngine } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { appendTo, codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { LARGE, shrinking } from './compact-kit.ts'
import { withCalls } from './damage-kit.ts'

const [FIRST, NEW] = ['seg-000000.ate', 'seg-000000.ate.new']
/** A log of two segments, the first of two large records and a small one, and the second of a small one. */
async function twoSegments(
  calls: Partial<FileSystem> | ((sim: SimFileSystem) => Partial<FileSystem>) = {},
  clock: Clock = manualClock(),
): Promise<{ readonly sim: SimFileSystem; readonly fs: FileSystem; readonly log: LogEngine }> {
  const sim = new SimFileSystem(1)
  const fs = withCalls(sim, typeof calls === 'function' ? calls(sim) : calls)
  const log = await openFileLog({
    fs,
    random: seededRandom(1),
    clock,
    segmentBytes: 45_000,
    zeroFillBytes: 0,
    create: true,
  })
  await appendTo(log, testBatch(0, [LARGE, 100]))
  await appendTo(log, testBatch(2, [LARGE]))
  await appendTo(log, testBatch(3, [4000]))
  expect([log.place(2)!.segment, log.place(3)!.segment]).toEqual([FIRST, 'seg-000001.ate'])
  return { sim, fs, log }
}

/** After a compaction that did not come about: the old bytes, no new file. */
function expectAsBefore(sim: SimFileSystem, before: Uint8Array): void {
  expect(sim.peek(FIRST)).toEqual(before)
  expect(sim.files()).not.toContain(NEW)
}

describe('a segment that is written anew', () => {
  it('holds all records, the rewritten ones shorter', async () => {
    const { log } = await twoSegments()
    expect(await log.compact!(shrinking())).toMatchObject({ records: 2, inUse: 0 })
    expect((await readAll(log)).map(({ bytes }) => bytes.length)).toEqual([10, 100, 10, 4000])
    expect(await log.scrub()).toEqual([])
    await log.close()
  })

  it('is not made of one that is damaged: the records behind the damage would be lost', async () => {
    const { sim, log } = await twoSegments()
    const { offset } = log.place(2)!
    await log.close()
    sim.pokeByte(FIRST, offset, sim.peek(FIRST)[offset]! ^ 1)
    const before = sim.peek(FIRST)
    const again = await openFileLog({ fs: sim, random: seededRandom(1), clock: manualClock() })
    expect(await codeOf(() => again.compact!(shrinking()))).toBe('DAMAGED')
    expectAsBefore(sim, before)
    // Also where all that is whole is looked at, and nothing is to be freed.
    expect(await codeOf(() => again.compact!(shrinking({ reclaimable: () => 0 })))).toBe('DAMAGED')
    await again.close()
  })

  it('is left where another process has the old one open, and tried again', async () => {
    const is = { refused: '' }
    const { sim, log } = await twoSegments((disk) => ({
      rename: (from, to) => {
        if (is.refused !== '') throw Object.assign(new Error(is.refused), { code: is.refused })
        disk.rename(from, to)
      },
    }))
    const before = sim.peek(FIRST)
    is.refused = 'EBUSY'
    expect(await log.compact!(shrinking())).toMatchObject({ records: 0, inUse: 1 })
    expectAsBefore(sim, before)
    is.refused = 'EIO'
    expect(await codeOf(() => log.compact!(shrinking()))).toBe('IO_ERROR')
    expectAsBefore(sim, before)
    is.refused = ''
    expect(await log.compact!(shrinking())).toMatchObject({ records: 2, inUse: 0 })
    await log.close()
  })
})

describe('what ends a compaction', () => {
  it('is its signal, and a log that is closed, also while it only looks', async () => {
    for (const reclaimable of [() => 0, shrinking().reclaimable]) {
      let now = 0
      const stop = new AbortController()
      const { sim, log } = await twoSegments({}, { now: () => 1, monotonic: () => (now += 5) })
      const before = sim.peek(FIRST)
      const pause = async (): Promise<void> => stop.abort()
      expect(await codeOf(() => log.compact!(shrinking({ reclaimable, pause, signal: stop.signal })))).toMatch(/ABORT/i)
      expectAsBefore(sim, before)
      let closing: Promise<void> | undefined
      const close = async (): Promise<void> => {
        closing ??= log.close()
      }
      expect(await codeOf(() => log.compact!(shrinking({ reclaimable, pause: close })))).toBe('CHAIN_CLOSED')
      await closing
      expectAsBefore(sim, before)
    }
  })

  it('is what came about while it waited for what it relies on', async () => {
    const closed = await twoSegments()
    const before = closed.sim.peek(FIRST)
    let closing: Promise<void> | undefined
    const settle = async (): Promise<void> => {
      closing = closed.log.close()
    }
    expect(await codeOf(() => closed.log.compact!(shrinking({ settle })))).toBe('CHAIN_CLOSED')
    await closing
    expectAsBefore(closed.sim, before)

    // A lock that does not hold: another writer takes over meanwhile.
    const fenced = await twoSegments({ lock: async () => ({ release: async () => undefined }) })
    const old = fenced.sim.peek(FIRST)
    let second: LogEngine | undefined
    const takeOver = async (): Promise<void> => {
      second ??= await openFileLog({ fs: fenced.fs, random: seededRandom(2), clock: manualClock() })
    }
    expect(await codeOf(() => fenced.log.compact!(shrinking({ settle: takeOver })))).toBe('WRITER_FENCED')
    expectAsBefore(fenced.sim, old)
    await second!.close()
  })

  it('is a tail that may not be sealed: another has taken over, or a sync of an append failed', async () => {
    const fenced = await twoSegments({ lock: async () => ({ release: async () => undefined }) })
    await appendTo(fenced.log, testBatch(4, [LARGE]))
    const before = fenced.sim.peek('seg-000001.ate')
    let second: LogEngine | undefined
    const begin = async (first: number): Promise<void> => {
      if (first === 3) second ??= await openFileLog({ fs: fenced.fs, random: seededRandom(2), clock: manualClock() })
    }
    expect(await codeOf(() => fenced.log.compact!(shrinking({ begin })))).toBe('WRITER_FENCED')
    expect(fenced.sim.peek('seg-000001.ate')).toEqual(before)
    await second!.close()

    const { sim, log } = await twoSegments()
    await appendTo(log, testBatch(4, [LARGE]))
    let append: Promise<unknown> | undefined
    const reclaimable: Compaction['reclaimable'] = ({ seq, bytes }) => {
      if (seq === 4 && append === undefined) {
        sim.faults.failSync = sim.counts.syncs + 1
        append = codeOf(() => appendTo(log, testBatch(5, [100])))
      }
      return seq === 4 ? bytes.length - 10 : 0
    }
    expect(await codeOf(() => log.compact!(shrinking({ reclaimable })))).toBe('WRITER_POISONED')
    expect(await append).toBe('WRITER_POISONED')
    await log.close()
  })

  it('is a seal that is not durable: who waits for it does not write behind it', async () => {
    const is = { failing: false }
    let append: Promise<string> | undefined
    const { sim, log } = await twoSegments((disk) => ({
      open: (path, mode) => {
        const file = disk.open(path, mode)
        const sync = async (): Promise<void> => {
          if (!is.failing) return file.sync()
          is.failing = false
          await undefined
          append = codeOf(() => appendTo(log, testBatch(5, [100])))
          throw Object.assign(new Error('EIO'), { code: 'EIO' })
        }
        return { ...file, sync }
      },
    }))
    await appendTo(log, testBatch(4, [LARGE]))
    const begin = async (first: number): Promise<void> => {
      is.failing = first === 3
    }
    expect(await codeOf(() => log.compact!(shrinking({ begin })))).toBe('WRITER_POISONED')
    const size = sim.peek('seg-000001.ate').length
    expect(await append).toBe('WRITER_POISONED')
    expect(sim.peek('seg-000001.ate').length).toBe(size)
    await log.close()
  })

  it('is the end of what was there when it began', async () => {
    const { log } = await twoSegments()
    const begun: number[] = []
    const begin = async (first: number): Promise<void> => {
      begun.push(first)
      if (first === 3) for (const seq of [4, 5, 6]) await appendTo(log, testBatch(seq, [LARGE]))
    }
    await log.compact!(shrinking({ begin }))
    expect(log.place(6)!.segment).not.toBe(log.place(3)!.segment)
    expect(new Set(begun)).toEqual(new Set([0, 3]))
    await log.close()
  })
})
