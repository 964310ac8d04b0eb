/**
 * The bound on what waits for one reader. A chain goes on whether or not its readers keep up, so what waits for a slow
 * one is bounded in bytes and in time; beyond, it is cut off, and connects again when it can. What it resumes with, it
 * knows: the id of the chain and the seq after the last record that it was given.
 */
import type { Timers } from '../base/environment.ts'
import { OUTBOX_BYTES_MAX, OUTBOX_STALL_MS, SOCKET_LOW_BYTES } from '../base/limits.ts'
import { CLOSE, type Socket } from '../base/socket.ts'

export interface OutboxOptions {
  readonly timers: Timers
  readonly bytesMax?: number
  readonly stallMs?: number
  /** Called once, when the reader is cut off. */
  readonly onCut?: (why: CutReason) => void
  readonly onSent?: (bytes: number) => void
}

/** Too much waits for the reader, or it has taken nothing for too long. */
export type CutReason = 'full' | 'stalled'

export const TOO_SLOW_TEXT = 'too slow: connect again, and go on after the last record that came'

export class Outbox {
  readonly #socket: Pick<Socket, 'send' | 'bufferedBytes' | 'close'>
  readonly #options: OutboxOptions
  readonly #bytesMax: number
  #isOver = false
  #waiters: (() => void)[] = []
  #watching: { cancel(): void } | undefined
  #givenBytes = 0
  /** What the reader had taken when it was last looked. */
  #takenBytes = 0

  constructor(socket: Pick<Socket, 'send' | 'bufferedBytes' | 'close'>, options: OutboxOptions) {
    this.#socket = socket
    this.#options = options
    this.#bytesMax = options.bytesMax ?? OUTBOX_BYTES_MAX
  }

  /** What may still be sent without being cut off. */
  get roomBytes(): number {
    return this.#isOver ? 0 : Math.max(0, this.#bytesMax - this.#socket.bufferedBytes)
  }

  /** What waits for the reader now. */
  get bufferedBytes(): number {
    return this.#socket.bufferedBytes
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Sends, or cuts off; false if nothing was sent. What must reach a reader of any speed waits for `room` before. */
  send(bytes: Uint8Array): boolean {
    if (this.#isOver) return false
    if (this.#socket.bufferedBytes + bytes.length > this.#bytesMax) {
      this.#cut('full')
      return false
    }
    this.#socket.send(bytes)
    this.#options.onSent?.(bytes.length)
    this.#givenBytes += bytes.length
    if (this.#socket.bufferedBytes > SOCKET_LOW_BYTES) this.#watch()
    return true
  }

  /** Resolves when little waits; true then, false once it is over. For what is read from a disk as fast as it is taken. */
  room(): Promise<boolean> {
    if (this.#isOver || this.#socket.bufferedBytes <= SOCKET_LOW_BYTES) return Promise.resolve(!this.#isOver)
    return new Promise((resolve) => this.#waiters.push(() => resolve(!this.#isOver)))
  }

  /** Passed on from the socket. */
  drained(): void {
    this.#stopWatching()
    this.#wake()
  }

  /** Passed on from the socket, or at the end of a connection. */
  closed(): void {
    this.#isOver = true
    this.#stopWatching()
    this.#wake()
  }

  #cut(why: CutReason): void {
    this.closed()
    this.#socket.close(CLOSE.TOO_SLOW, TOO_SLOW_TEXT)
    this.#options.onCut?.(why)
  }

  get #taken(): number {
    return this.#givenBytes - this.#socket.bufferedBytes
  }

  /** From one look to the next a reader must have taken something. */
  #watch(): void {
    if (this.#watching) return
    this.#takenBytes = this.#taken
    this.#watching = this.#options.timers.start(this.#options.stallMs ?? OUTBOX_STALL_MS, () => {
      this.#watching = undefined
      if (this.#socket.bufferedBytes <= SOCKET_LOW_BYTES) return
      if (this.#taken > this.#takenBytes) this.#watch()
      else this.#cut('stalled')
    })
  }

  #stopWatching(): void {
    this.#watching?.cancel()
    this.#watching = undefined
  }

  #wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }
}
