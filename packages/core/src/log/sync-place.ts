/**
 * Where a sync that one caller waits for is done: on the spot where the disk is fast, since a hop to another thread takes
 * longer; in another thread where it is slow, or where the event loop has stood for long. A loop over transactions that syncs
 * on the spot alone never lets timers and sockets have their turn.
 */
import type { Clock } from '../base/environment.ts'

/** Below this, in ms, a sync on the spot is cheaper than a thread hop (0.29 against 0.35 to 0.40 ms measured). */
const FAST_SYNC_MS = 1
/** For so long, in ms, one sync after the other may be done on the spot without a turn of the event loop. */
const HELD_MS_MAX = 10

export class SyncPlace {
  readonly #clock: Clock
  readonly #pause: () => Promise<void>
  /** Of the newest syncs, smoothed. */
  #tookMs = Number.POSITIVE_INFINITY
  /** When the first sync on the spot since the last turn began. */
  #heldSince: number | undefined

  constructor(clock: Clock, pause: () => Promise<void>) {
    this.#clock = clock
    this.#pause = pause
  }

  get isHere(): boolean {
    if (this.#tookMs >= FAST_SYNC_MS) return false
    return this.#heldSince === undefined || this.#clock.monotonic() - this.#heldSince < HELD_MS_MAX
  }

  /** A sync on the spot begins. */
  hold(): void {
    if (this.#heldSince !== undefined) return
    this.#heldSince = this.#clock.monotonic()
    void this.#pause().then(() => {
      this.#heldSince = undefined
    })
  }

  took(ms: number): void {
    this.#tookMs = Number.isFinite(this.#tookMs) ? 0.7 * this.#tookMs + 0.3 * ms : ms
  }
}
