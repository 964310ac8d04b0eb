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
for (let i = 0; i < 32; i++) VALUE_OF[ALPHABET.charCodeAt(i)] = i

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
      codes[at++] = ALPHABET.charCodeAt((held >>> bits) & 31)
    }
  }
  if (bits > 0) codes[at] = ALPHABET.charCodeAt((held << (5 - bits)) & 31)
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

const entityBytes = new Uint8Array(16)
const entityWords = new DataView(entityBytes.buffer)

/** The text of an entity's id, of its four words of 32 bits. */
export function entityIdOfWords(...words: readonly [number, number, number, number]): EntityId {
  for (let i = 0; i < 4; i++) entityWords.setInt32(4 * i, words[i]!)
  return toBase32(entityBytes) as EntityId
}

export function chainIdOf(bytes: Uint8Array): ChainId {
  return toBase32(bytes) as ChainId
}

export function entityIdOf(bytes: Uint8Array): EntityId {
  return toBase32(bytes) as EntityId
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
