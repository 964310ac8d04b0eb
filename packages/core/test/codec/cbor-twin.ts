/**
 * The readable twin of cbor-read.ts: a check that makes nothing, and a plain reader that checks nothing. Both walk the bytes
 * for themselves; what they accept, refuse (and where, and why) and give is what the one pass has to.
 */
import { fromUtf8 } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { BIGINT_BYTES_MAX, BODY_BYTES_MAX, CBOR_DEPTH_MAX, CBOR_ITEMS_MAX } from '../../src/base/limits.ts'
import { dateMs } from '../../src/codec/cbor-date.ts'
import type { CborLimits } from '../../src/codec/cbor-read.ts'

/** Returns if `bytes` are one strict CBOR item. @throws AteError BAD_CBOR { at, what } */
export function checkCbor(bytes: Uint8Array, limits: CborLimits = {}): void {
  new Scan(bytes, limits).run()
}

/** Maps up to here compare keys pair by pair; larger ones keep a Set, whose hash is seeded, so that nobody makes it collide. */
const SMALL_MAP_KEYS = 8
const PROTO = Uint8Array.from('__proto__', (character) => character.charCodeAt(0))

const float = new DataView(new ArrayBuffer(8))

class Scan {
  private readonly bytes: Uint8Array
  private readonly size: number
  private readonly itemsMax: number
  private readonly depthMax: number
  private readonly sorted: boolean
  private at = 0
  private items = 0
  /** The number in the header read last. */
  private argument = 0
  private depth = 0
  // One entry a level. Members still to come (a map counts keys and values); -1 in keysSeen marks an array.
  private readonly left: number[] = [1]
  private readonly keysSeen: number[] = [-1]
  private readonly keySets: (Set<string> | undefined)[] = [undefined]
  /** Offsets of the first keys of each open map: SMALL_MAP_KEYS pairs (from, to) a level; of sorted maps just the last. */
  private readonly keyPlaces: number[] = []

  constructor(bytes: Uint8Array, limits: CborLimits) {
    this.bytes = bytes
    this.size = bytes.length
    this.itemsMax = Math.min(limits.itemsMax ?? CBOR_ITEMS_MAX, CBOR_ITEMS_MAX)
    this.depthMax = Math.min(limits.depthMax ?? CBOR_DEPTH_MAX, CBOR_DEPTH_MAX)
    this.sorted = limits.keyOrder === 'sorted'
    const bytesMax = limits.bytesMax ?? BODY_BYTES_MAX
    if (bytes.length > bytesMax) this.refuse(`more than ${bytesMax} bytes`)
  }

  run(): void {
    for (;;) {
      while (this.left[this.depth] === 0) {
        if (this.depth === 0) {
          if (this.at !== this.size) this.refuse('bytes left over')
          return
        }
        this.keySets[this.depth--] = undefined
      }
      const left = this.left[this.depth]!--
      if (++this.items > this.itemsMax) this.refuse(`more than ${this.itemsMax} items`)
      if (this.keysSeen[this.depth]! >= 0 && left % 2 === 0) this.key()
      else this.item()
    }
  }

  private item(): void {
    const major = this.header()
    switch (major) {
      case 0:
        return
      case 1:
        if (this.argument >= Number.MAX_SAFE_INTEGER) this.refuse('an integer beyond 2^53 - 1')
        return
      case 2:
        this.skip(this.argument)
        return
      case 3:
        this.text(this.argument)
        return
      case 4:
        this.open(this.argument, 1)
        return
      case 5:
        this.open(this.argument, 2)
        return
      case 6:
        this.tagged(this.argument)
    }
  }

  /** The major type; the argument stands in `this.argument`. Simple values and floats are checked here whole. */
  private header(): number {
    if (this.at >= this.size) this.refuse('ends too early')
    const first = this.bytes[this.at++]!
    const major = first >> 5
    if (major === 7) {
      if (first === 0xfb) this.float64()
      else if (first < 0xf4 || first > 0xf6) this.refuse('a simple value or float that is not accepted', 1)
      return 7
    }
    const info = first & 31
    if (info < 24) this.argument = info
    else this.longArgument(info)
    return major
  }

