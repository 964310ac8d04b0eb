/** What the plain-text formats share: transactions of several postings, and transfers made of them, two accounts each. */
import { AteError } from '@ate/core'
import { type Currency, currency, isoCurrency } from '../currencies.ts'
import type { NormalSide } from '../ledger-records.ts'
import { money } from '../money.ts'
import type { Transfer } from '../requests.ts'
import { type OwnEntry, ToldAccounts } from './own-words.ts'
import { inPlace, unread } from './places.ts'
import { ContentIds, cut } from './statement-lines.ts'

export interface PostingText {
  readonly account: string
  /** Decimal text and commodity; undefined where it is what the others leave. */
  readonly amount: { readonly decimal: string; readonly commodity: string } | undefined
}

/** One transaction; as it is read, its postings are added one by one. */
export interface TransactionText {
  readonly line: number
  readonly date: Date
  readonly text: string
  readonly ref?: string
  id?: string
  /** Of one that a ledger has written: what its entry says, in place of `text` and `ref`. */
  own?: OwnEntry
  readonly postings: PostingText[]
}

export interface ImportedAccount {
  readonly name: string
  readonly currency: Currency
  readonly normal: NormalSide
}

/** What a file holds: each group is one transaction, and is posted as a whole. */
export interface ImportedJournal {
  readonly accounts: readonly ImportedAccount[]
  readonly groups: readonly (readonly Transfer[])[]
}

export interface JournalOptions {
  /** Digits behind the point of commodities that are not in ISO 4217; what the file shows, if left out. */
  readonly scales?: Readonly<Record<string, number>>
}

/**
 * Turns transactions into transfers. An account has one currency: of one that is used with several, each but the first stands
 * under its own name, `ACCOUNT:CODE`.
 * @throws AteError BAD_VALUE with the line, for what does not balance
 */
export function journalOf(
  format: string,
  transactions: readonly TransactionText[],
  options: JournalOptions,
  told: ToldAccounts = new ToldAccounts(),
): ImportedJournal {
  const currencies = currenciesOf(format, transactions, options)
  const accounts = new Map<string, ImportedAccount>()
  const ids = new ContentIds()
  const nameOf = (written: string, unit: Currency): string => {
    const { name: account, normal } = told.of(written)
    const known = accounts.get(account)
    const name = known === undefined || known.currency.code === unit.code ? account : `${account}:${unit.code}`
    if (!accounts.has(name)) accounts.set(name, { name, currency: unit, normal })
    return name
  }
  checkIds(format, transactions)
  const groups = transactions.map((transaction) =>
    inPlace({ format, line: transaction.line }, () => transfersOf(transaction, { currencies, nameOf, ids })),
  )
  return { accounts: [...accounts.values()], groups: groups.filter((group) => group.length > 0) }
}

/** The second transaction of an id would count as posted before. */
function checkIds(format: string, transactions: readonly TransactionText[]): void {
  const seen = new Map<string, number>()
  for (const { id, line } of transactions) {
    if (id === undefined) continue
    const first = seen.get(id)
    if (first !== undefined) throw unread('two transactions have one id', { format, line }, { id, first })
    seen.set(id, line)
  }
}

function currenciesOf(
  format: string,
  transactions: readonly TransactionText[],
  { scales = {} }: JournalOptions,
): Map<string, Currency> {
  const shown = new Map<string, { digits: number; line: number }>()
  for (const { postings, line } of transactions) {
    for (const { amount } of postings) {
      if (!amount) continue
      const before = shown.get(amount.commodity)
      const digits = Math.max(amount.decimal.split('.')[1]?.length ?? 0, before?.digits ?? 0)
      shown.set(amount.commodity, { digits, line: before?.line ?? line })
    }
  }
  return new Map(
    [...shown].map(([code, { digits, line }]) => [
      code,
      isoCurrency(code) ?? inPlace({ format, line }, () => currency(code, scales[code] ?? digits)),
    ]),
  )
}

interface Making {
  readonly currencies: ReadonlyMap<string, Currency>
  readonly nameOf: (account: string, unit: Currency) => string
  readonly ids: ContentIds
}

/** Debits are matched with credits of the same currency, in order; so n postings make fewer than n transfers. */
function transfersOf(transaction: TransactionText, { currencies, nameOf, ids }: Making): Transfer[] {
  const { date, text, own } = transaction
  const ref = own ? own.ref : transaction.ref
  const meta = own ? own.meta : text === '' ? undefined : { text: cut(text, 1000) }
  const base = foreignId(transaction.id) ?? `import:${ids.idOf(date, text, ref, transaction.postings)}`
  const transfers: Transfer[] = []
  for (const [code, parts] of partsOf(transaction, currencies)) {
    const unit = currencies.get(code)!
    const debits = parts.filter(({ units }) => units > 0n)
    const credits = parts.filter(({ units }) => units < 0n).map((part) => ({ ...part, units: -part.units }))
    for (const debit of debits) {
      for (const credit of credits) {
        const units = debit.units < credit.units ? debit.units : credit.units
        if (units === 0n || debit.account === credit.account) continue
        debit.units -= units
        credit.units -= units
        const id = transfers.length === 0 ? base : `${base}/${transfers.length}`
        transfers.push({
          id,
          from: nameOf(debit.account, unit),
          to: nameOf(credit.account, unit),
          amount: { currency: unit, units },
          effective: date,
          ...(own?.code === undefined ? {} : { code: own.code }),
          ...(ref === undefined ? {} : { ref }),
          ...(meta === undefined ? {} : { meta }),
        })
      }
    }
    if ([...debits, ...credits].some(({ units }) => units !== 0n))
      throw new AteError('BAD_VALUE', { what: 'a transaction debits and credits one account' })
  }
  return transfers
}

/** Ids that a ledger made itself, of captures and reversals, are foreign ones in another. */
export function foreignId(id: string | undefined): string | undefined {
  return id !== undefined && /^(resolve|reverse|ate):/.test(id) ? `import:${id}` : id
}

/** Postings by commodity, in units, with the one that was left out filled in; each commodity adds up to 0. */
function partsOf(
  { postings }: TransactionText,
  currencies: ReadonlyMap<string, Currency>,
): Map<string, { account: string; units: bigint }[]> {
  const parts = new Map<string, { account: string; units: bigint }[]>()
  const open = postings.filter(({ amount }) => !amount)
  if (open.length > 1) throw new AteError('BAD_VALUE', { what: 'two postings without an amount' })
  for (const { account, amount } of postings) {
    if (!amount) continue
    const { units } = money(currencies.get(amount.commodity)!, amount.decimal)
    parts.set(amount.commodity, [...(parts.get(amount.commodity) ?? []), { account, units }])
  }
  for (const [code, list] of parts) {
    const sum = list.reduce((total, { units }) => total + units, 0n)
    if (sum === 0n) continue
    if (!open[0]) throw new AteError('BAD_VALUE', { what: 'a transaction does not balance', commodity: code, sum })
    list.push({ account: open[0].account, units: -sum })
  }
  return parts
}
