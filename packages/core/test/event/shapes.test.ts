/** Signed bodies that are maps: each field is there, of its type and size, and nothing is beside them. */
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { RECOVER_LOST_MAX } from '../../src/base/limits.ts'
import { encodeCanonical } from '../../src/codec/cbor.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../../src/crypto/composite.ts'
import { parseAttestation } from '../../src/event/attestation.ts'
import { parseCertificate } from '../../src/event/certificate.ts'
import { FORMAT, RECORD_HEAD_BYTES, SUITE } from '../../src/event/format.ts'
import { hashParameters, parseParameters } from '../../src/event/genesis.ts'
import { parseRecovery } from '../../src/event/recovery.ts'
import { nodeProvider } from '../../src/node/crypto-node.ts'

const crypto = nodeProvider()
const bytes = (size: number): Uint8Array => new Uint8Array(size).fill(7)
/** As long as 32 bytes, and no bytes. */
const list = (size = 32): number[] => Array.from({ length: size }, () => 7)

function outcome(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    if (!isAteError(error)) throw error
    return { code: error.code, ...error.facts }
  }
  return 'taken'
}

/** A signed map in its payload, whose signature is not looked at here. */
function signed(head: number, body: unknown, signatureBytes = COMPOSITE_SIGNATURE_BYTES): Uint8Array {
  const out = new ByteWriter(8192)
  out.raw(new Uint8Array(head))
  out.sized(encodeCanonical(body))
  out.raw(new Uint8Array(signatureBytes))
  return out.copy()
}

type Fields = Readonly<Record<string, unknown>>
const without = (fields: Fields, name: string): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([key]) => key !== name))
/** What is no count: not a number, none of an integer, below zero, above 2^53. */
const NO_COUNTS: readonly unknown[] = ['1', 0.5, -1, 2n ** 60n]
const NO_HASHES: readonly unknown[] = [bytes(31), bytes(33), list(), 'x'.repeat(32), null]
const NO_MAPS: readonly unknown[] = [null, 5, 'text', bytes(3), []]

/** The body with each of these fields in turn left out, and with each wrong value in its place. */
function wrongs(body: Fields, fields: Readonly<Record<string, readonly unknown[]>>): Fields[] {
  return Object.entries(fields).flatMap(([name, values]) => [
    without(body, name),
    ...values.map((value) => ({ ...body, [name]: value })),
  ])
}

describe('a certificate', () => {
  const read = (body: unknown, size?: number): unknown => outcome(() => parseCertificate(crypto, signed(0, body, size)))
  const body = { chain: bytes(32), identity: bytes(32), session: bytes(32), until: 5 }

  it('has its fields and no others', () => {
    const full = { ...body, keys: bytes(3200), after: bytes(32) }
    expect([read(body), read(full)]).toEqual(['taken', 'taken'])
    const refused = [
      ...NO_MAPS,
      { ...body, other: 1 },
      ...wrongs(body, { chain: NO_HASHES, identity: NO_HASHES, session: NO_HASHES, until: ['1', 0.5, 2n ** 60n] }),
      ...[bytes(3199), bytes(32), list(3200), null].map((keys) => ({ ...body, keys })),
      ...NO_HASHES.map((after) => ({ ...body, after })),
    ]
    for (const wrong of refused) expect(read(wrong)).toEqual({ code: 'BAD_CERTIFICATE', what: 'body' })
  })

  it('is cut nowhere', () => {
    expect(read(body, 3372)).toEqual({ code: 'BAD_CERTIFICATE' })
    expect(read(body, 3374)).toEqual({ code: 'BAD_CERTIFICATE' })
  })
})

describe('an attestation', () => {
  const read = (body: unknown, size?: number): unknown =>
    outcome(() => parseAttestation(crypto, signed(RECORD_HEAD_BYTES, body, size)))
  const hashes = { chain: bytes(32), certificate: bytes(32), root: bytes(32), hash: bytes(32) }
  const body = { ...hashes, from: 3, to: 4, seq: 9 }

  it('has its fields and no others', () => {
    const taken = [body, { ...body, by: bytes(32) }, { ...body, from: 4 }, { ...body, from: 0, to: 0, seq: 0 }]
    expect(taken.map((one) => read(one))).toEqual(['taken', 'taken', 'taken', 'taken'])
    const refused = [
      ...NO_MAPS,
      { ...body, other: 1 },
      { ...body, by: bytes(32), other: 1 },
      { ...body, from: 5 },
      { ...body, from: -2, to: -1 },
      ...wrongs(body, { chain: NO_HASHES, certificate: NO_HASHES, root: NO_HASHES, hash: NO_HASHES }),
      ...wrongs(body, { from: NO_COUNTS, to: NO_COUNTS, seq: NO_COUNTS }),
      ...NO_HASHES.map((by) => ({ ...body, by })),
    ]
    for (const wrong of refused) expect(read(wrong)).toEqual({ code: 'BAD_ATTESTATION', what: 'body' })
  })

  it('is cut nowhere', () => {
    expect(read(body, 3372)).toEqual({ code: 'BAD_ATTESTATION' })
    expect(read(body, 3374)).toEqual({ code: 'BAD_ATTESTATION' })
  })
})

