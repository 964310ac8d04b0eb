/**
 * A durable subscription. Members of one name take turns: one delivers, the others stand by, and take over when it closes
 * or its lease has run out while there is work.
 */
import { AteError, durationMs, isChainClosed } from '@ate/core'
import type { StoredSubscription } from './bus-records.ts'
import { checkSubscriptionName, endOfRecord, type Position, parsePattern } from './bus-rules.ts'
import type { BusContext } from './context.ts'
import { busError } from './errors.ts'
import type { AnyDelivery } from './event-types.ts'
import { Holder } from './holder.ts'
import { readPlaces, storedPositionBefore } from './log-reader.ts'
import { checkSubscribeOptions, type SubscribeOptions } from './subscribe-options.ts'
import { type CursorPlace, members, openCursor, readCursor, type SeenLease, takeHold } from './subscription-cursor.ts'

export interface Lag {
  /** Events that are not done. */
  readonly events: number
  /** Age of the oldest of them, in ms. */
  readonly ms: number
}

export interface Subscription extends AsyncDisposable {
  /** Resolves when the subscription is stored. */
  readonly ready: Promise<void>
  /**
   * Resolves when it is closed, or its chain is; rejects if it cannot go on: an unhandled rejection, if nobody looks at this
   * and nobody waits for `ready` or `drain()`, which tell of it too.
   */
  readonly done: Promise<void>
  lag(): Promise<Lag>
  /** Resolves when everything that is published by now is done; the subscription stays open. */
  drain(): Promise<void>
  close(): Promise<void>
}

const LEASE_MS = 10_000
const LEASE_MS_MIN = 100
const GRACE_MS = 5_000
const PREFETCH = 1024

interface Waiter {
  readonly target: Position
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class DurableSubscription implements Subscription {
  readonly done: Promise<void>
  readonly #context: BusContext
  readonly #name: string
  readonly #pattern: readonly string[]
  readonly #handler: (delivery: AnyDelivery) => unknown
  readonly #options: SubscribeOptions
  readonly #leaseMs: number
  readonly #id: string
  readonly #stopping = new AbortController()
  readonly #waiters = new Set<Waiter>()
  readonly #opened: Promise<CursorPlace>
  readonly #closed: Promise<void>
  #holder: Holder | undefined
  #floor: Position = -1
  #isOver = false
  /** Calls that tell of a failure when they end. */
  #telling = 0
  #hasTold = false
  /** Why it cannot go on. */
  #failure: { readonly error: unknown } | undefined
  /** Called when the stored cursor has changed. */
  #changed: (() => void) | undefined

  constructor(
    context: BusContext,
    subscription: { readonly name: string; readonly pattern: string },
    handler: (delivery: AnyDelivery) => unknown,
    options: SubscribeOptions,
    ended: () => void,
  ) {
    const { chain, environment } = context
    checkSubscriptionName(subscription.name)
    checkSubscribeOptions(options)
    if (typeof handler !== 'function')
      throw new AteError('BAD_ARGUMENT', { what: 'subscribe takes a function of an event' })
    this.#context = context
    this.#name = subscription.name
    this.#pattern = parsePattern(subscription.pattern)
    this.#handler = handler
    this.#options = options
    this.#leaseMs = Math.max(LEASE_MS_MIN, durationMs(options.lease ?? LEASE_MS, 0))
    this.#id = environment.uniqueId()
    members().add(this.#id)
    const head = chain.head.seq
    this.#opened = this.#open(subscription.pattern, head)
    this.#closed = this.#run()
      .catch((error) => {
        this.#failure = { error }
      })
      .then(() => this.#end(ended))
    // Nothing of this package waits for `done`: a failure that nobody looks at is an unhandled rejection, and so is heard.
    this.done = this.#closed.then(() => {
      if (this.#failure) throw this.#failure.error
    })
    options.signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (options.signal?.aborted) this.#onAbort()
  }

  /** A promise for each who asks: it tells of a failure, and `done` need not. */
  get ready(): Promise<void> {
    this.#telling++
    return this.#opened.then(() => {
      this.#telling--
    })
  }

