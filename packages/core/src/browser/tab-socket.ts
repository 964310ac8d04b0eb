/**
 * A connection between two tabs of one origin (base/socket.ts), over a BroadcastChannel that only its two ends listen to.
 *
 * A BroadcastChannel has no backpressure and no end: so what is on its way is bounded by a window, which the receiver
 * opens again by what it has given on; and each end holds a Web Lock for as long as it lives, for which the other one
 * waits: it gets it when the tab is closed, is killed, or crashes. A tab that is frozen keeps its lock: who has dialed asks
 * for a sign of life, and takes a leader that gives none for gone. A dialer that is frozen harms nobody.
 */
import { assert } from '../base/errors.ts'
import { SOCKET_CLOSE_MS, SOCKET_LOW_BYTES, SOCKET_MESSAGE_BYTES_MAX, TAB_PING_MS } from '../base/limits.ts'
import { CLOSE, type CloseReason, cutReason, type Socket, type SocketEvents } from '../base/socket.ts'
import type { FileLock } from '../log/file-system.ts'
import { takeLock } from './web-locks.ts'

export type TabEnd = 'dialer' | 'leader'

/** What one end says to the other. */
type Said =
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  /** Of what was received, this much was given on. */
  | { readonly kind: 'given'; readonly weight: number }
  | { readonly kind: 'close'; readonly code: number; readonly text: string }
  /** It was heard that the other end closes, or has. */
  | { readonly kind: 'gone' }
  | { readonly kind: 'ping' | 'pong' }

/** Bytes on their way that the other end has not given on yet; one message at least. */
const WINDOW_BYTES: number = 1024 * 1024
/** Signs of life that are asked for in vain. */
const PINGS_MAX = 2
/** What a message counts besides its bytes: bounds the number of small ones. */
const MESSAGE_WEIGHT = 64

export class TabSocket implements Socket {
  readonly peer = ''
  // Only pages of this origin, in this browser, hear the channel.
  readonly isLoopback = true
  readonly #channel: BroadcastChannel
  readonly #alive: FileLock
  readonly #watch: AbortController = new AbortController()
  readonly #ended: () => void
  #events: SocketEvents | undefined
  readonly #incoming: Uint8Array[] = []
  readonly #outgoing: Uint8Array[] = []
  #outgoingBytes = 0
  #underWay = 0
  #isPaused = false
  #isGiving = false
  #state: 'open' | 'closing' | 'gone' = 'open'
  #reason: CloseReason | undefined
  #messageBytesMax = SOCKET_MESSAGE_BYTES_MAX
  #closing: ReturnType<typeof setTimeout> | undefined
  #pinging: ReturnType<typeof setInterval> | undefined
  /** Since something was heard. */
  #pings = 0

  private constructor(channel: BroadcastChannel, alive: FileLock, ended: () => void) {
    this.#channel = channel
    this.#alive = alive
    this.#ended = ended
    channel.onmessage = ({ data }: MessageEvent<Said>) => this.#heard(data)
  }

  /** One end of the connection `id`, which listens from now on. `ended` is called when it is gone. */
  static async open(id: string, end: TabEnd, ended: () => void = () => undefined): Promise<TabSocket> {
    const alive = await takeLock(lockName(id, end), { want: 'wait' })
    assert(alive, 'a lock that is waited for is given')
    return new TabSocket(new BroadcastChannel(id), alive, ended)
  }

  /** The other end holds its lock by now: from here on, its death is the end of this one. */
  watch(id: string, other: TabEnd): void {
    takeLock(lockName(id, other), { want: 'wait', signal: this.#watch.signal }).then(
      async (lock) => {
        await lock?.release()
        this.#gone({ code: CLOSE.ABNORMAL, text: '' })
      },
      () => undefined,
    )
    if (other !== 'leader') return
    this.#pinging = setInterval(() => {
      if (this.#pings++ === PINGS_MAX) this.#gone({ code: CLOSE.ABNORMAL, text: '' })
      else this.#say({ kind: 'ping' })
    }, TAB_PING_MS)
  }

