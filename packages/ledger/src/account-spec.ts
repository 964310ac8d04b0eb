/** The terms on which an account is opened. They stand for good. */
import { AteError, objectOf, type Principal } from '@ate/core'
import { type Currency, checkCurrency } from './currencies.ts'
import type { AccountValue, NormalSide } from './ledger-records.ts'
import { checkMoney } from './money.ts'
import { NAMES } from './option-names.ts'

export interface AccountSpec<C extends string = string> {
  readonly currency: Currency<C>
  /** The side on which its balance grows: `credit` (what is owed to its owner; if left out) or `debit` (what one has). */
  readonly normal?: NormalSide
  /** The lowest balance, in units or `none`; 0 if left out. */
  readonly floor?: bigint | 'none'
  /** The highest balance; none if left out. */
  readonly ceiling?: bigint
  /** Who may debit it; whoever writes in the ledger if left out. Needs manage of the ledger. */
  readonly debitors?: readonly Principal[]
}

/** @throws AteError BAD_ARGUMENT */
export function accountValue(spec: AccountSpec): AccountValue {
  const {
    currency,
    normal = 'credit',
    floor = 0n,
    ceiling,
    debitors,
  } = objectOf(spec, 'the terms of an account', NAMES.account)
  checkCurrency(currency)
  if (normal !== 'credit' && normal !== 'debit')
    throw new AteError('BAD_ARGUMENT', { what: 'normal is credit or debit' })
  for (const bound of [floor === 'none' ? 0n : floor, ceiling ?? 0n]) checkMoney({ currency, units: bound })
  if (floor !== 'none' && ceiling !== undefined && ceiling < floor)
    throw new AteError('BAD_ARGUMENT', { what: 'a ceiling below the floor', floor, ceiling })
  if (floor !== 'none' && floor > 0n)
    throw new AteError('BAD_ARGUMENT', { what: 'an account begins empty: its floor is 0 or below', floor })
  if (ceiling !== undefined && ceiling < 0n)
    throw new AteError('BAD_ARGUMENT', { what: 'an account begins empty: its ceiling is 0 or above', ceiling })
  return {
    currency: [currency.code, currency.scale],
    normal,
    ...(floor === 'none' ? {} : { floor }),
    ...(ceiling === undefined ? {} : { ceiling }),
    ...(debitors === undefined ? {} : { guarded: true as const }),
  }
}
