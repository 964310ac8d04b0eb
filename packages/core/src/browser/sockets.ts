/** Connects to a server over the WebSocket of a browser, which pauses nothing and tells little of an error. */
import { durationMs } from '../base/duration.ts'
import { AteError, assert, throwIfAborted } from '../base/errors.ts'
import { SOCKET_CLOSE_MS, SOCKET_DIAL_MS, SOCKET_LOW_BYTES, SOCKET_MESSAGE_BYTES_MAX } from '../base/limits.ts'
import {
  CLOSE,
  type CloseReason,
  cutReason,
  type DialOptions,
  reasonOf,
  type Socket,
  type SocketEvents,
} from '../base/socket.ts'

/** The contract is that of `Dial`. Certificates are the browser's business: `ca` is refused. */
export async function dial(url: string, options: DialOptions = {}): Promise<Socket> {
  if (options.ca !== undefined)
    throw new AteError('BAD_ARGUMENT', { argument: 'ca' }, { hint: 'a browser trusts its own certificates only' })
  throwIfAborted(options.signal)
  const ws = newWebSocket(url)
  ws.binaryType = 'arraybuffer'
  await opened(ws, url, options)
  return new BrowserSocket(ws)
}

function newWebSocket(url: string): WebSocket {
  try {
    return new WebSocket(url)
  } catch (cause) {
    throw new AteError('BAD_URL', { given: url.slice(0, 100) }, { cause, hint: 'an address is ws://... or wss://...' })
  }
}

function opened(ws: WebSocket, url: string, { signal, timeout }: DialOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (settle: () => void): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      ws.onopen = ws.onclose = null
      settle()
    }
    const fail = (error: unknown): void => {
      done(() => reject(error))
      ws.close()
    }
    const aborted = (): void => fail(signal?.reason)
    const timer = setTimeout(
      () => fail(new AteError('SERVER_UNREACHABLE', { url, reason: 'ETIMEDOUT' })),
      durationMs(timeout ?? SOCKET_DIAL_MS, 0),
    )
    signal?.addEventListener('abort', aborted)
    ws.onopen = () => done(resolve)
    // Which error it was is told to nobody, so that a page cannot look around in its reader's network.
    ws.onclose = () => fail(new AteError('SERVER_UNREACHABLE', { url }))
  })
}

/** How often it is looked whether the browser's buffer has drained, which it does not tell. */
const DRAIN_MS = 20

class BrowserSocket implements Socket {
  readonly peer = ''
  readonly isLoopback = false
  readonly #ws: WebSocket
  #events: SocketEvents | undefined
  readonly #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #isPaused = false
  #isFlushing = false
  #isClosing = false
  #isGone = false
  #reason: CloseReason | undefined
  #messageBytesMax = SOCKET_MESSAGE_BYTES_MAX
  #draining: ReturnType<typeof setInterval> | undefined
  #closing: ReturnType<typeof setTimeout> | undefined
  readonly #cut = (): void => this.terminate()

