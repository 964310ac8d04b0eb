/** Shapes of what is stored, checked when it is read: its author may be anybody who could write. */
import type { JobValue } from './queue-records.ts'

type Check = (value: unknown) => boolean

const ID = /^[0-9a-hjkmnp-tv-z]{26}$/

const isText: Check = (value) => typeof value === 'string'
const isNumber: Check = (value) => Number.isFinite(value)
const isCount: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const isId: Check = (value) => typeof value === 'string' && ID.test(value)
const isTrue: Check = (value) => value === true
const oneOf =
  (...words: readonly unknown[]): Check =>
  (value) =>
    words.includes(value)
const listOf =
  (isItem: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(isItem)

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Members that are there are what they are to be; those of `needed` are there. */
function shapeOf(needed: Readonly<Record<string, Check>>, others: Readonly<Record<string, Check>> = {}): Check {
  const must = Object.entries(needed)
  const may = new Map(Object.entries(others))
  return (value) => {
    if (!isRecord(value)) return false
    for (const [name, fits] of must) if (!fits(value[name])) return false
    if (may.size === 0) return true
    // Most values have few of them.
    for (const name in value) {
      const fits = may.get(name)
      if (fits && value[name] !== undefined && !fits(value[name])) return false
    }
    return true
  }
}

const isStep: Check = (step) => Array.isArray(step) && typeof step[0] === 'string'
const isStarts: Check = (starts) =>
  Array.isArray(starts) &&
  isCount(starts[0]) &&
  (starts[1] === null || isText(starts[1])) &&
  starts.slice(2).every(isNumber)
const isLimit: Check = shapeOf(
  { per: oneOf('queue', 'group') },
  { active: isCount, starts: isCount, everyMs: (value) => isNumber(value) && (value as number) > 0 },
)

export const isJobValue: (value: unknown) => value is JobValue = shapeOf(
  { added: isNumber },
  {
    end: oneOf('done', 'dead', 'cancelled'),
    ended: isNumber,
    at: isNumber,
    wait: oneOf('retry', 'snooze'),
    priority: isNumber,
    group: isText,
    unique: isText,
    after: listOf(isId),
    foreign: isTrue,
    onParentFail: oneOf('run'),
    turn: isCount,
    fails: isCount,
    errors: listOf(isText),
    steps: listOf(isStep),
  },
) as (value: unknown) => value is JobValue

export const isLaneValue: Check = shapeOf(
  { claims: isCount, sessions: listOf(isId) },
  { paused: isTrue, starts: listOf(isStarts), limits: listOf(isLimit) },
)

export const isSessionValue: Check = shapeOf({
  leases: (value) => value instanceof Uint8Array,
  fence: isId,
  pulse: isId,
})

export const isUniqueValue: Check = shapeOf({ job: isId }, { until: isNumber, next: isId })

export const isRepeatValue: Check = shapeOf(
  { missed: oneOf('skip', 'once', 'all'), next: isNumber },
  {
    cron: isText,
    tz: isText,
    everyMs: (value) => isNumber(value) && (value as number) >= 1,
    priority: isNumber,
    group: isText,
    last: isNumber,
  },
)

export const isOptionsValue: Check = shapeOf(
  {},
  {
    retryMax: isCount,
    backoffMs: (value) => value === 'function' || isCount(value),
    leaseMs: isCount,
    timeoutMs: isCount,
    groups: oneOf('function'),
    limits: listOf(isLimit),
    keepDoneMs: isNumber,
    keepDoneCount: isCount,
    keepDeadMs: isNumber,
    keepDeadCount: isCount,
  },
)
