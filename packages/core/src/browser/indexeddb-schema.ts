/**
 * What stands in the database of a log, `ate:log:NAME`, version 1:
 *
 *   log       'log'    -> LogMeta
 *             'snapshot' -> Blob
 *   records   seq      -> one Uint8Array: [32] hash, u32 CRC-32 of the hash and the bytes, the bytes
 *   sizes     seq >> 8 -> Uint32Array: the sizes of up to 256 records, so that a chunk is chosen before it is read
 *   ring      name in hex -> wrapped bytes
 *
 * A record, its size and the new LogMeta are put in one transaction. The CRC tells rot from what was written; against an
 * attacker there are the hashes of the chain.
 */
import { AteError } from '../base/errors.ts'
import type { Crc32 } from '../log/crc32.ts'
import type { Head, LogRecord } from '../log/engine.ts'
import { STANDINGS, type Standing } from '../log/standing.ts'
import { answerOf } from './indexeddb.ts'

export const LOG = 'log'
export const RECORDS = 'records'
export const SIZES = 'sizes'
export const RING = 'ring'
export const META_KEY = 'log'
export const SNAPSHOT_KEY = 'snapshot'
const STORES: readonly string[] = [LOG, RECORDS, RING, SIZES]

export interface LogMeta {
  readonly format: 1
  readonly label: Uint8Array | undefined
  readonly standing: Standing
  /** Grows with each writer that opens: what an older one still tries to write is refused. */
  readonly writerEpoch: number
  readonly count: number
  readonly lastHash: Uint8Array | undefined
  /** Of the records. */
  readonly bytes: number
  /** Grows when records are stored in fewer bytes. */
  readonly generation: number
}

export function databaseName(name: string): string {
  return `ate:log:${name}`
}

export function makeStores(db: IDBDatabase, tx: IDBTransaction, meta: LogMeta): void {
  for (const store of STORES) db.createObjectStore(store)
  tx.objectStore(LOG).put(meta, META_KEY)
}

/** @throws AteError NOT_A_CHAIN */
export function checkStores(db: IDBDatabase): void {
  const found = [...db.objectStoreNames]
  if (found.length === STORES.length && STORES.every((name) => found.includes(name))) return
  throw new AteError('NOT_A_CHAIN', { database: db.name, found: found.slice(0, 3) })
}

export function headOf({ count, lastHash }: LogMeta): Head | undefined {
  return count === 0 ? undefined : { seq: count - 1, hash: lastHash!.slice() }
}

/** @throws AteError DAMAGED | UNSUPPORTED_FORMAT */
export async function readMeta(tx: IDBTransaction): Promise<LogMeta> {
  return parseMeta(await answerOf(tx.objectStore(LOG).get(META_KEY)))
}

function parseMeta(value: unknown): LogMeta {
  const meta = (typeof value === 'object' && value !== null ? value : {}) as Partial<LogMeta>
  if (typeof meta.format === 'number' && meta.format > 1)
    throw new AteError('UNSUPPORTED_FORMAT', { format: meta.format })
  const counts = [meta.writerEpoch, meta.count, meta.bytes, meta.generation]
  const isWhole =
    meta.format === 1 &&
    counts.every((count) => Number.isSafeInteger(count) && count! >= 0) &&
    isHash(meta.label) &&
    isHash(meta.lastHash) &&
    (meta.count === 0 || meta.lastHash !== undefined) &&
    STANDINGS.some((state) => state === meta.standing?.state) &&
    typeof meta.standing?.note === 'string'
  if (!isWhole) throw new AteError('DAMAGED', { segment: LOG, offset: 0, what: 'the state of the log' })
  return meta as LogMeta
}

function isHash(value: unknown): boolean {
  return value === undefined || (value instanceof Uint8Array && value.length === 32)
}

const HEADER_BYTES = 36

