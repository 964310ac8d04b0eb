/**
 * The server's side of the handshake ATE-HS/1 (docs/FORMAT.md, section 18), as a pure state machine, one object a connection.
 * Cheap checks come first: size, form, versions, cookie; then one encapsulation and one signature, which may be made beside
 * this thread. At most one Reply is made. Where the Hello names a ticket (server-tickets.ts), its secret goes into the keys and
 * stands for the signature.
 *
 * After an error the object is dead, and `refusalOf` gives what may be said to the other end about it: nothing that tells
 * one failure from another, but a version.
 */
import { concatBytes, equalBytes, wipe } from '../base/bytes.ts'
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError, assert, isAteError } from '../base/errors.ts'
import { TICKET_MS } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { xWingEncapsulate } from '../crypto/x-wing.ts'
import { DELEGATION_BYTES } from '../event/acknowledgement.ts'
import type { Identity } from '../session/identity.ts'
import type { ServerLimits } from '../session/tickets.ts'
import { type CookieDemand, isCookie, makeCookie } from './cookie.ts'
import * as format from './handshake-format.ts'
import { type HandshakeKeys, handshakeKeys, Transcript, wipeHandshakeKeys, wireKeys } from './handshake-keys.ts'
import type { ServerTickets } from './server-tickets.ts'
import { predecessorOf } from './succession.ts'
import { createWire, type Wire } from './wire.ts'

const NOTHING = new Uint8Array(0)

export interface ServerHandshakeOptions {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  readonly identity: Pick<Identity, 'keys' | 'sign'>
  /** The signature of `identity` under 'handshakeServer', made beside this thread; undefined where it cannot be. */
  readonly signLater?: (message: Uint8Array) => Promise<Uint8Array> | undefined
  /** Made by makeDelegation with this identity. */
  readonly delegation: Uint8Array
  readonly limits: ServerLimits
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** From older identities of this server to this one (makeSuccession): a client is sent the one of whom it knows. */
  readonly successions?: readonly Uint8Array[]
  /** A wire that seals nothing, for clients that offer it: set on loopback only. */
  readonly plain?: 'allow'
  /** Of the connections before; without it each handshake is signed. */
  readonly tickets?: ServerTickets
  /** Answers a Hello with a Retry until it brings a cookie. */
  readonly demandCookie?: CookieDemand
}

export interface ServerStep {
  /** To be sent, if anything is. */
  readonly send: Uint8Array | undefined
  /** To be sent when it is signed: the client says nothing until it has come. Rejects if the handshake was over before. */
  readonly later?: Promise<Uint8Array>
  /** The end, if it is that. */
  readonly done: { readonly wire: Wire } | undefined
}

interface Pending {
  readonly keys: HandshakeKeys
  readonly transcript: Transcript
  readonly mode: format.WireMode
  /** What a ticket of this connection is made of. */
  readonly standing: { readonly said: Uint8Array; readonly until: number } | undefined
}

export class ServerHandshake {
  readonly #options: ServerHandshakeOptions
  #state: 'new' | 'asked for a cookie' | 'replied' | 'over' = 'new'
  #pending: Pending | undefined

  constructor(options: ServerHandshakeOptions) {
    assert(options.delegation.length === DELEGATION_BYTES, 'a delegation is made by makeDelegation')
    assert(format.areLimits(options.limits), 'limits are at most 16 whole numbers, named in letters')
    this.#options = options
  }

  /** @throws AteError HANDSHAKE_FAILED | WIRE_VERSION */
  receive(message: Uint8Array): ServerStep {
    const state = this.#state
    this.#state = 'over'
    if (state === 'replied') return this.#finish(message)
    if (state === 'over') {
      // A Reply that is being signed is none of a handshake that went wrong meanwhile.
      this.close()
      throw failed()
    }
    const hello = this.#helloOf(message)
    const { crypto, demandCookie, now } = this.#options
    if (demandCookie) {
      const facts = { nonce: hello.nonce, now: now() }
      if (!hello.cookie && state === 'new') {
        this.#state = 'asked for a cookie'
        return { send: format.encodeRetry(makeCookie(crypto, demandCookie, facts)), done: undefined }
      }
      if (!hello.cookie || !isCookie(crypto, demandCookie, hello.cookie, facts)) throw failed()
    }
    return this.#reply(message, hello)
  }

  /** Wipes what a handshake that does not end holds. */
  close(): void {
    this.#state = 'over'
    if (this.#pending) wipeHandshakeKeys(this.#pending.keys)
    this.#pending = undefined
  }

  #helloOf(message: Uint8Array): format.Hello {
    const versions = format.versionsOf(message)
    if (versions && !versions.includes(format.WIRE_VERSION))
      throw new AteError('WIRE_VERSION', { ours: format.WIRE_VERSION, theirs: versions.join(' ') })
    const hello = format.parseHello(message)
    const isOffered = hello?.suites.includes(format.WIRE_SUITE) && (hello.modes & format.MODE.sealed) !== 0
    if (!hello || !isOffered) throw failed()
    return hello
  }

