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

export const CacheRecord: EntityType<StoredCache> = defineType<StoredCache>('cache')
export const EntryRecord: EntityType<StoredEntry> = defineType<StoredEntry>('cache:entry')
export const GenerationRecord: EntityType<number> = defineType<number>('cache:generation')
export const TagRecord: EntityType<StoredMark> = defineType<StoredMark>('cache:tag')
export const PrefixRecord: EntityType<StoredMark> = defineType<StoredMark>('cache:prefix')
export const SlotRecord: EntityType<StoredSlot> = defineType<StoredSlot>('cache:slot')

/** Keys, tags and prefixes are any text: what stands before them keeps them apart from reserved and empty names. */
export function nameOf(key: string): string {
  return `=${key}`
}

export function keyOfName(name: string | undefined): string {
  return (name ?? '=').slice(1)
}
