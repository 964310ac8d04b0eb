/** OFX statements: version 1 (SGML, where leaves have no end) and 2 (XML), of banks and of credit cards. */
import { AteError } from '@ate/core'
import { currencyOf } from './csv.ts'
import { ofxAmount } from './decimals.ts'
import { inPlace, type Place, unread } from './places.ts'
import { ContentIds, dayOf, foreignLineId, type StatementLine } from './statement-lines.ts'

/** A tag and the text behind it. Each character is looked at once, whatever the file leaves open. */
const TAG = /<(\/?)([A-Za-z0-9._]{1,40})>([^<\r\n]*)/g

type Fields = Map<string, string>

interface Statement {
  readonly fields: Fields
  readonly scales: Readonly<Record<string, number>> | undefined
  readonly ids: ContentIds
}

/**
 * @throws AteError BAD_VALUE with the entry, also for a file that ends within a statement, and for one of investments |
 * BAD_AMOUNT | BAD_ARGUMENT for a currency without a scale
 */
export function readOfx(text: string, scales?: Readonly<Record<string, number>>): StatementLine[] {
  const lines: StatementLine[] = []
  const ids = new ContentIds()
  let statements = 0
  let entry = 0
  let statement: Statement | undefined
  let transaction: Fields | undefined
  /** The aggregate of a transaction that says which currency its amount is in. */
  let inCurrency = false
  const here = (): Place => ({ format: 'OFX', ...(entry === 0 ? {} : { entry }) })
  for (const [, slash, tag = '', words = ''] of plain(text).matchAll(TAG)) {
    const name = tag.toUpperCase()
    const begins = slash === ''
    switch (name) {
      case 'STMTRS':
      case 'CCSTMTRS':
        if (begins === (statement !== undefined) || transaction) throw unread('a statement is cut', here())
        statement = begins ? { fields: new Map(), scales, ids } : undefined
        if (begins) statements++
        break
      case 'INVSTMTRS':
        throw unread('a statement of investments', here())
      case 'STMTTRN':
        if (begins === (transaction !== undefined) || !statement) throw unread('an entry is cut', here())
        if (transaction) lines.push(inPlace(here(), () => lineOf(transaction!, statement!)))
        else entry++
        transaction = begins ? new Map() : undefined
        inCurrency = false
        break
      case 'CURRENCY':
        inCurrency = begins
        break
      default:
        if (begins) keep(transaction ?? statement?.fields, name === 'CURSYM' && !inCurrency ? 'ORIGSYM' : name, words)
    }
  }
  if (statement || transaction) throw unread('the file ends within a statement', here())
  if (statements === 0) throw unread('no OFX statement', here())
  return lines
}

/** The first of a name counts: accounts and names of others stand behind one's own. */
function keep(fields: Fields | undefined, name: string, words: string): void {
  const text = words.trim()
  if (fields && text !== '' && !fields.has(name)) fields.set(name, entities(text))
}

function lineOf(entry: Fields, { fields, scales, ids }: Statement): StatementLine {
  // What it corrects may be posted already, and would count beside it.
  if (entry.has('CORRECTFITID') || entry.has('CORRECTACTION'))
    throw new AteError('BAD_VALUE', { what: 'an entry that corrects or deletes an earlier one; post that by hand' })
  const account = fields.get('ACCTID') ?? ''
  // An amount is in the currency of the statement, unless its own is named; ORIGCURRENCY says what it was before.
  const unit = currencyOf(entry.get('CURSYM') ?? fields.get('CURDEF'), scales)
  const amount = entry.get('TRNAMT')
  if (amount === undefined) throw new AteError('BAD_VALUE', { what: 'no TRNAMT' })
  const { units } = ofxAmount(unit, amount)
  const posted = /^(\d{4})(\d{2})(\d{2})/.exec(entry.get('DTPOSTED') ?? '')
  if (!posted) throw new AteError('BAD_VALUE', { what: 'no DTPOSTED' })
  const date = dayOf(Number(posted[1]), Number(posted[2]), Number(posted[3]))
  const text = [entry.get('NAME'), entry.get('MEMO')].filter((part) => part !== undefined).join(' ')
  const bankId = entry.get('FITID')
  const ref = entry.get('CHECKNUM') ?? entry.get('REFNUM')
  const id = bankId ? foreignLineId('ofx', account, bankId) : ids.idOf(account, entry.get('DTPOSTED'), units, text)
  return { id, date, units, currency: unit, text, ...(ref === undefined ? {} : { ref }) }
}

/** Sections of version 2 that are text whatever stands in them, written as all else is. */
function plain(text: string): string {
  let made = ''
  let at = 0
  for (let begin = text.indexOf(BEGIN); begin >= 0; begin = text.indexOf(BEGIN, at)) {
    const end = text.indexOf(END, begin)
    if (end < 0) throw unread('the file ends within a section of text', { format: 'OFX' })
    made += text.slice(at, begin) + literal(text.slice(begin + BEGIN.length, end))
    at = end + END.length
  }
  return made + text.slice(at)
}

const BEGIN = '<![CDATA['
const END = ']]>'

function literal(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replace(/[\r\n]+/g, ' ')
}

function entities(text: string): string {
  const known: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }
  return text.replace(
    /&(?:(amp|lt|gt|quot|apos|nbsp)|#(\d{1,7})|#x([\da-f]{1,6}));/gi,
    (found: string, name?: string, decimal?: string, hex = '') => {
      if (name !== undefined) return known[name.toLowerCase()]!
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
      return code > 31 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : found
    },
  )
}
