/**
 * The contract of a network connection: one WebSocket that carries whole binary messages in order. The real ones are
 * node/ws-socket.ts and browser/sockets.ts, the simulated one is testing/sim-network.ts, and testing/socket-suite.ts is
 * what all of them pass. What listens for connections is in mesh/transport.ts.
 */
import type { Duration } from './duration.ts'
import { SOCKET_REASON_BYTES_MAX } from './limits.ts'

export interface SocketEvents {
  /** A whole message. The bytes are the receiver's, and may be a view of something larger: copy what is kept for long. */
  message(bytes: Uint8Array): void
  /** The end, exactly once, and nothing comes after it. */
  closed(reason: CloseReason): void
  /** `bufferedBytes` was over SOCKET_LOW_BYTES, and is not any more. */
  drained(): void
}

/** Of the side that closed first; `ABNORMAL` where the connection broke. A peer chose both: neither is to be trusted. */
export interface CloseReason {
  readonly code: number
  readonly text: string
}

export interface Socket {
  /** The other side's address without port, for quotas; empty where it is not known (a client's, a local socket's). */
  readonly peer: string
  /** The other side is a program on this machine, and nobody speaks through it: no proxy, no page of another site. */
  readonly isLoopback: boolean
  /** Called once. What came before it is given then; nothing is lost between dialing and here. */
  start(events: SocketEvents): void
  /** Takes the bytes over: the caller changes them no more. Nothing happens once the socket is closed or closing. */
  send(bytes: Uint8Array): void
  /** What was given to `send` and is not with the system yet. */
  readonly bufferedBytes: number
  /** No message is given until `resume`. The other side is made to wait; a close by it may not be noticed meanwhile. */
  pause(): void
  resume(): void
  /** Larger messages close the socket with TOO_LARGE: before the other side has said who it is, a little is enough. */
  limit(messageBytes: number): void
  /** Whether the socket keeps the process alive; it does at first. Without effect where there are no processes. */
  ref(): void
  unref(): void
  /**
   * What was sent before is still sent; no message is given any more. `closed` follows when the connection is gone, at
   * most SOCKET_CLOSE_MS later. `code` is NORMAL or 3000 to 4999, which is what browsers allow; `text` is cut at
   * SOCKET_REASON_BYTES_MAX. A second call does nothing.
   */
  close(code: number, text: string): void
  /** Ends at once, what was sent or not. `closed` follows. */
  terminate(): void
}

/** Codes of RFC 6455 (7.4), and our own from 4000. */
export const CLOSE = {
  NORMAL: 1000,
  PROTOCOL_ERROR: 1002,
  /** A text message, where all are binary. */
  NOT_BINARY: 1003,
  /** The connection broke, or the other side fell silent. Never sent. */
  ABNORMAL: 1006,
  POLICY: 1008,
  TOO_LARGE: 1009,
  /** The server stops: connect again, perhaps to another. */
  GOING_AWAY: 4001,
  /** The reader was too slow: connect again, and go on from what was received. */
  TOO_SLOW: 4002,
  /** Too many connections or requests: connect again later. */
  TRY_LATER: 4003,
  /** What a browser says where it may not say NOT_BINARY or TOO_LARGE. */
  REFUSED: 4004,
} as const

export interface DialOptions {
  /** Ends the dialing, not the socket. */
  readonly signal?: AbortSignal
  /** Certificates in PEM that are trusted instead of the system's. Not in browsers. */
  readonly ca?: string | readonly string[]
  /** SOCKET_DIAL_MS if left out. */
  readonly timeout?: Duration
}

/**
 * Opens a WebSocket to `url`: ws:, wss:, or, in Node, ws+unix:PATH or ws+unix:PATH:/db.
 * @throws AteError BAD_URL | SERVER_UNREACHABLE; the signal's reason
 */
export type Dial = (url: string, options?: DialOptions) => Promise<Socket>

/** A text that fits into a close: at most SOCKET_REASON_BYTES_MAX bytes of UTF-8, cut between characters. */
export function cutReason(text: string): string {
  const bytes = new TextEncoder().encode(text)
  if (bytes.length <= SOCKET_REASON_BYTES_MAX) return text
  let end = SOCKET_REASON_BYTES_MAX
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return new TextDecoder().decode(bytes.subarray(0, end))
}

/** Of what a close event tells. One without a code (1005) is how a browser cuts off: it has no other way. */
export function reasonOf(code: number, text: string): CloseReason {
  return code === 1005 ? { code: CLOSE.ABNORMAL, text: '' } : { code, text }
}
