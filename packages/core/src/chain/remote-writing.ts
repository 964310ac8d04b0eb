/**
 * The pipeline of a chain whose records a server orders: what is sent, and when, here; what is on its way (under-way.ts), what comes
 * back (taking-back.ts), what the server does not take (refused-commits.ts), and what this machine keeps of it meanwhile
 * (signing.ts, kept-writing.ts, left-behind.ts).
 *
 * Invariants:
 * - numbers of the certificate are taken in order, each by one commit: a transaction is told that it is refused only once
 *   its number was taken by something else, so that it cannot land afterwards;
 * - what was signed is sent again as the same bytes; an empty commit takes the number of one that was refused;
 * - transactions see what is staged and sent; readers outside see only what has come back.
 */
import { toBinaryText } from '../base/bytes.ts'
import type { Timers } from '../base/environment.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { fingerprintOf } from '../base/ids.ts'
import { CLOSE_SILENT_MS } from '../base/limits.ts'
import { bytesOfWords, type EntityWords } from '../event/entity-words.ts'
import { KIND, type Kind } from '../event/format.ts'
import type { Durability, Head, LogRecord } from '../log/engine.ts'
import type { ChainCore, CoreParts } from './chain-core.ts'
import type { HeldTail } from './held-tail.ts'
import { indeterminate } from './indeterminate.ts'
import { type Hand, KeptWriting, openWriter } from './kept-writing.ts'
import type { Lasting } from './lasting.ts'
import type { LeftBehind } from './left-behind.ts'
import type { KeyAccess, Link, LinkAlarm, LinkEvents } from './link.ts'
import { RefusedCommits } from './refused-commits.ts'
import type { Replica } from './replica.ts'
import { entryOf, type Sent, type Submitted } from './sent.ts'
import type { EntryAnswer } from './sequencer.ts'
import type { AcknowledgementPart } from './signed-parts.ts'
import { type Pen, signBatch, signReady } from './signing.ts'
import type { Batch } from './staged.ts'
import { TakingBack } from './taking-back.ts'
import { UnderWay } from './under-way.ts'
import type { AskOptions, Writing } from './writing.ts'

/** Submissions that are on their way: one is being stored while the next is being signed. */
const SUBMISSIONS_MAX = 2
/** Transactions that are parted into two submissions when nothing is on its way: the server judges one while the other is signed. */
const PARTED_MIN = 64
/** Commits that are signed while there is no connection. */
const SENT_OFFLINE_MAX = 1024
/** Why nobody hears what became of it: it was not the connection (`isChainClosed`). */
const CLOSED = { what: 'the chain was closed', closed: true } as const
/** How long to wait before what a server had no room for is sent again, in ms. */
const RETRY_MS = 250

export interface RemoteParts {
  readonly link: Link
  readonly tail: HeldTail
  /** Nothing is written through this handle. */
  readonly readOnly: boolean
  /** The error of an alarm, with the evidence that there is. */
  readonly alarmOf: (replica: Replica, alarm: LinkAlarm) => AteError
  /** Opened from a copy, without the server: why, and what this machine has verified beyond it. */
  readonly away?: { readonly error: AteError; readonly beyond: Head | undefined } | undefined
}

/** What writes the log of `core` through a server. */
export async function beginRemoteWriting(core: ChainCore, parts: CoreParts, remote: RemoteParts): Promise<Writing> {
  // Loaded by who has such an identity: many pages and short programs have none.
  const lasting =
    remote.readOnly || !parts.keepCertificate ? undefined : (await import('./lasting.ts')).lastingOf(parts)
  const hand = lasting ? await lasting.open(await lasting.place('any')) : await passingHand(parts, remote)
  const writing = new RemoteWriting(core, { ...remote, hand, lasting })
  try {
    await writing.restore(remote.away?.error)
  } catch (error) {
    await writing.release()
    throw error
  }
  remote.link.start(writing)
  return writing
}

async function passingHand(parts: CoreParts, { readOnly }: RemoteParts): Promise<Hand | undefined> {
  return readOnly ? undefined : { writer: await openWriter(parts, undefined), outbox: undefined }
}

interface Written {
  /** Of who writes. */
  readonly hand: Hand | undefined
  /** Where the identity outlives the process. */
  readonly lasting: Lasting | undefined
}

