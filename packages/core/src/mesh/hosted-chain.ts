/**
 * A chain that a server has open: its sequencer, the newest records in memory for those who keep up, and who follows it.
 * Others are read from the log, so a reader who is slow costs the server nothing. It compacts by itself, and signs a
 * checkpoint now and then.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Environment } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import { CHECKPOINT_DELAY_MS, RECENT_BYTES_MAX, RECENT_IDLE_MS, SYNC_DELAY_MS } from '../base/limits.ts'
import type { KeptKeys } from '../chain/kept-keys.ts'
import type { BodyPlace } from '../chain/link.ts'
import type { Replica } from '../chain/replica.ts'
import { type Entry, type EntryAnswer, type Origin, Sequencer, type StoredGroup } from '../chain/sequencer.ts'
import { refuse } from '../chain/verdict.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import type { CompactPolicy } from '../data/compact-policy.ts'
import { Compacting } from '../data/compacting.ts'
import { encodeAcknowledgement } from '../event/acknowledgement.ts'
import { checkpointOrigin } from '../event/checkpoint.ts'
import { encodeCheckpoint } from '../event/checkpoint-encode.ts'
import { CommitCompactor } from '../event/commit-compact.ts'
import {
  type CommitParser,
  type ParsedCommit,
  parseBlockPlaces,
  placesEnd,
  sharedParser,
} from '../event/commit-parse.ts'
import { COMMIT, KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import { sliceAt } from '../event/kept-runs.ts'
import type { Durability, Head, LogEngine, LogRecord } from '../log/engine.ts'
import { LIVE } from '../log/standing.ts'
import type { Dates } from './dates.ts'
import type { ChainQuota } from './holdings.ts'

/** Of more followers than this a writer's answer does not wait for the others: each takes some 50 us. */
const FIRST_MAX = 8

export interface RecentRecord {
  readonly record: LogRecord
  readonly origin: Origin
  readonly level: Durability
}

/** Who is told when there is something to read. */
export interface Follower {
  /** Records were stored; `acknowledgement` is of the newest. */
  stored(acknowledgement: Uint8Array): void
  /** Whether one of them is of who is at the other end. */
  hasWritten(origins: readonly Origin[]): boolean
  /** The log has failed: the chain is closed, and opened again for who asks. */
  failed(error: AteError): void
}

export interface HostedParts {
  readonly name: string
  readonly engine: LogEngine
  readonly replica: Replica
  /** Of the engine's ring. */
  readonly keys: KeptKeys
  readonly environment: Environment
  /** 32 bytes: under whose name records are ordered. */
  readonly fingerprint: Uint8Array
  /** What acknowledgements are dated by. */
  readonly dates: Pick<Dates, 'now'>
  /** What signs acknowledgements, and what signs checkpoints. */
  readonly signer: Signer
  readonly checkpointSigner: Signer
  readonly compact: CompactPolicy | undefined
  readonly compacted?: (outcome: string) => void
  /** How safe a record is when its writer is answered; what the engine reaches, if left out. */
  readonly durability?: Durability | undefined
  /** What its owner may store; anything, if left out. */
  readonly quota?: ChainQuota | undefined
}

/** An acknowledgement. */
interface Signed {
  readonly head: Head
  readonly bytes: Uint8Array
}

export class HostedChain {
  readonly name: string
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  readonly replica: Replica
  readonly keys: KeptKeys
  readonly sequencer: Sequencer
  readonly followers: Set<Follower> = new Set()
  readonly listeners: { add(listener: () => void): unknown }
  readonly closers: Set<() => void> = new Set()
  readonly #parts: HostedParts
  readonly #compacting: Compacting
  readonly #parser: CommitParser
  /** Made for the first reader who wants no bodies. */
  #compactor: CommitCompactor | undefined
  /** Without gaps up to the newest that is stored. */
  readonly #recent: RecentRecord[] = []
  #recentBytes = 0
  #acknowledgement: Signed | undefined
  /** Of what is being stored: shown to nobody before it is. */
  #next: Signed | undefined
  #checkpointing: { cancel(): void } | undefined
  #syncing: { cancel(): void } | undefined
  #resting: { cancel(): void } | undefined
  /** Something was stored since it was looked at. */
  #isFresh = false
  #leaving: { readonly by: Follower; readonly to: string } | undefined
  #closed = false
  /** What holds a whole record in memory for somebody who asks is done for one at a time. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(parts: HostedParts) {
    const { name, engine, replica, keys, environment, fingerprint, compact, durability } = parts
    this.#parts = parts
    this.name = name
    this.crypto = replica.crypto
    this.#parser = sharedParser(replica.crypto)
    this.environment = environment
    this.engine = engine
    this.replica = replica
    this.keys = keys
    this.sequencer = new Sequencer({
      engine,
      replica,
      keys,
      clock: environment.clock,
      fingerprint,
      durability,
      storing: (head) => {
        this.#next = this.#sign(head)
      },
    })
    this.listeners = this.sequencer.listeners
    this.sequencer.listeners.add((group) => this.#stored(group))
    this.sequencer.failures.add((error) => {
      this.#end()
      for (const follower of [...this.followers]) follower.failed(error)
    })
    this.#compacting = new Compacting(this, compact)
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** @throws AteError, what has ended the sequencer */
  assertWritable(): void {
    if (this.sequencer.failure) throw this.sequencer.failure
  }

