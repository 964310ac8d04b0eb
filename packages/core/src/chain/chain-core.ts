/**
 * The pipeline of one open chain: stage, seal, sign, append, acknowledge, publish. One writer, one append at a time;
 * what queues up while one is under way shares the next record and its sync.
 *
 * Invariants:
 * - a transaction is folded when it is staged, on top of all that is staged before it, under the time, seq and base that
 *   its record will have: so what is staged commits, unless the disk refuses it;
 * - readers outside of transactions see acknowledged state only;
 * - when an append fails, everything staged is taken back, newest first, and each author is told.
 */
import { equalBytes, fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { type Environment, randomBytes } from '../base/environment.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { chainIdOf, fromBase32 } from '../base/ids.ts'
import {
  ATTEST_COMMITS_MAX,
  ATTEST_DELAY_MS,
  COMMIT_BLOCKS_MAX,
  COMMIT_EVENTS_MAX,
  COMMIT_TXS_MAX,
  PENDING_BYTES_MAX,
  PENDING_TXS_MAX,
  RECORD_BYTES_MAX,
} from '../base/limits.ts'
import { Turns } from '../base/turns.ts'
import { ByteWriter } from '../codec/writer.ts'
import { treeRoot } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { encodeAttestation, parseAttestation } from '../event/attestation.ts'
import { PrefixHasher } from '../event/derive-ids.ts'
import type { EntityWords } from '../event/entity-words.ts'
import { COMMIT, KIND, type Kind, OP } from '../event/format.ts'
import { hashRecord, parseRecordHead, writeRecordHead } from '../event/record.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { Durability, LogEngine, LogRecord } from '../log/engine.ts'
import { SessionKeys } from '../session/epoch-keys.ts'
import type { Identity } from '../session/identity.ts'
import { rememberHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import type { UnattestedCommit } from '../trust/trust-state.ts'
import { NO_RECORD } from '../view/entity-table.ts'
import { Journal } from '../view/journal.ts'
import { BodyReader } from './body-reader.ts'
import { CommitBuilder } from './commit-builder.ts'
import { applyTransaction } from './fold.ts'
import { rekeyEvent } from './rekey.ts'
import type { Accepted, Replica } from './replica.ts'
import { settleLists } from './settle.ts'
import {
  type Batch,
  type Receipt,
  type Settler,
  type StagedTransaction,
  type TransactionDraft,
  TransactionReceipt,
} from './staged.ts'
import { type Refusal, refuse } from './verdict.ts'
import { WriterSession } from './writer-session.ts'

/** Room for the head of a record, its certificate and the identity's keys. */
const RECORD_OVERHEAD_BYTES = 10 * 1024
/** A sealed block's header; one more if its secret is encapsulated. */
const BLOCK_OVERHEAD_BYTES = 128
const PUBLIC_BLOCK_BYTES = 1120
/** Bytes of one append: bounds what one sync and one failure are about. */
const APPEND_BYTES_MAX: number = 8 * 1024 * 1024
const REMEMBER_EVERY_MS = 5000
const OUTCOMES_MAX = 16_384
/** Buffers kept for the next transactions, and the largest of them. */
const BUFFERS_MAX = 1024
const BUFFER_BYTES_MAX: number = 64 * 1024

export interface CoreParts {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  readonly replica: Replica
  readonly identity: Identity
  readonly state: StateStore
  /** Keep the writer certificate on this device; identities in memory have nobody to keep it for. */
  readonly keepCertificate: boolean
  /** `commit`: sign every commit with the hybrid key, not a range of them. `required`: read only what is attested. */
  readonly pq: 'range' | 'commit' | 'required'
}

/** What listeners of a chain are told of a record, once it is acknowledged. */
export interface PublishedRecord {
  readonly seq: number
  readonly time: number
  /** The author's fingerprint. */
  readonly identity: Uint8Array
  readonly transactions: readonly { readonly nonce: Uint8Array; readonly events: readonly TransactionEvent[] }[]
}

type FlushState = 'idle' | 'scheduled' | 'running'

export class ChainCore {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  readonly replica: Replica
  readonly identity: Identity
  readonly identityName: string
  readonly keys: SessionKeys
  readonly bodies: BodyReader
  readonly state: StateStore
  readonly listeners: Set<(record: PublishedRecord) => void> = new Set()
  /** Called once, when the chain closes. */
  readonly closers: Set<() => void> = new Set()
  /** Reruns of transactions that conflicted, one after the other. */
  readonly reruns: Turns = new Turns()
  readonly #parts: CoreParts
  readonly #builder: CommitBuilder
  readonly #prefixes: PrefixHasher
  readonly #queue: Batch[] = []
  readonly #staged = new Map<number, StagedTransaction>()
  /** The newest receipts, the next to be overwritten at #outcomeAt. */
  readonly #outcomes: TransactionReceipt[] = []
  #outcomeAt = 0
  /** Buffers of acknowledged transactions, used again. */
  readonly #buffers: ByteWriter[] = []
  readonly #waiting: (() => void)[] = []
  #writer: WriterSession | undefined
  #flushing: FlushState = 'idle'
  #idle: (() => void)[] = []
  #stagedCount = 0
  #stagedBytes = 0
  #plannedSeq: number
  /** The newest record at the chain's own level of durability: what commits are based on. */
  #durable: { readonly seq: number; readonly hash: Uint8Array }
  #failed: AteError | undefined
  #closed = false
  #attestDue = false
  #attestTimer: { cancel(): void } | undefined
  #rememberedAt: number
  /** Monotonic time at which the newest record came. */
  #headAt: number

  private constructor(parts: CoreParts) {
    this.#parts = parts
    this.crypto = parts.crypto
    this.environment = parts.environment
    this.engine = parts.engine
    this.replica = parts.replica
    this.identity = parts.identity
    this.identityName = toBinaryText(parts.identity.fingerprintBytes)
    this.state = parts.state
    const { crypto, environment, engine, replica, identity } = parts
    const { chainId, view, trust } = replica
    this.keys = new SessionKeys({ crypto, random: environment.random, chainId, identity }, trust)
    this.bodies = new BodyReader({ crypto, chainId, engine, view, trust, keys: this.keys })
    this.#builder = new CommitBuilder({ crypto, random: environment.random, chainId, view, trust, keys: this.keys })
    this.#prefixes = new PrefixHasher(crypto, chainId, identity.fingerprintBytes)
    this.#plannedSeq = replica.head.seq
    this.#durable = replica.head
    this.#headAt = environment.clock.monotonic()
    this.#rememberedAt = this.#headAt
  }

  static async open(parts: CoreParts): Promise<ChainCore> {
    const core = new ChainCore(parts)
    if (!parts.engine.readOnly) {
      const { crypto, environment, identity, replica, keepCertificate } = parts
      const state = keepCertificate ? parts.state : undefined
      core.#writer = await WriterSession.open({ crypto, environment, identity, replica, state })
      // A predecessor that ended without its attestation: ours to make, first thing.
      core.#attestDue = core.#ownUnattested().length > 0
    }
    return core
  }

  get chainIdText(): string {
    return chainIdOf(this.replica.chainId)
  }

  /** The newest record's time plus the time since it came: nothing depends on a reader's wall clock. */
  get now(): number {
    return Math.floor(this.replica.chainTime + this.environment.clock.monotonic() - this.#headAt)
  }

  get pendingTransactions(): number {
    return this.#staged.size
  }

  /** @throws AteError CHAIN_CLOSED | READ_ONLY | WRITER_POISONED | WRITER_FENCED */
  assertWritable(): void {
    this.assertOpen()
    if (this.engine.readOnly) throw new AteError('READ_ONLY', { chain: this.chainIdText })
    if (this.#failed) throw this.#failed
  }

  /** @throws AteError CHAIN_CLOSED */
  assertOpen(): void {
    if (this.#closed) throw new AteError('CHAIN_CLOSED', { chain: this.chainIdText })
  }

  /** @throws AteError DURABILITY_UNAVAILABLE */
  assertReaches(durability: Durability | undefined): void {
    if (durability === undefined) return
    const wanted = LEVELS.indexOf(durability)
    if (wanted < 0) throw new AteError('BAD_ARGUMENT', { durability: String(durability) })
    if (wanted > LEVELS.indexOf(this.engine.durability)) {
      throw new AteError('DURABILITY_UNAVAILABLE', { wanted: durability, engine: this.engine.durability })
    }
  }

  get isClosed(): boolean {
    return this.#closed
  }

  get isFull(): boolean {
    return this.#staged.size >= PENDING_TXS_MAX || this.#stagedBytes >= PENDING_BYTES_MAX
  }

  /** Waits until there is room for one more staged transaction. */
  async room(signal: AbortSignal | undefined): Promise<void> {
    while (this.isFull) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
      if (signal?.aborted) throw signal.reason
    }
  }

  prefixOf(nonce: Uint8Array): EntityWords {
    return this.#prefixes.prefixOf(nonce)
  }

  newNonce(): Uint8Array {
    return randomBytes(this.environment.random, 16)
  }

  /** Judges a draft as if it were staged now, and takes it back: what a transaction's own reads are based on. */
  timeForStaging(): number {
    const batch = this.#queue[this.#queue.length - 1]
    return batch?.time ?? Math.max(this.replica.chainTime, this.environment.clock.now())
  }

  /**
   * Stages a draft: the fold judges it, the keys that seal it are looked for, and it waits for its record. A refusal
   * leaves no trace. `settler` is told when the record is acknowledged at `durability`, or why it was not.
   */
  stage(draft: TransactionDraft, durability: Durability, settler: Settler): Refusal | undefined {
    this.assertWritable()
    const batch = this.#batchFor(draft)
    const journal = new Journal(this.replica.view, true)
    const refusal = this.#apply(draft, batch, journal)
    if (refusal) {
      if (batch.transactions.length === 0) this.#dropEmpty(batch)
      return refusal
    }
    this.#enqueue(draft, batch, journal, durability, settler)
    this.#schedule()
    return undefined
  }

  /** The plaintext of a staged body. */
  stagedBody(number: number, index: number): Uint8Array | undefined {
    const draft = this.#staged.get(number)?.draft
    const event = draft?.events[index]
    return event?.body ? draft!.bodies.buffer.subarray(event.stagedAt, event.stagedAt + event.size) : undefined
  }

  /** The receipt of a transaction of this process that was acknowledged a while ago, or that is on its way. */
  outcome(txId: string): Receipt | Promise<Receipt> | undefined {
    const nonce = fromBase32(txId, 16)
    if (!nonce) throw new AteError('BAD_ID', { kind: 'transaction', given: txId.slice(0, 60) })
    for (const staged of this.#staged.values()) {
      if (!equalBytes(staged.draft.nonce, nonce)) continue
      return new Promise((resolve, reject) => staged.settlers.push({ resolve, reject }))
    }
    return this.#outcomes.find((receipt) => receipt.isOf(nonce))
  }

  /** A buffer for the bodies of a transaction. */
  takeBuffer(): ByteWriter {
    return this.#buffers.pop() ?? new ByteWriter(1024)
  }

  /** Nobody points into the buffer any more. */
  giveBuffer(buffer: ByteWriter): void {
    if (buffer.buffer.length > BUFFER_BYTES_MAX || this.#buffers.length >= BUFFERS_MAX) return
    buffer.reset()
    this.#buffers.push(buffer)
  }

  /** Resolves when nothing is staged and nothing is being written. */
  settled(): Promise<void> {
    if (this.#flushing === 'idle' && this.#queue.length === 0) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /**
   * Appends a record that is no commit. Waits for what is staged; resolves at the engine's durability.
   * @throws as append of the engine
   */
  async appendOther(kind: Kind, payload: () => Uint8Array): Promise<LogRecord> {
    this.assertWritable()
    for (;;) {
      await this.settled()
      if (this.#flushing === 'idle') break
    }
    this.#flushing = 'running'
    try {
      const record = this.#makeRecord(
        kind,
        ++this.#plannedSeq,
        this.replica.head.hash,
        this.timeForStaging(),
        payload(),
      )
      await this.engine.append([record], {
        after: this.replica.head,
        durability: this.engine.durability,
        load: 'alone',
      })
      this.replica.accept(record)
      this.#noteHead(this.engine.durability)
      return record
    } catch (error) {
      this.#plannedSeq = this.replica.head.seq
      this.#noteFailure(error)
      throw error
    } finally {
      this.#flushing = 'idle'
      this.#schedule()
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    try {
      await this.settled()
      if (this.#writer && !this.#failed) {
        this.#attestDue = this.#ownUnattested().length > 0
        if (this.#attestDue) {
          this.#schedule()
          await this.settled()
        }
      }
      await this.#remember()
    } finally {
      this.#closed = true
      this.#attestTimer?.cancel()
      for (const close of this.closers) close()
      for (const resume of this.#waiting.splice(0)) resume()
      await this.#writer?.close()
      await this.engine.close()
    }
  }

  /** Takes in records that another process has appended, for readers beside a writer; their number. */
  async refresh(): Promise<number> {
    if (!this.engine.readOnly) return 0
    const before = this.replica.head.seq
    const head = await this.engine.refresh()
    const until = this.#parts.pq === 'required' ? await this.#attestedUntil(before) : (head?.seq ?? -1)
    if (until <= before) return 0
    for await (const chunk of this.engine.read(before + 1)) {
      for (const record of chunk) if (record.seq <= until) this.#publishAccepted(this.replica.accept(record))
    }
    this.#durable = this.replica.head
    this.#plannedSeq = this.replica.head.seq
    this.#headAt = this.environment.clock.monotonic()
    await this.#remember()
    return this.replica.head.seq - before
  }

  /**
   * The newest record such that the log up to it carries post-quantum signatures throughout: found by reading ahead,
   * since a signature stands behind what it covers. Only the numbers are looked at here; accept() checks the rest.
   */
  async #attestedUntil(from: number): Promise<number> {
    const open = new Map<string, number[]>()
    let last = from
    for await (const chunk of this.engine.read(from + 1)) {
      for (const { seq, bytes } of chunk) {
        noteAttested(this.crypto, open, seq, bytes)
        if ([...open.values()].every((commits) => commits.length === 0)) last = seq
      }
    }
    return last
  }

  #publishAccepted({ head, time, commit, outcomes, identity }: Accepted): void {
    const transactions = commit?.transactions.filter((_, i) => outcomes?.[i] === undefined) ?? []
    const author = fromBinaryText(identity ?? '')
    for (const listener of this.listeners) listener({ seq: head.seq, time, identity: author, transactions })
  }

  #apply(draft: TransactionDraft, batch: Batch, journal: Journal): Refusal | undefined {
    const { replica } = this
    const certificate = { identity: this.identityName, identityBytes: this.identity.fingerprintBytes }
    const judge = replica.judgeFor(certificate, batch.time, batch.seq, batch.base.seq)
    // A stale read key is replaced in the same transaction, by who can: once for each node that the draft writes to.
    for (let tries = 0; ; tries++) {
      const refusal = applyTransaction(replica, draft, judge, journal, undefined)
      if (refusal?.code === 'STALE_EPOCH' && tries < COMMIT_BLOCKS_MAX) {
        const event = rekeyEvent(this, refusal)
        if (!event) return refuse('NEEDS_REKEY', refusal.facts)
        draft.events.unshift(event)
        draft.sizeBytes += PUBLIC_BLOCK_BYTES * 2 + (event.rare?.epoch?.wraps.length ?? 0) * 1300
        continue
      }
      if (refusal) return refusal
      return this.#checkKeys(draft, batch, journal)
    }
  }

  /** Every node that a body is sealed for has a key that this session holds, or publishes one for writers. */
  #checkKeys(draft: TransactionDraft, batch: Batch, journal: Journal): Refusal | undefined {
    const { view, trust } = this.replica
    let node = -1
    let epoch = -1
    for (const event of draft.events) {
      if (!event.body || (event.readNode === node && event.epoch === epoch)) continue
      node = event.readNode
      epoch = event.epoch
      const fields = trust.epochs.get(node)![epoch]!.fields
      const may =
        this.keys.secretsOf({ row: node, id: view.wordsOf(node) }, epoch) !== undefined || fields.writeKey !== undefined
      if (!may) {
        journal.undo()
        return refuse('NO_READ_KEY', { node: view.idText(node), epoch })
      }
      batch.blockKeys.add(`${node}:${epoch}`)
    }
    return undefined
  }

  #batchFor(draft: TransactionDraft): Batch {
    const size = draft.sizeBytes + BLOCK_OVERHEAD_BYTES * 4
    if (size + RECORD_OVERHEAD_BYTES > RECORD_BYTES_MAX || draft.events.length > COMMIT_EVENTS_MAX) {
      throw new AteError('TX_TOO_LARGE', {
        bytes: size,
        max: RECORD_BYTES_MAX - RECORD_OVERHEAD_BYTES,
        events: draft.events.length,
      })
    }
    const last = this.#queue[this.#queue.length - 1]
    if (last && this.#fits(last, draft, size)) return last
    const batch: Batch = {
      seq: ++this.#plannedSeq,
      time: Math.max(last?.time ?? 0, this.replica.chainTime, this.environment.clock.now()),
      base: this.#durable,
      transactions: [],
      blockKeys: new Set(),
      events: 0,
      sizeBytes: RECORD_OVERHEAD_BYTES,
    }
    this.#queue.push(batch)
    return batch
  }

  #fits(batch: Batch, draft: TransactionDraft, size: number): boolean {
    const events = batch.events + draft.events.length
    return (
      batch.sizeBytes + size + batch.blockKeys.size * (BLOCK_OVERHEAD_BYTES + PUBLIC_BLOCK_BYTES) <= RECORD_BYTES_MAX &&
      events <= COMMIT_EVENTS_MAX &&
      batch.transactions.length < COMMIT_TXS_MAX &&
      batch.blockKeys.size < COMMIT_BLOCKS_MAX - 16
    )
  }

  #dropEmpty(batch: Batch): void {
    this.#queue.splice(this.#queue.indexOf(batch), 1)
    this.#plannedSeq--
  }

  #enqueue(draft: TransactionDraft, batch: Batch, journal: Journal, durability: Durability, settler: Settler): void {
    this.#stagedCount = (this.#stagedCount + 1) >>> 0
    const number = this.#stagedCount
    const { view } = this.replica
    for (let i = 0; i < draft.events.length; i++) {
      const { op, body, row } = draft.events[i]!
      if (body || op === OP.create) view.placePending(row, number, i)
    }
    const staged = { number, draft, journal, durability, settlers: [settler] }
    batch.transactions.push(staged)
    batch.events += draft.events.length
    batch.sizeBytes += draft.sizeBytes
    this.#staged.set(number, staged)
    this.#stagedBytes += draft.sizeBytes
  }

  #schedule(): void {
    if (this.#flushing !== 'idle' || (this.#queue.length === 0 && !this.#attestDue)) {
      if (this.#flushing === 'idle') this.#wakeIdle()
      return
    }
    this.#flushing = 'scheduled'
    queueMicrotask(() => void this.#flush())
  }

  #wakeIdle(): void {
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  async #flush(): Promise<void> {
    this.#flushing = 'running'
    let batches: Batch[] = []
    try {
      batches = this.#takeBatches()
      const { records, built, attested } = this.#buildAll(batches)
      if (records.length > 0) {
        const durability = this.#durabilityOf(batches)
        const alone = batches.length <= 1 && (batches[0]?.transactions.length ?? 0) <= 1
        const reached = await this.engine.append(records, {
          after: this.replica.head,
          durability,
          load: alone ? 'alone' : 'group',
        })
        await this.#acknowledge(batches, built, records, attested, reached.durability)
      }
    } catch (error) {
      this.#fail(batches, error)
    }
    this.#flushing = 'idle'
    this.#schedule()
  }

  #takeBatches(): Batch[] {
    let bytes = 0
    let count = 0
    for (const batch of this.#queue) {
      if (count > 0 && bytes + batch.sizeBytes > APPEND_BYTES_MAX) break
      bytes += batch.sizeBytes
      count++
    }
    return this.#queue.splice(0, count)
  }

  #durabilityOf(batches: readonly Batch[]): Durability {
    const wanted = new Set<Durability>()
    for (const batch of batches) for (const staged of batch.transactions) wanted.add(staged.durability)
    if (wanted.size === 0) return this.engine.durability
    return (['quorum', 'disk', 'os', 'memory'] as const).find((level) => wanted.has(level))!
  }

  #buildAll(batches: readonly Batch[]): {
    records: LogRecord[]
    built: { readonly writerSeq: number; readonly hash: Uint8Array }[]
    attested: readonly Uint8Array[]
  } {
    const records: LogRecord[] = []
    const built: { writerSeq: number; hash: Uint8Array }[] = []
    let prev = this.replica.head.hash
    // A successor certificate starts its numbers anew: it is taken between appends, so that all batches of one share it.
    if (batches.length > 0) this.#writer!.renew(batches[0]!.time)
    for (const batch of batches) {
      const current = this.#writer!.current
      const writerSeq = current.certificate.mark + 1 + built.length
      const commit = this.#builder.build(batch, {
        prev,
        sequencer: this.identity.fingerprintBytes,
        session: { writer: current.certificate.id, signer: current.signer },
        writerSeq,
        certificate: current.fresh && built.length === 0 ? current.fresh.bytes : undefined,
      })
      records.push({ seq: batch.seq, hash: commit.hash, bytes: commit.bytes })
      built.push({ writerSeq, hash: commit.commitHash })
      prev = commit.hash
    }
    const attested = this.#attestations(records, built, prev)
    return { records, built, attested }
  }

  /** Attestation records behind the commits of an append, when they are due and nothing else is queued. */
  #attestations(
    records: LogRecord[],
    built: readonly { readonly writerSeq: number; readonly hash: Uint8Array }[],
    prev: Uint8Array,
  ): Uint8Array[] {
    const due =
      this.#attestDue || this.#parts.pq === 'commit' || this.#unattestedCount() + built.length >= ATTEST_COMMITS_MAX
    if (!due || this.#queue.length > 0) return []
    const attested: Uint8Array[] = []
    let hash = prev
    for (const { id, commits } of this.#attestable(records, built)) {
      for (let from = 0; from < commits.length; from += ATTEST_COMMITS_MAX) {
        const range = commits.slice(from, from + ATTEST_COMMITS_MAX)
        const record = this.#makeRecord(
          KIND.attestation,
          ++this.#plannedSeq,
          hash,
          this.timeForStaging(),
          this.attestation(id, range),
        )
        records.push(record)
        hash = record.hash
        attested.push(id)
      }
    }
    return attested
  }

  /** Own certificates with commits that no attestation covers, those of this append included. */
  #attestable(
    records: readonly LogRecord[],
    built: readonly { readonly writerSeq: number; readonly hash: Uint8Array }[],
  ): { readonly id: Uint8Array; readonly commits: readonly UnattestedCommit[] }[] {
    const fresh = built.map(({ writerSeq, hash }, i) => ({ writerSeq, hash, seq: records[i]!.seq }))
    const current = built.length > 0 ? this.#writer!.current.certificate : undefined
    const list = this.#ownUnattested().map(({ id, unattested }) => ({ id, commits: [...unattested] }))
    if (!current) return list
    const own = list.find(({ id }) => id === current.id)
    if (own) own.commits.push(...fresh)
    else list.push({ id: current.id, commits: fresh })
    return list
  }

  /** The payload of an attestation over `commits`; `by` when it stands for another writer. */
  attestation(certificate: Uint8Array, commits: readonly UnattestedCommit[], by?: Uint8Array): Uint8Array {
    const { crypto, replica, identity } = this
    const { head } = replica
    const body = {
      chain: replica.chainId,
      certificate,
      from: commits[0]!.writerSeq,
      to: commits[commits.length - 1]!.writerSeq,
      root: treeRoot(
        crypto,
        commits.map((commit) => commit.hash),
      ),
      seq: head.seq,
      hash: head.hash,
      ...(by ? { by } : {}),
    }
    return encodeAttestation(crypto, body, (message) => identity.sign(message, 'attestation'))
  }

  #ownUnattested(): readonly { readonly id: Uint8Array; readonly unattested: readonly UnattestedCommit[] }[] {
    const own = []
    for (const certificate of this.replica.trust.certificates.values()) {
      if (certificate.identity === this.identityName && certificate.unattested.length > 0) own.push(certificate)
    }
    return own
  }

  #unattestedCount(): number {
    let count = 0
    for (const { unattested } of this.#ownUnattested()) count += unattested.length
    return count
  }

  #makeRecord(kind: Kind, seq: number, prev: Uint8Array, admittedAt: number, payload: Uint8Array): LogRecord {
    const out = new ByteWriter(payload.length + 128)
    writeRecordHead(out, { seq, prev, admittedAt, sequencer: this.identity.fingerprintBytes, kind })
    out.raw(payload)
    const bytes = out.copy()
    return { seq, bytes, hash: hashRecord(this.crypto, this.replica.chainId, bytes, kind) }
  }

  async #acknowledge(
    batches: readonly Batch[],
    built: readonly { readonly writerSeq: number; readonly hash: Uint8Array }[],
    records: readonly LogRecord[],
    attested: readonly Uint8Array[],
    durability: Durability,
  ): Promise<void> {
    const { replica } = this
    const current = batches.length > 0 ? this.#writer!.current : undefined
    for (let i = 0; i < batches.length; i++) {
      const { certificate, fresh } = current!
      if (i === 0 && fresh) replica.addCertificate(certificate, fresh.body)
      certificate.mark = built[i]!.writerSeq
      certificate.unattested.push({ writerSeq: built[i]!.writerSeq, seq: records[i]!.seq, hash: built[i]!.hash })
      replica.chainTime = batches[i]!.time
      replica.advance(records[i]!)
      this.#acknowledgeBatch(batches[i]!, durability)
    }
    // Our own attestations go through the same check as anybody's.
    for (const record of records.slice(batches.length)) replica.accept(record)
    if (attested.length > 0) this.#attestDue = false
    this.#noteHead(durability)
    this.#armAttestation()
    for (const resume of this.#waiting.splice(0)) resume()
    if (current?.fresh) await this.#writer!.acknowledged()
    if (this.environment.clock.monotonic() - this.#rememberedAt > REMEMBER_EVERY_MS) await this.#remember()
  }

  #acknowledgeBatch(batch: Batch, durability: Durability): void {
    const { view } = this.replica
    for (const staged of batch.transactions) {
      staged.journal.acknowledge()
      const { events } = staged.draft
      for (let i = 0; i < events.length; i++) {
        const event = events[i]!
        if (event.body) {
          const place = { record: batch.seq, block: event.block, offset: event.offset, size: event.size }
          view.placeStaged(event.row, staged.number, i, place, event.hashBytes!, event.hashAt)
        } else if (event.op === OP.create) {
          view.placeStaged(event.row, staged.number, i, NO_BODY, NO_HASH_WORDS, 0)
        }
      }
      this.#staged.delete(staged.number)
      this.#stagedBytes -= staged.draft.sizeBytes
    }
    settleLists(view)
    this.#publish(batch)
    for (const staged of batch.transactions) {
      const receipt = new TransactionReceipt(staged.draft.nonce, batch.seq, durability, batch.time)
      this.#outcomes[this.#outcomeAt] = receipt
      this.#outcomeAt = (this.#outcomeAt + 1) % OUTCOMES_MAX
      this.giveBuffer(staged.draft.bodies)
      for (const settler of staged.settlers) settler.resolve(receipt)
    }
  }

  #publish(batch: Batch): void {
    if (this.listeners.size === 0) return
    const transactions = batch.transactions.map(({ draft }) => draft)
    for (const listener of this.listeners) {
      listener({ seq: batch.seq, time: batch.time, identity: this.identity.fingerprintBytes, transactions })
    }
  }

  #noteHead(durability: Durability): void {
    const wanted = this.replica.genesis.parameters.durability
    if (LEVELS.indexOf(durability) >= LEVELS.indexOf(wanted) || durability === this.engine.durability)
      this.#durable = this.replica.head
    this.#headAt = this.environment.clock.monotonic()
  }

  #armAttestation(): void {
    if (this.#attestTimer || this.#closed || this.#unattestedCount() === 0) return
    this.#attestTimer = this.environment.timers.start(ATTEST_DELAY_MS, () => {
      this.#attestTimer = undefined
      if (this.#closed || this.#failed) return
      this.#attestDue = this.#unattestedCount() > 0
      this.#schedule()
    })
  }

  async #remember(): Promise<void> {
    this.#rememberedAt = this.environment.clock.monotonic()
    const { head, chainTime, chainId } = this.replica
    await rememberHead(this.state, chainIdOf(chainId), { seq: head.seq, hash: head.hash, at: chainTime })
  }

  /** Takes back everything that is staged, newest first, and tells each author. */
  #fail(batches: readonly Batch[], error: unknown): void {
    this.#noteFailure(error)
    const all = [...batches, ...this.#queue.splice(0)]
      .flatMap((batch) => batch.transactions)
      .filter(({ number }) => this.#staged.has(number))
    for (const staged of [...all].reverse()) staged.journal.undo()
    for (const staged of all) {
      this.#staged.delete(staged.number)
      this.#stagedBytes -= staged.draft.sizeBytes
      for (const settler of staged.settlers) settler.reject(error)
    }
    this.#plannedSeq = this.replica.head.seq
    this.#attestDue = false
    for (const resume of this.#waiting.splice(0)) resume()
  }

  /** A full disk may have room again; anything else ends the writing of this handle. */
  #noteFailure(error: unknown): void {
    if (isAteError(error) && error.code === 'DISK_FULL') return
    this.#failed ??= isAteError(error) ? error : new AteError('INTERNAL', { what: 'append' }, { cause: error })
  }
}

const LEVELS: readonly Durability[] = ['memory', 'os', 'disk', 'quorum']
const NO_BODY = { record: NO_RECORD, block: 0, offset: 0, size: 0 }
const NO_HASH_WORDS = new Uint8Array(32)

/** Keeps, for each writer, the records of commits that no attestation covers yet. */
function noteAttested(crypto: CryptoProvider, open: Map<string, number[]>, seq: number, bytes: Uint8Array): void {
  const { kind } = parseRecordHead(bytes)
  if (kind === KIND.commit) {
    const writer = toBinaryText(bytes.subarray(COMMIT.writer, COMMIT.writer + 32))
    const commits = open.get(writer)
    if (commits) commits.push(seq)
    else open.set(writer, [seq])
  } else if (kind === KIND.attestation) {
    const { body } = parseAttestation(crypto, bytes)
    open.get(toBinaryText(body.certificate))?.splice(0, body.to - body.from + 1)
  }
}
