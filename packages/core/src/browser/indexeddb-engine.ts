/**
 * The log engine on IndexedDB: one database a log, one writer by a Web Lock, readers beside it in any tab.
 *
 * It claims `os`: what was acknowledged is there after the tab and the browser are gone. More it does not claim, although
 * it asks for strict durability: not every browser syncs, and each may take an origin's storage away. Durable, in a
 * browser, means replicated.
 */
import { AteError, throwIfAborted } from '../base/errors.ts'
import { checkBatch, checkLabel } from '../log/batch.ts'
import type { Crc32 } from '../log/crc32.ts'
import type {
  AppendOptions,
  Compacted,
  Compaction,
  Head,
  KeyRing,
  LogEngine,
  LogProblem,
  LogRecord,
  SnapshotStore,
} from '../log/engine.ts'
import type { Standing } from '../log/standing.ts'
import { answerOf, deleteDatabase } from './indexeddb.ts'
import { compactRecords } from './indexeddb-compact.ts'
import { databaseRing, overwriteRing } from './indexeddb-ring.ts'
import {
  chunkEnd,
  damagedRecord,
  headOf,
  LOG,
  type LogMeta,
  packRecord,
  putSizes,
  RECORDS,
  RING,
  readMeta,
  readValues,
  recordOf,
  SIZES,
  unpackRecord,
} from './indexeddb-schema.ts'
import { databaseSnapshot } from './indexeddb-snapshot.ts'
import type { DatabaseStore } from './indexeddb-store.ts'
import { RecordCache } from './record-cache.ts'

const CHUNK_BYTES: number = 8 * 1024 * 1024
const REACHED: readonly string[] = ['memory', 'os']

export class DatabaseLog implements LogEngine {
  readonly kind = 'indexeddb'
  readonly durability = 'os'
  readonly readOnly: boolean
  readonly ring: KeyRing
  readonly snapshot: SnapshotStore
  readonly #store: DatabaseStore
  readonly #crc: Crc32
  readonly #cache: RecordCache = new RecordCache()
  /** Set, and kept with the next append. */
  #label: Uint8Array | undefined

  constructor(store: DatabaseStore, crc: Crc32) {
    this.#store = store
    this.#crc = crc
    this.readOnly = store.readOnly
    this.ring = databaseRing(store)
    this.snapshot = databaseSnapshot(store)
  }

