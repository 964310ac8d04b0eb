/** A compaction of records that are opaque, for tests of what the file engine does with it. */
import type { Compaction } from '../../src/log/engine.ts'

export const LARGE = 20_000

/** Every large record loses all but ten bytes; where there is none nothing changes, and segments are merged alone. */
export function shrinking(parts: Partial<Compaction> = {}): Compaction {
  return {
    begin: async () => undefined,
    reclaimable: ({ bytes }) => (bytes.length >= LARGE ? bytes.length - 10 : 0),
    rewrite: ({ bytes }) => (bytes.length >= LARGE ? bytes.subarray(0, 10) : undefined),
    settle: async () => undefined,
    pause: async () => undefined,
    signal: undefined,
    ...parts,
  }
}
