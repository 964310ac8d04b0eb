/** What a queue decides, as functions of what is stored and of a time that comes in. */
import { AteError, type Duration, durationMs, errorText, isAteError } from '@ate/core'
import type { JobValue, LaneValue, StartsRecord, StoredLimit } from './queue-records.ts'
import { textBytes } from './sizes.ts'

/** Errors that a job keeps, and characters of each. */
const ERRORS_MAX = 10
const ERROR_CHARS_MAX = 500
/** The longest wait before a retry. */
const BACKOFF_MAX_MS = 3_600_000
/** The first one, if none is given. */
export const BACKOFF_MS = 1000

/** What is wrong with one job or one repeat, and says nothing of the others. */
const OF_ONE: ReadonlySet<string> = new Set([
  'BAD_ARGUMENT',
  'BAD_CRON',
  'BAD_VALUE',
  'JOB_CANCELLED',
  'LEASE_LOST',
  'TX_TOO_LARGE',
  'VALUE_TOO_LARGE',
])

export function isOfOne(error: unknown): boolean {
  return isAteError(error) && OF_ONE.has(error.code)
}

export interface RetryRules {
  readonly backoff: number | ((attempt: number) => Duration)
}

/** Chain time ends here, as dates do. */
const TIME_MAX_MS = 8.64e15

export interface Wait {
  readonly ms: number
  /** What is wrong with a backoff function that threw, or gave no duration: then the wait is the default one. */
  readonly problem?: unknown
}

/** The wait after attempt number `attempt` (from 1) failed: doubled each time, the upper half of it by chance. */
export function retryWait({ backoff }: RetryRules, attempt: number, random: number, now: number): Wait {
  if (typeof backoff !== 'function') return { ms: doubled(backoff, attempt, random) }
  try {
    return { ms: Math.min(givenMs(backoff(attempt), now), TIME_MAX_MS - now) }
  } catch (problem) {
    return { ms: doubled(BACKOFF_MS, attempt, random), problem }
  }
}

/** Factors such as 1.5 give parts of a millisecond. */
function givenMs(given: Duration, now: number): number {
  return durationMs(typeof given === 'number' ? Math.ceil(given) : given, now)
}

function doubled(firstMs: number, attempt: number, random: number): number {
  const whole = Math.min(firstMs * 2 ** Math.min(attempt - 1, 40), BACKOFF_MAX_MS)
  return Math.round(whole / 2 + (whole / 2) * random)
}

type Names = readonly (keyof JobValue)[]

const WAIT: Names = ['at', 'wait']
/** What is of no use in a job that is done. */
const WAY: Names = ['at', 'wait', 'steps', 'after', 'foreign']
const FAILURES: Names = ['progress', 'errors']
const ENDING: Names = ['end', 'ended', 'at', 'wait', 'fails', 'result']

/** A job without what belongs to the way it went: what is left out of an object literal is left out of the log. */
function without(value: JobValue, names: Names): JobValue {
  let rest: Partial<Record<keyof JobValue, unknown>> | undefined
  for (const name of names) {
    // Most jobs have none of it, and an object from which something was deleted is slow.
    if (!(name in value)) continue
    rest ??= { ...value }
    delete rest[name]
  }
  return (rest ?? value) as JobValue
}

const nextTurn = (value: JobValue): number => (value.turn ?? 0) + 1

export function doneValue(value: JobValue, result: unknown, now: number): JobValue {
  return {
    ...without(value, WAY),
    end: 'done',
    ended: now,
    ...(result === undefined ? {} : { result }),
  }
}

export interface FailureFacts {
  readonly error: unknown
  readonly now: number
  /** When it starts again; undefined: it is dead. */
  readonly retryAt: number | undefined
  /** What was wrong with the backoff function. */
  readonly problem?: unknown
}

