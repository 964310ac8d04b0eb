/**
 * One open chain: the replica, what is staged on top of it, the keys of who acts, and those who listen. Who gives the
 * records their order, this process or a server, is behind `writing`.
 *
 * Invariants:
 * - what is staged commits exactly as it was judged, unless it is refused elsewhere (see staging.ts);
 * - readers outside of transactions see acknowledged state only.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { given } from '../base/duration.ts'
import type { Environment } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { type ChainId, chainIdOf, toBase32 } from '../base/ids.ts'
import { Turns } from '../base/turns.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { PrefixHasher } from '../event/derive-ids.ts'
import type { Kind } from '../event/format.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { type Durability, durabilityRank, isDurability, type LogEngine, type LogRecord } from '../log/engine.ts'
import { SessionKeys } from '../session/epoch-keys.ts'
import type { Identity } from '../session/identity.ts'
import { rememberHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import { type AttestationRange, Attesting } from './attesting.ts'
import { BodyReader } from './body-reader.ts'
import { catchUp } from './catch-up.ts'
import { CommitBuilder } from './commit-builder.ts'
import type { BodyPlace } from './link.ts'
import { Nonces } from './nonces.ts'
import type { Observing } from './observing.ts'
import { settleRecoveries } from './recoveries.ts'
import type { Accepted, Replica } from './replica.ts'
import type { AcknowledgementPart } from './signed-parts.ts'
import type { Snapshots } from './snapshots.ts'
import type { Batch, Settler, TransactionDraft } from './staged.ts'
import { Staging } from './staging.ts'
import { statementsFor } from './statements.ts'
import type { Refusal } from './verdict.ts'
import { verifyAhead } from './verify-ahead.ts'
import type { Writing } from './writing.ts'

/** How often the newest head is written to this machine's state while a chain is in use. */
const REMEMBER_EVERY_MS = 5000
/** Conflicts that wait for somebody to ask. */
const CONFLICTS_MAX = 4096

export interface CoreParts {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  readonly replica: Replica
  readonly identity: Identity
  readonly state: StateStore
  /** Keep the writer certificate on this device; identities in memory have nobody to keep it for. */
  readonly keepCertificate: boolean
  /** What known-chains calls where it is; undefined for engines and in memory. */
  readonly place?: string | undefined
  /** `commit`: sign every commit with the hybrid key, not a range of them. `required`: read only what is attested. */
  readonly pq: 'range' | 'commit' | 'required'
  readonly observing: Observing
  /** Of a copy: where bodies are asked for that it does not hold; and whether it may lack those of what lives. */
  readonly fetchBody?: (place: BodyPlace) => Promise<Uint8Array> | undefined
  readonly bodies?: 'all' | 'on-demand'
  /** Of `required`: a replica that has folded everything, and so knows up to where the log is attested. */
  readonly ahead?: Replica
  /** Left out where nothing is kept beside the log. */
  readonly snapshots?: Snapshots
}

/** Why a transaction that was kept on this machine is not in the log, and never will be. */
export interface Conflict extends Refusal {
  readonly txId: string
}

/** What listeners of a chain are told of a record, once it is acknowledged. */
export interface PublishedRecord {
  readonly seq: number
  readonly time: number
  /** The author's fingerprint. */
  readonly identity: Uint8Array
  readonly transactions: readonly { readonly nonce: Uint8Array; readonly events: readonly TransactionEvent[] }[]
}

export class ChainCore {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  readonly replica: Replica
  readonly identity: Identity
  /** The fingerprint of the key that acts, one byte a character. */
  readonly keyName: string
  readonly keys: SessionKeys
  readonly bodies: BodyReader
  readonly staging: Staging
  readonly attesting: Attesting
  readonly observing: Observing
  readonly listeners: Set<(record: PublishedRecord) => void> = new Set()
  /** Called once, when the chain closes. */
  readonly closers: Set<() => void> = new Set()
  /** Transactions that were kept on this machine, and will never be in the log: the newest, until somebody asks. */
  readonly conflicts: Conflict[] = []
  readonly conflictListeners: Set<() => void> = new Set()
  /** Reruns of transactions that conflicted, one after the other. */
  readonly reruns: Turns = new Turns()
  readonly #refreshes: Turns = new Turns()
  readonly #parts: CoreParts
  readonly builder: CommitBuilder
  readonly #prefixes: PrefixHasher
  readonly #nonces: Nonces
  readonly #waiting = new Set<() => void>()
  #writing: Writing | undefined
  /** The newest record at the chain's own level of durability: what commits are based on. */
  #durable: Batch['base']
  #closing: Promise<void> | undefined
  #closed = false
  /** Who closes it waits no longer. */
  readonly #hurry = new AbortController()
  #rememberedAt: number
  /** Monotonic time at which the record came that moved chain time last, and that chain time. */
  #headAt: number
  #headTime: number

