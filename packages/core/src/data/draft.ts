/**
 * A transaction while it is made: its events, its guards, and what it has changed itself, so that its own reads see it.
 * The view is not touched before the transaction is staged.
 */
import { lend } from '#large'
import { KEY_COST_BYTES } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { type KeyChanges, ringName } from '../chain/entity-keys.ts'
import type { TransactionDraft } from '../chain/staged.ts'
import type { ByteWriter } from '../codec/writer.ts'
import { type EntityWords, sameEntity, EntityWords as Words } from '../event/entity-words.ts'
import { FLAG, GUARD, OP, type Op } from '../event/format.ts'
import { encodeRare, type RareFields } from '../event/rare-fields.ts'
import { type Guard, TransactionEvent } from '../event/transaction-event.ts'
import { type EntityType, encodeBody } from './entity-type.ts'

/** Upper bounds of what an event, a guard and a transaction need in a record, names and rare fields apart. */
const EVENT_BYTES = 96
const GUARD_BYTES = 32
const TX_BYTES = 48
/** What stands before the bytes of a body that is bytes: its version, its name, their length. */
const BODY_HEAD_BYTES = 1024

/** What this transaction has done to an entity so far. */
export interface LocalState {
  readonly words: EntityWords
  /** The newest event with a body, if any. */
  body: TransactionEvent | undefined
  type: string
  gone: boolean
  /** The version after it. */
  version: number
  /** If this transaction made or moved it. */
  parent: EntityWords | undefined
  collection: string | undefined
  /** This transaction made it, without a name. */
  isMade: boolean
}

export class Draft implements TransactionDraft {
  readonly nonce: Uint8Array
  readonly guards: Guard[] = []
  events: TransactionEvent[] = []
  readonly bodies: ByteWriter
  keys: KeyChanges | undefined
  sizeBytes: number = TX_BYTES
  /** Work that waits until all roles are known: wraps of policies and roles. */
  #deferred: (() => void)[] | undefined
  readonly #core: ChainCore
  /** By a hash of the entity; most hashes have one. */
  #guarded: Map<number, Guard | Guard[]> | undefined
  prefix: EntityWords | undefined
  #created = 0
  #lastName = ''
  #otherName = ''
  /**
   * Built when the transaction first reads; by a hash of the id, since text would cost more than the look-up. A creation, or a
   * put with its version, stands for what it did until somebody asks: most are never asked for.
   */
  #local: Map<number, LocalState[] | TransactionEvent> | undefined
  #indexed = 0
  /** Events that make or change counters, by a hash of the entity's id; built when the transaction first reads one. */
  #counting: Map<number, TransactionEvent[]> | undefined
  #counted = 0

  constructor(core: ChainCore) {
    this.#core = core
    this.nonce = core.newNonce()
    this.bodies = core.staging.takeBuffer()
  }

