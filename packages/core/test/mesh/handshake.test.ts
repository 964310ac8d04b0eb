/** The handshake between honest ends, both ways against the oracle, on both providers, and its frozen bytes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes, toBase64, utf8 } from '../../src/base/bytes.ts'
import { HELLO_BYTES_MAX, REPLY_BYTES_MAX } from '../../src/base/limits.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { refusalOf } from '../../src/mesh/handshake-server.ts'
import { makeSuccession } from '../../src/mesh/succession.ts'
import { newIdentity } from '../../src/session/identity.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { gcmOpen, gcmSeal, oracleClient, oracleServer } from './oracle.ts'
import { codeOf, crypto, delegator, joined, NOW, newClient, newServer, testServer } from './support.ts'

const server = testServer(1)

describe('a handshake', () => {
  it('gives both ends the same wire, and the client the server', () => {
    const { client, server: other, met } = joined(server)
    expect(client.mode).toBe('sealed')
    expect(client.exporter).toEqual(other.exporter)
    expect(met.identity.fingerprint).toBe(server.identity.fingerprint)
    expect(met.limits).toEqual({ frameBytes: 1_052_672, sessions: 64 })
    expect(met.delegation.key).toEqual(server.acknowledger.publicKey)
    expect(met.delegationBytes).toEqual(server.delegation)
    expect(met.follows).toBeUndefined()
    for (const text of ['', 'a', 'hello '.repeat(1000)]) {
      expect(other.open(client.seal(utf8(text)))).toEqual(utf8(text))
      expect(client.open(other.seal(utf8(text)))).toEqual(utf8(text))
    }
  })

  it('is new each time, and keeps its messages within their bounds', () => {
    const [one, two] = [joined(server), joined(server)]
    expect(equalBytes(one.client.exporter, two.client.exporter)).toBe(false)
    const old = newIdentity({ crypto, random: seededRandom(77) })
    const { fingerprintBytes } = server.identity
    const successions = [makeSuccession(crypto, old, { fingerprintBytes, at: NOW })]
    const key = new Uint8Array(32)
    const client = newClient({ hint: old.fingerprintBytes })
    const other = newServer(server, { successions, demandCookie: { key, peer: '127.0.0.1' } })
    const again = client.receive(other.receive(client.hello()).send!)
    expect(again.done).toBeUndefined()
    expect(again.send.length).toBeLessThanOrEqual(HELLO_BYTES_MAX)
    const reply = other.receive(again.send).send!
    expect(reply.length).toBeLessThanOrEqual(REPLY_BYTES_MAX)
    const { send, done } = client.receive(reply)
    expect(send.length).toBe(33)
    expect(other.receive(send).done?.wire.exporter).toEqual(done?.wire.exporter)
    expect(done?.server.follows).toEqual(old.fingerprintBytes)
  })

  it('sends a succession to a client that knows the older server, and to no other', () => {
    const old = newIdentity({ crypto, random: seededRandom(78) })
    const { fingerprintBytes } = server.identity
    const successions = [makeSuccession(crypto, old, { fingerprintBytes, at: NOW })]
    expect(joined(server, { server: { successions } }).met.follows).toBeUndefined()
    expect(joined(server, { client: { hint: fingerprintBytes }, server: { successions } }).met.follows).toBeUndefined()
    // Of another server, in the place of ours: the old key said nothing about this one.
    const foreign = [makeSuccession(crypto, old, { fingerprintBytes: old.fingerprintBytes, at: NOW })]
    const ends = { client: { hint: old.fingerprintBytes }, server: { successions: foreign } }
    expect(codeOf(() => joined(server, ends))).toBe('HANDSHAKE_FAILED')
  })

  it('is plain only where both sides allow it', () => {
    const sealed = [{}, { client: { plain: 'allow' } }, { server: { plain: 'allow' } }] as const
    for (const ends of sealed) expect(joined(server, ends).client.mode).toBe('sealed')
    const both = joined(server, { client: { plain: 'allow' }, server: { plain: 'allow' } })
    expect([both.client.mode, both.server.mode]).toEqual(['plain', 'plain'])
    expect(both.client.exporter).toEqual(both.server.exporter)
    expect(both.client.seal(utf8('clear'))).toEqual(utf8('clear'))
    expect(both.server.open(utf8('clear'))).toEqual(utf8('clear'))
  })

  it.each([
    ['node', 'noble', crypto, nobleProvider],
    ['noble', 'node', nobleProvider, crypto],
  ] as const)('goes between %s and %s', (_client, _server, mine, theirs) => {
    const there = testServer(3, undefined, theirs)
    const { client, server: other } = joined(there, { client: { crypto: mine }, server: { crypto: theirs } })
    expect(other.open(client.seal(utf8('there')))).toEqual(utf8('there'))
    expect(client.open(other.seal(utf8('back')))).toEqual(utf8('back'))
    const answer = () => {
      const offer = client.rekeyOffer()
      other.open(client.seal(offer))
      const reply = other.rekeyAnswer(offer)
      client.open(other.seal(reply))
      const done = client.rekeyDone(reply)
      other.open(client.seal(done))
      other.rekeyEnd(done)
    }
    answer()
    expect(other.open(client.seal(utf8('there')))).toEqual(utf8('there'))
    expect(client.open(other.seal(utf8('back')))).toEqual(utf8('back'))
  })
})

describe('the oracle', () => {
  it('as the client, agrees with our server', () => {
    const client = oracleClient(server.identity.keys, 9)
    const ours = newServer(server)
    const step = client.receive(ours.receive(client.hello).send!)!
    const { wire } = ours.receive(step.finish).done!
    expect(wire.exporter).toEqual(new Uint8Array(step.keys.exporter))
    const { toServer, toClient } = step.keys
    for (const text of ['one', 'two', 'three']) {
      expect(wire.open(gcmSeal(toServer.key, toServer.nonce(), utf8(text)))).toEqual(utf8(text))
      expect(gcmOpen(toClient.key, toClient.nonce(), wire.seal(utf8(text))).toString()).toBe(text)
    }
  })

  it('as the server, agrees with our client', () => {
    const client = newClient()
    const theirs = oracleServer(client.hello(), { ...server, seed: 5 })
    const { send, done } = client.receive(theirs.reply)
    const keys = theirs.finish(send)!
    expect(done?.server.limits).toEqual({})
    expect(done?.wire.exporter).toEqual(new Uint8Array(keys.exporter))
    expect(gcmOpen(keys.toServer.key, keys.toServer.nonce(), done!.wire.seal(utf8('x'))).toString()).toBe('x')
  })
})

describe('the frozen handshake', () => {
  const file = new URL('../vectors/wire-1.json', import.meta.url)

  it('gives the same bytes from the same seeds', () => {
    const there = testServer(21, undefined, nobleProvider)
    const random = { client: seededRandom(22), server: seededRandom(23) }
    const plain = { crypto: nobleProvider, random: random.client }
    const client = newClient({ ...plain, hint: there.identity.fingerprintBytes })
    const demandCookie = { key: new Uint8Array(32).fill(24), peer: '192.0.2.1' }
    const other = newServer(there, {
      crypto: nobleProvider,
      random: random.server,
      demandCookie,
      limits: { sessions: 7 },
    })
    const hello = client.hello()
    const retry = other.receive(hello).send!
    const again = client.receive(retry).send
    const reply = other.receive(again).send!
    const { send: finish, done } = client.receive(reply)
    const { wire } = other.receive(finish).done!
    const frames = [done!.wire.seal(utf8('to the server')), wire.seal(utf8('to the client'))]
    const made = Object.fromEntries(
      Object.entries({
        hello,
        retry,
        again,
        reply,
        finish,
        exporter: wire.exporter,
        frames: concatBytes(...frames),
      }).map(([name, bytes]) => [name, toBase64(bytes)]),
    )
    if (process.env['ATE_FREEZE'] === 'wire-1') writeFileSync(file, `${JSON.stringify(made, null, 1)}\n`)
    expect(made).toEqual(JSON.parse(readFileSync(file, 'utf8')))
  })
})

describe('two ends that do not understand each other', () => {
  it('say so where it is a version', () => {
    const other = newServer(server)
    let error: unknown
    try {
      other.receive(concatBytes(Uint8Array.of(1, 2, 2, 3), new Uint8Array(60)))
    } catch (thrown) {
      error = thrown
    }
    expect(
      codeOf(() => {
        throw error
      }),
    ).toBe('WIRE_VERSION')
    const client = newClient()
    client.hello()
    expect(codeOf(() => client.receive(refusalOf(error)))).toBe('WIRE_VERSION')
  })

  it('say nothing else', () => {
    const client = newClient()
    client.hello()
    expect(codeOf(() => client.receive(refusalOf(new Error('no such thing'))))).toBe('HANDSHAKE_FAILED')
    expect(refusalOf(new Error('one'))).toEqual(refusalOf(undefined))
  })
})

describe('the delegation in a handshake', () => {
  const HOUR = 3_600_000
  it.each([
    ['over', -30 * HOUR, -6 * HOUR, 'HANDSHAKE_FAILED'],
    ['not begun', HOUR, 2 * HOUR, 'HANDSHAKE_FAILED'],
    ['just over', -HOUR, -1, 'nothing'],
    ['just before it begins', 1, HOUR, 'nothing'],
  ] as const)('that is %s', (_name, from, until, code) => {
    const there = testServer(4, { from: NOW + from, until: NOW + until })
    expect(codeOf(() => joined(there))).toBe(code)
  })

  it('must be by the same identity', () => {
    const other = testServer(5)
    expect(codeOf(() => joined({ ...server, delegation: other.delegation }))).toBe('HANDSHAKE_FAILED')
    expect(delegator(other.identity).fingerprintBytes).not.toEqual(server.identity.fingerprintBytes)
  })
})
