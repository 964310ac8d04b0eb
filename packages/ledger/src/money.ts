/**
 * Money: whole units of a currency as a bigint. Parsing, writing and sharing out are exact, or they throw; nothing rounds.
 */
import { AteError } from '@ate/core'
import { type Currency, checkCurrency } from './currencies.ts'
import { ledgerError } from './errors.ts'

export interface Money<C extends string = string> {
  readonly currency: Currency<C>
  /** Of the currency's smallest unit: cents, if its scale is 2. */
  readonly units: bigint
}

/** Bits of an amount: sums of them stay within the 127 bits of a counter. */
const AMOUNT_BITS_MAX = 100
const AMOUNT_END: bigint = 1n << BigInt(AMOUNT_BITS_MAX)
/** Characters of an amount as text. */
const TEXT_MAX = 80
const DECIMAL = /^([+-]?)(\d{1,40})(?:\.(\d{1,30}))?$/

/**
 * An amount from its decimal text, `12.34`, or from units as a bigint. Digits below the currency's unit may be zeros only.
 * @throws AteError BAD_AMOUNT, for numbers too | BAD_ARGUMENT for what is no currency
 */
export function money<C extends string>(currency: Currency<C>, amount: string | bigint): Money<C> {
  checkCurrency(currency)
  const units = typeof amount === 'bigint' ? amount : unitsOf(currency, amount)
  checkSize(units, currency)
  return { currency, units }
}

function unitsOf({ code, scale }: Currency, text: unknown): bigint {
  if (typeof text !== 'string')
    throw ledgerError('BAD_AMOUNT', { what: 'give decimal text or bigint units', given: typeof text, currency: code })
  const match = text.length <= TEXT_MAX ? DECIMAL.exec(text) : null
  if (!match)
    throw ledgerError('BAD_AMOUNT', { what: 'decimal text such as 12.34', given: text.slice(0, 40), currency: code })
  const [, sign, whole = '', fraction = ''] = match
  if (/[1-9]/.test(fraction.slice(scale)))
    throw ledgerError('BAD_AMOUNT', { what: 'more digits than the currency has', given: text, currency: code, scale })
  const units = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0'))
  return sign === '-' ? -units : units
}

function checkSize(units: bigint, { code }: Currency): void {
  if (units >= AMOUNT_END || units <= -AMOUNT_END)
    throw ledgerError('BAD_AMOUNT', { what: `at most ${AMOUNT_BITS_MAX} bits`, currency: code })
}

/** The decimal text of an amount, with all digits of its currency: `-0.05`. */
export function decimalText({ currency, units }: Money): string {
  checkCurrency(currency)
  if (typeof units !== 'bigint') throw ledgerError('BAD_AMOUNT', { what: 'units are a bigint', given: typeof units })
  const digits = (units < 0n ? -units : units).toString().padStart(currency.scale + 1, '0')
  const whole = digits.slice(0, digits.length - currency.scale)
  const fraction = digits.slice(digits.length - currency.scale)
  return `${units < 0n ? '-' : ''}${whole}${fraction ? `.${fraction}` : ''}`
}

/** The decimal text with the code: `12.34 USD`. */
export function moneyText(amount: Money): string {
  return `${decimalText(amount)} ${amount.currency.code}`
}

/**
 * Shares an amount out by ratios. The parts add up to it exactly: what does not divide goes, unit by unit, to the parts
 * whose share was cut most, the first of them first.
 * @throws AteError BAD_AMOUNT | BAD_ARGUMENT for ratios below 0, or all 0
 */
export function allocate<C extends string>(amount: Money<C>, ratios: readonly bigint[]): Money<C>[] {
  checkMoney(amount)
  if (!Array.isArray(ratios) || ratios.length === 0 || ratios.some((ratio) => typeof ratio !== 'bigint' || ratio < 0n))
    throw new AteError('BAD_ARGUMENT', { what: 'ratios are bigints, none below 0' })
  const total = ratios.reduce((sum, ratio) => sum + ratio, 0n)
  if (total === 0n) throw new AteError('BAD_ARGUMENT', { what: 'a ratio above 0' })
  const sign = amount.units < 0n ? -1n : 1n
  const size = amount.units * sign
  const parts = ratios.map((ratio, index) => ({ index, units: (size * ratio) / total, cut: (size * ratio) % total }))
  let left = size - parts.reduce((sum, { units }) => sum + units, 0n)
  const byCut = [...parts].sort((a, b) => (a.cut === b.cut ? a.index - b.index : a.cut < b.cut ? 1 : -1))
  for (const part of byCut) {
    if (left === 0n) break
    part.units += 1n
    left -= 1n
  }
  return parts.map(({ units }) => ({ currency: amount.currency, units: units * sign }))
}

/** @throws AteError BAD_AMOUNT | BAD_ARGUMENT */
export function checkMoney(value: unknown): asserts value is Money {
  if (typeof value !== 'object' || value === null)
    throw ledgerError('BAD_AMOUNT', { what: 'give money(currency, text)', given: typeof value })
  const { currency, units } = value as Partial<Money>
  checkCurrency(currency)
  if (typeof units !== 'bigint')
    throw ledgerError('BAD_AMOUNT', { what: 'units are a bigint', given: typeof units, currency: currency.code })
  checkSize(units, currency)
}

/** As checkMoney, and above 0. */
export function checkAmount(value: unknown): asserts value is Money {
  checkMoney(value)
  if (value.units <= 0n)
    throw ledgerError('BAD_AMOUNT', { what: 'above 0', units: value.units, currency: value.currency.code })
}
