/** The options of a queue: checked, turned into what is stored, compared with what stands there, and filled up. */
import {
  AteError,
  type Duration,
  durationMs,
  errorText,
  type OptionNames,
  objectOf,
  type StandardSchema,
} from '@ate/core'
import { queueError } from './errors.ts'
import type { StoredLimit, StoredOptions } from './queue-records.ts'
import { BACKOFF_MS } from './queue-rules.ts'
import type { AddOptions, Limit, ListOptions, QueueOptions, ResultOptions, WorkOptions } from './queue-types.ts'

/** Limits of one queue: each claim looks at all of them. */
const LIMITS_MAX = 16
/** Starts in one window: their times stand in the lane, which every claim writes. */
const STARTS_MAX = 100_000
const LEASE_MIN_MS = 100
/** A worker that is gone keeps its jobs for that long. */
const LEASE_MAX_MS = 86_400_000

/** What the workers go by. */
export interface Rules {
  readonly retryMax: number
  readonly backoff: number | ((attempt: number) => Duration)
  readonly leaseMs: number
  readonly timeoutMs: number | undefined
  readonly limits: readonly StoredLimit[]
  readonly activeMax: number
  readonly groupActiveMax: number
  readonly keep: {
    readonly doneMs: number
    readonly doneCount: number
    readonly deadMs: number
    readonly deadCount: number
  }
}

const DAY_MS = 86_400_000

export function bad(what: string, given: unknown): AteError {
  return new AteError('BAD_ARGUMENT', { what, given: errorText(given, 60) })
}

export function wholeNumber(
  value: unknown,
  what: string,
  { min, max }: { readonly min: number; readonly max: number },
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value
  throw bad(`${what} is a whole number from ${min} to ${max}`, value)
}

const QUEUE_NAMES: OptionNames<Parameters<typeof checkHandleOptions>[0]> = {
  retry: true,
  lease: true,
  timeout: true,
  group: true,
  limit: true,
  keep: true,
  observe: true,
  data: true,
  result: true,
}
const RETRY_NAMES: OptionNames<QueueOptions['retry']> = { max: true, backoff: true }
const KEEP_NAMES: OptionNames<QueueOptions['keep']> = { done: true, dead: true }
/** Of both kinds. */
type LimitName = Limit extends infer L ? (L extends Limit ? keyof L : never) : never
const LIMIT_NAMES: OptionNames<{ readonly [K in LimitName]: unknown }> = {
  active: true,
  starts: true,
  every: true,
  per: true,
}
export const UNIQUE_NAMES: OptionNames<AddOptions['unique']> = { key: true, for: true, onConflict: true }
export const ADD_NAMES: OptionNames<AddOptions> = {
  tx: true,
  id: true,
  at: true,
  delay: true,
  priority: true,
  group: true,
  unique: true,
  after: true,
  onParentFail: true,
}
export const REPEAT_NAMES: OptionNames<Pick<AddOptions, 'tx' | 'priority' | 'group'>> = {
  tx: true,
  priority: true,
  group: true,
}
export const WORK_NAMES: OptionNames<WorkOptions> = { concurrency: true, prefetch: true, grace: true, signal: true }
export const BATCH_NAMES: OptionNames<WorkOptions & { readonly size: number; readonly wait?: Duration }> = {
  ...WORK_NAMES,
  size: true,
  wait: true,
}

export const LEASES_NAMES: OptionNames<Pick<WorkOptions, 'prefetch' | 'signal'>> = { prefetch: true, signal: true }
export const TX_NAMES: OptionNames<Pick<AddOptions, 'tx'>> = { tx: true }
export const CANCEL_NAMES: OptionNames<Pick<AddOptions, 'tx'> & { readonly reason?: string }> = {
  tx: true,
  reason: true,
}
export const RETRIED_NAMES: OptionNames<{ readonly state: 'dead'; readonly limit?: number }> = {
  state: true,
  limit: true,
}
export const RESULT_NAMES: OptionNames<ResultOptions> = { signal: true, timeout: true }
export const LIST_NAMES: OptionNames<ListOptions> = { state: true, group: true, limit: true }
export const EVENTS_NAMES: OptionNames<{ readonly from?: unknown; readonly signal?: AbortSignal }> = {
  from: true,
  signal: true,
}
/** What every process has of its own is not stored. */
export const CONFIGURE_NAMES: OptionNames<Omit<QueueOptions, 'observe' | 'group'>> = {
  retry: true,
  lease: true,
  timeout: true,
  limit: true,
  keep: true,
}

