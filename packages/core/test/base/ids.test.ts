/** Ids as text: the quick ways agree with the plain one. */
import { expect, it } from 'vitest'
import { entityIdOfWords, fromBase32, toBase32 } from '../../src/base/ids.ts'
import { seededRandom } from '../../src/testing/random.ts'

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** Five bits a character, zeros at the end. */
function twin(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  return (bits.match(/.{1,5}/g) ?? []).map((five) => ALPHABET[Number.parseInt(five.padEnd(5, '0'), 2)]).join('')
}

const random = seededRandom(1)
const some = (size: number): Uint8Array => {
  const bytes = new Uint8Array(size)
  random.fill(bytes)
  return bytes
}

it('base32 of any length, there and back', () => {
  for (let size = 0; size < 70; size++) {
    const bytes = some(size)
    expect(toBase32(bytes)).toBe(twin(bytes))
    expect(fromBase32(toBase32(bytes), size)).toEqual(bytes)
  }
})

it('the id of an entity out of its words', () => {
  const all = [new Uint8Array(16), new Uint8Array(16).fill(255), ...Array.from({ length: 200 }, () => some(16))]
  for (let bit = 0; bit < 128; bit++) {
    const one = new Uint8Array(16)
    one[bit >> 3] = 128 >> (bit & 7)
    all.push(one)
  }
  for (const bytes of all) {
    const view = new DataView(bytes.buffer)
    const [a, b, c, d] = [0, 4, 8, 12].map((at) => view.getInt32(at)) as [number, number, number, number]
    expect(entityIdOfWords(a, b, c, d)).toBe(twin(bytes))
  }
})
