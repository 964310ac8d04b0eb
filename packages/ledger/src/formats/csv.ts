/** CSV: bank statements in by rules, transfers in, entries out. RFC 4180, with any delimiter. */
import { AteError } from '@ate/core'
import { parse } from 'csv-parse/sync'
import { type Currency, currency, isoCurrency } from '../currencies.ts'
import type { Entry } from '../ledger.ts'
import { decimalText } from '../money.ts'
import { csvAmount, type DecimalMark } from './decimals.ts'
import { checkNames, checkRules, type ImportRules, isObject } from './import-rules.ts'
import { inPlace, type Place, unread, unreadAmount } from './places.ts'
import { ContentIds, dayOf, type StatementLine } from './statement-lines.ts'

/** Which columns of a CSV mean what; by name if there is a header, else by number from 0. */
export interface CsvRules extends ImportRules {
  readonly columns: {
    readonly date: string | number
    /** Signed; or two columns `in` and `out`, neither with a sign, of which a row fills one. */
    readonly amount?: string | number
    readonly in?: string | number
    readonly out?: string | number
    readonly text?: string | number | readonly (string | number)[]
    readonly ref?: string | number
    readonly id?: string | number
    readonly currency?: string | number
  }
  /** Where no column says it. */
  readonly currency?: string
  /** Scales of currencies that are not in ISO 4217. */
  readonly scales?: Readonly<Record<string, number>>
  readonly header?: 'yes' | 'no'
  readonly delimiter?: string
  /** A point if left out; then what may be thousands as well as a fraction, `1,230`, is refused. */
  readonly decimal?: '.' | ','
  /** `Y-M-D` if left out; or `D.M.Y`, `M/D/Y` and the like. Years have four digits. */
  readonly date?: string
  /** Rows before the header. */
  readonly skip?: number
}

type Column = string | number

/** @throws AteError BAD_VALUE with the row (the first below the header is 1) | BAD_AMOUNT | BAD_ARGUMENT for rules that are none */
export function readCsv(text: string, rules: CsvRules): StatementLine[] {
  checkCsvRules(rules)
  const { columns, decimal } = rules
  const { names, rows } = tableOf(text, rules)
  const places = placesOf(columns, names)
  const order = dateOrder(rules.date ?? 'Y-M-D')
  const ids = new ContentIds()
  return rows.map((row, index) => {
    const place: Place = { format: 'CSV', row: index + 1 }
    if (names && row.slice(names.length).some((cell) => cell.trim() !== ''))
      throw unread('a row has more cells than the header: is there a delimiter within one?', place)
    const cell = (column: Column | undefined): string => {
      if (column === undefined) return ''
      const found = row[places.get(column)!]
      if (found === undefined) throw unread('a row ends before this column', place, { column })
      return found.trim()
    }
    return inPlace(place, () => lineOf(cell, { rules, decimal, order, ids }))
  })
}

interface Reading {
  readonly rules: CsvRules
  readonly decimal: DecimalMark | undefined
  readonly order: DateOrder
  readonly ids: ContentIds
}

function lineOf(
  cell: (column: Column | undefined) => string,
  { rules: { columns, ...rules }, decimal, order, ids }: Reading,
): StatementLine {
  const unit = currencyOf(cell(columns.currency) || rules.currency, rules.scales)
  const read = (text: string): bigint => csvAmount(unit, text, decimal).units
  const units =
    columns.amount === undefined ? inOrOut(cell(columns.in), cell(columns.out), read) : read(cell(columns.amount))
  const date = dateOf(cell(columns.date), order)
  const wanted = columns.text
  const texts = (typeof wanted === 'object' ? wanted : [wanted]).map((column) => cell(column))
  const description = texts.filter((one) => one !== '').join(' ')
  const ref = cell(columns.ref)
  // Of two accounts of one bank the same fee of the same day is two lines.
  const id = cell(columns.id) || ids.idOf(rules.account, date, units, unit.code, description, ref)
  return { id, date, units, currency: unit, text: description, ...(ref === '' ? {} : { ref }) }
}

/** A row says in one of two columns what came in or went out; the other is empty, or 0. */
function inOrOut(comesIn: string, goesOut: string, read: (text: string) => bigint): bigint {
  if (comesIn === '' && goesOut === '') throw unreadAmount('a row has an amount in the column in or out', '')
  const [credit, debit] = [comesIn, goesOut].map((text) => (text === '' ? 0n : read(text))) as [bigint, bigint]
  if (credit < 0n || debit < 0n)
    throw unreadAmount('the columns in and out have no signs', credit < 0n ? comesIn : goesOut)
  if (credit !== 0n && debit !== 0n) throw unreadAmount('a row comes in or goes out, not both', `${comesIn} ${goesOut}`)
  return credit - debit
}

const COLUMN_NAMES = {
  date: 'column',
  amount: 'column',
  in: 'column',
  out: 'column',
  text: 'columns',
  ref: 'column',
  id: 'column',
  currency: 'column',
} as const

