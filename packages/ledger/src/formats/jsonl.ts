/** JSON Lines: one transfer or entry a line; amounts are decimal text, never numbers. */
import { AteError } from '@ate/core'
import type { Entry } from '../ledger.ts'
import type { Json } from '../ledger-records.ts'
import { decimalText, money } from '../money.ts'
import type { Transfer } from '../requests.ts'
import { currencyOf } from './csv.ts'

/** @throws AteError BAD_VALUE with the line | BAD_AMOUNT, for numbers too */
export function readJsonLine(line: string, number: number, scales?: Readonly<Record<string, number>>): Transfer {
  const value = parsed(line, number)
  const { id, from, to, amount, currency, code, ref, effective, meta } = value
  if (typeof from !== 'string' || typeof to !== 'string' || typeof currency !== 'string')
    throw new AteError('BAD_VALUE', { what: 'a transfer has from, to, amount and currency', line: number })
  return {
    from,
    to,
    amount: money(currencyOf(currency, scales), amount as string),
    ...(id === undefined ? {} : { id: String(id) }),
    ...(code === undefined ? {} : { code: String(code) }),
    ...(ref === undefined ? {} : { ref: String(ref) }),
    ...(effective === undefined ? {} : { effective: new Date(String(effective)) }),
    ...(meta === undefined ? {} : { meta: meta as Json }),
  }
}

/** @throws as readJsonLine */
export function readJsonl(text: string, scales?: Readonly<Record<string, number>>): Transfer[] {
  return text
    .split('\n')
    .map((line, index) => ({ line, number: index + 1 }))
    .filter(({ line }) => line.trim() !== '')
    .map(({ line, number }) => readJsonLine(line, number, scales))
}

function parsed(line: string, number: number): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (cause) {
    throw new AteError('BAD_VALUE', { what: 'no JSON', line: number }, { cause })
  }
  throw new AteError('BAD_VALUE', { what: 'a line is a JSON object', line: number })
}

/** Entries as JSON Lines, as readJsonl reads those that were posted. */
export async function* writeJsonl(entries: AsyncIterable<Entry>): AsyncGenerator<string, void, void> {
  for await (const { amount, ...entry } of entries) {
    yield `${JSON.stringify({ ...entry, amount: decimalText(amount), currency: amount.currency.code })}\n`
  }
}
