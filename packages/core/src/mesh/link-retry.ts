/** When a link tries to reach its server again: later and later, and at once where the machine says that it is online. */
import { LINK_RETRY_MAX_MS } from '../base/limits.ts'
import type { Platform } from '../session/platform.ts'

export class LinkRetry {
  readonly #platform: Platform
  readonly #firstMs: number
  #nextMs: number
  #waiting: { cancel(): void } | undefined

  constructor(platform: Platform, firstMs: number) {
    this.#platform = platform
    this.#firstMs = firstMs
    this.#nextMs = firstMs
  }

  /** The server has answered: the next try comes as soon as the first one did. */
  reset(): void {
    this.#nextMs = this.#firstMs
  }

  later(run: () => void): void {
    // Half of it by chance, so that not all clients of a server that comes back come in the same moment.
    const { environment } = this.#platform
    const chance = new Uint8Array(1)
    environment.random.fill(chance)
    const delay = this.#nextMs * (0.5 + chance[0]! / 512)
    this.#nextMs = Math.min(this.#nextMs * 2, LINK_RETRY_MAX_MS)
    const again = (): void => {
      this.cancel()
      run()
    }
    // As a connection does: who waits for a change to be acknowledged has nothing else that holds his process.
    const timer = environment.timers.start(delay, again, { holds: 'process' })
    const waking = this.#platform.whenOnline?.(again)
    this.#waiting = {
      cancel() {
        timer.cancel()
        waking?.cancel()
      },
    }
  }

  cancel(): void {
    this.#waiting?.cancel()
  }
}
