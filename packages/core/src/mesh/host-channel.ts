/**
 * One chain on one connection of a server: what the client is sent of it, in the order of the log, as far as he has room.
 * Nothing of it is queued here but answers: records wait in the log.
 *
 * An answer is sent behind every record that was stored before it was given.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import {
  BODIES_ASKED_MAX,
  ENTRY_COST_BYTES,
  KEYS_ASKED_MAX,
  READ_WINDOW_BYTES,
  RECORD_BYTES_MAX,
  SUBMISSION_BYTES_MAX,
  SUBMISSION_ENTRIES_MAX,
} from '../base/limits.ts'
import type { KeyEntry } from '../chain/kept-keys.ts'
import type { BodyPlace, KeyAccess } from '../chain/link.ts'
import { type Entry, type EntryAnswer, forgeryIn, keyBytesOf, type Origin } from '../chain/sequencer.ts'
import { refuse } from '../chain/verdict.ts'
import { wordsOf } from '../event/entity-words.ts'
import { KIND, type Kind, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { Durability, Head, LogRecord } from '../log/engine.ts'
import type { PublicIdentity } from '../session/identity.ts'
import type { Follower, HostedChain } from './hosted-chain.ts'
import { KeyDesk } from './key-desk.ts'
import type { KeyClientMessage } from './key-messages.ts'
import type { Bodies, ServerMessage } from './messages.ts'

/** Bytes of records that are read from the log at once. */
const READ_BYTES = 256 * 1024
/** Bytes in the connection's own buffers above which records wait. */
export const BUFFERED_BYTES_MAX: number = 1024 * 1024
/** Answers that wait for their records. */
const ANSWERS_MAX = 4096
const NO_BYTES = new Uint8Array(0)

/** A submission that is not whole yet. */
interface Collecting {
  readonly id: number
  readonly entries: Entry[]
  bytes: number
  /** Those that go with its next entry, and their bytes. */
  keys: KeyEntry[]
  keyBytes: number
}

const NOTHING: { readonly bytes: number; readonly entries: readonly Entry[] } = { bytes: 0, entries: [] }

/** What a channel needs of its connection. */
export interface ChannelOut {
  /** What was said and waits for the client, and what was promised. */
  readonly bufferedBytes: number
  send(message: ServerMessage): void
  /** So many bytes that are being read will be said: they count as if they waited already, until what is given back is called. */
  promise(bytes: number): (message: ServerMessage | undefined) => void
}

/** The sender of a submission: what the sequencer calls `by`. */
interface Submitted {
  readonly channel: HostChannel
  readonly id: number
}

export interface HostChannelParts {
  readonly number: number
  readonly chain: HostedChain
  readonly out: ChannelOut
  /** The first record that the client lacks. */
  readonly from: number
  readonly bodies: Bodies
  /** Who is at the other end. */
  readonly identity: PublicIdentity
  /** A server of the same ring. */
  readonly isSibling: boolean
  readonly keyAccess: KeyAccess
  /** Told before anything is ordered, and when it is answered. */
  readonly submitting: (entries: number) => void
  readonly answered: (answers: readonly EntryAnswer[], tookMs: number) => void
  readonly closed: (error: AteError) => void
  /** What was submitted bears the signature of nobody: no client sends that. */
  readonly forged: (error: AteError) => void
}

export class HostChannel implements Follower {
  readonly chain: HostedChain
  readonly #number: number
  readonly #out: ChannelOut
  readonly #parts: HostChannelParts
  readonly #closed: HostChannelParts['closed']
  /** The next record to send. */
  #next: number
  #credit = READ_WINDOW_BYTES
  #reading = false
  /** Bodies that it has asked for, and that are not read yet; and how many are being read. */
  readonly #asked: (BodyPlace & { readonly id: number })[] = []
  #readingBodies = 0
  #left = false
  #acknowledgement: Uint8Array | undefined
  readonly #desk: KeyDesk
  readonly #waiting: { readonly after: number; readonly message: ServerMessage }[] = []
  #collecting: Collecting | undefined

