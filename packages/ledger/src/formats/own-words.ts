/**
 * What a journal of beancount or hledger has no place for, and the ledger says all the same: the name of an account, its normal
 * side, and the code, reference and meta of an entry. It is written as metadata under names of its own, so that what is
 * exported comes in again as it was; both programs hand such metadata through.
 */
import { AteError } from '@ate/core'
import type { Entry } from '../ledger.ts'
import type { Json, NormalSide } from '../ledger-records.ts'
import { type Place, unread } from './places.ts'

/** What an entry says, as far as it says it. */
export interface OwnEntry {
  code?: string
  ref?: string
  meta?: Json
}

/** Names and values, in the order in which they are written. */
export type OwnWords = readonly (readonly [name: string, value: string])[]

const NAME = /^ate-(?:account|normal|kind|code|ref|meta)$/
/** Accounts of what one has and what one spends grow on the debit side. */
const DEBIT = /^(assets?|expenses?)(:|$)/i

export function isOwnWord(name: string): boolean {
  return NAME.test(name)
}

function usualSide(account: string): NormalSide {
  return DEBIT.test(account) ? 'debit' : 'credit'
}

/** Of an account that stands in the file as `written`. */
export function accountWords(
  account: { readonly name: string; readonly normal: NormalSide },
  written: string,
): OwnWords {
  const { name, normal } = account
  return [
    ...(name === written ? [] : [['ate-account', name] as const]),
    ...(normal === usualSide(written) ? [] : [['ate-normal', normal] as const]),
  ]
}

/** Of an entry, at least its kind: who reads that takes the rest from here, not from what is written for people. */
export function entryWords({ kind, code, ref, meta }: Entry): OwnWords {
  return [
    ['ate-kind', kind],
    ...(code === undefined ? [] : [['ate-code', code] as const]),
    ...(ref === undefined ? [] : [['ate-ref', ref] as const]),
    ...(meta === undefined ? [] : [['ate-meta', JSON.stringify(meta)] as const]),
  ]
}

/** @throws AteError BAD_VALUE for meta that is no JSON */
export function takeEntryWord(open: { own?: OwnEntry }, name: string, value: string): void {
  open.own ??= {}
  if (name === 'ate-code') open.own.code = value
  if (name === 'ate-ref') open.own.ref = value
  if (name === 'ate-meta') open.own.meta = parsed(value)
}

function parsed(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    throw new AteError('BAD_VALUE', { what: 'ate-meta is JSON', given: text.slice(0, 60) }, { cause })
  }
}

/** What a file says of its accounts, by their names there. */
export class ToldAccounts {
  readonly #told = new Map<string, { name?: string; normal?: NormalSide }>()
  /** Names in the file, by those in the ledger. */
  readonly #written = new Map<string, string>()

  /** @throws AteError BAD_VALUE for another side than there is, and for what was told before otherwise */
  take(written: string, [name, value]: readonly [string, string], place: Place): void {
    const told = this.#told.get(written) ?? {}
    this.#told.set(written, told)
    if (name === 'ate-account') {
      if (told.name !== undefined && told.name !== value)
        throw unread('an account has two names', place, { account: told.name, other: value })
      told.name = value
    }
    if (name !== 'ate-normal') return
    if (value !== 'debit' && value !== 'credit') throw unread('ate-normal is debit or credit', place)
    told.normal = value
  }

  /** @throws AteError BAD_VALUE for a name that another account of the file has */
  of(written: string): { readonly name: string; readonly normal: NormalSide } {
    const { name = written, normal = usualSide(written) } = this.#told.get(written) ?? {}
    const other = this.#written.get(name) ?? written
    if (other !== written)
      throw new AteError('BAD_VALUE', { what: 'two accounts of the file have one name', account: name, written, other })
    this.#written.set(name, written)
    return { name, normal }
  }
}
