/**
 * Values as CBOR (RFC 8949): what a user may store, and what is signed. Bytes from outside pass cbor-check.ts before a
 * decoder sees them. A value comes back as what it was: numbers as numbers (-0, NaN and infinities too), bigints as
 * bigints, a Uint8Array (of any subclass) as a Uint8Array of its own memory, a Date to the millisecond (beyond the year
 * 37,648 only whole seconds are taken).
 */
import { decodeExact } from '#decode'
import { type CborLimits, checkCbor } from './cbor-check.ts'
import { writeValue } from './cbor-encode.ts'
import { readCheckedCbor } from './cbor-plain.ts'
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
  return decodeValueFrom(bytes, 0, limits)
}

/** The value that stands in `bytes` from `at` on; copied to `into` if it is bytes that fit. @throws AteError BAD_CBOR { at, what } */
export function decodeValueFrom(bytes: Uint8Array, at: number, limits?: CborLimits, into?: Uint8Array): unknown {
  // A view of our own: the decoder hangs a property on its input, and from a Buffer it would make Buffers.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset + at, bytes.length - at)
  const exact = checkCbor(view, limits)
  return (into && bytesInto(into, view)) ?? decodeChecked(view, exact)
}

/** Of a checked item. Undefined if it is another value, or does not fit. */
function bytesInto(into: Uint8Array, item: Uint8Array): Uint8Array | undefined {
  const [kind, argument] = [item[0]! >> 5, item[0]! & 31]
  const content = item.subarray(argument < 24 ? 1 : 1 + 2 ** (argument - 24))
  if (kind !== BYTE_STRING || content.length > into.length) return undefined
  into.set(content)
  return into.subarray(0, content.length)
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
  return decodeValueFrom(bytes, 0, { ...limits, keyOrder: 'sorted' })
}

function decodeChecked(bytes: Uint8Array, exact: boolean): unknown {
  return exact ? decodeExact(bytes) : readCheckedCbor(bytes)
}

function encoded(value: unknown, order: 'insertion' | 'sorted'): Uint8Array {
  const writer = new ByteWriter(256)
  writeValue(writer, value, order)
  return writer.copy()
}
