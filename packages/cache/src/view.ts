/**
 * The decoded entries of one cache, as this process knows them.
 *
 * - An entry is replaced by a higher version only, and what was removed lately comes back under a higher one only: what was
 *   seen is never followed by something older, in whatever order this process hears of changes.
 * - `until` answers most reads in one comparison: chain time up to which the value may be given without a second look.
 * - Values that `memory` has no room for are dropped, what is known of the entry stays.
 */

import type { Entity } from '@ate/core'
import type { StoredEntry } from './cache-records.ts'
import { type Bounds, endOf, Marks } from './cache-rules.ts'
import type { CacheChange } from './cache-types.ts'
import { type Linked, Recency } from './recency.ts'

/** What stands in an entry whose value is not in memory. */
export const DROPPED: unique symbol = Symbol('dropped')
/** Removals that are remembered: what is still on its way from before one of them comes within moments. */
const REMOVED_MAX = 10_000
/** What an entry takes in the chain beside its key and its value. */
const ENTRY_BYTES = 16
const NEVER = -1

export class ViewEntry implements Linked<ViewEntry> {
  readonly key: string
  readonly id: string
  /** Undefined while the value is not in memory: it holds it too. */
  entity: EntryEntity | undefined
  value: unknown
  version: number
  seq: number
  bytes: number
  stored: StoredEntry
  until: number
  newer: ViewEntry | undefined = undefined
  older: ViewEntry | undefined = undefined

  constructor(written: WrittenEntry) {
    this.key = written.key
    this.id = written.entity.id
    this.entity = written.entity
    this.value = written.value
    this.version = written.version
    this.seq = written.seq
    this.bytes = sizeOf(written)
    this.stored = written.entity.value
    this.until = untilOf(this)
  }

  get isNegative(): boolean {
    return this.value === undefined
  }
}

/** As it was read or written: `Entity` of the core, of which its id is made when it is asked for. */
export type EntryEntity = Entity<StoredEntry>

export interface WrittenEntry {
  readonly key: string
  readonly entity: EntryEntity
  readonly version: number
  readonly seq: number
  /** As readers get it; undefined if there is none. */
  readonly value: unknown
  /** Of the value. */
  readonly bytes: number
}

export type ViewListener = (change: CacheChange<unknown>) => void

export class View {
  readonly entries: Map<string, ViewEntry> = new Map()
  readonly marks: Marks = new Marks()
  readonly listeners: Set<ViewListener> = new Set()
  generation = 0
  /** Those with a value in memory, and those without. */
  readonly hot: Recency<ViewEntry> = new Recency()
  readonly cold: Recency<ViewEntry> = new Recency()
  bytes = 0
  hotBytes = 0
  /** Entries that were invalidated, and still stand in the chain: version by id. */
  readonly voided: Map<string, number> = new Map()
  memory: Bounds = { max: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY }
  readonly #byId = new Map<string, ViewEntry>()
  readonly #removed = new Map<string, number>()
  readonly #byTag = new Map<string, Set<ViewEntry>>()

  byId(id: string): ViewEntry | undefined {
    return this.#byId.get(id)
  }

