/**
 * Who stands between a client and a server, or answers in the server's place: every byte altered, messages dropped, repeated,
 * reflected, swapped, cut and lengthened, offers thinned out. The rule that all of it is held to: two honest ends that both
 * finish have heard the same.
 */
import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { COOKIE_MS, FINISH_BYTES_MAX, HELLO_BYTES_MAX, REPLY_BYTES_MAX } from '../../src/base/limits.ts'
import type { ClientHandshake } from '../../src/mesh/handshake-client.ts'
import { parseReply, versionsOf } from '../../src/mesh/handshake-format.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { type Mischief, oracleServer } from './oracle.ts'
import { codeOf, flipped, joined, newClient, newServer, refusal, testServer } from './support.ts'

const server = testServer(31)
/** Every byte in the long run; else the first, and each so many behind it, so that all fields are met. */
const STRIDE = process.env['ATE_FLIP_BITS'] === undefined ? { hello: 11, clear: 17, sealed: 97, inside: 211 } : 1
const strideOf = (part: keyof Exclude<typeof STRIDE, number>): number => (typeof STRIDE === 'number' ? 1 : STRIDE[part])

function* places(size: number, stride: number, whole: number): Generator<number> {
  for (let at = 0; at < size; at += at < whole ? 1 : stride) yield at
}

/** A server that has heard `message` in the place of the client's Hello, and the client. */
function replyTo(client: ClientHandshake, change: (hello: Uint8Array) => Uint8Array): Uint8Array {
  return newServer(server).receive(change(client.hello())).send!
}

describe('a byte that is altered', () => {
  it('in a Hello: no server answers, or the client refuses what it answers', () => {
    const size = newClient().hello().length
    for (const at of places(size, strideOf('hello'), 48)) {
      const client = newClient()
      const code = refusal(() => client.receive(replyTo(client, (hello) => flipped(hello, at))))
      expect([at, code === 'HANDSHAKE_FAILED' || code === 'WIRE_VERSION']).toEqual([at, true])
    }
  })

  it('in the clear part of a Reply: the client refuses it', () => {
    for (const at of places(1156, strideOf('clear'), 48)) {
      const client = newClient()
      const reply = replyTo(client, (hello) => hello)
      expect([at, refusal(() => client.receive(flipped(reply, at)))]).toEqual([at, 'HANDSHAKE_FAILED'])
    }
  })

  it('in the sealed part of a Reply: the client refuses it', () => {
    const size = replyTo(newClient(), (hello) => hello).length
    for (const at of places(size - 1156, strideOf('sealed'), 4)) {
      const client = newClient()
      const reply = replyTo(client, (hello) => hello)
      expect([at, refusal(() => client.receive(flipped(reply, 1156 + at)))]).toEqual([at, 'HANDSHAKE_FAILED'])
    }
    const client = newClient()
    const reply = replyTo(client, (hello) => hello)
    expect(refusal(() => client.receive(flipped(reply, reply.length - 1)))).toBe('HANDSHAKE_FAILED')
  })

  it('in a Finish, or in a Retry: the server refuses', () => {
    for (let at = 0; at < 33; at++) {
      const [client, other] = [newClient(), newServer(server)]
      const { send } = client.receive(other.receive(client.hello()).send!)
      expect([at, refusal(() => other.receive(flipped(send, at)))]).toEqual([at, 'HANDSHAKE_FAILED'])
    }
    const demandCookie = { key: new Uint8Array(32).fill(1), peer: 'a' }
    for (let at = 0; at < 41; at++) {
      const [client, other] = [newClient(), newServer(server, { demandCookie })]
      const retry = other.receive(client.hello()).send!
      const code = refusal(() => other.receive(client.receive(flipped(retry, at)).send))
      expect([at, code]).toEqual([at, 'HANDSHAKE_FAILED'])
    }
  })
})

