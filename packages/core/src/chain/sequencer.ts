/**
 * Orders the records of a chain that others write: who holds no key of it, and lets nobody write what he may not. What is
 * submitted is judged on top of all that came before it, and refused, or stored; while one group of records is being
 * stored, the next is judged.
 *
 * Invariants:
 * - the replica is ahead of the log by the groups that are being stored, and nobody is told of those yet;
 * - attached keys are in the ring before the records of their entities, and destroyed behind those that delete them, before
 *   anybody is told;
 * - a record is told of once it is as durable as `durability`, and what only the system has is synced a moment later;
 * - when the log fails, nothing is ordered any more: the state is read from the log again, by another sequencer.
 */
import type { Clock } from '../base/environment.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { ENTRY_COST_BYTES, KEY_COST_BYTES, SUBMITTED_BYTES_MAX } from '../base/limits.ts'
import type { Kind } from '../event/format.ts'
import { encodeRecord } from '../event/record.ts'
import type { Durability, Head, LogEngine, LogRecord } from '../log/engine.ts'
import type { KeyChanges } from './entity-keys.ts'
import type { KeptKeys, KeyEntry } from './kept-keys.ts'
import type { Replica } from './replica.ts'
import { type Refusal, refuse } from './verdict.ts'

/** Bytes of one append: bounds what one sync and one failure are about. */
const APPEND_BYTES_MAX: number = 8 * 1024 * 1024

const NO_KEYS: readonly KeyEntry[] = []

/** A record to be, without its head. A function makes it for the place that it gets. */
export interface Entry {
  readonly kind: Kind
  readonly payload: Uint8Array | (() => Uint8Array)
  /** Of entities that it creates. */
  readonly keys?: readonly KeyEntry[]
}

/** `refused` has one reason for all of it, or one for each transaction. */
export type EntryAnswer = { readonly seq: number } | { readonly refused: readonly Refusal[] }

/** Records that were stored at once. */
export interface StoredGroup {
  readonly records: readonly LogRecord[]
  /** Of each record. */
  readonly origins: readonly Origin[]
  readonly durability: Durability
}

/** No honest writer signs what does not verify: neither a race nor a refusal before it makes it so. */
const FORGED: ReadonlySet<string> = new Set(['BAD_SIGNATURE', 'BAD_CERTIFICATE'])

function isForged(answer: EntryAnswer): answer is { readonly refused: readonly Refusal[] } {
  return 'refused' in answer && FORGED.has(answer.refused[0]?.code ?? '')
}

/** What the first forged entry was refused for; undefined if there is none. */
export function forgeryIn(answers: readonly EntryAnswer[]): Refusal | undefined {
  return answers.find(isForged)?.refused[0]
}

function bytesOf({ payload, keys }: Entry): number {
  return ENTRY_COST_BYTES + (typeof payload === 'function' ? 0 : payload.length) + (keys ? keyBytesOf(keys) : 0)
}

/** What keys count for where bytes are bounded. */
export function keyBytesOf(keys: readonly { readonly bytes: Uint8Array }[]): number {
  return keys.reduce((sum, { bytes }) => sum + bytes.length + KEY_COST_BYTES, 0)
}

/** Who submitted a record that was stored, as it was given to `submit`, and which of the entries it was. */
export interface Origin {
  readonly by: object
  readonly index: number
}

interface Submission {
  readonly entries: readonly Entry[]
  readonly by: object
  readonly bytes: number
  readonly answer: (answers: readonly EntryAnswer[]) => void
  readonly fail: (error: AteError) => void
}

/** What was judged, and waits to be stored. */
interface Group {
  readonly records: LogRecord[]
  readonly origins: Origin[]
  readonly keys: KeyChanges
  readonly answered: { readonly submission: Submission; readonly answers: readonly EntryAnswer[] }[]
}

export interface SequencerParts {
  readonly engine: LogEngine
  /** Of all that the engine holds; from here on nobody else changes it. */
  readonly replica: Replica
  /** Of the engine's ring, and the replica. */
  readonly keys: KeptKeys
  readonly clock: Clock
  /** 32 bytes: the fingerprint under which records are ordered. */
  readonly fingerprint: Uint8Array
  /** How safe a record is when others are told of it; what the engine reaches, if left out. */
  readonly durability?: Durability | undefined
  /** Told while records are being stored, and before anybody may be told of them: the newest of them, which may fail still. */
  readonly storing?: (head: Head) => void
}

