/** The comparison of byte arrays that all tests have by equal-bytes.ts. */
import { expect, it } from 'vitest'

const bytes = (last: number, size = 500_000): Uint8Array => new Uint8Array(size).fill(last, size - 1)

it('tells byte arrays apart by their bytes, sizes and kinds, also inside of others', () => {
  expect(bytes(1)).toEqual(bytes(1))
  expect({ a: [bytes(1)] }).toStrictEqual({ a: [bytes(1)] })
  expect(bytes(1, 9)).not.toEqual(bytes(2, 9))
  expect(bytes(1, 9)).not.toEqual(bytes(1, 10))
  expect({ a: [bytes(1, 9)] }).not.toEqual({ a: [bytes(2, 9)] })
  expect(bytes(1, 9)).not.toStrictEqual(Buffer.from(bytes(1, 9)))
  expect(bytes(1, 9)).not.toEqual(Buffer.from(bytes(2, 9)))
  expect(bytes(1, 9).subarray(1)).toEqual(bytes(1, 8))
})

it('does so quickly', () => {
  const [a, b] = [bytes(1), bytes(1)]
  const started = process.cpuUsage()
  expect(a).toEqual(b)
  expect(process.cpuUsage(started).user).toBeLessThan(1_000_000)
})
