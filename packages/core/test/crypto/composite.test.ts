import { describe, expect, it } from 'vitest'
import { concatBytes, toHex, utf8 } from '../../src/base/bytes.ts'
import {
  COMPOSITE_PUBLIC_BYTES,
  COMPOSITE_SIGNATURE_BYTES,
  compositeSigner,
  compositeVerifier,
} from '../../src/crypto/composite.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { seeded, vectorLoader } from './support.ts'

interface CompositeVectors {
  readonly m: string
  readonly ctx: string
  readonly tests: readonly { readonly [name: string]: string }[]
}

const NONE = new Uint8Array(0)
const random = seeded(7)
const providers = [nobleProvider, nodeProvider()]
const secret = new Uint8Array(64).map((_, i) => i)
const message = utf8('message')
const context = utf8('context')

describe.each(providers)('composite signatures on $name', (crypto) => {
  const signer = compositeSigner(crypto, secret)
  const verifier = compositeVerifier(crypto, signer.publicKey)
  const signature = signer.sign(message, context, random)

  it('have the sizes of the draft', () => {
    expect([signer.publicKey.length, signature.length]).toEqual([COMPOSITE_PUBLIC_BYTES, COMPOSITE_SIGNATURE_BYTES])
    expect([COMPOSITE_PUBLIC_BYTES, COMPOSITE_SIGNATURE_BYTES]).toEqual([1984, 3373])
  })

  it('verify, on the other provider too', () => {
    for (const other of providers) {
      expect(compositeVerifier(other, signer.publicKey).verify(message, signature, context)).toBe(true)
      expect(toHex(compositeSigner(other, secret).publicKey)).toBe(toHex(signer.publicKey))
    }
  })

  it('need both halves', () => {
    const lattice = signature.slice()
    lattice[100]! ^= 1
    const classical = signature.slice()
    classical[3309 + 40]! ^= 1
    expect(verifier.verify(message, lattice, context)).toBe(false)
    expect(verifier.verify(message, classical, context)).toBe(false)
  })

  it('bind message and context, and know where one ends', () => {
    expect(verifier.verify(utf8('massage'), signature, context)).toBe(false)
    expect(verifier.verify(message, signature, utf8('contest'))).toBe(false)
    expect(verifier.verify(message, signature, NONE)).toBe(false)
  })

  it('refuse wrong sizes of key, signature and context', () => {
    expect(verifier.verify(message, concatBytes(signature, NONE.slice(), Uint8Array.of(0)), context)).toBe(false)
    expect(verifier.verify(message, signature.subarray(1), context)).toBe(false)
    expect(verifier.verify(message, signature, new Uint8Array(256))).toBe(false)
    expect(compositeVerifier(crypto, signer.publicKey.subarray(1)).verify(message, signature, context)).toBe(false)
    expect(() => compositeSigner(crypto, secret.subarray(1))).toThrow('INTERNAL')
    expect(() => signer.sign(message, new Uint8Array(256), random)).toThrow('INTERNAL')
  })

  it("refuse halves that sign something else than M' under the label", () => {
    const bare = concatBytes(
      crypto.mlDsa65Signer(secret.subarray(0, 32)).sign(message, context, random),
      crypto.ed25519Signer(secret.subarray(32)).sign(message),
    )
    expect(verifier.verify(message, bare, context)).toBe(false)
  })
})

const load = vectorLoader()
if (load) {
  const vectors = load('composite_mldsa65_ed25519') as CompositeVectors
  const vector = vectors.tests.find(({ tcId }) => tcId === 'id-MLDSA65-Ed25519-SHA512')!
  const [m, ctx] = [bytes(vectors.m), bytes(vectors.ctx)]

  it.each(providers)('the vectors of the draft pass on $name', (crypto) => {
    const verifier = compositeVerifier(crypto, bytes(vector['pk']!))
    expect(toHex(compositeSigner(crypto, bytes(vector['sk']!)).publicKey)).toBe(toHex(bytes(vector['pk']!)))
    expect(verifier.verify(m, bytes(vector['s']!), NONE)).toBe(true)
    expect(verifier.verify(m, bytes(vector['sWithContext']!), ctx)).toBe(true)
    expect(verifier.verify(m, bytes(vector['sWithContext']!), NONE)).toBe(false)
  })
}

it('repeats with the same randomness on noble', () => {
  const [a, b, c] = [1, 1, 2].map((seed) =>
    toHex(compositeSigner(nobleProvider, secret).sign(message, context, seeded(seed))),
  )
  expect(a).toBe(b)
  expect(a).not.toBe(c)
})

function bytes(base64: string): Uint8Array {
  return new Uint8Array(Buffer.from(base64, 'base64'))
}
