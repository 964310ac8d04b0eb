/** Files that importers refuse, or must not read wrong: no amount changes, and no line is dropped, in silence. */
import { describe, expect, it } from 'vitest'
import {
  type CsvRules,
  readBeancount,
  readCamt053,
  readCsv,
  readHledger,
  readJsonl,
  readMt940,
  readOfx,
  type StatementLine,
  transfersOf,
} from '../src/formats.ts'
import { type AteError, isAteError } from '../src/index.ts'

/** What comes of it: units of the lines or of the transfers; or the code and the place of the error. */
function told(run: () => readonly StatementLine[] | ReturnType<typeof readHledger>): unknown {
  try {
    const read = run()
    return 'groups' in read ? read.groups.flat().map(({ amount }) => amount.units) : read.map(({ units }) => units)
  } catch (error) {
    return refusal(error)
  }
}

function refusal(error: unknown): string {
  if (!isAteError(error)) return String(error)
  const { format, line, row, entry } = error.facts
  return [error.code, format, line ?? row ?? entry].filter((part) => part !== undefined).join(' ')
}

function errorOf(run: () => unknown): AteError {
  try {
    run()
  } catch (error) {
    if (isAteError(error)) return error
  }
  return expect.unreachable('it is refused')
}

const rules = (more: object = {}): CsvRules => ({
  account: 'bank',
  other: 'misc',
  columns: { date: 'Date', amount: 'Amount' },
  currency: 'EUR',
  delimiter: ';',
  ...more,
})

describe('CSV', () => {
  const amount = (text: string, more: object = {}): unknown =>
    told(() => readCsv(`Date;Amount\n2026-01-05;${text}\n`, rules(more)))

  it.each<readonly [string, ',' | '.' | undefined, unknown]>([
    ['1234.5', undefined, [123450n]],
    ['1,234.50', undefined, [123450n]],
    ['1,234', undefined, [123400n]],
    ['1 234 567.00', undefined, [123456700n]],
    ["-1'234.50", undefined, [-123450n]],
    ['1.234,50', ',', [123450n]],
    ['1.234', ',', [123400n]],
    ['1234,', ',', [123400n]],
    ['1.230', '.', [123n]],
    ...['12,50', '1,2,3.40', '1,23,456.00', '1,234,5', '1.2.3', '12.50.', ',50', '1,234 567.00', '1.230', '1,230'].map(
      (text) => [text, undefined, 'BAD_AMOUNT CSV 1'] as const,
    ),
    ...['12.50', '1,2,3', '1,234.50', '12.345,6.7', '(12,50)', '12,50-', '', 'x'].map(
      (text) => [text, ',', 'BAD_AMOUNT CSV 1'] as const,
    ),
  ])('an amount %j with the decimal mark %s', (text, decimal, expected) => {
    expect(amount(text, { decimal })).toEqual(expected)
  })

  it('thousands or a fraction: where no rule says the mark, and both could be', () => {
    expect(amount('1,230', { currency: 'KWD' })).toBe('BAD_AMOUNT CSV 1')
    expect(amount('1.230', { currency: 'KWD' })).toEqual([1230n])
    expect(amount('1.000', { currency: 'JPY' })).toBe('BAD_AMOUNT CSV 1')
    expect(amount('1,234', { currency: 'JPY' })).toEqual([1234n])
  })

  it.each([
    ['0.00;25.00', [-2500n]],
    [';25.00', [-2500n]],
    ['7.50;0.00', [750n]],
    ['7.50;', [750n]],
    ['0;0.00', [0n]],
    ['10.00;25.00', 'BAD_AMOUNT CSV 1'],
    [';-25.00', 'BAD_AMOUNT CSV 1'],
    ['-1;', 'BAD_AMOUNT CSV 1'],
    [';', 'BAD_AMOUNT CSV 1'],
    ['10.00', 'BAD_VALUE CSV 1'],
    ['10.00;;5', 'BAD_VALUE CSV 1'],
  ])('columns in and out: %j', (cells, expected) => {
    const columns = { date: 'Date', in: 'In', out: 'Out' }
    expect(told(() => readCsv(`Date;In;Out\n2026-01-05;${cells}\n`, rules({ columns })))).toEqual(expected)
  })

  it.each<[string, object | null]>([
    ['null', null],
    ['rules that are text', { rules: 'abc' }],
    ['a rule that is null', { rules: [null] }],
    ['a rule without an account', { rules: [{ match: '', acount: 'x' }] }],
    ['a misspelt name in a rule', { rules: [{ match: '', account: 'x', kode: 'x' }] }],
    ['a misspelt rule', { decimals: ',' }],
    ['a misspelt mark', { decimal: 'comma' }],
    ['a misspelt side', { normal: 'Debit' }],
    ['a misspelt header', { header: 'none' }],
    ['a date without a day', { date: 'Y-M' }],
    ['a date in words', { date: 'DD MON YYYY' }],
    ['columns without an amount', { columns: { date: 'Date' } }],
    ['in without out', { columns: { date: 'Date', in: 'Amount' } }],
    ['an amount and in', { columns: { date: 'Date', amount: 'Amount', in: 'Amount', out: 'Amount' } }],
    ['columns without a date', { columns: { amount: 'Amount' } }],
    ['a misspelt column', { columns: { date: 'Date', amount: 'Amount', txt: 'Text' } }],
    ['a column that is a list', { columns: { date: 'Date', amount: ['Amount'] } }],
    ['a name of a column without a header', { header: 'no' }],
  ])('rules that are none: %s', (_, more) => {
    const one = (more === null ? null : rules(more)) as CsvRules
    expect(refusal(errorOf(() => transfersOf(readCsv('Date;Amount\n2026-01-05;1.00\n', one), one)))).toBe(
      'BAD_ARGUMENT',
    )
  })

  it('columns that are not there, or twice; cells that are too many; dates that are none', () => {
    const read = (text: string, more: object = {}): unknown => told(() => readCsv(text, rules(more)))
    for (const amountColumn of ['toString', 'constructor', 'Betrag', '1'])
      expect(read('Date;Amount\n', { columns: { date: 'Date', amount: amountColumn } })).toBe('BAD_VALUE CSV 0')
    expect(read('Date;Amount;Amount\n2026-01-05;1;2\n')).toBe('BAD_VALUE CSV 0')
    expect(read('')).toBe('BAD_VALUE CSV')
    // A delimiter within a cell moves those behind it.
    expect(read('Date;Amount\n2026-01-05;12;50\n')).toBe('BAD_VALUE CSV 1')
    expect(read('Date;Amount\n2026-01-05;12;\n')).toEqual([1200n])
    expect(read('Date;Amount\n2026-01-05;12\n05.01.2026;1\n')).toBe('BAD_VALUE CSV 2')
    expect(read('Date;Amount\n05.01.2026;1\n', { date: 'DD.MM.YYYY' })).toEqual([100n])
  })
})