  durable(): Promise<void> {
    return this.sequencer.durable()
  }

  /** Signed anew for each head, once: the server says again what it has said. */
  acknowledgement(): Uint8Array {
    const { head } = this.sequencer
    if (this.#acknowledgement?.head.seq !== head.seq) {
      const isSigned = this.#next?.head.seq === head.seq && equalBytes(this.#next.head.hash, head.hash)
      this.#acknowledgement = isSigned ? this.#next! : this.#sign(head)
    }
    return this.#acknowledgement.bytes
  }

  #sign({ seq, hash }: Head): Signed {
    const at = this.#parts.dates.now()
    const body = { chain: this.replica.chainId, seq, hash, level: this.sequencer.durability, at }
    return { head: { seq, hash }, bytes: encodeAcknowledgement(this.crypto, body, this.#parts.signer) }
  }

  /** A stored record that is in memory still. */
  recent(seq: number): RecentRecord | undefined {
    const first = this.#recent[0]?.record.seq
    return first === undefined ? undefined : this.#recent[seq - first]
  }

  /** The record as it is after all of its bodies were dropped: it has the same hash, and folds to the same. Ours until the next call. */
  withoutBodies(record: LogRecord): Uint8Array {
    if (record.bytes[RECORD_HEAD_BYTES - 1] !== KIND.commit) return record.bytes
    const commit = this.#parser.parse(this.replica.chainId, record.bytes)
    this.#compactor ??= new CommitCompactor()
    return this.#compactor.compact(commit, () => false) ?? record.bytes
  }

  /** @throws AteError BODY_DROPPED | NOT_FOUND | DAMAGED | IO_ERROR */
  async bodyAt({ record, block, offset, size }: BodyPlace): Promise<Uint8Array> {
    if (record > this.sequencer.head.seq) throw new AteError('NOT_FOUND', { seq: record })
    const start = await this.engine.readPart(record, 0, COMMIT.certificate)
    const end = placesEnd(start)
    const places = parseBlockPlaces(end > start.length ? await this.engine.readPart(record, 0, end) : start)
    const found = places.blocks[block]
    const at = found && sliceAt(found, offset, size)
    if (at === undefined || offset + size > found!.size) throw new AteError('BODY_DROPPED', { seq: record })
    return (await this.engine.readPart(record, at, size)).slice()
  }

  /** The stored record `seq`, if it is a commit. @throws AteError DAMAGED | IO_ERROR */
  async commitAt(seq: number): Promise<ParsedCommit | undefined> {
    let bytes = this.recent(seq)?.record.bytes
    if (!bytes) {
      for await (const [record] of this.engine.read(seq, { chunkBytes: 1 })) {
        bytes = record!.bytes.slice()
        break
      }
    }
    if (!bytes || bytes[RECORD_HEAD_BYTES - 1] !== KIND.commit) return undefined
    return this.#parser.parse(this.replica.chainId, bytes)
  }

  /** Runs behind what was asked for before. */
  inTurn<T>(run: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(run)
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  /** It was restored here, or salvaged: somebody else may be writing the original. */
  get isCopy(): boolean {
    return this.engine.standing.state === 'copy'
  }

  submit(entries: readonly Entry[], by: object): Promise<readonly EntryAnswer[]> {
    const { quota } = this.#parts
    if (this.isCopy) return this.#submitToCopy(entries, by)
    if (!quota) return this.sequencer.submit(entries, by)
    return quota.submit(entries, (fitting) => this.sequencer.submit(fitting, by))
  }

  /** Only what recovers it. What came behind that waits until it counts. */
  #submitToCopy(entries: readonly Entry[], by: object): Promise<readonly EntryAnswer[]> {
    return this.inTurn(async () => {
      if (!this.isCopy) return this.submit(entries, by)
      const isRecovery = entries.length === 1 && entries[0]!.kind === KIND.recover
      if (!isRecovery) return entries.map(() => ({ refused: [refuse('CHAIN_COPY', { name: this.name })] }))
      const answers = await this.sequencer.submit(entries, by)
      if (answers.every((answer) => 'seq' in answer)) await this.engine.setStanding(LIVE)
      this.#parts.quota?.measure()
      return answers
    })
  }

  /** The server that takes this chain, from when nobody else writes it here. */
  get leavingTo(): string | undefined {
    return this.#leaving?.to
  }

  isLeavingBy(follower: Follower): boolean {
    return this.#leaving?.by === follower
  }

  /** Sends everybody but `by` to the server `to`; when it resolves, the head is the last one here. @throws AteError BUSY */
  async leaveTo(to: string, by: Follower): Promise<void> {
    if (this.#leaving && this.#leaving.by !== by) throw new AteError('BUSY', { what: 'the chain is being taken' })
    this.#leaving = { by, to }
    this.#checkpointing?.cancel()
    this.#checkpointing = undefined
    const elsewhere = new AteError('CHAIN_ELSEWHERE', { url: to, why: 'ring' })
    for (const follower of [...this.followers]) if (follower !== by) follower.failed(elsewhere)
    await this.sequencer.settled()
  }

  /** Who was taking it is gone: it stays. */
  stay(follower: Follower): void {
    if (this.isLeavingBy(follower)) this.#leaving = undefined
  }

  /** A compaction has ended. */
  compacted(): void {
    this.#parts.quota?.measure()
    this.#parts.compacted?.(this.#compacting.state.failed ?? 'ok')
  }

  async close(): Promise<void> {
    if (this.#checkpointing && !this.sequencer.failure) await this.#checkpoint()
    this.sequencer.sync()
    await this.sequencer.settled()
    this.#end()
    this.#parts.quota?.measure()
    await this.engine.close()
  }

  #end(): void {
    this.#closed = true
    this.#checkpointing?.cancel()
    this.#syncing?.cancel()
    this.#resting?.cancel()
    for (const close of this.closers) close()
  }

  #stored({ records, origins, durability: level }: StoredGroup): void {
    records.forEach((record, i) => {
      this.#recent.push({ record, origin: origins[i]!, level })
      this.#recentBytes += record.bytes.length
    })
    let drop = 0
    while (this.#recentBytes > RECENT_BYTES_MAX && drop < this.#recent.length - 1)
      this.#recentBytes -= this.#recent[drop++]!.record.bytes.length
    if (drop > 0) this.#recent.splice(0, drop)
    this.#restLater()
    // One of our own starts nothing: it would never end.
    if (origins.some(({ by }) => by !== this)) this.#checkpointLater()
    if (level !== this.engine.durability) this.#syncLater()
    const acknowledgement = this.acknowledgement()
    if (this.followers.size > FIRST_MAX) for (const follower of this.followers) follower.stored(acknowledgement)
    else this.#tellReadersFirst(origins, acknowledgement)
  }

  /**
   * Who writes it knows it, and waits for one answer; the others see it for the first time. A write to a socket may put the process
   * that it wakes in the place of this one, so what is written first is there much earlier.
   */
  #tellReadersFirst(origins: readonly Origin[], acknowledgement: Uint8Array): void {
    const writers: Follower[] = []
    for (const follower of this.followers) {
      if (follower.hasWritten(origins)) writers.push(follower)
      else follower.stored(acknowledgement)
    }
    for (const follower of writers) follower.stored(acknowledgement)
  }

  /** What only the system has does not stay so for long. */
  #syncLater(): void {
    this.#syncing ??= this.environment.timers.start(SYNC_DELAY_MS, () => {
      this.#syncing = undefined
      this.sequencer.sync()
    })
  }

  /** What nobody has written to for a while has no records in memory. Who still lacks some is sent them from the log. */
  #restLater(): void {
    this.#isFresh = true
    this.#resting ??= this.environment.timers.start(RECENT_IDLE_MS, () => {
      this.#resting = undefined
      if (this.#isFresh && this.#recent.length > 0) {
        this.#restLater()
        this.#isFresh = false
        return
      }
      this.#recent.length = 0
      this.#recentBytes = 0
    })
  }

  #checkpointLater(): void {
    if (this.#leaving) return
    const { timers } = this.environment
    this.#checkpointing ??= timers.start(CHECKPOINT_DELAY_MS, () => void this.#checkpoint())
  }

  /** Where the root has named our key. What comes of it is in the log, or not: another follows. */
  async #checkpoint(): Promise<void> {
    this.#checkpointing?.cancel()
    this.#checkpointing = undefined
    const { checkpointSigner: key } = this.#parts
    if (!this.replica.trust.checkpointKeys.some((known) => equalBytes(known, key.publicKey))) return
    const origin = checkpointOrigin(chainIdOf(this.replica.chainId))
    const payload = (): Uint8Array => {
      const { tree } = this.replica
      return encodeCheckpoint(this.crypto, { origin, size: tree.size, root: tree.root() }, key)
    }
    // A log that has failed tells who follows it.
    await this.submit([{ kind: KIND.checkpoint, payload }], this).catch(() => undefined)
  }
}
