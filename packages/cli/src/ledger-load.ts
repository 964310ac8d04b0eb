/** `ate ledger load`: transfers from a file, in the format that its name or --format says. */
import { readFileSync } from 'node:fs'
import { AteError, type Outcome, type Transfer } from '@ate/ledger'
import {
  type CsvRules,
  type ImportedJournal,
  type ImportRules,
  readBeancount,
  readCamt053,
  readCsv,
  readHledger,
  readJsonl,
  readMt940,
  readOfx,
  transfersOf,
} from '@ate/ledger/formats'
import { type LedgerContext, show } from './ledger-commands.ts'
import { print, printable, toJson } from './output.ts'

export interface LoadWords {
  readonly format?: string
  /** A JSON file: see ImportRules and CsvRules of @ate/ledger/formats. */
  readonly rules?: string
  readonly dryRun?: boolean
  /** Opens accounts that a journal names and the ledger lacks. */
  readonly open?: boolean
}

/** Bytes of a file: it is read as a whole. */
const FILE_BYTES_MAX = 512 * 1024 * 1024
const BY_ENDING: Readonly<Record<string, string>> = {
  csv: 'csv',
  jsonl: 'jsonl',
  ofx: 'ofx',
  qfx: 'ofx',
  sta: 'mt940',
  mt940: 'mt940',
  '940': 'mt940',
  xml: 'camt053',
  beancount: 'beancount',
  bean: 'beancount',
  journal: 'hledger',
  hledger: 'hledger',
  ledger: 'hledger',
}

export async function loadVerb(context: LedgerContext, file: string, words: LoadWords): Promise<void> {
  const format = words.format ?? BY_ENDING[file.slice(file.lastIndexOf('.') + 1).toLowerCase()]
  const text = textOf(file)
  if (format === 'beancount' || format === 'hledger')
    return loadJournal(context, format === 'beancount' ? readBeancount(text) : readHledger(text), words)
  const transfers = transfersIn(text, format, words)
  if (words.dryRun) {
    for (const transfer of transfers) await print(toJson(transfer))
    return
  }
  const counts = { posted: 0, existed: 0, refused: 0 }
  for await (const outcome of context.bank.load(transfers)) await count(counts, outcome)
  await report(context, counts)
}

function transfersIn(text: string, format: string | undefined, words: LoadWords): Transfer[] {
  switch (format) {
    case 'jsonl':
      return readJsonl(text)
    case 'csv': {
      const rules = rulesOf(words) as CsvRules
      return transfersOf(readCsv(text, rules), rules)
    }
    case 'ofx':
      return transfersOf(readOfx(text), rulesOf(words))
    case 'mt940':
      return transfersOf(readMt940(text), rulesOf(words))
    case 'camt053':
      return transfersOf(readCamt053(text), rulesOf(words))
    default:
      throw new AteError('BAD_ARGUMENT', {
        what: 'give --format csv, jsonl, ofx, mt940, camt053, beancount or hledger',
        format,
      })
  }
}

/** Each transaction of a journal is posted as a whole. */
async function loadJournal(
  context: LedgerContext,
  { accounts, groups }: ImportedJournal,
  words: LoadWords,
): Promise<void> {
  if (words.dryRun) {
    for (const group of groups) await print(toJson(group))
    return
  }
  if (words.open) {
    for (const { name, currency, normal } of accounts)
      await openAccount(context, name, { currency, normal, floor: 'none' })
  }
  const counts = { posted: 0, existed: 0, refused: 0 }
  for (const group of groups) {
    try {
      for (const { existed } of await context.bank.atomic(group)) counts[existed ? 'existed' : 'posted']++
    } catch (error) {
      if (!(error instanceof AteError)) throw error
      counts.refused += group.length
      process.stderr.write(`${printable(`${group[0]?.id}: ${error.message}`)}\n`)
    }
  }
  await report(context, counts)
}

/** One that is there stays as it is. */
async function openAccount(
  { bank }: LedgerContext,
  name: string,
  spec: Parameters<typeof bank.account>[1],
): Promise<void> {
  try {
    await bank.balance(name)
  } catch (error) {
    if (!(error instanceof AteError) || error.code !== 'NOT_FOUND') throw error
    await bank.account(name, spec)
  }
}

interface Counts {
  posted: number
  existed: number
  refused: number
}

async function count(counts: Counts, outcome: Outcome): Promise<void> {
  if (outcome.ok) counts[outcome.existed ? 'existed' : 'posted']++
  else {
    counts.refused++
    process.stderr.write(`${printable(`${outcome.id}: ${outcome.error.message}`)}\n`)
  }
}

async function report(context: LedgerContext, counts: Counts): Promise<void> {
  const { posted, existed, refused } = counts
  await show(context, counts, `${posted} posted, ${existed} were posted before, ${refused} refused`)
  if (refused > 0) process.exitCode = 1
}

function textOf(file: string): string {
  try {
    const bytes = readFileSync(file)
    if (bytes.length > FILE_BYTES_MAX)
      throw new AteError('VALUE_TOO_LARGE', { file, bytes: bytes.length, max: FILE_BYTES_MAX })
    return bytes.toString('utf8')
  } catch (cause) {
    if (cause instanceof AteError) throw cause
    throw new AteError(
      'IO_ERROR',
      { file, reason: (cause as NodeJS.ErrnoException).code },
      { cause, hint: 'the file cannot be read' },
    )
  }
}

function rulesOf({ rules }: LoadWords): ImportRules {
  if (rules === undefined)
    throw new AteError('BAD_ARGUMENT', { what: 'give --rules FILE: JSON that names the account, and the other one' })
  try {
    return JSON.parse(textOf(rules)) as ImportRules
  } catch (cause) {
    if (cause instanceof AteError) throw cause
    throw new AteError('BAD_ARGUMENT', { what: 'the rules are no JSON', file: rules }, { cause })
  }
}
