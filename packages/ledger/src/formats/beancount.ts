/**
 * Beancount text: in, transactions with plain amounts; out, the posted entries with an assertion of every balance, which
 * `bean-check` compares to the unit (`~ 0`: by itself it forgives one). Debits are positive there.
 */
import { AteError } from '@ate/core'
import { decimalText } from '../money.ts'
import type { BooksText } from './books-text.ts'
import {
  type ImportedJournal,
  type JournalOptions,
  journalOf,
  type PostingText,
  type TransactionText,
} from './journal.ts'
import { dayOf, dayText } from './statement-lines.ts'

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

/** @throws AteError BAD_VALUE with the line, also for costs, prices, pads and includes, which it does not read | BAD_AMOUNT */
export function readBeancount(text: string, options: JournalOptions = {}): ImportedJournal {
  const transactions: { line: number; date: Date; text: string; ref?: string; id?: string; postings: PostingText[] }[] =
    []
  let open: (typeof transactions)[number] | undefined
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = index + 1
    const words = withoutComment(raw)
    if (words.trim() === '') return
    if (/^\s/.test(words)) {
      if (open) takeIndented(words, line, open)
      return
    }
    open = undefined
    const match = DATE.exec(words)
    if (!match) {
      if (/^(include|pushtag|poptag|pushmeta)/.test(words))
        throw new AteError('BAD_VALUE', { what: 'a directive that is not read', line })
      return
    }
    const [, year, month, day, directive = '', rest = ''] = match
    if (QUIET.has(directive)) return
    if (!/^([*!]|txn)$/.test(directive))
      throw new AteError('BAD_VALUE', { what: 'a directive that is not read', directive, line })
    const strings = [...rest.matchAll(STRING)].map((found) => found[1]!.replace(/\\(.)/g, '$1'))
    const ref = /\^([\w./-]+)/.exec(rest.replace(STRING, ''))?.[1]
    const date = dayOf(Number(year), Number(month), Number(day))
    open = { line, date, text: strings.join(' | '), postings: [], ...(ref === undefined ? {} : { ref }) }
    transactions.push(open)
  })
  return journalOf(transactions satisfies TransactionText[], options)
}

function takeIndented(words: string, line: number, open: { id?: string; postings: PostingText[] }): void {
  const meta = /^\s+([a-z][\w-]*):\s*(.*)$/.exec(words)
  if (meta) {
    if (meta[1] === 'id' && open.postings.length === 0) open.id = meta[2]!.replace(/^"|"$/g, '')
    return
  }
  const posting = POSTING.exec(words)
  if (!posting) throw new AteError('BAD_VALUE', { what: 'a posting with a cost or a price, or none', line })
  const [, account = '', amount, commodity] = posting
  open.postings.push({
    account,
    amount:
      amount === undefined
        ? undefined
        : { decimal: amount.replaceAll(',', '').replace(/^\+/, '').replace(/\.$/, ''), commodity: commodity! },
  })
}

/** A semicolon within a string is none. */
function withoutComment(line: string): string {
  let inside = false
  for (let i = 0; i < line.length; i++) {
    if (line[i] === '"' && line[i - 1] !== '\\') inside = !inside
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
