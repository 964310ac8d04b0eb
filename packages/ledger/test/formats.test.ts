/** Formats: what goes out comes in again, other programs agree to the unit, and statements of banks are read. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { seededRandom } from '@ate/core/testing'
import { afterAll, describe, expect, it } from 'vitest'
import {
  booksText,
  type ImportedJournal,
  readBeancount,
  readCamt053,
  readCsv,
  readHledger,
  readJsonl,
  readMt940,
  readOfx,
  type StatementLine,
  transfersOf,
  writeBeancount,
  writeCamt053,
  writeCsv,
  writeHledger,
  writeJsonl,
} from '../src/formats.ts'
import { currency, EUR, JPY, type Ledger, ledger, money, USD } from '../src/index.ts'
import { all, codeOf, Shared } from './kit.ts'

const folder = mkdtempSync(join(tmpdir(), 'ate-formats-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const TOKEN = currency('TOKEN', 18)

/** Books with what is hard to write: several scales, odd names, big amounts, holds, groups, reversals. */
async function books(seed: number): Promise<{ bank: Ledger; close: () => Promise<void> }> {
  const shared = new Shared()
  const chain = await shared.open('boss')
  const bank = ledger(chain)
  const random = seededRandom(seed)
  for (const [name, unit] of [
    ['world:usd', USD],
    ['world:jpy', JPY],
    ['world:token', TOKEN],
  ] as const)
    await bank.account(name, { currency: unit, floor: 'none' })
  const names = ['alice:usd', 'Bob & Söhne "x"', '(shop)', 'Assets:Cash', 'dollar$', '  two  spaces']
  for (const name of names)
    await bank.account(name, {
      currency: USD,
      floor: 'none',
      ...(name === 'Assets:Cash' ? { normal: 'debit' as const } : {}),
    })
  await bank.account('yen', { currency: JPY })
  await bank.account('tokens', { currency: TOKEN })
  await bank.transfer({ from: 'world:jpy', to: 'yen', amount: money(JPY, '1000000') })
  await bank.transfer({ from: 'world:token', to: 'tokens', amount: money(TOKEN, '123456789.000000000000000001') })
  for (let i = 0; i < 60; i++) {
    shared.platform.advance(random.below(40_000_000))
    const [from, to] = [names[random.below(6)]!, names[random.below(6)]!]
    if (from === to) continue
    const amount = money(USD, BigInt(1 + random.below(100_000)))
    const what = { id: `t${i}`, from, to, amount, ...(i % 3 === 0 ? { code: 'sale; "odd"', ref: `INV ${i}` } : {}) }
    if (i % 7 === 0) await (await bank.hold(what, { expires: '1d' })).capture(money(USD, 1n))
    else if (i % 7 === 1) await bank.atomic([what, { from: to, to: from, amount: money(USD, 1n) }])
    else await bank.transfer(what)
    if (i % 11 === 3 && i % 7 !== 0) await bank.reverse(`t${i}`)
  }
  return { bank, close: () => chain.close() }
}

async function textOf(lines: AsyncIterable<string>): Promise<string> {
  return (await all(lines)).join('')
}

/** Runs a program of others; a message, and nothing else, where it is not installed. */
function run(program: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const { code, stderr } = error as { code?: unknown; stderr?: string }
    if (code === 'ENOENT') {
      console.warn(`${program} is not installed: not compared with it`)
      return undefined
    }
    throw new Error(`${program}: ${stderr}`)
  }
}

/** Books made of what was imported have the balances of those that were exported. */
async function balancesOf({ accounts, groups }: ImportedJournal): Promise<Map<string, bigint>> {
  const shared = new Shared()
  return shared.as('boss', async (chain) => {
    const bank = ledger(chain)
    for (const { name, currency: unit, normal } of accounts)
      await bank.account(name, { currency: unit, normal, floor: 'none' })
    for (const group of groups) await bank.atomic(group)
    for (const group of groups) for (const { existed } of await bank.atomic(group)) expect(existed).toBe(true)
    const nets = (await all(bank.accounts())).map(
      ({ name, posted, normal }) => [name, normal === 'credit' ? posted : -posted] as const,
    )
    return new Map(nets)
  })
}

