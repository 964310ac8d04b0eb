/** camt.053 of ISO 20022: a bank's statement in, of versions 2 to 12; a statement of the ledger out, as version 8. */
import { AteError } from '@ate/core'
import { SaxesParser } from 'saxes'
import type { Statement } from '../ledger.ts'
import { decimalText, money } from '../money.ts'
import { currencyOf } from './csv.ts'
import { ContentIds, dayOf, dayText, plainDecimal, type StatementLine } from './statement-lines.ts'

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

/** @throws AteError BAD_VALUE | BAD_AMOUNT */
export function readCamt053(text: string, scales?: Readonly<Record<string, number>>): StatementLine[] {
  const ids = new ContentIds()
  const root = documentOf(text)
  const statements = root.children.filter(({ name }) => name === 'BkToCstmrStmt').flatMap((one) => all(one, 'Stmt'))
  if (statements.length === 0) throw new AteError('BAD_VALUE', { what: 'no statement of camt.053' })
  return statements.flatMap((statement) => {
    const account = textAt(statement, 'Acct', 'Id', 'IBAN') ?? textAt(statement, 'Acct', 'Id', 'Othr', 'Id') ?? ''
    return all(statement, 'Ntry')
      .filter((entry) => isBooked(entry))
      .map((entry) => lineOf(entry, account, ids, scales))
  })
}

function isBooked(entry: Element): boolean {
  const status = textAt(entry, 'Sts', 'Cd') ?? textAt(entry, 'Sts')
  return status === undefined || status === 'BOOK'
}

function lineOf(
  entry: Element,
  account: string,
  ids: ContentIds,
  scales: Readonly<Record<string, number>> | undefined,
): StatementLine {
  const amount = all(entry, 'Amt')[0]
  const unit = currencyOf(amount?.attributes['Ccy'], scales)
  const { units } = money(unit, plainDecimal(amount?.text ?? '', '.'))
  const comesIn = textAt(entry, 'CdtDbtInd') === 'CRDT'
  const day = (
    textAt(entry, 'BookgDt', 'Dt') ??
    textAt(entry, 'BookgDt', 'DtTm') ??
    textAt(entry, 'ValDt', 'Dt') ??
    ''
  ).slice(0, 10)
  const [year = 0, month = 0, date = 0] = day.split('-').map(Number)
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
  const bankId = textAt(entry, 'AcctSvcrRef') ?? textAt(entry, 'NtryRef')
  const id = bankId
    ? `camt:${account}:${bankId}`.slice(0, 128)
    : ids.idOf(account, day, units, comesIn ? 'in' : 'out', words)
  return {
    id,
    date: dayOf(year, month, date),
    units: comesIn ? units : -units,
    currency: unit,
    text: words,
    ...(reference ? { ref: reference } : {}),
  }
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
  parser.on('text', (words) => {
    if (!problem) open.at(-1)!.text += words
  })
  parser.on('closetag', () => void (problem ?? open.pop()))
  parser.write(text).close()
  const [root] = top.children
  if (problem || root?.name !== 'Document')
    throw new AteError('BAD_VALUE', { what: 'no document of ISO 20022', problem: problem?.message.slice(0, 200) })
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
