/**
 * Paths in the tree over a list of hashes that only grows, such as the records of a chain. The twin of `inclusionProof`
 * and `consistencyProof` of merkle.ts for large trees: nothing is sliced, and the roots of perfect subtrees of 256 leaves
 * and more, which never change, are kept. So the first path costs two hashes a leaf, and each later one at most a thousand.
 */
import { assert } from '../base/errors.ts'
import { splitOf } from './merkle.ts'
import type { CryptoProvider } from './provider.ts'
import { HASH_BYTES } from './sizes.ts'

/** What the tree is over: `at` gives the content of a leaf, 32 bytes. */
export interface HashList {
  readonly size: number
  at(index: number): Uint8Array | undefined
}

/** Leaves of the smallest subtree whose root is kept: 64 bytes of memory for 256 records, and a level above costs half. */
const KEPT_LEAVES = 256

export class RangeTree {
  readonly #crypto: Pick<CryptoProvider, 'sha256Into'>
  readonly #list: HashList
  /** By size of the subtree, then by number among those of its size. */
  readonly #kept = new Map<number, Map<number, Uint8Array>>()
  readonly #leaf = new Uint8Array(1 + HASH_BYTES)
  readonly #pair = new Uint8Array(1 + 2 * HASH_BYTES)

  constructor(crypto: Pick<CryptoProvider, 'sha256Into'>, list: HashList) {
    this.#crypto = crypto
    this.#list = list
    this.#pair[0] = 1
  }

  /** The root of the first `size` leaves; `size` >= 1. */
  root(size: number): Uint8Array {
    return this.#range(0, size).slice()
  }

  /** As inclusionProof over the first `size` leaves. */
  inclusion(index: number, size: number): Uint8Array[] {
    assert(index >= 0 && index < size && size <= this.#list.size, 'a leaf is one of the tree')
    const path: Uint8Array[] = []
    let from = 0
    for (let count = size; count > 1; ) {
      const split = splitOf(count)
      const isLeft = index < from + split
      path.push(isLeft ? this.#range(from + split, count - split) : this.#range(from, split))
      if (!isLeft) from += split
      count = isLeft ? split : count - split
    }
    return path.reverse()
  }

  /** As consistencyProof: that the first `from` leaves are a beginning of the first `size`; `from` >= 1. */
  consistency(from: number, size: number): Uint8Array[] {
    assert(from >= 1 && from <= size && size <= this.#list.size, 'the older tree is a beginning of the newer')
    const path: Uint8Array[] = []
    let at = 0
    let count = size
    let older = from
    while (older !== count) {
      const split = splitOf(count)
      if (older <= split) {
        path.push(this.#range(at + split, count - split))
        count = split
      } else {
        path.push(this.#range(at, split))
        at += split
        count -= split
        older -= split
      }
    }
    // A subtree that is the whole older tree is known to who verifies.
    if (at > 0) path.push(this.#range(at, count))
    return path.reverse()
  }

  /** The root of the subtree of `count` leaves from `from` on; `from` is a multiple of `count`, which is a power of two. */
  subtree(from: number, count: number): Uint8Array {
    assert(isPowerOfTwo(count) && from % count === 0 && from + count <= this.#list.size, 'a perfect subtree')
    return this.#range(from, count).slice()
  }

  /** The path of such a subtree to the root over the first `size` leaves: the end of its first leaf's path. */
  subtreePath(from: number, count: number, size: number): Uint8Array[] {
    return this.inclusion(from, size).slice(Math.log2(count))
  }

  /** Computes what is kept for the first `size` leaves, in steps of a few ms, so that others can run in between. */
  *prepare(size: number): Generator<void, void, void> {
    const step = KEPT_LEAVES * 16
    for (let at = 0; at + step <= size; at += step) {
      if (this.#kept.get(step)?.has(at / step)) continue
      this.#range(at, step)
      yield
    }
  }

  #range(from: number, count: number): Uint8Array {
    if (count === 1) return this.#hash(this.#leafOf(from))
    const isKept = count >= KEPT_LEAVES && isPowerOfTwo(count)
    const known = isKept ? this.#kept.get(count)?.get(from / count) : undefined
    if (known) return known
    const split = splitOf(count)
    const left = this.#range(from, split)
    const right = this.#range(from + split, count - split)
    this.#pair.set(left, 1)
    this.#pair.set(right, 1 + HASH_BYTES)
    const root = this.#hash(this.#pair)
    if (isKept) this.#keep(count, from / count, root)
    return root
  }

  #leafOf(index: number): Uint8Array {
    this.#leaf.set(this.#list.at(index)!, 1)
    return this.#leaf
  }

  #hash(bytes: Uint8Array): Uint8Array {
    const hash = new Uint8Array(HASH_BYTES)
    this.#crypto.sha256Into(bytes, hash, 0)
    return hash
  }

  #keep(count: number, number: number, root: Uint8Array): void {
    const roots = this.#kept.get(count) ?? new Map<number, Uint8Array>()
    roots.set(number, root)
    this.#kept.set(count, roots)
  }
}

/** Sizes go to 2^53, so no 32-bit operators. */
function isPowerOfTwo(size: number): boolean {
  return Number.isInteger(Math.log2(size))
}
