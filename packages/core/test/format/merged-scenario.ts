/** A chain whose log has a segment that others were merged into: what segment-3/ froze. */
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import type { Chain } from '../../src/data/chain.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { diskPlatform, Note } from './scenario.ts'

export function maker(crypto: CryptoProvider): Identity {
  return newIdentity({ crypto, random: seededRandom(91) })
}

/** Three compactions, each of which ends the newest segment; the last one merges the first two. Closed. */
export async function writeMerged(path: string, crypto: CryptoProvider): Promise<Chain> {
  const chain = await openChain(`file:${path}`, { as: maker(crypto) }, diskPlatform(90, crypto))
  for (let i = 0; i < 3; i++) {
    for (const size of [5000, 4000]) await chain.transact((tx) => tx.put(Note, 'note', { text: `${i}`.repeat(size) }))
    await chain.compact()
  }
  await chain.transact((tx) => tx.put(Note, 'note', { text: 'the last one' }))
  await chain.close()
  return chain
}
