/** What a server signs about records: small, of one form, and worth nothing without the delegation of its identity. */
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../src/base/bytes.ts'
import { isAteError } from '../../src/base/errors.ts'
import { DELEGATION_MS_MAX } from '../../src/base/limits.ts'
import { taggedHash } from '../../src/crypto/tagged-hash.ts'
import {
  ACKNOWLEDGEMENT_BYTES,
  type AcknowledgementBody,
  DELEGATION_BYTES,
  encodeAcknowledgement,
  makeDelegation,
  parseAcknowledgement,
  parseDelegation,
  verifyAcknowledgement,
} from '../../src/event/acknowledgement.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'
import { type Identity, newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'

const crypto = nodeProvider()
const FROM = 1_750_000_000_000
const UNTIL = FROM + 3_600_000
const identity = (seed: number): Identity => newIdentity({ crypto, random: seededRandom(seed) })
const server = identity(71)
const key = crypto.ed25519Signer(new Uint8Array(32).fill(1))
const checkpoints = crypto.ed25519Signer(new Uint8Array(32).fill(2))
const body = { key: key.publicKey, checkpointKey: checkpoints.publicKey, from: FROM, until: UNTIL }
const signs = (who: Identity): Parameters<typeof makeDelegation>[2] => ({
  fingerprintBytes: who.fingerprintBytes,
  sign: (message) => who.sign(message, 'delegation'),
})
const bytes = makeDelegation(crypto, body, signs(server))
const record: AcknowledgementBody = {
  chain: new Uint8Array(32).fill(3),
  seq: 2 ** 40 + 5,
  hash: new Uint8Array(32).fill(4),
  level: 'disk',
  at: FROM + 1,
}

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (isAteError(error)) return error.code
    throw error
  }
  return 'nothing'
}

function flipped(of: Uint8Array, at: number): Uint8Array {
  const copy = of.slice()
  copy[at]! ^= 1
  return copy
}

describe('a delegation', () => {
  it('gives back what the server signed', () => {
    const { verifier, ...given } = parseDelegation(crypto, bytes, server.keys)
    expect(bytes.length).toBe(DELEGATION_BYTES)
    expect(given).toEqual(body)
    expect(verifier.verify(new Uint8Array(1), key.sign(new Uint8Array(1)))).toBe(true)
  })

  it('is of one server: of both its keys', () => {
    const other = identity(72)
    expect(codeOf(() => parseDelegation(crypto, bytes, other.keys))).toBe('BAD_ACKNOWLEDGEMENT')
    const mixed = server.keys.slice()
    mixed.set(other.kemKey, 1984)
    expect(codeOf(() => parseDelegation(crypto, bytes, mixed))).toBe('BAD_ACKNOWLEDGEMENT')
    const foreign = makeDelegation(crypto, body, {
      ...signs(server),
      sign: (message) => server.sign(message, 'certificate'),
    })
    expect(codeOf(() => parseDelegation(crypto, foreign, server.keys))).toBe('BAD_ACKNOWLEDGEMENT')
  })

  it('every part of it counts, and its length', () => {
    for (let at = 0; at < bytes.length; at += at < 81 ? 1 : 59)
      expect([at, codeOf(() => parseDelegation(crypto, flipped(bytes, at), server.keys))]).toEqual([
        at,
        'BAD_ACKNOWLEDGEMENT',
      ])
    for (const size of [0, 80, 81, bytes.length - 1])
      expect(codeOf(() => parseDelegation(crypto, bytes.subarray(0, size), server.keys))).toBe('BAD_ACKNOWLEDGEMENT')
    const huge = bytes.slice()
    huge[65] = 0xff
    expect(codeOf(() => parseDelegation(crypto, huge, server.keys))).toBe('BAD_ACKNOWLEDGEMENT')
  })

  it('lasts a while, and seven days at most', () => {
    for (const until of [FROM, FROM - 1, FROM + DELEGATION_MS_MAX + 1, Number.NaN, 2 ** 53])
      expect(codeOf(() => makeDelegation(crypto, { ...body, until }, signs(server)))).toBe('BAD_ARGUMENT')
    const longest = makeDelegation(crypto, { ...body, until: FROM + DELEGATION_MS_MAX }, signs(server))
    expect(parseDelegation(crypto, longest, server.keys).until).toBe(FROM + DELEGATION_MS_MAX)
    // Nor does it if the server signs it all the same.
    const longer = longest.slice(0, 81)
    new DataView(longer.buffer).setBigUint64(73, BigInt(FROM + DELEGATION_MS_MAX + 1))
    const signed = signs(server).sign(taggedHash(crypto, 'delegation', server.fingerprintBytes, longer))
    expect(() => parseDelegation(crypto, concatBytes(longer, signed), server.keys)).toThrow('time')
  })
})

describe('an acknowledgement', () => {
  const delegation = parseDelegation(crypto, bytes, server.keys)
  const acknowledgement = encodeAcknowledgement(crypto, record, key)

  it('says which record, how safe, and when, in 146 bytes', () => {
    expect(acknowledgement.length).toBe(ACKNOWLEDGEMENT_BYTES)
    expect(ACKNOWLEDGEMENT_BYTES).toBe(146)
    expect(verifyAcknowledgement(crypto, acknowledgement, delegation)).toMatchObject(record)
    for (const level of ['memory', 'os', 'disk', 'quorum'] as const)
      expect(parseAcknowledgement(encodeAcknowledgement(crypto, { ...record, level }, key)).level).toBe(level)
  })

  it('is by the delegated key, and by no other', () => {
    const forged = encodeAcknowledgement(crypto, record, checkpoints)
    expect(codeOf(() => verifyAcknowledgement(crypto, forged, delegation))).toBe('BAD_ACKNOWLEDGEMENT')
  })

  it('is of the time of the delegation', () => {
    for (const [at, code] of [
      [FROM, 'nothing'],
      [UNTIL - 1, 'nothing'],
      [FROM - 1, 'BAD_ACKNOWLEDGEMENT'],
      [UNTIL, 'BAD_ACKNOWLEDGEMENT'],
    ] as const) {
      const signed = encodeAcknowledgement(crypto, { ...record, at }, key)
      expect([at, codeOf(() => verifyAcknowledgement(crypto, signed, delegation))]).toEqual([at, code])
    }
  })

  it('every byte of it counts, and its length', () => {
    for (let at = 0; at < acknowledgement.length; at++)
      expect([at, codeOf(() => verifyAcknowledgement(crypto, flipped(acknowledgement, at), delegation))]).toEqual([
        at,
        'BAD_ACKNOWLEDGEMENT',
      ])
    for (const size of [0, 82, 145])
      expect(codeOf(() => parseAcknowledgement(acknowledgement.subarray(0, size)))).toBe('BAD_ACKNOWLEDGEMENT')
  })
})
