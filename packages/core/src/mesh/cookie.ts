/**
 * Cookies of the handshake: who sends one back has received our answer at his address, so he did not forge it. The server
 * keeps nothing for one that has not come back.
 *
 *   cookie = time u64 (ms) | HMAC-SHA-256(key, ctx(handshakeCookie) | time u64 | nonce of the Hello 32 | peer, UTF-8)
 */
import { concatBytes, equalBytes, utf8 } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { COOKIE_MS } from '../base/limits.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { COOKIE_BYTES } from './handshake-format.ts'

const TIME_BYTES = 8
const KEY_BYTES = 32

/** How a server asks for cookies: a random key of its own (32 bytes), and the address that this connection comes from. */
export interface CookieDemand {
  readonly key: Uint8Array
  readonly peer: string
}

export function makeCookie(
  crypto: CryptoProvider,
  demand: CookieDemand,
  facts: { readonly nonce: Uint8Array; readonly now: number },
): Uint8Array {
  const time = new Uint8Array(TIME_BYTES)
  new DataView(time.buffer).setBigUint64(0, BigInt(Math.floor(facts.now)))
  return concatBytes(time, cookieMac(crypto, demand, time, facts.nonce))
}

/** True for a cookie of ours for this peer and nonce that is at most 30 s old. */
export function isCookie(
  crypto: CryptoProvider,
  demand: CookieDemand,
  cookie: Uint8Array,
  facts: { readonly nonce: Uint8Array; readonly now: number },
): boolean {
  if (cookie.length !== COOKIE_BYTES) return false
  const time = cookie.subarray(0, TIME_BYTES)
  if (!equalBytes(cookie.subarray(TIME_BYTES), cookieMac(crypto, demand, time, facts.nonce))) return false
  const ageMs = facts.now - Number(new DataView(time.buffer, time.byteOffset).getBigUint64(0))
  return ageMs > -COOKIE_MS && ageMs <= COOKIE_MS
}

function cookieMac(crypto: CryptoProvider, demand: CookieDemand, time: Uint8Array, nonce: Uint8Array): Uint8Array {
  assert(demand.key.length === KEY_BYTES, 'a cookie key is 32 bytes')
  return crypto.hmacSha256(demand.key, concatBytes(contextBytes('handshakeCookie'), time, nonce, utf8(demand.peer)))
}