  private longArgument(info: number): void {
    if (info > 27) this.refuse(info === 31 ? 'an indefinite length' : 'a reserved header', 1)
    const size = 1 << (info - 24)
    if (this.size - this.at < size) this.refuse('ends too early')
    const b = this.bytes
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + b[this.at + i]!
    // The sum is exact where it matters: what is rounded is over 2^53 either way.
    if (value < (size === 1 ? 24 : 256 ** (size / 2))) this.refuse('a number that is not in its shortest form', 1)
    if (value > Number.MAX_SAFE_INTEGER) this.refuse('an integer beyond 2^53 - 1', 1)
    this.at += size
    this.argument = value
  }

  private float64(): number {
    if (this.size - this.at < 8) this.refuse('ends too early')
    for (let i = 0; i < 8; i++) float.setUint8(i, this.bytes[this.at + i]!)
    const value = float.getFloat64(0)
    if (Number.isSafeInteger(value) && !Object.is(value, -0)) this.refuse('a float that is an integer', 1)
    if (Number.isNaN(value) && (float.getUint32(0) !== 0x7ff80000 || float.getUint32(4) !== 0))
      this.refuse('a NaN with a payload', 1)
    this.at += 8
    return value
  }

  private skip(size: number): void {
    if (size > this.size - this.at) this.refuse('a length beyond the end')
    this.at += size
  }

  private open(count: number, itemsEach: 1 | 2): void {
    // Each item takes a byte, so a count that lies is seen before anything is kept for it.
    if (count > (this.size - this.at) / itemsEach) this.refuse('a length beyond the end')
    if (this.depth >= this.depthMax) this.refuse(`more than ${this.depthMax} levels`)
    const depth = ++this.depth
    this.left[depth] = count * itemsEach
    this.keysSeen[depth] = itemsEach === 2 ? 0 : -1
    this.keySets[depth] = itemsEach === 2 && count > SMALL_MAP_KEYS && !this.sorted ? new Set() : undefined
  }

  private tagged(tag: number): void {
    if (tag === 1) this.date()
    else if (tag === 2 || tag === 3) this.bigint()
    else this.refuse(`tag ${tag}`)
  }

  private date(): void {
    const from = this.at
    const isFloat = this.bytes[from] === 0xfb
    const major = this.header()
    let seconds = this.argument
    if (isFloat) seconds = float.getFloat64(0)
    else if (major === 1) seconds = -1 - seconds
    else if (major !== 0) this.refuse('a date that is no number')
    if (Number.isNaN(dateMs(seconds))) this.refuse('a date that is no whole millisecond, or out of range')
  }

  private bigint(): void {
    if (this.header() !== 2) this.refuse('a bigint that is no byte string')
    const size = this.argument
    if (size > BIGINT_BYTES_MAX) this.refuse(`a bigint of more than ${BIGINT_BYTES_MAX} bytes`)
    if (size > 0 && this.bytes[this.at] === 0) this.refuse('a bigint that is not in its shortest form')
    this.skip(size)
  }

  /** Shortest forms only, no surrogates, nothing over U+10FFFF (RFC 3629): one text, one encoding. */
  private text(size: number): void {
    const from = this.at
    this.skip(size)
    const b = this.bytes
    const to = this.at
    for (let i = from; i < to; ) {
      const first = b[i]!
      if (first < 0x80) {
        i++
        continue
      }
      const more = first < 0xc2 || first > 0xf4 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
      if (more === 0 || i + more >= to || !secondFits(first, b[i + 1]!)) this.refuseText(i)
      for (let k = 2; k <= more; k++) if ((b[i + k]! & 0xc0) !== 0x80) this.refuseText(i)
      i += more + 1
    }
  }

  private key(): void {
    if (this.header() !== 3) this.refuse('a key that is no text')
    const from = this.at
    this.text(this.argument)
    if (this.argument === PROTO.length && this.sameBytes(from, PROTO, 0)) this.refuse('the key __proto__')
    const seen = this.keysSeen[this.depth]!++
    const keys = this.keySets[this.depth]
    if (this.sorted) this.keyAfterLast(from, seen)
    else if (keys) this.keyOfLargeMap(from, keys)
    else this.keyOfSmallMap(from, seen)
  }

  private keyOfSmallMap(from: number, seen: number): void {
    const base = this.depth * SMALL_MAP_KEYS * 2
    const size = this.at - from
    for (let i = base; i < base + 2 * seen; i += 2) {
      const other = this.keyPlaces[i]!
      if (this.keyPlaces[i + 1]! - other === size && this.sameBytes(from, this.bytes, other)) this.refuse('a key twice')
    }
    this.keyPlaces[base + 2 * seen] = from
    this.keyPlaces[base + 2 * seen + 1] = this.at
  }

