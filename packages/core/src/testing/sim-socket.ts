/**
 * One end of a simulated connection. A stream is bounded as TCP's is: what is under way and what the other end has not
 * read fit into a window, the rest stays in the sender's buffer; messages travel in pieces.
 */
import type { Timers } from '../base/environment.ts'
import { assert } from '../base/errors.ts'
import { SOCKET_CLOSE_MS, SOCKET_LOW_BYTES, SOCKET_MESSAGE_BYTES_MAX } from '../base/limits.ts'
import { CLOSE, type CloseReason, cutReason, type Socket, type SocketEvents } from '../base/socket.ts'

/** What the network decides about a piece on its way. */
export interface SimPath {
  /** Milliseconds from now until `bytes` that are sent now arrive at `to`; the connection may break instead. */
  sendMs(from: SimSocket, bytes: number): number
  /** False: it does not arrive before the network calls `arriveNow`. */
  isOpen(from: SimSocket, to: SimSocket): boolean
  isUp(end: SimSocket): boolean
  gone(end: SimSocket): void
}

interface Piece {
  readonly bytes: number
  readonly message?: Uint8Array
  readonly end?: CloseReason | 'answer' | 'reset'
}

const PIECE_BYTES = 16_384

export class SimSocket implements Socket {
  readonly host: string
  readonly peer: string
  readonly isLoopback: boolean
  readonly #timers: Timers
  readonly #path: SimPath
  readonly #windowBytes: number
  /** Set by `connected`, right after both are made. */
  #other!: SimSocket
  #events: SocketEvents | undefined
  readonly #out: { readonly message: Uint8Array; sent: number }[] = []
  #outBytes = 0
  /** Sent, and not read by the other end. */
  #windowUsed = 0
  /** Of the last piece that was sent: later ones do not overtake it. */
  #arrivesAt = 0
  readonly #now: () => number
  #stalled: Piece[] = []
  #arrived: Piece[] = []
  #partBytes = 0
  #messageBytesMax = SOCKET_MESSAGE_BYTES_MAX
  #isPaused = false
  #isReading = false
  #reason: CloseReason | undefined
  #isGone = false
  #isOver = false
  #wasFull = false
  #end: Piece | undefined

  constructor(
    parts: { readonly host: string; readonly peer: string; readonly isLoopback: boolean; readonly windowBytes: number },
    ground: { readonly timers: Timers; readonly now: () => number; readonly path: SimPath },
  ) {
    this.host = parts.host
    this.peer = parts.peer
    this.isLoopback = parts.isLoopback
    this.#windowBytes = parts.windowBytes
    this.#timers = ground.timers
    this.#now = ground.now
    this.#path = ground.path
  }

  static connect(a: SimSocket, b: SimSocket): void {
    a.#other = b
    b.#other = a
  }

  get other(): SimSocket {
    return this.#other
  }