export class Sequencer {
  readonly engine: LogEngine
  readonly replica: Replica
  readonly listeners: Set<(group: StoredGroup) => void> = new Set()
  /** Told once, when the log has failed. */
  readonly failures: Set<(error: AteError) => void> = new Set()
  /** How safe a record is when others are told of it. */
  readonly durability: Durability
  readonly #clock: Clock
  readonly #fingerprint: Uint8Array
  readonly #keys: KeptKeys
  readonly #onStoring: SequencerParts['storing']
  readonly #queue: Submission[] = []
  readonly #idle: (() => void)[] = []
  /** Who waits for the next group to be stored. */
  readonly #storing: (() => void)[] = []
  #bytes = 0
  /** What is stored is to reach the engine's own level. */
  #syncDue = false
  #running = false
  #failed: AteError | undefined
  /** The newest record that is stored. */
  #stored: { readonly seq: number; readonly hash: Uint8Array }

  constructor({ engine, replica, keys, clock, fingerprint, durability, storing }: SequencerParts) {
    this.#onStoring = storing
    this.engine = engine
    this.durability = durability ?? engine.durability
    this.replica = replica
    this.#keys = keys
    this.#clock = clock
    this.#fingerprint = fingerprint
    this.#stored = replica.head
  }

  /** The newest record that others may be told of. */
  get head(): { readonly seq: number; readonly hash: Uint8Array } {
    return this.#stored
  }

  get failure(): AteError | undefined {
    return this.#failed
  }

