import { describe, expect, it } from 'vitest'
import { concatBytes, toHex, utf8 } from '../../src/base/bytes.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import type { SealPlace } from '../../src/crypto/seal.ts'
import {
  blockSecretFrom,
  openBlockKey,
  SEAL_INFO_BYTES,
  sealBlock,
  sealBlockTo,
  sealInfo,
} from '../../src/crypto/seal.ts'
import { xWingSecret } from '../../src/crypto/x-wing.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded } from './support.ts'

const providers = [nobleProvider, nodeProvider()]
const random = seeded(21)
const secret = new Uint8Array(32).fill(5)
const place: SealPlace = {
  suite: 1,
  chain: new Uint8Array(32).fill(1),
  node: new Uint8Array(16).fill(2),
  epoch: 3,
  writer: new Uint8Array(32).fill(4),
  writerSeq: 2 ** 40 + 5,
}
const info = sealInfo(place)
const plaintext = utf8('one body, and another one, and a third that is a little longer')
/** A source that repeats, as after a machine is cloned. */
const stuck = { fill: (bytes: Uint8Array) => void bytes.fill(9) }

describe.each(providers)('sealed blocks on $name', (crypto) => {
  const block = sealBlock(crypto, random, { secret, info, plaintext })

  it('open whole and in slices, on the other provider too', () => {
    for (const other of providers) {
      const key = openBlockKey(other, { secret, info, ...block })!
      expect(toHex(key.open(block.ciphertext, block.tag)!)).toBe(toHex(plaintext))
      expect(toHex(key.openSlice(block.ciphertext.subarray(17, 40), 17))).toBe(toHex(plaintext.subarray(17, 40)))
    }
    expect([block.salt.length, block.commitment.length, block.tag.length]).toEqual([32, 32, 16])
    expect(block.ciphertext.length).toBe(plaintext.length)
  })

  it('have no key for another secret, place, salt or commitment', () => {
    const right = { secret, info, ...block }
    const wrong = [
      { ...right, secret: new Uint8Array(32).fill(6) },
      { ...right, info: sealInfo({ ...place, writerSeq: 6 }) },
      { ...right, salt: flipped(block.salt) },
      { ...right, commitment: flipped(block.commitment) },
      { ...right, salt: block.salt.subarray(1) },
      { ...right, salt: concatBytes(block.salt, new Uint8Array(1)) }, // the same HMAC key
      { ...right, commitment: block.commitment.subarray(0, 16) },
      { ...right, commitment: new Uint8Array(0) },
    ]
    for (const input of wrong) expect(openBlockKey(crypto, input)).toBe(undefined)
  })

  it('open to nothing when altered', () => {
    const key = openBlockKey(crypto, { secret, info, ...block })!
    expect(key.open(flipped(block.ciphertext), block.tag)).toBe(undefined)
    expect(key.open(block.ciphertext, flipped(block.tag))).toBe(undefined)
    expect(key.open(block.ciphertext.subarray(1), block.tag)).toBe(undefined)
    expect(key.open(block.ciphertext, block.tag.subarray(0, 12))).toBe(undefined)
  })

  it('never share a salt between two texts, even where randomness repeats', () => {
    const a = sealBlock(crypto, stuck, { secret, info, plaintext: utf8('attack at dawn') })
    const b = sealBlock(crypto, stuck, { secret, info, plaintext: utf8('attack at dusk') })
    const c = sealBlock(crypto, stuck, { secret: new Uint8Array(32), info, plaintext: utf8('attack at dawn') })
    expect(new Set([a, b, c].map(({ salt }) => toHex(salt))).size).toBe(3)
  })

  it('are sealed freshly each time', () => {
    const again = sealBlock(crypto, random, { secret, info, plaintext })
    expect(toHex(again.salt)).not.toBe(toHex(block.salt))
    expect(toHex(again.ciphertext)).not.toBe(toHex(block.ciphertext))
  })

  it('may be empty', () => {
    const empty = sealBlock(crypto, random, { secret, info, plaintext: new Uint8Array(0) })
    const key = openBlockKey(crypto, { secret, info, ...empty })!
    expect(key.open(empty.ciphertext, empty.tag)?.length).toBe(0)
    expect(key.open(empty.ciphertext, flipped(empty.tag))).toBe(undefined)
  })

  it('sealed to a public key open for its holder alone', () => {
    const reader = xWingSecret(crypto, new Uint8Array(32).fill(8))
    const stranger = xWingSecret(crypto, new Uint8Array(32).fill(9))
    const sent = sealBlockTo(crypto, random, { publicKey: reader.publicKey, info, plaintext })!
    const found = blockSecretFrom(crypto, reader, sent.encapsulated, info)!
    const key = openBlockKey(crypto, { secret: found, info, ...sent })!
    expect(toHex(key.open(sent.ciphertext, sent.tag)!)).toBe(toHex(plaintext))
    const others = [
      blockSecretFrom(crypto, stranger, sent.encapsulated, info)!,
      blockSecretFrom(crypto, reader, flipped(sent.encapsulated), info)!,
      blockSecretFrom(crypto, reader, sent.encapsulated, utf8('elsewhere'))!,
    ]
    for (const other of others) expect(openBlockKey(crypto, { secret: other, info, ...sent })).toBe(undefined)
    expect(blockSecretFrom(crypto, reader, sent.encapsulated.subarray(1), info)).toBe(undefined)
    expect(sent.encapsulated.length).toBe(1120)
  })

  it('sealed to a public key are bound to the key and to the encapsulation, not to the shared secret alone', () => {
    const reader = xWingSecret(crypto, new Uint8Array(32).fill(8))
    const { encapsulated } = sealBlockTo(crypto, random, { publicKey: reader.publicKey, info, plaintext })!
    const shared = reader.decapsulate(encapsulated)
    const secretOf = (publicKey: Uint8Array, bytes: Uint8Array) =>
      toHex(blockSecretFrom(crypto, { publicKey, decapsulate: () => shared.slice() }, bytes, info)!)
    const right = toHex(blockSecretFrom(crypto, reader, encapsulated, info)!)
    expect(secretOf(reader.publicKey, encapsulated)).toBe(right)
    expect(secretOf(flipped(reader.publicKey), encapsulated)).not.toBe(right)
    expect(secretOf(reader.publicKey, flipped(encapsulated))).not.toBe(right)
  })

  it('cannot be sealed to an invalid public key', () => {
    expect(sealBlockTo(crypto, random, { publicKey: new Uint8Array(1216).fill(255), info, plaintext })).toBe(undefined)
  })
})

