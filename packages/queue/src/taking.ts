/** Jobs that are taken by hand: one with each next(), and given back if nothing was done with it. */
import type { Consumer } from './dispatcher.ts'
import type { Attempt } from './handling.ts'
import { wholeNumber } from './queue-options.ts'
import type { Lease, Leases } from './queue-types.ts'

const PREFETCH_MAX = 10_000

interface Waiting<D, R> {
  readonly resolve: (result: IteratorResult<Lease<D, R>, undefined>) => void
  readonly reject: (error: unknown) => void
}

export interface TakingParts<D, R> {
  readonly start: (consumer: Consumer<D>) => Promise<void>
  readonly stop: (consumer: Consumer<D>) => Promise<void>
  readonly news: () => void
  readonly asLease: (attempt: Attempt<D>) => Lease<D, R>
}

export class Taking<D, R> implements Consumer<D>, Leases<D, R> {
  readonly #parts: TakingParts<D, R>
  readonly #prefetch: number
  readonly #waiting: Waiting<D, R>[] = []
  readonly #ready: Attempt<D>[] = []
  readonly #signal: AbortSignal | undefined
  readonly #abort: () => void
  #isOpen = true
  #isStarted = false
  #failure: unknown

  constructor(parts: TakingParts<D, R>, options: { readonly prefetch?: number; readonly signal?: AbortSignal }) {
    this.#parts = parts
    this.#prefetch = wholeNumber(options.prefetch ?? 0, 'prefetch', { min: 0, max: PREFETCH_MAX })
    this.#signal = options.signal
    this.#abort = () => void this.return()
    this.#signal?.addEventListener('abort', this.#abort, { once: true })
  }

  get wanted(): number {
    return this.#isOpen ? Math.max(0, this.#waiting.length + this.#prefetch - this.#ready.length) : 0
  }

  give(attempt: Attempt<D>): void {
    const waiting = this.#waiting.shift()
    if (waiting) waiting.resolve({ done: false, value: this.#parts.asLease(attempt) })
    else this.#ready.push(attempt)
  }

  async pause(): Promise<void> {
    await Promise.all(this.#ready.splice(0).map((attempt) => attempt.release().catch(() => attempt.drop())))
  }

  ended(error: unknown): void {
    this.#failure = error
    this.#isOpen = false
    for (const { reject } of this.#waiting.splice(0)) reject(error)
  }

  next(): Promise<IteratorResult<Lease<D, R>, undefined>> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (!this.#isOpen || this.#signal?.aborted) return Promise.resolve({ done: true, value: undefined })
    for (;;) {
      const ready = this.#ready.shift()
      if (!ready) break
      if (!ready.held.isOver) return Promise.resolve({ done: false, value: this.#parts.asLease(ready) })
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      if (this.#isStarted) return this.#parts.news()
      this.#isStarted = true
      this.#parts.start(this).catch((error) => this.ended(error))
    })
  }

  async return(): Promise<IteratorResult<Lease<D, R>, undefined>> {
    if (this.#isOpen) {
      this.#isOpen = false
      this.#signal?.removeEventListener('abort', this.#abort)
      for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
      await this.pause()
      if (this.#isStarted) await this.#parts.stop(this)
    }
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
