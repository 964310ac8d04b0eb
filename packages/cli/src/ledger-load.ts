/** `ate ledger load`: transfers from a file, in the format that its name or --format says. */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { AteError, type Entry, type Ledger, type Outcome, type Transfer } from '@ate/ledger'
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
  type StatementLine,
  transfersOf,
} from '@ate/ledger/formats'
import { type LedgerContext, show } from './ledger-commands.ts'
import { print, printable, toJson } from './output.ts'

export interface LoadWords {
  readonly format?: string
  /** A JSON file: see ImportRules and CsvRules of @ate/ledger/formats. */
  readonly rules?: string
  readonly charset?: string
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

/** `-` is stdin. */
export async function loadVerb(context: LedgerContext, file: string, words: LoadWords): Promise<void> {
  const format = words.format ?? BY_ENDING[file.slice(file.lastIndexOf('.') + 1).toLowerCase()]
  if (format === undefined)
    throw new AteError('BAD_ARGUMENT', {
      what: 'give --format csv, jsonl, ofx, mt940, camt053, beancount or hledger',
      file,
    })
  const text = await textOf(file, words.charset)
  if (format === 'beancount' || format === 'hledger')
    return loadJournal(context, format === 'beancount' ? readBeancount(text) : readHledger(text), words)
  const { transfers, leftOut } = transfersIn(text, format, words)
  if (words.dryRun) {
    for (const transfer of transfers) await print(toJson(transfer))
    return
  }
  const counts: Counts = { posted: 0, existed: 0, refused: 0, leftOut }
  const own = await ownEntries(context.bank, transfers)
  const rest = transfers.filter((transfer) => !takeOwn(own, transfer, counts))
  for await (const outcome of context.bank.load(rest)) count(counts, outcome)
  await report(context, counts)
}

/** What a file says that moves something, and how many of its lines move nothing. */
interface Found {
  readonly transfers: readonly Transfer[]
  readonly leftOut: number
}

function transfersIn(text: string, format: string, words: LoadWords): Found {
  if (format === 'jsonl') {
    const transfers = readJsonl(text)
    const lines = text.split('\n').filter((line) => line.replace('\ufeff', '').trim() !== '')
    return { transfers, leftOut: lines.length - transfers.length }
  }
  const rules = rulesOf(words)
  const lines = linesIn(text, format, rules)
  const transfers = transfersOf(lines, rules)
  return { transfers, leftOut: lines.length - transfers.length }
}

function linesIn(text: string, format: string, rules: ImportRules): readonly StatementLine[] {
  switch (format) {
    case 'csv':
      return readCsv(text, rules as CsvRules)
    case 'ofx':
      return readOfx(text)
    case 'mt940':
      return readMt940(text)
    default:
      return readCamt053(text)
  }
}

/** Ids of captures and reversals that a ledger exported. */
const EXPORTED = /^import:((?:resolve|reverse):.*)$/s

/** Captures and reversals of this ledger whose ids the transfers have: books may come back to where they were exported. */
async function ownEntries(bank: Ledger, transfers: readonly Transfer[]): Promise<ReadonlyMap<string, Entry>> {
  const wanted = new Set(transfers.map(({ id = '' }) => EXPORTED.exec(id)?.[1]).filter((id) => id !== undefined))
  const found = new Map<string, Entry>()
  if (wanted.size === 0) return found
  for await (const entry of bank.entries()) if (wanted.has(entry.id)) found.set(entry.id, entry)
  return found
}

/** True for a transfer that this ledger posted as a capture or a reversal: it is not posted a second time. */
function takeOwn(own: ReadonlyMap<string, Entry>, { id = '', from, to, amount }: Transfer, counts: Counts): boolean {
  const entry = own.get(EXPORTED.exec(id)?.[1] ?? '')
  if (!entry) return false
  const isSame =
    entry.from === from &&
    entry.to === to &&
    entry.amount.units === amount.units &&
    entry.amount.currency.code === amount.currency.code
  if (isSame) counts.existed++
  else refuse(counts, entry.id, new AteError('ID_REUSED', { id: entry.id }))
  return true
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
  const counts: Counts = { posted: 0, existed: 0, refused: 0, leftOut: 0 }
  const own = await ownEntries(context.bank, groups.flat())
  for (const group of groups) {
    if (group.length === 1 && takeOwn(own, group[0]!, counts)) continue
    try {
      for (const { existed } of await context.bank.atomic(group)) counts[existed ? 'existed' : 'posted']++
    } catch (error) {
      if (!(error instanceof AteError)) throw error
      refuse(counts, String(group[0]?.id), error, group.length)
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
  /** Lines of 0, and of exported books holds and their ends. */
  readonly leftOut: number
}

function count(counts: Counts, outcome: Outcome): void {
  if (outcome.ok) counts[outcome.existed ? 'existed' : 'posted']++
  else refuse(counts, outcome.id, outcome.error)
}

function refuse(counts: Counts, id: string, error: AteError, transfers = 1): void {
  counts.refused += transfers
  process.stderr.write(`${printable(`${id}: ${error.message}`)}\n`)
}

async function report(context: LedgerContext, counts: Counts): Promise<void> {
  const { posted, existed, refused, leftOut } = counts
  const more = leftOut === 0 ? '' : `, ${leftOut} that move nothing left out`
  await show(context, counts, `${posted} posted, ${existed} were posted before, ${refused} refused${more}`)
  if (refused > 0) process.exitCode = 1
}

async function textOf(file: string, charset?: string): Promise<string> {
  const decoder = decoderOf(charset)
  return decoded(file === '-' ? await stdinBytes() : fileBytes(file), decoder, file)
}

function fileBytes(file: string): Buffer {
  try {
    const bytes = readFileSync(file)
    if (bytes.length > FILE_BYTES_MAX)
      throw new AteError('VALUE_TOO_LARGE', { file, bytes: bytes.length, max: FILE_BYTES_MAX })
    return bytes
  } catch (cause) {
    if (cause instanceof AteError) throw cause
    throw new AteError(
      'IO_ERROR',
      { file, reason: (cause as NodeJS.ErrnoException).code },
      { cause, hint: 'the file cannot be read' },
    )
  }
}

/** Read as it comes: of a pipe that has nothing yet a read that does not wait is EAGAIN. */
async function stdinBytes(): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > FILE_BYTES_MAX) throw new AteError('VALUE_TOO_LARGE', { file: '-', bytes, max: FILE_BYTES_MAX })
  }
  return Buffer.concat(chunks)
}

