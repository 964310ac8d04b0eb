/** RFC 9162 trees against a slow, recursive twin written from the RFC's definition, for all sizes up to 40. */
import { describe, expect, it } from 'vitest'
import { concatBytes, toHex } from '../../src/base/bytes.ts'
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  TreeFrontier,
  treeRoot,
  treeRootOfHashes,
  verifyConsistency,
  verifyInclusion,
  verifySubtree,
} from '../../src/crypto/merkle.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'

const SIZE_MAX = 40
const crypto = nodeProvider()
const leaves = Array.from({ length: SIZE_MAX }, (_, i) => new Uint8Array(i % 5).fill(i))
const hashes = leaves.map((leaf) => leafHash(crypto, leaf))
const roots = Array.from({ length: SIZE_MAX + 1 }, (_, size) => slowRoot(leaves.slice(0, size)))

/** RFC 9162, 2.1.1, word for word. */
function slowRoot(part: readonly Uint8Array[]): Uint8Array {
  if (part.length === 0) return crypto.sha256(new Uint8Array(0))
  if (part.length === 1) return crypto.sha256(concatBytes(Uint8Array.of(0), part[0]!))
  let k = 1
  while (k * 2 < part.length) k *= 2
  return crypto.sha256(concatBytes(Uint8Array.of(1), slowRoot(part.slice(0, k)), slowRoot(part.slice(k))))
}

describe('roots', () => {
  it('are those of the definition', () => {
    for (let size = 0; size <= SIZE_MAX; size++) {
      expect(toHex(treeRoot(crypto, leaves.slice(0, size)))).toBe(toHex(roots[size]!))
      expect(toHex(treeRootOfHashes(crypto, hashes.slice(0, size)))).toBe(toHex(roots[size]!))
    }
  })

  it('are the known ones of Certificate Transparency', () => {
    const known = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f']
    const inputs = known.map((hex) => new Uint8Array(Buffer.from(hex, 'hex')))
    expect(toHex(treeRoot(crypto, []))).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(toHex(treeRoot(crypto, inputs.slice(0, 1)))).toBe(
      '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
    )
    expect(toHex(treeRoot(crypto, inputs))).toBe('5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328')
  })

  it('leave their input as it was', () => {
    const before = hashes.map(toHex)
    treeRootOfHashes(crypto, hashes)
    expect(hashes.map(toHex)).toEqual(before)
  })
})

describe('a frontier', () => {
  it('has the root of each size, also when it was saved and restored in between', () => {
    let frontier = new TreeFrontier(crypto)
    for (let size = 0; size <= SIZE_MAX; size++) {
      expect([frontier.size, toHex(frontier.root())]).toEqual([size, toHex(roots[size]!)])
      frontier = TreeFrontier.restore(crypto, frontier.save())!
      if (size < SIZE_MAX) frontier.append(hashes[size]!)
    }
  })

  it('is not restored from bytes of a wrong size', () => {
    const frontier = new TreeFrontier(crypto)
    for (const hash of hashes.slice(0, 7)) frontier.append(hash)
    const saved = frontier.save()
    expect(saved.length).toBe(8 + 3 * 32)
    for (const wrong of [
      saved.subarray(0, 7),
      saved.subarray(0, 8),
      saved.subarray(1),
      concatBytes(saved, new Uint8Array(32)),
    ])
      expect(TreeFrontier.restore(crypto, wrong)).toBe(undefined)
    const unsafe = saved.slice()
    unsafe[0] = 0xff
    expect(TreeFrontier.restore(crypto, unsafe)).toBe(undefined)
    const tooLarge = new Uint8Array(40) // 2^53 leaves: one peak
    tooLarge[1] = 0x20
    expect(TreeFrontier.restore(crypto, tooLarge)).toBe(undefined)
    tooLarge[1] = 0x10 // 2^52
    expect(TreeFrontier.restore(crypto, tooLarge)?.size).toBe(2 ** 52)
  })

  it('keeps copies, and takes hashes only', () => {
    const hash = new Uint8Array(32).fill(1)
    const frontier = new TreeFrontier(crypto)
    frontier.append(hash)
    hash.fill(0)
    frontier.root().fill(0)
    expect(toHex(frontier.root())).toBe('01'.repeat(32))
    expect(() => frontier.append(new Uint8Array(31))).toThrow('INTERNAL')
  })
})

