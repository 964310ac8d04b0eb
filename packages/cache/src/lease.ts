/** Holds a lease or a lock while this process runs: renews it, and tells when somebody else may have it. */
import { AteError, isAteError } from '@ate/core'
import type { Hold, Slots } from './slots.ts'
import type { Store } from './store.ts'

export class Lease {
  readonly hold: Hold
  readonly #store: Store
  readonly #slots: Slots
  readonly #ttlMs: number
  readonly #lost = new AbortController()
  readonly #onClose = (): void => this.lose(this.#store.closing.signal.reason)
  #until: number
  #timer: { cancel(): void } | undefined
  #isOver = false

  /** `begun`: monotonic time before it was taken, from which its time counts here. */
  constructor(
    parts: { readonly store: Store; readonly slots: Slots },
    hold: Hold,
    time: { readonly ttlMs: number; readonly begun: number },
  ) {
    this.#store = parts.store
    this.#slots = parts.slots
    this.hold = hold
    this.#ttlMs = time.ttlMs
    this.#until = time.begun + time.ttlMs
    parts.store.closing.signal.addEventListener('abort', this.#onClose, { once: true })
    this.#plan()
  }

  get signal(): AbortSignal {
    return this.#lost.signal
  }

  lose(reason: unknown): void {
    if (this.#isOver) return
    this.stop()
    this.#lost.abort(reason)
  }

  /** It is not renewed any more. */
  stop(): void {
    this.#isOver = true
    this.#timer?.cancel()
    this.#store.closing.signal.removeEventListener('abort', this.#onClose)
  }

  #plan(): void {
    this.#timer = this.#store.environment.start(this.#ttlMs / 3, () => void this.#renew(), 'lets go')
  }

  async #renew(): Promise<void> {
    const { environment, chain } = this.#store
    const begun = environment.monotonic()
    // Stopped before somebody else begins: by the clock that cannot be set.
    if (begun >= this.#until) return this.lose(this.#lostError())
    const expiry = environment.start(this.#until - begun, () => this.lose(this.#lostError()), 'lets go')
    try {
      await chain.transact((tx) => this.#slots.renew(tx, this.hold, this.#ttlMs))
      this.#until = begun + this.#ttlMs
    } catch (error) {
      if (isAteError(error) && error.code === 'LEASE_LOST') this.lose(error)
      // Anything else is tried again as long as there is time.
    } finally {
      expiry.cancel()
    }
    if (!this.#isOver) this.#plan()
  }

  #lostError(): AteError {
    return new AteError('LEASE_LOST', { cache: this.#store.name, fence: this.hold.fence })
  }
}

/** Resolves when something changes in the cache, or at `until` (chain time). @throws the signal's reason */
export async function changeOrTime(
  store: Store,
  until: number,
  signals: readonly (AbortSignal | undefined)[],
): Promise<void> {
  for (const signal of signals) signal?.throwIfAborted()
  const { happened, leave } = store.change()
  let timer: { cancel(): void } | undefined
  let abort: (() => void) | undefined
  const waited = new Promise<void>((resolve, reject) => {
    // At least a moment: chain time may stand still where the timer does not.
    timer = store.environment.start(Math.max(until - store.now, 1), resolve, 'holds')
    abort = () => reject(signals.find((signal) => signal?.aborted)?.reason)
    for (const signal of signals) signal?.addEventListener('abort', abort, { once: true })
  })
  try {
    await Promise.race([happened, waited])
  } finally {
    leave()
    timer?.cancel()
    for (const signal of signals) signal?.removeEventListener('abort', abort!)
  }
}
