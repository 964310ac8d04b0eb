/**
 * The client's side of the handshake ATE-HS/1 (docs/FORMAT.md, section 18), as a pure state machine: a Hello, a Reply (or one
 * Retry before it), a Finish. When it ends well the server has proved its identity over all that both sides said, and both
 * have shown that they hold the keys. Who the client's identities are is said inside (session-proof.ts).
 *
 * After an error the object is dead. Errors: HANDSHAKE_FAILED for everything that an attacker could tell apart;
 * WIRE_VERSION, and what `expect` throws (SERVER_UNKNOWN, SERVER_CHANGED), because a user can act on them.
 */
import { equalBytes, wipe } from '../base/bytes.ts'
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { WIRE_CLOCK_MS } from '../base/limits.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider, KemSecret } from '../crypto/provider.ts'
import { AES_TAG_BYTES } from '../crypto/sizes.ts'
import { XWING_SECRET_BYTES, xWingSecret } from '../crypto/x-wing.ts'
import type { Delegation } from '../event/acknowledgement.ts'
import type { PublicIdentity } from '../session/identity.ts'
import * as format from './handshake-format.ts'
import { type HandshakeKeys, handshakeKeys, Transcript, wipeHandshakeKeys, wireKeys } from './handshake-keys.ts'
import { type ShownServer, shownServer } from './shown-servers.ts'
import { verifySuccession } from './succession.ts'
import { createWire, type Wire } from './wire.ts'

/** Whom a server has shown itself to be. */
export interface PresentedServer {
  readonly identity: PublicIdentity
  /** Fingerprint (32 bytes) of an older identity that has signed that this one follows it. */
  readonly follows: Uint8Array | undefined
}

export interface EstablishedServer extends PresentedServer {
  readonly delegation: Delegation
  readonly delegationBytes: Uint8Array
  readonly limits: format.ServerLimits
}

export interface ClientHandshakeOptions {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Throws SERVER_UNKNOWN or SERVER_CHANGED; called when the server has proved that it holds these keys. */
  readonly expect: (server: PresentedServer) => void
  /** Fingerprint (32 bytes) that the server is known by: stands in clear in the Hello. */
  readonly hint?: Uint8Array
  /** Offers a wire that seals nothing; the server must allow it too. */
  readonly plain?: 'allow'
}

export interface ClientStep {
  /** To be sent. */
  readonly send: Uint8Array
  /** The end, if it is that: usable as soon as `send` was handed over. */
  readonly done: { readonly wire: Wire; readonly server: EstablishedServer } | undefined
}

export class ClientHandshake {
  readonly #options: ClientHandshakeOptions
  readonly #secret: KemSecret
  #hello: format.Hello
  #state: 'new' | 'waiting' | 'waiting again' | 'over' = 'new'

  constructor(options: ClientHandshakeOptions) {
    this.#options = options
    const { crypto, random, hint } = options
    const seed = randomBytes(random, XWING_SECRET_BYTES)
    this.#secret = xWingSecret(crypto, seed)
    wipe(seed)
    this.#hello = {
      versions: [format.WIRE_VERSION],
      suites: [format.WIRE_SUITE],
      modes: format.MODE.sealed | (options.plain === 'allow' ? format.MODE.plain : 0),
      nonce: randomBytes(random, format.NONCE_BYTES),
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
    const { crypto, random, expect } = this.#options
    const reply = format.parseReply(message)
    const mode = reply && this.#chosenMode(reply.clear)
    if (!reply || !mode) throw failed()
    const transcript = new Transcript(crypto)
    transcript.add(format.encodeHello(this.#hello))
    const shared = this.#secret.decapsulate(reply.clear.encapsulated)
    const keys = handshakeKeys(crypto, shared, transcript.add(reply.clearBytes))
    try {
      const server = this.#serverOf(this.#openSealed(reply.sealed, keys, transcript))
      expect(server)
      const send = format.encodeFinish(crypto.hmacSha256(keys.clientMacKey, transcript.hash))
      const wire = wireKeys(crypto, keys.next, transcript.add(send))
      return { send, done: { wire: createWire({ crypto, random, role: 'client', mode, keys: wire }), server } }
    } finally {
      wipeHandshakeKeys(keys)
    }
  }

  /** What the server chose, if it is one of what was offered. */
  #chosenMode({ version, suite, mode }: format.ReplyClear): format.WireMode | undefined {
    if (version !== format.WIRE_VERSION || suite !== format.WIRE_SUITE) return undefined
    if (mode === format.MODE.sealed) return 'sealed'
    return mode === format.MODE.plain && this.#options.plain === 'allow' ? 'plain' : undefined
  }

  /** The body that the holder of the keys in it has signed over the whole transcript. */
  #openSealed(sealed: Uint8Array, keys: HandshakeKeys, transcript: Transcript): SignedBody {
    const { crypto } = this.#options
    const tagAt = sealed.length - AES_TAG_BYTES
    const plaintext = keys.aes.open(keys.nonce, sealed.subarray(0, tagAt), sealed.subarray(tagAt))
    const parts = plaintext && format.parseSealed(plaintext)
    const body = parts && format.parseReplyBody(parts.body)
    if (!body) throw failed()
    const signed = transcript.add(parts.body)
    const mac = crypto.hmacSha256(keys.serverMacKey, transcript.add(parts.signature))
    transcript.add(parts.mac)
    if (!equalBytes(parts.mac, mac)) throw failed()
    const server = shownServer(crypto, body)
    if (!server.verifier.verify(signed, parts.signature, contextBytes('handshakeServer'))) throw failed()
    return { body, server }
  }

  #serverOf({ body, server }: SignedBody): EstablishedServer {
    const { crypto, now } = this.#options
    const { identity } = server
    const { delegation, delegationBytes } = checked(() => server.delegation())
    const at = now()
    // Proved by now: what is told is between this client and the server that it reached.
    if (at < delegation.from - WIRE_CLOCK_MS || at >= delegation.until + WIRE_CLOCK_MS)
      throw failed("the server's delegation is over, or one of the clocks is wrong")
    const { succession } = body
    const follows = succession && checked(() => verifySuccession(crypto, succession, identity.fingerprintBytes))
    return { identity, follows, delegation, delegationBytes, limits: body.limits }
  }
}

interface SignedBody {
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