describe('messages that are cut, lengthened, dropped, repeated, reflected or swapped', () => {
  it('of other lengths are refused, and too long ones before anything else', () => {
    const [client, other] = [newClient(), newServer(server)]
    const hello = client.hello()
    const reply = other.receive(hello).send!
    for (const size of [0, 1, 2, 4, 5, 6, 38, 1254, 1255, hello.length - 1])
      expect(refusal(() => newServer(server).receive(hello.subarray(0, size)))).toBe('HANDSHAKE_FAILED')
    for (const more of [1, 32, HELLO_BYTES_MAX, 2 ** 20])
      expect(refusal(() => newServer(server).receive(concatBytes(hello, new Uint8Array(more))))).toBe(
        'HANDSHAKE_FAILED',
      )
    for (const size of [0, 1, 4, 1155, 1156, 1172, 1173, 5000, reply.length - 1]) {
      const again = newClient()
      again.hello()
      expect(refusal(() => again.receive(reply.subarray(0, size)))).toBe('HANDSHAKE_FAILED')
    }
    for (const more of [1, REPLY_BYTES_MAX]) {
      const again = newClient()
      const longer = concatBytes(
        replyTo(again, (same) => same),
        new Uint8Array(more),
      )
      expect(refusal(() => again.receive(longer))).toBe('HANDSHAKE_FAILED')
    }
    for (const change of [
      (m: Uint8Array) => m.subarray(0, 32),
      (m: Uint8Array) => concatBytes(m, new Uint8Array(1)),
      (m: Uint8Array) => concatBytes(m, new Uint8Array(FINISH_BYTES_MAX)),
    ]) {
      const [one, two] = [newClient(), newServer(server)]
      const { send } = one.receive(two.receive(one.hello()).send!)
      expect(refusal(() => two.receive(change(send)))).toBe('HANDSHAKE_FAILED')
    }
  })

  it('too large, are not looked into', () => {
    const reply = new Uint8Array(REPLY_BYTES_MAX + 1)
    reply[0] = 3
    expect(parseReply(reply.subarray(0, -1))).toBeDefined()
    expect(parseReply(reply)).toBeUndefined()
    const offer = concatBytes(Uint8Array.of(1, 1, 7), new Uint8Array(HELLO_BYTES_MAX - 3))
    expect(versionsOf(offer)).toEqual([7])
    expect(versionsOf(concatBytes(offer, Uint8Array.of(0)))).toBeUndefined()
  })

  it('are refused out of their order, and then every later one too', () => {
    const messages = (): readonly Uint8Array[] => {
      const [client, other] = [newClient(), newServer(server)]
      const hello = client.hello()
      const reply = other.receive(hello).send!
      return [hello, reply, client.receive(reply).send, Uint8Array.of(2, ...new Uint8Array(40)), Uint8Array.of(5, 0)]
    }
    const recorded = messages()
    for (const message of [recorded[1]!, recorded[2]!, recorded[3]!, recorded[4]!]) {
      const other = newServer(server)
      expect(refusal(() => other.receive(message))).toBe('HANDSHAKE_FAILED')
      expect(refusal(() => other.receive(newClient().hello()))).toBe('HANDSHAKE_FAILED')
    }
    for (const message of [recorded[0]!, recorded[2]!, recorded[4]!]) {
      const client = newClient()
      const hello = client.hello()
      expect(refusal(() => client.receive(message))).toBe('HANDSHAKE_FAILED')
      expect(refusal(() => client.receive(newServer(server).receive(hello).send!))).toBe('HANDSHAKE_FAILED')
    }
    const reflected = newClient()
    const hello = reflected.hello()
    expect(refusal(() => reflected.receive(hello))).toBe('HANDSHAKE_FAILED')
  })

  it('of another handshake, recorded or at the same time, are refused', () => {
    const [one, two] = [newClient(), newClient()]
    const [first, second] = [newServer(server), newServer(server)]
    const [toOne, toTwo] = [first.receive(one.hello()).send!, second.receive(two.hello()).send!]
    expect(refusal(() => one.receive(toTwo))).toBe('HANDSHAKE_FAILED')
    const { send } = two.receive(toTwo)
    expect(refusal(() => first.receive(send))).toBe('HANDSHAKE_FAILED')
    expect(second.receive(send).done).toBeDefined()
    expect(refusal(() => second.receive(send))).toBe('HANDSHAKE_FAILED')
    expect(refusal(() => two.receive(toOne))).toBe('HANDSHAKE_FAILED')
  })

  it('a Hello that is sent again gives the sender nothing: another reply, and no Finish for it', () => {
    const client = newClient()
    const hello = client.hello()
    const [first, second] = [newServer(server), newServer(server)]
    const reply = first.receive(hello).send!
    expect(equalBytes(second.receive(hello).send!, reply)).toBe(false)
    const { send } = client.receive(reply)
    expect(refusal(() => second.receive(send))).toBe('HANDSHAKE_FAILED')
    expect(refusal(() => first.receive(hello))).toBe('HANDSHAKE_FAILED')
  })

  it('in 200 seeded runs of an active adversary: who finishes shares the keys of who he means', () => {
    for (let seed = 1; seed <= 200; seed++) meddle(seed)
  })
})