/** A copy of its own: a view would be stored with all of the buffer that it is a part of. */
export function packRecord({ hash, bytes }: Pick<LogRecord, 'hash' | 'bytes'>, crc: Crc32): Uint8Array {
  const packed = new Uint8Array(HEADER_BYTES + bytes.length)
  packed.set(hash, 0)
  packed.set(bytes, HEADER_BYTES)
  new DataView(packed.buffer).setUint32(32, crc(bytes, crc(hash)), true)
  return packed
}

/** Undefined if it is not what was written. The bytes are views. */
export function unpackRecord(seq: number, value: unknown, crc: Crc32): LogRecord | undefined {
  if (!(value instanceof Uint8Array) || value.length < HEADER_BYTES) return undefined
  const record = recordOf(seq, value)
  const stored = new DataView(value.buffer, value.byteOffset).getUint32(32, true)
  return stored === crc(record.bytes, crc(record.hash)) ? record : undefined
}

/** Of one that was checked before. */
export function recordOf(seq: number, packed: Uint8Array): LogRecord {
  return { seq, hash: packed.subarray(0, 32), bytes: packed.subarray(HEADER_BYTES) }
}

export function damagedRecord(seq: number, what?: string): AteError {
  return new AteError('DAMAGED', { segment: RECORDS, offset: seq, firstSeq: seq, lastSeq: seq, what })
}

/** Records whose sizes stand together. */
const BLOCK_RECORDS = 256
/** Records of one chunk: bounds the objects that one answer of the browser brings. */
const CHUNK_RECORDS_MAX = 4096

/**
 * Where a chunk ends that begins at `from` and has `chunkBytes` at most, one record at least. Where sizes are missing,
 * chunks are of one record.
 */
export async function chunkEnd(
  tx: IDBTransaction,
  { from, end, chunkBytes }: { readonly from: number; readonly end: number; readonly chunkBytes: number },
): Promise<number> {
  const store = tx.objectStore(SIZES)
  const last = Math.min(end, from + CHUNK_RECORDS_MAX)
  let bytes = 0
  let to = from
  while (to < last) {
    const sizes: unknown = await answerOf(store.get(Math.floor(to / BLOCK_RECORDS)))
    for (const stop = Math.min(last, (Math.floor(to / BLOCK_RECORDS) + 1) * BLOCK_RECORDS); to < stop; to++) {
      const size = sizes instanceof Uint32Array ? sizes[to % BLOCK_RECORDS] : undefined
      bytes += size ?? Number.POSITIVE_INFINITY
      if (to > from && bytes > chunkBytes) return to
    }
  }
  return to
}

/** Notes sizes of records, in the transaction that puts them. */
export async function putSizes(
  tx: IDBTransaction,
  records: readonly { readonly seq: number; readonly bytes: Uint8Array }[],
): Promise<void> {
  const store = tx.objectStore(SIZES)
  const blocks = new Map<number, { readonly seq: number; readonly bytes: Uint8Array }[]>()
  for (const record of records) {
    const block = Math.floor(record.seq / BLOCK_RECORDS)
    const there = blocks.get(block)
    if (there) there.push(record)
    else blocks.set(block, [record])
  }
  for (const [block, changed] of blocks) {
    const before: unknown = await answerOf(store.get(block))
    const known = before instanceof Uint32Array ? before : new Uint32Array()
    const sizes = new Uint32Array(Math.max(known.length, ...changed.map(({ seq }) => (seq % BLOCK_RECORDS) + 1)))
    sizes.set(known)
    for (const { seq, bytes } of changed) sizes[seq % BLOCK_RECORDS] = bytes.length
    store.put(sizes, block)
  }
}

/** The values of the records `from` to `to` - 1 as they stand; undefined where there is none. */
export async function readValues(tx: IDBTransaction, from: number, to: number): Promise<readonly unknown[]> {
  const store = tx.objectStore(RECORDS)
  const range = IDBKeyRange.bound(from, to - 1)
  const values: unknown[] = await answerOf(store.getAll(range))
  if (values.length === to - from) return values
  const keys = await answerOf(store.getAllKeys(range))
  const there = new Map(keys.map((key, index) => [key, values[index]]))
  return Array.from({ length: to - from }, (_, index) => there.get(from + index))
}
