/**
 * A cache for Next.js 16, of both kinds that its configuration takes: `cacheHandlers` (what `use cache` keeps) and `cacheHandler`
 * (pages, routes and fetches). Each is the default export of a file that the configuration names.
 *
 * When a tag was revalidated stands in a cache of its own without bounds worth the name: what is crowded out there would bring
 * old pages back.
 */
import type { Chain } from '@ate/core'
import { ttlOf } from './adapter-ttl.ts'
import type { Cache, CacheOptions } from './cache-types.ts'
import { cache } from './index.ts'

export interface NextCacheOptions extends Pick<CacheOptions, 'max' | 'maxBytes' | 'memory' | 'observe'> {
  /** Two caches of the chain are called so, with `:pages` and `:tags` behind it. */
  readonly name?: string
}

/** `CacheEntry` of Next.js: lengths in seconds, points of time in ms. */
export interface NextCacheEntry {
  value: ReadableStream<Uint8Array>
  tags: string[]
  stale: number
  timestamp: number
  expire: number
  revalidate: number
}

/** `CacheHandler` of Next.js, for `cacheHandlers`. */
export interface NextCacheHandler {
  get(cacheKey: string, softTags: string[]): Promise<undefined | NextCacheEntry>
  set(cacheKey: string, pendingEntry: Promise<NextCacheEntry>): Promise<void>
  refreshTags(): Promise<void>
  getExpiration(tags: string[]): Promise<number>
  updateTags(tags: string[], durations?: { expire?: number }): Promise<void>
}

/** `CacheHandlerValue` of Next.js. */
export interface NextHandlerValue {
  lastModified: number
  // Its own type names classes of Next.js; what was given to `set` comes back.
  // biome-ignore lint/suspicious/noExplicitAny: as above
  value: any
  cacheControl?: { revalidate: number | false; expire: number | undefined }
}

interface GetContext {
  readonly kind?: string
  readonly tags?: string[]
  readonly softTags?: string[]
}

interface SetContext {
  readonly fetchCache?: boolean
  readonly tags?: string[]
  readonly cacheControl?: { readonly revalidate: number | false; readonly expire?: number | undefined } | undefined
}

/** `CacheHandler` of Next.js, for `cacheHandler`. */
export interface NextIncrementalHandler {
  get(cacheKey: string, context: GetContext): Promise<NextHandlerValue | null>
  set(cacheKey: string, data: object | null, context: SetContext): Promise<void>
  revalidateTag(tags: string | string[], durations?: { expire?: number }): Promise<void>
  resetRequestCache(): void
}

interface StoredPage {
  readonly bytes: Uint8Array
  readonly tags: readonly string[]
  readonly stale: number
  readonly timestamp: number
  readonly expire: number
  readonly revalidate: number
}

interface StoredTag {
  readonly stale?: number
  readonly expired?: number
}

interface Caches {
  readonly pages: Cache<unknown>
  readonly tags: Cache<StoredTag>
}

/** Tags are few and small. */
const TAGS_MAX: number = 2 ** 31
/** What fits into one entry, with its tags. */
const PAGE_BYTES_MAX = 850_000
const NEXT_TAGS_HEADER = 'x-next-cache-tags'

/** The default export of a file in `cacheHandlers`. The chain may still be opening. */
export function nextCacheHandler(chain: Chain | Promise<Chain>, options: NextCacheOptions = {}): NextCacheHandler {
  const opening = openCaches(chain, options)
  const setting = new Map<string, Promise<void>>()
  return {
    async get(cacheKey) {
      await setting.get(cacheKey)
      const caches = await opening
      const page = (await caches.pages.fetch(await shortKey('use', cacheKey))) as StoredPage | undefined
      if (!page || isAny(caches, page.tags, ({ expired }) => isPast(expired, page.timestamp))) return undefined
      const isStale = isAny(caches, page.tags, ({ stale }) => stale !== undefined && stale > page.timestamp)
      const { bytes, tags, stale, timestamp, expire } = page
      // Past its revalidation: it is served once more, and made anew.
      return {
        value: streamOf(bytes),
        tags: [...tags],
        stale,
        timestamp,
        expire,
        revalidate: isStale ? -1 : page.revalidate,
      }
    },
    async set(cacheKey, pendingEntry) {
      const done = keepPage(await shortKey('use', cacheKey), opening, pendingEntry)
      const told = done.catch(() => undefined)
      setting.set(cacheKey, told)
      await done.finally(() => {
        if (setting.get(cacheKey) === told) setting.delete(cacheKey)
      })
    },
    async refreshTags() {
      const { tags } = await opening
      await tags.ready
    },
    async getExpiration(tags) {
      const caches = await opening
      return Math.max(0, ...tags.map((tag) => caches.tags.get(tag)?.expired ?? 0))
    },
    updateTags: async (tags, durations) => markTags(await opening, tags, durations),
  }
}

