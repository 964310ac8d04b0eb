/** Rare fields: what is written is read, and nothing else is: no unknown name, no wrong type, no container in a map's place. */
import { describe, expect, it } from 'vitest'
import { encodeCanonical } from '../../src/codec/cbor.ts'
import { decodeRare, encodeRare } from '../../src/event/rare-fields.ts'
import { errorOf } from '../chain/kit.ts'

const bytes = (size: number): Uint8Array => new Uint8Array(size)
const epoch = { number: 0, commitment: bytes(32), wraps: [] }
const role = { generation: 0, publicKey: bytes(1216), wraps: [] }
const counter = { name: 'n', value: 0n }
const LIMIT = 2n ** 127n

describe('what is refused', () => {
  it.each<[string, unknown]>([
    ['a list', []],
    ['bytes', bytes(0)],
    ['a date', new Date(0)],
    ['text', 'policy'],
    ['null', null],
    ['an unknown name', { other: 1 }],
    ['a list for a policy', { policy: [] }],
    ['bytes for a policy', { policy: bytes(0) }],
    ['a date for settings', { root: new Date(0) }],
    ['an unknown name in a policy', { policy: { admin: [] } }],
    ['a policy of text', { policy: { read: 'all' } }],
    ['a policy entry of another size', { policy: { write: [bytes(20)] } }],
    ['too many entries', { policy: { write: Array.from({ length: 257 }, () => bytes(32)) } }],
    ['closed that is false', { policy: { closed: false } }],
    ['allow that is text', { policy: { allow: 'everyone' } }],
    ['history of another name', { policy: { history: 'some' } }],
    ['an epoch without wraps', { epoch: { number: 0, commitment: bytes(32) } }],
    ['an epoch without a number', { epoch: { commitment: bytes(32), wraps: [] } }],
    ['an epoch of a negative number', { epoch: { ...epoch, number: -1 } }],
    ['an epoch of half a number', { epoch: { ...epoch, number: 0.5 } }],
    ['an epoch of minus zero', { epoch: { ...epoch, number: -0 } }],
    ['a short commitment', { epoch: { ...epoch, commitment: bytes(31) } }],
    ['a wrap without a receiver', { epoch: { ...epoch, wraps: [{ wrapped: bytes(1) }] } }],
    ['a wrap that is too long', { epoch: { ...epoch, wraps: [{ to: bytes(16), wrapped: bytes(2049) }] } }],
    ['a published bundle of another size', { epoch: { ...epoch, published: bytes(63) } }],
    ['a write key of another size', { epoch: { ...epoch, writeKey: bytes(32) } }],
    ['a link that is too long', { epoch: { ...epoch, link: bytes(257) } }],
    ['a role without a key', { role: { generation: 0, wraps: [] } }],
    ['a role with a key of another size', { role: { ...role, publicKey: bytes(1215) } }],
    ['members who are roles', { role: { ...role, add: [bytes(16)] } }],
    ['a long name', { role: { ...role, name: 'ü'.repeat(257) } }],
    ['a counter without a value', { counters: [{ name: 'n' }] }],
    ['a counter of a number', { counters: [{ ...counter, value: 0 }] }],
    ['a counter beyond its bits', { counters: [{ ...counter, value: LIMIT }] }],
    ['a counter below its bits', { counters: [{ ...counter, floor: -LIMIT }] }],
    ['a unit of another size', { counters: [{ ...counter, unit: bytes(32) }] }],
    ['too many counters', { counters: Array.from({ length: 65 }, (_, i) => ({ ...counter, name: `${i}` })) }],
    ['an amount that is a number', { amount: 1 }],
    ['an amount beyond its bits', { amount: -LIMIT }],
    ['a time before all time', { expires: -1 }],
    ['a time beyond numbers', { ttl: 2 ** 53 }],
    ['a hold that is no text', { holds: [1] }],
    ['too many holds', { holds: Array.from({ length: 65 }, (_, i) => `${i}`) }],
    ['a lock of another name', { lock: 'trial' }],
    ['a bypass of compliance', { bypass: 'compliance' }],
    ['a digest of another size', { digest: bytes(31) }],
    ['witnesses without keys', { witnesses: { keys: [], quorum: 1 } }],
    ['no quorum', { witnesses: { keys: [{ name: 'w', key: bytes(32) }], quorum: 0 } }],
    ['a quorum of more than there are', { witnesses: { keys: [{ name: 'w', key: bytes(32) }], quorum: 2 } }],
    ['a witness whose name could be two', { witnesses: { keys: [{ name: 'w+1', key: bytes(32) }], quorum: 1 } }],
    ['a witness with a key of another size', { witnesses: { keys: [{ name: 'w', key: bytes(33) }], quorum: 1 } }],
    [
      'one witness twice',
      {
        witnesses: {
          keys: [
            { name: 'v', key: bytes(32) },
            { name: 'w', key: bytes(32) },
          ],
          quorum: 1,
        },
      },
    ],
    ['keys of an identity of another size', { identities: [bytes(3199)] }],
    ['a certificate of another size', { certificate: bytes(31) }],
    ['sequencers of another size', { root: { sequencers: [bytes(31)] } }],
    ['sequencers of another name', { root: { sequencers: 'everyone' } }],
  ])('%s', (_, value) => {
    expect(['BAD_RECORD', 'BAD_CBOR']).toContain(
      (errorOf(() => decodeRare(encodeCanonical(value))) as { code?: string }).code,
    )
  })

  it('a second encoding of the same fields', () => {
    const good = encodeCanonical({ ttl: 5 })
    expect(decodeRare(good)).toEqual({ ttl: 5 })
    const long = Uint8Array.of(...good.subarray(0, -1), 0x18, 5)
    expect(errorOf(() => decodeRare(long))).toMatchObject({ code: 'BAD_CBOR' })
    expect(errorOf(() => decodeRare(Uint8Array.of(...good, 0)))).toMatchObject({ code: 'BAD_CBOR' })
  })
})

it('limits are what is taken', () => {
  const fields = {
    counters: Array.from({ length: 64 }, (_, i) => ({ name: `${i}`, value: LIMIT - 1n, floor: 1n - LIMIT })),
    holds: Array.from({ length: 64 }, (_, i) => `${i}`),
    policy: { write: Array.from({ length: 256 }, () => bytes(32)) },
    role: { ...role, name: 'ü'.repeat(256) },
    epoch: { ...epoch, link: bytes(256), wraps: [{ to: bytes(16), generation: 0, wrapped: bytes(2048) }] },
    expires: Number.MAX_SAFE_INTEGER,
  }
  expect(decodeRare(encodeRare(fields))).toEqual(fields)
  expect(errorOf(() => encodeRare({ identities: Array.from({ length: 170 }, () => bytes(3200)) }))).toMatchObject({
    code: 'TX_TOO_LARGE',
  })
})
