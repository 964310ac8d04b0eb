/** `ate ledger`: what each verb does, on a ledger that is open. The same verbs run alone and in the repl. */
import type { Chain } from '@ate/core'
import {
  type AccountInfo,
  AteError,
  type Balance,
  type Currency,
  currency,
  decimalText,
  type Entry,
  type EntryQuery,
  isoCurrency,
  type Ledger,
  type Money,
  money,
  moneyText,
  type Statement,
} from '@ate/ledger'
import { booksText, writeBeancount, writeCamt053, writeCsv, writeHledger, writeJsonl } from '@ate/ledger/formats'
import { publicIdOf } from './acting.ts'
import { dateOf } from './dates.ts'
import { print, printable, toJson } from './output.ts'

export interface LedgerContext {
  readonly chain: Chain
  readonly bank: Ledger
  readonly json: boolean
}

export interface LedgerWords {
  readonly currency?: string
  readonly scale?: number
  readonly normal?: 'credit' | 'debit'
  readonly floor?: string
  readonly ceiling?: string
  readonly debitor?: readonly string[]
  readonly close?: boolean
  readonly transferId?: string
  readonly code?: string
  readonly ref?: string
  readonly dryRun?: boolean
  readonly expires?: string
  readonly reason?: string
  readonly at?: string
  readonly account?: string
  readonly kind?: string
  readonly since?: string
  readonly until?: string
  readonly desc?: boolean
  readonly limit?: number
  readonly format?: string
}

export async function accountVerb(context: LedgerContext, name: string | undefined, words: LedgerWords): Promise<void> {
  const { bank } = context
  if (name === undefined) {
    const at = words.at === undefined ? {} : { at: timeOrSeq(words.at) }
    for await (const account of bank.accounts(at)) await show(context, plainAccount(account), accountText(account))
    return
  }
  if (words.close) {
    await bank.close(name)
    await show(context, { account: name, closed: true }, `${name} is closed`)
    return
  }
  if (words.currency !== undefined) {
    const unit = currencyOf(words.currency, words.scale)
    const units = (text: string): bigint => money(unit, text).units
    await bank.account(name, {
      currency: unit,
      ...(words.normal === undefined ? {} : { normal: words.normal }),
      ...(words.floor === undefined ? {} : { floor: words.floor === 'none' ? 'none' : units(words.floor) }),
      ...(words.ceiling === undefined ? {} : { ceiling: units(words.ceiling) }),
      ...(words.debitor === undefined ? {} : { debitors: words.debitor.map(publicIdOf) }),
    })
  }
  await balanceVerb(context, name, {})
}

export async function transferVerb(
  context: LedgerContext,
  from: string,
  to: string,
  amount: string,
  words: LedgerWords,
): Promise<void> {
  const transfer = {
    from,
    to,
    amount: await amountOf(context.bank, from, amount),
    ...(words.transferId === undefined ? {} : { id: words.transferId }),
    ...(words.code === undefined ? {} : { code: words.code }),
    ...(words.ref === undefined ? {} : { ref: words.ref }),
  }
  if (words.expires !== undefined) {
    const hold = await context.bank.hold(transfer, { expires: words.expires as never })
    await show(context, { id: hold.id, existed: hold.existed }, `${moneyText(transfer.amount)} held: ${hold.id}`)
    return
  }
  if (words.dryRun) {
    const { existed } = await context.bank.transfer(transfer, { dryRun: true })
    await show(context, { existed, dryRun: true }, existed ? 'was posted before' : 'would be posted')
    return
  }
  await posted(context, await context.bank.transfer(transfer))
}

export async function captureVerb(context: LedgerContext, hold: string, amount: string | undefined): Promise<void> {
  const held = amount === undefined ? undefined : await holdOf(context.bank, hold)
  const part = held && amount !== undefined ? parsedAmount(amount, held.amount.currency) : undefined
  await posted(context, await context.bank.capture(hold, part))
}

export async function voidVerb(context: LedgerContext, hold: string): Promise<void> {
  await posted(context, await context.bank.void(hold))
}

export async function reverseVerb(context: LedgerContext, id: string, { reason }: LedgerWords): Promise<void> {
  await posted(context, await context.bank.reverse(id, reason === undefined ? {} : { reason }))
}

export async function balanceVerb(context: LedgerContext, name: string | undefined, words: LedgerWords): Promise<void> {
  const { bank } = context
  if (name === undefined) return accountVerb(context, undefined, words)
  const balance = await bank.balance(name, words.at === undefined ? {} : { at: timeOrSeq(words.at) })
  await show(context, { account: name, ...plainBalance(balance) }, balanceText(name, balance))
}

