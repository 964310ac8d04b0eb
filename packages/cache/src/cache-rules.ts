/** What a cache decides, from what it is given alone: how long an entry lives, whether it is void, what options may be. */
import { AteError, type Duration, durationMs } from '@ate/core'
import type { StoredCache, StoredEntry } from './cache-records.ts'
import { nameOf } from './cache-records.ts'
import { cacheError } from './errors.ts'

/** Bytes of the name of an entity, of which the cache takes one; see base/limits of @ate/core. */
const KEY_BYTES_MAX = 511
const TAGS_MAX = 64
const TAG_LENGTH_MAX = 128
const COUNT_MAX: number = 2 ** 32
/** As many as fit well into memory, whatever they are. */
const DEFAULT_BOUNDS: Bounds = { max: 100_000, maxBytes: 256 * 1024 * 1024 }
const utf8 = new TextEncoder()

export interface Lifetime {
  readonly ttlMs: number | undefined
  readonly swrMs: number
  readonly staleIfErrorMs: number
  readonly isSliding: boolean
}

export interface LifetimeOptions {
  /** Fresh for so long; until it is deleted or crowded out, if left out. */
  readonly ttl?: Duration
  /** Behind that, `getOrSet` gives it at once, and loads it again behind the caller's back. */
  readonly swr?: Duration
  /** Behind `ttl`, `getOrSet` gives it if loading fails. */
  readonly staleIfError?: Duration
  /** Each read moves the end on to `ttl` from then; written at most once in a quarter of it. */
  readonly sliding?: boolean
}

/** @throws AteError BAD_ARGUMENT */
export function lifetimeOf(options: LifetimeOptions, defaults?: Lifetime): Lifetime {
  const { ttl, swr, staleIfError, sliding } = options
  if (defaults && ttl === undefined && swr === undefined && staleIfError === undefined && sliding === undefined)
    return defaults
  const ttlMs = ttl === undefined ? defaults?.ttlMs : durationMs(ttl, 0)
  const isSliding = sliding ?? defaults?.isSliding ?? false
  if (isSliding && ttlMs === undefined) throw new AteError('BAD_ARGUMENT', { what: 'sliding needs a ttl' })
  return {
    ttlMs,
    swrMs: swr === undefined ? (defaults?.swrMs ?? 0) : durationMs(swr, 0),
    staleIfErrorMs: staleIfError === undefined ? (defaults?.staleIfErrorMs ?? 0) : durationMs(staleIfError, 0),
    isSliding,
  }
}

/** `now` is chain time. */
export function storedEntry(
  content: { readonly value: unknown; readonly tags: readonly string[]; readonly generation: number },
  lifetime: Lifetime,
  now: number,
): StoredEntry {
  const { value, tags, generation } = content
  const { ttlMs, swrMs, staleIfErrorMs, isSliding } = lifetime
  const stored: { -readonly [K in keyof StoredEntry]: StoredEntry[K] } = {}
  if (value !== undefined) stored.v = value
  if (ttlMs !== undefined) {
    stored.x = now + ttlMs
    if (swrMs > 0) stored.w = swrMs
    if (staleIfErrorMs > 0) stored.e = staleIfErrorMs
    if (isSliding) stored.s = ttlMs
  }
  if (tags.length > 0) stored.t = tags
  if (generation > 0) stored.g = generation
  return stored
}

/** Chain time from which nobody may be given it in any way. */
export function endOf({ x, w = 0, e = 0 }: StoredEntry): number {
  return x === undefined ? Number.POSITIVE_INFINITY : x + Math.max(w, e)
}

export function isFreshAt({ x }: StoredEntry, now: number): boolean {
  return x === undefined || now < x
}

/** @throws AteError BAD_ARGUMENT */
export function checkKey(key: unknown): asserts key is string {
  if (typeof key === 'string' && (key.length * 3 <= KEY_BYTES_MAX || utf8.encode(key).length <= KEY_BYTES_MAX)) return
  throw new AteError('BAD_ARGUMENT', { what: `a key is text of at most ${KEY_BYTES_MAX} bytes`, given: typeof key })
}

/** What is no list would be an empty one, or one of letters. @throws AteError BAD_ARGUMENT */
export function listed<T>(items: Iterable<T>): Iterable<T> {
  if (typeof items === 'object' && items !== null && Symbol.iterator in items) return items
  throw new AteError('BAD_ARGUMENT', { what: 'a list is what one iterates over, and no text', given: typeof items })
}

