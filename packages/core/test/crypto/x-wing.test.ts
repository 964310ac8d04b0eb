import { describe, expect, it } from 'vitest'
import { concatBytes, toHex } from '../../src/base/bytes.ts'
import { randomBytes } from '../../src/base/environment.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { XWING_CIPHERTEXT_BYTES, XWING_PUBLIC_BYTES, xWingEncapsulate, xWingSecret } from '../../src/crypto/x-wing.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded } from './support.ts'

const random = seeded(11)
const providers = [nobleProvider, nodeProvider()]

describe.each(providers)('X-Wing on $name', (crypto) => {
  it('agrees with the other provider, both ways', () => {
    for (const other of providers)
      for (let round = 0; round < 4; round++) {
        const seed = randomBytes(random, 32)
        const secret = xWingSecret(crypto, seed)
        expect(toHex(xWingSecret(other, seed).publicKey)).toBe(toHex(secret.publicKey))
        const made = xWingEncapsulate(other, secret.publicKey, random)!
        expect(toHex(secret.decapsulate(made.ciphertext))).toBe(toHex(made.shared))
        expect([secret.publicKey.length, made.ciphertext.length, made.shared.length]).toEqual([
          XWING_PUBLIC_BYTES,
          XWING_CIPHERTEXT_BYTES,
          32,
        ])
      }
  })

  it('combines as the draft says, the label last', () => {
    const seed = randomBytes(random, 32)
    const expanded = crypto.shake256(seed, 96)
    const secret = xWingSecret(crypto, seed)
    const { ciphertext, shared } = xWingEncapsulate(crypto, secret.publicKey, random)!
    const ephemeral = ciphertext.subarray(1088)
    const lattice = crypto.mlKem768Secret(expanded.subarray(0, 64)).decapsulate(ciphertext.subarray(0, 1088))
    const classical = crypto.x25519Secret(expanded.subarray(64)).agree(ephemeral)!
    const publicHalf = secret.publicKey.subarray(1184)
    const label = Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c)
    const expected = crypto.sha3_256(concatBytes(lattice, classical, ephemeral, publicHalf, label))
    expect(toHex(shared)).toBe(toHex(expected))
  })

  it('gives another secret, not an error, for an altered ciphertext', () => {
    const secret = xWingSecret(crypto, new Uint8Array(32))
    const { ciphertext, shared } = xWingEncapsulate(crypto, secret.publicKey, random)!
    for (const at of [0, 1087, 1088, 1110]) {
      const altered = ciphertext.slice()
      altered[at]! ^= 1
      expect(toHex(secret.decapsulate(altered))).not.toBe(toHex(shared))
    }
    const lowOrder = concatBytes(ciphertext.subarray(0, 1088), new Uint8Array(32))
    const expanded = crypto.shake256(new Uint8Array(32), 96)
    const lattice = crypto.mlKem768Secret(expanded.subarray(0, 64)).decapsulate(ciphertext.subarray(0, 1088))
    const label = Uint8Array.of(0x5c, 0x2e, 0x2f, 0x2f, 0x5e, 0x5c)
    const zeros = new Uint8Array(32) // what RFC 7748 gives for a low-order point, and the ephemeral key itself
    const expected = crypto.sha3_256(concatBytes(lattice, zeros, zeros, secret.publicKey.subarray(1184), label))
    expect(toHex(secret.decapsulate(lowOrder))).toBe(toHex(expected))
  })

  it('refuses invalid public keys', () => {
    const { publicKey } = xWingSecret(crypto, new Uint8Array(32))
    const notReduced = concatBytes(new Uint8Array(384).fill(255), publicKey.subarray(384))
    const lowOrder = concatBytes(publicKey.subarray(0, 1184), new Uint8Array(32))
    for (const key of [notReduced, lowOrder, publicKey.subarray(1), concatBytes(publicKey, new Uint8Array(1))])
      expect(xWingEncapsulate(crypto, key, random)).toBe(undefined)
  })
})
