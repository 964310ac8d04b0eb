/**
 * An RFC 9162 tree that takes its leaves as runs of bytes and keeps only the open right edge: what the hot path of a
 * commit hashes with. Its slow twin is crypto/merkle.ts; a test holds them equal.
 */
import { copyBytes } from '../base/bytes.ts'
import type { CryptoProvider } from '../crypto/provider.ts'

const LEVELS = 33

export class RunTree {
  readonly #crypto: CryptoProvider
  readonly #stack = new Uint8Array(32 * LEVELS)
  /** 0x01, left, right: what an inner node is the hash of. */
  readonly #pair = new Uint8Array(65)
  #leaf = new Uint8Array(4096)
  /** Views of the beginnings of #leaf: sizes repeat, and a view costs more than a small hash. */
  #views: (Uint8Array | undefined)[] = []
  #size = 0
  #depth = 0

  constructor(crypto: CryptoProvider) {
    this.#crypto = crypto
    this.#pair[0] = 1
  }

  reset(): void {
    this.#size = 0
    this.#depth = 0
  }

  /** Adds the leaf whose content is the byte `kind` and then `bytes[from..to)`. */
  add(kind: number, bytes: Uint8Array, from: number, to: number): void {
    const size = to - from + 2
    if (size > this.#leaf.length) {
      this.#leaf = new Uint8Array(size * 2)
      this.#views = []
    }
    this.#leaf[0] = 0
    this.#leaf[1] = kind
    copyBytes(bytes, from, to, this.#leaf, 2)
    this.#views[size] ??= this.#leaf.subarray(0, size)
    this.#crypto.sha256Into(this.#views[size], this.#stack, 32 * this.#depth++)
    // A number's trailing one bits are the complete subtrees that this leaf closes.
    for (let n = this.#size++; (n & 1) === 1; n >>>= 1) this.#join()
  }

  /** Writes the root to `out` at `at`; the tree of no leaves is the hash of nothing. */
  rootInto(out: Uint8Array, at: number): void {
    if (this.#size === 0) {
      this.#crypto.sha256Into(new Uint8Array(0), out, at)
      return
    }
    while (this.#depth > 1) this.#join()
    copyBytes(this.#stack, 0, 32, out, at)
  }

  #join(): void {
    const left = 32 * (this.#depth - 2)
    copyBytes(this.#stack, left, left + 64, this.#pair, 1)
    this.#crypto.sha256Into(this.#pair, this.#stack, left)
    this.#depth--
  }
}
