/**
 * SHA-256 of a context and parts of known sizes, one behind the other: how every hash of ours is made. Parts are joined in memory
 * that is used again, since an array of its own for them costs three times the hash.
 */
import { joinBytes } from '../base/bytes.ts'
import { type ContextName, contextBytes } from './contexts.ts'
import type { CryptoProvider } from './provider.ts'

type Hasher = Pick<CryptoProvider, 'sha256'>

/** Filled, hashed and wiped in one go: nothing of another call runs between. */
const kept: Uint8Array[] = []

export function taggedHash(crypto: Hasher, context: ContextName, ...parts: readonly Uint8Array[]): Uint8Array {
  return hashOfParts(crypto, contextBytes(context), ...parts)
}

export function hashOfParts(crypto: Hasher, ...parts: readonly Uint8Array[]): Uint8Array {
  const bytes = joinBytes(parts, kept)
  const hash = crypto.sha256(bytes)
  bytes.fill(0)
  return hash
}
