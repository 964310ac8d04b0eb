/** camt.053 of ISO 20022: a bank's statement in, of versions 2 to 12; a statement of the ledger out, as version 8. */
import { AteError } from '@ate/core'
import { SaxesParser } from 'saxes'
import type { Currency } from '../currencies.ts'
import type { Statement } from '../ledger.ts'
import { decimalText, money } from '../money.ts'
import { currencyOf } from './csv.ts'
import { plainDecimal } from './decimals.ts'
import { inPlace, unread, unreadAmount, withoutMark } from './places.ts'
import { ContentIds, dayOf, dayText, foreignLineId, type StatementLine } from './statement-lines.ts'

/** An element: its children in order, and its text. */
interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  readonly children: Element[]
  text: string
}

/** Elements of one document, and their depth: bounds what a file from outside may ask for. */
const ELEMENTS_MAX = 2_000_000
const DEPTH_MAX = 64

type Scales = Readonly<Record<string, number>> | undefined

/** What may stand for an amount there: no sign, no marks but a point. */
const AMOUNT = /^\d{1,40}(\.\d{0,30})?$/
/** Entries that are not booked (yet): expected, for information. */
const NOT_BOOKED: ReadonlySet<string> = new Set(['PDNG', 'INFO', 'FUTR'])

/**
 * Booked entries. Where a statement has an opening and a closing balance of a currency, its entries lead from one to the other.
 * @throws AteError BAD_VALUE with the entry | BAD_AMOUNT | BAD_ARGUMENT for a currency without a scale
 */
export function readCamt053(text: string, scales?: Scales): StatementLine[] {
  const reading: Reading = { ids: new ContentIds(), taken: new Set(), scales }
  const root = documentOf(withoutMark(text))
  const statements = root.children.filter(({ name }) => name === 'BkToCstmrStmt').flatMap((one) => all(one, 'Stmt'))
  if (statements.length === 0) throw unread('no statement of camt.053', { format: 'camt.053' })
  let entries = 0
  return statements.flatMap((statement) => {
    const account = textAt(statement, 'Acct', 'Id', 'IBAN') ?? textAt(statement, 'Acct', 'Id', 'Othr', 'Id') ?? ''
    const lines = all(statement, 'Ntry').flatMap((entry) =>
      inPlace({ format: 'camt.053', entry: ++entries }, () =>
        isBooked(entry) ? [lineOf(entry, account, reading)] : [],
      ),
    )
    inPlace({ format: 'camt.053' }, () => checkBalances(statement, lines, scales))
    return lines
  })
}

function isBooked(entry: Element): boolean {
  const [status] = all(entry, 'Sts')
  if (!status) return true
  const code = textAt(status, 'Cd') ?? textAt(status) ?? ''
  if (code === 'BOOK') return true
  if (NOT_BOOKED.has(code)) return false
  throw bad('a status that is not known', { status: code })
}

/** Of an entry or a balance: above 0 what is credited. */
function signedAmount(element: Element, scales: Scales): { currency: Currency; units: bigint } {
  const [amount] = all(element, 'Amt')
  if (!amount) throw bad('no Amt')
  const text = amount.text.trim()
  if (!AMOUNT.test(text)) throw unreadAmount('an amount without a sign, with a point', text)
  const { currency, units } = money(currencyOf(amount.attributes['Ccy'], scales), plainDecimal(text, '.'))
  const side = textAt(element, 'CdtDbtInd')
  if (side !== 'CRDT' && side !== 'DBIT') throw bad('CdtDbtInd is CRDT or DBIT', { side })
  return { currency, units: side === 'CRDT' ? units : -units }
}

function checkBalances(statement: Element, lines: readonly StatementLine[], scales: Scales): void {
  const balances = all(statement, 'Bal').flatMap((balance) => {
    const code = textAt(balance, 'Tp', 'CdOrPrtry', 'Cd')
    return code === 'OPBD' || code === 'PRCD' || code === 'CLBD' ? [{ code, ...signedAmount(balance, scales) }] : []
  })
  const of = (code: string, unit: string): { units: bigint } | undefined => {
    const [found, ...more] = balances.filter((one) => one.code === code && one.currency.code === unit)
    return more.length === 0 ? found : undefined
  }
  for (const unit of new Set(balances.map(({ currency }) => currency.code))) {
    const opening = of('OPBD', unit) ?? of('PRCD', unit)
    const closing = of('CLBD', unit)
    if (!opening || !closing) continue
    const sum = lines
      .filter(({ currency }) => currency.code === unit)
      .reduce((total, { units }) => total + units, opening.units)
    if (sum !== closing.units)
      throw bad('the entries do not add up to the closing balance', {
        statement: textAt(statement, 'Id'),
        closing: closing.units,
        sum,
      })
  }
}

interface Reading {
  readonly ids: ContentIds
  /** References of the bank that were used: a payment and its fee may share one. */
  readonly taken: Set<string>
  readonly scales: Scales
}

