/**
 * The server's end of one connection: the handshake, the identities that proved themselves on it, and its channels. Whatever
 * breaks the rules of the protocol ends the connection; what a chain refuses ends a channel, or is an answer.
 */
import { AteError, type ErrorFacts, isAteError } from '../base/errors.ts'
import {
  CHANNELS_MAX,
  HANDSHAKE_MS,
  HELLO_BYTES_MAX,
  REKEY_MS_MIN,
  SESSION_MS,
  SUBMISSION_BYTES_MAX,
} from '../base/limits.ts'
import { CLOSE, type Socket } from '../base/socket.ts'
import type { KeyAccess } from '../chain/link.ts'
import type { EntryAnswer } from '../chain/sequencer.ts'
import type { Durability } from '../log/engine.ts'
import type { PublicIdentity } from '../session/identity.ts'
import { FrameSender } from './frames.ts'
import { refusalOf, ServerHandshake, type ServerHandshakeOptions } from './handshake-server.ts'
import type { Hosting } from './host.ts'
import { BUFFERED_BYTES_MAX, HostChannel } from './host-channel.ts'
import { HostSessions } from './host-sessions.ts'
import { keyLimits } from './key-messages.ts'
import { type ClientMessage, clientMessagesIn, type ServerMessage, writeServerMessage } from './messages.ts'
import { type CutReason, Outbox, TOO_SLOW_TEXT } from './outbox-bound.ts'
import type { Wire } from './wire.ts'

/** What a connection asks before it spends anything, and what it tells. An error that is given ends it. */
export interface ConnectionRules {
  readonly handshake: Pick<
    ServerHandshakeOptions,
    'limits' | 'successions' | 'plain' | 'demandCookie' | 'signLater' | 'tickets'
  >
  /** Before the first computation of a handshake. */
  admitHandshake?(): AteError | undefined
  /** Frames and their bytes as they come in: the ms for which the next ones wait. */
  admitBytes?(bytes: number): number
  /** An identity has proved itself. @throws AteError NOT_AUTHORIZED | RATE_LIMITED */
  admitSession?(identity: PublicIdentity): Promise<void>
  /** @throws AteError NOT_AUTHORIZED | RATE_LIMITED | QUOTA_EXCEEDED */
  admitCreate?(identity: PublicIdentity, name: string): Promise<void>
  /** Records are submitted: the ms for which what comes next waits. */
  admitSubmission?(entries: number): number
  /**
   * Before a chain is opened: whether it is this server's to open. @throws AteError CHAIN_ELSEWHERE, and what keeps it from
   * knowing
   */
  place?(name: string, who: 'client' | 'sibling'): Promise<void>
  /** The server that may take a chain from this one. */
  takerOf?(name: string): string | undefined
  established?(): void
  /** What became of a submission of so many records, and how long it took in ms. */
  answered?(answers: readonly EntryAnswer[], tookMs: number): void
  closed?(error: AteError | undefined): void
  cut?(why: CutReason): void
  /** Bytes that were given to the socket. */
  sent?(bytes: number): void
}

export interface HostConnectionParts {
  readonly host: Hosting
  readonly socket: Socket
  /** Of the service, as the client's URL has it. */
  readonly path: string
  /** What the engine behind the chains reaches. */
  readonly level: Durability
  readonly rules: ConnectionRules
  /** Whether attached keys are kept, and whom they are given to; `open` if left out. The handshake says it, signed. */
  readonly keyAccess?: KeyAccess
}

type Opening = Extract<ClientMessage, { type: 'open' }>

export class HostConnection {
  readonly #parts: HostConnectionParts
  readonly #handshake: ServerHandshake
  readonly #channels = new Map<number, HostChannel>()
  /** Channels that are being opened: they hold their place until then, left or not. */
  readonly #opening = new Map<number, 'wanted' | 'left'>()
  /** Bytes of submissions that are not whole yet, of all channels. */
  #collectingBytes = 0
  /** Bytes of bodies that are being read for the client. */
  #promisedBytes = 0
  #rekeyedAt = Number.NEGATIVE_INFINITY
  #wire: Wire | undefined
  #sessions: HostSessions | undefined
  #sender: FrameSender<ServerMessage> | undefined
  #closed = false
  #hurry: { cancel(): void } | undefined
  readonly #outbox: Outbox
  #resting: { cancel(): void } | undefined
  #answered = false
  #shaken = false

