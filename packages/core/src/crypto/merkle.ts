/**
 * Merkle trees over SHA-256 (RFC 9162, 2.1): what checkpoints, commit roots and attestations sign.
 *
 *   leaf hash = H(0x00 || leaf)          node = H(0x01 || left || right)          root of nothing = H()
 *
 * The left child of a tree of n leaves covers the largest power of two below n. A verifier recomputes every node, and
 * refuses a proof with too many or too few of them. The proof of a commit's root (bodies, headers) is a `treeRoot`.
 */
import { concatBytes, equalBytes } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import type { CryptoProvider } from './provider.ts'
import { HASH_BYTES } from './sizes.ts'
import { hashOfParts } from './tagged-hash.ts'

type Hasher = Pick<CryptoProvider, 'sha256'>

const LEAF: Uint8Array = Uint8Array.of(0)
const NODE: Uint8Array = Uint8Array.of(1)

export function leafHash(crypto: Hasher, leaf: Uint8Array): Uint8Array {
  return hashOfParts(crypto, LEAF, leaf)
}

function nodeHash(crypto: Hasher, left: Uint8Array, right: Uint8Array): Uint8Array {
  return hashOfParts(crypto, NODE, left, right)
}

/** The root over leaves given as bytes. */
export function treeRoot(crypto: Hasher, leaves: readonly Uint8Array[]): Uint8Array {
  return treeRootOfHashes(
    crypto,
    leaves.map((leaf) => leafHash(crypto, leaf)),
  )
}

/** The root over leaf hashes that are ready. A last one without a partner goes up as it is (which is RFC 9162's split). */
export function treeRootOfHashes(crypto: Hasher, hashes: readonly Uint8Array[]): Uint8Array {
  const level = hashes.map(sized)
  for (let size = level.length; size > 1; size = (size + 1) >>> 1)
    for (let i = 0; i < size; i += 2)
      level[i >>> 1] = i + 1 < size ? nodeHash(crypto, level[i]!, level[i + 1]!) : level[i]!
  return level[0]?.slice() ?? hashOfParts(crypto)
}

/**
 * A growing tree that keeps one hash for each bit of its size: the roots of its perfect subtrees, largest first.
 * Saved form: size 8 bytes big-endian, then those hashes.
 */
export class TreeFrontier {
  readonly #crypto: Hasher
  readonly #peaks: Uint8Array[] = []
  #size = 0

  constructor(crypto: Hasher) {
    this.#crypto = crypto
  }

  get size(): number {
    return this.#size
  }

