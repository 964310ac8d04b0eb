/** lru-cache, Keyv in memory, cacheable, and Redis by ioredis on a server that the bench starts. */
import type { CacheEngine, Value } from '../cache/engine.ts'
import { load } from './load.ts'

const HOUR_MS = 3_600_000

interface Lru {
  readonly LRUCache: new (options: {
    readonly max: number
    readonly ttl?: number
  }) => { get(key: string): unknown; set(key: string, value: Value, options?: { ttl: number }): unknown }
}

export const lruCache: CacheEngine = {
  name: 'lru-cache',
  note: 'lru-cache 11, in this process only',
  async open() {
    const { LRUCache } = await load<Lru>('lru-cache')
    const values = new LRUCache({ max: 2_000_000 })
    return {
      get: (key) => values.get(key),
      set: (key, value) => values.set(key, value),
      setFor: (key, value) => values.set(key, value, { ttl: HOUR_MS }),
      close: async () => undefined,
    }
  },
}

interface Simple {
  get(key: string): Promise<unknown>
  set(key: string, value: Value, ttl?: number): Promise<unknown>
  getOrSet?(key: string, load: () => Promise<Value>): Promise<unknown>
  disconnect(): Promise<unknown>
}

function simple(name: string, note: string, open: () => Promise<Simple>): CacheEngine {
  return {
    name,
    note,
    async open() {
      const values = await open()
      return {
        get: (key) => values.get(key),
        set: (key, value) => values.set(key, value),
        setFor: (key, value) => values.set(key, value, HOUR_MS),
        ...(values.getOrSet ? { getOrSet: (key, run) => values.getOrSet!(key, run) } : {}),
        close: () => values.disconnect(),
      }
    },
  }
}

export const keyv: CacheEngine = simple('keyv', 'Keyv 5.6 in memory, with its serializer', async () => {
  const { Keyv } = await load<{ readonly Keyv: new () => Simple }>('keyv')
  return new Keyv()
})

export const cacheable: CacheEngine = simple('cacheable', 'cacheable 2.5, first level in memory', async () => {
  const { Cacheable } = await load<{ readonly Cacheable: new () => Simple }>('cacheable')
  return new Cacheable()
})

interface Redis {
  get(key: string): Promise<string | null>
  set(key: string, value: string, ...more: (string | number)[]): Promise<unknown>
  pipeline(): { set(key: string, value: string): unknown; exec(): Promise<unknown> }
  quit(): Promise<unknown>
}

export const redis: CacheEngine = {
  name: 'redis',
  note: "Debian's redis-server 7 on loopback by ioredis with automatic pipelining, JSON; nothing stored on disk",
  async open(port) {
    const { Redis } = await load<{
      readonly Redis: new (options: { readonly port: number; readonly enableAutoPipelining: boolean }) => Redis
    }>('ioredis')
    const values = new Redis({ port, enableAutoPipelining: true })
    return {
      get: async (key) => {
        const found = await values.get(key)
        return found === null ? undefined : JSON.parse(found)
      },
      set: (key, value) => values.set(key, JSON.stringify(value)),
      setFor: (key, value) => values.set(key, JSON.stringify(value), 'PX', HOUR_MS),
      setMany: (all) => {
        const pipeline = values.pipeline()
        for (const [key, value] of all) pipeline.set(key, JSON.stringify(value))
        return pipeline.exec()
      },
      close: () => values.quit(),
    }
  },
}
