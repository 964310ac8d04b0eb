/**
 * A signed note of C2SP (signed-note) around a checkpoint (tlog-checkpoint): three lines of text, an empty one, then one
 * line a signature. Who relies on a key looks its line up by name and key id, and ignores the lines of others.
 */
import { fromBase64, fromUtf8, toBase64, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { NOTE_BYTES_MAX, NOTE_LINES_MAX } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'

/** Bytes that say what a key signs: Ed25519 of the note's text, or a timestamped cosignature of a witness. */
export const KEY_TYPE = { ed25519: 1, cosignature: 4 } as const

export interface Checkpoint {
  readonly origin: string
  readonly size: number
  readonly root: Uint8Array
}

export interface Note {
  readonly checkpoint: Checkpoint
  /** What is signed: the three lines with their line ends. */
  readonly text: string
  /** The signature lines, without line ends. */
  readonly lines: readonly string[]
}

export function noteText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${toBase64(root)}\n`
}

/** @throws AteError BAD_CHECKPOINT */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > NOTE_BYTES_MAX) throw new AteError('BAD_CHECKPOINT', { bytes: bytes.length })
  const text = decodeText(bytes)
  const match = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([A-Za-z0-9+/]{43}=)\n\n((?:— [^\n]+\n)+)$/.exec(text)
  const root = match && fromBase64(match[3]!)
  const size = Number(match?.[2])
  if (!match || !root || !Number.isSafeInteger(size)) throw new AteError('BAD_CHECKPOINT', { what: 'form' })
  const lines = match[4]!.split('\n').slice(0, -1)
  if (lines.length > NOTE_LINES_MAX)
    throw new AteError('BAD_CHECKPOINT', { signatures: lines.length, max: NOTE_LINES_MAX })
  const checkpoint = { origin: match[1]!, size, root }
  return { checkpoint, text: noteText(checkpoint), lines }
}

/** A line of `name`: 4 bytes of key id, then the signature. */
export function noteLine(name: string, keyId: Uint8Array, signature: Uint8Array): string {
  const bytes = new Uint8Array(4 + signature.length)
  bytes.set(keyId, 0)
  bytes.set(signature, 4)
  return `— ${name} ${toBase64(bytes)}`
}

/** What stands behind the key id in a line of this key; undefined if the line is of another, or has no such form. */
export function signatureIn(line: string, name: string, keyId: Uint8Array): Uint8Array | undefined {
  const prefix = `— ${name} `
  const bytes = line.startsWith(prefix) ? fromBase64(line.slice(prefix.length)) : undefined
  if (!bytes || bytes.length < 4 || !keyId.every((byte, i) => byte === bytes[i])) return undefined
  return bytes.subarray(4)
}

/** The first 4 bytes of SHA-256(name, newline, key type, key): signed-note's key id. */
export function keyIdOf(
  crypto: Pick<CryptoProvider, 'sha256'>,
  name: string,
  type: number,
  key: Uint8Array,
): Uint8Array {
  const head = utf8(`${name}\n`)
  const bytes = new Uint8Array(head.length + 1 + key.length)
  bytes.set(head, 0)
  bytes[head.length] = type
  bytes.set(key, head.length + 1)
  return crypto.sha256(bytes).slice(0, 4)
}

/**
 * The note with more signature lines, each once. Whether they verify is for those who know their keys.
 * @throws AteError BAD_CHECKPOINT if a line has no form of one, or the note would be too large
 */
export function addLines(note: Uint8Array, lines: readonly string[]): Uint8Array {
  const parsed = parseNote(note)
  for (const line of lines)
    if (!isLine(line)) throw new AteError('BAD_CHECKPOINT', { what: 'form of a signature line' })
  const all = [...new Set([...parsed.lines, ...lines])]
  const grown = utf8(`${parsed.text}\n${all.map((line) => `${line}\n`).join('')}`)
  parseNote(grown)
  return grown
}

/** Dash, name without spaces, plus or control characters, and base64 of more than 4 bytes. */
function isLine(line: unknown): boolean {
  const match = typeof line === 'string' && /^— [^\p{Z}\p{C}+]+ ([A-Za-z0-9+/=]+)$/u.exec(line)
  return match ? (fromBase64(match[1]!)?.length ?? 0) > 4 : false
}

function decodeText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes)
  } catch (cause) {
    throw new AteError('BAD_CHECKPOINT', { what: 'not UTF-8' }, { cause })
  }
}
