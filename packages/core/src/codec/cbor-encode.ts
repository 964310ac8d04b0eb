/**
 * Values to CBOR in one pass: checks and writes each item as it is met, because a check before another encoder reads
 * every property twice, and no general encoder writes shortest forms only. What it writes, cbor-read.ts accepts.
 */

import { compareBytes, isWellFormed, LOOP_TEXT_LENGTH, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { BIGINT_BYTES_MAX, BODY_BYTES_MAX, CBOR_DEPTH_MAX, CBOR_ITEMS_MAX } from '../base/limits.ts'
import { dateMs } from './cbor-date.ts'
import { ByteWriter } from './writer.ts'

export type KeyOrder = 'insertion' | 'sorted'

/**
 * Writes `value` at the end of `writer` and returns the bytes written. After a throw the writer stands where it stood.
 * @throws AteError BAD_VALUE { path, what } | VALUE_TOO_LARGE { bytes, max }
 */
export function writeValue(writer: ByteWriter, value: unknown, order: KeyOrder): number {
  const start = writer.at
  // A getter in a value may encode another one meanwhile: that one makes its own.
  const encoding = spare ?? new Encoding()
  spare = undefined
  try {
    encoding.begin(writer, order)
    encoding.item(value, 0)
    encoding.checkSize()
  } catch (error) {
    writer.at = start
    throw error
  } finally {
    encoding.begin(NO_WRITER, order)
    spare = encoding
  }
  return writer.at - start
}

/** An encoding that is not in use: values are many and small. */
let spare: Encoding | undefined

const encoder = new TextEncoder()
const float = new DataView(new ArrayBuffer(8))
const NO_WRITER = new ByteWriter(0)
const SMALL_BIGINT_MAX = 0xffffffffn
const BIGINT_LIMIT = 1n << BigInt(BIGINT_BYTES_MAX * 8)

class Encoding {
  private writer: ByteWriter = NO_WRITER
  private start = 0
  private sorted = false
  private items = 0
  /** Keys and indexes that lead to the item at hand, for the text of an error. */
  private readonly trail: (string | number)[] = []

  begin(writer: ByteWriter, order: KeyOrder): void {
    this.writer = writer
    this.start = writer.at
    this.sorted = order === 'sorted'
    this.items = 0
  }

  item(value: unknown, depth: number): void {
    if (++this.items > CBOR_ITEMS_MAX) this.refuse(`more than ${CBOR_ITEMS_MAX} items`, depth)
    switch (typeof value) {
      case 'string':
        this.text(value, depth)
        return
      case 'number':
        this.number(value)
        return
      case 'boolean':
        this.writer.u8(value ? 0xf5 : 0xf4)
        return
      case 'bigint':
        this.bigint(value, depth)
        return
      case 'object':
        if (value === null) this.writer.u8(0xf6)
        else this.object(value, depth)
        return
      default:
        this.refuse(typeof value, depth)
    }
  }

  checkSize(): void {
    const bytes = this.writer.at - this.start
    if (bytes > BODY_BYTES_MAX) throw new AteError('VALUE_TOO_LARGE', { bytes, max: BODY_BYTES_MAX })
  }

  private header(major: number, argument: number): void {
    const w = this.writer
    w.need(9)
    const b = w.buffer
    const high = major << 5
    if (argument < 24) b[w.at++] = high | argument
    else if (argument < 0x100) {
      b[w.at++] = high | 24
      b[w.at++] = argument
    } else if (argument < 0x10000) {
      b[w.at++] = high | 25
      w.u16(argument)
    } else if (argument < 0x100000000) {
      b[w.at++] = high | 26
      w.u32(argument)
    } else {
      b[w.at++] = high | 27
      w.u64(argument)
    }
  }

  private number(value: number): void {
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
      if (value >= 0) this.header(0, value)
      else this.header(1, -1 - value)
      return
    }
    const w = this.writer
    w.need(9)
    // One NaN for all: engines keep payloads or do not, so the bits are set by hand.
    if (Number.isNaN(value)) float.setBigUint64(0, 0x7ff8000000000000n)
    else float.setFloat64(0, value)
    w.buffer[w.at++] = 0xfb
    for (let i = 0; i < 8; i++) w.buffer[w.at++] = float.getUint8(i)
  }

  private bigint(value: bigint, depth: number): void {
    const magnitude = value < 0n ? -1n - value : value
    if (magnitude <= SMALL_BIGINT_MAX) {
      this.smallBigint(value < 0n, Number(magnitude))
      return
    }
    if (magnitude >= BIGINT_LIMIT) this.refuse(`a bigint of more than ${BIGINT_BYTES_MAX * 8} bits`, depth)
    const hex = magnitude.toString(16)
    const size = (hex.length + 1) >> 1
    const w = this.writer
    w.need(2 + size)
    w.buffer[w.at++] = value < 0n ? 0xc3 : 0xc2
    w.buffer[w.at++] = 0x40 | size
    const padded = hex.padStart(size * 2, '0')
    for (let i = 0; i < size; i++) w.buffer[w.at++] = Number.parseInt(padded.slice(2 * i, 2 * i + 2), 16)
  }

  /** Of at most 32 bits, which most sums have: without a text in between. */
  private smallBigint(isNegative: boolean, magnitude: number): void {
    const size = magnitude === 0 ? 0 : magnitude < 0x100 ? 1 : magnitude < 0x10000 ? 2 : magnitude < 0x1000000 ? 3 : 4
    const w = this.writer
    w.need(2 + size)
    const b = w.buffer
    b[w.at++] = isNegative ? 0xc3 : 0xc2
    b[w.at++] = 0x40 | size
    for (let shift = 8 * (size - 1); shift >= 0; shift -= 8) b[w.at++] = magnitude >>> shift
  }

  private text(value: string, depth: number): void {
    const length = value.length
    if (length <= LOOP_TEXT_LENGTH && this.asciiText(value, length)) return
    if (!isWellFormed(value)) this.refuse('a text with half a surrogate pair', depth)
    // The room for three bytes a character is taken before it is known, so the limit comes first.
    if (length > BODY_BYTES_MAX) throw new AteError('VALUE_TOO_LARGE', { bytes: length, max: BODY_BYTES_MAX })
    const w = this.writer
    w.need(9 + 3 * length)
    const guessed = headerSize(length)
    const from = w.at
    const size = encoder.encodeInto(value, w.buffer.subarray(from + guessed)).written
    const real = headerSize(size)
    if (real !== guessed) w.buffer.copyWithin(from + real, from + guessed, from + guessed + size)
    this.header(3, size)
    w.at = from + real + size
    this.checkSize()
  }

  /** False, with nothing written, if a character is not ASCII. */
  private asciiText(value: string, length: number): boolean {
    const w = this.writer
    const from = w.at
    this.header(3, length)
    w.need(length)
    const b = w.buffer
    let at = w.at
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i)
      if (code > 127) {
        w.at = from
        return false
      }
      b[at++] = code
    }
    w.at = at
    return true
  }

  private object(value: object, depth: number): void {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) this.map(value as Record<string, unknown>, depth)
    else if (Array.isArray(value)) this.array(value, depth)
    else if (isBytes(value)) this.byteString(value)
    else if (value instanceof Date) this.date(value, depth)
    else if (isForeignPlain(prototype as object)) this.map(value as Record<string, unknown>, depth)
    else this.refuse('an instance of a class', depth)
  }

  private array(value: readonly unknown[], depth: number): void {
    this.enter(depth)
    const length = value.length
    if (length > CBOR_ITEMS_MAX) this.refuse(`more than ${CBOR_ITEMS_MAX} items`, depth)
    this.header(4, length)
    for (let i = 0; i < length; i++) {
      this.trail[depth] = i
      this.item(value[i], depth + 1)
    }
  }

  private map(value: Record<string, unknown>, depth: number): void {
    this.enter(depth)
    const keys = Object.keys(value)
    if (Object.getOwnPropertySymbols(value).length > 0) this.refuse('a key that is a symbol', depth)
    if (this.sorted) sortKeys(keys)
    const from = this.writer.at
    this.header(5, keys.length)
    let absent = 0
    for (let i = 0; i < keys.length; i++) {
      const key = keys[i]!
      const member = value[key]
      if (member === undefined) {
        absent++
        continue
      }
      this.trail[depth] = key
      this.key(key, depth + 1)
      this.item(member, depth + 1)
    }
    if (absent > 0) this.shortenHeader(from, keys.length, keys.length - absent)
  }

  private key(key: string, depth: number): void {
    if (key === '__proto__') this.refuse('the key __proto__', depth)
    if (++this.items > CBOR_ITEMS_MAX) this.refuse(`more than ${CBOR_ITEMS_MAX} items`, depth)
    this.text(key, depth)
  }

  /** Members that were undefined are left out: the count is known only now, since a property is read once. */
  private shortenHeader(from: number, written: number, count: number): void {
    const w = this.writer
    const to = w.at
    const surplus = headerSize(written) - headerSize(count)
    if (surplus > 0) w.buffer.copyWithin(from + headerSize(count), from + headerSize(written), to)
    w.at = from
    this.header(5, count)
    w.at = to - surplus
  }

  private byteString(value: Uint8Array): void {
    this.header(2, value.length)
    if (value.length > BODY_BYTES_MAX)
      throw new AteError('VALUE_TOO_LARGE', { bytes: value.length, max: BODY_BYTES_MAX })
    this.writer.raw(value)
    this.checkSize()
  }

  private date(value: Date, depth: number): void {
    let ms = Number.NaN
    try {
      ms = Date.prototype.getTime.call(value)
    } catch {
      // Not a real Date but an object with its prototype: refused with the invalid ones.
    }
    if (Number.isNaN(ms)) this.refuse('an invalid date', depth)
    if (dateMs(ms / 1000) !== ms) this.refuse('a part of a second in a date this far away', depth)
    this.writer.u8(0xc1)
    this.number(ms / 1000)
  }

  /** A cycle ends here too: it is deeper than any limit. */
  private enter(depth: number): void {
    if (depth >= CBOR_DEPTH_MAX) this.refuse(`more than ${CBOR_DEPTH_MAX} levels, or a cycle`, depth)
  }

  private refuse(what: string, depth: number): never {
    throw new AteError('BAD_VALUE', { path: pathText(this.trail.slice(0, depth)), what })
  }
}

function headerSize(argument: number): number {
  return argument < 24 ? 1 : argument < 0x100 ? 2 : argument < 0x10000 ? 3 : argument < 0x100000000 ? 5 : 9
}

/** Bytewise order of the encoded keys (RFC 8949, 4.2.1): the length stands first in the encoding. */
function sortKeys(keys: string[]): void {
  if (keys.length < 2) return
  const encoded = new Map(keys.map((key) => [key, utf8(key)]))
  keys.sort((a, b) => {
    const left = encoded.get(a)!
    const right = encoded.get(b)!
    return left.length - right.length || compareBytes(left, right)
  })
}

function isBytes(value: object): value is Uint8Array {
  return ArrayBuffer.isView(value) && (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === 'Uint8Array'
}

/** The Object.prototype of another realm (a frame, a vm context): nothing above it, and it has what only that one has. */
function isForeignPlain(prototype: object): boolean {
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf')
}

function pathText(trail: readonly (string | number)[]): string {
  let text = ''
  for (const step of trail) {
    if (typeof step === 'number') text += `[${step}]`
    else text += text === '' ? step.slice(0, 60) : `.${step.slice(0, 60)}`
  }
  return text.length > 400 ? `${text.slice(0, 400)}...` : text
}