  constructor(parts: HostChannelParts) {
    const { number, chain, out, from, closed } = parts
    this.#parts = parts
    this.#number = number
    this.chain = chain
    this.#out = out
    this.#closed = closed
    this.#next = from
    this.#acknowledgement = chain.acknowledgement()
    this.#desk = new KeyDesk({
      channel: number,
      chain,
      asker: parts.identity,
      access: parts.keyAccess,
      isSibling: parts.isSibling,
      hasRoom: () => out.bufferedBytes < BUFFERED_BYTES_MAX,
      send: (message) => out.send(message),
    })
    chain.followers.add(this)
    // What it has, signed: whoever has seen more can show that.
    out.send({ type: 'ack', channel: number, bytes: this.#acknowledgement })
    this.pump()
  }

  get isSibling(): boolean {
    return this.#parts.isSibling
  }

  leave(): void {
    this.#left = true
    this.#asked.length = 0
    this.#desk.close()
    this.chain.followers.delete(this)
    this.chain.stay(this)
  }

  hasWritten(origins: readonly Origin[]): boolean {
    return origins.some(({ by }) => (by as Submitted).channel === this)
  }

  stored(acknowledgement: Uint8Array): void {
    this.#acknowledgement = acknowledgement
    this.pump()
  }

  failed(error: AteError): void {
    this.leave()
    this.#closed(error)
  }

  /** A body that did not go with its record. Whoever follows the chain could have had it; it is sealed. */
  body(asked: BodyPlace & { readonly id: number }): void {
    if (this.#asked.length + this.#readingBodies >= BODIES_ASKED_MAX) {
      this.failed(new AteError('BUSY', { bodies: BODIES_ASKED_MAX }))
      return
    }
    this.#asked.push(asked)
    this.#readBodies()
  }

  /** As far as there is room: a few large ones asked for at once are more than what a reader is cut off for. */
  #readBodies(): void {
    while (this.#asked.length > 0 && this.#out.bufferedBytes < BUFFERED_BYTES_MAX)
      void this.#readBody(this.#asked.shift()!)
  }

  async #readBody({ id, record, block, offset, size }: BodyPlace & { readonly id: number }): Promise<void> {
    this.#readingBodies++
    const answer = this.#out.promise(size)
    const bytes = await this.chain.bodyAt({ record, block, offset, size }).catch(() => NO_BYTES)
    this.#readingBodies--
    answer(this.#left ? undefined : { type: 'body', channel: this.#number, id, bytes })
  }

  credit(bytes: number): void {
    this.#credit = Math.min(READ_WINDOW_BYTES, this.#credit + bytes)
    this.pump()
  }

  sync(id: number): void {
    this.#answer({ type: 'synced', channel: this.#number, id })
  }

  /** Of a submission that is not whole yet, with what its entries take beside. */
  get collectingBytes(): number {
    const { bytes, entries } = this.#collecting ?? NOTHING
    return bytes + entries.length * ENTRY_COST_BYTES
  }

  /** A server of the ring takes the chain: nobody else writes it here from the answer on. */
  async take(id: number, to: string): Promise<void> {
    try {
      await this.chain.leaveTo(to, this)
      if (!this.#left) this.sync(id)
    } catch (error) {
      if (!isAteError(error)) throw error
      this.failed(error)
    }
  }

  /** It is whole over there: here it is read only from now on, and says where it went. */
  async taken(id: number, head: Head | undefined): Promise<void> {
    const own = this.chain.sequencer.head
    const to = this.chain.leavingTo
    try {
      if (
        to === undefined ||
        !this.chain.isLeavingBy(this) ||
        head?.seq !== own.seq ||
        !equalBytes(head.hash, own.hash)
      )
        throw new AteError('BAD_MESSAGE', { what: 'taken' })
      await this.chain.engine.setStanding({ state: 'moved', note: to })
      // What is destroyed over there must not be left here.
      await this.chain.keys.destroyAll()
      if (!this.#left) this.sync(id)
    } catch (error) {
      if (!isAteError(error)) throw error
      this.failed(error)
    }
  }

  /** What somebody asks of attached keys. */
  ask(question: Extract<KeyClientMessage, { type: 'ask' | 'ring' }>): void {
    if (!this.#desk.ask(question)) this.failed(new AteError('BUSY', { keys: KEYS_ASKED_MAX }))
  }

  /** A key that goes with the next entry of a submission. False if it breaks what clients keep to. */
  key({ id, entity, bytes }: Extract<KeyClientMessage, { type: 'key' }>): boolean {
    const collecting = this.#collect(id)
    const key = { entity: wordsOf(entity), bytes: bytes.slice() }
    const size = keyBytesOf([key])
    collecting.keys.push(key)
    collecting.keyBytes += size
    collecting.bytes += size
    return this.#parts.keyAccess !== 'none' && this.#isGood(id) && collecting.keyBytes <= RECORD_BYTES_MAX
  }

  /** One entry of a submission. False if it breaks what clients keep to. */
  submit(id: number, entry: { readonly kind: Kind; readonly payload: Uint8Array }, isLast: boolean): boolean {
    const collecting = this.#collect(id)
    const { entries, keys } = collecting
    // A copy: the frame is not ours to keep.
    entries.push({ kind: entry.kind, payload: entry.payload.slice(), ...(keys.length > 0 ? { keys } : {}) })
    collecting.bytes += entry.payload.length
    collecting.keys = []
    collecting.keyBytes = 0
    if (!this.#isGood(id) || (keys.length > 0 && entry.kind !== KIND.commit)) return false
    if (!isLast) return true
    this.#collecting = undefined
    void this.#order(id, entries)
    return true
  }

  #collect(id: number): Collecting {
    this.#collecting ??= { id, entries: [], bytes: 0, keys: [], keyBytes: 0 }
    return this.#collecting
  }

  #isGood(wanted: number): boolean {
    const { id, entries, bytes } = this.#collecting!
    return id === wanted && entries.length <= SUBMISSION_ENTRIES_MAX && bytes <= SUBMISSION_BYTES_MAX
  }

  /** Sends what there is, as far as there is room. */
  pump(): void {
    this.#desk.pump()
    this.#readBodies()
    if (this.#reading || this.#left) return
    while (this.#hasRoom && this.#next <= this.chain.sequencer.head.seq) {
      const recent = this.chain.recent(this.#next)
      if (!recent) {
        void this.#read()
        return
      }
      const { by, index } = recent.origin
      this.#send(
        recent.record,
        recent.level,
        (by as Submitted).channel === this ? { by: by as Submitted, index } : undefined,
      )
    }
    this.#flushAnswers()
  }

  get #hasRoom(): boolean {
    return this.#credit > 0 && this.#out.bufferedBytes < BUFFERED_BYTES_MAX
  }

  async #read(): Promise<void> {
    this.#reading = true
    const { engine, durability } = this.chain.sequencer
    try {
      for await (const chunk of engine.read(this.#next, { chunkBytes: READ_BYTES })) {
        for (const record of chunk) {
          if (this.#left || !this.#hasRoom || record.seq > this.chain.sequencer.head.seq) break
          this.#send(record, durability, undefined)
        }
        if (this.#left || !this.#hasRoom || this.chain.recent(this.#next)) break
      }
    } catch (error) {
      if (!this.#left && isAteError(error)) this.failed(error)
      else if (!this.#left) throw error
    } finally {
      this.#reading = false
    }
    this.pump()
  }

  #send(
    record: LogRecord,
    level: Durability,
    own: { readonly by: Submitted; readonly index: number } | undefined,
  ): void {
    const channel = this.#number
    this.#next = record.seq + 1
    if (own) {
      this.#credit -= record.bytes.length
      const head = record.bytes.subarray(0, RECORD_HEAD_BYTES)
      this.#out.send({ type: 'own', channel, level, id: own.by.id, index: own.index, head })
    } else {
      const bytes = this.#parts.bodies === 'all' ? record.bytes : this.chain.withoutBodies(record)
      // What is sent, as the client counts it.
      this.#credit -= bytes.length
      this.#out.send({ type: 'record', channel, level, bytes })
    }
    if (record.seq === this.chain.sequencer.head.seq && this.#acknowledgement)
      this.#out.send({ type: 'ack', channel, bytes: this.#acknowledgement })
  }

  async #order(id: number, entries: readonly Entry[]): Promise<void> {
    const { submitting, answered } = this.#parts
    const { clock } = this.chain.environment
    const began = clock.monotonic()
    submitting(entries.length)
    let answers: readonly EntryAnswer[]
    try {
      const by: Submitted = { channel: this, id }
      answers = await this.chain.submit(entries, by)
    } catch (error) {
      // A log that has failed closes the channel, and tells so itself.
      if (!isAteError(error) || this.#left) return
      answers = entries.map(() => ({ refused: [refuse(error.code, error.facts)] }))
    }
    answered(answers, clock.monotonic() - began)
    if (this.#left) return
    this.#answer({ type: 'answers', channel: this.#number, id, answers })
    const forged = forgeryIn(answers)
    if (forged) this.#parts.forged(new AteError(forged.code, forged.facts))
  }

  #answer(message: ServerMessage): void {
    this.#waiting.push({ after: this.chain.sequencer.head.seq, message })
    if (this.#waiting.length > ANSWERS_MAX) this.failed(new AteError('BUSY', { answers: ANSWERS_MAX }))
    else this.pump()
  }

  #flushAnswers(): void {
    while (this.#waiting[0] && this.#waiting[0].after < this.#next) this.#out.send(this.#waiting.shift()!.message)
  }
}