/** The default export of the file of `cacheHandler`: Next.js makes one for each request. */
export function nextIncrementalHandler(
  chain: Chain | Promise<Chain>,
  options: NextCacheOptions = {},
): new (
  context?: unknown,
) => NextIncrementalHandler {
  const opening = openCaches(chain, options)
  return class implements NextIncrementalHandler {
    async get(cacheKey: string, { tags = [], softTags = [] }: GetContext = {}): Promise<NextHandlerValue | null> {
      const caches = await opening
      const found = (await caches.pages.fetch(await shortKey('isr', cacheKey))) as StoredValue | undefined
      if (!found) return null
      const all = [...found.tags, ...tags, ...softTags]
      if (isAny(caches, all, ({ expired }) => isPast(expired, found.lastModified))) return null
      const isStale = isAny(caches, all, ({ stale }) => stale !== undefined && stale > found.lastModified)
      return {
        // Next.js takes what is older than its time for one to be made anew.
        lastModified: isStale ? 1 : found.lastModified,
        value: revived(found.value),
        ...(found.cacheControl ? { cacheControl: { expire: undefined, ...found.cacheControl } } : {}),
      }
    }

    async set(cacheKey: string, data: object | null, { tags = [], cacheControl }: SetContext): Promise<void> {
      const { pages } = await opening
      const key = await shortKey('isr', cacheKey)
      if (data === null) {
        await pages.delete(key)
        return
      }
      const stored: StoredValue = {
        lastModified: Date.now(),
        value: plain(data),
        tags: [...tags, ...tagsOf(data)],
        ...(cacheControl ? { cacheControl } : {}),
      }
      await pages.set(key, stored)
    }

    revalidateTag = async (tags: string | string[], durations?: { expire?: number }): Promise<void> =>
      markTags(await opening, typeof tags === 'string' ? [tags] : tags, durations)

    resetRequestCache(): void {}
  }
}

interface StoredValue {
  readonly lastModified: number
  readonly value: unknown
  readonly tags: readonly string[]
  readonly cacheControl?: { readonly revalidate: number | false; readonly expire?: number | undefined }
}

async function openCaches(chain: Chain | Promise<Chain>, options: NextCacheOptions): Promise<Caches> {
  const { name = 'next', ...bounds } = options
  const open = await chain
  const pages = cache<unknown>(open, `${name}:pages`, bounds)
  const tags = cache<StoredTag>(open, `${name}:tags`, { max: TAGS_MAX, maxBytes: Number.MAX_SAFE_INTEGER })
  await Promise.all([pages.ready, tags.ready])
  return { pages, tags }
}

async function keepPage(key: string, opening: Promise<Caches>, pending: Promise<NextCacheEntry>): Promise<void> {
  const { value, tags, stale, timestamp, expire, revalidate } = await pending
  const bytes = await bytesOfStream(value)
  // What may not be used, or does not fit, is made anew each time.
  if (expire <= 0 || bytes === undefined) return
  const { pages } = await opening
  await pages.set(key, { bytes, tags, stale, timestamp, expire, revalidate }, ttlOf(expire * 1000))
}

async function markTags(
  { tags: cache }: Caches,
  tags: readonly string[],
  durations?: { expire?: number },
): Promise<void> {
  const now = Date.now()
  await cache.ready
  const marked = tags.map((tag): [string, StoredTag] => {
    const before = cache.get(tag) ?? {}
    if (!durations) return [tag, { ...before, expired: now }]
    const { expire } = durations
    return [tag, { ...before, stale: now, ...(expire === undefined ? {} : { expired: now + expire * 1000 }) }]
  })
  await cache.setMany(marked)
}

function isAny({ tags: cache }: Caches, tags: readonly string[], test: (tag: StoredTag) => boolean): boolean {
  return tags.some((tag) => {
    const found = cache.get(tag)
    return found !== undefined && test(found)
  })
}

/** It has expired by now, and what was made at `madeAt` is from before. */
function isPast(expired: number | undefined, madeAt: number): boolean {
  return expired !== undefined && expired > madeAt && expired <= Date.now()
}

/** Keys of Next.js may be kilobytes long. */
async function shortKey(kind: 'use' | 'isr', key: string): Promise<string> {
  const digest = await globalThis.crypto.subtle.digest('SHA-256', new TextEncoder().encode(key))
  return `${kind}:${Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}

/** Undefined if it is too long; it is read to its end all the same. */
async function bytesOfStream(stream: ReadableStream<Uint8Array>): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = stream.getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size <= PAGE_BYTES_MAX) chunks.push(value)
  }
  if (size > PAGE_BYTES_MAX) return undefined
  const bytes = new Uint8Array(size)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  return bytes
}

function streamOf(bytes: Uint8Array): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      if (bytes.length > 0) controller.enqueue(Uint8Array.from(bytes))
      controller.close()
    },
  })
}

/** Tags that a page carries in its headers, and a fetch in itself. */
function tagsOf(data: object): string[] {
  const { headers, tags } = data as { headers?: Record<string, unknown>; tags?: unknown }
  const header = headers?.[NEXT_TAGS_HEADER]
  const own = Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === 'string') : []
  return typeof header === 'string' && header !== '' ? [...own, ...header.split(',')] : own
}

const MAP = 'ate:map'

/** Maps become what can be stored. */
function plain(value: unknown): unknown {
  if (value instanceof Map) return { [MAP]: Array.from(value, ([key, item]) => [key, plain(item)]) }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || value instanceof Date) return value
  if (Array.isArray(value)) return value.map(plain)
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

/** And bytes the Buffers that Next.js takes. What it gets is its own. */
function revived(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (Array.isArray(value)) return value.map(revived)
  const entries = (value as Record<string, unknown>)[MAP]
  if (Array.isArray(entries)) return new Map(entries.map(([key, item]: [unknown, unknown]) => [key, revived(item)]))
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revived(item)]))
}
