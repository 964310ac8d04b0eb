/**
 * A WebSocket of the package `ws` as our Socket, of either side. What the package calls back goes through one place that
 * keeps the contract: messages wait until `start` and while paused, `closed` comes once, text is refused, and a peer that
 * is silent for long is asked for a sign of life and then given up.
 */
import type { Socket as NetSocket } from 'node:net'
import * as whole from 'ws'
import WebSocket, { type ClientOptions, type ServerOptions } from 'ws'
import { AteError, assert, type ErrorCode } from '../base/errors.ts'
import {
  SOCKET_CLOSE_MS,
  SOCKET_FRAGMENTS_MAX,
  SOCKET_IDLE_CHECKS,
  SOCKET_LOW_BYTES,
  SOCKET_MESSAGE_BYTES_MAX,
  SOCKET_PIECES_MAX,
} from '../base/limits.ts'
import { CLOSE, type CloseReason, cutReason, reasonOf, type Socket, type SocketEvents } from '../base/socket.ts'

/** Of both sides. Compression is an attack on memory, and sealed bytes do not shrink. */
export const WS_LIMITS: ClientOptions & ServerOptions = {
  perMessageDeflate: false,
  maxPayload: SOCKET_MESSAGE_BYTES_MAX,
  skipUTF8Validation: false,
  // Newer than the types: caps against tiny fragments, and the wait for the other side's close.
  ...{ maxFragments: SOCKET_FRAGMENTS_MAX, maxBufferedChunks: SOCKET_PIECES_MAX, closeTimeout: SOCKET_CLOSE_MS },
}

/**
 * Where a bundler has put something empty in the place of an optional module of the package, as Next.js does with webpack, each
 * frame that is long throws a TypeError later, of a server in nobody's hands: so it is tried before.
 * @throws AteError `code`
 */
export function assertWholePackage(code: ErrorCode, facts: { readonly url: string }): void {
  const sender: { frame(data: Buffer, options: object): unknown } | undefined = Reflect.get(whole, 'Sender')
  try {
    sender?.frame(Buffer.alloc(TRIED_BYTES), { fin: true, rsv1: false, opcode: 2, mask: true, readOnly: true })
  } catch (cause) {
    throw new AteError(code, facts, { cause, hint: NOT_WHOLE })
  }
}

/** Shorter ones the package masks by itself. */
const TRIED_BYTES = 64
const NOT_WHOLE =
  "a bundler has left out what the package `ws` asks for, and does without if it is not there: keep `ws` out of the bundle (Next.js: serverExternalPackages: ['ws'])"

export interface WsPeer {
  readonly peer: string
  readonly isLoopback: boolean
  /** Of the other one: what a client sends is masked, which is 4 bytes more a frame. */
  readonly side: 'client' | 'server'
}

export class WsSocket implements Socket {
  readonly peer: string
  readonly isLoopback: boolean
  readonly #ws: WebSocket
  readonly #net: NetSocket
  readonly #controlBytes: number
  #events: SocketEvents | undefined
  /** Messages before `start` and while paused: what one read of the system held, as the system is paused too. */
  #waiting: Uint8Array[] = []
  #isPaused = false
  #isClosing = false
  #isFlushing = false
  #reason: CloseReason | undefined
  #isGone = false
  #wasFull = false
  #messageBytesMax = SOCKET_MESSAGE_BYTES_MAX
  /** Read since the last whole message. */
  #partBytes = 0
  #heard = true
  /** Checks since the one that found something heard. */
  #silentChecks = 0