describe('books as text', () => {
  it.each([1, 2])('other programs agree with every balance, and we read what we wrote, seed %i', async (seed) => {
    const { bank, close } = await books(seed)
    const text = await booksText(bank)
    const sums = text.accounts
      .map(({ net }) => net)
      .filter((net) => net !== 0n)
      .sort()
    const [bean, hl] = [join(folder, `${seed}.beancount`), join(folder, `${seed}.journal`)]
    const [beanText, hlText] = [await textOf(writeBeancount(text)), await textOf(writeHledger(text))]
    writeFileSync(bean, beanText)
    writeFileSync(hl, hlText)
    run('bean-check', [bean])
    run('hledger', ['-f', hl, 'check'])
    run('ledger', ['-f', hl, 'balance'])
    // What they would not accept: one unit more in one balance.
    const wrong = join(folder, `${seed}-wrong`)
    const off = (line: string): string =>
      line.replace(/(\d)((?: ~ 0)? \S+)$/, (_, digit, rest) => `${(Number(digit) + 1) % 10}${rest}`)
    writeFileSync(`${wrong}.beancount`, beanText.replace(/^.* balance .*-?\d.*$/m, off))
    writeFileSync(`${wrong}.journal`, hlText.replace(/^.* = .*$/m, off))
    for (const [program, args] of [
      ['bean-check', [`${wrong}.beancount`]],
      ['hledger', ['-f', `${wrong}.journal`, 'check']],
      ['ledger', ['-f', `${wrong}.journal`, 'balance']],
    ] as const) {
      if (run(program, ['--version']) !== undefined) expect(() => run(program, args)).toThrow(program)
    }
    for (const imported of [readBeancount(beanText), readHledger(hlText)]) {
      const again = [...(await balancesOf(imported)).values()].filter((net) => net !== 0n).sort()
      expect(again).toEqual(sums)
    }
    await close()
  })

  it('JSON lines come in as they went out; CSV has every entry', async () => {
    const { bank, close } = await books(3)
    const entries = await all(bank.entries({ kind: 'post' }))
    const back = readJsonl(await textOf(writeJsonl(bank.entries({ kind: 'post' }))), { TOKEN: 18 })
    expect(back.map(({ id, from, to, amount }) => [id, from, to, amount.units])).toEqual(
      entries.map(({ id, from, to, amount }) => [id, from, to, amount.units]),
    )
    const csv = await textOf(writeCsv(bank.entries()))
    expect(csv.split('\r\n').length).toBe((await all(bank.entries())).length + 2)
    expect(csv).toContain('"Bob & Söhne ""x"""')
    const lines = readCsv(await textOf(writeCsv(bank.entries({ kind: 'post' }))), {
      account: 'a',
      other: 'b',
      columns: { date: 'at', amount: 'amount', currency: 'currency', id: 'id', text: ['from', 'to'] },
      scales: { TOKEN: 18 },
    })
    expect(lines.map(({ id, units }) => [id, units])).toEqual(entries.map(({ id, amount }) => [id, amount.units]))
    await close()
  })

  it('camt.053 comes in as it went out', async () => {
    const { bank, close } = await books(4)
    const statement = await bank.statement('Assets:Cash')
    const xml = writeCamt053(statement, { id: 'S <1>', made: new Date(0) })
    const lines = readCamt053(xml)
    expect(lines.map(({ units }) => units)).toEqual(statement.lines.map(({ change }) => change))
    expect(lines.reduce((sum, { units }) => sum + units, statement.opening)).toBe(statement.closing)
    await close()
  })

  it('beancount and hledger of others', async () => {
    const bean = readBeancount(`
option "operating_currency" "EUR"
2026-01-01 open Assets:Bank EUR ; comment
2026-01-02 * "Landlord" "Rent; January" #home ^R-1
  id: "rent-1"
  Expenses:Rent   1,234.50 EUR
  Assets:Bank
2026-01-03 txn "Split"
  Expenses:Food     10.00 EUR
  Expenses:Fun      5.00 EUR
  Assets:Bank      -9.00 EUR
  Liabilities:Card -6.00 EUR
2026-01-04 balance Assets:Bank -1243.50 EUR
`)
    expect(
      bean.groups.map((group) =>
        group.map(({ id, from, to, amount, ref }) => [id?.startsWith('rent'), from, to, amount.units, ref]),
      ),
    ).toEqual([
      [[true, 'Expenses:Rent', 'Assets:Bank', 123450n, 'R-1']],
      [
        [false, 'Expenses:Food', 'Assets:Bank', 900n, undefined],
        [false, 'Expenses:Food', 'Liabilities:Card', 100n, undefined],
        [false, 'Expenses:Fun', 'Liabilities:Card', 500n, undefined],
      ],
    ])
    expect(bean.accounts.find(({ name }) => name === 'Assets:Bank')).toMatchObject({ normal: 'debit', currency: EUR })
    const hl = readHledger(`
; a journal
account assets:bank
commodity $1000.00
2026/01/02=2026/01/05 * (42) Shop | food  ; id: h-1, x:y
    expenses:food   $10.00
    assets:bank  $-10.00 = $90.00
2026-01-03 ! two currencies
    assets:bank     5 EUR  ; note
    equity:start   -5 EUR
    assets:bank     -£2.5
    equity:start
`)
    expect(
      hl.groups.map((group) =>
        group.map(({ id, from, to, amount }) => [id === 'h-1', from, to, amount.units, amount.currency.code]),
      ),
    ).toEqual([
      [[true, 'expenses:food', 'assets:bank', 1000n, 'USD']],
      [
        [false, 'assets:bank:EUR', 'equity:start', 500n, 'EUR'],
        [false, 'equity:start:GBP', 'assets:bank:GBP', 250n, 'GBP'],
      ],
    ])
    for (const bad of [
      '2026-01-01 *\n  Assets:A  1 EUR\n  Assets:B  -2 EUR\n',
      '2026-01-01 *\n  Assets:A  1 EUR\n  Assets:B\n  Assets:C\n',
      '2026-02-30 *\n  Assets:A  1 EUR\n  Assets:B\n',
      '2026-01-01 *\n  Assets:A  1 EUR {2 USD}\n  Assets:B\n',
      '2026-01-01 pad Assets:A Assets:B\n',
    ])
      expect([bad, await codeOf(() => readBeancount(bad))]).toEqual([bad, 'BAD_VALUE'])
    for (const bad of [
      '2026-01-01 x\n  a  1 EUR\n  b  -2 EUR\n',
      '2026-01-01 x\n  a  1 EUR @ 2 USD\n  b\n',
      '2026-01-01 x\n  (a)  1 EUR\n',
      '~ monthly\n  a  1 EUR\n  b\n',
      '2026-01-01 x\n  a  1\n  b\n',
    ])
      expect([bad, await codeOf(() => readHledger(bad))]).toEqual([bad, 'BAD_VALUE'])
  })
})

