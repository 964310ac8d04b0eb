/** The public keys of an identity: composite signature key (1984 bytes), then X-Wing key (1216 bytes). */
import { COMPOSITE_PUBLIC_BYTES } from '../crypto/composite.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import { XWING_PUBLIC_BYTES } from '../crypto/x-wing.ts'

export const IDENTITY_KEYS_BYTES: number = COMPOSITE_PUBLIC_BYTES + XWING_PUBLIC_BYTES

export function fingerprintOfKeys(crypto: CryptoProvider, keys: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'identity', keys)
}

export function signingKeyOf(keys: Uint8Array): Uint8Array {
  return keys.subarray(0, COMPOSITE_PUBLIC_BYTES)
}

export function kemKeyOf(keys: Uint8Array): Uint8Array {
  return keys.subarray(COMPOSITE_PUBLIC_BYTES, IDENTITY_KEYS_BYTES)
}
