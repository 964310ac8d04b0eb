/**
 * Beancount text: in, transactions with plain amounts; out, the posted entries with an assertion of every balance, which
 * `bean-check` compares to the unit (`~ 0`: by itself it forgives one). Debits are positive there.
 */
import { AteError } from '@ate/core'
import { decimalText } from '../money.ts'
import type { BooksText } from './books-text.ts'
import { plainDecimal } from './decimals.ts'
import { type ImportedJournal, type JournalOptions, journalOf, type TransactionText } from './journal.ts'
import { accountWords, entryWords, isOwnWord, type OwnWords, ToldAccounts, takeEntryWord } from './own-words.ts'
import { inPlace, linesOf, type Place, unread } from './places.ts'
import { dayOf, dayText } from './statement-lines.ts'

const FORMAT = 'beancount'
const DATE = /^(\d{4})[-/](\d{1,2})[-/](\d{1,2})\s+(\S+)(.*)$/s
const POSTING = /^\s+(?:[*!]\s+)?([A-Z][^\s:]*(?::[^\s:]+)+)(?:\s+([-+]?[\d,]+(?:\.\d*)?)\s+([A-Z][A-Z0-9'._-]*))?\s*$/
const META = /^\s+([a-z][\w-]*):\s*(.*)$/s
/** What a backslash and a letter say in a string, and the other way round; any other character behind one is itself. */
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', b: '\b' }
const LETTERS: ReadonlyMap<string, string> = new Map(Object.entries(ESCAPES).map(([letter, sign]) => [sign, letter]))
const STRING = /"((?:[^"\\]|\\.)*)"/gs
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
  const told = new ToldAccounts()
  let open: TransactionText | undefined
  /** The account that the lines below say something of. */
  let account: string | undefined
  let inDirective = false
  for (const [index, raw] of linesOf(text).entries()) {
    const place = { format: FORMAT, line: index + 1 }
    const words = withoutComment(raw)
    if (words.trim() === '') continue
    if (/^\s/.test(words)) {
      if (open) takeIndented(words, place, open)
      else if (!inDirective) throw unread('an indented line that belongs to nothing', place)
      else if (account !== undefined) takeAccountMeta(words, account, place, told)
      continue
    }
    open = undefined
    account = undefined
    inDirective = true
    if (IGNORED.test(words)) continue
    const [, year, month, day, directive = '', rest = ''] = DATE.exec(words) ?? []
    if (directive === 'open') account = /^\s+(\S+)/.exec(rest)?.[1]
    if (QUIET.has(directive)) continue
    if (!/^([*!]|txn)$/.test(directive)) throw unread('a directive that is not read', place, { directive })
    const strings = [...rest.matchAll(STRING)].map((found) => unescaped(found[1]!))
    const ref = /\^([\w./-]+)/.exec(rest.replace(STRING, ''))?.[1]
    const date = inPlace(place, () => dayOf(Number(year), Number(month), Number(day)))
    open = { line: place.line, date, text: strings.join(' | '), postings: [], ...(ref === undefined ? {} : { ref }) }
    transactions.push(open)
  }
  return journalOf(FORMAT, transactions, options, told)
}

function takeIndented(words: string, place: Place, open: TransactionText): void {
  const meta = META.exec(words)
  if (meta) {
    const [, name = '', given = ''] = meta
    if (open.postings.length > 0) return
    if (name === 'id') open.id = wordOf(given)
    else if (isOwnWord(name)) inPlace(place, () => takeEntryWord(open, name, wordOf(given)))
    return
  }
  const posting = POSTING.exec(words)
  if (!posting) throw unread('a posting with a cost or a price, or none', place)
  const [, account = '', amount, commodity] = posting
  const decimal = amount && inPlace(place, () => plainDecimal(amount, '.', { thousands: 'mark' }))
  open.postings.push({ account, amount: decimal ? { decimal, commodity: commodity! } : undefined })
}

function takeAccountMeta(words: string, account: string, place: Place, told: ToldAccounts): void {
  const [, name = '', given = ''] = META.exec(words) ?? []
  if (isOwnWord(name)) told.take(account, [name, wordOf(given)], place)
}

/** Of a string what it says; of what else metadata may be, how it stands there. */
function wordOf(given: string): string {
  const text = given.trim()
  const string = /^"((?:[^"\\]|\\.)*)"$/s.exec(text)?.[1]
  return string === undefined ? text : unescaped(string)
}

function unescaped(string: string): string {
  return string.replace(/\\(.)/gs, (_, character: string) => ESCAPES[character] ?? character)
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

/** Posted entries; amounts have all digits of their currency. @throws AteError BAD_ARGUMENT for a currency that beancount cannot name, and for text that it cannot write */
export async function* writeBeancount(books: BooksText): AsyncGenerator<string, void, void> {
  const names = accountNames(books.accounts)
  yield 'option "title" "@ate/ledger"\n'
  const first = dayText(books.first)
  for (const account of books.accounts) {
    const { name, currency } = account
    const written = names.get(name)!
    if (!/^[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]$/.test(currency.code))
      throw new AteError('BAD_ARGUMENT', { what: 'beancount has no such currency', currency: currency.code })
    yield `${first} open ${written} ${currency.code}\n  name: ${quoted(name)}\n${metaLines(accountWords(account, written))}`
  }
  for await (const entry of books.posted()) {
    const { id, at, from, to, amount, code, ref } = entry
    const decimal = decimalText(amount)
    const unit = amount.currency.code
    yield `\n${dayText(at)} * ${quoted(code ?? '')} ${quoted(ref ?? '')}\n`
    yield metaLines([['id', id], ...entryWords(entry)])
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
      const free = wanted.includes(':') ? wanted : `${wanted}:X`
      let made = free
      for (let i = 2; taken.has(made); i++) made = `${free}-${i}`
      taken.add(made)
      return [name, made]
    }),
  )
}

function metaLines(words: OwnWords): string {
  return words.map(([name, value]) => `  ${name}: ${quoted(value)}\n`).join('')
}

function isEscaped(sign: string): boolean {
  return sign === '"' || sign === '\\' || LETTERS.has(sign)
}

/** @throws AteError BAD_ARGUMENT for control characters that no string of beancount has: another text would be read */
function quoted(text: string): string {
  const escaped = text.replace(/[\\"]|\p{Cc}/gu, (sign) => (isEscaped(sign) ? `\\${LETTERS.get(sign) ?? sign}` : sign))
  if (/\p{Cc}/u.test(escaped))
    throw new AteError('BAD_ARGUMENT', {
      what: 'beancount has no such character in a text',
      text: escaped.replace(/\p{Cc}/gu, '\ufffd').slice(0, 60),
    })
  return `"${escaped}"`
}
