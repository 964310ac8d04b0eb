// Identities: one seed, one identity; a public id that catches every wrong character; secrets that show nowhere.
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { toHex } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { fromBase32, toBase32 } from '../../src/base/ids.ts'
import { compositeVerifier } from '../../src/crypto/composite.ts'
import { contextBytes } from '../../src/crypto/contexts.ts'
import { xWingEncapsulate } from '../../src/crypto/x-wing.ts'
import { bareNodeProvider, nodeProvider } from '../../src/node/crypto-node.ts'
import {
  IDENTITY_SEED_BYTES,
  type Identity,
  identityCheckpointSeed,
  identityFromSeed,
  identityKem,
  identitySeed,
  isIdentity,
  newIdentity,
  parsePublicId,
  publicIdentity,
} from '../../src/session/identity.ts'
import { codeOf, crypto, makers, seededRandomness, shownForms, singleSpaced, textsOf } from './fixtures.ts'

const seed = Uint8Array.from({ length: IDENTITY_SEED_BYTES }, (_, i) => (i * 37 + 11) & 255)
const identity = identityFromSeed(makers(1), seed)

describe('an identity', () => {
  it('is the same from the same seed, whoever computes', () => {
    const other = identityFromSeed({ crypto: nodeProvider(), random: seededRandomness(2) }, seed)
    expect(other.fingerprint).toBe(identity.fingerprint)
    expect(other.publicId).toBe(identity.publicId)
    expect(newIdentity(makers(3)).fingerprint).toBe(newIdentity(makers(3)).fingerprint)
    expect(newIdentity(makers(3)).fingerprint).not.toBe(newIdentity(makers(4)).fingerprint)
  })

  it('has 3200 bytes of public keys, and the hash of them as its fingerprint', () => {
    expect(identity.keys).toHaveLength(3200)
    expect(identity.signingKey).toHaveLength(1984)
    expect(identity.kemKey).toHaveLength(1216)
    const hashed = crypto.sha256(Buffer.concat([Buffer.from('ate/1/identity\0'), identity.keys]))
    expect(toHex(identity.fingerprintBytes)).toBe(toHex(hashed))
    expect(identity.fingerprint).toBe(toBase32(hashed))
    expect(identity.publicId).toHaveLength(5131)
  })

  it('signs so that its public key verifies, under that context only', () => {
    const message = Uint8Array.of(1, 2, 3)
    const signature = identity.sign(message, 'certificate')
    const verifier = compositeVerifier(crypto, parsePublicId(crypto, identity.publicId).signingKey)
    expect(verifier.verify(message, signature, contextBytes('certificate'))).toBe(true)
    expect(verifier.verify(message, signature, contextBytes('attestation'))).toBe(false)
    expect(verifier.verify(Uint8Array.of(1, 2), signature, contextBytes('certificate'))).toBe(false)
  })

  it('opens what was wrapped to its public key', () => {
    const sent = xWingEncapsulate(crypto, publicIdentity(crypto, identity.keys).kemKey, seededRandomness(9))!
    expect(toHex(identityKem(identity).decapsulate(sent.ciphertext))).toBe(toHex(sent.shared))
  })

  it('has one checkpoint seed a nonce, of all of its seed', () => {
    const nonce = new Uint8Array(16)
    const first = toHex(identityCheckpointSeed(identity, nonce))
    expect(toHex(identityCheckpointSeed(identity, nonce))).toBe(first)
    expect(toHex(identityCheckpointSeed(identity, new Uint8Array(16).fill(1)))).not.toBe(first)
    for (const place of [0, 33, 64, 95]) {
      const other = seed.slice()
      other[place]! ^= 1
      expect(toHex(identityCheckpointSeed(identityFromSeed(makers(1), other), nonce))).not.toBe(first)
    }
  })

  it('keeps copies: changing the seed given or got changes nothing', () => {
    const given = seed.slice()
    const made = identityFromSeed(makers(1), given)
    given.fill(0)
    identitySeed(made).fill(0)
    expect(toHex(identitySeed(made))).toBe(toHex(seed))
    expect(identityCheckpointSeed(made, new Uint8Array(16))).toEqual(
      identityCheckpointSeed(identity, new Uint8Array(16)),
    )
  })
})