describe('CSV: dates, and ids of lines that have none', () => {
  const read = (date: string, more: object = {}): unknown => {
    try {
      return readCsv(`Date;Amount\n${date};1.00\n`, rules(more))[0]!.date.toISOString().slice(0, 10)
    } catch (error) {
      return refusal(error)
    }
  }
  it.each<readonly [string, string, string]>([
    ['2026-01-31', 'Y-M-D', '2026-01-31'],
    ['2024-02-29', 'Y-M-D', '2024-02-29'],
    ['2026/1/5', 'Y-M-D', '2026-01-05'],
    ['31.01.2026', 'D.M.Y', '2026-01-31'],
    ['5. 1. 2026', 'D.M.Y', '2026-01-05'],
    ['01/31/2026 11:59:59 PM', 'M/D/Y', '2026-01-31'],
    ['2026-01-31T23:59:59.123+02:00', 'Y-M-D', '2026-01-31'],
    ['2026-01-31 23.59', 'Y-M-D', '2026-01-31'],
    ...['2026-02-29', '2026-04-31', '2026-01-00', '2026-13-01', '26-01-05', '2026-01--5', '2026-01/05'].map(
      (text) => [text, 'Y-M-D', 'BAD_VALUE CSV 1'] as const,
    ),
    ...['2026-01-05x', '2026-01-05 - 2026-01-31', '2026-01-051', '2026-01-05 or so', '20260105', ''].map(
      (text) => [text, 'Y-M-D', 'BAD_VALUE CSV 1'] as const,
    ),
    ['01/31/2026', 'D/M/Y', 'BAD_VALUE CSV 1'],
  ])('%j as %s', (text, date, expected) => expect(read(text, { date })).toBe(expected))

  it('the same line of two accounts is two, of one account in two files one', () => {
    const idsOf = (account: string, text: string): string[] =>
      readCsv(`Date;Amount\n${text}`, rules({ account })).map(({ id }) => id)
    const fee = '2026-01-31;-5.00\n'
    expect(new Set([...idsOf('giro', fee), ...idsOf('savings', fee)]).size).toBe(2)
    expect(idsOf('giro', fee + fee).slice(0, 1)).toEqual(idsOf('giro', fee))
    expect(new Set(idsOf('giro', fee + fee)).size).toBe(2)
  })
})

