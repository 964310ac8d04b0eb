/**
 * A cache as the store of Keyv: `new Keyv({ store: keyvStore(cache) })`. Keyv 5 says how long an entry lives and puts its
 * namespace before the keys itself; Keyv 6 says until when, and leaves the namespace to the store. So each has its own.
 */
import { ttlOf, ttlUntil } from './adapter-ttl.ts'
import type { Cache, SetOptions } from './cache-types.ts'

/** What Keyv stores: text, unless it is told not to serialize. */
type KeyvCache = Cache<unknown>
type Entries<V> = AsyncGenerator<(string | Awaited<V> | undefined)[], void>

/** What both take. Errors are those of the calls: nothing is emitted. */
interface CommonStore {
  namespace?: string | undefined
  get<V>(key: string): Promise<V | undefined>
  getMany<V>(keys: string[]): Promise<(V | undefined)[]>
  delete(key: string): Promise<boolean>
  clear(): Promise<void>
  has(key: string): Promise<boolean>
  hasMany(keys: string[]): Promise<boolean[]>
  disconnect(): Promise<void>
}

/** `KeyvStoreAdapter` of Keyv 5. */
export interface KeyvStore extends CommonStore {
  /** Keyv 5 iterates only over stores whose dialect it knows. */
  readonly opts: { readonly url: string; readonly dialect: string }
  set(key: string, value: unknown, ttl?: number): Promise<boolean>
  setMany(values: { key: string; value: unknown; ttl?: number }[]): Promise<void>
  deleteMany(keys: string[]): Promise<boolean>
  iterator<V>(namespace?: string): Entries<V>
  on(event: string, listener: (...given: never[]) => void): this
}

/** `KeyvStorageAdapter` of Keyv 6. */
export interface Keyv6Store extends CommonStore, SilentEmitter {
  /** It takes points of time. */
  readonly capabilities: Keyv6Capabilities
  set(key: string, value: unknown, expires?: number): Promise<boolean>
  setMany<V>(values: { key: string; value: V; expires?: number | undefined }[]): Promise<boolean[]>
  deleteMany(keys: string[]): Promise<boolean[]>
  iterator<V>(): Entries<V>
}

type EventName = string | symbol
// biome-ignore lint/suspicious/noExplicitAny: as Keyv has it
type Listener = (...given: any[]) => void

/** `IEventEmitter` of Keyv 6, for somebody who has nothing to tell. */
interface SilentEmitter {
  on(event: EventName, listener: Listener): this
  addListener(event: EventName, listener: Listener): this
  once(event: EventName, listener: Listener): this
  prependListener(event: EventName, listener: Listener): this
  prependOnceListener(event: EventName, listener: Listener): this
  off(event: EventName, listener: Listener): this
  removeListener(event: EventName, listener: Listener): this
  removeAllListeners(event?: EventName): this
  emit(event: EventName, ...given: unknown[]): boolean
  listenerCount(event: EventName): number
  eventNames(): EventName[]
  listeners(event: EventName): Listener[]
  rawListeners(event: EventName): Listener[]
}

const METHODS = [
  'get',
  'getMany',
  'has',
  'hasMany',
  'set',
  'setMany',
  'delete',
  'deleteMany',
  'clear',
  'disconnect',
  'iterator',
] as const
type MethodOf = (typeof METHODS)[number]

/** `KeyvStorageCapability` of Keyv 6. */
export interface Keyv6Capabilities {
  compatible: boolean
  store: 'keyvStorage'
  methods: Record<MethodOf, { exists: boolean; methodType: 'sync' | 'async' | 'none' }>
  expires: boolean
}

/** Keyv 5 has put `namespace:` before keys that come here. */
const BETWEEN = ':'