describe('a public id', () => {
  it('parses to the same public identity, without secrets', () => {
    const parsed = parsePublicId(crypto, identity.publicId)
    expect(parsed.fingerprint).toBe(identity.fingerprint)
    expect(parsed.publicId).toBe(identity.publicId)
    expect(toHex(parsed.keys)).toBe(toHex(identity.keys))
    expect(isIdentity(parsed)).toBe(false)
  })

  it('is refused with any character changed, missing or added', () => {
    const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
    fc.assert(
      fc.property(fc.nat({ max: 5130 }), fc.constantFrom(...alphabet, 'A', 'o', ' ', 'é'), (place, character) => {
        const text = identity.publicId
        if (text[place] === character) return
        const changed = text.slice(0, place) + character + text.slice(place + 1)
        expect(() => parsePublicId(crypto, changed)).toThrow(/^BAD_PUBLIC_ID/)
      }),
      { numRuns: 300 },
    )
    for (const wrong of [
      '',
      'ate1',
      identity.publicId.slice(0, -1),
      `${identity.publicId}0`,
      ` ${identity.publicId}`,
    ]) {
      expect(() => parsePublicId(crypto, wrong)).toThrow(/^BAD_PUBLIC_ID/)
    }
    for (const wrong of [
      undefined,
      null,
      5,
      {},
      identity.publicId.toUpperCase(),
      `ate2${identity.publicId.slice(4)}`,
    ]) {
      expect(() => parsePublicId(crypto, wrong)).toThrow(/^BAD_PUBLIC_ID/)
    }
  })

  it('is refused if its checksum is of other keys', () => {
    const body = fromBase32(identity.publicId.slice(4), 3204)!
    body[100]! ^= 1
    expect(() => parsePublicId(crypto, `ate1${toBase32(body)}`)).toThrow(/checksum/)
  })
})

describe('secrets', () => {
  it('show in no inspection, JSON, text or clone: the fingerprint does', () => {
    const shown =
      shownForms(identity) + shownForms([{ deep: identity }]) + inspect(Object.getOwnPropertyDescriptors(identity))
    expect(shown).toContain(identity.fingerprint)
    for (const text of textsOf(seed)) expect(shown).not.toContain(singleSpaced(text))
    expect(inspect(identity)).toBe(`Identity(${identity.fingerprint})`)
    expect(JSON.stringify({ identity })).toBe(`{"identity":{"fingerprint":"${identity.fingerprint}"}}`)
    expect(`${identity}`).toBe(`Identity(${identity.fingerprint})`)
    expect(structuredClone({ identity }).identity).toEqual({ fingerprint: identity.fingerprint })
  })

  it('would be found by this search, in each form', () => {
    const forms = [
      toHex(seed),
      Buffer.from(seed).toString('base64'),
      toBase32(seed),
      Buffer.from(seed).toString('latin1'),
      inspect(seed, { maxArrayLength: null, breakLength: Infinity, compact: 200, numericSeparator: false }),
      JSON.stringify([...seed]),
      inspect(Buffer.from(seed)),
    ]
    for (const form of forms)
      expect(textsOf(seed).some((text) => singleSpaced(form).includes(singleSpaced(text)))).toBe(true)
  })

  it('are on no property, own or inherited, enumerable or not', () => {
    const secret = new Set([
      toHex(seed),
      toHex(seed.subarray(0, 64)),
      toHex(seed.subarray(64)),
      toHex(seed.subarray(0, 32)),
    ])
    for (
      let object: object | null = identity;
      object && object !== Object.prototype;
      object = Object.getPrototypeOf(object)
    ) {
      for (const name of Reflect.ownKeys(object)) {
        const value: unknown = Reflect.get(object, name, identity)
        if (value instanceof Uint8Array) expect(secret.has(toHex(value))).toBe(false)
        if (typeof value === 'object' && value !== null) expect(Object.keys(value)).not.toContain('decapsulate')
      }
    }
  })

  it('are in no error of a call that goes wrong', () => {
    const errors: unknown[] = []
    for (const run of [
      () => identity.sign('no bytes' as unknown as Uint8Array, 'certificate'),
      () => identityKem(identity).decapsulate(new Uint8Array(3)),
      () => identityCheckpointSeed(identity, new Uint8Array(3)),
      () => identityFromSeed(makers(1), seed.subarray(1)),
      () => identityFromSeed({ crypto: bareNodeProvider(), random: seededRandomness(1) }, seed.slice(0, 95)),
    ]) {
      try {
        run()
      } catch (error) {
        errors.push(error)
      }
    }
    expect(errors).toHaveLength(5)
    for (const error of errors) {
      const shown = singleSpaced(
        inspect(error, { depth: 20, showHidden: true, maxArrayLength: null }) + JSON.stringify(error),
      )
      for (const text of textsOf(seed)) expect(shown).not.toContain(singleSpaced(text))
    }
  })

  it('are out of reach for look-alikes, and an identity of another copy is known as one', async () => {
    const alike = { ...identity, [Symbol.for('ate.identity')]: true }
    const child = Object.create(identity) as Identity
    const known = publicIdentity(crypto, identity.keys) as Identity
    for (const wrong of [alike, child, known, {}, null, undefined, 'x']) {
      expect(await codeOf(() => identitySeed(wrong as Identity))).toBe('BAD_ARGUMENT')
      expect(await codeOf(() => identityKem(wrong as Identity))).toBe('BAD_ARGUMENT')
    }
    expect(isIdentity(identity)).toBe(true)
    expect(isIdentity(alike)).toBe(true)
    expect(isIdentity({})).toBe(false)
    expect(() => identitySeed(alike as Identity)).toThrow(/another copy/)
    expect(() => identitySeed(known)).toThrow(AteError)
  })
})