/** An attempt has failed: it waits for the next, or is dead. */
export function failedValue(value: JobValue, { error, now, retryAt, problem }: FailureFacts): JobValue {
  const texts = [errorText(error, ERROR_CHARS_MAX)]
  if (problem !== undefined) texts.push(errorText(`backoff: ${errorText(problem, ERROR_CHARS_MAX)}`, ERROR_CHARS_MAX))
  const failed = {
    ...without(value, WAIT),
    turn: nextTurn(value),
    fails: (value.fails ?? 0) + 1,
    errors: [...(value.errors ?? []), ...texts].slice(-ERRORS_MAX),
  }
  if (retryAt === undefined) return { ...failed, end: 'dead', ended: now }
  return { ...failed, at: retryAt, wait: 'retry' }
}

/** A parent of it has failed. */
export function orphanValue(value: JobValue, parent: string, now: number): JobValue {
  return failedValue(value, { error: `the job that it waited for was not done: ${parent}`, now, retryAt: undefined })
}

/** As failedValue, of a job that has no room for it: what can be done without goes. */
export function barelyFailedValue(value: JobValue, facts: FailureFacts): JobValue {
  return failedValue(without(value, FAILURES), { ...facts, error: errorText(facts.error, 60) })
}

export function snoozedValue(value: JobValue, until: number): JobValue {
  return { ...value, turn: nextTurn(value), at: until, wait: 'snooze' }
}

/** Given back: the lease is over, and it is no attempt. */
export function releasedValue(value: JobValue): JobValue {
  return { ...value, turn: nextTurn(value) }
}

/** Its worker was not heard of: an attempt, and it waits no longer. */
export function lostValue(value: JobValue, max: number, now: number): JobValue {
  const dies = (value.fails ?? 0) + 1 >= max
  const error = new AteError('LEASE_LOST', {}, { hint: 'the worker was not heard of before its lease ended' })
  return failedValue(value, { error, now, retryAt: dies ? undefined : 0 })
}

export function cancelledValue(value: JobValue, reason: string | undefined, now: number): JobValue {
  return {
    ...without(value, WAIT),
    end: 'cancelled',
    ended: now,
    turn: nextTurn(value),
    ...(reason === undefined
      ? {}
      : { errors: [...(value.errors ?? []), errorText(`cancelled: ${reason}`, ERROR_CHARS_MAX)].slice(-ERRORS_MAX) }),
  }
}

/** Runs again from its first attempt; what its steps recorded stays. */
export function revivedValue(value: JobValue): JobValue {
  return { ...without(value, ENDING), turn: nextTurn(value) }
}

/** Starts of one window are told apart to this part of it: each counts from the last of its part. */
const PARTS = 1000
/** Of a time and a count. */
const PAIR_BYTES = 14
/** What the starts that still count may take in the lane, which every claim writes: values, and bytes. */
const STARTS_ITEMS_MAX = 60_000
const STARTS_BYTES_MAX = 512 * 1024

/**
 * Starts that a limit still counts, and how many more it allows. Never more start in a window than the limit says; what is
 * remembered of them is bounded, so that a start may have to wait for a thousandth of the window longer.
 */
export class Rates {
  readonly #limits: readonly StoredLimit[]
  readonly #starts = new Map<string, number[]>()
  #items = 0
  #bytes = 0

  /** By `limits`, from what the lane says of starts so far, whatever the limits were by which that was written. */
  constructor(limits: readonly StoredLimit[], stored: Pick<LaneValue, 'starts' | 'limits'>, now: number) {
    this.#limits = limits
    const { starts = [], limits: before = limits } = stored
    const sources = limits.map((limit) => sourceOf(limit, before))
    for (const [number, group, ...pairs] of starts)
      sources.forEach((source, target) => {
        if (source === number) this.#take(target, group, pairs, now)
      })
  }

  #take(number: number, group: string | null, pairs: readonly number[], now: number): void {
    const left: number[] = []
    for (let i = 0; i + 1 < pairs.length; i += 2)
      if (pairs[i]! > now - this.#limits[number]!.everyMs!) left.push(pairs[i]!, pairs[i + 1]!)
    if (left.length === 0) return
    this.#starts.set(keyOf(number, group), left)
    this.#count(group, left.length)
  }

