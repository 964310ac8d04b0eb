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
import { withCalls } from './damage-kit.ts'

const [FIRST, NEW] = ['seg-000000.ate', 'seg-000000.ate.new']
const LARGE = 20_000

/** Every large record loses all but ten bytes. */
function shrinking(parts: Partial<Compaction> = {}): Compaction {
  return {
    begin: async () => undefined,
    reclaimable: ({ bytes }) => (bytes.length >= LARGE ? bytes.length - 10 : 0),
    rewrite: ({ bytes }) => (bytes.length >= LARGE ? bytes.subarray(0, 10) : undefined),
    settle: async () => undefined,
    pause: async () => undefined,
    signal: undefined,
    ...parts,
  }
}

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

  it('is a sync that failed: of the new file it is given up, of its name nothing is written any more', async () => {
    // Two of the new file, one of the tail, one of the new file while the writer waits, and one of the folder.
    for (let nth = 1; nth <= 5; nth++) {
      const { sim, log } = await twoSegments()
      await appendTo(log, testBatch(4, [LARGE]))
      const begin = async (first: number): Promise<void> => {
        if (first === 3) sim.faults.failSync = sim.counts.syncs + nth
      }
      const settle = async (): Promise<void> => {
        if (log.head()!.seq === 4)
          await log.append(testBatch(5, [100]), { after: log.head(), durability: 'os', load: 'alone' })
      }
      const code = await codeOf(() => log.compact!(shrinking({ begin, settle })))
      const isLost = nth === 3 || nth === 5
      expect([nth, code]).toEqual([nth, isLost ? 'WRITER_POISONED' : 'IO_ERROR'])
      const next = log.head()!.seq + 1
      expect(await codeOf(() => appendTo(log, testBatch(next, [10])))).toBe(isLost ? 'WRITER_POISONED' : 'nothing')
      await log.close()
      sim.crash()
      const again = await openFileLog({ fs: sim, random: seededRandom(1), clock: manualClock() })
      expect((await readAll(again)).length).toBeGreaterThanOrEqual(isLost ? 5 : next + 1)
      expect(sim.files().filter((name) => name.endsWith('.new'))).toEqual([])
      expect(await again.scrub()).toEqual([])
      await again.close()
    }
  })

  it('is a name that the tail cannot have now: the writer goes on in the old file', async () => {
    for (const refused of ['EBUSY', 'EIO']) {
      const is = { refused: '' }
      const { sim, log } = await twoSegments((disk) => ({
        rename: (from, to) => {
          if (is.refused !== '') throw Object.assign(new Error(is.refused), { code: is.refused })
          disk.rename(from, to)
        },
      }))
      await appendTo(log, testBatch(4, [LARGE]))
      const begin = async (first: number): Promise<void> => {
        is.refused = first === 3 ? refused : ''
      }
      if (refused === 'EBUSY') expect(await log.compact!(shrinking({ begin }))).toMatchObject({ records: 2, inUse: 1 })
      else expect(await codeOf(() => log.compact!(shrinking({ begin })))).toBe('IO_ERROR')
      await appendTo(log, testBatch(5, [100]))
      expect(log.place(5)!.segment).toBe(log.place(3)!.segment)
      expect(sim.files().filter((name) => name.endsWith('.new'))).toEqual([])
      is.refused = ''
      expect(await log.compact!(shrinking())).toMatchObject({ records: 1, inUse: 0 })
      await appendTo(log, testBatch(6, [100]))
      await log.close()
      sim.crash()
      const again = await openFileLog({ fs: sim, random: seededRandom(1), clock: manualClock() })
      expect((await readAll(again)).map(({ bytes }) => bytes.length)).toEqual([10, 100, 10, 4000, 10, 100, 100])
      await again.close()
    }
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

describe('the newest segment', () => {
  /** A log that was written and compacted so often, with a record of some bytes and a large one each time. */
  async function compacted(times: number, fs: SimFileSystem, each?: () => Promise<void>): Promise<LogEngine> {
    const log = await openFileLog({ fs, random: seededRandom(1), clock: manualClock(), create: true })
    for (let i = 0; i < times; i++) {
      await appendTo(log, testBatch(2 * i, [100, LARGE]))
      expect(await log.compact!(shrinking())).toMatchObject({ records: 1 })
      await each?.()
    }
    return log
  }
  const segments = (fs: SimFileSystem): string[] => fs.files().filter((name) => name.startsWith('seg-'))

  it('stays the newest: a hundred compactions leave one file, which holds all records, also behind a power cut', async () => {
    const fs = new SimFileSystem(1)
    const log = await compacted(100, fs)
    expect(segments(fs)).toEqual([FIRST])
    expect(log.sizeBytes()).toBeLessThan(60_000)
    fs.crash()
    const again = await openFileLog({ fs, random: seededRandom(1), clock: manualClock() })
    expect((await readAll(again)).length).toBe(200)
    await again.close()
  })

  it('is followed by a reader beside it, from any moment, and read from memory that was made before', async () => {
    const fs = new SimFileSystem(1)
    const readers: LogEngine[] = []
    const log = await compacted(8, fs, async () => {
      readers.push(await openFileLog({ fs, random: seededRandom(1), clock: manualClock(), readOnly: true }))
      const newest = readers.at(-1)!
      const { seq } = newest.head()!
      expect((await newest.readPart(seq, 0, 10)).length).toBe(10)
      // Half of them look each time.
      for (const reader of readers.filter((_, i) => i % 2 === 0)) expect((await reader.refresh())!.seq).toBe(seq)
    })
    await appendTo(log, testBatch(16, [77]))
    const lengths = (await readAll(log)).map(({ bytes }) => bytes.length)
    for (const reader of readers) {
      await reader.refresh()
      expect((await readAll(reader)).map(({ bytes }) => bytes.length)).toEqual(lengths)
      for (const [seq, length] of lengths.entries()) expect((await reader.readPart(seq, 0, length)).length).toBe(length)
      await reader.close()
    }
    await log.close()
  })

  it('that lacks records that a reader knew of is another log', async () => {
    const fs = new SimFileSystem(1)
    let older: Uint8Array | undefined
    const log = await compacted(2, fs, async () => {
      older ??= fs.peek(FIRST)
    })
    const reader = await openFileLog({ fs, random: seededRandom(1), clock: manualClock(), readOnly: true })
    fs.poke(FIRST, () => older!)
    expect(await codeOf(async () => reader.readPart(0, 0, 10))).toBe('DAMAGED')
    expect(reader.head()!.seq).toBe(3)
    expect(await codeOf(() => reader.refresh())).toBe('DAMAGED')
    await reader.close()
    await log.close()
  })

  it('takes what is appended while it changes its file behind that, where it survives a power cut', async () => {
    let appending: Promise<void> | undefined
    let head = () => -1
    let headThen = -1
    const { sim, log } = await twoSegments((disk) => ({
      rename(from, to) {
        disk.rename(from, to)
        if (to !== FIRST && to.endsWith('.ate')) appending = appendTo(log, testBatch(5, [100, 100]))
      },
      syncFolder(path) {
        disk.syncFolder(path)
        headThen = head()
      },
    }))
    head = () => log.head()!.seq
    await appendTo(log, testBatch(4, [LARGE]))
    await log.compact!(shrinking())
    // Nothing was written to it before its name was durable.
    expect(headThen).toBe(4)
    await appending
    expect([log.head()!.seq, log.place(6)!.segment]).toEqual([6, log.place(3)!.segment])
    sim.crash()
    const again = await openFileLog({ fs: sim, random: seededRandom(1), clock: manualClock() })
    expect((await readAll(again)).length).toBe(7)
    await again.close()
  })

  it('says that its last record was durable: what is damaged of it is no torn tail', async () => {
    const fs = new SimFileSystem(1)
    const log = await compacted(1, fs)
    const { offset } = log.place(1)!
    fs.kill()
    await log.close().catch(() => undefined)
    fs.pokeByte(FIRST, offset, fs.peek(FIRST)[offset]! ^ 1)
    expect(await codeOf(() => openFileLog({ fs, random: seededRandom(1), clock: manualClock() }))).toBe('DAMAGED')
  })

  it.each([
    ['little', [100, 100], 'seg-000001.ate'],
    ['more than fits', [100, LARGE, LARGE], 'seg-000002.ate'],
  ] as const)('loses nothing of what comes before the writer waits: %s', async (_, sizes, last) => {
    let left = 0
    const { sim, log } = await twoSegments((disk) => ({
      open(path, mode) {
        const file = disk.open(path, mode)
        const sync = async (): Promise<void> => {
          await file.sync()
          // Behind the second one of the new file nothing is copied but what the exchange does.
          if (path === 'seg-000001.ate.new' && --left === 0)
            for (const size of sizes) await appendTo(log, testBatch(log.head()!.seq + 1, [size]))
        }
        return { ...file, sync }
      },
    }))
    await appendTo(log, testBatch(4, [LARGE]))
    left = 2
    expect((await log.compact!(shrinking())).records).toBeGreaterThanOrEqual(3)
    await appendTo(log, testBatch(log.head()!.seq + 1, [100]))
    expect(log.place(log.head()!.seq)!.segment).toBe(last)
    const lengths = (await readAll(log)).map(({ bytes }) => bytes.length)
    expect(lengths.length).toBe(6 + sizes.length)
    await log.close()
    sim.crash()
    const again = await openFileLog({ fs: sim, random: seededRandom(1), clock: manualClock() })
    expect((await readAll(again)).map(({ bytes }) => bytes.length)).toEqual(lengths)
    expect(await again.scrub()).toEqual([])
    await again.close()
  })

  it('is sealed by a rotation while it is written anew: then the new one has a seal, too', async () => {
    const { sim, log } = await twoSegments()
    await appendTo(log, testBatch(4, [LARGE]))
    const settle = async (): Promise<void> => {
      const next = log.head()!.seq + 1
      if (next < 8) await appendTo(log, testBatch(next, [LARGE]))
    }
    const done = await log.compact!(shrinking({ settle }))
    expect(done).toMatchObject({ inUse: 0 })
    expect(done.records).toBeGreaterThanOrEqual(3)
    await appendTo(log, testBatch(log.head()!.seq + 1, [100]))
    const count = log.head()!.seq + 1
    await log.close()
    sim.crash()
    const again = await openFileLog({ fs: sim, random: seededRandom(1), clock: manualClock() })
    expect((await readAll(again)).length).toBe(count)
    expect(await again.scrub()).toEqual([])
    await again.close()
  })
})
