/**
 * The pipeline of a chain that this process writes: seal, sign, append, acknowledge, publish. One writer, one append at a
 * time; what queues up while one is under way shares the next append and its sync.
 *
 * When an append fails, everything staged is taken back, newest first, and each author is told.
 */
import { keepPrint, printOf, release, sealAhead, sealEarly } from '#large'
import { AteError, isAteError, isRefusedWrite } from '../base/errors.ts'
import { ByteWriter } from '../codec/writer.ts'
import type { EntityWords } from '../event/entity-words.ts'
import { KIND, type Kind } from '../event/format.ts'
import { encodeRecord } from '../event/record.ts'
import { type Durability, durabilityRank, type LogRecord } from '../log/engine.ts'
import type { UnattestedCommit } from '../trust/trust-state.ts'
import type { ChainCore, CoreParts } from './chain-core.ts'
import type { BuiltCommit } from './commit-builder.ts'
import { HeldKeys, ringName } from './entity-keys.ts'
import type { LargeBatch } from './large-bodies.ts'
import type { KeyAccess } from './link.ts'
import { settleLists } from './settle.ts'
import type { Batch } from './staged.ts'
import { takeWriterPlace } from './writer-places.ts'
import { WriterSession } from './writer-session.ts'
import type { Writing } from './writing.ts'

/** Records up to this size, most of those that somebody waits for alone, are made in memory that is used again. */
const SMALL_BYTES = 16_384

/** The records of one append: commits first, attestations behind them. */
interface Append {
  readonly batches: readonly Batch[]
  readonly records: LogRecord[]
  readonly commits: UnattestedCommit[]
  /** Blocks of each of them. */
  readonly opened: BuiltCommit['opened'][]
  /** Of the bytes of each of them, which stand in memory that is used again. */
  readonly prints: (Uint8Array | undefined)[]
}

/** What writes the log of `core` in this process: a certificate is taken up, unless the log is only read. */
export async function beginLocalWriting(core: ChainCore, parts: CoreParts): Promise<Writing> {
  if (core.engine.readOnly) return new LocalWriting(core, undefined, undefined)
  const { crypto, environment, identity, replica, keepCertificate } = parts
  const state = keepCertificate ? parts.state : undefined
  const options = { chain: replica.chainId, identity: identity.fingerprint, which: 'first' } as const
  const place = state && (await takeWriterPlace(state, options))
  const writer = await WriterSession.open({ crypto, environment, identity, replica, state, place })
  return new LocalWriting(core, writer, await HeldKeys.open(core.engine.ring, replica.view))
}

class LocalWriting implements Writing {
  readonly hasRing = true
  readonly #core: ChainCore
  /** None for readers. */
  readonly #writer: WriterSession | undefined
  readonly #keys: HeldKeys | undefined
  readonly #idle: (() => void)[] = []
  /** Memory for one record of an append: an engine keeps none of the bytes, and the next append waits for this one. */
  readonly #small = { block: undefined, record: new ByteWriter(SMALL_BYTES) }
  /** Who waits for a sync of what is acknowledged. */
  readonly #syncing: (() => void)[] = []
  /** Seq of the newest record that is as durable as the engine can make it. */
  #synced: number
  #flushing: 'idle' | 'scheduled' | 'running' = 'idle'
  #failed: AteError | undefined

  constructor(core: ChainCore, writer: WriterSession | undefined, keys: HeldKeys | undefined) {
    this.#core = core
    this.#writer = writer
    this.#keys = keys
    this.#synced = core.replica.head.seq
  }

  get durability(): Durability {
    return this.#core.engine.durability
  }

  get keyAccess(): KeyAccess {
    return this.#core.engine.ring.access ?? 'open'
  }

  attachedKey(entity: EntityWords): Promise<Uint8Array | undefined> {
    return this.#core.engine.ring.get(ringName(entity))
  }

  async countKeysElsewhere(): Promise<number> {
    return 0
  }

  get isAlone(): boolean {
    return !this.readOnly
  }

  get readOnly(): boolean {
    return this.#core.engine.readOnly
  }

  readonly acknowledgement: undefined = undefined

