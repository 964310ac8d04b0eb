/** Takes secrets out of a stream of bytes, also where one lies across two chunks. */
import { Transform, type TransformCallback } from 'node:stream'

/** Shorter ones would mask half of everything. */
const LENGTH_MIN = 4
const MASK = Buffer.from('[redacted]')

/** A whole value, also without the space around it, and each longer line of it. */
function needlesOf(secrets: readonly string[]): Buffer[] {
  const texts = new Set<string>()
  for (const secret of secrets) {
    texts.add(secret)
    texts.add(secret.trim())
    for (const line of secret.split(/\r?\n/)) if (line.trim().length >= 2 * LENGTH_MIN) texts.add(line.trim())
  }
  return [...texts]
    .map((text) => Buffer.from(text))
    .filter(({ length }) => length >= LENGTH_MIN)
    .sort((a, b) => b.length - a.length)
}

/** For each place in a needle the length of the longest beginning of it that ends there (Knuth, Morris and Pratt). */
function bordersOf(needle: Buffer): Int32Array {
  const borders = new Int32Array(needle.length)
  for (let i = 1, length = 0; i < needle.length; i++) {
    while (length > 0 && needle[i] !== needle[length]) length = borders[length - 1]!
    if (needle[i] === needle[length]) length++
    borders[i] = length
  }
  return borders
}

export class Mask extends Transform {
  readonly #needles: readonly Buffer[]
  readonly #borders: readonly Int32Array[]
  #rest: Buffer = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    super()
    this.#needles = needlesOf(secrets)
    this.#borders = this.#needles.map(bordersOf)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    this.push(this.#take(this.#rest.length - this.#begun()))
    done()
  }

  override _flush(done: TransformCallback): void {
    this.push(this.#take(this.#rest.length))
    done()
  }

  /** Bytes at the end that are the beginning of a secret: only they wait for what comes. */
  #begun(): number {
    const bytes = this.#rest
    let longest = 0
    this.#needles.forEach((needle, n) => {
      const borders = this.#borders[n]!
      let length = 0
      for (let i = Math.max(0, bytes.length - needle.length + 1); i < bytes.length; i++) {
        while (length > 0 && bytes[i] !== needle[length]) length = borders[length - 1]!
        if (bytes[i] === needle[length]) length++
      }
      longest = Math.max(longest, length)
    })
    return longest
  }

  /** Masks what begins before `until`. */
  #take(until: number): Buffer {
    const parts: Buffer[] = []
    let at = 0
    while (at < until) {
      const found = this.#next(at)
      if (!found || found.at >= until) break
      parts.push(this.#rest.subarray(at, found.at), MASK)
      at = found.at + found.length
    }
    if (at < until) {
      parts.push(this.#rest.subarray(at, until))
      at = until
    }
    const taken = Buffer.concat(parts)
    this.#rest = this.#rest.subarray(at)
    return taken
  }

  /** The first that begins at or behind `from`; of several at one place the longest. */
  #next(from: number): { readonly at: number; readonly length: number } | undefined {
    let best: { at: number; length: number } | undefined
    for (const needle of this.#needles) {
      const at = this.#rest.indexOf(needle, from)
      if (at >= 0 && (!best || at < best.at)) best = { at, length: needle.length }
    }
    return best
  }
}