function lineOf(entry: Element, account: string, { ids, taken, scales }: Reading): StatementLine {
  const { currency, units } = signedAmount(entry, scales)
  const day = (
    textAt(entry, 'BookgDt', 'Dt') ??
    textAt(entry, 'BookgDt', 'DtTm') ??
    textAt(entry, 'ValDt', 'Dt') ??
    ''
  ).slice(0, 10)
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day) ?? []
  if (year === undefined) throw bad('no date', { given: day })
  const details = all(entry, 'NtryDtls').flatMap((one) => all(one, 'TxDtls'))
  const texts = details
    .flatMap((one) => all(one, 'RmtInf'))
    .flatMap((one) => all(one, 'Ustrd'))
    .map((one) => one.text)
  const info = textAt(entry, 'AddtlNtryInf')
  const words = [...texts, ...(info === undefined ? [] : [info])].join(' ').trim()
  const reference = details
    .map((one) => textAt(one, 'Refs', 'EndToEndId'))
    .find((found) => found && found !== 'NOTPROVIDED')
  const bankId = textAt(entry, 'AcctSvcrRef')
  const own = bankId === undefined ? undefined : foreignLineId('camt', account, bankId)
  // NtryRef alone is no id: banks number the entries of each statement from 1 on.
  const id =
    own === undefined || taken.has(own)
      ? `camt:${ids.idOf(account, bankId ?? textAt(entry, 'NtryRef'), day, units, currency.code, words, reference)}`
      : own
  taken.add(id)
  return {
    id,
    date: dayOf(Number(year), Number(month), Number(date)),
    units,
    currency,
    text: words,
    ...(reference ? { ref: reference } : {}),
  }
}

function bad(what: string, facts: Readonly<Record<string, string | bigint | undefined>> = {}): AteError {
  return new AteError('BAD_VALUE', { what, ...facts })
}

function documentOf(text: string): Element {
  const top: Element = { name: '', attributes: {}, children: [], text: '' }
  const open: Element[] = [top]
  let count = 0
  let problem: Error | undefined
  const parser = new SaxesParser({ fragment: false })
  parser.on('error', (error) => {
    problem ??= error
  })
  parser.on('doctype', () => {
    problem ??= new Error('a document type is not accepted')
  })
  parser.on('opentag', ({ name, attributes }) => {
    if (++count > ELEMENTS_MAX || open.length > DEPTH_MAX) problem ??= new Error('too many elements, or too deep')
    if (problem) return
    const own = attributes as Record<string, string> // without xmlns they are texts
    const made: Element = { name: name.slice(name.indexOf(':') + 1), attributes: own, children: [], text: '' }
    open.at(-1)!.children.push(made)
    open.push(made)
  })
  const write = (words: string): void => {
    if (!problem) open.at(-1)!.text += words
  }
  parser.on('text', write)
  parser.on('cdata', write)
  parser.on('closetag', () => void (problem ?? open.pop()))
  parser.write(text).close()
  const [root] = top.children
  if (problem || root?.name !== 'Document')
    throw unread('no document of ISO 20022', { format: 'camt.053' }, { problem: problem?.message.slice(0, 200) })
  return root
}

function all(element: Element, name: string): Element[] {
  return element.children.filter((child) => child.name === name)
}

function textAt(element: Element, ...path: readonly string[]): string | undefined {
  let here: Element | undefined = element
  for (const name of path) here = here && all(here, name)[0]
  const text = here?.text.trim()
  return text === '' ? undefined : text
}

export interface CamtOptions {
  /** Id of the message and of the statement. */
  readonly id: string
  /** When it is made. */
  readonly made: Date
  readonly from?: Date
  readonly to?: Date
}

/** A statement of an account, from its owner's point of view: a credit is what came in. */
export function writeCamt053(
  { account, currency, opening, closing, lines }: Statement,
  { id, made, from, to }: CamtOptions,
): string {
  const amount = (units: bigint): string =>
    `<Amt Ccy="${escaped(currency.code)}">${decimalText({ currency, units: units < 0n ? -units : units })}</Amt>`
  const side = (units: bigint): string => `<CdtDbtInd>${units < 0n ? 'DBIT' : 'CRDT'}</CdtDbtInd>`
  const first = from ?? lines[0]?.at ?? made
  const last = to ?? lines.at(-1)?.at ?? made
  const balance = (code: string, units: bigint, date: Date): string =>
    `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp>${amount(units)}${side(units)}<Dt><Dt>${dayText(date)}</Dt></Dt></Bal>`
  const entries = lines.map(
    ({ id: entryId, at, effective, change, ref, code, from: debited, to: credited }) =>
      `<Ntry><NtryRef>${escaped(entryId.slice(0, 35))}</NtryRef>${amount(change)}${side(change)}<Sts><Cd>BOOK</Cd></Sts>` +
      `<BookgDt><DtTm>${at.toISOString()}</DtTm></BookgDt><ValDt><Dt>${dayText(effective ?? at)}</Dt></ValDt>` +
      `<BkTxCd><Prtry><Cd>${escaped((code ?? 'TRANSFER').slice(0, 35))}</Cd></Prtry></BkTxCd>` +
      `<NtryDtls><TxDtls><Refs><EndToEndId>${escaped((ref ?? 'NOTPROVIDED').slice(0, 35))}</EndToEndId></Refs>` +
      `<RmtInf><Ustrd>${escaped(`${debited} to ${credited}`.slice(0, 140))}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>`,
  )
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>',
    `<GrpHdr><MsgId>${escaped(id.slice(0, 35))}</MsgId><CreDtTm>${made.toISOString()}</CreDtTm></GrpHdr>`,
    `<Stmt><Id>${escaped(id.slice(0, 35))}</Id><CreDtTm>${made.toISOString()}</CreDtTm>`,
    `<FrToDt><FrDtTm>${first.toISOString()}</FrDtTm><ToDtTm>${last.toISOString()}</ToDtTm></FrToDt>`,
    `<Acct><Id><Othr><Id>${escaped(account.slice(0, 34))}</Id></Othr></Id><Ccy>${escaped(currency.code)}</Ccy></Acct>`,
    balance('OPBD', opening, first),
    balance('CLBD', closing, last),
    ...entries,
    '</Stmt></BkToCstmrStmt></Document>',
    '',
  ].join('\n')
}

function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&apos;',
  }
  // Characters that XML 1.0 has no way to write.
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"']/g, (character) => names[character]!)
}
