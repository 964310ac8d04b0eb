/** What is exported for other programs comes in again as it was, or is refused by name: never as something else. */
import { seededRandom } from '@ate/core/testing'
import { describe, expect, it } from 'vitest'
import {
  booksText,
  type ImportedJournal,
  readBeancount,
  readHledger,
  writeBeancount,
  writeHledger,
} from '../src/formats.ts'
import { type Entry, ledger, money, USD } from '../src/index.ts'
import { all, codeOf, Shared } from './kit.ts'

const FORMATS = [
  ['hledger', writeHledger, readHledger],
  ['beancount', writeBeancount, readBeancount],
] as const

const PIECES = [
  ' ',
  '  ',
  ',',
  ';',
  ':',
  '"',
  "'",
  '\\',
  '\\n',
  '|',
  '%20',
  '%',
  '=',
  '@',
  '{',
  '(',
  '[',
  '*',
  '!',
  '#',
  '^',
]
const MORE = [
  'ä',
  'ß',
  '日本',
  '😀',
  '\u00a0',
  '\u2028',
  'id: x',
  'ate-id: y',
  '; id: z',
  '1.00 USD',
  'a',
  'B',
  '7',
  '-',
  '/',
]

function odd(random: { below(n: number): number }, controls: readonly string[] = []): string {
  const pieces = [...PIECES, ...MORE, ...controls]
  let text = ''
  for (let i = 1 + random.below(6); i > 0; i--) text += pieces[random.below(pieces.length)]!
  return text
}

const said = ({ id, from, to, amount, code, ref, meta }: Omit<Entry, 'kind' | 'seq' | 'at' | 'author'>): unknown => ({
  id,
  from,
  to,
  amount,
  code,
  ref,
  meta,
})

async function exported(
  names: readonly (readonly [name: string, normal: 'debit' | 'credit'])[],
  transfers: readonly object[],
): Promise<{ text: (write: typeof writeHledger) => Promise<string>; entries: Entry[] }> {
  return new Shared().as('boss', async (chain) => {
    const bank = ledger(chain)
    for (const [name, normal] of names) await bank.account(name, { currency: USD, normal, floor: 'none' })
    for (const [i, more] of transfers.entries()) {
      const [from, to] = [names[i % names.length]![0], names[(i + 1) % names.length]![0]]
      await bank.transfer({ from, to, amount: money(USD, BigInt(i + 1)), ...more })
    }
    const entries = await all(bank.entries())
    const books = await booksText(bank)
    const posted = (): AsyncGenerator<Entry, void, void> =>
      (async function* () {
        yield* entries
      })()
    return { text: async (write) => (await all(write({ ...books, posted }))).join(''), entries }
  })
}

/** As `said`, in the order of the file. */
function imported({ groups }: ImportedJournal): unknown[] {
  return groups.flat().map((transfer) => said(transfer as Parameters<typeof said>[0]))
}

describe.each(FORMATS)('%s', (_, write, read) => {
  it.each([1, 2, 3, 4, 5, 6])('ids, codes, references, meta and names of accounts, seed %i', async (seed) => {
    const random = seededRandom(seed)
    const names = new Map<string, 'debit' | 'credit'>()
    const plain = new Set<string>()
    while (names.size < 12) {
      const name = odd(random)
      const alike = name
        .replace(/[\s;]+/g, ' ')
        .trim()
        .replace(/^$|^[([*!]/, '_')
      if (!plain.has(alike)) names.set(name, random.below(2) === 0 ? 'debit' : 'credit')
      plain.add(alike)
    }
    names.set('Expenses:Rent', 'credit').set('assets:bank', 'debit')
    const ids = new Set<string>()
    while (ids.size < 40) ids.add(odd(random, ['\n', '\t', '\r']))
    const transfers = [...ids].map((id) => ({
      id,
      ...(random.below(2) === 0 ? { code: odd(random, ['\n']) } : {}),
      ...(random.below(2) === 0 ? { ref: odd(random, ['\t']) } : {}),
      ...(random.below(2) === 0
        ? { meta: { text: odd(random, ['\r\n']), [odd(random)]: [1, null, odd(random)] } }
        : {}),
    }))
    const { text, entries } = await exported([...names], transfers)
    const back = read(await text(write))
    expect(imported(back)).toEqual(entries.map(said))
    expect(new Map(back.accounts.map(({ name, normal }) => [name, normal]))).toEqual(names)
  })

  it('what nobody said is not there when it comes in again', async () => {
    const { text, entries } = await exported(
      [
        ['a', 'credit'],
        ['b', 'credit'],
      ],
      [{ id: 'one' }, { id: 'two', code: '' }],
    )
    expect(imported(read(await text(write)))).toEqual(entries.map(said))
  })
})

it('hledger: an id of others goes on to a comma, and stands for itself', () => {
  const id = (comment: string): unknown =>
    readHledger(`2026-01-05 x ${comment}\n  a  1 USD\n  b\n`).groups[0]![0]!.id?.replace(/^import:.*/, 'none')
  expect(id('; id: a b, x: y')).toBe('a b')
  expect(id('; id:a%20b;c')).toBe('a%20b;c')
  expect(id('; see id: q')).toBe('q')
  for (const comment of ['; paid: q', '; other-id: q', '; id:', '; id:, x: y']) expect(id(comment)).toBe('none')
})

it('hledger: two accounts that would be one are refused by name', async () => {
  const { text } = await exported(
    [
      ['a b', 'credit'],
      ['a;b', 'credit'],
    ],
    [{}],
  )
  const error = await text(writeHledger).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'BAD_ARGUMENT', facts: { account: 'a;b', other: 'a b' } })
})

it('beancount: a character that it has no way to write is refused, in every text', async () => {
  for (const more of [{ id: 'a\u0001' }, { code: 'a\u0000' }, { ref: '\u007f' }]) {
    const { text } = await exported(
      [
        ['a', 'credit'],
        ['b', 'credit'],
      ],
      [more],
    )
    expect(await codeOf(text(writeBeancount))).toBe('BAD_ARGUMENT')
    expect(await codeOf(text(writeHledger))).toBe('none')
  }
})

it('beancount: strings of others are unescaped, in metadata too', () => {
  const read = readBeancount('2026-01-05 * "a\\"b" "c\\nd"\n  id: "x\\"y\\\\" ; z\n  Assets:A  1 USD\n  Assets:B\n')
  expect(read.groups[0]![0]).toMatchObject({ id: 'x"y\\', meta: { text: 'a"b | c\nd' } })
})

it.each([
  ['hledger', 'account a\n  ; ate-account: x\naccount b\n  ; ate-account: x\n2026-01-05 x\n  a  1 USD\n  b\n'],
  ['hledger', 'account b\n  ; ate-account: a\n2026-01-05 x\n  a  1 USD\n  b\n'],
  ['hledger', 'account a\n  ; ate-account: x, ate-account: y\n'],
  ['hledger', 'account a\n  ; ate-account: %zz\n'],
  ['hledger', 'account a\n  ; ate-normal: both\n'],
  ['hledger', '2026-01-05 x\n  ; ate-meta: %7B\n  a  1 USD\n  b\n'],
  ['beancount', '2026-01-05 open Assets:A\n  ate-normal: "both"\n'],
])('%s: words of a ledger that say nothing are refused: %j', async (format, text) => {
  expect(await codeOf(() => (format === 'hledger' ? readHledger(text) : readBeancount(text)))).toBe('BAD_VALUE')
})
