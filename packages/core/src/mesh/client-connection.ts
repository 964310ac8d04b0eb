/**
 * One connection to a server, shared by all chains of that server that this process has open: the handshake, the identities
 * that speak on it, and the channels of the chains. It never comes back: who needs another one opens it (server-link.ts).
 */
import { unlessAborted } from '../base/deferred.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { REKEY_MS, SOCKET_DIAL_MS } from '../base/limits.ts'
import { CLOSE, type Dial, type DialOptions, type Socket } from '../base/socket.ts'
import type { KeyAccess } from '../chain/link.ts'
import type { EntryAnswer } from '../chain/sequencer.ts'
import { ByteReader } from '../codec/writer.ts'
import type { Durability, Head } from '../log/engine.ts'
import type { Identity } from '../session/identity.ts'
import type { Platform } from '../session/platform.ts'
import type { EstablishedServer } from '../session/tickets.ts'
import { FrameSender } from './frames.ts'
import { ClientHandshake, type Established } from './handshake-client.ts'
import { type KeyAnswer, keyAccessOf, type RingPage } from './key-messages.ts'
import type { LentNumbers } from './lent-numbers.ts'
import {
  type Bodies,
  type ClientMessage,
  type ServerMessage,
  serverMessagesIn,
  writeClientMessage,
} from './messages.ts'
import type { ServerPin } from './server-pins.ts'
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

export interface ConnectOptions extends DialOptions {
  readonly url: string
  readonly pin: ServerPin
  /** Offers a wire that seals nothing: for loopback alone. */
  readonly plain?: 'allow'
  /** Instead of the platform's. */
  readonly dial?: Dial
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
  readonly #sessions = new Map<string, Promise<number>>()
  readonly #proven = new Map<string, number>()
  /** Of a connection that other tabs speak through: made with the first of them (relay.ts). */
  lent: LentNumbers | undefined
  readonly #proving = new Map<number, Waiting<number>>()
  readonly #closers = new Set<() => void>()
  #welcome: { readonly level: Durability; readonly path: string } | undefined
  #greeted: Waiting<void> | undefined
  #channelCount = 0
  #sessionCount = 0
  #lost: AteError | undefined
  #rekey: { cancel(): void } | undefined

  private constructor(
    platform: Platform,
    socket: Socket,
    wire: Wire,
    server: EstablishedServer,
    borrowed: Borrowed | undefined,
  ) {
    this.server = server
    this.#platform = platform
    this.#socket = socket
    this.#wire = wire
    this.#sender = new FrameSender(socket, wire, writeClientMessage)
    if (!borrowed) return
    this.#welcome = borrowed.welcome
    this.#channelCount = this.#sessionCount = borrowed.first
    for (const [who, ref] of Object.entries(borrowed.sessions)) this.#sessions.set(who, Promise.resolve(ref))
  }

  /** @throws AteError SERVER_UNREACHABLE | SERVER_UNKNOWN | SERVER_CHANGED | HANDSHAKE_FAILED | WIRE_VERSION | OFFLINE */
  static async open(platform: Platform, options: ConnectOptions): Promise<ClientConnection> {
    const { url, pin, plain, dial = platform.dial, ...dialing } = options
    const socket = await dial(url, dialing)
    const { crypto, environment, tickets } = platform
    const now = (): number => environment.clock.now()
    const ticket = pin.hint && tickets?.take(url, pin.hint, now())
    const handshake = new ClientHandshake({
      crypto,
      random: environment.random,
      now,
      expect: pin.expect,
      ...(ticket ? { ticket } : {}),
      ...(pin.hint ? { hint: pin.hint } : {}),
      ...(plain ? { plain } : {}),
    })
    // One that takes the connection and says nothing: whoever dials anew finds another, or none.
    const tooLate = environment.timers.start(SOCKET_DIAL_MS, () => socket.terminate())
    try {
      const made = ({ wire, server, by }: Established): ClientConnection => {
        tickets?.keep(url, { exporter: wire.exporter, server, by }, now())
        return ClientConnection.made(platform, socket, wire, server)
      }
      const connection = await shake(socket, handshake, made, dialing.signal)
      await connection.#greet(dialing.signal)
      await pin.remember(connection.server)
      return connection
    } finally {
      tooLate.cancel()
    }
  }

