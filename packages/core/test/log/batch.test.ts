/** What an engine checks before it takes anything, at the very limit and one beyond. */
import { describe, expect, it } from 'vitest'
import { BATCH_BYTES_MAX, RECORD_BYTES_MAX, RING_KEY_BYTES_MAX } from '../../src/base/limits.ts'
import { checkBatch, checkKey, checkLabel } from '../../src/log/batch.ts'
import type { LogRecord } from '../../src/log/engine.ts'
import { codeOf } from '../../src/testing/log-suite.ts'

const HASH = new Uint8Array(32).fill(1)
const big = new Uint8Array(RECORD_BYTES_MAX + 1)

function batchOf(sizes: readonly number[]): LogRecord[] {
  return sizes.map((size, seq) => ({ seq, hash: HASH, bytes: big.subarray(0, size) }))
}

describe('a batch', () => {
  it('may have a record of the largest size, and none beyond', async () => {
    expect(checkBatch(batchOf([RECORD_BYTES_MAX]), undefined, undefined)).toBe(RECORD_BYTES_MAX + 36)
    expect(await codeOf(() => checkBatch(batchOf([RECORD_BYTES_MAX + 1]), undefined, undefined))).toBe('BAD_ARGUMENT')
  })

  it('may have the largest size, the bytes that go with each record counted in, and no byte more', async () => {
    const whole = Math.floor(BATCH_BYTES_MAX / (RECORD_BYTES_MAX + 36))
    const rest = BATCH_BYTES_MAX - whole * (RECORD_BYTES_MAX + 36) - 36
    const sizes = Array.from({ length: whole }, () => RECORD_BYTES_MAX)
    expect(checkBatch(batchOf([...sizes, rest]), undefined, undefined)).toBe(BATCH_BYTES_MAX)
    expect(await codeOf(() => checkBatch(batchOf([...sizes, rest + 1]), undefined, undefined))).toBe('BAD_ARGUMENT')
  })

  it('has hashes of 32 bytes, and seqs that follow', async () => {
    for (const size of [31, 33]) {
      const [record] = batchOf([5])
      const wrong = { ...record!, hash: new Uint8Array(size) }
      expect(await codeOf(() => checkBatch([wrong], undefined, undefined))).toBe('BAD_ARGUMENT')
    }
    const [first, second] = batchOf([1, 1])
    expect(await codeOf(() => checkBatch([second!], undefined, undefined))).toBe('LINK_MISMATCH')
    expect(await codeOf(() => checkBatch([first!, first!], undefined, undefined))).toBe('LINK_MISMATCH')
    const head = { seq: 0, hash: HASH }
    expect(checkBatch([second!], head, { ...head })).toBe(37)
    expect(await codeOf(() => checkBatch([second!], { ...head, hash: new Uint8Array(32) }, head))).toBe('LINK_MISMATCH')
  })
})

describe('a label', () => {
  it('is 32 bytes, not all zeros, and the one that stands', async () => {
    checkLabel(HASH, undefined)
    checkLabel(HASH, HASH.slice())
    for (const size of [0, 31, 33])
      expect(await codeOf(() => checkLabel(big.slice(0, size).fill(1), undefined))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => checkLabel(new Uint8Array(32), undefined))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => checkLabel(HASH, new Uint8Array(32).fill(2)))).toBe('WRONG_CHAIN')
  })
})

describe('a key of the ring', () => {
  it('has a name of 32 bytes, and at most so many bytes', async () => {
    checkKey(HASH, big.subarray(0, RING_KEY_BYTES_MAX))
    expect(await codeOf(() => checkKey(HASH, big.subarray(0, RING_KEY_BYTES_MAX + 1)))).toBe('BAD_ARGUMENT')
    expect(await codeOf(() => checkKey(HASH.subarray(1), big.subarray(0, 1)))).toBe('BAD_ARGUMENT')
  })
})
