/**
 * Commits what handlers have done: the cursor with all effects in one transaction under the fence, one after the other.
 * What returns while one is on its way goes into the next.
 */
import { type Effect, isAteError, isChainClosed, type Transaction } from '@ate/core'
import { IN, LetterType } from './bus-records.ts'
import type { BusContext } from './context.ts'
import type { Delivery } from './delivery.ts'
import type { AnyEvent } from './event-types.ts'
import type { Lease } from './lease.ts'
import type { StoredPlace } from './log-reader.ts'
import { type CursorPlace, type Hold, writeCursor } from './subscription-cursor.ts'
import type { Entry, Window } from './window.ts'

/** What a holder knows of an event. */
export interface Work {
  readonly place: StoredPlace
  readonly event: AnyEvent | undefined
  delivery: Delivery | undefined
  effects: readonly Effect[]
  /** Of an event that failed for good, or cannot be opened. */
  poison: string | undefined
  /** Takes back the timer of a pause or of a time limit. */
  cancel: (() => void) | undefined
}

export interface CommitterParts {
  readonly context: BusContext
  readonly place: CursorPlace
  readonly hold: Hold
  readonly window: Window<Work>
  readonly lease: Lease
  readonly isOver: () => boolean
  /** The effects of this event cannot be committed. */
  readonly entryFailed: (entry: Entry<Work>, error: unknown) => void
  /** Told after each commit. */
  readonly committed: () => void
  /** Nothing can be committed any more. */
  readonly failed: (error: unknown) => void
}

/** Events of one transaction of the cursor: with their effects it must fit into a commit, else it is halved. */
const COMMIT_EVENTS = 4096
/** Not the event's fault: the subscription stops, and nothing is counted against the event. */
const FATAL: ReadonlySet<string> = new Set([
  'CERT_ENDED',
  'DISK_FULL',
  'IO_ERROR',
  'KEY_REMOVED',
  'LEASE_LOST',
  'READ_ONLY',
  'TOO_MANY_FILES',
  'WRITER_FENCED',
  'WRITER_POISONED',
])

export function isFatal(error: unknown): boolean {
  return isChainClosed(error) || (isAteError(error) && FATAL.has(error.code))
}

export class Committer {
  readonly #parts: CommitterParts
  #running: Promise<void> | undefined
  #triesChanged = false

  constructor(parts: CommitterParts) {
    this.#parts = parts
  }

  /** The commits that are on their way. */
  get running(): Promise<void> | undefined {
    return this.#running
  }

  /** Failed tries are part of the cursor. */
  triesChanged(): void {
    this.#triesChanged = true
    this.soon()
  }

  soon(): void {
    if (this.#running === undefined && this.#hasWork) this.#running = this.#commitAll()
  }

  get #hasWork(): boolean {
    return !this.#parts.isOver() && (this.#parts.window.hasReturned || this.#triesChanged)
  }

  async #commitAll(): Promise<void> {
    const { context, window, isOver, committed } = this.#parts
    try {
      while (this.#hasWork) {
        // What is ready to run does, and goes along.
        await context.environment.turn()
        if (isOver()) return
        this.#triesChanged = false
        await this.#commit(window.committable(COMMIT_EVENTS))
        committed()
      }
    } finally {
      // Not a turn after the last look at the window: what returns between the two would wait for the next event.
      this.#running = undefined
    }
  }

  async #commit(entries: readonly Entry<Work>[]): Promise<void> {
    const { context, place, window, lease } = this.#parts
    const since = context.observing.start()
    try {
      lease.moved(await context.chain.transact((tx) => this.#stage(tx, entries)))
    } catch (error) {
      await this.#commitFailed(entries, error)
      return
    }
    window.committed(entries)
    context.observing.tell('settle', { subscription: place.name, count: entries.length, since })
  }

  async #stage(tx: Transaction, entries: readonly Entry<Work>[]): Promise<number> {
    const { place, hold, window, lease } = this.#parts
    const until = lease.next
    const { floor, done } = window.after(entries)
    const committing = new Set(entries.map(({ position }) => position))
    const tries = window.tries().filter(([position]) => !committing.has(position))
    // The fence first: the effects of a holder that is none any more are not even run.
    await writeCursor(tx, place, hold, (value) => ({ ...value, floor, done, tries, until }))
    for (const { work, position, tries: count } of entries) {
      if (work.poison !== undefined) {
        const letter = { at: position, topic: work.place.topic, error: work.poison, tries: count }
        tx.create(LetterType, letter, { parent: place.id, in: IN.dead })
      }
      for (const effect of work.effects) await effect(tx)
    }
    return until
  }

  /** Finds the event whose effects cannot be committed, by halves; the others are committed. So is what is too much at once. */
  async #commitFailed(entries: readonly Entry<Work>[], error: unknown): Promise<void> {
    const { entryFailed, failed, isOver } = this.#parts
    const hasEffects = entries.some(({ work }) => work.effects.length > 0)
    // Of many letters each fits, and all of them do not.
    const isTooMuch = entries.length > 1 && isAteError(error) && error.code === 'TX_TOO_LARGE'
    if ((!hasEffects && !isTooMuch) || isFatal(error)) {
      failed(error)
      return
    }
    if (entries.length === 1) {
      entryFailed(entries[0]!, error)
      return
    }
    const half = Math.ceil(entries.length / 2)
    await this.#commit(entries.slice(0, half))
    const rest = entries.slice(half).filter(({ state }) => state === 'returned')
    if (!isOver() && rest.length > 0) await this.#commit(rest)
  }
}
