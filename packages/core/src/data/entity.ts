/** A handle of an entity: chain, type and id; `value` is what was read or written when the handle was made. */
import { AteError } from '../base/errors.ts'
import type { ChainId, EntityId } from '../base/ids.ts'
import { EntityWords, parseEntityId, ROOT_ENTITY, textOfWords } from '../event/entity-words.ts'
import type { EntityType } from './entity-type.ts'

export interface Entity<T> {
  readonly chain: ChainId
  /** Name of the type. */
  readonly type: string
  readonly id: EntityId
  /** Of a named entity; undefined of others. */
  readonly name: string | undefined
  /** Frozen when it was read. */
  readonly value: T
}

/** Whatever names an entity of a chain. */
export type EntityRef = Entity<unknown> | EntityId | string

/** A reference into another chain, as text that can be stored in a value: `ate:CHAIN/ENTITY`. */
export type ForeignRef = string & { readonly __brand: 'ForeignRef' }

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

export class EntityHandle<T> extends EntityWords implements Entity<T> {
  readonly chain: ChainId
  readonly name: string | undefined
  readonly value: T
  readonly #definition: EntityType<T>
  #id: EntityId | undefined

  constructor(words: EntityWords, chain: ChainId, definition: EntityType<T>, value: T, name: string | undefined) {
    super(words.a, words.b, words.c, words.d)
    this.chain = chain
    this.name = name
    this.value = value
    this.#definition = definition
  }

  get type(): string {
    return this.#definition.name
  }

  /** The type that the value was read or written as. */
  get definition(): EntityType<T> {
    return this.#definition
  }

  get id(): EntityId {
    this.#id ??= textOfWords(this)
    return this.#id
  }

  toJSON(): unknown {
    const named = this.name === undefined ? {} : { name: this.name }
    return { chain: this.chain, type: this.type, id: this.id, ...named, value: this.value }
  }

  static {
    // The words of the id are ours alone: people see the id.
    Object.defineProperty(EntityHandle.prototype, INSPECT, { value: EntityHandle.prototype.toJSON })
  }
}

/** @throws AteError BAD_ID | BAD_ARGUMENT */
export function wordsOfRef(ref: EntityRef, chain: ChainId): EntityWords {
  if (ref instanceof EntityHandle) {
    if (ref.chain !== chain) throw wrongChain(ref.chain, chain)
    return ref
  }
  if (typeof ref === 'string') return ref.startsWith('ate:') ? wordsOfForeign(ref, chain) : parseEntityId(ref)
  if (typeof ref !== 'object' || ref === null || typeof ref.id !== 'string')
    throw new AteError('BAD_ID', { kind: 'entity', given: typeof ref })
  if (ref.chain !== chain) throw wrongChain(String(ref.chain), chain)
  return parseEntityId(ref.id)
}

function wordsOfForeign(ref: string, chain: ChainId): EntityWords {
  const parsed = parseForeignRef(ref)
  if (parsed.chain !== chain) throw wrongChain(parsed.chain, chain)
  return parseEntityId(parsed.id)
}

/** The parent that an option names; the root if it names none. */
export function parentWords(ref: EntityRef | undefined, chain: ChainId): EntityWords {
  return ref === undefined ? ROOT_ENTITY : wordsOfRef(ref, chain)
}

function wrongChain(given: string, chain: ChainId): AteError {
  return new AteError('BAD_ARGUMENT', { what: 'the entity belongs to another chain', given, chain })
}

/** A reference that can be stored in a value of another chain. */
export function foreignRef(entity: Entity<unknown>): ForeignRef {
  return `ate:${entity.chain}/${entity.id}` as ForeignRef
}

/** @throws AteError BAD_ID */
export function parseForeignRef(ref: string): { readonly chain: ChainId; readonly id: EntityId } {
  const match = /^ate:([0-9a-z]{52})\/([0-9a-z]{26})$/.exec(ref)
  if (!match) throw new AteError('BAD_ID', { kind: 'foreign reference' })
  parseEntityId(match[2]!)
  return { chain: match[1] as ChainId, id: match[2] as EntityId }
}

export function assertType<T>(type: EntityType<T>): void {
  if (typeof type !== 'object' || type === null || typeof type.name !== 'string' || typeof type.version !== 'number') {
    throw new AteError('BAD_ARGUMENT', { what: 'give a type made by defineType' })
  }
}
