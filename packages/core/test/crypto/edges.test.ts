/** What the primitives and trees are asked for that they must not do: one step outside of each size, range and count. */
import { describe, expect, it } from 'vitest'
import { compositeSigner, compositeVerifier } from '../../src/crypto/composite.ts'
import { ed25519Key, ed25519SignatureAllowed } from '../../src/crypto/ed25519-rule.ts'
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  peaksOf,
  TreeFrontier,
  treeRootOfHashes,
} from '../../src/crypto/merkle.ts'
import { RangeTree } from '../../src/crypto/merkle-range.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { counterBlock } from '../../src/crypto/noble-base.ts'
import type { CryptoProvider } from '../../src/crypto/provider.ts'
import { type SealPlace, sealInfo } from '../../src/crypto/seal.ts'
import { testAlgorithm } from '../../src/crypto/self-test.ts'
import { wrapSecret } from '../../src/crypto/wrap.ts'
import { xWingSecret } from '../../src/crypto/x-wing.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded } from './support.ts'

const providers = [nobleProvider, nodeProvider()]
const bytes = (size: number, value = 5): Uint8Array => new Uint8Array(size).fill(value)
const refused = (run: () => unknown): void => expect(run).toThrow('INTERNAL')

describe('numbers of a place', () => {
  const place: SealPlace = { suite: 1, chain: bytes(32), node: bytes(16), epoch: 0, writer: bytes(32), writerSeq: 0 }

  it('are a byte, and whole numbers below 2^53', () => {
    for (const good of [{ suite: 0 }, { suite: 255 }, { epoch: 2 ** 53 - 1 }, { writerSeq: 2 ** 53 - 1 }])
      expect(sealInfo({ ...place, ...good }).length).toBe(97)
    for (const wrong of [
      { suite: -1 },
      { suite: 256 },
      { suite: 0.5 },
      { chain: bytes(31) },
      { node: Array(16).fill(0) as never },
    ])
      refused(() => sealInfo({ ...place, ...wrong }))
    for (const value of [-1, 0.5, 2 ** 53]) {
      refused(() => sealInfo({ ...place, epoch: value }))
      refused(() => sealInfo({ ...place, writerSeq: value }))
    }
  })

  it('of a slice are within one GCM message', () => {
    expect(new DataView(counterBlock(bytes(12), 2 ** 35 - 1).buffer).getUint32(12)).toBe(2 ** 31 + 1)
    expect(new DataView(counterBlock(bytes(12), 0).buffer).getUint32(12)).toBe(2)
    for (const offset of [-16, 0.5, 2 ** 35]) refused(() => counterBlock(bytes(12), offset))
    refused(() => counterBlock(bytes(16), 0))
  })
})

