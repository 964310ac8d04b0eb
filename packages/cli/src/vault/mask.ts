/** Takes secrets out of a stream of bytes, also where one lies across two chunks. */
import { Transform, type TransformCallback } from 'node:stream'

/** Shorter ones would mask half of everything. */
const LENGTH_MIN = 4
const MASK = Buffer.from('[redacted]')

/** A whole value, and each longer line of it. */
function needlesOf(secrets: readonly string[]): Buffer[] {
  const texts = new Set<string>()
  for (const secret of secrets) {
    texts.add(secret)
    for (const line of secret.split(/\r?\n/)) if (line.trim().length >= 2 * LENGTH_MIN) texts.add(line.trim())
  }
  return [...texts]
    .map((text) => Buffer.from(text))
    .filter(({ length }) => length >= LENGTH_MIN)
    .sort((a, b) => b.length - a.length)
}

export class Mask extends Transform {
  readonly #needles: readonly Buffer[]
  readonly #hold: number
  #rest: Buffer = Buffer.alloc(0)

  constructor(secrets: readonly string[]) {
    super()
    this.#needles = needlesOf(secrets)
    this.#hold = Math.max(0, (this.#needles[0]?.length ?? 1) - 1)
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    this.push(this.#take(this.#rest.length - this.#hold))
    done()
  }

  override _flush(done: TransformCallback): void {
    this.push(this.#take(this.#rest.length))
    done()
  }

  /** Masks what begins before `until`; what could still become a secret waits, so a prompt may come late. */
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
