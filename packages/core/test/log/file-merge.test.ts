/**
 * Small neighbours that a compaction merges: which of them, what that costs over a long life, who reads meanwhile, what stops
 * it, and what a crash leaves of it. (Cuts at every operation and random lives: file-compact.test.ts.)
 */
import { describe, expect, it } from 'vitest'
import { crc32 } from '../../src/log/crc32.ts'
import type { LogEngine, LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { decodeSegmentHeader, putU32 } from '../../src/log/file-frame.ts'
import { encodeSlot, MANIFEST, readManifest } from '../../src/log/file-manifest.ts'
import { runsToMerge } from '../../src/log/file-merge.ts'
import { salvagedRecords, surveyLog } from '../../src/log/file-salvage.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { appendTo, codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { LARGE, shrinking } from './compact-kit.ts'
import { withCalls } from './damage-kit.ts'

const KIB = 1024
const MIB = 1024 * KIB
const MOST = 64 * MIB

function merged(sizes: readonly number[], most: number = MOST): number[] {
  const runs = runsToMerge(sizes, most)
  const left: number[] = []
  for (let i = 0; i < sizes.length; ) {
    const run = runs.find(({ from }) => from === i)
    const to = run?.to ?? i + 1
    left.push(sizes.slice(i, to).reduce((sum, size) => sum + size, 0))
    i = to
  }
  return left
}

/** From a few bytes to a whole segment, small ones as often as large ones. */
function sizeOf(random: SeededRandom): number {
  return 1 + random.below(2 ** (6 + random.below(21)))
}

describe('which segments are merged', () => {
  it('is said by their levels: an older one that is not above the newer one', () => {
    expect(merged([])).toEqual([])
    expect(merged([5])).toEqual([5])
    // All below 64 KiB is one level.
    expect(merged([60 * KIB, 1])).toEqual([60 * KIB + 1])
    expect(merged([64 * KIB, 1])).toEqual([64 * KIB, 1])
    expect(merged([64 * KIB, 63 * KIB, KIB])).toEqual([128 * KIB])
    expect(merged([128 * KIB, 64 * KIB])).toEqual([128 * KIB, 64 * KIB])
    expect(merged([127 * KIB, 64 * KIB])).toEqual([191 * KIB])
    expect(merged([1, 2 * MIB])).toEqual([2 * MIB + 1])
    expect(merged([4 * MIB, 2 * MIB, MIB, MIB])).toEqual([8 * MIB])
    expect(runsToMerge([4 * MIB, MIB, 1, 1, 1], MOST)).toEqual([{ from: 2, to: 5 }])
  })

  it('is what fits into one, to the byte', () => {
    expect(merged([40, 60], 100)).toEqual([100])
    expect(merged([41, 60], 100)).toEqual([41, 60])
    expect(merged([30, 30, 30, 30, 30], 100)).toEqual([90, 60])
  })

  it('is whatever stands before one that it does not fit with, since that is not going to grow', () => {
    expect(merged([8 * MIB, 2 * MIB, 100 * KIB, 64 * MIB])).toEqual([10 * MIB + 100 * KIB, 64 * MIB])
    expect(merged([60 * MIB, 8 * MIB, 2 * MIB, 63 * MIB, 3 * MIB, MIB])).toEqual([
      ...[60 * MIB, 10 * MIB, 63 * MIB],
      ...[3 * MIB, MIB],
    ])
  })

  it('leaves few, none too large, and nothing that it would merge the next time', () => {
    for (let seed = 1; seed <= 2000; seed++) {
      const random = seededRandom(seed)
      const sizes = Array.from({ length: random.below(40) }, () => sizeOf(random))
      const left = merged(sizes)
      const bytes = sizes.reduce((sum, size) => sum + size, 0)
      expect(left.reduce((sum, size) => sum + size, 0)).toBe(bytes)
      for (const [i, size] of left.entries())
        expect(size <= MOST || sizes.includes(size), `seed ${seed}, ${i}`).toBe(true)
      expect(left.length, `seed ${seed}`).toBeLessThanOrEqual((2 * bytes) / MOST + 12)
      expect(runsToMerge(left, MOST), `seed ${seed}`).toEqual([])
    }
  })

  it('costs a byte a few times its weight, however often a log is compacted', () => {
    for (const size of [500, 10 * KIB, 100 * KIB, MIB]) {
      const random = seededRandom(size)
      let segments: number[] = []
      let [bytes, written] = [0, 0]
      for (let i = 0; i < 3000; i++) {
        const added = 1 + random.below(2 * size)
        bytes += added
        segments.push(added)
        for (const { from, to } of runsToMerge(segments, MOST))
          written += segments.slice(from, to).reduce((sum, one) => sum + one, 0)
        segments = merged(segments)
        expect(segments.length).toBeLessThanOrEqual((2 * bytes) / MOST + 12)
      }
      // Once a level above the lowest; in that one up to its size each time.
      expect(written).toBeLessThan(12 * bytes + 3000 * 64 * KIB)
      expect(written, `${size}`).toBeLessThan(size < 64 * KIB ? Number.POSITIVE_INFINITY : 8 * bytes)
    }
  })
})

const [FIRST, SECOND, THIRD, FOURTH] = [0, 1, 2, 3].map((number) => `seg-00000${number}.ate`) as [
  string,
  string,
  string,
  string,
]

interface Disk {
  readonly sim: SimFileSystem
  readonly fs: FileSystem
}

function diskWith(calls: (sim: SimFileSystem) => Partial<FileSystem> = () => ({}), seed = 1): Disk {
  const sim = new SimFileSystem(seed)
  return { sim, fs: withCalls(sim, calls(sim)) }
}

/** One whose folder is synced, or fails with the errno that `is.failing` says. */
function diskOfFolders(): { readonly disk: Disk; readonly is: { failing: string } } {
  const is = { failing: '' }
  const disk = diskWith((sim) => ({
    syncFolder(path) {
      if (is.failing !== '') throw failing(is.failing)
      sim.syncFolder(path)
    },
  }))
  return { disk, is }
}

/** Nonces of two writers of one log differ. */
let writers = 0

/** Segments are small for who fills them, and wide for who merges them. */
function openLog(
  { fs }: Disk,
  parts: { readonly segmentBytes?: number; readonly readOnly?: boolean } = {},
): Promise<LogEngine> {
  return openFileLog({
    fs,
    random: seededRandom(++writers),
    clock: manualClock(),
    zeroFillBytes: 0,
    create: true,
    ...parts,
  })
}

/** A log of four segments of three records each, then open with room for all of them in one. */
async function fourSegments(disk: Disk, sizes: readonly number[] = [800, 100, 60]): Promise<LogEngine> {
  const log = await openLog(disk, { segmentBytes: 5200 })
  for (let i = 0; i < 4; i++) await appendTo(log, testBatch(3 * i, sizes))
  await log.close()
  expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
  return openLog(disk)
}

const segments = ({ sim }: Disk): string[] =>
  sim
    .files()
    .filter((name) => name.startsWith('seg-'))
    .sort()

function headerOf({ sim }: Disk, name: string): ReturnType<typeof decodeSegmentHeader> {
  return decodeSegmentHeader(sim.peek(name), crc32)
}

function expectFour(found: readonly LogRecord[]): void {
  expect(found.map(({ bytes }) => bytes.length)).toEqual([0, 1, 2, 3].flatMap(() => [800, 100, 60]))
  const given = [0, 1, 2, 3].flatMap((i) => testBatch(3 * i, [800, 100, 60]))
  for (const [i, { bytes, hash }] of found.entries()) expect([bytes, hash]).toEqual([given[i]!.bytes, given[i]!.hash])
}

/** What stands there after each step of a merge that the process does not outlive. */
async function leftAfter(
  calls: (sim: SimFileSystem) => Partial<FileSystem>,
  seed = 1,
  sizes: readonly number[] = [800, 100, 60],
): Promise<Disk> {
  const disk = diskWith(calls, seed)
  const log = await fourSegments(disk, sizes)
  await log.compact(shrinking({ reclaimable: () => 0 })).catch(() => undefined)
  disk.sim.kill()
  await log.close().catch(() => undefined)
  return { sim: disk.sim, fs: disk.sim }
}

const isMerged = (sim: SimFileSystem): boolean => sim.files().includes(FIRST) && sim.peek(FIRST)[4] === 3
const failing = (code: string): Error => Object.assign(new Error(code), { code })

describe('segments that are merged', () => {
  it('are one file, which says which it stands for; the newest is left alone', async () => {
    const disk = diskWith()
    const log = await fourSegments(disk)
    const { generation } = log
    const before = log.sizeBytes()
    const done = await log.compact(shrinking())
    expect(done).toEqual({ records: 0, bytesFreed: before - log.sizeBytes(), inUse: 0 })
    expect(done.bytesFreed).toBeGreaterThan(8000)
    expect(segments(disk)).toEqual([FIRST, FOURTH])
    expect(headerOf(disk, FIRST)).toMatchObject({ format: 3, number: 0, span: 3, firstSeq: 0 })
    expect(headerOf(disk, FOURTH)).toMatchObject({ format: 2, number: 3, span: 1, firstSeq: 9 })
    expect(log.generation).toBe(generation + 1)
    for (const reading of [log, await openLog(disk, { readOnly: true })]) {
      expectFour(await readAll(reading))
      for (const { seq, bytes } of await readAll(reading))
        expect(reading.readPart(seq, 1, bytes.length - 1)).toEqual(bytes.subarray(1))
      expect([reading.place(8)!.segment, reading.place(9)!.segment]).toEqual([FIRST, FOURTH])
      expect(await reading.scrub()).toEqual([])
      expect(reading.residue!().leftovers).toEqual([])
    }
    // There is nothing to be done again.
    expect(await log.compact(shrinking())).toEqual({ records: 0, bytesFreed: 0, inUse: 0 })
    await log.close()
  })

  it('are merged again with those that come, under numbers that go on', async () => {
    const disk = diskWith()
    let log = await openLog(disk)
    for (let i = 0; i < 40; i++) {
      await appendTo(log, testBatch(2 * i, [LARGE, 100]))
      expect((await log.compact(shrinking())).records).toBe(1)
      if (i % 7 !== 0) continue
      await log.close()
      log = await openLog(disk)
    }
    expect(segments(disk)).toEqual([FIRST, 'seg-000039.ate'])
    expect(headerOf(disk, FIRST)).toMatchObject({ span: 39 })
    await log.close()
    disk.sim.crash()
    const listed = (): number => readManifest(disk.sim.open(MANIFEST, 'read'), crc32).segmentCount
    expect(listed()).toBe(40)
    const again = await openLog(disk)
    expect(listed()).toBe(40)
    expect((await readAll(again)).map(({ bytes }) => bytes.length)).toEqual(
      Array.from({ length: 80 }, (_, i) => (i % 2 === 0 ? 10 : 100)),
    )
    await appendTo(again, testBatch(80, [5]))
    expect(again.place(80)!.segment).toBe('seg-000040.ate')
    await again.close()
  })

  it('are no longer than a segment may be, with what is around them', async () => {
    const disk = diskWith()
    await (await fourSegments(disk)).close()
    const size = [FIRST, SECOND, THIRD].reduce((bytes, name) => bytes + disk.sim.peek(name).length, 0)
    const least = size - 2 * (4096 + 112)
    for (const [segmentBytes, left] of [
      [least - 1, 3],
      [least, 2],
    ] as const) {
      const log = await openLog(disk, { segmentBytes })
      await log.compact(shrinking())
      expect(segments(disk).length).toBe(left)
      await log.close()
    }
    // A frame of all is a little shorter than three.
    expect(disk.sim.peek(FIRST).length).toBeLessThanOrEqual(least)
  })

  it('are taken as they are where an older MANIFEST counts', async () => {
    const disk = diskWith()
    const log = await openLog(disk)
    for (let i = 0; i < 5; i++) {
      await appendTo(log, testBatch(2 * i, [LARGE, 100]))
      await log.compact(shrinking())
    }
    await log.close()
    expect(segments(disk)).toEqual([FIRST, 'seg-000004.ate'])
    const { sim } = disk
    const last = sim.peek('seg-000004.ate')
    /** Both slots as they may have been before: so many numbers are listed, and no record is known to be durable. */
    const list = (segmentCount: number): void => {
      const now = readManifest(sim.open(MANIFEST, 'read'), crc32)
      const even = now.generation + (now.generation % 2)
      const older = { ...now, segmentCount, durableCount: 0, durableHash: new Uint8Array(32) }
      const slots = [even, even + 1].map((generation) => encodeSlot({ ...older, generation }, crc32))
      sim.poke(MANIFEST, () => new Uint8Array(Buffer.concat(slots)))
    }
    for (const listed of [1, 2, 4, 5]) {
      for (const hasLast of listed === 5 ? [true] : [true, false]) {
        sim.drop('seg-000004.ate')
        if (hasLast) sim.open('seg-000004.ate', 'create').write([last], 0)
        for (const readOnly of [true, false]) {
          list(listed)
          const again = await openLog(disk, { readOnly })
          expect((await readAll(again)).length).toBe(hasLast ? 10 : 8)
          await again.close()
        }
        expect(readManifest(sim.open(MANIFEST, 'read'), crc32).segmentCount).toBe(hasLast ? 5 : 4)
      }
    }
  })
})

describe('a merge that ends early', () => {
  it('leaves files that the new one stands for, which the next writer takes away, once its name is durable', async () => {
    const disk = await leftAfter((sim) => ({
      remove(path) {
        if (path === THIRD && isMerged(sim)) throw failing('EIO')
        sim.remove(path)
      },
    }))
    expect(segments(disk)).toEqual([FIRST, THIRD, FOURTH])
    const reader = await openLog(disk, { readOnly: true })
    expectFour(await readAll(reader))
    expect(reader.residue!().leftovers).toEqual([THIRD])
    await reader.close()
    const log = await openLog(disk)
    expect(segments(disk)).toEqual([FIRST, FOURTH])
    expectFour(await readAll(log))
    await log.close()
  })

  it.each(['syncFolder', 'remove'] as const)(
    'at %s: all is there whatever the power cuts of the next opening',
    async (call) => {
      const failed = (sim: SimFileSystem): Partial<FileSystem> => ({
        [call](path: string) {
          if (path !== THIRD && isMerged(sim)) throw failing('EIO')
          sim[call](path)
        },
      })
      const { operations } = (await leftAfter(failed)).sim.counts
      for (let seed = 1; seed <= 60; seed++) {
        const disk = await leftAfter(failed, seed)
        expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
        disk.sim.faults.cutAfter = operations + 1 + (seed % 8)
        await openLog(disk)
          .then((log) => log.close())
          .catch(() => undefined)
        disk.sim.crash()
        const log = await openLog(disk)
        expectFour(await readAll(log))
        await appendTo(log, testBatch(12, [50]))
        await log.close()
      }
    },
  )

  it('ends the writer where the name of the new file could not be made durable, and takes nothing away', async () => {
    const { disk, is } = diskOfFolders()
    const log = await fourSegments(disk)
    is.failing = 'EIO'
    expect(await codeOf(() => log.compact(shrinking()))).toBe('WRITER_POISONED')
    expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
    expect(await codeOf(() => appendTo(log, testBatch(12, [50])))).toBe('WRITER_POISONED')
    await log.close()
  })

  it('goes on where no file was to be had for that: what is left is taken away later', async () => {
    const { disk, is } = diskOfFolders()
    const log = await fourSegments(disk)
    is.failing = 'EMFILE'
    expect(await log.compact(shrinking())).toMatchObject({ inUse: 0 })
    is.failing = ''
    expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
    expectFour(await readAll(log))
    expect(log.residue!().leftovers).toEqual([SECOND, THIRD])
    await appendTo(log, testBatch(12, [50]))
    await log.close()
    disk.sim.crash()
    const again = await openLog(disk)
    expect((await readAll(again)).length).toBe(13)
    expect(again.residue!().leftovers).toEqual([])
    await again.close()
  })

  it('is no failure of a compaction that had its way, where the disk is full', async () => {
    const is = { full: false }
    const disk = diskWith((sim) => ({
      open(path, mode) {
        if (is.full && mode === 'create') throw failing('ENOSPC')
        return sim.open(path, mode)
      },
    }))
    const log = await fourSegments(disk)
    await appendTo(log, testBatch(12, [LARGE]))
    const settle = async (): Promise<void> => {
      is.full = true
    }
    expect(await log.compact(shrinking({ settle }))).toMatchObject({ records: 1 })
    expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
    is.full = false
    await log.compact(shrinking())
    expect(segments(disk)).toEqual([FIRST, FOURTH])
    await log.close()
  })

  it('leaves what another process has open, where that matters, and goes on with the rest', async () => {
    const is = { open: [] as string[] }
    const disk = diskWith((sim) => ({
      rename(from, to) {
        if (is.open.includes(to)) throw failing('EBUSY')
        sim.rename(from, to)
      },
      remove(path) {
        if (is.open.includes(path)) throw failing('EPERM')
        sim.remove(path)
      },
    }))
    const log = await fourSegments(disk)
    is.open = [FIRST]
    expect(await log.compact(shrinking())).toEqual({ records: 0, bytesFreed: 0, inUse: 1 })
    expect([...disk.sim.files()].sort()).toEqual([MANIFEST, FIRST, SECOND, THIRD, FOURTH])
    is.open = [SECOND]
    expect(await log.compact(shrinking())).toMatchObject({ inUse: 0 })
    expect(segments(disk)).toEqual([FIRST, SECOND, FOURTH])
    expectFour(await readAll(log))
    await log.close()
    // A writer opens beside it, too.
    const again = await openLog(disk)
    expect(segments(disk)).toEqual([FIRST, SECOND, FOURTH])
    is.open = []
    await again.close()
    await (await openLog(disk)).close()
    expect(segments(disk)).toEqual([FIRST, FOURTH])
  })

  it("is fenced: it takes nothing out of its successor's folder", async () => {
    const disk = diskWith(() => ({ lock: async () => ({ release: async () => undefined }) }))
    const log = await fourSegments(disk)
    let second: LogEngine | undefined
    const pause = async (): Promise<void> => {
      second ??= await openLog(disk)
    }
    let now = 0
    await log.close()
    const slow = await openFileLog({
      fs: disk.fs,
      random: seededRandom(++writers),
      clock: { now: () => 1, monotonic: () => (now += 5) },
    })
    expect(await codeOf(() => slow.compact(shrinking({ pause })))).toBe('WRITER_FENCED')
    expect([...disk.sim.files()].sort()).toEqual([MANIFEST, FIRST, SECOND, THIRD, FOURTH])
    expectFour(await readAll(second!))
    await second!.close()
    await slow.close().catch(() => undefined)
  })

  it.each(['closed', 'fenced'] as const)('between two files that go is one that is left: %s', async (end) => {
    const disk = diskWith(() => ({ lock: async () => ({ release: async () => undefined }) }))
    await (await fourSegments(disk)).close()
    let now = 0
    const clock = { now: () => 1, monotonic: () => (now += 5) }
    const log = await openFileLog({ fs: disk.fs, random: seededRandom(++writers), clock })
    let ended: Promise<void> | undefined
    let second: LogEngine | undefined
    const pause = async (): Promise<void> => {
      if (ended || second || !isMerged(disk.sim) || disk.sim.files().includes(SECOND)) return
      // The next writer takes the rest away itself; then there is a file of that name that is none of this log's.
      if (end === 'closed') ended = log.close()
      else {
        second = await openLog(disk)
        disk.sim.open(THIRD, 'create').close()
      }
    }
    const code = await codeOf(() => log.compact(shrinking({ pause })))
    expect(code).toBe(end === 'closed' ? 'CHAIN_CLOSED' : 'WRITER_FENCED')
    expect(segments(disk)).toEqual([FIRST, THIRD, FOURTH])
    await ended
    await log.close().catch(() => undefined)
    second ??= await openLog(disk)
    expectFour(await readAll(second))
    await second.close()
  })

  it('gives way before the first file goes, and lets no successor lose one', async () => {
    const disk = diskWith(() => ({ lock: async () => ({ release: async () => undefined }) }))
    const log = await fourSegments(disk)
    let second: LogEngine | undefined
    const pause = async (): Promise<void> => {
      if (second || !isMerged(disk.sim)) return
      second = await openLog(disk)
      for (const name of [SECOND, THIRD]) disk.sim.open(name, 'create').close()
    }
    expect(await codeOf(() => log.compact(shrinking({ pause })))).toBe('WRITER_FENCED')
    expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
    await log.close().catch(() => undefined)
    await second!.close()
  })
})

describe('who reads while segments are merged', () => {
  it('is served to the end, from the old files and then from the new one', async () => {
    const disk = diskWith()
    const log = await fourSegments(disk)
    const reader = await openLog(disk, { readOnly: true })
    for (const reading of [log, reader]) {
      for (const before of [1, 4, 7]) {
        const found: number[] = []
        for await (const chunk of reading.read(0, { chunkBytes: 1 })) {
          found.push(...chunk.map(({ bytes }) => bytes.length))
          if (found.length === before && reading === log) await log.compact(shrinking())
        }
        expect(found).toEqual([0, 1, 2, 3].flatMap(() => [800, 100, 60]))
      }
    }
    await reader.close()
    await log.close()
  })

  it('in another process finds what it knew in the one that stands for it now', async () => {
    for (const asked of [0, 4, 7, 8]) {
      const disk = diskWith()
      const log = await fourSegments(disk)
      const reader = await openLog(disk, { readOnly: true })
      // So it knows where each of them stood.
      const before = await readAll(reader)
      await log.compact(shrinking())
      const { generation } = reader
      expect(reader.readPart(asked, 10, 20)).toEqual(before[asked]!.bytes.subarray(10, 30))
      for (const { seq, bytes } of before) expect(reader.readPart(seq, 0, bytes.length)).toEqual(bytes)
      expect(reader.generation).toBe(generation + 1)
      expect(reader.place(8)!.segment).toBe(FIRST)
      expectFour(await readAll(reader))
      expect(await reader.scrub()).toEqual([])
      await reader.close()
      await log.close()
    }
  })

  it('in another process follows to the end, however far behind, also where what it knew last was merged', async () => {
    const lives = [0, 1, 2, 3, 5, 8].flatMap((known) => [false, true].map((isSealed) => ({ known, isSealed })))
    for (const { known, isSealed } of lives) {
      const disk = diskWith()
      const log = await openLog(disk)
      let reader: LogEngine | undefined
      for (let i = 0; i < 12; i++) {
        await appendTo(log, testBatch(2 * i, [LARGE, 100]))
        if (i === known && !isSealed) reader = await openLog(disk, { readOnly: true })
        await log.compact(shrinking())
        if (i === known && isSealed) reader = await openLog(disk, { readOnly: true })
      }
      await appendTo(log, testBatch(24, [7]))
      expect((await reader!.refresh())!.seq).toBe(24)
      expect(await readAll(reader!)).toEqual(await readAll(log))
      for (const { seq, bytes } of await readAll(log))
        expect(await reader!.readPart(seq, 0, bytes.length)).toEqual(bytes)
      expect(await reader!.scrub()).toEqual([])
      await reader!.close()
      await log.close()
    }
  })

  it('opens it while files go that were listed: it looks again', async () => {
    const disk = diskWith()
    const log = await fourSegments(disk)
    const before = diskWith()
    disk.sim.copyTo(before.sim, FIRST, FIRST)
    await log.compact(shrinking())
    // A look that began before the merge: the names and the first file of then.
    let [lists, opens] = [0, 0]
    const fs = withCalls(disk.sim, {
      list: (path) => [...disk.sim.list(path), ...(++lists <= 2 ? [SECOND, THIRD] : [])],
      open: (path, mode) => (path === FIRST && ++opens === 1 ? before.sim : disk.sim).open(path, mode),
    })
    const reader = await openLog({ sim: disk.sim, fs }, { readOnly: true })
    expect([lists, opens]).toEqual([4, 2])
    expectFour(await readAll(reader))
    await reader.close()
    await log.close()
  })

  it('of all of it, and judges each record once, misses none', async () => {
    // In one frame, and in several, of which one holds records of two segments.
    for (const sizes of [
      [800, 100, 60],
      [150_000, 150_000, 60],
    ]) {
      for (const at of [0, 1, 2, 3]) {
        const disk = diskWith()
        const log = await fourSegments(disk, sizes)
        const seqs: number[] = []
        let steps = 0
        for await (const step of log.scan!()) {
          if ('code' in step) throw new Error(JSON.stringify(step))
          seqs.push(...step.map(({ seq }) => seq))
          if (steps++ === at) await log.compact(shrinking({ reclaimable: () => 0 }))
        }
        expect(seqs).toEqual(Array.from({ length: 12 }, (_, i) => i))
        const told: number[][] = []
        expect(await log.scrub({ onProgress: (done, total) => told.push([done, total]) })).toEqual([])
        expect(told.at(-1)![0]).toBe(log.sizeBytes())
        await log.close()
      }
    }
  })

  it('holds no file open that is gone', async () => {
    const held = new Map<string, number>()
    const count = (path: string, more: number): unknown => held.set(path, (held.get(path) ?? 0) + more)
    const disk = diskWith((sim) => ({
      open(path, mode) {
        const file = sim.open(path, mode)
        count(path, 1)
        let isOpen = true
        const close = (): void => {
          if (isOpen) count(path, -1)
          isOpen = false
          file.close()
        }
        return { ...file, close }
      },
    }))
    const log = await fourSegments(disk)
    const reader = await openLog(disk, { readOnly: true })
    const readAt = (reading: LogEngine, seqs: readonly number[]): void => {
      for (const seq of seqs) expect(reading.readPart(seq, 10, 20)).toHaveLength(20)
    }
    const heldNow = (): (number | undefined)[] => [FIRST, SECOND, THIRD].map((name) => held.get(name))
    readAt(log, [0, 4, 7])
    readAt(reader, [0, 4])
    expect(heldNow()).toEqual([2, 2, 1])
    await log.compact(shrinking())
    expect(heldNow()).toEqual([1, 1, 0])
    // What it has open serves it as before, until it meets what became of it.
    readAt(reader, [0, 4])
    expect(heldNow()).toEqual([1, 1, 0])
    readAt(reader, [7])
    expect(heldNow()).toEqual([1, 0, 0])
    readAt(reader, [0, 4, 7])
    readAt(log, [0, 4, 7])
    expect(heldNow()).toEqual([2, 0, 0])
    await reader.close()
    await log.close()
    expect(heldNow()).toEqual([0, 0, 0])
  })

  it('takes no other records for those that it knew', async () => {
    const disk = diskWith()
    const log = await fourSegments(disk)
    const reader = await openLog(disk, { readOnly: true })
    await log.compact(shrinking())
    await log.close()
    const other = diskWith()
    const otherLog = await openLog(other, { segmentBytes: 5200 })
    for (let i = 0; i < 3; i++) await appendTo(otherLog, testBatch(3 * i, [800, 100, 60], 1))
    await appendTo(otherLog, testBatch(9, [800, 100, 60], 1))
    await otherLog.close()
    const merging = await openLog(other)
    await merging.compact(shrinking())
    await merging.close()
    // Other records up to the same seq; and fewer numbers than the ones it stood for.
    const good = disk.sim.peek(FIRST)
    disk.sim.poke(FIRST, () => other.sim.peek(FIRST))
    expect(await codeOf(async () => reader.readPart(4, 0, 10))).toBe('DAMAGED')
    for (const span of [2, 4]) {
      disk.sim.poke(FIRST, () => withSpan(good, span))
      expect(await codeOf(async () => reader.readPart(0, 0, 10))).toBe('DAMAGED')
    }
    disk.sim.poke(FIRST, () => good)
    expectFour(await readAll(reader))
    await reader.close()
  })

  it('is told of a file that is gone, and that nothing stands for', async () => {
    const disk = diskWith()
    const log = await fourSegments(disk)
    await log.close()
    const reader = await openLog(disk, { readOnly: true })
    disk.sim.drop(SECOND)
    expect(await codeOf(async () => reader.readPart(4, 0, 10))).toBe('IO_ERROR')
    disk.sim.drop(FOURTH)
    expect(await codeOf(() => reader.refresh())).toBe('DAMAGED')
    await reader.close()
    expect(await codeOf(() => openLog(disk))).toBe('DAMAGED')
  })
})

/** The same segment, that says it stands for so many numbers. */
function withSpan(bytes: Uint8Array, span: number): Uint8Array {
  const changed = bytes.slice()
  for (const at of [0, 2048]) {
    changed[at + 4] = 3
    putU32(changed, at + 116, span)
    putU32(changed, at + 508, crc32(changed.subarray(at, at + 508)))
  }
  return changed
}

describe('a merged segment on the disk', () => {
  async function mergedDisk(): Promise<Disk> {
    const disk = diskWith()
    const log = await fourSegments(disk)
    await log.compact(shrinking())
    await log.close()
    return disk
  }

  it('that stands for fewer or more numbers than it did is no part of this log', async () => {
    const good = (await mergedDisk()).sim.peek(FIRST)
    expect([0, 1, 2, 3].map((span) => decodeSegmentHeader(withSpan(good, span), crc32))).toEqual([
      ...[undefined, undefined],
      ...[expect.objectContaining({ span: 2 }), expect.objectContaining({ span: 3 })],
    ])
    for (const span of [0, 1, 2, 4, 5]) {
      const disk = await mergedDisk()
      disk.sim.poke(FIRST, (bytes) => withSpan(bytes, span))
      const before = new Map(disk.sim.files().map((name) => [name, disk.sim.peek(name)]))
      for (const readOnly of [true, false])
        expect([span, await codeOf(() => openLog(disk, { readOnly }))]).toEqual([span, 'DAMAGED'])
      for (const [name, bytes] of before) expect(disk.sim.peek(name)).toEqual(bytes)
    }
  })

  it('is surveyed as one, and its numbers are not missed', async () => {
    const disk = await mergedDisk()
    const survey = surveyLog(disk.sim, crc32)
    expect(survey.problems).toEqual([])
    expect(survey.runs.map(({ segment, firstSeq, lastSeq }) => [segment, firstSeq, lastSeq])).toEqual([
      [FIRST, 0, 8],
      [FOURTH, 9, 11],
    ])
    expectFour(await salvaged(disk))
    disk.sim.drop(FOURTH)
    expect(surveyLog(disk.sim, crc32).problems).toEqual([{ segment: FOURTH, offset: 0, what: 'the file is missing' }])
  })

  it('is salvaged beside what a crash has left of the others: they say nothing more, unless it is damaged', async () => {
    const disk = await leftAfter((sim) => ({
      remove(path) {
        if (path === SECOND && isMerged(sim)) throw failing('EIO')
        sim.remove(path)
      },
    }))
    expect(segments(disk)).toEqual([FIRST, SECOND, THIRD, FOURTH])
    const whole = surveyLog(disk.sim, crc32)
    expect([whole.problems, whole.runs.map(({ segment }) => segment)]).toEqual([[], [FIRST, FOURTH]])
    expectFour(await salvaged(disk))
    // All nine records stand in one frame.
    disk.sim.pokeByte(FIRST, 4096 + 200, disk.sim.peek(FIRST)[4096 + 200]! ^ 1)
    const torn = surveyLog(disk.sim, crc32)
    expect(torn.runs.map(({ segment }) => segment)).toEqual([SECOND, THIRD, FOURTH])
    expect(torn.problems.map(({ segment }) => segment)).toEqual([FIRST])
    expect(await salvaged(disk)).toEqual([])
    // The file that the first one was before stands for the records that are lost: what follows is in the others.
    const before = diskWith()
    await (await fourSegments(before)).close()
    disk.sim.drop(FIRST)
    before.sim.copyTo(disk.sim, FIRST, FIRST)
    expectFour(await salvaged(disk))
  })

  it('that was cut behind a frame is no whole one: what it lacks is in what a crash has left of the others', async () => {
    const sizes = [150_000, 150_000, 60]
    const failed = (sim: SimFileSystem): Partial<FileSystem> => ({
      remove(path) {
        if (path === SECOND && isMerged(sim)) throw failing('EIO')
        sim.remove(path)
      },
    })
    const disk = await leftAfter(failed, 1, sizes)
    // Behind the second frame, which ends with the second record of what was the second segment.
    const [two, three] = [2 * (36 + 150_000), 3 * 36 + 60 + 2 * 150_000]
    disk.sim.poke(FIRST, (bytes) => bytes.slice(0, 4096 + 64 + two + 64 + three))
    const survey = surveyLog(disk.sim, crc32)
    expect(survey.runs.map(({ segment, firstSeq, lastSeq }) => [segment, firstSeq, lastSeq])).toEqual([
      [FIRST, 0, 4],
      [SECOND, 3, 5],
      [THIRD, 6, 8],
      [FOURTH, 9, 11],
    ])
    expect((await salvaged(disk)).map(({ seq, bytes }) => [seq, bytes.length])).toEqual(
      Array.from({ length: 12 }, (_, seq) => [seq, sizes[seq % 3]]),
    )
  })

  async function salvaged({ sim }: Disk): Promise<LogRecord[]> {
    const records: LogRecord[] = []
    for await (const chunk of salvagedRecords(sim, surveyLog(sim, crc32), crc32))
      records.push(...chunk.map(({ seq, hash, bytes }) => ({ seq, hash: hash.slice(), bytes: bytes.slice() })))
    return records
  }
})