/** Two handshakes at once, whose messages an adversary delivers as he likes. */
function meddle(seed: number): void {
  const random = seededRandom(seed)
  const clients = [newClient(), newClient()]
  const servers = [newServer(server), newServer(server)]
  const seen = clients.map((client) => client.hello())
  const exporters = { client: new Set<string>(), server: new Set<string>() }
  for (let turn = 0; turn < 6; turn++) {
    const picked = seen[random.below(seen.length)]!
    const message = random.oneIn(6) ? flipped(picked, random.below(picked.length), 1 << random.below(8)) : picked
    const side = random.oneIn(2) ? 'client' : 'server'
    const end = (side === 'client' ? clients : servers)[random.below(2)]!
    try {
      const { send, done } = end.receive(message)
      if (send) seen.push(send)
      if (done) exporters[side].add(String(done.wire.exporter))
    } catch (error) {
      expect([seed, (error as AteError).code]).toEqual([
        seed,
        expect.stringMatching(/^(HANDSHAKE_FAILED|WIRE_VERSION)$/),
      ])
    }
  }
  // A server finishes only with a client that has finished with it.
  for (const exporter of exporters.server) expect([seed, exporters.client.has(exporter)]).toEqual([seed, true])
}

describe('a downgrade', () => {
  it('of the offer is seen: fewer versions, suites or modes, or more of them', () => {
    const offers: ((hello: Uint8Array) => Uint8Array)[] = [
      (hello) => flipped(hello, 5, 2), // the modes: plain as well
      (hello) => concatBytes(hello.subarray(0, 1), Uint8Array.of(2, 1, 2), hello.subarray(3)), // version 2 too
      (hello) => concatBytes(hello.subarray(0, 3), Uint8Array.of(2, 1, 9), hello.subarray(5)), // suite 9 too
    ]
    for (const change of offers) {
      const client = newClient()
      const other = newServer(server, { plain: 'allow' })
      expect(refusal(() => client.receive(other.receive(change(client.hello())).send!))).toBe('HANDSHAKE_FAILED')
    }
    const willing = newClient({ plain: 'allow' })
    const other = newServer(server, { plain: 'allow' })
    expect(refusal(() => willing.receive(other.receive(flipped(willing.hello(), 5, 2)).send!))).toBe('HANDSHAKE_FAILED')
  })

  it('to what was not offered is refused, though the server signs it', () => {
    const chosen: readonly [string, Mischief][] = [
      ['plain', { mode: 2 }],
      ['no mode', { mode: 0 }],
      ['both modes', { mode: 3 }],
      ['version 0', { version: 0 }],
      ['version 2', { version: 2 }],
      ['suite 2', { suite: 2 }],
    ]
    for (const [name, mischief] of chosen) expect([name, met(mischief)]).toEqual([name, 'HANDSHAKE_FAILED'])
    expect(met({ mode: 2 }, { plain: 'allow' })).toBe('nothing')
  })

  it('a Hello that does not offer the sealed wire, or nothing that is known, gets no reply', () => {
    const hello = newClient().hello()
    const changes = [flipped(hello, 5, 1), flipped(hello, 4, 8), concatBytes(hello.subarray(0, 1), hello.subarray(2))]
    for (const changed of changes) expect(refusal(() => newServer(server).receive(changed))).toBe('HANDSHAKE_FAILED')
    // Not ascending, or one twice: an offer has one encoding.
    const twice = concatBytes(Uint8Array.of(1, 2, 1, 1), hello.subarray(3))
    expect(refusal(() => newServer(server).receive(twice))).toBe('HANDSHAKE_FAILED')
  })
})

