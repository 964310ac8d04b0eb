/**
 * Secondary indexes, declared with a type and kept in memory by each reader: a first look-up opens all entities of the
 * type that the session can read; after that only what has changed. Loaded when somebody looks for something.
 */
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { Turns } from '../base/turns.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { assertType, type Entity } from './entity.ts'
import type { EntityType, IndexKey } from './entity-type.ts'
import type { Values } from './values.ts'

class Index<T> {
  readonly type: EntityType<T>
  readonly rows: Map<IndexKey, Set<number>> = new Map()
  readonly keys: Map<number, IndexKey> = new Map()
  /** Rows to look at again. */
  readonly dirty: Set<number> = new Set()
  /** Rows that this session could not open: looked at again when somebody's keys have changed. */
  readonly locked: Set<number> = new Set()
  /** Rows below this number have been looked at once. */
  seen = 1
  /** One look at a time: who asks while rows are being opened must not answer without them. */
  readonly turns: Turns = new Turns()

  constructor(type: EntityType<T>) {
    this.type = type
  }
}

export class Indexes {
  readonly #core: ChainCore
  readonly #values: Values
  readonly #indexes = new Map<string, Index<unknown>>()
  #listening = false

  constructor(core: ChainCore, values: Values) {
    this.#core = core
    this.#values = values
  }

  async find<T>(
    type: EntityType<T>,
    name: string,
    key: IndexKey,
    signal: AbortSignal | undefined,
  ): Promise<Entity<T>[]> {
    assertType(type)
    const keyOf = Object.hasOwn(type.indexes, name) ? type.indexes[name] : undefined
    if (!keyOf) throw new AteError('BAD_ARGUMENT', { what: 'the type has no such index', type: type.name, index: name })
    const index = this.#obtain(type, name)
    await index.turns.run(() => this.#update(index, keyOf, signal))
    const found: Entity<T>[] = []
    for (const row of [...(index.rows.get(key) ?? [])].sort((a, b) => a - b)) {
      if (this.#core.replica.view.isVisible(row)) found.push(await this.#values.open(type, row, 'acknowledged'))
    }
    return found
  }

  #obtain<T>(type: EntityType<T>, name: string): Index<T> {
    const key = `${type.name}\0${name}`
    const known = this.#indexes.get(key)
    if (known?.type === type) return known as unknown as Index<T>
    const index = new Index(type)
    this.#indexes.set(key, index as unknown as Index<unknown>)
    this.#listen()
    return index
  }

  #listen(): void {
    if (this.#listening) return
    this.#listening = true
    this.#core.listeners.add(({ transactions }) => {
      for (const index of this.#indexes.values()) {
        for (const { events } of transactions)
          for (const { row, rare } of events) {
            if (row > 0 && row < index.seen) index.dirty.add(row)
            if (rare && (rare.policy || rare.epoch || rare.role || rare.person)) unlock(index)
          }
      }
    })
  }

  async #update<T>(
    index: Index<T>,
    keyOf: (value: T) => IndexKey | undefined,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { view } = this.#core.replica
    while (index.seen < view.table.rows) {
      throwIfAborted(signal)
      const row = index.seen++
      // What is staged is looked at again when it is acknowledged.
      if (!view.isVisible(row)) index.dirty.add(row)
      else await this.#look(index, keyOf, row)
    }
    for (const row of [...index.dirty]) {
      throwIfAborted(signal)
      index.dirty.delete(row)
      if (row < view.table.rows && !view.isVisible(row) && !view.isDead(row)) index.dirty.add(row)
      else await this.#look(index, keyOf, row)
    }
  }

  /** One that could not be read now (a disk, a server that is away) is not one that has no key. */
  async #look<T>(index: Index<T>, keyOf: (value: T) => IndexKey | undefined, row: number): Promise<void> {
    try {
      await this.#updateRow(index, keyOf, row)
    } catch (error) {
      index.dirty.add(row)
      throw error
    }
  }

  async #updateRow<T>(index: Index<T>, keyOf: (value: T) => IndexKey | undefined, row: number): Promise<void> {
    const before = index.keys.get(row)
    if (before !== undefined) {
      index.rows.get(before)?.delete(row)
      index.keys.delete(row)
    }
    const key = await this.#keyOf(index, keyOf, row)
    if (key === undefined) return
    index.keys.set(row, key)
    const rows = index.rows.get(key)
    if (rows) rows.add(row)
    else index.rows.set(key, new Set([row]))
  }

  async #keyOf<T>(
    index: Index<T>,
    keyOf: (value: T) => IndexKey | undefined,
    row: number,
  ): Promise<IndexKey | undefined> {
    const { view } = this.#core.replica
    if (row >= view.table.rows || !view.isVisible(row) || view.typeOf(row) !== index.type.name) return undefined
    try {
      return keyOf((await this.#values.open(index.type, row, 'acknowledged')).value)
    } catch (error) {
      // What this session cannot read is not in its index; nor is what is no value of the type: it keeps nobody from the others.
      const code = isAteError(error) ? error.code : ''
      if (LOCKED.includes(code)) index.locked.add(row)
      else if (!BAD.includes(code)) throw error
      return undefined
    }
  }
}

function unlock({ locked, dirty }: Index<unknown>): void {
  for (const row of locked) dirty.add(row)
  locked.clear()
}

/** A key may come later. */
const LOCKED: readonly string[] = ['NO_READ_KEY', 'LOCKED']
const BAD: readonly string[] = ['BAD_VALUE', 'BAD_CBOR', 'BAD_RECORD']
