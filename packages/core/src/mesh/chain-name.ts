/**
 * Names of the chains of a server, and of the folders that hold them. A name is a path like `team/notes`. Its folder's
 * name is readable and says the name back; two names never share one, also where a disk does not tell upper from lower
 * case or one form of Unicode from another:
 *
 *   a-z 0-9 - _ .   themselves        /   +        A   =a        any other   ~HH for each byte of its UTF-8
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { CHAIN_FOLDER_BYTES_MAX, CHAIN_NAME_BYTES_MAX, CHAIN_NAME_PARTS_MAX } from '../base/limits.ts'

/** Made by `parseChainName` only. */
export type ChainName = string & { readonly __brand: 'ChainName' }

/** @throws AteError BAD_CHAIN_NAME */
export function parseChainName(text: unknown): ChainName {
  if (typeof text !== 'string') throw badName(text, 'no text')
  // Cheap first: what follows looks at every character.
  if (text.length === 0 || text.length > CHAIN_NAME_BYTES_MAX) throw badName(text, 'empty, or too long')
  const problem = problemOf(text)
  if (problem !== undefined) throw badName(text, problem)
  return text as ChainName
}

/** The name of the folder of a chain: at most CHAIN_FOLDER_BYTES_MAX bytes of ASCII. */
export function folderOfChain(name: ChainName): string {
  return encode(name)
}

/** The chain of a folder; undefined for one that is no chain's. */
export function chainOfFolder(folder: string): ChainName | undefined {
  const name = decode(folder)
  if (name === undefined || name.length > CHAIN_NAME_BYTES_MAX || problemOf(name) !== undefined) return undefined
  // A folder that somebody named otherwise is not the one that the name leads to.
  return encode(name) === folder ? (name as ChainName) : undefined
}

/** Control and format characters, which hide or steer; line and paragraph separators; halves of characters. */
const UNSEEN: RegExp = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u

function problemOf(name: string): string | undefined {
  if (utf8(name).length > CHAIN_NAME_BYTES_MAX) return 'too long'
  if (UNSEEN.test(name)) return 'holds a character that cannot be seen'
  if (name !== name.normalize('NFC')) return 'is not in the normal form of Unicode (NFC)'
  if (name.includes('~') || name.includes('\\')) return 'holds ~ or \\'
  const parts = name.split('/')
  if (parts.length > CHAIN_NAME_PARTS_MAX) return 'has too many parts'
  for (const part of parts) {
    if (part === '') return 'has an empty part'
    if (part.startsWith('.')) return 'has a part that begins with a dot'
    if (part !== part.trim()) return 'has a part with space around it'
  }
  return encode(name).length > CHAIN_FOLDER_BYTES_MAX ? 'too long' : undefined
}

/** Names that Windows keeps for devices, with or without an ending. */
const DEVICE: RegExp = /^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/

function encode(name: string): string {
  let text = ''
  for (const character of name) {
    if (/[a-z0-9._-]/.test(character)) text += character
    else if (character === '/') text += '+'
    else if (/[A-Z]/.test(character)) text += `=${character.toLowerCase()}`
    else for (const byte of utf8(character)) text += escaped(byte)
  }
  // Windows drops a dot at the end, and opens a device where a name of one stands.
  if (text.endsWith('.')) text = text.slice(0, -1) + escaped(0x2e)
  return DEVICE.test(text) ? escaped(text.charCodeAt(0)) + text.slice(1) : text
}

function decode(folder: string): string | undefined {
  const bytes: number[] = []
  const pieces = /([a-z0-9._-])|(\+)|=([a-z])|~([0-9a-f]{2})|(.)/gsu
  for (const [, plain, slash, upper, hex] of folder.matchAll(pieces)) {
    if (plain !== undefined) bytes.push(plain.charCodeAt(0))
    else if (slash !== undefined) bytes.push(SLASH)
    else if (upper !== undefined) bytes.push(upper.toUpperCase().charCodeAt(0))
    else if (hex !== undefined) bytes.push(Number.parseInt(hex, 16))
    else return undefined
  }
  try {
    return fromUtf8(Uint8Array.from(bytes))
  } catch {
    return undefined
  }
}

const SLASH = 0x2f

function escaped(byte: number): string {
  return `~${byte.toString(16).padStart(2, '0')}`
}

function badName(given: unknown, what: string): AteError {
  // What cannot be seen must not reach a log or a terminal either.
  const shown = typeof given === 'string' ? JSON.stringify(given.slice(0, 80)) : typeof given
  return new AteError('BAD_CHAIN_NAME', { name: shown, what })
}
