/**
 * Values of entities: opened, decoded and checked once, then shared. A cached entry is good as long as the row still
 * points at the same body, so nothing has to be invalidated.
 */
import { leave } from '#large'
import { AteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import { VALUE_CACHE_BYTES, VALUE_CACHE_ENTRIES } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { EntityWords } from '../event/entity-words.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { NO_RECORD, PENDING, ROW } from '../view/entity-table.ts'
import type { RowImage, View } from '../view/view.ts'
import { assertType, type Entity, EntityHandle } from './entity.ts'
import { decodeBody, type EntityType } from './entity-type.ts'

export interface ReadOptions {
  readonly signal?: AbortSignal
  /** `once`: the value is not kept in memory, and unless it was there already it is the caller's own. Default `again`. */
  readonly use?: 'again' | 'once'
  /** With `once`: a value that is bytes, and fits, is copied here and is a view of it, unless it was in memory already. */
  readonly into?: Uint8Array
}

interface Cached {
  readonly record: number
  readonly block: number
  readonly offset: number
  readonly type: EntityType<unknown>
  readonly entity: Entity<unknown>
  /** Of its body. */
  readonly bytes: number
  /** Made once, so that a hit allocates nothing; by the first hit. */
  promise: Promise<Entity<unknown>> | undefined
}

/** The words of a row, or of its image as it was acknowledged. */
interface Source {
  readonly words: Int32Array
  readonly at: number
}

export class Values {
  readonly #core: ChainCore
  readonly #view: View
  readonly #chain: ChainId
  // Two generations: the older is dropped when the newer is full, so that a hit costs one look-up and no bookkeeping.
  #young = new Map<number, Cached>()
  #old = new Map<number, Cached>()
  #youngBytes = 0
  #lastNode = -1
  #lastEpoch = -1
  #lastReads = false

  constructor(core: ChainCore, chain: ChainId) {
    this.#core = core
    this.#view = core.replica.view
    this.#chain = chain
    core.staging.onPlaced = (event, record) => this.#keepWritten(event, record)
  }

  /** The entity of an id as readers outside of transactions see it, or undefined if there is none. @throws AteError, as open */
  read<T>(
    type: EntityType<T>,
    words: EntityWords,
    options?: Pick<ReadOptions, 'use' | 'into'>,
  ): Promise<Entity<T> | undefined> {
    const view = this.#view
    const row = view.table.find(words.a, words.b, words.c, words.d)
    if (row < 0) {
      assertType(type)
      return NOTHING
    }
    if (!view.isVisible(row) || view.isExpired(row, this.#core.now, 'acknowledged')) return NOTHING
    const hit = this.#hit(type, row)
    if (hit) return hit
    assertType(type)
    return Promise.resolve(this.open(type, row, 'acknowledged', options?.use, options?.into))
  }

  /** The cached entity of a row as readers outside of transactions see it; undefined if it must be opened. */
  #hit<T>(type: EntityType<T>, row: number): Promise<Entity<T>> | undefined {
    const cached = this.#find(row)
    if (!cached || cached.type !== type) return undefined
    const view = this.#view
    if (view.images.size > 0 && view.images.has(row)) return undefined
    const chunk = view.table.chunkOf(row)
    const at = view.table.offsetOf(row)
    if (!isSame(cached, chunk, at)) return undefined
    cached.promise ??= Promise.resolve(cached.entity)
    return cached.promise as Promise<Entity<T>>
  }

  /**
   * The entity of a row: as acknowledged, or as the newest staged transaction left it. What is read `once` is not kept, and
   * copied to `into` if it is bytes and fits.
   * @throws AteError WRONG_TYPE | NO_READ_KEY | BAD_BODY | BAD_VALUE | NEEDS_UPGRADE
   */
  open<T>(
    type: EntityType<T>,
    row: number,
    state: 'acknowledged' | 'staged',
    use: 'again' | 'once' = 'again',
    into?: Uint8Array,
  ): Entity<T> | Promise<Entity<T>> {
    const source = this.#source(row, state)
    const stored = this.#view.names.text(source.words[source.at + ROW.type]!)
    if (stored !== type.name)
      throw new AteError('WRONG_TYPE', { id: this.#view.idText(row), stored, wanted: type.name })
    const cached = this.#find(row)
    if (cached && cached.type === type && isSame(cached, source.words, source.at)) return cached.entity as Entity<T>
    if (type.written === 'frozen') {
      const written = this.#writtenOf(source)
      if (written?.definition === type) return written as Entity<T>
    }
    const body = this.#bodyOf(source, row)
    if (!(body instanceof Promise)) return this.#decode(type, row, source, body, use, into)
    // The row may change while its body is read.
    const words = source.words.slice(source.at, source.at + ROW.subtree + 1)
    return body.then((bytes) => this.#decode(type, row, { words, at: 0 }, bytes, use, into))
  }

  #writtenOf({ words, at }: Source): EntityHandle<unknown> | undefined {
    if (words[at + ROW.record] !== PENDING) return undefined
    const written = this.#core.staging.event(words[at + ROW.offset]!, words[at + ROW.size]!)?.written
    return written instanceof EntityHandle ? written : undefined
  }

  /** What this session wrote need not be opened when it is acknowledged. */
  #keepWritten(event: TransactionEvent, record: number): void {
    const { row, written, block, offset, size } = event
    if (!(written instanceof EntityHandle) || !this.#reads(event)) return
    const { definition: type } = written
    this.#keep(row, { record, block, offset, type, entity: written, bytes: size, promise: undefined })
  }

  /** Whether this session could open it: who only writes here does not read what he wrote. */
  #reads({ readNode, epoch }: TransactionEvent): boolean {
    if (readNode !== this.#lastNode || epoch !== this.#lastEpoch) {
      const id = this.#view.wordsOf(readNode)
      this.#lastReads = this.#core.keys.secretsOf({ row: readNode, id }, epoch) !== undefined
      this.#lastNode = readNode
      this.#lastEpoch = epoch
    }
    return this.#lastReads
  }

  /** Every value is opened again when it is read next. */
  clear(): void {
    this.#young.clear()
    this.#old.clear()
    this.#youngBytes = 0
  }

  #find(row: number): Cached | undefined {
    const young = this.#young.get(row)
    if (young) return young
    const old = this.#old.get(row)
    if (old) this.#keep(row, old)
    return old
  }

  #keep(row: number, cached: Cached): void {
    if (this.#young.size >= VALUE_CACHE_ENTRIES / 2 || this.#youngBytes >= VALUE_CACHE_BYTES / 2) {
      this.#old = this.#young
      this.#young = new Map()
      this.#youngBytes = 0
    }
    this.#young.set(row, cached)
    this.#youngBytes += cached.bytes
  }

  #source(row: number, state: 'acknowledged' | 'staged'): Source {
    const images: readonly RowImage[] | undefined = state === 'acknowledged' ? this.#view.images.get(row) : undefined
    if (images) return { words: images[0]!.words, at: 0 }
    return { words: this.#view.table.chunkOf(row), at: this.#view.table.offsetOf(row) }
  }

  #bodyOf({ words, at }: Source, row: number): Uint8Array | Promise<Uint8Array> {
    const record = words[at + ROW.record]!
    if (record === PENDING) {
      const body = this.#core.staging.body(words[at + ROW.offset]!, words[at + ROW.size]!)
      if (body) return body
    }
    if (record === NO_RECORD || record === PENDING)
      throw new AteError('WRONG_TYPE', { id: this.#view.idText(row), what: 'the entity has no value' })
    const stored = {
      record,
      block: words[at + ROW.blockAndFlags]! & 0xff,
      offset: words[at + ROW.offset]!,
      size: words[at + ROW.size]!,
      hash: words,
      hashAt: at + ROW.hash,
    }
    // Decoded at once, which copies.
    return this.#core.bodies.read(stored, 'moment')
  }

  #decode<T>(
    type: EntityType<T>,
    row: number,
    { words, at }: Source,
    body: Uint8Array,
    use: 'again' | 'once',
    into: Uint8Array | undefined,
  ): Entity<T> {
    const { value, name } = decodeBody(body, type, use === 'once' ? into : undefined)
    leave(body)
    const id = { a: words[at]!, b: words[at + 1]!, c: words[at + 2]!, d: words[at + 3]! }
    const entity: Entity<T> = new EntityHandle(id, this.#chain, type, value, name)
    const record = words[at + ROW.record]!
    if (record !== PENDING && use === 'again') {
      const block = words[at + ROW.blockAndFlags]! & 0xff
      this.#keep(row, {
        record,
        block,
        offset: words[at + ROW.offset]!,
        type,
        entity,
        bytes: body.length,
        promise: undefined,
      } as Cached)
    }
    return entity
  }
}

function isSame(cached: Cached, words: Int32Array, at: number): boolean {
  return (
    words[at + ROW.record] === cached.record &&
    words[at + ROW.offset] === cached.offset &&
    (words[at + ROW.blockAndFlags]! & 0xff) === cached.block
  )
}

const NOTHING: Promise<undefined> = Promise.resolve(undefined)