it('long texts are cut between characters', () => {
  const text = `${'x'.repeat(999)}😀`
  const columns = { date: 'Date', amount: 'Amount', text: 'Text', ref: 'Ref' }
  const ref = `${'r'.repeat(255)}😀`
  const [transfer] = transfersOf(
    readCsv(`Date;Amount;Text;Ref\n2026-01-05;1;${text};${ref}\n`, rules({ columns })),
    rules(),
  )
  expect([transfer!.meta, transfer!.ref]).toEqual([{ text: 'x'.repeat(999) }, 'r'.repeat(255)])
  const whole = `${'x'.repeat(998)}😀`
  const [same] = transfersOf(readCsv(`Date;Amount;Text;Ref\n2026-01-05;1;${whole};r\n`, rules({ columns })), rules())
  expect(same!.meta).toEqual({ text: whole })
})

it('two lines of one id are refused: the second would count as posted before', () => {
  const columns = { date: 'Date', amount: 'Amount', id: 'Id' }
  const lines = readCsv('Date;Amount;Id\n2026-01-05;1;x\n2026-01-05;1;x\n', rules({ columns }))
  expect(refusal(errorOf(() => transfersOf(lines, rules())))).toBe('BAD_VALUE statement 2')
})

describe('OFX', () => {
  const entry = (amount: string, more = '', id = 'a'): string =>
    `<STMTTRN><TRNTYPE>DEBIT<DTPOSTED>20260105<TRNAMT>${amount}<FITID>${id}<NAME>x${more}</STMTTRN>`
  const file = (entries: string, unit = 'USD'): string =>
    `OFXHEADER:100\n<OFX><STMTRS><CURDEF>${unit}<BANKACCTFROM><ACCTID>1</BANKACCTFROM><BANKTRANLIST>${entries}</BANKTRANLIST></STMTRS></OFX>`

  it.each([
    ['-12,50', 'USD', [-1250n]],
    ['+12.5', 'USD', [1250n]],
    ['1234.500', 'USD', [123450n]],
    ['1,230', 'KWD', [1230n]],
    ['1,230', 'USD', 'BAD_AMOUNT OFX 1'],
    ['1.230', 'USD', 'BAD_AMOUNT OFX 1'],
    ['1,000', 'JPY', 'BAD_AMOUNT OFX 1'],
    ['1,234.50', 'USD', 'BAD_AMOUNT OFX 1'],
    ['1,234,50', 'USD', 'BAD_AMOUNT OFX 1'],
    ['', 'USD', 'BAD_VALUE OFX 1'],
  ])('an amount %j in %s', (amount, unit, expected) => {
    expect(told(() => readOfx(file(entry(amount), unit)))).toEqual(expected)
  })

  it('what is cut, and investments', () => {
    const whole = file(entry('-1.00') + entry('-2.00', '', 'b'))
    expect(told(() => readOfx(whole))).toEqual([-100n, -200n])
    // Wherever it is cut before the end of its statement.
    for (let end = whole.indexOf('<STMTRS>') + 8; end < whole.indexOf('</STMTRS>') + 9; end += 3)
      expect([end, told(() => readOfx(whole.slice(0, end)))]).toEqual([end, expect.stringMatching(/^BAD_VALUE OFX/)])
    expect(told(() => readOfx(whole.replace('</STMTTRN>', '')))).toBe('BAD_VALUE OFX 1')
    expect(told(() => readOfx(whole.replace('</OFX>', '<INVSTMTRS></INVSTMTRS></OFX>')))).toBe('BAD_VALUE OFX 2')
  })

  it('an entry that corrects an earlier one, which may be posted already', () => {
    for (const more of ['<CORRECTFITID>z<CORRECTACTION>REPLACE', '<CORRECTACTION>DELETE'])
      expect(told(() => readOfx(file(entry('-1.00') + entry('-2.00', more, 'b'))))).toBe('BAD_VALUE OFX 2')
  })

  it('sections of text, and characters by number', () => {
    const one = (more: string): StatementLine => readOfx(file(entry('-1.00', more)))[0]!
    expect(one('<MEMO><![CDATA[AT&T <STMTTRN> 5 > 4]]></MEMO>').text).toBe('x AT&T <STMTTRN> 5 > 4')
    expect(told(() => readOfx(file(entry('<![CDATA[-12.50]]>'))))).toEqual([-1250n])
    expect(one('<MEMO>&#8364;&#x41;&#0;&#xd800;&#1114112;&AMP;').text).toBe('x €A&#0;&#xd800;&#1114112;&')
    expect(told(() => readOfx(file(entry('-1.00', '<MEMO><![CDATA[cut'))))).toBe('BAD_VALUE OFX')
    const many = '<![CDATA[]]>'.repeat(100_000)
    const begin = process.cpuUsage()
    expect(told(() => readOfx(many))).toBe('BAD_VALUE OFX')
    expect(process.cpuUsage(begin).user).toBeLessThan(2_000_000)
  })

  it("an entry's own currency counts, the one that it had before does not", () => {
    const unitOf = (more: string): unknown => readOfx(file(entry('-1.00', more)))[0]!.currency.code
    expect(unitOf('<CURRENCY><CURRATE>1.1<CURSYM>EUR</CURRENCY>')).toBe('EUR')
    expect(unitOf('<ORIGCURRENCY><CURRATE>1.1<CURSYM>EUR</ORIGCURRENCY>')).toBe('USD')
  })

  it('long references are not cut to one id', () => {
    const long = 'F'.repeat(140)
    const ids = readOfx(file(entry('-1', '', `${long}1`) + entry('-1', '', `${long}2`))).map(({ id }) => id)
    expect([new Set(ids).size, ids.every((id) => id.length <= 128)]).toEqual([2, true])
  })

  it('takes time in proportion to the file, whatever is left open', () => {
    for (const piece of ['<STMTRS>', '<CURDEF>', '<', '<STMTTRN']) {
      const begin = process.cpuUsage()
      expect(refusal(errorOf(() => readOfx(piece.repeat(60_000))))).toMatch(/^BAD_VALUE OFX/)
      expect(process.cpuUsage(begin).user).toBeLessThan(2_000_000)
    }
  })
})

