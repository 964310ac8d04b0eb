/** The children of a collection as readers outside of transactions see them: iterated, counted, or by the page. */
import { AteError, throwIfAborted } from '../base/errors.ts'
import { chainIdOf, type EntityId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { type EntityWords, textOfWords } from '../event/entity-words.ts'
import type { ChildList } from '../view/child-lists.ts'
import { ROW } from '../view/entity-table.ts'
import { type Entity, type EntityRef, wordsOfRef } from './entity.ts'
import type { EntityType } from './entity-type.ts'
import type { Values } from './values.ts'

const PAGE_MAX = 10_000
/** Children that `batches` reads before it gives them. */
const BATCH = 1000

export interface PageOptions {
  /** The last child of the page before; the first page if left out. */
  readonly after?: EntityRef
  /** At most 10,000; 100 if left out. */
  readonly limit?: number
}

export class Children<T> implements AsyncIterable<Entity<T>> {
  readonly #core: ChainCore
  readonly #values: Values
  readonly #type: EntityType<T>
  readonly #parent: EntityWords
  readonly #collection: string
  readonly #signal: AbortSignal | undefined

  /** @internal */
  constructor(
    core: ChainCore,
    values: Values,
    type: EntityType<T>,
    parent: EntityWords,
    collection: string,
    signal: AbortSignal | undefined,
  ) {
    this.#core = core
    this.#values = values
    this.#type = type
    this.#parent = parent
    this.#collection = collection
    this.#signal = signal
  }

  /** In order. Children that come while it runs are not seen; those that go are left out. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Entity<T>, void, void> {
    for (const row of this.#rows()) {
      throwIfAborted(this.#signal)
      this.#core.assertOpen()
      if (!this.#isThere(row) || !this.#isBelow(row)) continue
      const entity = this.#values.open(this.#type, row, 'acknowledged')
      yield entity instanceof Promise ? await entity : entity
    }
  }

  /**
   * The same in arrays of up to `size` (1 to 10,000; 1,000 if left out), for who reads a large collection once: it costs
   * less, and what is read does not push out of the cache what others read again and again.
   * @throws AteError BAD_ARGUMENT
   */
  async *batches(options: { readonly size?: number } = {}): AsyncGenerator<Entity<T>[], void, void> {
    const size = options.size ?? BATCH
    if (!Number.isSafeInteger(size) || size < 1 || size > PAGE_MAX)
      throw new AteError('BAD_ARGUMENT', { size, max: PAGE_MAX })
    let batch: Entity<T>[] = []
    for (const row of this.#rows()) {
      if (batch.length === 0) {
        throwIfAborted(this.#signal)
        this.#core.assertOpen()
      }
      if (!this.#isThere(row) || !this.#isBelow(row)) continue
      const entity = this.#values.open(this.#type, row, 'acknowledged', 'once')
      batch.push(entity instanceof Promise ? await entity : entity)
      if (batch.length < size) continue
      yield batch
      batch = []
    }
    if (batch.length > 0) yield batch
  }

  /** How many there are, whether or not this session can read them. */
  count(): number {
    return this.#rows().length
  }

  /**
   * The id of the one that came last, also if it is not acknowledged yet, or has gone since; undefined if none has come. Whoever
   * follows the chain, and has seen that one, has seen all that came before.
   */
  newest(): EntityId | undefined {
    const list = this.#list()
    return list && list.length > 0 ? this.#core.replica.view.idText(list.items[list.length - 1]!) : undefined
  }

  /** Ids in order, whether or not this session can read the values. */
  ids(): string[] {
    return this.#rows().map((row) => this.#core.replica.view.idText(row))
  }

  async page(options: PageOptions = {}): Promise<Entity<T>[]> {
    const limit = options.limit ?? 100
    if (!Number.isSafeInteger(limit) || limit < 1 || limit > PAGE_MAX)
      throw new AteError('BAD_ARGUMENT', { limit, max: PAGE_MAX })
    this.#core.assertOpen()
    const rows = this.#rows()
    const from = options.after === undefined ? 0 : this.#after(rows, options.after)
    const page: Entity<T>[] = []
    for (const row of rows.slice(from, from + limit)) {
      throwIfAborted(this.#signal)
      page.push(await this.#values.open(this.#type, row, 'acknowledged'))
    }
    return page
  }

  #after(rows: readonly number[], ref: EntityRef): number {
    const { view, chainId } = this.#core.replica
    const { a, b, c, d } = wordsOfRef(ref, chainIdOf(chainId))
    const at = rows.indexOf(view.table.find(a, b, c, d))
    if (at < 0) throw new AteError('NOT_FOUND', { what: 'the child that the page begins after' })
    return at + 1
  }

  #list(): ChildList | undefined {
    const { view } = this.#core.replica
    const { a, b, c, d } = this.#parent
    const parent = view.table.find(a, b, c, d)
    if (parent < 0 || !view.isVisible(parent)) throw new AteError('NOT_FOUND', { entity: textOfWords(this.#parent) })
    const number = view.names.find(this.#collection)
    return number === undefined ? undefined : view.children.find(parent, number)
  }

  #rows(): number[] {
    const list = this.#list()
    const rows: number[] = []
    for (let i = 0; list && i < list.length; i++) {
      const row = list.items[i]!
      if (this.#isThere(row) && this.#isAt(row, list.parent, list.collection, i)) rows.push(row)
    }
    return rows
  }

  #isAt(row: number, parent: number, collection: number, slot: number): boolean {
    const { view } = this.#core.replica
    return (
      view.acknowledged(row, ROW.slot) === slot &&
      view.acknowledged(row, ROW.parent) === parent &&
      view.acknowledged(row, ROW.collection) === collection
    )
  }

  /** Still a child of this collection: it may have been moved while the others were read. */
  #isBelow(row: number): boolean {
    const { view } = this.#core.replica
    const { a, b, c, d } = this.#parent
    return (
      view.acknowledged(row, ROW.parent) === view.table.find(a, b, c, d) &&
      view.names.text(view.acknowledged(row, ROW.collection)) === this.#collection
    )
  }

  #isThere(row: number): boolean {
    const { view } = this.#core.replica
    if (!view.isVisible(row)) return false
    return !view.isExpired(row, this.#core.now, 'acknowledged')
  }
}
