/** What users of a cache see. */
import type { Chain, Duration, EntityId, PolicyInput, TxTarget } from '@ate/core'
import type { BoundsOptions, LifetimeOptions } from './cache-rules.ts'

export interface CacheOptions extends BoundsOptions, LifetimeOptions {
  /** How long "the loader found nothing" is kept; not at all if left out. */
  readonly negativeTtl?: Duration
  /** Decoded values that this process holds; the others are read from the chain by `fetch`. As the bounds of the cache, if left out. */
  readonly memory?: BoundsOptions
  /** Who reads and writes a cache that is made by this; who reads and writes the root, if left out. */
  readonly access?: PolicyInput
  /** Told of what nobody waits for: refreshes and upkeep that failed, values that do not fit the schema. */
  readonly observe?: CacheObserver
}

export interface CacheObservation {
  readonly kind: 'refresh failed' | 'upkeep failed' | 'bad value'
  readonly cache: string
  readonly key?: string
  readonly error: unknown
}

export type CacheObserver = (observation: CacheObservation) => void

export interface WriteOptions {
  /**
   * Makes it part of a transaction: a core transaction, or the `tx` of a job or a delivery. Then it resolves when staged, and
   * is seen here when that has committed.
   */
  readonly tx?: TxTarget
}

export interface SetOptions extends LifetimeOptions, WriteOptions {
  /** At most 64, for `invalidate`. */
  readonly tags?: readonly string[]
  /** Only if there is no entry that counts, or if it is of this version. @throws AteError CAS_MISMATCH */
  readonly if?: 'absent' | number
}

export interface Written {
  /** The record that holds it, for `waitFor`; undefined of what was staged. */
  readonly seq: number | undefined
  /** The version of the entry, for `if`; undefined if it is staged by an effect that has not run yet. */
  readonly version: number | undefined
}

export interface LoadOptions extends LifetimeOptions {
  readonly tags?: readonly string[]
  readonly negativeTtl?: Duration
  /** How long the loader may take; then its signal aborts, and callers get LOAD_TIMEOUT, or what `staleIfError` allows. */
  readonly timeout?: Duration
  /**
   * `fleet` (the default): one loader at a time over all processes that share the chain, by a lease in the chain. A lease of a
   * process that is gone ends after ten seconds. `process`: one in this process, without a record.
   */
  readonly flight?: 'fleet' | 'process'
  /** Loads whatever is there. */
  readonly fresh?: boolean
  /** Ends the waiting of this caller; the loader goes on as long as somebody waits. */
  readonly signal?: AbortSignal
}

export interface LoadContext<V> {
  readonly key: string
  /** What is there, and not fresh any more. */
  readonly stale: V | undefined
  /** Aborts when the time is up, nobody waits any more, or the cache closes. */
  readonly signal: AbortSignal
}

/** Gives the value of a key; undefined says that there is none, which `negativeTtl` keeps. */
export type Loader<V, I = V> = (context: LoadContext<V>) => I | Promise<I>

export interface Entry<V> {
  readonly key: string
  /** Undefined if a loader found nothing, or the value is not in memory. */
  readonly value: V | undefined
  /** `dropped`: the value is not in memory; `fetch` reads it. */
  readonly state: 'fresh' | 'stale' | 'negative' | 'dropped'
  /** Counts the changes of this key. */
  readonly version: number
  /** The record that wrote it. */
  readonly seq: number
  /** Chain time, Unix ms; undefined if it does not expire. */
  readonly expires: number | undefined
  readonly tags: readonly string[]
  readonly bytes: number
}

export interface CacheStats {
  readonly entries: number
  readonly bytes: number
  /** Entries whose value is in memory, and their bytes. */
  readonly inMemory: number
  readonly bytesInMemory: number
  readonly hits: number
  readonly misses: number
  /** Of hits: what was served past its time. */
  readonly staleHits: number
  /** Loaders that ran, and that failed. */
  readonly loads: number
  readonly loadsFailed: number
  /** Callers that got what a loader of somebody else brought. */
  readonly loadsShared: number
  readonly sets: number
  readonly deletes: number
  /** Entries that were crowded out, or dropped because they were over, by this process. */
  readonly evicted: number
  readonly expired: number
  /** Values that do not fit the schema. */
  readonly badValues: number
  /** Hits of all reads, 0 to 1; 0 without any. */
  readonly hitRate: number
}

export interface CacheChange<V> {
  readonly kind: 'set' | 'delete'
  readonly key: string
  /** Of `set`; undefined if a loader found nothing. */
  readonly value: V | undefined
}

