/** Decisions of the kit that need no chain: names, terms, what is due. Time comes in. */
import { AteError, type Duration, durationMs, isWellFormed } from '@ate/core'
import type { Mode } from './manifest.ts'

/** How long and how strictly. */
export interface Keep {
  /** `governance`: managers of the archive may end it early, by name. `compliance`: nobody may. `governance` if left out. */
  readonly mode?: Mode
  /** From the moment it is put, or a date. Left out: it is written once, and may be disposed of at any time. */
  readonly retain?: Duration | Date
  /** A matter that holds it from the start. */
  readonly hold?: string
  /** Whose data it is: sealed under a key that `erase` destroys. */
  readonly subject?: string
}

const NAME_BYTES_MAX = 512

/** @throws AteError BAD_ARGUMENT */
export function checkText(text: unknown, what: string, maxBytes: number = NAME_BYTES_MAX): string {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text).length : 0
  if (typeof text !== 'string' || bytes < 1 || bytes > maxBytes || !isWellFormed(text))
    throw new AteError('BAD_ARGUMENT', { what: `${what} is text of 1 to ${maxBytes} bytes`, bytes })
  if (text.startsWith('ate:')) throw new AteError('RESERVED_NAME', { what })
  return text
}

/** What is asked for by a text that is none would be nothing, or all. @throws AteError BAD_ARGUMENT */
export function checkOptionalText(option: string, given: unknown): void {
  if (given !== undefined && typeof given !== 'string') throw new AteError('BAD_ARGUMENT', { option, what: 'text' })
}

/** Seq of a record. @throws AteError BAD_ARGUMENT */
export function checkSeq(option: string, given: unknown): number {
  if (Number.isSafeInteger(given) && (given as number) >= 0) return given as number
  throw new AteError('BAD_ARGUMENT', { option, what: 'the number of a record' })
}

/** Checked as a whole before anything is stored. @throws AteError BAD_ARGUMENT */
export function checkKeep(keep: Keep): void {
  const { mode, retain, hold, subject } = keep
  if (mode !== undefined && mode !== 'governance' && mode !== 'compliance')
    throw new AteError('BAD_ARGUMENT', { option: 'mode', words: ['governance', 'compliance'] })
  if (mode === 'compliance' && retain === undefined)
    throw new AteError('BAD_ARGUMENT', { option: 'retain', what: 'compliance is for a time' })
  if (hold !== undefined) checkText(hold, 'a matter')
  if (subject !== undefined) checkText(subject, 'a subject')
  if (retain !== undefined) untilOf(retain, 0)
}

/** Unix ms. @throws AteError BAD_ARGUMENT */
export function untilOf(retain: Duration | Date, now: number): number {
  const until = retain instanceof Date ? retain.getTime() : now + durationMs(retain, now)
  // What no Date can say no reader can show.
  if (!Number.isSafeInteger(until) || until < 0 || until > 8.64e15)
    throw new AteError('BAD_ARGUMENT', { option: 'retain', what: 'a time that a Date can say' })
  return until
}

/** What a quorum tolerates of `witnesses`: two verifiers see different histories only if more of them lie. */
export function tolerated({ witnesses, quorum }: { readonly witnesses: number; readonly quorum: number }): number {
  return Math.max(0, 2 * quorum - witnesses - 1)
}

/** 3 of 4, 5 of 7: as many may be down as may lie. */
export function quorumOf(witnesses: number): number {
  return witnesses - Math.floor((witnesses - 1) / 3)
}

/** First and last byte, both included, of what was asked for. @throws AteError BAD_ARGUMENT */
export function rangeOf(
  range: readonly [bigint | number, (bigint | number)?] | undefined,
  size: bigint,
): { readonly from: bigint; readonly to: bigint } {
  if (range === undefined) return { from: 0n, to: size - 1n }
  const whole = (value: bigint | number): bigint => {
    if (typeof value === 'bigint' || Number.isSafeInteger(value)) return BigInt(value)
    throw new AteError('BAD_ARGUMENT', { option: 'range', what: 'whole numbers' })
  }
  const from = whole(range[0])
  const to = range[1] === undefined ? size - 1n : whole(range[1])
  if (from < 0n || to < from || from >= size)
    throw new AteError('BAD_ARGUMENT', { option: 'range', from, to, size, what: 'first and last byte, both included' })
  return { from, to: to < size ? to : size - 1n }
}
