/**
 * Wrapped secrets: short keys, sealed for one public key or under one key.
 *
 *   wrapSecret = X-Wing ciphertext 1120 || commitment 32 || AES-256-GCM ciphertext n || tag 16
 *     key schedule from the KEM secret, info = 'wrap' || H(KEM ciphertext) || H(recipient public key) || info
 *   wrapUnder  = salt 32 || commitment 32 || AES-256-GCM ciphertext n || tag 16
 *     key schedule from the key and the salt, info = 'wrap-under' || info
 *
 * A wrap is believed only inside a signed event of somebody who may grant: that it opens proves nothing about its maker.
 */
import { concatBytes, wipe } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import type { CommittedKey } from './committed-key.ts'
import { COMMITMENT_BYTES, committedKey, confirmedKey, hedgedSalt, infoOf, SALT_BYTES } from './committed-key.ts'
import type { CryptoProvider, KemSecret } from './provider.ts'
import * as sizes from './sizes.ts'
import { XWING_CIPHERTEXT_BYTES, xWingEncapsulate } from './x-wing.ts'

/** How much longer than its secret a wrap is. */
export const WRAP_OVERHEAD_BYTES: number = XWING_CIPHERTEXT_BYTES + COMMITMENT_BYTES + sizes.AES_TAG_BYTES
export const WRAP_UNDER_OVERHEAD_BYTES: number = SALT_BYTES + COMMITMENT_BYTES + sizes.AES_TAG_BYTES

const NO_SALT = new Uint8Array(0)

/** Wraps `secret` for the holder of an X-Wing public key (1216 bytes); undefined for an invalid public key. */
export function wrapSecret(
  crypto: CryptoProvider,
  random: Randomness,
  input: { readonly publicKey: Uint8Array; readonly info: Uint8Array; readonly secret: Uint8Array },
): Uint8Array | undefined {
  const encapsulation = xWingEncapsulate(crypto, input.publicKey, hedgedRandom(crypto, random, input))
  if (!encapsulation) return undefined
  const { ciphertext: encapsulated, shared } = encapsulation
  const key = committedKey(crypto, shared, NO_SALT, wrapInfo(crypto, encapsulated, input.publicKey, input.info))
  wipe(shared)
  return concatBytes(encapsulated, sealed(key, input.secret))
}

/** The `size` bytes of a wrapped secret; undefined if it is for another key or place, or was altered. */
export function unwrapSecret(
  crypto: CryptoProvider,
  kemSecret: KemSecret,
  input: { readonly info: Uint8Array; readonly wrapped: Uint8Array; readonly size: number },
): Uint8Array | undefined {
  if (input.wrapped.length !== WRAP_OVERHEAD_BYTES + input.size) return undefined
  const encapsulated = input.wrapped.subarray(0, XWING_CIPHERTEXT_BYTES)
  const shared = kemSecret.decapsulate(encapsulated)
  const info = wrapInfo(crypto, encapsulated, kemSecret.publicKey, input.info)
  const opened = openSealed(crypto, shared, NO_SALT, info, input.wrapped.subarray(XWING_CIPHERTEXT_BYTES))
  wipe(shared)
  return opened
}

/** Wraps `secret` under a 32-byte key: an older epoch key under the newer one. */
export function wrapUnder(
  crypto: CryptoProvider,
  random: Randomness,
  input: { readonly key: Uint8Array; readonly info: Uint8Array; readonly secret: Uint8Array },
): Uint8Array {
  sizes.assertSize(input.key, sizes.SECRET_BYTES, 'a wrapping key')
  const salt = hedgedSalt(crypto, random, input.key, 'wrapUnderHedge', input.secret)
  const key = committedKey(crypto, input.key, salt, infoOf('wrapUnder', input.info))
  return concatBytes(salt, sealed(key, input.secret))
}

/** The `size` bytes of a secret wrapped under a key; undefined if key, place or bytes do not fit. */
export function unwrapUnder(
  crypto: CryptoProvider,
  input: {
    readonly key: Uint8Array
    readonly info: Uint8Array
    readonly wrapped: Uint8Array
    readonly size: number
  },
): Uint8Array | undefined {
  sizes.assertSize(input.key, sizes.SECRET_BYTES, 'a wrapping key')
  if (input.wrapped.length !== WRAP_UNDER_OVERHEAD_BYTES + input.size) return undefined
  const salt = input.wrapped.subarray(0, SALT_BYTES)
  const info = infoOf('wrapUnder', input.info)
  return openSealed(crypto, input.key, salt, info, input.wrapped.subarray(SALT_BYTES))
}

/** Binding the recipient's key and the ciphertext answers re-encapsulation: one secret for two keys is two wraps. */
function wrapInfo(
  crypto: CryptoProvider,
  encapsulated: Uint8Array,
  publicKey: Uint8Array,
  info: Uint8Array,
): Uint8Array {
  return infoOf('wrap', crypto.sha256(encapsulated), crypto.sha256(publicKey), info)
}

/** commitment 32 || ciphertext || tag 16 */
function sealed(key: CommittedKey, secret: Uint8Array): Uint8Array {
  const { ciphertext, tag } = key.aes.seal(key.nonce, secret)
  return concatBytes(key.commitment, ciphertext, tag)
}

function openSealed(
  crypto: CryptoProvider,
  secret: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  bytes: Uint8Array,
): Uint8Array | undefined {
  const key = confirmedKey(crypto, secret, salt, info, bytes.subarray(0, COMMITMENT_BYTES))
  if (!key) return undefined
  const tagAt = bytes.length - sizes.AES_TAG_BYTES
  return key.aes.open(key.nonce, bytes.subarray(COMMITMENT_BYTES, tagAt), bytes.subarray(tagAt))
}

/**
 * Randomness of the encapsulation, hedged by what is wrapped: each draw is HKDF(secret, salt = random 32, 'wrap-hedge' ||
 * H(recipient) || count || info). Where the source repeats, two different secrets still get two ephemeral keys, so no
 * GCM key seals two texts.
 */
function hedgedRandom(
  crypto: CryptoProvider,
  random: Randomness,
  input: { readonly publicKey: Uint8Array; readonly info: Uint8Array; readonly secret: Uint8Array },
): Randomness {
  const recipient = crypto.sha256(input.publicKey)
  let count = 0
  return {
    fill(bytes) {
      const salt = new Uint8Array(SALT_BYTES)
      random.fill(salt)
      const info = infoOf('wrapHedge', recipient, Uint8Array.of(count++), input.info)
      const drawn = crypto.hkdfSha256(input.secret, salt, info, bytes.length)
      bytes.set(drawn)
      wipe(drawn)
    },
  }
}