  start(events: SocketEvents): void {
    assert(!this.#events, 'a socket is started once')
    this.#events = events
    this.#give()
  }

  send(bytes: Uint8Array): void {
    if (this.#state !== 'open') return
    assert(bytes.length <= SOCKET_MESSAGE_BYTES_MAX, 'a message is at most SOCKET_MESSAGE_BYTES_MAX bytes')
    this.#outgoing.push(bytes)
    this.#outgoingBytes += bytes.length
    this.#post()
  }

  get bufferedBytes(): number {
    return this.#outgoingBytes
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.#give()
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
    if (this.#state === 'gone') return
    this.#say({ kind: 'close', code: CLOSE.ABNORMAL, text: '' })
    this.#gone({ code: CLOSE.ABNORMAL, text: '' })
  }

  #close(code: number, text: string): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#reason = { code, text: cutReason(text) }
    this.#incoming.length = 0
    this.#closing = setTimeout(() => this.#gone(this.#reason!), SOCKET_CLOSE_MS)
    this.#post()
  }

  /** What the window lets out; then, if this end closes, that. */
  #post(): void {
    const wasOver = this.#outgoingBytes > SOCKET_LOW_BYTES
    while (this.#outgoing.length > 0) {
      const weight = this.#outgoing[0]!.length + MESSAGE_WEIGHT
      if (this.#underWay > 0 && this.#underWay + weight > WINDOW_BYTES) break
      const bytes = this.#outgoing.shift()!
      this.#outgoingBytes -= bytes.length
      this.#underWay += weight
      // A view would be copied with all of the buffer that it is a part of.
      this.#say({ kind: 'data', bytes: bytes.length === bytes.buffer.byteLength ? bytes : bytes.slice() })
    }
    if (this.#state === 'closing') {
      if (this.#outgoing.length === 0) this.#say({ kind: 'close', ...this.#reason! })
    } else if (wasOver && this.#outgoingBytes <= SOCKET_LOW_BYTES) this.#events?.drained()
  }

  #heard(said: Said): void {
    if (this.#state === 'gone' || typeof said !== 'object' || said === null) return
    this.#pings = 0
    // By a timer: a tab that is frozen may still hear messages, and do nothing else.
    if (said.kind === 'ping') setTimeout(() => this.#state !== 'gone' && this.#say({ kind: 'pong' }))
    else if (said.kind === 'data') this.#received(said.bytes)
    else if (said.kind === 'given') {
      this.#underWay = Math.max(0, this.#underWay - said.weight)
      this.#post()
    } else if (said.kind === 'close') {
      if (said.code !== CLOSE.ABNORMAL) this.#say({ kind: 'gone' })
      this.#gone({ code: Number(said.code), text: cutReason(String(said.text)) })
    } else if (said.kind === 'gone' && this.#state === 'closing') this.#gone(this.#reason!)
  }

  #received(bytes: unknown): void {
    if (!(bytes instanceof Uint8Array)) this.#close(CLOSE.NOT_BINARY, 'messages are binary')
    else if (this.#state === 'closing') this.#say({ kind: 'given', weight: bytes.length + MESSAGE_WEIGHT })
    else if (bytes.length > this.#messageBytesMax) this.#close(CLOSE.TOO_LARGE, 'the message is too large')
    else {
      this.#incoming.push(bytes)
      this.#give()
    }
  }

  #gone(reason: CloseReason): void {
    if (this.#state === 'gone') return
    this.#reason ??= reason
    this.#state = 'gone'
    this.#outgoing.length = 0
    this.#outgoingBytes = 0
    clearTimeout(this.#closing)
    clearInterval(this.#pinging)
    this.#watch.abort()
    void this.#alive.release()
    // What was said last is still delivered: closing only ends the hearing.
    this.#channel.close()
    this.#ended()
    // Not while somebody is in a call of ours.
    queueMicrotask(() => this.#give())
  }

  /** Gives what waits, in order; a receiver may pause or close again in between. */
  #give(): void {
    const events = this.#events
    if (!events || this.#isGiving) return
    this.#isGiving = true
    try {
      while (this.#incoming.length > 0 && !this.#isPaused) {
        const bytes = this.#incoming.shift()!
        if (this.#state !== 'gone') this.#say({ kind: 'given', weight: bytes.length + MESSAGE_WEIGHT })
        events.message(bytes)
      }
    } finally {
      this.#isGiving = false
    }
    const reason = this.#reason
    if (this.#state !== 'gone' || !reason) return
    // Of a connection that broke, who paused hears at once: what waits was never acknowledged.
    if (this.#incoming.length > 0 && !(this.#isPaused && reason.code === CLOSE.ABNORMAL)) return
    this.#reason = undefined
    events.closed(reason)
  }

  #say(said: Said): void {
    this.#channel.postMessage(said)
  }
}

function lockName(id: string, end: TabEnd): string {
  return `${id}:${end}`
}
