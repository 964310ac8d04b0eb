/**
 * Gives attached keys out to one client of a chain: to who may read the entity now, one after the other, and, where reads are
 * recorded, only against a durable record of his asking. What waits is bounded, and waits for the client to read.
 */
import { toBinaryText } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { KEY_RECORD_MS, KEYS_ASKED_MAX } from '../base/limits.ts'
import type { KeyAccess } from '../chain/link.ts'
import { type EntityWords, sameEntity, textOfWords, wordsOf } from '../event/entity-words.ts'
import { GUARD } from '../event/format.ts'
import type { ParsedTransaction } from '../event/transaction-event.ts'
import type { PublicIdentity } from '../session/identity.ts'
import { mayRead } from '../trust/policy.ts'
import type { HostedChain } from './hosted-chain.ts'
import type { KeyAnswer, KeyClientMessage, KeyServerMessage, RingPage } from './key-messages.ts'

type Question = Extract<KeyClientMessage, { type: 'ask' | 'ring' }>

export interface KeyDeskParts {
  readonly channel: number
  readonly chain: HostedChain
  readonly asker: PublicIdentity
  readonly access: KeyAccess
  /** A server of the same ring, which takes the chain over. */
  readonly isSibling: boolean
  readonly hasRoom: () => boolean
  readonly send: (message: KeyServerMessage) => void
}

export class KeyDesk {
  readonly #parts: KeyDeskParts
  readonly #asker: string
  readonly #waiting: Question[] = []
  #working = false
  #closed = false

  constructor(parts: KeyDeskParts) {
    this.#parts = parts
    this.#asker = toBinaryText(parts.asker.fingerprintBytes)
  }

  /** False if more is asked than any client of ours asks at a time. */
  ask(question: Question): boolean {
    if (this.#waiting.length >= KEYS_ASKED_MAX) return false
    // Views of the frame do not outlive this turn.
    this.#waiting.push(question.type === 'ask' ? { ...question, entity: question.entity.slice() } : question)
    this.pump()
    return true
  }

  close(): void {
    this.#closed = true
    this.#waiting.length = 0
  }

  pump(): void {
    if (!this.#working) void this.#work()
  }

  async #work(): Promise<void> {
    const { channel, hasRoom, send } = this.#parts
    this.#working = true
    while (!this.#closed && this.#waiting.length > 0 && hasRoom()) {
      const question = this.#waiting[0]!
      const { id } = question
      const message: KeyServerMessage =
        question.type === 'ask'
          ? { type: 'key', channel, id, answer: await this.#answer(question) }
          : { type: 'ring', channel, id, page: await this.#page(question.after) }
      // It holds its place until it is answered: what waits is what was asked.
      this.#waiting.shift()
      if (!this.#closed) send(message)
    }
    this.#working = false
  }

  async #answer({ entity, record }: Extract<Question, { type: 'ask' }>): Promise<KeyAnswer> {
    try {
      return await this.#give(wordsOf(entity), record)
    } catch (error) {
      const { code, facts } = isAteError(error) ? error : new AteError('INTERNAL', { what: 'key' }, { cause: error })
      return { code, facts }
    }
  }

  /** @throws AteError NOT_AUTHORIZED | KEY_NOT_RECORDED | KEY_NOT_ERASED | KEYS_UNAVAILABLE, and as the ring */
  async #give(entity: EntityWords, record: number | undefined): Promise<Uint8Array | undefined> {
    const { chain, access } = this.#parts
    if (access === 'none') throw new AteError('KEYS_UNAVAILABLE')
    // Of one that is gone nobody gets anything, and everybody may know whether its key is gone too.
    if (this.#rowOf(entity) < 0) return this.#gone(entity)
    this.#assertMayRead(entity)
    if (access === 'recorded') await chain.inTurn(() => this.#assertRecorded(entity, record))
    // Both may have changed meanwhile.
    if (this.#rowOf(entity) < 0) return this.#gone(entity)
    this.#assertMayRead(entity)
    return chain.keys.get(entity)
  }

  /** The deletion is judged already: once it is stored, its key is destroyed. */
  async #gone(entity: EntityWords): Promise<undefined> {
    const { sequencer, keys } = this.#parts.chain
    await sequencer.stored()
    await keys.assertGone(entity)
    return undefined
  }

  #rowOf({ a, b, c, d }: EntityWords): number {
    return this.#parts.chain.replica.view.findLive(a, b, c, d)
  }

  #assertMayRead(entity: EntityWords): void {
    const { trust, view } = this.#parts.chain.replica
    const actor = trust.actorOf(this.#asker)
    if (actor === undefined || !mayRead(view, this.#rowOf(entity), actor))
      throw new AteError('NOT_AUTHORIZED', { entity: textOfWords(entity), needs: 'read' })
  }

  /** @throws AteError KEY_NOT_RECORDED */
  async #assertRecorded(entity: EntityWords, seq: number | undefined): Promise<void> {
    const refuse = (what: string): AteError => new AteError('KEY_NOT_RECORDED', { entity: textOfWords(entity), what })
    const { chain } = this.#parts
    const { sequencer, replica, engine } = chain
    if (seq === undefined) throw refuse('no record was named')
    if (seq > sequencer.head.seq) throw refuse('there is no such record')
    if (engine.durableSeq() < seq) await sequencer.durable()
    const commit = await chain.commitAt(seq)
    if (!commit) throw refuse('the record is no commit')
    if (replica.trust.certificates.get(toBinaryText(commit.writer))?.identity !== this.#asker)
      throw refuse('the record is of somebody else')
    if (chain.environment.clock.now() - commit.record.admittedAt > KEY_RECORD_MS) throw refuse('the record is too old')
    const voids = replica.voids.get(seq)
    const isNamed = commit.transactions.some((transaction, i) => !voids?.has(i) && namesEntity(transaction, entity))
    if (!isNamed) throw refuse('no transaction of the record names the entity')
  }

  async #page(after: Uint8Array | undefined): Promise<RingPage> {
    const { keys } = this.#parts.chain
    const total = keys.count
    // Who takes the chain over counts what he gets: what cannot be read is missed there.
    const entries = this.#parts.isSibling ? await keys.page(after).catch(() => []) : []
    return { total, entries }
  }
}

/** It guards the entity's version, or changes it: that stands in clear. Ids of what it creates do not. */
function namesEntity({ guards, events }: ParsedTransaction, entity: EntityWords): boolean {
  return (
    guards.some((guard) => guard.kind === GUARD.version && sameEntity(guard.entity, entity)) ||
    events.some((event) => sameEntity(event, entity))
  )
}