  get failure(): AteError | undefined {
    return this.#failed
  }

  async refresh(): Promise<number> {
    return 0
  }

  async finish(): Promise<void> {
    await this.settled()
    if (!this.#writer || this.#failed || !this.#core.attesting.becomeDue()) return
    this.schedule()
    await this.settled()
  }

  async release(): Promise<void> {
    this.#wake(this.#syncing)
    await this.#writer?.close()
  }

  /** A record that others would not take must never be stored: the log would end there. @throws AteError READ_ONLY */
  assertTakes(author: string | undefined): void {
    if (this.#core.replica.maySequence(this.#core.keyName, author)) return
    if (this.#core.replica.trust.sequencers === 'writers')
      throw new AteError('NOT_AUTHORIZED', { needs: 'to be known to the chain' })
    const hint =
      "a server orders this chain's records: put it into that server's folder, and open or recover it by its address"
    const what = 'the root has named servers that order its records'
    throw new AteError('READ_ONLY', { chain: this.#core.chainId, what }, { hint })
  }

  /** Resolves when all that is acknowledged now is durable as far as the engine can make it. */
  async durable(): Promise<void> {
    const { seq } = this.#core.replica.head
    while (this.#synced < seq) {
      this.#core.assertWritable()
      await new Promise<void>((resolve) => {
        this.#syncing.push(resolve)
        this.schedule()
      })
    }
  }

  /** Resolves when nothing is staged and nothing is being written. */
  settled(): Promise<void> {
    if (this.#flushing === 'idle' && this.#core.staging.isEmpty) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /**
   * Appends a record that is no commit. Waits for what is staged; what is staged meanwhile is judged again on top of it.
   * @throws as append of the engine
   */
  async appendOther(kind: Kind, payload: () => Uint8Array | Promise<Uint8Array>): Promise<LogRecord> {
    this.#core.assertWritable()
    while (this.#flushing !== 'idle' || !this.#core.staging.isEmpty) await this.settled()
    this.#core.assertWritable()
    this.assertTakes(undefined)
    // What waited may have taken this key out of its person: a record that nobody takes must never be stored.
    if (this.#core.replica.trust.actorOf(this.#core.keyName) === undefined)
      throw new AteError('KEY_REMOVED', { key: this.#core.identity.fingerprint })
    this.#flushing = 'running'
    // Planned before it is made: what is staged while others work on it comes behind it.
    const seq = this.#core.staging.planRecord()
    try {
      return await this.#appendRecord(kind, seq, await this.#make(payload))
    } finally {
      this.#flushing = 'idle'
      this.schedule()
    }
  }

  /** Made while nothing else is appended. If it cannot be made, nothing has happened. */
  async #make(payload: () => Uint8Array | Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      return await payload()
    } catch (error) {
      this.#core.staging.unplanRecord()
      throw error
    }
  }

  async #appendRecord(kind: Kind, seq: number, payload: Uint8Array): Promise<LogRecord> {
    const { head } = this.#core.replica
    const record = this.#makeRecord(kind, seq, head.hash, payload)
    try {
      const options = { after: head, durability: this.durability, load: 'alone' } as const
      const started = this.#core.observing.start('append')
      const { durability } = await this.#core.engine.append([record], options)
      this.#core.observing.appended(started, { records: [record], batches: [] }, durability)
      let swept: readonly number[] = []
      this.#core.staging.rebase(() => {
        const accepted = this.#core.replica.accept(record)
        swept = accepted.swept ?? []
        this.#core.publishAccepted(accepted)
      })
      const { view } = this.#core.replica
      await this.#eraseKeys(this.#keys!.erasedWith(swept.map((row) => view.wordsOf(row))))
      this.#noteHead(durability)
      return record
    } catch (error) {
      this.#fail([], error)
      throw error
    }
  }

  schedule(): void {
    if (this.#flushing !== 'idle' || this.#core.isClosed) return
    if (this.#core.staging.isEmpty && (!this.#core.attesting.isDue || this.#failed)) {
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
    const batches = this.#core.staging.take()
    const sync = this.#syncing.splice(0)
    // The disk has work while this process seals and signs; the record is written behind it.
    const { put, erase } = this.#keys!.changesOf(batches)
    const keys = put.length > 0 ? this.#core.engine.ring.putAll(put, 'works') : undefined
    keys?.catch(() => undefined)
    try {
      const sealing = sealAhead(batches, this.#core, () => this.#nextPlace(batches[0]!))
      const large = sealing && (await sealing)
      const append = this.#build(batches, large)
      if (append.records.length > 0 || sync.length > 0) {
        const started = this.#core.observing.start('append')
        await keys
        const written = whoHearsOfWriting(batches)
        // Who goes on before the sync does so while it runs: a sync on the spot would hold him up.
        const isAlone = !written && batches.length <= 1 && (batches[0]?.transactions.length ?? 0) <= 1
        const appended = this.#core.engine.append(append.records, {
          after: this.#core.replica.head,
          // A key must not be gone before what says so is there for good.
          durability: sync.length > 0 || erase.length > 0 ? this.durability : this.#durabilityOf(batches),
          load: isAlone ? 'alone' : 'group',
          written,
        })
        if (large) sealEarly(this.#core.staging.queued, this.#core, this.#placeAfter(append.commits.length))
        const { durability } = await appended
        this.#core.observing.appended(started, append, durability)
        await this.#eraseKeys(erase)
        await this.#acknowledge(append, durability)
        if (large) release(large)
      }
    } catch (error) {
      this.#fail(batches, error)
    }
    this.#wake(sync)
    this.#flushing = 'idle'
    this.schedule()
  }

  /** The deletion stands in the log, whatever the ring's disk says: the next opening tries again, and the key tells. */
  async #eraseKeys(names: readonly Uint8Array[]): Promise<void> {
    for (const name of names) {
      try {
        await this.#core.engine.ring.erase(name)
      } catch (error) {
        this.#core.observing.alarm(error)
      }
    }
  }

  /** The strongest level that somebody waits for. */
  #durabilityOf(batches: readonly Batch[]): Durability {
    let level: Durability | undefined
    for (const { transactions } of batches) {
      for (let i = 0; i < transactions.length; i++) {
        const wanted = transactions[i]!.durability
        if (level === undefined || durabilityRank(wanted) > durabilityRank(level)) level = wanted
      }
    }
    return level ?? this.durability
  }

  /** A successor certificate starts its numbers anew: it is taken between appends, so that all batches of one share it. */
  #nextPlace({ time }: Batch): { readonly writer: Uint8Array; readonly writerSeq: number } {
    this.#writer!.renew(time)
    return this.#placeAfter(0)
  }

  #placeAfter(commits: number): { readonly writer: Uint8Array; readonly writerSeq: number } {
    const { id, mark } = this.#writer!.current.certificate
    return { writer: id, writerSeq: mark + 1 + commits }
  }

  #build(batches: readonly Batch[], large: readonly (LargeBatch | undefined)[] | undefined): Append {
    const append: Append = { batches, records: [], commits: [], opened: [], prints: [] }
    if (batches.length > 0) this.#nextPlace(batches[0]!)
    let prev = this.#core.replica.head.hash
    for (const batch of batches) {
      const { certificate, signer, fresh } = this.#writer!.current
      const writerSeq = certificate.mark + 1 + append.commits.length
      const started = this.#core.observing.start('seal')
      const commit = this.#core.builder.build(batch, {
        prev,
        sequencer: this.#core.identity.fingerprintBytes,
        session: { writer: certificate.id, signer },
        writerSeq,
        certificate: append.commits.length === 0 ? fresh?.bytes : undefined,
        large:
          large?.[append.commits.length] ??
          (batch === batches[0] && batch.sizeBytes < SMALL_BYTES ? this.#small : undefined),
      })
      this.#core.observing.sealed(started, batch, commit.bytes)
      append.records.push({ seq: batch.seq, hash: commit.hash, bytes: commit.bytes })
      append.commits.push({ writerSeq, seq: batch.seq, hash: commit.commitHash })
      append.opened.push(commit.opened)
      append.prints.push(printOf(this.#core.crypto, commit.bytes, batch.events))
      prev = commit.hash
    }
    if (this.#core.staging.isEmpty) this.#addAttestations(append, prev)
    return append
  }

  /** Only when no batch waits: those have their seqs already. */
  #addAttestations(append: Append, prev: Uint8Array): void {
    // A commit of this append may have handed the order over to others.
    if (!this.#core.replica.maySequence(this.#core.keyName, this.#core.keyName)) {
      this.#core.attesting.rest()
      return
    }
    const current = append.commits.length > 0 ? this.#writer!.current.certificate : undefined
    let hash = prev
    for (const range of this.#core.attesting.ranges(current, append.commits)) {
      const record = this.#makeRecord(KIND.attestation, this.#core.staging.planRecord(), hash, this.#core.attest(range))
      append.records.push(record)
      hash = record.hash
    }
  }

  #makeRecord(kind: Kind, seq: number, prev: Uint8Array, payload: Uint8Array): LogRecord {
    const { crypto, replica, identity, staging } = this.#core
    const head = { seq, prev, admittedAt: staging.time, sequencer: identity.fingerprintBytes, kind }
    return encodeRecord(crypto, replica.chainId, head, payload)
  }

  async #acknowledge({ batches, records, commits, opened, prints }: Append, durability: Durability): Promise<void> {
    const { replica } = this.#core
    const current = batches.length > 0 ? this.#writer!.current : undefined
    for (let i = 0; i < batches.length; i++) {
      const { certificate, fresh } = current!
      if (i === 0 && fresh) replica.addCertificate(certificate, fresh.body)
      certificate.mark = commits[i]!.writerSeq
      certificate.unattested.push(commits[i]!)
      if (batches[i]!.transactions.length > 0) replica.chainTime = batches[i]!.time
      replica.advance(records[i]!)
      keepPrint(replica, records[i]!.seq, prints[i])
      this.#core.bodies.own.keep(batches[i]!.seq, opened[i]!)
      this.#core.publish(batches[i]!)
      this.#core.staging.acknowledge(batches[i]!, durability)
    }
    settleLists(replica.view)
    // Our own attestations go through the same check as anybody's.
    for (const record of records.slice(batches.length)) replica.accept(record)
    this.#noteHead(durability)
    this.#core.attesting.acknowledged(current?.certificate)
    queueMicrotask(() => this.#core.admit())
    try {
      if (current?.fresh) {
        this.#writer!.ordered()
        await this.#writer!.acknowledged()
      }
      await this.#core.rememberSometimes()
    } catch (error) {
      // What is acknowledged is, whatever becomes of this machine's own notes: close tries again, and tells.
      if (!isAteError(error) || error.code !== 'STATE_UNWRITABLE') throw error
    }
  }

  #noteHead(durability: Durability): void {
    this.#core.noteHead(durability)
    if (durability === this.durability) this.#synced = this.#core.replica.head.seq
  }

  /** A full disk may have room again, and a file may be had; anything else ends the writing of this handle. */
  #fail(batches: readonly Batch[], error: unknown): void {
    if (!isRefusedWrite(error)) {
      this.#failed ??= isAteError(error) ? error : new AteError('INTERNAL', { what: 'append' }, { cause: error })
    }
    this.#core.observing.alarm(error)
    this.#core.staging.dropAll(batches, () => error)
    this.#core.attesting.postpone()
    queueMicrotask(() => this.#core.admit())
    this.#wake(this.#syncing)
  }
}

/** Tells those who asked for it that their records are written; undefined if nobody did. */
function whoHearsOfWriting(batches: readonly Batch[]): (() => void) | undefined {
  let tell: (() => void)[] | undefined
  for (let b = 0; b < batches.length; b++) {
    const { transactions } = batches[b]!
    for (let t = 0; t < transactions.length; t++) {
      const written = transactions[t]!.settlers[0]?.written
      if (!written) continue
      tell ??= []
      tell.push(written)
    }
  }
  return (
    tell &&
    (() => {
      for (const run of tell) queueMicrotask(run)
    })
  )
}
