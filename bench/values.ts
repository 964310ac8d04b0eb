/**
 * The values that are written: 200 ASCII characters, each distinct, and random enough that block compression (LevelDB's
 * snappy) gains nothing. The same seed gives the same values. Made outside of the timed part.
 */
import { Buffer } from 'node:buffer'

export const VALUE_BYTES = 200
const COUNTER_BYTES = 16
const POOL_BYTES = 4 * 1024 * 1024

export interface ValueSource {
  next(): string
  batch(size: number): string[]
}

export function openValues(seed = 1): ValueSource {
  const random = xorshift32(seed)
  const pool = Buffer.alloc(POOL_BYTES)
  for (let i = 0; i < POOL_BYTES; i++) pool[i] = plain(33 + (random() % 94))
  const one = Buffer.alloc(VALUE_BYTES)
  let counter = 0
  function next(): string {
    const at = random() % (POOL_BYTES - VALUE_BYTES)
    pool.copy(one, 0, at, at + VALUE_BYTES)
    one.write((counter++).toString(36).padStart(COUNTER_BYTES, '0'), 0, 'latin1')
    return one.toString('latin1')
  }
  return { next, batch: (size) => Array.from({ length: size }, next) }
}

function xorshift32(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state
  }
}

/** No quote and no backslash: escaping them would cost the engines that write JSON more than the others. */
function plain(character: number): number {
  return character === 34 || character === 92 ? 35 : character
}
