/** The tree of the hot path against its slow twin. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { treeRoot } from '../../src/crypto/merkle.ts'
import { RunTree } from '../../src/event/run-tree.ts'
import { crypto } from '../chain/kit.ts'

function rootOf(tree: RunTree): Uint8Array {
  const out = new Uint8Array(40)
  tree.rootInto(out, 8)
  expect(out.subarray(0, 8)).toEqual(new Uint8Array(8))
  return out.subarray(8)
}

it('has the root of RFC 9162 for every size, used again and again', () => {
  const tree = new RunTree(crypto)
  for (let size = 0; size <= 130; size++) {
    const leaves = Array.from({ length: size }, (_, i) => Uint8Array.of(i % 4, i, size))
    tree.reset()
    for (const leaf of leaves) tree.add(leaf[0]!, leaf, 1, leaf.length)
    expect(rootOf(tree)).toEqual(treeRoot(crypto, leaves))
  }
})

it('has it for leaves of any length, also longer than its buffer', () => {
  const seed = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
  console.log(`ATE_SEED=${seed}`)
  const tree = new RunTree(crypto)
  const leaf = fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ minLength: 4000, maxLength: 9000 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(255), leaf), { maxLength: 20 }), (leaves) => {
      tree.reset()
      for (const [kind, bytes] of leaves) tree.add(kind, bytes, 0, bytes.length)
      expect(rootOf(tree)).toEqual(
        treeRoot(
          crypto,
          leaves.map(([kind, bytes]) => Uint8Array.of(kind, ...bytes)),
        ),
      )
    }),
    { seed, numRuns: 60 },
  )
})