describe.each(providers)('on $name', (crypto) => {
  it('a hash fits into what it is written to', () => {
    const out = new Uint8Array(40)
    crypto.sha256Into(bytes(1), out, 0)
    crypto.sha256Into(bytes(1), out, 8)
    for (const at of [-1, 9]) refused(() => crypto.sha256Into(bytes(1), out, at))
  })

  it('a tag of another length opens nothing, also where the bytes before it make up for it', () => {
    const key = crypto.aesKey(bytes(32))
    const { ciphertext, tag } = key.seal(bytes(12), bytes(20))
    expect(key.open(bytes(12), ciphertext, tag)).toEqual(bytes(20))
    for (const cut of [1, 4, 12, 16]) {
      const moved = Uint8Array.of(...ciphertext, ...tag.subarray(0, cut))
      expect(key.open(bytes(12), moved, tag.subarray(cut))).toBeUndefined()
    }
    expect(key.open(bytes(12), ciphertext.subarray(0, 19), Uint8Array.of(ciphertext[19]!, ...tag))).toBeUndefined()
  })

  it('a lattice signature is of one length, and its context of 255 bytes at most', () => {
    const signer = crypto.mlDsa65Signer(bytes(32))
    const verifier = crypto.mlDsa65Verifier(signer.publicKey)
    const signature = signer.sign(bytes(3), bytes(255), seeded(1))
    expect(verifier.verify(bytes(3), signature, bytes(255))).toBe(true)
    expect(verifier.verify(bytes(3), signature, bytes(256))).toBe(false)
    expect(verifier.verify(bytes(3), signature.subarray(1), bytes(255))).toBe(false)
    expect(verifier.verify(bytes(3), Uint8Array.of(...signature, 0), bytes(255))).toBe(false)
  })

  it('a composite has both its halves, a key of its length, and a context of 255 bytes at most', () => {
    const signer = compositeSigner(crypto, bytes(64))
    const verifier = compositeVerifier(crypto, signer.publicKey)
    const signature = signer.sign(bytes(3), bytes(255), seeded(1))
    expect(verifier.verify(bytes(3), signature, bytes(255))).toBe(true)
    for (const at of [0, 3308, 3309, 3372]) {
      const flipped = signature.slice()
      flipped[at]! ^= 1
      expect([at, verifier.verify(bytes(3), flipped, bytes(255))]).toEqual([at, false])
    }
    expect(verifier.verify(bytes(3), signature, bytes(256))).toBe(false)
    refused(() => signer.sign(bytes(3), bytes(256), seeded(1)))
    for (const size of [1983, 1985])
      expect(compositeVerifier(crypto, bytes(size)).verify(bytes(3), signature, bytes(255))).toBe(false)
  })
})

it('noble overwrites the randomness of an encapsulation', () => {
  const drawn: Uint8Array[] = []
  const random = { fill: (out: Uint8Array) => void drawn.push(out.fill(9)) }
  const { publicKey } = nobleProvider.mlKem768Secret(bytes(64))
  expect(nobleProvider.mlKem768Encapsulate(publicKey, random)).toBeDefined()
  expect(nobleProvider.mlKem768Encapsulate(bytes(1184, 255), random)).toBeUndefined()
  expect(drawn).toEqual([new Uint8Array(32), new Uint8Array(32)])
})

it('one secret that is wrapped twice is wrapped in two ways', () => {
  const random = seeded(7)
  const { publicKey } = xWingSecret(nobleProvider, bytes(32))
  const wrap = (): Uint8Array => wrapSecret(nobleProvider, random, { publicKey, info: bytes(3), secret: bytes(32) })!
  expect(wrap().subarray(0, 1120)).not.toEqual(wrap().subarray(0, 1120))
})

it('the self-test opens what it has sealed, and looks at what comes out', () => {
  const flip = (given: Uint8Array | undefined): Uint8Array => given!.map((byte, i) => (i === 0 ? byte ^ 1 : byte))
  const aesKey: CryptoProvider['aesKey'] = (secret) => {
    const key = nobleProvider.aesKey(secret)
    return { ...key, open: (...input) => (input[2].some((byte) => byte !== 0) ? flip(key.open(...input)) : undefined) }
  }
  expect(testAlgorithm({ ...nobleProvider, aesKey }, 'aes256Gcm')).toBe('wrong')
  const mlKem768Encapsulate: CryptoProvider['mlKem768Encapsulate'] = (...input) => {
    const made = nobleProvider.mlKem768Encapsulate(...input)
    return made && { ...made, shared: flip(made.shared) }
  }
  expect(testAlgorithm({ ...nobleProvider, mlKem768Encapsulate }, 'mlKem768')).toBe('wrong')
})

