/** Shapes of stored values, checked when they are read: their author may be anybody who could write. */
import type { CoinCurrencyValue } from './coin-records.ts'
import type { AccountValue, CurrencyValue, EntryKind, EntryValue, HoldValue, LedgerValue } from './ledger-records.ts'

const KINDS: ReadonlySet<string> = new Set<EntryKind>(['post', 'hold', 'capture', 'void', 'expire', 'reverse'])

export function isEntryKind(value: unknown): value is EntryKind {
  return typeof value === 'string' && KINDS.has(value)
}

export function isEntryValue(value: unknown): value is EntryValue {
  if (!isRecord(value)) return false
  const { kind, from, to, units, code, ref, effective, group, of, until } = value
  return (
    isEntryKind(kind) &&
    typeof from === 'string' &&
    typeof to === 'string' &&
    typeof units === 'bigint' &&
    units > 0n &&
    [code, ref, group, of].every(isOptionalText) &&
    [effective, until].every(isOptionalCount)
  )
}

export function isAccountValue(value: unknown): value is AccountValue {
  if (!isRecord(value)) return false
  const { currency, normal, floor, ceiling, guarded, closed, sums, place, unit } = value
  return (
    Array.isArray(currency) &&
    currency.length === 2 &&
    typeof currency[0] === 'string' &&
    Number.isSafeInteger(currency[1]) &&
    (normal === 'credit' || normal === 'debit') &&
    [floor, ceiling].every((bound) => bound === undefined || typeof bound === 'bigint') &&
    [guarded, closed].every((flag) => flag === undefined || flag === true) &&
    isOptionalText(unit) &&
    isOptionalCount(place) &&
    (sums === undefined || (Array.isArray(sums) && sums.length === 4 && sums.every(isSum)))
  )
}

export function isHoldValue(value: unknown): value is HoldValue {
  if (!isRecord(value)) return false
  const { from, to, units, until } = value
  return (
    typeof from === 'string' &&
    typeof to === 'string' &&
    typeof units === 'bigint' &&
    units > 0n &&
    Number.isSafeInteger(until) &&
    (until as number) >= 0
  )
}

export function isLedgerValue(value: unknown): value is LedgerValue {
  return (
    isRecord(value) && typeof value['name'] === 'string' && ['sealed', 'clear'].includes(value['amounts'] as string)
  )
}

export function isCurrencyValue(value: unknown): value is CurrencyValue {
  return isRecord(value) && Number.isSafeInteger(value['scale']) && typeof value['unit'] === 'string'
}

export function isCoinCurrencyValue(value: unknown): value is CoinCurrencyValue {
  if (!isRecord(value)) return false
  const { code, unit, mint, pool } = value
  return isCurrencyValue(value) && [code, unit, mint, pool].every((text) => typeof text === 'string')
}

function isSum(value: unknown): boolean {
  return typeof value === 'bigint' && value >= 0n
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === 'string'
}

function isOptionalCount(value: unknown): boolean {
  return value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)
}
