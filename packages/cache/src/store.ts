/**
 * What the handles of one cache on one chain share: its place in the chain, the view, and what keeps it up. So calls of one
 * process meet here, whichever handle they come by.
 */
import {
  AteError,
  type Chain,
  type EntityId,
  isAteError,
  type ReadOptions,
  type StandardSchema,
  validated,
} from '@ate/core'
import { CacheRecord, EntryRecord, IN, nameOf, type StoredCache } from './cache-records.ts'
import { type Bounds, type BoundsOptions, boundsOf, checkBounds, isFreshAt, mergedBounds } from './cache-rules.ts'
import type { CacheObservation, CacheOptions } from './cache-types.ts'
import type { CacheEnvironment } from './environment.ts'
import { Follower } from './follower.ts'
import { Gathering } from './gathering.ts'
import { Loading } from './loading.ts'
import { Pending } from './pending.ts'
import { Slots } from './slots.ts'
import { Counts } from './stats.ts'
import { Upkeep } from './upkeep.ts'
import { DROPPED, View, type ViewEntry, type WrittenEntry } from './view.ts'

/** Reads that share a look at the clock, which costs as much as the read: within a millisecond, and however long it blocks. */
const READS_A_LOOK = 256

export interface StoreParts {
  readonly chain: Chain
  readonly name: string
  readonly schema: StandardSchema | undefined
  readonly options: CacheOptions
  readonly environment: CacheEnvironment
}

export class Store {
  readonly chain: Chain
  readonly name: string
  readonly environment: CacheEnvironment
  readonly view: View = new View()
  readonly counts: Counts = new Counts()
  readonly loading: Loading
  readonly pending: Pending
  readonly gathering: Gathering = new Gathering(this)
  readonly slots: { readonly leases: Slots; readonly locks: Slots }
  readonly upkeep: Upkeep
  readonly opening: Promise<void>
  readonly closing: AbortController = new AbortController()
  readonly #parts: StoreParts
  readonly #changed = new Set<() => void>()
  readonly #placed: Promise<EntityId>
  readonly #given: BoundsOptions
  #follower: Follower | undefined
  #node: EntityId | undefined
  #stored: StoredCache = {}
  #bounds: Bounds = boundsOf({})
  #handles = 0
  #readTime = 0
  /** Reads that go by it yet, until the timer ends it. */
  #timeReads = 0
  #timeOver: { cancel(): void } | undefined
  #isReady = false

  constructor(parts: StoreParts) {
    const { chain, name, environment, options } = parts
    this.chain = chain
    this.name = name
    this.environment = environment
    this.#parts = parts
    const memory = checkBounds(options.memory ?? {})
    this.view.memory = { max: Number.POSITIVE_INFINITY, maxBytes: Number.POSITIVE_INFINITY, ...memory }
    this.pending = new Pending(() => environment.monotonic())
    this.loading = new Loading(this)
    this.slots = { leases: new Slots(this, IN.leases), locks: new Slots(this, IN.locks) }
    this.upkeep = new Upkeep(this)
    this.#given = checkBounds(options)
    this.#placed = this.#open(this.#given)
    this.#placed.catch(() => undefined)
    this.opening = this.#placed.then(() => this.#begin())
    // Told by `ready`, and by every call that needs it.
    this.opening.catch(() => undefined)
  }

  get now(): number {
    return this.environment.now(this.chain)
  }

  /** Chain time for reads: where they come close together, some of them share one look at the clock. */
  get readTime(): number {
    if (this.#timeReads > 0) {
      this.#timeReads--
      return this.#readTime
    }
    return this.#lookAtClock()
  }