describe('MT940', () => {
  const first = ':20:x\n:25:DE1\n:60F:C260105EUR100,00\n:61:2601050105D10,00NTRFNONREF\n'
  it.each([
    [`${first}:62F:C260105EUR90,00\n`, [-1000n]],
    [`\ufeff${first}:62F:C260105EUR90,\n-`, [-1000n]],
    [`${first}:62M:C260105EUR90,\n:60M:C260105EUR90,\n:61:260105C1,NTRFx\n:62F:C260105EUR91,\n`, [-1000n, 100n]],
    [first, 'BAD_VALUE MT940 4'],
    [`${first}:62M:C260105EUR90,\n`, 'BAD_VALUE MT940 5'],
    [`${first}:62F:C260105EUR91,\n`, 'BAD_VALUE MT940 5'],
    [`${first}:60F:C260105EUR100,00\n:62F:C260105EUR100,00\n`, 'BAD_VALUE MT940 5'],
    [`${first}:62M:C260105EUR90,\n:60M:C260105EUR80,\n:62F:C260105EUR80,\n`, 'BAD_VALUE MT940 6'],
    [`${first}:62M:C260105EUR90,\n:60M:C260105USD90,\n:62F:C260105USD90,\n`, 'BAD_VALUE MT940 6'],
    [`${first}:62M:C260105EUR90,\n:25:DE2\n:60M:C260105EUR90,\n:62F:C260105EUR90,\n`, 'BAD_VALUE MT940 7'],
    [`${first}:62F:C260105EUR90,\n:61:260105C1,NTRFx\n`, 'BAD_VALUE MT940 6'],
    [`${first}:62F:C260105EUR90,\n:62F:C260105EUR90,\n`, 'BAD_VALUE MT940 6'],
    [first.replace('10,00', '1.0,00'), 'BAD_VALUE MT940 4'],
    [':60M:C260105EUR1,\n:62F:C260105EUR1,\n', 'BAD_VALUE MT940 1'],
  ])('%j', (text, expected) => {
    expect(told(() => readMt940(text))).toEqual(expected)
  })
})

