/**
 * An archive as a stream of files, for people and for auditors, in a tar or a zip:
 *
 *   README.txt                    what is in it, and how to check it without this software
 *   trust.json                    origin and key of the log, and the witnesses that this session trusts
 *   objects/VERSION/body          as it was put
 *   objects/VERSION/manifest.json what the proof shows the hash of, byte for byte
 *   objects/VERSION/proof.tlog-proof
 *   index-NNNNNN.jsonl            one line for each object: name, version, how it is kept
 *   audit-NNNNNN.jsonl, .csv      one line for each act
 *
 * Nothing of a name becomes a path: names may be such as ../../etc/passwd. Lists come in parts, so that memory stays flat.
 */
import { AteError } from '@ate/core'
import { type AuditEvent, audit } from './audit.ts'
import type { CallOptions, Context } from './context.ts'
import { get } from './get.ts'
import { find, type ListQuery, list, type Stored } from './objects.ts'
import { FORMATS, type PackedFile, type PackFormat } from './packing.ts'
import { prove } from './proofs.ts'
import { trustOf } from './trust.ts'

export interface ExportOptions extends CallOptions {
  readonly format: PackFormat
  /** Left out: they are there. Without a checkpoint, and the right to make one, there are none. */
  readonly proofs?: 'omit'
}

/** Characters of one part of a list. */
const PART_CHARACTERS: number = 4 * 1024 * 1024

/** @throws AteError BAD_ARGUMENT */
export function exportArchive(context: Context, query: ListQuery, options: ExportOptions): ReadableStream<Uint8Array> {
  const pack = Object.hasOwn(FORMATS, options?.format) ? FORMATS[options.format] : undefined
  if (!pack) throw new AteError('BAD_ARGUMENT', { option: 'format', words: Object.keys(FORMATS) })
  return pack(filesOf(context, query, options), options.signal)
}

async function* filesOf(
  context: Context,
  query: ListQuery,
  options: ExportOptions,
): AsyncGenerator<PackedFile, void, void> {
  yield fileOf('README.txt', README)
  yield fileOf('trust.json', `${JSON.stringify(trustOf(context))}\n`)
  const index = new Parts('index', 'jsonl')
  const suits = trailOf(query)
  for await (const stored of list(context, query, options.signal)) {
    suits.listed(stored.version)
    yield* filesOfObject(context, stored, options)
    yield* index.line(JSON.stringify(indexLine(stored)))
  }
  yield* index.end()
  const jsonl = new Parts('audit', 'jsonl')
  for await (const event of audit(context, {}, options))
    if (suits.event(event)) yield* jsonl.line(JSON.stringify(auditJson(event)))
  yield* jsonl.end()
  const csv = new Parts('audit', 'csv', auditCsv())
  for await (const event of audit(context, {}, options)) if (suits.event(event)) yield* csv.line(auditCsv(event))
  yield* csv.end()
}

/**
 * What the trail of an export tells of: what has the prefix, also if it is disposed of by now; of a choice by anything else,
 * only what was chosen. A trail of the whole would tell who gets it the names and the matters of all else.
 */
function trailOf({ prefix = '', ...others }: ListQuery): {
  listed(version: string): void
  event(event: AuditEvent): boolean
} {
  const versions = Object.values(others).some((value) => value !== undefined) ? new Set<string>() : undefined
  return {
    listed: (version) => void versions?.add(version),
    event: ({ ref }) => ref.name.startsWith(prefix) && (versions?.has(ref.version) ?? true),
  }
}

async function* filesOfObject(
  context: Context,
  stored: Stored,
  options: ExportOptions,
): AsyncGenerator<PackedFile, void, void> {
  const folder = `objects/${stored.version}`
  const { text } = await find(context, stored, options.signal)
  const { body, size, at } = await get(context, stored, options)
  yield { name: `${folder}/body`, size: Number(size), at, body }
  yield fileOf(`${folder}/manifest.json`, text, at)
  if (options.proofs === 'omit') return
  yield fileOf(`${folder}/proof.tlog-proof`, await prove(context, stored, options), at)
}

