/**
 * Compaction of a file log: at any moment each record is there as it was or as it will be, whatever is cut, fails, or
 * looks on. Here every third record shrinks to half of its bytes.
 *
 * @newest-node-only: a simulated disk is the same on every Node
 */
import { describe, expect, it } from 'vitest'
import { AteError } from '../../src/base/errors.ts'
import { Turns } from '../../src/base/turns.ts'
import type { Compacted, Compaction, Durability, LogEngine, LogRecord } from '../../src/log/engine.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { appendTo, codeOf, readAll, testBatch } from '../../src/testing/log-suite.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { SimFileSystem } from '../../src/testing/sim-file-system.ts'
import { withCalls } from './damage-kit.ts'
import { Trial, untilFault } from './trial.ts'

const SEEDS = Math.ceil(Number(process.env['ATE_SEEDS'] ?? 3000) / 20)

function halved({ seq, bytes }: LogRecord): Uint8Array | undefined {
  return seq % 3 === 0 && bytes.length % 8 === 0 ? bytes.subarray(0, bytes.length / 2 - 1) : undefined
}

function halving(parts: Partial<Compaction> = {}): Compaction {
  return {
    begin: () => Promise.resolve(),
    reclaimable: (record) => record.bytes.length - (halved(record) ?? record.bytes).length,
    rewrite: halved,
    settle: () => Promise.resolve(),
    pause: () => Promise.resolve(),
    signal: undefined,
    ...parts,
  }
}

/** Records may be whole or halved; those that a compaction which ended has halved stay so. */
class CompactTrial extends Trial {
  compacted = 0
  /** Whoever appends waits for his turn, as a chain does. */
  readonly #turns = new Turns()

  override append(sizes: readonly number[], durability?: Durability): Promise<boolean> {
    return this.#turns.run(() => super.append(sizes, durability))
  }

  async compact(parts: Partial<Compaction> = {}): Promise<Compacted> {
    const end = this.submitted.length
    const log = this.log!
    const settle = async (): Promise<void> => {
      await this.#turns.run(() => log.append([], { after: log.head(), durability: 'disk', load: 'group' }))
    }
    const compacted = await log.compact(halving({ settle, ...parts }))
    this.compacted += compacted.records
    this.onDisk = Math.max(this.onDisk, compacted.records > 0 ? end : 0)
    return compacted
  }

  override async compare(log: LogEngine, least: number): Promise<void> {
    const submitted = this.submitted
    const found = await readAll(log)
    this.submitted = submitted.map((record, i) => {
      const stored = found[i]
      const half = halved(record)
      return stored && half && stored.bytes.length === half.length ? { ...record, bytes: half } : record
    })
    try {
      await super.compare(log, least)
    } finally {
      this.submitted = submitted
    }
    for (const [i, record] of found.entries()) {
      const at = Math.floor(record.bytes.length / 2)
      const part = await log.readPart(i, at, record.bytes.length - at)
      if (Buffer.compare(part, record.bytes.subarray(at)) !== 0) throw new Error(`part of record ${i} is another`)
    }
  }
}

/** Every third record is large enough for its half to be worth a new file. */
const LARGE = 9600

/** Segments that may hold so much are merged; those that are full with one batch are not. */
const WIDE = { segmentBytes: 60_000 }

/** Each compaction ends the newest segment, and merges those before it. */
const MERGING: Readonly<Record<string, (trial: CompactTrial) => Promise<void>>> = {
  async 'of many small segments, time and again'(t) {
    await t.open()
    for (let i = 0; i < 4; i++) {
      await t.append([LARGE, 80, 80])
      await t.compact()
    }
    await t.append([100])
  },
  async 'of those that others have been merged into, by the next writer'(t) {
    await t.open()
    for (let i = 0; i < 6; i++) {
      await t.append([LARGE, 80, 80])
      await t.compact()
      if (i === 3) {
        await t.close()
        await t.open()
      }
    }
    await t.append([LARGE])
  },
  async 'while appends go on, and wait for a later sync'(t) {
    await t.open()
    for (let i = 0; i < 3; i++) {
      await t.append([LARGE, 80, 80])
      await t.compact()
    }
    await t.append([LARGE, 80, 200], 'os')
    const done = await Promise.allSettled([t.compact(), t.append([900, 80]), t.append([30], 'os')])
    for (const one of done) if (one.status === 'rejected') throw one.reason
    await t.append([900], 'os')
  },
}