describe('the rule of Ed25519', () => {
  it('takes keys of 32 bytes, asked for once or again, and signatures of 64', () => {
    const signer = nobleProvider.ed25519Signer(bytes(32))
    expect(ed25519Key(signer.publicKey)).toBeDefined()
    expect(ed25519Key(signer.publicKey)).toBe(ed25519Key(signer.publicKey.slice()))
    expect(ed25519Key(Uint8Array.of(...signer.publicKey, 0))).toBeUndefined()
    expect(ed25519Key(signer.publicKey.subarray(1))).toBeUndefined()
    const signature = signer.sign(bytes(3))
    expect(ed25519SignatureAllowed(signature)).toBe(true)
    expect(ed25519SignatureAllowed(Uint8Array.of(...signature, 0))).toBe(false)
    expect(ed25519SignatureAllowed(signature.subarray(0, 63))).toBe(false)
  })

  it('takes S below the order of the group, and no R that is the identity', () => {
    const ORDER = 'edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010'
    const order = Uint8Array.from(ORDER.match(/../g)!, (hex) => Number.parseInt(hex, 16))
    const signed = (s: Uint8Array, r = bytes(32)): boolean => ed25519SignatureAllowed(Uint8Array.of(...r, ...s))
    const near = (change: number): Uint8Array => Uint8Array.of(order[0]! + change, ...order.subarray(1))
    expect([signed(near(-1)), signed(order), signed(near(1)), signed(bytes(32, 255))]).toEqual([
      true,
      false,
      false,
      false,
    ])
    const identity = Uint8Array.of(1, ...new Uint8Array(31))
    expect([signed(bytes(32, 1), identity), signed(bytes(32, 1), bytes(32, 1))]).toEqual([false, true])
    const almost = identity.slice()
    almost[31] = 1
    expect(signed(near(-1), identity)).toBe(false)
    expect(signed(near(-1), almost)).toBe(true)
    expect(signed(near(-1), Uint8Array.of(2, ...new Uint8Array(31)))).toBe(true)
  })
})

describe('trees', () => {
  const crypto = nodeProvider()
  const contents = Array.from({ length: 9 }, (_, i) => bytes(32, i))
  const hashes = contents.map((content) => leafHash(crypto, content))

  it('prove what they hold, and nothing else', () => {
    expect(inclusionProof(crypto, hashes, 0).length).toBe(4)
    expect(inclusionProof(crypto, hashes, 8).length).toBe(1)
    for (const index of [-1, 9, 0.5]) refused(() => inclusionProof(crypto, hashes, index))
    expect(consistencyProof(crypto, hashes, 1).length).toBe(4)
    expect(consistencyProof(crypto, hashes, 9)).toEqual([])
    for (const from of [0, 10, 1.5, -1]) refused(() => consistencyProof(crypto, hashes, from))
    refused(() => treeRootOfHashes(crypto, [bytes(31)]))
    refused(() => new TreeFrontier(crypto).append(bytes(33)))
    for (const size of [0, 5, 7, 9]) {
      expect(TreeFrontier.restore(crypto, new Uint8Array(size))).toBeUndefined()
      expect(peaksOf(crypto, new Uint8Array(size))).toBeUndefined()
    }
  })

  it('over a list hold to its size', () => {
    const tree = new RangeTree(crypto, { size: 9, at: (index) => contents[index] })
    expect([tree.inclusion(0, 9), tree.inclusion(8, 9)]).toEqual([
      inclusionProof(crypto, hashes, 0),
      inclusionProof(crypto, hashes, 8),
    ])
    for (const [index, size] of [
      [-1, 9],
      [9, 9],
      [3, 3],
      [0, 10],
    ] as const)
      refused(() => tree.inclusion(index, size))
    expect([tree.consistency(1, 9), tree.consistency(9, 9)]).toEqual([consistencyProof(crypto, hashes, 1), []])
    for (const [from, size] of [
      [0, 9],
      [4, 3],
      [1, 10],
    ] as const)
      refused(() => tree.consistency(from, size))
    expect(tree.subtree(8, 1)).toEqual(hashes[8])
    for (const [from, count] of [
      [0, 3],
      [1, 2],
      [8, 2],
      [0, 16],
    ] as const)
      refused(() => tree.subtree(from, count))
  })
})
