/**
 * What stands for a large plaintext in the hedge of its salt (seal.ts): its GMAC under a key that follows from the epoch key, at a
 * fifteenth of what SHA-256 takes.
 *
 *   digest = GMAC(HKDF(secret, 'seal-digest'), nonce of zeros, plaintext)
 *
 * One nonce for all texts gives a GMAC away to who sees tags. Nobody does: a digest goes into an HMAC, and nowhere else. So two texts
 * have one digest by chance alone, at most once in 2^112 pairs (NIST SP 800-38D: blocks of the longer one by 2^128); unlike SHA-256 not
 * for who knows the epoch key, who could read both anyway. docs/decisions/0084-the-hedge-of-a-large-body.md
 */
import { wipe } from '../base/bytes.ts'
import { contextBytes } from './contexts.ts'
import type { CryptoProvider } from './provider.ts'
import * as sizes from './sizes.ts'

const NONCE: Uint8Array = new Uint8Array(sizes.AES_NONCE_BYTES)

/** Undefined where the platform has no GMAC of its own. */
export function largeDigest(crypto: CryptoProvider, secret: Uint8Array, plaintext: Uint8Array): Uint8Array | undefined {
  const bytes = crypto.hkdfSha256(secret, new Uint8Array(0), contextBytes('sealDigest'), sizes.AES_KEY_BYTES)
  const key = crypto.aesKey(bytes)
  wipe(bytes)
  const digest = key.mac?.(NONCE, plaintext)
  key.wipe?.()
  return digest
}