  constructor(parts: HostConnectionParts) {
    this.#parts = parts
    const { host, socket, rules, keyAccess = 'open' } = parts
    const { platform, identity, delegation } = host.parts
    const { crypto, environment } = platform
    this.#handshake = new ServerHandshake({
      ...rules.handshake,
      limits: { ...rules.handshake.limits, ...keyLimits(keyAccess) },
      crypto,
      random: environment.random,
      identity,
      delegation: delegation(),
      now: () => environment.clock.now(),
    })
    this.#hurry = environment.timers.start(HANDSHAKE_MS, () => this.#end(undefined, CLOSE.REFUSED, 'too slow'))
    this.#outbox = new Outbox(socket, {
      timers: environment.timers,
      onCut: (why) => this.#cut(why),
      ...(rules.sent ? { onSent: rules.sent } : {}),
    })
    socket.limit(HELLO_BYTES_MAX)
    socket.start({
      message: (bytes) => this.#receive(bytes),
      closed: () => this.#end(undefined),
      drained: () => {
        this.#outbox.drained()
        this.#pumpAll()
      },
    })
  }

  /** What waits to be sent. */
  get bufferedBytes(): number {
    return this.#sender?.bufferedBytes ?? 0
  }

  /** Says that the server goes, and ends. */
  close(): void {
    this.#sender?.flush()
    this.#end(undefined, CLOSE.GOING_AWAY, 'the server stops')
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closed) return
    try {
      this.#rest(this.#parts.rules.admitBytes?.(bytes.length) ?? 0)
      if (!this.#wire) this.#shake(bytes)
      else for (const message of clientMessagesIn(this.#wire.open(bytes))) this.#take(message)
    } catch (error) {
      this.#failed(error)
    }
  }

  #failed(error: unknown): void {
    if (this.#closed) return
    const failure = isAteError(error) ? error : new AteError('INTERNAL', { what: 'message' }, { cause: error })
    if (!this.#wire) this.#parts.socket.send(refusalOf(failure))
    this.#end(failure, failure.code === 'RATE_LIMITED' ? CLOSE.TRY_LATER : CLOSE.REFUSED, failure.code)
  }

  /** Reads no more for a while: who sends too much is slowed down. */
  #rest(ms: number): void {
    if (ms <= 0 || this.#resting || this.#closed) return
    this.#parts.socket.pause()
    this.#resting = this.#parts.host.parts.platform.environment.timers.start(ms, () => {
      this.#resting = undefined
      this.#parts.socket.resume()
    })
  }

  #cut(why: CutReason): void {
    this.#parts.rules.cut?.(why)
    this.#end(undefined, CLOSE.TOO_SLOW, TOO_SLOW_TEXT)
  }

  #shake(bytes: Uint8Array): void {
    const { socket, path, level, rules } = this.#parts
    const refusal = this.#shaken ? undefined : rules.admitHandshake?.()
    this.#shaken = true
    if (refusal) throw refusal
    const { send, later, done } = this.#handshake.receive(bytes)
    if (send) socket.send(send)
    void later?.then(
      (reply) => socket.send(reply),
      (error) => this.#failed(error),
    )
    if (!done) return
    this.#hurry?.cancel()
    const { platform, identity: server } = this.#parts.host.parts
    this.#hurry = platform.environment.timers.start(SESSION_MS, () =>
      this.#end(undefined, CLOSE.REFUSED, 'nobody has said who he is'),
    )
    this.#wire = done.wire
    this.#sessions = new HostSessions({
      crypto: platform.crypto,
      binding: { exporter: done.wire.exporter, serverFingerprint: server.fingerprintBytes },
      admit: async (identity) => rules.admitSession?.(identity),
      admitted: () => this.#hurry?.cancel(),
      send: (message) => this.#send(message),
    })
    this.#sender = new FrameSender(this.#outbox, done.wire, writeServerMessage)
    socket.limit(Number.POSITIVE_INFINITY)
    rules.established?.()
    this.#send({ type: 'welcome', level, path })
  }

  #send(message: ServerMessage): void {
    if (!this.#closed) this.#sender?.send(message)
  }

  #take(message: ClientMessage): void {
    switch (message.type) {
      case 'session':
        this.#sessions!.take(message.ref, message.proof)
        return
      case 'open':
        this.#takeOpen(message)
        return
      case 'submit':
        this.#takeSubmission(message)
        return
      case 'credit':
        this.#channels.get(message.channel)?.credit(message.bytes)
        return
      case 'sync':
        this.#channels.get(message.channel)?.sync(message.id)
        return
      case 'key':
        this.#collect(message.channel, (channel) => channel.key(message))
        return
      case 'ask':
      case 'ring':
        this.#channels.get(message.channel)?.ask(message)
        return
      case 'body':
        this.#channels.get(message.channel)?.body(message)
        return
      case 'leave':
        this.#leave(message.channel)
        return
      case 'take':
      case 'taken':
        void this.#giveAway(message)
        return
      case 'offer':
        void this.#takeOffer(message)
        return
      case 'rekey':
        this.#takeRekey(message.bytes)
        return
    }
  }

  /** The first is the client's offer, and the other what it says when it reads with the new keys. */
  #takeRekey(bytes: Uint8Array): void {
    if (this.#answered) {
      this.#answered = false
      this.#wire!.rekeyEnd(bytes)
      return
    }
    const now = this.#parts.host.parts.platform.environment.clock.monotonic()
    if (now - this.#rekeyedAt < REKEY_MS_MIN) throw new AteError('RATE_LIMITED', { reason: 'exchanges of keys' })
    this.#rekeyedAt = now
    this.#sender!.flush()
    this.#answered = true
    this.#send({ type: 'rekey', bytes: this.#wire!.rekeyAnswer(bytes) })
    this.#sender!.flush()
  }

  #takeOpen(message: Opening): void {
    const { channel, session } = message
    const identity = this.#sessions!.of(session)
    const taken = this.#channels.has(channel) || this.#opening.has(channel)
    if (!identity || taken) throw new AteError('BAD_MESSAGE', { what: 'open', channel })
    if (this.#channels.size + this.#opening.size >= CHANNELS_MAX) {
      this.#send({ type: 'closed', channel, code: 'BUSY', facts: { channels: CHANNELS_MAX } })
      return
    }
    this.#opening.set(channel, 'wanted')
    // Views of the frame do not outlive this turn.
    const request = { ...message, genesis: message.genesis?.slice() }
    void this.#open(request, identity)
  }

  async #open(
    { channel, name, chain: wanted, head, genesis, bodies }: Opening,
    identity: PublicIdentity,
  ): Promise<void> {
    const { host, rules } = this.#parts
    try {
      const isSibling = this.#isSibling(identity)
      await rules.place?.(name, isSibling ? 'sibling' : 'client')
      const asking = { identity, admitCreate: async (to: string) => rules.admitCreate?.(identity, to) }
      const chain = await host.acquire(name, asking, genesis)
      const isWanted = this.#opening.get(channel) === 'wanted'
      this.#opening.delete(channel)
      if (this.#closed || !isWanted) {
        host.release(chain)
        return
      }
      if (chain.leavingTo !== undefined && !isSibling) {
        host.release(chain)
        this.#send({ type: 'redirect', channel, why: 'ring', url: chain.leavingTo })
        return
      }
      const { sequencer } = chain
      // Since it was acquired: it tells who follows it, and this one does not yet.
      if (sequencer.failure) {
        host.release(chain)
        throw sequencer.failure
      }
      const resume = head && sequencer.replica.hashes.at(head.seq)
      const isStored = head && head.seq <= sequencer.head.seq
      this.#send({
        type: 'opened',
        channel,
        chain: sequencer.replica.chainId,
        level: sequencer.durability,
        head: sequencer.head,
        resume: isStored ? resume : undefined,
      })
      const open = new HostChannel({
        number: channel,
        chain,
        out: this.#out,
        from: head && isStored ? head.seq + 1 : 0,
        bodies,
        identity,
        isSibling,
        keyAccess: this.#parts.keyAccess ?? 'open',
        submitting: (entries) => this.#rest(rules.admitSubmission?.(entries) ?? 0),
        answered: (answers, tookMs) => rules.answered?.(answers, tookMs),
        forged: (error) => {
          this.#sender?.flush()
          this.#end(error, CLOSE.REFUSED, error.code)
        },
        closed: (error) => {
          this.#leave(channel)
          this.#sendClosed(channel, error)
        },
      })
      this.#channels.set(channel, open)
      // What is sent as it opens may be what shows that the connection is over.
      if (this.#closed) this.#leave(channel)
      if (wanted && !sequencer.replica.chainId.every((byte, i) => byte === wanted[i])) this.#leave(channel)
    } catch (error) {
      this.#opening.delete(channel)
      this.#sendClosed(channel, error)
    }
  }

  #sendClosed(channel: number, error: unknown): void {
    const { code, facts } = isAteError(error) ? error : new AteError('INTERNAL', { what: 'open' }, { cause: error })
    const url = code === 'CHAIN_ELSEWHERE' ? facts['url'] : code === 'CHAIN_MOVED' ? facts['to'] : undefined
    if (!this.#parts.rules.takerOf || typeof url !== 'string' || !/^wss?:/.test(url))
      this.#send({ type: 'closed', channel, code, facts: outward(facts) })
    else {
      const why = code === 'CHAIN_MOVED' || facts['why'] === 'moved' ? 'moved' : 'ring'
      this.#send({ type: 'redirect', channel, why, url })
    }
  }

  /** A server of the same ring: all of them have one identity. */
  #isSibling({ fingerprint }: PublicIdentity): boolean {
    return this.#parts.rules.takerOf !== undefined && fingerprint === this.#parts.host.parts.identity.fingerprint
  }

  async #giveAway(message: Extract<ClientMessage, { type: 'take' | 'taken' }>): Promise<void> {
    const { host, rules } = this.#parts
    const channel = this.#channels.get(message.channel)
    if (!channel) return
    const to = channel.isSibling ? rules.takerOf?.(channel.chain.name) : undefined
    if (to === undefined)
      channel.failed(new AteError('NOT_AUTHORIZED', { needs: 'to be the server that takes the chain' }))
    else if (message.type === 'take') await channel.take(message.id, to)
    else {
      await channel.taken(message.id, message.head)
      if (channel.chain.engine.standing.state === 'moved') await host.forget(channel.chain)
    }
  }

  /** The answer says where the chain is: here, if it was taken. */
  async #takeOffer({ channel, session, name }: Extract<ClientMessage, { type: 'offer' }>): Promise<void> {
    const { rules } = this.#parts
    const identity = this.#sessions!.of(session)
    try {
      if (!identity || !this.#isSibling(identity)) throw new AteError('NOT_AUTHORIZED', { needs: 'to be of the ring' })
      await rules.place?.(name, 'client')
      this.#send({ type: 'synced', channel, id: 0 })
    } catch (error) {
      this.#sendClosed(channel, error)
    }
  }

  readonly #out = {
    connection: this,
    get bufferedBytes(): number {
      return this.connection.bufferedBytes + this.connection.#promisedBytes
    },
    send(message: ServerMessage): void {
      this.connection.#send(message)
    },
    promise(bytes: number): (message: ServerMessage | undefined) => void {
      const { connection } = this
      connection.#promisedBytes += bytes
      return (message) => {
        const wasFull = this.bufferedBytes >= BUFFERED_BYTES_MAX
        connection.#promisedBytes -= bytes
        if (message) connection.#send(message)
        // The socket tells of no room that it never lacked.
        if (wasFull) connection.#pumpAll()
      }
    },
  }

  #takeSubmission({ channel, id, kind, payload, isLast }: Extract<ClientMessage, { type: 'submit' }>): void {
    this.#collect(channel, (open) => open.submit(id, { kind, payload }, isLast))
  }

  #collect(channel: number, add: (open: HostChannel) => boolean): void {
    const open = this.#channels.get(channel)
    // Sent before the client heard that the channel was closed.
    if (!open) return
    const before = open.collectingBytes
    const isGood = add(open)
    this.#collectingBytes += open.collectingBytes - before
    if (!isGood || this.#collectingBytes > SUBMISSION_BYTES_MAX)
      throw new AteError('BAD_MESSAGE', { what: 'submission', channel })
  }

  #leave(channel: number): void {
    if (this.#opening.has(channel)) this.#opening.set(channel, 'left')
    const open = this.#channels.get(channel)
    if (!open) return
    this.#channels.delete(channel)
    this.#collectingBytes -= open.collectingBytes
    open.leave()
    this.#parts.host.release(open.chain)
  }

  #pumpAll(): void {
    for (const channel of this.#channels.values()) channel.pump()
  }

  #end(error: AteError | undefined, code: number = CLOSE.NORMAL, text = ''): void {
    if (this.#closed) return
    this.#closed = true
    this.#hurry?.cancel()
    this.#resting?.cancel()
    this.#outbox.closed()
    this.#handshake.close()
    for (const channel of [...this.#channels.keys()]) this.#leave(channel)
    this.#sender?.close()
    this.#wire?.close()
    this.#parts.socket.close(code, text)
    this.#parts.rules.closed?.(error)
  }
}

/** Where a log lies on the server's disk is the operator's to know. */
function outward({ place: _place, path: _path, ...told }: ErrorFacts): ErrorFacts {
  return told
}