  #lookAtClock(): number {
    const { now } = this
    if (now - this.#readTime < 1 && !this.isClosed) {
      this.#timeReads = READS_A_LOOK
      this.#timeOver ??= this.environment.start(1, this.#endTime, 'lets go')
    }
    this.#readTime = now
    return now
  }

  readonly #endTime = (): void => {
    this.#timeOver = undefined
    this.#timeReads = 0
  }

  get bounds(): Bounds {
    return this.#bounds
  }

  /** The newest record that this copy of the chain has; see `sync`. */
  get seq(): number {
    return this.chain.head.seq
  }

  get isClosed(): boolean {
    return this.closing.signal.aborted || this.#follower?.isEnded === true
  }

  /** Resolves when all that was there is here. @throws AteError CHAIN_CLOSED and what opening threw */
  async open(): Promise<EntityId> {
    this.assertOpen()
    if (!this.#isReady) await this.opening
    this.assertOpen()
    return this.#node!
  }

  /** Once it is open, at once. */
  get node(): EntityId | undefined {
    return this.#node
  }

  assertOpen(): void {
    if (this.isClosed)
      throw new AteError('CHAIN_CLOSED', { cache: this.name }, { hint: 'the cache or its chain is closed' })
  }

  /** A value as readers get it, of a frozen copy. @throws AteError BAD_VALUE */
  readonly parse = (value: unknown): unknown => {
    const { schema, name } = this.#parts
    return schema === undefined ? value : validated(schema, value, `cache ${name}`)
  }

  /** Of this process's own write, once it is acknowledged. The follower brings all others. */
  applyWritten(written: WrittenEntry): void {
    this.view.put(written)
    this.upkeep.written()
  }

  /** Resolves with the next change of anything, or when the store closes. */
  change(): { readonly happened: Promise<void>; readonly leave: () => void } {
    let tell: () => void = () => undefined
    const happened = new Promise<void>((resolve) => {
      tell = resolve
    })
    if (this.isClosed) tell()
    this.#changed.add(tell)
    return { happened, leave: () => void this.#changed.delete(tell) }
  }

  changed(): void {
    const waiting = [...this.#changed]
    this.#changed.clear()
    for (const tell of waiting) tell()
  }

  async caughtUp(): Promise<void> {
    await this.open()
    await this.#follower!.caughtUp()
    this.pending.settle()
  }

  /**
   * The fresh value of a key as this copy of the chain has it. It takes its room in memory again, so that nobody who reads behind
   * this reads anything older.
   */
  async fetchValue(key: string, signal?: AbortSignal): Promise<{ readonly value: unknown } | undefined> {
    this.assertOpen()
    const parent = this.#node ?? (await this.#placed)
    const { chain, view } = this
    const options = signal ? { signal } : {}
    const known = view.entries.get(key)
    const named = (): Promise<{ readonly id: string } | undefined> =>
      unlessBad(chain.named(EntryRecord, nameOf(key), { parent, in: IN.entries, ...options }))
    const id = known?.id ?? (await named())?.id
    if (id === undefined) return undefined
    await this.#follower!.takeEntry(id)
    const entry = view.entries.get(key)
    if (!entry || !isFreshAt(entry.stored, this.now)) return undefined
    return entry.value === DROPPED ? this.#readDropped(entry, options) : { value: entry.value }
  }

  async #readDropped(entry: ViewEntry, options: ReadOptions): Promise<{ readonly value: unknown } | undefined> {
    // In one turn of the event loop: what is read is of this version.
    const version = this.chain.versionOf(entry.id)
    const entity = await this.chain.get(EntryRecord, entry.id, options)
    if (!entity || entity.value.v === undefined) return undefined
    const value = this.parse(entity.value.v)
    this.view.restore(entry.key, version, value)
    return { value }
  }

  observe(observation: Omit<CacheObservation, 'cache'>): void {
    const { observe } = this.#parts.options
    // A later turn: what an observer throws reaches nobody who reads or writes.
    if (observe) queueMicrotask(() => observe({ ...observation, cache: this.name }))
  }

  async configure(bounds: BoundsOptions): Promise<void> {
    const changes = checkBounds(bounds)
    const node = await this.open()
    const { value } = await this.chain.transact((tx) =>
      tx.update(CacheRecord, node, (stored) => ({ ...stored, ...changes })),
    )
    this.#setBounds(value)
    this.upkeep.written()
  }

  /** One more handle. @throws AteError CACHE_MISMATCH if it wants other bounds than those that hold */
  retain(wanted: BoundsOptions): void {
    // Before it is open, those of the first handle are what is known.
    mergedBounds(this.name, { ...this.#given, ...this.#stored }, wanted)
    this.#handles++
  }

  /** The last handle closes it. */
  async release(): Promise<void> {
    if (--this.#handles > 0) return
    forget(this)
    this.closing.abort(new AteError('CHAIN_CLOSED', { cache: this.name }, { hint: 'the cache is closed' }))
    await this.opening.catch(() => undefined)
    await this.upkeep.close()
    this.#timeOver?.cancel()
    await this.#follower?.close()
    this.changed()
  }

  async #open(given: BoundsOptions): Promise<EntityId> {
    const { chain, environment, view } = this
    const { id, stored } = await this.#place(given)
    this.#setBounds(stored)
    if (this.closing.signal.aborted) return id
    this.#follower = new Follower({
      chain,
      node: id,
      environment,
      view,
      parse: this.parse,
      badValue: (key, error) => {
        this.counts.badValues++
        this.observe({ kind: 'bad value', ...(key === undefined ? {} : { key }), error })
      },
      changed: () => this.changed(),
    })
    this.#node = id
    return id
  }

  async #begin(): Promise<void> {
    await this.#follower?.loading
    this.#isReady = true
    this.upkeep.start()
  }

  #setBounds(stored: StoredCache): void {
    this.#stored = stored
    this.#bounds = boundsOf(stored)
  }

  /** @throws AteError CACHE_MISMATCH */
  async #place(given: BoundsOptions): Promise<{ readonly id: EntityId; readonly stored: StoredCache }> {
    const { chain, name } = this
    const there = await chain.named(CacheRecord, name, { in: IN.caches })
    if (there) {
      const stored = mergedBounds(name, there.value, given)
      if (Object.keys(stored).length === Object.keys(there.value).length) return { id: there.id, stored }
      // Who may only read goes by them himself.
      return this.#storeBounds(given).catch((error) => {
        if (!READS_ONLY.has(codeOf(error))) throw error
        return { id: there.id, stored }
      })
    }
    return this.#storeBounds(given)
  }

  #storeBounds(given: BoundsOptions): Promise<{ readonly id: EntityId; readonly stored: StoredCache }> {
    const { chain, name } = this
    const { access = {} } = this.#parts.options
    return chain.transact(async (tx) => {
      const found = await tx.named(CacheRecord, name, { in: IN.caches })
      if (!found) return { id: tx.create(CacheRecord, given, { ...access, in: IN.caches, name }).id, stored: given }
      const stored = mergedBounds(name, found.value, given)
      await tx.update(CacheRecord, found.id, () => stored)
      return { id: found.id, stored }
    })
  }
}