describe('the place of a block', () => {
  it('is told apart by every field', () => {
    const others: SealPlace[] = [
      { ...place, suite: 2 },
      { ...place, chain: flipped(place.chain) },
      { ...place, node: flipped(place.node) },
      { ...place, epoch: 4 },
      { ...place, epoch: 2 ** 32 + 3 },
      { ...place, writer: flipped(place.writer) },
      { ...place, writerSeq: 5 },
    ]
    expect(new Set([place, ...others].map((one) => toHex(sealInfo(one)))).size).toBe(others.length + 1)
  })

  it('has one layout', () => {
    const hex = `01${'01'.repeat(32)}${'02'.repeat(16)}0000000000000003${'04'.repeat(32)}0000010000000005`
    expect(toHex(info)).toBe(hex)
    expect(info.length).toBe(SEAL_INFO_BYTES)
  })

  it('refuses what does not fit its fields', () => {
    for (const wrong of [{ epoch: 2 ** 53 }, { writerSeq: -1 }, { suite: 256 }, { node: new Uint8Array(15) }])
      expect(() => sealInfo({ ...place, ...wrong })).toThrow('INTERNAL')
  })
})

it('frozen bytes: the key schedule and the seal do not change', () => {
  const block = sealBlock(nobleProvider, stuck, { secret, info, plaintext: utf8('frozen') })
  expect([block.salt, block.commitment, block.tag, block.ciphertext].map(toHex)).toEqual(FROZEN)
})

/** Salt and commitment were computed a second time with another implementation of HMAC. */
const FROZEN = [
  '9983b753f262bd6a454dbac3ecd7de01da6aa82991cc879e73b3096d1c4c5172',
  'd146abfc6397870b1b98ff0b43203d51deebfddf084e2bb568234b1ec84db731',
  'd465bc8625a44f4413ff05af1d957da0',
  '217d5ab94d6e',
]

function flipped(bytes: Uint8Array): Uint8Array {
  const copy = bytes.slice()
  copy[copy.length >> 1]! ^= 1
  return copy
}
