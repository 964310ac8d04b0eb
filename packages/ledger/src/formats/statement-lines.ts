/** Lines of a bank's statement, whatever format they came in, and the rules that make transfers of them. */
import { AteError } from '@ate/core'
import type { Currency } from '../currencies.ts'
import type { Transfer } from '../requests.ts'
import { checkRules, type ImportRules } from './import-rules.ts'
import { unread } from './places.ts'

/** One booked line. */
export interface StatementLine {
  /** The bank's own reference, or one made of the line's content. */
  readonly id: string
  readonly date: Date
  /** In units: above 0 what came in, below 0 what went out. */
  readonly units: bigint
  readonly currency: Currency
  readonly text: string
  readonly ref?: string
}

/**
 * Lines of 0 are left out: nothing moves.
 * @throws AteError BAD_ARGUMENT for rules that are none, or have a name that is not known | BAD_VALUE for two lines of one id
 */
export function transfersOf(lines: readonly StatementLine[], rules: ImportRules): Transfer[] {
  checkRules(rules)
  checkIds(lines)
  const compiled = (rules.rules ?? []).map(({ match, account, code }) => ({ pattern: patternOf(match), account, code }))
  return lines
    .filter(({ units }) => units !== 0n)
    .map(({ id, date, units, currency, text, ref }) => {
      const rule = compiled.find(({ pattern }) => pattern.test(text))
      const other = rule?.account ?? rules.other
      const comesIn = units > 0n
      // What comes in is debited to an account of what one has.
      const debited = comesIn === ((rules.normal ?? 'debit') === 'debit')
      return {
        id,
        from: debited ? rules.account : other,
        to: debited ? other : rules.account,
        amount: { currency, units: comesIn ? units : -units },
        effective: date,
        ...(rule?.code === undefined ? {} : { code: rule.code }),
        ...(ref === undefined || ref === '' ? {} : { ref: cut(ref, 256) }),
        ...(text === '' ? {} : { meta: { text: cut(text, 1000) } }),
      }
    })
}

/** At most so long, and no half of a character at its end, which nothing stores. */
export function cut(text: string, length: number): string {
  const last = text.charCodeAt(length - 1)
  return text.slice(0, last >= 0xd800 && last <= 0xdbff ? length - 1 : length)
}

/** The second line of an id would count as posted before, or as another body of it. */
function checkIds(lines: readonly StatementLine[]): void {
  const seen = new Map<string, number>()
  for (const [index, { id }] of lines.entries()) {
    const first = seen.get(id)
    if (first !== undefined)
      throw unread('two lines have one id', { format: 'statement', entry: index + 1 }, { id, first })
    seen.set(id, index + 1)
  }
}

function patternOf(match: string): RegExp {
  try {
    return new RegExp(match, 'iu')
  } catch (cause) {
    throw new AteError(
      'BAD_ARGUMENT',
      { what: 'a rule is no regular expression', match: String(match).slice(0, 100) },
      { cause },
    )
  }
}

/** Ids of lines that carry none: the same content gives the same id, and the second of two equal lines another. */
export class ContentIds {
  readonly #seen = new Map<string, number>()

  idOf(...parts: readonly unknown[]): string {
    const text = JSON.stringify(parts, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
    const count = (this.#seen.get(text) ?? 0) + 1
    this.#seen.set(text, count)
    return `${contentHash(text)}${count === 1 ? '' : `-${count}`}`
  }
}

/** Characters of an id of the ledger. */
const ID_MAX = 128

/** The id of a line by the bank's own reference. One that is too long is not cut, or two would be one. */
export function foreignLineId(format: string, account: string, reference: string): string {
  const id = `${format}:${account}:${reference}`
  return id.length <= ID_MAX ? id : `${format}:${contentHash(id)}`
}

function contentHash(text: string): string {
  return `${hash(text, 1)}${hash(text, 2)}`
}

/** Not a cryptographic hash: two contents of one id would be refused as ID_REUSED, not mixed up. */
function hash(text: string, seed: number): string {
  let a = 0xdeadbeef ^ seed
  let b = 0x41c6ce57 ^ seed
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, 0x9e3779b1)
    b = Math.imul(b ^ unit, 0x5f356495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return `${(a >>> 0).toString(16).padStart(8, '0')}${(b >>> 0).toString(16).padStart(8, '0')}`
}

/** A date without a time, at midnight UTC. @throws AteError BAD_VALUE */
export function dayOf(year: number, month: number, day: number): Date {
  const date = new Date(Date.UTC(year, month - 1, day))
  if (date.getUTCFullYear() !== year || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day)
    throw new AteError('BAD_VALUE', { what: 'no such day', year, month, day })
  return date
}

/** `YYYY-MM-DD` of a time, in UTC. */
export function dayText(date: Date): string {
  return date.toISOString().slice(0, 10)
}
