/**
 * One key schedule for all that is sealed: key 32 || nonce 12 || commitment 32 = HKDF-SHA-256(secret, salt, info, 76).
 *
 * GCM alone does not commit to its key: one ciphertext can be made to open under two keys, and two readers would see two
 * contents (partitioning oracles, invisible salamanders). So the commitment is stored, and compared before anything is
 * opened. The nonce is derived, so a key is never used with two nonces, nor twice with one (the salt is hedged).
 */
import { concatBytes, equalBytes, wipe } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import type { ContextName } from './contexts.ts'
import { contextBytes } from './contexts.ts'
import type { AesKey, CryptoProvider } from './provider.ts'
import * as sizes from './sizes.ts'

export const SALT_BYTES = 32
export const COMMITMENT_BYTES = 32

const NONCE_END = sizes.AES_KEY_BYTES + sizes.AES_NONCE_BYTES
const SCHEDULE_BYTES = NONCE_END + COMMITMENT_BYTES

export interface CommittedKey {
  readonly aes: AesKey
  readonly nonce: Uint8Array
  readonly commitment: Uint8Array
}

/** `info` begins with a context of its own (contexts.ts). */
export function committedKey(
  crypto: CryptoProvider,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
): CommittedKey {
  const schedule = crypto.hkdfSha256(secret, salt, info, SCHEDULE_BYTES)
  const aes = crypto.aesKey(schedule.subarray(0, sizes.AES_KEY_BYTES))
  const key = { aes, nonce: schedule.slice(sizes.AES_KEY_BYTES, NONCE_END), commitment: schedule.slice(NONCE_END) }
  wipe(schedule)
  return key
}

/** The key if it has this commitment (compared in constant time), else undefined. */
export function confirmedKey(
  crypto: CryptoProvider,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  commitment: Uint8Array,
): CommittedKey | undefined {
  const key = committedKey(crypto, secret, salt, info)
  return equalBytes(key.commitment, commitment) ? key : undefined
}

/**
 * 32 bytes that are fresh even where the random source repeats (a cloned machine): HMAC(HKDF(secret, context),
 * random 32 || SHA-256(plaintext)). A repeat then shows at most that the same text was sealed again.
 * `digest` stands for the plaintext in the place of its hash, where that would take long.
 */
export function hedgedSalt(
  crypto: CryptoProvider,
  random: Randomness,
  secret: Uint8Array,
  context: ContextName,
  plaintext: Uint8Array,
  digest: Uint8Array = crypto.sha256(plaintext),
): Uint8Array {
  const key = crypto.hkdfSha256(secret, new Uint8Array(0), contextBytes(context), SALT_BYTES)
  const input = new Uint8Array(SALT_BYTES + digest.length)
  random.fill(input.subarray(0, SALT_BYTES))
  input.set(digest, SALT_BYTES)
  const salt = crypto.hmacSha256(key, input)
  wipe(key)
  wipe(input)
  return salt
}

/** `context` closed by its zero byte, then parts of fixed size, then at most one part of variable size. */
export function infoOf(context: ContextName, ...parts: readonly Uint8Array[]): Uint8Array {
  return concatBytes(contextBytes(context), ...parts)
}
