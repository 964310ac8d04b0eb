import { expect, it } from 'vitest'
import { RecentOutcomes } from '../../src/chain/recent-outcomes.ts'

const KEPT = 16_384

function nonceOf(count: number): Uint8Array {
  const nonce = new Uint8Array(16)
  new DataView(nonce.buffer).setUint32(12, count)
  return nonce
}

it('remembers the newest 16,384 outcomes, each with its record', () => {
  const outcomes = new RecentOutcomes()
  const at = (seq: number) => ({ seq, durability: 'disk', at: 1000 + seq }) as const
  const last = KEPT + 99
  for (let i = 0; i <= last; i++) outcomes.note(nonceOf(i), at(Math.floor(i / 10)))
  expect(outcomes.find(nonceOf(last))).toEqual(at(Math.floor(last / 10)))
  expect(outcomes.find(nonceOf(100))).toEqual(at(10))
  expect(outcomes.find(nonceOf(99))).toBeUndefined()
  expect(outcomes.find(nonceOf(last + 1))).toBeUndefined()
})

it('compares whole ids', () => {
  const outcomes = new RecentOutcomes()
  outcomes.note(nonceOf(1), { seq: 1, durability: 'disk', at: 1 })
  for (let i = 0; i < 16; i++) {
    const other = nonceOf(1)
    other[i]! ^= 0x80
    expect(outcomes.find(other)).toBeUndefined()
  }
})
