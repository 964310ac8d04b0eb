/** Principals as users give them: public ids, identities, and the keys of persons, which stand for them. */
import { toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { isIdentity, type PublicIdentity, parsePublicId } from '../session/identity.ts'
import type { Principal } from './policy-input.ts'

/**
 * Whom a principal is named by. The key of a person stands for it, so that a program on a device can name its user by
 * the identity that it runs as. @throws AteError KEY_REMOVED | BAD_PUBLIC_ID
 */
export function named(
  { crypto, replica: { trust } }: Pick<ChainCore, 'crypto' | 'replica'>,
  principal: Principal,
): { readonly name: string; readonly keys: Uint8Array } {
  const { fingerprintBytes, fingerprint, keys } = identityOf(crypto, principal)
  const key = toBinaryText(fingerprintBytes)
  const name = trust.identities.has(key) ? key : trust.actorOf(key)
  if (name === undefined) throw new AteError('KEY_REMOVED', { key: fingerprint })
  return { name, keys: trust.identities.get(name) ?? keys }
}

function identityOf(crypto: CryptoProvider, principal: Principal): PublicIdentity {
  if (isIdentity(principal)) return principal
  const text = typeof principal === 'string' ? principal : (principal as { publicId?: unknown } | null)?.publicId
  return parsePublicId(crypto, text)
}
