/**
 * A chain as applications use it: transactions, reads, streams. Reads outside of transactions see what is acknowledged,
 * and nothing that is merely staged.
 */

import { fromBinaryText } from '../base/bytes.ts'
import { unlessAborted } from '../base/deferred.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, type EntityId, type Fingerprint, fingerprintOf, type PublicId } from '../base/ids.ts'
import { objectOf } from '../base/option-names.ts'
import type { ChainCore, Conflict } from '../chain/chain-core.ts'
import type { CompactOptions, CompactReport } from '../chain/compaction.ts'
import type { Receipt } from '../chain/staged.ts'
import type { VerifyOptions, VerifyReport } from '../chain/verify-log.ts'
import type { Witnessed } from '../chain/witnessing.ts'
import { textOfWords } from '../event/entity-words.ts'
import type { Identity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import { ROW } from '../view/entity-table.ts'
import { type AccessInfo, accessOf, type RoleInfo, roleOf } from './access.ts'
import type { RecoverOptions, RecoverReceipt } from './append-recovery.ts'
import type { BackupOptions, BackupReceipt } from './backup.ts'
import { appendCheckpoint, type CheckpointOptions, checkpointKeyOf } from './checkpoints.ts'
import { Children } from './children.ts'
import type { CompactionState } from './compact-policy.ts'
import type { Compacting } from './compacting.ts'
import type { Comparison } from './compare-head.ts'
import { conflictsOf } from './conflicts.ts'
import type { DoctorOptions, DoctorReport } from './doctor.ts'
import { assertType, type Entity, EntityHandle, type EntityRef, parentWords, wordsOfRef } from './entity.ts'
import {
  type CounterInfo,
  counterInfo,
  type PolicyInfo,
  policyInfo,
  type RetentionInfo,
  retentionInfo,
  visibleRow,
} from './entity-info.ts'
import type { EntityType, IndexKey } from './entity-type.ts'
import {
  type ChainEvent,
  chainEvents,
  type EventsOptions,
  eventBatches,
  type WatchOptions,
  watchEntities,
} from './events.ts'
import { headStatement } from './head-statement.ts'
import type { Indexes } from './indexes.ts'
import { OpenTransaction } from './open-transaction.ts'
import { type PersonInfo, type PersonRef, personInfo, personName } from './persons.ts'
import type { ConsistencyProof, Proof } from './proof-format.ts'
import type { CheckpointRef, Provable, ProveOptions } from './prove.ts'
import type { ChainRecord, RecordsOptions } from './records.ts'
import { runTransaction, type TransactOptions, type WaitOptions } from './run-transaction.ts'
import { type ChainStats, chainStats } from './stats.ts'
import { Transaction } from './transaction.ts'
import { ONLY_CHILD, type PlaceOptions, placeOf } from './transaction-options.ts'
import { type ReadOptions, Values } from './values.ts'
import { wordsOfName } from './words-of-name.ts'
import { type WriterInfo, writersOf } from './writers.ts'

export interface CloseOptions {
  /** Ends the waiting for a server's answers; the chain is closed in any case. */
  readonly signal?: AbortSignal
}

export interface AttachedKeyOptions extends ReadOptions {
  /**
   * Where `attachedKeys` is `recorded`: the seq of a record of this session whose transaction guards the version of the entity,
   * or changes it. It is good for five minutes.
   */
  readonly recorded?: number
}

const BRAND = Symbol.for('ate.chain')

/** True for a chain of any copy of this package. */
export function isChain(value: unknown): value is Chain {
  return typeof value === 'object' && value !== null && Reflect.get(value, BRAND) === true
}

/** By whom a chain is compacted: undefined until there is something to do, since few chains have a policy. */
export interface CompactedBy {
  by?: Compacting | undefined
}

export class Chain {
  readonly #core: ChainCore
  readonly #platform: Platform
  readonly #values: Values
  /** Undefined until somebody looks for something. */
  #indexes: Indexes | undefined
  readonly #compacted: CompactedBy
  readonly id: ChainId
  /** What the witnesses that openChain was given had cosigned when it was opened. */
  readonly witnessed: Witnessed | undefined

  /** @internal Chains are opened by openChain. */
  constructor(
    core: ChainCore,
    platform: Platform,
    {
      witnessed,
      compacted = {},
    }: { readonly compacted?: CompactedBy; readonly witnessed?: Witnessed | undefined } = {},
  ) {
    this.#core = core
    this.#platform = platform
    this.witnessed = witnessed
    this.#compacted = compacted
    this.id = chainIdOf(core.replica.chainId)
    this.#values = new Values(core, this.id)
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** @internal What is behind a chain, for the files of this folder. @throws AteError BAD_ARGUMENT for what is none of this package */
  static coreOf(chain: Chain): ChainCore {
    if (typeof chain === 'object' && chain !== null && #core in chain) return chain.#core
    throw new AteError('BAD_ARGUMENT', { what: 'this takes a chain that was opened with the same copy of @ate/core' })
  }

  /** Who acts through this handle. */
  get identity(): Fingerprint {
    return this.#core.identity.fingerprint
  }

  /** The public id of the key that acts. */
  get publicId(): PublicId {
    return this.#core.identity.publicId
  }

  /** The fingerprint by which policies and roles name somebody: of a key of a person, that of the person. @throws AteError BAD_PUBLIC_ID */
  fingerprintOf(who: PersonRef): Fingerprint {
    return fingerprintOf(fromBinaryText(personName(this.#core, who)))
  }

  /** The newest record: its seq and its 32-byte hash (a copy). */
  get head(): { readonly seq: number; readonly hash: Uint8Array } {
    return { seq: this.#core.replica.head.seq, hash: this.#core.replica.head.hash.slice() }
  }

  /**
   * What the server of this chain has signed of its newest record, for other members to compare; undefined of a chain that
   * no server orders.
   */
  headStatement(): string | undefined {
    return headStatement(this.#core)
  }

  /**
   * Holds what another member's server has signed against what this process has verified: a server that shows two histories
   * is found out. `behind` if this copy lacks the record, also after it has asked.
   * @throws AteError FORK, with evidence for `verifyEvidence` | BAD_PROOF | WRONG_CHAIN | NOT_AUTHORIZED | OFFLINE
   */
  async compareHead(statement: string): Promise<Comparison> {
    const { compareHead } = await import('./compare-head.ts')
    return compareHead(this.#core, statement)
  }

  /** Chain time in Unix ms: the newest record's, plus the time since it came. */
  get now(): number {
    return this.#core.now
  }

  /** Whether no other process can write while this handle is open; so whatever another one left half done stays so. */
  get isAlone(): boolean {
    return this.#core.writing.isAlone
  }

  /**
   * Runs `run` and commits what it wrote, all or nothing; its result is given back once the commit is acknowledged. If
   * something it read has changed meanwhile, it is run again: so it has no effects outside of the transaction.
   * @throws AteError CONFLICT | TX_PENDING | TX_RETRIES | NOT_AUTHORIZED | NO_READ_KEY | NEEDS_REKEY | TX_TOO_LARGE |
   * DISK_FULL | WRITER_POISONED | INDETERMINATE | READ_ONLY | CHAIN_CLOSED and every rule of the fold
   */
  transact<R>(run: (tx: Transaction) => R | Promise<R>, options: TransactOptions & WaitOptions = {}): Promise<R> {
    return runTransaction(
      this.#core,
      () => new Transaction(this.#core, this.#values, this.id, options.signal),
      run,
      options,
    )
  }

  /** Transactions that were kept on this machine (`wait: 'local'`) and are not in the log, each once, as long as the chain is open. */
  conflicts(options: ReadOptions = {}): AsyncGenerator<Conflict, void, void> {
    return conflictsOf(this.#core, objectOf(options).signal)
  }

  /** The explicit form: commit it, or it is rolled back when it goes out of scope. A conflict is thrown, not retried. */
  begin(options: TransactOptions = {}): OpenTransaction {
    objectOf(options)
    this.#core.assertWritable()
    return new OpenTransaction(this.#core, this.#values, this.id, options)
  }

  /**
   * The entity, or undefined if there is none. Its value is shared and frozen.
   * @throws AteError NO_READ_KEY | WRONG_TYPE | BAD_ID | BAD_VALUE | BAD_BODY | CHAIN_CLOSED
   */
  get<T>(type: EntityType<T>, ref: EntityRef, options?: ReadOptions): Promise<Entity<T> | undefined> {
    try {
      this.#core.assertOpen()
      throwIfAborted(options?.signal)
      const words = ref instanceof EntityHandle && ref.chain === this.id ? ref : wordsOfRef(ref, this.id)
      return this.#values.read(type, words, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As get. @throws AteError NOT_FOUND */
  async load<T>(type: EntityType<T>, ref: EntityRef, options?: ReadOptions): Promise<Entity<T>> {
    const entity = await this.get(type, ref, options)
    if (!entity) throw new AteError('NOT_FOUND', { entity: typeof ref === 'string' ? ref : ref.id })
    return entity
  }

  /** The entity of a name. @throws as get */
  async named<T>(
    type: EntityType<T>,
    name: string,
    options: PlaceOptions & ReadOptions = {},
  ): Promise<Entity<T> | undefined> {
    objectOf(options)
    this.#core.assertOpen()
    throwIfAborted(options.signal)
    return this.#values.read(type, wordsOfName(this.#core, this.id, type, name, options), options)
  }

  /**
   * The id that the entity of a name has, whether or not there is one. A name is sealed beside the value, so its author may be
   * wrong about it: whoever reads a log that others write compares this with the entity that he met.
   * @throws AteError NO_READ_KEY | NOT_FOUND (there is no such parent) | BAD_ARGUMENT | CHAIN_CLOSED
   */
  idOf<T>(type: EntityType<T>, name: string, options: PlaceOptions = {}): EntityId {
    objectOf(options)
    this.#core.assertOpen()
    return textOfWords(wordsOfName(this.#core, this.id, type, name, options))
  }

  /** The single child of a collection. @throws as get */
  child<T>(
    type: EntityType<T>,
    parent: EntityRef | undefined,
    collection?: string,
    options?: ReadOptions,
  ): Promise<Entity<T> | undefined> {
    return this.named(type, ONLY_CHILD, { ...placeOf(parent, collection), ...options })
  }

  /** The children of a collection, in order: iterate, or take a page. `in` is the type's name if left out. */
  children<T>(type: EntityType<T>, parent?: EntityRef, collection?: string, options?: ReadOptions): Children<T> {
    this.#core.assertOpen()
    assertType(type)
    return new Children(
      this.#core,
      this.#values,
      type,
      parentWords(parent, this.id),
      collection ?? type.name,
      options?.signal,
    )
  }

  /** Entities whose index has that key. The first call reads all entities of the type that this session can. */
  async find<T>(type: EntityType<T>, index: string, key: IndexKey, options?: ReadOptions): Promise<Entity<T>[]> {
    this.#core.assertOpen()
    const { Indexes } = await import('./indexes.ts')
    this.#indexes ??= new Indexes(this.#core, this.#values)
    return this.#indexes.find(type, index, key, options?.signal)
  }

  /** True if the entity is there, whether or not this session can read it. @throws AteError BAD_ID | CHAIN_CLOSED */
  has(ref: EntityRef): boolean {
    this.#core.assertOpen()
    const { a, b, c, d } = wordsOfRef(ref, this.id)
    const row = this.#core.replica.view.table.find(a, b, c, d)
    return row >= 0 && this.#core.replica.view.isVisible(row) && !this.#isExpired(row)
  }

  /** The entity directly above one, as acknowledged; undefined below the root. @throws AteError NOT_FOUND */
  parentOf(ref: EntityRef): EntityId | undefined {
    this.#core.assertOpen()
    const { view } = this.#core.replica
    const parent = view.acknowledged(visibleRow(view, wordsOfRef(ref, this.id)), ROW.parent)
    return parent === 0 ? undefined : view.idText(parent)
  }

  /** Seq of the record that wrote the value which an entity has now, as acknowledged. @throws AteError NOT_FOUND */
  seqOf(ref: EntityRef): number {
    this.#core.assertOpen()
    const { view } = this.#core.replica
    return view.acknowledged(visibleRow(view, wordsOfRef(ref, this.id)), ROW.record)
  }

  /**
   * Counts how often an entity was written, moved, deleted and made again, as acknowledged: what `tx.guard.version` takes.
   * 0 of one that never was. It goes on counting where a name is used again. @throws AteError BAD_ID | CHAIN_CLOSED
   */
  versionOf(ref: EntityRef): number {
    this.#core.assertOpen()
    const { view } = this.#core.replica
    const { a, b, c, d } = wordsOfRef(ref, this.id)
    const row = view.table.find(a, b, c, d)
    return row < 0 ? 0 : view.acknowledged(row, ROW.version)
  }

  /** The policies that an entity has itself, as acknowledged. @throws AteError NOT_FOUND */
  policy(ref: EntityRef): PolicyInfo {
    this.#core.assertOpen()
    return policyInfo(this.#core.replica.view, wordsOfRef(ref, this.id))
  }

  /** How an entity is kept from change and deletion. @throws AteError NOT_FOUND */
  retention(ref: EntityRef): RetentionInfo {
    this.#core.assertOpen()
    return retentionInfo(this.#core.replica.view, wordsOfRef(ref, this.id))
  }

  /** A clear counter with its bounds and its unit, as acknowledged. @throws AteError NOT_FOUND | NO_COUNTER */
  counterInfo(ref: EntityRef, name: string): CounterInfo {
    this.#core.assertOpen()
    return counterInfo(this.#core.replica.view, wordsOfRef(ref, this.id), name)
  }

  /** The value of a clear counter as it was acknowledged. @throws AteError NOT_FOUND | NO_COUNTER */
  counter(ref: EntityRef, name: string): bigint {
    return this.counterInfo(ref, name).value
  }

  /**
   * What `tx.attachKey` kept beside the log for an entity; undefined if there is nothing, or it was destroyed. A server gives it
   * to who may read the entity.
   * @throws AteError BAD_ID | DAMAGED | IO_ERROR | CHAIN_CLOSED; over a network also OFFLINE | BUSY | NOT_AUTHORIZED |
   * KEYS_UNAVAILABLE (the server keeps none) | KEY_NOT_RECORDED | KEY_NOT_ERASED (the entity is deleted, and its key is there)
   */
  attachedKey(ref: EntityRef, options: AttachedKeyOptions = {}): Promise<Uint8Array | undefined> {
    try {
      objectOf(options)
      this.#core.assertOpen()
      throwIfAborted(options.signal)
      const asked = this.#core.writing.attachedKey(wordsOfRef(ref, this.id), options)
      return options.signal ? unlessAborted(asked, options.signal) : asked
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * `recorded`: who keeps the log gives an attached key only to who has a durable record of asking for it; over a network it is
   * what the server has signed when this connection was made. `open`: whoever may read an entity, or has the folder, has the
   * key, so reads leave no record that counts. `none`: the server keeps no keys.
   */
  get attachedKeys(): 'none' | 'open' | 'recorded' {
    return this.#core.writing.keyAccess
  }

  /** The members of a role of this chain, or of the node that is given; undefined if there is none. */
  role(name: string, at?: EntityRef): RoleInfo | undefined {
    this.#core.assertOpen()
    return roleOf(this.#core, parentWords(at, this.id), name)
  }

  /** Who may read, write and manage an entity, by the policies that hold there. @throws AteError NOT_FOUND */
  access(ref: EntityRef): AccessInfo {
    this.#core.assertOpen()
    return accessOf(this.#core, wordsOfRef(ref, this.id))
  }

  /**
   * Committed events from record `from` on (0 if left out), then those to come. Ends with the signal or the chain.
   * @throws AteError LINK_MISMATCH | BAD_ROOT | BAD_RECORD for a record that is not the one which was verified | DAMAGED | IO_ERROR
   */
  events(options: EventsOptions = {}): AsyncGenerator<ChainEvent, void, void> {
    objectOf(options)
    this.#core.assertOpen()
    return chainEvents(this.#core, options)
  }

  /** As events, those of a record at once: for who reads many, a promise each is what costs most. */
  eventBatches(options: EventsOptions = {}): AsyncGenerator<readonly ChainEvent[], void, void> {
    objectOf(options)
    this.#core.assertOpen()
    return eventBatches(this.#core, options)
  }

  /** Changes of entities from now on: created, changed, deleted. Changes of one entity that nobody has taken yet are one. */
  watch(
    options: WatchOptions = {},
  ): AsyncGenerator<
    { readonly kind: 'created' | 'changed' | 'deleted'; readonly type: string; readonly id: string },
    void,
    void
  > {
    objectOf(options)
    this.#core.assertOpen()
    return watchEntities(this.#core, this.id, options)
  }

  /** The records of the log with all that stands in clear, void transactions too; for tools. Ends at the newest one. */
  records(options: RecordsOptions = {}): AsyncGenerator<ChainRecord, void, void> {
    objectOf(options)
    this.#core.assertOpen()
    return recordsOf(this.#core, options)
  }

  /**
   * Reads the whole log again and checks every byte, link, signature, attestation and checkpoint. Values that are read
   * after it come from the log too, and not from what this process has in memory.
   */
  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    objectOf(options)
    this.#core.assertOpen()
    await this.#core.settled()
    this.#values.clear()
    this.#core.bodies.forget()
    const { verifyLog } = await import('../chain/verify-log.ts')
    return verifyLog(this.#core, options)
  }

  /**
   * Signs the Merkle tree head of the log so far, and appends it. Needs a checkpoint key that the root named. With `cosign`
   * witnesses sign it too, before it is stored. `note` is what was stored.
   */
  async checkpoint(
    options: CheckpointOptions = {},
  ): Promise<{ readonly seq: number; readonly size: number; readonly note: string }> {
    objectOf(options)
    this.#core.assertWritable()
    return appendCheckpoint(this.#core, options)
  }

  /**
   * Makes a proof that `verifyProof` checks without this chain: of a record, of a transaction, or of the value that an entity
   * has now. The first one of a long log hashes all of it once.
   * @throws AteError NO_CHECKPOINT | NOT_WITNESSED | NOT_FOUND | BAD_COSIGNATURE | CHAIN_CLOSED
   */
  async prove(what: Provable, options: ProveOptions = {}): Promise<Proof> {
    this.#core.assertOpen()
    const { proverOf } = await import('./prove.ts')
    return proverOf(this.#core).prove(what, options)
  }

  /**
   * That the newer checkpoint (the newest one if left out) continues the older: nothing was changed, taken out or put in.
   * @throws AteError FORK (the older note is signed by a key of this chain, over other records) | BAD_CHECKPOINT | NO_CHECKPOINT
   */
  async proveConsistency(older: CheckpointRef, newer?: CheckpointRef): Promise<ConsistencyProof> {
    this.#core.assertOpen()
    const { proverOf } = await import('./prove.ts')
    return proverOf(this.#core).proveConsistency(older, newer)
  }

  /**
   * Vouches for the commits of a writer that is gone and did not sign them with its hybrid key. Needs manage of the
   * root; reports show the commits as adopted. The number of them.
   */
  async adopt(writer: string): Promise<number> {
    this.#core.assertWritable()
    const { adoptCommits } = await import('./adopt.ts')
    return adoptCommits(this.#core, writer)
  }

  /**
   * Seals values of a node again under its newest key, so that members who came later can read them: at most `limit`
   * (500) entities a call. `left` counts those that still wait; those that this session may not write wait for others.
   */
  async reseal(
    node: EntityRef,
    options: { readonly limit?: number; readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly resealed: number; readonly left: number }> {
    objectOf(options)
    this.#core.assertWritable()
    const { resealNode } = await import('./reseal.ts')
    return resealNode(this.#core, wordsOfRef(node, this.id), options)
  }

  /** Drops entities that have expired. The number of them. */
  async sweep(): Promise<number> {
    this.#core.assertWritable()
    const { sweepExpired } = await import('./sweeping.ts')
    return sweepExpired(this.#core)
  }

  /**
   * Drops from the log the bodies that nobody needs: values that were replaced or deleted, and those of void transactions.
   * Records, links, signatures and proofs stay. Transactions go on meanwhile. Entities that have expired count as living
   * until they are swept.
   * @throws AteError READ_ONLY | CHAIN_CLOSED | DAMAGED | DISK_FULL | TOO_MANY_FILES | IO_ERROR | WRITER_POISONED | WRITER_FENCED
   */
  async compact(options: CompactOptions = {}): Promise<CompactReport> {
    objectOf(options)
    this.#core.assertWritable()
    const { Compacting } = await import('./compacting.ts')
    this.#compacted.by ??= new Compacting(this.#core, undefined)
    return this.#compacted.by.run(options)
  }

  /**
   * What became of a transaction: its receipt, or undefined if it is not on the chain. Looks through the log if this
   * process does not remember it.
   */
  async outcome(txId: string, options?: ReadOptions): Promise<Receipt | undefined> {
    this.#core.assertOpen()
    const known = await this.#core.staging.outcome(txId)
    if (known) return known
    const { outcomeInLog } = await import('./outcome.ts')
    return outcomeInLog(this.#core, txId, options?.signal)
  }

  /** Takes in what another process has appended since; for chains opened with `readOnly`. */
  async refresh(): Promise<number> {
    this.#core.assertOpen()
    return this.#core.refresh()
  }

  /** Certificates that writers used, newest last. */
  writers(): WriterInfo[] {
    return writersOf(this.#core)
  }

  /** Identities that have taken more keys, or were revoked. */
  persons(): PersonInfo[] {
    return [...this.#core.replica.trust.persons.values()].map(personInfo)
  }

  /** The person that policies name so, or whose key it is; this session's if left out. Undefined for one that took no keys. */
  person(ref?: PersonRef): PersonInfo | undefined {
    const name = ref === undefined ? this.#core.identityName : personName(this.#core, ref)
    const person = this.#core.replica.trust.persons.get(name)
    return person && personInfo(person)
  }

  /** The Ed25519 key (32 bytes) by which an identity signs checkpoints here, for tx.settings; this session's if left out. */
  checkpointKey(identity: Identity = this.#core.identity): Uint8Array {
    return checkpointKeyOf(this.#core.crypto, identity, this.#core.replica.genesis.parameters.nonce)
  }

  /**
   * Looks the chain over, with the keys of this session: stale keys, roles and nodes that nobody manages, commits without
   * their hybrid signature, bytes that compaction can free, and more. Changes nothing; a reader takes in what is new first.
   */
  async doctor(options: DoctorOptions = {}): Promise<DoctorReport> {
    objectOf(options)
    this.#core.assertOpen()
    const { examine } = await import('./doctor.ts')
    return examine(this.#core, this.#compaction, options)
  }

  /** Numbers that are at hand: looks at entities and certificates in memory, reads nothing. */
  stats(): ChainStats {
    return chainStats(this.#core, this.#compaction)
  }

  /**
   * Copies everything up to the newest durable record into the empty folder `to`, while writing goes on.
   * @throws AteError CHAIN_EXISTS | NOT_A_CHAIN | BAD_URL | DISK_FULL | IO_ERROR | DAMAGED and the errors of records that were
   * altered
   */
  async backup(to: string, options: BackupOptions = {}): Promise<BackupReceipt> {
    objectOf(options)
    this.#core.assertOpen()
    const { engine, replica } = this.#core
    // As of now: what is written while the code is loaded is not meant.
    const until = Math.min(engine.durableSeq(), replica.head.seq)
    const { backupChain } = await import('./backup.ts')
    return backupChain(this.#core, { to, until }, options, this.#platform)
  }

  /**
   * Says, signed and in the log, that what stood in other copies from seq `from` on is lost, and ends all certificates.
   * For a chain that is open for writing; a copy, or a chain that does not open any more, is recovered by recover().
   * @throws AteError NOT_AUTHORIZED (needs manage of the root) | LEVEL_TOO_LOW | FORK | BAD_ARGUMENT | READ_ONLY
   */
  async recover(options: RecoverOptions = {}): Promise<RecoverReceipt> {
    objectOf(options)
    this.#core.assertWritable()
    const { appendRecovery } = await import('./append-recovery.ts')
    return appendRecovery(this.#core, options, this.#platform.state)
  }

  /**
   * Closes, and destroys the log: the wrapped keys first, overwritten, then everything; and what this machine keeps of
   * it. If it is interrupted, destroy() of its place finishes it.
   * @throws AteError READ_ONLY | IO_ERROR | CHAIN_CLOSED
   */
  async destroy(): Promise<void> {
    const { forgetPlace } = await import('../session/forget-chain.ts')
    await this.#core.destroy()
    await forgetPlace(this.#platform.state, this.#core.place, this.id, { goesOn: false })
  }

  /**
   * Waits for what is staged, attests it, and frees the place. A server that has brought nothing for five seconds, or `signal`,
   * ends the waiting: a transaction that is not answered then rejects with INDETERMINATE, or goes on from the outbox when the
   * chain is opened again. What was acknowledged stays. Called again with a signal, it hurries the closing that is under way.
   */
  close(options: CloseOptions = {}): Promise<void> {
    const { signal } = objectOf(options)
    const compacted = this.#compacted.by?.beforeClose(signal)
    return compacted ? compacted.finally(() => this.#core.close(signal)) : this.#core.close(signal)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #compaction(): CompactionState {
    return this.#compacted.by?.state ?? { running: false, last: undefined, failed: undefined }
  }

  #isExpired(row: number): boolean {
    return this.#core.replica.view.isExpired(row, this.#core.now, 'acknowledged')
  }
}

/** For tools: loaded when somebody asks. */
async function* recordsOf(core: ChainCore, options: RecordsOptions): AsyncGenerator<ChainRecord, void, void> {
  const { chainRecords } = await import('./records.ts')
  yield* chainRecords(core, options)
}
