/**
 * Journals of hledger and ledger: in, transactions with plain amounts; out, the posted entries with an assertion of every
 * balance, which both programs compare to the unit. Debits are positive there.
 */
import { AteError } from '@ate/core'
import { decimalText } from '../money.ts'
import type { BooksText } from './books-text.ts'
import { type ImportedJournal, type JournalOptions, journalOf, type PostingText } from './journal.ts'
import { dayOf, dayText } from './statement-lines.ts'

const HEAD = /^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})(?:=\S+)?(?:\s+([*!]))?(?:\s+\(([^)]*)\))?\s*(.*)$/
const SYMBOLS: Readonly<Record<string, string>> = { $: 'USD', '€': 'EUR', '£': 'GBP', '¥': 'JPY' }
const NUMBER = '[\\d,]+(?:\\.\\d*)?'
const BEFORE = new RegExp(`^(-)?\\s*([^\\s\\d.,;@={}"-]+|"[^"]+")\\s*(-)?(${NUMBER})$`)
const AFTER = new RegExp(`^(-)?(${NUMBER})\\s*([^\\s\\d.,;@={}"-]+|"[^"]+")$`)
/** Directives that move nothing; of those with a body, its lines are indented. */
const QUIET = /^(account|commodity|decimal-mark|payee|tag|D|P|comment|end comment|Y|year|alias|apply|end)\b/

/** Amounts have a point as decimal mark. @throws AteError BAD_VALUE with the line, also for costs, prices, virtual and automatic postings, which it does not read | BAD_AMOUNT */
export function readHledger(text: string, options: JournalOptions = {}): ImportedJournal {
  const transactions: { line: number; date: Date; text: string; ref?: string; id?: string; postings: PostingText[] }[] =
    []
  let open: (typeof transactions)[number] | undefined
  let inComment = false
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = index + 1
    if (/^(end )?comment\s*$/.test(raw)) inComment = raw.startsWith('comment')
    if (inComment || raw.trim() === '' || /^[;#*%|]/.test(raw)) return
    if (/^\s/.test(raw)) {
      if (open) takeIndented(raw, line, open)
      return
    }
    open = undefined
    if (QUIET.test(raw)) return
    const match = HEAD.exec(raw.split(';')[0]!.trimEnd())
    if (!match) throw new AteError('BAD_VALUE', { what: 'a directive that is not read', line })
    const [, year, month, day, , code, description = ''] = match
    const id = /;.*\bid:\s*([^,\s]+)/.exec(raw)?.[1]
    open = {
      line,
      date: dayOf(Number(year), Number(month), Number(day)),
      text: description.trim(),
      postings: [],
      ...(code ? { ref: code } : {}),
      ...(id === undefined ? {} : { id }),
    }
    transactions.push(open)
  })
  return journalOf(transactions, options)
}

function takeIndented(raw: string, line: number, open: { id?: string; postings: PostingText[] }): void {
  const [words = '', comment = ''] = split(raw, ';')
  const id = open.postings.length === 0 ? /\bid:\s*([^,\s]+)/.exec(comment)?.[1] : undefined
  if (id !== undefined) open.id = id
  if (words.trim() === '') return
  const [account = '', rest = ''] = split(words.trim().replace(/^[*!]\s+/, ''), /\s{2,}|\t/)
  if (/^[([]/.test(account) || /[@{]/.test(rest))
    throw new AteError('BAD_VALUE', { what: 'a virtual posting, a cost or a price', line })
  const [asked = ''] = split(rest, '=')
  const amount = asked.trim() === '' ? undefined : amountOf(asked.trim(), line)
  open.postings.push({ account, amount })
}

function split(text: string, at: string | RegExp): [string, string] {
  const found = typeof at === 'string' ? text.indexOf(at) : text.search(at)
  return found < 0 ? [text, ''] : [text.slice(0, found), text.slice(found + 1)]
}

function amountOf(text: string, line: number): { decimal: string; commodity: string } {
  const before = BEFORE.exec(text)
  const after = before ? null : AFTER.exec(text)
  if (!before && !after)
    throw new AteError('BAD_VALUE', { what: 'no amount with a commodity', given: text.slice(0, 60), line })
  const isMinus = before ? (before[1] ?? before[3]) !== undefined : after![1] !== undefined
  const number = (before ? before[4]! : after![2]!).replaceAll(',', '').replace(/\.$/, '')
  const symbol = (before ? before[2]! : after![3]!).replaceAll('"', '')
  return { decimal: `${isMinus ? '-' : ''}${number}`, commodity: SYMBOLS[symbol] ?? symbol }
}

/** Posted entries; amounts have all digits of their currency. */
export async function* writeHledger(books: BooksText): AsyncGenerator<string, void, void> {
  const names = new Map(books.accounts.map(({ name }) => [name, plainName(name)]))
  if (new Set(names.values()).size < names.size)
    throw new AteError('BAD_ARGUMENT', { what: 'two accounts would have one name in a journal' })
  yield '; made by @ate/ledger\n'
  for (const { name } of books.accounts) yield `account ${names.get(name)!}\n`
  for await (const { id, at, from, to, amount, code, ref } of books.posted()) {
    const decimal = decimalText(amount)
    const unit = commodity(amount.currency.code)
    const words = inline([code, ref].filter((part) => part !== undefined).join(' '))
    yield `\n${dayText(at)} * ${words === '' ? 'transfer' : words}\n    ; id: ${inline(id)}\n`
    yield `    ${names.get(from)!}  ${decimal} ${unit}\n    ${names.get(to)!}  -${decimal} ${unit}\n`
  }
  if (books.accounts.length === 0) return
  yield `\n${dayText(books.last)} * balances\n`
  for (const { name, currency, net } of books.accounts) {
    const unit = commodity(currency.code)
    yield `    ${names.get(name)!}  ${decimalText({ currency, units: 0n })} ${unit} = ${decimalText({ currency, units: -net })} ${unit}\n`
  }
}

/** An account ends at two spaces, and some first characters have a meaning. */
function plainName(name: string): string {
  return name
    .replace(/[\s;]+/g, ' ')
    .replace(/^[([*!]/, '_')
    .trim()
}

function inline(text: string): string {
  return text.replace(/[\p{Cc};|]/gu, ' ').trim()
}

function commodity(code: string): string {
  return /^[A-Za-z]+$/.test(code) ? code : `"${code}"`
}
