/**
 * The rules of accounts, pure: what an entry does to the sums of two accounts, and whether their bounds allow it. The author
 * of an entry and everybody who checks the journal use these same functions.
 */
import type { LedgerErrorCode } from './errors.ts'
import type { AccountValue, EntryKind, NormalSide, SumsValue } from './ledger-records.ts'

/** Sums of an account in units; changed in place while a batch is being judged. */
export interface Sums {
  debits: bigint
  credits: bigint
  heldDebits: bigint
  heldCredits: bigint
}

export interface Bounds {
  /** Of posted credits less debits less held debits. */
  readonly low: bigint | undefined
  /** Of posted credits less debits, and held credits. */
  readonly high: bigint | undefined
}

/** What the rules need to know of an account. */
export interface Terms {
  readonly normal: NormalSide
  readonly bounds: Bounds
}

/** What stands for good of an account. */
export interface AccountTerms extends Terms {
  /** Of its currency. */
  readonly code: string
  readonly scale: number
  readonly isGuarded: boolean
}

/** Bits of a sum: a counter of the chain has 127. */
const SUM_MAX: bigint = 1n << 126n

export type Refused = Extract<LedgerErrorCode, 'INSUFFICIENT' | 'OVER_CEILING'>

export function noSums(): Sums {
  return { debits: 0n, credits: 0n, heldDebits: 0n, heldCredits: 0n }
}

export function sumsOf(stored: SumsValue): Sums {
  return { debits: stored[0], credits: stored[1], heldDebits: stored[2], heldCredits: stored[3] }
}

export function storedSums({ debits, credits, heldDebits, heldCredits }: Sums): SumsValue {
  return [debits, credits, heldDebits, heldCredits]
}

/** Whether sums are those that are stored. */
export function areStored({ debits, credits, heldDebits, heldCredits }: Sums, stored: SumsValue): boolean {
  return debits === stored[0] && credits === stored[1] && heldDebits === stored[2] && heldCredits === stored[3]
}

/** Floor and ceiling of the normal side, as bounds of credits less debits. */
export function boundsOf({ normal, floor, ceiling }: Pick<AccountValue, 'normal' | 'floor' | 'ceiling'>): Bounds {
  if (normal === 'credit') return { low: floor, high: ceiling }
  return { low: negated(ceiling), high: negated(floor) }
}

export function termsOf(value: Pick<AccountValue, 'normal' | 'floor' | 'ceiling'>): Terms {
  return { normal: value.normal, bounds: boundsOf(value) }
}

export function accountTermsOf(value: AccountValue): AccountTerms {
  const { normal, currency, guarded } = value
  return { normal, bounds: boundsOf(value), code: currency[0], scale: currency[1], isGuarded: Boolean(guarded) }
}

export function areSameTerms(one: AccountTerms, other: AccountTerms): boolean {
  return (
    one.code === other.code &&
    one.scale === other.scale &&
    one.normal === other.normal &&
    one.isGuarded === other.isGuarded &&
    one.bounds.low === other.bounds.low &&
    one.bounds.high === other.bounds.high
  )
}

function negated(value: bigint | undefined): bigint | undefined {
  return value === undefined ? undefined : -value
}

/** What an entry of a kind does: how much is posted, and how much is held or set free (below 0). */
export interface Effect {
  readonly posted: bigint
  readonly held: bigint
}

/** `reserved` is what the hold had kept, of a resolution. */
export function effectOf(kind: EntryKind, units: bigint, reserved: bigint): Effect {
  switch (kind) {
    case 'post':
    case 'reverse':
      return { posted: units, held: 0n }
    case 'hold':
      return { posted: 0n, held: units }
    case 'capture':
      return { posted: units, held: -reserved }
    case 'void':
    case 'expire':
      return { posted: 0n, held: -reserved }
  }
}

/** A sum of bigints is a new object, also where nothing is added: most entries hold nothing. */
export function applyDebit(sums: Sums, { posted, held }: Effect): void {
  sums.debits += posted
  if (held !== 0n) sums.heldDebits += held
}

export function applyCredit(sums: Sums, { posted, held }: Effect): void {
  sums.credits += posted
  if (held !== 0n) sums.heldCredits += held
}

/** After a debit: what keeps `from` from it. */
export function refusedDebit(sums: Sums, { normal, bounds }: Terms): Refused | undefined {
  if (bounds.low !== undefined && lowOf(sums) < bounds.low) return normal === 'credit' ? 'INSUFFICIENT' : 'OVER_CEILING'
  return isOver(sums.debits, sums.heldDebits) ? 'OVER_CEILING' : undefined
}

/** After a credit: what keeps `to` from it. */
export function refusedCredit(sums: Sums, { normal, bounds }: Terms): Refused | undefined {
  if (bounds.high !== undefined && highOf(sums) > bounds.high)
    return normal === 'credit' ? 'OVER_CEILING' : 'INSUFFICIENT'
  return isOver(sums.credits, sums.heldCredits) ? 'OVER_CEILING' : undefined
}

function isOver(posted: bigint, held: bigint): boolean {
  return (held === 0n ? posted : posted + held) > SUM_MAX
}

/** Credits less debits, as if all held debits had been posted. */
function lowOf({ debits, credits, heldDebits }: Sums): bigint {
  return credits - debits - heldDebits
}

/** Credits less debits, as if all held credits had been posted. */
function highOf({ debits, credits, heldCredits }: Sums): bigint {
  return credits - debits + heldCredits
}

export interface Position {
  /** The balance on the account's normal side. */
  readonly posted: bigint
  /** The balance as it would be if all open holds were captured. */
  readonly pending: bigint
  /** What is posted, less what open holds may take. */
  readonly available: bigint
}

export function positionOf(sums: Sums, normal: NormalSide): Position {
  const net = sums.credits - sums.debits
  const pending = net + sums.heldCredits - sums.heldDebits
  if (normal === 'credit') return { posted: net, pending, available: net - sums.heldDebits }
  return { posted: -net, pending: -pending, available: -net - sums.heldCredits }
}