class RemoteWriting implements Writing, LinkEvents {
  readonly hasRing = false
  readonly #core: ChainCore
  readonly #link: Link
  readonly #alarmOf: RemoteParts['alarmOf']
  readonly #underWay = new UnderWay()
  readonly #kept: KeptWriting
  readonly #pen: Pen
  readonly #refused: RefusedCommits
  readonly #back: TakingBack
  readonly #left: LeftBehind | undefined
  readonly #idle: (() => void)[] = []
  #online = false
  #scheduled = false
  #failed: AteError | undefined
  #released = false
  #retry: { cancel(): void } | undefined
  /** Attestations are on their way. */
  #attesting = false
  /** They are due: what is on its way comes back first, and nothing more is sent before. */
  #attestDue = false
  /** Records are taken one chunk after the other. */
  #taking: Promise<unknown> = Promise.resolve()

  constructor(core: ChainCore, { link, tail, alarmOf, away, hand, lasting }: RemoteParts & Written) {
    this.#alarmOf = alarmOf
    this.#core = core
    this.#link = link
    const underWay = this.#underWay
    const kept = new KeptWriting(core, underWay, { hand, lasting })
    this.#kept = kept
    this.#pen = { core, kept, underWay }
    const isOver = (): boolean => this.#released || this.#failed !== undefined
    const schedule = (): void => this.schedule()
    const fail = (error: unknown): void => this.#fail(error)
    const submit = (batches: readonly Batch[]): void =>
      this.#submit(batches.map((batch) => signBatch(this.#pen, batch)))
    this.#refused = new RefusedCommits({ core, kept, underWay, fail, submit, later: () => this.#sendLater() })
    this.#back = new TakingBack({
      core,
      kept,
      underWay,
      tail,
      isOver,
      schedule,
      fail,
      beyond: away?.beyond,
      alarm: (alarm) => this.alarm(alarm),
      acknowledgement: () => this.acknowledgement,
    })
    const alone = (change: () => Promise<void>): Promise<unknown> => {
      this.#taking = this.#taking.then(change)
      return this.#taking
    }
    this.#left = lasting?.leftBehind({ core, kept, alone, isOver, isOnline: () => this.#online, schedule })
  }

  /** What an earlier process has signed and this one can send. @throws `away`, the error of the server that is not there */
  restore(away: AteError | undefined): Promise<void> {
    return this.#kept.restore(away)
  }

  get durability(): Durability {
    return this.#link.durability
  }

  get keyAccess(): KeyAccess {
    return this.#link.keyAccess
  }

  attachedKey(entity: EntityWords, { recorded }: AskOptions): Promise<Uint8Array | undefined> {
    return this.#link.attachedKey(bytesOfWords(entity), recorded)
  }

  async countKeysElsewhere(): Promise<number> {
    return this.keyAccess === 'none' ? 0 : this.#link.countKeys()
  }

  get isAlone(): boolean {
    return false
  }

  get readOnly(): boolean {
    return this.#kept.writer === undefined
  }

  get acknowledgement(): AcknowledgementPart | undefined {
    return this.#link.acknowledgement
  }

  get failure(): AteError | undefined {
    return this.#failed
  }

  assertTakes(): void {
    const { chainId: chain, keyName, replica } = this.#core
    if (this.readOnly) throw new AteError('READ_ONLY', { chain })
    const server = this.#link.orderedBy
    if (!server || replica.maySequence(toBinaryText(server), keyName)) return
    throw new AteError('READ_ONLY', {
      chain,
      server: fingerprintOf(server),
      what: 'the root does not name it in its settings: sequencers',
    })
  }

  schedule(): void {
    if (this.#scheduled || this.#released) return
    this.#scheduled = true
    queueMicrotask(() => {
      this.#scheduled = false
      this.#flush()
    })
  }

  settled(): Promise<void> {
    if (this.#isIdle) return Promise.resolve()
    return new Promise((resolve) => this.#idle.push(resolve))
  }

  /** The server acknowledges at its own level, always. Who opens the chain again may go on with the same copy: what works on it ends. */
  async durable(): Promise<void> {
    this.#core.assertOpen()
  }

  async refresh(): Promise<number> {
    const before = this.#core.replica.head.seq
    await this.#link.sync()
    return this.#core.replica.head.seq - before
  }

  async appendOther(kind: Kind, payload: () => Uint8Array | Promise<Uint8Array>): Promise<LogRecord> {
    this.#assertSends()
    await this.settled()
    this.#assertSends()
    const bytes = await payload()
    this.#assertSends()
    return new Promise((done, fail) => {
      this.#submit([{ entry: { kind, payload: bytes }, done, fail }])
    })
  }

  /** Nothing keeps such a record until there is a connection: nobody could say afterwards whether it was sent before. */
  #assertSends(): void {
    this.#core.assertWritable()
    this.assertTakes()
    if (!this.#online) throw new AteError('OFFLINE')
  }

  async finish(signal: AbortSignal): Promise<void> {
    if (!this.#online) this.#dropAll()
    const isHeard = await this.#settledUnlessSilent(signal)
    if (!isHeard || this.readOnly || this.#failed || !this.#online || !this.#core.attesting.becomeDue()) return
    this.#flush()
    await this.#settledUnlessSilent(signal)
  }

  /** A server that answers nothing holds nobody who wants to go. False if it was silent, or `signal` aborts. */
  async #settledUnlessSilent(signal: AbortSignal): Promise<boolean> {
    const { environment, replica } = this.#core
    const settled = this.settled().then((): true => true)
    for (let before = -1; before < replica.head.seq && !signal.aborted; ) {
      before = replica.head.seq
      if (await orFalse(settled, { timers: environment.timers, ms: CLOSE_SILENT_MS, signal })) return true
    }
    this.#dropAll()
    // Who opens the chain again connects anew.
    await this.#link.close()
    return false
  }

  async release(): Promise<void> {
    this.#released = true
    this.#retry?.cancel()
    this.#dropAll()
    await this.#taking
    await this.#left?.release()
    await this.#kept.close()
  }

  // What the link tells.

  head(): { readonly seq: number; readonly hash: Uint8Array } {
    return this.#core.replica.head
  }

  online(): void {
    this.#online = true
    this.#core.observing.tell({ kind: 'connection', state: 'online' })
    this.#attesting = false
    for (const other of this.#underWay.reconnected()) other.fail(indeterminate({ what: 'the connection broke' }))
    this.schedule()
    this.#left?.online()
  }

  offline(error: AteError): void {
    this.#online = false
    this.#core.observing.tell({ kind: 'connection', state: 'offline', code: error.code })
    if (this.#core.isClosing) this.#dropAll()
  }

  alarm(alarm: LinkAlarm): AteError {
    return this.#alarmOf(this.#core.replica, alarm)
  }

  ended(error: AteError): void {
    this.#core.observing.tell({ kind: 'connection', state: 'ended', code: error.code })
    this.#fail(error)
  }

  answers(id: number, answers: readonly EntryAnswer[]): void {
    const submitted = this.#underWay.answered(id)
    if (!submitted) return
    submitted.forEach((one, i) => {
      const answer = answers[i]
      if (answer && 'refused' in answer) this.#refused.refused(one, answer.refused)
      // All that is stored comes before the answer that says so: this is none.
      else if (this.#underWay.isOpen(one))
        this.#fail(new AteError('BAD_MESSAGE', { what: 'an answer without its record' }))
    })
    this.schedule()
  }

  async records(records: readonly LogRecord[], durability: Durability): Promise<void> {
    const taking = this.#taking.then(() => this.#back.take(records, durability))
    this.#taking = taking.catch(() => undefined)
    await taking
  }

  // Writing.

  get #isIdle(): boolean {
    return this.#released || (this.#core.staging.isEmpty && this.#isQuiet)
  }

  /** Nothing is on its way. */
  get #isQuiet(): boolean {
    return this.#underWay.isEmpty && !this.#attesting
  }

  #flush(): void {
    // In the turn in which it falls due: what comes back in the next one would put it off again, for as long as somebody writes.
    this.#attestDue ||= this.#core.attesting.isDue
    if (!this.#failed && !this.#online) this.#signOffline()
    else if (!this.#failed && this.#underWay.unanswered < SUBMISSIONS_MAX && !this.#retry) {
      if (this.#underWay.isToSendAgain) this.#sendAgain()
      else if (this.#left?.isFound) {
        if (this.#isQuiet) this.#left.take()
      } else this.#sendNew()
    }
    if (this.#isIdle) for (const resume of this.#idle.splice(0)) resume()
  }

  /** Nothing is sent behind a number that is open until it is taken: what lands there could not be told from a repetition. */
  #sendAgain(): void {
    if (this.#underWay.unanswered > 0) return
    const again = this.#underWay.takeAgain()
    if (again.length > 0) this.#submit(again)
  }

  /** What the server had no room for. */
  #sendLater(): void {
    this.#retry ??= this.#core.environment.timers.start(RETRY_MS, () => {
      this.#retry = undefined
      this.schedule()
    })
  }

  #sendNew(): void {
    const { staging } = this.#core
    const { sent, hasRefused } = this.#underWay
    if (this.readOnly || hasRefused) return
    if (this.#attestDue && !this.#attesting) {
      if (sent.length > 0) return
      this.#attestDue = false
      this.#attest()
    }
    // Answered apart, they stay apart: from then on one end works while the other does.
    const { waiting } = staging
    if (sent.length === 0 && waiting >= PARTED_MIN) this.#submitReady(Math.ceil(waiting / 2))
    if (this.#underWay.unanswered < SUBMISSIONS_MAX) this.#submitReady(Number.POSITIVE_INFINITY)
  }

  #submitReady(max: number): void {
    const signed = this.#signReady(max)
    if (signed.length > 0) this.#submit(signed)
  }

  /** What waits for a connection is signed already, if somebody wants to know it safe: up to what one submission takes. */
  #signOffline(): void {
    const { staging } = this.#core
    if (!this.readOnly && staging.hasKeepers && this.#underWay.sent.length < SENT_OFFLINE_MAX)
      this.#signReady(Number.POSITIVE_INFINITY)
  }

  /** At most so many transactions. */
  #signReady(max: number): readonly Sent[] {
    return this.#left?.isChanging ? [] : signReady(this.#pen, max)
  }

  #submit(submitted: readonly Submitted[]): void {
    const id = this.#underWay.submitted(submitted)
    this.#link.submit(
      id,
      submitted.map((one) => ('entry' in one ? one.entry : entryOf(one))),
    )
  }

  /** Commits wait until these have come back: a range that is attested has to be the oldest that is not. */
  #attest(): void {
    const { attesting } = this.#core
    attesting.becomeDue()
    const ranges = attesting.ranges(undefined, [])
    attesting.rest()
    if (ranges.length === 0) return
    this.#attesting = true
    let open = ranges.length
    const done = (): void => {
      if (--open > 0) return
      this.#attesting = false
      attesting.acknowledged(undefined)
      this.schedule()
    }
    const entries = ranges.map((range) => ({ kind: KIND.attestation, payload: this.#core.attest(range) }))
    this.#submit(entries.map((entry) => ({ entry, done, fail: done })))
  }

  // Ends.

  /** Nobody will say any more what becomes of it: but what is kept goes on with the next process. */
  #dropAll(): void {
    this.#drop(({ draft }, was) =>
      was === 'sent' ? indeterminate(CLOSED, { nonce: draft.nonce }) : new AteError('OFFLINE', CLOSED),
    )
    for (const other of this.#underWay.others.splice(0)) other.fail(indeterminate(CLOSED))
  }

  #fail(error: unknown): void {
    if (this.#failed) return
    const failure = isAteError(error) ? error : new AteError('INTERNAL', { what: 'records' }, { cause: error })
    this.#failed = failure
    this.#core.observing.alarm(failure)
    // What was sent may have landed, or may still: nobody can say so any more.
    this.#drop(({ draft }, was) =>
      was === 'sent' ? indeterminate({ what: 'the chain failed' }, { nonce: draft.nonce, cause: failure }) : failure,
    )
    for (const other of this.#underWay.others.splice(0))
      other.fail(indeterminate({ what: 'the chain failed' }, { cause: failure }))
    // Nothing more is taken from it: who forgets to close a chain that has failed is not held by it.
    void this.#link.close(failure)
  }

  #drop(errorOf: Parameters<ChainCore['staging']['dropAll']>[1]): void {
    const sent = this.#underWay.takeAll().map(({ batch }) => batch)
    try {
      this.#core.staging.dropAll(sent, errorOf)
    } catch (error) {
      // The chain fails with it, unless it has already; thrown from here, where nobody waits, it would end the process.
      this.#fail(error)
    }
    this.#attesting = false
    for (const resume of this.#idle.splice(0)) resume()
    queueMicrotask(() => this.#core.admit())
  }
}

/** False after so long, or when `signal` aborts. */
async function orFalse(
  done: Promise<true>,
  { timers, ms, signal }: { readonly timers: Timers; readonly ms: number; readonly signal: AbortSignal },
): Promise<boolean> {
  let stop = (): void => undefined
  const over = new Promise<boolean>((resolve) => {
    stop = () => resolve(false)
  })
  const timer = timers.start(ms, stop)
  signal.addEventListener('abort', stop)
  const isDone = await Promise.race([done, over])
  timer.cancel()
  signal.removeEventListener('abort', stop)
  return isDone
}