describe('MT940: what describes an entry', () => {
  const statement = (...entries: string[]): string =>
    `:20:x\n:25:DE1\n:60F:C260105EUR100,00\n${entries.join('')}:62F:C260105EUR${100 - 10 * entries.length},00\n-\n`
  const entry = (text?: string): string => `:61:260105D10,00NTRFNONREF\n${text === undefined ? '' : `:86:${text}\n`}`
  it('tells two payments of one amount on one day apart, in two files too', () => {
    const ids = (...texts: string[]): string[] => texts.flatMap((text) => readMt940(text).map(({ id }) => id))
    expect(new Set(ids(statement(entry('Baker')), statement(entry('Butcher')))).size).toBe(2)
    expect(new Set(ids(statement(entry('Baker')), statement(entry('Baker')))).size).toBe(1)
    expect(new Set(ids(statement(entry('Baker'), entry('Baker')))).size).toBe(2)
  })
  it('is of its own statement, and goes on over lines that begin with a hyphen', () => {
    const second = statement(entry('theirs')).replace(':61:', ':86:of the statement\n:61:')
    const texts = readMt940(statement(entry()) + second).map(({ text }) => text)
    expect(texts).toEqual(['', 'theirs'])
    expect(readMt940(statement(entry('a\n-b\n- c')))[0]!.text).toBe('a -b - c')
    expect(readMt940(statement(entry('a')).replace('-\n', '-}{5:}\n'))[0]!.text).toBe('a')
    // The second of two descriptions is none.
    expect(readMt940(statement(`${entry('a')}:86:b\n`))[0]!.text).toBe('a')
  })
})

describe('camt.053', () => {
  const entry = (amount: string, side = '<CdtDbtInd>CRDT</CdtDbtInd>', more = ''): string =>
    `<Ntry><Amt Ccy="EUR">${amount}</Amt>${side}<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-01-05</Dt></BookgDt>${more}</Ntry>`
  const balance = (code: string, amount: string): string =>
    `<Bal><Tp><CdOrPrtry><Cd>${code}</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">${amount}</Amt><CdtDbtInd>CRDT</CdtDbtInd></Bal>`
  const file = (...statements: string[]): string =>
    `<Document><BkToCstmrStmt>${statements.map((inner) => `<Stmt><Acct><Id><IBAN>DE1</IBAN></Id></Acct>${inner}</Stmt>`).join('')}</BkToCstmrStmt></Document>`

  it.each<readonly [string, unknown]>([
    [entry('12.5'), [1250n]],
    [entry('<![CDATA[12.50]]>'), [1250n]],
    [entry('12.50', '<CdtDbtInd>DBIT</CdtDbtInd>'), [-1250n]],
    [entry('1') + entry('2').replace('BOOK', 'PDNG'), [100n]],
    ...['12,50', '1,234.50', '-12.50', '+1', '', '1 000'].map(
      (text) => [entry(text), 'BAD_AMOUNT camt.053 1'] as const,
    ),
    ...['', '<CdtDbtInd>Crdt</CdtDbtInd>', '<CdtDbtInd/>'].map(
      (side) => [entry('12.50', side), 'BAD_VALUE camt.053 1'] as const,
    ),
    [entry('1') + entry('2').replace('<Cd>BOOK</Cd>', '<Prtry>x</Prtry>'), 'BAD_VALUE camt.053 2'],
    [entry('1').replace(/<BookgDt>.*<.BookgDt>/, ''), 'BAD_VALUE camt.053 1'],
    [entry('1').replace(/<Amt.*<.Amt>/, ''), 'BAD_VALUE camt.053 1'],
    [balance('OPBD', '5') + balance('CLBD', '6') + entry('1'), [100n]],
    [balance('OPBD', '5') + balance('CLBD', '7') + entry('1'), 'BAD_VALUE camt.053'],
    [balance('PRCD', '5') + balance('CLBD', '5') + entry('1'), 'BAD_VALUE camt.053'],
  ])('%s', (inner, expected) => {
    expect(told(() => readCamt053(file(inner)))).toEqual(expected)
  })

  it('ids: the number of an entry in its statement is none, and a payment and its fee may share a reference', () => {
    const numbered = (amount: string): string => entry(amount, undefined, '<NtryRef>1</NtryRef>')
    const shared = (amount: string): string => entry(amount, undefined, '<AcctSvcrRef>R</AcctSvcrRef>')
    const long = (end: string): string => entry('1', undefined, `<AcctSvcrRef>${'r'.repeat(140)}${end}</AcctSvcrRef>`)
    for (const lines of [
      readCamt053(file(numbered('1'), numbered('2'))),
      readCamt053(file(shared('1') + shared('2'))),
      readCamt053(file(long('1') + long('2'))),
    ])
      expect(new Set(transfersOf(lines, rules()).map(({ id }) => id)).size).toBe(2)
  })
})

