/** Timers, randomness and time come in, so that a seed replays a run; left out, they are the platform's own. */
import type { Chain } from '@ate/core'

export interface CacheEnvironment {
  /** Calls back after `delayMs`. `holds`: the process stays alive until then. */
  readonly start: (delayMs: number, run: () => void, holds: 'holds' | 'lets go') => { cancel(): void }
  /** Gives way to whatever else waits to be run. */
  readonly pause: () => Promise<void>
  /** Chain time, Unix ms. */
  readonly now: (chain: Chain) => number
  /** From 0 to below 1. */
  readonly random: () => number
  /** Text that nobody else makes: who holds a lease. */
  readonly uniqueId: () => string
  /** Milliseconds of a clock that never goes back. */
  readonly monotonic: () => number
}

/** Timers of both kinds of platform: numbers in browsers, objects in Node. */
interface Global {
  readonly setTimeout: (run: () => void, delayMs: number) => unknown
  readonly clearTimeout: (timer: unknown) => void
  readonly setImmediate?: (run: () => void) => void
  readonly performance: { now(): number }
  readonly crypto: { randomUUID(): string }
}

/** The longest delay that timers take. */
const DELAY_MAX = 2_147_483_647

export const ownEnvironment: CacheEnvironment = {
  start(delayMs, run, holds) {
    const platform = globalThis as unknown as Global
    const timer = platform.setTimeout(run, Math.min(Math.max(delayMs, 0), DELAY_MAX))
    if (holds === 'lets go') (timer as { unref?: () => void }).unref?.()
    return { cancel: () => platform.clearTimeout(timer) }
  },
  pause() {
    const platform = globalThis as unknown as Global
    return new Promise((resolve) => {
      if (platform.setImmediate) platform.setImmediate(resolve)
      else platform.setTimeout(resolve, 0)
    })
  },
  now: (chain) => chain.now,
  random: () => Math.random(),
  uniqueId: () => (globalThis as unknown as Global).crypto.randomUUID(),
  monotonic: () => (globalThis as unknown as Global).performance.now(),
}
