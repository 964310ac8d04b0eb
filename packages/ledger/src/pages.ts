/**
 * Pages of balances: the sums of up to 64 accounts in one value, so that a batch that posts in most accounts writes a page for
 * all of them in place of each account. A page is, slot after slot, four varints (LEB128, shortest form): debits, credits,
 * held debits, held credits. The place of an account is 64 times the number of its page, and its slot.
 */
import type { PageValue, SumsValue } from './ledger-records.ts'

export const PAGE_SLOTS = 64

export function pageOf(place: number): number {
  return Math.floor(place / PAGE_SLOTS)
}

export function slotOf(place: number): number {
  return place % PAGE_SLOTS
}

/** Of a sum of 2 to the 126th, which `ledger-rules.ts` allows. */
const SUM_BYTES_MAX = 19
/** Above it a number is not exact. */
const EXACT_MAX = BigInt(Number.MAX_SAFE_INTEGER)

/** What was decoded or made of a value of this session: it is read again by each batch. */
const known = new WeakMap<object, readonly SumsValue[]>()

export function pageValue(slots: readonly SumsValue[]): PageValue {
  const bytes = new Uint8Array(slots.length * 4 * SUM_BYTES_MAX)
  let at = 0
  for (const sums of slots) for (const sum of sums) at = writeSum(bytes, at, sum)
  const value = { sums: bytes.slice(0, at) }
  known.set(value, slots)
  return value
}

/** Undefined if it is no page: its author may be anybody who could write. */
export function slotsOf(value: unknown): readonly SumsValue[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const before = known.get(value)
  if (before) return before
  const slots = readSlots(value)
  if (slots) known.set(value, slots)
  return slots
}

function writeSum(bytes: Uint8Array, from: number, sum: bigint): number {
  let at = from
  let rest = sum
  for (; rest > EXACT_MAX; rest >>= 7n) bytes[at++] = Number(rest & 127n) | 128
  let small = Number(rest)
  for (; small > 127; small = Math.floor(small / 128)) bytes[at++] = (small % 128) | 128
  bytes[at++] = small
  return at
}

function readSlots({ sums: bytes }: { readonly sums?: unknown }): SumsValue[] | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined
  const sums: bigint[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = endOf(bytes, at)
    if (end === undefined || sums.length === 4 * PAGE_SLOTS) return undefined
    sums.push(readSum(bytes, at, end))
    at = end
  }
  if (sums.length % 4 !== 0) return undefined
  return Array.from({ length: sums.length / 4 }, (_, i) => sums.slice(4 * i, 4 * i + 4) as unknown as SumsValue)
}

/** Undefined for a sum that is cut, too long, or not in its shortest form. */
function endOf(bytes: Uint8Array, from: number): number | undefined {
  let at = from
  while (at < bytes.length && bytes[at]! > 127) at++
  const isShortest = at === from || bytes[at] !== 0
  return at < bytes.length && at - from < SUM_BYTES_MAX && isShortest ? at + 1 : undefined
}

function readSum(bytes: Uint8Array, from: number, end: number): bigint {
  let small = 0
  // Seven bytes are 49 bits, which a number holds.
  if (end - from <= 7) {
    for (let at = end - 1; at >= from; at--) small = small * 128 + (bytes[at]! & 127)
    return BigInt(small)
  }
  let sum = 0n
  for (let at = end - 1; at >= from; at--) sum = (sum << 7n) | BigInt(bytes[at]! & 127)
  return sum
}
