/** Which caches a chain has. */
import type { Chain } from '@ate/core'
import { CacheRecord, IN } from './cache-records.ts'

/** Names of the caches of a chain, in the order in which they were made. */
export async function cacheNames(chain: Chain): Promise<string[]> {
  const names: string[] = []
  for await (const { name } of chain.children(CacheRecord, undefined, IN.caches))
    if (name !== undefined) names.push(name)
  return names
}
