/**
 * What is staged and not yet acknowledged: transactions that the fold has accepted on top of each other, in batches of
 * one record each.
 *
 * Invariants:
 * - a batch's time, seq and base are fixed when it is opened, and its record has exactly those: what the fold judges at
 *   staging it judges for ever;
 * - a batch fits into one record: its size, its events and its sealed blocks are bounded before a transaction joins;
 * - staged transactions are undone in the reverse of the order in which they were applied, all of them or none.
 */
import { takeBack } from '#large'
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { fromBase32 } from '../base/ids.ts'
import { COMMIT_BLOCKS_MAX, PENDING_BYTES_MAX, PENDING_TXS_MAX } from '../base/limits.ts'
import { ByteWriter } from '../codec/writer.ts'
import { OP } from '../event/format.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { Durability } from '../log/engine.ts'
import type { SessionKeys } from '../session/epoch-keys.ts'
import { NO_RECORD } from '../view/entity-table.ts'
import { Journal } from '../view/journal.ts'
import { addBlocks, BLOCK_OVERHEAD_BYTES, checkSize, fits, RECORD_OVERHEAD_BYTES, tooLarge } from './batch-size.ts'
import { OpenChanges } from './dependence.ts'
import { applyTransaction } from './fold.ts'
import type { Judge } from './judge.ts'
import { RecentOutcomes } from './recent-outcomes.ts'
import { mendNode } from './rekey.ts'
import type { Replica } from './replica.ts'
import {
  type Batch,
  type Receipt,
  type Settler,
  type StagedTransaction,
  type TransactionDraft,
  TransactionReceipt,
} from './staged.ts'
import { type Refusal, refuse } from './verdict.ts'

/** Bytes of one append: bounds what one sync and one failure are about. */
const APPEND_BYTES_MAX: number = 8 * 1024 * 1024
/** Buffers kept for the next transactions, and the largest of them. */
const BUFFERS_MAX = 1024
const BUFFER_BYTES_MAX: number = 64 * 1024

const NO_BODY = { record: NO_RECORD, block: 0, offset: 0, size: 0 }
const NO_HASH = new Uint8Array(32)
const NO_KEYS: readonly string[] = []

export interface StagingParts {
  readonly replica: Replica
  readonly keys: SessionKeys
  /** The fingerprint of the key that acts, one byte a character, and as bytes. */
  readonly keyName: string
  readonly keyBytes: Uint8Array
  /** Unix ms. */
  readonly now: () => number
  /** The newest record that is durable at the chain's own level. */
  readonly base: () => Batch['base']
}

export class Staging {
  readonly #parts: StagingParts
  readonly #queue: Batch[] = []
  readonly #staged = new Map<number, StagedTransaction>()
  readonly #outcomes = new RecentOutcomes()
  readonly #buffers: ByteWriter[] = []
  /** Hears of each body of which what was written is kept, when its record is stored. */
  onPlaced: ((event: TransactionEvent, record: number) => void) | undefined
  /** Staged last, and not acknowledged. */
  #newest: StagedTransaction | undefined
  #count = 0
  #applications = 0
  #bytes = 0
  #plannedSeq: number
  /** The wall clock may go back while a batch is being written. */
  #plannedTime = 0

  constructor(parts: StagingParts) {
    this.#parts = parts
    this.#plannedSeq = parts.replica.head.seq
  }

  /** Transactions that are staged and not acknowledged. */
  get size(): number {
    return this.#staged.size
  }

  get isFull(): boolean {
    return this.#staged.size >= PENDING_TXS_MAX || this.#bytes >= PENDING_BYTES_MAX
  }

  /** Nothing waits to be written. */
  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  /** What `take` takes from, in its order. */
  get queued(): readonly Batch[] {
    return this.#queue
  }

  /** Transactions that wait to be written. */
  get waiting(): number {
    return this.#queue.reduce((sum, { transactions }) => sum + transactions.length, 0)
  }