function fileOf(name: string, text: string, at: Date = new Date(0)): PackedFile {
  const body = new TextEncoder().encode(text)
  return { name, size: body.length, at, body }
}

/** Lines in files of some MiB: a header says the size before the bytes. */
class Parts {
  readonly #name: string
  readonly #form: string
  readonly #head: string
  #lines: string[] = []
  #characters = 0
  #count = 0

  constructor(name: string, form: string, head = '') {
    this.#name = name
    this.#form = form
    this.#head = head === '' ? '' : `${head}\r\n`
  }

  *line(text: string): Generator<PackedFile, void, void> {
    this.#lines.push(text)
    this.#characters += text.length
    if (this.#characters >= PART_CHARACTERS) yield this.#take()
  }

  *end(): Generator<PackedFile, void, void> {
    if (this.#lines.length > 0 || this.#count === 0) yield this.#take()
  }

  #take(): PackedFile {
    const number = String(++this.#count).padStart(6, '0')
    const close = this.#form === 'csv' ? '\r\n' : '\n'
    const text = this.#head + this.#lines.map((line) => line + close).join('')
    this.#lines = []
    this.#characters = 0
    return fileOf(`${this.#name}-${number}.${this.#form}`, text)
  }
}

function indexLine(stored: Stored): object {
  const { name, version, size, digest, type, meta, subject, mode, retainUntil, holds, at, seq } = stored
  return {
    ...{ name, version, size: String(size), sha256: digest, type, meta, subject, mode },
    ...{ retainUntil: retainUntil?.toISOString(), holds, at: at.toISOString(), seq, path: `objects/${version}` },
  }
}

/** One object of plain values, as `audit-*.jsonl` has it. */
export function auditJson(event: AuditEvent): Record<string, unknown> {
  const { seq, at, by, act, ref, reason, matter, until, mode, digest, size, bypass, code, asked } = event
  return {
    ...{ seq, at: at.toISOString(), by, act, name: ref.name, version: ref.version, reason, matter },
    ...{ until: until?.toISOString(), mode, sha256: digest, size: size === undefined ? undefined : String(size) },
    ...{ bypass, code, asked },
  }
}

const CSV_COLUMNS = [
  ...['seq', 'at', 'by', 'act', 'name', 'version', 'reason', 'matter', 'until', 'mode', 'sha256', 'size'],
  ...['bypass', 'code', 'asked'],
] as const

/** Control characters would steer a terminal; breaks and tabs stand in quotes. */
const STEERING = /(?![\t\r\n])\p{Cc}/gu
/** Some spreadsheets take wide signs for signs. */
const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/

/** A line of the trail for spreadsheets (RFC 4180), or the line of its columns. A cell that a spreadsheet would run as a formula gets a quote in front, as spreadsheets themselves write it. */
export function auditCsv(event?: AuditEvent): string {
  if (!event) return CSV_COLUMNS.join(',')
  const line = auditJson(event)
  return CSV_COLUMNS.map((column) => {
    const value = line[column]
    const text = value === undefined ? '' : String(value)
    const plain = text.replace(STEERING, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`)
    const safe = FORMULA.test(plain) ? `'${plain}` : plain
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
  }).join(',')
}

const README = `Records of an archive, as they were put, with their manifests, proofs and the trail of what was done to them.

objects/VERSION/body           the bytes
objects/VERSION/manifest.json  what the proof shows the SHA-256 of, byte for byte; "sha256" in it is that of the body
objects/VERSION/proof.tlog-proof
                               c2sp.org/tlog-proof: the place of the record in the signed tree of the log
index-*.jsonl                  one line for each object: its name, how long it is kept, by which matters it is held
audit-*.jsonl, audit-*.csv     one line for each act: who signed it, when, what; also what was refused
trust.json                     origin and key of the log, and its witnesses. Have them from somebody whom you trust, not from here

"ate worm verify PROOF BODY --origin ORIGIN --log KEY" checks a proof without this archive and without its keys.
`