  /** Appends the hash of a leaf (`leafHash`), 32 bytes, copied. */
  append(hash: Uint8Array): void {
    let node: Uint8Array = sized(hash).slice()
    for (let below = this.#size; below % 2 === 1; below = Math.floor(below / 2))
      node = nodeHash(this.#crypto, this.#peaks.pop()!, node)
    this.#peaks.push(node)
    this.#size += 1
  }

  root(): Uint8Array {
    const last = this.#peaks.length - 1
    if (last < 0) return hashOfParts(this.#crypto)
    let node = this.#peaks[last]!
    for (let i = last - 1; i >= 0; i--) node = nodeHash(this.#crypto, this.#peaks[i]!, node)
    return node.slice()
  }

  save(): Uint8Array {
    const size = new Uint8Array(8)
    const view = new DataView(size.buffer)
    view.setUint32(0, Math.floor(this.#size / 2 ** 32))
    view.setUint32(4, this.#size % 2 ** 32)
    return concatBytes(size, ...this.#peaks)
  }

  /** Undefined if the bytes are no saved frontier. They are trusted to be one that was saved: compare the root. */
  static restore(crypto: Hasher, bytes: Uint8Array): TreeFrontier | undefined {
    if (bytes.length < 8) return undefined
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    const size = view.getUint32(0) * 2 ** 32 + view.getUint32(4)
    if (!Number.isSafeInteger(size) || bytes.length !== 8 + bitsOf(size) * HASH_BYTES) return undefined
    const frontier = new TreeFrontier(crypto)
    frontier.#size = size
    for (let at = 8; at < bytes.length; at += HASH_BYTES) frontier.#peaks.push(bytes.slice(at, at + HASH_BYTES))
    return frontier
  }
}

/** The path of leaf `index` in the tree over `hashes`, from the leaf up (RFC 9162, 2.1.3.1). */
export function inclusionProof(crypto: Hasher, hashes: readonly Uint8Array[], index: number): Uint8Array[] {
  assert(Number.isInteger(index) && index >= 0 && index < hashes.length, 'a leaf is one of the tree')
  if (hashes.length === 1) return []
  const split = splitOf(hashes.length)
  const left = hashes.slice(0, split)
  const right = hashes.slice(split)
  return index < split
    ? [...inclusionProof(crypto, left, index), treeRootOfHashes(crypto, right)]
    : [...inclusionProof(crypto, right, index - split), treeRootOfHashes(crypto, left)]
}

/** RFC 9162, 2.1.3.2. False for any index, size, path or hash that does not lead to `root`. */
export function verifyInclusion(
  crypto: Hasher,
  claim: {
    readonly leafHash: Uint8Array
    readonly index: number
    readonly size: number
    readonly root: Uint8Array
    readonly path: readonly Uint8Array[]
  },
): boolean {
  if (!isCount(claim.index) || !isCount(claim.size) || claim.index >= claim.size) return false
  if (!hashesOnly([claim.leafHash, claim.root, ...claim.path])) return false
  let index = claim.index
  let last = claim.size - 1
  let node = claim.leafHash
  for (const sibling of claim.path) {
    if (last === 0) return false // longer than the tree is high
    if (index % 2 === 1 || index === last) {
      node = nodeHash(crypto, sibling, node)
      while (index % 2 === 0 && index !== 0) {
        index = half(index)
        last = half(last)
      }
    } else {
      node = nodeHash(crypto, node, sibling)
    }
    index = half(index)
    last = half(last)
  }
  return last === 0 && equalBytes(node, claim.root)
}

/** As verifyInclusion for the perfect subtree of `count` leaves (a power of two) from leaf `from` on, whose root is `node`. */
export function verifySubtree(
  crypto: Hasher,
  claim: {
    readonly node: Uint8Array
    readonly from: number
    readonly count: number
    readonly size: number
    readonly root: Uint8Array
    readonly path: readonly Uint8Array[]
  },
): boolean {
  const { node, from, count, size, root, path } = claim
  if (!isCount(from) || !isCount(count) || !isPowerOfTwo(count) || from % count !== 0 || from + count > size)
    return false
  // Seen from the height of the subtree, it is a leaf of a smaller tree.
  return verifyInclusion(crypto, { leafHash: node, index: from / count, size: Math.ceil(size / count), root, path })
}

/** A subtree that a frontier keeps, and its path to the root. */
export interface Peak {
  readonly from: number
  readonly count: number
  readonly node: Uint8Array
  readonly path: readonly Uint8Array[]
}

/** The subtrees of a saved frontier, largest first; undefined if the bytes are none. */
export function peaksOf(crypto: Hasher, saved: Uint8Array): readonly Peak[] | undefined {
  const size = TreeFrontier.restore(crypto, saved)?.size
  if (size === undefined) return undefined
  const nodes: Uint8Array[] = []
  for (let at = 8; at < saved.length; at += HASH_BYTES) nodes.push(saved.slice(at, at + HASH_BYTES))
  const peaks: Peak[] = []
  let from = 0
  for (const [i, node] of nodes.entries()) {
    const count = largestPower(size - from)
    // To the right of a peak the smaller ones are one node; to the left they stand one above the other.
    const right = nodes
      .slice(i + 1)
      .reduceRight<Uint8Array[]>(([all], next) => [all ? nodeHash(crypto, next, all) : next], [])
    peaks.push({ from, count, node, path: [...right, ...nodes.slice(0, i).reverse()] })
    from += count
  }
  return peaks
}

function largestPower(size: number): number {
  let power = 1
  while (power * 2 <= size) power *= 2
  return power
}

/** That the tree over the first `from` hashes is a beginning of the tree over all (RFC 9162, 2.1.4.1); `from` >= 1. */
export function consistencyProof(crypto: Hasher, hashes: readonly Uint8Array[], from: number): Uint8Array[] {
  assert(Number.isInteger(from) && from >= 1 && from <= hashes.length, 'the older tree is a beginning of the newer')
  return subproof(crypto, hashes, from, 'known')
}

/** `known`: the verifier has the root of this subtree as the older root, so it is not in the proof. */
function subproof(
  crypto: Hasher,
  hashes: readonly Uint8Array[],
  from: number,
  whole: 'known' | 'unknown',
): Uint8Array[] {
  if (from === hashes.length) return whole === 'known' ? [] : [treeRootOfHashes(crypto, hashes)]
  const split = splitOf(hashes.length)
  const left = hashes.slice(0, split)
  const right = hashes.slice(split)
  return from <= split
    ? [...subproof(crypto, left, from, whole), treeRootOfHashes(crypto, right)]
    : [...subproof(crypto, right, from - split, 'unknown'), treeRootOfHashes(crypto, left)]
}

/** RFC 9162, 2.1.4.2. A tree of no leaves is a beginning of any, with an empty path, if its root is right. */
export function verifyConsistency(
  crypto: Hasher,
  claim: {
    readonly from: { readonly size: number; readonly root: Uint8Array }
    readonly to: { readonly size: number; readonly root: Uint8Array }
    readonly path: readonly Uint8Array[]
  },
): boolean {
  const { from, to, path } = claim
  if (!isCount(from.size) || !isCount(to.size) || from.size > to.size) return false
  if (!hashesOnly([from.root, to.root, ...path])) return false
  if (from.size === to.size) return path.length === 0 && equalBytes(from.root, to.root)
  if (from.size === 0) return path.length === 0 && equalBytes(from.root, hashOfParts(crypto))
  return walkConsistency(crypto, from, to, isPowerOfTwo(from.size) ? [from.root, ...path] : path)
}

function walkConsistency(
  crypto: Hasher,
  from: { readonly size: number; readonly root: Uint8Array },
  to: { readonly size: number; readonly root: Uint8Array },
  path: readonly Uint8Array[],
): boolean {
  if (path.length === 0) return false
  let index = from.size - 1
  let last = to.size - 1
  while (index % 2 === 1) {
    index = half(index)
    last = half(last)
  }
  let older = path[0]!
  let newer = path[0]!
  for (let i = 1; i < path.length; i++) {
    const sibling = path[i]!
    if (last === 0) return false
    if (index % 2 === 1 || index === last) {
      older = nodeHash(crypto, sibling, older)
      newer = nodeHash(crypto, sibling, newer)
      while (index % 2 === 0 && index !== 0) {
        index = half(index)
        last = half(last)
      }
    } else {
      newer = nodeHash(crypto, newer, sibling)
    }
    index = half(index)
    last = half(last)
  }
  return last === 0 && equalBytes(older, from.root) && equalBytes(newer, to.root)
}

/** Sizes go to 2^53, so no 32-bit shifts. */
function half(value: number): number {
  return Math.floor(value / 2)
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

function isPowerOfTwo(size: number): boolean {
  return bitsOf(size) === 1
}

function bitsOf(size: number): number {
  let bits = 0
  for (let rest = size; rest > 0; rest = half(rest)) bits += rest % 2
  return bits
}

/** The largest power of two below `size` (>= 2). */
export function splitOf(size: number): number {
  let split = 1
  while (split * 2 < size) split *= 2
  return split
}

function sized(hash: Uint8Array): Uint8Array {
  assert(hash.length === HASH_BYTES, 'a hash of a tree is 32 bytes')
  return hash
}

function hashesOnly(hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash) => hash.length === HASH_BYTES)
}
