/**
 * The lease of a holder. Each commit of the cursor moves it on; while events are under way and none commits, a timer does;
 * when nothing is under way it may run out, and the next event renews it before it is delivered.
 */
import type { BusContext } from './context.ts'
import { type CursorPlace, type Hold, writeCursor } from './subscription-cursor.ts'

export interface LeaseParts {
  readonly context: BusContext
  readonly place: CursorPlace
  readonly hold: Hold
  readonly leaseMs: number
  /** Whether something is under way. */
  readonly isBusy: () => boolean
  /** Told why it could not be renewed. */
  readonly failed: (error: unknown) => void
}

export class Lease {
  readonly #parts: LeaseParts
  #until: number
  #cancel: (() => void) | undefined
  #isOver = false

  constructor(parts: LeaseParts, until: number) {
    this.#parts = parts
    this.#until = until
  }

  /** What a commit of this moment moves it on to. */
  get next(): number {
    return this.#parts.context.now + this.#parts.leaseMs
  }

  moved(until: number): void {
    this.#until = Math.max(this.#until, until)
  }

  /** There is too little left of it to begin with something new. */
  get isShort(): boolean {
    return this.#parts.context.now > this.#until - this.#parts.leaseMs / 3
  }

  async renew(): Promise<void> {
    const { context, place, hold, failed } = this.#parts
    const until = this.next
    try {
      await context.chain.transact((tx) => writeCursor(tx, place, hold, (value) => ({ ...value, until })))
      this.#until = until
    } catch (error) {
      failed(error)
    }
  }

  renewLater(): void {
    if (this.#cancel || this.#isOver) return
    const { context, leaseMs, isBusy } = this.#parts
    this.#cancel = context.environment.timer(leaseMs / 3, () => {
      this.#cancel = undefined
      if (this.#isOver || !isBusy()) return
      if (context.now < this.#until - leaseMs / 2) this.renewLater()
      else void this.renew().then(() => this.renewLater())
    })
  }

  stop(): void {
    this.#isOver = true
    this.#cancel?.()
  }
}