describe('hledger', () => {
  const posting = (amount: string, before = ''): unknown =>
    told(() => readHledger(`${before}2026-01-05 x\n  a  ${amount}\n  b\n`))

  it.each([
    ['12.50 EUR', '', [1250n]],
    ['1,234.50 EUR', '', [123450n]],
    ['1,234,567 EUR', '', [123456700n]],
    ['12,50 EUR', '', 'BAD_AMOUNT hledger 2'],
    ['1,230 EUR', '', 'BAD_AMOUNT hledger 2'],
    ['1,,5,0 EUR', '', 'BAD_AMOUNT hledger 2'],
    ['12,50 EUR', 'decimal-mark ,\n', [1250n]],
    ['1.234,50 EUR', 'decimal-mark ,\n', [123450n]],
    ['12.50 EUR', 'decimal-mark ,\n', 'BAD_AMOUNT hledger 3'],
    ['1,234 EUR', 'decimal-mark .\n', [123400n]],
    ['12,50 EUR', 'commodity 1.000,00 EUR ; ours\n', [1250n]],
    ['12,50 EUR', 'commodity EUR\n  format 1.000,00 EUR\n', [1250n]],
    ['€12,50', 'D €1.000,00\n', [1250n]],
    ['12.50 EUR', 'commodity 1.000,00 EUR\n', 'BAD_AMOUNT hledger 3'],
    ['12,50 USD', 'commodity 1.000,00 EUR\n', 'BAD_AMOUNT hledger 3'],
    // Of both, decimal-mark counts.
    ['1,234 EUR', 'commodity 1.000,00 EUR\ndecimal-mark .\n', [123400n]],
    ['1 EUR', 'commodity 1,000 EUR\n', 'BAD_AMOUNT hledger 1'],
    ['1 EUR', 'decimal-mark ;\n', 'BAD_VALUE hledger 1'],
    ['-$-5', '', 'BAD_VALUE hledger 2'],
    ['+5 EUR', '', 'BAD_VALUE hledger 2'],
    ['12.50', 'D $1000.00\n', 'BAD_VALUE hledger 3'],
    ['1 EUR', 'alias a=zzz\n', 'BAD_VALUE hledger 1'],
    ['1 EUR', 'apply account home\n', 'BAD_VALUE hledger 1'],
    ['1 EUR', 'account a\n  alias zzz\n', 'BAD_VALUE hledger 2'],
    ['1 EUR', '  a  1 EUR\n', 'BAD_VALUE hledger 1'],
    ['1 EUR', '\ufeffaccount a\n  ; type: A\n', [100n]],
    ['1 constructor', '', 'BAD_ARGUMENT hledger 1'],
  ])('%j behind %j', (amount, before, expected) => {
    expect(posting(amount, before)).toEqual(expected)
  })

  it.each(['a 12.50 EUR', 'a $5', 'a 5.25', 'a -5 EUR'])('one space before an amount: %j', (words) => {
    expect(told(() => readHledger(`2026-01-05 x\n  ${words}\n  b  -1 EUR\n`))).toBe('BAD_VALUE hledger 2')
    expect(told(() => readHledger('2026-01-05 x\n  a card 12\n  b  -1 EUR\n'))).toEqual([100n])
  })

  it('two transactions of one id', () => {
    const one = '2026-01-05 x ; id: q\n  a  1 EUR\n  b\n'
    expect(told(() => readHledger(one + one))).toBe('BAD_VALUE hledger 4')
  })
})

