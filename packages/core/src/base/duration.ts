/** One way to say how long: a number of milliseconds, or text such as `90s`, `15m`, `24h`, `30d`, `2y`. */
import { AteError } from './errors.ts'

export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd' | 'y'}`

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/**
 * Milliseconds of a duration that begins at `fromMs` (Unix ms). Years are calendar years in UTC, so their length
 * depends on where they begin.
 * @throws AteError BAD_ARGUMENT for what is not a duration, is negative, or is over 2^53 ms.
 */
export function durationMs(duration: Duration, fromMs: number): number {
  const ms = typeof duration === 'number' ? duration : parse(duration, fromMs)
  if (!Number.isSafeInteger(ms) || ms < 0) throw new AteError('BAD_ARGUMENT', { duration: given(duration) })
  return ms
}

function parse(text: string, fromMs: number): number {
  const match = typeof text === 'string' ? /^(\d{1,15})(ms|s|m|h|d|y)$/.exec(text) : null
  if (!match) return Number.NaN
  const count = Number(match[1])
  if (match[2] !== 'y') return count * UNIT_MS[match[2]!]!
  const end = new Date(fromMs)
  end.setUTCFullYear(end.getUTCFullYear() + count)
  return end.getTime() - fromMs
}

/** What was given in the place of a word, for the facts of an error. Objects may have no text. */
export function given(value: unknown): string {
  return typeof value === 'object' && value ? 'an object' : String(value).slice(0, 40)
}
