/** The rules by which lines of a statement become transfers, and their check: they come from files that people write. */
import { AteError } from '@ate/core'

export interface ImportRules {
  /** The account of the ledger that the statement is of. */
  readonly account: string
  /** Where lines go to, and come from, that no rule matches. */
  readonly other: string
  /** The first whose pattern (a regular expression, without regard to case) is in the text of a line. */
  readonly rules?: readonly { readonly match: string; readonly account: string; readonly code?: string }[]
  /** The account grows on its debit side, as what one has; `credit` for a loan or a card. */
  readonly normal?: 'debit' | 'credit'
}

/** Of CSV too: one file of rules serves all formats of a bank. */
const NAMES = {
  account: 'text',
  other: 'text',
  rules: 'list',
  normal: ['debit', 'credit'],
  columns: 'object',
  currency: 'text',
  scales: 'object',
  header: ['yes', 'no'],
  delimiter: 'text',
  decimal: ['.', ','],
  date: 'text',
  skip: 'count',
} as const satisfies Readonly<Record<string, Shape>>
const MATCH_NAMES = { match: 'text', account: 'text', code: 'text' } as const satisfies Readonly<Record<string, Shape>>

/** What a rule may be; a list of words names all of them. */
type Shape = 'text' | 'list' | 'object' | 'count' | 'column' | 'columns' | readonly string[]

/** A name that is not known is a mistake: what it was meant to say would not be done. @throws AteError BAD_ARGUMENT */
export function checkRules(rules: ImportRules): void {
  if (!isObject(rules) || typeof rules.account !== 'string' || typeof rules.other !== 'string')
    throw new AteError('BAD_ARGUMENT', { what: 'rules name the account, and the other one' })
  checkNames(rules, NAMES)
  for (const one of rules.rules ?? []) {
    if (!isObject(one) || typeof one.match !== 'string' || typeof one.account !== 'string')
      throw new AteError('BAD_ARGUMENT', { what: 'each of the rules has match and account' })
    checkNames(one, MATCH_NAMES)
  }
}

/** @throws AteError BAD_ARGUMENT */
export function checkNames(given: object, names: Readonly<Record<string, Shape>>): void {
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(names, name))
      throw new AteError('BAD_ARGUMENT', { what: 'no such rule', rule: name.slice(0, 40), rules: Object.keys(names) })
    const shape = names[name]!
    if (value !== undefined && !fits(value, shape))
      throw new AteError('BAD_ARGUMENT', { what: 'a rule is something else', rule: name, wanted: shape })
  }
}

function fits(value: unknown, shape: Shape): boolean {
  if (typeof shape === 'object') return shape.includes(value as string)
  if (shape === 'text') return typeof value === 'string'
  if (shape === 'list') return Array.isArray(value)
  if (shape === 'count') return Number.isSafeInteger(value) && (value as number) >= 0
  if (shape === 'column') return fits(value, 'text') || fits(value, 'count')
  if (shape === 'columns')
    return Array.isArray(value) ? value.every((one) => fits(one, 'column')) : fits(value, 'column')
  return isObject(value)
}

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