describe('a record of recovery', () => {
  const read = (body: unknown, size?: number): unknown =>
    outcome(() => parseRecovery(crypto, signed(RECORD_HEAD_BYTES, body, size)))
  const hashes = { chain: bytes(32), by: bytes(32), prev: bytes(32), hash: bytes(32) }
  const heads = (...seqs: readonly unknown[]): object[] => seqs.map((seq) => ({ seq, hash: bytes(32) }))
  const body = { ...hashes, from: 4, lost: heads(4, 5, 9) }

  it('has its fields and no others', () => {
    const most = heads(...Array.from({ length: RECOVER_LOST_MAX }, (_, i) => 4 + i))
    for (const good of [body, { ...body, lost: [] }, { ...body, from: 1 }, { ...body, lost: most }])
      expect(read(good)).toBe('taken')
    const refused = [
      ...NO_MAPS,
      { ...body, other: 1 },
      { ...body, from: 0 },
      { ...body, from: 3.5 },
      { ...body, lost: heads(4.5) },
      ...wrongs(body, { chain: NO_HASHES, by: NO_HASHES, prev: NO_HASHES, hash: NO_HASHES, from: NO_COUNTS }),
      ...wrongs(body, { lost: [heads(3), heads(5, 4), heads(5, 5), [...most, ...heads(99)], 'x', {}, { length: 0 }] }),
      ...[...NO_MAPS, { seq: 4 }, { seq: 4, hash: bytes(32), other: 1 }].map((one) => ({ ...body, lost: [one] })),
      ...NO_COUNTS.map((seq) => ({ ...body, lost: heads(seq) })),
      ...NO_HASHES.map((hash) => ({ ...body, lost: [{ seq: 4, hash }] })),
    ]
    for (const wrong of refused) expect(read(wrong)).toEqual({ code: 'BAD_RECOVERY', what: 'body' })
  })

  it('is cut nowhere', () => {
    expect(read(body, 3372)).toEqual({ code: 'BAD_RECOVERY', what: 'form' })
    expect(read(body, 3374)).toEqual({ code: 'BAD_RECOVERY', what: 'form' })
  })
})

describe('the parameters of a chain', () => {
  const read = (value: unknown): unknown => {
    const encoded = encodeCanonical(value)
    return outcome(() => parseParameters(crypto, encoded, hashParameters(crypto, encoded)))
  }
  const body = {
    format: FORMAT,
    suite: SUITE,
    level: 1,
    nonce: bytes(32),
    roots: [bytes(3200)],
    sequencers: 'writers',
    durability: 'disk',
    checkpointKeys: [],
  }
  const many = (count: number, size = 32): Uint8Array[] => Array.from({ length: count }, () => bytes(size))

  it('have their fields and no others', () => {
    const full = { ...body, roots: many(64, 3200), sequencers: many(64), checkpointKeys: many(64) }
    for (const good of [body, { ...body, level: 2 }, { ...body, sequencers: many(1) }, full])
      expect(read(good)).toBe('taken')
    const lists = (size: number): unknown[] => [many(65, size), many(1, size - 1), [list(size)], bytes(size), 'x', {}]
    const refused = [
      { ...body, other: 1 },
      ...wrongs(body, {
        level: [...NO_COUNTS, 0],
        nonce: NO_HASHES,
        roots: [...lists(3200), []],
        sequencers: [...lists(32), [], 'everyone'],
        durability: ['paper', 3, null],
        checkpointKeys: lists(32),
      }),
    ]
    for (const wrong of refused) expect(read(wrong)).toEqual({ code: 'BAD_GENESIS', what: 'parameters' })
    for (const wrong of [null, 5, 'text']) expect(read(wrong)).toEqual({ code: 'BAD_GENESIS' })
    for (const wrong of [{ format: FORMAT + 1 }, { suite: SUITE + 1 }])
      expect(read({ ...body, ...wrong })).toMatchObject({ code: 'UNSUPPORTED_FORMAT', ...wrong })
  })

  it('are those of the chain that is asked for', () => {
    const encoded = encodeCanonical(body)
    expect(outcome(() => parseParameters(crypto, encoded, bytes(32)))).toEqual({
      code: 'BAD_GENESIS',
      what: 'chain id',
    })
  })
})
