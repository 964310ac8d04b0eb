/**
 * A server that cheats, with the keys of the honest one: what it says, and what it hears, passes through the hands of a
 * test, message by message, behind the handshake. The wire is one that seals nothing, so that the test stands where an
 * evil server does; what is changed on a sealed wire is found by the wire (handshake-attacks.test.ts, wire.test.ts).
 */
import type { Socket, SocketEvents } from '../../src/base/socket.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import {
  type ClientMessage,
  clientMessagesIn,
  type ServerMessage,
  serverMessagesIn,
  writeClientMessage,
  writeServerMessage,
} from '../../src/mesh/messages.ts'
import type { Listen } from '../../src/mesh/transport.ts'

/** What a test does to the messages of one connection. What it leaves out passes. */
export interface Tamper {
  toClient?(message: ServerMessage, line: Line): readonly ServerMessage[]
  toServer?(message: ClientMessage, line: Line): readonly ClientMessage[]
}

/** One connection, into which the test says what it likes. */
export interface Line {
  tellClient(...messages: readonly ServerMessage[]): void
  tellServer(...messages: readonly ClientMessage[]): void
  /** Bytes in the place of a frame. */
  rawToClient(bytes: Uint8Array): void
}

export interface Evil {
  /** Of the connections from now on, and of those that are open. */
  tamper: Tamper
  readonly lines: Line[]
}

/** What listens, with `evil` between. */
export function evilListen(inner: Listen, evil: Evil): Listen {
  return (urls, options) =>
    inner(urls, {
      ...options,
      accept: (socket, arrival) => options.accept(new EvilSocket(socket, evil), arrival),
    })
}

class EvilSocket implements Socket, Line {
  readonly #inner: Socket
  readonly #evil: Evil
  #events: SocketEvents | undefined
  #heard = 0
  #said = 0

  constructor(inner: Socket, evil: Evil) {
    this.#inner = inner
    this.#evil = evil
    evil.lines.push(this)
  }

  tellClient(...messages: readonly ServerMessage[]): void {
    const out = new ByteWriter(4096)
    for (const message of messages) {
      out.reset()
      writeServerMessage(out, message)
      this.#inner.send(out.copy())
    }
  }

  tellServer(...messages: readonly ClientMessage[]): void {
    const out = new ByteWriter(4096)
    for (const message of messages) {
      out.reset()
      writeClientMessage(out, message)
      this.#events?.message(out.copy())
    }
  }

  rawToClient(bytes: Uint8Array): void {
    this.#inner.send(bytes.slice())
  }

  start(events: SocketEvents): void {
    this.#events = events
    this.#inner.start({
      message: (bytes) => {
        // Hello and finish.
        if (this.#heard++ < 2) events.message(bytes)
        else this.#pass(bytes)
      },
      closed: (reason) => events.closed(reason),
      drained: () => events.drained(),
    })
  }

  send(bytes: Uint8Array): void {
    // The reply.
    if (this.#said++ < 1) {
      this.#inner.send(bytes)
      return
    }
    const { toClient } = this.#evil.tamper
    if (!toClient) this.#inner.send(bytes)
    else for (const message of serverMessagesIn(bytes.slice())) this.tellClient(...toClient(message, this))
  }

  #pass(bytes: Uint8Array): void {
    const { toServer } = this.#evil.tamper
    if (!toServer) this.#events?.message(bytes)
    else for (const message of clientMessagesIn(bytes.slice())) this.tellServer(...toServer(message, this))
  }

  get peer(): string {
    return this.#inner.peer
  }
  get isLoopback(): boolean {
    return this.#inner.isLoopback
  }
  get bufferedBytes(): number {
    return this.#inner.bufferedBytes
  }
  pause(): void {
    this.#inner.pause()
  }
  resume(): void {
    this.#inner.resume()
  }
  limit(messageBytes: number): void {
    this.#inner.limit(messageBytes)
  }
  ref(): void {
    this.#inner.ref()
  }
  unref(): void {
    this.#inner.unref()
  }
  close(code: number, text: string): void {
    this.#inner.close(code, text)
  }
  terminate(): void {
    this.#inner.terminate()
  }
}
