/**
 * For loops over records that wait for nothing but promises that are there, which the event loop does not turn for: every so
 * often timers, sockets and messages of other threads have their turn (decision 0100).
 */
import type { Environment } from './environment.ts'

/** For so long, in ms, such a loop goes on: as long as one over transactions (log/sync-place.ts). */
const HELD_MS_MAX = 10
/** Less than so many bytes of records is no long work, however slow the machine: who waits for the next record has it at once. */
const HELD_BYTES_MIN: number = 64 * 1024

export class GiveWay {
  readonly #environment: Environment
  #since: number
  #bytes = 0

  constructor(environment: Environment) {
    this.#environment = environment
    this.#since = environment.clock.monotonic()
  }

  /** What to wait for before a record of so many bytes is taken; undefined while the turn is short. */
  turn(bytes: number): Promise<void> | undefined {
    this.#bytes += bytes
    if (this.#bytes < HELD_BYTES_MIN) return undefined
    const { clock, timers } = this.#environment
    if (clock.monotonic() - this.#since < HELD_MS_MAX) return undefined
    return timers.pause().then(() => this.turned())
  }

  /** Whoever loops has waited for something. */
  turned(): void {
    this.#since = this.#environment.clock.monotonic()
    this.#bytes = 0
  }
}
