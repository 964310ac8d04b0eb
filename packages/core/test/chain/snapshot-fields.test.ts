/** Codecs of single values of a snapshot: what is written wrongly is our mistake, and what is read wrongly is refused. */
import { describe, expect, it } from 'vitest'
import { count, type Links, optional, Pool, sparse, text, word } from '../../src/chain/snapshot-fields.ts'
import { ByteReader, ByteWriter } from '../../src/codec/writer.ts'
import { View } from '../../src/view/view.ts'
import { crypto } from './kit.ts'

const links: Links = { crypto, view: new View(1), roles: new Pool(), keys: new Pool(), persons: new Map() }
const reader = (...bytes: readonly number[]): ByteReader => new ByteReader(Uint8Array.from(bytes))

describe('a pool', () => {
  it('writes an item once, by the number that it has had from the first', () => {
    const pool = new Pool<string>()
    for (const item of ['a', 'b', 'a']) pool.add(item)
    expect(pool.items).toEqual(['a', 'b'])
    expect([pool.find('a'), pool.find('b'), pool.find('c')]).toEqual([0, 1, undefined])
    expect(pool.at(1)).toBe('b')
  })

  it('refuses a number that no item has', () => {
    const refused = expect.objectContaining({ code: 'BAD_SNAPSHOT' })
    for (const number of [0, 1, 2 ** 40]) expect(() => new Pool<string>().at(number)).toThrow(refused)
  })
})

it('a count is a whole number below 2^53', () => {
  const out = new ByteWriter()
  for (const wrong of [-1, 0.5, 2 ** 53, Number.NaN])
    expect(() => count.write(out, wrong, links)).toThrow(/whole number/)
  expect(out.at).toBe(0)
  count.write(out, Number.MAX_SAFE_INTEGER, links)
  expect(count.read(new ByteReader(out.copy()), links)).toBe(Number.MAX_SAFE_INTEGER)
})

it('a word that is not known is refused', () => {
  const codec = word('all', 'live')
  expect([codec.read(reader(0), links), codec.read(reader(1), links)]).toEqual(['all', 'live'])
  expect(() => codec.read(reader(2), links)).toThrow(expect.objectContaining({ code: 'BAD_SNAPSHOT' }))
})

it('a field that is left out is left out again when it is read, and not there as undefined', () => {
  const codec = sparse<{ readonly a: string; readonly b?: string }>({ a: text, b: optional(text) })
  const out = new ByteWriter()
  codec.write(out, { a: 'x' }, links)
  expect(Object.keys(codec.read(new ByteReader(out.copy()), links))).toEqual(['a'])
})
