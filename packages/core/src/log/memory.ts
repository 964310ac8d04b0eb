/**
 * The log engine in memory: the readable specification of the contract in engine.ts. What another engine does
 * differently, other than surviving, is its mistake.
 *
 * A store outlives its engines, so a test can close and open again. One writer at a time, readers beside it.
 */
import { toHex } from '../base/bytes.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { checkBatch, checkKey, checkLabel } from './batch.ts'
import type { AppendOptions, Compacted, Compaction, Head, KeyRing, LogEngine, LogProblem, LogRecord } from './engine.ts'
import { LIVE, type Standing } from './standing.ts'

const CHUNK_BYTES = 8 * 1024 * 1024
/** Records that are compacted before others get their turn. */
const STEP_RECORDS = 64

/** What engines share: made by memoryStore(), read by nobody else. */
export interface MemoryStore {
  readonly records: LogRecord[]
  readonly keys: Map<string, { readonly name: Uint8Array; readonly wrapped: Uint8Array }>
  label: Uint8Array | undefined
  standing: Standing
  bytes: number
  written: boolean
  generation: number
}

export function memoryStore(): MemoryStore {
  return {
    records: [],
    keys: new Map(),
    label: undefined,
    standing: LIVE,
    bytes: 0,
    written: false,
    generation: 0,
  }
}

/** @throws AteError CHAIN_LOCKED if the store is open for writing already. */
export function memoryEngine(
  store: MemoryStore = memoryStore(),
  options: { readonly readOnly?: boolean } = {},
): LogEngine {
  const readOnly = options.readOnly ?? false
  if (!readOnly && store.written) throw new AteError('CHAIN_LOCKED', { engine: 'memory', by: 'this process' })
  if (!readOnly) store.written = true
  return new MemoryEngine(store, readOnly)
}

class MemoryEngine implements LogEngine {
  readonly kind = 'memory'
  readonly durability = 'memory'
  readonly readOnly: boolean
  readonly ring: KeyRing
  readonly #store: MemoryStore
  /** What a reader sees: the records at open and at each refresh. A writer sees all. */
  #seen: number
  #closed = false

  constructor(store: MemoryStore, readOnly: boolean) {
    this.#store = store
    this.readOnly = readOnly
    this.#seen = store.records.length
    this.ring = memoryRing(store, (purpose) => this.#open(purpose))
  }

  get label(): Uint8Array | undefined {
    return this.#store.label?.slice()
  }

  setLabel(label: Uint8Array): void {
    this.#open('write')
    checkLabel(label, this.#store.records.length === 0 ? undefined : this.#store.label)
    this.#store.label = label.slice()
  }

  get standing(): Standing {
    return this.#store.standing
  }

  async setStanding(standing: Standing): Promise<void> {
    this.#open('write')
    this.#store.standing = { ...standing }
  }

  durableSeq(): number {
    return this.#seen - 1
  }

  head(): Head | undefined {
    const last = this.#store.records[this.#seen - 1]
    return last && { seq: last.seq, hash: last.hash.slice() }
  }

  async append(batch: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: 'memory' }> {
    this.#open('write')
    if (options.durability !== 'memory') {
      throw new AteError('DURABILITY_UNAVAILABLE', { asked: options.durability, reaches: 'memory' })
    }
    checkBatch(batch, options.after, this.head())
    for (const { seq, hash, bytes } of batch) {
      this.#store.records.push({ seq, hash: hash.slice(), bytes: bytes.slice() })
      this.#store.bytes += bytes.length
    }
    this.#seen = this.#store.records.length
    return { durability: 'memory' }
  }

  async refresh(): Promise<Head | undefined> {
    this.#open('read')
    this.#seen = this.#store.records.length
    return this.head()
  }

  async *read(
    from: number,
    options: { readonly chunkBytes?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<readonly LogRecord[], void, undefined> {
    const chunkBytes = options.chunkBytes ?? CHUNK_BYTES
    for (let seq = from; seq < this.#seen; ) {
      this.#open('read')
      throwIfAborted(options.signal)
      const chunk: LogRecord[] = []
      for (let bytes = 0; seq < this.#seen; seq++) {
        const record = this.#store.records[seq]!
        bytes += record.bytes.length
        if (chunk.length > 0 && bytes > chunkBytes) break
        chunk.push(record)
      }
      yield chunk
    }
  }

  readPart(seq: number, offset: number, size: number): Uint8Array {
    this.#open('read')
    const record = seq < this.#seen ? this.#store.records[seq] : undefined
    if (!record || offset < 0 || size < 0 || offset + size > record.bytes.length) {
      throw new AteError('NOT_FOUND', { seq, offset, size })
    }
    return record.bytes.slice(offset, offset + size)
  }

  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    return seq >= 0 && seq < this.#seen ? { segment: 'memory', offset: seq } : undefined
  }

  get generation(): number {
    return this.#store.generation
  }

  async compact(compaction: Compaction): Promise<Compacted> {
    this.#open('write')
    const { records } = this.#store
    const before = this.#store.bytes
    const end = records.length
    let changed = 0
    await compaction.begin(0, end)
    for (let seq = 0; seq < end; seq++) {
      if (seq % STEP_RECORDS === 0) {
        await compaction.settle()
        await compaction.pause()
        throwIfAborted(compaction.signal)
        this.#open('write')
      }
      const record = records[seq]!
      const bytes = compaction.reclaimable(record) > 0 ? compaction.rewrite(record)?.slice() : undefined
      if (!bytes) continue
      records[seq] = { ...record, bytes }
      this.#store.bytes -= record.bytes.length - bytes.length
      this.#store.generation++
      changed++
    }
    return { records: changed, bytesFreed: before - this.#store.bytes, inUse: 0 }
  }

  async scrub(options: { readonly signal?: AbortSignal } = {}): Promise<readonly LogProblem[]> {
    this.#open('read')
    throwIfAborted(options.signal)
    return []
  }

  sizeBytes(): number {
    return this.#store.bytes
  }

  async close(): Promise<void> {
    if (!this.#closed && !this.readOnly) this.#store.written = false
    this.#closed = true
  }

  async destroy(): Promise<void> {
    this.#open('write')
    const store = this.#store
    for (const { wrapped } of store.keys.values()) wrapped.fill(0)
    store.keys.clear()
    store.records.length = 0
    store.label = undefined
    store.bytes = 0
    store.standing = LIVE
    await this.close()
  }

  #open(purpose: 'read' | 'write'): void {
    if (this.#closed) throw new AteError('CHAIN_CLOSED')
    if (purpose === 'write' && this.readOnly) throw new AteError('READ_ONLY')
  }
}

function memoryRing(store: MemoryStore, open: (purpose: 'read' | 'write') => void): KeyRing {
  return {
    async put(name, wrapped) {
      open('write')
      checkKey(name, wrapped)
      store.keys.set(toHex(name), { name: name.slice(), wrapped: wrapped.slice() })
    },
    async putAll(entries) {
      for (const { name, wrapped } of entries) await this.put(name, wrapped)
    },
    async get(name) {
      open('read')
      return store.keys.get(toHex(name))?.wrapped.slice()
    },
    async erase(name) {
      open('write')
      store.keys.get(toHex(name))?.wrapped.fill(0)
      store.keys.delete(toHex(name))
    },
    async *names() {
      open('read')
      for (const key of [...store.keys.values()]) yield key.name.slice()
    },
  }
}
