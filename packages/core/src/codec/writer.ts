/**
 * Bytes out and in: fixed-width integers are big-endian, varints are LEB128 of at most 8 bytes, below 2^53, in their
 * shortest form (one meaning, one encoding). The reader checks every length against what is left before it uses it.
 */
import { copyBytes, LOOP_TEXT_LENGTH, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'

/** A buffer that grows; `bytes()` gives a view that is valid until the next write. */
export class ByteWriter {
  buffer: Uint8Array
  at = 0
  #views: (Uint8Array | undefined)[] | undefined

  constructor(sizeHint = 1024) {
    this.buffer = new Uint8Array(sizeHint)
  }

  reset(): void {
    this.at = 0
  }

  /** Makes room for `size` more bytes; the hot path calls it once and then writes to `buffer` itself. */
  need(size: number): void {
    if (this.at + size <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.at + size))
    grown.set(this.buffer.subarray(0, this.at))
    this.buffer = grown
  }

  u8(value: number): void {
    this.need(1)
    this.buffer[this.at++] = value
  }

  u16(value: number): void {
    this.need(2)
    this.buffer[this.at++] = value >>> 8
    this.buffer[this.at++] = value
  }

  u32(value: number): void {
    this.need(4)
    const b = this.buffer
    b[this.at++] = value >>> 24
    b[this.at++] = value >>> 16
    b[this.at++] = value >>> 8
    b[this.at++] = value
  }

  /** A whole number below 2^53 in eight bytes. */
  u64(value: number): void {
    this.u32(Math.floor(value / 2 ** 32))
    this.u32(value >>> 0)
  }

  varint(value: number): void {
    this.need(8)
    const b = this.buffer
    let rest = value
    while (rest > 127) {
      b[this.at++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    b[this.at++] = rest
  }

  raw(bytes: Uint8Array): void {
    const size = bytes.length
    this.need(size)
    // A nonce, a hash: the call of set costs more than a short loop.
    if (size > 32) this.buffer.set(bytes, this.at)
    else for (let i = 0; i < size; i++) this.buffer[this.at + i] = bytes[i]!
    this.at += size
  }

  /** The bytes of `from[start..end)`. */
  part(from: Uint8Array, start: number, end: number): void {
    this.need(end - start)
    copyBytes(from, start, end, this.buffer, this.at)
    this.at += end - start
  }

  /** A varint length, then the bytes. */
  sized(bytes: Uint8Array): void {
    this.varint(bytes.length)
    this.raw(bytes)
  }

  /** The text in UTF-8. */
  text(text: string): void {
    if (!this.#ascii(text)) this.raw(utf8(text))
  }

  /** A varint length in bytes, then the text in UTF-8. */
  sizedText(text: string): void {
    const from = this.at
    this.varint(text.length)
    if (this.#ascii(text)) return
    this.at = from
    this.sized(utf8(text))
  }

  /** False, with nothing written, of a text that is long, or not ASCII. */
  #ascii(text: string): boolean {
    const { length } = text
    if (length > LOOP_TEXT_LENGTH) return false
    this.need(length)
    const { buffer, at } = this
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 127) return false
      buffer[at + i] = unit
    }
    this.at = at + length
    return true
  }

  bytes(): Uint8Array {
    return this.buffer.subarray(0, this.at)
  }

  /** As `bytes()`. Views are kept for the next of their size, since one costs more than a small hash: for a writer of scratch. */
  view(): Uint8Array {
    this.#views ??= []
    const kept = this.#views[this.at]
    if (kept?.buffer === this.buffer.buffer) return kept
    const made = this.bytes()
    this.#views[this.at] = made
    return made
  }

  copy(): Uint8Array {
    return this.buffer.slice(0, this.at)
  }
}

/** Reads what ByteWriter wrote. Every method throws AteError BAD_RECORD at the end of the bytes or on a bad varint. */
export class ByteReader {
  readonly buffer: Uint8Array
  at: number
  readonly end: number

  constructor(buffer: Uint8Array, at = 0, end: number = buffer.length) {
    this.buffer = buffer
    this.at = at
    this.end = end
  }

  get left(): number {
    return this.end - this.at
  }

  /** Goes over `size` bytes, and gives where in `buffer` they begin: for who needs no view of them, which costs more than they do. */
  take(size: number): number {
    const from = this.at
    if (size > this.end - from) throw new AteError('BAD_RECORD', { at: from, wanted: size, left: this.end - from })
    this.at = from + size
    return from
  }

  u8(): number {
    return this.buffer[this.take(1)]!
  }

  u16(): number {
    const o = this.take(2)
    return (this.buffer[o]! << 8) | this.buffer[o + 1]!
  }

  u32(): number {
    const o = this.take(4)
    const b = this.buffer
    return ((b[o]! << 24) | (b[o + 1]! << 16) | (b[o + 2]! << 8) | b[o + 3]!) >>> 0
  }

  u64(): number {
    const high = this.u32()
    const low = this.u32()
    if (high >= 0x200000) throw new AteError('BAD_RECORD', { at: this.at - 8, what: 'integer over 2^53' })
    return high * 2 ** 32 + low
  }

  varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.u8()
      value += (byte & 127) * scale
      if (byte < 128) {
        if ((byte === 0 && i > 0) || value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 128
    }
    throw new AteError('BAD_RECORD', { at: this.at, what: 'varint' })
  }

  /** A view, not a copy. */
  raw(size: number): Uint8Array {
    const from = this.take(size)
    return this.buffer.subarray(from, from + size)
  }

  sized(sizeMax: number): Uint8Array {
    const size = this.varint()
    if (size > sizeMax) throw new AteError('BAD_RECORD', { at: this.at, size, max: sizeMax })
    return this.raw(size)
  }

  done(): void {
    if (this.at !== this.end) throw new AteError('BAD_RECORD', { at: this.at, what: 'bytes left over' })
  }
}
