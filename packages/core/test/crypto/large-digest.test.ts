import { gcm } from '@noble/ciphers/aes.js'
import { expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { largeDigest } from '../../src/crypto/large-digest.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { sealBlock } from '../../src/crypto/seal.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded } from './support.ts'

const crypto = nodeProvider()
const random = seeded(84)
const secret = new Uint8Array(32).fill(5)
const info = new Uint8Array(97)
/** A source that repeats, as after a machine is cloned. */
const stuck = { fill: (bytes: Uint8Array) => void bytes.fill(9) }

function randomOf(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  random.fill(bytes)
  return bytes
}

function changed(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice()
  copy[at]! ^= 1
  return copy
}

it('GMAC is the tag of additional data alone, as noble makes it', () => {
  for (const size of [0, 1, 16, 17, 100_000]) {
    const [key, nonce, bytes] = [randomOf(32), randomOf(12), randomOf(size)]
    const tag = gcm(key, nonce, bytes).encrypt(new Uint8Array(0))
    expect(toHex(crypto.aesKey(key).mac!(nonce, bytes))).toBe(toHex(tag))
  }
})

it('a large text is sealed with a salt of its own, even where randomness repeats', () => {
  const plaintext = randomOf(100_000)
  const out = new Uint8Array(plaintext.length)
  const saltOf = (text: Uint8Array, under: Uint8Array = secret): string => {
    const digest = (key: Uint8Array): Uint8Array | undefined => largeDigest(crypto, key, text)
    return toHex(sealBlock(crypto, stuck, { secret: under, info, plaintext: text }, { digest, out }).salt)
  }
  const salts = [
    saltOf(plaintext),
    saltOf(changed(plaintext, 0)),
    saltOf(changed(plaintext, 99_999)),
    saltOf(plaintext.subarray(1)),
    saltOf(plaintext, new Uint8Array(32)),
    toHex(sealBlock(crypto, stuck, { secret, info, plaintext }).salt),
  ]
  expect(new Set(salts).size).toBe(salts.length)
  expect(saltOf(plaintext)).toBe(salts[0])
})

it('where the platform has no GMAC, the hash of the text stands for it', () => {
  const plaintext = randomOf(100)
  expect(largeDigest(nobleProvider, secret, plaintext)).toBe(undefined)
  const ahead = { digest: () => undefined, out: new Uint8Array(100) }
  const salts = [undefined, ahead].map((one) => sealBlock(nobleProvider, stuck, { secret, info, plaintext }, one).salt)
  expect(toHex(salts[0]!)).toBe(toHex(salts[1]!))
})

it('the key of a digest is wiped', () => {
  const kept: Uint8Array[] = []
  const spied = {
    ...crypto,
    hkdfSha256: (...input: Parameters<typeof crypto.hkdfSha256>) => {
      const bytes = crypto.hkdfSha256(...input)
      kept.push(bytes)
      return bytes
    },
  }
  largeDigest(spied, secret, randomOf(100))
  expect(kept.map((bytes) => bytes.every((byte) => byte === 0))).toEqual([true])
})
