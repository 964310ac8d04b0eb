/** The edges of what stands before a connection's cryptography and around it, each alone and quickly. */
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { CHAIN_NAME_BYTES_MAX, CHAIN_NAME_PARTS_MAX } from '../../src/base/limits.ts'
import type { AesKey, CryptoProvider } from '../../src/crypto/provider.ts'
import { Admission, addressKey, admitBy } from '../../src/mesh/admission.ts'
import { chainOfFolder, folderOfChain, parseChainName } from '../../src/mesh/chain-name.ts'
import type { WireKeys } from '../../src/mesh/handshake-keys.ts'
import { serverPin } from '../../src/mesh/server-pins.ts'
import { checkSessionProof, SESSION_PROOF_BYTES, sessionProof } from '../../src/mesh/session-proof.ts'
import { makeSuccession, SUCCESSION_BYTES, verifySuccession } from '../../src/mesh/succession.ts'
import { fullBucket, takeOne } from '../../src/mesh/token-bucket.ts'
import { createWire, type Wire, type WireOptions } from '../../src/mesh/wire.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { testPlatform } from '../../src/testing/test-platform.ts'
import { codeOf, crypto } from './support.ts'

const bytes = (size: number, value = 7): Uint8Array => new Uint8Array(size).fill(value)
const [alice, bob] = [1, 2].map((seed) => newIdentity({ crypto, random: seededRandom(seed) })) as [
  ReturnType<typeof newIdentity>,
  ReturnType<typeof newIdentity>,
]

function wireKeys(): WireKeys {
  const direction = (mark: number) => ({ key: bytes(32, mark), iv: bytes(12, mark + 1) })
  return { toServer: direction(1), toClient: direction(3), exporter: bytes(32, 5), chain: bytes(32, 6) }
}

function wire(role: 'client' | 'server', options: Partial<WireOptions> = {}): Wire {
  return createWire({ crypto, random: seededRandom(1), role, mode: 'sealed', keys: wireKeys(), ...options })
}

describe('a wire', () => {
  it('counts the frames of a key in 32 bits, from one on', () => {
    for (const keyFramesMax of [1, 2 ** 32 - 1]) wire('client', { keyFramesMax }).close()
    for (const keyFramesMax of [0, 2 ** 32, -1]) expect(codeOf(() => wire('client', { keyFramesMax }))).toBe('INTERNAL')
  })

  it('carries a frame of no bytes, and says of a shorter one that it is its size', () => {
    const [client, server] = [wire('client'), wire('server')]
    expect(server.open(client.seal(bytes(0)))).toEqual(bytes(0))
    expect(() => server.open(bytes(15))).toThrow('size')
  })

  it('keeps a key for a frame that is larger than its bytes, and takes the next one behind it', () => {
    const [client, server, other] = ['client', 'server', 'client'].map((role) =>
      wire(role as 'client', { keyBytesMax: 10 }),
    ) as [Wire, Wire, Wire]
    const first = client.seal(bytes(50))
    expect(wire('client').seal(bytes(50))).toEqual(first)
    expect(server.open(first)).toEqual(bytes(50))
    other.seal(bytes(5))
    expect(server.open(client.seal(bytes(5)))).toEqual(bytes(5))
    expect(codeOf(() => server.open(other.seal(bytes(5))))).toBe('WIRE_BROKEN')
  })

  it('is asked for exchanges by its client, one behind the other', () => {
    expect(codeOf(() => wire('server').rekeyOffer())).toBe('INTERNAL')
    const [client, server] = [wire('client'), wire('server')]
    const answer = server.rekeyAnswer(client.rekeyOffer())
    const done = client.rekeyDone(answer)
    // Before the frame that carries its last word there is no next exchange; nor does the server take that word early.
    expect(codeOf(() => client.rekeyOffer())).toBe('INTERNAL')
    expect(codeOf(() => client.seal(bytes(4)))).toBe('INTERNAL')
    expect(codeOf(() => client.seal(bytes(40)))).toBe('INTERNAL')
    client.seal(done)
    client.rekeyOffer()
    expect(() => server.rekeyEnd(done)).toThrow('the end of an exchange out of turn')
    expect(() => wire('server').rekeyAnswer(bytes(1215))).toThrow('an offer out of turn')
  })

  it('overwrites its keys: the handles of both directions, nonces, seeds, and those that it has left', () => {
    const handles: { wiped: number; nonce: Uint8Array | undefined }[] = []
    const spied: CryptoProvider = {
      ...crypto,
      aesKey(key): AesKey {
        const real = crypto.aesKey(key)
        const handle: (typeof handles)[number] = { wiped: 0, nonce: undefined }
        handles.push(handle)
        return {
          ...real,
          seal(nonce, plaintext) {
            handle.nonce = nonce
            return real.seal(nonce, plaintext)
          },
          wipe: () => void handle.wiped++,
        }
      },
    }
    const drawn: Uint8Array[] = []
    const random = { fill: (out: Uint8Array) => void drawn.push(out.fill(9)) }
    const keys = wireKeys()
    const client = wire('client', { crypto: spied, random, keys, keyFramesMax: 1 })
    client.seal(bytes(3))
    client.seal(bytes(3))
    expect([...keys.toServer.key, ...keys.toServer.iv].every((byte) => byte === 0)).toBe(true)
    expect(handles.map(({ wiped }) => wiped)).toEqual([1, 0, 0])
    client.rekeyOffer()
    expect(drawn).toEqual([bytes(32, 0)])
    client.close()
    expect(handles.map(({ wiped }) => wiped)).toEqual([1, 1, 1])
    expect(handles.map(({ nonce }) => nonce?.some((byte) => byte !== 0))).toEqual([false, undefined, false])
  })
})