function checkCsvRules(rules: CsvRules): void {
  checkRules(rules)
  const { columns } = rules
  if (!isObject(columns)) throw new AteError('BAD_ARGUMENT', { what: 'rules name the columns' })
  checkNames(columns, COLUMN_NAMES)
  const { date, amount, in: comesIn, out } = columns
  if (date === undefined) throw new AteError('BAD_ARGUMENT', { what: 'a column has the date' })
  const both = comesIn !== undefined && out !== undefined
  const neither = comesIn === undefined && out === undefined
  if (amount === undefined ? !both : !neither)
    throw new AteError('BAD_ARGUMENT', { what: 'columns name the amount, or both in and out' })
}

/** Where each column is that the rules name. */
function placesOf(columns: CsvRules['columns'], names: readonly string[] | undefined): Map<Column, number> {
  const wanted = (Object.values(columns).flat() as (Column | undefined)[]).filter((column) => column !== undefined)
  return new Map(wanted.map((column) => [column, placeOf(column, names)]))
}

function placeOf(column: Column, names: readonly string[] | undefined): number {
  if (typeof column === 'number') return column
  if (!names) {
    if (/^\d{1,6}$/.test(column)) return Number(column)
    throw new AteError('BAD_ARGUMENT', { what: 'without a header columns are numbers from 0', column })
  }
  const first = names.indexOf(column.trim())
  if (first < 0) throw unread('no such column', { format: 'CSV', row: 0 }, { column })
  if (names.includes(column.trim(), first + 1))
    throw unread('two columns of this name', { format: 'CSV', row: 0 }, { column })
  return first
}

export function currencyOf(code: string | undefined, scales: Readonly<Record<string, number>> = {}): Currency {
  if (code === undefined || code === '')
    throw new AteError('BAD_ARGUMENT', { what: 'the currency: a column, or one for all' })
  return isoCurrency(code) ?? currency(code, scales[code])
}

function tableOf(
  text: string,
  { header = 'yes', delimiter = ',', skip = 0 }: CsvRules,
): { names: string[] | undefined; rows: string[][] } {
  let rows: string[][]
  try {
    rows = parse(text, {
      bom: true,
      delimiter,
      from_line: skip + 1,
      skip_empty_lines: true,
      relax_column_count: true,
      columns: false,
    }) as string[][]
  } catch (cause) {
    throw unread('no CSV', { format: 'CSV' }, { problem: (cause as Error).message.slice(0, 200) })
  }
  if (header === 'no') return { names: undefined, rows }
  const names = rows.shift()?.map((name) => name.trim())
  if (!names) throw unread('no header', { format: 'CSV' })
  return { names, rows }
}

type DateOrder = readonly ('Y' | 'M' | 'D')[]

/** `Y-M-D` or `YYYY-MM-DD`: which number is which. */
function dateOrder(format: string): DateOrder {
  const order = (format.match(/Y+|M+|D+/g) ?? []).map((letters) => letters[0]) as ('Y' | 'M' | 'D')[]
  if (order.length !== 3 || new Set(order).size !== 3 || /[A-Za-z]/.test(format.replace(/[YMD]/g, '')))
    throw new AteError('BAD_ARGUMENT', {
      what: 'the rule date is Y-M-D, D.M.Y or the like',
      given: format.slice(0, 40),
    })
  return order
}

/** Three numbers between marks of one kind, and a time of the day, which does not count. */
const DAY =
  /^(\d{1,4})([-./]\s?)(\d{1,4})\2(\d{1,4})(?:(?:T|,?\s)\s*\d{1,2}[:.]\d{2}(?:[:.]\d{2}(?:[.,]\d{1,9})?)?\s*(?:Z|[ap]m|[+-]\d{2}:?\d{2})?)?$/i

function dateOf(text: string, order: DateOrder): Date {
  const numbers = DAY.exec(text)
  if (!numbers) throw new AteError('BAD_VALUE', { what: 'no date', given: text.slice(0, 40), wanted: order.join('-') })
  const [, first, , second, third] = numbers
  const part = (letter: 'Y' | 'M' | 'D'): number => Number([first, second, third][order.indexOf(letter)])
  return dayOf(part('Y'), part('M'), part('D'))
}

const FIELDS = [
  'seq',
  'at',
  'id',
  'kind',
  'from',
  'to',
  'amount',
  'currency',
  'code',
  'ref',
  'effective',
  'group',
  'of',
] as const

/** Entries as CSV with a header, a line at a time. */
export async function* writeCsv(entries: AsyncIterable<Entry>): AsyncGenerator<string, void, void> {
  yield `${FIELDS.join(',')}\r\n`
  for await (const entry of entries) {
    const { seq, at, id, kind, from, to, amount, code, ref, effective, group, of } = entry
    const cells = [
      seq,
      at.toISOString(),
      id,
      kind,
      from,
      to,
      decimalText(amount),
      amount.currency.code,
      code,
      ref,
      effective?.toISOString(),
      group,
      of,
    ]
    yield `${cells.map((cell) => quoted(String(cell ?? ''))).join(',')}\r\n`
  }
}

function quoted(text: string): string {
  return /[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
