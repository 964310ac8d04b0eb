/**
 * What a chain is written with where a server orders the records: a certificate, and the outbox in which commits wait on this
 * machine until their numbers are taken. Both stand in a place that one process or tab at a time has (writer-places.ts).
 */
import { type AteError, isAteError } from '../base/errors.ts'
import { CLOCK_AHEAD_MS } from '../base/limits.ts'
import type { ChainCore, CoreParts } from './chain-core.ts'
import type { BuiltCommit } from './commit-builder.ts'
import { hasKeys, keysOf } from './entity-keys.ts'
import type { Lasting } from './lasting.ts'
import type { Outbox } from './outbox.ts'
import type { Sent } from './sent.ts'
import type { Batch } from './staged.ts'
import type { UnderWay } from './under-way.ts'
import type { WriterPlace } from './writer-places.ts'
import { WriterSession } from './writer-session.ts'

/** What a commit is written with, and where it waits. */
export interface Hand {
  readonly writer: WriterSession
  /** None of identities that do not outlive the process (lasting.ts), and where others have all places. */
  readonly outbox: Outbox | undefined
}

/** What writes under the certificate of a place, which it takes over; without one, under one that is not kept. */
export function openWriter(parts: CoreParts, place: WriterPlace | undefined): Promise<WriterSession> {
  const { crypto, environment, identity, replica } = parts
  const state = place && parts.state
  return WriterSession.open({ crypto, environment, identity, replica, state, place, aheadMs: CLOCK_AHEAD_MS })
}

export class KeptWriting {
  readonly #core: ChainCore
  readonly #underWay: UnderWay
  /** Where the identity outlives the process, and so does what waits. */
  readonly #lasting: Lasting | undefined
  #hand: Hand | undefined
  /** Into the outbox, one after the other. */
  #kept: Promise<unknown> = Promise.resolve()
  /** Numbers of the outbox that were taken. */
  readonly #done: number[] = []

  constructor(
    core: ChainCore,
    underWay: UnderWay,
    { hand, lasting }: { readonly hand: Hand | undefined; readonly lasting: Lasting | undefined },
  ) {
    this.#core = core
    this.#underWay = underWay
    this.#hand = hand
    this.#lasting = lasting
  }

  /** Undefined of who only reads. */
  get writer(): WriterSession | undefined {
    return this.#hand?.writer
  }

  get #outbox(): Outbox | undefined {
    return this.#hand?.outbox
  }

  /** A commit under a number. The first one that the chain sees of a certificate brings it along. */
  sign(batch: Batch, writerSeq: number, place: 'first' | 'behind another'): BuiltCommit {
    const { builder, replica, identity } = this.#core
    const { certificate, signer, fresh } = this.writer!.current
    return builder.build(batch, {
      prev: replica.head.hash,
      sequencer: identity.fingerprintBytes,
      session: { writer: certificate.id, signer },
      writerSeq,
      certificate: place === 'first' ? fresh?.bytes : undefined,
    })
  }

  /** What an earlier process has signed and this one can send. @throws `away`, the error of the server that is not there */
  async restore(away: AteError | undefined): Promise<void> {
    if (!this.#outbox || !this.writer || !this.#lasting) return
    this.#send(await this.#lasting.restore(this.#core, this.writer, this.#outbox, away))
    // Numbers of the kept certificate may be taken that this copy does not show. What waits has its own, and nothing is
    // signed behind it before it has come back.
    if (away && this.#underWay.sent.length === 0) this.writer.forget()
  }

  /** Goes on with what another one has left, whose place `next` is taken from; only while nothing is under way. */
  async change(next: () => Promise<Hand>): Promise<void> {
    await this.#kept
    await this.noteDown()
    // Closes the place itself if it fails.
    const hand = await next()
    let closing = hand.writer
    try {
      const restored = await this.#lasting!.restore(this.#core, hand.writer, hand.outbox!, undefined)
      closing = this.writer!
      this.#hand = hand
      this.#send(restored)
    } finally {
      await closing.close()
    }
  }

  #send(restored: readonly Sent[]): void {
    this.#underWay.sent.push(...restored)
    if (restored.length > 0) this.#underWay.sendAgain(0)
  }

  /**
   * The outbox has no gaps: what is open in front goes with it. What attaches keys is never kept there, since a key that is
   * destroyed later must not have been on this machine's disk; who writes behind it waits for the log.
   */
  keepUpTo(sent: Sent): void {
    if (!this.#outbox) {
      // Where others have all places it is known safe when it is in the log.
      if (!this.#lasting) this.#tellKept(sent)
      return
    }
    if (this.#underWay.sent.some(({ batch }) => hasKeys(batch) && keysOf(batch).length > 0)) return
    for (const one of this.#underWay.sent) {
      if (one.isKept) continue
      one.isKept = true
      this.#kept = this.#kept.then(() => this.#keep(one))
    }
  }

  /** Into the outbox; then those are told who wait for no more. */
  async #keep(sent: Sent): Promise<void> {
    try {
      // It may have come back meanwhile.
      if (this.#underWay.sent.includes(sent)) {
        await this.writer!.keepEarly()
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

  /** Their numbers are taken, or never will be. */
  over(all: readonly Sent[]): void {
    for (const { isKept, number } of all) if (isKept) this.#done.push(number)
  }

  /** What is acknowledged is noted on this machine, and what has waited for it goes. */
  async noteDown(): Promise<void> {
    try {
      await this.writer?.acknowledged()
      for (const number of this.#done.splice(0)) await this.#outbox?.remove(number)
      await this.#core.rememberSometimes()
    } catch (error) {
      // What is acknowledged is, whatever becomes of this machine's own notes: close tries again, and tells.
      if (!isAteError(error) || error.code !== 'STATE_UNWRITABLE') throw error
    }
  }

  async close(): Promise<void> {
    await this.writer?.close()
  }
}
