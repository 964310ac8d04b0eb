/** One event on its way through a handler: what the handler sees, and the effects that it registers. */
import { AteError, type Effect, type Effects, effectsInto } from '@ate/core'
import type { AnyDelivery, AnyEvent, Cursor } from './event-types.ts'

/** Effects of one event: each may stage much, so their number is bounded by what a transaction holds anyway. */
const EFFECTS_MAX = 4096

export class Delivery implements AnyDelivery {
  readonly topic: string
  readonly data: unknown
  readonly id: string
  readonly source: string
  readonly time: Date
  readonly key?: string
  readonly headers: Readonly<Record<string, string>>
  readonly until?: number
  readonly cursor: Cursor
  readonly attempt: number
  readonly fence: number
  /**
   * A property of its own, so that it can be taken out of the event.
   * @throws AteError TX_CLOSED when the handler has returned: a later effect would be lost.
   */
  readonly effect: (run: Effect) => void = (run) => this.#register(run)
  #abort: AbortController | undefined
  #effects: Effect[] | undefined
  #tx: Effects | undefined
  #isOver = false

  constructor(event: AnyEvent, { attempt, fence }: { readonly attempt: number; readonly fence: number }) {
    this.topic = event.topic
    this.data = event.data
    this.id = event.id
    this.source = event.source
    this.time = event.time
    if (event.key !== undefined) this.key = event.key
    this.headers = event.headers
    if (event.until !== undefined) this.until = event.until
    this.cursor = event.cursor
    this.attempt = attempt
    this.fence = fence
  }

  /** Made when it is asked for: most handlers never look. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController()
    return this.#abort.signal
  }

  /** Made when it is asked for. */
  get tx(): Effects {
    this.#tx ??= effectsInto(this.effect)
    return this.#tx
  }

  #register(run: Effect): void {
    if (typeof run !== 'function')
      throw new AteError('BAD_ARGUMENT', { what: 'an effect is a function of a transaction' })
    if (this.#isOver) throw new AteError('TX_CLOSED', { what: 'the handler of this event is over' })
    this.#effects ??= []
    if (this.#effects.length >= EFFECTS_MAX)
      throw new AteError('BAD_ARGUMENT', { what: 'effects of one event', max: EFFECTS_MAX })
    this.#effects.push(run)
  }

  /** What was registered; nothing comes after it. */
  finish(): readonly Effect[] {
    this.#isOver = true
    return this.#effects ?? NO_EFFECTS
  }

  abort(reason: unknown): void {
    this.#isOver = true
    // Who asks for the signal later finds it aborted.
    this.#abort ??= new AbortController()
    this.#abort.abort(reason)
  }
}

const NO_EFFECTS: readonly Effect[] = []
