/** What the ledger refuses, and what to do then: docs/ERRORS.md is made from this table. */
import { type ErrorMaker, errorsOf } from '@ate/core'

export const ADVICE = {
  BAD_AMOUNT: 'an amount is decimal text or bigint units, above 0 and exact in its currency; never a number',
  INSUFFICIENT: 'the account would fall below its floor; nothing was posted',
  OVER_CEILING: 'the account would rise above its ceiling; nothing was posted',
  CURRENCY_MISMATCH:
    'the amount and both accounts have one currency; exchange by two transfers through accounts of your own',
  ACCOUNT_CLOSED: 'the account is closed; nothing is posted to it any more',
  ACCOUNT_NOT_EMPTY: 'an account is closed when its balance is 0 and no hold is open',
  HOLD_EXPIRED: 'the hold has run out, and what it kept is free again; make a new one',
  HOLD_RESOLVED: 'the hold was captured or voided before; it is resolved once',
  ALREADY_REVERSED: 'the transfer was reversed before; it is reversed once',
  RULE_BROKEN:
    'a record breaks a rule of the kit that only key holders can check; its author is in the facts. Nothing behind it is believed',
} as const

export type LedgerErrorCode = keyof typeof ADVICE

declare module '@ate/core' {
  interface KitErrors extends Record<LedgerErrorCode, string> {}
}

export const ledgerError: ErrorMaker<LedgerErrorCode> = errorsOf(ADVICE)
