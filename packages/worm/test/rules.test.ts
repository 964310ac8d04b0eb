/** What needs no chain: base64 with one form, ranges, quorums, times, manifests, cells of a spreadsheet. */
import { describe, expect, it } from 'vitest'
import { chunksOf } from '../src/body.ts'
import { auditCsv } from '../src/export.ts'
import { fromBase64, toBase64 } from '../src/hashing.ts'
import { type Manifest, manifestText, parseManifest } from '../src/manifest.ts'
import { quorumOf, rangeOf, tolerated, untilOf } from '../src/worm-rules.ts'
import { all, codeOf, noise } from './kit.ts'

const code = (run: () => unknown): Promise<string> => codeOf(Promise.resolve().then(run))

it('base64 has one form for each bytes', () => {
  for (const size of [0, 1, 2, 3, 31, 32, 9000]) expect(fromBase64(toBase64(noise(size)))).toEqual(noise(size))
  for (const text of ['A', 'AA', 'AA=', 'AB==', 'AAF=', 'A===', 'AA==AA==', 'A A=', 'AAA-', '====']) {
    const isOne = fromBase64(text) === undefined
    expect([text, isOne]).toEqual([text, true])
  }
})

it('ranges have both ends, and stay within the body', async () => {
  expect(rangeOf(undefined, 10n)).toEqual({ from: 0n, to: 9n })
  expect(rangeOf([3], 10n)).toEqual({ from: 3n, to: 9n })
  expect(rangeOf([3n, 99], 10n)).toEqual({ from: 3n, to: 9n })
  expect(rangeOf(undefined, 0n)).toEqual({ from: 0n, to: -1n })
  for (const range of [[10], [-1], [3, 2], [1.5], [Number.NaN]] as const)
    expect(await code(() => rangeOf(range, 10n))).toBe('BAD_ARGUMENT')
})

it('quorums: as many may be away as may lie', () => {
  const table = [1, 2, 3, 4, 5, 6, 7, 10].map((witnesses) => [witnesses, quorumOf(witnesses)])
  expect(table).toEqual([
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 3],
    [5, 4],
    [6, 5],
    [7, 5],
    [10, 7],
  ])
  expect([tolerated({ witnesses: 3, quorum: 2 }), tolerated({ witnesses: 4, quorum: 3 })]).toEqual([0, 1])
  expect([tolerated({ witnesses: 7, quorum: 5 }), tolerated({ witnesses: 4, quorum: 1 })]).toEqual([2, 0])
})

it('times are such as a Date can say', async () => {
  expect(untilOf('1d', 5)).toBe(86_400_005)
  expect(untilOf(new Date(7), 5)).toBe(7)
  for (const retain of [new Date(Number.NaN), new Date(-1), 9e15])
    expect(await code(() => untilOf(retain, 0))).not.toBe('none')
})

describe('a manifest', () => {
  const manifest: Manifest = {
    format: 'ate-worm/1',
    name: 'a',
    size: '1',
    sha256: 'ab'.repeat(32),
    chunks: 1,
    chunkBytes: 10,
    mode: 'governance',
    at: 5,
    by: 'x',
    salt: '',
  }
  it('has one form, and is refused in any other', async () => {
    const text = manifestText(manifest)
    expect(parseManifest(text)).toEqual(manifest)
    const changed = [
      ` ${text}`,
      text.replace('"size":"1"', '"size":1'),
      text.replace('"size":"1"', '"size":"01"'),
      text.replace('ab', 'AB'),
      text.replace('"at":5', '"at":-5'),
      text.replace('governance', 'strict'),
      text.replace('{', '{"more":1,'),
      text.replace('"chunks":1,', ''),
      '[]',
      'null',
      '',
    ]
    for (const other of changed) expect([other, await code(() => parseManifest(other))]).toEqual([other, 'BAD_VALUE'])
  })
})

it('a body in pieces of any size makes the same chunks', async () => {
  const bytes = noise(1000)
  for (const size of [1, 7, 100, 333, 1000, 5000]) {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const chunks = await all(chunksOf(pieces(), 256))
    expect(chunks.map(({ length }) => length)).toEqual([256, 256, 256, 232])
    expect(Buffer.compare(Buffer.concat(chunks), bytes)).toBe(0)
  }
  expect(await all(chunksOf('', 256))).toEqual([])
})

it('a cell that a spreadsheet would run is text', () => {
  const event = { seq: 1, at: new Date(0), by: '@x', act: 'put', ref: { name: '=1+1', version: '-2' } } as const
  expect(auditCsv(event)).toBe("1,1970-01-01T00:00:00.000Z,'@x,put,'=1+1,'-2,,,,,,,,,")
})
