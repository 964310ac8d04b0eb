import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { randomBytes } from '../../src/base/environment.ts'
import { Nonces } from '../../src/chain/nonces.ts'
import { seededRandom } from '../../src/testing/random.ts'

it('gives out 16 bytes at a time, as they are drawn, and none twice', () => {
  const nonces = new Nonces(seededRandom(5))
  const given = Array.from({ length: 100 }, () => nonces.next())
  const random = seededRandom(5)
  const drawn = Array.from({ length: 100 }, () => toHex(randomBytes(random, 16)))
  expect(given.map(toHex)).toEqual(drawn)
  expect(new Set(drawn).size).toBe(100)
})
