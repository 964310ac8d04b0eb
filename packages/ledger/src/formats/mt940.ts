/** MT940 statements of SWIFT: fields 25, 60, 61, 86 and 62, with the sums checked. */
import { AteError } from '@ate/core'
import type { Currency } from '../currencies.ts'
import { money } from '../money.ts'
import { currencyOf } from './csv.ts'
import { ContentIds, dayOf, plainDecimal, type StatementLine } from './statement-lines.ts'

const LINE =
  /^(\d{2})(\d{2})(\d{2})(\d{4})?(R?[CD])([A-Z])?(\d{1,15},\d{0,4})([A-Z][A-Z0-9]{3})([^\n]*?)(?:\/\/([^\n]*))?(?:\n([\s\S]*))?$/
const BALANCE = /^([CD])(\d{6})([A-Z]{3})(\d{1,15},\d{0,4})$/

/** @throws AteError BAD_VALUE, also if the lines do not lead from the opening to the closing balance | BAD_AMOUNT */
export function readMt940(text: string): StatementLine[] {
  const lines: StatementLine[] = []
  const ids = new ContentIds()
  let account = ''
  let unit: Currency | undefined
  let balance = 0n
  for (const { tag, value } of fieldsOf(text)) {
    if (tag === '25') account = value.trim()
    else if (tag.startsWith('60')) {
      const opening = balanceOf(value)
      unit = opening.currency
      balance = opening.units
    } else if (tag === '61') {
      if (!unit) throw new AteError('BAD_VALUE', { what: 'a line before the opening balance' })
      const line = lineOf(value, { unit, account, ids })
      balance += line.units
      lines.push(line)
    } else if (tag === '86') {
      const last = lines.at(-1)
      if (last && last.text === '') lines[lines.length - 1] = { ...last, text: textOf(value) }
    } else if (tag.startsWith('62')) {
      const closing = balanceOf(value)
      if (closing.units !== balance || closing.currency.code !== unit?.code)
        throw new AteError('BAD_VALUE', {
          what: 'the lines do not add up to the closing balance',
          closing: closing.units,
          sum: balance,
        })
    }
  }
  if (!unit) throw new AteError('BAD_VALUE', { what: 'no MT940 statement' })
  return lines
}

function fieldsOf(text: string): { tag: string; value: string }[] {
  const fields: { tag: string; value: string }[] = []
  for (const line of text.replaceAll('\r', '').split('\n')) {
    const begin = /^:(\d{2}[A-Z]?):(.*)$/.exec(line)
    const last = fields.at(-1)
    if (begin) fields.push({ tag: begin[1]!, value: begin[2]! })
    else if (last && !/^[-{}]/.test(line)) last.value += `\n${line}`
  }
  return fields.map(({ tag, value }) => ({ tag, value: value.trimEnd() }))
}

function balanceOf(value: string): { units: bigint; currency: Currency } {
  const match = BALANCE.exec(value.trim())
  if (!match) throw new AteError('BAD_VALUE', { what: 'no balance of MT940', given: value.slice(0, 40) })
  const unit = currencyOf(match[3])
  const { units } = money(unit, plainDecimal(match[4]!.replace(/,$/, ''), ','))
  return { units: match[1] === 'C' ? units : -units, currency: unit }
}

function lineOf(
  value: string,
  { unit, account, ids }: { unit: Currency; account: string; ids: ContentIds },
): StatementLine {
  const match = LINE.exec(value)
  if (!match) throw new AteError('BAD_VALUE', { what: 'no line of MT940', given: value.slice(0, 60) })
  const [, year, month, day, , mark, , amount, , ref = '', bankRef = ''] = match
  const date = dayOf((Number(year) < 80 ? 2000 : 1900) + Number(year), Number(month), Number(day))
  const { units } = money(unit, plainDecimal(amount!.replace(/,$/, ''), ','))
  // A reversed credit goes out, a reversed debit comes in.
  const signed = mark === 'C' || mark === 'RD' ? units : -units
  const reference = ref.trim() === 'NONREF' ? bankRef.trim() : ref.trim()
  const id = `mt940:${ids.idOf(account, value)}`
  return { id, date, units: signed, currency: unit, text: '', ...(reference === '' ? {} : { ref: reference }) }
}

/** Of German banks, subfields ?20 to ?29 and ?60 to ?63 hold the text; of others all of it is text. */
function textOf(value: string): string {
  const joined = value.replaceAll('\n', '')
  if (!/^\d{3}\?/.test(joined)) return value.replace(/\s+/g, ' ').trim()
  const parts = [...joined.matchAll(/\?(2\d|3[23]|6[0-3])([^?]*)/g)].map((match) => match[2]!.trim())
  return parts.join(' ').trim()
}
