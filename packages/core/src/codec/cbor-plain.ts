/**
 * A plain reader of CBOR that checkCbor() has passed: the readable twin of the fast decoder (tests hold them equal), and
 * the one that is used where the fast one is not exact, and in browsers. It recurses as deep as the check allows, and checks nothing.
 */
import { fromUtf8 } from '../base/bytes.ts'

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