describe('a session proof', () => {
  const binding = { exporter: bytes(32), serverFingerprint: bytes(32, 8) }
  const proof = sessionProof(crypto, alice, binding)
  it('has its form, which is looked at before its signature', () => {
    expect(checkSessionProof(crypto, proof, binding).fingerprint).toBe(alice.fingerprint)
    expect(proof.length).toBe(SESSION_PROOF_BYTES)
    const other = proof.slice()
    other[0] = 2
    for (const wrong of [other, proof.subarray(0, -1), Uint8Array.of(...proof, 0)])
      expect(() => checkSessionProof(crypto, wrong, binding)).toThrow('form')
    for (const wrong of [{ exporter: bytes(31) }, { serverFingerprint: bytes(33) }])
      expect(codeOf(() => sessionProof(crypto, alice, { ...binding, ...wrong }))).toBe('INTERNAL')
  })
})

describe('a succession', () => {
  it('has its form, its heir and its signature, and says which of them is wrong', () => {
    const next = { fingerprintBytes: bob.fingerprintBytes, at: 5 }
    const given = makeSuccession(crypto, alice, next)
    expect(given.length).toBe(SUCCESSION_BYTES)
    expect(verifySuccession(crypto, given, bob.fingerprintBytes)).toEqual(alice.fingerprintBytes)
    const changed = (at: number): Uint8Array => given.map((byte, i) => (i === at ? byte ^ 1 : byte))
    const verify = (bytesOf: Uint8Array, heir = bob): unknown =>
      verifySuccession(crypto, bytesOf, heir.fingerprintBytes)
    for (const wrong of [changed(0), given.subarray(1), Uint8Array.of(...given, 0)])
      expect(() => verify(wrong)).toThrow('the form of a succession')
    expect(() => verify(given, alice)).toThrow('a succession of another identity')
    for (const at of [35, 60, given.length - 1])
      expect(() => verify(changed(at))).toThrow('the signature of a succession')
  })
})