  constructor(ws: WebSocket) {
    this.#ws = ws
    ws.onmessage = ({ data }: MessageEvent<unknown>) => this.#received(data)
    ws.onclose = ({ code, reason }) => this.#gone(reasonOf(code, reason))
    // Browsers keep a connection that leads nowhere until TCP gives up, which takes minutes.
    globalThis.addEventListener?.('offline', this.#cut)
  }

  start(events: SocketEvents): void {
    assert(!this.#events, 'a socket is started once')
    this.#events = events
    this.#flush()
  }

  send(bytes: Uint8Array): void {
    if (this.#isClosing || this.#isGone) return
    assert(bytes.length <= SOCKET_MESSAGE_BYTES_MAX, 'a message is at most SOCKET_MESSAGE_BYTES_MAX bytes')
    this.#ws.send(bytes as Uint8Array<ArrayBuffer>)
    if (this.bufferedBytes > SOCKET_LOW_BYTES) this.#draining ??= setInterval(() => this.#lookDrained(), DRAIN_MS)
  }

  get bufferedBytes(): number {
    return this.#isGone ? 0 : this.#ws.bufferedAmount
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#flush()
  }

  limit(messageBytes: number): void {
    this.#messageBytesMax = Math.min(messageBytes, SOCKET_MESSAGE_BYTES_MAX)
  }

  ref(): void {}
  unref(): void {}

  close(code: number, text: string): void {
    assert(code === CLOSE.NORMAL || (code >= 3000 && code <= 4999), 'a close code is 1000 or 3000 to 4999')
    this.#close(code, code, text)
  }

  terminate(): void {
    if (this.#isGone) return
    this.#isClosing = true
    this.#reason ??= { code: CLOSE.ABNORMAL, text: '' }
    this.#ws.close()
    this.#gone(this.#reason)
  }

  /** A browser sends few codes: what it may not say is said as a protocol error of ours. */
  #close(code: number, sent: number, text: string): void {
    if (this.#isClosing || this.#isGone) return
    this.#isClosing = true
    this.#reason = { code, text: cutReason(text) }
    this.#drop()
    this.#ws.close(sent, cutReason(text))
    this.#closing = setTimeout(() => this.#gone(this.#reason!), SOCKET_CLOSE_MS)
  }

  #received(data: unknown): void {
    if (this.#isClosing || this.#isGone) return
    if (!(data instanceof ArrayBuffer)) {
      this.#close(CLOSE.NOT_BINARY, CLOSE.REFUSED, 'messages are binary')
    } else if (data.byteLength > this.#messageBytesMax) {
      this.#close(CLOSE.TOO_LARGE, CLOSE.REFUSED, 'the message is too large')
    } else if (this.#events && !this.#isPaused && this.#waiting.length === 0) {
      this.#events.message(new Uint8Array(data))
    } else {
      this.#wait(new Uint8Array(data))
    }
  }

  /** The browser cannot be told to wait, so it is bounded here; peers that heed credits never come near. */
  #wait(bytes: Uint8Array): void {
    this.#waitingBytes += bytes.length
    if (this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#close(CLOSE.TOO_SLOW, CLOSE.TOO_SLOW, 'too much was sent to a reader that waits')
      return
    }
    this.#waiting.push(bytes)
  }

  #drop(): void {
    this.#waiting.length = 0
    this.#waitingBytes = 0
  }

  #lookDrained(): void {
    if (this.bufferedBytes > SOCKET_LOW_BYTES) return
    clearInterval(this.#draining)
    this.#draining = undefined
    if (!this.#isClosing && !this.#isGone) this.#events?.drained()
  }

  #gone(reason: CloseReason): void {
    if (this.#isGone) return
    this.#isGone = true
    this.#reason ??= reason
    clearInterval(this.#draining)
    clearTimeout(this.#closing)
    globalThis.removeEventListener?.('offline', this.#cut)
    this.#ws.onmessage = this.#ws.onclose = null
    // As of a broken connection: not while somebody is in a call of ours.
    queueMicrotask(() => this.#flush())
  }

  /** Gives what waits, in order; a receiver may pause or close again in between. */
  #flush(): void {
    if (!this.#events || this.#isFlushing) return
    this.#isFlushing = true
    try {
      while (this.#waiting.length > 0 && !this.#isPaused) {
        const bytes = this.#waiting.shift()!
        this.#waitingBytes -= bytes.length
        this.#events.message(bytes)
      }
    } finally {
      this.#isFlushing = false
    }
    const reason = this.#reason
    if (!this.#isGone || !reason) return
    // Of a connection that broke, who paused hears at once: what waits was never acknowledged.
    if (this.#waiting.length > 0 && !(this.#isPaused && reason.code === CLOSE.ABNORMAL)) return
    this.#reason = undefined
    this.#events.closed(reason)
  }
}

/** Bytes that wait for a reader who paused: some sixteen of the largest messages. */
const WAITING_BYTES_MAX: number = 16 * SOCKET_MESSAGE_BYTES_MAX
