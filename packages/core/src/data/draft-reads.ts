/**
 * What a transaction reads: what it wrote itself, and below that the state with all that is staged. What stood there
 * before is guarded, so that the transaction commits only on what it has seen.
 */
import { AteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { isInList } from '../chain/fold-tree.ts'
import { type EntityWords, sameEntity, textOfWords } from '../event/entity-words.ts'
import { GUARD, OP } from '../event/format.ts'
import { ROW } from '../view/entity-table.ts'
import type { Draft, LocalState } from './draft.ts'
import { assertType, type Entity, EntityHandle } from './entity.ts'
import { decodeBody, type EntityType } from './entity-type.ts'
import type { Values } from './values.ts'

export class DraftReads {
  readonly #core: ChainCore
  readonly #values: Values
  readonly #chain: ChainId
  readonly #draft: Draft

  constructor(core: ChainCore, values: Values, chain: ChainId, draft: Draft) {
    this.#core = core
    this.#values = values
    this.#chain = chain
    this.#draft = draft
  }

  load<T>(type: EntityType<T>, words: EntityWords, mode: 'guarded' | 'free'): Entity<T> | Promise<Entity<T>> {
    const entity = this.read(type, words, mode)
    if (entity === undefined) {
      if (!this.#draft.localOf(words)) this.#draft.guardVersion(words, this.versionOf(words))
      throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    }
    return entity
  }

  read<T>(
    type: EntityType<T>,
    words: EntityWords,
    mode: 'guarded' | 'free',
  ): Entity<T> | undefined | Promise<Entity<T>> {
    assertType(type)
    const { view } = this.#core.replica
    const local = this.#draft.localOf(words)
    const row = view.table.find(words.a, words.b, words.c, words.d)
    // What this transaction wrote carries its own version; what stood before is guarded by it.
    if (mode === 'guarded' && !local) this.#draft.guardVersion(words, row < 0 ? 0 : view.versionOf(row))
    if (local?.gone) return undefined
    if (local?.body) return this.#openLocal(type, words, local)
    if (row < 0 || view.isDead(row) || this.isExpired(row)) return undefined
    return this.#values.open(type, row, 'staged')
  }

  #openLocal<T>(type: EntityType<T>, words: EntityWords, local: LocalState): Entity<T> {
    const { stagedAt, size, written } = local.body!
    if (local.type !== type.name)
      throw new AteError('WRONG_TYPE', { id: textOfWords(words), stored: local.type, wanted: type.name })
    if (written instanceof EntityHandle && written.definition === type) return written as Entity<T>
    const { value, name } = decodeBody(this.#draft.bodies.buffer.subarray(stagedAt, stagedAt + size), type)
    return new EntityHandle(words, this.#chain, type, value, name)
  }

  isExpired(row: number): boolean {
    return this.#core.replica.view.isExpired(row, this.#core.now, 'staged')
  }

  exists(words: EntityWords): boolean {
    const local = this.#draft.localOf(words)
    if (local && local.version > 0) return !local.gone
    const { view } = this.#core.replica
    return view.findLive(words.a, words.b, words.c, words.d) >= 0
  }

  versionOf(words: EntityWords): number {
    const local = this.#draft.localOf(words)
    if (local) return local.version
    const { view } = this.#core.replica
    const row = view.table.find(words.a, words.b, words.c, words.d)
    return row < 0 ? 0 : view.versionOf(row)
  }

  /** 0 if it is not there. */
  liveVersionOf(words: EntityWords): number {
    const local = this.#draft.localOf(words)
    if (local) return local.gone ? 0 : local.version
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    return row < 0 || this.isExpired(row) ? 0 : view.versionOf(row)
  }

  /** @throws AteError NOT_FOUND | NO_COUNTER */
  counter(words: EntityWords, name: string): bigint {
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    const stored = row < 0 ? undefined : view.extraOf(row).counters.find((counter) => counter.name === name)?.value
    let value = stored
    for (const event of this.#draft.countersOf(words)) {
      const { counters, counter, amount } = event.rare!
      if (counters) value = counters.find((made) => made.name === name)?.value
      else if (event.op === OP.add && counter === name && value !== undefined) value += amount!
    }
    if (value !== undefined) return value
    if (row < 0 && !this.exists(words)) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    throw new AteError('NO_COUNTER', { counter: name })
  }

  storedCollection(words: EntityWords): string {
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    if (row < 0) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    return view.names.text(view.table.get(row, ROW.collection))
  }

  childWords(parent: EntityWords, collection: string): EntityWords[] {
    const { view } = this.#core.replica
    const row = view.findLive(parent.a, parent.b, parent.c, parent.d)
    const number = view.names.find(collection)
    const list = row < 0 || number === undefined ? undefined : view.children.find(row, number)
    if (row >= 0) this.#draft.guard({ kind: GUARD.members, entity: parent, collection, count: list?.version ?? 0 })
    const found: EntityWords[] = []
    for (let i = 0; list && i < list.length; i++) {
      const child = list.items[i]!
      if (!isInList(view, list, i, child)) continue
      const words = view.wordsOf(child)
      const local = this.#draft.localOf(words)
      if (!local?.parent) found.push(words)
    }
    return [...found, ...this.#localChildren(parent, collection)]
  }

  #localChildren(parent: EntityWords, collection: string): EntityWords[] {
    const found: EntityWords[] = []
    for (const local of this.#draft.localStates()) {
      if (local.gone || local.collection !== collection || !local.parent || !sameEntity(local.parent, parent)) continue
      found.push(local.words)
    }
    return found
  }
}
