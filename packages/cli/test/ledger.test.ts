/** `ate ledger` and `ate coin` as users run them. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { defineType, openChain } from '@ate/core'
import { afterAll, expect, it } from 'vitest'
import { newMachine, type Outcome } from './run-ate.ts'

const machine = newMachine()
afterAll(() => machine.remove())

/** Those that write have a process of their own, once each: to start one takes most of the time. */
const ALONE: ReadonlySet<string> = new Set(['ledger repl', 'ledger transfer', 'ledger load', 'coin mint', 'coin carve'])
const started = new Set<string>()
function run(args: readonly string[]): Promise<Outcome> {
  const command = args.slice(0, 2).join(' ')
  if (started.has(command) || !ALONE.has(command)) return machine.quick(args)
  started.add(command)
  return machine.run(args)
}

async function ate(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(args)
  expect([args.join(' '), code, stderr]).toEqual([args.join(' '), 0, ''])
  return stdout.trim()
}

async function fails(...args: string[]): Promise<string> {
  const { code, stderr } = await run(args)
  expect([args.join(' '), code]).toEqual([args.join(' '), 1])
  return stderr
}

it('books from the command line', async () => {
  const books = ['books']
  await ate(
    'ledger',
    'repl',
    ...books,
    '--command',
    [
      'account world --currency USD --floor none',
      'account alice --currency USD',
      'account shop --currency USD --ceiling 1000',
      'transfer world alice 100 --transfer-id dep-1',
      'transfer world alice 100.00 --transfer-id dep-1',
      "transfer alice shop '25.50 USD' --ref 'INV 7' --code sale",
      'hold alice shop 40 --expires 7d --transfer-id h1',
      'capture h1 38.5',
      'reverse h1',
    ]
      .slice(0, 8)
      .join(' ; '),
  )
  expect(await ate('ledger', 'balance', ...books, 'alice')).toBe('alice  36.00 USD')
  expect(JSON.parse(await ate('ledger', 'balance', ...books, 'shop', '--json'))).toMatchObject({
    posted: '64.00',
    currency: 'USD',
  })
  const opened = JSON.parse((await ate('ledger', 'entries', ...books, '--json')).split('\n')[0]!).seq
  expect((await ate('ledger', 'balance', ...books, '--at', String(opened))).split('\n')).toEqual([
    'world  -100.00 USD',
    'alice  100.00 USD',
    'shop  0.00 USD',
  ])
  expect(await fails('ledger', 'balance', ...books, '--at', 'yesterday')).toContain('BAD_ARGUMENT')
  expect(await fails('ledger', 'transfer', ...books, 'alice', 'shop', '99')).toContain('INSUFFICIENT')
  expect(await fails('ledger', 'transfer', ...books, 'alice', 'shop', '1.234')).toContain('BAD_AMOUNT')
  expect(await ate('ledger', 'transfer', ...books, 'alice', 'shop', '1', '--dry-run')).toBe('would be posted')
  expect(await ate('ledger', 'trial', ...books)).toContain('difference 0')
  expect(await ate('ledger', 'statement', ...books, 'alice')).toContain('closing 36.00')
  expect(await ate('ledger', 'statement', ...books, 'alice', '--format', 'camt053')).toContain('<Ccy>USD</Ccy>')
  expect((await ate('ledger', 'entries', ...books, '--account', 'shop')).split('\n').length).toBe(3)
  expect(await ate('ledger', 'verify', ...books)).toContain('4 entries of 3 accounts agree with every balance')
  expect(await ate('ledger', 'export', ...books, '--format', 'hledger')).toContain('= 64.00 USD'.replace('64', '-64'))
})

it('gives programs decimal text in every verb', async () => {
  const books = ['decimals']
  const json = async (verb: string, ...args: string[]): Promise<Record<string, unknown>[]> =>
    (await ate('ledger', verb, ...books, ...args, '--json')).split('\n').map((line) => JSON.parse(line))
  await json('account', 'world', '--currency', 'USD', '--floor', 'none')
  await json('account', 'alice', '--currency', 'USD')
  await json('transfer', 'world', 'alice', '100', '--transfer-id', 't1')
  await json('hold', 'alice', 'world', '12.5', '--expires', '7d', '--transfer-id', 'h1')
  await json('capture', 'h1', '2.5')
  expect(await json('account', 'alice')).toMatchObject([{ posted: '97.50', available: '97.50', currency: 'USD' }])
  expect(await json('balance')).toMatchObject([
    { posted: '-97.50', floor: 'none' },
    { posted: '97.50', floor: '0.00' },
  ])
  expect(await json('trial')).toEqual([{ currency: 'USD', debits: '102.50', credits: '102.50' }])
  expect(await json('entries')).toMatchObject([{ amount: '100.00' }, { amount: '12.50' }, { amount: '2.50' }])
  const [statement] = await json('statement', 'alice')
  expect(statement).toMatchObject({ account: 'alice', currency: 'USD', opening: '0.00', closing: '97.50' })
  expect(statement!['lines']).toMatchObject([
    { id: 't1', kind: 'post', amount: '100.00', currency: 'USD', change: '100.00', balance: '100.00' },
    { kind: 'capture', amount: '2.50', currency: 'USD', change: '-2.50', balance: '97.50' },
  ])
  expect(await ate('ledger', 'statement', ...books, 'alice', '--format', 'json')).toBe(JSON.stringify(statement))
})

