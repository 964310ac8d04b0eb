/** A client that keeps to nothing: the handshake is done, and then any message, or any bytes in the place of a frame. */
import type { Socket } from '../../src/base/socket.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import { ClientHandshake } from '../../src/mesh/handshake-client.ts'
import {
  type ClientMessage,
  type ServerMessage,
  serverMessagesIn,
  writeClientMessage,
} from '../../src/mesh/messages.ts'
import { sessionProof } from '../../src/mesh/session-proof.ts'
import type { Wire } from '../../src/mesh/wire.ts'
import type { Identity } from '../../src/session/identity.ts'
import type { Platform } from '../../src/session/platform.ts'

export interface HostileOptions {
  readonly platform: Platform
  readonly url: string
  readonly server: Identity
  /** Lets time go on. */
  readonly tick: () => Promise<unknown>
}

export class HostileClient {
  readonly inbox: ServerMessage[] = []
  socket!: Socket
  /** The end, as it was told. */
  ended: { readonly code: number; readonly text: string } | undefined
  readonly #options: HostileOptions
  #wire: Wire | undefined

  private constructor(options: HostileOptions) {
    this.#options = options
  }

  static async open(options: HostileOptions): Promise<HostileClient> {
    const client = new HostileClient(options)
    const { platform } = options
    const { environment, crypto } = platform
    const handshake = new ClientHandshake({
      crypto,
      random: environment.random,
      now: () => environment.clock.now(),
      expect: () => undefined,
      plain: 'allow',
    })
    let socket: Socket | undefined
    const dialing = platform.dial(options.url).then((open) => {
      socket = open
    })
    while (!socket) await options.tick()
    await dialing
    client.socket = socket
    socket.start({
      message(bytes) {
        if (client.#wire) client.inbox.push(...serverMessagesIn(client.#wire.open(bytes).slice()))
        else {
          const { send, done } = handshake.receive(bytes)
          socket!.send(send)
          client.#wire = done?.wire
        }
      },
      closed: ({ code, text }) => {
        client.ended = { code, text }
      },
      drained: () => undefined,
    })
    socket.send(handshake.hello())
    await client.until(() => client.heard('welcome').length > 0)
    return client
  }

  heard<T extends ServerMessage['type']>(type: T): (ServerMessage & { readonly type: T })[] {
    return this.inbox.filter((message): message is ServerMessage & { readonly type: T } => message.type === type)
  }

  /** Until it holds, or the connection has ended. */
  async until(done: () => boolean): Promise<void> {
    for (let i = 0; !done() && !this.ended; i++) {
      if (i > 10_000) throw new Error('this did not come')
      await this.#options.tick()
    }
  }

  send(...messages: readonly ClientMessage[]): void {
    const out = new ByteWriter(1024)
    for (const message of messages) {
      out.reset()
      writeClientMessage(out, message)
      this.raw(out.copy())
    }
  }

  /** In one frame. */
  burst(...messages: readonly ClientMessage[]): void {
    const out = new ByteWriter(65_536)
    for (const message of messages) writeClientMessage(out, message)
    this.raw(out.copy())
  }

  /** In the place of messages: what a frame holds. */
  raw(bytes: Uint8Array): void {
    this.socket.send(this.#wire!.seal(bytes))
  }

  proof(identity: Identity): Uint8Array {
    const binding = { exporter: this.#wire!.exporter, serverFingerprint: this.#options.server.fingerprintBytes }
    return sessionProof(this.#options.platform.crypto, identity, binding)
  }

  async prove(identity: Identity, ref = 1): Promise<void> {
    this.send({ type: 'session', ref, proof: this.proof(identity) })
    await this.until(() => this.heard('session').some((message) => message.ref === ref))
  }

  open(name: string, channel = 1, more: { readonly genesis?: Uint8Array; readonly session?: number } = {}): void {
    const { genesis, session = 1 } = more
    this.send(openOf(name, channel, { session, ...(genesis ? { genesis } : {}) }))
  }

  close(): void {
    this.socket.terminate()
  }
}

export function openOf(
  name: string,
  channel: number,
  { genesis, session }: { readonly genesis?: Uint8Array; readonly session: number },
): ClientMessage {
  return { type: 'open', channel, session, name, chain: undefined, head: undefined, genesis, bodies: 'all' }
}
