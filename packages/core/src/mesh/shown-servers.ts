/**
 * What servers have shown of themselves: their keys and the delegation that these keys have signed, verified once. Who connects
 * to one again is shown the same bytes for a day, and checks only the signature of that handshake and the time.
 *
 * Invariant: an entry stands under the hash of all bytes that it was made of, and only what was verified makes one.
 */
import { toBinaryText } from '../base/bytes.ts'
import { mapOf } from '../base/weak-maps.ts'
import { compositeVerifier } from '../crypto/composite.ts'
import type { ContextVerifier, CryptoProvider } from '../crypto/provider.ts'
import { hashOfParts } from '../crypto/tagged-hash.ts'
import { type Delegation, parseDelegation } from '../event/acknowledgement.ts'
import { type PublicIdentity, publicIdentity } from '../session/identity.ts'

/** Of a process: a few servers, and a ring of them. About 20 kB each. */
const SHOWN_MAX = 32

export interface ShownServer {
  readonly identity: PublicIdentity
  /** Of its signing key. */
  readonly verifier: ContextVerifier
  /** Verified when it is first asked for. @throws AteError BAD_ACKNOWLEDGEMENT */
  delegation(): { readonly delegation: Delegation; readonly delegationBytes: Uint8Array }
}

const shown = new WeakMap<CryptoProvider, Map<string, ShownServer>>()

/** The server of these keys (3200 bytes) and this delegation. */
export function shownServer(
  crypto: CryptoProvider,
  { keys, delegation: bytes }: { readonly keys: Uint8Array; readonly delegation: Uint8Array },
): ShownServer {
  const servers = mapOf(shown, crypto)
  const name = toBinaryText(hashOfParts(crypto, keys, bytes))
  const known = servers.get(name)
  if (known) return known
  const identity = publicIdentity(crypto, keys)
  const verifier = compositeVerifier(crypto, identity.signingKey)
  const delegationBytes = bytes.slice()
  return {
    identity,
    verifier,
    delegation() {
      const delegation = parseDelegation(crypto, delegationBytes, identity.keys, verifier)
      const both = { delegation, delegationBytes }
      if (servers.size >= SHOWN_MAX) servers.delete(servers.keys().next().value!)
      servers.set(name, { identity, verifier, delegation: () => both })
      return both
    },
  }
}
