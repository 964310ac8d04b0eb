/**
 * Journals of hledger and ledger: in, transactions with plain amounts; out, the posted entries with an assertion of every
 * balance, which both programs compare to the unit. Debits are positive there.
 */
import { AteError } from '@ate/core'
import { decimalText } from '../money.ts'
import type { BooksText } from './books-text.ts'
import { type DecimalMark, plainDecimal } from './decimals.ts'
import { type ImportedJournal, type JournalOptions, journalOf, type TransactionText } from './journal.ts'
import { accountWords, entryWords, isOwnWord, type OwnWords, ToldAccounts, takeEntryWord } from './own-words.ts'
import { inPlace, linesOf, type Place, unread, unreadAmount } from './places.ts'
import { dayOf, dayText } from './statement-lines.ts'

const FORMAT = 'hledger'
const HEAD = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:=\S+)?(?:\s+([*!]))?(?:\s+\(([^)]*)\))?\s*(.*)$/
const SYMBOLS: ReadonlyMap<string, string> = new Map([
  ['$', 'USD'],
  ['€', 'EUR'],
  ['£', 'GBP'],
  ['¥', 'JPY'],
])
const NUMBER = '[\\d,.]*\\d[\\d,.]*'
const SYMBOL = '[^\\s\\d.,;@={}"+-]+|"[^"]+"'
const BEFORE = new RegExp(`^(-)?\\s*(${SYMBOL})\\s*(-)?(${NUMBER})$`)
const AFTER = new RegExp(`^(-)?(${NUMBER})\\s*(${SYMBOL})$`)
/** Directives that move nothing; of those with a body, its lines are indented. */
const QUIET = /^(account|payee|tag|P|Y|year)\b/
/** What an account's name ends with where one space stands before the amount, and two should. */
/** A tag of a comment: its value goes on to a comma or the end of the line. */
const TAG = /(?:^|[\s,])([^\s,:]+):([^,]*)/g
/** What a value of a tag may be as it is; what else is written in percent signs, under a name that says so. */
const PLAIN = /^[^\s,\p{C}]+(?: [^\s,\p{C}]+)*$/u
const ID = 'id'
const CODED_ID = 'ate-id'

const ONE_SPACE = /\s-?(?:[$€£¥]\s?-?[\d.,]*\d|[\d.,]*\d\s?(?:[$€£¥]|[A-Z]{3,})|\d+[.,]\d+)$/

/**
 * Amounts have a point as decimal mark, unless a directive `decimal-mark`, `commodity` or `D` before them says otherwise.
 * Assertions of balances are not compared.
 * @throws AteError BAD_VALUE with the line, also for costs, prices, virtual and automatic postings, aliases and parents of
 * accounts, which it does not read | BAD_AMOUNT
 */
