/** A tree as large as a log of many records, without the log: what a path costs to make and to follow. */
import process from 'node:process'
import { leafHash, verifyInclusion } from '../../packages/core/src/crypto/merkle.ts'
import { RangeTree } from '../../packages/core/src/crypto/merkle-range.ts'
import { platform } from '../../packages/core/src/node/platform.ts'

const PATHS = 500

export function simulatedTree(size: number): Record<string, number> {
  const { crypto } = platform
  const hashes = {
    size,
    at: (index: number): Uint8Array => {
      const bytes = new Uint8Array(32)
      new DataView(bytes.buffer).setUint32(0, index)
      return bytes
    },
  }
  const tree = new RangeTree(crypto, hashes)
  const firstMs = cpuMs()
  const root = tree.root(size)
  const rootMs = cpuMs() - firstMs
  const indexes = Array.from({ length: PATHS }, (_, i) => Math.floor((i * (size - 1)) / PATHS))
  const making = cpuMs()
  const paths = indexes.map((index) => tree.inclusion(index, size))
  const madeMs = (cpuMs() - making) / PATHS
  const following = cpuMs()
  for (const [i, index] of indexes.entries()) {
    const claim = { leafHash: leafHash(crypto, hashes.at(index)), index, size, root, path: paths[i]! }
    if (!verifyInclusion(crypto, claim)) throw new Error('a path does not lead to the root')
  }
  const verifiedMs = (cpuMs() - following) / PATHS
  return { records: size, 'the root CPU s': rootMs / 1000, 'made CPU ms': madeMs, 'verified CPU ms': verifiedMs }
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
