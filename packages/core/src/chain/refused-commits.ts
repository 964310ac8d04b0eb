/**
 * What becomes of what a server did not take. Its number stays open, and has to be taken: by an empty commit, or never, where by
 * our own fold nothing can land under it any more. Only then its author is told, so that it cannot land afterwards.
 */
import { AteError } from '../base/errors.ts'
import { RECORD_HEAD_BYTES } from '../event/format.ts'
import type { ChainCore } from './chain-core.ts'
import { indeterminate } from './indeterminate.ts'
import type { KeptWriting } from './kept-writing.ts'
import type { Sent, Submitted } from './sent.ts'
import type { Batch } from './staged.ts'
import type { UnderWay } from './under-way.ts'
import { type Refusal, refuse } from './verdict.ts'

/** Of a commit that waits for the one before it: not a word about itself. */
const WAITS: ReadonlySet<string> = new Set(['SEQ_GAP', 'CERT_UNKNOWN'])
/** The chain takes nothing of this key. */
const GONE: ReadonlySet<string> = new Set(['KEY_REMOVED', 'UNKNOWN_WRITER'])
/** The server asks for patience; nothing was decided. */
const LATER: ReadonlySet<string> = new Set(['BUSY', 'RATE_LIMITED'])

export interface RefusedParts {
  readonly core: ChainCore
  readonly kept: KeptWriting
  readonly underWay: UnderWay
  /** Sends again after a while. */
  readonly later: () => void
  /** Signs and sends. */
  readonly submit: (batches: readonly Batch[]) => void
  readonly fail: (error: AteError) => void
}

export class RefusedCommits {
  readonly #parts: RefusedParts
  readonly #core: ChainCore
  readonly #kept: KeptWriting
  readonly #underWay: UnderWay

  constructor(parts: RefusedParts) {
    this.#parts = parts
    this.#core = parts.core
    this.#kept = parts.kept
    this.#underWay = parts.underWay
  }

  /** The server did not take it. */
  refused(one: Submitted, refusals: readonly Refusal[]): void {
    const [first] = refusals
    if (!first) return
    if ('entry' in one) {
      const index = this.#underWay.others.indexOf(one)
      if (index < 0) return
      this.#underWay.others.splice(index, 1)
      one.fail(new AteError(first.code, first.facts))
      return
    }
    const index = this.#underWay.sent.indexOf(one)
    // It has come back already: an answer to the repetition of what had landed.
    if (index < 0) return
    this.#underWay.sendAgain(index)
    if (LATER.has(first.code)) this.#parts.later()
    else if (first.code === 'CERT_ENDED' && this.#hasEnded()) this.#signAgain()
    else if (GONE.has(first.code) && this.#isGone()) this.#giveUp(refusals)
    // The oldest waits for nothing.
    else if (index === 0 || !WAITS.has(first.code)) this.#fill(one, refusals)
  }

  /** Not because the server says so: by our own fold the chain takes nothing from this key. */
  #isGone(): boolean {
    const { trust } = this.#core.replica
    const { identity } = this.#kept.writer!.current.certificate
    return trust.actorOf(identity) === undefined || trust.keysOf(identity) === undefined
  }

  /** Not because the server says so: under a certificate that has ended by our own fold nothing can land any more. */
  #hasEnded(): boolean {
    const { certificate } = this.#kept.writer!.current
    return certificate.ended || this.#core.replica.chainTime > certificate.until
  }

  #signAgain(): void {
    const gone = this.#underWay.takeAll()
    this.#tellRestored(gone, refuse('CERT_ENDED'))
    const batches = gone.filter(({ restored }) => !restored).map(({ batch }) => batch)
    this.#kept.writer!.renew(this.#core.staging.time)
    this.#parts.submit(batches)
  }

  /** The chain takes nothing from this key: what waits behind it has the same answer. */
  #giveUp(refusals: readonly Refusal[]): void {
    const [first] = this.#underWay.sent
    const reason = first?.refused?.refusals[0] ?? refusals[0]!
    if (this.#kept.writer!.current.fresh) this.#kept.writer!.forget()
    const gone = this.#underWay.takeAll()
    this.#tellRestored(gone, reason)
    const error = new AteError(reason.code, reason.facts)
    // No number of a stranger can be taken by nothing: what he has signed could still land, should he become known.
    const isStranger = this.#core.replica.trust.keysOf(this.#core.keyName) === undefined
    this.#core.staging.dropAll(
      gone.map(({ batch }) => batch),
      ({ draft }, was) =>
        isStranger && was === 'sent' ? indeterminate({ what: 'refused' }, { nonce: draft.nonce, cause: error }) : error,
    )
  }

  /** Nobody waits for what an earlier process has signed, but who asks for conflicts. */
  #tellRestored(gone: readonly Sent[], reason: Refusal): void {
    for (const { restored } of gone)
      if (restored)
        this.#core.tellConflicts(
          restored,
          restored.map(() => reason),
        )
    this.#kept.over(gone)
  }

  /** Its number stays open, and has to be taken: by nothing. */
  #fill(sent: Sent, refusals: readonly Refusal[]): void {
    if (sent.refused) {
      this.#parts.fail(new AteError(refusals[0]!.code, refusals[0]!.facts))
      return
    }
    const { staging } = this.#core
    const nothing = { ...sent.batch, transactions: [], blockKeys: new Set<string>() }
    const filler = this.#kept.sign(nothing, sent.number, sent.number === 1 ? 'first' : 'behind another')
    staging.rebaseSent(
      (lost) => {
        for (const { draft } of sent.batch.transactions) lost.add(draft)
        sent.refused = { refusals, payload: filler.bytes.slice(RECORD_HEAD_BYTES), hash: filler.commitHash }
      },
      () => this.#underWay.batches,
    )
  }
}