  private constructor(parts: CoreParts) {
    const { crypto, environment, engine, replica, identity } = parts
    const { chainId, view, trust } = replica
    this.#parts = parts
    this.crypto = crypto
    this.environment = environment
    this.engine = engine
    this.replica = replica
    this.identity = identity
    this.observing = parts.observing
    this.keyName = toBinaryText(identity.fingerprintBytes)
    this.keys = new SessionKeys({ crypto, random: environment.random, chainId, identity }, trust)
    this.bodies = new BodyReader({
      crypto,
      chainId,
      engine,
      view,
      trust,
      keys: this.keys,
      observing: this.observing,
      fetch: parts.fetchBody,
    })
    this.builder = new CommitBuilder({ crypto, random: environment.random, chainId, view, trust, keys: this.keys })
    this.#nonces = new Nonces(environment.random)
    this.#prefixes = new PrefixHasher(crypto, chainId, identity.fingerprintBytes)
    this.#durable = replica.head
    this.#headAt = environment.clock.monotonic()
    this.#headTime = replica.chainTime
    this.#rememberedAt = this.#headAt
    this.staging = new Staging({
      replica,
      keys: this.keys,
      keyName: this.keyName,
      keyBytes: identity.fingerprintBytes,
      now: () => environment.clock.now(),
      base: () => this.#durable,
    })
    const own = { replica, identity, keyName: this.keyName, timers: environment.timers }
    this.attesting = new Attesting(own, { pq: parts.pq, onDue: () => this.#writing?.schedule() })
  }

  /** `begin` makes what writes, once there is a core to write for: this process, if left out. */
  static async open(
    parts: CoreParts,
    begin: (core: ChainCore, parts: CoreParts) => Promise<Writing> = beginHere,
  ): Promise<ChainCore> {
    const core = new ChainCore(parts)
    core.#writing = await begin(core, parts)
    return core
  }

  get writing(): Writing {
    assert(this.#writing, 'a core is open once it can write')
    return this.#writing
  }

  /** What the server that orders the records has said last. */
  get acknowledgement(): AcknowledgementPart | undefined {
    return this.writing.acknowledgement
  }

  /** The level that acknowledgements reach. */
  get durability(): Durability {
    return this.writing.durability
  }

  get place(): string | undefined {
    return this.#parts.place
  }

  get chainId(): ChainId {
    return chainIdOf(this.replica.chainId)
  }

  /** The newest record's time plus the time since it came: nothing depends on a reader's wall clock. */
  get now(): number {
    return Math.floor(this.replica.chainTime + this.environment.clock.monotonic() - this.#headAt)
  }

  /** Whom policies name: the person for which this session's key acts, or the key itself. */
  get identityName(): string {
    return this.replica.trust.actorOf(this.keyName) ?? this.keyName
  }

  /** What became of transactions for whose log nobody waits any more: those that will never be in it are told. */
  tellConflicts(nonces: readonly Uint8Array[], outcomes: readonly (Refusal | undefined)[]): void {
    nonces.forEach((nonce, i) => {
      const refusal = outcomes[i]
      if (!refusal) return
      this.conflicts.push({ txId: toBase32(nonce), ...refusal })
      if (this.conflicts.length > CONFLICTS_MAX) this.conflicts.shift()
    })
    for (const listener of this.conflictListeners) listener()
  }

  /** The log holds its bodies: one that is missing is a loss. */
  get holdsBodies(): boolean {
    return this.#parts.bodies !== 'on-demand'
  }

  get snapshots(): Snapshots | undefined {
    return this.#parts.snapshots
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** No new work is taken, and what is staged is being written. */
  get isClosing(): boolean {
    return this.#closing !== undefined
  }

  /** Why this handle writes no more. */
  get failure(): AteError | undefined {
    return this.writing.failure
  }

  /** @throws AteError CHAIN_CLOSED | READ_ONLY | WRITER_POISONED | WRITER_FENCED */
  assertWritable(): void {
    this.assertOpen()
    if (this.#closing) throw new AteError('CHAIN_CLOSED', { chain: this.chainId })
    if (this.writing.readOnly) throw new AteError('READ_ONLY', { chain: this.chainId })
    if (this.writing.failure) throw this.writing.failure
  }

  /** @throws AteError CHAIN_CLOSED */
  assertOpen(): void {
    if (this.#closed) throw new AteError('CHAIN_CLOSED', { chain: this.chainId })
  }

  /** @throws AteError DURABILITY_UNAVAILABLE | BAD_ARGUMENT */
  assertReaches(durability: Durability | undefined): void {
    if (durability === undefined) return
    if (!isDurability(durability)) throw new AteError('BAD_ARGUMENT', { durability: given(durability) })
    if (durabilityRank(durability) > durabilityRank(this.durability)) {
      throw new AteError('DURABILITY_UNAVAILABLE', { wanted: durability, engine: this.durability })
    }
  }

  /** Calls `begin` when there is room for one more staged transaction, in the order of asking. The result takes it back. */
  onceRoom(begin: () => void): () => void {
    this.#waiting.add(begin)
    return () => void this.#waiting.delete(begin)
  }

  /** One by one: each stages what it has before the next is let in, or there would be no bound. */
  admit(): void {
    for (const begin of this.#waiting) {
      if (this.staging.isFull && !this.#closed) return
      this.#waiting.delete(begin)
      begin()
    }
  }

  newNonce(): Uint8Array {
    return this.#nonces.next()
  }

  /** The first 12 bytes of the ids that a transaction of this session creates. */
  prefixOf(nonce: Uint8Array): ReturnType<PrefixHasher['prefixOf']> {
    return this.#prefixes.prefixOf(nonce)
  }

  /**
   * Stages a draft: the fold judges it, the keys that seal it are looked for, and it waits for its record. A refusal
   * leaves no trace. `settler` is told when the record is acknowledged at `durability`, or why it was not.
   */
  stage(draft: TransactionDraft, durability: Durability, settler: Settler): Refusal | undefined {
    this.assertWritable()
    const started = this.observing.start('fold')
    const refusal = this.#stage(draft, durability, settler)
    this.observing.folded(started, draft, refusal)
    return refusal
  }

  #stage(draft: TransactionDraft, durability: Durability, settler: Settler): Refusal | undefined {
    if (draft.events.length === 0) return this.staging.stageReads(draft, this.durability, settler)
    this.writing.assertTakes(this.keyName)
    const refusal = this.staging.stage(draft, durability, settler)
    if (!refusal) this.writing.schedule()
    return refusal
  }

  /** Resolves when all that is acknowledged now is as durable as it gets. */
  durable(): Promise<void> {
    return this.writing.durable()
  }

  /** Resolves when nothing is staged and nothing is being written. */
  settled(): Promise<void> {
    return this.writing.settled()
  }

  /** Appends a record that is no commit: see Writing. */
  appendOther(kind: Kind, payload: () => Uint8Array | Promise<Uint8Array>): Promise<LogRecord> {
    return this.writing.appendOther(kind, payload)
  }

  /** Waits for what is staged, unless `signal` aborts, attests it, remembers the head, and frees the place. */
  close(signal?: AbortSignal): Promise<void> {
    const hurry = (): void => this.#hurry.abort()
    if (signal?.aborted) hurry()
    this.#closing ??= this.#end('close')
    if (!signal) return this.#closing
    signal.addEventListener('abort', hurry, { once: true })
    // A signal of the whole program would hold every chain that it has closed.
    return this.#closing.finally(() => signal.removeEventListener('abort', hurry))
  }

  /** Takes in records that another process has appended, for readers beside a writer; their number. */
  async refresh(): Promise<number> {
    if (!this.engine.readOnly) return this.writing.refresh()
    // Two at once would take the same records in twice, and call the second time an altered log.
    return this.#refreshes.run(() => this.observing.refreshing(() => this.#refresh()))
  }

  async #refresh(): Promise<number> {
    this.assertOpen()
    const before = this.replica.head.seq
    const head = await this.engine.refresh()
    const until = this.#parts.ahead ? await this.#readAhead(this.#parts.ahead) : (head?.seq ?? -1)
    if (until <= before) return 0
    for await (const chunk of verifyAhead(this.engine.read(before + 1), () => this.replica)) {
      for (const record of chunk) if (record.seq <= until) this.publishAccepted(this.replica.accept(record))
    }
    this.staging.replan()
    this.noteHead(this.durability)
    await this.remember()
    return this.replica.head.seq - before
  }

  /** Folds all there is in a replica of its own, and gives the newest record up to which it is attested. */
  async #readAhead(ahead: Replica): Promise<number> {
    await catchUp(this.engine, ahead)
    return ahead.attestedSeq
  }

  /** As close, but the log is destroyed; so nothing is attested or remembered any more. */
  destroy(): Promise<void> {
    this.assertWritable()
    this.#closing = this.#end('destroy')
    return this.#closing
  }

  async #end(how: 'close' | 'destroy'): Promise<void> {
    try {
      if (how === 'destroy') await this.settled()
      else {
        await this.writing.finish(this.#hurry.signal)
        await this.remember()
        await this.#keepSnapshot()
      }
    } finally {
      this.#closed = true
      this.attesting.stop()
      for (const close of this.closers) close()
      this.admit()
      this.bodies.own.clear()
      await this.writing.release()
      await this.engine[how]()
    }
  }

  /** Nobody writes any more, and no attestation comes by itself: the state stands still while it is written. */
  async #keepSnapshot(): Promise<void> {
    this.attesting.stop()
    if (!this.writing.failure) await this.snapshots?.keep(this.replica)
  }

  /** The payload of an attestation: for another writer's commits, `by` vouches for them. */
  attest(range: AttestationRange, by?: Uint8Array): Uint8Array {
    const started = this.observing.start('attest')
    const payload = this.attesting.payload(range, by)
    this.observing.ended(started, { kind: 'attest', commits: range.commits.length })
    return payload
  }

  /** Listeners hear of what this process wrote. */
  publish(batch: Batch): void {
    if (this.listeners.size === 0) return
    const transactions = batch.transactions.map(({ draft }) => draft)
    const record = { seq: batch.seq, time: batch.time, identity: this.identity.fingerprintBytes, transactions }
    for (const listener of this.listeners) listener(record)
  }

  /** Listeners hear of a record that was read. */
  publishAccepted({ head, time, commit, outcomes, identity }: Accepted): void {
    this.observing.judged(outcomes)
    const transactions = commit?.transactions.filter((_, i) => outcomes?.[i] === undefined) ?? []
    const record = { seq: head.seq, time, identity: fromBinaryText(identity ?? ''), transactions }
    for (const listener of this.listeners) listener(record)
  }

  /** The head of the replica has reached this level. */
  noteHead(durability: Durability): void {
    const wanted = this.replica.genesis.parameters.durability
    // An engine that cannot reach the chain's level gives what it can.
    if (durabilityRank(durability) >= durabilityRank(wanted) || durability === this.durability)
      this.#durable = this.replica.head
    // Records that do not move chain time (attestations, checkpoints) must not set `now` back to it.
    if (this.replica.chainTime === this.#headTime) return
    this.#headTime = this.replica.chainTime
    this.#headAt = this.environment.clock.monotonic()
  }

  /** Writes what was verified to this machine's state, now and then. */
  async rememberSometimes(): Promise<void> {
    if (this.environment.clock.monotonic() - this.#rememberedAt > REMEMBER_EVERY_MS) await this.remember()
  }

  async remember(): Promise<void> {
    this.#rememberedAt = this.environment.clock.monotonic()
    // What a power cut may take is no rollback: only what is durable at the chain's own level is held against a copy.
    const { seq, hash } = this.#durable
    await settleRecoveries(this.#parts.state, this.replica)
    const statements = await statementsFor(this, this.#parts.state, seq)
    await rememberHead(this.#parts.state, this.chainId, { seq, hash, at: this.replica.chainTime, statements })
  }
}

/** Loaded with the first log that this process writes itself: a page whose chains are at servers has none. */
async function beginHere(core: ChainCore, parts: CoreParts): Promise<Writing> {
  const { beginLocalWriting } = await import('./local-writing.ts')
  return beginLocalWriting(core, parts)
}
