/** Where in a file something stands: what is wrong with it names the format, and the line, row or entry, counted from 1. */

import { AteError, isAteError } from '@ate/core'
import { ledgerError } from '../errors.ts'

export interface Place {
  readonly format: string
  readonly line?: number
  readonly row?: number
  readonly entry?: number
}

type Facts = Readonly<Record<string, string | number | bigint | undefined>>

const HINT =
  'the file says something that is not read, or does not keep to its format; mend it there; nothing was posted'
const AMOUNT_HINT = 'this is no amount, or one that can be read in two ways; write it plainly; nothing was posted'

/** BAD_VALUE of a file. */
export function unread(what: string, place: Place, facts: Facts = {}): AteError {
  return new AteError('BAD_VALUE', { what, ...facts, ...place }, { hint: HINT })
}

/** BAD_AMOUNT of a file; the place comes from `inPlace`. */
export function unreadAmount(what: string, given: string): AteError {
  return ledgerError('BAD_AMOUNT', { what, given: given.slice(0, 40) }, { hint: AMOUNT_HINT })
}

/** Runs what reads one place of a file: errors that do not say yet where it is, say so. */
export function inPlace<R>(place: Place, run: () => R): R {
  try {
    return run()
  } catch (cause) {
    if (!isAteError(cause) || cause.facts['format'] !== undefined) throw cause
    const hint = cause.code === 'BAD_VALUE' ? HINT : cause.code === 'BAD_AMOUNT' ? AMOUNT_HINT : undefined
    throw new AteError(cause.code, { ...cause.facts, ...place }, hint === undefined ? { cause } : { cause, hint })
  }
}

/** The lines of a text, without the mark that some programs put before it. */
export function linesOf(text: string): string[] {
  return withoutMark(text).split(/\r?\n/)
}

/** Without a byte order mark. */
export function withoutMark(text: string): string {
  return text.startsWith('\ufeff') ? text.slice(1) : text
}
