/**
 * What callers ask of a ledger, parsed once at the edge into requests that the rest may trust. So it refuses what cannot be
 * written, half a surrogate pair for one: found out when it is written, it would end a transaction that others share.
 */
import { AteError, type Duration, durationMs, isWellFormed, objectOf } from '@ate/core'
import type { Currency } from './currencies.ts'
import {
  CODE_MAX,
  type EntryValue,
  type Json,
  META_DEPTH_MAX,
  META_MAX,
  NAME_MAX,
  REF_MAX,
  RESOLVE,
  REVERSE,
} from './ledger-records.ts'
import { checkAmount, checkMoney, type Money } from './money.ts'
import { NAMES } from './option-names.ts'

export interface Transfer<C extends string = string> {
  /**
   * The same id twice has one effect. At most 128 characters; it does not begin with `resolve:` or `reverse:`. Without one the
   * ledger makes one, and a call that is made again counts again.
   */
  readonly id?: string
  /** The account that is debited. */
  readonly from: string
  /** The account that is credited. */
  readonly to: string
  readonly amount: Money<C>
  /** What kind of transfer it is, for queries; at most 64 characters. */
  readonly code?: string
  /** What it is about elsewhere: an invoice, an order; at most 256 characters. */
  readonly ref?: string
  /** When it counts, if not when it is recorded. */
  readonly effective?: Date
  readonly meta?: Json
}

/** A request to post or hold. */
export interface PostRequest {
  readonly kind: 'post' | 'hold'
  readonly id: string
  /** What the entry says, of a hold until when apart. */
  readonly value: EntryValue
  readonly currency: Currency
  /** Of a hold, in ms. */
  readonly expiresMs: number | undefined
}

export interface ResolveRequest {
  readonly kind: 'capture' | 'void' | 'expire'
  readonly id: string
  readonly hold: string
  /** Of a capture; all of it if left out. */
  readonly amount: Money | undefined
}

export interface ReverseRequest {
  readonly kind: 'reverse'
  readonly id: string
  readonly of: string
  readonly reason: string | undefined
}

export type Request = PostRequest | ResolveRequest | ReverseRequest

export function isPost(request: Request): request is PostRequest {
  return request.kind === 'post' || request.kind === 'hold'
}

/** Chain time ends here, as dates do. */
export const TIME_MAX_MS = 8.64e15
/** Characters of an id; it is part of names of the chain, which are longer. */
const ID_MAX = 128

/** @throws AteError BAD_ARGUMENT | BAD_AMOUNT */
export function postRequest(
  transfer: Transfer,
  makeId: () => string,
  hold?: { readonly expires: Duration; readonly now: number },
): PostRequest {
  if (typeof transfer !== 'object' || transfer === null) throw new AteError('BAD_ARGUMENT', { what: 'a transfer' })
  objectOf(transfer, 'the members of a transfer', NAMES.transfer)
  const { id, from, to, amount, code, ref, effective, meta } = transfer
  checkAccountName(from)
  checkAccountName(to)
  if (from === to) throw new AteError('BAD_ARGUMENT', { what: 'from and to are one account', account: from })
  checkAmount(amount)
  if (id !== undefined) checkId(id)
  checkText(code, 'code', CODE_MAX)
  checkText(ref, 'ref', REF_MAX)
  const kind = hold === undefined ? 'post' : 'hold'
  const told = { kind, from, to, units: amount.units } as const
  const isPlain = code === undefined && ref === undefined && effective === undefined && meta === undefined
  const value: EntryValue = isPlain
    ? told
    : {
        ...told,
        ...(code === undefined ? {} : { code }),
        ...(ref === undefined ? {} : { ref }),
        ...(effective === undefined ? {} : { effective: timeOf(effective) }),
        ...(meta === undefined ? {} : { meta: checkedMeta(meta) }),
      }
  const expiresMs = hold === undefined ? undefined : expiryOf(hold)
  return { kind, id: id ?? makeId(), value, currency: amount.currency, expiresMs }
}

/** Years of a duration are counted from `now`. */
function expiryOf({ expires, now }: { readonly expires: Duration; readonly now: number }): number {
  if (expires === undefined) throw new AteError('BAD_ARGUMENT', { what: 'a hold says when it expires: { expires }' })
  const ms = durationMs(expires, now)
  if (ms < 1) throw new AteError('BAD_ARGUMENT', { what: 'a hold expires later than now' })
  if (ms > TIME_MAX_MS - now) throw new AteError('BAD_ARGUMENT', { what: 'a hold expires before dates end', ms })
  return ms
}

