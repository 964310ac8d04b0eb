/// <reference lib="esnext.disposable" preserve="true" />
/** @ate/ledger: money, accounts and transfers on a chain. The public names, listed by hand. */
export { AteError, createIdentity, defineType, isAteError, openChain, openIdentity } from '@ate/core'
export { CHF, type Currency, currency, EUR, GBP, isoCodes, isoCurrency, JPY, USD } from './currencies.ts'
export type { LedgerErrorCode } from './errors.ts'
export {
  type AccountInfo,
  type AccountSpec,
  type Balance,
  type Entry,
  type EntryQuery,
  type Ledger,
  type LedgerHold,
  ledger,
  type Outcome,
  type Receipt,
  type Statement,
  type TrialRow,
  type Verified,
  type WriteOptions,
} from './ledger.ts'
export type { Amounts, EntryKind, Json, NormalSide } from './ledger-records.ts'
export type { LedgerOptions } from './ledger-store.ts'
export { allocate, decimalText, type Money, money, moneyText } from './money.ts'
export type { Posted } from './poster.ts'
export type { Transfer } from './requests.ts'