export async function entriesVerb(context: LedgerContext, words: LedgerWords): Promise<void> {
  const query = queryOf(words)
  const entries = some(context, context.bank.entries(query), words.account)
  const format = words.format ?? (context.json ? 'jsonl' : 'text')
  if (format === 'csv') return write(writeCsv(entries))
  if (format === 'jsonl') return write(writeJsonl(entries))
  if (format !== 'text') throw unknownFormat(format)
  for await (const entry of entries) await print(printable(entryText(entry)))
}

export async function exportVerb(context: LedgerContext, { format = 'beancount' }: LedgerWords): Promise<void> {
  const { bank } = context
  const entries = (): AsyncIterable<Entry> => some(context, bank.entries(), undefined)
  if (format === 'csv') return write(writeCsv(entries()))
  if (format === 'jsonl') return write(writeJsonl(entries()))
  if (format !== 'beancount' && format !== 'hledger') throw unknownFormat(format)
  const books = await booksText(bank)
  await assertThere(context, undefined)
  await write(format === 'beancount' ? writeBeancount(books) : writeHledger(books))
}

export async function trialVerb(context: LedgerContext, words: LedgerWords): Promise<void> {
  const { bank } = context
  const trial = await bank.trial(words.at === undefined ? {} : { at: timeOrSeq(words.at) })
  if (trial.size === 0) await assertThere(context, undefined)
  const currencies = new Map<string, Currency>()
  for await (const { currency: one } of bank.accounts()) currencies.set(one.code, one)
  for (const [code, { debits, credits }] of trial) {
    // Each has an account, or nothing could have been posted in it.
    const text = (units: bigint): string => decimalText({ currency: currencies.get(code)!, units })
    await show(
      context,
      { currency: code, debits: text(debits), credits: text(credits) },
      `${code}  debits ${text(debits)}  credits ${text(credits)}  difference ${text(debits - credits)}`,
    )
  }
}

export async function statementVerb(context: LedgerContext, name: string, words: LedgerWords): Promise<void> {
  const { since, until } = queryOf(words)
  const statement = await context.bank.statement(name, { ...(since ? { since } : {}), ...(until ? { until } : {}) })
  const format = words.format ?? (context.json ? 'json' : 'text')
  if (format === 'camt053') {
    const made = new Date(context.chain.now)
    const id = `${name}-${context.chain.head.seq}`.slice(-35)
    return print(
      writeCamt053(statement, {
        id,
        made,
        ...(since ? { from: since } : {}),
        ...(until ? { to: until } : {}),
      }).trimEnd(),
    )
  }
  if (format === 'json') return print(toJson(plainStatement(statement)))
  if (format !== 'text') throw unknownFormat(format)
  const text = (units: bigint): string => decimalText({ currency: statement.currency, units })
  const rows = statement.lines.map(
    (line) =>
      `${line.at.toISOString()}  ${text(line.change).padStart(16)}  ${text(line.balance).padStart(16)}  ${describe(line)}`,
  )
  const name_ = `${name} in ${statement.currency.code}`
  await print(
    [name_, `opening ${text(statement.opening)}`, ...rows, `closing ${text(statement.closing)}`]
      .map(printable)
      .join('\n'),
  )
}

export async function verifyVerb(context: LedgerContext): Promise<void> {
  const verified = await context.bank.verify()
  const { through, entries, accounts, root } = verified
  if (accounts === 0) await assertThere(context, undefined)
  await show(
    context,
    verified,
    `${entries} entries of ${accounts} accounts agree with every balance, up to record ${through}\nroot ${root}`,
  )
}

/** As they are; of none of a name that was mistyped it is not said that there are none. @throws AteError NOT_FOUND */
async function* some(
  context: LedgerContext,
  entries: AsyncIterable<Entry>,
  account: string | undefined,
): AsyncGenerator<Entry, void, void> {
  let count = 0
  for await (const entry of entries) {
    count++
    yield entry
  }
  if (count === 0) await assertThere(context, account)
}

/** An account that is there, or a ledger that has any, may be without entries. @throws AteError NOT_FOUND */
async function assertThere({ chain, bank }: LedgerContext, account: string | undefined): Promise<void> {
  if (account !== undefined) {
    await bank.balance(account)
    return
  }
  for await (const _ of bank.accounts()) return
  throw new AteError('NOT_FOUND', { chain: chain.id }, { hint: NO_LEDGER })
}

const NO_LEDGER =
  'this chain has no ledger of that name with an account: --ledger names one of several; `ate ledger account PLACE NAME --currency CODE` opens an account'

/** An amount as people type it: `12.34`, of the account's currency, or `12.34 USD`. */
async function amountOf(bank: Ledger, account: string, text: string): Promise<Money> {
  return parsedAmount(text, (await bank.balance(account)).currency)
}

