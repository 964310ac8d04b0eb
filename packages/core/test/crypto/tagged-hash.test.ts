/** Hashes of parts are those of all parts in one, of whatever size; and what was joined for them is gone afterwards. */
import { expect, it } from 'vitest'
import { concatBytes, utf8 } from '../../src/base/bytes.ts'
import { contextBytes } from '../../src/crypto/contexts.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { hashOfParts, taggedHash } from '../../src/crypto/tagged-hash.ts'

const bytes = (size: number, first: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => first + 7 * i)

it('is SHA-256 of the context and the parts behind it', () => {
  const parts = [bytes(32, 1), bytes(81, 2), bytes(32, 3)]
  const whole = concatBytes(utf8('ate/1/record'), Uint8Array.of(0), ...parts)
  expect(taggedHash(nobleProvider, 'record', ...parts)).toEqual(nobleProvider.sha256(whole))
  expect(taggedHash(nobleProvider, 'record')).toEqual(nobleProvider.sha256(contextBytes('record')))
})

it('is so of small parts behind large ones, and of sizes around what is joined in memory that stays', () => {
  for (const size of [0, 1, 64, 500, 511, 512, 513, 4096, 1]) {
    const parts = [bytes(size >> 1, size), bytes(0, 0), bytes(size - (size >> 1), 9)]
    expect(hashOfParts(nobleProvider, ...parts)).toEqual(nobleProvider.sha256(concatBytes(...parts)))
  }
})

it('leaves nothing of its parts in memory that is used again', () => {
  const seen: Uint8Array[] = []
  const sha256 = (data: Uint8Array): Uint8Array => {
    seen.push(data)
    return nobleProvider.sha256(data)
  }
  hashOfParts({ sha256 }, bytes(30, 1), bytes(40, 2))
  hashOfParts({ sha256 }, bytes(9, 3))
  expect(seen.map(({ length }) => length)).toEqual([70, 9])
  for (const data of seen) expect(data.every((byte) => byte === 0)).toBe(true)
})
