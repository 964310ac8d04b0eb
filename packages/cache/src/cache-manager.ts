/**
 * A cache as the store of cache-manager 7, which takes stores of Keyv 5 and, by its KeyvAdapter, those of its own older
 * interface: `createCache({ stores: [new Keyv({ store: new KeyvAdapter(cacheManagerStore(cache)) })] })`. `keyvStore` does
 * as well; this one gives values as they are, without Keyv's envelope, to whoever reads the cache beside cache-manager.
 */
import { ttlOf } from './adapter-ttl.ts'
import type { Cache } from './cache-types.ts'

/** `CacheManagerStore` of cache-manager 7. Its `any`s are unknown here. */
export interface CacheManagerStore {
  name: string
  isCacheable(value: unknown): boolean
  get(key: string): Promise<unknown>
  mget(...keys: string[]): Promise<unknown[]>
  set(key: string, value: unknown, ttl?: number): Promise<unknown>
  mset(data: Record<string, unknown>, ttl?: number): Promise<void>
  del(key: string): Promise<void>
  mdel(...keys: string[]): Promise<void>
  /** Gives the ms that are left; -1 without an end, -2 if there is nothing. With `ttl` it sets them first. */
  ttl(key: string, ttl?: number): Promise<number>
  keys(): Promise<string[]>
  reset(): Promise<void>
  disconnect(): Promise<void>
}

const FOREVER = -1
const NOTHING = -2

export function cacheManagerStore(cache: Cache<unknown>): CacheManagerStore {
  return {
    name: 'ate',
    isCacheable: (value) => value !== undefined,
    get: (key) => cache.fetch(key),
    mget: (...keys) => Promise.all(keys.map((key) => cache.fetch(key))),
    async set(key, value, ttl) {
      await cache.set(key, value, ttlOf(ttl))
      return value
    },
    async mset(data, ttl) {
      await cache.setMany(Object.entries(data).map(([key, value]) => [key, value, ttlOf(ttl)] as const))
    },
    async del(key) {
      await cache.delete(key)
    },
    async mdel(...keys) {
      await cache.deleteMany(keys)
    },
    async ttl(key, ttl) {
      const given = ttlOf(ttl)
      if (given.ttl !== undefined) await cache.touch(key, given)
      await cache.ready
      const entry = cache.entry(key)
      if (!entry || entry.state === 'stale' || entry.state === 'negative') return NOTHING
      return entry.expires === undefined ? FOREVER : Math.max(0, entry.expires - cache.chain.now)
    },
    async keys() {
      await cache.ready
      return [...cache.keys()]
    },
    async reset() {
      await cache.clear()
    },
    disconnect: () => cache.close(),
  }
}
