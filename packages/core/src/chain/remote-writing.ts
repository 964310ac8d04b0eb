/**
 * The pipeline of a chain whose records a server orders: seal, sign, submit; verify and fold what comes back, and tell the
 * authors what became of theirs. The fold here is as good as the server's: a commit counts when its record has come and
 * this process has judged it, whatever the server says of it.
 *
 * Invariants:
 * - numbers of the certificate are taken in order, each by one commit: a transaction is told that it is refused only once
 *   its number was taken by something else, so that it cannot land afterwards;
 * - what was signed is sent again as the same bytes; an empty commit takes the number of one that was refused;
 * - transactions see what is staged and sent; readers outside see only what has come back.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Timers } from '../base/environment.ts'
import { AteError, CHAIN_WAS_CLOSED, isAteError } from '../base/errors.ts'
import { toBase32 } from '../base/ids.ts'
import { CLOCK_AHEAD_MS, CLOSE_SILENT_MS } from '../base/limits.ts'
import { bytesOfWords, type EntityWords } from '../event/entity-words.ts'
import { COMMIT, KIND, type Kind, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { Durability, Head, LogRecord } from '../log/engine.ts'
import type { ChainCore, CoreParts } from './chain-core.ts'
import { OpenChanges } from './dependence.ts'
import { hasKeys, keysOf } from './entity-keys.ts'
import type { HeldTail } from './held-tail.ts'
import type { KeyAccess, Link, LinkAlarm, LinkEntry, LinkEvents } from './link.ts'
import { Outbox } from './outbox.ts'
import type { Accepted, Replica } from './replica.ts'
import { restoreCommits } from './restored-commits.ts'
import { type Other, refusalsOf, type Sent, type Submitted } from './sent.ts'
import type { EntryAnswer } from './sequencer.ts'
import type { AcknowledgementPart } from './signed-parts.ts'
import type { Batch } from './staged.ts'
import { type Refusal, refuse } from './verdict.ts'
import { verifyAhead } from './verify-ahead.ts'
import { takeWriterPlace, type WriterPlace } from './writer-places.ts'
import { WriterSession } from './writer-session.ts'
import type { AskOptions, Writing } from './writing.ts'

/** Submissions that are on their way: one is being stored while the next is being signed. */
const SUBMISSIONS_MAX = 2
/** Transactions that are parted into two submissions when nothing is on its way: the server judges one while the other is signed. */
const PARTED_MIN = 64
/** Commits that are signed while there is no connection. */
const SENT_OFFLINE_MAX = 1024
/** How long to wait before what a server had no room for is sent again, in ms. */
const RETRY_MS = 250
/** Of a commit that waits for the one before it: not a word about itself. */
const WAITS: ReadonlySet<string> = new Set(['SEQ_GAP', 'CERT_UNKNOWN'])
/** The chain takes nothing of this key. */
const GONE: ReadonlySet<string> = new Set(['KEY_REMOVED', 'UNKNOWN_WRITER'])
/** The server asks for patience; nothing was decided. */
const LATER: ReadonlySet<string> = new Set(['BUSY', 'RATE_LIMITED'])

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
  const keeping = remote.readOnly ? undefined : keepingOf(parts)
  const hand = await keeping?.open(await keeping.place('any'))
  const writing = new RemoteWriting(core, hand, { ...remote, keeping })
  try {
    await writing.restore(remote.away?.error)
  } catch (error) {
    await writing.release()
    throw error
  }
  remote.link.start(writing)
  return writing
}

/** What a commit is written with, and where it waits. */
interface Hand {
  readonly writer: WriterSession
  /** None of identities that do not outlive the process, and where others have all places. */
  readonly outbox: Outbox | undefined
}

interface Keeping {
  /** The identity outlives the process, and so does what waits. */
  readonly keeps: boolean
  place(which: 'any' | 'left', except?: ReadonlySet<string>): Promise<WriterPlace | undefined>
  open(place: WriterPlace | undefined): Promise<Hand>
}

const NONE: ReadonlySet<string> = new Set()

