/**
 * The transcript of a handshake and the keys that come of it (docs/FORMAT.md, section 18). Each key is derived with all that
 * was said before it as salt, so two ends that heard different things have no key in common.
 *
 *   TH(0) = SHA-512(ctx(handshake));  TH(i) = SHA-512(TH(i-1) | u32 length | message i)
 *   handshake keys = HKDF-SHA-512(secret = X-Wing secret, salt = TH(Reply, clear part), ctx(handshakeKeys), 140)
 *                  = key 32 | nonce 12 of the sealed part | MAC key of the server 32 | of the client 32 | next 32
 *   wire keys      = HKDF-SHA-512(secret = next, salt = TH(Finish), ctx(wireKeys), 152)
 *                  = client to server: key 32, IV 12 | server to client: the same | exporter 32 | chain 32
 *   ticket         = HKDF-SHA-512(secret = exporter, no salt, ctx(wireTicket), 64) = name 32 | secret 32
 *
 * Of a handshake that is resumed the secret is the X-Wing secret and the ticket's behind it: who lacks one has no key.
 */
import { concatBytes, wipe } from '../base/bytes.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { AesKey, CryptoProvider } from '../crypto/provider.ts'
import { AES_KEY_BYTES, AES_NONCE_BYTES } from '../crypto/sizes.ts'

export class Transcript {
  readonly #crypto: CryptoProvider
  hash: Uint8Array

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
    this.hash = crypto.sha512(contextBytes('handshake'))
  }

  /** The hash of all up to and with these bytes. */
  add(bytes: Uint8Array): Uint8Array {
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, bytes.length)
    this.hash = this.#crypto.sha512(concatBytes(this.hash, length, bytes))
    return this.hash
  }
}

export interface HandshakeKeys {
  readonly aes: AesKey
  readonly nonce: Uint8Array
  readonly serverMacKey: Uint8Array
  readonly clientMacKey: Uint8Array
  readonly next: Uint8Array
}

export interface DirectionKey {
  readonly key: Uint8Array
  readonly iv: Uint8Array
}

export interface WireKeys {
  readonly toServer: DirectionKey
  readonly toClient: DirectionKey
  readonly exporter: Uint8Array
  /** Goes into the next exchange of the wire. */
  readonly chain: Uint8Array
}

/** Wipes `shared`: 32 bytes, or 64 with a ticket's secret behind them. */
export function handshakeKeys(crypto: CryptoProvider, shared: Uint8Array, transcript: Uint8Array): HandshakeKeys {
  const take = derived(crypto, shared, transcript, contextBytes('handshakeKeys'), 140)
  const key = take(AES_KEY_BYTES)
  const keys = {
    aes: crypto.aesKey(key),
    nonce: take(AES_NONCE_BYTES),
    serverMacKey: take(32),
    clientMacKey: take(32),
    next: take(32),
  }
  wipe(key)
  return keys
}

export function wipeHandshakeKeys({ aes, serverMacKey, clientMacKey, next }: HandshakeKeys): void {
  aes.wipe?.()
  for (const secret of [serverMacKey, clientMacKey, next]) wipe(secret)
}

/** Wipes `next`. */
export function wireKeys(crypto: CryptoProvider, next: Uint8Array, transcript: Uint8Array): WireKeys {
  const take = derived(crypto, next, transcript, contextBytes('wireKeys'), 152)
  return { toServer: directionIn(take), toClient: directionIn(take), exporter: take(32), chain: take(32) }
}

/** Keys of both directions and the next chain secret, from a chain secret (wiped) and an exchange's secret (wiped). */
export function exchangedKeys(
  crypto: CryptoProvider,
  secrets: { readonly chain: Uint8Array; readonly shared: Uint8Array },
  messages: { readonly offer: Uint8Array; readonly answer: Uint8Array },
): Omit<WireKeys, 'exporter'> & { readonly confirmation: Uint8Array } {
  const salt = crypto.sha512(concatBytes(messages.offer, messages.answer))
  const secret = concatBytes(secrets.chain, secrets.shared)
  wipe(secrets.chain)
  wipe(secrets.shared)
  const take = derived(crypto, secret, salt, contextBytes('wireExchange'), 152)
  return { toServer: directionIn(take), toClient: directionIn(take), chain: take(32), confirmation: take(32) }
}

/** What both ends of a wire may show each other at a later handshake: the name is said in clear, the secret never. */
export function ticketOf(
  crypto: CryptoProvider,
  exporter: Uint8Array,
): { readonly name: Uint8Array; readonly secret: Uint8Array } {
  const take = derived(crypto, exporter.slice(), new Uint8Array(0), contextBytes('wireTicket'), 64)
  return { name: take(32), secret: take(32) }
}

/** The key that follows a key of one direction (wiped). */
export function nextDirectionKey(crypto: CryptoProvider, { key }: DirectionKey): DirectionKey {
  return directionIn(derived(crypto, key, new Uint8Array(0), contextBytes('wireRekey'), 44))
}

function directionIn(take: (size: number) => Uint8Array): DirectionKey {
  return { key: take(AES_KEY_BYTES), iv: take(AES_NONCE_BYTES) }
}

/** Gives out the derived bytes, each once, and wipes them and the secret behind itself. */
function derived(
  crypto: CryptoProvider,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  size: number,
): (count: number) => Uint8Array {
  const bytes = crypto.hkdfSha512(secret, salt, info, size)
  wipe(secret)
  let at = 0
  return (count) => {
    const part = bytes.slice(at, at + count)
    wipe(bytes.subarray(at, at + count))
    at += count
    return part
  }
}