/** What our client says to the oracle's server, which holds all keys of this handshake, and lies. */
function met(mischief: Mischief, options: Parameters<typeof newClient>[0] = {}, who = server): string {
  const client = newClient(options)
  return codeOf(() => client.receive(oracleServer(client.hello(), { ...who, seed: 6 }, mischief).reply))
}

describe('a server that is not the one it says', () => {
  const mallory = testServer(32)

  it('is met as it should be when it does not lie', () => {
    expect(met({})).toBe('nothing')
  })

  it('has the keys of this handshake, and not those of the server: no signature of its own or of old is taken', () => {
    const signatureOfMallory = (): Uint8Array => mallory.identity.sign(new Uint8Array(64), 'handshakeServer')
    expect(met({ signature: signatureOfMallory })).toBe('HANDSHAKE_FAILED')
    expect(met({ signed: (transcript) => flipped(transcript, 0) })).toBe('HANDSHAKE_FAILED')
    // Its own keys under the server's signature, and the server's keys under its own.
    expect(met({ body: (body) => concatBytes(mallory.identity.keys, body.subarray(3200)) })).toBe('HANDSHAKE_FAILED')
    const posing = { ...mallory, delegation: server.delegation }
    expect(met({ body: (body) => concatBytes(server.identity.keys, body.subarray(3200)) }, {}, posing)).toBe(
      'HANDSHAKE_FAILED',
    )
  })

  it('sealed bytes that are altered inside are refused one by one: body, signature, MAC', () => {
    for (const at of places(3200 + 3454 + 4, strideOf('inside'), 2))
      expect([at, met({ sent: (body) => flipped(body, at) })]).toEqual([at, 'HANDSHAKE_FAILED'])
    for (const at of places(3373, strideOf('inside'), 2))
      expect([at, met({ signature: (signature) => flipped(signature, at) })]).toEqual([at, 'HANDSHAKE_FAILED'])
    for (let at = 0; at < 32; at++)
      expect([at, met({ mac: (mac) => flipped(mac, at) })]).toEqual([at, 'HANDSHAKE_FAILED'])
  })

  it('a body of another form is refused, though all of it is signed', () => {
    const limitsAt = 3200 + 3454
    const bodies: ((body: Buffer) => Uint8Array)[] = [
      (body) => concatBytes(body, Uint8Array.of(0)),
      (body) => body.subarray(0, -1),
      (body) => concatBytes(body.subarray(0, -1), Uint8Array.of(2)),
      (body) => concatBytes(body.subarray(0, -1), Uint8Array.of(1), new Uint8Array(100)),
      (body) => concatBytes(body.subarray(0, limitsAt), Uint8Array.of(0, 1, 0x80, 0)), // an array
      (body) => concatBytes(body.subarray(0, limitsAt), Uint8Array.of(0, 4, 0xa1, 0x61, 0x61, 0x20, 0)), // { a: -1 }
      (body) => concatBytes(body.subarray(0, limitsAt), Uint8Array.of(0, 4, 0xa1, 0x61, 0x31, 0x01, 0)), // { 1: 1 }
      (body) => concatBytes(body.subarray(0, limitsAt), Uint8Array.of(0xff, 0xff), new Uint8Array(4000)),
    ]
    for (const [index, body] of bodies.entries()) expect([index, met({ body })]).toEqual([index, 'HANDSHAKE_FAILED'])
    const one = concatBytes(Uint8Array.of(0, 4, 0xa1, 0x61, 0x61, 0x01, 0)) // { a: 1 }
    expect(met({ body: (body) => concatBytes(body.subarray(0, limitsAt), one) })).toBe('nothing')
  })

  it('is shown to `expect` only after it has proved its keys, and its refusal ends the handshake', () => {
    let shown = 0
    const expecting = {
      expect: () => {
        shown++
      },
    }
    expect(met({ mac: (mac) => flipped(mac, 0) }, expecting)).toBe('HANDSHAKE_FAILED')
    expect(met({ signature: (signature) => flipped(signature, 0) }, expecting)).toBe('HANDSHAKE_FAILED')
    expect(shown).toBe(0)
    const client = newClient({
      expect: ({ identity }) => {
        shown++
        throw new AteError('SERVER_CHANGED', { fingerprint: identity.fingerprint })
      },
    })
    const other = newServer(server)
    const reply = other.receive(client.hello()).send!
    expect(codeOf(() => client.receive(reply))).toBe('SERVER_CHANGED')
    expect(codeOf(() => client.receive(reply))).toBe('HANDSHAKE_FAILED')
    expect(shown).toBe(1)
  })

  it('heard another Hello than was said: no keys in common', () => {
    const client = newClient()
    const hello = client.hello()
    for (const heard of [flipped(hello, 10), flipped(hello, 5, 2)]) {
      const again = newClient()
      again.hello()
      expect(refusal(() => again.receive(oracleServer(hello, { ...server, seed: 7 }, { hello: heard }).reply))).toBe(
        'HANDSHAKE_FAILED',
      )
    }
  })
})