  start(events: SocketEvents): void {
    assert(!this.#events, 'a socket is started once')
    this.#events = events
    if (this.#isOver) this.#finish()
    else this.#read()
  }

  send(bytes: Uint8Array): void {
    if (this.#reason || this.#isGone) return
    assert(bytes.length <= SOCKET_MESSAGE_BYTES_MAX, 'a message is at most SOCKET_MESSAGE_BYTES_MAX bytes')
    this.#out.push({ message: bytes, sent: 0 })
    this.#outBytes += bytes.length
    this.#pump()
    if (this.#outBytes > SOCKET_LOW_BYTES) this.#wasFull = true
  }

  get bufferedBytes(): number {
    return this.#outBytes
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#read()
  }

  limit(messageBytes: number): void {
    this.#messageBytesMax = Math.min(messageBytes, SOCKET_MESSAGE_BYTES_MAX)
  }

  ref(): void {}
  unref(): void {}

  close(code: number, text: string): void {
    assert(code === CLOSE.NORMAL || (code >= 3000 && code <= 4999), 'a close code is 1000 or 3000 to 4999')
    this.#close(code, text)
  }

  terminate(): void {
    if (this.#isGone) return
    this.#reason ??= { code: CLOSE.ABNORMAL, text: '' }
    this.#transmit({ bytes: 0, end: 'reset' })
    this.#leave()
  }

  /** The connection is found dead: at this end alone. */
  break(): void {
    if (this.#isGone) return
    this.#reason ??= { code: CLOSE.ABNORMAL, text: '' }
    this.#leave()
  }

  /** The machine is off: nobody here hears of anything any more. */
  vanish(): void {
    this.#events = undefined
    this.#isGone = true
    this.#path.gone(this)
  }

  /** What a partition held back arrives. */
  arriveNow(): void {
    const stalled = this.#stalled
    this.#stalled = []
    for (const piece of stalled) this.#arrive(piece)
  }

  #close(code: number, text: string): void {
    if (this.#reason || this.#isGone) return
    this.#reason = { code, text: cutReason(text) }
    this.#end = { bytes: 0, end: this.#reason }
    this.#pump()
    this.#timers.start(SOCKET_CLOSE_MS, () => this.terminate())
    this.#read()
  }

  /** Sends what the window has room for; the end of the stream when all of it is sent. */
  #pump(): void {
    while (this.#out.length > 0 && this.#windowUsed < this.#windowBytes) {
      const head = this.#out[0]!
      const left = head.message.length - head.sent
      const bytes = Math.min(left, PIECE_BYTES, this.#windowBytes - this.#windowUsed)
      head.sent += bytes
      this.#outBytes -= bytes
      this.#windowUsed += bytes
      if (bytes === left) this.#out.shift()
      this.#transmit(bytes === left ? { bytes, message: head.message } : { bytes })
    }
    if (this.#out.length === 0 && this.#end) {
      this.#transmit(this.#end)
      this.#end = undefined
    }
    if (this.#wasFull && this.#outBytes <= SOCKET_LOW_BYTES) {
      this.#wasFull = false
      // Not from inside of the caller's send.
      this.#timers.start(0, () => !this.#reason && this.#events?.drained())
    }
  }

  #transmit(piece: Piece): void {
    if (this.#isGone) return
    const at = Math.max(this.#arrivesAt, this.#now() + this.#path.sendMs(this, piece.bytes))
    this.#arrivesAt = at
    this.#timers.start(at - this.#now(), () => this.#other.#arrive(piece))
  }

  #arrive(piece: Piece): void {
    if (!this.#path.isOpen(this.#other, this)) {
      this.#stalled.push(piece)
    } else if (this.#isGone) {
      // A system answers what it knows nothing of; one that is off does not.
      if (this.#path.isUp(this)) this.#other.break()
    } else if (piece.end === 'reset') {
      this.break()
    } else {
      this.#arrived.push(piece)
      this.#read()
    }
  }

  /** Takes what has arrived, until somebody here pauses. Who closes reads on, for the answer, and gives nothing. */
  #read(): void {
    if (this.#isReading) return
    this.#isReading = true
    while (this.#events && !this.#isGone && this.#arrived.length > 0 && (!this.#isPaused || this.#reason)) {
      this.#take(this.#arrived.shift()!)
    }
    this.#isReading = false
  }

  #take(piece: Piece): void {
    const other = this.#other
    other.#windowUsed -= piece.bytes
    if (piece.bytes > 0) this.#timers.start(0, () => other.#pump())
    this.#partBytes += piece.bytes
    if (piece.end !== undefined) this.#ended(piece.end)
    else if (this.#reason) this.#partBytes = 0
    else if (this.#partBytes > this.#messageBytesMax) this.#close(CLOSE.TOO_LARGE, 'the message is too large')
    else if (piece.message) {
      this.#partBytes = 0
      this.#events?.message(piece.message)
    }
  }

  #ended(end: NonNullable<Piece['end']>): void {
    if (end !== 'answer') this.#transmit({ bytes: 0, end: 'answer' })
    if (typeof end === 'object') this.#reason ??= end
    this.#leave()
  }

  /** `closed` is told a moment later: not from inside of a call of ours. What came before `start` is still given then. */
  #leave(): void {
    this.#isGone = true
    this.#out.length = 0
    this.#outBytes = 0
    if (this.#events) this.#arrived = []
    this.#path.gone(this)
    this.#timers.start(0, () => {
      this.#isOver = true
      this.#finish()
    })
  }

  #finish(): void {
    const events = this.#events
    if (!events || !this.#isOver) return
    for (const { message } of this.#arrived.splice(0)) if (message) events.message(message)
    events.closed(this.#reason!)
  }
}
