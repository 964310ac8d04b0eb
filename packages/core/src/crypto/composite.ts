/**
 * The hybrid signature MLDSA65-Ed25519-SHA512 (draft-ietf-lamps-pq-composite-sigs): both halves must verify.
 *
 *   M'        = "CompositeAlgorithmSignatures2025" || label || len(context) || context || SHA-512(message)
 *   signature = ML-DSA-65(M', context = label) 3309 || Ed25519(M') 64
 *   public    = ML-DSA-65 1952 || Ed25519 32        secret = ML-DSA seed 32 || Ed25519 seed 32
 *
 * Not strongly unforgeable, and halves of two valid signatures mix: never identify anything by signature bytes. The
 * seeds of the halves are never used alone.
 */
import { concatBytes, utf8 } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import type { ContextSigner, ContextVerifier, CryptoProvider } from './provider.ts'
import * as sizes from './sizes.ts'

export const COMPOSITE_SECRET_BYTES: number = sizes.MLDSA65_SEED_BYTES + sizes.ED25519_SEED_BYTES
export const COMPOSITE_PUBLIC_BYTES: number = sizes.MLDSA65_PUBLIC_BYTES + sizes.ED25519_PUBLIC_BYTES
export const COMPOSITE_SIGNATURE_BYTES: number = sizes.MLDSA65_SIGNATURE_BYTES + sizes.ED25519_SIGNATURE_BYTES

const PREFIX = utf8('CompositeAlgorithmSignatures2025')
const LABEL = utf8('COMPSIG-MLDSA65-Ed25519-SHA512')

/** What has the digest of the draft's vectors and both halves: enough of a provider for a composite. */
type SignatureProvider = Pick<
  CryptoProvider,
  'sha512' | 'ed25519Signer' | 'ed25519Verifier' | 'mlDsa65Signer' | 'mlDsa65Verifier'
>

/** A signer from a 64-byte secret (copied). Contexts are at most 255 bytes. */
export function compositeSigner(crypto: SignatureProvider, secret: Uint8Array): ContextSigner {
  sizes.assertSize(secret, COMPOSITE_SECRET_BYTES, 'a composite secret')
  const lattice = crypto.mlDsa65Signer(secret.subarray(0, sizes.MLDSA65_SEED_BYTES))
  const classical = crypto.ed25519Signer(secret.subarray(sizes.MLDSA65_SEED_BYTES))
  return {
    publicKey: concatBytes(lattice.publicKey, classical.publicKey),
    sign(message, context, random) {
      const bound = boundMessage(crypto, message, context)
      return concatBytes(lattice.sign(bound, LABEL, random), classical.sign(bound))
    },
    signLater(message, context, random) {
      const bound = boundMessage(crypto, message, context)
      const later = lattice.signLater?.(bound, LABEL, random)
      return later?.then((signature) => concatBytes(signature, classical.sign(bound)))
    },
  }
}

/** A verifier for a 1984-byte public key (copied). A key of another length gives one that refuses everything. */
export function compositeVerifier(crypto: SignatureProvider, publicKey: Uint8Array): ContextVerifier {
  if (publicKey.length !== COMPOSITE_PUBLIC_BYTES) return { verify: () => false }
  const lattice = crypto.mlDsa65Verifier(publicKey.subarray(0, sizes.MLDSA65_PUBLIC_BYTES))
  const classical = crypto.ed25519Verifier(publicKey.subarray(sizes.MLDSA65_PUBLIC_BYTES))
  return {
    verify(message, signature, context) {
      if (context.length > sizes.SIGNATURE_CONTEXT_BYTES_MAX) return false
      const bound = boundMessage(crypto, message, context)
      // Each half checks the length of its part, so together they check the whole.
      // The cheap half first; a forgery learns nothing from which half refused it, signatures being public.
      if (!classical.verify(bound, signature.subarray(sizes.MLDSA65_SIGNATURE_BYTES))) return false
      return lattice.verify(bound, signature.subarray(0, sizes.MLDSA65_SIGNATURE_BYTES), LABEL)
    },
  }
}

function boundMessage(crypto: SignatureProvider, message: Uint8Array, context: Uint8Array): Uint8Array {
  assert(context.length <= sizes.SIGNATURE_CONTEXT_BYTES_MAX, 'a signature context is at most 255 bytes')
  return concatBytes(PREFIX, LABEL, Uint8Array.of(context.length), context, crypto.sha512(message))
}