function parsedAmount(text: string, unit: Currency): Money {
  const [decimal = '', code, more] = text.trim().split(/\s+/)
  if (more !== undefined)
    throw new AteError('BAD_AMOUNT', { given: text.slice(0, 40) }, { hint: 'an amount is 12.34, or 12.34 USD' })
  if (code !== undefined && code !== unit.code)
    throw new AteError(
      'CURRENCY_MISMATCH',
      { given: code, currency: unit.code },
      { hint: 'the account has another currency' },
    )
  return money(unit, decimal)
}

async function holdOf(bank: Ledger, id: string): Promise<Entry> {
  for await (const entry of bank.entries({ kind: 'hold' })) if (entry.id === id) return entry
  throw new AteError('NOT_FOUND', { id }, { hint: 'there is no hold of this id' })
}

export function currencyOf(code: string, scale: number | undefined): Currency {
  return scale === undefined ? (isoCurrency(code) ?? currency(code)) : currency(code, scale)
}

function timeOrSeq(text: string): Date | number {
  return /^\d{1,12}$/.test(text) ? Number(text) : timeOf(text)
}

function timeOf(text: string): Date {
  const date = dateOf(text)
  if (!date)
    throw new AteError('BAD_ARGUMENT', {
      what: 'a time such as 2026-01-31 or 2026-01-31T12:00Z',
      given: text.slice(0, 40),
    })
  return date
}

function queryOf(words: LedgerWords): EntryQuery {
  return {
    ...(words.account === undefined ? {} : { account: words.account }),
    ...(words.kind === undefined ? {} : { kind: words.kind as never }),
    ...(words.code === undefined ? {} : { code: words.code }),
    ...(words.ref === undefined ? {} : { ref: words.ref }),
    ...(words.since === undefined ? {} : { since: timeOf(words.since) }),
    ...(words.until === undefined ? {} : { until: timeOf(words.until) }),
    ...(words.desc ? { order: 'desc' as const } : {}),
    ...(words.limit === undefined ? {} : { limit: words.limit }),
  }
}

function unknownFormat(format: string): AteError {
  return new AteError('BAD_ARGUMENT', { what: 'this format is not written here', format })
}

async function write(lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) await print(line.replace(/\r?\n$/, ''))
}

export async function show({ json }: Pick<LedgerContext, 'json'>, value: unknown, text: string): Promise<void> {
  await print(json ? toJson(value) : text.split('\n').map(printable).join('\n'))
}

function posted(
  context: LedgerContext,
  receipt: { id: string; seq: number; at: Date; existed: boolean },
): Promise<void> {
  const { id, seq, at, existed } = receipt
  return show(context, receipt, `${id} ${existed ? 'was posted before' : 'posted'}: record ${seq}, ${at.toISOString()}`)
}

/** Amounts for programs are decimal text. */
function plainBalance({ currency: unit, posted: sum, pending, available, seq }: Balance): Record<string, unknown> {
  const text = (units: bigint): string => decimalText({ currency: unit, units })
  return { currency: unit.code, posted: text(sum), pending: text(pending), available: text(available), seq }
}

function plainStatement({ currency: unit, opening, closing, lines, ...rest }: Statement): Record<string, unknown> {
  const text = (units: bigint): string => decimalText({ currency: unit, units })
  return {
    ...rest,
    currency: unit.code,
    opening: text(opening),
    closing: text(closing),
    lines: lines.map(({ amount, change, balance, ...line }) => ({
      ...line,
      amount: decimalText(amount),
      currency: amount.currency.code,
      change: text(change),
      balance: text(balance),
    })),
  }
}

function plainAccount(account: AccountInfo): Record<string, unknown> {
  const { name, normal, floor, ceiling, guarded, closed, currency: unit } = account
  const text = (units: bigint): string => decimalText({ currency: unit, units })
  return {
    account: name,
    ...plainBalance(account),
    normal,
    floor: floor === 'none' ? floor : text(floor),
    ...(ceiling === undefined ? {} : { ceiling: text(ceiling) }),
    guarded,
    closed,
  }
}

function balanceText(name: string, { currency: unit, posted: sum, pending, available }: Balance): string {
  const text = (units: bigint): string => decimalText({ currency: unit, units })
  const more = pending === sum && available === sum ? '' : `  pending ${text(pending)}  available ${text(available)}`
  return `${name}  ${text(sum)} ${unit.code}${more}`
}

function accountText(account: AccountInfo): string {
  return `${balanceText(account.name, account)}${account.closed ? '  closed' : ''}`
}

function describe({ id, kind, from, to, code, ref }: Entry): string {
  return [kind, `${from} to ${to}`, code, ref, id].filter((word) => word !== undefined).join('  ')
}

function entryText(entry: Entry): string {
  return `#${entry.seq}  ${entry.at.toISOString()}  ${moneyText(entry.amount).padStart(20)}  ${describe(entry)}`
}