describe('a door', () => {
  it('has room for programs of its own machine whatever their address, and for nobody when all are opening', () => {
    const door = new Admission({ connectionsPerAddress: 1, pending: 4, pendingPerAddress: 9 }, 0)
    const own = ['', '::1', '127.0.0.1']
    for (const peer of own) door.connect({ peer, isLoopback: false }, 0)
    expect(own.map((peer) => door.hasRoom(peer))).toEqual([true, true, true])
    door.connect({ peer: '192.0.2.1', isLoopback: false }, 0)
    expect([...own, '192.0.2.1', '192.0.2.2'].map((peer) => door.hasRoom(peer))).toEqual(Array(5).fill(false))
    const other = new Admission({ connectionsPerAddress: 1 }, 0)
    other.connect({ peer: '192.0.2.1', isLoopback: false }, 0)
    expect(['192.0.2.1', '192.0.2.2'].map((peer) => other.hasRoom(peer))).toEqual([false, true])
  })

  it('counts a network that ends in colons as itself', () => {
    expect([addressKey('2001:db8:1:2::'), addressKey('2001:db8:1:2:3:4:5:6')]).toEqual([
      '2001:db8:1:2::/64',
      '2001:db8:1:2::/64',
    ])
  })

  it('takes lists of texts that name somebody', () => {
    for (const create of [[7], [undefined], [alice.fingerprint.slice(1)]])
      expect(() => admitBy({ create: create as never }, crypto)).toThrow(/BAD_/)
  })

  it('gives one token to whom one is left, and says when the next comes', () => {
    const rate = { perSecond: 1, burst: 1 }
    const bucket = fullBucket(rate, 0)
    expect([takeOne(bucket, rate, 0), takeOne(bucket, rate, 0), takeOne(bucket, rate, 1000)]).toEqual([
      undefined,
      1000,
      undefined,
    ])
  })
})

describe('the name of a chain', () => {
  it('is as long as it may be, in bytes, parts and folder, and no longer', () => {
    const long = 'a'.repeat(CHAIN_NAME_BYTES_MAX)
    expect(chainOfFolder(folderOfChain(parseChainName(long)))).toBe(long)
    const parts = (count: number): string => Array.from({ length: count }, () => 'a').join('/')
    expect(parseChainName(parts(CHAIN_NAME_PARTS_MAX))).toBe(parts(CHAIN_NAME_PARTS_MAX))
    // In capitals a letter takes two of the folder's bytes, another character three for each of its own.
    for (const [unit, folder] of [
      ['A', 2],
      ['+', 3],
      ['é', 6],
    ] as const) {
      const most = Math.floor(CHAIN_NAME_BYTES_MAX / folder)
      expect(parseChainName(unit.repeat(most))).toBe(unit.repeat(most))
      expect(() => parseChainName(unit.repeat(most + 1))).toThrow('too long')
    }
    for (const wrong of [`${long}a`, parts(CHAIN_NAME_PARTS_MAX + 1)]) expect(() => parseChainName(wrong)).toThrow()
    expect(() => parseChainName(`${long}a`)).toThrow('empty, or too long')
    expect(() => parseChainName('')).toThrow('empty, or too long')
    expect(chainOfFolder(`${long}a`)).toBeUndefined()
    expect(utf8('é').length).toBe(2)
  })
})

describe('a pin', () => {
  const host = { host: 'localhost', port: 5 }
  const met = { identity: alice, follows: undefined }
  it('that is given is written down, also where anything would do; others stay', async () => {
    const platform = testPlatform(1)
    for (const port of [5, 6]) {
      const pin = await serverPin(platform, { ...host, port, serverKey: alice, firstUse: 'accept' })
      pin.expect(met)
      await pin.remember(met)
    }
    const known = await Promise.all([5, 6].map(async (port) => (await serverPin(platform, { ...host, port })).hint))
    expect(known).toEqual([alice.fingerprintBytes, alice.fingerprintBytes])
    const far = testPlatform(2)
    const pin = await serverPin(far, { host: 'db.example.org', port: 5, serverKey: alice, firstUse: 'accept' })
    await pin.remember(met)
    expect((await serverPin(far, { host: 'db.example.org', port: 5 })).hint).toEqual(alice.fingerprintBytes)
    // What is accepted unseen is not.
    const fresh = testPlatform(3)
    await (await serverPin(fresh, { ...host, firstUse: 'accept' })).remember(met)
    expect((await serverPin(fresh, host)).hint).toBeUndefined()
  })
})
