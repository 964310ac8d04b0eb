/** Sizes in bytes of keys, signatures and ciphertexts of suite 1, each from its standard, and the assertion of a size. */
import { assert } from '../base/errors.ts'

export const HASH_BYTES = 32
export const SECRET_BYTES = 32
export const ED25519_SEED_BYTES = 32
export const ED25519_PUBLIC_BYTES = 32
export const ED25519_SIGNATURE_BYTES = 64
export const X25519_BYTES = 32
/** FIPS 204, table 2. */
export const MLDSA65_SEED_BYTES = 32
export const MLDSA65_PUBLIC_BYTES = 1952
export const MLDSA65_SIGNATURE_BYTES = 3309
/** FIPS 204, algorithm 2: a context is at most 255 bytes. */
export const SIGNATURE_CONTEXT_BYTES_MAX = 255
/** FIPS 203, table 3; the seed is d || z. */
export const MLKEM768_SEED_BYTES = 64
export const MLKEM768_PUBLIC_BYTES = 1184
export const MLKEM768_CIPHERTEXT_BYTES = 1088
export const AES_KEY_BYTES = 32
export const AES_NONCE_BYTES = 12
export const AES_TAG_BYTES = 16

/** Our own mistakes only: what comes from outside is refused, not asserted. */
export function assertSize(bytes: Uint8Array, size: number, what: string): void {
  assert(bytes instanceof Uint8Array && bytes.length === size, `${what} must be ${size} bytes`)
}
