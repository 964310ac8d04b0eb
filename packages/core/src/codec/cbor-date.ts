/** Dates as they stand in CBOR: seconds under tag 1 (RFC 8949, 3.4.2). */

/**
 * Milliseconds of a tag 1 date, or NaN if no date that is written has these seconds. A float64 of seconds holds each
 * millisecond up to 2^50 of them (the year 37,648); dates beyond are whole seconds, to the last that JavaScript has.
 */
export function dateMs(seconds: number): number {
  const ms = Math.round(seconds * 1000)
  const exact = Math.abs(ms) <= DATE_FRACTION_MS_MAX ? ms / 1000 === seconds : Number.isInteger(seconds)
  return exact && Math.abs(ms) <= DATE_MS_MAX && !Object.is(seconds, -0) ? ms : Number.NaN
}

const DATE_FRACTION_MS_MAX = 2 ** 50
/** ECMA-262, 21.4.1.1. */
const DATE_MS_MAX = 8.64e15
