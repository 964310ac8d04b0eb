/** Dates as people type them: only what says one moment, whatever the machine's zone, and nothing that is guessed. */

const DATE = /^(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2}))?$/

/**
 * 2030-01-31, which begins at midnight UTC, or 2030-01-31T12:00Z with any zone; undefined for all else. Date itself reads `6` as June
 * 2001, and February 31 as March 3.
 */
export function dateOf(text: string): Date | undefined {
  const match = DATE.exec(text)
  if (!match) return undefined
  const [year, month, day] = [Number(match[1]), Number(match[2]), Number(match[3])]
  const date = new Date(text)
  const lastDay = new Date(Date.UTC(year, month, 0)).getUTCDate()
  return Number.isNaN(date.getTime()) || day > lastDay ? undefined : date
}
