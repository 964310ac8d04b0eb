/**
 * One connection to a server (connect.ts makes it), shared by all chains of that server that this process has open: its keys, the
 * identities that speak on it, and the channels of the chains. It never comes back: who needs another one opens it (server-link.ts).
 */
import { unlessAborted } from '../base/deferred.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { REKEY_MS } from '../base/limits.ts'
import { CLOSE, type Socket } from '../base/socket.ts'
import type { KeyAccess } from '../chain/link.ts'
import type { EntryAnswer } from '../chain/sequencer.ts'
import { ByteReader } from '../codec/writer.ts'
import type { Durability, Head } from '../log/engine.ts'
import type { Identity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import type { EstablishedServer } from '../session/tickets.ts'
import { ClientSessions } from './client-sessions.ts'
import { FrameSender } from './frames.ts'
import { type KeyAnswer, keyAccessOf, type RingPage } from './key-messages.ts'
import type { LentNumbers } from './lent-numbers.ts'
import {
  type Bodies,
  type ClientMessage,
  type ServerMessage,
  serverMessagesIn,
  writeClientMessage,
} from './messages.ts'
import { sessionProof } from './session-proof.ts'
import type { Wire } from './wire.ts'

/** What a channel is told. The bytes are views, valid during the call. */
export interface ChannelEvents {
  record(level: Durability, bytes: Uint8Array): void
  own(level: Durability, id: number, index: number, head: Uint8Array): void
  ack(bytes: Uint8Array): void
  answers(id: number, answers: readonly EntryAnswer[]): void
  synced(id: number): void
  body(id: number, bytes: Uint8Array): void
  key(id: number, answer: KeyAnswer): void
  ring(id: number, page: RingPage): void
  /** The server has closed this channel. */
  closed(error: AteError): void
  /** The connection is gone. */
  lost(error: AteError): void
}

export interface Opened {
  readonly channel: number
  readonly chain: Uint8Array
  readonly level: Durability
  readonly head: Head
  readonly resume: Uint8Array | undefined
}

export interface OpenRequest {
  readonly identity: Identity
  readonly name: string
  readonly chain: Uint8Array | undefined
  readonly head: Head | undefined
  readonly genesis: Uint8Array | undefined
  readonly bodies: Bodies
}

/** Of a connection that another tab has: what it lends (relay.ts). */
export interface Borrowed {
  /** The first of the numbers that are ours. */
  readonly first: number
  readonly welcome: { readonly level: Durability; readonly path: string }
  /** Numbers of identities that speak on it, by their fingerprints. */
  readonly sessions: Readonly<Record<string, number>>
}

interface Waiting<T> {
  resolve(value: T): void
  reject(error: AteError): void
}

export class ClientConnection {
  readonly server: EstablishedServer
  readonly #platform: Platform
  readonly #socket: Socket
  readonly #wire: Wire
  readonly #sender: FrameSender<ClientMessage>
  readonly #channels = new Map<number, ChannelEvents>()
  readonly #opening = new Map<number, Waiting<Opened>>()
  readonly #offering = new Map<number, Waiting<void>>()
  readonly #sessions: ClientSessions
  /** Of a connection that other tabs speak through: made with the first of them (relay.ts). */
  lent: LentNumbers | undefined
  readonly #closers = new Set<() => void>()
  #welcome: { readonly level: Durability; readonly path: string } | undefined
  #greeted: Waiting<void> | undefined
  #channelCount = 0
  #lost: AteError | undefined
  #rekey: { cancel(): void } | undefined

  /** @internal Connections are made by connect (connect.ts), and through another tab (relay.ts). */
  constructor(platform: Platform, socket: Socket, wire: Wire, server: EstablishedServer, borrowed?: Borrowed) {
    this.server = server
    this.#platform = platform
    this.#socket = socket
    this.#wire = wire
    this.#sender = new FrameSender(socket, wire, writeClientMessage)
    const binding = { exporter: wire.exporter, serverFingerprint: server.identity.fingerprintBytes }
    this.#sessions = new ClientSessions({
      before: borrowed?.first ?? 0,
      known: borrowed?.sessions ?? {},
      prove: (ref, identity) =>
        this.send({ type: 'session', ref, proof: sessionProof(platform.crypto, identity, binding) }),
    })
    if (!borrowed) return
    this.#welcome = borrowed.welcome
    this.#channelCount = borrowed.first
  }

  /** The strongest level that the server's engine reaches. */
  get level(): Durability {
    return this.#welcome!.level
  }

  /** What the server's handshake, which it has signed, says of attached keys. */
  get keyAccess(): KeyAccess {
    return keyAccessOf(this.server.limits)
  }

  /** The path of the service on its host, which chain names follow. */
  get path(): string {
    return this.#welcome!.path
  }

  /** What sessions sign. */
  get exporter(): Uint8Array {
    return this.#wire.exporter
  }

  /** Numbers of the identities that have proved who they are, by their fingerprints. */
  get provenSessions(): Readonly<Record<string, number>> {
    return this.#sessions.proven
  }

  get isLost(): boolean {
    return this.#lost !== undefined
  }

  /** @internal Resolves when the server has said what it is. @throws AteError if the connection is lost before */
  welcomed(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#lost) reject(this.#lost)
      else if (this.#welcome) resolve()
      else this.#greeted = { resolve, reject }
    })
  }

  onClosed(run: () => void): void {
    this.#closers.add(run)
  }

  /**
   * Opens a chain; its events come from the moment that the server has opened it.
   * @throws AteError, as the server refuses; the signal's reason
   */
  async openChannel(
    request: OpenRequest,
    eventsOf: (opened: Opened) => ChannelEvents,
    signal?: AbortSignal,
  ): Promise<Opened> {
    const { identity, name, chain, head, genesis, bodies } = request
    const session = await unlessAborted(this.#sessions.of(identity), signal)
    if (this.#lost) throw this.#lost
    const channel = ++this.#channelCount
    const opened = new Promise<Opened>((resolve, reject) => {
      this.#opening.set(channel, {
        resolve: (value) => {
          // In the same turn: the records follow at once.
          this.#channels.set(channel, eventsOf(value))
          resolve(value)
        },
        reject,
      })
    })
    this.send({ type: 'open', channel, session, name, chain, head, genesis, bodies })
    return unlessAborted(opened, signal, () => {
      this.#opening.delete(channel)
      this.#channels.delete(channel)
      this.send({ type: 'leave', channel })
    })
  }

  /** To a server of the same ring: that it takes the chain of that name. @throws AteError, as it refuses */
  async offer(identity: Identity, name: string): Promise<void> {
    const session = await this.#sessions.of(identity)
    if (this.#lost) throw this.#lost
    const channel = ++this.#channelCount
    const answered = new Promise<void>((resolve, reject) => this.#offering.set(channel, { resolve, reject }))
    this.send({ type: 'offer', channel, session, name })
    return answered
  }

  leave(channel: number): void {
    if (this.#channels.delete(channel)) this.send({ type: 'leave', channel })
  }

  send(message: ClientMessage): void {
    this.#sender.send(message)
  }

  /** What was said so far goes now: the other end begins with it while this one goes on. */
  flush(): void {
    this.#sender.flush()
  }

  /** A frame of a borrower. */
  sendFrame(messages: Uint8Array): void {
    this.#sender.sendFrame(messages)
  }

  /** Whether the connection keeps the process alive. */
  hold(what: 'process' | 'nothing'): void {
    if (what === 'process') this.#socket.ref()
    else this.#socket.unref()
  }

  close(): void {
    this.#sender.flush()
    this.#socket.close(CLOSE.NORMAL, '')
    this.lose(new AteError('OFFLINE', { what: 'the connection was closed' }))
  }

  /** @internal */
  receive(frame: Uint8Array): void {
    try {
      this.#takeAll(this.#wire.open(frame))
    } catch (error) {
      this.#socket.close(CLOSE.REFUSED, '')
      this.lose(isAteError(error) ? error : new AteError('INTERNAL', { what: 'message' }, { cause: error }))
    }
  }

  /** What belongs to one borrower and stands together is given on as it stands. */
  #takeAll(messages: Uint8Array): void {
    const input = new ByteReader(messages)
    let owner: number | undefined
    let from = 0
    let to = 0
    const give = (): void => {
      if (owner !== undefined) this.lent?.give(owner, messages.slice(from, to))
    }
    for (const message of serverMessagesIn(messages, input)) {
      const next = this.lent?.ownerOf(message)
      if (next !== owner) {
        give()
        owner = next
        from = to
      }
      if (next === undefined) this.#take(message)
      to = input.at
    }
    give()
  }

  /** @internal */
  lose(error: AteError): void {
    if (this.#lost) return
    this.#lost = error
    this.#rekey?.cancel()
    this.#sender.close()
    this.#wire.close()
    this.#greeted?.reject(error)
    for (const waiting of [...this.#opening.values(), ...this.#offering.values()]) waiting.reject(error)
    this.#sessions.lost(error)
    this.#opening.clear()
    this.#offering.clear()
    for (const events of this.#channels.values()) events.lost(error)
    this.#channels.clear()
    this.lent?.lost()
    for (const run of this.#closers) run()
  }

  #take(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        if (this.#welcome) throw new AteError('BAD_MESSAGE', { what: 'a second welcome' })
        this.#welcome = { level: message.level, path: message.path }
        this.#startRekeying()
        this.#greeted?.resolve()
        return
      case 'session':
        this.#sessions.accepted(message.ref)
        return
      case 'refused':
        this.#sessions.refused(message.ref, new AteError(message.code, message.facts))
        return
      case 'opened': {
        const waiting = this.#opening.get(message.channel)
        this.#opening.delete(message.channel)
        waiting?.resolve(message)
        return
      }
      case 'redirect':
        this.#closed(message.channel, new AteError('CHAIN_ELSEWHERE', { url: message.url, why: message.why }))
        return
      case 'closed':
        this.#closed(message.channel, new AteError(message.code, message.facts))
        return
      case 'rekey':
        this.#sender.flush()
        this.send({ type: 'rekey', bytes: this.#wire.rekeyDone(message.bytes) })
        this.#sender.flush()
        this.#startRekeying()
        return
      case 'record':
        this.#channels.get(message.channel)?.record(message.level, message.bytes)
        return
      case 'own':
        this.#channels.get(message.channel)?.own(message.level, message.id, message.index, message.head)
        return
      case 'ack':
        this.#channels.get(message.channel)?.ack(message.bytes)
        return
      case 'answers':
        this.#channels.get(message.channel)?.answers(message.id, message.answers)
        return
      case 'body':
        this.#channels.get(message.channel)?.body(message.id, message.bytes)
        return
      case 'key':
        this.#channels.get(message.channel)?.key(message.id, message.answer)
        return
      case 'ring':
        this.#channels.get(message.channel)?.ring(message.id, message.page)
        return
      case 'synced':
        this.#offering.get(message.channel)?.resolve()
        this.#offering.delete(message.channel)
        this.#channels.get(message.channel)?.synced(message.id)
        return
    }
  }

  #closed(channel: number, error: AteError): void {
    const opening = this.#opening.get(channel) ?? this.#offering.get(channel)
    this.#opening.delete(channel)
    this.#offering.delete(channel)
    opening?.reject(error)
    const events = this.#channels.get(channel)
    this.#channels.delete(channel)
    events?.closed(error)
  }

  #startRekeying(): void {
    this.#rekey?.cancel()
    this.#rekey = this.#platform.environment.timers.start(REKEY_MS, () => {
      this.#sender.flush()
      this.send({ type: 'rekey', bytes: this.#wire.rekeyOffer() })
      this.#sender.flush()
    })
  }
}
