/**
 * The client's side of the handshake ATE-HS/1 (docs/FORMAT.md, section 18), as a pure state machine: a Hello, a Reply (or one
 * Retry before it), a Finish. When it ends well the server has proved its identity over all that both sides said, and both
 * have shown that they hold the keys. It has signed, or it has the secret of a ticket from a connection on which it had. Who the client's identities are is said inside (session-proof.ts).
 *
 * After an error the object is dead. Errors: HANDSHAKE_FAILED for everything that an attacker could tell apart;
 * WIRE_VERSION, and what `expect` throws (SERVER_UNKNOWN, SERVER_CHANGED), because a user can act on them.
 */
import { concatBytes, equalBytes, wipe } from '../base/bytes.ts'
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { WIRE_CLOCK_MS } from '../base/limits.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider, KemSecret } from '../crypto/provider.ts'
import { AES_TAG_BYTES } from '../crypto/sizes.ts'
import { XWING_SECRET_BYTES, xWingSecret } from '../crypto/x-wing.ts'
import type { EstablishedServer, PresentedServer, Ticket } from '../session/tickets.ts'
import * as format from './handshake-format.ts'
import { type HandshakeKeys, handshakeKeys, Transcript, wipeHandshakeKeys, wireKeys } from './handshake-keys.ts'
import { type ShownServer, shownServer } from './shown-servers.ts'
import { verifySuccession } from './succession.ts'
import { createWire, type Wire } from './wire.ts'

export interface ClientHandshakeOptions {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Throws SERVER_UNKNOWN or SERVER_CHANGED; called when the server has proved that it holds these keys. */
  readonly expect: (server: PresentedServer) => void
  /** Fingerprint (32 bytes) that the server is known by: stands in clear in the Hello. */
  readonly hint?: Uint8Array
  /** Of this server, and used up with this handshake. */
  readonly ticket?: Ticket
  /** Offers a wire that seals nothing; the server must allow it too. */
  readonly plain?: 'allow'
}

export interface ClientStep {
  /** To be sent. */
  readonly send: Uint8Array
  /** The end, if it is that: usable as soon as `send` was handed over. */
  readonly done: Established | undefined
}

export interface Established {
  readonly wire: Wire
  readonly server: EstablishedServer
  /** What the server has signed now, or the ticket that stood for it. */
  readonly by: Uint8Array | Ticket
}

export class ClientHandshake {
  readonly #options: ClientHandshakeOptions
  readonly #secret: KemSecret
  #hello: format.Hello
  #state: 'new' | 'waiting' | 'waiting again' | 'over' = 'new'