describe('inclusion', () => {
  it('is proved for every leaf of every size', () => {
    forEachLeaf((claim) => expect(verifyInclusion(crypto, claim)).toBe(true))
  })

  it('is refused if any node, the leaf, the root, the index or the length is another', () => {
    forEachLeaf((claim) => {
      for (let i = 0; i < claim.path.length; i++)
        expect(verifyInclusion(crypto, { ...claim, path: replaced(claim.path, i) })).toBe(false)
      const wrong = [
        { ...claim, leafHash: flipped(claim.leafHash) },
        { ...claim, root: flipped(claim.root) },
        { ...claim, path: [...claim.path, hashes[0]!] },
        { ...claim, path: claim.path.slice(0, -1), ...(claim.path.length === 0 && { size: 2 }) },
        { ...claim, index: claim.index + 1 },
        { ...claim, index: -1 },
        { ...claim, index: claim.index + 0.5 },
        { ...claim, size: claim.index },
      ]
      for (const one of wrong) expect(verifyInclusion(crypto, one)).toBe(false)
    })
  })

  it('is refused for a path longer than the tree is high, even to a root made for it', () => {
    const root = crypto.sha256(concatBytes(Uint8Array.of(1), hashes[1]!, hashes[0]!))
    expect(verifyInclusion(crypto, { leafHash: hashes[0]!, index: 0, size: 1, root, path: [hashes[1]!] })).toBe(false)
  })

  it('is refused for hashes of another length', () => {
    const claim = { leafHash: hashes[0]!, index: 0, size: 2, root: roots[2]!, path: [hashes[1]!] }
    expect(verifyInclusion(crypto, claim)).toBe(true)
    // 31 + 33 bytes hash like 32 + 32: only the check of the lengths refuses it.
    const both = concatBytes(hashes[0]!, hashes[1]!)
    const shifted = { ...claim, leafHash: both.subarray(0, 31), path: [both.subarray(31)] }
    expect(verifyInclusion(crypto, shifted)).toBe(false)
  })
})

describe('consistency', () => {
  it('is proved between all pairs of sizes', () => {
    forEachPair((claim) => expect(verifyConsistency(crypto, claim)).toBe(true))
  })

  it('is refused if any node, a root, a size or the length is another', () => {
    forEachPair((claim) => {
      const { from, to, path } = claim
      for (let i = 0; i < path.length; i++)
        expect(verifyConsistency(crypto, { ...claim, path: replaced(path, i) })).toBe(false)
      const wrong = [
        { ...claim, from: { ...from, root: flipped(from.root) } },
        { ...claim, to: { ...to, root: flipped(to.root) } },
        { ...claim, path: [...path, hashes[0]!] },
        { from: to, to: from, path: from.size === to.size ? [hashes[0]!] : path },
      ]
      if (path.length > 0) wrong.push({ ...claim, path: path.slice(0, -1) }, { ...claim, path: path.slice(1) })
      for (const one of wrong) expect(verifyConsistency(crypto, one)).toBe(false)
    })
  })

  it('is refused for a path that is too long or too short, even to roots made for it', () => {
    const node = (left: Uint8Array, right: Uint8Array) => crypto.sha256(concatBytes(Uint8Array.of(1), left, right))
    const one = { size: 1, root: hashes[0]! }
    const short = { from: one, to: { size: 3, root: roots[2]! }, path: [hashes[1]!] }
    expect(verifyConsistency(crypto, short)).toBe(false)
    // Three leaves from two: the path is one node. A second one goes onto both roots.
    const extra = { size: 3, root: node(hashes[5]!, roots[3]!) }
    const long = { from: { size: 2, root: roots[2]! }, to: extra, path: [hashes[2]!, hashes[5]!] }
    expect(verifyConsistency(crypto, long)).toBe(false)
    const third = {
      from: { size: 3, root: node(hashes[5]!, roots[3]!) },
      to: { size: 4, root: node(hashes[5]!, roots[4]!) },
    }
    const path = [...consistencyProof(crypto, hashes.slice(0, 4), 3), hashes[5]!]
    expect(verifyConsistency(crypto, { ...third, path })).toBe(false)
  })

  it('is refused for hashes of another length', () => {
    const both = concatBytes(roots[2]!, hashes[2]!)
    const from = { size: 2, root: both.subarray(0, 31) }
    const claim = { from, to: { size: 3, root: roots[3]! }, path: [both.subarray(31)] }
    expect(verifyConsistency(crypto, claim)).toBe(false)
  })

  it('of nothing needs the root of nothing', () => {
    const to = { size: 3, root: roots[3]! }
    expect(verifyConsistency(crypto, { from: { size: 0, root: roots[0]! }, to, path: [] })).toBe(true)
    expect(verifyConsistency(crypto, { from: { size: 0, root: roots[1]! }, to, path: [] })).toBe(false)
    expect(verifyConsistency(crypto, { from: { size: 0, root: roots[0]! }, to, path: [hashes[0]!] })).toBe(false)
  })
})