  /**
   * Orders `entries` one behind the other; one answer for each, once all that is stored of them is durable. One that is
   * refused leaves no trace, and those behind it are judged nevertheless. `by` is any object of the caller's: records
   * that are stored are told with it.
   * @throws AteError BUSY, and what has ended the sequencer
   */
  submit(entries: readonly Entry[], by: object): Promise<readonly EntryAnswer[]> {
    if (this.#failed) return Promise.reject(this.#failed)
    const bytes = entries.reduce((sum, entry) => sum + bytesOf(entry), 0)
    if (this.#bytes + bytes > SUBMITTED_BYTES_MAX && this.#bytes > 0)
      return Promise.reject(new AteError('BUSY', { bytes: this.#bytes, max: SUBMITTED_BYTES_MAX }))
    this.#bytes += bytes
    return new Promise((answer, fail) => {
      this.#queue.push({ entries, by, bytes, answer, fail })
      this.#start()
    })
  }

  /** What is stored reaches the level of the engine, behind what is being stored now. A log that fails tells so itself. */
  sync(): void {
    if (this.#failed || this.durability === this.engine.durability) return
    this.#syncDue = true
    this.#start()
  }

  #start(): void {
    if (this.#running) return
    this.#running = true
    // What comes in the same turn shares the append.
    queueMicrotask(() => void this.#run())
  }

  /** Resolves when all that is judged now has reached the engine's own level. @throws what has ended the sequencer */
  async durable(): Promise<void> {
    const { seq } = this.replica.head
    while (this.#stored.seq < seq || this.engine.durableSeq() < seq) {
      if (this.#failed) throw this.#failed
      this.sync()
      await new Promise<void>((resolve) => this.#storing.push(resolve))
    }
  }

  /** Resolves when all that is judged now may be told of. @throws what has ended the sequencer */
  async stored(): Promise<void> {
    const { seq } = this.replica.head
    while (this.#stored.seq < seq) {
      if (this.#failed) throw this.#failed
      await new Promise<void>((resolve) => this.#storing.push(resolve))
    }
  }

  /** Resolves when all that was submitted is answered. */
  settled(): Promise<void> {
    if (!this.#running) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  async #run(): Promise<void> {
    let storing = Promise.resolve()
    // Nothing is awaited between the last look at the queue and the end: what comes between would wait for the next one.
    while (this.#hasWork) {
      const group: Group = { records: [], origins: [], keys: { put: [], erase: [] }, answered: [] }
      const mistake = this.#judgeAll(group)
      await storing
      // What was judged on top of what is not stored is not stored either.
      if (mistake || this.#failed) {
        this.#fail(mistake?.error, group.answered)
        break
      }
      storing = this.#store(group)
      if (!this.#hasWork) await storing
    }
    this.#running = false
    for (const resume of this.#idle.splice(0)) resume()
  }

  get #hasWork(): boolean {
    return (this.#queue.length > 0 || this.#syncDue) && !this.#failed
  }

  /** Gives what is no refusal but a mistake of ours: nobody knows what the replica is by then. Other chains of this process go on. */
  #judgeAll(group: Group): { readonly error: unknown } | undefined {
    try {
      this.#judgeQueue(group)
      return undefined
    } catch (error) {
      return { error }
    }
  }

  #judgeQueue(group: Group): void {
    let bytes = 0
    while (this.#queue.length > 0 && bytes < APPEND_BYTES_MAX) {
      const submission = this.#queue.shift()!
      const answers: EntryAnswer[] = []
      group.answered.push({ submission, answers })
      let forged: EntryAnswer | undefined
      submission.entries.forEach((entry, index) => {
        // Behind a forgery nothing is looked at: a signature costs more to verify than to make up.
        const answer = forged ?? this.#judge(entry, group)
        if (isForged(answer)) forged = answer
        answers.push(answer)
        if ('seq' in answer) group.origins.push({ by: submission.by, index })
      })
      bytes += submission.bytes
    }
  }

  #judge({ kind, payload, keys }: Entry, group: Group): EntryAnswer {
    const { replica } = this
    const seq = replica.head.seq + 1
    try {
      const bytes = typeof payload === 'function' ? payload() : payload
      const admittedAt = Math.max(replica.chainTime, this.#clock.now())
      const head = { seq, prev: replica.head.hash, admittedAt, sequencer: this.#fingerprint, kind }
      const record = encodeRecord(replica.crypto, replica.chainId, head, bytes)
      const offered = replica.offer(record)
      if ('refused' in offered) return offered
      group.records.push(record)
      this.#keys.note(offered, keys ?? NO_KEYS, group.keys)
      return { seq }
    } catch (error) {
      if (!isAteError(error) || error.code === 'INTERNAL') throw error
      return { refused: [refuse(error.code, error.facts)] }
    }
  }

  async #store({ records, origins, keys, answered }: Group): Promise<void> {
    const { engine } = this
    // A key must not be gone before what says so is there for good.
    const level = this.#syncDue || keys.erase.length > 0 ? engine.durability : this.durability
    try {
      if (keys.put.length > 0) await this.#keys.put(keys)
      if (records.length > 0 || this.#syncDue) {
        this.#syncDue = false
        const load = records.length === 1 && this.#queue.length === 0 ? 'alone' : 'group'
        const appended = engine.append(records, { after: this.#stored, durability: level, load })
        // The disk takes longer than what this thread has to do for them.
        if (records.length > 0) this.#onStoring?.(records.at(-1)!)
        await appended
      }
      if (keys.erase.length > 0) await this.#keys.erase(keys)
      if (records.length > 0) {
        const { durability } = this
        const { seq, hash } = records[records.length - 1]!
        this.#stored = { seq, hash }
        for (const listener of this.listeners) listener({ records, origins, durability })
      }
      for (const resume of this.#storing.splice(0)) resume()
      for (const { submission, answers } of answered) {
        this.#bytes -= submission.bytes
        submission.answer(answers)
      }
    } catch (error) {
      this.#fail(error, answered)
    }
  }

  #fail(error: unknown, answered: Group['answered']): void {
    const isFirst = this.#failed === undefined
    this.#failed ??= isAteError(error) ? error : new AteError('INTERNAL', { what: 'append' }, { cause: error })
    const failure = this.#failed
    for (const { submission } of answered) submission.fail(failure)
    for (const submission of this.#queue.splice(0)) submission.fail(failure)
    this.#bytes = 0
    for (const resume of this.#storing.splice(0)) resume()
    if (isFirst) for (const listener of this.failures) listener(failure)
  }
}
