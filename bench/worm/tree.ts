/** A tree as large as a log of many records, without the log: what a path costs to make and to follow. */
import process from 'node:process'
import { leafHash, verifyInclusion } from '../../packages/core/src/crypto/merkle.ts'
import { RangeTree } from '../../packages/core/src/crypto/merkle-range.ts'
import { platform } from '../../packages/core/src/node/platform.ts'

const PATHS = 500
const ROUNDS = 20

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
  const paths: Uint8Array[][] = []
  const madeMs = fastest(indexes, (index, i) => {
    paths[i] = [...tree.inclusion(index, size)]
  })
  const verifiedMs = fastest(indexes, (index, i) => {
    const claim = { leafHash: leafHash(crypto, hashes.at(index)), index, size, root, path: paths[i]! }
    if (!verifyInclusion(crypto, claim)) throw new Error('a path does not lead to the root')
  })
  return { records: size, 'the root CPU s': rootMs / 1000, 'made CPU ms': madeMs, 'verified CPU ms': verifiedMs }
}

/** Processor ms of one, in the fastest of some rounds. */
function fastest(indexes: readonly number[], run: (index: number, i: number) => void): number {
  const each = indexes.length / ROUNDS
  let ms = Number.POSITIVE_INFINITY
  for (let from = 0; from < indexes.length; from += each) {
    const before = cpuMs()
    for (let i = from; i < from + each; i++) run(indexes[i]!, i)
    ms = Math.min(ms, (cpuMs() - before) / each)
  }
  return ms
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
