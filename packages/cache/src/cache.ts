/** A cache over a chain: what its handle does. */
import {
  AteError,
  type Chain,
  type Duration,
  durationMs,
  type EntityId,
  isChain,
  objectOf,
  POLICY_NAMES,
  type StandardSchema,
} from '@ate/core'
import { type BoundsOptions, checkKey, checkTags, isFreshAt, type Lifetime, lifetimeOf, listed } from './cache-rules.ts'
import type {
  Cache,
  CacheChange,
  CacheOptions,
  CacheStats,
  Entry,
  InvalidateOptions,
  Loader,
  LoadOptions,
  Lock,
  LockOptions,
  SetOptions,
  SignalOptions,
  WriteOptions,
  Written,
} from './cache-types.ts'
import { Counting } from './counting.ts'
import type { CacheEnvironment } from './environment.ts'
import type { LoadPlan } from './loading.ts'
import { takeLock } from './locking.ts'
import { NAMES } from './option-names.ts'
import { type Store, storeOf } from './store.ts'
import { DROPPED, type ViewEntry } from './view.ts'
import { watchChanges } from './watching.ts'
import { deleteMany, invalidate, type Prepared, prepare, set, setMany, touch } from './writing.ts'

const NAME_MAX = 200
const BETWEEN = ':'
/** How often who waits for a record looks again by himself, in ms. */
const LOOK_MS = 50
const NO_TAGS: readonly string[] = Object.freeze([])
const NO_OPTIONS = Object.freeze({})

interface HandleParts {
  readonly store: Store
  readonly prefix: string
  readonly lifetime: Lifetime
  readonly negativeTtl: Duration | undefined
  readonly counting: Counting
}

class CacheHandle<V, I> implements Cache<V, I> {
  readonly name: string
  readonly chain: Chain
  readonly #store: Store
  readonly #prefix: string
  readonly #parts: HandleParts
  readonly #closing = new AbortController()
  #closed: Promise<void> | undefined

  constructor(parts: HandleParts) {
    const { store, prefix } = parts
    this.#store = store
    this.#prefix = prefix
    this.#parts = parts
    this.name = prefix === '' ? store.name : `${store.name}/${prefix.slice(0, -BETWEEN.length)}`
    this.chain = store.chain
  }

  get ready(): Promise<void> {
    return this.#store.opening
  }

  get(key: string): V | undefined {
    const store = this.#store
    if (store.pending.isTelling) store.pending.settle()
    const { view } = store
    const entry = view.entries.get(this.#prefix === '' ? key : this.#prefix + key)
    if (entry !== undefined && (entry.until === Number.POSITIVE_INFINITY || entry.until > store.readTime)) {
      store.counts.hits++
      view.hot.used(entry)
      return entry.value as V
    }
    return this.#look(entry)
  }

  /** What is not answered in one comparison. */
  #look(entry: ViewEntry | undefined): V | undefined {
    const store = this.#store
    if (!entry) {
      this.#assertOpen()
      store.counts.misses++
      return undefined
    }
    if (entry.value === DROPPED || !isFreshAt(entry.stored, store.now)) {
      store.counts.misses++
      return undefined
    }
    store.counts.hits++
    store.view.hot.used(entry)
    store.upkeep.used(entry)
    return entry.value as V | undefined
  }

