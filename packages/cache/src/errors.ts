/** What the cache refuses, and what to do then: docs/ERRORS.md is made from this table. */
import { type ErrorMaker, errorsOf } from '@ate/core'

export const ADVICE = {
  CACHE_MISMATCH:
    'the cache is stored with other bounds than these; give the same ones everywhere, or change them with configure()',
  LOAD_TIMEOUT: 'the loader of a value took longer than it may; raise the timeout, or make it faster',
  LOCK_HELD: 'somebody else holds this lock; wait longer, or try again later',
} as const

export type CacheErrorCode = keyof typeof ADVICE

declare module '@ate/core' {
  interface KitErrors extends Record<CacheErrorCode, string> {}
}

export const cacheError: ErrorMaker<CacheErrorCode> = errorsOf(ADVICE)
