/** A clock that a test moves by hand. */
import type { Clock } from '../base/environment.ts'

export interface ManualClock extends Clock {
  advance(ms: number): void
}

export function manualClock(startMs = 1_700_000_000_000): ManualClock {
  let passed = 0
  return {
    now: () => startMs + passed,
    monotonic: () => passed,
    advance(ms) {
      passed += ms
    },
  }
}
