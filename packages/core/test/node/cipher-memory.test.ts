/**
 * What a cipher gives is copied to where it was asked for, and its memory is free at once: no collector has to come for it.
 *
 * @newest-node-only: Node 20 cannot free memory at once
 */
import { expect, it } from 'vitest'
import { nodeProvider } from '../../src/node/crypto-node.ts'

const KIB = 1024

it('a large body that is sealed and opened leaves no memory for the collector', () => {
  const key = nodeProvider().aesKey(new Uint8Array(32))
  const [nonce, body, out] = [new Uint8Array(12), new Uint8Array(768 * KIB).fill(7), new Uint8Array(768 * KIB)]
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < 4; i++) {
    key.seal(nonce, body, out)
    key.openSlice(nonce, body, 0, out)
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(256 * KIB)
})