  /** The id of the next unnamed entity. */
  nextId(): EntityWords {
    this.prefix ??= this.#core.prefixOf(this.nonce)
    const { a, b, c } = this.prefix
    return new Words(a, b, c, ++this.#created)
  }

  /** Takes the newest event, a creation that failed, out again; ids of unnamed entities count on without a gap. */
  dropCreation(options: { readonly named: boolean }): void {
    this.events.pop()
    if (!options.named) this.#created--
  }

  add(
    op: Op,
    entity: { readonly a: number; readonly b: number; readonly c: number; readonly d: number },
  ): TransactionEvent {
    const event = new TransactionEvent(op)
    event.a = entity.a
    event.b = entity.b
    event.c = entity.c
    event.d = entity.d
    // An array that is pushed to first takes room for 17, and many transactions have one event.
    if (this.events.length === 0) this.events = [event]
    else this.events.push(event)
    this.sizeBytes += EVENT_BYTES
    return event
  }

  /** Encodes the value at once: what the caller does to it later changes nothing. */
  setBody<T>(event: TransactionEvent, type: EntityType<T>, value: T, name: string | undefined): void {
    const at = this.bodies.at
    // Bytes alone are what is stored large and often: a file, part by part.
    if (value instanceof Uint8Array) lend(this.bodies, value.length + BODY_HEAD_BYTES)
    event.size = encodeBody(this.bodies, type, value, name)
    event.stagedAt = at
    event.body = true
    this.sizeBytes += event.size
  }

  /** A body that is encoded already. */
  setRawBody(event: TransactionEvent, body: Uint8Array): void {
    event.stagedAt = this.bodies.at
    event.size = body.length
    event.body = true
    this.bodies.raw(body)
    this.sizeBytes += body.length
  }

  setRare(event: TransactionEvent, rare: RareFields): void {
    event.rare = rare
    event.rareBytes = encodeRare(rare)
    this.sizeBytes += event.rareBytes.length + FLAG.rare
  }

  /** Copied: what the caller does to it later changes nothing. */
  putKey(entity: EntityWords, bytes: Uint8Array): void {
    this.keys ??= { put: [], erase: [] }
    this.keys.put.push({ name: ringName(entity), wrapped: bytes.slice() })
    this.sizeBytes += bytes.length + KEY_COST_BYTES
  }

  eraseKey(entity: EntityWords): void {
    this.keys ??= { put: [], erase: [] }
    this.keys.erase.push(ringName(entity))
  }

  /** Counts names that the dictionary of a commit may have to hold. */
  countName(name: string): void {
    if (name === this.#lastName || name === this.#otherName) return
    // A UTF-16 unit is at most three bytes of UTF-8: an upper bound is enough here.
    this.sizeBytes += name.length * 3 + 4
    this.#otherName = this.#lastName
    this.#lastName = name
  }

  guard(guard: Guard): void {
    this.#guarded ??= new Map()
    const hash = hashOf(guard.entity)
    const same = this.#guarded.get(hash)
    if (same === undefined) this.#guarded.set(hash, guard)
    else if (!Array.isArray(same)) {
      if (isSameGuard(same, guard)) return
      this.#guarded.set(hash, [same, guard])
    } else {
      if (same.some((one) => isSameGuard(one, guard))) return
      same.push(guard)
    }
    this.guards.push(guard)
    this.sizeBytes += GUARD_BYTES
    this.countName(guard.collection)
  }

  guardVersion(entity: EntityWords, version: number): void {
    this.guard({ kind: GUARD.version, entity, collection: '', count: version })
  }

  /** What this transaction did to an entity; undefined if nothing. */
  localOf(words: EntityWords): LocalState | undefined {
    if (this.events.length === 0) return undefined
    const local = this.#index()
    const hash = hashOf(words)
    const states = local.get(hash)
    if (states === undefined) return undefined
    if (states instanceof TransactionEvent && !sameEntity(states, words)) return undefined
    return this.#statesAt(local, hash).find((state) => sameEntity(state.words, words))
  }

  /** All that this transaction has touched. */
  localStates(): LocalState[] {
    if (this.events.length === 0) return []
    const local = this.#index()
    return [...local.keys()].flatMap((hash) => this.#statesAt(local, hash))
  }

  /** Events so far that make or change counters of an entity. */
  countersOf(words: EntityWords): readonly TransactionEvent[] {
    this.#counting ??= new Map()
    for (; this.#counted < this.events.length; this.#counted++) {
      const event = this.events[this.#counted]!
      if (event.rare?.counters || event.op === OP.add) bucketOf(this.#counting, event).push(event)
    }
    return this.#counting.get(hashOf(words))?.filter((event) => sameEntity(event, words)) ?? []
  }

  /** Runs when the transaction is finished: `first` before what came earlier, `last` after it. */
  defer(order: 'first' | 'last', run: () => void): void {
    this.#deferred ??= []
    if (order === 'first') this.#deferred.unshift(run)
    else this.#deferred.push(run)
  }

  finish(): void {
    if (!this.#deferred) return
    for (const run of this.#deferred) run()
    this.#deferred = undefined
  }

  #index(): Map<number, LocalState[] | TransactionEvent> {
    this.#local ??= new Map()
    for (; this.#indexed < this.events.length; this.#indexed++)
      this.#indexEvent(this.#local, this.events[this.#indexed]!)
    return this.#local
  }

  #indexEvent(local: Map<number, LocalState[] | TransactionEvent>, event: TransactionEvent): void {
    const { op } = event
    if (op !== OP.create && op !== OP.put && op !== OP.delete && op !== OP.move) return
    const hash = hashOf(event)
    if ((op === OP.create || (op === OP.put && event.version > 0)) && !local.has(hash)) {
      local.set(hash, event)
      return
    }
    this.#noteEvent(this.#statesAt(local, hash), event)
  }

  /** The states of a hash, in the index from here on. */
  #statesAt(local: Map<number, LocalState[] | TransactionEvent>, hash: number): LocalState[] {
    const found = local.get(hash)
    if (Array.isArray(found)) return found
    const states: LocalState[] = []
    local.set(hash, states)
    if (!found) return states
    this.#noteEvent(states, found)
    // The view may have changed since it was written.
    if (found.op === OP.put) states[0]!.version = found.version
    return states
  }

  #noteEvent(states: LocalState[], event: TransactionEvent): void {
    const { op } = event
    let state = states.find((one) => sameEntity(one.words, event))
    if (!state) {
      state = this.#stateOf(event)
      states.push(state)
    }
    if (op === OP.put || op === OP.create) state.body = event.body ? event : undefined
    if (op === OP.create) {
      state.type = event.type
      state.isMade = !event.key
    }
    state.gone = op === OP.delete
    state.version++
    if (op === OP.create || op === OP.move) {
      state.parent = event.parent
      state.collection = event.collection
    }
  }

  #stateOf({ a, b, c, d }: EntityWords): LocalState {
    const { view } = this.#core.replica
    const row = view.table.find(a, b, c, d)
    const type = row < 0 ? '' : view.typeOf(row)
    const version = row < 0 ? 0 : view.versionOf(row)
    return {
      words: { a, b, c, d },
      body: undefined,
      type,
      gone: false,
      version,
      parent: undefined,
      collection: undefined,
      isMade: false,
    }
  }
}

function hashOf({ a, d }: EntityWords): number {
  return (a ^ Math.imul(d, 0x9e3779b1)) | 0
}

function isSameGuard(one: Guard, other: Guard): boolean {
  return one.kind === other.kind && one.collection === other.collection && sameEntity(one.entity, other.entity)
}

function bucketOf<T>(map: Map<number, T[]>, words: EntityWords): T[] {
  const hash = hashOf(words)
  let bucket = map.get(hash)
  if (!bucket) {
    bucket = []
    map.set(hash, bucket)
  }
  return bucket
}
