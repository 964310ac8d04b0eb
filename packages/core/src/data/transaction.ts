/**
 * A transaction as its author writes it. What it reads is guarded, so that it commits only if nothing of that has
 * changed; what it writes is seen by its own reads and by nobody else until it is acknowledged.
 */

import { AteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, parseId, toBase32 } from '../base/ids.ts'
import { COUNTERS_MAX, RING_KEY_BYTES_MAX } from '../base/limits.ts'
import { objectOf } from '../base/option-names.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { HOLDS } from '../chain/fold-locks.ts'
import type { Receipt } from '../chain/staged.ts'
import { namedEntity } from '../event/derive-ids.ts'
import { type EntityWords, ROOT_ENTITY } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { CounterFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { Draft } from './draft.ts'
import { DraftPersons } from './draft-persons.ts'
import { DraftReads } from './draft-reads.ts'
import { DraftTrust } from './draft-trust.ts'
import { assertType, type Entity, EntityHandle, type EntityRef, parentWords, wordsOfRef } from './entity.ts'
import { deepFreeze, type EntityType, validate } from './entity-type.ts'
import { type Guards, guardsOf } from './guards.ts'
import { type PersonChange, type PersonRef, personChange } from './persons.ts'
import { type CounterInput, POLICY_NAMES, type PolicyInput } from './policy-input.ts'
import { type RoleChange, roleChange } from './role-change.ts'
import {
  type ChainSettings,
  type CreateOptions,
  checkedName,
  checkOptions,
  type DeleteOptions,
  deletionFields,
  type ExpiryOptions,
  expiryFields,
  hasRare,
  hasRetention,
  NO_OPTIONS,
  ONLY_CHILD,
  type PlaceOptions,
  placeOf,
  type RetentionOptions,
  retentionFields,
  settingsFields,
} from './transaction-options.ts'
import type { Values } from './values.ts'

/** Where an entity is made. `key` and `words`: of a name, blinded, and of its entity. */
interface NewPlace {
  readonly parent: EntityWords
  readonly collection: string
  readonly name: string | undefined
  readonly key: EntityWords | null
  readonly words: EntityWords | undefined
}

export class Transaction {
  readonly #core: ChainCore
  readonly #values: Values
  readonly #chain: ChainId
  readonly #draft: Draft
  #lazyReads: DraftReads | undefined
  #lazyTrust: DraftTrust | undefined
  #lazyPersons: DraftPersons | undefined
  readonly #signal: AbortSignal | undefined
  #open = 0
  #state: 'open' | 'closed' = 'open'
  #receipt: Receipt | undefined

  /** @internal Transactions are made by chain.transact and chain.begin. */
  constructor(core: ChainCore, values: Values, chain: ChainId, signal: AbortSignal | undefined) {
    this.#core = core
    this.#chain = chain
    this.#draft = new Draft(core)
    this.#values = values
    this.#signal = signal
  }

  /** Chain time by which it would be judged if it were staged now, Unix ms. It may be ahead of `chain.now`, where nobody wrote lately. */
  get now(): number {
    return this.#core.staging.judgedAt
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
    checkOptions(options)
    return this.#create(type, value, this.#collection(type, options.in), options)
  }

  /**
   * Holds a locked entity until the hold that this makes is deleted: nothing of the entity is deleted before. Needs write at
   * the entity; who may write the hold may end it. `chain.children(type, ref, HOLDS)` has those that are there, and `named`
   * with `in: HOLDS` those that have a name.
   */
  hold<T>(
    ref: EntityRef,
    type: EntityType<T>,
    value: T,
    options: Omit<CreateOptions, 'parent' | 'in'> = {},
  ): Entity<T> {
    this.#assertOpen()
    assertType(type)
    checkOptions(options)
    return this.#create(type, value, HOLDS, { ...options, parent: ref })
  }

  #create<T>(type: EntityType<T>, value: T, collection: string, options: CreateOptions): Entity<T> {
    const valid = validate(type, value)
    const parent = parentWords(options.parent, this.#chain)
    return this.#createAt(type, valid, this.#placeOf(parent, collection, options.name), options)
  }

  /** Blinding a name is costly: whoever has looked for it does so once. */
  #placeOf(parent: EntityWords, collection: string, name: string | undefined): NewPlace {
    const key = name === undefined ? null : this.#trust.blind(parent, collection, checkedName(name))
    return { parent, collection, name, key, words: key ? this.#wordsOfKey(parent, collection, key) : undefined }
  }

  #createAt<T>(type: EntityType<T>, valid: T, place: NewPlace, options: CreateOptions): Entity<T> {
    const draft = this.#draft
    const { parent, collection, name, key, words = draft.nextId() } = place
    const event = draft.add(OP.create, words)
    const introduced = this.#lazyTrust?.introducedCount ?? 0
    try {
      draft.setBody(event, type, valid, name)
      event.parent = parent
      event.collection = collection
      event.type = type.name
      event.key = key
      event.named = key !== null
      draft.countName(collection)
      draft.countName(type.name)
      if (options !== NO_OPTIONS) this.#createOptions(event, words, parent, options)
    } catch (error) {
      // Whoever catches it and goes on must not commit half of what was asked for.
      draft.dropCreation({ named: name !== undefined })
      this.#lazyTrust?.takeBack(introduced)
      throw error
    }
    return this.#handleOf(event, type, words, valid, name)
  }

  #handleOf<T>(
    event: TransactionEvent,
    type: EntityType<T>,
    words: EntityWords,
    value: T,
    name: string | undefined,
  ): Entity<T> {
    const handle = new EntityHandle(words, this.#chain, type, value, name)
    if (type.written === 'frozen') {
      deepFreeze(value)
      event.written = handle
    }
    return handle
  }

  /** The entity as this transaction sees it, or undefined if there is none. What was read is guarded. */
  get<T>(type: EntityType<T>, ref: EntityRef): Promise<Entity<T> | undefined> {
    return this.#call(() => this.#reads.read(type, wordsOfRef(ref, this.#chain), 'guarded'))
  }

  /** As get, of many, in their order: those that are in memory already cost no promise each. */
  getMany<T>(type: EntityType<T>, refs: readonly EntityRef[]): Promise<(Entity<T> | undefined)[]> {
    return this.#call(() => {
      const read = refs.map((ref) => this.#reads.read(type, wordsOfRef(ref, this.#chain), 'guarded'))
      return read.some((one) => one instanceof Promise) ? Promise.all(read) : (read as (Entity<T> | undefined)[])
    })
  }

  /** As get. @throws AteError NOT_FOUND */
  load<T>(type: EntityType<T>, ref: EntityRef): Promise<Entity<T>> {
    return this.#call(() => this.#reads.load(type, wordsOfRef(ref, this.#chain), 'guarded'))
  }

  /** Reads without a guard: another transaction may change it, and this one commits all the same. */
  peek<T>(type: EntityType<T>, ref: EntityRef): Promise<Entity<T> | undefined> {
    return this.#call(() => this.#reads.read(type, wordsOfRef(ref, this.#chain), 'free'))
  }

  /** As `chain.versionOf`, with what is staged and what this transaction has written. Not guarded. */
  versionOf(ref: EntityRef): number {
    this.#assertOpen()
    return this.#reads.versionOf(wordsOfRef(ref, this.#chain))
  }

  /** The entity of a name, or undefined. Its absence is guarded too. */
  named<T>(type: EntityType<T>, name: string, options: PlaceOptions = NO_OPTIONS): Promise<Entity<T> | undefined> {
    return this.#call(() => this.#reads.read(type, this.#wordsOfNamed(type, name, options), 'guarded'))
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
    const version = this.#reads.versionOf(words)
    const local = this.#draft.localOf(words)?.version
    const before = this.#reads.load(type, words, 'free')
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
      return this.#write(type, words, value, before.name, version + 1)
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
   * Writes the value of an entity that this transaction has read, without reading it again. What was read is guarded by `get`,
   * `getMany` or `named`; of what was read otherwise the newest value is written over. @throws AteError NOT_FOUND | BAD_VALUE
   */
  replace<T>(entity: Entity<T>, value: T): Entity<T> {
    this.#assertOpen()
    const type = this.#typeOf(entity)
    const words = wordsOfRef(entity, this.#chain)
    const version = this.#reads.liveVersionOf(words)
    if (version === 0) throw new AteError('NOT_FOUND', { entity: entity.id })
    return this.#write(type, words, validate(type, value), entity.name, version + 1)
  }

  /**
   * Writes the value of a name, whether it is there or not. `expires` and `ttl` count anew, and what has expired is
   * there again; the other options count when it is made.
   */
  put<T>(type: EntityType<T>, name: string, value: T, options: CreateOptions = NO_OPTIONS): Entity<T> {
    this.#assertOpen()
    checkOptions(options)
    const place = this.#placeOf(parentWords(options.parent, this.#chain), this.#collection(type, options.in), name)
    const words = place.words!
    const valid = validate(type, value)
    if (!this.#reads.exists(words)) return this.#createAt(type, valid, place, options)
    const { view } = this.#core.replica
    const row = view.table.find(words.a, words.b, words.c, words.d)
    const isExpired = row >= 0 && this.#reads.isExpired(row) && !this.#draft.localOf(words)
    const counts = isExpired || options.expires !== undefined || options.ttl !== undefined
    // Before anything is written: who catches what it throws, and goes on, must not commit half of what was asked for.
    const expiry = counts ? expiryFields(options, this.#core.now) : undefined
    const written = this.#write(type, words, valid, name, this.#reads.versionOf(words) + 1)
    if (expiry) this.#draft.setRare(this.#draft.add(OP.expire, words), expiry)
    return written
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
  delete(ref: EntityRef, options: DeleteOptions = {}): void {
    this.#assertOpen()
    const words = wordsOfRef(ref, this.#chain)
    const rare = deletionFields(options)
    const event = this.#draft.add(OP.delete, words)
    if (rare) this.#draft.setRare(event, rare)
  }

  /**
   * Keeps `bytes` beside the log, not in it, for an entity that this transaction creates: there whenever the entity is, and
   * destroyed by `shred`. Whoever has the folder can read them: give a key that is wrapped, or half of one. At most 256 KiB,
   * and 960 KiB with all else that the transaction writes. The entity has no name: its id never comes again.
   * @throws AteError BAD_ARGUMENT (the entity is not one that this transaction creates, or has a name) | KEYS_UNAVAILABLE
   */
  attachKey(ref: EntityRef, bytes: Uint8Array): void {
    this.#assertOpen()
    const words = wordsOfRef(ref, this.#chain)
    if (!(bytes instanceof Uint8Array) || bytes.length > RING_KEY_BYTES_MAX)
      throw new AteError('BAD_ARGUMENT', { what: 'a key is bytes', max: RING_KEY_BYTES_MAX })
    this.#assertTakesKeys()
    // The key of one that stands already would change although the transaction may fail.
    if (this.#draft.localOf(words)?.isMade !== true || this.#isStored(words))
      throw new AteError('BAD_ARGUMENT', {
        what: 'a key is attached in the transaction that creates its entity, without a name',
      })
    this.#draft.putKey(words, bytes)
  }

  /**
   * Deletes an entity, and destroys the key that was attached to it once that is durable; after a crash, at the next opening.
   * `chain.attachedKey` says whether it is gone. @throws AteError KEYS_UNAVAILABLE
   */
  shred(ref: EntityRef, options: DeleteOptions = {}): void {
    this.#assertOpen()
    this.#assertTakesKeys()
    this.delete(ref, options)
    this.#draft.eraseKey(wordsOfRef(ref, this.#chain))
  }

  /** Moves an unnamed entity, with all that is below it. Needs manage on it and write at the new parent. */
  move(ref: EntityRef, to: PlaceOptions): void {
    this.#assertOpen()
    checkOptions(to)
    const words = wordsOfRef(ref, this.#chain)
    const parent = parentWords(to.parent, this.#chain)
    const collection = to.in ?? this.#reads.storedCollection(words)
    const event = this.#draft.add(OP.move, words)
    event.parent = parent
    event.collection = collection
    this.#draft.countName(collection)
    this.#trust.keepReaders(event, words)
  }

  /** Adds to a counter; negative takes away. Never conflicts. */
  add(ref: EntityRef, counter: string, amount: bigint): void {
    this.#assertOpen()
    if (typeof amount !== 'bigint')
      throw new AteError('BAD_ARGUMENT', { what: 'an amount is a bigint', given: typeof amount })
    const fields = { counter: checkedName(counter), amount }
    this.#draft.setRare(this.#draft.add(OP.add, wordsOfRef(ref, this.#chain)), fields)
  }

  /** The value of a counter with all that is staged and what this transaction adds. Not guarded: others may add meanwhile. */
  counter(ref: EntityRef, name: string): bigint {
    this.#assertOpen()
    return this.#reads.counter(wordsOfRef(ref, this.#chain), name)
  }

  /** Settings of the chain itself. Needs manage of the root. */
  settings(settings: ChainSettings): void {
    this.#assertOpen()
    const root = settingsFields(this.#core.crypto, settings)
    this.#draft.setRare(this.#draft.add(OP.root, ROOT_ENTITY), { root })
  }

  /** Ends a writer certificate: what it signs later is void. For its own identity, and for who manages the root. */
  endWriter(id: string): void {
    this.#assertOpen()
    const certificate = parseId(id, 'fingerprint')
    this.#draft.setRare(this.#draft.add(OP.endCertificate, ROOT_ENTITY), { certificate })
  }

  /**
   * Replaces policies; what is left out stays. Needs manage. Of an entity that this transaction makes, `read` is given when
   * it is created; its other policies may name roles of its own here.
   */
  setPolicy(ref: EntityRef, policy: PolicyInput): void {
    this.#assertOpen()
    objectOf(policy, 'policies', POLICY_NAMES)
    this.#trust.changePolicy(wordsOfRef(ref, this.#chain), policy)
  }

  /** Sets or clears when the entity expires. */
  expire(ref: EntityRef, expiry: ExpiryOptions): void {
    this.#assertOpen()
    checkOptions(expiry)
    const fields = expiryFields(expiry, this.#core.now)
    this.#draft.setRare(this.#draft.add(OP.expire, wordsOfRef(ref, this.#chain)), fields)
  }

  /** Keeps the entity from being changed or deleted; it only grows. Needs manage at its parent. */
  retain(ref: EntityRef, retention: RetentionOptions): void {
    this.#assertOpen()
    checkOptions(retention)
    const fields = retentionFields(this.#core.crypto, retention)
    this.#draft.setRare(this.#draft.add(OP.retain, wordsOfRef(ref, this.#chain)), fields)
  }

  /** Drops what is remembered of a deleted entity. Needs manage at its parent. */
  forget(ref: EntityRef): void {
    this.#assertOpen()
    this.#draft.add(OP.forget, wordsOfRef(ref, this.#chain))
  }

  /** A role of this chain, or of the node that is given: made by its first `add`, with its maker the first member. */
  role(name: string, at?: EntityRef): RoleChange {
    this.#assertOpen()
    return roleChange(this.#trust.roles, name, parentWords(at, this.#chain), () => this.#assertOpen())
  }

  /** The keys of a person; of the one for which this session acts, if none is named. */
  person(ref?: PersonRef): PersonChange {
    this.#assertOpen()
    this.#lazyPersons ??= new DraftPersons(this.#core, this.#draft, this.#trust.roles)
    return personChange(this.#lazyPersons, this.#core, ref, () => this.#assertOpen())
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
    for (const child of this.#reads.childWords(words, name)) {
      const entity = await this.#call(() => this.#reads.read(type, child, 'guarded'))
      if (entity) yield entity
    }
  }

  /** Conditions of one's own, judged at the transaction's place in the log. */
  get guard(): Guards {
    this.#assertOpen()
    return guardsOf(this.#draft, this.#chain)
  }

  /** @internal The finished draft; nothing is added after it. @throws AteError TX_PENDING | TX_CLOSED */
  finish(): Draft {
    this.#assertOpen()
    if (this.#open > 0) throw new AteError('TX_PENDING', { calls: this.#open })
    this.#state = 'closed'
    this.#lazyPersons?.finish()
    this.#draft.finish()
    this.#lazyTrust?.roles.arrange()
    return this.#draft
  }

  /** Its id, as receipts and `chain.conflicts()` name it, and as `chain.outcome` takes it. */
  get id(): string {
    return toBase32(this.#draft.nonce)
  }

  /**
   * @internal Runs the steps of a verb that stages in this transaction: it is pending until all of them are done, so that a
   * call that nobody waited for ends the transaction instead of committing in part.
   */
  during<R>(steps: () => R | Promise<R>): Promise<R> {
    return this.#call(steps)
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

  /** Many transactions only create. */
  get #reads(): DraftReads {
    this.#lazyReads ??= new DraftReads(this.#core, this.#values, this.#chain, this.#draft)
    return this.#lazyReads
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

  /** What answers at once is not pending; what does not counts as open until it has. */
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
    assertType(type)
    if (given === undefined) return type.name
    return checkedName(given)
  }

  #wordsOfName(parent: EntityWords, collection: string, name: string): EntityWords {
    return this.#wordsOfKey(parent, collection, this.#trust.blind(parent, collection, checkedName(name)))
  }

  #wordsOfKey(parent: EntityWords, collection: string, key: EntityWords): EntityWords {
    return namedEntity(this.#core.crypto, this.#core.replica.chainId, parent, collection, key)
  }

  /** For who reads. Holds too are found by their names; only hold() makes them. */
  #wordsOfNamed<T>(type: EntityType<T>, name: string, options: PlaceOptions): EntityWords {
    checkOptions(options)
    const collection = options.in === HOLDS ? HOLDS : this.#collection(type, options.in)
    return this.#wordsOfName(parentWords(options.parent, this.#chain), collection, name)
  }

  #write<T>(type: EntityType<T>, words: EntityWords, value: T, name: string | undefined, version: number): Entity<T> {
    const event = this.#draft.add(OP.put, words)
    event.version = version
    try {
      this.#draft.setBody(event, type, value, name)
    } catch (error) {
      this.#draft.events.pop()
      throw error
    }
    return this.#handleOf(event, type, words, value, name)
  }

  #assertTakesKeys(): void {
    if (this.#core.writing.keyAccess === 'none') throw new AteError('KEYS_UNAVAILABLE', { chain: this.#chain })
  }

  #isStored({ a, b, c, d }: EntityWords): boolean {
    return this.#core.replica.view.findLive(a, b, c, d) >= 0
  }

  #typeOf<T>(entity: Entity<T>): EntityType<T> {
    if (entity instanceof EntityHandle) return entity.definition as EntityType<T>
    throw new AteError('BAD_ARGUMENT', { what: 'give an entity as it was read or made, or its type too' })
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
        ...expiryFields(options, this.#core.now),
        ...(hasRetention(options) ? retentionFields(this.#core.crypto, options) : {}),
        ...(counters ? { counters } : {}),
        ...(identities.length > 0 ? { identities } : {}),
      })
    }
    if (own !== undefined) this.#trust.setPolicy(event, words, parent, -1, options)
  }

  #counters(counters: Readonly<Record<string, CounterInput>>, identities: Uint8Array[]): CounterFields[] {
    const names = Object.keys(counters)
    if (names.length > COUNTERS_MAX) throw new AteError('BAD_ARGUMENT', { counters: names.length, max: COUNTERS_MAX })
    return names.map((name) => this.#trust.counterFields(checkedName(name), counters[name]!, identities))
  }
}
