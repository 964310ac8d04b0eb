/**
 * One copy of a chain's state, fed record by record: each is verified against the one before and against its signed
 * root, judged, and folded. The same class opens a chain, follows one, and verifies one anew.
 *
 * A record that is void is part of the chain; a record that is invalid (link, root, signature, certificate) is not one
 * that an honest sequencer stores, so it ends the reading with an error that names it. See docs/decisions/0003.
 */
import { notePrint } from '#large'
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import { AUTHOR_AHEAD_MS, CERTIFICATE_MS } from '../base/limits.ts'
import { compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import { leafHash, TreeFrontier, treeRoot } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseAttestation } from '../event/attestation.ts'
import { type CertificateBody, parseCertificate } from '../event/certificate.ts'
import { checkpointOrigin, parseCheckpoint } from '../event/checkpoint.ts'
import { checkBodies } from '../event/commit-bodies.ts'
import { type CommitParser, type ParsedCommit, sharedParser } from '../event/commit-parse.ts'
import { cosignedAt } from '../event/cosignature.ts'
import { FOLD_LEVEL, KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import { type Genesis, parseGenesis } from '../event/genesis.ts'
import { sliceAt } from '../event/kept-runs.ts'
import { parseNote } from '../event/note.ts'
import { hashRecord, NO_HASH, parseRecordHead, type RecordHead } from '../event/record.ts'
import { parseSweep } from '../event/sweep.ts'
import type { ParsedTransaction } from '../event/transaction-event.ts'
import type { Head, LogRecord } from '../log/engine.ts'
import { fingerprintOfKeys, signingKeyOf } from '../trust/identity-keys.ts'
import { mayManage } from '../trust/policy.ts'
import { type Certificate, TrustState } from '../trust/trust-state.ts'
import { DROPPED, NO_RECORD, ROW } from '../view/entity-table.ts'
import { Journal } from '../view/journal.ts'
import { View } from '../view/view.ts'
import { acceptRecovery } from './accept-recovery.ts'
import { BodyAnswers } from './body-answers.ts'
import { applyTransaction } from './fold.ts'
import { startState } from './fold-genesis.ts'
import { removeRow } from './fold-tree.ts'
import type { Judge } from './judge.ts'
import { RecordHashes } from './record-hashes.ts'
import type { RecordPrints } from './record-prints.ts'
import { settleLists } from './settle.ts'
import { SignatureAnswers } from './signature-answers.ts'
import { type Refusal, refuse } from './verdict.ts'

/** What a record did. `outcomes` has a refusal for each void transaction of a commit. */
export interface Accepted {
  readonly head: RecordHead
  readonly time: number
  readonly commit?: ParsedCommit
  readonly identity?: string
  readonly outcomes?: readonly (Refusal | undefined)[]
  /** Rows that a sweep dropped. */
  readonly swept?: readonly number[]
}

/** What became of a record that was offered: `refused` has one reason for all of it, or one for each transaction. */
export type Offered = Accepted | { readonly refused: readonly Refusal[] }

export interface ReplicaMakers {
  readonly crypto: CryptoProvider
  /** Any 32-bit number: spreads ids in tables. */
  readonly seed: number
  /** `centralized`: whoever ordered the records has verified the signatures of commits, and is believed. */
  readonly trust?: 'distributed' | 'centralized'
}

/** All that folding has made: what a replica knows besides its genesis. */
export type FoldedState = Pick<
  Replica,
  | 'view'
  | 'trust'
  | 'hashes'
  | 'prints'
  | 'tree'
  | 'voids'
  | 'head'
  | 'chainTime'
  | 'checkpoints'
  | 'newestCheckpoint'
  | 'adopted'
>

export class Replica {
  readonly crypto: CryptoProvider
  readonly genesis: Genesis
  readonly chainId: Uint8Array
  readonly view: View
  readonly trust: TrustState = new TrustState()
  readonly hashes: RecordHashes = new RecordHashes()
  /** Of records whose bytes are recognized when they are read again. */
  prints: RecordPrints | undefined
  readonly tree: TreeFrontier
  /** Void transactions by record: index and reason. A record without an entry has none. */
  readonly voids: Map<number, ReadonlyMap<number, Refusal>> = new Map()
  /** What verify-ahead.ts has asked about. */
  readonly signatures: SignatureAnswers = new SignatureAnswers()
  readonly hashedBodies: BodyAnswers = new BodyAnswers()
  head: Head
  chainTime: number
  checkpoints = 0
  /** The newest checkpoint that was read: what it signs, and the tree as it was, as TreeFrontier saves it. */
  newestCheckpoint: { readonly seq: number; readonly note: Uint8Array; readonly tree: Uint8Array } | undefined
  /** Commits that a manager vouched for in the place of their writers. */
  adopted = 0
  readonly #parser: CommitParser
  readonly #isTrusting: boolean

  private constructor(makers: ReplicaMakers, genesis: Genesis, record: LogRecord, head: RecordHead) {
    this.crypto = makers.crypto
    this.genesis = genesis
    this.chainId = genesis.chainId
    this.#isTrusting = makers.trust === 'centralized'
    this.view = new View(makers.seed)
    this.tree = new TreeFrontier(makers.crypto)
    this.#parser = sharedParser(makers.crypto)
    this.chainTime = head.admittedAt
    this.head = { seq: -1, hash: NO_HASH }
    startState(this.view, this.trust, makers.crypto, genesis)
    this.advance(record)
  }

  /** @throws AteError BAD_GENESIS | BAD_SIGNATURE | UNSUPPORTED_FORMAT | NEEDS_UPGRADE | LINK_MISMATCH */
  static open(makers: ReplicaMakers, record: LogRecord): Replica {
    const head = parseRecordHead(record.bytes)
    if (head.kind !== KIND.genesis || head.seq !== 0 || !equalBytes(head.prev, NO_HASH))
      throw new AteError('BAD_GENESIS', { what: 'head' })
    const genesis = parseGenesis(makers.crypto, record.bytes)
    if (genesis.parameters.level > FOLD_LEVEL) {
      throw new AteError('NEEDS_UPGRADE', { level: genesis.parameters.level, known: FOLD_LEVEL })
    }
    const hash = hashRecord(makers.crypto, genesis.chainId, record.bytes, KIND.genesis)
    if (!equalBytes(hash, record.hash)) throw new AteError('LINK_MISMATCH', { seq: 0 })
    return new Replica(makers, genesis, record, head)
  }

  /** Goes on from a state that was folded before; `record` is the first of the log. @throws as open */
  static resume(makers: ReplicaMakers, record: LogRecord, state: FoldedState): Replica {
    return Object.assign(Replica.open(makers, record), state)
  }

  /**
   * Verifies and folds the next record.
   * @throws AteError LINK_MISMATCH | BAD_RECORD | BAD_ROOT | BAD_BODY | BAD_SIGNATURE | BAD_CERTIFICATE | BAD_ATTESTATION
   * | BAD_CHECKPOINT | BAD_RECOVERY | BAD_SEQUENCER, each with the seq. The state is then as before.
   */
  accept(record: LogRecord): Accepted {
    return this.#take(record, 'accept')
  }

  /**
   * For who orders the records: takes the next one as accept does, unless nothing of it would count. Then the answer is
   * `refused`, one reason for each of its transactions, and the state is as before: the record must not be stored.
   * @throws as accept
   */
  offer(record: LogRecord): Offered {
    return this.#take(record, 'offer')
  }

  #take(record: LogRecord, how: 'accept'): Accepted
  #take(record: LogRecord, how: 'offer'): Offered
  #take(record: LogRecord, how: 'accept' | 'offer'): Offered {
    const head = parseRecordHead(record.bytes)
    if (head.seq !== this.head.seq + 1 || head.seq !== record.seq || !equalBytes(head.prev, this.head.hash)) {
      throw new AteError('LINK_MISMATCH', { seq: record.seq })
    }
    try {
      if (head.kind === KIND.commit) return this.#takeCommit(record, head, how)
      const hash = hashRecord(this.crypto, this.chainId, record.bytes, head.kind)
      if (!equalBytes(hash, record.hash)) throw new AteError('LINK_MISMATCH', { seq: head.seq })
      this.#checkSequencer(head, undefined)
      const swept = this.#acceptOther(record, head)
      this.advance(record)
      return { head, time: this.chainTime, ...(swept ? { swept } : {}) }
    } catch (cause) {
      if (cause instanceof AteError && cause.facts['seq'] === undefined) {
        throw new AteError(cause.code, { ...cause.facts, seq: record.seq }, { cause })
      }
      throw cause
    }
  }

  /** The record is the newest now: for a writer's own, whose transactions were folded when they were staged. */
  advance(record: Omit<LogRecord, 'bytes'>): void {
    const hash = record.hash.slice()
    this.head = { seq: record.seq, hash }
    this.hashes.push(hash)
    this.tree.append(leafHash(this.crypto, hash))
  }

  /** The newest record up to which every commit is attested. */
  get attestedSeq(): number {
    let first = this.head.seq + 1
    for (const { unattested } of this.trust.certificates.values()) {
      if (unattested.length > 0 && unattested[0]!.seq < first) first = unattested[0]!.seq
    }
    return first - 1
  }

  timeOf(admittedAt: number, authorAt: number): number {
    return timeOfCommit(this.chainTime, admittedAt, authorAt)
  }

  judgeFor(
    certificate: Pick<Certificate, 'identity' | 'identityBytes'>,
    time: number,
    seq: number,
    baseSeq: number,
  ): Judge {
    const { crypto, chainId } = this
    const { identity: key, identityBytes: keyBytes } = certificate
    return {
      crypto,
      chainId,
      key,
      keyBytes,
      identity: this.trust.actorOf(key) ?? key,
      time,
      seq,
      baseSeq,
    }
  }

  /** A certificate whose signature verifies; undefined keys mean that the chain does not know its identity. */
  readCertificate(bytes: Uint8Array): {
    readonly certificate: Certificate
    readonly known: boolean
    readonly body: CertificateBody
  } {
    const { crypto } = this
    const { id, body, signature } = parseCertificate(crypto, bytes)
    const identity = toBinaryText(body.identity)
    const stored = this.trust.keysOf(identity)
    const keys = stored ?? body.keys
    if (!equalBytes(body.chain, this.chainId) || !keys) throw new AteError('BAD_CERTIFICATE', { what: 'chain or keys' })
    if (!stored && !equalBytes(fingerprintOfKeys(crypto, keys), body.identity))
      throw new AteError('BAD_CERTIFICATE', { what: 'fingerprint' })
    if (!compositeVerifier(crypto, signingKeyOf(keys)).verify(id, signature, contextBytes('certificate'))) {
      throw new AteError('BAD_CERTIFICATE', { what: 'signature' })
    }
    const certificate: Certificate = {
      id,
      identityBytes: body.identity,
      identity,
      keys,
      session: body.session,
      verifier: crypto.ed25519Verifier(body.session),
      until: body.until,
      mark: 0,
      ended: false,
      unattested: [],
    }
    return { certificate, known: stored !== undefined, body }
  }

  #takeCommit(record: LogRecord, head: RecordHead, how: 'accept' | 'offer'): Offered {
    const commit = this.#parser.parse(this.chainId, record.bytes)
    const hash = hashRecord(this.crypto, this.chainId, record.bytes, KIND.commit, commit.commitHash)
    if (!equalBytes(hash, record.hash)) throw new AteError('LINK_MISMATCH', { seq: head.seq })
    checkBodies(this.crypto, commit, this.hashedBodies.take(record))

    const name = toBinaryText(commit.writer)
    const stored = this.trust.certificates.get(name)
    const fresh = stored || !commit.certificate ? undefined : this.readCertificate(commit.certificate)
    if (fresh && !equalBytes(fresh.certificate.id, commit.writer))
      throw new AteError('BAD_CERTIFICATE', { seq: head.seq, what: 'writer' })
    const certificate = stored ?? fresh?.certificate
    this.#checkSequencer(head, certificate)
    const time = this.timeOf(head.admittedAt, commit.at)
    // Without a certificate nobody can say whose signature it is: the commit is void, and nothing is remembered.
    const isVoid = (refusal: Refusal): Offered =>
      how === 'offer' ? { refused: [refusal] } : this.#void(record, commit, time, refusal)
    if (!certificate) return isVoid(refuse('CERT_UNKNOWN'))
    if (
      !this.#isTrusting &&
      !this.signatures.verify(head.seq, certificate.verifier, commit.commitHash, commit.signature)
    )
      throw new AteError('BAD_SIGNATURE', { seq: head.seq })

    const refusal = (fresh && this.#judgeLife(certificate, time)) ?? this.#judgeNumber(certificate, commit, time)
    if (refusal) return isVoid(refusal)
    const outcomes = this.#applyAll(commit, certificate, time)
    const committed = outcomes.some((outcome) => outcome === undefined)
    if (how === 'offer' && !committed && outcomes.length > 0) return { refused: outcomes as Refusal[] }
    // A stranger counts where everyone may write: what changes nothing is written nowhere.
    const wrote = outcomes.some((outcome, i) => outcome === undefined && commit.transactions[i]!.events.length > 0)
    if (fresh && !fresh.known && !wrote) return isVoid(refuse('UNKNOWN_WRITER'))
    if (fresh) this.addCertificate(fresh.certificate, fresh.body)
    certificate.mark = commit.writerSeq
    certificate.unattested.push({ writerSeq: commit.writerSeq, seq: head.seq, hash: commit.commitHash })
    if (committed) this.chainTime = time
    this.#noteVoids(head.seq, outcomes)
    this.advance(record)
    notePrint(this, commit)
    return { head, time, commit, identity: certificate.identity, outcomes }
  }

  addCertificate(certificate: Certificate, body: CertificateBody): void {
    const { certificates } = this.trust
    certificates.set(toBinaryText(certificate.id), certificate)
    this.trust.writers.add(certificate.identity)
    const before = body.after && certificates.get(toBinaryText(body.after))
    // A successor of the same identity ends the one before it: a writer is one process at a time.
    if (before && before.identity === certificate.identity) before.ended = before.succeeded = true
    // The commit that brings it may be the one that took its key out of its person.
    if (this.trust.actorOf(certificate.identity) === undefined) certificate.ended = true
  }

  /** A session key that is stolen is of use for a day at most, whatever its certificate says. */
  #judgeLife(certificate: Certificate, time: number): Refusal | undefined {
    const max = time + CERTIFICATE_MS
    return certificate.until > max ? refuse('CERT_ENDED', { until: certificate.until, max }) : undefined
  }

  #judgeNumber(certificate: Certificate, commit: ParsedCommit, time: number): Refusal | undefined {
    if (certificate.ended || time > certificate.until) return refuse('CERT_ENDED')
    if (this.trust.actorOf(certificate.identity) === undefined) return refuse('KEY_REMOVED')
    if (commit.writerSeq <= certificate.mark)
      return refuse('SEQ_USED', { writerSeq: commit.writerSeq, mark: certificate.mark })
    if (commit.writerSeq > certificate.mark + 1)
      return refuse('SEQ_GAP', { writerSeq: commit.writerSeq, mark: certificate.mark })
    return undefined
  }

  #applyAll(commit: ParsedCommit, certificate: Certificate, time: number): (Refusal | undefined)[] {
    const { seq } = commit.record
    const base = this.hashes.at(commit.base.seq)
    if (!base || !equalBytes(base, commit.base.hash)) {
      return commit.transactions.map(() => refuse('BASE_MISMATCH', { base: commit.base.seq }))
    }
    const journals: Journal[] = []
    try {
      return commit.transactions.map((transaction) => {
        // Anew for each: the one before may have changed for whom the key acts.
        const judge = this.judgeFor(certificate, time, seq, commit.base.seq)
        const journal = new Journal(this.view, false)
        journals.push(journal)
        const refusal = applyTransaction(this, transaction, judge, journal, commit.blocks)
        if (!refusal) this.#place(commit, transaction)
        return refusal
      })
    } catch (error) {
      for (const journal of journals.reverse()) journal.undo()
      throw error
    }
  }

  /** Points the rows of a committed transaction at their bodies. */
  #place(commit: ParsedCommit, { events }: ParsedTransaction): void {
    const record = commit.record.seq
    for (let i = 0; i < events.length; i++) {
      const event = events[i]!
      if (!event.body) continue
      const { row, block, offset, size } = event
      this.view.place(row, { record, block, offset, size }, event.hashBytes!, event.hashAt)
      if (commit.isCompacted && sliceAt(commit.blocks[block]!, offset, size) === undefined)
        this.view.setFlags(row, DROPPED)
    }
    settleLists(this.view)
  }

  #void(record: LogRecord, commit: ParsedCommit, time: number, refusal: Refusal): Accepted {
    const outcomes = commit.transactions.map(() => refusal)
    this.#noteVoids(record.seq, outcomes)
    this.advance(record)
    return { head: commit.record, time, commit, outcomes }
  }

  #noteVoids(seq: number, outcomes: readonly (Refusal | undefined)[]): void {
    const voids = new Map<number, Refusal>()
    outcomes.forEach((outcome, index) => {
      if (outcome) voids.set(index, outcome)
    })
    if (voids.size > 0) this.voids.set(seq, voids)
  }

  /** With a list of servers only they order records; else who is named, who has written, and the author himself. */
  maySequence(name: string, author: string | undefined): boolean {
    const { sequencers } = this.trust
    if (sequencers === 'writers') return this.isKnown(name) || author === name
    return sequencers.includes(this.trust.actorOf(name) ?? '')
  }

  /**
   * The chain has named this identity, or has let it write, or it is a key of a person. One that was removed too: it acts
   * for nobody, but what it wrote before waits for its attestation, and the head of a record is no act.
   */
  isKnown(name: string): boolean {
    return this.trust.keysOf(name) !== undefined || this.trust.writers.has(name)
  }

  #checkSequencer(head: RecordHead, author: Certificate | undefined): void {
    if (!this.maySequence(toBinaryText(head.sequencer), author?.identity))
      throw new AteError('BAD_SEQUENCER', { seq: head.seq })
  }

  #acceptOther(record: LogRecord, head: RecordHead): readonly number[] | undefined {
    if (head.kind === KIND.attestation) this.#acceptAttestation(record)
    else if (head.kind === KIND.checkpoint) this.#acceptCheckpoint(record)
    else if (head.kind === KIND.sweep) return this.#acceptSweep(record)
    else if (head.kind === KIND.recover) acceptRecovery(this, record, head)
    else throw new AteError('BAD_GENESIS', { seq: head.seq, what: 'a second one' })
    return undefined
  }

  #acceptAttestation(record: LogRecord): void {
    const { body, message, signature } = parseAttestation(this.crypto, record.bytes)
    const certificate = this.trust.certificates.get(toBinaryText(body.certificate))
    if (!certificate || !equalBytes(body.chain, this.chainId))
      throw new AteError('BAD_ATTESTATION', { what: 'certificate' })
    const count = body.to - body.from + 1
    const covered = certificate.unattested.slice(0, count)
    if (covered.length !== count || covered[0]!.writerSeq !== body.from)
      throw new AteError('BAD_ATTESTATION', { what: 'range' })
    const seen = this.hashes.at(body.seq)
    if (!seen || !equalBytes(seen, body.hash)) throw new AteError('BAD_ATTESTATION', { what: 'newest record' })
    const root = treeRoot(
      this.crypto,
      covered.map((commit) => commit.hash),
    )
    if (!equalBytes(root, body.root)) throw new AteError('BAD_ATTESTATION', { what: 'root' })
    const keys = body.by === undefined ? certificate.keys : this.#adopterKeys(body.by)
    if (!compositeVerifier(this.crypto, signingKeyOf(keys)).verify(message, signature, contextBytes('attestation'))) {
      throw new AteError('BAD_ATTESTATION', { what: 'signature' })
    }
    certificate.unattested.splice(0, count)
    if (body.by) this.adopted += count
  }

  /** Only who manages the root vouches for others. */
  #adopterKeys(by: Uint8Array): Uint8Array {
    const name = toBinaryText(by)
    const keys = this.trust.keysOf(name)
    const actor = this.trust.actorOf(name)
    if (!keys || actor === undefined || !mayManage(this.view, 0, actor))
      throw new AteError('BAD_ATTESTATION', { what: 'who adopts must manage the root' })
    return keys
  }

  #acceptCheckpoint(record: LogRecord): void {
    const origin = checkpointOrigin(chainIdOf(this.chainId))
    const checkpoint = parseCheckpoint(this.crypto, record.bytes, origin, this.trust.checkpointKeys)
    const fits = checkpoint.size === this.tree.size && equalBytes(checkpoint.root, this.tree.root())
    if (!fits) throw new AteError('BAD_CHECKPOINT', { what: 'root', size: checkpoint.size })
    this.#noteTimes(record)
    this.checkpoints++
    this.newestCheckpoint = { seq: record.seq, note: record.bytes.slice(RECORD_HEAD_BYTES), tree: this.tree.save() }
  }

  /** Lines that do not verify say nothing: whoever stores a checkpoint could write them. */
  #noteTimes(record: LogRecord): void {
    const witnesses = this.view.witnesses.witnesses()
    if (witnesses.length === 0) return
    const note = parseNote(record.bytes.subarray(RECORD_HEAD_BYTES))
    for (const witness of witnesses) {
      const at = cosignedAt(this.crypto, note, witness)
      if (at !== undefined) this.view.witnesses.note(witness, at)
    }
  }

  /** Drops what has expired by chain time; what has children, is retained or holds units stays. */
  #acceptSweep(record: LogRecord): number[] {
    const swept: number[] = []
    const journal = new Journal(this.view, false)
    for (const { a, b, c, d } of parseSweep(record.bytes)) {
      const row = this.view.findLive(a, b, c, d)
      if (row <= 0 || !maySweep(this.view, row, this.chainTime)) continue
      removeRow(this.view, journal, row)
      this.view.table.set(row, ROW.record, NO_RECORD)
      swept.push(row)
    }
    return swept
  }
}

/** The time by which a commit is judged, which becomes chain time if one of its transactions commits. */
export function timeOfCommit(chainTime: number, admittedAt: number, authorAt: number): number {
  return Math.max(chainTime, Math.min(admittedAt, authorAt + AUTHOR_AHEAD_MS))
}

export function maySweep(view: View, row: number, time: number): boolean {
  const { expires, retain, holds, counters } = view.extraOf(row)
  if (expires === undefined || expires > time || retain > time || holds.length > 0) return false
  // What is written once goes by a deletion that somebody has signed.
  if (view.lockedNode(row) >= 0) return false
  return !view.children.hasLive(row) && counters.every((counter) => counter.unit === undefined || counter.value === 0n)
}
