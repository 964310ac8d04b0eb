/** A cache as a driver of unstorage: `createStorage({ driver: unstorageDriver(cache) })`. Its `ttl` is in seconds. */
import { ttlOf } from './adapter-ttl.ts'
import type { Cache, SetOptions } from './cache-types.ts'

type StorageValue = null | string | number | boolean | object
type Options = { readonly ttl?: number; readonly [option: string]: unknown }
type WatchEvent = 'update' | 'remove'

/** `Driver` of unstorage 1.17. */
export interface UnstorageDriver {
  name: string
  flags: { maxDepth: boolean; ttl: boolean }
  getInstance(): Cache<unknown>
  hasItem(key: string): Promise<boolean>
  getItem(key: string): Promise<StorageValue>
  getItems(items: { key: string }[]): Promise<{ key: string; value: StorageValue }[]>
  getItemRaw(key: string): Promise<unknown>
  setItem(key: string, value: string, options?: Options): Promise<void>
  setItems(items: { key: string; value: string; options?: Options }[], common?: Options): Promise<void>
  setItemRaw(key: string, value: unknown, options?: Options): Promise<void>
  removeItem(key: string): Promise<void>
  getMeta(key: string): Promise<{ ttl?: number; version: number } | null>
  getKeys(base: string, options?: { readonly maxDepth?: number }): Promise<string[]>
  clear(base?: string): Promise<void>
  dispose(): Promise<void>
  watch(callback: (event: WatchEvent, key: string) => unknown): Promise<() => Promise<void>>
}

export function unstorageDriver(cache: Cache<unknown>): UnstorageDriver {
  const read = async (key: string): Promise<StorageValue> =>
    ((await cache.fetch(key)) as StorageValue | undefined) ?? null
  const set = async (key: string, value: unknown, options: Options | undefined): Promise<void> => {
    await cache.set(key, value, ttlOption(options))
  }
  return {
    name: 'ate',
    flags: { maxDepth: true, ttl: true },
    getInstance: () => cache,
    hasItem: async (key) => (await cache.fetch(key)) !== undefined,
    getItem: read,
    getItems: (items) => Promise.all(items.map(async ({ key }) => ({ key, value: await read(key) }))),
    // Bytes cannot be frozen, and readers share what is in memory.
    async getItemRaw(key) {
      const value = await read(key)
      return value instanceof Uint8Array ? value.slice() : value
    },
    setItem: set,
    async setItems(items, common) {
      await cache.setMany(
        items.map(({ key, value, options }) => [key, value, ttlOption({ ...common, ...options })] as const),
      )
    },
    setItemRaw: set,
    async removeItem(key) {
      await cache.delete(key)
    },
    async getMeta(key) {
      await cache.ready
      const entry = cache.entry(key)
      if (!entry || entry.state === 'stale' || entry.state === 'negative') return null
      const { expires, version } = entry
      return { version, ...(expires === undefined ? {} : { ttl: Math.ceil((expires - cache.chain.now) / 1000) }) }
    },
    async getKeys(base, { maxDepth } = {}) {
      await cache.ready
      const keys = [...cache.keys(base)]
      // As unstorage counts: the colons of a key.
      return maxDepth === undefined ? keys : keys.filter((key) => key.split(':').length - 1 <= maxDepth)
    },
    async clear(base = '') {
      await cache.invalidate({ prefix: base })
    },
    dispose: () => cache.close(),
    watch: async (callback) => watchCache(cache, callback),
  }
}

function ttlOption(options: Options | undefined): SetOptions {
  return ttlOf((options?.ttl ?? 0) * 1000)
}

/** Tells changes until the function that it gives is called, or the cache ends. */
async function watchCache(
  cache: Cache<unknown>,
  callback: (event: WatchEvent, key: string) => unknown,
): Promise<() => Promise<void>> {
  await cache.ready
  const stop = new AbortController()
  const watching = (async () => {
    try {
      for await (const { kind, key } of cache.watch({ signal: stop.signal }))
        callback(kind === 'set' ? 'update' : 'remove', key)
    } catch (error) {
      if (!stop.signal.aborted) throw error
    }
  })()
  // Whoever stops it hears why it ended.
  watching.catch(() => undefined)
  return async () => {
    stop.abort()
    await watching
  }
}