export interface Lock extends AsyncDisposable {
  readonly key: string
  /** Rises with each holder of this key: for stores outside that can compare. */
  readonly fence: number
  /** Aborts with LEASE_LOST when somebody else may have it. */
  readonly signal: AbortSignal
  /** The transaction commits only while this is the holder. @throws AteError LEASE_LOST */
  guard(tx: TxTarget): Promise<void>
  release(): Promise<void>
}

export interface LockOptions {
  /** A holder that is gone, or stopped, loses it after so long; it is renewed while the process runs. 30 s if left out. */
  readonly ttl?: Duration
  /** How long to wait for it; as long as it takes, if left out. 0: not at all. @throws AteError LOCK_HELD */
  readonly wait?: Duration
  readonly signal?: AbortSignal
}

export interface SignalOptions {
  readonly signal?: AbortSignal
}

export interface InvalidateOptions extends WriteOptions {
  readonly tags?: readonly string[]
  /** All keys that begin with it; all there are, if it is empty. */
  readonly prefix?: string
}

/** A cache on a chain. `V` is what is read, `I` what is written; the same, unless a schema turns one into the other. */
export interface Cache<V, I = V> extends AsyncDisposable {
  readonly name: string
  readonly chain: Chain
  /** Resolves when all that stood in the chain at the call of `cache` is here. @throws AteError CACHE_MISMATCH and what opening throws */
  readonly ready: Promise<void>

  /** The value if it is fresh and in memory, else undefined. */
  get(key: string): V | undefined
  /** True if there is a fresh value, in memory or not. */
  has(key: string): boolean
  /** What is known of a key, also if it is stale; undefined if there is nothing. */
  entry(key: string): Entry<V> | undefined
  /** In the order of `keys`; undefined where there is nothing. */
  getMany(keys: Iterable<string>): (V | undefined)[]
  keys(prefix?: string): IterableIterator<string>
  /** As `get`; what is not in memory is read from the chain, without a network where the log is here. */
  fetch(key: string, options?: SignalOptions): Promise<V | undefined>
  /**
   * The fresh value, or what `load` gives: it runs once, however many ask, and what it gives is there for all. What it throws,
   * its callers get. @throws AteError LOAD_TIMEOUT | BAD_VALUE, what the loader throws and what transact throws
   */
  getOrSet(key: string, load: Loader<V, I>, options?: LoadOptions): Promise<V>
  getOrSet(key: string, load: Loader<V, I | undefined>, options?: LoadOptions): Promise<V | undefined>

  /** @throws AteError CAS_MISMATCH | BAD_VALUE | VALUE_TOO_LARGE | BAD_ARGUMENT and what transact throws */
  set(key: string, value: I, options?: SetOptions): Promise<Written>
  /** In few commits, in any order; with `{ tx }` all of them or none. */
  setMany(items: Iterable<readonly [string, I, SetOptions?]>, options?: WriteOptions): Promise<Written>
  /** False if there was nothing. Also ends what is being loaded for the key: it will not be kept. */
  delete(key: string, options?: WriteOptions): Promise<boolean>
  deleteMany(keys: Iterable<string>, options?: WriteOptions): Promise<boolean[]>
  /** Gives an entry a new time, its own `ttl` if left out. False if there is none. */
  touch(key: string, options?: { readonly ttl?: Duration } & WriteOptions): Promise<boolean>
  /** Voids entries by tag or prefix, also those that are being loaded: one small record, however many they are. */
  invalidate(what: InvalidateOptions): Promise<Written>
  /** As `invalidate({ prefix: '' })`. */
  clear(options?: WriteOptions): Promise<Written>
  /** Adds to a number, 0 if there is none, and gives what it is then. Its time stays; `ttl` counts when it begins. Calls of one key share a commit. */
  incr(key: string, by?: number, options?: { readonly ttl?: Duration }): Promise<number>
  lock(key: string, options?: LockOptions): Promise<Lock>

  /** Changes from now on; of one key that nobody has taken yet, the newest. */
  watch(options?: { readonly prefix?: string } & SignalOptions): AsyncGenerator<CacheChange<V>, void, void>
  /** The same cache below a prefix: its keys, its `clear`. It is closed with this one. */
  namespace(name: string): Cache<V, I>

  /** All records up to this one are taken in. Give it to another process, which waits for it. */
  readonly seq: number
  /** Resolves when all that was acknowledged anywhere before the call is here. @throws AteError OFFLINE */
  sync(options?: SignalOptions): Promise<void>
  /** Resolves when all up to this record is here. */
  waitFor(seq: number, options?: SignalOptions): Promise<void>
  readonly stats: CacheStats
  resetStats(): void
  /** Changes the bounds, for all who use it; others take them at their next opening. */
  configure(bounds: BoundsOptions): Promise<void>
  /** The node in the chain's tree, for policies. */
  node(): Promise<EntityId>
  /** Ends this handle, and what it waits for. The chain stays open. */
  close(): Promise<void>
}