/** A duration, and how it is called where it is wrong. @throws AteError BAD_ARGUMENT */
export function msOf(duration: Duration, what: string, now = 0): number {
  try {
    return durationMs(duration, now)
  } catch {
    throw bad(`${what} is a duration, as 1500, 90s, 15m, 24h`, duration)
  }
}

/** @throws AteError BAD_ARGUMENT */
export function checkSignal(signal: unknown): void {
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw bad('signal is an AbortSignal', signal)
}

/** The options that are functions or schemas. @throws AteError BAD_ARGUMENT */
export function checkHandleOptions(
  options: QueueOptions<never> & { readonly data?: unknown; readonly result?: unknown },
): void {
  objectOf(options, 'the options of a queue', QUEUE_NAMES)
  for (const name of ['group', 'observe'] as const)
    if (options[name] !== undefined && typeof options[name] !== 'function')
      throw bad(`${name} is a function`, options[name])
  for (const name of ['data', 'result'] as const) {
    const schema = options[name] as Partial<StandardSchema> | null | undefined
    if (schema !== undefined && typeof schema?.['~standard']?.validate !== 'function')
      throw bad(`${name} is a schema (Standard Schema)`, schema)
  }
}

/** What is given of the options that are the same everywhere. @throws AteError BAD_ARGUMENT */
export function storedOptions(options: Omit<QueueOptions<never>, 'observe'>): StoredOptions {
  const { lease, timeout, limit } = objectOf(options, 'the options of a queue')
  const retry = objectOf(options.retry, 'the members of retry', RETRY_NAMES)
  const keep = objectOf(options.keep, 'the members of keep', KEEP_NAMES)
  const limits = limit === undefined ? undefined : (Array.isArray(limit) ? limit : [limit]).map(storedLimit)
  if (limits && limits.length > LIMITS_MAX) throw bad(`limits: at most ${LIMITS_MAX}`, limits.length)
  const leaseMs = lease === undefined ? undefined : msOf(lease, 'lease')
  if (leaseMs !== undefined && (leaseMs < LEASE_MIN_MS || leaseMs > LEASE_MAX_MS))
    throw bad('lease: 100 ms to 1 day', lease)
  const timeoutMs = timeout === undefined ? undefined : msOf(timeout, 'timeout')
  if (timeoutMs === 0) throw bad('timeout: longer than 0', timeout)
  return compact({
    retryMax: retry?.max === undefined ? undefined : wholeNumber(retry.max, 'retry.max', { min: 1, max: 1_000_000 }),
    backoffMs: storedBackoff(retry?.backoff),
    leaseMs,
    timeoutMs,
    groups: options.group === undefined ? undefined : ('function' as const),
    limits,
    ...storedKeep(keep),
  })
}

function storedBackoff(
  backoff: Duration | ((attempt: number) => Duration) | undefined,
): number | 'function' | undefined {
  if (backoff === undefined) return undefined
  return typeof backoff === 'function' ? 'function' : msOf(backoff, 'retry.backoff')
}

function storedLimit(limit: Limit): StoredLimit {
  objectOf<{ readonly [K in LimitName]?: unknown }>(limit, 'the members of a limit', LIMIT_NAMES)
  const per = limit.per ?? 'queue'
  if (per !== 'queue' && per !== 'group') throw bad('limit.per is queue or group', per)
  if ('active' in limit === 'starts' in limit)
    throw bad('a limit has active, or starts and every', JSON.stringify(limit))
  if ('active' in limit) return { active: wholeNumber(limit.active, 'limit.active', { min: 1, max: 1_000_000 }), per }
  const everyMs = msOf(limit.every, 'limit.every')
  if (everyMs === 0) throw bad('limit.every: longer than 0', limit.every)
  return { starts: wholeNumber(limit.starts, 'limit.starts', { min: 1, max: STARTS_MAX }), everyMs, per }
}

