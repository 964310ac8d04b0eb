/**
 * The one reader of CBOR: checks each item and makes its value in one pass. What passes is the subset of RFC 8949 that this
 * project writes, in the one encoding that each value has, within its limits. No byte is believed before it is looked at (a
 * bignum tag or nested arrays hang decoders), and a length is compared with what is left before anything is made for it: so
 * time and memory are linear in the bytes that were read, whatever they claim. The readable twin is in the tests.
 *
 * Accepted: integers of -(2^53 - 1) to 2^53 - 1; byte strings; UTF-8 text; arrays; maps with text keys, each key once;
 * false, true, null; float64 for every number that is no such integer (-0 included, one NaN, infinities); tag 1, a date
 * in seconds; tags 2 and 3, a bigint of at most 16 bytes. Lengths are definite and everything is in its shortest form.
 */
import { textPart } from '#text-part'
import { copyBytes, fromUtf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { BIGINT_BYTES_MAX, BODY_BYTES_MAX, CBOR_DEPTH_MAX, CBOR_ITEMS_MAX } from '../base/limits.ts'
import { dateMs } from './cbor-date.ts'

export interface CborLimits {
  /** Bytes of the whole; default BODY_BYTES_MAX. */
  readonly bytesMax?: number
  /** Items: containers, their members and keys; a tag and its content are one. At most and by default CBOR_ITEMS_MAX. */
  readonly itemsMax?: number
  /** Containers inside each other. At most and by default CBOR_DEPTH_MAX. */
  readonly depthMax?: number
  /** `sorted`: keys ascend bytewise as encoded (RFC 8949, 4.2.1), so that a value has one encoding. Default `any`. */
  readonly keyOrder?: 'any' | 'sorted'
}

/**
 * The value that stands in `bytes` from `from` to `to`, their end if left out, in memory of its own. `frozen`: its arrays, objects and dates are, which
 * costs less while they are made than a walk over them. @throws AteError BAD_CBOR { at, what }
 */
export function readCbor(
  bytes: Uint8Array,
  from: number,
  limits: CborLimits = NO_LIMITS,
  made: 'open' | 'frozen' = 'open',
  to: number = bytes.length,
): unknown {
  reader.begin(bytes, from, to, limits, made)
  try {
    return reader.whole()
  } finally {
    reader.end()
  }
}

const NO_LIMITS: CborLimits = {}
const NO_BYTES = new Uint8Array(0)
/** Maps up to here compare keys pair by pair; larger ones ask the object, whose hash is seeded: nobody makes keys collide. */
const SMALL_MAP_KEYS = 8
/** Texts up to here are read by a loop; the call of a decoder costs more, and that of Node's reader of parts. */
const LOOP_TEXT_BYTES = 24
const PART_TEXT_BYTES = 8
/** Names of members up to here are remembered. */
const NAME_BYTES = 24
/** Names of members that were read lately, by a hash of their bytes: most values have the names of the one before. */
const NAMES = 256
const PROTO = '__proto__'

interface Name {
  readonly bytes: Uint8Array
  readonly text: string
}

const float = new DataView(new ArrayBuffer(8))

class Reader {
  private bytes: Uint8Array = NO_BYTES
  private from = 0
  private to = 0
  private itemsMax = 0
  private depthMax = 0
  private sorted = false
  private freezes = false
  private at = 0
  private items = 0
  /** The number in the header read last. */
  private argument = 0
  /** The keys of small maps that are open, SMALL_MAP_KEYS a level. */
  private readonly keys: string[] = []
  private readonly names: (Name | undefined)[] = new Array<Name | undefined>(NAMES).fill(undefined)

  begin(bytes: Uint8Array, from: number, to: number, limits: CborLimits, made: 'open' | 'frozen'): void {
    this.freezes = made === 'frozen'
    this.bytes = bytes
    this.from = from
    this.at = from
    this.to = to
    this.items = 0
    this.itemsMax = Math.min(limits.itemsMax ?? CBOR_ITEMS_MAX, CBOR_ITEMS_MAX)
    this.depthMax = Math.min(limits.depthMax ?? CBOR_DEPTH_MAX, CBOR_DEPTH_MAX)
    this.sorted = limits.keyOrder === 'sorted'
    const bytesMax = limits.bytesMax ?? BODY_BYTES_MAX
    if (to - from > bytesMax) this.refuse(`more than ${bytesMax} bytes`)
  }

  end(): void {
    this.bytes = NO_BYTES
  }

  whole(): unknown {
    const value = this.item(0)
    if (this.at !== this.to) this.refuse('bytes left over')
    return value
  }

  /** Recurses as deep as the limit. */
  private item(depth: number): unknown {
    if (++this.items > this.itemsMax) this.refuse(`more than ${this.itemsMax} items`)
    if (this.at >= this.to) this.refuse('ends too early')
    const first = this.bytes[this.at++]!
    if (first >= 0xe0) return this.simple(first)
    this.readArgument(first & 31)
    switch (first >> 5) {
      case 0:
        return this.argument
      case 1:
        return this.negative()
      case 2:
        return this.byteString()
      case 3:
        return this.text()
      case 4:
        return this.array(depth)
      case 5:
        return this.map(depth)
      default:
        return this.tagged(this.argument)
    }
  }

  private simple(first: number): unknown {
    if (first === 0xfb) return this.float64()
    if (first < 0xf4 || first > 0xf6) this.refuse('a simple value or float that is not accepted', 1)
    return first === 0xf6 ? null : first === 0xf5
  }

  private readArgument(info: number): void {
    this.argument = info
    if (info >= 24) this.readLongArgument(info)
  }

  private readLongArgument(info: number): void {
    if (info > 27) this.refuse(info === 31 ? 'an indefinite length' : 'a reserved header', 1)
    const size = 1 << (info - 24)
    if (this.to - this.at < size) this.refuse('ends too early')
    const b = this.bytes
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + b[this.at + i]!
    // The sum is exact where it matters: what is rounded is over 2^53 either way.
    if (value < (size === 1 ? 24 : 256 ** (size / 2))) this.refuse('a number that is not in its shortest form', 1)
    if (value > Number.MAX_SAFE_INTEGER) this.refuse('an integer beyond 2^53 - 1', 1)
    this.at += size
    this.argument = value
  }

  private negative(): number {
    if (this.argument >= Number.MAX_SAFE_INTEGER) this.refuse('an integer beyond 2^53 - 1')
    return -1 - this.argument
  }

  private float64(): number {
    if (this.to - this.at < 8) this.refuse('ends too early')
    for (let i = 0; i < 8; i++) float.setUint8(i, this.bytes[this.at + i]!)
    const value = float.getFloat64(0)
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.refuse('a float that is an integer', 1)
    if (Number.isNaN(value) && (float.getUint32(0) !== 0x7ff80000 || float.getUint32(4) !== 0))
      this.refuse('a NaN with a payload', 1)
    this.at += 8
    return value
  }

  /** Takes `argument` bytes; where they begin. */
  private take(): number {
    if (this.argument > this.to - this.at) this.refuse('a length beyond the end')
    const from = this.at
    this.at += this.argument
    return from
  }

  private byteString(): Uint8Array {
    const from = this.take()
    // A small one must not hold the block that it came in.
    const copy = new Uint8Array(this.argument)
    copyBytes(this.bytes, from, this.at, copy, 0)
    return copy
  }

  private text(): string {
    const from = this.take()
    return (
      (this.at - from <= (textPart ? PART_TEXT_BYTES : LOOP_TEXT_BYTES) ? this.asciiText(from) : undefined) ??
      this.utf8Text(from)
    )
  }

  /** Undefined if a character is not ASCII. */
  private asciiText(from: number): string | undefined {
    const b = this.bytes
    let text = ''
    for (let i = from; i < this.at; i++) {
      const unit = b[i]!
      if (unit > 127) return undefined
      text += String.fromCharCode(unit)
    }
    return text
  }

  /** Shortest forms only, no surrogates, nothing over U+10FFFF (RFC 3629): one text, one encoding. */
  private utf8Text(from: number): string {
    try {
      return textPart?.(this.bytes, from, this.at) ?? fromUtf8(this.bytes.subarray(from, this.at))
    } catch (cause) {
      const at = from - this.from + faultOf(this.bytes.subarray(from, this.at))
      throw new AteError('BAD_CBOR', { at, what: 'text that is no UTF-8' }, { cause })
    }
  }

  private enter(depth: number, itemsEach: 1 | 2): void {
    // Each item takes a byte, so a count that lies is seen before anything is kept for it.
    if (this.argument > (this.to - this.at) / itemsEach) this.refuse('a length beyond the end')
    if (depth >= this.depthMax) this.refuse(`more than ${this.depthMax} levels`)
  }

  private array(depth: number): readonly unknown[] {
    this.enter(depth, 1)
    const values: unknown[] = []
    for (let left = this.argument; left > 0; left--) values.push(this.item(depth + 1))
    return this.freezes ? Object.freeze(values) : values
  }

  private map(depth: number): Readonly<Record<string, unknown>> {
    this.enter(depth, 2)
    const count = this.argument
    const values: Record<string, unknown> = {}
    let last = -1
    let lastSize = 0
    for (let i = 0; i < count; i++) {
      const key = this.key()
      const size = this.argument
      const from = this.at - size
      if (this.sorted) {
        if (i > 0) this.checkOrder(last, lastSize, from, size)
        last = from
        lastSize = size
      } else if (count > SMALL_MAP_KEYS) {
        if (Object.hasOwn(values, key)) this.refuse('a key twice')
      } else this.checkNew(depth, i, key)
      values[key] = this.item(depth + 1)
    }
    return this.freezes ? Object.freeze(values) : values
  }

  /** Its bytes are the last `argument` ones. */
  private key(): string {
    if (++this.items > this.itemsMax) this.refuse(`more than ${this.itemsMax} items`)
    if (this.at >= this.to) this.refuse('ends too early')
    const first = this.bytes[this.at++]!
    if (first < 0xe0) this.readArgument(first & 31)
    else this.simple(first)
    if (first >> 5 !== 3) this.refuse('a key that is no text')
    const from = this.take()
    const key = this.argument <= NAME_BYTES ? this.name(from) : this.utf8Text(from)
    if (key === PROTO) this.refuse('the key __proto__')
    return key
  }

  /** The text of a short key: the same string as last time, which needs no making and is found in objects at once. */
  private name(from: number): string {
    const size = this.at - from
    const b = this.bytes
    const slot = size === 0 ? 0 : (size * 61 + b[from]! * 7 + b[this.at - 1]! * 13 + b[from + (size >> 1)]!) % NAMES
    const known = this.names[slot]
    if (known && known.bytes.length === size && this.isAt(from, known.bytes)) return known.text
    const text = this.asciiText(from)
    if (text === undefined) return this.utf8Text(from)
    const bytes = new Uint8Array(size)
    copyBytes(b, from, this.at, bytes, 0)
    this.names[slot] = { bytes, text }
    return text
  }

  private isAt(from: number, bytes: Uint8Array): boolean {
    for (let i = 0; i < bytes.length; i++) if (this.bytes[from + i] !== bytes[i]) return false
    return true
  }

  private checkNew(depth: number, index: number, key: string): void {
    const base = depth * SMALL_MAP_KEYS
    for (let i = base; i < base + index; i++) if (this.keys[i] === key) this.refuse('a key twice')
    this.keys[base + index] = key
  }

  /** As encoded, the header comes first: so the shorter key comes first, and equal lengths go by bytes. */
  private checkOrder(last: number, lastSize: number, from: number, size: number): void {
    if (size > lastSize) return
    for (let i = 0; size === lastSize && i < size; i++) {
      const difference = this.bytes[from + i]! - this.bytes[last + i]!
      if (difference > 0) return
      if (difference < 0) break
    }
    this.refuse('keys out of order')
  }

  private tagged(tag: number): unknown {
    if (tag === 1) return this.date()
    if (tag === 2) return this.bigint()
    if (tag === 3) return -1n - this.bigint()
    return this.refuse(`tag ${tag}`)
  }

  private contentHeader(): number {
    if (this.at >= this.to) this.refuse('ends too early')
    const first = this.bytes[this.at++]!
    if (first < 0xe0) this.readArgument(first & 31)
    return first
  }

  private date(): Date {
    const first = this.contentHeader()
    let seconds = this.argument
    if (first >= 0xe0) {
      const value = this.simple(first)
      if (typeof value !== 'number') this.refuse('a date that is no number')
      seconds = value
    } else if (first >> 5 === 1) seconds = -1 - seconds
    else if (first >> 5 !== 0) this.refuse('a date that is no number')
    const ms = dateMs(seconds)
    if (Number.isNaN(ms)) this.refuse('a date that is no whole millisecond, or out of range')
    const date = new Date(ms)
    return this.freezes ? Object.freeze(date) : date
  }

  private bigint(): bigint {
    const first = this.contentHeader()
    if (first >= 0xe0) this.simple(first)
    if (first >> 5 !== 2) this.refuse('a bigint that is no byte string')
    const size = this.argument
    if (size > BIGINT_BYTES_MAX) this.refuse(`a bigint of more than ${BIGINT_BYTES_MAX} bytes`)
    if (size > 0 && this.bytes[this.at] === 0) this.refuse('a bigint that is not in its shortest form')
    const from = this.take()
    return magnitudeOf(this.bytes, from, this.at)
  }

  private refuse(what: string, back = 0): never {
    throw new AteError('BAD_CBOR', { at: this.at - this.from - back, what })
  }
}

/** One for all: values are many and small, and nothing of a reading runs the code of others. */
const reader = new Reader()

/** In steps of 32 bits, which most sums have one of. */
function magnitudeOf(bytes: Uint8Array, from: number, to: number): bigint {
  let high = 0n
  let low = 0
  let isLong = false
  for (let i = from, bits = (to - from) * 8; i < to; i++, bits -= 8) {
    low = low * 256 + bytes[i]!
    if (bits % 32 !== 8) continue
    high = isLong ? (high << 32n) | BigInt(low) : BigInt(low)
    isLong = true
    low = 0
  }
  return high
}

/** Where a text that is no UTF-8 stops being it. */
function faultOf(b: Uint8Array): number {
  for (let i = 0; i < b.length; ) {
    const first = b[i]!
    const more = first < 0x80 ? 0 : first < 0xc2 || first > 0xf4 ? -1 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
    if (more < 0 || i + more >= b.length || (more > 0 && !secondFits(first, b[i + 1]!))) return i
    for (let k = 2; k <= more; k++) if ((b[i + k]! & 0xc0) !== 0x80) return i
    i += more + 1
  }
  return b.length
}

/** The range of a second byte excludes long forms (e0, f0), surrogates (ed) and what is over U+10FFFF (f4). */
function secondFits(first: number, second: number): boolean {
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  return second >= low && second <= high
}