function keepingOf(parts: CoreParts): Keeping {
  const { crypto, environment, identity, replica, keepCertificate } = parts
  const state = keepCertificate ? parts.state : undefined
  return {
    keeps: state !== undefined,
    async place(which, except = NONE) {
      const { fingerprint } = identity
      return state && takeWriterPlace(state, { chain: replica.chainId, identity: fingerprint, which, except })
    },
    async open(place) {
      const session = { crypto, environment, identity, replica, state, place, aheadMs: CLOCK_AHEAD_MS }
      const writer = await WriterSession.open(session)
      return { writer, outbox: state && place && new Outbox(state, place.outbox) }
    },
  }
}

class RemoteWriting implements Writing, LinkEvents {
  readonly hasRing = false
  readonly #core: ChainCore
  #writer: WriterSession | undefined
  readonly #link: Link
  readonly #tail: HeldTail
  readonly #alarmOf: RemoteParts['alarmOf']
  #outbox: Outbox | undefined
  readonly #keeping: Keeping | undefined
  readonly #idle: (() => void)[] = []
  /** In the order of their numbers. */
  readonly #sent: Sent[] = []
  readonly #others: Other[] = []
  /** By the number of the submission. */
  readonly #submissions = new Map<number, readonly Submitted[]>()
  #submissionCount = 0
  /** Index in `sent` from which on everything is to be sent again. */
  #again: number | undefined
  #online = false
  #scheduled = false
  #failed: AteError | undefined
  #released = false
  #retry: { cancel(): void } | undefined
  /** Into the outbox, one after the other. */
  #kept: Promise<unknown> = Promise.resolve()
  /** Numbers of the outbox that were taken. */
  readonly #done: number[] = []
  /** Attestations are on their way. */
  #attesting = false
  /** They are due: what is on its way comes back first, and nothing more is sent before. */
  #attestDue = false
  /** A record that this machine has verified, and that the copy did not have when it was opened without the server. */
  #beyond: Head | undefined
  /** Records are taken one chunk after the other. */
  #taking: Promise<unknown> = Promise.resolve()
  /** What somebody has left who died: what is on its way comes back first, then this is sent. */
  #left: WriterPlace | undefined
  #leftState: 'none' | 'looking' | 'found' | 'changing' = 'none'
  /** Places that were taken up on this connection: each once, whatever still stands in them. */
  readonly #tried = new Set<string>()

  constructor(
    core: ChainCore,
    hand: Hand | undefined,
    { link, tail, alarmOf, away, keeping }: RemoteParts & { readonly keeping: Keeping | undefined },
  ) {
    this.#alarmOf = alarmOf
    this.#beyond = away?.beyond
    this.#keeping = keeping
    this.#outbox = hand?.outbox
    this.#core = core
    this.#writer = hand?.writer
    this.#link = link
    this.#tail = tail
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
    return this.#writer === undefined
  }

  get acknowledgement(): AcknowledgementPart | undefined {
    return this.#link.acknowledgement
  }

  get failure(): AteError | undefined {
    return this.#failed
  }