describe('beancount', () => {
  const posting = (amount: string, head = '2026-01-05 * "x"'): unknown =>
    told(() => readBeancount(`${head}\n  Assets:A  ${amount}\n  Assets:B\n`))

  it.each([
    ['1,234.50 EUR', undefined, [123450n]],
    ['1,230 EUR', undefined, [123000n]],
    ['12,50 EUR', undefined, 'BAD_AMOUNT beancount 2'],
    ['1,2,3.40 EUR', undefined, 'BAD_AMOUNT beancount 2'],
    ['1 EUR', '2026-1-5* "x"', 'BAD_VALUE beancount 1'],
    ['1 EUR', '20260105 * "x"', 'BAD_VALUE beancount 1'],
    ['1 EUR', '2026-02-30 * "x"', 'BAD_VALUE beancount 1'],
    ['1 EUR', 'garbage', 'BAD_VALUE beancount 1'],
    ['1 EUR', '\ufeff2026-01-05 * "x"', [100n]],
    ['1 EUR', '* heading\nplugin "p"\noption "a" "b"\n2026-01-05 * "x"', [100n]],
    ['1 EUR', '  Assets:A  1 EUR', 'BAD_VALUE beancount 1'],
  ])('%j below %j', (amount, head, expected) => {
    expect(posting(amount, head)).toEqual(expected)
  })
})

it('beancount: what is escaped ends no string, and a comment behind it is none', () => {
  const read = readBeancount('2026-01-05 * "a\\\\" ; "b"\n  Assets:A  1 EUR\n  Assets:B\n')
  expect(read.groups[0]![0]!.meta).toEqual({ text: 'a\\' })
})

describe('JSON lines', () => {
  const line = (more: object): string =>
    `${JSON.stringify({ id: 'x', from: 'a', to: 'b', amount: '1', currency: 'EUR', ...more })}\n`
  const ids = (text: string): unknown => {
    try {
      return readJsonl(text).map(({ id }) => id)
    } catch (error) {
      return refusal(error)
    }
  }

  it.each<readonly [object, unknown]>([
    [{}, ['x']],
    [{ id: undefined }, 'BAD_VALUE JSON lines 2'],
    [{ id: 5 }, 'BAD_VALUE JSON lines 2'],
    [{ code: 5 }, 'BAD_VALUE JSON lines 2'],
    [{ kind: 'gift' }, 'BAD_VALUE JSON lines 2'],
    [{ kind: 'post' }, ['x']],
    [{ kind: 'capture', id: 'resolve:h' }, ['import:resolve:h']],
    [{ kind: 'reverse', id: 'reverse:t' }, ['import:reverse:t']],
    [{ kind: 'hold' }, []],
    [{ kind: 'void', id: 'resolve:h' }, []],
    [{ kind: 'expire', id: 'resolve:h' }, []],
    [{ seq: 1, at: '2026-01-05T00:00:00.000Z', author: 'x', group: 'g', kind: 'post', ref: 'r', meta: {} }, ['x']],
    ...['efective', 'Ref', 'memo', '__proto__x'].map((name) => [{ [name]: 'x' }, 'BAD_VALUE JSON lines 2'] as const),
    [{ kind: 'hold', amount: 'x' }, 'BAD_AMOUNT JSON lines 2'],
    [{ effective: '2026-01-05' }, ['x']],
    [{ effective: '2026-01-05T10:00:00.000Z' }, ['x']],
    ...['yesterday', '2026-02-30', '2026-01-05T10:00', 5].map(
      (effective) => [{ effective }, 'BAD_VALUE JSON lines 2'] as const,
    ),
  ])('%j', (more, expected) => {
    expect(ids(`\ufeff\n${line(more)}`)).toEqual(expected)
  })

  it('two lines of one id', () => {
    expect(ids(line({}) + line({}))).toBe('BAD_VALUE JSON lines 2')
  })
})

it('the text of an error says what to do with a file', () => {
  const text = errorOf(() => readHledger('include x\n')).message
  expect(text).toContain('the file says something that is not read')
  expect(text).toContain('format: hledger, line: 1')
})
