/** CSV: bank statements in by rules, transfers in, entries out. RFC 4180, with any delimiter. */
import { AteError } from '@ate/core'
import { parse } from 'csv-parse/sync'
import { type Currency, currency, isoCurrency } from '../currencies.ts'
import type { Entry } from '../ledger.ts'
import { decimalText, money } from '../money.ts'
import { ContentIds, dayOf, type ImportRules, plainDecimal, type StatementLine } from './statement-lines.ts'

/** Which columns of a CSV mean what; by name if there is a header, else by number from 0. */
export interface CsvRules extends ImportRules {
  readonly columns: {
    readonly date: string | number
    /** Signed; or two columns `in` and `out`. */
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
  readonly decimal?: '.' | ','
  /** `Y-M-D` if left out; or `D.M.Y`, `M/D/Y` and the like. */
  readonly date?: string
  /** Rows before the header. */
  readonly skip?: number
}

type Row = Readonly<Record<string, string>>

/** @throws AteError BAD_VALUE with the row | BAD_AMOUNT | BAD_ARGUMENT */
export function readCsv(text: string, rules: CsvRules): StatementLine[] {
  const { columns, header = 'yes', delimiter = ',', decimal = '.', skip = 0 } = rules
  if (typeof columns !== 'object' || columns === null)
    throw new AteError('BAD_ARGUMENT', { what: 'rules name the columns' })
  const ids = new ContentIds()
  return rowsOf(text, { header, delimiter, skip }).map((row, index) => {
    const cell = (column: string | number | undefined): string => {
      if (column === undefined) return ''
      const found = row[String(column)]
      if (found === undefined) throw new AteError('BAD_VALUE', { what: 'no such column', column, row: index + 1 })
      return found.trim()
    }
    const unit = currencyOf(cell(columns.currency) || rules.currency, rules.scales)
    const amount =
      columns.amount === undefined ? `${cell(columns.in) || cell(columns.out) || '0'}` : cell(columns.amount)
    const sign = columns.amount === undefined && cell(columns.in) === '' ? -1n : 1n
    const units = money(unit, plainDecimal(amount, decimal)).units * sign
    const date = dateOf(cell(columns.date), rules.date ?? 'Y-M-D', index + 1)
    const wanted = columns.text
    const texts = (typeof wanted === 'object' ? wanted : [wanted]).map((column) => cell(column))
    const description = texts.filter((one) => one !== '').join(' ')
    const ref = cell(columns.ref)
    const id = cell(columns.id) || ids.idOf(date, units, unit.code, description, ref)
    return { id, date, units, currency: unit, text: description, ...(ref === '' ? {} : { ref }) }
  })
}

export function currencyOf(code: string | undefined, scales: Readonly<Record<string, number>> = {}): Currency {
  if (code === undefined || code === '')
    throw new AteError('BAD_ARGUMENT', { what: 'the currency: a column, or one for all' })
  return isoCurrency(code) ?? currency(code, scales[code])
}

function rowsOf(
  text: string,
  { header, delimiter, skip }: { header: 'yes' | 'no'; delimiter: string; skip: number },
): Row[] {
  try {
    const rows = parse(text, {
      bom: true,
      delimiter,
      from_line: skip + 1,
      skip_empty_lines: true,
      relax_column_count: true,
      columns: false,
    }) as string[][]
    const names = header === 'yes' ? rows.shift() : undefined
    return rows.map((cells) =>
      Object.fromEntries(
        cells.flatMap((cell, i) => [
          [String(i), cell],
          [names?.[i]?.trim() ?? String(i), cell],
        ]),
      ),
    )
  } catch (cause) {
    throw new AteError('BAD_VALUE', { what: 'no CSV', problem: (cause as Error).message.slice(0, 200) }, { cause })
  }
}

function dateOf(text: string, format: string, row: number): Date {
  const letters: readonly string[] = format.match(/[YMD]/g) ?? []
  const numbers: readonly string[] = text.match(/\d+/g) ?? []
  const part = (letter: string): number => Number(numbers[letters.indexOf(letter)])
  if (letters.length !== 3 || numbers.length < 3)
    throw new AteError('BAD_VALUE', { what: 'no date', given: text.slice(0, 40), format, row })
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
