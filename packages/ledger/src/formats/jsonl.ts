/** JSON Lines: one transfer or entry a line; amounts are decimal text, never numbers. */
import { AteError } from '@ate/core'
import type { Entry } from '../ledger.ts'
import type { Json } from '../ledger-records.ts'
import { decimalText, money } from '../money.ts'
import type { Transfer } from '../requests.ts'
import { currencyOf } from './csv.ts'
import { foreignId } from './journal.ts'
import { inPlace, linesOf, unread } from './places.ts'
import { dayOf } from './statement-lines.ts'

/** Kinds of exported entries that moved money, and those that moved none. */
const MOVED: ReadonlySet<unknown> = new Set([undefined, 'post', 'capture', 'reverse'])
const NOT_MOVED: ReadonlySet<unknown> = new Set(['hold', 'void', 'expire'])
/** Of a transfer, and what an exported entry says beside it. */
const NAMES: ReadonlySet<string> = new Set([
  ...['id', 'from', 'to', 'amount', 'currency', 'code', 'ref', 'effective', 'meta'],
  ...['seq', 'at', 'author', 'kind', 'group', 'of', 'until'],
])
const EFFECTIVE = /^(\d{4})-(\d{2})-(\d{2})(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/

/**
 * A line has an id, so that the same file again has no effect. Of an exported entry, what moved money is a transfer: that of
 * a capture or a reversal has its id behind `import:`. Undefined for a hold and its end: they moved none.
 * @throws AteError BAD_VALUE with the line | BAD_AMOUNT, for numbers too | BAD_ARGUMENT for a currency without a scale
 */
export function readJsonLine(
  line: string,
  number: number,
  scales?: Readonly<Record<string, number>>,
): Transfer | undefined {
  return inPlace({ format: 'JSON lines', line: number }, () => transferOf(parsed(line), scales))
}

function transferOf(
  value: Readonly<Record<string, unknown>>,
  scales: Readonly<Record<string, number>> | undefined,
): Transfer | undefined {
  for (const name of Object.keys(value))
    if (!NAMES.has(name)) throw bad('a name that is not known', { name: name.slice(0, 40) })
  const { kind, id, from, to, amount, currency, code, ref, effective, meta } = value
  if (typeof from !== 'string' || typeof to !== 'string' || typeof currency !== 'string')
    throw bad('a transfer has from, to, amount and currency')
  if (typeof id !== 'string' || id === '') throw bad('a transfer of a file has an id: text, its own')
  if (!MOVED.has(kind) && !NOT_MOVED.has(kind)) throw bad('an unknown kind')
  for (const [name, text] of Object.entries({ code, ref }))
    if (text !== undefined && typeof text !== 'string') throw bad(`${name} is text`)
  const transfer = {
    from,
    to,
    amount: money(currencyOf(currency, scales), amount as string),
    id: foreignId(id)!,
    ...(code === undefined ? {} : { code: code as string }),
    ...(ref === undefined ? {} : { ref: ref as string }),
    ...(effective === undefined ? {} : { effective: timeOf(effective) }),
    ...(meta === undefined ? {} : { meta: meta as Json }),
  }
  return MOVED.has(kind) ? transfer : undefined
}

/**
 * What moved money, in the order of the lines; holds and their ends are left out.
 * @throws as readJsonLine, and BAD_VALUE for two lines of one id
 */
export function readJsonl(text: string, scales?: Readonly<Record<string, number>>): Transfer[] {
  const transfers: Transfer[] = []
  const seen = new Map<string, number>()
  for (const [index, line] of linesOf(text).entries()) {
    const transfer = line.trim() === '' ? undefined : readJsonLine(line, index + 1, scales)
    if (!transfer) continue
    const first = seen.get(transfer.id!)
    if (first !== undefined)
      throw unread('two lines have one id', { format: 'JSON lines', line: index + 1 }, { id: transfer.id, first })
    seen.set(transfer.id!, index + 1)
    transfers.push(transfer)
  }
  return transfers
}

function timeOf(text: unknown): Date {
  const [, year, month, day] = (typeof text === 'string' && EFFECTIVE.exec(text)) || []
  if (year === undefined) throw bad('effective is a day, or a time with its zone', { given: String(text).slice(0, 40) })
  dayOf(Number(year), Number(month), Number(day))
  const time = new Date(text as string)
  if (Number.isNaN(time.getTime())) throw bad('no such time', { given: String(text) })
  return time
}

function parsed(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (cause) {
    throw new AteError('BAD_VALUE', { what: 'no JSON' }, { cause })
  }
  throw bad('a line is a JSON object')
}

function bad(what: string, facts: Readonly<Record<string, string>> = {}): AteError {
  return new AteError('BAD_VALUE', { what, ...facts })
}

/** Entries as JSON Lines; readJsonl makes transfers of those that moved money. */
export async function* writeJsonl(entries: AsyncIterable<Entry>): AsyncGenerator<string, void, void> {
  for await (const { amount, ...entry } of entries) {
    yield `${JSON.stringify({ ...entry, amount: decimalText(amount), currency: amount.currency.code })}\n`
  }
}
