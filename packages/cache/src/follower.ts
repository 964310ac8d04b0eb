/**
 * Brings what changes in the chain into the view. It is told which entities have changed and reads what they are now, so a
 * change that somebody else has overtaken is read once. The view sees to it that nothing older follows what is newer.
 */
import { AteError, type Chain, type Entity, type EntityId, type EntityType, isAteError } from '@ate/core'
import { EntryRecord, IN, keyOfName, PrefixRecord, SlotRecord, TagRecord } from './cache-records.ts'
import type { CacheEnvironment } from './environment.ts'
import { bytesOf } from './plain-values.ts'
import type { View, WrittenEntry } from './view.ts'

/** Changes that are taken in before others get their turn. */
const TURN = 256

export interface FollowerParts {
  readonly chain: Chain
  readonly node: EntityId
  readonly environment: CacheEnvironment
  readonly view: View
  /** A value as readers get it. @throws AteError BAD_VALUE */
  readonly parse: (value: unknown) => unknown
  readonly badValue: (key: string | undefined, error: unknown) => void
  /** Leases, locks or entries have changed: whoever waits looks again. */
  readonly changed: () => void
}

export class Follower {
  readonly #parts: FollowerParts
  readonly #stop = new AbortController()
  readonly #prefixes = new Map<string, string>()
  readonly #running: Promise<void>
  #busy = false
  #loaded = false
  /** Why it follows no more. */
  failure: unknown
  /** The chain is closed, or this follower is. */
  isEnded = false
  readonly loading: Promise<void>

  constructor(parts: FollowerParts) {
    this.#parts = parts
    const changes = parts.chain.watch({ parent: parts.node, signal: this.#stop.signal })
    this.loading = this.#load()
    // Told by who waits for `loading`.
    this.loading.catch(() => undefined)
    this.#running = this.#follow(changes)
  }

  /** Resolves when all that is acknowledged in this copy of the chain has been taken in. */
  async caughtUp(): Promise<void> {
    await this.loading
    do await this.#parts.environment.pause()
    while (this.#busy && !this.isEnded)
    if (this.failure !== undefined) throw this.failure
    if (this.isEnded) throw new AteError('CHAIN_CLOSED', { chain: this.#parts.chain.id })
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #load(): Promise<void> {
    const { chain, node, environment } = this.#parts
    for (const id of chain.children(TagRecord, node, IN.tags).ids()) await this.#takeTag(id)
    for (const id of chain.children(PrefixRecord, node, IN.prefixes).ids()) await this.#takePrefix(id, 'there')
    let count = 0
    for (const id of chain.children(EntryRecord, node, IN.entries).ids()) {
      await this.takeEntry(id)
      if (++count % TURN === 0) await environment.pause()
    }
    this.#loaded = true
  }

  async #follow(changes: ReturnType<Chain['watch']>): Promise<void> {
    const { environment, changed } = this.#parts
    try {
      let count = 0
      for (;;) {
        const { value: change } = await changes.next()
        if (!change) break
        this.#busy = true
        if (!this.#loaded) await this.loading
        await this.#take(change)
        changed()
        if (++count % TURN === 0) await environment.pause()
        this.#busy = false
      }
    } catch (error) {
      if (!this.#stop.signal.aborted && !isClosed(error)) this.failure = error
    } finally {
      this.#busy = false
      this.isEnded = true
      // What is followed no more is not shown any more.
      this.#parts.view.clear()
      changed()
    }
  }

  async #take({
    kind,
    type,
    id,
  }: {
    readonly kind: string
    readonly type: string
    readonly id: string
  }): Promise<void> {
    if (type === EntryRecord.name) return this.takeEntry(id)
    if (type === TagRecord.name) return this.#takeTag(id)
    if (type === PrefixRecord.name) return this.#takePrefix(id, kind === 'deleted' ? 'gone' : 'there')
    if (type === SlotRecord.name) this.#parts.changed()
  }

  async #takeTag(id: string): Promise<void> {
    const mark = await this.#read(TagRecord, id)
    if (mark?.name !== undefined) this.#parts.view.mark('tag', keyOfName(mark.name), mark.value.n)
  }

  async #takePrefix(id: string, is: 'there' | 'gone'): Promise<void> {
    const { view } = this.#parts
    const mark = await this.#read(PrefixRecord, id)
    if (mark?.name !== undefined) {
      const prefix = keyOfName(mark.name)
      this.#prefixes.set(id, prefix)
      view.mark('prefix', prefix, mark.value.n)
    } else if (is === 'gone') {
      const prefix = this.#prefixes.get(id)
      this.#prefixes.delete(id)
      if (prefix !== undefined) view.marks.dropPrefix(prefix)
    }
  }

  /** Reads what an entry is now. What is asked of the chain here is asked in one turn of the event loop, so it fits together. */
  async takeEntry(id: string): Promise<void> {
    const { chain, view } = this.#parts
    const version = chain.versionOf(id)
    if (!chain.has(id)) {
      view.voided.delete(id)
      view.remove(id, version)
      return
    }
    if ((view.byId(id)?.version ?? -1) >= version || (view.voided.get(id) ?? -1) >= version) return
    const seq = chain.seqOf(id)
    const entity = await this.#read(EntryRecord, id)
    // Written again meanwhile: that is told, and comes behind this.
    if (entity?.name !== undefined) this.#put({ key: keyOfName(entity.name), entity, version, seq })
    else view.remove(id, version)
  }

  async #read<T>(type: EntityType<T>, id: string): Promise<Entity<T> | undefined> {
    const { chain, badValue } = this.#parts
    try {
      return await chain.get(type, id)
    } catch (error) {
      if (isClosed(error)) throw error
      // What cannot be opened is not there: a cache can do without.
      badValue(undefined, error)
      return undefined
    }
  }

  #put(read: Omit<WrittenEntry, 'value' | 'bytes'>): void {
    const { view, parse, badValue } = this.#parts
    const { v } = read.entity.value
    try {
      view.put({ ...read, value: v === undefined ? undefined : parse(v), bytes: bytesOf(v) })
    } catch (error) {
      view.remove(read.entity.id, read.version)
      badValue(read.key, error)
    }
  }
}

function isClosed(error: unknown): boolean {
  return isAteError(error) && error.code === 'CHAIN_CLOSED'
}
