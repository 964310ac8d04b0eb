/**
 * What a server dates its acknowledgements by: the wall clock, which never goes back, also not where it was set back before the
 * server was started anew. Two acknowledgements of one server in the wrong order are a proof against it (data/evidence.ts; decision 0086).
 *
 * What is kept is no time that was used but a bound ahead of all of them, so that nothing is written when something is signed.
 * Who starts anew begins at the bound that he finds.
 *
 * Invariants:
 * - nothing is dated later than the bound that is kept: where a new one is not kept yet, or cannot be, time stands still;
 * - nothing is dated later than DATED_AHEAD_MS_MAX ahead of the clock: what is signed must be within the time of the delegation.
 */

import { utf8 } from '../base/bytes.ts'
import type { Environment } from '../base/environment.ts'
import { AteError, type ErrorFacts, isAteError } from '../base/errors.ts'
import { DATED_AHEAD_MS_MAX, DATES_KEPT_MS } from '../base/limits.ts'

/** Where the bound is kept, in ms since 1970. */
export interface KeptDate {
  /** Undefined if there is none. */
  read(): Promise<number | undefined>
  /** Durable when it resolves. */
  keep(bound: number): Promise<void>
}

/** The bytes that hold it. */
export function dateBytes(ms: number): Uint8Array {
  return utf8(`${ms}\n`)
}

/** @throws AteError DAMAGED, with `facts` */
export function dateIn(bytes: Uint8Array, facts: ErrorFacts): number {
  const text = new TextDecoder().decode(bytes)
  const ms = Number(text)
  if (!/^\d{1,16}\n$/.test(text) || !Number.isSafeInteger(ms))
    throw new AteError('DAMAGED', { ...facts, what: 'a time' })
  return ms
}

export class Dates {
  readonly #environment: Environment
  readonly #kept: KeptDate | undefined
  readonly #failed: (error: AteError) => void
  /** It does not go down while something may be dated. */
  #bound = Number.POSITIVE_INFINITY
  #latest = 0
  #timer: { cancel(): void } | undefined
  #keeping: Promise<void> = Promise.resolve()

  /** `failed` is told, each time, that a new bound could not be kept. Without `kept` it outlives nothing, and needs no start. */
  constructor(environment: Environment, kept?: KeptDate, failed: (error: AteError) => void = () => undefined) {
    this.#environment = environment
    this.#kept = kept
    this.#failed = failed
    if (kept) this.#bound = 0
  }

  /** Before anything is dated. @throws AteError, as `kept` */
  async start(): Promise<void> {
    if (!this.#kept) return
    // A clock that was far ahead for once would hold it there.
    const latest = this.#environment.clock.now() + DATED_AHEAD_MS_MAX
    this.#latest = Math.min((await this.#kept.read()) ?? 0, latest)
    await this.#keep(this.#kept)
    this.#keepLater(this.#kept)
  }

  /** What an acknowledgement is dated by. */
  now(): number {
    const clock = this.#environment.clock.now()
    this.#latest = Math.min(Math.max(this.#latest, clock), clock + DATED_AHEAD_MS_MAX, this.#bound)
    return this.#latest
  }

  /** When a delegation begins that counts now, and for whatever is dated from now on. */
  begin(): number {
    return Math.min(this.#environment.clock.now(), this.now())
  }

  /** Who starts anew begins at the last time that was used. */
  async close(): Promise<void> {
    if (this.#timer === undefined) return
    this.#timer.cancel()
    await this.#keeping
    this.#bound = this.#latest
    // The higher one that is kept does as well.
    await this.#kept?.keep(this.#latest).catch(() => undefined)
  }

  async #keep(kept: KeptDate): Promise<void> {
    const bound = Math.max(this.#bound, Math.max(this.#latest, this.#environment.clock.now()) + DATES_KEPT_MS)
    await kept.keep(bound)
    this.#bound = bound
  }

  #keepLater(kept: KeptDate): void {
    this.#timer = this.#environment.timers.start(DATES_KEPT_MS / 2, () => {
      this.#keepLater(kept)
      this.#keeping = this.#keep(kept).catch((error: unknown) => {
        this.#failed(isAteError(error) ? error : new AteError('INTERNAL', { what: 'dates' }, { cause: error }))
      })
    })
  }
}
