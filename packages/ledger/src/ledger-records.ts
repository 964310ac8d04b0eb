/**
 * What a ledger stores. Its node stands below the root, the first of its name. Below it stand accounts and entries, each under its own name, and currencies. An
 * entry is never changed or deleted: the journal is what the balances are checked against. Below an account stand the holds
 * that are open on it.
 */
import { defineType, type EntityType } from '@ate/core'
import { isAccountValue, isCurrencyValue, isEntryValue, isHoldValue, isLedgerValue } from './stored-shapes.ts'

/** Whether amounts are sealed, or clear counters of the chain that every replica bounds. */
export type Amounts = 'sealed' | 'clear'

export interface LedgerValue {
  readonly name: string
  readonly amounts: Amounts
}

export type NormalSide = 'credit' | 'debit'

/** Posted and held sums, in units: debits, credits, held debits, held credits. None of them falls below 0. */
export type SumsValue = readonly [bigint, bigint, bigint, bigint]

export interface AccountValue {
  /** Code and scale of the currency. */
  readonly currency: readonly [string, number]
  readonly normal: NormalSide
  /** Left out: none. */
  readonly floor?: bigint
  readonly ceiling?: bigint
  /** Only those named when it was opened may debit it; who they are stands in clear. */
  readonly guarded?: true
  readonly closed?: true
  /** Of a ledger with clear amounts: the unit of its counters. */
  readonly unit?: string
  /** Of a ledger with sealed amounts, unless they stand in a page. */
  readonly sums?: SumsValue
  /** Where they stand in the pages of the ledger; once an account has a place, it keeps it. */
  readonly place?: number
}

/** Sums of up to 64 accounts, in the order of their slots (pages.ts). Named by its number, from 0 on. */
export interface PageValue {
  readonly sums: Uint8Array
  /**
   * Slots of accounts that are closed, ascending: who has this page knows all of them that ever changes. Undefined of a page
   * that a version of before has made: for good.
   */
  readonly closed?: readonly number[]
}

export type EntryKind = 'post' | 'hold' | 'capture' | 'void' | 'expire' | 'reverse'

/** What a value of CBOR and JSON alike may hold. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** Its name is its id: the client's, `resolve:HOLD` or `reverse:ID`. */
export interface EntryValue {
  readonly kind: EntryKind
  readonly from: string
  readonly to: string
  /** Above 0; of void and expire what becomes free, of a capture what is posted. */
  readonly units: bigint
  readonly code?: string
  readonly ref?: string
  /** Unix ms: when it counts for its writers; the chain's time is the record's. */
  readonly effective?: number
  readonly meta?: Json
  /** Entries of one atomic group: the id of its first. */
  readonly group?: string
  /** The hold that it resolves, or the entry that it reverses. */
  readonly of?: string
  /** Of a hold: chain time in Unix ms from which it is free again. */
  readonly until?: number
}

/** An open hold, below the account that it debits; named by its id. Gone once it is resolved. */
export interface HoldValue {
  /** Ids of the entities of its two accounts. */
  readonly from: string
  readonly to: string
  readonly units: bigint
  readonly until: number
}

/** Named by its code: the one scale that it has in a ledger, which the first account of it gives. */
export interface CurrencyValue {
  readonly scale: number
  /** Of a ledger with clear amounts: the unit that its counters name; with sealed amounts an empty text. */
  readonly unit: string
}

export const LedgerNode: EntityType<LedgerValue> = defineType<LedgerValue>('ledger', { shape: isLedgerValue })
/** Who posts in one account posts there again: what he wrote is not decoded for it. */
export const Account: EntityType<AccountValue> = defineType<AccountValue>('ledger-account', {
  written: 'frozen',
  shape: isAccountValue,
})
/**
 * Its bytes are made anew for each value, and never changed. Version 2 may say who is closed: software of before would close
 * an account without a word in its page, and so is told that it needs an upgrade.
 */
export const Page: EntityType<PageValue> = defineType<PageValue>('ledger-page', {
  version: 2,
  migrate: (value) => value as PageValue,
  written: 'frozen',
})
export const Entry: EntityType<EntryValue> = defineType<EntryValue>('ledger-entry', { shape: isEntryValue })
export const Hold: EntityType<HoldValue> = defineType<HoldValue>('ledger-hold', {
  indexes: { from: ({ from }) => from, to: ({ to }) => to },
  shape: isHoldValue,
})
export const CurrencyNode: EntityType<CurrencyValue> = defineType<CurrencyValue>('ledger-currency', {
  shape: isCurrencyValue,
})
export const Unit: EntityType<{ readonly code: string }> = defineType<{ readonly code: string }>('ledger-unit')

/**
 * Counters of an account with clear amounts, all in credits less debits: `free` is what is posted less held debits, bounded
 * below and above; `out` and `in` are held debits and credits; `top` is what is posted and held credits, where there is an
 * upper bound.
 */
export const COUNTER = { free: 'free', out: 'out', in: 'in', top: 'top' } as const
/** The counter of a hold with clear amounts. */
export const HELD = 'held'
/** Counts debits of a guarded account with sealed amounts: only those who may debit add to it. */
export const GATE = 'debits'

/** Characters. */
export const NAME_MAX = 128
export const CODE_MAX = 64
export const REF_MAX = 256
/** Characters of meta as JSON. */
export const META_MAX = 4096
/** Lists and objects within each other: an entry has 32 with itself. */
export const META_DEPTH_MAX = 31
/** Ids that the ledger makes itself. */
export const RESOLVE = 'resolve:'
export const REVERSE = 'reverse:'