it('does not say of what is not there that it is empty, or in order', async () => {
  const books = ['quiet']
  await ate('ledger', 'account', ...books, 'alice', '--currency', 'USD')
  // An account without entries is no mistake.
  expect(await ate('ledger', 'entries', ...books, '--account', 'alice')).toBe('')
  expect(await ate('ledger', 'entries', ...books)).toBe('')
  expect(await ate('ledger', 'trial', ...books)).toContain('debits 0.00')
  for (const format of ['text', 'csv', 'jsonl']) {
    const told = await fails('ledger', 'entries', ...books, '--account', 'alcie', '--format', format)
    expect(told).toMatch(/^NOT_FOUND: there is no such account.*account: alcie/)
  }
  for (const verb of ['entries', 'trial', 'export', 'verify'])
    expect(await fails('ledger', verb, ...books, '--ledger', 'othre')).toMatch(/^NOT_FOUND: .*--ledger/)
})

it('says of a broken journal which record it is, and what to do', async () => {
  const Stray = defineType<unknown>('ledger-entry')
  const place = join(machine.folder, 'broken')
  await ate('ledger', 'account', place, 'alice', '--currency', 'USD', '--floor', 'none')
  const home = process.env['ATE_HOME']
  process.env['ATE_HOME'] = join(machine.folder, 'home')
  try {
    await using chain = await openChain(`file:${place}`)
    const node = (await chain.children(defineType<unknown>('ledger')).page())[0]!
    await chain.transact((tx) => tx.put(Stray, 'x', { kind: 'post' }, { parent: node }))
  } finally {
    if (home === undefined) delete process.env['ATE_HOME']
    else process.env['ATE_HOME'] = home
  }
  const told = await fails('ledger', 'verify', 'broken')
  expect(told).toMatch(/^RULE_BROKEN: .*seq: \d+.*\n.*ate dump PLACE --from SEQ/)
  const seq = Number(/seq: (\d+)/.exec(told)![1])
  expect(await ate('dump', 'broken', '--from', String(seq), '--limit', '1')).toContain(`#${seq} commit`)
  expect(await ate('ledger', 'balance', 'broken', 'alice', '--at', String(seq - 1))).toBe('alice  0.00 USD')
  expect(await fails('ledger', 'balance', 'broken', 'alice', '--at', String(seq))).toContain('RULE_BROKEN')
})

it('loads statements, and again without effect', async () => {
  const file = (name: string, text: string): string => {
    writeFileSync(join(machine.folder, name), text)
    return name
  }
  file('s.csv', 'Date,Amount,Text\n2026-01-02,-12.50,Bakery\n2026-01-03,1000,Wages\n')
  file(
    'rules.json',
    JSON.stringify({
      account: 'Assets:Bank',
      other: 'Income:Other',
      currency: 'EUR',
      columns: { date: 'Date', amount: 'Amount', text: 'Text' },
      rules: [{ match: 'bakery', account: 'Expenses:Food' }],
    }),
  )
  const begin =
    '2026-01-01 * "begin"\n  Assets:Bank  10.00 EUR\n  Equity:Begin\n2026-01-01 * "one of each"\n  Expenses:Food  1.00 EUR\n  Income:Other  -1.00 EUR\n'
  started.add('ledger load')
  const loaded = await machine.run(
    ['ledger', 'load', 'bank', '-', '--format', 'beancount', '--open'],
    {},
    undefined,
    begin,
  )
  expect(loaded).toEqual({ code: 0, stdout: '2 posted, 0 were posted before, 0 refused\n', stderr: '' })
  expect(await ate('ledger', 'load', 'bank', 's.csv', '--rules', 'rules.json')).toBe(
    '2 posted, 0 were posted before, 0 refused',
  )
  expect(await ate('ledger', 'load', 'bank', 's.csv', '--rules', 'rules.json')).toBe(
    '0 posted, 2 were posted before, 0 refused',
  )
  expect(await ate('ledger', 'balance', 'bank', 'Assets:Bank')).toBe('Assets:Bank  997.50 EUR')
  file('t.jsonl', '{"from":"Assets:Bank","to":"Nobody","amount":"1","currency":"EUR","id":"x"}\n')
  expect(await fails('ledger', 'load', 'bank', 't.jsonl')).toContain('NOT_FOUND')
  expect(await fails('ledger', 'load', 'bank', 'what.txt')).toContain('--format')
  // Bytes of another charset would be other names: refused, unless it is named.
  const latin = join(machine.folder, 'latin.csv')
  writeFileSync(latin, Buffer.from('Date,Amount,Text\n2026-01-31,-3.00,B\xe4cker\n', 'latin1'))
  const loading = ['ledger', 'load', 'bank', 'latin.csv', '--rules', 'rules.json', '--dry-run'] as const
  expect(await fails(...loading)).toContain('--charset')
  expect(await fails(...loading, '--charset', 'klingon')).toContain('BAD_ARGUMENT')
  expect(await ate(...loading, '--charset', 'windows-1252')).toContain('Bäcker')
  file('z.csv', 'Date,Amount,Text\n2026-01-04,0,Notice\n')
  expect(await ate('ledger', 'load', 'bank', 'z.csv', '--rules', 'rules.json')).toBe(
    '0 posted, 0 were posted before, 0 refused, 1 that move nothing left out',
  )
})

