/**
 * A key's consent to belong to a person of one chain: its hybrid signature over chain, person and itself. So nobody takes
 * the key of another as his own, and a chain that shows a consent is one that the key's holder has named by its id.
 */
import { compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'

export interface ConsentTo {
  /** 32 bytes each: the chain's id, the person's name, the fingerprint of the key that agrees. */
  readonly chain: Uint8Array
  readonly person: Uint8Array
  readonly key: Uint8Array
}

/** What the key signs, under the context 'person'. */
export function consentMessage(crypto: CryptoProvider, { chain, person, key }: ConsentTo): Uint8Array {
  return taggedHash(crypto, 'person', chain, person, key)
}

export function isConsent(
  crypto: CryptoProvider,
  to: ConsentTo,
  signed: { readonly signingKey: Uint8Array; readonly consent: Uint8Array },
): boolean {
  const message = consentMessage(crypto, to)
  return compositeVerifier(crypto, signed.signingKey).verify(message, signed.consent, contextBytes('person'))
}
