/**
 * A transaction as its author writes it. What it reads is guarded, so that it commits only if nothing of that has
 * changed; what it writes is seen by its own reads and by nobody else until it is acknowledged.
 */

import { type Duration, durationMs } from '../base/duration.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, parseId } from '../base/ids.ts'
import { COUNTERS_MAX } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { isInList } from '../chain/fold-tree.ts'
import type { Receipt } from '../chain/staged.ts'
import { namedEntity } from '../event/derive-ids.ts'
import { type EntityWords, ROOT_ENTITY, sameEntity, textOfWords } from '../event/entity-words.ts'
import { GUARD, OP } from '../event/format.ts'
import type { CounterFields, RareFields, RootFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { ROW } from '../view/entity-table.ts'
import { Draft, type LocalState } from './draft.ts'
import { DraftTrust, type Removal } from './draft-trust.ts'
import { assertType, type Entity, EntityHandle, type EntityRef, parentWords, wordsOfRef } from './entity.ts'
import { checkName, decodeBody, type EntityType, validate } from './entity-type.ts'
import type { CounterInput, PolicyInput, Principal } from './policy-input.ts'
import type { Values } from './values.ts'

export interface PlaceOptions {
  /** The entity below which it stands; the root of the chain if left out. */
  readonly parent?: EntityRef
  /** The collection of the parent; the type's name if left out. */
  readonly in?: string
}

export interface ExpiryOptions {
  /** Chain time in Unix ms from which the entity counts as gone. */
  readonly expires?: number | Date
  /** The same, counted from the time of the record. */
  readonly ttl?: Duration
}

export interface RetentionOptions {
  /** Chain time in Unix ms until which nothing changes or deletes the entity; it only grows. */
  readonly retain?: number | Date
  /** Names of holds: as long as it has one, nothing changes or deletes the entity. */
  readonly holds?: readonly string[]
}

export interface CreateOptions extends PlaceOptions, PolicyInput, ExpiryOptions, RetentionOptions {
  /** Names the entity: at most one of a name in a collection. Names are blinded: only readers can test a guess. */
  readonly name?: string
  /** Managers of what is above do not manage this entity; give `manage` with it. */
  readonly closed?: boolean
  /** Clear numbers that every replica bounds. */
  readonly counters?: Readonly<Record<string, CounterInput>>
}

export interface ChainSettings {
  /** Ed25519 keys (32 bytes) that sign checkpoints. */
  readonly checkpointKeys?: readonly Uint8Array[]
  /** Who orders records from the next one on: the writers themselves, or servers by their fingerprints (32 bytes). */
  readonly sequencers?: 'writers' | readonly Uint8Array[]
  /** Level of the rules; it only rises. */
  readonly level?: number
}

export class Transaction {
  readonly #core: ChainCore
  readonly #values: Values
  readonly #chain: ChainId
  readonly #draft: Draft
  #lazyTrust: DraftTrust | undefined
  readonly #signal: AbortSignal | undefined
  #open = 0
  #state: 'open' | 'closed' = 'open'
  #receipt: Receipt | undefined

  /** @internal Transactions are made by chain.transact and chain.begin. */
  constructor(core: ChainCore, values: Values, chain: ChainId, signal: AbortSignal | undefined) {
    this.#core = core
    this.#values = values
    this.#chain = chain
    this.#draft = new Draft(core)
    this.#signal = signal
  }

  /** What the acknowledgement said; undefined before it came. */
  get receipt(): Receipt | undefined {
    return this.#receipt
  }

  /**
   * Makes an entity. Needs write at the parent; own policies, `closed` and retention need manage there.
   * @throws AteError BAD_VALUE | VALUE_TOO_LARGE | BAD_ARGUMENT | NO_ROLE | NO_READ_KEY | TX_CLOSED
   */
  create<T>(type: EntityType<T>, value: T, options: CreateOptions = NO_OPTIONS): Entity<T> {
    this.#assertOpen()
    assertType(type)
    const draft = this.#draft
    const valid = validate(type, value)
    const parent = parentWords(options.parent, this.#chain)
    const collection = this.#collection(type, options.in)
    const words = options.name === undefined ? draft.nextId() : this.#wordsOfName(parent, collection, options.name)
    const event = draft.add(OP.create, words)
    const introduced = this.#lazyTrust?.introducedCount ?? 0
    try {
      draft.setBody(event, type, valid, options.name)
      event.parent = parent
      event.collection = collection
      event.type = type.name
      draft.countName(collection)
      draft.countName(type.name)
      if (options.name !== undefined) event.key = this.#trust.blind(parent, collection, checked(options.name))
      if (options !== NO_OPTIONS) this.#createOptions(event, words, parent, options)
    } catch (error) {
      // Whoever catches it and goes on must not commit half of what was asked for.
      draft.dropCreation({ named: options.name !== undefined })
      this.#lazyTrust?.takeBack(introduced)
      throw error
    }
    return new EntityHandle(words, this.#chain, type, valid, options.name)
  }

  /** The entity as this transaction sees it, or undefined if there is none. What was read is guarded. */
  get<T>(type: EntityType<T>, ref: EntityRef): Promise<Entity<T> | undefined> {
    return this.#call(() => this.#read(type, wordsOfRef(ref, this.#chain), 'guarded'))
  }

  /** As get. @throws AteError NOT_FOUND */
  load<T>(type: EntityType<T>, ref: EntityRef): Promise<Entity<T>> {
    return this.#call(() => this.#load(type, wordsOfRef(ref, this.#chain), 'guarded'))
  }

  /** Reads without a guard: another transaction may change it, and this one commits all the same. */
  peek<T>(type: EntityType<T>, ref: EntityRef): Promise<Entity<T> | undefined> {
    return this.#call(() => this.#read(type, wordsOfRef(ref, this.#chain), 'free'))
  }

  /** The entity of a name, or undefined. Its absence is guarded too. */
  named<T>(type: EntityType<T>, name: string, options: PlaceOptions = {}): Promise<Entity<T> | undefined> {
    return this.#call(() => this.#read(type, this.#wordsOfNamed(type, name, options), 'guarded'))
  }

  /** Reads the entity again inside this transaction, and writes what `next` makes of its value. */
  update<T>(type: EntityType<T>, ref: EntityRef, next: (value: T) => T | Promise<T>): Promise<Entity<T>>
  update<T>(ref: Entity<T>, next: (value: T) => T | Promise<T>): Promise<Entity<T>>
  update<T>(
    typeOrRef: EntityType<T> | Entity<T>,
    refOrNext: EntityRef | ((value: T) => T | Promise<T>),
    maybeNext?: (value: T) => T | Promise<T>,
  ): Promise<Entity<T>> {
    return this.#call(() => {
      const byType = typeof refOrNext !== 'function'
      const type = byType ? (typeOrRef as EntityType<T>) : this.#typeOf(typeOrRef as Entity<T>)
      const words = wordsOfRef(byType ? refOrNext : (typeOrRef as Entity<T>), this.#chain)
      const next = byType ? maybeNext : (refOrNext as (value: T) => T | Promise<T>)
      if (typeof next !== 'function')
        throw new AteError('BAD_ARGUMENT', { what: 'update takes a function of the value' })
      return this.#update(type, words, next)
    })
  }

  /** While a body is being read, others may write the entity: the version is that of what was read, not of later. */
  #update<T>(
    type: EntityType<T>,
    words: EntityWords,
    next: (value: T) => T | Promise<T>,
  ): Entity<T> | Promise<Entity<T>> {
    const version = this.#versionOf(words)
    const local = this.#draft.localOf(words)?.version
    const before = this.#load(type, words, 'free')
    if (!(before instanceof Promise)) return this.#writeNext(type, words, { before, version, next })
    return before.then((read) =>
      // Two updates of one entity in this transaction: the second starts from what the first made.
      this.#draft.localOf(words)?.version === local
        ? this.#writeNext(type, words, { before: read, version, next })
        : this.#update(type, words, next),
    )
  }

  /** The version that a put carries guards what it was made from; if nothing is written, a guard of its own does. */
  #writeNext<T>(
    type: EntityType<T>,
    words: EntityWords,
    {
      before,
      version,
      next,
    }: { readonly before: Entity<T>; readonly version: number; readonly next: (value: T) => T | Promise<T> },
  ): Entity<T> | Promise<Entity<T>> {
    // What this transaction wrote itself is guarded by that write.
    const isOwn = this.#draft.localOf(words) !== undefined
    const write = (made: T): Entity<T> => {
      const value = validate(type, made)
      this.#write(type, words, value, before.name, version + 1)
      return new EntityHandle(words, this.#chain, type, value, before.name)
    }
    try {
      const made = next(before.value)
      if (!(made instanceof Promise)) return write(made)
      return made.then(write).catch((error) => {
        if (!isOwn) this.#draft.guardVersion(words, version)
        throw error
      })
    } catch (error) {
      if (!isOwn) this.#draft.guardVersion(words, version)
      throw error
    }
  }

  /**
   * Writes the value of a name, whether it is there or not. `expires` and `ttl` count anew, and what has expired is
   * there again; the other options count when it is made.
   */
  put<T>(type: EntityType<T>, name: string, value: T, options: CreateOptions = {}): Entity<T> {
    this.#assertOpen()
    const words = this.#wordsOfNamed(type, name, options)
    if (!this.#exists(words)) return this.create(type, value, { ...options, name })
    const valid = validate(type, value)
    const { view } = this.#core.replica
    const row = view.table.find(words.a, words.b, words.c, words.d)
    const isExpired = row >= 0 && this.#isExpired(row) && !this.#draft.localOf(words)
    this.#write(type, words, valid, name, this.#versionOf(words) + 1)
    if (isExpired || options.expires !== undefined || options.ttl !== undefined) {
      this.#draft.setRare(this.#draft.add(OP.expire, words), this.#expiry(options))
    }
    return new EntityHandle(words, this.#chain, type, valid, name)
  }

  /** The single child of a collection, or undefined. */
  child<T>(type: EntityType<T>, parent: EntityRef | undefined, collection?: string): Promise<Entity<T> | undefined> {
    return this.named(type, ONLY_CHILD, placeOf(parent, collection))
  }

  /** Writes the single child of a collection, whether it is there or not. */
  putChild<T>(type: EntityType<T>, value: T, options: Omit<CreateOptions, 'name'> = {}): Entity<T> {
    return this.put(type, ONLY_CHILD, value, options)
  }

  /** Deletes an entity that has no children. */
  delete(ref: EntityRef): void {
    this.#assertOpen()
    const words = wordsOfRef(ref, this.#chain)
    this.#draft.add(OP.delete, words)
  }

  /** Moves an unnamed entity, with all that is below it. Needs manage on it and write at the new parent. */
  move(ref: EntityRef, to: PlaceOptions): void {
    this.#assertOpen()
    const words = wordsOfRef(ref, this.#chain)
    const event = this.#draft.add(OP.move, words)
    event.parent = parentWords(to.parent, this.#chain)
    event.collection = to.in ?? this.#storedCollection(words)
    this.#draft.countName(event.collection)
    this.#trust.keepReaders(event, words)
  }

  /** Adds to a counter; negative takes away. Never conflicts. */
  add(ref: EntityRef, counter: string, amount: bigint): void {
    this.#assertOpen()
    if (typeof amount !== 'bigint')
      throw new AteError('BAD_ARGUMENT', { what: 'an amount is a bigint', given: typeof amount })
    this.#draft.setRare(this.#draft.add(OP.add, wordsOfRef(ref, this.#chain)), { counter: checked(counter), amount })
  }

  /** Settings of the chain itself. Needs manage of the root. */
  settings(settings: ChainSettings): void {
    this.#assertOpen()
    const root: RootFields = {
      ...(settings.checkpointKeys === undefined ? {} : { checkpointKeys: settings.checkpointKeys.map(keyBytes) }),
      ...(settings.sequencers === undefined
        ? {}
        : { sequencers: settings.sequencers === 'writers' ? 'writers' : settings.sequencers.map(keyBytes) }),
      ...(settings.level === undefined ? {} : { level: settings.level }),
    }
    this.#draft.setRare(this.#draft.add(OP.root, ROOT_ENTITY), { root })
  }

  /** Ends a writer certificate: what it signs later is void. For its own identity, and for who manages the root. */
  endWriter(id: string): void {
    this.#assertOpen()
    this.#draft.setRare(this.#draft.add(OP.endCertificate, ROOT_ENTITY), { certificate: parseId(id, 'fingerprint') })
  }

  /** Replaces policies; what is left out stays. Needs manage. */
  setPolicy(ref: EntityRef, policy: PolicyInput): void {
    this.#assertOpen()
    const words = wordsOfRef(ref, this.#chain)
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    if (row < 0) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    const parent = view.wordsOf(view.parentOf(row))
    this.#trust.setPolicy(this.#draft.add(OP.policy, words), words, parent, row, policy)
  }

  /** Sets or clears when the entity expires. */
  expire(ref: EntityRef, expiry: ExpiryOptions): void {
    this.#assertOpen()
    this.#draft.setRare(this.#draft.add(OP.expire, wordsOfRef(ref, this.#chain)), this.#expiry(expiry))
  }

  /** Keeps the entity from being changed or deleted; it only grows. */
  retain(ref: EntityRef, retention: RetentionOptions): void {
    this.#assertOpen()
    this.#draft.setRare(this.#draft.add(OP.retain, wordsOfRef(ref, this.#chain)), retentionFields(retention))
  }

  /** Drops what is remembered of a deleted entity. Needs manage at its parent. */
  forget(ref: EntityRef): void {
    this.#assertOpen()
    this.#draft.add(OP.forget, wordsOfRef(ref, this.#chain))
  }

  /** A role of this chain, or of the node that is given: made by its first `add`, with its maker the first member. */
  role(name: string, at?: EntityRef): { add(member: Principal): void; remove(member: Principal): Removal } {
    this.#assertOpen()
    checkName(name, 'role')
    const node = parentWords(at, this.#chain)
    return {
      add: (member) => {
        this.#assertOpen()
        this.#trust.addMember(name, node, member)
      },
      remove: (member) => {
        this.#assertOpen()
        return this.#trust.removeMember(name, node, member)
      },
    }
  }

  /** The children of a collection in order, those of this transaction included. Membership and values are guarded. */
  async *children<T>(
    type: EntityType<T>,
    parent: EntityRef | undefined,
    collection?: string,
  ): AsyncGenerator<Entity<T>, void, void> {
    this.#assertOpen()
    const words = parentWords(parent, this.#chain)
    const name = this.#collection(type, collection)
    for (const child of this.#childWords(words, name)) {
      const entity = await this.#call(() => this.#read(type, child, 'guarded'))
      if (entity) yield entity
    }
  }

  /** Conditions of one's own, judged at the transaction's place in the log. */
  get guard(): {
    version(ref: EntityRef, version: number): void
    members(parent: EntityRef | undefined, collection: string, count: number): void
    subtree(ref: EntityRef | undefined, count: number): void
    expired(ref: EntityRef): void
  } {
    this.#assertOpen()
    const add = (kind: 1 | 2 | 3 | 4, entity: EntityWords, collection: string, count: number): void => {
      if (!Number.isSafeInteger(count) || count < 0) throw new AteError('BAD_ARGUMENT', { what: 'a guard counts' })
      this.#draft.guard({ kind, entity, collection, count })
    }
    return {
      version: (ref, version) => add(GUARD.version, wordsOfRef(ref, this.#chain), '', version),
      members: (parent, collection, count) => add(GUARD.members, parentWords(parent, this.#chain), collection, count),
      subtree: (ref, count) => add(GUARD.subtree, parentWords(ref, this.#chain), '', count),
      expired: (ref) => add(GUARD.expired, wordsOfRef(ref, this.#chain), '', 0),
    }
  }

  /** @internal The finished draft; nothing is added after it. @throws AteError TX_PENDING | TX_CLOSED */
  finish(): Draft {
    this.#assertOpen()
    if (this.#open > 0) throw new AteError('TX_PENDING', { calls: this.#open })
    this.#state = 'closed'
    this.#draft.finish()
    return this.#draft
  }

  /** @internal */
  acknowledged(receipt: Receipt): void {
    this.#receipt = receipt
  }

  /** @internal Ends the transaction without a trace. */
  abandon(): void {
    this.#state = 'closed'
  }

  /** @internal */
  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** Few transactions touch roles, policies or names. */
  get #trust(): DraftTrust {
    this.#lazyTrust ??= new DraftTrust(this.#core, this.#draft)
    return this.#lazyTrust
  }

  #assertOpen(): void {
    if (this.#state === 'closed') throw new AteError('TX_CLOSED')
    this.#core.assertOpen()
    throwIfAborted(this.#signal)
  }

  /** Runs a read. What answers at once is not pending; what does not counts as open until it has. */
  #call<R>(run: () => R | Promise<R>): Promise<R> {
    try {
      this.#assertOpen()
      const result = run()
      if (!(result instanceof Promise)) return Promise.resolve(result)
      this.#open++
      return result.finally(() => {
        this.#open--
      })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #collection<T>(type: EntityType<T>, given: string | undefined): string {
    if (given === undefined) return type.name
    return checked(given)
  }

  #wordsOfName(parent: EntityWords, collection: string, name: string): EntityWords {
    const key = this.#trust.blind(parent, collection, checked(name))
    return namedEntity(this.#core.crypto, this.#core.replica.chainId, parent, collection, key)
  }

  #wordsOfNamed<T>(type: EntityType<T>, name: string, options: PlaceOptions): EntityWords {
    return this.#wordsOfName(parentWords(options.parent, this.#chain), this.#collection(type, options.in), name)
  }

  #load<T>(type: EntityType<T>, words: EntityWords, mode: 'guarded' | 'free'): Entity<T> | Promise<Entity<T>> {
    const entity = this.#read(type, words, mode)
    if (entity === undefined) {
      if (!this.#draft.localOf(words)) this.#draft.guardVersion(words, this.#versionOf(words))
      throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    }
    return entity
  }

  #read<T>(
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
    if (row < 0 || view.isDead(row) || this.#isExpired(row)) return undefined
    return this.#values.open(type, row, 'staged')
  }

  #openLocal<T>(type: EntityType<T>, words: EntityWords, local: LocalState): Entity<T> {
    const { stagedAt, size } = local.body!
    if (local.type !== type.name)
      throw new AteError('WRONG_TYPE', { id: textOfWords(words), stored: local.type, wanted: type.name })
    const { value, name } = decodeBody(this.#draft.bodies.buffer.subarray(stagedAt, stagedAt + size), type)
    return new EntityHandle(words, this.#chain, type, value, name)
  }

  #isExpired(row: number): boolean {
    const { expires } = this.#core.replica.view.extraOf(row)
    return expires !== undefined && expires <= this.#core.now
  }

  #exists(words: EntityWords): boolean {
    const local = this.#draft.localOf(words)
    if (local && local.version > 0) return !local.gone
    const { view } = this.#core.replica
    return view.findLive(words.a, words.b, words.c, words.d) >= 0
  }

  #versionOf(words: EntityWords): number {
    const local = this.#draft.localOf(words)
    if (local) return local.version
    const { view } = this.#core.replica
    const row = view.table.find(words.a, words.b, words.c, words.d)
    return row < 0 ? 0 : view.versionOf(row)
  }

  #write<T>(type: EntityType<T>, words: EntityWords, value: T, name: string | undefined, version: number): void {
    const event = this.#draft.add(OP.put, words)
    event.version = version
    try {
      this.#draft.setBody(event, type, value, name)
    } catch (error) {
      this.#draft.events.pop()
      throw error
    }
  }

  #typeOf<T>(entity: Entity<T>): EntityType<T> {
    if (entity instanceof EntityHandle) return entity.definition as EntityType<T>
    throw new AteError('BAD_ARGUMENT', { what: 'give the type: update(type, ref, next)' })
  }

  #storedCollection(words: EntityWords): string {
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    if (row < 0) throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    return view.names.text(view.table.get(row, ROW.collection))
  }

  #childWords(parent: EntityWords, collection: string): EntityWords[] {
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

  #createOptions(event: TransactionEvent, words: EntityWords, parent: EntityWords, options: CreateOptions): void {
    const own = options.read ?? options.write ?? options.manage ?? options.allow ?? options.closed
    const identities: Uint8Array[] = []
    if (hasRare(options)) {
      const counters = options.counters && this.#counters(options.counters, identities)
      // Who may only write here does not decide whom the chain knows; who gives policies does.
      if (identities.length > 0 && own === undefined) {
        const hint = 'a counter names an identity that the chain does not know; name it in a role or in a policy first'
        throw new AteError('NO_ROLE', { counters: Object.keys(options.counters!) }, { hint })
      }
      this.#draft.setRare(event, {
        ...this.#expiry(options),
        ...(options.retain !== undefined || options.holds !== undefined ? retentionFields(options) : {}),
        ...(counters ? { counters } : {}),
        ...(identities.length > 0 ? { identities } : {}),
      })
    }
    if (own !== undefined) this.#trust.setPolicy(event, words, parent, -1, options)
  }

  #expiry({ expires, ttl }: ExpiryOptions): RareFields {
    if (expires !== undefined && ttl !== undefined)
      throw new AteError('BAD_ARGUMENT', { what: 'expires or ttl, not both' })
    if (ttl !== undefined) return { ttl: durationMs(ttl, this.#core.now) }
    return expires === undefined ? {} : { expires: timeOf(expires) }
  }

  #counters(counters: Readonly<Record<string, CounterInput>>, identities: Uint8Array[]): CounterFields[] {
    const names = Object.keys(counters)
    if (names.length > COUNTERS_MAX) throw new AteError('BAD_ARGUMENT', { counters: names.length, max: COUNTERS_MAX })
    return names.map((name) => this.#trust.counterFields(checked(name), counters[name]!, identities))
  }
}

const NO_OPTIONS: CreateOptions = {}
/** The name of a collection's single child. */
export const ONLY_CHILD = '.'

export function placeOf(parent: EntityRef | undefined, collection: string | undefined): PlaceOptions {
  return { ...(parent === undefined ? {} : { parent }), ...(collection === undefined ? {} : { in: collection }) }
}

function checked(name: string): string {
  checkName(name, 'name')
  return name
}

function hasRare({ expires, ttl, retain, holds, counters }: CreateOptions): boolean {
  return (expires ?? ttl ?? retain ?? holds ?? counters) !== undefined
}

function keyBytes(key: Uint8Array): Uint8Array {
  if (!(key instanceof Uint8Array) || key.length !== 32)
    throw new AteError('BAD_ARGUMENT', { what: 'a key is 32 bytes' })
  return key
}

function timeOf(time: number | Date): number {
  const ms = typeof time === 'number' ? time : time.getTime()
  if (!Number.isSafeInteger(ms) || ms < 0) throw new AteError('BAD_ARGUMENT', { what: 'a time is Unix ms or a Date' })
  return ms
}

function retentionFields({ retain, holds }: RetentionOptions): RareFields {
  return {
    ...(retain === undefined ? {} : { retain: timeOf(retain) }),
    ...(holds === undefined ? {} : { holds: holds.map(checked) }),
  }
}