it('books that are exported as JSON lines have the same balances elsewhere, and no effect where they are', async () => {
  const accounts = ['world', 'alice', 'shop'].map((name) => `account ${name} --currency USD --floor none`)
  const verbs = [
    'transfer world alice 100 --transfer-id t1',
    'hold alice shop 40 --expires 7d --transfer-id h1',
    'capture h1 38.5',
    'hold alice shop 5 --expires 7d --transfer-id h2',
    'void h2',
    'transfer alice shop 7 --transfer-id t2',
    'reverse t2',
  ]
  await ate('ledger', 'repl', 'here', '--command', [...accounts, ...verbs].join(' ; '))
  await ate('ledger', 'repl', 'there', '--command', accounts.join(' ; '))
  writeFileSync(join(machine.folder, 'all.jsonl'), await ate('ledger', 'export', 'here', '--format', 'jsonl'))
  const load = (place: string): Promise<string> => ate('ledger', 'load', place, 'all.jsonl')
  expect(await load('there')).toBe('4 posted, 0 were posted before, 0 refused, 3 that move nothing left out')
  expect(await load('there')).toBe('0 posted, 4 were posted before, 0 refused, 3 that move nothing left out')
  expect(await load('here')).toBe('0 posted, 4 were posted before, 0 refused, 3 that move nothing left out')
  const balances = await ate('ledger', 'balance', 'here')
  expect(balances).toContain('alice  61.50 USD')
  expect(await ate('ledger', 'balance', 'there')).toBe(balances)
  // A capture of this ledger is not another one.
  const other = { id: 'resolve:h1', kind: 'capture', from: 'alice', to: 'shop', amount: '1', currency: 'USD' }
  writeFileSync(join(machine.folder, 'all.jsonl'), JSON.stringify(other))
  expect(await fails('ledger', 'load', 'here', 'all.jsonl')).toContain('ID_REUSED')
})

it('coins', async () => {
  const me = (await ate('id', '--json')) && JSON.parse(await ate('id', '--json')).publicId
  const coin = JSON.parse(await ate('coin', 'mint', 'gold', '10', me, '--currency', 'GOLD', '--scale', '3', '--json'))
  expect(coin).toMatchObject({ worth: '10.000' })
  const parts = (
    await ate('coin', 'carve', 'gold', coin.coin, '7.5', '2.5', '--currency', 'GOLD', '--scale', '3')
  ).split('\n')
  expect(parts.length).toBe(2)
  await ate('coin', 'join', 'gold', ...parts.map((line) => line.split(' ')[0]!), '--currency', 'GOLD', '--scale', '3')
  expect(await ate('coin', 'supply', 'gold', '--currency', 'GOLD', '--scale', '3')).toBe('10.000 GOLD')
  expect((await ate('coin', 'list', 'gold', '--currency', 'GOLD', '--scale', '3')).split('\n').length).toBe(1)
})

it('what a repl is told is done as it stands, or not at all, and says at its end that something was not', async () => {
  const books = join(machine.folder, 'told')
  const { code, stderr } = await machine.run([
    'ledger',
    'repl',
    books,
    '--command',
    'account w --currency USD --floor none; account a --currency USD ; transfer w a 5 --ref "x; \\"y" --code \'p;q\'',
  ])
  expect([code, stderr]).toEqual([0, ''])
  const [entry] = (await ate('ledger', 'entries', books, '--json')).split('\n').map((line) => JSON.parse(line))
  expect(entry).toMatchObject({ ref: 'x; "y', code: 'p;q', amount: '5.00' })
  // As a script sends them: what comes behind a failure is done all the same.
  const long = `transfer w a 1${' '.repeat(10_000)}000`
  const script = ['transfer a w 99', long, 'transfer w a 2', "transfer w a '1 USD 5'"].join('\n')
  const told = await machine.run(['ledger', 'repl', books], {}, undefined, script)
  expect(told.code).toBe(1)
  expect(
    told.stderr
      .trim()
      .split('\n')
      .map((line) => line.split(':')[0]),
  ).toEqual(['INSUFFICIENT', 'BAD_ARGUMENT', 'BAD_AMOUNT'])
  expect(await ate('ledger', 'balance', books, 'a')).toBe('a  7.00 USD')
  expect((await machine.run(['ledger', 'repl', books], {}, undefined, 'balance a\n')).code).toBe(0)
})