  /** Somebody waits for no more than that what he wrote is kept on this machine. */
  get hasKeepers(): boolean {
    return this.#queue.some(({ transactions }) =>
      transactions.some(({ settlers }) => settlers.some(({ kept }) => kept)),
    )
  }

  /** Of what an earlier process has signed: it holds a place in the order, and nothing that is seen. */
  emptyBatch({ time, base }: Pick<Batch, 'time' | 'base'>): Batch {
    const seq = this.#plannedSeq + 1
    return {
      seq,
      time,
      base,
      judge: this.#judge({ seq, time, base }),
      transactions: [],
      blockKeys: new Set(),
      node: -1,
      epoch: -1,
      events: 0,
      sizeBytes: RECORD_OVERHEAD_BYTES,
    }
  }

  /** The time of a record that is written now: never before that of one that waits or is on its way. */
  get time(): number {
    return Math.max(this.#plannedTime, this.#parts.replica.chainTime, this.#parts.now())
  }

  /** The time by which what is staged now is judged: that of the batch which it joins, if there is one. */
  get judgedAt(): number {
    return this.#queue[this.#queue.length - 1]?.time ?? this.time
  }

  /** The seq of the next record that is no batch. Only while no batch waits: they have their seqs already. */
  planRecord(): number {
    return ++this.#plannedSeq
  }

  /** The record that was planned last is not made: what was staged behind it meanwhile moves up, and is judged again. */
  unplanRecord(): void {
    const all = this.#undoAll([])
    this.#plannedSeq--
    for (const batch of this.#queue) {
      batch.seq--
      batch.judge = this.#judge(batch)
    }
    for (const staged of all) this.#stageAgain(staged)
  }

  /** After a failed append, or when records came from elsewhere: the next record follows the head. */
  replan(): void {
    this.#plannedSeq = this.#parts.replica.head.seq
    this.#plannedTime = 0
  }

  /** @throws AteError TX_TOO_LARGE */
  stage(draft: TransactionDraft, durability: Durability, settler: Settler): Refusal | undefined {
    checkSize(draft)
    const last = this.#queue[this.#queue.length - 1]
    if (last && fits(last, draft, NO_KEYS)) {
      const refusal = this.#stageIn(last, draft, durability, settler)
      if (refusal !== 'full') return refusal
    }
    const batch = this.#openBatch()
    try {
      const refusal = this.#stageIn(batch, draft, durability, settler)
      if (refusal === 'full') throw tooLarge(draft)
      if (refusal) this.#dropBatch(batch)
      return refusal
    } catch (error) {
      if (batch.transactions.length === 0) this.#dropBatch(batch)
      throw error
    }
  }

  /**
   * A transaction that writes nothing needs no record: its guards are judged now, and it is answered as soon as what it
   * may have read of others is acknowledged.
   */
  stageReads(draft: TransactionDraft, durability: Durability, settler: Settler): Refusal | undefined {
    const { replica, base } = this.#parts
    const judge = this.#judge({ seq: this.#plannedSeq + 1, time: this.time, base: base() })
    const refusal = applyTransaction(replica, draft, judge, new Journal(replica.view, true), undefined)
    if (refusal) return refusal
    const { head, chainTime } = replica
    if (!this.#newest) settler.resolve(new TransactionReceipt(draft.nonce, head.seq, durability, chainTime))
    else {
      this.#newest.settlers.push({
        resolve: (last) => settler.resolve(new TransactionReceipt(draft.nonce, last.seq, last.durability, last.at)),
        reject: (error) => settler.reject(error),
        undone: () => settler.reject(new AteError('CONFLICT', { what: 'what it has read did not commit' })),
      })
    }
    return undefined
  }

  /** The batches of the next append, oldest first. */
  take(): Batch[] {
    let bytes = 0
    let count = 0
    for (const batch of this.#queue) {
      if (count > 0 && bytes + batch.sizeBytes > APPEND_BYTES_MAX) break
      bytes += batch.sizeBytes
      count++
    }
    return this.#queue.splice(0, count)
  }

  /**
   * As take, but of transactions for which `isReady` holds, asked oldest first. Others stay where they are, and who comes
   * behind them may go before them.
   */
  takeReady(isReady: (draft: TransactionDraft) => boolean): Batch[] {
    const taken: Batch[] = []
    let bytes = 0
    for (const batch of this.#queue.slice()) {
      if (bytes > 0 && bytes + batch.sizeBytes > APPEND_BYTES_MAX) break
      const ready = batch.transactions.filter(({ draft }) => isReady(draft))
      if (ready.length === 0) continue
      bytes += batch.sizeBytes
      taken.push(ready.length === batch.transactions.length ? batch : this.#split(batch, ready))
    }
    for (const batch of taken) if (this.#queue.includes(batch)) this.#queue.splice(this.#queue.indexOf(batch), 1)
    return taken
  }

  #split(batch: Batch, ready: StagedTransaction[]): Batch {
    const split: Batch = { ...batch, transactions: ready, blockKeys: new Set(batch.blockKeys) }
    const left = batch.transactions.filter((staged) => !ready.includes(staged))
    batch.transactions.splice(0, batch.transactions.length, ...left)
    for (const staged of ready) staged.batch = split
    batch.sizeBytes = RECORD_OVERHEAD_BYTES + left.reduce((sum, { draft }) => sum + draft.sizeBytes, 0)
    batch.events = left.reduce((sum, { draft }) => sum + draft.events.length, 0)
    return split
  }

  /** The batch's record is stored: readers outside see what it did, and its authors hear of it. */
  acknowledge(batch: Batch, durability: Durability): void {
    const { seq, time: at, transactions } = batch
    for (let i = 0; i < transactions.length; i++) {
      const staged = transactions[i]!
      staged.journal.acknowledge()
      this.#place(staged, seq)
      this.#forget(staged)
    }
    const acknowledgement = { seq, durability, at }
    for (let t = 0; t < transactions.length; t++) {
      const { draft, settlers } = transactions[t]!
      this.#outcomes.note(draft.nonce, acknowledgement)
      this.giveBuffer(draft.bodies)
      const receipt = new TransactionReceipt(draft.nonce, seq, durability, at)
      for (let i = 0; i < settlers.length; i++) settlers[i]!.resolve(receipt)
    }
  }

  /**
   * Lets a record change the state below what is staged: takes all of it back, runs `change`, and stages it again. What
   * is refused then is told so.
   */
  rebase(change: () => void): void {
    const all = this.#undoAll([])
    try {
      change()
    } finally {
      for (const staged of all) this.#stageAgain(staged)
    }
  }

  /**
   * The same below batches that were signed and sent: whether those commit is for others to say, so one that the fold would
   * refuse now only stops being seen, and what was staged on top of it goes with it. `sent` is asked before and after the
   * change, which may have settled some, and is told whom to tell of those that will not commit.
   */
  rebaseSent(change: (lost: OpenChanges) => void, sent: () => readonly Batch[]): void {
    const lost = new OpenChanges()
    this.#undoAll(sent())
    try {
      change(lost)
    } finally {
      this.#replanAll(sent())
      for (const batch of sent()) for (const staged of batch.transactions) this.#showAgain(staged, lost)
      for (const batch of this.#queue.slice()) {
        for (const staged of batch.transactions.slice()) this.#stageAgain(staged, lost)
        if (batch.transactions.length === 0) this.#queue.splice(this.#queue.indexOf(batch), 1)
      }
    }
  }

  /** What became of a batch that was sent: its record is `at`, and the fold has judged its transactions there. */
  settle(batch: Batch, at: Omit<Receipt, 'txId'>, outcomes: readonly (Refusal | undefined)[]): void {
    batch.transactions.forEach((staged, i) => {
      const refusal = outcomes[i]
      this.#forget(staged)
      if (!refusal) this.#outcomes.note(staged.draft.nonce, at)
      const receipt = new TransactionReceipt(staged.draft.nonce, at.seq, at.durability, at.at)
      this.giveBuffer(staged.draft.bodies)
      for (const settler of staged.settlers) {
        if (refusal) refused(settler, refusal)
        else settler.resolve(receipt)
      }
    })
  }

  /** Nothing of it was signed or stored, or nobody will ever say: everything is taken back, and each author is told. */
  dropAll(sent: readonly Batch[], errorOf: (staged: StagedTransaction, was: 'sent' | 'waiting') => unknown): void {
    const waiting = new Set(this.#queue)
    const all = this.#all(sent)
    try {
      undoAll(all)
    } finally {
      // Also where that is not to be done, which is a mistake of ours: nobody else would tell them.
      this.#queue.length = 0
      for (const staged of all) {
        this.#forget(staged)
        const error = errorOf(staged, waiting.has(staged.batch) ? 'waiting' : 'sent')
        for (const settler of staged.settlers) settler.reject(error)
      }
      this.replan()
    }
  }

  /** Seqs are a guess until the records are ordered: nothing but the floor of a collection depends on them. */
  #replanAll(sent: readonly Batch[]): void {
    this.replan()
    const { chainTime } = this.#parts.replica
    for (const batch of [...sent, ...this.#queue]) {
      batch.seq = ++this.#plannedSeq
      this.#plannedTime = Math.max(this.#plannedTime, batch.time)
      batch.judge = this.#judge({ ...batch, time: Math.max(batch.time, chainTime) })
    }
  }

  #showAgain(staged: StagedTransaction, lost: OpenChanges): void {
    if (!this.#staged.has(staged.number)) return
    if (this.#applyAgain(staged, lost)) lost.add(staged.draft)
    else this.#pointRows(staged)
  }

  /** `lost` is what it must not have been staged on. */
  #applyAgain(staged: StagedTransaction, lost: OpenChanges): Refusal | undefined {
    const { batch, draft } = staged
    staged.journal = new Journal(this.#parts.replica.view, true)
    staged.applied = ++this.#applications
    if (lost.isUnder(draft)) return refuse('CONFLICT', { what: 'what it was staged on did not commit' })
    return applyTransaction(this.#parts.replica, draft, batch.judge, staged.journal, undefined)
  }

  /** The event of a row that is staged. */
  event(number: number, index: number): TransactionEvent | undefined {
    return this.#staged.get(number)?.draft.events[index]
  }

  /** The plaintext of a staged body. */
  body(number: number, index: number): Uint8Array | undefined {
    const draft = this.#staged.get(number)?.draft
    const event = draft?.events[index]
    return event?.body ? draft!.bodies.buffer.subarray(event.stagedAt, event.stagedAt + event.size) : undefined
  }

  /** The receipt of a transaction that was acknowledged a while ago, or that is on its way. @throws AteError BAD_ID */
  outcome(txId: string): Receipt | Promise<Receipt> | undefined {
    const nonce = typeof txId === 'string' ? fromBase32(txId, 16) : undefined
    if (!nonce) throw new AteError('BAD_ID', { kind: 'transaction', given: String(txId).slice(0, 60) })
    for (const staged of this.#staged.values()) {
      if (!equalBytes(staged.draft.nonce, nonce)) continue
      return new Promise((resolve, reject) => staged.settlers.push({ resolve, reject }))
    }
    const found = this.#outcomes.find(nonce)
    return found && new TransactionReceipt(nonce, found.seq, found.durability, found.at)
  }

  /** A buffer for the bodies of a transaction. */
  takeBuffer(): ByteWriter {
    return this.#buffers.pop() ?? new ByteWriter(1024)
  }

  /** Nobody points into the buffer any more. */
  giveBuffer(buffer: ByteWriter): void {
    takeBack(buffer)
    if (buffer.buffer.length > BUFFER_BYTES_MAX || this.#buffers.length >= BUFFERS_MAX) return
    buffer.reset()
    this.#buffers.push(buffer)
  }

  #openBatch(): Batch {
    const place = { seq: this.#plannedSeq + 1, time: this.time, base: this.#parts.base() }
    const batch: Batch = {
      ...place,
      judge: this.#judge(place),
      transactions: [],
      blockKeys: new Set(),
      node: -1,
      epoch: -1,
      events: 0,
      sizeBytes: RECORD_OVERHEAD_BYTES,
    }
    this.#plannedSeq = batch.seq
    this.#plannedTime = batch.time
    this.#queue.push(batch)
    return batch
  }

  #dropBatch(batch: Batch): void {
    this.#queue.splice(this.#queue.indexOf(batch), 1)
    this.#plannedSeq--
  }

  #judge(batch: Pick<Batch, 'seq' | 'time' | 'base'>): Judge {
    const { replica, keyName: identity, keyBytes: identityBytes } = this.#parts
    return replica.judgeFor({ identity, identityBytes }, batch.time, batch.seq, batch.base.seq)
  }

  /** Judges and stages in a batch; `full` if the keys that it turns out to need do not fit in there. */
  #stageIn(
    batch: Batch,
    draft: TransactionDraft,
    durability: Durability,
    settler: Settler,
  ): Refusal | 'full' | undefined {
    const journal = new Journal(this.#parts.replica.view, true)
    const refusal = this.#apply(draft, batch.judge, journal)
    if (refusal) return refusal
    const keys = this.#newBlocks(batch, draft)
    if ('code' in keys) {
      journal.undo()
      return keys
    }
    if (!fits(batch, draft, keys)) {
      journal.undo()
      return 'full'
    }
    this.#count = (this.#count + 1) & 0x7fffffff
    const staged: StagedTransaction = {
      number: this.#count,
      applied: ++this.#applications,
      batch,
      draft,
      journal,
      durability,
      settlers: [settler],
    }
    batch.transactions.push(staged)
    batch.events += draft.events.length
    batch.sizeBytes += draft.sizeBytes
    if (keys.length > 0) addBlocks(batch, draft, keys)
    this.#staged.set(staged.number, staged)
    this.#newest = staged
    this.#bytes += draft.sizeBytes
    this.#pointRows(staged)
    return undefined
  }

  /** A stale read key is replaced in the same transaction, by who can: once for each node that the draft writes to. */
  #apply(draft: TransactionDraft, judge: Judge, journal: Journal): Refusal | undefined {
    for (let tries = 0; ; tries++) {
      const refusal = applyTransaction(this.#parts.replica, draft, judge, journal, undefined)
      if (refusal?.code !== 'STALE_EPOCH' || tries >= COMMIT_BLOCKS_MAX) return refusal
      const { replica, keys } = this.#parts
      const events = mendNode({ replica, keys, identityName: judge.identity }, refusal, draft.events)
      if (!events) return refuse('NEEDS_REKEY', refusal.facts)
      for (const { rare } of events) {
        const wraps = rare?.epoch?.wraps ?? rare?.role?.wraps ?? []
        draft.sizeBytes += BLOCK_OVERHEAD_BYTES * (2 + wraps.length)
      }
    }
  }

  /**
   * The (node, epoch) pairs that seal the draft's bodies and that its batch lacks: this session holds each key, or the
   * epoch publishes one.
   */
  #newBlocks(batch: Batch, draft: TransactionDraft): readonly string[] | Refusal {
    const { replica, keys } = this.#parts
    let found = NO_KEYS
    let { node, epoch } = batch
    for (let i = 0; i < draft.events.length; i++) {
      const event = draft.events[i]!
      if (!event.body || (event.readNode === node && event.epoch === epoch)) continue
      node = event.readNode
      epoch = event.epoch
      const { fields } = replica.trust.epochs.get(node)![epoch]!
      const id = replica.view.wordsOf(node)
      if (keys.secretsOf({ row: node, id }, epoch) === undefined && fields.writeKey === undefined) {
        return refuse('NO_READ_KEY', { node: replica.view.idText(node), epoch })
      }
      const key = `${node}:${epoch}`
      if (!batch.blockKeys.has(key) && !found.includes(key)) found = [...found, key]
    }
    return found
  }

  /** Rows point at their staged bodies; a created one without a body is not there yet for readers outside. */
  #pointRows({ number, draft }: StagedTransaction): void {
    const { view } = this.#parts.replica
    for (let i = 0; i < draft.events.length; i++) {
      const { op, body, row } = draft.events[i]!
      if (body || op === OP.create) view.placePending(row, number, i)
    }
  }

  #place({ number, draft }: StagedTransaction, record: number): void {
    const { view } = this.#parts.replica
    const { events } = draft
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      if (event.body) {
        const place = { record, block: event.block, offset: event.offset, size: event.size }
        view.placeStaged(event.row, number, i, place, event.hashBytes!, event.hashAt)
        if (event.written !== undefined) this.onPlaced?.(event, record)
      } else if (event.op === OP.create) view.placeStaged(event.row, number, i, NO_BODY, NO_HASH, 0)
    }
  }

  #forget(staged: StagedTransaction): void {
    this.#staged.delete(staged.number)
    if (this.#newest === staged) this.#newest = undefined
    this.#bytes -= staged.draft.sizeBytes
  }

  /** What `batches` and the queue still hold staged. */
  #all(batches: readonly Batch[]): StagedTransaction[] {
    return [...batches, ...this.#queue]
      .flatMap((batch) => batch.transactions)
      .filter(({ number }) => this.#staged.has(number))
  }

  #undoAll(batches: readonly Batch[]): StagedTransaction[] {
    const all = this.#all(batches)
    undoAll(all)
    return all
  }

  #stageAgain(staged: StagedTransaction, lost: OpenChanges = new OpenChanges()): void {
    const { batch } = staged
    const refusal = this.#applyAgain(staged, lost)
    if (!refusal) {
      this.#pointRows(staged)
      return
    }
    lost.add(staged.draft)
    batch.transactions.splice(batch.transactions.indexOf(staged), 1)
    this.#forget(staged)
    for (const settler of staged.settlers) refused(settler, refusal)
  }
}

/**
 * What was applied last is taken back first. They stand in the order of their records, which is another one where one has gone
 * before what it does not build on (takeReady).
 */
function undoAll(all: readonly StagedTransaction[]): void {
  for (const { journal } of all.toSorted((a, b) => b.applied - a.applied)) journal.undo()
}

function refused(settler: Settler, { code, facts }: Refusal): void {
  if (settler.undone) settler.undone()
  else settler.reject(new AteError(code, facts))
}
