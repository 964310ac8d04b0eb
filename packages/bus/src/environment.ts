/** What the bus needs from where it runs. Arguments, so that a test gives a seed and a clock that it moves by hand. */
import type { Chain } from '@ate/core'

export interface BusEnvironment {
  /** Calls `run` once, after `ms`; what is returned takes it back. */
  readonly timer: (ms: number, run: () => void) => () => void
  /** Chain time, Unix ms. Wrong clocks cost extra runs of handlers, never extra effects. */
  readonly now: (chain: Chain) => number
  /** Resolves when everything that is ready has run. */
  readonly turn: () => Promise<void>
  /** From 0 up to 1. */
  readonly random: () => number
  /** Text that nobody else makes. */
  readonly uniqueId: () => string
  /** Ms that only grow: for how long something took. */
  readonly monotonicMs: () => number
}

/** Longer waits are cut into pieces by who waits: a timer of JavaScript holds 2^31 ms. */
const TIMER_MS_MAX: number = 2 ** 31 - 1

export const ownEnvironment: BusEnvironment = {
  timer: (ms, run) => {
    const timer = setTimeout(run, Math.min(ms, TIMER_MS_MAX))
    return () => clearTimeout(timer)
  },
  now: (chain) => chain.now,
  turn: nextTurn,
  random: () => Math.random(),
  uniqueId: () => globalThis.crypto.randomUUID(),
  monotonicMs: () => performance.now(),
}

/** Where there is setImmediate it costs a microsecond; a timer of 0 ms costs a thousand. */
function nextTurn(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown }
  return new Promise((resolve) => {
    if (setImmediate) setImmediate(resolve)
    else setTimeout(resolve, 0)
  })
}
