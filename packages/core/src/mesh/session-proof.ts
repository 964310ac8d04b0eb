/**
 * A session: an identity that speaks on a connection. It signs what only the two ends of this handshake know, and whom it
 * speaks to, so the proof is good for this connection and for no other: neither for another server, nor another time.
 *
 *   proof = format u8 | public keys 3200 | composite signature 3373
 *           signed under 'wireSession': H(ctx(wireSession) | exporter 32 | fingerprint of the server 32 | public keys 3200)
 */
import { concatBytes } from '../base/bytes.ts'
import { AteError, assert } from '../base/errors.ts'
import { COMPOSITE_SIGNATURE_BYTES, compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { HASH_BYTES } from '../crypto/sizes.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import { type Identity, type PublicIdentity, publicIdentity } from '../session/identity.ts'
import { IDENTITY_KEYS_BYTES } from '../trust/identity-keys.ts'

const FORMAT = 1
export const SESSION_PROOF_BYTES: number = 1 + IDENTITY_KEYS_BYTES + COMPOSITE_SIGNATURE_BYTES

/** The connection that a session is bound to. */
export interface SessionBinding {
  /** Of its wire, 32 bytes. */
  readonly exporter: Uint8Array
  /** Of the server, 32 bytes. */
  readonly serverFingerprint: Uint8Array
}

export function sessionProof(
  crypto: CryptoProvider,
  identity: Pick<Identity, 'keys' | 'sign'>,
  binding: SessionBinding,
): Uint8Array {
  const signature = identity.sign(sessionMessage(crypto, binding, identity.keys), 'wireSession')
  return concatBytes(Uint8Array.of(FORMAT), identity.keys, signature)
}

/** Who speaks. @throws AteError BAD_SESSION */
export function checkSessionProof(crypto: CryptoProvider, proof: Uint8Array, binding: SessionBinding): PublicIdentity {
  if (proof.length !== SESSION_PROOF_BYTES || proof[0] !== FORMAT) throw new AteError('BAD_SESSION', { what: 'form' })
  const identity = publicIdentity(crypto, proof.subarray(1, 1 + IDENTITY_KEYS_BYTES))
  const signature = proof.subarray(1 + IDENTITY_KEYS_BYTES)
  const message = sessionMessage(crypto, binding, identity.keys)
  if (!compositeVerifier(crypto, identity.signingKey).verify(message, signature, contextBytes('wireSession')))
    throw new AteError('BAD_SESSION', { what: 'signature', identity: identity.fingerprint })
  return identity
}

function sessionMessage(crypto: CryptoProvider, binding: SessionBinding, keys: Uint8Array): Uint8Array {
  const { exporter, serverFingerprint } = binding
  assert(exporter.length === 32 && serverFingerprint.length === HASH_BYTES, 'a binding is two times 32 bytes')
  return taggedHash(crypto, 'wireSession', exporter, serverFingerprint, keys)
}
