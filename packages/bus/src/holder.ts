/**
 * Delivers the events of a subscription while this member holds it. Handlers run as events come, at most `concurrency` at
 * a time; whatever has returned while a commit is on its way goes into the next one: the cursor, with all effects, in one
 * transaction under the fence. So a holder that has lost the subscription commits nothing.
 */
import { AteError, isAteError, isChainClosed } from '@ate/core'
import type { Order, StoredSubscription } from './bus-records.ts'
import { type Position, type RetryOptions, retryIn } from './bus-rules.ts'
import { Committer, isFatal, type Work } from './committer.ts'
import { type BusContext, openEvent } from './context.ts'
import { Delivery } from './delivery.ts'
import { describe } from './describe.ts'
import { busError } from './errors.ts'
import type { AnyDelivery, AnyEvent } from './event-types.ts'
import { Lease } from './lease.ts'
import { redeliver } from './letters.ts'
import { readPlaceBatches, type StoredPlace } from './log-reader.ts'
import { type CursorPlace, type Hold, writeCursor } from './subscription-cursor.ts'
import { Entry, Window } from './window.ts'

/** What stopping waits, behind its grace, for what is to be written. Without a connection that would be for ever. */
const SETTLE_MS = 5000

export interface HolderOptions {
  readonly pattern: readonly string[]
  readonly order: Order
  readonly handler: (delivery: AnyDelivery) => unknown
  readonly concurrency: number
  readonly prefetch: number
  readonly leaseMs: number
  readonly timeoutMs: number | undefined
  readonly retry: RetryOptions
  readonly onPoison: 'dead' | 'halt'
  /** Told after each commit. */
  readonly progress: (floor: Position) => void
}

/** Events between the cursor and the newest one that was read: bounds the list of what is done behind the cursor. */
const SPAN_MAX = 8192
/** Bytes of stored values that are opened and not yet done. */
const WINDOW_BYTES_MAX: number = 16 * 1024 * 1024
export type HoldEnd = 'lost' | 'stopped'

export class Holder {
  readonly #context: BusContext
  readonly #place: CursorPlace
  readonly #hold: Hold
  readonly #options: HolderOptions
  readonly #window: Window<Work>
  readonly #lease: Lease
  readonly #committer: Committer
  /** What was done behind the floor by the holder before. */
  readonly #done: Set<Position>
  readonly #tries: Map<Position, number>
  readonly #reading = new AbortController()
  /** Aborts what is delivered again, when it is not waited for any more. */
  readonly #leaving = new AbortController()
  readonly #end: Promise<HoldEnd>
  #resolveEnd!: (end: HoldEnd) => void
  #rejectEnd!: (error: unknown) => void
  #isOver = false
  #isStopping = false
  #redelivering: Promise<void> | undefined
  #hasMoreLetters = false
  #room: (() => void) | undefined
  /** Called when no handler runs any more. */
  #quieted: (() => void) | undefined

