/** When a chain is compacted by itself: what a policy may say, and what is known of it. Loaded for those that have one. */
import { type Duration, durationMs } from '../base/duration.ts'
import { AteError, type ErrorCode } from '../base/errors.ts'
import type { CompactReport } from '../chain/compaction.ts'

/** Any of the conditions begins a compaction; left out, they never do. */
export interface CompactPolicy {
  /** The log is this many times as long as after the last compaction, or as it was when opened: 2 for twice. Over 1. */
  readonly growth?: number
  /** `growth` counts from this length on, in bytes; 16 MiB if left out. */
  readonly growthFromBytes?: number
  /** That many bytes have come since the last compaction, or since opening. */
  readonly bytes?: number
  /** So much time has passed since the last one that a timer began: 1 s to 24 days. */
  readonly every?: Duration
  /** When close() is called; transactions go on until it has ended, and close() tells if it failed. */
  readonly onClose?: boolean
}

export interface CompactionState {
  readonly running: boolean
  /** Of the last compaction that ended well. */
  readonly last: CompactReport | undefined
  /** Code of the last one, if it failed. */
  readonly failed: ErrorCode | undefined
}

/** How often a policy looks at the length of the log, in ms. */
export const LOOK_EVERY_MS = 1000
/** The longest timer that every platform has, in ms: 24.8 days. */
const EVERY_MAX_MS: number = 2 ** 31 - 1

/** @throws AteError BAD_ARGUMENT */
export function checkCompactPolicy(policy: CompactPolicy | 'never' | undefined): CompactPolicy | undefined {
  if (policy === undefined || policy === 'never') return undefined
  if (typeof policy !== 'object' || policy === null) throw new AteError('BAD_ARGUMENT', { option: 'compact' })
  const { growth, growthFromBytes, bytes, every } = policy
  if (growth !== undefined && !(growth > 1)) throw new AteError('BAD_ARGUMENT', { option: 'compact.growth', growth })
  for (const [name, value] of Object.entries({ growthFromBytes, bytes })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0))
      throw new AteError('BAD_ARGUMENT', { option: `compact.${name}`, value })
  }
  const everyMs = every === undefined ? LOOK_EVERY_MS : durationMs(every, 0)
  if (everyMs < LOOK_EVERY_MS || everyMs > EVERY_MAX_MS)
    throw new AteError('BAD_ARGUMENT', { option: 'compact.every', leastMs: LOOK_EVERY_MS, mostMs: EVERY_MAX_MS })
  return policy
}
