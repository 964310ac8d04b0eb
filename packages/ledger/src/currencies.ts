/** ISO 4217: the active codes with their minor units, and what makes a currency of one's own. */
import { AteError, errorText } from '@ate/core'

/** A currency: its code, and how many decimal digits one unit of it is below the major amount. */
export interface Currency<C extends string = string> {
  readonly code: C
  readonly scale: number
}

/** Digits behind the point. A scale cannot be changed later: 18 is what ether has, 38 digits fit into an amount. */
const SCALE_MAX = 30

const CODE = /^[A-Z][A-Z0-9_.-]{0,23}$/

// Codes by minor units, from ISO 4217 list one. What has no minor unit there (gold, the test code) is not money here.
const BY_SCALE: Readonly<Record<number, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF',
  2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
    CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR
    ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR
    MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
    SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG`,
  3: 'BHD IQD JOD KWD LYD OMR TND',
  4: 'CLF UYW',
}

const ISO: ReadonlyMap<string, Currency> = new Map(
  Object.entries(BY_SCALE).flatMap(([scale, codes]) =>
    codes.split(/\s+/).map((code) => [code, Object.freeze({ code, scale: Number(scale) })] as const),
  ),
)

/** The currency of an ISO 4217 code, or undefined. */
export function isoCurrency(code: string): Currency | undefined {
  return ISO.get(code)
}

/** All ISO 4217 codes that are known here. */
export function isoCodes(): string[] {
  return [...ISO.keys()].sort()
}

/**
 * A currency by its code: of ISO 4217 without `scale`, or one's own with it. Codes are capitals, digits and `_.-`.
 * @throws AteError BAD_ARGUMENT, also if the code is an ISO one of another scale
 */
export function currency<const C extends string>(code: C, scale?: number): Currency<C> {
  const iso = ISO.get(code)
  if (iso && (scale === undefined || scale === iso.scale)) return iso as Currency<C>
  if (iso) throw new AteError('BAD_ARGUMENT', { what: 'ISO 4217 has another scale', code, scale, iso: iso.scale })
  if (scale === undefined)
    throw new AteError('BAD_ARGUMENT', { what: 'not an ISO 4217 code: give its scale', code: short(code) })
  const made = { code, scale }
  checkCurrency(made)
  return Object.freeze(made)
}

/** @throws AteError BAD_ARGUMENT */
export function checkCurrency(value: unknown): asserts value is Currency {
  if (typeof value !== 'object' || value === null) throw new AteError('BAD_ARGUMENT', { what: 'a currency' })
  const { code, scale } = value as Partial<Currency>
  if (typeof code !== 'string' || !CODE.test(code))
    throw new AteError('BAD_ARGUMENT', {
      what: 'code of a currency: A to Z, digits, _ . -, at most 24',
      code: short(code),
    })
  if (!Number.isSafeInteger(scale) || scale! < 0 || scale! > SCALE_MAX)
    throw new AteError('BAD_ARGUMENT', { what: 'scale of a currency', code, max: SCALE_MAX })
}

function short(value: unknown): string {
  return errorText(value, 40)
}

export const USD: Currency<'USD'> = currency('USD')
export const EUR: Currency<'EUR'> = currency('EUR')
export const GBP: Currency<'GBP'> = currency('GBP')
export const CHF: Currency<'CHF'> = currency('CHF')
export const JPY: Currency<'JPY'> = currency('JPY')
