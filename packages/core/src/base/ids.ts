/**
 * Ids as text and as bytes. Text is Crockford base32 in lower case, without padding: 16 bytes are 26 characters,
 * 32 bytes are 52. One value has one text: unused bits are zero, and only the lower-case alphabet is accepted.
 */
import { AteError } from './errors.ts'

/** An entity: 16 bytes, 26 characters. */
export type EntityId = string & { readonly __brand: 'EntityId' }
/** A chain: the 32-byte hash of its genesis parameters, 52 characters. */
export type ChainId = string & { readonly __brand: 'ChainId' }
/** An identity's short name: the 32-byte hash of its public keys, 52 characters. */
export type Fingerprint = string & { readonly __brand: 'Fingerprint' }
/** An identity's public name: all its public keys and a checksum, self-contained text. */
export type PublicId = string & { readonly __brand: 'PublicId' }

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'
const VALUE_OF = new Int8Array(128).fill(-1)
const CODES = new Uint8Array(32)
for (let i = 0; i < 32; i++) {
  CODES[i] = ALPHABET.charCodeAt(i)
  VALUE_OF[CODES[i]!] = i
}

/** Crockford base32 text, most significant bits first, zero bits at the end. One string is made, not one a character. */
export function toBase32(bytes: Uint8Array): string {
  const codes: number[] = new Array(Math.ceil((bytes.length * 8) / 5))
  let at = 0
  let bits = 0
  let held = 0
  for (let i = 0; i < bytes.length; i++) {
    held = ((held << 8) | bytes[i]!) & 0xffff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      codes[at++] = CODES[(held >>> bits) & 31]!
    }
  }
  if (bits > 0) codes[at] = CODES[(held << (5 - bits)) & 31]!
  return String.fromCharCode(...codes)
}

/** The bytes of base32 text, or undefined if a character, the length or the unused bits are wrong. */
export function fromBase32(text: string, size: number): Uint8Array | undefined {
  if (text.length !== Math.ceil((size * 8) / 5)) return undefined
  const bytes = new Uint8Array(size)
  let bits = 0
  let held = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? VALUE_OF[code]! : -1
    if (value < 0) return undefined
    held = ((held << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = (held >>> bits) & 0xff
    }
  }
  return (held & ((1 << bits) - 1)) === 0 && at === size ? bytes : undefined
}

/** The text of an entity's id, of its four words of 32 bits; made for each event that is read, so without bytes in between. */
export function entityIdOfWords(a: number, b: number, c: number, d: number): EntityId {
  return String.fromCharCode(
    CODES[a >>> 27]!,
    CODES[(a >>> 22) & 31]!,
    CODES[(a >>> 17) & 31]!,
    CODES[(a >>> 12) & 31]!,
    CODES[(a >>> 7) & 31]!,
    CODES[(a >>> 2) & 31]!,
    CODES[((a & 3) << 3) | (b >>> 29)]!,
    CODES[(b >>> 24) & 31]!,
    CODES[(b >>> 19) & 31]!,
    CODES[(b >>> 14) & 31]!,
    CODES[(b >>> 9) & 31]!,
    CODES[(b >>> 4) & 31]!,
    CODES[((b & 15) << 1) | (c >>> 31)]!,
    CODES[(c >>> 26) & 31]!,
    CODES[(c >>> 21) & 31]!,
    CODES[(c >>> 16) & 31]!,
    CODES[(c >>> 11) & 31]!,
    CODES[(c >>> 6) & 31]!,
    CODES[(c >>> 1) & 31]!,
    CODES[((c & 1) << 4) | (d >>> 28)]!,
    CODES[(d >>> 23) & 31]!,
    CODES[(d >>> 18) & 31]!,
    CODES[(d >>> 13) & 31]!,
    CODES[(d >>> 8) & 31]!,
    CODES[(d >>> 3) & 31]!,
    CODES[(d & 7) << 2]!,
  ) as EntityId
}

export function chainIdOf(bytes: Uint8Array): ChainId {
  return toBase32(bytes) as ChainId
}

export function fingerprintOf(bytes: Uint8Array): Fingerprint {
  return toBase32(bytes) as Fingerprint
}

/** @throws AteError BAD_ID */
export function parseId(text: unknown, kind: 'chain' | 'entity' | 'fingerprint'): Uint8Array {
  const bytes = typeof text === 'string' ? fromBase32(text, kind === 'entity' ? 16 : 32) : undefined
  if (!bytes) throw new AteError('BAD_ID', { kind, given: typeof text === 'string' ? text.slice(0, 60) : typeof text })
  return bytes
}
