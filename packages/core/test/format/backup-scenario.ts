/**
 * A backup of a small chain with a record of recovery and a key in its ring: what format-2/ and format-3/ froze. With noble's
 * algorithms, the same seed gives the same bytes.
 */
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { backup } from '../../src/data/backup.ts'
import { openChain } from '../../src/data/open-chain.ts'
import { openFileLog } from '../../src/log/file-engine.ts'
import { nodeFileSystem } from '../../src/node/file-system.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { diskPlatform, Note } from './scenario.ts'

export const KEY: Uint8Array = new Uint8Array(32).fill(0xc3)
export const WRAPPED: Uint8Array = Uint8Array.from({ length: 40 }, (_, i) => i)

/** Who made it. */
export function maker(crypto: CryptoProvider): Identity {
  return newIdentity({ crypto, random: seededRandom(31) })
}

/** Writes the chain to `path`, and its backup to `to`. */
export async function writeBackup(path: string, to: string, crypto: CryptoProvider): Promise<void> {
  const platform = diskPlatform(30, crypto)
  const chain = await openChain(`file:${path}`, { as: maker(crypto) }, platform)
  await chain.transact((tx) => tx.create(Note, { text: 'before the loss' }))
  await chain.recover({ lost: [{ seq: 9, hash: new Uint8Array(32).fill(9) }] })
  await chain.transact((tx) => tx.create(Note, { text: 'after it' }))
  await chain.close()
  const { random, clock } = platform.environment
  const log = await openFileLog({ fs: nodeFileSystem(path), random, clock })
  await log.ring.put(KEY, WRAPPED)
  await log.close()
  await backup(`file:${path}`, `file:${to}`, {}, platform)
}
