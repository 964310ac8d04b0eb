/** Seeded randomness for tests: the same seed gives the same bytes. Never for keys. */
import type { Randomness } from '../base/environment.ts'

export interface SeededRandom extends Randomness {
  /** A whole number from 0 to 2^32 - 1. */
  next(): number
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number
  /** True once in `times` on average. */
  oneIn(times: number): boolean
}

/** sfc32: 128 bits of state, fast, and good enough to explore with. */
export function seededRandom(seed: number): SeededRandom {
  let a = seed | 0
  let b = 0x9e3779b9
  let c = 0x243f6a88
  let counter = 1
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + t) | 0
    return t >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit)
  return {
    next,
    below,
    oneIn: (times) => below(times) === 0,
    fill(bytes) {
      for (let i = 0; i < bytes.length; i++) bytes[i] = next()
    },
  }
}