const WORKLOADS: Readonly<Record<string, (trial: CompactTrial) => Promise<void>>> = {
  async 'of the one segment that there is'(t) {
    await t.open()
    await t.append([LARGE, 800, 800, LARGE])
    await t.compact()
    await t.append([100])
  },
  async 'of several segments, and again'(t) {
    await t.open()
    for (let i = 0; i < 3; i++) await t.append([LARGE, 80, 80])
    await t.compact()
    await t.append([LARGE, 80, 80])
    await t.close()
    await t.open()
    await t.append([LARGE, 80, 80])
    await t.compact()
  },
  async 'while records wait for a later sync'(t) {
    await t.open()
    await t.append([LARGE, 4000, 800, LARGE])
    await t.append([80, 200, LARGE], 'os')
    await t.compact()
    await t.append([700], 'os')
  },
  async 'while appends go on'(t) {
    await t.open()
    await t.append([LARGE, 80, 80, LARGE])
    const done = await Promise.allSettled([t.compact(), t.append([900, 80])])
    for (const one of done) if (one.status === 'rejected') throw one.reason
    await t.append([900], 'os')
  },
}

describe('a power cut at every operation of a compaction', () => {
  for (const [name, run] of Object.entries({ ...WORKLOADS, ...MERGING })) {
    it(name, async () => {
      const options = name in MERGING ? WIDE : {}
      const whole = new CompactTrial(1, options)
      await run(whole)
      expect(whole.compacted).toBeGreaterThan(0)
      if (name in MERGING) expect(whole.fs.removed.length).toBeGreaterThan(whole.compacted)
      await whole.powerCutAndCheck()
      const { operations } = whole.fs.counts
      for (let cutAfter = 1; cutAfter <= operations; cutAfter++) {
        const trial = new CompactTrial(cutAfter, options)
        trial.fs.faults.cutAfter = cutAfter
        await untilFault(() => run(trial))
        await trial.powerCutAndCheck().catch((error) => {
          throw new Error(`cut after operation ${cutAfter} of ${operations}: ${error.message}`, { cause: error })
        })
      }
    })
  }

  it(
    `keeps all that was acknowledged, in ${SEEDS} random lives`,
    async () => {
      let compacted = 0
      for (let seed = 1; seed <= SEEDS; seed++) {
        compacted += await randomLife(seed).catch((error) => {
          throw new Error(`seed ${seed}: ${error.message}`, { cause: error })
        })
      }
      expect(compacted).toBeGreaterThan(SEEDS / 4)
    },
    Number(process.env['ATE_TEST_TIMEOUT_MS'] ?? 600_000),
  )
})

/** The number of records that it compacted. */
async function randomLife(seed: number): Promise<number> {
  const random = seededRandom(seed)
  const trial = new CompactTrial(seed, random.oneIn(2) ? WIDE : {})
  for (let round = 0; round < 3; round++) {
    const { faults, counts } = trial.fs
    if (random.oneIn(2)) faults.cutAfter = counts.operations + 1 + random.below(60)
    if (random.oneIn(4)) faults.failSync = counts.syncs + 1 + random.below(20)
    if (random.oneIn(3)) faults.shortWrites = 2
    if (random.oneIn(4)) faults.spaceBytes = 40_000 + random.below(40_000)
    await untilFault(async () => {
      await trial.open()
      for (let step = 2 + random.below(8); step > 0; step--) {
        const sizes = Array.from({ length: 1 + random.below(4) }, () => 8 * random.below(1500))
        await trial.append(sizes, random.oneIn(3) ? 'os' : 'disk')
        if (random.oneIn(3)) await trial.compact()
      }
    })
    trial.fs.faults = {}
    if (!trial.fs.isCut && random.oneIn(2)) await killed(trial, random.below(12))
    await trial.powerCutAndCheck()
  }
  return trial.compacted
}