  get isLimited(): boolean {
    return this.#limits.some(({ starts }) => starts !== undefined)
  }

  /** Chain time at which one more may start: of the whole queue, or of a group. 0 if it may now. */
  opensAt(per: 'queue' | 'group', group: string | undefined): number {
    let opens = 0
    this.#limits.forEach((limit, number) => {
      if (limit.starts === undefined || limit.per !== per) return
      const pairs = this.#starts.get(keyOf(number, per === 'group' ? (group ?? null) : null)) ?? []
      let sum = 0
      for (let i = 1; i < pairs.length; i += 2) sum += pairs[i]!
      // The oldest start leaves the window first; a moment later there is room.
      if (sum >= limit.starts) opens = Math.max(opens, pairs[0]! + limit.everyMs!)
    })
    return per === 'queue' && this.#isFull ? Math.max(opens, this.#firstLeaves()) : opens
  }

  start(group: string | undefined, now: number): void {
    this.#limits.forEach((limit, number) => {
      // A limit per group says nothing of jobs without one.
      if (limit.starts === undefined || (limit.per === 'group' && group === undefined)) return
      const key = keyOf(number, limit.per === 'group' ? (group ?? null) : null)
      const pairs = this.#starts.get(key)
      if (!pairs) {
        this.#starts.set(key, [now, 1])
        this.#count(limit.per === 'group' ? (group ?? null) : null, 2)
        return
      }
      const last = pairs.at(-2)!
      const partMs = limit.everyMs! / PARTS
      if (Math.floor(now / partMs) <= Math.floor(last / partMs)) {
        pairs[pairs.length - 2] = Math.max(last, now)
        pairs[pairs.length - 1]!++
      } else {
        pairs.push(now, 1)
        this.#items += 2
        this.#bytes += PAIR_BYTES
      }
    })
  }

  get #isFull(): boolean {
    return this.#items > STARTS_ITEMS_MAX || this.#bytes > STARTS_BYTES_MAX
  }

  #firstLeaves(): number {
    let first = Number.POSITIVE_INFINITY
    for (const [key, pairs] of this.#starts)
      first = Math.min(first, pairs[0]! + this.#limits[Number(key.slice(0, key.indexOf(':')))]!.everyMs!)
    return first
  }

  /** One more of them, with so many numbers. */
  #count(group: string | null, numbers: number): void {
    this.#items += 3 + numbers
    this.#bytes += 8 + textBytes(group ?? '') + (numbers / 2) * PAIR_BYTES
  }

  /** For the lane: with the limits that are counted by their numbers, since others may stand in the options by then. */
  stored(): Pick<LaneValue, 'starts' | 'limits'> {
    if (this.#starts.size === 0) return {}
    const starts = [...this.#starts].map(([key, pairs]) => {
      const at = key.indexOf(':')
      const group = key.slice(at + 1)
      return [Number(key.slice(0, at)), group === '' ? null : group.slice(1), ...pairs] as StartsRecord
    })
    return { starts, limits: this.#limits }
  }
}

/**
 * Which of the limits of before has counted what this one counts: all with the same `per` have seen the same starts, and one
 * remembers those of its own window. The shortest that is long enough, since its parts are the finest; else the longest.
 */
function sourceOf(limit: StoredLimit, before: readonly StoredLimit[]): number | undefined {
  let best: number | undefined
  before.forEach(({ starts, everyMs = 0, per }, number) => {
    if (limit.starts === undefined || starts === undefined || per !== limit.per) return
    const known = best === undefined ? 0 : before[best]!.everyMs!
    const isBetter = known < limit.everyMs! ? everyMs > known : everyMs >= limit.everyMs! && everyMs < known
    if (isBetter) best = number
  })
  return best
}

/** The limit's number, and behind it nothing for the whole queue, or `=` and the group. */
function keyOf(number: number, group: string | null): string {
  return `${number}:${group === null ? '' : `=${group}`}`
}
