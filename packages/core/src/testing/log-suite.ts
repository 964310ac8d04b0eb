/**
 * What every log engine must do: the contract of log/engine.ts as tests, for any test runner with describe, it, expect.
 * Engines say of themselves how far their acknowledgements reach; crashes are tested where a disk can be simulated.
 */
import { toHex } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { BATCH_BYTES_MAX, RECORD_BYTES_MAX } from '../base/limits.ts'
import type { Compaction, Head, LogEngine, LogRecord } from '../log/engine.ts'
import { LIVE } from '../log/standing.ts'
import { seededRandom } from './random.ts'

/** The part of vitest, jest or node's own runner that the suite uses. */
export interface SuiteRunner {
  describe(name: string, body: () => void): void
  it(name: string, body: () => Promise<void>): void
  expect(actual: unknown): { toBe(expected: unknown): void; toEqual(expected: unknown): void }
}

/** One log that can be opened, closed and opened again. */
export interface LogHarness {
  /** A writer makes the log if there is none. */
  open(options?: { readonly readOnly?: boolean }): Promise<LogEngine>
  /** Takes everything away; engines are closed before. */
  dispose(): Promise<void>
}

/** A record with bytes and hash drawn from its seq and `salt`. */
function testRecord(seq: number, size: number, salt = 0): LogRecord {
  const random = seededRandom(seq * 7919 + size + salt * 104_729)
  const hash = new Uint8Array(32)
  const bytes = new Uint8Array(size)
  random.fill(hash)
  random.fill(bytes)
  return { seq, hash, bytes }
}

export function testBatch(from: number, sizes: readonly number[], salt = 0): LogRecord[] {
  return sizes.map((size, i) => testRecord(from + i, size, salt))
}

/** Every record from `from` on, copied. */
export async function readAll(log: LogEngine, from = 0, chunkBytes = 1_048_576): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for await (const chunk of log.read(from, { chunkBytes })) {
    for (const { seq, hash, bytes } of chunk) records.push({ seq, hash: hash.slice(), bytes: bytes.slice() })
  }
  return records
}

/** The code of the AteError that `run` rejects with; what it threw, or 'nothing', otherwise. */
export async function codeOf(run: () => unknown): Promise<string> {
  try {
    await run()
    return 'nothing'
  } catch (error) {
    return isAteError(error) ? error.code : String(error)
  }
}

/** Appends at the engine's own level, alone. */
export async function appendTo(log: LogEngine, batch: readonly LogRecord[]): Promise<void> {
  await log.append(batch, { after: log.head(), durability: log.durability, load: 'alone' })
}

function show(records: readonly LogRecord[]): string[] {
  return records.map((record) => `${record.seq} ${toHex(record.hash)} ${toHex(record.bytes)}`)
}

/** Drops the second half of each record of an odd seq, and is done with it. */
function halving(parts: Partial<Compaction> = {}): Compaction {
  const half = ({ seq, bytes }: LogRecord): Uint8Array | undefined =>
    seq % 2 === 1 ? bytes.subarray(0, bytes.length >> 1) : undefined
  return {
    begin: () => Promise.resolve(),
    reclaimable: (record) => record.bytes.length - (half(record) ?? record.bytes).length,
    rewrite: half,
    settle: () => Promise.resolve(),
    pause: () => Promise.resolve(),
    signal: undefined,
    ...parts,
  }
}

const NAME_A = new Uint8Array(32).fill(0xa1)
const NAME_B = new Uint8Array(32).fill(0xb2)
const LABEL = new Uint8Array(32).fill(7)