  assertTakes(): void {
    if (!this.#writer) throw new AteError('READ_ONLY', { chain: this.#core.chainId })
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

  /** The server acknowledges at its own level, always. */
  async durable(): Promise<void> {}

  async refresh(): Promise<number> {
    const before = this.#core.replica.head.seq
    await this.#link.sync()
    return this.#core.replica.head.seq - before
  }

  async appendOther(kind: Kind, payload: () => Uint8Array | Promise<Uint8Array>): Promise<LogRecord> {
    this.#core.assertWritable()
    this.assertTakes()
    await this.settled()
    const bytes = await payload()
    this.#core.assertWritable()
    return new Promise((done, fail) => {
      this.#submit([{ entry: { kind, payload: bytes }, done, fail }])
    })
  }

  async finish(signal: AbortSignal): Promise<void> {
    if (!this.#online) this.#dropAll()
    const isHeard = await this.#settledUnlessSilent(signal)
    if (!isHeard || !this.#writer || this.#failed || !this.#online || !this.#core.attesting.becomeDue()) return
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
    await this.#writer?.close()
  }

  // What the link tells.

  head(): { readonly seq: number; readonly hash: Uint8Array } {
    return this.#core.replica.head
  }

  online(): void {
    this.#online = true
    this.#core.observing.tell({ kind: 'connection', state: 'online' })
    this.#submissions.clear()
    this.#attesting = false
    for (const other of this.#others.splice(0)) other.fail(indeterminate('the connection broke'))
    if (this.#sent.length > 0) this.#again = 0
    this.schedule()
    this.#tried.clear()
    void this.#lookForLeft()
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
    const submitted = this.#submissions.get(id)
    if (!submitted) return
    this.#submissions.delete(id)
    submitted.forEach((one, i) => {
      const answer = answers[i]
      if (answer && 'refused' in answer) this.#refused(one, answer.refused)
      // All that is stored comes before the answer that says so: this is none.
      else if (this.#isOpen(one)) this.#fail(new AteError('BAD_MESSAGE', { what: 'an answer without its record' }))
    })
    this.schedule()
  }

  async records(records: readonly LogRecord[], durability: Durability): Promise<void> {
    const taking = this.#taking.then(() => this.#take(records, durability))
    this.#taking = taking.catch(() => undefined)
    await taking
  }

  // Writing.

  get #isIdle(): boolean {
    const { staging } = this.#core
    return (
      this.#released || (staging.isEmpty && this.#sent.length === 0 && this.#others.length === 0 && !this.#attesting)
    )
  }

  /** What is seen on top of what has come back. */
  get #batches(): readonly Batch[] {
    return this.#sent.filter(({ refused }) => !refused).map(({ batch }) => batch)
  }

  #flush(): void {
    if (!this.#failed && !this.#online) this.#signOffline()
    else if (!this.#failed && this.#submissions.size < SUBMISSIONS_MAX && !this.#retry) {
      if (this.#again !== undefined) this.#sendAgain(this.#again)
      else if (this.#leftState === 'found') this.#takeLeft()
      else this.#sendNew()
    }
    if (this.#isIdle) for (const resume of this.#idle.splice(0)) resume()
  }

  /** Nothing is sent behind a number that is open until it is taken: what lands there could not be told from a repetition. */
  #sendAgain(from: number): void {
    if (this.#submissions.size > 0) return
    this.#again = undefined
    if (this.#sent.length > from) this.#submit(this.#sent.slice(from))
  }

  #sendNew(): void {
    const { attesting } = this.#core
    if (!this.#writer || this.#sent.some(({ refused }) => refused)) return
    this.#attestDue ||= attesting.isDue
    if (this.#attestDue && !this.#attesting) {
      if (this.#sent.length > 0) return
      this.#attestDue = false
      this.#attest()
    }
    // Answered apart, they stay apart: from then on one end works while the other does.
    const { waiting } = this.#core.staging
    if (this.#sent.length === 0 && waiting >= PARTED_MIN) this.#submitReady(Math.ceil(waiting / 2))
    if (this.#submissions.size < SUBMISSIONS_MAX) this.#submitReady(Number.POSITIVE_INFINITY)
  }

  #submitReady(max: number): void {
    const built = this.#buildReady(max)
    if (built.length > 0) this.#submit(built)
  }

  /** What waits for a connection is signed already, if somebody wants to know it safe: up to what one submission takes. */
  #signOffline(): void {
    const { staging } = this.#core
    if (this.#writer && staging.hasKeepers && this.#sent.length < SENT_OFFLINE_MAX)
      this.#buildReady(Number.POSITIVE_INFINITY)
  }

  /** Signs what builds on nothing that is open: at most so many transactions. */
  #buildReady(max: number): Sent[] {
    const { staging } = this.#core
    if (staging.isEmpty || this.#leftState === 'changing' || !this.#mayBuild()) return []
    const open = new OpenChanges()
    for (const { batch, restored } of this.#sent) {
      // Nobody knows any more what it has seen and changed.
      if (restored) return []
      for (const { draft } of batch.transactions) open.add(draft)
    }
    let room = max
    const batches = staging.takeReady((draft) => {
      const isReady = room > 0 && !open.isUnder(draft)
      if (isReady) room--
      // What waits keeps those waiting that build on it.
      open.add(draft)
      return isReady
    })
    return batches.map((batch) => this.#build(batch))
  }

  /**
   * The outbox has no gaps: what is open in front goes with it. What attaches keys is never kept there, since a key that is
   * destroyed later must not have been on this machine's disk; who writes behind it waits for the log.
   */
  #keepUpTo(sent: Sent): void {
    if (!this.#outbox) {
      // Where others have all places it is known safe when it is in the log.
      if (!this.#keeping?.keeps) this.#tellKept(sent)
      return
    }
    if (this.#sent.some(({ batch }) => hasKeys(batch) && keysOf(batch).length > 0)) return
    for (const one of this.#sent) {
      if (one.isKept) continue
      one.isKept = true
      this.#kept = this.#kept.then(() => this.#keep(one))
    }
  }

  /** Into the outbox; then those are told who wait for no more. */
  async #keep(sent: Sent): Promise<void> {
    try {
      // It may have come back meanwhile.
      if (this.#sent.includes(sent)) {
        await this.#writer!.keepEarly()
        await this.#outbox!.put(sent)
      }
      this.#tellKept(sent)
    } catch (error) {
      // They hear of it when it is decided, as those who wait for the log.
      this.#core.observing.alarm(error)
    }
  }

  #tellKept({ batch }: Sent): void {
    for (const { settlers } of batch.transactions) for (const settler of settlers) settler.kept?.()
  }

  /** What an earlier process has signed and this one can send. @throws `away`, the error of the server that is not there */
  async restore(away: AteError | undefined): Promise<void> {
    if (!this.#outbox || !this.#writer) return
    this.#sent.push(...(await restoreCommits(this.#core, this.#writer, this.#outbox, away)))
    if (this.#sent.length > 0) this.#again = 0
    // Numbers of the kept certificate may be taken that this copy does not show. What waits has its own, and nothing is
    // signed behind it before it has come back.
    else if (away) this.#writer.forget()
  }

  /** Processes and tabs that died may have left what they kept: as far as nobody else sends it, it is sent from here. */
  async #lookForLeft(): Promise<void> {
    if (!this.#keeping?.keeps || !this.#writer || this.#leftState !== 'none') return
    this.#leftState = 'looking'
    try {
      this.#left = await this.#keeping.place('left', this.#tried)
    } catch (error) {
      this.#core.observing.alarm(error)
    }
    if (this.#released) await this.#left?.release()
    this.#leftState = this.#left ? 'found' : 'none'
    if (this.#left) this.schedule()
  }

  /** Its certificate and its outbox become ours, while no record is taken: whether its numbers are taken does not change. */
  #takeLeft(): void {
    if (this.#sent.length > 0 || this.#attesting || this.#others.length > 0) return
    this.#leftState = 'changing'
    const change = async (): Promise<void> => {
      const place = this.#left
      if (!place || this.#released || this.#failed) return
      this.#tried.add(place.certificate)
      await this.#kept
      await this.#noteDown()
      this.#left = undefined
      // Closes the place itself if it fails.
      const hand = await this.#keeping!.open(place)
      let closing = hand.writer
      try {
        const restored = await restoreCommits(this.#core, hand.writer, hand.outbox!, undefined)
        closing = this.#writer!
        this.#writer = hand.writer
        this.#outbox = hand.outbox
        this.#sent.push(...restored)
        if (restored.length > 0) this.#again = 0
      } finally {
        await closing.close()
      }
    }
    this.#taking = this.#taking.then(change).catch((error) => this.#core.observing.alarm(error))
    void this.#taking.then(() => {
      this.#leftState = 'none'
      this.schedule()
      if (this.#online) void this.#lookForLeft()
    })
  }

  /** A successor certificate starts its numbers anew, so all that was sent under the one before it has to come back first. */
  #mayBuild(): boolean {
    const { time } = this.#core.staging
    if (this.#sent.length > 0) return this.#writer!.isGood(time)
    this.#writer!.renew(time)
    return true
  }

  #build(batch: Batch): Sent {
    const { replica, observing } = this.#core
    const { certificate, signer, fresh } = this.#writer!.current
    const last = this.#sent[this.#sent.length - 1]
    const number = (last?.number ?? certificate.mark) + 1
    const started = observing.start('seal')
    const commit = this.#core.builder.build(batch, {
      prev: replica.head.hash,
      sequencer: this.#core.identity.fingerprintBytes,
      session: { writer: certificate.id, signer },
      writerSeq: number,
      certificate: last === undefined ? fresh?.bytes : undefined,
    })
    observing.sealed(started, batch, commit.bytes)
    replica.signatures.made(commit.commitHash, commit.bytes.slice(COMMIT.sig, COMMIT.sig + 64))
    const payload = commit.bytes.slice(RECORD_HEAD_BYTES)
    const sent: Sent = { number, batch, payload, hash: commit.commitHash, isKept: false }
    this.#sent.push(sent)
    if (batch.transactions.some((staged) => staged.settlers.some((settler) => settler.kept))) this.#keepUpTo(sent)
    return sent
  }

  #submit(submitted: readonly Submitted[]): void {
    const id = ++this.#submissionCount
    this.#submissions.set(id, submitted)
    for (const one of submitted) if ('entry' in one && !this.#others.includes(one)) this.#others.push(one)
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
    attesting.stop()
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

  #isOpen(one: Submitted): boolean {
    return 'entry' in one ? this.#others.includes(one) : this.#sent.includes(one)
  }

  /** The server did not take it. */
  #refused(one: Submitted, refusals: readonly Refusal[]): void {
    const [first] = refusals
    if (!first) return
    if ('entry' in one) {
      const index = this.#others.indexOf(one)
      if (index < 0) return
      this.#others.splice(index, 1)
      one.fail(new AteError(first.code, first.facts))
      return
    }
    const index = this.#sent.indexOf(one)
    // It has come back already: an answer to the repetition of what had landed.
    if (index < 0) return
    this.#again = Math.min(this.#again ?? index, index)
    if (LATER.has(first.code)) this.#waitToSend()
    else if (first.code === 'CERT_ENDED' && this.#hasEnded()) this.#signAgain()
    else if (GONE.has(first.code) && this.#isGone()) this.#giveUp(refusals)
    // The oldest waits for nothing.
    else if (index === 0 || !WAITS.has(first.code)) this.#fill(one, refusals)
  }

  /** Not because the server says so: by our own fold the chain takes nothing from this key. */
  #isGone(): boolean {
    const { trust } = this.#core.replica
    const { identity } = this.#writer!.current.certificate
    return trust.actorOf(identity) === undefined || trust.keysOf(identity) === undefined
  }

  /** Not because the server says so: under a certificate that has ended by our own fold nothing can land any more. */
  #hasEnded(): boolean {
    const { certificate } = this.#writer!.current
    return certificate.ended || this.#core.replica.chainTime > certificate.until
  }

  #signAgain(): void {
    this.#again = undefined
    const gone = this.#sent.splice(0)
    for (const { restored } of gone)
      if (restored)
        this.#core.tellConflicts(
          restored,
          restored.map(() => refuse('CERT_ENDED')),
        )
    this.#done.push(...gone.filter(({ isKept }) => isKept).map(({ number }) => number))
    const batches = gone.filter(({ restored }) => !restored).map(({ batch }) => batch)
    this.#writer!.renew(this.#core.staging.time)
    this.#submit(batches.map((batch) => this.#build(batch)))
  }

  /** The chain takes nothing from this key: what waits behind it has the same answer. */
  #giveUp(refusals: readonly Refusal[]): void {
    this.#again = undefined
    const [first] = this.#sent
    const reason = first?.refused?.refusals[0] ?? refusals[0]!
    if (this.#writer!.current.fresh) this.#writer!.forget()
    const gone = this.#sent.splice(0)
    for (const { restored } of gone)
      if (restored)
        this.#core.tellConflicts(
          restored,
          restored.map(() => reason),
        )
    this.#done.push(...gone.filter(({ isKept }) => isKept).map(({ number }) => number))
    const error = new AteError(reason.code, reason.facts)
    // No number of a stranger can be taken by nothing: what he has signed could still land, should he become known.
    const isStranger = this.#core.replica.trust.keysOf(this.#core.keyName) === undefined
    this.#core.staging.dropAll(
      gone.map(({ batch }) => batch),
      ({ draft }, was) =>
        isStranger && was === 'sent' ? indeterminate('refused', { nonce: draft.nonce, cause: error }) : error,
    )
  }

  #waitToSend(): void {
    this.#retry ??= this.#core.environment.timers.start(RETRY_MS, () => {
      this.#retry = undefined
      this.schedule()
    })
  }

  /** Its number stays open, and has to be taken: by nothing. */
  #fill(sent: Sent, refusals: readonly Refusal[]): void {
    if (sent.refused) {
      this.#fail(new AteError(refusals[0]!.code, refusals[0]!.facts))
      return
    }
    const { certificate, fresh, signer } = this.#writer!.current
    const { staging } = this.#core
    const filler = this.#core.builder.build(
      { ...sent.batch, transactions: [], blockKeys: new Set() },
      {
        prev: this.#core.replica.head.hash,
        sequencer: this.#core.identity.fingerprintBytes,
        session: { writer: certificate.id, signer },
        writerSeq: sent.number,
        certificate: sent.number === 1 ? fresh?.bytes : undefined,
      },
    )
    staging.rebaseSent(
      (lost) => {
        for (const { draft } of sent.batch.transactions) lost.add(draft)
        sent.refused = { refusals, payload: filler.bytes.slice(RECORD_HEAD_BYTES), hash: filler.commitHash }
      },
      () => this.#batches,
    )
  }

  // What comes back.

  async #take(records: readonly LogRecord[], durability: Durability): Promise<void> {
    if (this.#released || this.#failed) return
    const chunks = verifyAhead(only(records), () => this.#core.replica)
    for await (const chunk of chunks) {
      if (this.#released || this.#failed) return
      await this.#takeChunk(chunk, durability)
    }
  }

  async #takeChunk(records: readonly LogRecord[], durability: Durability): Promise<void> {
    const { staging, replica } = this.#core
    this.#tail.hold(records)
    let taken = 0
    let problem: unknown
    const settled: (() => void)[] = []
    staging.rebaseSent(
      (lost) => {
        try {
          for (const record of records) {
            this.#checkBeyond(record)
            settled.push(this.#accept(record, replica.accept(record), { durability, lost }))
            taken++
          }
        } catch (error) {
          problem = error
        }
      },
      () => this.#batches,
    )
    const good = records.slice(0, taken)
    this.#tail.drop(records.slice(taken))
    try {
      this.#core.noteHead(durability)
      for (const tell of settled) tell()
      this.schedule()
      queueMicrotask(() => this.#core.admit())
      if (good.length > 0) await this.#tail.keep(good, this.#tail.durability === 'memory' ? 'memory' : 'os')
      if (problem !== undefined) throw problem
      await this.#noteDown()
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  /** @throws AteError FORK */
  #checkBeyond({ seq, hash }: LogRecord): void {
    if (this.#beyond?.seq !== seq) return
    if (!equalBytes(this.#beyond.hash, hash))
      throw this.#alarmOf(this.#core.replica, {
        kind: 'fork',
        shown: { seq, hash },
        known: undefined,
        against: this.acknowledgement,
      })
    this.#beyond = undefined
  }

  async #noteDown(): Promise<void> {
    try {
      await this.#writer?.acknowledged()
      for (const number of this.#done.splice(0)) await this.#outbox?.remove(number)
      await this.#core.rememberSometimes()
    } catch (error) {
      // What is acknowledged is, whatever becomes of this machine's own notes: close tries again, and tells.
      if (!isAteError(error) || error.code !== 'STATE_UNWRITABLE') throw error
    }
  }

  /** Takes what is ours out of what is on its way; the result tells the authors and the listeners, once the state stands. */
  #accept(
    record: LogRecord,
    accepted: Accepted,
    { durability, lost }: { readonly durability: Durability; readonly lost: OpenChanges },
  ): () => void {
    const mine = this.#takeMine(record, accepted, lost)
    return () => {
      this.#core.publishAccepted(accepted)
      if (mine) mine({ seq: record.seq, durability, at: accepted.time })
    }
  }

  #takeMine(
    record: LogRecord,
    { head, commit, outcomes }: Accepted,
    lost: OpenChanges,
  ): ((at: { seq: number; durability: Durability; at: number }) => void) | undefined {
    if (head.kind !== KIND.commit) return this.#takeOther(record)
    const current = this.#writer?.taken
    if (!commit || !current || !equalBytes(commit.writer, current.certificate.id)) return undefined
    this.#writer!.ordered()
    this.#core.attesting.acknowledged(this.#writer!.current.certificate)
    const [sent] = this.#sent
    if (commit.writerSeq !== sent?.number) return undefined
    this.#sent.shift()
    if (this.#again !== undefined) this.#again = Math.max(0, this.#again - 1)
    if (sent.isKept) this.#done.push(sent.number)
    const became = equalBytes(commit.commitHash, sent.hash) ? (outcomes ?? []) : refusalsOf(sent)
    sent.batch.transactions.forEach(({ draft }, i) => {
      if (became[i]) lost.add(draft)
    })
    const { restored } = sent
    if (restored) return () => this.#core.tellConflicts(restored, became)
    return (at) => this.#core.staging.settle(sent.batch, at, became)
  }

  #takeOther(record: LogRecord): (() => void) | undefined {
    const payload = record.bytes.subarray(RECORD_HEAD_BYTES)
    const index = this.#others.findIndex(({ entry }) => equalBytes(entry.payload, payload))
    if (index < 0) return undefined
    const [other] = this.#others.splice(index, 1)
    return () => other!.done(record)
  }

  // Ends.

  /** Nobody will say any more what becomes of it: but what is kept goes on with the next process. */
  #dropAll(): void {
    const sent = this.#sent.splice(0).map(({ batch }) => batch)
    this.#core.staging.dropAll(sent, ({ draft }, was) =>
      was === 'sent'
        ? indeterminate(CHAIN_WAS_CLOSED, { nonce: draft.nonce })
        : new AteError('OFFLINE', { what: CHAIN_WAS_CLOSED }),
    )
    for (const other of this.#others.splice(0)) other.fail(indeterminate(CHAIN_WAS_CLOSED))
    this.#attesting = false
    for (const resume of this.#idle.splice(0)) resume()
    queueMicrotask(() => this.#core.admit())
  }

  #fail(error: unknown): void {
    if (this.#failed) return
    const failure = isAteError(error) ? error : new AteError('INTERNAL', { what: 'records' }, { cause: error })
    this.#failed = failure
    this.#core.observing.alarm(failure)
    const sent = this.#sent.splice(0).map(({ batch }) => batch)
    // What was sent may have landed, or may still: nobody can say so any more.
    this.#core.staging.dropAll(sent, ({ draft }, was) =>
      was === 'sent' ? indeterminate('the chain failed', { nonce: draft.nonce, cause: failure }) : failure,
    )
    for (const other of this.#others.splice(0)) other.fail(indeterminate('the chain failed', { cause: failure }))
    this.#attesting = false
    for (const resume of this.#idle.splice(0)) resume()
    queueMicrotask(() => this.#core.admit())
  }
}

/** What stands for one that was refused has no keys. */
function entryOf({ batch, payload, refused }: Sent): LinkEntry {
  if (refused) return { kind: KIND.commit, payload: refused.payload }
  const keys = hasKeys(batch) ? keysOf(batch) : []
  return { kind: KIND.commit, payload, ...(keys.length > 0 ? { keys } : {}) }
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

async function* only<T>(value: T): AsyncGenerator<T, void, void> {
  yield value
}

function indeterminate(
  what: string,
  { nonce, cause }: { readonly nonce?: Uint8Array; readonly cause?: AteError } = {},
): AteError {
  const facts = { what, ...(cause ? { code: cause.code } : {}), ...(nonce ? { txId: toBase32(nonce) } : {}) }
  return new AteError('INDETERMINATE', facts, cause ? { cause } : {})
}