/** The process ends where it was; the power goes while the next one opens the log, or soon after that. */
async function killed(trial: CompactTrial, operations: number): Promise<void> {
  await trial.kill()
  trial.fs.faults.cutAfter = trial.fs.counts.operations + 1 + operations
  await untilFault(async () => {
    await trial.check('kill')
    await trial.append([80])
  })
}

/** Time passes with every look at it, so that the compaction gives way after each record. */
let looks = 0
const clock = { now: () => 0, monotonic: () => ++looks * 10 }
const parts = { random: seededRandom(3), clock, segmentBytes: 5200, zeroFillBytes: 0 }

async function filled(fs: FileSystem = new SimFileSystem(1, { folder: 'missing' })): Promise<LogEngine> {
  const log = await openFileLog({ ...parts, fs, create: true })
  for (let i = 0; i < 6; i++) await appendTo(log, testBatch(3 * i, [4000, 80, 80]))
  return log
}

describe('compaction of a file log', () => {
  it('frees what it says, leaves alone what is not worth it, and moves what it freed', async () => {
    const log = await filled()
    const before = log.sizeBytes()
    const generation = log.generation
    const compacted = await log.compact(halving())
    // Half of one record of 4,000 bytes a segment is less than what a new file is worth.
    expect(compacted).toEqual({ records: 0, bytesFreed: 0, inUse: 0 })
    expect(log.generation).toBe(generation)
    await appendTo(log, testBatch(18, [8 * 2000, 80, 80]))
    const again = await log.compact(halving())
    expect(again.records).toBe(1)
    expect(before + 16_000 - log.sizeBytes()).toBeGreaterThan(0)
    expect(again.bytesFreed).toBeGreaterThan(7000)
    expect(log.generation).toBe(generation + 1)
    expect((await readAll(log)).at(18)!.bytes.length).toBe(7999)
    expect(await log.scrub()).toEqual([])
    await log.close()
  })

  it('gives the old bytes to who is reading them, and the new ones to who begins', async () => {
    const fs = new SimFileSystem(1, { folder: 'missing' })
    const wide = { ...parts, segmentBytes: 40_000, fs }
    const writing = await openFileLog({ ...wide, create: true })
    for (let i = 0; i < 4; i++) await appendTo(writing, testBatch(3 * i, [16_000, 80, 80]))
    await writing.close()
    // Opened again, so that sealed segments are not indexed yet, and the walk that goes on would do it.
    const log = await openFileLog(wide)
    const reading = log.read(0, { chunkBytes: 1 })[Symbol.asyncIterator]()
    const first = (await reading.next()).value as readonly LogRecord[]
    expect(first[0]!.bytes.length).toBe(16_000)
    expect((await log.compact(halving())).records).toBe(4)
    const sizes = [16_000]
    for (let next = await reading.next(); !next.done; next = await reading.next())
      for (const { bytes } of next.value) sizes.push(bytes.length)
    expect(sizes).toEqual([16_000, 80, 80, ...[16_000, 80, 80], ...[7999, 80, 80], ...[7999, 80, 80]])
    const now = await readAll(log)
    expect(now[0]!.bytes.length).toBe(7999)
    for (const { seq, bytes } of now) expect(log.readPart(seq, 0, bytes.length)).toEqual(bytes)
    await log.close()
  })

  it('tells damage that it meets, and leaves it as it is', async () => {
    const fs = new SimFileSystem(1, { folder: 'missing' })
    const log = await openFileLog({ ...parts, fs, create: true })
    for (let i = 0; i < 3; i++) await appendTo(log, testBatch(3 * i, [16_000, 80, 80]))
    fs.poke('seg-000001.ate', (bytes) => bytes.fill(0xee, 9000, 9010))
    const before = fs.peek('seg-000001.ate')
    expect(await codeOf(() => log.compact(halving()))).toBe('DAMAGED')
    expect(fs.peek('seg-000001.ate')).toEqual(before)
    expect(fs.list('').filter((name) => name.endsWith('.new'))).toEqual([])
    await log.close()
  })

  it('ends when the log closes, with its signal, and with what settle says, and takes its file along', async () => {
    for (const end of ['close', 'signal', 'settle'] as const) {
      const fs = new SimFileSystem(1, { folder: 'missing' })
      const log = await openFileLog({ ...parts, fs, create: true })
      for (let i = 0; i < 3; i++) await appendTo(log, testBatch(3 * i, [16_000, 80, 80]))
      const abort = new AbortController()
      let closing: Promise<void> | undefined
      const unfinished = (): string[] => fs.list('').filter((name) => name.endsWith('.new'))
      const settle = async (): Promise<void> => {
        // Closed is closed: nothing is left to be taken away later, when another may have the lock.
        if (end === 'close') {
          closing = log.close().then(() => expect(unfinished()).toEqual([]))
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
        if (end === 'signal') abort.abort(new AteError('INDETERMINATE'))
        if (end === 'settle') throw new AteError('WRITER_POISONED')
      }
      const code = await codeOf(() => log.compact(halving({ settle, signal: abort.signal })))
      expect(code).toBe({ close: 'CHAIN_CLOSED', signal: 'INDETERMINATE', settle: 'WRITER_POISONED' }[end])
      await closing
      expect(unfinished()).toEqual([])
      await log.close()
    }
  })

  it("is fenced: it puts no file in the place of its successor's", async () => {
    const sim = new SimFileSystem(1, { folder: 'missing' })
    const fs = new Proxy<FileSystem>(sim, {
      get: (target, name) => {
        if (name === 'lock') return async () => ({ release: async () => undefined })
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    const first = await openFileLog({ ...parts, fs, create: true })
    for (let i = 0; i < 3; i++) await appendTo(first, testBatch(3 * i, [16_000, 80, 80]))
    const second = await openFileLog({ ...parts, fs })
    const before = sim.peek('seg-000000.ate')
    expect(await codeOf(() => first.compact(halving()))).toBe('WRITER_FENCED')
    expect(sim.peek('seg-000000.ate')).toEqual(before)
    await first.close().catch(() => undefined)
    expect((await second.compact(halving())).records).toBe(3)
    await second.close()
  })

  it('seals no segment of its successor, and none whose sync has failed', async () => {
    for (const end of ['fenced', 'poisoned'] as const) {
      const sim = new SimFileSystem(1, { folder: 'missing' })
      const fs = withCalls(sim, { lock: async () => ({ release: async () => undefined }) })
      const first = await openFileLog({ ...parts, fs, create: true, segmentBytes: 100_000 })
      await appendTo(first, testBatch(0, [16_000, 80, 80]))
      const { reclaimable } = halving()
      let failing: Promise<unknown> | undefined
      const compaction = {
        fenced: halving({ begin: async () => (await openFileLog({ ...parts, fs })).close() }),
        poisoned: halving({
          reclaimable(record) {
            // Behind the last one: the rotation waits for it, and hears of it.
            if (record.seq === 2) {
              sim.faults.failSync = sim.counts.syncs + 1
              failing = expect(appendTo(first, testBatch(3, [10]))).rejects.toMatchObject({ code: 'WRITER_POISONED' })
            }
            return reclaimable(record)
          },
        }),
      }[end]
      expect(await codeOf(() => first.compact(compaction))).toBe(end === 'fenced' ? 'WRITER_FENCED' : 'WRITER_POISONED')
      await failing
      await first.close().catch(() => undefined)
      const frames = Buffer.from(sim.peek('seg-000000.ate')).toString('latin1').split('ATEF').length - 1
      expect(frames).toBe(end === 'fenced' ? 1 : 2)
    }
  })

  it('begins no segment in the folder of its successor, who came while it sealed the last one', async () => {
    const sim = new SimFileSystem(1, { folder: 'missing' })
    let takeover: (() => Promise<void>) | undefined
    const fs: FileSystem = withCalls(sim, {
      lock: async () => ({ release: async () => undefined }),
      open(path, mode) {
        const file = sim.open(path, mode)
        const sync = async (): Promise<void> => {
          const run = takeover
          takeover = undefined
          await run?.()
          await file.sync()
        }
        return path === 'seg-000000.ate' && mode !== 'read' ? { ...file, sync } : file
      },
    })
    const first = await openFileLog({ ...parts, fs, create: true, segmentBytes: 10_000 })
    await appendTo(first, testBatch(0, [9_000]))
    takeover = async () => (await openFileLog({ ...parts, fs })).close()
    expect(await codeOf(() => appendTo(first, testBatch(1, [9_000])))).toBe('WRITER_FENCED')
    expect(takeover).toBe(undefined)
    expect(sim.files()).not.toContain('seg-000001.ate')
    await first.close().catch(() => undefined)
  })

  it('a reader beside it follows over segments that were written anew, its tail among them', async () => {
    const fs = new SimFileSystem(1, { folder: 'missing' })
    const log = await openFileLog({ ...parts, fs, create: true })
    for (let i = 0; i < 3; i++) await appendTo(log, testBatch(3 * i, [16_000, 80, 80]))
    const reader = await openFileLog({ ...parts, fs, readOnly: true })
    expect(reader.readPart(0, 0, 16_000)).toEqual(testBatch(0, [16_000])[0]!.bytes)
    await appendTo(log, testBatch(9, [80]))
    await log.compact(halving())
    await appendTo(log, testBatch(10, [80, 80]))
    expect((await reader.refresh())!.seq).toBe(11)
    expect(reader.generation).toBeGreaterThan(0)
    expect(await readAll(reader)).toEqual(await readAll(log))
    for (const { seq, bytes } of await readAll(log)) expect(reader.readPart(seq, 0, bytes.length)).toEqual(bytes)
    expect(await reader.scrub()).toEqual([])
    await reader.close()
    await log.close()
  })

  it('a segment of another log, or of other records, is no compacted one', async () => {
    const fs = new SimFileSystem(1, { folder: 'missing' })
    const other = new SimFileSystem(2, { folder: 'missing' })
    for (const [disk, salt] of [
      [fs, 0],
      [other, 1],
    ] as const) {
      const log = await openFileLog({ ...parts, fs: disk, create: true })
      for (let i = 0; i < 3; i++) await appendTo(log, testBatch(3 * i, [16_000, 80, 80], salt))
      await log.close()
    }
    const reader = await openFileLog({ ...parts, fs, readOnly: true })
    const mine = fs.peek('seg-000001.ate')
    fs.poke('seg-000001.ate', () => other.peek('seg-000001.ate'))
    expect(await codeOf(() => reader.readPart(3, 0, 10))).toBe('DAMAGED')
    expect(await codeOf(() => readAll(reader))).toBe('DAMAGED')
    expect((await reader.scrub()).map(({ code, firstSeq, lastSeq }) => [code, firstSeq, lastSeq])).toEqual([
      ['DAMAGED', 3, 5],
    ])
    fs.poke('seg-000001.ate', () => mine)
    expect((await reader.readPart(3, 0, 10)).length).toBe(10)
    await reader.close()
  })

  it('what a crash left half written is taken away by the next writer', async () => {
    const fs = new SimFileSystem(1, { folder: 'missing' })
    await (await filled(fs)).close()
    const file = fs.open('seg-000002.ate.new', 'create')
    file.write([new Uint8Array(100)], 0)
    file.close()
    await (await openFileLog({ ...parts, fs })).close()
    expect(fs.list('').filter((name) => name.endsWith('.new'))).toEqual([])
  })
})
