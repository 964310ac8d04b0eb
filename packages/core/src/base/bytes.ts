/** Small helpers over Uint8Array, without Buffer, so that they run in browsers. */

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

/** Bytes as lower-case hexadecimal text. */
export function toHex(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += HEX[bytes[i]!]
  return text
}

/** Hexadecimal text as bytes, or undefined if it is not an even number of hexadecimal digits. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  return bytes
}

/** Engines since 2025 have it. */
interface MaybeBase64 {
  toBase64?(): string
}

/** Bytes as standard base64 with padding (RFC 4648, 4). */
export function toBase64(bytes: Uint8Array): string {
  const native = (bytes as MaybeBase64).toBase64?.()
  if (native !== undefined) return native
  // In parts: a spread of a whole record would overflow the stack.
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return btoa(text)
}

/** The bytes of base64 text, or undefined unless the text is the one encoding of them. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return undefined
  const bytes = fromBinaryText(atob(text))
  return toBase64(bytes) === text ? bytes : undefined
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  return joinBytes(parts)
}

/** Larger ones are seldom, and not kept. */
const KEPT_BYTES_MAX = 512

/** The same, in an array of `kept` where one of its size is there, which the next call for as many bytes writes over. */
export function joinBytes(parts: readonly Uint8Array[], kept?: Uint8Array[]): Uint8Array {
  let size = 0
  for (const part of parts) size += part.length
  const bytes = kept?.[size] ?? new Uint8Array(size)
  if (kept && size <= KEPT_BYTES_MAX) kept[size] = bytes
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}

/** Copies `from[start..end)` to `to` at `at`: by hand where a view would cost more than the copy. */
export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > 96) {
    to.set(from.subarray(start, end), at)
    return
  }
  for (let i = start, o = at; i < end; i++, o++) to[o] = from[i]!
}

/** Equality in time that depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}

/** Order of two byte strings, first difference decides, shorter first: negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const size = Math.min(a.length, b.length)
  for (let i = 0; i < size; i++) if (a[i] !== b[i]) return a[i]! - b[i]!
  return a.length - b.length
}

/** Texts up to here are encoded by a loop, in UTF-16 units: the call of an encoder costs more. */
export const LOOP_TEXT_LENGTH = 48
const encoder = new TextEncoder()
// A byte order mark is a character like others: dropped, two texts would have one reading.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Whether it has no half of a surrogate pair: as bytes, all halves are one. */
export function isWellFormed(text: string): boolean {
  const native = (text as { isWellFormed?: () => boolean }).isWellFormed
  return native ? native.call(text) : !/\p{Surrogate}/u.test(text)
}

export function utf8(text: string): Uint8Array {
  return shortAscii(text) ?? encoder.encode(text)
}

/** Names are short and mostly ASCII: a loop costs less than the call of an encoder. */
function shortAscii(text: string): Uint8Array | undefined {
  const { length } = text
  if (length > LOOP_TEXT_LENGTH) return undefined
  const bytes = new Uint8Array(length)
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 127) return undefined
    bytes[i] = unit
  }
  return bytes
}

/** Text of UTF-8 bytes; throws a TypeError on malformed input, so callers check first. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** One byte a character (0 to 255): a cheap map key for short binary ids. */
export function toBinaryText(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i++) text += String.fromCharCode(bytes[i]!)
  return text
}

/** The bytes of text made by toBinaryText. */
export function fromBinaryText(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

/** Overwrites a secret. JavaScript may hold other copies; this removes the one we know. */
export function wipe(bytes: Uint8Array): void {
  bytes.fill(0)
}
