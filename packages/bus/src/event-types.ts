/** What events look like to their readers: the attributes of CloudEvents by meaning, under the names that this project uses. */
import type { Effect, Effects } from '@ate/core'
import type { Match, TopicOf } from './topic-types.ts'

/** A place in a chain. With `index` behind that event; without it, at the beginning of that record. */
export interface Cursor {
  readonly chain: string
  readonly seq: number
  readonly index?: number
}

interface EventOf<X extends string, D, C = Cursor> {
  readonly topic: X
  readonly data: D
  /** What its publisher gave as id, else one of the chain. With `source` it names the event everywhere. */
  readonly id: string
  /** The chain: `ate:CHAIN`. */
  readonly source: string
  /** The time that its author signed. */
  readonly time: Date
  readonly key?: string
  readonly headers: Readonly<Record<string, string>>
  /** Of a request: chain time until which a reply is waited for, Unix ms. */
  readonly until?: number
  readonly cursor: C
}

/** An event of one of the topics `K`: `topic` narrows `data`. */
export type BusEvent<T, K extends TopicOf<T> = TopicOf<T>> = { [X in K]: EventOf<X, T[X]> }[K]

/** An event of one of the topics that the pattern `P` matches. */
export type EventFor<T, P extends string> = BusEvent<T, Match<P, TopicOf<T>> & TopicOf<T>>

/** As a listener gets it: events of ephemeral topics stand in no log, and have no cursor. */
export type LiveEventFor<T, P extends string> = {
  [X in Match<P, TopicOf<T>> & TopicOf<T>]: EventOf<X, T[X], Cursor | undefined>
}[Match<P, TopicOf<T>> & TopicOf<T>]

/** An event that was set aside, and why. */
export type DeadEvent<T> = BusEvent<T> & { readonly error: string; readonly attempts: number }

interface DeliveryParts {
  /** From 1. */
  readonly attempt: number
  /** Aborts when the subscription closes, the lease is lost, or the time is up. */
  readonly signal: AbortSignal
  /** Pass it as `{ tx }` to verbs that write: they are committed with the cursor, or not at all. */
  readonly tx: Effects
  /** Registers what is to be committed with the cursor. It runs again after a conflict, so it has no effects outside of its transaction. */
  readonly effect: (run: Effect) => void
  /** Grows with each holder of the subscription: for stores outside that can compare. */
  readonly fence: number
}

export type DeliveryFor<T, P extends string> = EventFor<T, P> & DeliveryParts
/** The parts of an event when its topic is not looked at. */
export type AnyEvent = EventOf<string, unknown>
export type AnyLiveEvent = EventOf<string, unknown, Cursor | undefined>
export type AnyDelivery = AnyEvent & DeliveryParts
