/**
 * What nobody asks for: crowds out the least recently used, drops what is over, moves sliding ends. One commit at a time; each
 * entity is deleted only as it was when that was decided.
 */
import type { Transaction } from '@ate/core'
import { codeOf, type Store } from './store.ts'
import { isOver, type ViewEntry } from './view.ts'
import { touch } from './writing.ts'

/** How often some entries are looked at, in ms, and how many. More at once if a quarter of them was over. */
const LOOK_MS = 1000
const LOOK_ENTRIES = 500
/** Deletions of one transaction. */
const BATCH = 1000
/** Part of the bound that is freed beyond it at once, so that a full cache does not delete with every set. */
const SLACK = 1 / 128
/** How far writers may be ahead of it before they wait: part of the bound, and never fewer. */
const AHEAD = 1 / 8
const AHEAD_MIN = 1000
/** Processes look at different times: what one has dropped the others need not. */
const SPREAD_MS = 2000
/** Of a sliding end that is left, below which a use moves it on. */
const SLIDE_BELOW = 3 / 4

interface Doomed {
  readonly id: string
  readonly key: string | undefined
  readonly version: number
}

export class Upkeep {
  readonly #store: Store
  readonly #touching = new Set<string>()
  #timer: { cancel(): void } | undefined
  #running: Promise<void> | undefined
  #entries: IterableIterator<ViewEntry> | undefined
  #isOver = false

  constructor(store: Store) {
    this.#store = store
  }

  start(): void {
    if (this.#isOver) return
    this.written()
    if (this.#store.view.voided.size > 0) this.voided()
    this.#plan()
  }

  async close(): Promise<void> {
    this.#isOver = true
    this.#timer?.cancel()
    await this.#running
  }

  /** There may be more than there may be. */
  written(): void {
    if (this.#excess().length > 0) this.#run()
  }

  /** This process has invalidated something. */
  voided(): void {
    this.#run()
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    while (this.#running && this.#isFarOver()) await this.#running
  }

  /** A sliding end moves on with use. */
  used(entry: ViewEntry): void {
    const { s, x } = entry.stored
    if (s === undefined || x === undefined || x - this.#store.now > s * SLIDE_BELOW) return
    const { key } = entry
    if (this.#touching.has(key) || this.#isOver) return
    this.#touching.add(key)
    touch(this.#store, key, undefined, undefined)
      .catch((error) => this.#failed(error, key))
      .finally(() => this.#touching.delete(key))
  }

  #isFarOver(): boolean {
    const { view, bounds } = this.#store
    return (
      view.entries.size > bounds.max + Math.max(AHEAD_MIN, bounds.max * AHEAD) ||
      view.bytes > bounds.maxBytes * (1 + AHEAD) + AHEAD_MIN
    )
  }

  /** The least recently used beyond the bounds, and a few more; at most a batch. */
  #excess(): Doomed[] {
    const { view, bounds } = this.#store
    if (view.entries.size <= bounds.max && view.bytes <= bounds.maxBytes) return []
    const { max, maxBytes } = { max: bounds.max * (1 - SLACK), maxBytes: bounds.maxBytes * (1 - SLACK) }
    const doomed: Doomed[] = []
    let { bytes } = view
    let count = view.entries.size
    let entry = view.cold.oldest
    let isCold = true
    while (doomed.length < BATCH && (count > Math.max(1, Math.ceil(max)) || bytes > maxBytes)) {
      if (!entry && isCold) {
        isCold = false
        entry = view.hot.oldest
      }
      if (!entry) break
      doomed.push(asIs(entry))
      count--
      bytes -= entry.bytes
      entry = entry.newer
    }
    return doomed
  }

  #run(): void {
    if (this.#isOver) return
    this.#running ??= this.#work()
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#running = undefined
      })
  }

  async #work(): Promise<void> {
    const { counts, view } = this.#store
    // What is written in this turn is looked at together.
    await this.#store.environment.pause()
    for (let doomed = this.#excess(); doomed.length > 0 && !this.#isOver; doomed = this.#excess()) {
      counts.evicted += await this.#drop(doomed)
    }
    while (view.voided.size > 0 && !this.#isOver) {
      const doomed: Doomed[] = []
      for (const [id, version] of view.voided) {
        doomed.push({ id, key: undefined, version })
        if (doomed.length === BATCH) break
      }
      await this.#drop(doomed)
      for (const { id, version } of doomed) if (view.voided.get(id) === version) view.voided.delete(id)
    }
  }

  /** Those that nobody has written since; their number. */
  async #drop(doomed: readonly Doomed[]): Promise<number> {
    const { chain, view } = this.#store
    const dropped = await chain.transact((tx) => stageDrop(tx, doomed))
    for (const { id, version } of dropped) view.remove(id, version + 1)
    // Those that somebody else was faster with are gone here with the next change; they must not be chosen again.
    if (dropped.length < doomed.length) await this.#store.caughtUp()
    return dropped.length
  }

  #plan(): void {
    if (this.#isOver) return
    const { environment } = this.#store
    const delay = LOOK_MS + environment.random() * SPREAD_MS
    this.#timer = environment.start(delay, () => void this.#look().finally(() => this.#plan()), 'lets go')
  }

  async #look(): Promise<void> {
    const { view, counts, now } = this.#store
    // What others have brought over the bound, if they are gone.
    this.written()
    for (;;) {
      const over: Doomed[] = []
      let looked = 0
      this.#entries ??= view.entries.values()
      for (; looked < LOOK_ENTRIES; looked++) {
        const { value: entry, done } = this.#entries.next()
        if (done) {
          this.#entries = undefined
          break
        }
        if (isOver(entry, now)) over.push(asIs(entry))
      }
      if (over.length === 0 || this.#isOver) return
      try {
        counts.expired += await this.#drop(over)
      } catch (error) {
        return this.#failed(error)
      }
      if (over.length < looked / 4) return
    }
  }

  #failed(error: unknown, key?: string): void {
    const code = codeOf(error)
    if (code === 'CHAIN_CLOSED' || this.#isOver) return
    // A reader keeps his view, and leaves the chain to those who write.
    if (code === 'READ_ONLY' || code === 'NOT_AUTHORIZED') this.#isOver = true
    this.#store.observe({ kind: 'upkeep failed', ...(key === undefined ? {} : { key }), error })
  }
}

/** A copy: the entry goes on with what is written meanwhile. */
function asIs({ id, key, version }: ViewEntry): Doomed {
  return { id, key, version }
}

function stageDrop(tx: Transaction, doomed: readonly Doomed[]): Doomed[] {
  const dropped: Doomed[] = []
  for (const one of doomed) {
    if (tx.versionOf(one.id) !== one.version) continue
    tx.guard.version(one.id, one.version)
    tx.delete(one.id)
    dropped.push(one)
  }
  return dropped
}