export function resolveRequest(kind: ResolveRequest['kind'], hold: string, amount?: Money): ResolveRequest {
  checkId(hold)
  if (amount !== undefined) {
    checkMoney(amount)
    checkAmount(amount)
  }
  return { kind, id: RESOLVE + hold, hold, amount }
}

export function reverseRequest(of: string, reason: string | undefined): ReverseRequest {
  if (typeof of !== 'string' || of.length === 0 || of.length > ID_MAX + RESOLVE.length)
    throw new AteError('BAD_ARGUMENT', { what: 'id of the transfer to reverse' })
  if (of.startsWith(REVERSE))
    throw new AteError('BAD_ARGUMENT', { what: 'a reversal is not reversed; make a transfer', id: of })
  checkText(reason, 'reason', REF_MAX)
  return { kind: 'reverse', id: REVERSE + of, of, reason }
}

/** @throws AteError BAD_ARGUMENT */
export function checkAccountName(name: unknown): asserts name is string {
  if (
    typeof name !== 'string' ||
    name.length === 0 ||
    name.length > NAME_MAX ||
    name.startsWith('ate:') ||
    /[\p{Cc}]/u.test(name)
  )
    throw new AteError('BAD_ARGUMENT', { what: `name of an account: 1 to ${NAME_MAX} characters`, given: typeof name })
}

function checkId(id: unknown): asserts id is string {
  if (typeof id !== 'string' || id.length === 0 || id.length > ID_MAX || !isWellFormed(id))
    throw new AteError('BAD_ARGUMENT', {
      what: `an id is well-formed text of 1 to ${ID_MAX} characters`,
      given: typeof id,
    })
  if (id.startsWith(RESOLVE) || id.startsWith(REVERSE) || id.startsWith('ate:'))
    throw new AteError(
      'RESERVED_NAME',
      { id },
      { hint: `ids that begin with ${RESOLVE}, ${REVERSE} or ate: are made by the ledger itself; choose another` },
    )
}

function checkText(text: unknown, what: string, max: number): void {
  if (text === undefined) return
  if (typeof text !== 'string' || text.length > max || !isWellFormed(text))
    throw new AteError('BAD_ARGUMENT', {
      what: `${what} is well-formed text of at most ${max} characters`,
      given: typeof text,
    })
}

function timeOf(date: unknown): number {
  const ms = date instanceof Date ? date.getTime() : Number.NaN
  if (!Number.isSafeInteger(ms) || ms < 0)
    throw new AteError('BAD_ARGUMENT', { what: 'effective is a Date from 1970 on' })
  return ms
}

function checkedMeta(meta: Json): Json {
  const text = safeJson(meta)
  if (text === undefined || text.length > META_MAX)
    throw new AteError('BAD_ARGUMENT', { what: `meta is JSON of at most ${META_MAX} characters` })
  const plain = JSON.parse(text) as Json
  if (!isStorable(plain, 0))
    throw new AteError('BAD_ARGUMENT', {
      what: `meta is well-formed text, at most ${META_DEPTH_MAX} deep, without the key __proto__`,
    })
  return plain
}

function isStorable(meta: Json, depth: number): boolean {
  if (typeof meta === 'string') return isWellFormed(meta)
  if (typeof meta !== 'object' || meta === null) return true
  if (depth === META_DEPTH_MAX) return false
  if (Array.isArray(meta)) return meta.every((item: Json) => isStorable(item, depth + 1))
  return Object.entries(meta).every(
    ([key, item]) => key !== '__proto__' && isWellFormed(key) && isStorable(item, depth + 1),
  )
}

function safeJson(meta: Json): string | undefined {
  try {
    return JSON.stringify(meta)
  } catch {
    return undefined
  }
}

/** True if an entry that is there says what the request asks for. When it was held, and with what, does not count. */
export function asksFor(value: EntryValue, request: PostRequest): boolean {
  const { value: asked } = request
  return (
    value.kind === request.kind &&
    value.from === asked.from &&
    value.to === asked.to &&
    value.units === asked.units &&
    value.code === asked.code &&
    value.ref === asked.ref &&
    value.effective === asked.effective &&
    sameJson(value.meta, asked.meta)
  )
}

function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  const [left, right] = [a as Record<string, Json>, b as Record<string, Json>]
  return keys.every((key) => Object.hasOwn(right, key) && sameJson(left[key], right[key]))
}
