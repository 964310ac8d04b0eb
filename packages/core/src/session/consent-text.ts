/**
 * A key's consent as text, for the owner of the person that it is to belong to:
 * 'atec1' || base32(public keys 3200 || signature 3373), 10,522 characters. It fits one chain and one person.
 */
import { platform as ownPlatform } from '#platform'
import { concatBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type ChainId, type Fingerprint, fromBase32, type PublicId, parseId, toBase32 } from '../base/ids.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../crypto/composite.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { consentMessage } from '../event/consent.ts'
import { IDENTITY_KEYS_BYTES } from '../trust/identity-keys.ts'
import { type Identity, parsePublicId } from './identity.ts'
import type { Platform } from './platform.ts'

/** Text that `consentTo` gives and `tx.person().add` takes. */
export type Consent = string & { readonly __brand: 'Consent' }

const PREFIX = 'atec1'

/**
 * On a new device: agrees that its key belongs to a person of a chain, by the person's public id or fingerprint. The text
 * is no secret. @throws AteError BAD_ID | BAD_PUBLIC_ID | BAD_ARGUMENT
 */
export function consentTo(
  identity: Identity,
  to: { readonly chain: ChainId | string; readonly person: PublicId | Fingerprint | string },
  { crypto }: Pick<Platform, 'crypto'> = ownPlatform,
): Consent {
  const person = personBytes(crypto, to.person)
  return (PREFIX +
    toBase32(concatBytes(identity.keys, signConsent(crypto, identity, parseId(to.chain, 'chain'), person)))) as Consent
}

/** A person's name, given as its fingerprint or its public id. @throws AteError BAD_ID | BAD_PUBLIC_ID */
export function personBytes(crypto: CryptoProvider, person: unknown): Uint8Array {
  if (typeof person === 'string' && person.startsWith('ate1')) return parsePublicId(crypto, person).fingerprintBytes
  return parseId(person, 'fingerprint')
}

export function signConsent(
  crypto: CryptoProvider,
  identity: Identity,
  chain: Uint8Array,
  person: Uint8Array,
): Uint8Array {
  return identity.sign(consentMessage(crypto, { chain, person, key: identity.fingerprintBytes }), 'person')
}

/** @throws AteError BAD_CONSENT */
export function parseConsent(text: unknown): { readonly keys: Uint8Array; readonly consent: Uint8Array } {
  const size = IDENTITY_KEYS_BYTES + COMPOSITE_SIGNATURE_BYTES
  const bytes =
    typeof text === 'string' && text.startsWith(PREFIX) ? fromBase32(text.slice(PREFIX.length), size) : undefined
  if (!bytes) {
    const hint = 'this is no consent; the new key makes one with consentTo'
    throw new AteError('BAD_CONSENT', { length: typeof text === 'string' ? text.length : undefined }, { hint })
  }
  return { keys: bytes.slice(0, IDENTITY_KEYS_BYTES), consent: bytes.slice(IDENTITY_KEYS_BYTES) }
}
