/**
 * What a cache stores, all below one named entity of the chain:
 *
 *   cache 'rates'                    named; the bounds
 *   ├── e: entry                     named by its key, so that a key has one entry and one version
 *   ├── g: generation                one child; counts invalidations
 *   ├── t: mark                      named by its tag: the generation in which it was invalidated last
 *   ├── p: mark                      named by its prefix, likewise
 *   ├── l: slot                      leases of loaders, those of some keys in one entity
 *   └── k: slot                      locks, likewise
 *
 * When an entry is over stands in its sealed value, in chain time: a put is one event, and a server learns no times. An
 * entry is void if one of its tags, or a prefix of its key, was invalidated in a later generation than its own, which is
 * the one that its author knew before he began to load: what was read before an invalidation never counts after it.
 *
 * Slots are a fixed number, because an entity that is deleted leaves a row in memory for good: keys come and go.
 */
import { defineType, type EntityType } from '@ate/core'

export const IN = {
  caches: 'cache',
  entries: 'e',
  generation: 'g',
  tags: 't',
  prefixes: 'p',
  leases: 'l',
  locks: 'k',
} as const

/** The bounds that somebody gave, the same for all who use it. */
export interface StoredCache {
  readonly max?: number
  readonly maxBytes?: number
}

/** One letter a field: there are many of them. Times are chain time in Unix ms, lengths ms. */
export interface StoredEntry {
  /** value; left out: a loader found nothing */
  readonly v?: unknown
  /** fresh until */
  readonly x?: number
  /** behind that: for so long it may be served while it is loaded again */
  readonly w?: number
  /** behind that: for so long it may be served if loading fails */
  readonly e?: number
  /** sliding: each use may move `x` on to this far from then */
  readonly s?: number
  /** tags */
  readonly t?: readonly string[]
  /** generation; 0 if left out */
  readonly g?: number
}

/** Of a tag or a prefix, whose text is the name of the entity. */
export interface StoredMark {
  /** The generation that it began. */
  readonly n: number
}

/** What is held, by whom, until when (chain time), under which fence. */
export type SlotRow = readonly [key: string, by: string, until: number, fence: number]

export interface StoredSlot {
  readonly rows: readonly SlotRow[]
}

// Who may write here may have written anything: what is not of these shapes is BAD_VALUE.
export const CacheRecord: EntityType<StoredCache> = defineType<StoredCache>('cache', { shape: isCache })
export const EntryRecord: EntityType<StoredEntry> = defineType<StoredEntry>('cache:entry', { shape: isEntry })
export const GenerationRecord: EntityType<number> = defineType<number>('cache:generation', { shape: isCount })
export const TagRecord: EntityType<StoredMark> = defineType<StoredMark>('cache:tag', { shape: isMark })
export const PrefixRecord: EntityType<StoredMark> = defineType<StoredMark>('cache:prefix', { shape: isMark })
export const SlotRecord: EntityType<StoredSlot> = defineType<StoredSlot>('cache:slot', { shape: isSlot })

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

function isCache(value: unknown): boolean {
  return isRecord(value) && [value['max'], value['maxBytes']].every((bound) => bound === undefined || isCount(bound))
}

function isEntry(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { x, w, e, s, t, g } = value
  return (
    (x === undefined || Number.isFinite(x)) &&
    (w === undefined || isLength(w)) &&
    (e === undefined || isLength(e)) &&
    (s === undefined || isLength(s)) &&
    (t === undefined || (Array.isArray(t) && t.every((tag) => typeof tag === 'string'))) &&
    (g === undefined || isCount(g))
  )
}

function isLength(value: unknown): boolean {
  return Number.isFinite(value) && (value as number) >= 0
}

function isMark(value: unknown): boolean {
  return isRecord(value) && isCount(value['n'])
}

function isSlot(value: unknown): boolean {
  return isRecord(value) && Array.isArray(value['rows']) && value['rows'].every(isRow)
}

function isRow(row: unknown): boolean {
  if (!Array.isArray(row)) return false
  const [key, by, until, fence] = row
  return typeof key === 'string' && typeof by === 'string' && Number.isFinite(until) && Number.isFinite(fence)
}

/** Keys, tags and prefixes are any text: what stands before them keeps them apart from reserved and empty names. */
export function nameOf(key: string): string {
  return `=${key}`
}

export function keyOfName(name: string | undefined): string {
  return (name ?? '=').slice(1)
}
