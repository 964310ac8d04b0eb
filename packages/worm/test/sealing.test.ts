/**
 * Chunks sealed under a key of their own, in memory that is used again.
 *
 * @newest-node-only: Node 20 cannot free memory at once
 */
import { expect, it } from 'vitest'
import { objectKey, openChunk, SEAL_BYTES, sealChunk } from '../src/sealing.ts'

const CHUNK = 768 * 1024

it('a chunk that is sealed leaves no memory for the collector, and opens to what it was', async () => {
  const key = await objectKey(new Uint8Array(32).fill(1), new Uint8Array(32).fill(2))
  const [nonce, bytes] = [new Uint8Array(12), new Uint8Array(CHUNK)]
  for (let i = 0; i < CHUNK; i += 101) bytes[i] = i
  const out = new Uint8Array(CHUNK + SEAL_BYTES)
  const before = process.memoryUsage().arrayBuffers
  for (let index = 0; index < 8; index++) await sealChunk(key, { index, nonce }, bytes, out)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(CHUNK)
  const opened = await openChunk(key, 7, out)
  expect(Buffer.compare(opened, bytes)).toBe(0)
})
