/**
 * A transaction while it is made: its events, its guards, and what it has changed itself, so that its own reads see it.
 * The view is not touched before the transaction is staged.
 */
import type { ChainCore } from '../chain/chain-core.ts'
import type { TransactionDraft } from '../chain/staged.ts'
import type { ByteWriter } from '../codec/writer.ts'
import { transactionPrefix } from '../event/derive-ids.ts'
import { type EntityWords, EntityWords as Words } from '../event/entity-words.ts'
import { FLAG, GUARD, OP, type Op } from '../event/format.ts'
import { encodeRare, type RareFields } from '../event/rare-fields.ts'
import { type Guard, TransactionEvent } from '../event/transaction-event.ts'
import { encodeBody, type EntityType } from './entity-type.ts'

/** Upper bounds of what an event, a guard and a transaction need in a record, names and rare fields apart. */
const EVENT_BYTES = 96
const GUARD_BYTES = 32
const TX_BYTES = 48

/** What this transaction has done to an entity so far. */
export interface LocalState {
  /** The newest event with a body, if any. */
  readonly body: TransactionEvent | undefined
  readonly type: string
  readonly gone: boolean
  /** The version after it. */
  readonly version: number
  readonly parent: EntityWords | undefined
  readonly collection: string | undefined
}

export class Draft implements TransactionDraft {
  readonly nonce: Uint8Array
  readonly guards: Guard[] = []
  readonly events: TransactionEvent[] = []
  readonly bodies: ByteWriter
  sizeBytes: number = TX_BYTES
  /** Work that waits until all roles are known: wraps of policies and roles. */
  #deferred: (() => void)[] | undefined
  readonly #core: ChainCore
  #guarded: Set<string> | undefined
  #prefix: EntityWords | undefined
  #created = 0
  #lastName = ''
  #otherName = ''
  /** Built when the transaction first reads. */
  #local: Map<string, LocalState> | undefined
  #indexed = 0

  constructor(core: ChainCore) {
    this.#core = core
    this.nonce = core.newNonce()
    this.bodies = core.takeBuffer()
  }

  /** The id of the next unnamed entity. */
  nextId(): EntityWords {
    this.#prefix ??= transactionPrefix(this.#core.crypto, this.#core.replica.chainId, this.#core.identity.fingerprintBytes, this.nonce)
    const { a, b, c } = this.#prefix
    return new Words(a, b, c, ++this.#created)
  }

  add(op: Op, entity: { readonly a: number; readonly b: number; readonly c: number; readonly d: number }): TransactionEvent {
    const event = new TransactionEvent(op)
    event.a = entity.a
    event.b = entity.b
    event.c = entity.c
    event.d = entity.d
    this.events.push(event)
    this.sizeBytes += EVENT_BYTES
    return event
  }

  /** Encodes the value at once: what the caller does to it later changes nothing. */
  setBody<T>(event: TransactionEvent, type: EntityType<T>, value: T, name: string | undefined): void {
    const at = this.bodies.at
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
    this.sizeBytes += encodeRare(rare).length + FLAG.rare
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
    const key = `${guard.kind} ${guard.entity.a},${guard.entity.b},${guard.entity.c},${guard.entity.d} ${guard.collection}`
    this.#guarded ??= new Set()
    if (this.#guarded.has(key)) return
    this.#guarded.add(key)
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
    return this.#index().get(keyOf(words))
  }

  /** Events of this transaction, newest state first is not promised; for children that it created or moved. */
  localEntries(): IterableIterator<[string, LocalState]> {
    return this.#index().entries()
  }

  /** Runs when the transaction is finished: `first` before what came earlier, `last` after it. */
  defer(order: 'first' | 'last', run: () => void): void {
    this.#deferred ??= []
    if (order === 'first') this.#deferred.unshift(run)
    else this.#deferred.push(run)
  }

  finish(): void {
    for (const run of this.#deferred ?? []) run()
    this.#deferred = undefined
  }

  #index(): Map<string, LocalState> {
    this.#local ??= new Map()
    for (; this.#indexed < this.events.length; this.#indexed++) this.#indexEvent(this.#local, this.events[this.#indexed]!)
    return this.#local
  }

  #indexEvent(local: Map<string, LocalState>, event: TransactionEvent): void {
    const key = keyOf(event)
    const before = local.get(key) ?? this.#stateOf(event)
    const { op } = event
    if (op === OP.create) {
      local.set(key, {
        body: event.body ? event : undefined,
        type: event.type,
        gone: false,
        version: event.version > 0 ? event.version : 1,
        parent: event.parent,
        collection: event.collection,
      })
    } else if (op === OP.put) local.set(key, { ...before, body: event, version: before.version + 1 })
    else if (op === OP.delete) local.set(key, { ...before, body: undefined, gone: true, version: before.version + 1 })
    else if (op === OP.move) local.set(key, { ...before, version: before.version + 1, parent: event.parent, collection: event.collection })
  }

  #stateOf(words: { readonly a: number; readonly b: number; readonly c: number; readonly d: number }): LocalState {
    const { view } = this.#core.replica
    const row = view.table.find(words.a, words.b, words.c, words.d)
    const version = row < 0 ? 0 : view.versionOf(row)
    return { body: undefined, type: row < 0 ? '' : view.typeOf(row), gone: false, version, parent: undefined, collection: undefined }
  }
}

export function keyOf(words: { readonly a: number; readonly b: number; readonly c: number; readonly d: number }): string {
  return `${words.a},${words.b},${words.c},${words.d}`
}