export function readHledger(text: string, options: JournalOptions = {}): ImportedJournal {
  const transactions: TransactionText[] = []
  const marks = new DecimalMarks()
  const told = new ToldAccounts()
  let open: TransactionText | undefined
  /** The account that the lines below say something of. */
  let account: string | undefined
  let inDirective = false
  let inComment = false
  for (const [index, raw] of linesOf(text).entries()) {
    const place = { format: FORMAT, line: index + 1 }
    const isComment = /^(end )?comment\s*$/.test(raw)
    if (isComment) inComment = raw.startsWith('comment')
    if (isComment || inComment || raw.trim() === '' || /^[;#*%|]/.test(raw)) continue
    if (/^\s/.test(raw)) {
      if (open) takeIndented(raw, place, open, marks)
      else if (inDirective) {
        inPlace(place, () => takeSubdirective(raw.trim(), marks))
        if (account !== undefined) takeAccountTags(raw, account, place, told)
      } else throw unread('an indented line that belongs to nothing', place)
      continue
    }
    open = undefined
    account = accountOf(raw)
    inDirective = true
    if (inPlace(place, () => marks.take(raw)) || QUIET.test(raw)) continue
    open = inPlace(place, () => headOf(raw, place.line))
    transactions.push(open)
  }
  return journalOf(FORMAT, transactions, options, told)
}

function headOf(raw: string, line: number): TransactionText {
  const match = HEAD.exec(raw.split(';')[0]!.trimEnd())
  if (!match) throw new AteError('BAD_VALUE', { what: 'a directive that is not read', given: raw.slice(0, 60) })
  const [, year, month, day, , code, description = ''] = match
  const id = tagsOf(split(raw, ';')[1]).find(([name]) => name === ID)?.[1]
  return {
    line,
    date: dayOf(Number(year), Number(month), Number(day)),
    text: description.trim(),
    postings: [],
    ...(code ? { ref: code } : {}),
    ...(id === undefined || id === '' ? {} : { id }),
  }
}

/** Of an account or a commodity: what gives other names is not read. */
function takeSubdirective(words: string, marks: DecimalMarks): void {
  if (/^(alias|default|payee)\b/.test(words))
    throw new AteError('BAD_VALUE', { what: 'a directive that is not read', given: words.slice(0, 60) })
  const format = /^format\s+(.*)$/.exec(words)?.[1]
  if (format !== undefined) marks.take(`commodity ${format}`)
}

function takeIndented(raw: string, place: Place, open: TransactionText, marks: DecimalMarks): void {
  const [words = '', comment = ''] = split(raw, ';')
  if (open.postings.length === 0) inPlace(place, () => takeTags(comment, open))
  if (words.trim() === '') return
  const [account = '', rest = ''] = split(words.trim().replace(/^[*!]\s+/, ''), /\s{2,}|\t/)
  if (/^[([]/.test(account) || /[@{]/.test(rest)) throw unread('a virtual posting, a cost or a price', place)
  const [asked = ''] = split(rest, '=')
  const amount = asked.trim() === '' ? undefined : inPlace(place, () => amountOf(asked.trim(), marks))
  if (!amount && ONE_SPACE.test(account)) throw unread('two spaces stand before an amount', place, { account })
  open.postings.push({ account, amount })
}

/** Of a transaction, before its first posting. */
function takeTags(comment: string, open: TransactionText): void {
  for (const [name, value] of tagsOf(comment)) {
    if (name === ID && value !== '') open.id = value
    else if (name === CODED_ID) open.id = decoded(value)
    else if (isOwnWord(name)) takeEntryWord(open, name, decoded(value))
  }
}

function takeAccountTags(raw: string, account: string, place: Place, told: ToldAccounts): void {
  for (const [name, value] of tagsOf(split(raw, ';')[1]))
    if (isOwnWord(name))
      told.take(
        account,
        inPlace(place, () => [name, decoded(value)]),
        place,
      )
}

/** The account of a directive; undefined of another. */
function accountOf(raw: string): string | undefined {
  const words = /^account\s+(.*)$/.exec(raw)?.[1]
  return words && split(split(words, ';')[0], /\s{2,}|\t/)[0].trim()
}

function tagsOf(comment: string): (readonly [name: string, value: string])[] {
  return [...comment.matchAll(TAG)].map(([, name, value]) => [name!, value!.trim()])
}

function decoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch (cause) {
    throw new AteError('BAD_VALUE', { what: 'percent signs that say nothing', given: value.slice(0, 60) }, { cause })
  }
}

function split(text: string, at: string | RegExp): [string, string] {
  const found = typeof at === 'string' ? text.indexOf(at) : text.search(at)
  return found < 0 ? [text, ''] : [text.slice(0, found), text.slice(found + 1)]
}

interface Parts {
  readonly isMinus: boolean
  readonly number: string
  readonly commodity: string
}

function partsOf(text: string): Parts {
  const before = BEFORE.exec(text)
  const after = before ? null : AFTER.exec(text)
  const [number, symbol] = before ? [before[4], before[2]] : [after?.[2], after?.[3]]
  if (number === undefined || symbol === undefined || (before?.[1] && before[3]))
    throw new AteError('BAD_VALUE', { what: 'no amount with a commodity', given: text.slice(0, 60) })
  const bare = symbol.replaceAll('"', '')
  const isMinus = before ? (before[1] ?? before[3]) !== undefined : after?.[1] !== undefined
  return { isMinus, number, commodity: SYMBOLS.get(bare) ?? bare }
}

function amountOf(text: string, marks: DecimalMarks): { decimal: string; commodity: string } {
  const { isMinus, number, commodity } = partsOf(text)
  return { decimal: `${isMinus ? '-' : ''}${marks.read(number, commodity)}`, commodity }
}

/** Which decimal mark the directives of a file have given, to all commodities or to one; from their line on. */
class DecimalMarks {
  #ofAll: DecimalMark | undefined
  readonly #of = new Map<string, DecimalMark>()

  /** False if it is no directive of these. */
  take(line: string): boolean {
    const [, directive, text = ''] = /^(decimal-mark|commodity|D)(?:\s+([^;]*))?(?:;.*)?$/.exec(line) ?? []
    if (directive === undefined) return false
    const given = text.trim()
    if (directive === 'decimal-mark') {
      if (given !== '.' && given !== ',') throw new AteError('BAD_VALUE', { what: 'decimal-mark is . or ,', given })
      this.#ofAll = given
    } else if (/\d/.test(given.replace(/"[^"]*"/g, ''))) this.#takeSample(given)
    return true
  }

  #takeSample(sample: string): void {
    const { number, commodity } = partsOf(sample.replace(/(?<=\d) (?=\d)/g, ''))
    const mark = /[.,](?=\d*$)/.exec(number)?.[0] as DecimalMark | undefined
    if (mark === undefined) return
    if (mark === ',' && /^\d{1,3},\d{3}$/.test(number))
      throw unreadAmount('thousands or a fraction? write both marks in the directive', sample)
    this.#of.set(commodity, mark)
  }

  read(number: string, commodity: string): string {
    const given = this.#ofAll ?? this.#of.get(commodity)
    // hledger takes 1,000 for one, ledger for a thousand.
    if (given === undefined && /^\d{1,3},\d{3}$/.test(number))
      throw unreadAmount('thousands or a fraction? say decimal-mark in the file', number)
    return plainDecimal(number, given ?? '.', { thousands: 'mark' })
  }
}

/** Posted entries; amounts have all digits of their currency. */
export async function* writeHledger(books: BooksText): AsyncGenerator<string, void, void> {
  const names = plainNames(books)
  yield '; made by @ate/ledger\n'
  for (const account of books.accounts) {
    const written = names.get(account.name)!
    yield `account ${written}\n${tagLines(accountWords(account, written))}`
  }
  for await (const entry of books.posted()) {
    const { id, at, from, to, amount, code, ref } = entry
    const decimal = decimalText(amount)
    const unit = commodity(amount.currency.code)
    const words = inline([code, ref].filter((part) => part !== undefined).join(' '))
    const idLine = PLAIN.test(id) ? `    ; ${ID}: ${id}\n` : tagLines([[CODED_ID, id]])
    yield `\n${dayText(at)} * ${words === '' ? 'transfer' : words}\n${idLine}${tagLines(entryWords(entry))}`
    yield `    ${names.get(from)!}  ${decimal} ${unit}\n    ${names.get(to)!}  -${decimal} ${unit}\n`
  }
  if (books.accounts.length === 0) return
  yield `\n${dayText(books.last)} * balances\n`
  for (const { name, currency, net } of books.accounts) {
    const unit = commodity(currency.code)
    yield `    ${names.get(name)!}  ${decimalText({ currency, units: 0n })} ${unit} = ${decimalText({ currency, units: -net })} ${unit}\n`
  }
}

function tagLines(words: OwnWords): string {
  return words.map(([name, value]) => `    ; ${name}: ${encodeURIComponent(value)}\n`).join('')
}

/** @throws AteError BAD_ARGUMENT for two accounts that would be one */
function plainNames({ accounts }: BooksText): Map<string, string> {
  const names = new Map<string, string>()
  const taken = new Map<string, string>()
  for (const { name } of accounts) {
    const plain = plainName(name)
    const other = taken.get(plain)
    if (other !== undefined)
      throw new AteError('BAD_ARGUMENT', {
        what: 'two accounts would have one name in a journal',
        name: plain,
        account: name,
        other,
      })
    taken.set(plain, name)
    names.set(name, plain)
  }
  return names
}

/** An account ends at two spaces, and some first characters have a meaning. */
function plainName(name: string): string {
  const plain = name.replace(/[\s;]+/g, ' ').trim()
  return plain === '' ? '_' : plain.replace(/^[([*!]/, '_')
}

function inline(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp};|]/gu, ' ').trim()
}

function commodity(code: string): string {
  return /^[A-Za-z]+$/.test(code) ? code : `"${code}"`
}