const READS_ONLY: ReadonlySet<string> = new Set(['READ_ONLY', 'NOT_AUTHORIZED'])

/** By chain, then by name: a schema decides what readers get, so each has its own. */
const stores = new WeakMap<Chain, Map<string, Store[]>>()

export function storeOf(parts: StoreParts): Store {
  const ofChain = stores.get(parts.chain) ?? new Map<string, Store[]>()
  stores.set(parts.chain, ofChain)
  const named = ofChain.get(parts.name) ?? []
  ofChain.set(parts.name, named)
  let store = named.find((one) => schemaOf.get(one) === parts.schema && !one.isClosed)
  if (!store) {
    store = new Store(parts)
    schemaOf.set(store, parts.schema)
    named.push(store)
  }
  store.retain(checkBounds(parts.options))
  return store
}

const schemaOf = new WeakMap<Store, StandardSchema | undefined>()

function forget(store: Store): void {
  const ofChain = stores.get(store.chain)
  const left = ofChain?.get(store.name)?.filter((one) => one !== store) ?? []
  if (left.length > 0) ofChain?.set(store.name, left)
  else ofChain?.delete(store.name)
}

export function codeOf(error: unknown): string {
  return isAteError(error) ? error.code : ''
}

/** What is no value of its type is as what is not there: a cache can do without. */
export async function unlessBad<T>(reading: Promise<T | undefined>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (codeOf(error) === 'BAD_VALUE') return undefined
    throw error
  }
}
