/** Which server has a chain: the same for all who ask, spread evenly, and moved only where it must be. */
import { describe, expect, it } from 'vitest'
import { ownerOf } from '../../src/mesh/ring.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'

const crypto = nodeProvider()
const CHAINS = 1500
const names = Array.from({ length: CHAINS }, (_, i) => `team-${i % 7}/chain-${i}`)
const urls = (count: number): string[] => Array.from({ length: count }, (_, i) => `wss://ate${i}.example:5000/db`)

function counts(nodes: readonly string[]): Map<string, number> {
  const all = new Map(nodes.map((node) => [node, 0]))
  for (const name of names) {
    const owner = ownerOf(crypto, nodes, name)
    all.set(owner, all.get(owner)! + 1)
  }
  return all
}

describe('the owner of a chain', () => {
  it('is one of the list, whatever its order', () => {
    const nodes = urls(5)
    const other = [...nodes].reverse()
    for (const name of names.slice(0, 500)) {
      const owner = ownerOf(crypto, nodes, name)
      expect(nodes).toContain(owner)
      expect(ownerOf(crypto, other, name)).toBe(owner)
    }
    expect(ownerOf(crypto, ['ws://only/db'], 'x')).toBe('ws://only/db')
  })

  it.each([2, 5, 16])('has as many chains as any other: %i servers', (count) => {
    const share = CHAINS / count
    // Five standard deviations of that many throws.
    const slack = 5 * Math.sqrt(share * (1 - 1 / count))
    for (const [node, chains] of counts(urls(count))) expect(Math.abs(chains - share), node).toBeLessThan(slack)
  })

  it.each([1, 2, 5, 16])('changes to a server that is added, or not at all: the next one after %i', (count) => {
    const before = urls(count)
    const after = urls(count + 1)
    const added = after[count]!
    let moved = 0
    for (const name of names) {
      const owner = ownerOf(crypto, after, name)
      if (owner === ownerOf(crypto, before, name)) continue
      expect(owner).toBe(added)
      moved++
    }
    expect(moved).toBe(counts(after).get(added))
  })

  it('changes for the chains of a server that is taken away, and for no other', () => {
    const before = urls(6)
    const [gone, ...after] = before
    for (const name of names) {
      const owner = ownerOf(crypto, before, name)
      if (owner !== gone) expect(ownerOf(crypto, after, name)).toBe(owner)
    }
  })

  it('is frozen: every server of every version says the same', () => {
    const nodes = urls(5)
    expect(names.slice(0, 8).map((name) => nodes.indexOf(ownerOf(crypto, nodes, name)))).toMatchInlineSnapshot(`
      [
        1,
        1,
        1,
        0,
        2,
        4,
        0,
        0,
      ]
    `)
  })
})
