/**
 * Decimal text of files, as money() reads it. Marks between thousands stand between groups of three digits and are all the
 * same; there is one decimal mark. Whatever else has marks in it is refused: 12,50 is not 1250.
 */
import type { Currency } from '../currencies.ts'
import { type Money, money } from '../money.ts'
import { unreadAmount } from './places.ts'

export type DecimalMark = '.' | ','

/** What stands between thousands, beside the mark that is not the decimal one: an apostrophe and spaces. */
const SPACES = "'\u2019 \u00a0\u2009\u202f"
/** Under four digits before the one mark, three behind it: thousands, or a fraction. */
const EITHER = /^[+-]?\s?[1-9]\d{0,2}([.,])(\d{3})$/

/** @throws AteError BAD_AMOUNT */
export function plainDecimal(
  text: string,
  decimal: DecimalMark,
  { thousands }: { readonly thousands: 'none' | 'mark' | 'any' } = { thousands: 'none' },
): string {
  const mark = decimal === '.' ? ',' : '.'
  const between = thousands === 'none' ? undefined : `[${mark}${thousands === 'any' ? SPACES : ''}]`
  const grouped = between === undefined ? '' : `\\d{1,3}(?:(?<between>${between})\\d{3})(?:\\k<between>\\d{3})*|`
  const match = new RegExp(`^([+-]?)\\s?(${grouped}\\d+)(?:[${decimal}](\\d*))?$`).exec(text.trim())
  if (!match) throw unreadAmount(`an amount with the decimal mark ${decimal}`, text)
  const groups = match.length - 1
  const [, sign = '', whole = ''] = match
  const fraction = match[groups] ?? ''
  return `${sign === '-' ? '-' : ''}${whole.replace(/\D/g, '')}${fraction === '' ? '' : `.${fraction}`}`
}

/**
 * An amount of a CSV. Without `decimal` it is a point, and what may be thousands as well as a fraction is refused.
 * @throws AteError BAD_AMOUNT
 */
export function csvAmount(unit: Currency, text: string, decimal: DecimalMark | undefined): Money {
  const either = decimal === undefined ? EITHER.exec(text.trim()) : null
  if (either && mayBeFraction(either[2]!, unit) && (either[1] === ',' || unit.scale < 3))
    throw unreadAmount('thousands or a fraction? say decimal in the rules', text)
  return money(unit, plainDecimal(text, decimal ?? '.', { thousands: 'any' }))
}

/**
 * An amount of OFX: a point or a comma begins the fraction, and nothing stands between thousands. Three digits behind it,
 * in a currency that has fewer, are more likely thousands of a bank that does not keep to that.
 * @throws AteError BAD_AMOUNT
 */
export function ofxAmount(unit: Currency, text: string): Money {
  if (EITHER.test(text.trim()) && unit.scale < 3) throw unreadAmount('thousands or a fraction?', text)
  return money(unit, plainDecimal(text, text.includes(',') ? ',' : '.'))
}

function mayBeFraction(digits: string, { scale }: Currency): boolean {
  return /^0*$/.test(digits.slice(scale))
}
