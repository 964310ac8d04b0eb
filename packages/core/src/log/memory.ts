/**
 * The log engine in memory: the readable specification of the contract in engine.ts. What another engine does
 * differently, other than surviving, is its mistake.
 *
 * A store outlives its engines, so a test can close and open again. One writer at a time, readers beside it. How records stand
 * in memory is record-slabs.ts.
 */
import { toHex } from '../base/bytes.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { checkBatch, checkKey, checkLabel } from './batch.ts'
import type { AppendOptions, Compacted, Compaction, Head, KeyRing, LogEngine, LogProblem, LogRecord } from './engine.ts'
import { RecordSlabs } from './record-slabs.ts'
import { LIVE, type Standing } from './standing.ts'

/** Each record of a chunk is two views. */
const CHUNK_BYTES: number = 1024 * 1024

/** What engines share: made by memoryStore(), read by nobody else. */
export interface MemoryStore {
  records: RecordSlabs
  readonly keys: Map<string, { readonly name: Uint8Array; readonly wrapped: Uint8Array }>
  label: Uint8Array | undefined
  standing: Standing
  written: boolean
}

export function memoryStore(): MemoryStore {
  return {
    records: new RecordSlabs(),
    keys: new Map(),
    label: undefined,
    standing: LIVE,
    written: false,
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
    this.#seen = store.records.size
    this.ring = memoryRing(store, (purpose) => this.#open(purpose))
  }

  get label(): Uint8Array | undefined {
    return this.#store.label?.slice()
  }

  setLabel(label: Uint8Array): void {
    this.#open('write')
    checkLabel(label, this.#store.records.size === 0 ? undefined : this.#store.label)
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
    const last = this.#store.records.at(this.#seen - 1)
    return last && { seq: last.seq, hash: last.hash.slice() }
  }

  async append(batch: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: 'memory' }> {
    this.#open('write')
    if (options.durability !== 'memory') {
      throw new AteError('DURABILITY_UNAVAILABLE', { asked: options.durability, reaches: 'memory' })
    }
    checkBatch(batch, options.after, this.head())
    for (const record of batch) this.#store.records.push(record)
    this.#seen = this.#store.records.size
    return { durability: 'memory' }
  }

  async refresh(): Promise<Head | undefined> {
    this.#open('read')
    this.#seen = this.#store.records.size
    return this.head()
  }

  async *read(
    from: number,
    options: { readonly chunkBytes?: number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<readonly LogRecord[], void, undefined> {
    const chunkBytes = options.chunkBytes ?? CHUNK_BYTES
    for (let seq = from; seq < this.#end; ) {
      this.#open('read')
      throwIfAborted(options.signal)
      const { records, leave } = this.#store.records.read(seq, this.#end, chunkBytes)
      seq += records.length
      try {
        yield records
      } finally {
        leave()
      }
    }
  }

  readPart(seq: number, offset: number, size: number): Uint8Array {
    this.#open('read')
    const part = seq < this.#seen ? this.#store.records.part(seq, offset, size) : undefined
    if (!part) throw new AteError('NOT_FOUND', { seq, offset, size })
    return part
  }

  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    return seq >= 0 && seq < this.#seen ? { segment: 'memory', offset: seq } : undefined
  }

  get generation(): number {
    return this.#store.records.generation
  }

  async compact(compaction: Compaction): Promise<Compacted> {
    this.#open('write')
    const { compactSlabs } = await import('./slab-compact.ts')
    const compacted = await compactSlabs(this.#store.records, compaction, () => this.#open('write'))
    return { ...compacted, inUse: 0 }
  }

  async scrub(options: { readonly signal?: AbortSignal } = {}): Promise<readonly LogProblem[]> {
    this.#open('read')
    throwIfAborted(options.signal)
    return []
  }

  sizeBytes(): number {
    return this.#store.records.bytes
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
    store.records.clear()
    store.label = undefined
    store.standing = LIVE
    await this.close()
  }

  /** Whoever reads beside a writer that destroys the log finds nothing more. */
  get #end(): number {
    return Math.min(this.#seen, this.#store.records.size)
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
