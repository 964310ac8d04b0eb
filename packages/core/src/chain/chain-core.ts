/**
 * The pipeline of one open chain: stage, seal, sign, append, acknowledge, publish. One writer, one append at a time;
 * what queues up while one is under way shares the next append and its sync.
 *
 * Invariants:
 * - what is staged commits exactly as it was judged, unless the engine refuses it (see staging.ts);
 * - readers outside of transactions see acknowledged state only;
 * - when an append fails, everything staged is taken back, newest first, and each author is told.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import type { Environment } from '../base/environment.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { type ChainId, chainIdOf } from '../base/ids.ts'
import { Turns } from '../base/turns.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { PrefixHasher } from '../event/derive-ids.ts'
import { KIND, type Kind } from '../event/format.ts'
import { hashRecord, writeRecordHead } from '../event/record.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { Durability, LogEngine, LogRecord } from '../log/engine.ts'
import { SessionKeys } from '../session/epoch-keys.ts'
import type { Identity } from '../session/identity.ts'
import { rememberHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import type { UnattestedCommit } from '../trust/trust-state.ts'
import { type AttestationRange, Attesting } from './attesting.ts'
import { BodyReader } from './body-reader.ts'
import { catchUp } from './catch-up.ts'
import { CommitBuilder } from './commit-builder.ts'
import { Nonces } from './nonces.ts'
import type { Observing } from './observing.ts'
import { settleRecoveries } from './recovered.ts'
import type { Accepted, Replica } from './replica.ts'
import { settleLists } from './settle.ts'
import type { Snapshots } from './snapshots.ts'
import type { Batch, Settler, TransactionDraft } from './staged.ts'
import { Staging } from './staging.ts'
import { statementsFor } from './statements.ts'
import type { Refusal } from './verdict.ts'
import { verifyAhead } from './verify-ahead.ts'
import { WriterSession } from './writer-session.ts'

/** How often the newest head is written to this machine's state while a chain is in use. */
const REMEMBER_EVERY_MS = 5000
/** Weakest first. */
const LEVELS: readonly Durability[] = ['memory', 'os', 'disk', 'quorum']

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
  /** Of `required`: a replica that has folded everything, and so knows up to where the log is attested. */
  readonly ahead?: Replica
  /** Left out where nothing is kept beside the log. */
  readonly snapshots?: Snapshots
}

/** What listeners of a chain are told of a record, once it is acknowledged. */
export interface PublishedRecord {
  readonly seq: number
  readonly time: number
  /** The author's fingerprint. */
  readonly identity: Uint8Array
  readonly transactions: readonly { readonly nonce: Uint8Array; readonly events: readonly TransactionEvent[] }[]
}