const NO_TAGS: readonly string[] = Object.freeze([])

/** Each once. @throws AteError BAD_ARGUMENT */
export function checkTags(tags: readonly string[] | undefined): readonly string[] {
  if (tags === undefined) return NO_TAGS
  // The letters of a text would be tags each.
  if (!Array.isArray(tags)) throw new AteError('BAD_ARGUMENT', { what: 'tags are a list of texts', given: typeof tags })
  if (tags.length === 0) return NO_TAGS
  const unique = Object.freeze([...new Set(tags)])
  const isTag = (tag: unknown): boolean => typeof tag === 'string' && tag.length > 0 && tag.length <= TAG_LENGTH_MAX
  if (unique.length > TAGS_MAX || !unique.every(isTag)) {
    const what = `tags: at most ${TAGS_MAX}, each text of 1 to ${TAG_LENGTH_MAX} characters`
    throw new AteError('BAD_ARGUMENT', { what })
  }
  return unique
}

export interface BoundsOptions {
  /** Entries of the whole cache, the least recently used ones go first; 100,000 if nothing is stored. */
  readonly max?: number
  /** Their bytes, keys included; 256 MiB if nothing is stored. */
  readonly maxBytes?: number
}

/** @throws AteError BAD_ARGUMENT */
export function checkBounds(options: BoundsOptions): BoundsOptions {
  for (const [name, value] of Object.entries({ max: options.max, maxBytes: options.maxBytes })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= 1 && (name !== 'max' || value <= COUNT_MAX)))
      throw new AteError('BAD_ARGUMENT', { what: `${name} is a whole number of at least 1`, given: String(value) })
  }
  const { max, maxBytes } = options
  return { ...(max === undefined ? {} : { max }), ...(maxBytes === undefined ? {} : { maxBytes }) }
}

export interface Bounds {
  readonly max: number
  readonly maxBytes: number
}

/** With what is left to others filled up. */
export function boundsOf(stored: StoredCache): Bounds {
  return { ...DEFAULT_BOUNDS, ...stored }
}

/** What is stored with what is given: where both are, they have to be the same. @throws AteError CACHE_MISMATCH */
export function mergedBounds(name: string, stored: StoredCache, given: BoundsOptions): StoredCache {
  for (const which of ['max', 'maxBytes'] as const) {
    const [known, wanted] = [stored[which], given[which]]
    if (known !== undefined && wanted !== undefined && wanted !== known)
      throw cacheError('CACHE_MISMATCH', { cache: name, option: which, stored: known, given: wanted })
  }
  return { ...stored, ...given }
}

/** Generations of tags and prefixes, as far as they are known here. */
export class Marks {
  readonly tags: Map<string, number> = new Map()
  /** By length first, so that a key is looked up once a length, however many prefixes there are. */
  readonly #prefixes = new Map<number, Map<string, number>>()

  setPrefix(prefix: string, generation: number): void {
    let ofLength = this.#prefixes.get(prefix.length)
    if (ofLength === undefined) {
      ofLength = new Map()
      this.#prefixes.set(prefix.length, ofLength)
    }
    ofLength.set(prefix, generation)
  }

  dropPrefix(prefix: string): void {
    const ofLength = this.#prefixes.get(prefix.length)
    if (ofLength?.delete(prefix) && ofLength.size === 0) this.#prefixes.delete(prefix.length)
  }

  /** Prefixes that begin with `prefix`, itself left out. */
  longerThan(prefix: string): string[] {
    const found: string[] = []
    for (const [length, ofLength] of this.#prefixes) {
      if (length <= prefix.length) continue
      for (const longer of ofLength.keys()) if (longer.startsWith(prefix)) found.push(longer)
    }
    return found
  }

  /** True if an entry of that generation was invalidated since. */
  isVoid(key: string, tags: readonly string[], generation: number): boolean {
    for (const tag of tags) if ((this.tags.get(tag) ?? 0) > generation) return true
    for (const [length, ofLength] of this.#prefixes) {
      if (length <= key.length && (ofLength.get(key.slice(0, length)) ?? 0) > generation) return true
    }
    return false
  }
}

/** Entities that hold the leases or locks of a cache: those of many keys share one. */
const SLOTS = 256

/** The slot of a key: FNV-1a over its name. */
export function slotNameOf(key: string): string {
  const name = nameOf(key)
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return `s${(hash >>> 0) % SLOTS}`
}
