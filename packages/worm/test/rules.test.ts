/** What needs no chain: base64 with one form, ranges, quorums, times, manifests, cells of a spreadsheet. */
import { describe, expect, it } from 'vitest'
import { chunksOf } from '../src/body.ts'
import { auditCsv } from '../src/export.ts'
import { fromBase64, toBase64 } from '../src/hashing.ts'
import { type Manifest, manifestText, parseManifest } from '../src/manifest.ts'
import { newNonce, objectKey, openChunk, SEAL_BYTES, sealChunk } from '../src/sealing.ts'
import { quorumOf, rangeOf, tolerated, untilOf } from '../src/worm-rules.ts'
import { all, codeOf, noise } from './kit.ts'

const code = (run: () => unknown): Promise<string> => codeOf(Promise.resolve().then(run))

it('base64 has one form for each bytes', () => {
  for (const size of [0, 1, 2, 3, 31, 32, 9000]) {
    expect(fromBase64(toBase64(noise(size)))).toEqual(noise(size))
    // As engines do that have none of their own.
    const plain = Object.assign(noise(size), { toBase64: undefined })
    expect(toBase64(plain)).toBe(Buffer.from(noise(size)).toString('base64'))
  }
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

it('a chunk that was given back is filled again, and no other', async () => {
  const spare: Uint8Array[] = []
  const chunks = chunksOf(noise(700), 100, { spare })
  const first = (await chunks.next()).value as Uint8Array
  const second = (await chunks.next()).value as Uint8Array
  spare.push(first)
  const others = [await chunks.next(), await chunks.next()].map(({ value }) => value as Uint8Array)
  expect(others.map((chunk) => chunk === first)).toEqual([true, false])
  expect(Buffer.compare(second, noise(700).subarray(100, 200))).toBe(0)
  expect(Buffer.compare(first, noise(700).subarray(200, 300))).toBe(0)
})

describe('a sealed chunk', () => {
  const halves = (): [Uint8Array, Uint8Array] => [noise(32, 1), noise(32, 2)]
  /** The same key where there is no Node. */
  async function webKey(): ReturnType<typeof objectKey> {
    const { getBuiltinModule } = process
    process.getBuiltinModule = (() => undefined) as unknown as typeof getBuiltinModule
    try {
      return await objectKey(...halves())
    } finally {
      process.getBuiltinModule = getBuiltinModule
    }
  }

  it('is the same bytes from Node and from WebCrypto, wherever they are written', async () => {
    const [node, web] = [await objectKey(...halves()), await webKey()]
    expect([Object.keys(node), Object.keys(web)]).toEqual([['node'], ['web']])
    for (const size of [0, 1, 65_536, 200_000]) {
      const bytes = noise(size, 3)
      const place = { index: 7, nonce: newNonce((count) => noise(count, 4)) }
      const out = new Uint8Array(size + SEAL_BYTES + 5).fill(9)
      const boxes = [
        await sealChunk(node, place, bytes),
        await sealChunk(web, place, bytes),
        await sealChunk(node, place, bytes, out),
      ]
      for (const box of boxes) expect(Buffer.compare(box, boxes[0]!)).toBe(0)
      expect([boxes[2]!.buffer === out.buffer, out.at(-5)]).toEqual([true, 9])
      for (const key of [node, web]) expect(Buffer.compare(await openChunk(key, 7, boxes[0]!), bytes)).toBe(0)
    }
  })

  it('is refused with another number, another key, or one bit that differs', async () => {
    const node = await objectKey(...halves())
    const web = await webKey()
    const box = await sealChunk(node, { index: 7, nonce: noise(12, 4) }, noise(100_000, 3))
    const other = await objectKey(noise(32, 1), noise(32, 9))
    expect(await codeOf(openChunk(other, 7, box))).toBe('BAD_BODY')
    for (const key of [node, web]) {
      expect(await codeOf(openChunk(key, 8, box))).toBe('BAD_BODY')
      for (const at of [0, 12, 90_000, box.length - 1]) {
        const changed = box.slice()
        changed[at]! ^= 1
        expect(await codeOf(openChunk(key, 7, changed))).toBe('BAD_BODY')
      }
      for (const size of [0, 11, 27]) expect(await codeOf(openChunk(key, 7, box.subarray(0, size)))).toBe('BAD_BODY')
    }
  })
})

it('a cell that a spreadsheet would run is text', () => {
  const event = { seq: 1, at: new Date(0), by: '@x', act: 'put', ref: { name: '=1+1', version: '-2' } } as const
  expect(auditCsv(event)).toBe("1,1970-01-01T00:00:00.000Z,'@x,put,'=1+1,'-2,,,,,,,,,")
})