describe('statements of banks', () => {
  const brief = (lines: readonly StatementLine[]): unknown[] =>
    lines.map(({ id, date, units, currency: { code }, text, ref }) => [
      id,
      date.toISOString().slice(0, 10),
      units,
      code,
      text,
      ref,
    ])

  it('CSV by rules', async () => {
    const text =
      'Kontoauszug;;;\nDatum;Betrag;Text;Ref\n31.12.2025;-1.234,56;"REWE, Markt";A1\n01.01.2026;100,00;Lohn;\n01.01.2026;100,00;Lohn;\n'
    const rules = {
      account: 'bank',
      other: 'unknown',
      rules: [{ match: 'rewe|aldi', account: 'food', code: 'groceries' }],
      columns: { date: 'Datum', amount: 'Betrag', text: 'Text', ref: 'Ref' },
      currency: 'EUR',
      delimiter: ';',
      decimal: ',',
      date: 'D.M.Y',
      skip: 1,
    } as const
    const lines = readCsv(text, rules)
    expect(lines.map(({ units }) => units)).toEqual([-123456n, 10000n, 10000n])
    expect(new Set(lines.map(({ id }) => id)).size).toBe(3)
    expect(readCsv(text, rules)).toEqual(lines)
    expect(transfersOf(lines, rules).map(({ from, to, amount, code }) => [from, to, amount.units, code])).toEqual([
      ['food', 'bank', 123456n, 'groceries'],
      ['bank', 'unknown', 10000n, undefined],
      ['bank', 'unknown', 10000n, undefined],
    ])
    expect(
      readCsv('2026-01-05,,5.00\n2026-01-06,7.00,\n', {
        account: 'a',
        other: 'b',
        header: 'no',
        currency: 'USD',
        columns: { date: 0, in: 1, out: 2 },
      }).map(({ units }) => units),
    ).toEqual([-500n, 700n])
    expect(await codeOf(() => readCsv('a,b\n1,2\n', { ...rules, delimiter: ',', skip: 0 }))).toBe('BAD_VALUE')
    expect(await codeOf(() => readCsv('"', { ...rules, skip: 0 }))).toBe('BAD_VALUE')
    expect(await codeOf(() => transfersOf(lines, { ...rules, rules: [{ match: '(', account: 'x' }] }))).toBe(
      'BAD_ARGUMENT',
    )
  })

  it('OFX, of both versions', async () => {
    const sgml = `OFXHEADER:100\n\n<OFX><BANKMSGSRSV1><STMTTRNRS><STMTRS><CURDEF>USD<BANKACCTFROM><ACCTID>77</BANKACCTFROM>
<BANKTRANLIST><STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20260102120000[-5:EST]<TRNAMT>-12.50<FITID>9<NAME>A &amp; B<MEMO>lunch</STMTTRN>
<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>20260103<TRNAMT>+1000<FITID>10<CHECKNUM>5<NAME>Pay</STMTTRN></BANKTRANLIST></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>`
    expect(brief(readOfx(sgml))).toEqual([
      ['ofx:77:9', '2026-01-02', -1250n, 'USD', 'A & B lunch', undefined],
      ['ofx:77:10', '2026-01-03', 100000n, 'USD', 'Pay', '5'],
    ])
    const xml = sgml.replace(/<(\w+)>([^<\n]+)(?=<|\n)/g, '<$1>$2</$1>').replaceAll('STMTRS>', 'STMTRS>')
    expect(brief(readOfx(xml))).toEqual(brief(readOfx(sgml)))
    expect(await codeOf(() => readOfx('<OFX></OFX>'))).toBe('BAD_VALUE')
  })

  it('MT940, with its sums', async () => {
    const text = `{1:F01}\n:20:STARTUMS\n:25:10020030/1234567\n:28C:00001/001\n:60F:C260101EUR1000,00
:61:2601020102DR50,25NTRFNONREF//B1\n:86:177?00UEBERWEISUNG?20Rent?21January?32Landlord
:61:260103C200,NMSCINV-7\n:86:two\nlines\n:62F:C260103EUR1149,75\n-`
    const lines = readMt940(text)
    expect(brief(lines).map((line) => (line as unknown[]).slice(1))).toEqual([
      ['2026-01-02', -5025n, 'EUR', 'Rent January Landlord', 'B1'],
      ['2026-01-03', 20000n, 'EUR', 'two lines', 'INV-7'],
    ])
    expect(await codeOf(() => readMt940(text.replace('1149,75', '1149,76')))).toBe('BAD_VALUE')
    expect(await codeOf(() => readMt940('hello'))).toBe('BAD_VALUE')
  })

  it('camt.053 of a bank', async () => {
    const xml = `<?xml version="1.0"?><Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt>
<Acct><Id><IBAN>DE00</IBAN></Id></Acct>
<Ntry><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts>BOOK</Sts><BookgDt><Dt>2026-01-02</Dt></BookgDt><AcctSvcrRef>R1</AcctSvcrRef>
<NtryDtls><TxDtls><Refs><EndToEndId>E2E</EndToEndId></Refs><RmtInf><Ustrd>Tea &amp; cake</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>
<Ntry><Amt Ccy="EUR">3</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts><BookgDt><Dt>2026-01-02</Dt></BookgDt></Ntry>
</Stmt></BkToCstmrStmt></Document>`
    expect(brief(readCamt053(xml))).toEqual([['camt:DE00:R1', '2026-01-02', -1000n, 'EUR', 'Tea & cake', 'E2E']])
    const hostile = [
      '<!DOCTYPE x [<!ENTITY a "b">]><Document/>',
      '<Document>',
      'no xml',
      `<Document>${'<a>'.repeat(1000)}${'</a>'.repeat(1000)}</Document>`,
      '<Document xmlns="x"/>',
    ]
    for (const text of hostile)
      expect([text.slice(0, 30), await codeOf(() => readCamt053(text))]).toEqual([text.slice(0, 30), 'BAD_VALUE'])
  })

  it('JSON lines that are none', async () => {
    for (const [code, line] of [
      ['BAD_VALUE', '{'],
      ['BAD_VALUE', '[]'],
      ['BAD_VALUE', '{"from":"a"}'],
      ['BAD_AMOUNT', '{"id":"1","from":"a","to":"b","amount":1.5,"currency":"USD"}'],
      ['BAD_ARGUMENT', '{"id":"1","from":"a","to":"b","amount":"1.5","currency":"ZZZ"}'],
    ] as const)
      expect(await codeOf(() => readJsonl(line))).toBe(code)
  })
})
