/**
 * Records as they come from the server that orders them: verified, folded below what is staged, kept on this machine, and told to
 * their authors. The fold here is as good as the server's: what it says of a commit decides, whatever the server says.
 */
import { equalBytes } from '../base/bytes.ts'
import type { AteError } from '../base/errors.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { Durability, Head, LogRecord } from '../log/engine.ts'
import type { ChainCore } from './chain-core.ts'
import type { OpenChanges } from './dependence.ts'
import type { HeldTail } from './held-tail.ts'
import type { KeptWriting } from './kept-writing.ts'
import type { LinkAlarm } from './link.ts'
import type { Accepted } from './replica.ts'
import { refusalsOf } from './sent.ts'
import type { AcknowledgementPart } from './signed-parts.ts'
import type { UnderWay } from './under-way.ts'
import { verifyAhead } from './verify-ahead.ts'

export interface TakingParts {
  readonly core: ChainCore
  readonly kept: KeptWriting
  readonly underWay: UnderWay
  readonly tail: HeldTail
  /** A record that this machine has verified, and that the copy did not have when it was opened without the server. */
  readonly beyond: Head | undefined
  /** Nothing is taken any more. */
  readonly isOver: () => boolean
  readonly alarm: (alarm: LinkAlarm) => AteError
  readonly acknowledgement: () => AcknowledgementPart | undefined
  /** There is room to send more. */
  readonly schedule: () => void
  readonly fail: (error: unknown) => void
}

export class TakingBack {
  readonly #parts: TakingParts
  readonly #core: ChainCore
  readonly #kept: KeptWriting
  readonly #underWay: UnderWay
  #beyond: Head | undefined

  constructor(parts: TakingParts) {
    this.#parts = parts
    this.#core = parts.core
    this.#kept = parts.kept
    this.#underWay = parts.underWay
    this.#beyond = parts.beyond
  }

  async take(records: readonly LogRecord[], durability: Durability): Promise<void> {
    if (this.#parts.isOver()) return
    const chunks = verifyAhead(only(records), () => this.#core.replica)
    for await (const chunk of chunks) {
      if (this.#parts.isOver()) return
      await this.#takeChunk(chunk, durability)
    }
  }

  async #takeChunk(records: readonly LogRecord[], durability: Durability): Promise<void> {
    const { staging, replica } = this.#core
    this.#parts.tail.hold(records)
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
      () => this.#underWay.batches,
    )
    const good = records.slice(0, taken)
    this.#parts.tail.drop(records.slice(taken))
    try {
      this.#core.noteHead(durability)
      for (const tell of settled) tell()
      this.#parts.schedule()
      queueMicrotask(() => this.#core.admit())
      if (good.length > 0) await this.#parts.tail.keep(good, this.#parts.tail.durability === 'memory' ? 'memory' : 'os')
      if (problem !== undefined) throw problem
      await this.#kept.noteDown()
    } catch (error) {
      this.#parts.fail(error)
      throw error
    }
  }

  /** @throws AteError FORK */
  #checkBeyond({ seq, hash }: LogRecord): void {
    if (this.#beyond?.seq !== seq) return
    if (!equalBytes(this.#beyond.hash, hash))
      throw this.#parts.alarm({
        kind: 'fork',
        shown: { seq, hash },
        known: undefined,
        against: this.#parts.acknowledgement(),
      })
    this.#beyond = undefined
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
    const current = this.#kept.writer?.taken
    if (!commit || !current || !equalBytes(commit.writer, current.certificate.id)) return undefined
    this.#kept.writer!.ordered()
    this.#core.attesting.acknowledged(this.#kept.writer!.current.certificate)
    const [sent] = this.#underWay.sent
    if (commit.writerSeq !== sent?.number) return undefined
    this.#underWay.shift()
    this.#kept.over([sent])
    const became = equalBytes(commit.commitHash, sent.hash) ? (outcomes ?? []) : refusalsOf(sent)
    sent.batch.transactions.forEach(({ draft }, i) => {
      if (became[i]) lost.add(draft)
    })
    const { restored } = sent
    if (restored) return () => this.#core.tellConflicts(restored, became)
    return (at) => this.#core.staging.settle(sent.batch, at, became)
  }

  #takeOther(record: LogRecord): (() => void) | undefined {
    const other = this.#underWay.takeOther(record.bytes.subarray(RECORD_HEAD_BYTES))
    return other && (() => other.done(record))
  }
}

async function* only<T>(value: T): AsyncGenerator<T, void, void> {
  yield value
}
