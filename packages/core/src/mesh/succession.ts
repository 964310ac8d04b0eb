/**
 * A succession: a server's old identity says which identity follows it. Who knows the server by the old fingerprint takes
 * the new one from it. One hop: an older identity that clients still know signs the newest one itself.
 *
 *   succession = format u8 | fingerprint of the new identity 32 | at u64 (ms) | public keys of the old one 3200 |
 *                composite signature 3373
 *                signed under 'succession': H(ctx(succession) | the 3241 bytes before)
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError, assert } from '../base/errors.ts'
import { ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES, compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { HASH_BYTES } from '../crypto/sizes.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import type { Identity } from '../session/identity.ts'
import { fingerprintOfKeys, IDENTITY_KEYS_BYTES, signingKeyOf } from '../trust/identity-keys.ts'

const FORMAT = 1
const KEYS_AT = 1 + HASH_BYTES + 8
const BODY_BYTES: number = KEYS_AT + IDENTITY_KEYS_BYTES
export const SUCCESSION_BYTES: number = BODY_BYTES + COMPOSITE_SIGNATURE_BYTES

/** `old` signs that the identity with the fingerprint `next` (32 bytes) follows it. */
export function makeSuccession(
  crypto: CryptoProvider,
  old: Pick<Identity, 'keys' | 'sign'>,
  next: { readonly fingerprintBytes: Uint8Array; readonly at: number },
): Uint8Array {
  assert(next.fingerprintBytes.length === HASH_BYTES, 'a fingerprint is 32 bytes')
  const out = new ByteWriter(SUCCESSION_BYTES)
  out.u8(FORMAT)
  out.raw(next.fingerprintBytes)
  out.u64(next.at)
  out.raw(old.keys)
  out.raw(old.sign(taggedHash(crypto, 'succession', out.bytes()), 'succession'))
  return out.copy()
}

/** The fingerprint of the identity that a succession is signed by; nothing is verified. */
export function predecessorOf(crypto: CryptoProvider, succession: Uint8Array): Uint8Array {
  assert(succession.length === SUCCESSION_BYTES, `a succession is ${SUCCESSION_BYTES} bytes`)
  return fingerprintOfKeys(crypto, succession.subarray(KEYS_AT, BODY_BYTES))
}

/**
 * The fingerprint of the old identity, if it has named `next` (32 bytes) to follow it.
 * @throws AteError BAD_ACKNOWLEDGEMENT
 */
export function verifySuccession(crypto: CryptoProvider, succession: Uint8Array, next: Uint8Array): Uint8Array {
  const bad = (what: string): AteError => new AteError('BAD_ACKNOWLEDGEMENT', { what })
  if (succession.length !== SUCCESSION_BYTES || succession[0] !== FORMAT) throw bad('the form of a succession')
  if (!equalBytes(succession.subarray(1, 1 + HASH_BYTES), next)) throw bad('a succession of another identity')
  const body = succession.subarray(0, BODY_BYTES)
  const keys = succession.subarray(KEYS_AT, BODY_BYTES)
  const message = taggedHash(crypto, 'succession', body)
  const verifier = compositeVerifier(crypto, signingKeyOf(keys))
  if (!verifier.verify(message, succession.subarray(BODY_BYTES), contextBytes('succession')))
    throw bad('the signature of a succession')
  return fingerprintOfKeys(crypto, keys)
}