  constructor(ws: WebSocket, net: NetSocket, { peer, isLoopback, side }: WsPeer) {
    this.#ws = ws
    this.#net = net
    this.peer = peer
    this.isLoopback = isLoopback
    this.#controlBytes = side === 'client' ? 6 : 2
    ws.pause()
    ws.on('message', (data: Buffer, isBinary: boolean) => this.#received(data, isBinary))
    ws.on('ping', (data: Buffer) => this.#control(data))
    ws.on('pong', (data: Buffer) => this.#control(data))
    ws.on('error', (error) => this.#failed(error))
    ws.on('close', (code, text) => this.#gone(code, text))
    // Counted before the package looks at it, so that what it finds in there can be taken off again.
    net.prependListener('data', (piece: Buffer) => this.#read(piece.length))
  }

  start(events: SocketEvents): void {
    assert(!this.#events, 'a socket is started once')
    this.#events = events
    this.#flush()
  }

  send(bytes: Uint8Array): void {
    if (this.#isClosing || this.#ws.readyState !== WebSocket.OPEN) return
    assert(bytes.length <= SOCKET_MESSAGE_BYTES_MAX, 'a message is at most SOCKET_MESSAGE_BYTES_MAX bytes')
    this.#ws.send(bytes, this.#sent)
    if (this.bufferedBytes > SOCKET_LOW_BYTES) this.#wasFull = true
  }

  get bufferedBytes(): number {
    return this.#isGone ? 0 : this.#ws.bufferedAmount
  }

  pause(): void {
    this.#isPaused = true
    if (!this.#isClosing) this.#ws.pause()
  }

  resume(): void {
    this.#isPaused = false
    this.#flush()
  }

  limit(messageBytes: number): void {
    this.#messageBytesMax = Math.min(messageBytes, SOCKET_MESSAGE_BYTES_MAX)
  }

  ref(): void {
    this.#net.ref()
  }

  unref(): void {
    this.#net.unref()
  }

  close(code: number, text: string): void {
    assert(code === CLOSE.NORMAL || (code >= 3000 && code <= 4999), 'a close code is 1000 or 3000 to 4999')
    this.#close(code, text)
  }

  terminate(): void {
    if (this.#isGone) return
    this.#isClosing = true
    this.#reason ??= { code: CLOSE.ABNORMAL, text: '' }
    this.#ws.terminate()
  }

  /**
   * Called SOCKET_IDLE_CHECKS times in the time that a peer may be silent. Something may have been heard just behind the check
   * before: so it is asked one check early. A paused socket hears nothing: who paused it answers for it.
   */
  checkAlive(): void {
    if (this.#heard || this.#isPaused || !this.#events || this.#isClosing) {
      this.#heard = false
      this.#silentChecks = 0
      return
    }
    this.#silentChecks++
    if (this.#silentChecks === ASKED_AT) this.#ws.ping()
    else if (this.#silentChecks === ASKED_AT + SOCKET_IDLE_CHECKS) this.terminate()
  }

  readonly #sent = (): void => {
    if (!this.#wasFull || this.bufferedBytes > SOCKET_LOW_BYTES) return
    this.#wasFull = false
    if (!this.#isClosing) this.#events?.drained()
  }

  #close(code: number, text: string): void {
    if (this.#isClosing || this.#isGone) return
    this.#isClosing = true
    this.#reason ??= { code, text: cutReason(text) }
    this.#waiting = []
    // As text: the package has sent memory of others for typed arrays.
    this.#ws.close(code, cutReason(text))
    // The answer to the close must be read, and what stands before it.
    this.#ws.resume()
  }

  #read(bytes: number): void {
    this.#heard = true
    this.#partBytes += bytes
    // Twice and a read of the system: a message that fits, its frame headers, and the part of the next behind it.
    if (this.#partBytes > 2 * this.#messageBytesMax + READ_BYTES) this.#cutShort()
  }

  /** Signs of life are no part of a message: only what they are is taken off, or they would hide one that grows. */
  #control(data: Buffer): void {
    this.#partBytes = Math.max(0, this.#partBytes - data.length - this.#controlBytes)
  }

  #received(data: Buffer, isBinary: boolean): void {
    this.#partBytes = 0
    if (this.#isClosing) return
    if (!isBinary) {
      this.#close(CLOSE.NOT_BINARY, 'messages are binary')
      return
    }
    if (data.length > this.#messageBytesMax) {
      this.#close(CLOSE.TOO_LARGE, TOO_LARGE)
      return
    }
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length)
    if (this.#events && !this.#isPaused && this.#waiting.length === 0) this.#events.message(bytes)
    else this.#waiting.push(bytes)
  }

  /** Of a message that is too large already: nothing more is read of it, not even to wait for an answer. */
  #cutShort(): void {
    if (this.#isClosing) return
    this.#close(CLOSE.TOO_LARGE, TOO_LARGE)
    this.#ws.pause()
    this.#net.end(() => this.#ws.terminate())
  }

  /** The package closes by itself after an error: it is noted what was wrong, as its close event has no more to say. */
  #failed(error: Error & { code?: string }): void {
    this.#isClosing = true
    this.#reason ??= { code: CODES.get(error.code ?? '') ?? codeOf(error), text: '' }
  }

  #gone(code: number, text: Buffer): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#reason ??= reasonOf(code, text.toString('utf8'))
    this.#flush()
  }

  /** Gives what waits, in order; a receiver may pause or close again in between. */
  #flush(): void {
    if (!this.#events || this.#isFlushing) return
    this.#isFlushing = true
    try {
      while (this.#waiting.length > 0 && !this.#isPaused) this.#events.message(this.#waiting.shift()!)
    } finally {
      this.#isFlushing = false
    }
    if (this.#isGone) {
      // Of a connection that broke, who paused hears at once: what waits was never acknowledged.
      const isBroken = this.#isPaused && this.#reason?.code === CLOSE.ABNORMAL
      if (this.#waiting.length === 0 || isBroken) this.#end()
    } else if (!this.#isPaused || this.#isClosing) this.#ws.resume()
  }

  #end(): void {
    const events = this.#events
    if (!events || !this.#reason) return
    const reason = this.#reason
    this.#reason = undefined
    events.closed(reason)
  }
}

const ASKED_AT = SOCKET_IDLE_CHECKS - 1
const TOO_LARGE = 'the message is too large'
/** The most that one read of the system gives. */
const READ_BYTES = 65_536

const CODES: ReadonlyMap<string, number> = new Map([
  ['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', CLOSE.TOO_LARGE],
  ['WS_ERR_TOO_MANY_BUFFERED_PARTS', CLOSE.POLICY],
])

function codeOf(error: { code?: string }): number {
  return error.code?.startsWith('WS_ERR_') ? CLOSE.PROTOCOL_ERROR : CLOSE.ABNORMAL
}
