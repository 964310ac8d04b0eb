/** What goes to stdout and stderr: text that cannot steer a terminal, JSON, and errors. */
import { once } from 'node:events'
import process from 'node:process'
import { type AteError, isAteError } from '@ate/core'

/** Writes to stdout and waits while its reader is slow, so that a long dump does not fill the memory. */
export async function print(text: string): Promise<void> {
  if (!process.stdout.write(`${text}\n`)) await once(process.stdout, 'drain')
}

/** `CODE: advice (facts)`, and what that means on a command line; for what is not ours, its message. */
export function printError(error: unknown): void {
  const text = isAteError(error) || error instanceof Error ? error.message : String(error)
  process.stderr.write(`${printable(text)}\n`)
  const hint = isAteError(error) ? hintOf(error) : undefined
  if (hint !== undefined) process.stderr.write(`${hint}\n`)
}

function hintOf({ code, facts }: AteError): string | undefined {
  // Of a server the facts say the name alone.
  if (code === 'CHAIN_NOT_FOUND' && facts['name'] !== undefined) return NOT_AT_SERVER
  return HINTS[code]
}

const NOT_AT_SERVER =
  'At a server a chain is made by a program (openChain with `create: true`), or moved there: `ate push FOLDER DATA/chains/NAME --to-server`.'

/** Where the advice of a code speaks of the library. */
const HINTS: Readonly<Record<string, string>> = {
  SERVER_UNKNOWN: 'Give it with --server-key KEY, once: this machine remembers it.',
  SERVER_CHANGED: 'If it is right: --server-key KEY, once.',
  NOT_PINNED: 'If that is the chain that you mean, give it with --id.',
  PASSPHRASE_NEEDED: 'Give --passphrase-file FILE, or set ATE_PASSPHRASE; on a terminal it is asked for.',
  DAMAGED: '`ate verify` says what is damaged, and where; `ate salvage` copies what is sound.',
  NO_CHECKPOINT:
    'A program that opens the chain as its root calls chain.checkpoint(); it covers all records before it.',
  RULE_BROKEN:
    '`ate dump PLACE --from SEQ --limit 1` shows the record. What was before it still counts: `--at` SEQ minus 1.',
  CHAIN_COPY: 'The original is there: `ate push` moves it. It is lost: `ate recover PLACE`.',
  CHAIN_INCOMPLETE: 'The same command finishes it; `ate destroy PLACE` takes it away.',
  CHAIN_DESTROYED: '`ate destroy PLACE` finishes it.',
  ROLLBACK: 'If the newer records are lost for good: `ate recover PLACE`.',
  CHAIN_NOT_FOUND: 'A place is the folder that was given to openChain; `ate ls` lists those of this machine.',
}

/** One line: control characters, which could steer the reader's terminal, and breaks are shown as escapes. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
  })
}

/** JSON of what chains hold: bigints as decimal text, bytes as hexadecimal text. Controls that JSON may have in clear are escaped too. */
export function toJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, (_, item: unknown) => plain(item), indent)
  return text.replace(/[\u007f-\u009f]/g, (character) => `\\u00${character.charCodeAt(0).toString(16)}`)
}

function plain(item: unknown): unknown {
  if (typeof item === 'bigint') return String(item)
  if (item instanceof Uint8Array) return toHex(item)
  if (item instanceof Map) return [...item]
  if (item instanceof Set) return [...item]
  return item
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Enough of a fingerprint to tell identities of one chain apart; never enough to trust one. */
export function short(id: string): string {
  return id.slice(0, 8)
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

export function timeText(ms: number): string {
  return Number.isSafeInteger(ms) && ms >= 0 && ms < 8.64e15 ? new Date(ms).toISOString() : String(ms)
}

/** Exact, and in a unit that can be read. */
export function bytesText(bytes: number): string {
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  let size = bytes
  let unit = ''
  for (const next of units) {
    if (size < 1024) break
    size /= 1024
    unit = next
  }
  return unit === '' ? `${bytes} bytes` : `${size.toFixed(1)} ${unit} (${bytes} bytes)`
}