  /** @internal */
  static made(
    platform: Platform,
    socket: Socket,
    wire: Wire,
    server: EstablishedServer,
    borrowed?: Borrowed,
  ): ClientConnection {
    return new ClientConnection(platform, socket, wire, server, borrowed)
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
    return Object.fromEntries(this.#proven)
  }

  get isLost(): boolean {
    return this.#lost !== undefined
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
    const session = await unlessAborted(this.#session(identity), signal)
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
    const session = await this.#session(identity)
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
    for (const waiting of [...this.#opening.values(), ...this.#offering.values(), ...this.#proving.values()])
      waiting.reject(error)
    this.#opening.clear()
    this.#offering.clear()
    this.#proving.clear()
    for (const events of this.#channels.values()) events.lost(error)
    this.#channels.clear()
    this.lent?.lost()
    for (const run of this.#closers) run()
  }

  #greet(signal: AbortSignal | undefined): Promise<void> {
    return untilAborted(signal, this.#socket, (resolve, reject) => {
      if (this.#lost) reject(this.#lost)
      else if (this.#welcome) resolve()
      else this.#greeted = { resolve, reject }
    })
  }

  /** One proof for each identity. */
  #session(identity: Identity): Promise<number> {
    const known = this.#sessions.get(identity.fingerprint)
    if (known) return known
    const ref = ++this.#sessionCount
    const proved = new Promise<number>((resolve, reject) => {
      if (this.#lost) reject(this.#lost)
      else this.#proving.set(ref, { resolve, reject })
    })
    this.#sessions.set(identity.fingerprint, proved)
    // Who asks is told; a refusal now is no reason not to ask again.
    proved.then(
      () => this.#proven.set(identity.fingerprint, ref),
      () => this.#sessions.delete(identity.fingerprint),
    )
    const binding = { exporter: this.#wire.exporter, serverFingerprint: this.server.identity.fingerprintBytes }
    this.send({ type: 'session', ref, proof: sessionProof(this.#platform.crypto, identity, binding) })
    return proved
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
        this.#proving.get(message.ref)?.resolve(message.ref)
        this.#proving.delete(message.ref)
        return
      case 'refused':
        this.#proving.get(message.ref)?.reject(new AteError(message.code, message.facts))
        this.#proving.delete(message.ref)
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

/** The handshake over the socket, then the connection takes the socket's messages. */
function shake(
  socket: Socket,
  handshake: ClientHandshake,
  made: (done: Established) => ClientConnection,
  signal: AbortSignal | undefined,
): Promise<ClientConnection> {
  let connection: ClientConnection | undefined
  return untilAborted(signal, socket, (resolve, reject) => {
    socket.start({
      message(bytes) {
        if (connection) {
          connection.receive(bytes)
          return
        }
        try {
          const { send, done } = handshake.receive(bytes)
          socket.send(send)
          if (!done) return
          connection = made(done)
          resolve(connection)
        } catch (error) {
          socket.close(CLOSE.REFUSED, '')
          reject(error)
        }
      },
      closed({ code, text }) {
        if (connection?.isLost) return
        const error = new AteError('OFFLINE', {
          what: 'the connection ended',
          closeCode: code,
          said: text.slice(0, 80),
        })
        if (connection) connection.lose(error)
        else reject(error)
      },
      drained() {},
    })
    socket.send(handshake.hello())
  })
}

/** A server that says nothing must not hold who waits for it longer than his signal does. */
export function untilAborted<T>(
  signal: AbortSignal | undefined,
  socket: Socket,
  run: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => {
      socket.terminate()
      reject(signal?.reason)
    }
    const done = <A>(settle: (value: A) => void) => {
      return (value: A): void => {
        signal?.removeEventListener('abort', onAbort)
        settle(value)
      }
    }
    if (signal?.aborted) {
      onAbort()
      return
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    run(done(resolve), done(reject))
  })
}
