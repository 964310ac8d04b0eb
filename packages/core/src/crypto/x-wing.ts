/**
 * X-Wing: the hybrid KEM of ML-KEM-768 and X25519 (draft-connolly-cfrg-xwing-kem, IANA HPKE KEM 0x647A).
 *
 *   secret = 32-byte seed; SHAKE256(seed, 96) = ML-KEM d || z (64) || X25519 secret (32)
 *   public = ML-KEM 1184 || X25519 32               ciphertext = ML-KEM 1088 || X25519 ephemeral 32
 *   shared = SHA3-256(ssM || ssX || ctX || pkX || label), the label last
 *
 * A wrong key or an altered ciphertext gives another secret, not an error: whoever uses the secret confirms it by a
 * commitment.
 */
import { concatBytes, wipe } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import { randomBytes } from '../base/environment.ts'
import type { CryptoProvider, KemSecret } from './provider.ts'
import * as sizes from './sizes.ts'

export const XWING_SECRET_BYTES = 32
export const XWING_PUBLIC_BYTES: number = sizes.MLKEM768_PUBLIC_BYTES + sizes.X25519_BYTES
export const XWING_CIPHERTEXT_BYTES: number = sizes.MLKEM768_CIPHERTEXT_BYTES + sizes.X25519_BYTES

/** The six bytes that draw a wing: \.//^\ */
const LABEL = Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c)

type KemProvider = Pick<
  CryptoProvider,
  'sha3_256' | 'shake256' | 'x25519Secret' | 'mlKem768Secret' | 'mlKem768Encapsulate'
>

/** The decapsulation handle of a 32-byte seed (copied). */
export function xWingSecret(crypto: KemProvider, seed: Uint8Array): KemSecret {
  sizes.assertSize(seed, XWING_SECRET_BYTES, 'an X-Wing seed')
  const expanded = crypto.shake256(seed, sizes.MLKEM768_SEED_BYTES + sizes.X25519_BYTES)
  const lattice = crypto.mlKem768Secret(expanded.subarray(0, sizes.MLKEM768_SEED_BYTES))
  const classical = crypto.x25519Secret(expanded.subarray(sizes.MLKEM768_SEED_BYTES))
  wipe(expanded)
  return {
    publicKey: concatBytes(lattice.publicKey, classical.publicKey),
    decapsulate(ciphertext) {
      sizes.assertSize(ciphertext, XWING_CIPHERTEXT_BYTES, 'an X-Wing ciphertext')
      const ephemeral = ciphertext.subarray(sizes.MLKEM768_CIPHERTEXT_BYTES)
      const latticeShared = lattice.decapsulate(ciphertext.subarray(0, sizes.MLKEM768_CIPHERTEXT_BYTES))
      // RFC 7748 gives zeros for a low-order point, and X-Wing goes on: the lattice half still holds.
      const classicalShared = classical.agree(ephemeral) ?? new Uint8Array(sizes.X25519_BYTES)
      return combine(crypto, latticeShared, classicalShared, ephemeral, classical.publicKey)
    },
  }
}

/** A fresh shared secret for a public key; undefined for a key of a wrong length, not reduced, or of low order. */
export function xWingEncapsulate(
  crypto: KemProvider,
  publicKey: Uint8Array,
  random: Randomness,
): { readonly ciphertext: Uint8Array; readonly shared: Uint8Array } | undefined {
  if (publicKey.length !== XWING_PUBLIC_BYTES) return undefined
  const lattice = crypto.mlKem768Encapsulate(publicKey.subarray(0, sizes.MLKEM768_PUBLIC_BYTES), random)
  if (!lattice) return undefined
  const classicalPublic = publicKey.subarray(sizes.MLKEM768_PUBLIC_BYTES)
  const secret = randomBytes(random, sizes.X25519_BYTES)
  const ephemeral = crypto.x25519Secret(secret)
  wipe(secret)
  try {
    const classicalShared = ephemeral.agree(classicalPublic)
    if (!classicalShared) return undefined
    const shared = combine(crypto, lattice.shared, classicalShared, ephemeral.publicKey, classicalPublic)
    return { ciphertext: concatBytes(lattice.ciphertext, ephemeral.publicKey), shared }
  } finally {
    ephemeral.wipe?.()
  }
}

/** Wipes both halves: only the combined secret is for use. */
function combine(
  crypto: KemProvider,
  latticeShared: Uint8Array,
  classicalShared: Uint8Array,
  ephemeral: Uint8Array,
  classicalPublic: Uint8Array,
): Uint8Array {
  const input = concatBytes(latticeShared, classicalShared, ephemeral, classicalPublic, LABEL)
  try {
    return crypto.sha3_256(input)
  } finally {
    wipe(input)
    wipe(latticeShared)
    wipe(classicalShared)
  }
}
