/**
 * The server's end of one connection: the handshake, the identities that proved themselves on it, and its channels. Whatever
 * breaks the rules of the protocol ends the connection; what a chain refuses ends a channel, or is an answer.
 */
import { AteError, isAteError } from '../base/errors.ts'
import { CHANNELS_MAX, HANDSHAKE_MS, HELLO_BYTES_MAX, SESSIONS_MAX } from '../base/limits.ts'
import { CLOSE, type Socket } from '../base/socket.ts'
import type { Durability } from '../log/engine.ts'
import type { PublicIdentity } from '../session/identity.ts'
import { FrameSender } from './frames.ts'
import { refusalOf, ServerHandshake, type ServerHandshakeOptions } from './handshake-server.ts'
import type { Host } from './host.ts'
import { HostChannel } from './host-channel.ts'
import { type ClientMessage, clientMessagesIn, type ServerMessage, writeServerMessage } from './messages.ts'
import { checkSessionProof } from './session-proof.ts'
import type { Wire } from './wire.ts'

/** What a connection asks before it spends anything, and tells when it ends. */
export interface ConnectionRules {
  readonly handshake: Omit<ServerHandshakeOptions, 'crypto' | 'random' | 'identity' | 'delegation' | 'now'>
  /** Before a chain takes what this identity submits. */
  readonly admitSubmission?: (
    identity: PublicIdentity,
    amount: { readonly entries: number; readonly bytes: number },
  ) => AteError | undefined
  /** Frames and their bytes as they come in; an error ends the connection. */
  readonly admitFrame?: (bytes: number) => AteError | undefined
  readonly established?: () => void
  readonly closed?: (error: AteError | undefined) => void
}

export interface HostConnectionParts {
  readonly host: Host
  readonly socket: Socket
  /** Of the service, as the client's URL has it. */
  readonly path: string
  /** What the engine behind the chains reaches. */
  readonly level: Durability
  readonly rules: ConnectionRules
}

type Opening = Extract<ClientMessage, { type: 'open' }>

export class HostConnection {
  readonly #parts: HostConnectionParts
  readonly #handshake: ServerHandshake
  readonly #sessions = new Map<number, PublicIdentity>()
  readonly #channels = new Map<number, HostChannel>()
  readonly #opening = new Set<number>()
  #wire: Wire | undefined
  #sender: FrameSender<ServerMessage> | undefined
  #closed = false
  #hurry: { cancel(): void } | undefined

