/**
 * Records in slabs are what an array of records is: random appends, readings that stop half way, and compactions that are given
 * up or that others append beside, from a seed, against a model of an object a record. ATE_SEEDS sets how many seeds are
 * tried, ATE_SEED the first of them.
 */
import { describe, expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import type { Compaction, LogEngine, LogRecord } from '../../src/log/engine.ts'
import { type MemoryStore, memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { RecordSlabs, SLAB_BYTES } from '../../src/log/record-slabs.ts'
import { compactSlabs } from '../../src/log/slab-compact.ts'
import { appendTo, codeOf } from '../../src/testing/log-suite.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'

const SEEDS = Number(process.env['ATE_SEEDS'] ?? 12)
const FIRST = Number(process.env['ATE_SEED'] ?? 1)

/** A reading that has stopped at a chunk, and what the chunk holds. */
interface Held {
  readonly reading: AsyncIterator<readonly LogRecord[]>
  readonly chunk: readonly LogRecord[]
  readonly copies: readonly LogRecord[]
}

const copyOf = ({ seq, hash, bytes }: LogRecord): LogRecord => ({ seq, hash: hash.slice(), bytes: bytes.slice() })

function assertSame(found: readonly LogRecord[], wanted: readonly LogRecord[]): void {
  expect(found.map(({ seq }) => seq)).toEqual(wanted.map(({ seq }) => seq))
  const isSame = ({ hash, bytes }: LogRecord, i: number): boolean =>
    equalBytes(hash, wanted[i]!.hash) && equalBytes(bytes, wanted[i]!.bytes)
  expect(found.findIndex((record, i) => !isSame(record, i))).toBe(-1)
}

class Life {
  readonly store: MemoryStore = memoryStore()
  readonly random: SeededRandom
  readonly model: LogRecord[] = []
  readonly held: Held[] = []
  /** Every array that records ever stood in. */
  readonly rooms = new Set<Uint8Array>()
  readonly log: LogEngine
  readonly reader: LogEngine

  constructor(seed: number) {
    this.random = seededRandom(seed)
    this.log = memoryEngine(this.store)
    this.reader = memoryEngine(this.store, { readOnly: true })
  }

  /** No byte of a hash or a record is 0, so that what is overwritten can be told. */
  #bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size)
    this.random.fill(bytes)
    for (let i = 0; i < size; i++) bytes[i]! |= 1
    return bytes
  }

  #size(): number {
    const { random } = this
    if (random.oneIn(40)) return SLAB_BYTES - 100 + random.below(200)
    return random.below(random.oneIn(6) ? 60_000 : 900)
  }

  async append(): Promise<void> {
    const count = this.random.below(5)
    const batch = Array.from({ length: count }, (_, i) => {
      return { seq: this.model.length + i, hash: this.#bytes(32), bytes: this.#bytes(this.#size()) }
    })
    await appendTo(this.log, batch)
    this.model.push(...batch)
    this.note()
  }

  async compact(): Promise<void> {
    const { random, model } = this
    const abort = new AbortController()
    const dropped = 1 + random.below(4)
    const rewrite = ({ seq, bytes }: LogRecord): Uint8Array | undefined =>
      seq % dropped === 0 && bytes.length > 50 ? bytes.subarray(0, 40) : undefined
    const compaction: Compaction = {
      begin: async () => {},
      reclaimable: (record) => record.bytes.length - (rewrite(record) ?? record.bytes).length,
      rewrite,
      settle: async () => {},
      pause: async () => {
        this.note()
        if (random.oneIn(3)) await this.append()
        if (random.oneIn(8)) await this.hold()
        if (random.oneIn(20)) abort.abort(new Error('enough'))
      },
      signal: abort.signal,
    }
    const end = model.length
    const before = this.log.sizeBytes()
    const sizes = model.map(({ bytes }) => bytes.length)
    const compacted = await this.log.compact(compaction).catch(() => undefined)
    this.note()
    let freed = 0
    for (let seq = 0; seq < end; seq++) {
      const bytes = rewrite(model[seq]!)
      const { length } = this.store.records.at(seq)!.bytes
      if (!bytes || (!compacted && length === sizes[seq])) continue
      freed += model[seq]!.bytes.length - bytes.length
      model[seq] = { ...model[seq]!, bytes: bytes.slice() }
    }
    if (compacted) expect(compacted.bytesFreed).toBe(freed)
    const added = model.slice(end).reduce((sum, { bytes }) => sum + bytes.length, 0)
    expect(this.log.sizeBytes()).toBe(before - freed + added)
    if (compacted) this.assertSmall()
  }

  /** Slabs that are neighbours do not fit into one, and hold little that is empty. */
  assertSmall(): void {
    const { slabs } = this.store.records
    for (let i = 0; i + 1 < slabs.length; i++) {
      expect(slabs[i]!.usedBytes + slabs[i + 1]!.usedBytes).toBeGreaterThan(SLAB_BYTES)
      expect(slabs[i]!.room.bytes.length).toBeLessThanOrEqual(Math.ceil((slabs[i]!.usedBytes * 8) / 7) + 1)
    }
  }

  async hold(): Promise<void> {
    if (this.model.length === 0) return
    const from = this.random.below(this.model.length)
    const reading = this.log.read(from, { chunkBytes: 1 + this.random.below(600_000) })[Symbol.asyncIterator]()
    const { value } = await reading.next()
    this.held.push({ reading, chunk: value!, copies: value!.map(copyOf) })
  }

  /** What was given out is what it was; then the reading goes on, or is left. */
  async release(): Promise<void> {
    const [held] = this.held.splice(this.random.below(this.held.length), 1)
    if (!held) return
    const { reading, chunk, copies } = held
    assertSame(chunk, copies)
    const next = chunk[chunk.length - 1]!.seq + 1
    if (this.random.oneIn(2)) await reading.return!()
    else {
      const { value, done } = await reading.next()
      expect(done === true).toBe(next === this.model.length)
      if (value) assertSame(value.slice(0, 1), this.model.slice(next, next + 1))
      await reading.return!()
    }
  }

  async compare(): Promise<void> {
    expect(this.log.sizeBytes()).toBe(this.model.reduce((sum, { bytes }) => sum + bytes.length, 0))
    const all: LogRecord[] = []
    const chunkBytes = 1 + this.random.below(400_000)
    for await (const chunk of this.log.read(0, { chunkBytes })) {
      const bytes = chunk.reduce((sum, record) => sum + record.bytes.length, 0)
      expect(chunk.length === 1 || bytes <= chunkBytes).toBe(true)
      all.push(...chunk.map(copyOf))
    }
    assertSame(all, this.model)
    expect((await this.reader.refresh())?.seq).toBe(this.model.length === 0 ? undefined : this.model.length - 1)
    for (const { seq, bytes } of this.model) {
      const offset = this.random.below(bytes.length + 1)
      const size = this.random.below(bytes.length - offset + 1)
      const part = await this.reader.readPart(seq, offset, size)
      expect(equalBytes(part, bytes.subarray(offset, offset + size))).toBe(true)
      expect(await codeOf(() => this.reader.readPart(seq, offset, bytes.length - offset + 1))).toBe('NOT_FOUND')
    }
  }

  note(): void {
    for (const { room } of this.store.records.slabs) this.rooms.add(room.bytes)
  }

  /** Nothing is left of what stood where nothing stands any more. */
  assertOverwritten(): void {
    const used = new Set(this.store.records.slabs.map(({ room }) => room.bytes))
    for (const room of this.rooms) if (!used.has(room)) expect(room.every((byte) => byte === 0)).toBe(true)
  }
}

async function step(life: Life): Promise<void> {
  const draw = life.random.below(20)
  if (draw < 12) await life.append()
  else if (draw < 14) await life.hold()
  else if (draw < 17) await life.release()
  else if (draw < 19) await life.compact()
  else await life.compare()
}

describe('records in slabs', () => {
  it('are what an array of records is, stay as they are while they are read, and are overwritten where they stood', async () => {
    for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
      const life = new Life(seed)
      try {
        for (let i = 0; i < 80; i++) await step(life)
        await life.compare()
        while (life.held.length > 0) await life.release()
        life.assertOverwritten()
        await life.log.destroy()
        life.assertOverwritten()
        expect(life.store.records.size).toBe(0)
        for await (const chunk of life.reader.read(0)) expect(chunk).toEqual([])
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
  })

  it.each(Array.from({ length: 12 }, (_, i) => i))(
    'have what is appended %i turns behind the last one that is compacted',
    async (turns) => {
      const log = new RecordSlabs()
      const record = (of: number): Pick<LogRecord, 'hash' | 'bytes'> => ({
        hash: new Uint8Array(32).fill(of),
        bytes: new Uint8Array(100).fill(of),
      })
      for (let seq = 0; seq < 10; seq++) log.push(record(1 + seq))
      let appended: Promise<void> | undefined
      const append = async (): Promise<void> => {
        for (let i = 0; i < turns; i++) await undefined
        log.push(record(11))
      }
      const compaction: Compaction = {
        begin: async () => undefined,
        settle: async () => undefined,
        pause: async () => undefined,
        signal: undefined,
        reclaimable: () => 50,
        rewrite: ({ seq, bytes }) => {
          if (seq === 9) appended = append()
          return bytes.slice(0, 50)
        },
      }
      await compactSlabs(log, compaction, () => undefined)
      await appended
      expect(log.size).toBe(11)
      expect(log.at(10)!.bytes).toEqual(record(11).bytes)
      expect(log.bytes).toBe(10 * 50 + 100)
    },
  )

  it('take the bytes that they have, and a few for each', async () => {
    const store = memoryStore()
    const log = memoryEngine(store)
    const taken = (): number => store.records.slabs.reduce((sum, { room }) => sum + room.bytes.length, 0)
    const record = (seq: number): LogRecord => ({ seq, hash: new Uint8Array(32), bytes: new Uint8Array(400) })
    await appendTo(log, [record(0)])
    expect(taken()).toBe(1024)
    const count = 20_000
    for (let from = 1; from < count; from += 100)
      await appendTo(
        log,
        Array.from({ length: Math.min(100, count - from) }, (_, i) => record(from + i)),
      )
    expect(store.records.slabs.length).toBeLessThanOrEqual(Math.ceil((count * 432) / (SLAB_BYTES - 432)))
    expect(taken() / count).toBeLessThan(32 + 400 + 12)
    const half: Compaction = {
      begin: async () => {},
      reclaimable: () => 350,
      rewrite: ({ bytes }) => bytes.subarray(0, 50),
      settle: async () => {},
      pause: async () => {},
      signal: undefined,
    }
    expect(await log.compact(half)).toEqual({ records: count, bytesFreed: 350 * count, inUse: 0 })
    expect(taken()).toBe(count * 82)
    expect(store.records.slabs.length).toBeLessThanOrEqual(Math.ceil((count * 82) / (SLAB_BYTES * 0.7)))
  })

  it('give back what a slab has free when a large record ends it', async () => {
    const store = memoryStore()
    const log = memoryEngine(store)
    for (let seq = 0; seq < 20; seq++)
      await appendTo(log, [{ seq, hash: new Uint8Array(32), bytes: new Uint8Array(seq % 2 ? SLAB_BYTES : 100) }])
    const free = store.records.slabs.map(({ room, usedBytes }) => room.bytes.length - usedBytes)
    expect(free).toEqual(free.map(() => 0))
  })
})
