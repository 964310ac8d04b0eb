/** The tree over a growing list against its readable twin in merkle.ts, and what it costs. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  peaksOf,
  TreeFrontier,
  treeRootOfHashes,
  verifySubtree,
} from '../../src/crypto/merkle.ts'
import { type HashList, RangeTree } from '../../src/crypto/merkle-range.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'

const crypto = nodeProvider()
const SIZE = 3000
const contents = Array.from({ length: SIZE }, (_, i) => crypto.sha256(Uint8Array.of(i & 255, i >> 8)))
const leaves = contents.map((content) => leafHash(crypto, content))
const list: HashList = { size: SIZE, at: (index) => contents[index] }
const hex = (path: readonly Uint8Array[]): string[] => path.map(toHex)

describe('a tree over a list', () => {
  it('has the roots and paths of the twin, for all sizes up to 40', () => {
    const tree = new RangeTree(crypto, list)
    for (let size = 1; size <= 40; size++) {
      const part = leaves.slice(0, size)
      expect(toHex(tree.root(size))).toBe(toHex(treeRootOfHashes(crypto, part)))
      for (let at = 0; at < size; at++) {
        expect(hex(tree.inclusion(at, size))).toEqual(hex(inclusionProof(crypto, part, at)))
        expect(hex(tree.consistency(at + 1, size))).toEqual(hex(consistencyProof(crypto, part, at + 1)))
      }
    }
  })

  it('has them for large ones too, whatever was asked for before', () => {
    const tree = new RangeTree(crypto, list)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: SIZE }), fc.nat(), (size, pick) => {
        const part = leaves.slice(0, size)
        const at = pick % size
        if (pick % 3 === 0) for (const _ of tree.prepare(size));
        expect(toHex(tree.root(size))).toBe(toHex(treeRootOfHashes(crypto, part)))
        expect(hex(tree.inclusion(at, size))).toEqual(hex(inclusionProof(crypto, part, at)))
        expect(hex(tree.consistency(at + 1, size))).toEqual(hex(consistencyProof(crypto, part, at + 1)))
      }),
      { numRuns: 60 },
    )
  })

  it('hashes each record twice for the first path of a long log, and hardly any for the next', () => {
    const size = 200_000
    let hashes = 0
    const counting = {
      sha256Into(data: Uint8Array, out: Uint8Array, at: number): void {
        hashes++
        out.set(data.subarray(1, 33), at)
      },
    }
    const tree = new RangeTree(counting, { size, at: () => contents[0] })
    let steps = 0
    for (const _ of tree.prepare(size)) steps++
    expect(steps).toBe(Math.floor(size / 4096))
    tree.inclusion(77_777, size)
    expect(hashes).toBeLessThan(2 * size + 1000)
    hashes = 0
    tree.inclusion(123_456, size)
    tree.consistency(150_001, size)
    expect(hashes).toBeLessThan(3000)
  })
})

describe('a saved frontier', () => {
  it('has peaks with their paths, those that the tree has; no other node, place or size passes', () => {
    const tree = new RangeTree(crypto, list)
    const frontier = new TreeFrontier(crypto)
    for (let size = 1; size <= 70; size++) {
      frontier.append(leaves[size - 1]!)
      const root = frontier.root()
      let end = 0
      for (const { from, count, node, path } of peaksOf(crypto, frontier.save())!) {
        expect(from).toBe(end)
        end += count
        expect(toHex(node)).toBe(toHex(tree.subtree(from, count)))
        expect(hex(path)).toEqual(hex(tree.subtreePath(from, count, size)))
        const claim = { node, from, count, size, root, path }
        expect(verifySubtree(crypto, claim)).toBe(true)
        for (const wrong of [
          { from: from + count },
          { count: count * 2 },
          { count: count / 2 },
          { count: 3 },
          { count: 0 },
          { from: from + 0.5 },
          { size: from + count - 1 },
          { node: root.map((byte) => byte ^ 1) },
          { path: [...path, node] },
        ])
          expect(verifySubtree(crypto, { ...claim, ...wrong })).toBe(false)
      }
      expect(end).toBe(size)
    }
    expect(peaksOf(crypto, new Uint8Array(5))).toBe(undefined)
    expect(peaksOf(crypto, new Uint8Array(8))).toEqual([])
  })

  it('and any perfect subtree of a tree lead to its root', () => {
    const tree = new RangeTree(crypto, list)
    for (const size of [1, 2, 3, 7, 8, 100, 257]) {
      for (let count = 1; count <= size; count *= 2)
        for (let from = 0; from + count <= size; from += count * 3) {
          const path = tree.subtreePath(from, count, size)
          const claim = { node: tree.subtree(from, count), from, count, size, root: tree.root(size), path }
          expect(verifySubtree(crypto, claim)).toBe(true)
        }
    }
  })
})
