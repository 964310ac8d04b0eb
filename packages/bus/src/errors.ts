/** What the bus refuses, and what to do then: docs/ERRORS.md is made from this table. */
import { type ErrorMaker, errorsOf } from '@ate/core'

export const ADVICE = {
  BAD_TOPIC: 'a topic is 1 to 16 tokens joined by dots, without spaces, * and >, of at most 255 characters in all',
  UNKNOWN_TOPIC: 'the bus was opened without this topic; add it to its topics',
  BAD_CURSOR: 'this is no point of this chain to read from; give start, end, last, a cursor of it, a Date or { ago }',
  NOT_STORED: 'the topic is ephemeral: its events are only heard by who listens now; use on',
  HANDLER_TIMEOUT: 'the handler of an event took longer than it may; raise the timeout, or make it faster',
  OVERFLOW: 'a listener was slower than the events for too long; read what it missed, or use a subscription',
  NO_REPLY: 'nobody answered in time; look whether a responder runs, or wait longer',
  REQUEST_FAILED: 'the responder could not answer; the facts have its words',
  SUBSCRIPTION_MISMATCH: 'a subscription of this name has another pattern or order; use its own, or another name',
  SUBSCRIPTION_HALTED:
    'an event failed for good, and the subscription stands still at it; mend it, then redrive or seek',
  BUS_CLOSED: 'the bus or the subscription is closed',
} as const

export type BusErrorCode = keyof typeof ADVICE

declare module '@ate/core' {
  interface KitErrors extends Record<BusErrorCode, string> {}
}

export const busError: ErrorMaker<BusErrorCode> = errorsOf(ADVICE)