function storedKeep(keep: QueueOptions['keep']): Partial<StoredOptions> {
  const done = keepOf(keep?.done, 'keep.done')
  const dead = keepOf(keep?.dead, 'keep.dead')
  return {
    keepDoneMs: done?.ms,
    keepDoneCount: done?.count,
    keepDeadMs: dead?.ms,
    keepDeadCount: dead?.count,
  } as Partial<StoredOptions>
}

function keepOf(
  keep: Duration | { readonly count: number } | undefined,
  what: string,
): { ms?: number; count?: number } | undefined {
  if (keep === undefined) return undefined
  if (typeof keep === 'object' && keep !== null)
    return {
      count: wholeNumber(objectOf(keep, `the members of ${what}`, { count: true }).count, `${what}.count`, {
        min: 0,
        max: 100_000_000,
      }),
    }
  return { ms: msOf(keep, what) }
}

function compact<T extends object>(value: { readonly [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as T
}

/** Two that are one option to who gives it: for how long, or how many. */
const EITHER: Partial<Record<keyof StoredOptions, keyof StoredOptions>> = {
  keepDoneMs: 'keepDoneCount',
  keepDoneCount: 'keepDoneMs',
  keepDeadMs: 'keepDeadCount',
  keepDeadCount: 'keepDeadMs',
}

/**
 * What stands there with what is given and does not stand there yet.
 * @throws AteError QUEUE_MISMATCH
 */
export function mergedOptions(queue: string, stored: StoredOptions, given: StoredOptions): StoredOptions {
  for (const name of Object.keys(given) as (keyof StoredOptions)[]) {
    const other = EITHER[name]
    const option = stored[name] === undefined && other !== undefined && stored[other] !== undefined ? other : name
    const before = stored[option]
    if (before === undefined || (option === name && JSON.stringify(before) === JSON.stringify(given[name]))) continue
    throw queueError('QUEUE_MISMATCH', {
      queue,
      option,
      stored: JSON.stringify(before),
      given: option === name ? JSON.stringify(given[name]) : `${name} ${given[name]}`,
    })
  }
  return { ...given, ...stored }
}

/** What stands there after `changes`. */
export function changedOptions(stored: StoredOptions, changes: StoredOptions): StoredOptions {
  const changed: Partial<Record<keyof StoredOptions, unknown>> = { ...stored, ...changes }
  for (const name of Object.keys(changes) as (keyof StoredOptions)[]) {
    const other = EITHER[name]
    if (other !== undefined && changes[other] === undefined) delete changed[other]
  }
  return changed as StoredOptions
}

/** True if `given` has what `stored` has not. */
export function addsOptions(stored: StoredOptions, given: StoredOptions): boolean {
  return Object.keys(given).some((name) => !(name in stored))
}

/** With the defaults of what is not there. */
export function rulesOf(stored: StoredOptions, backoff: ((attempt: number) => Duration) | undefined): Rules {
  const limits = stored.limits ?? []
  const actives = (per: 'queue' | 'group'): number[] =>
    limits.flatMap((limit) => (limit.active !== undefined && limit.per === per ? [limit.active] : []))
  const groupActives = actives('group')
  const counts = stored.keepDoneCount !== undefined && stored.keepDoneMs === undefined
  const deadCounts = stored.keepDeadCount !== undefined && stored.keepDeadMs === undefined
  return {
    retryMax: stored.retryMax ?? 10,
    backoff: typeof stored.backoffMs === 'number' ? stored.backoffMs : (backoff ?? BACKOFF_MS),
    leaseMs: stored.leaseMs ?? 30_000,
    timeoutMs: stored.timeoutMs,
    limits,
    activeMax: Math.min(Number.POSITIVE_INFINITY, ...actives('queue')),
    groupActiveMax: groupActives.length > 0 ? Math.min(...groupActives) : 1,
    keep: {
      doneMs: stored.keepDoneMs ?? (counts ? Number.POSITIVE_INFINITY : DAY_MS),
      doneCount: stored.keepDoneCount ?? Number.POSITIVE_INFINITY,
      deadMs: stored.keepDeadMs ?? (deadCounts ? Number.POSITIVE_INFINITY : 30 * DAY_MS),
      deadCount: stored.keepDeadCount ?? Number.POSITIVE_INFINITY,
    },
  }
}
