/**
 * What is not deterministic comes in through these contracts, so that a seed replays a run: the wall clock, monotonic
 * time, randomness and timers. Disk and network have contracts of their own (log/file-system.ts, later mesh/).
 */

/** Milliseconds since 1970, and milliseconds of a clock that never goes back. */
export interface Clock {
  now(): number
  monotonic(): number
}

/** Fills `bytes` with unpredictable bytes. */
export interface Randomness {
  fill(bytes: Uint8Array): void
}

/** One-shot timers. They do not hold the process, except where somebody waits for nothing else and asks for it. */
export interface Timers {
  start(delayMs: number, run: () => void, options?: { readonly holds: 'process' }): { cancel(): void }
  /** Gives way to whatever else waits to be run. Unlike a timer it holds the process. */
  pause(): Promise<void>
}

export interface Environment {
  readonly clock: Clock
  readonly random: Randomness
  readonly timers: Timers
}

export function randomBytes(random: Randomness, size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  random.fill(bytes)
  return bytes
}
