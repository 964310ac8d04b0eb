/**
 * Which server of a ring has a chain: the one whose hash with the chain's name is the highest (rendezvous hashing). Every
 * server and nobody else computes it, of the list and the name alone.
 *
 * - Load is even without virtual points.
 * - A server that is added takes its share from all others, and nothing else moves; one that is removed gives its chains to
 *   all others.
 */
import { compareBytes, utf8 } from '../base/bytes.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'

/** The URL of the server of `name`, as it stands in `nodes`, which are at least one. Their order does not matter. */
export function ownerOf(crypto: Pick<CryptoProvider, 'sha256'>, nodes: readonly string[], name: string): string {
  let owner = nodes[0]!
  let highest: Uint8Array | undefined
  for (const node of nodes) {
    // The hash of the URL has one size, so that no URL and name read as another pair.
    const hash = taggedHash(crypto, 'ringPlace', crypto.sha256(utf8(node)), utf8(name))
    if (highest && compareBytes(hash, highest) <= 0) continue
    highest = hash
    owner = node
  }
  return owner
}
