/** Identities on a connection: a proof is good for its identity, its server and its handshake, and for nothing else. */
import { describe, expect, it } from 'vitest'
import { checkSessionProof, SESSION_PROOF_BYTES, sessionProof } from '../../src/mesh/session-proof.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { oracleServer } from './oracle.ts'
import { codeOf, crypto, flipped, joined, newClient, testServer } from './support.ts'

const server = testServer(51)
const { fingerprintBytes: serverFingerprint } = server.identity
const alice = newIdentity({ crypto, random: seededRandom(52) })
const bob = newIdentity({ crypto, random: seededRandom(53) })

describe('a session', () => {
  it('is proved by any number of identities on one connection', () => {
    const { client, server: other } = joined(server)
    for (const identity of [alice, bob, alice]) {
      const proof = sessionProof(crypto, identity, { exporter: client.exporter, serverFingerprint })
      expect(proof.length).toBe(SESSION_PROOF_BYTES)
      const found = checkSessionProof(crypto, proof, { exporter: other.exporter, serverFingerprint })
      expect(found.fingerprint).toBe(identity.fingerprint)
    }
  })

  it('of one connection is worth nothing on another, nor at another server', () => {
    const [one, two] = [joined(server), joined(server)]
    const proof = sessionProof(crypto, alice, { exporter: one.client.exporter, serverFingerprint })
    const elsewhere = testServer(54).identity.fingerprintBytes
    const refused = [
      { exporter: two.server.exporter, serverFingerprint },
      { exporter: one.server.exporter, serverFingerprint: elsewhere },
    ]
    for (const binding of refused) expect(codeOf(() => checkSessionProof(crypto, proof, binding))).toBe('BAD_SESSION')
  })

  it('cannot be relayed by a server that the client came to: it signs to whom it speaks, and on what', () => {
    const mallory = testServer(55)
    const client = newClient()
    const theirs = oracleServer(client.hello(), { ...mallory, seed: 8 })
    const { send, done } = client.receive(theirs.reply)
    const atMallory = theirs.finish(send)!
    const { identity } = done!.server
    const binding = { exporter: done!.wire.exporter, serverFingerprint: identity.fingerprintBytes }
    const proof = sessionProof(crypto, alice, binding)
    expect(new Uint8Array(atMallory.exporter)).toEqual(binding.exporter)
    const atServer = joined(server)
    for (const exporter of [atServer.server.exporter, binding.exporter])
      expect(codeOf(() => checkSessionProof(crypto, proof, { exporter, serverFingerprint }))).toBe('BAD_SESSION')
  })

  it('is not taken over by another identity', () => {
    const { client, server: other } = joined(server)
    const proof = sessionProof(crypto, alice, { exporter: client.exporter, serverFingerprint })
    const stolen = proof.slice()
    stolen.set(bob.keys, 1)
    const binding = { exporter: other.exporter, serverFingerprint }
    expect(codeOf(() => checkSessionProof(crypto, stolen, binding))).toBe('BAD_SESSION')
    // The key that opens wraps is not the one that signs, and yet it is part of who signs.
    const mixed = proof.slice()
    mixed.set(bob.kemKey, 1 + 1984)
    expect(codeOf(() => checkSessionProof(crypto, mixed, binding))).toBe('BAD_SESSION')
  })

  it('every part of it counts, and its length', () => {
    const { client, server: other } = joined(server)
    const proof = sessionProof(crypto, alice, { exporter: client.exporter, serverFingerprint })
    const binding = { exporter: other.exporter, serverFingerprint }
    for (let at = 0; at < proof.length; at += at < 2 ? 1 : 61)
      expect([at, codeOf(() => checkSessionProof(crypto, flipped(proof, at), binding))]).toEqual([at, 'BAD_SESSION'])
    for (const size of [0, 1, 3201, proof.length - 1])
      expect(codeOf(() => checkSessionProof(crypto, proof.subarray(0, size), binding))).toBe('BAD_SESSION')
  })

  it('is another signature than all others of an identity', () => {
    const { client, server: other } = joined(server)
    const impostor = { keys: alice.keys, sign: (message: Uint8Array) => alice.sign(message, 'certificate') }
    const proof = sessionProof(crypto, impostor, { exporter: client.exporter, serverFingerprint })
    const binding = { exporter: other.exporter, serverFingerprint }
    expect(codeOf(() => checkSessionProof(crypto, proof, binding))).toBe('BAD_SESSION')
  })
})