  constructor(options: ClientHandshakeOptions) {
    this.#options = options
    const { crypto, random, hint, ticket } = options
    const seed = randomBytes(random, XWING_SECRET_BYTES)
    this.#secret = xWingSecret(crypto, seed)
    wipe(seed)
    this.#hello = {
      versions: [format.WIRE_VERSION],
      suites: [format.WIRE_SUITE],
      modes: format.MODE.sealed | (options.plain === 'allow' ? format.MODE.plain : 0),
      nonce: ticket?.name ?? randomBytes(random, format.NONCE_BYTES),
      kemKey: this.#secret.publicKey,
      hint: hint?.slice(),
      cookie: undefined,
    }
  }

  /** The first message; called once. */
  hello(): Uint8Array {
    assert(this.#state === 'new', 'a handshake says hello once')
    this.#state = 'waiting'
    return format.encodeHello(this.#hello)
  }

  /** @throws AteError HANDSHAKE_FAILED | WIRE_VERSION | SERVER_UNKNOWN | SERVER_CHANGED */
  receive(message: Uint8Array): ClientStep {
    const state = this.#state
    this.#state = 'over'
    if (state === 'new' || state === 'over') throw failed()
    const cookie = format.parseRetry(message)
    if (cookie && state === 'waiting') {
      this.#hello = { ...this.#hello, cookie: cookie.slice() }
      this.#state = 'waiting again'
      return { send: format.encodeHello(this.#hello), done: undefined }
    }
    if (format.parseRefusal(message) === 'version') throw new AteError('WIRE_VERSION', { ours: format.WIRE_VERSION })
    return this.#finish(message)
  }

  #finish(message: Uint8Array): ClientStep {
    const { crypto, random, expect, ticket: offered } = this.#options
    const reply = format.parseReply(message)
    const mode = reply && this.#chosenMode(reply.clear)
    const isResumed = reply?.clear.kind === 'resumed'
    const ticket = isResumed ? offered : undefined
    if (!reply || !mode || (isResumed && !ticket)) throw failed()
    const transcript = new Transcript(crypto)
    transcript.add(format.encodeHello(this.#hello))
    const shared = this.#secret.decapsulate(reply.clear.encapsulated)
    const secret = ticket ? concatBytes(shared, ticket.secret) : shared
    const keys = handshakeKeys(crypto, secret, transcript.add(reply.clearBytes))
    if (ticket) wipe(shared)
    try {
      const plaintext = this.#openSealed(reply.sealed, keys)
      const { server, by } = ticket
        ? this.#recognized(plaintext, keys, transcript, ticket)
        : this.#serverOf(this.#signedBody(plaintext, keys, transcript))
      this.#checkTime(server)
      expect(server)
      const send = format.encodeFinish(crypto.hmacSha256(keys.clientMacKey, transcript.hash))
      const wire = wireKeys(crypto, keys.next, transcript.add(send))
      return { send, done: { wire: createWire({ crypto, random, role: 'client', mode, keys: wire }), server, by } }
    } finally {
      if (offered) wipe(offered.secret)
      wipeHandshakeKeys(keys)
    }
  }

  /** What the server chose, if it is one of what was offered. */
  #chosenMode({ version, suite, mode }: format.ReplyClear): format.WireMode | undefined {
    if (version !== format.WIRE_VERSION || suite !== format.WIRE_SUITE) return undefined
    if (mode === format.MODE.sealed) return 'sealed'
    return mode === format.MODE.plain && this.#options.plain === 'allow' ? 'plain' : undefined
  }

  #openSealed(sealed: Uint8Array, { aes, nonce }: HandshakeKeys): Uint8Array {
    const tagAt = sealed.length - AES_TAG_BYTES
    const plaintext = aes.open(nonce, sealed.subarray(0, tagAt), sealed.subarray(tagAt))
    if (!plaintext) throw failed()
    return plaintext
  }

  /** The body that the holder of the keys in it has signed over the whole transcript. */
  #signedBody(plaintext: Uint8Array, keys: HandshakeKeys, transcript: Transcript): SignedBody {
    const { crypto } = this.#options
    const parts = format.parseSealed(plaintext)
    const body = parts && format.parseReplyBody(parts.body)
    if (!body) throw failed()
    const signed = transcript.add(parts.body)
    transcript.add(parts.signature)
    this.#checkMac(parts.mac, keys, transcript)
    const server = shownServer(crypto, body)
    if (!server.verifier.verify(signed, parts.signature, contextBytes('handshakeServer'))) throw failed()
    return { bytes: parts.body, body, server }
  }

  /** It has the secret that it shared with this process when it signed what the ticket was made of. */
  #recognized(mac: Uint8Array, keys: HandshakeKeys, transcript: Transcript, by: Ticket): Omit<Established, 'wire'> {
    transcript.add(by.said)
    this.#checkMac(mac, keys, transcript)
    return { server: by.server, by }
  }

  /** The server's, over all that was said; then it is said too. */
  #checkMac(mac: Uint8Array, { serverMacKey }: HandshakeKeys, transcript: Transcript): void {
    if (!equalBytes(mac, this.#options.crypto.hmacSha256(serverMacKey, transcript.hash))) throw failed()
    transcript.add(mac)
  }

  #serverOf({ bytes, body, server }: SignedBody): Omit<Established, 'wire'> {
    const { crypto } = this.#options
    const { identity } = server
    const { delegation, delegationBytes } = checked(() => server.delegation())
    const { succession } = body
    const follows = succession && checked(() => verifySuccession(crypto, succession, identity.fingerprintBytes))
    return { server: { identity, follows, delegation, delegationBytes, limits: body.limits }, by: bytes }
  }

  #checkTime({ delegation: { from, until } }: EstablishedServer): void {
    const at = this.#options.now()
    // Proved by now: what is told is between this client and the server that it reached.
    if (at < from - WIRE_CLOCK_MS || at >= until + WIRE_CLOCK_MS)
      throw failed("the server's delegation is over, or one of the clocks is wrong")
  }
}

interface SignedBody {
  readonly bytes: Uint8Array
  readonly body: format.ReplyBody
  readonly server: ShownServer
}

function checked<T>(parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (cause instanceof AteError && cause.code === 'BAD_ACKNOWLEDGEMENT') throw failed(String(cause.facts['what']))
    throw cause
  }
}

function failed(what?: string): AteError {
  return new AteError('HANDSHAKE_FAILED', { what })
}