  get label(): Uint8Array | undefined {
    return (this.#label ?? this.#store.meta.label)?.slice()
  }

  setLabel(label: Uint8Array): void {
    this.#store.check('write')
    const { count, label: stored } = this.#store.meta
    checkLabel(label, count === 0 ? undefined : stored)
    this.#label = label.slice()
  }

  get standing(): Standing {
    return this.#store.meta.standing
  }

  async setStanding({ state, note }: Standing): Promise<void> {
    await this.#store.write([], async (_, meta) => ({ ...meta, standing: { state, note } }))
  }

  durableSeq(): number {
    return this.#store.meta.count - 1
  }

  head(): Head | undefined {
    return headOf(this.#store.meta)
  }

  get generation(): number {
    return this.#store.meta.generation
  }

  sizeBytes(): number {
    return this.#store.meta.bytes
  }

  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    return seq >= 0 && seq < this.#store.meta.count ? { segment: RECORDS, offset: seq } : undefined
  }

  async append(batch: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: 'os' }> {
    this.#store.check('write')
    if (!REACHED.includes(options.durability))
      throw new AteError('DURABILITY_UNAVAILABLE', { asked: options.durability, reaches: 'os' })
    checkBatch(batch, options.after, this.head())
    if (batch.length === 0) return { durability: 'os' }
    const packed = batch.map((record) => packRecord(record, this.#crc))
    const last = batch[batch.length - 1]!
    const bytes = batch.reduce((sum, record) => sum + record.bytes.length, 0)
    const lastHash = last.hash.slice()
    await this.#store.write(
      [RECORDS, SIZES],
      async (tx, meta) => {
        await this.#put(tx, batch, packed)
        const label = this.#label ?? meta.label
        return { ...meta, label, count: last.seq + 1, lastHash, bytes: meta.bytes + bytes }
      },
      () => {
        for (const [index, { seq }] of batch.entries()) this.#cache.keep(seq, packed[index]!)
      },
    )
    return { durability: 'os' }
  }

  async refresh(): Promise<Head | undefined> {
    this.#store.check('read')
    const { generation } = this
    const meta = await this.#store.refresh()
    if (meta.generation !== generation) this.#cache.clear()
    return headOf(meta)
  }

  async *read(
    from: number,
    options: { readonly chunkBytes?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<readonly LogRecord[], void, undefined> {
    for (let seq = from; seq < this.#store.meta.count; ) {
      this.#store.check('read')
      throwIfAborted(options.signal)
      const chunk = await this.#readChunk(seq, this.#store.meta.count, options.chunkBytes ?? CHUNK_BYTES)
      yield chunk
      seq += chunk.length
    }
  }

  readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
    this.#store.check('read')
    if (!Number.isSafeInteger(seq) || seq < 0 || seq >= this.#store.meta.count || offset < 0 || size < 0)
      throw new AteError('NOT_FOUND', { seq, offset, size })
    const packed = this.#cache.get(seq)
    return packed ? partOf(recordOf(seq, packed), { offset, size }) : this.#loadPart(seq, { offset, size })
  }

  async compact(compaction: Compaction): Promise<Compacted> {
    this.#store.check('write')
    return compactRecords(compaction, this.#store.meta.count, {
      read: (from, end, chunkBytes) => this.#readChunk(from, end, chunkBytes),
      replace: (records, bytesFreed) => this.#replace(records, bytesFreed),
    })
  }

  async scrub(
    options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<readonly LogProblem[]> {
    this.#store.check('read')
    const problems: LogProblem[] = []
    const { count } = this.#store.meta
    for (let seq = 0; seq < count; ) {
      throwIfAborted(options.signal)
      const values = await this.#readValues(seq, count, CHUNK_BYTES)
      for (const value of values) {
        if (!unpackRecord(seq, value, this.#crc))
          problems.push({ code: 'DAMAGED', segment: RECORDS, offset: seq, firstSeq: seq, lastSeq: seq })
        seq++
      }
      options.onProgress?.(seq, count)
    }
    return problems
  }

  close(): Promise<void> {
    return this.#store.close()
  }

  async destroy(): Promise<void> {
    const gone: Standing = { state: 'destroyed', note: '' }
    await this.#store.write([RING], async (tx, meta) => {
      await overwriteRing(tx)
      return { ...meta, standing: gone }
    })
    await this.#store.write([RING, RECORDS, SIZES], async (tx, meta) => {
      for (const name of [RING, RECORDS, SIZES]) tx.objectStore(name).clear()
      return { ...meta, count: 0, lastHash: undefined, bytes: 0 }
    })
    await this.#store.close(deleteDatabase)
  }

  /** All of it is read, so all of it is checked, and kept for a while: the next part is likely to be of the same record. */
  async #loadPart(seq: number, part: Part): Promise<Uint8Array> {
    const before = this.generation
    const keep = ({ meta, value }: { readonly meta: LogMeta; readonly value: unknown }): void => {
      if (meta.generation !== before) this.#cache.clear()
      this.#store.see(meta.generation)
      if (unpackRecord(seq, value, this.#crc)) this.#cache.keep(seq, value as Uint8Array)
    }
    const { value } = await this.#store.read(
      [LOG, RECORDS],
      async (tx) => ({ meta: await readMeta(tx), value: await answerOf(tx.objectStore(RECORDS).get(seq)) }),
      keep,
    )
    const record = unpackRecord(seq, value, this.#crc)
    if (!record) throw damagedRecord(seq)
    return partOf(record, part)
  }

  async #put(tx: IDBTransaction, records: readonly LogRecord[], packed: readonly Uint8Array[]): Promise<void> {
    const store = tx.objectStore(RECORDS)
    for (const [index, { seq }] of records.entries()) store.put(packed[index]!, seq)
    await putSizes(tx, records)
  }

  async #replace(records: readonly LogRecord[], bytesFreed: number): Promise<void> {
    const packed = records.map((record) => packRecord(record, this.#crc))
    await this.#store.write(
      [RECORDS, SIZES],
      async (tx, meta) => {
        await this.#put(tx, records, packed)
        return { ...meta, bytes: meta.bytes - bytesFreed, generation: meta.generation + 1 }
      },
      () => {
        for (const { seq } of records) this.#cache.drop(seq)
      },
    )
  }

  async #readChunk(from: number, end: number, chunkBytes: number): Promise<readonly LogRecord[]> {
    const values = await this.#readValues(from, end, chunkBytes)
    return values.map((value, index) => {
      const record = unpackRecord(from + index, value, this.#crc)
      if (!record) throw damagedRecord(from + index)
      return record
    })
  }

  #readValues(from: number, end: number, chunkBytes: number): Promise<readonly unknown[]> {
    return this.#store.read([RECORDS, SIZES], async (tx) =>
      readValues(tx, from, await chunkEnd(tx, { from, end, chunkBytes })),
    )
  }
}

interface Part {
  readonly offset: number
  readonly size: number
}

function partOf({ seq, bytes }: LogRecord, { offset, size }: Part): Uint8Array {
  if (offset + size > bytes.length) throw new AteError('NOT_FOUND', { seq, offset, size })
  return bytes.slice(offset, offset + size)
}