  private keyOfLargeMap(from: number, keys: Set<string>): void {
    let text = ''
    for (let i = from; i < this.at; i++) text += String.fromCharCode(this.bytes[i]!)
    if (keys.has(text)) this.refuse('a key twice')
    keys.add(text)
  }

  /** As encoded, the header comes first: so the shorter key comes first, and equal lengths go by bytes. */
  private keyAfterLast(from: number, seen: number): void {
    const base = this.depth * SMALL_MAP_KEYS * 2
    if (seen > 0) {
      const other = this.keyPlaces[base]!
      const otherSize = this.keyPlaces[base + 1]! - other
      const size = this.at - from
      if (size < otherSize || (size === otherSize && this.compare(from, other, size) <= 0))
        this.refuse('keys out of order')
    }
    this.keyPlaces[base] = from
    this.keyPlaces[base + 1] = this.at
  }

  private compare(a: number, b: number, size: number): number {
    for (let i = 0; i < size; i++) {
      const difference = this.bytes[a + i]! - this.bytes[b + i]!
      if (difference !== 0) return difference
    }
    return 0
  }

  /** From `from` to here, against `other` at `otherFrom`; both have the length. */
  private sameBytes(from: number, other: Uint8Array, otherFrom: number): boolean {
    for (let i = from; i < this.at; i++) if (this.bytes[i] !== other[otherFrom + i - from]) return false
    return true
  }

  private refuseText(at: number): never {
    throw new AteError('BAD_CBOR', { at, what: 'text that is no UTF-8' })
  }

  private refuse(what: string, back = 0): never {
    throw new AteError('BAD_CBOR', { at: this.at - back, what })
  }
}

/** The range of a second byte excludes long forms (e0, f0), surrogates (ed) and what is over U+10FFFF (f4). */
function secondFits(first: number, second: number): boolean {
  const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
  const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
  return second >= low && second <= high
}

/** The value of checked bytes. */
export function readCheckedCbor(bytes: Uint8Array): unknown {
  return new PlainReader(bytes).item()
}

const SHORT_TEXT_BYTES = 24

class PlainReader {
  private readonly bytes: Uint8Array
  private readonly view: DataView
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  }

  item(): unknown {
    const first = this.bytes[this.at++]!
    if (first >= 0xf4) return this.simple(first)
    const argument = this.argument(first & 31)
    switch (first >> 5) {
      case 0:
        return argument
      case 1:
        return -1 - argument
      case 2:
        return this.take(argument).slice()
      case 3:
        return this.text(argument)
      case 4:
        return this.array(argument)
      case 5:
        return this.map(argument)
      default:
        return this.tagged(argument)
    }
  }

  private argument(info: number): number {
    if (info < 24) return info
    const size = 1 << (info - 24)
    let value = 0
    for (let i = 0; i < size; i++) value = value * 256 + this.bytes[this.at++]!
    return value
  }

  private simple(first: number): unknown {
    if (first !== 0xfb) return first === 0xf6 ? null : first === 0xf5
    this.at += 8
    return this.view.getFloat64(this.at - 8)
  }

  private take(size: number): Uint8Array {
    this.at += size
    return new Uint8Array(this.bytes.buffer, this.bytes.byteOffset + this.at - size, size)
  }

  /** Names are short and ASCII: for them a call of the platform's decoder takes longer than the characters. */
  private text(size: number): string {
    const start = this.at
    let text = ''
    while (size <= SHORT_TEXT_BYTES && this.at < start + size && this.bytes[this.at]! < 0x80)
      text += String.fromCharCode(this.bytes[this.at++]!)
    if (text.length === size) return text
    this.at = start
    return fromUtf8(this.take(size))
  }

  private array(count: number): unknown[] {
    const values: unknown[] = []
    for (let i = 0; i < count; i++) values.push(this.item())
    return values
  }

  private map(count: number): Record<string, unknown> {
    const values: Record<string, unknown> = {}
    for (let i = 0; i < count; i++) {
      const key = this.item() as string
      values[key] = this.item()
    }
    return values
  }

  private tagged(tag: number): unknown {
    const content = this.item()
    if (tag === 1) return new Date(Math.round((content as number) * 1000))
    let value = 0n
    for (const byte of content as Uint8Array) value = (value << 8n) | BigInt(byte)
    return tag === 2 ? value : -1n - value
  }
}