/** For Keyv 5.6, and what stands on it: cache-manager, cacheable. */
export function keyvStore(cache: KeyvCache): KeyvStore {
  const store: KeyvStore = {
    ...common(
      cache,
      (key) => key,
      () => prefixOf(store.namespace),
    ),
    // It looks for the name of a database that can iterate in one of the two.
    opts: { url: 'ate:', dialect: 'redis' },
    async set(key, value, ttl) {
      await cache.set(key, value, ttlOf(ttl))
      return true
    },
    async setMany(values) {
      await cache.setMany(values.map(({ key, value, ttl }) => [key, value, ttlOf(ttl)] as const))
    },
    async deleteMany(keys) {
      return (await cache.deleteMany(keys)).some((existed) => existed)
    },
    iterator: <V>(namespace?: string) => entriesOf<V>(cache, prefixOf(namespace), 'whole keys'),
    on: () => store,
  }
  return store
}

/** For Keyv 6. `now` is the clock that its points of time are of, Unix ms. */
export function keyv6Store(cache: KeyvCache, { now = Date.now }: { readonly now?: () => number } = {}): Keyv6Store {
  // Keyv 6 leaves that to the store. With its length before it no namespace looks like the beginning of another.
  const prefix = (): string =>
    store.namespace ? `${store.namespace.length}${BETWEEN}${store.namespace}${BETWEEN}` : ''
  const whole = (key: string): string => prefix() + key
  const until = (expires: number | undefined): SetOptions => ttlUntil(expires, now())
  const store: Keyv6Store = {
    ...common(cache, whole, prefix),
    capabilities: capabilities(),
    async set(key, value, expires) {
      await cache.set(whole(key), value, until(expires))
      return true
    },
    async setMany(values) {
      await cache.setMany(values.map(({ key, value, expires }) => [whole(key), value, until(expires)] as const))
      return values.map(() => true)
    },
    deleteMany: (keys) => cache.deleteMany(keys.map(whole)),
    iterator: <V>() => entriesOf<V>(cache, prefix(), 'without prefix'),
    ...silent(() => store),
  }
  return store
}

function silent<Self>(self: () => Self) {
  return {
    on: self,
    addListener: self,
    once: self,
    prependListener: self,
    prependOnceListener: self,
    off: self,
    removeListener: self,
    removeAllListeners: self,
    emit: () => false,
    listenerCount: () => 0,
    eventNames: () => [],
    listeners: () => [],
    rawListeners: () => [],
  }
}

function common(cache: KeyvCache, whole: (key: string) => string, prefix: () => string): CommonStore {
  const get = async <V>(key: string): Promise<V | undefined> => (await cache.fetch(whole(key))) as V | undefined
  const has = async (key: string): Promise<boolean> => (await cache.fetch(whole(key))) !== undefined
  return {
    namespace: undefined,
    get,
    getMany: <V>(keys: string[]) => Promise.all(keys.map((key) => get<V>(key))),
    delete: async (key) => cache.delete(whole(key)),
    async clear() {
      await cache.invalidate({ prefix: prefix() })
    },
    has,
    hasMany: async (keys) => Promise.all(keys.map(has)),
    disconnect: async () => cache.close(),
  }
}

function prefixOf(namespace: string | undefined): string {
  return namespace === undefined || namespace === '' ? '' : namespace + BETWEEN
}

async function* entriesOf<V>(cache: KeyvCache, prefix: string, how: 'whole keys' | 'without prefix'): Entries<V> {
  await cache.ready
  for (const key of cache.keys(prefix)) {
    const value = (await cache.fetch(key)) as Awaited<V> | undefined
    if (value !== undefined) yield [how === 'whole keys' ? key : key.slice(prefix.length), value]
  }
}

function capabilities(): Keyv6Capabilities {
  const asynchronous = METHODS.map((name) => [name, { exists: true, methodType: 'async' }])
  const methods = Object.fromEntries(asynchronous) as Keyv6Capabilities['methods']
  return { compatible: true, store: 'keyvStorage', methods, expires: true }
}