  has(key: string): boolean {
    const entry = this.#entry(key)
    return entry !== undefined && !entry.isNegative && isFreshAt(entry.stored, this.#store.now)
  }

  entry(key: string): Entry<V> | undefined {
    const entry = this.#entry(key)
    if (!entry) return undefined
    const { value, stored, version, seq, bytes } = entry
    const isDropped = value === DROPPED
    const state = !isFreshAt(stored, this.#store.now)
      ? 'stale'
      : isDropped
        ? 'dropped'
        : entry.isNegative
          ? 'negative'
          : 'fresh'
    const shown = isDropped ? undefined : (value as V | undefined)
    return { key, value: shown, state, version, seq, expires: stored.x, tags: stored.t ?? NO_TAGS, bytes }
  }

  #entry(key: string): ViewEntry | undefined {
    this.#assertOpen()
    if (this.#store.pending.isTelling) this.#store.pending.settle()
    return this.#store.view.entries.get(this.#prefix + key)
  }

  getMany(keys: Iterable<string>): (V | undefined)[] {
    return Array.from(keys, (key) => this.get(key))
  }

  *keys(prefix = ''): IterableIterator<string> {
    this.#assertOpen()
    if (this.#store.pending.isTelling) this.#store.pending.settle()
    const { view } = this.#store
    const whole = this.#prefix + prefix
    for (const entry of view.entries.values()) {
      if (entry.isNegative || !entry.key.startsWith(whole) || !isFreshAt(entry.stored, this.#store.now)) continue
      yield entry.key.slice(this.#prefix.length)
    }
  }

  async fetch(key: string, { signal }: SignalOptions = {}): Promise<V | undefined> {
    signal?.throwIfAborted()
    const known = this.#entry(key)
    if (known && known.value !== DROPPED) return this.get(key)
    const whole = this.#whole(key)
    checkKey(whole)
    const found = await this.#store.fetchValue(whole, signal)
    this.#store.counts[found ? 'hits' : 'misses']++
    return found?.value as V | undefined
  }

  getOrSet(key: string, load: Loader<V, I>, options?: LoadOptions): Promise<V>
  getOrSet(key: string, load: Loader<V, I | undefined>, options?: LoadOptions): Promise<V | undefined>
  async getOrSet(
    key: string,
    load: Loader<V, I | undefined>,
    options: LoadOptions = NO_OPTIONS,
  ): Promise<V | undefined> {
    this.#assertOpen()
    if (this.#store.pending.isTelling) this.#store.pending.settle()
    if (!options.fresh) {
      const entry = this.#store.view.entries.get(this.#prefix + key)
      if (entry !== undefined && (entry.until === Number.POSITIVE_INFINITY || entry.until > this.#store.readTime))
        return this.get(key)
    }
    return (await this.#store.loading.get(this.#plan(key, load, options), options.signal)) as V | undefined
  }

  #plan(key: string, load: Loader<V, I | undefined>, options: LoadOptions): LoadPlan {
    if (typeof load !== 'function') throw new AteError('BAD_ARGUMENT', { what: 'getOrSet takes a function that loads' })
    const whole = this.#whole(key)
    checkKey(whole)
    objectOf(options, 'the options of getOrSet', NAMES.load)
    const { negativeTtl = this.#parts.negativeTtl, timeout, flight = 'fleet', fresh = false } = options
    if (flight !== 'fleet' && flight !== 'process')
      throw new AteError('BAD_ARGUMENT', { what: 'flight is fleet or process', given: String(flight) })
    return {
      key: whole,
      load: (context) => load({ ...context, key, stale: context.stale as V | undefined }),
      lifetime: lifetimeOf(options, this.#parts.lifetime),
      tags: checkTags(options.tags),
      negativeTtlMs: negativeTtl === undefined ? undefined : durationMs(negativeTtl, 0),
      timeoutMs: timeout === undefined ? undefined : durationMs(timeout, 0),
      isFleet: flight === 'fleet',
      isForced: fresh,
    }
  }

  async set(key: string, value: I, options: SetOptions = NO_OPTIONS): Promise<Written> {
    this.#assertOpen()
    return set(this.#store, this.#prepare(key, value, options), options.tx)
  }

  async setMany(
    items: Iterable<readonly [string, I, SetOptions?]>,
    options: WriteOptions = NO_OPTIONS,
  ): Promise<Written> {
    this.#assertOpen()
    const { tx } = objectOf(options, 'the options of setMany', NAMES.write)
    const all = Array.from(listed(items), ([key, value, options]) => this.#prepare(key, value, options ?? NO_OPTIONS))
    return setMany(this.#store, all, tx)
  }

  #prepare(key: string, value: I, options: SetOptions): Prepared {
    if (options !== NO_OPTIONS) objectOf(options, 'the options of set', NAMES.set)
    return prepare(this.#store, this.#whole(key), value, options, this.#parts.lifetime)
  }

  async delete(key: string, options: WriteOptions = NO_OPTIONS): Promise<boolean> {
    return (await this.deleteMany([key], options))[0]!
  }

  async deleteMany(keys: Iterable<string>, options: WriteOptions = NO_OPTIONS): Promise<boolean[]> {
    this.#assertOpen()
    const { tx } = objectOf(options, 'the options of delete', NAMES.write)
    const whole = Array.from(listed(keys), (key) => this.#whole(key))
    return deleteMany(this.#store, whole, tx)
  }

  async touch(key: string, options: { readonly ttl?: Duration } & WriteOptions = NO_OPTIONS): Promise<boolean> {
    this.#assertOpen()
    const { ttl, tx } = objectOf(options, 'the options of touch', NAMES.touch)
    const { lifetime } = this.#parts
    const ttlMs = ttl === undefined ? lifetime.ttlMs : durationMs(ttl, 0)
    return touch(this.#store, this.#whole(key), ttlMs, tx)
  }

  async invalidate(given: InvalidateOptions): Promise<Written> {
    this.#assertOpen()
    const { prefix, ...what } = objectOf(given, 'the members of what is invalidated', NAMES.invalidate)
    return invalidate(this.#store, { ...what, ...(prefix === undefined ? {} : { prefix: this.#prefix + prefix }) })
  }

  async clear(options: WriteOptions = NO_OPTIONS): Promise<Written> {
    objectOf(options, 'the options of clear', NAMES.write)
    return this.invalidate({ ...options, prefix: '' })
  }

  async incr(key: string, by = 1, options: { readonly ttl?: Duration } = NO_OPTIONS): Promise<number> {
    this.#assertOpen()
    const { ttl } = objectOf(options, 'the options of incr', NAMES.incr)
    return this.#parts.counting.add(this.#whole(key), by, ttl)
  }

  async lock(key: string, options: LockOptions = NO_OPTIONS): Promise<Lock> {
    this.#assertOpen()
    objectOf(options, 'the options of lock', NAMES.lock)
    return takeLock(this.#store, this.#whole(key), options)
  }

  watch(
    options: { readonly prefix?: string } & SignalOptions = NO_OPTIONS,
  ): AsyncGenerator<CacheChange<V>, void, void> {
    this.#assertOpen()
    const { prefix = '', signal } = objectOf(options, 'the options of watch', NAMES.watch)
    const signals = signal ? AbortSignal.any([signal, this.#closing.signal]) : this.#closing.signal
    const changes = watchChanges<V>(this.#store, this.#prefix + prefix, signals)
    // Runs up to the first yield, which gives nothing: what happens from the call on is told.
    void changes.next()
    return changes as AsyncGenerator<CacheChange<V>, void, void>
  }

  namespace(name: string): Cache<V, I> {
    this.#assertOpen()
    if (typeof name !== 'string' || name.length === 0)
      throw new AteError('BAD_ARGUMENT', { what: 'a namespace has a name' })
    const prefix = `${this.#prefix}${name}${BETWEEN}`
    checkKey(prefix)
    this.#store.retain(NO_OPTIONS)
    const made = new CacheHandle<V, I>({ ...this.#parts, prefix })
    this.#closing.signal.addEventListener('abort', () => void made.close(), { once: true })
    return made
  }

  get seq(): number {
    return this.#store.seq
  }

  async sync({ signal }: SignalOptions = NO_OPTIONS): Promise<void> {
    this.#assertOpen()
    await unlessAborted(this.#catchUp(), signal)
  }

  async waitFor(seq: number, { signal }: SignalOptions = NO_OPTIONS): Promise<void> {
    this.#assertOpen()
    if (!Number.isSafeInteger(seq) || seq < 0) throw new AteError('BAD_ARGUMENT', { what: 'waitFor takes a seq' })
    while (this.chain.head.seq < seq) {
      await unlessAborted(this.chain.refresh(), signal)
      if (this.chain.head.seq >= seq) break
      await this.#moment(signal)
    }
    await unlessAborted(this.#store.caughtUp(), signal)
  }

  async #catchUp(): Promise<void> {
    await this.#store.open()
    await this.chain.refresh()
    await this.#store.caughtUp()
  }

  async #moment(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    this.#assertOpen()
    let timer: { cancel(): void } | undefined
    const waited = new Promise<void>((resolve) => {
      timer = this.#store.environment.start(LOOK_MS, resolve, 'holds')
    })
    await unlessAborted(waited, signal).finally(() => timer?.cancel())
  }

  get stats(): CacheStats {
    return this.#store.counts.of(this.#store.view)
  }

  resetStats(): void {
    this.#store.counts.reset()
  }

  async configure(bounds: BoundsOptions): Promise<void> {
    this.#assertOpen()
    return this.#store.configure(objectOf(bounds, 'bounds', NAMES.bounds))
  }

  async node(): Promise<EntityId> {
    this.#assertOpen()
    return this.#store.open()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#closing.abort(closedError(this.name))
    await this.#store.release()
  }

  /** What is no text is left as it is, for the check that follows. */
  #whole(key: string): string {
    return typeof key === 'string' ? this.#prefix + key : key
  }

  #assertOpen(): void {
    if (this.#closed) throw closedError(this.name)
    this.#store.assertOpen()
  }
}

function closedError(cache: string): AteError {
  return new AteError('CHAIN_CLOSED', { cache }, { hint: 'the cache is closed' })
}

/** @throws the signal's reason */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  signal.throwIfAborted()
  let abort: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
  })
  signal.addEventListener('abort', abort, { once: true })
  // Whichever comes first; the other one's end is nobody's.
  promise.catch(() => undefined)
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

export function openCache<V, I>(
  chain: Chain,
  name: string,
  options: CacheOptions & { readonly value?: StandardSchema },
  environment: CacheEnvironment,
): Cache<V, I> {
  if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'cache takes an open chain' })
  if (typeof name !== 'string' || name.length === 0 || name.length > NAME_MAX)
    throw new AteError('BAD_ARGUMENT', { what: `a cache has a name of 1 to ${NAME_MAX} characters` })
  const { value: schema, negativeTtl } = objectOf(options, 'the options of a cache', NAMES.cache)
  objectOf(options.memory, 'the members of memory', NAMES.bounds)
  objectOf(options.access, 'the members of access', POLICY_NAMES)
  const lifetime = lifetimeOf(options)
  if (negativeTtl !== undefined) durationMs(negativeTtl, 0)
  const store = storeOf({ chain, name, schema, options, environment })
  return new CacheHandle<V, I>({ store, prefix: '', lifetime, negativeTtl, counting: new Counting(store) })
}
