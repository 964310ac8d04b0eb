/**
 * Beancount text: in, transactions with plain amounts; out, the posted entries with an assertion of every balance, which
 * `bean-check` compares to the unit (`~ 0`: by itself it forgives one). Debits are positive there.
 */
import { AteError } from '@ate/core'
import { decimalText } from '../money.ts'
import type { BooksText } from './books-text.ts'
import { plainDecimal } from './decimals.ts'
import { type ImportedJournal, type JournalOptions, journalOf, type TransactionText } from './journal.ts'
import { inPlace, linesOf, type Place, unread } from './places.ts'
import { dayOf, dayText } from './statement-lines.ts'

const FORMAT = 'beancount'
const DATE = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})\s+(\S+)(.*)$/
const POSTING = /^\s+(?:[*!]\s+)?([A-Z][^\s:]*(?::[^\s:]+)+)(?:\s+([-+]?[\d,]+(?:\.\d*)?)\s+([A-Z][A-Z0-9'._-]*))?\s*$/
const STRING = /"((?:[^"\\]|\\.)*)"/g
/** Directives that move nothing. */
const QUIET: ReadonlySet<string> = new Set([
  'open',
  'close',
  'commodity',
  'balance',
  'note',
  'document',
  'price',
  'event',
  'query',
  'custom',
])

/** Lines that say nothing of money: options, plugins (which are not run), headings. */
const IGNORED = /^(?:(?:option|plugin)\s|[*#:])/

/**
 * Balances are not compared; a plugin is not run.
 * @throws AteError BAD_VALUE with the line, for costs, prices, pads and includes, and for whatever is not understood | BAD_AMOUNT
 */
export function readBeancount(text: string, options: JournalOptions = {}): ImportedJournal {
  const transactions: TransactionText[] = []
  let open: TransactionText | undefined
  let inDirective = false
  for (const [index, raw] of linesOf(text).entries()) {
    const place = { format: FORMAT, line: index + 1 }
    const words = withoutComment(raw)
    if (words.trim() === '') continue
    if (/^\s/.test(words)) {
      if (open) takeIndented(words, place, open)
      else if (!inDirective) throw unread('an indented line that belongs to nothing', place)
      continue
    }
    open = undefined
    inDirective = true
    if (IGNORED.test(words)) continue
    const [, year, month, day, directive = '', rest = ''] = DATE.exec(words) ?? []
    if (QUIET.has(directive)) continue
    if (!/^([*!]|txn)$/.test(directive)) throw unread('a directive that is not read', place, { directive })
    const strings = [...rest.matchAll(STRING)].map((found) => found[1]!.replace(/\\(.)/g, '$1'))
    const ref = /\^([\w./-]+)/.exec(rest.replace(STRING, ''))?.[1]
    const date = inPlace(place, () => dayOf(Number(year), Number(month), Number(day)))
    open = { line: place.line, date, text: strings.join(' | '), postings: [], ...(ref === undefined ? {} : { ref }) }
    transactions.push(open)
  }
  return journalOf(FORMAT, transactions, options)
}

function takeIndented(words: string, place: Place, open: TransactionText): void {
  const meta = /^\s+([a-z][\w-]*):\s*(.*)$/.exec(words)
  if (meta) {
    if (meta[1] === 'id' && open.postings.length === 0) open.id = meta[2]!.replace(/^"|"$/g, '')
    return
  }
  const posting = POSTING.exec(words)
  if (!posting) throw unread('a posting with a cost or a price, or none', place)
  const [, account = '', amount, commodity] = posting
  const decimal = amount && inPlace(place, () => plainDecimal(amount, '.', { thousands: 'mark' }))
  open.postings.push({ account, amount: decimal ? { decimal, commodity: commodity! } : undefined })
}

/** A semicolon within a string is none. */
function withoutComment(line: string): string {
  let inside = false
  for (let i = 0; i < line.length; i++) {
    // What is escaped ends no string.
    if (line[i] === '\\' && inside) i++
    else if (line[i] === '"') inside = !inside
    else if (line[i] === ';' && !inside) return line.slice(0, i)
  }
  return line
}

/** Posted entries; amounts have all digits of their currency. @throws AteError BAD_ARGUMENT for a currency that beancount cannot name */
export async function* writeBeancount(books: BooksText): AsyncGenerator<string, void, void> {
  const names = accountNames(books.accounts.map(({ name, normal }) => ({ name, normal })))
  yield 'option "title" "@ate/ledger"\n'
  const first = dayText(books.first)
  for (const { name, currency } of books.accounts) {
    if (!/^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$/.test(currency.code))
      throw new AteError('BAD_ARGUMENT', { what: 'beancount has no such currency', currency: currency.code })
    yield `${first} open ${names.get(name)!} ${currency.code}\n  name: ${quoted(name)}\n`
  }
  for await (const { id, at, from, to, amount, code, ref } of books.posted()) {
    const decimal = decimalText(amount)
    const unit = amount.currency.code
    yield `\n${dayText(at)} * ${quoted(code ?? '')} ${quoted(ref ?? '')}\n  id: ${quoted(id)}\n`
    yield `  ${names.get(from)!}  ${decimal} ${unit}\n  ${names.get(to)!}  -${decimal} ${unit}\n`
  }
  yield '\n'
  // An assertion holds for the beginning of its day.
  const after = dayText(new Date(books.last.getTime() + 86_400_000))
  for (const { name, currency, net } of books.accounts)
    yield `${after} balance ${names.get(name)!}  ${decimalText({ currency, units: -net })} ~ 0 ${currency.code}\n`
}

/** Names as beancount has them: one of five roots, and capitals. */
function accountNames(accounts: readonly { name: string; normal: 'credit' | 'debit' }[]): Map<string, string> {
  const taken = new Set<string>()
  return new Map(
    accounts.map(({ name, normal }) => {
      const parts = name.split(':').map((part) => part.replace(/[^\p{L}\p{N}-]/gu, '-').replace(/^-+/, ''))
      const capital = parts.filter((part) => part !== '').map((part) => part[0]!.toUpperCase() + part.slice(1))
      const isRooted = /^(Assets|Liabilities|Equity|Income|Expenses):./.test(capital.join(':'))
      const wanted = isRooted
        ? capital.join(':')
        : [normal === 'debit' ? 'Assets' : 'Liabilities', ...capital].join(':')
      let made = wanted.includes(':') ? wanted : `${wanted}:X`
      for (let i = 2; taken.has(made); i++) made = `${wanted}-${i}`
      taken.add(made)
      return [name, made]
    }),
  )
}

function quoted(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replace(/[\p{Cc}]/gu, ' ')}"`
}