describe('cookies', () => {
  const key = new Uint8Array(32).fill(9)
  const asked = (options: { readonly peer?: string; readonly at?: number; readonly key?: Uint8Array } = {}) => {
    const now = 1_000_000
    const client = newClient()
    const first = newServer(server, { demandCookie: { key, peer: 'a' }, now: () => now })
    const again = client.receive(first.receive(client.hello()).send!).send
    const demandCookie = { key: options.key ?? key, peer: options.peer ?? 'a' }
    // Another object: nothing was kept of the first Hello.
    const second = newServer(server, { demandCookie, now: () => now + (options.at ?? 0) })
    return codeOf(() => {
      const { send } = client.receive(second.receive(again).send!)
      expect(second.receive(send).done).toBeDefined()
    })
  }

  it('are good for the peer, the key and half a minute', () => {
    expect(asked()).toBe('nothing')
    expect(asked({ at: COOKIE_MS })).toBe('nothing')
    expect(asked({ at: COOKIE_MS + 1 })).toBe('HANDSHAKE_FAILED')
    expect(asked({ at: -COOKIE_MS })).toBe('HANDSHAKE_FAILED')
    expect(asked({ peer: 'b' })).toBe('HANDSHAKE_FAILED')
    expect(asked({ key: new Uint8Array(32).fill(8) })).toBe('HANDSHAKE_FAILED')
  })

  it('are of one Hello: another nonce needs another', () => {
    const demandCookie = { key, peer: 'a' }
    const [mine, theirs] = [newClient(), newClient()]
    const retry = newServer(server, { demandCookie }).receive(mine.hello()).send!
    theirs.hello()
    expect(refusal(() => newServer(server, { demandCookie }).receive(theirs.receive(retry).send))).toBe(
      'HANDSHAKE_FAILED',
    )
  })

  it('are asked for once, and sent back once', () => {
    const demandCookie = { key, peer: 'a' }
    const client = newClient()
    const hello = client.hello()
    const other = newServer(server, { demandCookie })
    const retry = other.receive(hello).send!
    expect(retry.length).toBe(41)
    expect(refusal(() => other.receive(hello))).toBe('HANDSHAKE_FAILED')
    client.receive(retry)
    expect(refusal(() => client.receive(retry))).toBe('HANDSHAKE_FAILED')
  })
})

it('two handshakes of the same ends have nothing in common', () => {
  const wires = [joined(server), joined(server)]
  expect(
    new Set(wires.flatMap(({ client, server: other }) => [String(client.exporter), String(other.exporter)])).size,
  ).toBe(2)
})