describe('a claim about a small tree', () => {
  const SMALL = 9
  const parts = Array.from({ length: SMALL + 1 }, (_, size) => hashes.slice(0, size))
  /** Numbers that are none of a leaf or a size, some of which walk the same way as one. */
  const strange = (value: number): number[] => [
    ...[-value, -value - 1, value + 0.5, value - 0.5, value + 0.25].filter((one) => one !== value),
    ...[Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53],
  ]

  it('names one leaf of one size: no other number walks the same way', () => {
    for (let size = 1; size <= SMALL; size++)
      for (let index = 0; index < size; index++) {
        const path = inclusionProof(crypto, parts[size]!, index)
        const claim = { leafHash: hashes[index]!, index, size, root: roots[size]!, path }
        expect(verifyInclusion(crypto, claim)).toBe(true)
        const others = Array.from({ length: 40 }, (_, other) => other).filter((other) => other !== index)
        for (const other of [...others, ...strange(index)])
          expect([size, other, verifyInclusion(crypto, { ...claim, index: other })]).toEqual([size, other, false])
        for (const other of strange(size))
          expect([size, other, verifyInclusion(crypto, { ...claim, size: other })]).toEqual([size, other, false])
        expect(verifyInclusion(crypto, { ...claim, path: [...path, hashes[0]!] })).toBe(false)
        expect(verifyInclusion(crypto, { ...claim, root: flipped(claim.root) })).toBe(false)
      }
  })

  it('names one subtree: at a place of its size, and of no other size', () => {
    const claim = { node: roots[4]!, from: 0, count: 4, size: 8, root: roots[8]! }
    const path = inclusionProof(crypto, [roots[4]!, treeRoot(crypto, leaves.slice(4, 8))], 0)
    expect(verifySubtree(crypto, { ...claim, path })).toBe(true)
    for (const from of [2, 4, 8, ...strange(0)])
      expect([from, verifySubtree(crypto, { ...claim, path, from })]).toEqual([from, false])
    for (const count of [0, 1, 2, 3, 6, 8, ...strange(4)])
      expect([count, verifySubtree(crypto, { ...claim, path, count })]).toEqual([count, false])
    for (const size of [0, 3, 4, 12, Number.NaN]) expect(verifySubtree(crypto, { ...claim, path, size })).toBe(false)
    const end = { node: hashes[8]!, from: 8, count: 1, size: 9, root: roots[9]!, path: [roots[8]!] }
    expect(verifySubtree(crypto, end)).toBe(true)
    // A place that is none of its size, seen from above, is one: the half of a leaf is the leaf before.
    expect(verifySubtree(crypto, { ...claim, path, from: 1 })).toBe(false)
  })

  it('does not go back, though both sizes have one root; nor on, without a path', () => {
    const [four, three, two] = [4, 3, 2].map((size) => ({ size, root: roots[4]! })) as [
      { size: number; root: Uint8Array },
      { size: number; root: Uint8Array },
      { size: number; root: Uint8Array },
    ]
    expect(verifyConsistency(crypto, { from: four, to: two, path: [] })).toBe(false)
    expect(verifyConsistency(crypto, { from: three, to: four, path: [] })).toBe(false)
  })

  it('names two sizes, the older one first, and both their roots', () => {
    for (let size = 1; size <= SMALL; size++)
      for (let old = 0; old <= size; old++) {
        const [from, to] = [old, size].map((one) => ({ size: one, root: roots[one]! })) as [
          { size: number; root: Uint8Array },
          { size: number; root: Uint8Array },
        ]
        const path = old === 0 ? [] : consistencyProof(crypto, parts[size]!, old)
        const claim = { from, to, path }
        const verify = (change: Partial<typeof claim>): boolean => verifyConsistency(crypto, { ...claim, ...change })
        expect([old, size, verify({})]).toEqual([old, size, true])
        for (const other of [...strange(old), ...(old > 0 ? [0] : [])])
          expect([old, size, other, verify({ from: { ...from, size: other } })]).toEqual([old, size, other, false])
        for (const other of old > 0 ? strange(size) : [])
          expect([old, size, other, verify({ to: { ...to, size: other } })]).toEqual([old, size, other, false])
        expect(verify({ from: { ...from, root: flipped(from.root) } })).toBe(false)
        if (old > 0) expect(verify({ to: { ...to, root: flipped(to.root) } })).toBe(false)
        expect(verify({ path: [...path, hashes[0]!] })).toBe(false)
        if (path.length > 0) expect(verify({ path: [] })).toBe(false)
        if (old < size && old > 0) expect(verify({ from: to, to: from })).toBe(false)
      }
    // A tree of no leaves that begins a larger one says nothing of it, but is no place for numbers that are none.
    const nothing = { size: 0, root: roots[0]! }
    for (const size of [-1, 0.5, Number.NaN])
      expect(verifyConsistency(crypto, { from: nothing, to: { size, root: roots[3]! }, path: [] })).toBe(false)
  })
})

function forEachLeaf(run: (claim: Parameters<typeof verifyInclusion>[1]) => void): void {
  for (let size = 1; size <= SIZE_MAX; size++)
    for (let index = 0; index < size; index++) {
      const path = inclusionProof(crypto, hashes.slice(0, size), index)
      run({ leafHash: hashes[index]!, index, size, root: roots[size]!, path })
    }
}

function forEachPair(run: (claim: Parameters<typeof verifyConsistency>[1]) => void): void {
  for (let size = 1; size <= SIZE_MAX; size++)
    for (let from = 1; from <= size; from++) {
      const path = consistencyProof(crypto, hashes.slice(0, size), from)
      run({ from: { size: from, root: roots[from]! }, to: { size, root: roots[size]! }, path })
    }
}

function replaced(path: readonly Uint8Array[], index: number): Uint8Array[] {
  return path.map((hash, i) => (i === index ? flipped(hash) : hash))
}

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  copy[7]! ^= 1
  return copy
}