/** The records of one append: commits first, attestations behind them. */
interface Append {
  readonly batches: readonly Batch[]
  readonly records: LogRecord[]
  readonly commits: UnattestedCommit[]
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
  /** Reruns of transactions that conflicted, one after the other. */
  readonly reruns: Turns = new Turns()
  readonly #refreshes: Turns = new Turns()
  readonly #parts: CoreParts
  readonly #builder: CommitBuilder
  readonly #prefixes: PrefixHasher
  readonly #nonces: Nonces
  readonly #waiting = new Set<() => void>()
  readonly #idle: (() => void)[] = []
  /** Who waits for a sync of what is acknowledged. */
  readonly #syncing: (() => void)[] = []
  /** Seq of the newest record that is as durable as the engine can make it. */
  #synced: number
  #writer: WriterSession | undefined
  #flushing: 'idle' | 'scheduled' | 'running' = 'idle'
  /** The newest record at the chain's own level of durability: what commits are based on. */
  #durable: Batch['base']
  #failed: AteError | undefined
  #closing: Promise<void> | undefined
  #closed = false
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
    this.bodies = new BodyReader({ crypto, chainId, engine, view, trust, keys: this.keys, observing: this.observing })
    this.#builder = new CommitBuilder({ crypto, random: environment.random, chainId, view, trust, keys: this.keys })
    this.#nonces = new Nonces(environment.random)
    this.#prefixes = new PrefixHasher(crypto, chainId, identity.fingerprintBytes)
    this.#durable = replica.head
    this.#synced = replica.head.seq
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
    this.attesting = new Attesting(own, { pq: parts.pq, onDue: () => this.#schedule() })
  }

  static async open(parts: CoreParts): Promise<ChainCore> {
    const core = new ChainCore(parts)
    if (!parts.engine.readOnly) {
      const { crypto, environment, identity, replica, keepCertificate } = parts
      const state = keepCertificate ? parts.state : undefined
      core.#writer = await WriterSession.open({ crypto, environment, identity, replica, state })
    }
    return core
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

  get snapshots(): Snapshots | undefined {
    return this.#parts.snapshots
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Why this handle writes no more. */
  get failure(): AteError | undefined {
    return this.#failed
  }

  /** @throws AteError CHAIN_CLOSED | READ_ONLY | WRITER_POISONED | WRITER_FENCED */
  assertWritable(): void {
    this.assertOpen()
    if (this.#closing) throw new AteError('CHAIN_CLOSED', { chain: this.chainId })
    if (this.engine.readOnly) throw new AteError('READ_ONLY', { chain: this.chainId })
    if (this.#failed) throw this.#failed
  }

  /** @throws AteError CHAIN_CLOSED */
  assertOpen(): void {
    if (this.#closed) throw new AteError('CHAIN_CLOSED', { chain: this.chainId })
  }

  /** @throws AteError DURABILITY_UNAVAILABLE | BAD_ARGUMENT */
  assertReaches(durability: Durability | undefined): void {
    if (durability === undefined) return
    const wanted = LEVELS.indexOf(durability)
    if (wanted < 0) throw new AteError('BAD_ARGUMENT', { durability: String(durability) })
    if (wanted > LEVELS.indexOf(this.engine.durability)) {
      throw new AteError('DURABILITY_UNAVAILABLE', { wanted: durability, engine: this.engine.durability })
    }
  }

  /** Calls `begin` when there is room for one more staged transaction, in the order of asking. The result takes it back. */
  onceRoom(begin: () => void): () => void {
    this.#waiting.add(begin)
    return () => void this.#waiting.delete(begin)
  }

  /** One by one: each stages what it has before the next is let in, or there would be no bound. */
  #admit(): void {
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
    if (draft.events.length === 0) return this.staging.stageReads(draft, this.engine.durability, settler)
    this.#assertSequencer(this.keyName)
    const refusal = this.staging.stage(draft, durability, settler)
    if (!refusal) this.#schedule()
    return refusal
  }

  /** A record that others would not take must never be stored: the log would end there. @throws AteError READ_ONLY */
  #assertSequencer(author: string | undefined): void {
    if (this.replica.maySequence(this.keyName, author)) return
    if (this.replica.trust.sequencers === 'writers')
      throw new AteError('NOT_AUTHORIZED', { needs: 'to be known to the chain' })
    throw new AteError('READ_ONLY', { chain: this.chainId, what: 'the root has named servers that order its records' })
  }

  /** Resolves when all that is acknowledged now is durable as far as the engine can make it. */
  async durable(): Promise<void> {
    const { seq } = this.replica.head
    while (this.#synced < seq) {
      this.assertWritable()
      await new Promise<void>((resolve) => {
        this.#syncing.push(resolve)
        this.#schedule()
      })
    }
  }

  /** Resolves when nothing is staged and nothing is being written. */
  settled(): Promise<void> {
    if (this.#flushing === 'idle' && this.staging.isEmpty) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /**
   * Appends a record that is no commit. Waits for what is staged; what is staged meanwhile is judged again on top of it.
   * @throws as append of the engine
   */
  async appendOther(kind: Kind, payload: () => Uint8Array | Promise<Uint8Array>): Promise<LogRecord> {
    this.assertWritable()
    while (this.#flushing !== 'idle' || !this.staging.isEmpty) await this.settled()
    this.assertWritable()
    this.#assertSequencer(undefined)
    // What waited may have taken this key out of its person: a record that nobody takes must never be stored.
    if (this.replica.trust.actorOf(this.keyName) === undefined)
      throw new AteError('KEY_REMOVED', { key: this.identity.fingerprint })
    this.#flushing = 'running'
    // Planned before it is made: what is staged while others work on it comes behind it.
    const seq = this.staging.planRecord()
    try {
      return await this.#appendRecord(kind, seq, await this.#make(payload))
    } finally {
      this.#flushing = 'idle'
      this.#schedule()
    }
  }

  /** Made while nothing else is appended. If it cannot be made, nothing has happened. */
  async #make(payload: () => Uint8Array | Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      return await payload()
    } catch (error) {
      this.staging.unplanRecord()
      throw error
    }
  }

  async #appendRecord(kind: Kind, seq: number, payload: Uint8Array): Promise<LogRecord> {
    const { head } = this.replica
    const record = this.#makeRecord(kind, seq, head.hash, payload)
    try {
      const options = { after: head, durability: this.engine.durability, load: 'alone' } as const
      const started = this.observing.start('append')
      const { durability } = await this.engine.append([record], options)
      this.observing.appended(started, { records: [record], batches: [] }, durability)
      this.staging.rebase(() => this.#publishAccepted(this.replica.accept(record)))
      this.#noteHead(durability)
      return record
    } catch (error) {
      this.#fail([], error)
      throw error
    }
  }

  /** Waits for what is staged, attests it, remembers the head, and frees the place. */
  close(): Promise<void> {
    this.#closing ??= this.#end('close')
    return this.#closing
  }

  /** Takes in records that another process has appended, for readers beside a writer; their number. */
  async refresh(): Promise<number> {
    if (!this.engine.readOnly) return 0
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
      for (const record of chunk) if (record.seq <= until) this.#publishAccepted(this.replica.accept(record))
    }
    this.staging.replan()
    this.#noteHead(this.engine.durability)
    await this.#remember()
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
      await this.settled()
      if (how === 'close' && this.#writer && !this.#failed && this.attesting.becomeDue()) {
        this.#schedule()
        await this.settled()
      }
      if (how === 'close') {
        await this.#remember()
        await this.#keepSnapshot()
      }
    } finally {
      this.#closed = true
      this.attesting.stop()
      for (const close of this.closers) close()
      this.#admit()
      this.#wake(this.#syncing)
      await this.#writer?.close()
      await this.engine[how]()
    }
  }

  /** Nobody writes any more, and no attestation comes by itself: the state stands still while it is written. */
  async #keepSnapshot(): Promise<void> {
    this.attesting.stop()
    if (!this.#failed) await this.snapshots?.keep(this.replica)
  }

  #schedule(): void {
    if (this.#flushing !== 'idle' || this.#closed) return
    if (this.staging.isEmpty && (!this.attesting.isDue || this.#failed)) {
      if (this.#syncing.length === 0 || this.#failed) {
        this.#wake(this.#syncing)
        this.#wake(this.#idle)
        return
      }
    }
    this.#flushing = 'scheduled'
    queueMicrotask(() => void this.#flush())
  }

  #wake(sleepers: (() => void)[]): void {
    for (const resume of sleepers.splice(0)) resume()
  }

  async #flush(): Promise<void> {
    this.#flushing = 'running'
    const batches = this.staging.take()
    const sync = this.#syncing.splice(0)
    try {
      const append = this.#build(batches)
      if (append.records.length > 0 || sync.length > 0) {
        const started = this.observing.start('append')
        const { durability } = await this.engine.append(append.records, {
          after: this.replica.head,
          durability: sync.length > 0 ? this.engine.durability : this.#durabilityOf(batches),
          load: batches.length <= 1 && (batches[0]?.transactions.length ?? 0) <= 1 ? 'alone' : 'group',
        })
        this.observing.appended(started, append, durability)
        await this.#acknowledge(append, durability)
      }
    } catch (error) {
      this.#fail(batches, error)
    }
    this.#wake(sync)
    this.#flushing = 'idle'
    this.#schedule()
  }

  /** The strongest level that somebody waits for. */
  #durabilityOf(batches: readonly Batch[]): Durability {
    let level = -1
    for (const { transactions } of batches) {
      for (let i = 0; i < transactions.length; i++) level = Math.max(level, LEVELS.indexOf(transactions[i]!.durability))
    }
    return LEVELS[level] ?? this.engine.durability
  }

  #build(batches: readonly Batch[]): Append {
    const append: Append = { batches, records: [], commits: [] }
    // A successor certificate starts its numbers anew: it is taken between appends, so that all batches of one share it.
    if (batches.length > 0) this.#writer!.renew(batches[0]!.time)
    let prev = this.replica.head.hash
    for (const batch of batches) {
      const { certificate, signer, fresh } = this.#writer!.current
      const writerSeq = certificate.mark + 1 + append.commits.length
      const started = this.observing.start('seal')
      const commit = this.#builder.build(batch, {
        prev,
        sequencer: this.identity.fingerprintBytes,
        session: { writer: certificate.id, signer },
        writerSeq,
        certificate: append.commits.length === 0 ? fresh?.bytes : undefined,
      })
      this.observing.sealed(started, batch, commit.bytes)
      append.records.push({ seq: batch.seq, hash: commit.hash, bytes: commit.bytes })
      append.commits.push({ writerSeq, seq: batch.seq, hash: commit.commitHash })
      prev = commit.hash
    }
    if (this.staging.isEmpty) this.#addAttestations(append, prev)
    return append
  }

  /** Only when no batch waits: those have their seqs already. */
  #addAttestations(append: Append, prev: Uint8Array): void {
    // A commit of this append may have handed the order over to others.
    if (!this.replica.maySequence(this.keyName, this.keyName)) {
      this.attesting.stop()
      return
    }
    const current = append.commits.length > 0 ? this.#writer!.current.certificate : undefined
    let hash = prev
    for (const range of this.attesting.ranges(current, append.commits)) {
      const record = this.#makeRecord(KIND.attestation, this.staging.planRecord(), hash, this.#attest(range))
      append.records.push(record)
      hash = record.hash
    }
  }

  /** The payload of an attestation for another writer. */
  adoption(range: AttestationRange): Uint8Array {
    return this.#attest(range, this.identity.fingerprintBytes)
  }

  #attest(range: AttestationRange, by?: Uint8Array): Uint8Array {
    const started = this.observing.start('attest')
    const payload = this.attesting.payload(range, by)
    this.observing.ended(started, { kind: 'attest', commits: range.commits.length })
    return payload
  }

  #makeRecord(kind: Kind, seq: number, prev: Uint8Array, payload: Uint8Array): LogRecord {
    const out = new ByteWriter(payload.length + 128)
    const sequencer = this.identity.fingerprintBytes
    writeRecordHead(out, { seq, prev, admittedAt: this.staging.time, sequencer, kind })
    out.raw(payload)
    const bytes = out.copy()
    return { seq, bytes, hash: hashRecord(this.crypto, this.replica.chainId, bytes, kind) }
  }

  async #acknowledge({ batches, records, commits }: Append, durability: Durability): Promise<void> {
    const { replica } = this
    const current = batches.length > 0 ? this.#writer!.current : undefined
    for (let i = 0; i < batches.length; i++) {
      const { certificate, fresh } = current!
      if (i === 0 && fresh) replica.addCertificate(certificate, fresh.body)
      certificate.mark = commits[i]!.writerSeq
      certificate.unattested.push(commits[i]!)
      if (batches[i]!.transactions.length > 0) replica.chainTime = batches[i]!.time
      replica.advance(records[i]!)
      this.#publish(batches[i]!)
      this.staging.acknowledge(batches[i]!, durability)
    }
    settleLists(replica.view)
    // Our own attestations go through the same check as anybody's.
    for (const record of records.slice(batches.length)) replica.accept(record)
    this.#noteHead(durability)
    this.attesting.acknowledged(current?.certificate)
    queueMicrotask(() => this.#admit())
    try {
      if (current?.fresh) await this.#writer!.acknowledged()
      if (this.environment.clock.monotonic() - this.#rememberedAt > REMEMBER_EVERY_MS) await this.#remember()
    } catch (error) {
      // What is acknowledged is, whatever becomes of this machine's own notes: close tries again, and tells.
      if (!isAteError(error) || error.code !== 'STATE_UNWRITABLE') throw error
    }
  }

  #publish(batch: Batch): void {
    if (this.listeners.size === 0) return
    const transactions = batch.transactions.map(({ draft }) => draft)
    const record = { seq: batch.seq, time: batch.time, identity: this.identity.fingerprintBytes, transactions }
    for (const listener of this.listeners) listener(record)
  }

  #publishAccepted({ head, time, commit, outcomes, identity }: Accepted): void {
    this.observing.judged(outcomes)
    const transactions = commit?.transactions.filter((_, i) => outcomes?.[i] === undefined) ?? []
    const record = { seq: head.seq, time, identity: fromBinaryText(identity ?? ''), transactions }
    for (const listener of this.listeners) listener(record)
  }

  #noteHead(durability: Durability): void {
    const wanted = LEVELS.indexOf(this.replica.genesis.parameters.durability)
    const reached = LEVELS.indexOf(durability)
    // An engine that cannot reach the chain's level gives what it can.
    if (reached >= wanted || durability === this.engine.durability) this.#durable = this.replica.head
    if (durability === this.engine.durability) this.#synced = this.replica.head.seq
    // Records that do not move chain time (attestations, checkpoints) must not set `now` back to it.
    if (this.replica.chainTime === this.#headTime) return
    this.#headTime = this.replica.chainTime
    this.#headAt = this.environment.clock.monotonic()
  }

  async #remember(): Promise<void> {
    this.#rememberedAt = this.environment.clock.monotonic()
    // What a power cut may take is no rollback: only what is durable at the chain's own level is held against a copy.
    const { seq, hash } = this.#durable
    await settleRecoveries(this.#parts.state, this.replica)
    const statements = await statementsFor(this, this.#parts.state, seq)
    await rememberHead(this.#parts.state, this.chainId, { seq, hash, at: this.replica.chainTime, statements })
  }

  /** A full disk may have room again; anything else ends the writing of this handle. */
  #fail(batches: readonly Batch[], error: unknown): void {
    if (!isAteError(error) || error.code !== 'DISK_FULL') {
      this.#failed ??= isAteError(error) ? error : new AteError('INTERNAL', { what: 'append' }, { cause: error })
    }
    this.observing.alarm(error)
    this.staging.fail(batches, error)
    this.attesting.postpone()
    queueMicrotask(() => this.#admit())
    this.#wake(this.#syncing)
  }
}
