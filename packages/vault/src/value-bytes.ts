/**
 * Values as bytes: a tag (text, JSON or bytes), a length, the content, and zeros up to the next step, so that the size in
 * the log tells little of the length of a password.
 */
import { AteError, isWellFormed } from '@ate/core'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** What a secret may be: text, bytes, or what JSON can say. */
export type SecretValue = string | Uint8Array | Json

const TEXT = 1
const JSON_TEXT = 2
const BYTES = 3
const HEADER_BYTES = 5
/** Bytes of one value: what one entity takes, less what sealing adds. */
const VALUE_BYTES_MAX: number = 768 * 1024
const DEPTH_MAX = 32
const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws AteError BAD_VALUE | VALUE_TOO_LARGE. No error holds a part of the value. */
export function encodeValue(value: unknown): Uint8Array {
  const [tag, content] = contentOf(value)
  if (content.length > VALUE_BYTES_MAX)
    throw new AteError('VALUE_TOO_LARGE', { bytes: content.length, max: VALUE_BYTES_MAX })
  const bytes = new Uint8Array(paddedSize(HEADER_BYTES + content.length))
  bytes[0] = tag
  new DataView(bytes.buffer).setUint32(1, content.length)
  bytes.set(content, HEADER_BYTES)
  if (tag !== BYTES) content.fill(0)
  return bytes
}

/** @throws AteError BAD_VALUE */
export function decodeValue(bytes: Uint8Array): SecretValue {
  const size = bytes.length < HEADER_BYTES ? -1 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(1)
  if (size < 0 || HEADER_BYTES + size > bytes.length)
    throw new AteError('BAD_VALUE', { what: 'a value of a wrong shape' })
  const content = bytes.subarray(HEADER_BYTES, HEADER_BYTES + size)
  if (bytes[0] === BYTES) return content.slice()
  try {
    const text = decoder.decode(content)
    if (bytes[0] === TEXT) return text
    if (bytes[0] === JSON_TEXT) return JSON.parse(text) as Json
  } catch {
    // No cause: it would show a part of the value.
  }
  throw new AteError('BAD_VALUE', { what: 'a value of a wrong shape' })
}

function contentOf(value: unknown): readonly [number, Uint8Array] {
  if (typeof value === 'string') {
    if (!isWellFormed(value)) throw new AteError('BAD_VALUE', { what: 'the text has half a character' })
    return [TEXT, encoder.encode(value)]
  }
  if (value instanceof Uint8Array) return [BYTES, value]
  checkJson(value, 0)
  return [JSON_TEXT, encoder.encode(JSON.stringify(value))]
}

/** What JSON would change on the way is refused: a Date, a bigint, NaN, a class. */
function checkJson(value: unknown, depth: number): void {
  if (depth > DEPTH_MAX) throw new AteError('BAD_VALUE', { what: `deeper than ${DEPTH_MAX} levels` })
  if (value === null || typeof value === 'boolean') return
  if (typeof value === 'string' && isWellFormed(value)) return
  if (typeof value === 'number' && Number.isFinite(value) && !Object.is(value, -0)) return
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) checkJson(value[i], depth + 1)
    return
  }
  const plain = typeof value === 'object' && value !== null && isPlain(value)
  if (!plain)
    throw new AteError('BAD_VALUE', { what: 'a secret is text, bytes, or what JSON can say', type: typeof value })
  for (const item of Object.values(value)) if (item !== undefined) checkJson(item, depth + 1)
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (prototype === Object.prototype || prototype === null) && typeof Reflect.get(value, 'toJSON') !== 'function'
}

/** Steps of 32 bytes up to 512, then an eighth of the power of two below: at most 12 % more. */
function paddedSize(bytes: number): number {
  const step = bytes <= 512 ? 32 : 2 ** (Math.floor(Math.log2(bytes)) - 3)
  return Math.ceil(bytes / step) * step
}