  readonly #onAbort = (): void => {
    void this.close().catch(() => undefined)
  }

  async #open(pattern: string, head: number): Promise<CursorPlace> {
    const { chain, tree } = this.#context
    const { from = 'start', order = 'topic' } = this.#options
    const bus = await tree.bus()
    const start = (): Promise<Position> => storedPositionBefore(this.#context, from, { head, pattern: this.#pattern })
    const place = await openCursor(chain, bus, { name: this.#name, pattern, order, start })
    this.#progress((await readCursor(place)).floor)
    return place
  }

  async #run(): Promise<void> {
    try {
      await this.#follow(await this.#opened)
    } catch (error) {
      if (!isChainClosed(error)) throw error
    }
  }

  async #follow(place: CursorPlace): Promise<void> {
    const watching = Promise.all([this.#watch(place), this.#watchLetters(place)])
    // Whatever ends it, nothing goes on behind its back.
    const stop = (): void => {
      this.#stopping.abort()
      this.#changed?.()
    }
    watching.then(stop, stop)
    try {
      await this.#deliver(place)
    } finally {
      stop()
      await watching
    }
  }

  async #deliver(place: CursorPlace): Promise<void> {
    let isFirst = true
    while (!this.#isStopping) {
      const taken = await this.#take(place, isFirst ? 'now' : 'for work')
      isFirst = false
      if (!taken) return
      if (taken.halted) throw this.#haltedError(taken)
      this.#holder = this.#makeHolder(place, taken)
      this.#progress(taken.floor)
      // Closed while it was being taken.
      if (this.#isStopping) await this.#holder.stop(0)
      const end = await this.#holder.run().finally(() => {
        this.#holder = undefined
      })
      if (end === 'stopped') return
    }
  }

  #haltedError({ halted }: StoredSubscription): AteError {
    return busError('SUBSCRIPTION_HALTED', { subscription: this.#name, error: halted!.error })
  }

  #makeHolder(place: CursorPlace, taken: StoredSubscription): Holder {
    const {
      concurrency = 1,
      prefetch = PREFETCH,
      retry = {},
      onPoison = 'dead',
      timeout,
      order = 'topic',
    } = this.#options
    return new Holder(this.#context, place, taken, {
      pattern: this.#pattern,
      order,
      handler: this.#handler,
      concurrency,
      prefetch: Math.max(concurrency, prefetch),
      leaseMs: this.#leaseMs,
      timeoutMs: timeout === undefined ? undefined : durationMs(timeout, 0),
      retry,
      onPoison,
      progress: (floor) => this.#progress(floor),
    })
  }

  /** Waits until this member may deliver; undefined if it is closed before. */
  async #take(place: CursorPlace, when: 'now' | 'for work'): Promise<StoredSubscription | undefined> {
    const { environment } = this.#context
    let wait = when === 'for work'
    let seen: SeenLease | undefined
    let since = 0
    while (!this.#isStopping) {
      if (wait && !(await this.#awaitWork(place))) return undefined
      const unmoved = seen ? environment.monotonicMs() - since : 0
      const lapsed = unmoved >= this.#leaseMs ? seen : undefined
      const result = await takeHold(place, this.#id, { now: this.#context.now, leaseMs: this.#leaseMs, lapsed })
      if ('taken' in result) return result.taken
      if (seen?.fence !== result.seen.fence || seen.until !== result.seen.until) {
        seen = result.seen
        since = environment.monotonicMs()
      }
      wait = true
      await this.#sleep(this.#patience(seen.until))
    }
    return undefined
  }

  /** Ms until a lease is looked at again: no clock is so wrong that it is longer than a lease. */
  #patience(until: number): number {
    return Math.min(Math.max(1, until - this.#context.now), this.#leaseMs)
  }

  /** Resolves when there is something behind the cursor, and nobody took it up in a while. False if it is closed. */
  async #awaitWork(place: CursorPlace): Promise<boolean> {
    while (!this.#isStopping) {
      const { floor, done } = await readCursor(place)
      const found = await this.#firstBehind(floor, new Set(done))
      if (found === undefined) return false
      const { until, holder } = await readCursor(place)
      if (holder === '') return true
      await this.#sleep(Math.max(this.#leaseMs / 4, this.#patience(until)))
      const later = await readCursor(place)
      if (later.floor < found && !later.done.includes(found)) return true
    }
    return false
  }

  async #firstBehind(floor: Position, done: ReadonlySet<Position>): Promise<Position | undefined> {
    const { signal } = this.#stopping
    for await (const { position } of readPlaces(this.#context, { after: floor, pattern: this.#pattern, signal }))
      if (!done.has(position)) return position
    return undefined
  }

  /** At most `ms`: a change of the cursor ends it. */
  async #sleep(ms: number): Promise<void> {
    if (this.#isStopping) return
    await new Promise<void>((resolve) => {
      const cancel = this.#context.environment.timer(ms, resolve)
      this.#changed = () => {
        cancel()
        resolve()
      }
    })
    this.#changed = undefined
  }

  /** What others do to the cursor: they take it over, move it, or come further than this member knew. */
  async #watch(place: CursorPlace): Promise<void> {
    const { chain } = this.#context
    const { signal } = this.#stopping
    try {
      for await (const _ of chain.watch({ entity: place.id, signal })) {
        this.#changed?.()
        const holder = this.#holder
        if (holder && this.#waiters.size === 0 && !(await isTaken(place, holder.fence))) continue
        const { floor, fence, halted } = await readCursor(place)
        if (!this.#holder || this.#holder.fence < fence) this.#progress(floor)
        if (this.#holder && this.#holder.fence < fence) this.#holder.lost()
        if (halted)
          this.#rejectWaiters(busError('SUBSCRIPTION_HALTED', { subscription: this.#name, error: halted.error }))
      }
    } catch (error) {
      if (!signal.aborted && !isChainClosed(error)) throw error
    }
  }

  async #watchLetters(place: CursorPlace): Promise<void> {
    const { signal } = this.#stopping
    try {
      for await (const { kind } of this.#context.chain.watch({ parent: place.id, signal }))
        if (kind === 'created') this.#holder?.redeliver()
    } catch (error) {
      if (!signal.aborted && !isChainClosed(error)) throw error
    }
  }

  #progress(floor: Position): void {
    this.#floor = floor
    for (const waiter of this.#waiters) {
      if (floor < waiter.target) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  lag(): Promise<Lag> {
    return this.#tell(async () => lagOf(this.#context, await readCursor(await this.#opened), this.#pattern))
  }

  drain(): Promise<void> {
    const head = endOfRecord(this.#context.chain.head.seq)
    return this.#tell(async () => {
      const target = await this.#lastUpTo(head)
      if (target === undefined || this.#floor >= target) return
      if (this.#isOver) throw this.#whyOver
      await new Promise<void>((resolve, reject) => {
        this.#waiters.add({ target, resolve, reject })
      })
    })
  }

  /** The last one behind the cursor. */
  async #lastUpTo(head: Position): Promise<Position | undefined> {
    const { floor } = await readCursor(await this.#opened)
    const behind = { after: floor, pattern: this.#pattern, until: 'end' as const }
    let last: Position | undefined
    for await (const { position } of readPlaces(this.#context, behind)) {
      if (position > head) break
      last = position
    }
    return last
  }

  /** Whoever waits for this hears of a failure. */
  async #tell<T>(run: () => Promise<T>): Promise<T> {
    this.#telling++
    try {
      return await run()
    } finally {
      this.#telling--
    }
  }

  async close(): Promise<void> {
    if (!this.#stopping.signal.aborted) {
      this.#stopping.abort()
      this.#changed?.()
      await this.#holder?.stop(durationMs(this.#options.grace ?? GRACE_MS, 0))
    }
    await this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  get #isStopping(): boolean {
    return this.#stopping.signal.aborted
  }

  #end(ended: () => void): void {
    this.#isOver = true
    members().delete(this.#id)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    if (this.#telling > 0 || this.#hasTold) this.done.catch(() => undefined)
    this.#rejectWaiters(this.#whyOver)
    ended()
  }

  get #whyOver(): unknown {
    return this.#failure ? this.#failure.error : busError('BUS_CLOSED', { subscription: this.#name })
  }

  #rejectWaiters(error: unknown): void {
    if (this.#waiters.size > 0) this.#hasTold = true
    for (const { reject } of this.#waiters) reject(error)
    this.#waiters.clear()
  }
}

async function isTaken(place: CursorPlace, fence: number): Promise<boolean> {
  return (await readCursor(place)).fence > fence
}

/** Counts what is behind the cursor, by what stands in clear: no value is opened. */
export async function lagOf(context: BusContext, cursor: StoredSubscription, pattern: readonly string[]): Promise<Lag> {
  const done = new Set(cursor.done)
  let events = 0
  let oldest: number | undefined
  for await (const { position, event } of readPlaces(context, { after: cursor.floor, pattern, until: 'end' })) {
    if (done.has(position)) continue
    events++
    oldest ??= event.at
  }
  return { events, ms: oldest === undefined ? 0 : Math.max(0, context.now - oldest) }
}