/** The mark at the beginning stays: it says where a file begins. */
function decoderOf(charset = 'utf-8'): TextDecoder {
  try {
    return new TextDecoder(charset, { fatal: true, ignoreBOM: true })
  } catch (cause) {
    throw new AteError(
      'BAD_ARGUMENT',
      { what: 'a charset such as utf-8, windows-1252 or iso-8859-15', charset },
      { cause },
    )
  }
}

/** Letters that are replaced would be other names, and other ids. */
function decoded(bytes: Uint8Array, decoder: TextDecoder, file: string): string {
  try {
    return decoder.decode(bytes)
  } catch (cause) {
    const hint = 'give --charset, such as windows-1252 for many banks; nothing was posted'
    throw new AteError('BAD_VALUE', { what: `the file is not ${decoder.encoding}`, file }, { cause, hint })
  }
}

function rulesOf({ rules }: LoadWords): ImportRules {
  if (rules === undefined)
    throw new AteError('BAD_ARGUMENT', { what: 'give --rules FILE: JSON that names the account, and the other one' })
  try {
    return JSON.parse(decoded(fileBytes(rules), decoderOf(), rules)) as ImportRules
  } catch (cause) {
    if (cause instanceof AteError) throw cause
    throw new AteError('BAD_ARGUMENT', { what: 'the rules are no JSON', file: rules }, { cause })
  }
}
