/** Prints by seq: found as they were set, in memory that is bounded by the records of a chain. */
import { expect, it } from 'vitest'
import { printOf, RecordPrints } from '../../src/chain/record-prints.ts'
import { crypto } from './kit.ts'

const printFor = (seq: number): Uint8Array => crypto.sha256(Uint8Array.of(seq, seq >> 8, seq >> 16))

it('are found by seq, in any order, and there are no others', () => {
  const prints = new RecordPrints()
  const seqs = [20_000, 3, 4095, 4096, 0, 17, 9000]
  for (const seq of seqs) prints.set(seq, printFor(seq))
  for (const seq of seqs) expect(prints.at(seq)).toEqual(printFor(seq))
  for (const seq of [1, 2, 16, 18, 4094, 4097, 8191, 19_999, 20_001, 1_000_000]) expect(prints.at(seq)).toBe(undefined)
  expect([...prints.entries()].map(([seq]) => seq)).toEqual(seqs.toSorted((a, b) => a - b))
  prints.set(3, printFor(4))
  expect(prints.at(3)).toEqual(printFor(4))
})

it('are made of records of many small events', () => {
  const bytes = new Uint8Array(16 * 1024)
  expect(printOf(crypto, bytes, 16)).toEqual(crypto.sha256(bytes))
  expect(printOf(crypto, bytes, 15)).toBe(undefined)
  expect(printOf(crypto, new Uint8Array(16 * 1024 + 1), 16)).toBe(undefined)
})
