/** The real clock, randomness and timers of Node. */
import { randomFillSync } from 'node:crypto'
import { copyBytes } from '../base/bytes.ts'
import type { Environment, Randomness } from '../base/environment.ts'

/**
 * Random bytes are drawn 8 KiB at a time (a call costs 1 us and more, a copy from the pool 0.1) and given out once: what
 * is given out is wiped from the pool. More than a quarter of it is drawn directly.
 */
const POOL_BYTES = 8192
const POOLED_BYTES_MAX: number = POOL_BYTES / 4

export function nodeEnvironment(): Environment {
  return {
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    random: pooledRandomness((bytes) => void randomFillSync(bytes)),
    timers: {
      start(delayMs, run, options) {
        const timer = setTimeout(run, delayMs)
        if (options?.holds !== 'process') timer.unref()
        return { cancel: () => clearTimeout(timer) }
      },
      pause: () => new Promise((resume) => setImmediate(resume)),
    },
  }
}

/** `draw` fills what it is given with fresh bytes: the pool, or a large request. */
export function pooledRandomness(draw: (bytes: Uint8Array) => void): Randomness {
  const pool = new Uint8Array(POOL_BYTES)
  let used = POOL_BYTES
  return {
    fill(bytes) {
      if (bytes.length > POOLED_BYTES_MAX) {
        draw(bytes)
        return
      }
      if (used + bytes.length > POOL_BYTES) {
        draw(pool)
        used = 0
      }
      const end = used + bytes.length
      // Most ask for a nonce: a view would cost more than the copy.
      copyBytes(pool, used, end, bytes, 0)
      pool.fill(0, used, end)
      used = end
    },
  }
}
