/**
 * Hands observations to the observer of a chain, and to the channels of the platform that have subscribers.
 *
 * - Nobody listens: a look at two fields, no clock is read, no object is made.
 * - Observations are handed over in a microtask, in order: an observer that calls the chain finds it at rest, and one
 *   that throws meets nothing of it.
 */
import type { Clock } from '../base/environment.ts'
import { type AteError, isAlarm, isAteError } from '../base/errors.ts'
import { type ChainId, chainIdOf } from '../base/ids.ts'
import type { Durability, LogEngine, LogRecord } from '../log/engine.ts'
import type { Channel } from '../session/platform.ts'
import {
  type AlarmObservation,
  OBSERVATION_KINDS,
  type Observation,
  type ObservationKind,
  type Observer,
} from './observation.ts'
import type { Replica } from './replica.ts'
import type { Batch, TransactionDraft } from './staged.ts'
import type { Refusal } from './verdict.ts'

export interface ObservingParts {
  readonly clock: Clock
  readonly observe: Observer | undefined
  /** The channel of a name, if the platform has channels. */
  readonly channel: (name: string) => Channel | undefined
  /** Told of the first error of an observer. */
  readonly warn: (error: unknown) => void
}

/** An observation without what all of them share. */
type Told = Observation extends infer One ? (One extends Observation ? Omit<One, 'chain'> : never) : never

type Timed = Told extends infer One ? (One extends { readonly ms: number } ? Omit<One, 'ms'> : never) : never

const NOT_WANTED = -1

export class Observing {
  /** Known once the chain is. */
  chain: ChainId | undefined
  /** How often the observer has thrown. */
  failures = 0
  readonly #parts: ObservingParts
  readonly #observe: Observer | undefined
  /** Held on to: a channel that nobody holds may be made anew, without its subscribers. */
  readonly #channels: Partial<Record<ObservationKind, Channel>> = {}
  readonly #waiting: Observation[] = []

  constructor(parts: ObservingParts) {
    this.#parts = parts
    this.#observe = parts.observe
    for (const kind of OBSERVATION_KINDS) {
      const channel = parts.channel(`ate:chain:${kind}`)
      if (channel) this.#channels[kind] = channel
    }
  }

  wants(kind: ObservationKind): boolean {
    return this.#observe !== undefined || this.#channels[kind]?.hasSubscribers === true
  }

  /** The time at which something begins; negative if nobody wants to know. */
  start(kind: ObservationKind): number {
    return this.wants(kind) ? this.#parts.clock.monotonic() : NOT_WANTED
  }

  /** Tells what began at `started`, with the time that it took, if somebody wanted to know. */
  ended(started: number, what: Timed): void {
    if (started !== NOT_WANTED) this.tell({ ...what, ms: this.#parts.clock.monotonic() - started } as Told)
  }

  opened(started: number, replica: Replica, engine: LogEngine): void {
    this.chain = chainIdOf(replica.chainId)
    this.ended(started, { kind: 'open', records: replica.head.seq + 1, bytes: engine.sizeBytes() })
  }

  folded(started: number, { events }: TransactionDraft, refusal: Refusal | undefined): void {
    if (started !== NOT_WANTED) this.ended(started, { kind: 'fold', events: events.length })
    if (refusal) this.tell({ kind: 'refusal', where: 'staged', code: refusal.code })
  }

  sealed(started: number, { seq, transactions }: Batch, bytes: Uint8Array): void {
    if (started === NOT_WANTED) return
    this.ended(started, { kind: 'seal', seq, transactions: transactions.length, bytes: bytes.length })
  }

  appended(
    started: number,
    { records, batches }: { readonly records: readonly LogRecord[]; readonly batches: readonly Batch[] },
    durability: Durability,
  ): void {
    // Without records it only waited for the disk.
    if (started === NOT_WANTED || records.length === 0) return
    this.ended(started, {
      kind: 'append',
      seq: records[0]!.seq,
      records: records.length,
      transactions: batches.reduce((count, { transactions }) => count + transactions.length, 0),
      bytes: records.reduce((bytes, record) => bytes + record.bytes.length, 0),
      durability,
    })
  }

  /** Runs a refresh, which gives the number of its records. */
  async refreshing(run: () => Promise<number>): Promise<number> {
    const started = this.start('verify')
    try {
      const records = await run()
      if (records > 0) this.ended(started, { kind: 'verify', cause: 'refresh', records, problems: 0 })
      return records
    } catch (error) {
      this.alarm(error)
      throw error
    }
  }

  /** Transactions that came from elsewhere and are void. */
  judged(outcomes: readonly (Refusal | undefined)[] | undefined): void {
    if (outcomes === undefined || !this.wants('refusal')) return
    for (const refusal of outcomes) if (refusal) this.tell({ kind: 'refusal', where: 'stored', code: refusal.code })
  }

  /** Runs the reading of a body, of `bytes` bytes in record `seq`. */
  reading<R extends Uint8Array>(seq: number, bytes: number, run: () => R | Promise<R>): R | Promise<R> {
    const started = this.start('read')
    const done = (body: R): R => {
      this.ended(started, { kind: 'read', seq, bytes })
      return body
    }
    const failed = (error: unknown): never => {
      this.alarm(error)
      throw error
    }
    try {
      const body = run()
      return body instanceof Promise ? body.then(done, failed) : done(body)
    } catch (error) {
      return failed(error)
    }
  }

  tell(told: Told): void {
    if (!this.wants(told.kind)) return
    this.#waiting.push({ chain: this.chain, ...told } as Observation)
    if (this.#waiting.length === 1) queueMicrotask(() => this.#handOver())
  }

  /** Tells whoever runs the process of an error that nobody else hears of. */
  warn(error: unknown): void {
    this.#parts.warn(error)
  }

  /** An error that is an alarm, by its code; whatever else `error` is, it is not told. */
  alarm(error: unknown): void {
    if (this.wants('alarm') && isAteError(error) && isAlarm(error.code)) this.tell(alarmOf(error))
  }

  #handOver(): void {
    for (const observation of this.#waiting.splice(0)) {
      this.#channels[observation.kind]?.publish(observation)
      if (this.#observe) this.#call(this.#observe, observation)
    }
  }

  #call(observe: Observer, observation: Observation): void {
    try {
      const result: unknown = observe(observation)
      // An async function passes for an observer: what it rejects with must not end the process either.
      if (result instanceof Promise) result.catch((error) => this.#failed(error))
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    this.failures++
    if (this.failures === 1) this.#parts.warn(error)
  }
}

/** Codes and places only: other facts of an error may hold names. */
function alarmOf({ code, facts }: AteError): Omit<AlarmObservation, 'chain'> {
  const { seq = facts['firstSeq'], segment, offset } = facts
  return {
    kind: 'alarm',
    code,
    ...(typeof seq === 'number' ? { seq } : {}),
    ...(typeof segment === 'string' ? { segment } : {}),
    ...(typeof offset === 'number' ? { offset } : {}),
  }
}