  constructor(parts: HostConnectionParts) {
    this.#parts = parts
    const { host, socket, rules } = parts
    const { platform, identity, delegation } = host.parts
    const { crypto, environment } = platform
    this.#handshake = new ServerHandshake({
      ...rules.handshake,
      crypto,
      random: environment.random,
      identity,
      delegation,
      now: () => environment.clock.now(),
    })
    this.#hurry = environment.timers.start(HANDSHAKE_MS, () => this.#end(undefined, CLOSE.POLICY, 'too slow'))
    socket.limit(HELLO_BYTES_MAX)
    socket.start({
      message: (bytes) => this.#receive(bytes),
      closed: () => this.#end(undefined),
      drained: () => this.#pumpAll(),
    })
  }

  /** Says that the server goes, and ends. */
  close(): void {
    this.#sender?.flush()
    this.#end(undefined, CLOSE.GOING_AWAY, 'the server stops')
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closed) return
    try {
      const refusal = this.#parts.rules.admitFrame?.(bytes.length)
      if (refusal) throw refusal
      if (!this.#wire) this.#shake(bytes)
      else for (const message of clientMessagesIn(this.#wire.open(bytes))) this.#take(message)
    } catch (error) {
      const failure = isAteError(error) ? error : new AteError('INTERNAL', { what: 'message' }, { cause: error })
      if (!this.#wire) this.#parts.socket.send(refusalOf(failure))
      this.#end(failure, failure.code === 'RATE_LIMITED' ? CLOSE.TRY_LATER : CLOSE.REFUSED, failure.code)
    }
  }

  #shake(bytes: Uint8Array): void {
    const { socket, path, level, rules } = this.#parts
    const { send, done } = this.#handshake.receive(bytes)
    if (send) socket.send(send)
    if (!done) return
    this.#hurry?.cancel()
    this.#wire = done.wire
    this.#sender = new FrameSender(socket, done.wire, writeServerMessage)
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
        this.#takeSession(message.ref, message.proof)
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
      case 'leave':
        this.#leave(message.channel)
        return
      case 'rekey':
        this.#takeRekey(message.bytes)
        return
    }
  }

  #takeSession(ref: number, proof: Uint8Array): void {
    const { platform, identity: server } = this.#parts.host.parts
    if (this.#sessions.size >= SESSIONS_MAX || this.#sessions.has(ref)) {
      this.#send({ type: 'refused', ref, code: 'BUSY', facts: { sessions: SESSIONS_MAX } })
      return
    }
    const binding = { exporter: this.#wire!.exporter, serverFingerprint: server.fingerprintBytes }
    this.#sessions.set(ref, checkSessionProof(platform.crypto, proof, binding))
    this.#send({ type: 'session', ref })
  }

  /** The first is the client's offer, and the other what it says when it reads with the new keys. */
  #takeRekey(bytes: Uint8Array): void {
    if (this.#answered) {
      this.#answered = false
      this.#wire!.rekeyEnd(bytes)
      return
    }
    this.#sender!.flush()
    this.#answered = true
    this.#send({ type: 'rekey', bytes: this.#wire!.rekeyAnswer(bytes) })
    this.#sender!.flush()
  }

  #answered = false

  #takeOpen(message: Opening): void {
    const { channel, session } = message
    const identity = this.#sessions.get(session)
    const taken = this.#channels.has(channel) || this.#opening.has(channel)
    if (!identity || taken) throw new AteError('BAD_MESSAGE', { what: 'open', channel })
    if (this.#channels.size + this.#opening.size >= CHANNELS_MAX) {
      this.#send({ type: 'closed', channel, code: 'BUSY', facts: { channels: CHANNELS_MAX } })
      return
    }
    this.#opening.add(channel)
    // Views of the frame do not outlive this turn.
    const request = { ...message, genesis: message.genesis?.slice() }
    void this.#open(request, identity)
  }

  async #open({ channel, name, chain: wanted, head, genesis }: Opening, identity: PublicIdentity): Promise<void> {
    const { host, rules } = this.#parts
    try {
      const chain = await host.acquire(name, identity, genesis)
      if (this.#closed || !this.#opening.delete(channel)) {
        host.release(chain)
        return
      }
      const { sequencer } = chain
      const resume = head && sequencer.replica.hashes.at(head.seq)
      const isStored = head && head.seq <= sequencer.head.seq
      this.#send({
        type: 'opened',
        channel,
        chain: sequencer.replica.chainId,
        level: sequencer.engine.durability,
        head: sequencer.head,
        resume: isStored ? resume : undefined,
      })
      const open = new HostChannel({
        number: channel,
        chain,
        out: this.#out,
        from: head && isStored ? head.seq + 1 : 0,
        admits: (entries, bytes) => rules.admitSubmission?.(identity, { entries, bytes }),
        closed: (error) => {
          this.#leave(channel)
          this.#send({ type: 'closed', channel, code: error.code, facts: error.facts })
        },
      })
      this.#channels.set(channel, open)
      if (wanted && !sequencer.replica.chainId.every((byte, i) => byte === wanted[i])) this.#leave(channel)
    } catch (error) {
      this.#opening.delete(channel)
      const failure = isAteError(error) ? error : new AteError('INTERNAL', { what: 'open' }, { cause: error })
      this.#send({ type: 'closed', channel, code: failure.code, facts: failure.facts })
    }
  }

  readonly #out = {
    connection: this,
    get bufferedBytes(): number {
      return this.connection.#sender?.bufferedBytes ?? 0
    },
    send(message: ServerMessage): void {
      this.connection.#send(message)
    },
  }

  #takeSubmission({ channel, id, kind, payload, isLast }: Extract<ClientMessage, { type: 'submit' }>): void {
    const open = this.#channels.get(channel)
    // Sent before the client heard that the channel was closed.
    if (!open) return
    if (!open.submit(id, { kind, payload }, isLast)) throw new AteError('BAD_MESSAGE', { what: 'submission', channel })
  }

  #leave(channel: number): void {
    this.#opening.delete(channel)
    const open = this.#channels.get(channel)
    if (!open) return
    this.#channels.delete(channel)
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
    this.#handshake.close()
    for (const channel of [...this.#channels.keys()]) this.#leave(channel)
    this.#sender?.close()
    this.#wire?.close()
    this.#parts.socket.close(code, text)
    this.#parts.rules.closed?.(error)
  }
}