  constructor(context: BusContext, place: CursorPlace, taken: StoredSubscription, options: HolderOptions) {
    this.#context = context
    this.#place = place
    this.#hold = { fence: taken.fence, holder: taken.holder }
    this.#options = options
    this.#window = new Window(taken.floor)
    this.#done = new Set(taken.done)
    this.#tries = new Map(taken.tries)
    const parts = {
      context,
      place,
      hold: this.#hold,
      leaseMs: options.leaseMs,
      isBusy: () => this.#window.size > 0,
      failed: (error: unknown) => this.#failOrLose(error),
    }
    this.#lease = new Lease(parts, taken.until)
    this.#committer = new Committer({
      ...parts,
      window: this.#window,
      lease: this.#lease,
      isOver: () => this.#isOver,
      entryFailed: (entry, error) => this.#entryFailed(entry, error),
      committed: () => {
        options.progress(this.#window.floor)
        this.#room?.()
        this.#room = undefined
      },
    })
    this.#end = new Promise((resolve, reject) => {
      this.#resolveEnd = resolve
      this.#rejectEnd = reject
    })
  }

  get fence(): number {
    return this.#hold.fence
  }

  get floor(): Position {
    return this.#window.floor
  }

  /** Delivers until the hold is lost or stopped. @throws what makes going on impossible */
  async run(): Promise<HoldEnd> {
    this.redeliver()
    this.#pump().then(
      () => this.#isStopping || this.#finish('stopped'),
      (error) => this.#fail(error),
    )
    return this.#end
  }

  /** Looks for letters that are to be delivered again; called again when there may be more. */
  redeliver(): void {
    if (this.#isOver || this.#isStopping) return
    if (this.#redelivering) {
      this.#hasMoreLetters = true
      return
    }
    this.#hasMoreLetters = false
    const { handler, retry, leaseMs, timeoutMs } = this.#options
    this.#redelivering = redeliver({
      context: this.#context,
      place: this.#place,
      hold: this.#hold,
      handler,
      retry,
      leaseMs,
      timeoutMs,
      stopping: this.#reading.signal,
      signal: this.#leaving.signal,
    })
      .catch((error) => this.#failOrLose(error))
      .finally(() => {
        this.#redelivering = undefined
        if (this.#hasMoreLetters) this.redeliver()
      })
  }

  /** Reads in the order of the log, no further than there is room. */
  async #pump(): Promise<void> {
    const { pattern, prefetch } = this.#options
    const window = this.#window
    const { signal } = this.#reading
    for await (const places of readPlaceBatches(this.#context, { after: window.floor, pattern, signal })) {
      for (const place of places) {
        if (this.#isOver || this.#isStopping) return
        if (this.#done.delete(place.position)) {
          window.addDone(place.position)
          continue
        }
        if (this.#lease.isShort) await this.#lease.renew()
        if (this.#isOver || this.#isStopping) return
        const added = this.#add(place)
        if (added) await added
        while (window.size >= prefetch || window.bytes >= WINDOW_BYTES_MAX || window.span >= SPAN_MAX) {
          await new Promise<void>((resolve) => {
            this.#room = resolve
          })
          if (this.#isOver || this.#isStopping) return
        }
      }
    }
  }

  /** At once where the event can be opened at once. */
  #add(place: StoredPlace): Promise<void> | undefined {
    let opened: ReturnType<typeof openEvent>
    try {
      opened = openEvent(this.#context, place)
    } catch (error) {
      this.#addUnopened(place, error)
      return undefined
    }
    if (opened instanceof Promise)
      return opened.then(
        (event) => this.#addOpened(place, event, undefined),
        (error) => this.#addUnopened(place, error),
      )
    this.#addOpened(place, opened, undefined)
    return undefined
  }

  #addUnopened(place: StoredPlace, error: unknown): void {
    // Erased by retention or by who may: there is nothing to deliver.
    if (isAteError(error) && error.code === 'BODY_DROPPED') {
      this.#context.observing.tell('drop', { topic: place.topic, subscription: this.#place.name, error })
      this.#window.addDone(place.position)
      return
    }
    if (isFatal(error)) throw error
    this.#addOpened(place, undefined, describe(error))
  }

  #addOpened(place: StoredPlace, event: AnyEvent | undefined, poison: string | undefined): void {
    if (this.#isOver) return
    const { position } = place
    const lane = this.#laneOf(place.topic, event)
    const entry = new Entry<Work>(
      { position, lane, bytes: place.event.bytes, tries: this.#tries.get(position) ?? 0 },
      { place, event, delivery: undefined, effects: [], poison, cancel: undefined },
    )
    this.#tries.delete(position)
    this.#window.add(entry)
    this.#dispatch()
    this.#lease.renewLater()
  }

  #laneOf(topic: string, event: AnyEvent | undefined): string | undefined {
    const { order } = this.#options
    if (order === 'key') return event?.key
    return order === 'none' ? undefined : topic
  }

  #dispatch(): void {
    while (!this.#isOver && !this.#isStopping && this.#window.running < this.#options.concurrency) {
      const entry = this.#window.next()
      if (!entry) return
      this.#runEntry(entry)
    }
  }

  #runEntry(entry: Entry<Work>): void {
    const { work, run } = entry
    if (work.poison !== undefined) {
      this.#poison(entry, work.poison)
      return
    }
    const delivery = new Delivery(work.event!, { attempt: entry.tries + 1, fence: this.#hold.fence })
    work.delivery = delivery
    const since = this.#context.observing.start()
    const isHeard = (): boolean => !this.#isOver && entry.run === run && entry.state === 'running'
    const settle = (error?: { readonly reason: unknown }): void => {
      if (!isHeard()) return
      work.cancel?.()
      work.cancel = undefined
      const facts = { topic: work.place.topic, subscription: this.#place.name, id: delivery.id, since }
      this.#context.observing.tell('process', error ? { ...facts, error: error.reason } : facts)
      const effects = delivery.finish()
      if (error) this.#entryFailed(entry, error.reason)
      else {
        work.effects = effects
        this.#window.returned(entry)
        this.#committer.soon()
      }
      if (this.#window.running === 0) this.#quieted?.()
      this.#dispatch()
    }
    this.#limitTime(entry, settle)
    try {
      const running = this.#options.handler(delivery)
      if (isThenable(running))
        running.then(
          () => settle(),
          (reason) => settle({ reason }),
        )
      else settle()
    } catch (reason) {
      settle({ reason })
    }
  }

  #limitTime(entry: Entry<Work>, settle: (error: { readonly reason: unknown }) => void): void {
    const { timeoutMs } = this.#options
    if (timeoutMs === undefined) return
    const { work } = entry
    work.cancel = this.#context.environment.timer(timeoutMs, () => {
      const reason = busError('HANDLER_TIMEOUT', { subscription: this.#place.name, ms: timeoutMs })
      work.delivery?.abort(reason)
      settle({ reason })
    })
  }

  #entryFailed(entry: Entry<Work>, error: unknown): void {
    const { environment } = this.#context
    const tries = entry.tries + 1
    const wait = retryIn(this.#options.retry, { tries, random: environment.random(), now: this.#context.now })
    if (wait === undefined) {
      this.#poison(entry, describe(error))
      return
    }
    this.#window.failed(entry)
    entry.work.cancel = environment.timer(wait, () => {
      entry.work.cancel = undefined
      this.#window.again(entry)
      this.#dispatch()
    })
    this.#committer.triesChanged()
  }

  #poison(entry: Entry<Work>, error: string): void {
    entry.work.effects = []
    this.#context.observing.tell('dead', { topic: entry.work.place.topic, subscription: this.#place.name })
    if (this.#options.onPoison === 'halt') {
      this.#window.failed(entry)
      void this.#halt(entry, error)
      return
    }
    entry.tries++
    entry.work.poison = error
    this.#window.poisoned(entry)
    this.#committer.soon()
  }

  /** What came before the event is committed first; the event stays where it is. */
  async #halt(entry: Entry<Work>, error: string): Promise<void> {
    this.#isStopping = true
    this.#reading.abort()
    await this.#committer.running
    if (this.#isOver) return
    const halted = { at: entry.position, error }
    const { topic } = entry.work.place
    try {
      await this.#context.chain.transact((tx) =>
        writeCursor(tx, this.#place, this.#hold, (value) => ({ ...value, halted, holder: '', until: 0 })),
      )
      this.#fail(
        busError('SUBSCRIPTION_HALTED', {
          subscription: this.#place.name,
          topic,
          seq: entry.work.place.event.seq,
          error,
        }),
      )
    } catch (cause) {
      this.#fail(cause)
    }
  }

  #failOrLose(error: unknown): void {
    if (isAteError(error) && error.code === 'LEASE_LOST') this.#lose(error)
    else this.#fail(error)
  }

  /** Somebody else holds the subscription now. */
  lost(): void {
    this.#lose(new AteError('LEASE_LOST', { subscription: this.#place.name, fence: this.#hold.fence }))
  }

  #lose(error: AteError): void {
    if (this.#isOver) return
    this.#context.observing.tell('lease-lost', { subscription: this.#place.name, error })
    this.#finish('lost', error)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#close(error)
    this.#rejectEnd(error)
  }

  #finish(end: HoldEnd, reason?: unknown): void {
    if (this.#isOver) return
    this.#close(reason ?? busError('BUS_CLOSED', { subscription: this.#place.name }))
    this.#resolveEnd(end)
  }

  #close(reason: unknown): void {
    this.#isOver = true
    this.#reading.abort()
    this.#leaving.abort()
    this.#lease.stop()
    this.#room?.()
    for (const { work, state } of this.#window.pending()) {
      work.cancel?.()
      if (state === 'running') work.delivery?.abort(reason)
    }
    this.#quieted?.()
  }

  /**
   * Lets what runs come to its end, for `graceMs`; commits it, and gives the subscription back. What is not written SETTLE_MS
   * later (the server is away) is not waited for: others take over when the lease is over.
   */
  async stop(graceMs: number): Promise<void> {
    if (this.#isOver) return
    this.#isStopping = true
    this.#reading.abort()
    this.#room?.()
    const { environment } = this.#context
    let cancel = (): void => undefined
    const late = new Promise<void>((resolve) => {
      cancel = environment.timer(graceMs + SETTLE_MS, resolve)
    })
    await Promise.race([this.#comeToRest(graceMs), late])
    cancel()
    this.#finish('stopped')
  }

  async #comeToRest(graceMs: number): Promise<void> {
    const cancel = this.#context.environment.timer(graceMs, () => this.#leaving.abort())
    await Promise.all([this.#quiet(graceMs), this.#redelivering])
    cancel()
    await this.#committer.running
    if (this.#isOver) return
    try {
      await this.#context.chain.transact((tx) =>
        writeCursor(tx, this.#place, this.#hold, (value) => ({ ...value, holder: '', until: 0 })),
      )
    } catch (error) {
      // Whoever has it now, or a chain that is closed, needs nothing given back.
      if (!isChainClosed(error) && !(isAteError(error) && error.code === 'LEASE_LOST')) this.#fail(error)
    }
  }

  /** Resolves when no handler runs, or when the time is up. */
  async #quiet(graceMs: number): Promise<void> {
    if (this.#window.running === 0) return
    await new Promise<void>((resolve) => {
      const cancel = this.#context.environment.timer(graceMs, resolve)
      this.#quieted = () => {
        cancel()
        resolve()
      }
    })
    this.#quieted = undefined
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
