/**
 * Pages of balances: the sums of up to 64 accounts in one value, so that a batch that posts in most accounts writes a page for
 * all of them in place of each account. A page is, slot after slot, four varints (LEB128, shortest form): debits, credits,
 * held debits, held credits; and beside these bytes, the slots of accounts that are closed (decision 0103). The place of an
 * account is 64 times the number of its page, and its slot.
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
interface Read {
  readonly slots: readonly SumsValue[]
  /** Where the bytes of each slot end. */
  readonly ends: Uint16Array
}
const known = new WeakMap<object, Read>()

/** Pages are many: one is made here, and copied. */
const scratch = new Uint8Array(PAGE_SLOTS * 4 * SUM_BYTES_MAX)

/**
 * The value of a page. `closed` are the slots of closed accounts, ascending; undefined of a page that does not say it. The bytes of
 * slots that are those of the page `before` are copied.
 */
export function pageValue(
  slots: readonly SumsValue[],
  closed: readonly number[] | undefined,
  before?: PageValue,
): PageValue {
  const old = before && known.get(before)
  const ends = new Uint16Array(slots.length)
  let at = 0
  for (let slot = 0; slot < slots.length; ) {
    let same = slot
    while (old && same < slots.length && slots[same] === old.slots[same]) same++
    if (same === slot) {
      const sums = slots[slot]!
      for (let i = 0; i < sums.length; i++) at = writeSum(scratch, at, sums[i]!)
      ends[slot++] = at
      continue
    }
    const from = slot === 0 ? 0 : old!.ends[slot - 1]!
    const moved = at - from
    scratch.set(before!.sums.subarray(from, old!.ends[same - 1]), at)
    for (; slot < same; slot++) at = ends[slot] = old!.ends[slot]! + moved
  }
  const value = { sums: scratch.slice(0, at), ...(closed === undefined ? {} : { closed }) }
  known.set(value, { slots, ends })
  return value
}

/** Undefined if it is no page: its author may be anybody who could write. */
export function slotsOf(value: unknown): readonly SumsValue[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const before = known.get(value)
  if (before) return before.slots
  const read = readSlots(value)
  if (read) known.set(value, read)
  return read?.slots
}

function writeSum(bytes: Uint8Array, from: number, sum: bigint): number {
  let at = from
  if (sum === 0n) {
    bytes[at++] = 0
    return at
  }
  let rest = sum
  for (; rest > EXACT_MAX; rest >>= 7n) bytes[at++] = Number(rest & 127n) | 128
  let small = Number(rest)
  for (; small > 127; small = Math.floor(small / 128)) bytes[at++] = (small % 128) | 128
  bytes[at++] = small
  return at
}

function readSlots({ sums: bytes, closed }: { readonly sums?: unknown; readonly closed?: unknown }): Read | undefined {
  if (!(bytes instanceof Uint8Array)) return undefined
  const sums: bigint[] = []
  const ends: number[] = []
  for (let at = 0; at < bytes.length; ) {
    const end = endOf(bytes, at)
    if (end === undefined || sums.length === 4 * PAGE_SLOTS) return undefined
    sums.push(readSum(bytes, at, end))
    at = end
    if (sums.length % 4 === 0) ends.push(at)
  }
  if (sums.length % 4 !== 0 || !areSlots(closed, ends.length)) return undefined
  const slots = ends.map((_, i) => sums.slice(4 * i, 4 * i + 4) as unknown as SumsValue)
  return { slots, ends: Uint16Array.from(ends) }
}

/** Ascending numbers of slots that are there; or nothing. */
function areSlots(closed: unknown, count: number): boolean {
  if (closed === undefined) return true
  if (!Array.isArray(closed)) return false
  return closed.every((slot, i) => Number.isSafeInteger(slot) && slot < count && slot > (i === 0 ? -1 : closed[i - 1]))
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