export function logSuite(runner: SuiteRunner, makeHarness: () => Promise<LogHarness>): void {
  const { describe, it, expect } = runner
  const test = (name: string, body: (harness: LogHarness, log: LogEngine) => Promise<void>): void => {
    it(name, async () => {
      const harness = await makeHarness()
      const log = await harness.open()
      try {
        await body(harness, log)
      } finally {
        await log.close()
        await harness.dispose()
      }
    })
  }

  describe('append', () => {
    test('begins empty', async (_, log) => {
      expect(log.head()).toBe(undefined)
      expect(await readAll(log)).toEqual([])
      expect(log.place(0)).toBe(undefined)
    })

    test('gives back what was appended, in order, byte for byte', async (_, log) => {
      const sizes = [0, 1, 7, 8, 200, 5000, 100_000]
      const all = testBatch(0, [...sizes, ...sizes])
      await appendTo(log, all.slice(0, 7))
      for (const record of all.slice(7)) await appendTo(log, [record])
      expect(show(await readAll(log))).toEqual(show(all))
      expect(log.head()).toEqual({ seq: 13, hash: all[13]!.hash })
    })

    test('says which level was reached, at least the one asked for', async (_, log) => {
      const levels = ['memory', 'os', 'disk', 'quorum']
      const { durability } = await log.append(testBatch(0, [10]), {
        after: undefined,
        durability: log.durability,
        load: 'group',
      })
      expect(durability).toBe(log.durability)
      const weak = await log.append(testBatch(1, [10]), { after: log.head(), durability: 'memory', load: 'group' })
      expect(levels.includes(weak.durability)).toBe(true)
    })

    test('refuses a level that it does not reach, and keeps nothing', async (_, log) => {
      const above = log.durability === 'memory' ? 'os' : 'quorum'
      const options = { after: undefined, durability: above, load: 'alone' } as const
      expect(await codeOf(() => log.append(testBatch(0, [10]), options))).toBe('DURABILITY_UNAVAILABLE')
      expect(log.head()).toBe(undefined)
    })

    test('compares before it appends', async (_, log) => {
      const all = testBatch(0, [10, 20, 30])
      await appendTo(log, all.slice(0, 2))
      const refused = async (after: Head | undefined, batch: readonly LogRecord[]): Promise<void> => {
        const options = { after, durability: log.durability, load: 'alone' } as const
        expect(await codeOf(() => log.append(batch, options))).toBe('LINK_MISMATCH')
      }
      await refused(undefined, [all[2]!])
      await refused({ seq: 0, hash: all[0]!.hash }, [all[2]!])
      await refused({ seq: 1, hash: all[0]!.hash }, [all[2]!])
      await refused({ seq: 2, hash: all[1]!.hash }, [all[2]!])
      await refused(log.head(), [testRecord(3, 10)])
      await refused(log.head(), [all[2]!, testRecord(4, 10)])
      expect(show(await readAll(log))).toEqual(show(all.slice(0, 2)))
      await appendTo(log, [all[2]!])
    })

    test('refuses what is out of shape or too large, and takes what is just as large', async (_, log) => {
      const hash = new Uint8Array(32)
      const bad = async (batch: readonly LogRecord[]): Promise<void> => {
        expect(await codeOf(() => appendTo(log, batch))).toBe('BAD_ARGUMENT')
      }
      await bad([{ seq: 0, hash: new Uint8Array(31), bytes: new Uint8Array(1) }])
      await bad([{ seq: 0, hash, bytes: new Uint8Array(RECORD_BYTES_MAX + 1) }])
      const count = Math.floor(BATCH_BYTES_MAX / (RECORD_BYTES_MAX + 36)) + 1
      const large = new Uint8Array(RECORD_BYTES_MAX)
      await bad(Array.from({ length: count }, (_, seq) => ({ seq, hash, bytes: large })))
      expect(log.head()).toBe(undefined)
      await appendTo(
        log,
        Array.from({ length: count - 1 }, (_, seq) => ({ seq, hash, bytes: large })),
      )
      expect(log.head()?.seq).toBe(count - 2)
      expect((await readAll(log)).every((record) => record.bytes.length === RECORD_BYTES_MAX)).toBe(true)
    })

    test('takes an empty batch as a wait, and does not keep what the caller changes later', async (_, log) => {
      await appendTo(log, [])
      expect(log.head()).toBe(undefined)
      const record = testRecord(0, 100)
      const shown = show([record])
      await appendTo(log, [record])
      await appendTo(log, [])
      record.bytes.fill(0)
      record.hash.fill(0)
      expect(show(await readAll(log))).toEqual(shown)
      expect(toHex(log.head()!.hash)).toBe(shown[0]!.split(' ')[1])
    })
  })

  describe('read', () => {
    test('begins anywhere, also where nothing is', async (_, log) => {
      const all = testBatch(
        0,
        Array.from({ length: 200 }, (_, i) => (i * 37) % 900),
      )
      for (let i = 0; i < all.length; i += 8) await appendTo(log, all.slice(i, i + 8))
      for (const from of [0, 1, 7, 8, 9, 100, 199]) {
        expect(show(await readAll(log, from, 3000))).toEqual(show(all.slice(from)))
      }
      expect(await readAll(log, 200)).toEqual([])
      expect(await readAll(log, 1000)).toEqual([])
    })

    test('keeps chunks within their size, one record at least', async (_, log) => {
      await appendTo(log, testBatch(0, [100, 100, 100, 5000, 100, 0, 0]))
      const chunks: number[][] = []
      for await (const chunk of log.read(0, { chunkBytes: 250 }))
        chunks.push(chunk.map((record) => record.bytes.length))
      expect(chunks.flat()).toEqual([100, 100, 100, 5000, 100, 0, 0])
      const isWithin = (chunk: number[]): boolean => chunk.length === 1 || chunk.reduce((a, b) => a + b, 0) <= 250
      expect(chunks.every((chunk) => chunk.length > 0 && isWithin(chunk))).toBe(true)
    })

    test('stops at an aborted signal', async (_, log) => {
      await appendTo(log, testBatch(0, [10, 10, 10]))
      const abort = new AbortController()
      let seen = 0
      const reading = async (): Promise<void> => {
        for await (const chunk of log.read(0, { chunkBytes: 10, signal: abort.signal })) {
          seen += chunk.length
          abort.abort(new Error('enough'))
        }
      }
      expect(await codeOf(reading)).toBe('Error: enough')
      expect(seen).toBe(1)
    })

    test('gives parts of records', async (_, log) => {
      const all = testBatch(0, [0, 300, 5000])
      await appendTo(log, all)
      expect(await log.readPart(1, 0, 300)).toEqual(all[1]!.bytes)
      expect(await log.readPart(2, 4999, 1)).toEqual(all[2]!.bytes.slice(4999))
      expect(await log.readPart(2, 1000, 2000)).toEqual(all[2]!.bytes.slice(1000, 3000))
      expect((await log.readPart(0, 0, 0)).length).toBe(0)
      for (const [seq, offset, size] of [
        [3, 0, 1],
        [-1, 0, 1],
        [0.5, 0, 0],
        [1, 299, 2],
        [1, -1, 2],
        [0, 0, 1],
      ] as const) {
        expect(await codeOf(() => log.readPart(seq, offset, size))).toBe('NOT_FOUND')
      }
    })

    test('knows places, sizes, and finds nothing to scrub', async (_, log) => {
      await appendTo(log, testBatch(0, [100, 100]))
      expect(log.place(0) !== undefined && log.place(1) !== undefined).toBe(true)
      expect(log.place(2)).toBe(undefined)
      expect(log.sizeBytes() >= 200).toBe(true)
      expect(await log.scrub()).toEqual([])
    })
  })

  describe('opening again', () => {
    test('finds everything', async (harness, log) => {
      const all = testBatch(0, [10, 2000, 30, 40_000, 0])
      log.setLabel(LABEL)
      await appendTo(log, all.slice(0, 3))
      await log.ring.put(NAME_A, new Uint8Array([1, 2, 3]))
      await log.close()
      const again = await harness.open()
      expect(again.head()).toEqual({ seq: 2, hash: all[2]!.hash })
      expect(again.label).toEqual(LABEL)
      expect(await again.readPart(1, 5, 10)).toEqual(all[1]!.bytes.slice(5, 15))
      await appendTo(again, all.slice(3))
      await again.close()
      const third = await harness.open({ readOnly: true })
      expect(show(await readAll(third))).toEqual(show(all))
      expect(await third.ring.get(NAME_A)).toEqual(new Uint8Array([1, 2, 3]))
      await third.close()
    })

    test('has one writer at a time', async (harness, log) => {
      expect(await codeOf(() => harness.open())).toBe('CHAIN_LOCKED')
      await log.close()
      const next = await harness.open()
      expect(await codeOf(() => harness.open())).toBe('CHAIN_LOCKED')
      await next.close()
    })

    test('lets a reader look on beside the writer', async (harness, log) => {
      const all = testBatch(0, [10, 20, 30])
      await appendTo(log, all.slice(0, 1))
      const reader = await harness.open({ readOnly: true })
      expect(reader.readOnly).toBe(true)
      expect(show(await readAll(reader))).toEqual(show(all.slice(0, 1)))
      await appendTo(log, all.slice(1))
      expect(await reader.refresh()).toEqual({ seq: 2, hash: all[2]!.hash })
      expect(show(await readAll(reader))).toEqual(show(all))
      expect(await codeOf(() => appendTo(reader, testBatch(3, [1])))).toBe('READ_ONLY')
      expect(await codeOf(() => reader.ring.put(NAME_A, NAME_A))).toBe('READ_ONLY')
      expect(await codeOf(() => reader.ring.erase(NAME_A))).toBe('READ_ONLY')
      expect(await codeOf(() => reader.setLabel(LABEL))).toBe('READ_ONLY')
      await reader.close()
      expect(await log.refresh()).toEqual(log.head())
    })

    test('is closed when closed', async (_, log) => {
      await appendTo(log, testBatch(0, [10]))
      const reading = log.read(0)[Symbol.asyncIterator]()
      await log.close()
      await log.close()
      for (const call of [
        () => appendTo(log, testBatch(1, [1])),
        () => readAll(log),
        () => reading.next(),
        () => log.readPart(0, 0, 1),
        () => log.scrub(),
        () => log.refresh(),
        () => log.compact(halving()),
        () => log.ring.get(NAME_A),
        () => log.ring.put(NAME_A, NAME_A),
        () => log.setLabel(LABEL),
        () => log.setStanding(LIVE),
        () => log.destroy(),
      ]) {
        expect(await codeOf(call)).toBe('CHAIN_CLOSED')
      }
    })
  })

  describe('compact', () => {
    test('stores records in fewer bytes, with the same seqs and hashes', async (harness, log) => {
      const all = testBatch(0, [10, 80_000, 3000, 90_000, 20])
      await appendTo(log, all)
      const before = log.sizeBytes()
      const { generation } = log
      const { records, bytesFreed } = await log.compact(halving())
      expect(records).toBe(2)
      expect(bytesFreed > 80_000 && log.sizeBytes() <= before - 80_000).toBe(true)
      expect(log.generation > generation).toBe(true)
      const wanted = all.map((record) =>
        record.seq % 2 ? { ...record, bytes: record.bytes.slice(0, record.bytes.length / 2) } : record,
      )
      expect(show(await readAll(log))).toEqual(show(wanted))
      expect(toHex(await log.readPart(3, 44_000, 1000))).toBe(toHex(wanted[3]!.bytes.subarray(44_000)))
      expect(await codeOf(() => log.readPart(3, 44_000, 1001))).toBe('NOT_FOUND')
      expect(log.head()).toEqual({ seq: 4, hash: all[4]!.hash })
      await appendTo(log, testBatch(5, [10]))
      expect(await log.scrub()).toEqual([])
      await log.close()
      const again = await harness.open()
      expect(show((await readAll(again)).slice(0, 5))).toEqual(show(wanted))
      expect((await readAll(again)).length).toBe(6)
      await again.close()
    })

    test('begins with the records that are there, and settles before bytes go', async (_, log) => {
      await appendTo(log, testBatch(0, [10, 80_000]))
      const steps: string[] = []
      const compaction = halving({
        begin: async (from, to) => void steps.push(`begin ${from} ${to}`),
        settle: async () => void steps.push(`settle ${log.generation}`),
      })
      await log.compact(compaction)
      expect([steps[0], steps.includes('settle 0'), log.generation]).toEqual(['begin 0 2', true, 1])
    })

    test('is for writers, and ends with its signal', async (harness, log) => {
      await appendTo(log, testBatch(0, [10, 80_000]))
      const reader = await harness.open({ readOnly: true })
      expect(await codeOf(() => reader.compact(halving()))).toBe('READ_ONLY')
      await reader.close()
      const reason = new AteError('INDETERMINATE')
      expect(await codeOf(() => log.compact(halving({ signal: AbortSignal.abort(reason) })))).toBe('INDETERMINATE')
      expect((await readAll(log))[1]!.bytes.length).toBe(80_000)
    })
  })

  describe('label', () => {
    test('is set until the first append, and stays', async (_, log) => {
      expect(log.label).toBe(undefined)
      log.setLabel(LABEL)
      log.setLabel(NAME_A)
      await appendTo(log, testBatch(0, [10]))
      expect(log.label).toEqual(NAME_A)
      log.setLabel(NAME_A)
      expect(await codeOf(() => log.setLabel(LABEL))).toBe('WRONG_CHAIN')
      expect(await codeOf(() => log.setLabel(new Uint8Array(32)))).toBe('BAD_ARGUMENT')
      expect(await codeOf(() => log.setLabel(new Uint8Array(31)))).toBe('BAD_ARGUMENT')
    })
  })

  describe('standing', () => {
    test('is live until it is set, is there for others, and says where to', async (harness, log) => {
      expect(log.standing).toEqual(LIVE)
      await appendTo(log, testBatch(0, [10, 20]))
      await log.setStanding({ state: 'moved', note: 'file:/ü' })
      expect(log.standing).toEqual({ state: 'moved', note: 'file:/ü' })
      const reader = await harness.open({ readOnly: true })
      expect(reader.standing).toEqual({ state: 'moved', note: 'file:/ü' })
      expect(await codeOf(() => reader.setStanding(LIVE))).toBe('READ_ONLY')
      await reader.close()
      await appendTo(log, testBatch(2, [30]))
      await log.setStanding(LIVE)
      await log.close()
      const again = await harness.open()
      expect([again.standing, again.head()?.seq]).toEqual([LIVE, 2])
      await again.close()
    })
  })

  describe('what is durable', () => {
    test('is known up to the last append that waited for it', async (harness, log) => {
      expect(log.durableSeq()).toBe(-1)
      await appendTo(log, testBatch(0, [10, 20]))
      expect(log.durableSeq()).toBe(1)
      await log.close()
      const reader = await harness.open({ readOnly: true })
      expect(reader.durableSeq()).toBe(1)
      await reader.close()
    })
  })

  describe('destroy', () => {
    test('leaves nothing: the place is that of no log', async (harness, log) => {
      await appendTo(log, testBatch(0, [10, 20]))
      await log.ring.put(NAME_A, new Uint8Array([1, 2, 3]))
      await log.destroy()
      expect(await codeOf(() => log.refresh())).toBe('CHAIN_CLOSED')
      const again = await harness.open()
      expect([again.head(), again.label, again.standing]).toEqual([undefined, undefined, LIVE])
      expect(await again.ring.get(NAME_A)).toBe(undefined)
      await appendTo(again, testBatch(0, [30]))
      await again.close()
    })
  })

  describe('ring', () => {
    test('puts, replaces, lists and erases', async (_, log) => {
      expect(await log.ring.get(NAME_A)).toBe(undefined)
      await log.ring.put(NAME_A, new Uint8Array([1]))
      await log.ring.put(NAME_B, new Uint8Array(5000).fill(9))
      await log.ring.put(NAME_A, new Uint8Array([2, 3]))
      expect(await log.ring.get(NAME_A)).toEqual(new Uint8Array([2, 3]))
      const names: string[] = []
      for await (const name of log.ring.names()) names.push(toHex(name))
      expect(names.sort()).toEqual([toHex(NAME_A), toHex(NAME_B)])
      await log.ring.erase(NAME_A)
      await log.ring.erase(NAME_A)
      expect(await log.ring.get(NAME_A)).toBe(undefined)
      expect((await log.ring.get(NAME_B))?.length).toBe(5000)
      await log.ring.put(NAME_A, new Uint8Array(0))
      expect(await log.ring.get(NAME_A)).toEqual(new Uint8Array(0))
    })

    test('refuses names and keys out of shape', async (_, log) => {
      const both = [NAME_A, NAME_B].map((name, i) => ({ name, wrapped: new Uint8Array([i]) }))
      await log.ring.putAll(both)
      await log.ring.putAll([])
      for (const { name, wrapped } of both) expect(await log.ring.get(name)).toEqual(wrapped)
      const bad = [...both, { name: new Uint8Array(31), wrapped: NAME_A }]
      expect(await codeOf(() => log.ring.putAll(bad))).toBe('BAD_ARGUMENT')
      expect(await codeOf(() => log.ring.put(new Uint8Array(31), NAME_A))).toBe('BAD_ARGUMENT')
      expect(await codeOf(() => log.ring.put(NAME_A, new Uint8Array(300_000)))).toBe('BAD_ARGUMENT')
    })
  })

  describe('snapshot', () => {
    test('is replaced whole, stays as it was if that fails, and is not written by a reader', async (harness, log) => {
      const { snapshot } = log
      if (!snapshot) return
      expect(await snapshot.open()).toBe(undefined)
      await appendTo(log, testBatch(0, [10]))
      await snapshot.write(partsOf(3000))
      expect(await readSnapshot(log)).toBe(3000)
      const old = await snapshot.open()
      const failing = async function* (): AsyncGenerator<Uint8Array> {
        yield* partsOf(2000)
        throw new Error('enough')
      }
      expect(await codeOf(() => snapshot.write(failing()))).toBe('Error: enough')
      expect(await readSnapshot(log)).toBe(3000)
      await snapshot.write(partsOf(500))
      expect(await readSnapshot(log)).toBe(500)
      expect(await old!.read(new Uint8Array(4000), 100)).toBe(2900)
      old!.close()
      const reader = await harness.open({ readOnly: true })
      expect(await codeOf(() => reader.snapshot!.write(partsOf(10)))).toBe('READ_ONLY')
      expect(await readSnapshot(reader)).toBe(500)
      await reader.close()
      await appendTo(log, testBatch(1, [20]))
      await log.close()
      expect(await codeOf(() => snapshot.open())).toBe('CHAIN_CLOSED')
      expect(await codeOf(() => snapshot.write(partsOf(10)))).toBe('CHAIN_CLOSED')
    })
  })
}

async function* partsOf(size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < size; at += 700) yield new Uint8Array(Math.min(700, size - at)).fill(size)
}

/** The size of what stands there, all of whose bytes are its size. */
async function readSnapshot(log: LogEngine): Promise<number | undefined> {
  const stored = await log.snapshot!.open()
  if (!stored) return undefined
  const bytes = new Uint8Array(stored.sizeBytes)
  const size = await stored.read(bytes, 0)
  stored.close()
  return bytes.every((byte) => byte === (size & 255)) ? size : -1
}
