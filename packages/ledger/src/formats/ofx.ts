/** OFX statements: version 1 (SGML, where leaves have no end) and 2 (XML), of banks and of credit cards. */
import { AteError } from '@ate/core'
import { money } from '../money.ts'
import { currencyOf } from './csv.ts'
import { ContentIds, dayOf, plainDecimal, type StatementLine } from './statement-lines.ts'

/** @throws AteError BAD_VALUE | BAD_AMOUNT */
export function readOfx(text: string, scales?: Readonly<Record<string, number>>): StatementLine[] {
  const lines: StatementLine[] = []
  const ids = new ContentIds()
  const statements = [...text.matchAll(/<(?:CC)?STMTRS>([\s\S]*?)<\/(?:CC)?STMTRS>/gi)].map((match) => match[1]!)
  if (statements.length === 0) throw new AteError('BAD_VALUE', { what: 'no OFX statement' })
  for (const statement of statements) {
    const unit = currencyOf(leaf(statement, 'CURDEF'), scales)
    const account = leaf(statement, 'ACCTID') ?? ''
    for (const [, body = ''] of statement.matchAll(/<STMTTRN>([\s\S]*?)<\/STMTTRN>/gi)) {
      const amount = leaf(body, 'TRNAMT') ?? ''
      const posted = leaf(body, 'DTPOSTED') ?? ''
      const name = [leaf(body, 'NAME'), leaf(body, 'MEMO')].filter((part) => part !== undefined).join(' ')
      const decimal = /,\d{1,4}$/.test(amount) ? ',' : '.'
      const { units } = money(unit, plainDecimal(amount.replace(/^\+/, ''), decimal))
      const date = dayOf(Number(posted.slice(0, 4)), Number(posted.slice(4, 6)), Number(posted.slice(6, 8)))
      const bankId = leaf(body, 'FITID')
      const ref = leaf(body, 'CHECKNUM') ?? leaf(body, 'REFNUM')
      const id = bankId ? `ofx:${account}:${bankId}`.slice(0, 128) : ids.idOf(account, posted, units, name)
      lines.push({ id, date, units, currency: unit, text: name, ...(ref === undefined ? {} : { ref }) })
    }
  }
  return lines
}

function leaf(text: string, name: string): string | undefined {
  const found = new RegExp(`<${name}>([^<\\r\\n]*)`, 'i').exec(text)?.[1]?.trim()
  return found === undefined || found === '' ? undefined : entities(found)
}

function entities(text: string): string {
  const known: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }
  return text.replace(/&(amp|lt|gt|quot|apos|nbsp);/g, (_, name: string) => known[name]!)
}