  /** False if what is here is as new, or newer; or if it is void. */
  put(written: WrittenEntry): boolean {
    const { key, entity, version } = written
    const { t: tags, g: generation } = entity.value
    const known = this.entries.get(key)
    if (known ? known.version >= version : (this.#removed.get(entity.id) ?? 0) >= version) return false
    if (this.marks.isVoid(key, tags ?? [], generation ?? 0)) {
      this.remove(entity.id, version)
      this.voided.set(entity.id, version)
      return false
    }
    if (this.voided.size > 0) this.voided.delete(entity.id)
    if (known) this.#replace(known, written)
    else this.#add(new ViewEntry(written))
    this.#makeRoom()
    if (this.listeners.size > 0) this.#tell({ kind: 'set', key, value: written.value })
    return true
  }

  /** There is nothing any more, as of this version. False if there was nothing before, or what is here is newer. */
  remove(id: string, version: number): boolean {
    const entry = this.#byId.get(id)
    if (entry && entry.version > version) return false
    this.#remember(id, version)
    if (!entry) return false
    const { key } = entry
    this.entries.delete(key)
    this.#byId.delete(id)
    this.#leaveTags(entry)
    this.#leaveList(entry)
    this.bytes -= entry.bytes
    // Whoever still holds it must not take it for one that counts.
    entry.until = NEVER
    if (this.listeners.size > 0) this.#tell({ kind: 'delete', key, value: undefined })
    return true
  }

  /** Gives a value back that was dropped, if it is still the one of the entry. */
  restore(key: string, version: number, value: unknown): void {
    const entry = this.entries.get(key)
    if (!entry || entry.version !== version || entry.value !== DROPPED) return
    this.#leaveList(entry)
    entry.value = value
    entry.until = untilOf(entry)
    this.#enterHot(entry)
    this.#makeRoom()
  }

  /** A tag or a prefix was invalidated. */
  mark(kind: 'tag' | 'prefix', of: string, generation: number): void {
    this.generation = Math.max(this.generation, generation)
    const doomed: ViewEntry[] = []
    if (kind === 'tag') {
      if ((this.marks.tags.get(of) ?? 0) >= generation) return
      this.marks.tags.set(of, generation)
      for (const entry of this.#byTag.get(of) ?? []) if ((entry.stored.g ?? 0) < generation) doomed.push(entry)
    } else {
      this.marks.setPrefix(of, generation)
      for (const entry of this.entries.values())
        if (entry.key.startsWith(of) && (entry.stored.g ?? 0) < generation) doomed.push(entry)
    }
    for (const { id, version } of doomed) {
      this.remove(id, version)
      this.voided.set(id, version)
    }
  }

  /** Nobody reads it any more, also who still holds an entry of it. */
  clear(): void {
    for (const entry of this.entries.values()) entry.until = NEVER
    this.entries.clear()
    this.hot.clear()
    this.cold.clear()
    this.bytes = 0
    this.hotBytes = 0
    this.#byId.clear()
    this.#byTag.clear()
    this.#removed.clear()
    this.voided.clear()
  }

  #add(entry: ViewEntry): void {
    this.entries.set(entry.key, entry)
    this.#byId.set(entry.id, entry)
    this.#enterTags(entry)
    this.#enterHot(entry)
    this.bytes += entry.bytes
  }

  #replace(entry: ViewEntry, written: WrittenEntry): void {
    this.#leaveList(entry)
    this.#leaveTags(entry)
    this.bytes -= entry.bytes
    entry.entity = written.entity
    entry.value = written.value
    entry.version = written.version
    entry.seq = written.seq
    entry.bytes = sizeOf(written)
    entry.stored = written.entity.value
    entry.until = untilOf(entry)
    this.bytes += entry.bytes
    this.#enterTags(entry)
    this.#enterHot(entry)
  }

  #remember(id: string, version: number): void {
    const known = this.#removed.get(id)
    if (known !== undefined && known >= version) return
    this.#removed.delete(id)
    this.#removed.set(id, version)
    if (this.#removed.size <= REMOVED_MAX) return
    for (const oldest of this.#removed.keys()) {
      this.#removed.delete(oldest)
      return
    }
  }

  #enterHot(entry: ViewEntry): void {
    this.hot.addNewest(entry)
    this.hotBytes += entry.bytes
  }

  #leaveList(entry: ViewEntry): void {
    if (entry.value === DROPPED) {
      this.cold.remove(entry)
      return
    }
    this.hot.remove(entry)
    this.hotBytes -= entry.bytes
  }

  #makeRoom(): void {
    const { max, maxBytes } = this.memory
    while (this.hot.size > max || this.hotBytes > maxBytes) {
      const entry = this.hot.oldest
      if (!entry) return
      this.#leaveList(entry)
      entry.value = DROPPED
      entry.entity = undefined
      entry.stored = timesOf(entry.stored)
      entry.until = NEVER
      this.cold.addNewest(entry)
    }
  }

  #enterTags(entry: ViewEntry): void {
    for (const tag of entry.stored.t ?? []) {
      let tagged = this.#byTag.get(tag)
      if (!tagged) {
        tagged = new Set()
        this.#byTag.set(tag, tagged)
      }
      tagged.add(entry)
    }
  }

  #leaveTags(entry: ViewEntry): void {
    for (const tag of entry.stored.t ?? []) {
      const tagged = this.#byTag.get(tag)
      if (tagged?.delete(entry) && tagged.size === 0) this.#byTag.delete(tag)
    }
  }

  #tell(change: CacheChange<unknown>): void {
    for (const listener of this.listeners) listener(change)
  }
}

/** Everything but the value. */
function timesOf({ v: _, ...times }: StoredEntry): StoredEntry {
  return times
}

function sizeOf({ key, bytes }: WrittenEntry): number {
  return key.length + bytes + ENTRY_BYTES
}

/** What needs a second look (nothing found, a sliding end) is never answered at once. */
function untilOf({ value, stored }: ViewEntry): number {
  if (value === undefined || value === DROPPED || stored.s !== undefined) return NEVER
  return stored.x ?? Number.POSITIVE_INFINITY
}

/** True if nobody may be given it in any way. */
export function isOver(entry: ViewEntry, now: number): boolean {
  return now >= endOf(entry.stored)
}
