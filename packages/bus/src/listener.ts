/**
 * A live listener: events from now on, one after the other, in a buffer that has an end. What happens there is declared:
 * the oldest or the newest is dropped and counted, or the listener fails.
 */
import { AteError, isAteError, isChainClosed, type OptionNames, objectOf } from '@ate/core'
import { checkSignal, endOfRecord, matchesTopic, parsePattern, parseTopic } from './bus-rules.ts'
import { isFatal } from './committer.ts'
import { type BusContext, openEvent } from './context.ts'
import { busError } from './errors.ts'
import type { AnyLiveEvent } from './event-types.ts'
import { readPlaceBatches, type StoredPlace } from './log-reader.ts'

export interface ListenOptions {
  readonly signal?: AbortSignal
  /** Events that wait for the listener; 1,024 if left out, 65,536 at most. */
  readonly buffer?: number
  /** What becomes of an event that finds the buffer full: `drop-oldest` if left out. `error` ends the listener. */
  readonly overflow?: 'drop-oldest' | 'drop-newest' | 'error'
}

const LISTEN_NAMES: OptionNames<ListenOptions> = { signal: true, buffer: true, overflow: true }

export interface Listener extends AsyncDisposable {
  /**
   * Resolves when it is closed, or its chain is; rejects with what the function threw, or with OVERFLOW: an unhandled
   * rejection, if nobody looks at this.
   */
  readonly done: Promise<void>
  /**
   * Events that were dropped because the buffer was full, because retention was faster than the listener, or because they
   * cannot be opened: what is no value of the bus or its schema, or is sealed to others. An observer is told of each.
   */
  readonly dropped: number
  close(): Promise<void>
}

const BUFFER = 1024
const BUFFER_MAX = 65_536

export class LiveListener implements Listener {
  readonly done: Promise<void>
  readonly #context: BusContext
  readonly #pattern: readonly string[]
  readonly #handler: (event: AnyLiveEvent) => unknown
  readonly #buffer: number
  readonly #overflow: NonNullable<ListenOptions['overflow']>
  readonly #signal: AbortSignal | undefined
  readonly #stopping = new AbortController()
  readonly #stopHearing: () => void
  readonly #ended: () => void
  /** Where events stand, not their values: those are opened when it is their turn. */
  #waiting: (StoredPlace | AnyLiveEvent)[] = []
  #isBusy = false
  #dropped = 0
  #resolve!: () => void
  #reject!: (error: unknown) => void

  constructor(
    context: BusContext,
    pattern: string,
    handler: (event: AnyLiveEvent) => unknown,
    options: ListenOptions,
    ended: () => void,
  ) {
    const {
      buffer = BUFFER,
      overflow = 'drop-oldest',
      signal,
    } = objectOf(options, 'the options of a listener', LISTEN_NAMES)
    checkSignal(signal)
    if (!Number.isSafeInteger(buffer) || buffer < 1 || buffer > BUFFER_MAX)
      throw new AteError('BAD_ARGUMENT', { what: `buffer is 1 to ${BUFFER_MAX}`, given: String(buffer) })
    if (!['drop-oldest', 'drop-newest', 'error'].includes(overflow))
      throw new AteError('BAD_ARGUMENT', { what: 'overflow is drop-oldest, drop-newest or error' })
    if (typeof handler !== 'function') throw new AteError('BAD_ARGUMENT', { what: 'on takes a function of an event' })
    this.#context = context
    this.#pattern = parsePattern(pattern)
    this.#handler = handler
    this.#buffer = buffer
    this.#overflow = overflow
    this.#signal = signal
    this.#ended = ended
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#stopHearing = context.carrier.listen((event) => {
      if (matchesTopic(this.#pattern, parseTopic(event.topic))) this.#take(event)
    })
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (signal?.aborted) this.#end()
    else this.#follow(endOfRecord(context.chain.head.seq)).then(this.#onAbort, this.#onFailure)
  }

  readonly #onAbort = (): void => this.#end()
  /** A chain that is closed, also before the first look, ends a listener without a failure. */
  readonly #onFailure = (error: unknown): void => this.#end(isChainClosed(error) ? undefined : { error })

  get dropped(): number {
    return this.#dropped
  }

  async #follow(after: number): Promise<void> {
    const { signal } = this.#stopping
    for await (const places of readPlaceBatches(this.#context, { after, pattern: this.#pattern, signal }))
      for (const place of places) this.#take(place)
  }

  #take(item: StoredPlace | AnyLiveEvent): void {
    if (this.#stopping.signal.aborted) return
    if (this.#waiting.length >= this.#buffer) {
      if (this.#overflow === 'error') {
        this.#end({ error: busError('OVERFLOW', { buffer: this.#buffer, topic: item.topic }) })
        return
      }
      this.#dropped++
      this.#context.observing.tell('drop', { topic: item.topic, count: 1 })
      if (this.#overflow === 'drop-newest') return
      this.#waiting.shift()
    }
    this.#waiting.push(item)
    if (this.#isBusy) return
    this.#isBusy = true
    this.#work().then(undefined, (error) => this.#end({ error }))
  }

  async #work(): Promise<void> {
    const { observing } = this.#context
    for (;;) {
      const item = this.#waiting.shift()
      if (item === undefined || this.#stopping.signal.aborted) break
      const opened = 'event' in item ? this.#open(item) : item
      const event = opened instanceof Promise ? await opened : opened
      if (this.#stopping.signal.aborted) break
      if (event === undefined) continue
      const since = observing.start()
      const running = this.#handler(event)
      if (running instanceof Promise) await running
      observing.tell('receive', { topic: event.topic, id: event.id, since })
    }
    this.#isBusy = false
  }

  /** Undefined if retention was faster than this listener, or if it is no event that it can take: that is dropped too. */
  #open(place: StoredPlace): AnyLiveEvent | undefined | Promise<AnyLiveEvent | undefined> {
    try {
      const opened = openEvent(this.#context, place)
      return opened instanceof Promise ? opened.catch((error) => this.#unopened(place, error)) : opened
    } catch (error) {
      return this.#unopened(place, error)
    }
  }

  #unopened(place: StoredPlace, error: unknown): undefined {
    // What one writer has written ends nobody who listens to the others.
    if (isFatal(error)) throw error
    const isErased = isAteError(error) && error.code === 'BODY_DROPPED'
    if (isErased && this.#overflow === 'error') throw busError('OVERFLOW', { topic: place.topic }, { cause: error })
    this.#dropped++
    this.#context.observing.tell('drop', { topic: place.topic, count: 1, ...(isErased ? {} : { error }) })
    return undefined
  }

  #end(failure?: { readonly error: unknown }): void {
    if (this.#stopping.signal.aborted) return
    this.#stopping.abort()
    this.#stopHearing()
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#waiting = []
    this.#ended()
    if (failure) this.#reject(failure.error)
    else this.#resolve()
  }

  async close(): Promise<void> {
    this.#end()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
