/** MT940 statements of SWIFT: fields 25, 60, 61, 86 and 62, with their order and the sums checked. */
import { AteError } from '@ate/core'
import type { Currency } from '../currencies.ts'
import { money } from '../money.ts'
import { currencyOf } from './csv.ts'
import { plainDecimal } from './decimals.ts'
import { inPlace, linesOf } from './places.ts'
import { ContentIds, dayOf, type StatementLine } from './statement-lines.ts'

const LINE =
  /^(\d{2})(\d{2})(\d{2})(\d{4})?(R?[CD])([A-Z])?(\d{1,15},\d{0,4})([A-Z][A-Z0-9]{3})([^\n]*?)(?:\/\/([^\n]*))?(?:\n([\s\S]*))?$/
const BALANCE = /^([CD])(\d{6})([A-Z]{3})(\d{1,15},\d{0,4})$/

interface Field {
  readonly tag: string
  value: string
  readonly line: number
}

/**
 * A statement goes from `:60F:` to `:62F:`; pages between end with `:62M:` and go on with `:60M:`.
 * @throws AteError BAD_VALUE with the line, also if entries do not lead from the opening to the closing balance, for a page
 * that does not follow, and for a statement that has no end | BAD_AMOUNT
 */
export function readMt940(text: string): StatementLine[] {
  const reader = new Reader()
  let last: Field | undefined
  for (const field of fieldsOf(text)) {
    last = field
    inPlace({ format: 'MT940', line: field.line }, () => reader.take(field))
  }
  return inPlace({ format: 'MT940', ...(last ? { line: last.line } : {}) }, () => reader.end())
}

class Reader {
  readonly #lines: { readonly value: string; readonly line: Omit<StatementLine, 'id'>; readonly account: string }[] = []
  /** An entry has come, and nothing that describes it yet. */
  #isBare = false
  #account = ''
  /** The balance so far, with its account; undefined before the first statement. */
  #balance: { units: bigint; currency: Currency; account: string } | undefined
  /** Between an opening and a closing balance; between two pages; between two statements. */
  #where: 'inside' | 'paging' | 'outside' = 'outside'

  take({ tag, value }: Field): void {
    switch (tag) {
      case '25':
      case '25P':
        this.#account = value.trim()
        return
      case '60F':
      case '60M':
        this.#opens(tag, balanceOf(value))
        return
      case '61':
        this.#add(value)
        return
      case '86':
        this.#describe(value)
        return
      case '62F':
      case '62M':
        this.#closes(tag, balanceOf(value))
    }
  }

  #opens(tag: '60F' | '60M', opening: { units: bigint; currency: Currency }): void {
    if (this.#where !== (tag === '60F' ? 'outside' : 'paging'))
      throw bad('an opening balance where none belongs', { tag })
    if (tag === '60M' && (!this.#isBalance(opening) || this.#balance?.account !== this.#account))
      throw bad('a page does not follow the one before', { opening: opening.units, before: this.#balance?.units })
    this.#balance = { ...opening, account: this.#account }
    this.#where = 'inside'
    this.#isBare = false
  }

  #add(value: string): void {
    if (this.#where !== 'inside' || !this.#balance) throw bad('an entry outside of a statement')
    const line = lineOf(value, this.#balance.currency)
    this.#balance.units += line.units
    this.#lines.push({ value, line, account: this.#account })
    this.#isBare = true
  }

  #describe(value: string): void {
    const last = this.#lines.at(-1)
    if (this.#where !== 'inside' || !last || !this.#isBare) return
    this.#lines[this.#lines.length - 1] = { ...last, line: { ...last.line, text: textOf(value) } }
    this.#isBare = false
  }

  #closes(tag: '62F' | '62M', closing: { units: bigint; currency: Currency }): void {
    if (this.#where !== 'inside') throw bad('a closing balance where none belongs', { tag })
    if (!this.#isBalance(closing))
      throw bad('the entries do not add up to the closing balance', {
        closing: closing.units,
        sum: this.#balance?.units,
      })
    this.#where = tag === '62F' ? 'outside' : 'paging'
  }

  #isBalance({ units, currency: { code } }: { units: bigint; currency: Currency }): boolean {
    return this.#balance?.units === units && this.#balance.currency.code === code
  }

  end(): StatementLine[] {
    if (!this.#balance) throw bad('no MT940 statement')
    if (this.#where !== 'outside') throw bad('the file ends before the closing balance :62F:')
    // Two payments of one amount on one day, in two files, differ in what describes them.
    const ids = new ContentIds()
    return this.#lines.map(({ value, line, account }) => ({
      id: `mt940:${ids.idOf(account, value, line.text)}`,
      ...line,
    }))
  }
}

function bad(what: string, facts: Readonly<Record<string, string | bigint | undefined>> = {}): AteError {
  return new AteError('BAD_VALUE', { what, ...facts })
}

function fieldsOf(text: string): Field[] {
  const fields: Field[] = []
  for (const [index, line] of linesOf(text).entries()) {
    const begin = /^:(\d{2}[A-Z]?):(.*)$/.exec(line)
    const last = fields.at(-1)
    if (begin) fields.push({ tag: begin[1]!, value: begin[2]!, line: index + 1 })
    else if (last && !/^(?:-$|-\}|[{}])/.test(line.trimEnd())) last.value += `\n${line}`
  }
  for (const field of fields) field.value = field.value.trimEnd()
  return fields
}

function balanceOf(value: string): { units: bigint; currency: Currency } {
  const match = BALANCE.exec(value.trim())
  if (!match) throw bad('no balance of MT940', { given: value.slice(0, 40) })
  const unit = currencyOf(match[3])
  const { units } = money(unit, plainDecimal(match[4]!, ','))
  return { units: match[1] === 'C' ? units : -units, currency: unit }
}

function lineOf(value: string, unit: Currency): Omit<StatementLine, 'id'> {
  const match = LINE.exec(value)
  if (!match) throw bad('no entry of MT940', { given: value.slice(0, 60) })
  const [, year, month, day, , mark, , amount, , ref = '', bankRef = ''] = match
  const date = dayOf((Number(year) < 80 ? 2000 : 1900) + Number(year), Number(month), Number(day))
  const { units } = money(unit, plainDecimal(amount!, ','))
  // A reversed credit goes out, a reversed debit comes in.
  const signed = mark === 'C' || mark === 'RD' ? units : -units
  const reference = ref.trim() === 'NONREF' ? bankRef.trim() : ref.trim()
  return { date, units: signed, currency: unit, text: '', ...(reference === '' ? {} : { ref: reference }) }
}

/** Of German banks, subfields ?20 to ?29 and ?60 to ?63 hold the text; of others all of it is text. */
function textOf(value: string): string {
  const joined = value.replaceAll('\n', '')
  if (!/^\d{3}\?/.test(joined)) return value.replace(/\s+/g, ' ').trim()
  const parts = [...joined.matchAll(/\?(2\d|3[23]|6[0-3])([^?]*)/g)].map((match) => match[2]!.trim())
  return parts.join(' ').trim()
}
