/**
 * Where secret values come from: a pipe, a file, or a terminal without echo. Never the command line: other users of the machine
 * read it, and shells keep it in their history.
 */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { AteError } from '@ate/core'
import type { SecretValue } from '@ate/vault'
import { askHidden } from '../passphrase.ts'
import { usage } from './open.ts'

export interface InputOptions {
  readonly file?: string
  readonly json?: boolean
  readonly binary?: boolean
  readonly raw?: boolean
}

/** Bytes of one input; a vault takes less. */
const INPUT_BYTES_MAX: number = 16 * 1024 * 1024

/** The bytes of a file or of stdin. */
export async function readInput(file: string | undefined): Promise<Buffer> {
  if (file !== undefined && file !== '-') return readWhole(file)
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of process.stdin) {
    bytes += (chunk as Buffer).length
    if (bytes > INPUT_BYTES_MAX) throw new AteError('VALUE_TOO_LARGE', { bytes, max: INPUT_BYTES_MAX })
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}

/** The value that `put` writes, and `wrap` wraps. */
export async function readValue(what: string, { file, json, binary, raw }: InputOptions): Promise<SecretValue> {
  if (file === undefined && process.stdin.isTTY && !binary) {
    const typed = await askHidden(`Value of ${what} (not shown): `)
    return json ? parseJson(typed) : typed
  }
  const bytes = await readInput(file)
  // What a program that failed has left of a pipe is no value.
  if (bytes.length === 0 && (file === undefined || file === '-'))
    throw usage('nothing came from stdin; an empty value is stored with --file and an empty file')
  if (binary) return new Uint8Array(bytes)
  const text = textOf(bytes)
  if (json) return parseJson(text)
  // What `echo` and editors put at the end is not meant.
  return raw ? text : text.replace(/\r?\n$/, '')
}

/** A token or a share: one line, or as many as there are. */
export async function readLines(what: string, file: string | undefined): Promise<string[]> {
  const text =
    file === undefined && process.stdin.isTTY ? await askHidden(`${what} (not shown): `) : textOf(await readInput(file))
  return text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new AteError('BAD_VALUE', { what: 'the input is no UTF-8 text' }, { hint: 'for bytes give --binary' })
  }
}

/** The parser's own message quotes what it read. */
export function parseJson(text: string): SecretValue {
  let value: SecretValue
  try {
    value = JSON.parse(text) as SecretValue
  } catch {
    throw new AteError('BAD_VALUE', { what: 'the input is no JSON' })
  }
  for (const [token] of text.matchAll(STRING_OR_NUMBER)) if (!token.startsWith('"')) assertKeepsDigits(token)
  return value
}

const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/g
/** Decimal digits that each number keeps. */
const DIGITS = 15

/** An account number of twenty digits would come back as another one. */
function assertKeepsDigits(token: string): void {
  const value = Number(token)
  const digits = token.replace(/e.*$/i, '').replace(/[-.]/g, '').replace(/^0+/, '')
  const isKept =
    digits.length > DIGITS ? String(value) === token : Number.isFinite(value) && (value !== 0 || digits === '')
  if (!isKept) throw changedNumber()
}

export function changedNumber(facts: Readonly<Record<string, number>> = {}): AteError {
  return new AteError(
    'BAD_VALUE',
    { what: 'a number would not come back as it is written', ...facts },
    { hint: 'put it between quotation marks: then it is text' },
  )
}

function readWhole(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new AteError(
      'IO_ERROR',
      { file, reason: (cause as NodeJS.ErrnoException).code },
      { hint: 'the file cannot be read' },
    )
  }
}
