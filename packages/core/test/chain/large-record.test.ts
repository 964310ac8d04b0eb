import { expect, it } from 'vitest'
import { equalBytes } from '../../src/base/bytes.ts'
import { LargeRecord } from '../../src/chain/large-record.ts'
import { ByteWriter } from '../../src/codec/writer.ts'

const SEALED = 300_000
const memories: Uint8Array[] = []

function newRecord(): LargeRecord {
  return new LargeRecord((size) => {
    memories.push(new Uint8Array(size))
    return memories.at(-1)!
  })
}

/** So many bytes, each telling its place, and what is sealed behind them. */
function write(writer: ByteWriter, headBytes: number, sealed: Uint8Array): Uint8Array {
  writer.reset()
  for (let i = 0; i < headBytes; i += 4) writer.u32(i)
  writer.raw(sealed)
  return writer.bytes()
}

function seal(record: LargeRecord, seed: number): Uint8Array {
  const sealed = record.room().subarray(0, SEALED)
  for (let i = 0; i < SEALED; i++) sealed[i] = i * seed
  return sealed
}

it('has the bytes that a writer would have, however much stands before the ciphertext', () => {
  const record = newRecord()
  for (const headBytes of [4, 1000, 16_384, 16_388, 32_768, 40_000, 200_000, 800]) {
    const sealed = seal(record, headBytes + 3)
    const expected = write(new ByteWriter(), headBytes, sealed.slice())
    expect([headBytes, equalBytes(write(record, headBytes, sealed), expected)]).toEqual([headBytes, true])
    record.clear()
  }
})

it('copies no ciphertext, and leaves what was written first where it was', () => {
  const record = newRecord()
  const sealed = seal(record, 7)
  const bytes = write(record, 16_384, sealed)
  expect(bytes.buffer).toBe(sealed.buffer)
  expect(bytes.byteOffset + 16_384).toBe(sealed.byteOffset)
  expect(equalBytes(record.buffer.subarray(0, 16_384), bytes.subarray(0, 16_384))).toBe(true)
})

it('is a writer like others where nothing was sealed in it', () => {
  const record = newRecord()
  const other = new Uint8Array(SEALED).fill(3)
  const bytes = write(record, 100_000, other)
  expect(equalBytes(bytes, write(new ByteWriter(), 100_000, other))).toBe(true)
  expect(bytes.buffer).toBe(memories.at(-1)!.buffer)
})
