/**
 * Values as CBOR (RFC 8949): what a user may store, and what is signed. Bytes from outside are
 * read by cbor-read.ts, which checks as it reads. A value comes back as what it was: numbers as numbers (-0, NaN and infinities too), bigints as
 * bigints, a Uint8Array (of any subclass) as a Uint8Array of its own memory, a Date to the millisecond (beyond the year
 * 37,648 only whole seconds are taken).
 */
import { BODY_BYTES_MAX } from '../base/limits.ts'
import { writeValue } from './cbor-encode.ts'
import { type CborLimits, readCbor } from './cbor-read.ts'
import { ByteWriter } from './writer.ts'

/** Major type of RFC 8949, 3.1. */
const BYTE_STRING = 2

/**
 * The encoding of a value: null, boolean, number, bigint of at most 128 bits, text, Uint8Array, Date, arrays and plain
 * objects of these; properties keep their order, those that are undefined are left out. At most 32 levels, 65,536 items
 * and 896 KiB.
 * @throws AteError BAD_VALUE { path, what } for anything else: functions, symbols, class instances, cycles, half
 * surrogate pairs, holes in arrays, the key `__proto__`. VALUE_TOO_LARGE { bytes, max }.
 */
export function encodeValue(value: unknown): Uint8Array {
  return encoded(value, 'insertion')
}

/** As encodeValue, at the end of `writer`: the number of bytes. After a throw nothing was written. */
export function encodeValueInto(writer: ByteWriter, value: unknown): number {
  return writeValue(writer, value, 'insertion')
}

/** @throws AteError BAD_CBOR { at, what } */
export function decodeValue(bytes: Uint8Array, limits?: CborLimits): unknown {
  return readCbor(bytes, 0, limits)
}

/**
 * The value that is `bytes[at..to)`; `frozen`: its arrays, objects and dates are. Copied to `into` if it is bytes that
 * fit. @throws AteError BAD_CBOR { at, what }
 */
export function decodeValueFrom(
  bytes: Uint8Array,
  at: number,
  made: 'open' | 'frozen',
  into?: Uint8Array,
  to: number = bytes.length,
): unknown {
  return (into && bytesInto(into, bytes.subarray(at, to))) ?? readCbor(bytes, at, undefined, made, to)
}

/** Undefined unless it is one whole byte string in its one encoding, and fits: what is wrong with it the reader says. */
function bytesInto(into: Uint8Array, item: Uint8Array): Uint8Array | undefined {
  const [kind, info] = [(item[0] ?? 0) >> 5, (item[0] ?? 0) & 31]
  if (kind !== BYTE_STRING || info > 27 || item.length > BODY_BYTES_MAX) return undefined
  const more = info < 24 ? 0 : 2 ** (info - 24)
  const content = item.subarray(1 + more)
  const size = more === 0 ? info : item.subarray(1, 1 + more).reduce((sum, byte) => sum * 256 + byte, 0)
  const isShortest = more === 0 || size >= (more === 1 ? 24 : 256 ** (more / 2))
  if (size !== content.length || !isShortest || size > into.length) return undefined
  into.set(content)
  return into.subarray(0, size)
}

/** As encodeValue with keys in bytewise order (RFC 8949, 4.2.1): equal values have equal bytes. For what is signed. */
export function encodeCanonical(value: unknown): Uint8Array {
  return encoded(value, 'sorted')
}

/** As encodeCanonical, at the end of `writer`: the number of bytes. After a throw nothing was written. */
export function encodeCanonicalInto(writer: ByteWriter, value: unknown): number {
  return writeValue(writer, value, 'sorted')
}

/**
 * Reads what encodeCanonical writes and refuses every other encoding of the same value.
 * @throws AteError BAD_CBOR { at, what }
 */
export function decodeCanonical(bytes: Uint8Array, limits?: Omit<CborLimits, 'keyOrder'>): unknown {
  return readCbor(bytes, 0, { ...limits, keyOrder: 'sorted' })
}

function encoded(value: unknown, order: 'insertion' | 'sorted'): Uint8Array {
  const writer = new ByteWriter(256)
  writeValue(writer, value, order)
  return writer.copy()
}
