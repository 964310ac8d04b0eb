/** What is counted. */
import type { CacheStats } from './cache-types.ts'
import type { View } from './view.ts'

export class Counts {
  hits = 0
  misses = 0
  staleHits = 0
  loads = 0
  loadsFailed = 0
  loadsShared = 0
  sets = 0
  deletes = 0
  evicted = 0
  expired = 0
  badValues = 0

  reset(): void {
    Object.assign(this, new Counts())
  }

  of(view: View): CacheStats {
    const { hits, misses } = this
    return {
      entries: view.entries.size,
      bytes: view.bytes,
      inMemory: view.hot.size,
      bytesInMemory: view.hotBytes,
      ...this,
      hitRate: hits + misses === 0 ? 0 : hits / (hits + misses),
    }
  }
}