  #reply(message: Uint8Array, hello: format.Hello): ServerStep {
    const { crypto, random, identity, delegation, limits, signLater, tickets, now } = this.#options
    const encapsulation = xWingEncapsulate(crypto, hello.kemKey, random)
    if (!encapsulation) throw failed()
    const succession = this.#successionFor(hello.hint)
    const body = format.encodeReplyBody({ keys: identity.keys, delegation, limits, succession })
    const said = tickets && crypto.sha256(body)
    const at = now()
    const ticket = said && tickets.take(hello.nonce, { said, at })
    const mode = this.#options.plain === 'allow' && (hello.modes & format.MODE.plain) !== 0 ? 'plain' : 'sealed'
    const clear = format.encodeReplyClear({
      kind: ticket ? 'resumed' : 'reply',
      version: format.WIRE_VERSION,
      suite: format.WIRE_SUITE,
      mode: format.MODE[mode],
      nonce: randomBytes(random, format.NONCE_BYTES),
      encapsulated: encapsulation.ciphertext,
    })
    const transcript = new Transcript(crypto)
    transcript.add(message)
    const shared = ticket ? concatBytes(encapsulation.shared, ticket.secret) : encapsulation.shared
    if (ticket) for (const secret of [encapsulation.shared, ticket.secret]) wipe(secret)
    const keys = handshakeKeys(crypto, shared, transcript.add(clear))
    // A ticket that follows another one ends with it: a signature stands for a day, not for ever.
    const standing = said && { said, until: ticket?.until ?? at + TICKET_MS }
    this.#pending = { keys, transcript, mode, standing }
    if (ticket) {
      transcript.add(ticket.said)
      return { send: this.#sealedReply(clear, NOTHING), done: undefined }
    }
    const signed = transcript.add(body)
    const signature = signLater?.(signed)
    if (signature) return { send: undefined, later: this.#replyLater(clear, body, signature), done: undefined }
    return { send: this.#signedReply(clear, body, identity.sign(signed, 'handshakeServer')), done: undefined }
  }

  /** What comes until then comes out of turn, and ends the handshake. */
  async #replyLater(clear: Uint8Array, body: Uint8Array, signature: Promise<Uint8Array>): Promise<Uint8Array> {
    const signed = await signature
    if (!this.#pending) throw failed()
    return this.#signedReply(clear, body, signed)
  }

  /** Body, and signature over the transcript with it. */
  #signedReply(clear: Uint8Array, body: Uint8Array, signature: Uint8Array): Uint8Array {
    this.#pending!.transcript.add(signature)
    return this.#sealedReply(clear, concatBytes(body, signature))
  }

  /** What is shown, and the MAC over all so far; the transcript goes on behind it. */
  #sealedReply(clear: Uint8Array, shown: Uint8Array): Uint8Array {
    const { keys, transcript } = this.#pending!
    const mac = this.#options.crypto.hmacSha256(keys.serverMacKey, transcript.hash)
    transcript.add(mac)
    const { ciphertext, tag } = keys.aes.seal(keys.nonce, concatBytes(shown, mac))
    this.#state = 'replied'
    return concatBytes(clear, ciphertext, tag)
  }

  #successionFor(hint: Uint8Array | undefined): Uint8Array | undefined {
    const { crypto, successions = [] } = this.#options
    return hint && successions.find((succession) => equalBytes(predecessorOf(crypto, succession), hint))
  }

  #finish(message: Uint8Array): ServerStep {
    const { crypto, random, tickets } = this.#options
    const pending = this.#pending
    this.#pending = undefined
    assert(pending, 'a server that has replied has keys')
    const { keys, transcript, mode, standing } = pending
    try {
      const mac = format.parseFinish(message)
      if (!mac || !equalBytes(mac, crypto.hmacSha256(keys.clientMacKey, transcript.hash))) throw failed()
      const wire = wireKeys(crypto, keys.next, transcript.add(message))
      if (standing) tickets!.put(wire.exporter, standing)
      return { send: undefined, done: { wire: createWire({ crypto, random, role: 'server', mode, keys: wire }) } }
    } finally {
      wipeHandshakeKeys(keys)
    }
  }
}

/** The message for the other end about an error of its handshake; then the connection is closed. */
export function refusalOf(error: unknown): Uint8Array {
  return format.encodeRefusal(isAteError(error) && error.code === 'WIRE_VERSION' ? 'version' : 'failed')
}

function failed(): AteError {
  return new AteError('HANDSHAKE_FAILED')
}
