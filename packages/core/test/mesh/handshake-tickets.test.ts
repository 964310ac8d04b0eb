/**
 * A handshake that a ticket stands for: what it goes back to, what ends it, and who stands between. Whatever is wrong with a
 * ticket, two honest ends finish all the same, with a signature.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes, toBase64, utf8 } from '../../src/base/bytes.ts'
import { AteError } from '../../src/base/errors.ts'
import { TICKET_MS, TICKETS_OF_SERVER_MAX, WIRE_CLOCK_MS } from '../../src/base/limits.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { ClientTickets } from '../../src/mesh/client-tickets.ts'
import type { Established } from '../../src/mesh/handshake-client.ts'
import { ticketOf } from '../../src/mesh/handshake-keys.ts'
import type { ServerHandshakeOptions } from '../../src/mesh/handshake-server.ts'
import { ServerTickets } from '../../src/mesh/server-tickets.ts'
import { makeSuccession } from '../../src/mesh/succession.ts'
import type { Wire } from '../../src/mesh/wire.ts'
import { newIdentity } from '../../src/session/identity.ts'
import type { Ticket } from '../../src/session/tickets.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { gcmOpen, gcmSeal, oracleClient, oracleResumed, oracleTicket } from './oracle.ts'
import {
  codeOf,
  crypto,
  flipped,
  joined,
  NOW,
  newClient,
  newServer,
  refusal,
  type TestServer,
  testServer,
} from './support.ts'

const URL = 'ws://here/db'
const server = testServer(41)
const { fingerprintBytes } = server.identity
/** A Resumed: 1,156 bytes in clear, and a MAC sealed. */
const RESUMED_BYTES = 1156 + 32 + 16

/** Both ends of many connections: what they keep of each. */
class World {
  now = NOW
  readonly ours = new ClientTickets(crypto)
  readonly theirs = new ServerTickets(crypto)
  readonly there: TestServer
  readonly options: Partial<ServerHandshakeOptions>

  constructor(there: TestServer = server, options: Partial<ServerHandshakeOptions> = {}) {
    this.there = there
    this.options = options
  }

  readonly server = (options: Partial<ServerHandshakeOptions> = {}, there = this.there) =>
    newServer(there, { tickets: this.theirs, now: () => this.now, ...this.options, ...options })

  readonly take = (): Ticket | undefined => this.ours.take(URL, this.there.identity.fingerprintBytes, this.now)

  readonly client = (ticket: Ticket | undefined = this.take(), options: Parameters<typeof newClient>[0] = {}) =>
    newClient({ now: () => this.now, ...(ticket ? { ticket } : {}), ...options })

  keep({ wire, server: met, by }: Established): void {
    this.ours.keep(URL, { exporter: wire.exporter, server: met, by }, this.now)
  }

  /** The ticket of a connection once more, to both ends. */
  issue(met: Established): void {
    this.keep(met)
    const { said, until } = this.take()!
    this.keep(met)
    this.theirs.put(met.wire.exporter, { said, until })
  }

  /** One connection, and how it came about. */
  connect(
    client = this.client(),
    other = this.server(),
  ): { how: 'signed' | 'resumed'; client: Wire; server: Wire; met: Established } {
    const reply = other.receive(client.hello()).send!
    const { send, done } = client.receive(reply)
    this.keep(done!)
    const end = other.receive(send).done!
    expect(done!.wire.exporter).toEqual(end.wire.exporter)
    expect(end.wire.open(done!.wire.seal(utf8('there')))).toEqual(utf8('there'))
    expect(done!.wire.open(end.wire.seal(utf8('back')))).toEqual(utf8('back'))
    return {
      how: reply.length === RESUMED_BYTES ? 'resumed' : 'signed',
      client: done!.wire,
      server: end.wire,
      met: done!,
    }
  }
}

/** A world in which one connection was made before. */
function known(there: TestServer = server, options: Partial<ServerHandshakeOptions> = {}): World {
  const world = new World(there, options)
  expect(world.connect().how).toBe('signed')
  return world
}

describe('a ticket', () => {
  it('stands for the signature, and each connection leaves one for the next', () => {
    const world = known()
    const identity = { keys: server.identity.keys, sign: () => expect.unreachable() }
    const seen = new Set<string>()
    for (let i = 0; i < 3; i++) {
      const { how, client, met } = world.connect(undefined, world.server({ identity }))
      expect([how, met.server.identity.fingerprint]).toEqual(['resumed', server.identity.fingerprint])
      expect(met.server.delegationBytes).toEqual(server.delegation)
      seen.add(String(client.exporter))
    }
    expect(seen.size).toBe(3)
    expect(world.theirs.size).toBe(1)
  })

  it('is good for one handshake: sent again, the same Hello is answered with a signature', () => {
    const world = known()
    const client = world.client()
    const hello = client.hello()
    const [first, second] = [world.server().receive(hello).send!, world.server().receive(hello).send!]
    expect([first.length, second.length > 10_000]).toEqual([RESUMED_BYTES, true])
    // Whoever has named it before has gained nothing, and the client goes on with what is signed.
    expect(client.receive(second).done?.server.identity.fingerprint).toBe(server.identity.fingerprint)
  })

  it('that the server does not have any more, or never had, costs nothing but the signature', () => {
    const world = known()
    world.theirs.close()
    expect(world.theirs.size).toBe(0)
    expect(world.connect().how).toBe('signed')
    const elsewhere = new ServerTickets(crypto)
    expect(world.connect(undefined, world.server({ tickets: elsewhere })).how).toBe('signed')
    // One of an older release, which knows nothing of tickets.
    expect(joined(server, { client: { ticket: world.take()! } }).met.identity.fingerprint).toBe(
      server.identity.fingerprint,
    )
  })

  it('ends a day after the signature, however often it was followed by another one', () => {
    const world = known()
    world.now += TICKET_MS / 2
    expect(world.connect().how).toBe('resumed')
    world.now = NOW + TICKET_MS - 1
    const ticket = world.take()!
    expect(ticket.until).toBe(NOW + TICKET_MS)
    world.now++
    expect(world.connect(world.client(ticket)).how).toBe('signed')
    expect(world.take()!.until).toBe(NOW + 2 * TICKET_MS)
  })

  it('is not shown by a client for whom the day is over, nor by one whose clock went back', () => {
    for (const now of [NOW + TICKET_MS, NOW - 1]) {
      const world = known()
      world.now = now
      expect(world.take()).toBeUndefined()
      expect(world.theirs.size).toBe(1)
    }
    const world = known()
    const ticket = world.take()!
    world.now = NOW - 1
    expect(world.connect(world.client(ticket)).how).toBe('signed')
  })

  it.each([
    ['the delegation', { delegation: testServer(41, { from: NOW, until: NOW + 1000 }).delegation }],
    ['what the server says of itself', { limits: { frameBytes: 1 } }],
  ] as const)('is none once %s has changed', (_what, changed) => {
    const world = known()
    const { how, met } = world.connect(undefined, world.server(changed))
    expect(how).toBe('signed')
    if ('limits' in changed) expect(met.server.limits).toEqual(changed.limits)
    else expect(met.server.delegationBytes).toEqual(changed.delegation)
  })

  it('is of one server: another with the same tickets signs, and shows who it is', () => {
    const other = testServer(42)
    const world = known()
    const { how, met } = world.connect(undefined, world.server({}, other))
    expect([how, met.server.identity.fingerprint]).toEqual(['signed', other.identity.fingerprint])
    expect(world.ours.take(URL, other.identity.fingerprintBytes, NOW)).toBeDefined()
    expect(world.ours.take('ws://there/db', fingerprintBytes, NOW)).toBeUndefined()
  })

  it('holds a succession as it was shown', () => {
    const old = newIdentity({ crypto, random: seededRandom(77) })
    const successions = [makeSuccession(crypto, old, { fingerprintBytes, at: NOW })]
    const world = new World(server, { successions })
    const hint = old.fingerprintBytes
    expect(world.connect(world.client(undefined, { hint })).met.server.follows).toEqual(hint)
    // Known by its new name from then on: that is another body, signed once.
    expect(world.connect(world.client(undefined, { hint: fingerprintBytes })).how).toBe('signed')
    expect(world.connect(world.client(undefined, { hint: fingerprintBytes })).how).toBe('resumed')
  })

  it('leaves it to the client to judge the server again, and its delegation', () => {
    const world = known()
    const refuse = (): never => {
      throw new AteError('SERVER_CHANGED', {})
    }
    const judged = world.client(undefined, { expect: refuse })
    expect(codeOf(() => judged.receive(world.server().receive(judged.hello()).send!))).toBe('SERVER_CHANGED')
    const short = testServer(43, { from: NOW, until: NOW + 1000 })
    const brief = known(short)
    const late = brief.client(undefined, { now: () => NOW + 1000 + WIRE_CLOCK_MS })
    expect(codeOf(() => late.receive(brief.server().receive(late.hello()).send!))).toBe('HANDSHAKE_FAILED')
  })

  it('is wiped by both ends when it is used, or was in vain', () => {
    for (const there of [undefined, new ServerTickets(crypto)]) {
      const world = known()
      const ticket = world.take()!
      world.connect(world.client(ticket), world.server(there ? { tickets: there } : {}))
      expect(ticket.secret).toEqual(new Uint8Array(32))
    }
  })

  it('is kept with others within bounds: the newest of a server, and the newest of all', () => {
    const world = known()
    const met = world.connect().met
    for (let i = 0; i < TICKETS_OF_SERVER_MAX + 3; i++) world.keep(met)
    let count = 0
    while (world.take()) count++
    expect(count).toBe(TICKETS_OF_SERVER_MAX)
    for (let i = 0; i < 70; i++)
      world.ours.keep(`ws://${i}/db`, { exporter: met.wire.exporter, server: met.server, by: new Uint8Array(1) }, NOW)
    const left = Array.from(
      { length: 70 },
      (_, i) => world.ours.take(`ws://${i}/db`, fingerprintBytes, NOW) !== undefined,
    )
    expect([left.indexOf(true), left.lastIndexOf(false)]).toEqual([6, 5])
    const few = new ServerTickets(crypto, 2)
    const names = [1, 2, 3].map((number) => {
      const exporter = new Uint8Array(32).fill(number)
      few.put(exporter, { said: exporter, until: NOW })
      return { ...ticketOf(crypto, exporter), said: exporter }
    })
    const had = names.map(({ name, said }) => few.take(name, { said, at: NOW - 1 }) !== undefined)
    expect([had, few.size]).toEqual([[false, true, true], 0])
  })

  it('makes a plain wire only where both sides allow one now', () => {
    const world = known()
    expect(world.connect(undefined, world.server({ plain: 'allow' })).client.mode).toBe('sealed')
    expect(world.connect(world.client(undefined, { plain: 'allow' })).client.mode).toBe('sealed')
    const both = world.connect(world.client(undefined, { plain: 'allow' }), world.server({ plain: 'allow' }))
    expect([both.how, both.client.mode, both.server.mode]).toEqual(['resumed', 'plain', 'plain'])
  })

  it('goes with a cookie where one is asked for', () => {
    const world = known()
    const demandCookie = { key: new Uint8Array(32).fill(1), peer: 'a' }
    const [client, other] = [world.client(), world.server({ demandCookie })]
    const again = client.receive(other.receive(client.hello()).send!).send
    const reply = other.receive(again).send!
    expect(reply.length).toBe(RESUMED_BYTES)
    expect(other.receive(client.receive(reply).send).done).toBeDefined()
  })
})

describe('who stands between', () => {
  it('alters no byte of a Hello, a Resumed or a Finish unseen', () => {
    const sizes = { hello: newClient().hello().length, reply: RESUMED_BYTES, finish: 33 }
    for (const [what, size] of Object.entries(sizes)) {
      const world = known()
      const met = world.connect().met
      for (let at = 0; at < size; at += what !== 'finish' && at > 40 && at < size - 50 ? 41 : 1) {
        world.issue(met)
        const [client, other] = [world.client(), world.server()]
        const change = (name: string, message: Uint8Array): Uint8Array =>
          name === what ? flipped(message, at) : message
        const code = refusal(() => {
          const reply = other.receive(change('hello', client.hello())).send!
          other.receive(change('finish', client.receive(change('reply', reply)).send))
        })
        expect([what, at, /^(HANDSHAKE_FAILED|WIRE_VERSION)$/.test(code)]).toEqual([what, at, true])
      }
    }
  })

  it('has no secret: a Resumed of his own is refused, and one that nobody asked for', () => {
    const world = known()
    const ticket = world.take()!
    const { said } = ticket
    const lies = [
      { secret: new Uint8Array(32), said },
      { secret: ticket.name, said },
      // As if there were none.
      { secret: new Uint8Array(0), said },
      { secret: ticket.secret.slice(), said: flipped(said, 0) },
    ]
    for (const [index, lie] of lies.entries()) {
      const client = world.client({ ...ticket, secret: ticket.secret.slice() })
      expect([index, refusal(() => client.receive(oracleResumed(client.hello(), lie, 5).reply))]).toEqual([
        index,
        'HANDSHAKE_FAILED',
      ])
    }
    const stranger = newClient()
    const { secret } = ticket
    expect(refusal(() => stranger.receive(oracleResumed(stranger.hello(), { secret, said }, 5).reply))).toBe(
      'HANDSHAKE_FAILED',
    )
    // The honest answer, for the measure of the lies.
    const client = world.client({ ...ticket, secret: secret.slice() })
    expect(client.receive(oracleResumed(client.hello(), { secret, said }, 5).reply).done).toBeDefined()
  })

  it('cannot finish what he has begun with the name of a ticket', () => {
    const world = known()
    const { name } = world.take()!
    const thief = oracleClient(server.identity.keys, 9, {
      ticket: { name, secret: new Uint8Array(32), said: new Uint8Array(32) },
    })
    const other = world.server()
    const reply = other.receive(thief.hello).send!
    expect(reply.length).toBe(RESUMED_BYTES)
    expect(() => thief.receive(reply)).toThrow()
    expect(refusal(() => other.receive(concatBytes(Uint8Array.of(4), new Uint8Array(32))))).toBe('HANDSHAKE_FAILED')
    expect(world.theirs.size).toBe(0)
  })

  it('who learns the secret later reads nothing: the keys are those of a fresh exchange too', () => {
    const world = known()
    const ticket = world.take()!
    const secret = ticket.secret.slice()
    const client = world.client(ticket)
    const hello = client.hello()
    const reply = world.server().receive(hello).send!
    const keys = oracleClient(server.identity.keys, 9, { ticket: { ...ticket, secret } })
    // All that was said and the ticket, but another X-Wing key.
    expect(() => keys.receive(reply)).toThrow()
    expect(client.receive(reply).done).toBeDefined()
  })

  it('swaps no answers of two connections that are resumed at once', () => {
    const world = known()
    world.connect(newClient())
    const [one, two] = [world.client(), world.client()]
    const [first, second] = [world.server(), world.server()]
    const [toOne, toTwo] = [first.receive(one.hello()).send!, second.receive(two.hello()).send!]
    expect([toOne.length, toTwo.length]).toEqual([RESUMED_BYTES, RESUMED_BYTES])
    expect(refusal(() => one.receive(toTwo))).toBe('HANDSHAKE_FAILED')
    const { send } = two.receive(toTwo)
    expect(refusal(() => first.receive(send))).toBe('HANDSHAKE_FAILED')
    expect(second.receive(send).done).toBeDefined()
    expect(refusal(() => two.receive(toOne))).toBe('HANDSHAKE_FAILED')
  })

  it('chooses nothing that was not offered: version, suite and mode are under the MAC', () => {
    for (const at of [1, 2, 3]) {
      const world = known()
      const client = world.client(undefined, { plain: 'allow' })
      const reply = world.server().receive(client.hello()).send!
      expect(refusal(() => client.receive(flipped(reply, at, 3)))).toBe('HANDSHAKE_FAILED')
    }
  })
})

describe('the oracle', () => {
  const bodyOf = (by: Established['by']): Uint8Array => {
    expect(by).toBeInstanceOf(Uint8Array)
    return by as Uint8Array
  }

  it('as the client, resumes with our server', () => {
    const world = new World()
    const { met, client } = world.connect()
    const ticket = oracleTicket(client.exporter, bodyOf(met.by))
    const [theirs, ours] = [oracleClient(server.identity.keys, 9, { ticket }), world.server()]
    const step = theirs.receive(ours.receive(theirs.hello).send!)!
    const { wire } = ours.receive(step.finish).done!
    expect(wire.exporter).toEqual(new Uint8Array(step.keys.exporter))
    const { toServer, toClient } = step.keys
    expect(wire.open(gcmSeal(toServer.key, toServer.nonce(), utf8('one')))).toEqual(utf8('one'))
    expect(gcmOpen(toClient.key, toClient.nonce(), wire.seal(utf8('two'))).toString()).toBe('two')
  })

  it('as the server, resumes with our client', () => {
    const world = new World()
    const { met, client: before } = world.connect()
    const client = world.client()
    const theirs = oracleResumed(client.hello(), oracleTicket(before.exporter, bodyOf(met.by)), 5)
    const { send, done } = client.receive(theirs.reply)
    expect(done?.wire.exporter).toEqual(new Uint8Array(theirs.finish(send)!.exporter))
  })
})

describe('the frozen handshake that is resumed', () => {
  const file = new globalThis.URL('../vectors/wire-1-resumed.json', import.meta.url)

  it('gives the same bytes from the same seeds', () => {
    const there = testServer(21, undefined, nobleProvider)
    const ours = new ClientTickets(nobleProvider)
    const options = { crypto: nobleProvider, random: seededRandom(23), tickets: new ServerTickets(nobleProvider) }
    const random = seededRandom(22)
    const made: Record<string, string> = {}
    for (const name of ['signed', 'resumed']) {
      const ticket = ours.take(URL, there.identity.fingerprintBytes, NOW)
      const client = newClient({ crypto: nobleProvider, random, ...(ticket ? { ticket } : {}) })
      const other = newServer(there, { ...options, limits: { sessions: 7 } })
      const hello = client.hello()
      const reply = other.receive(hello).send!
      const { send: finish, done } = client.receive(reply)
      ours.keep(URL, { exporter: done!.wire.exporter, server: done!.server, by: done!.by }, NOW)
      const { wire } = other.receive(finish).done!
      const frames = concatBytes(done!.wire.seal(utf8('to the server')), wire.seal(utf8('to the client')))
      for (const [what, bytes] of Object.entries({ hello, reply, finish, exporter: wire.exporter, frames }))
        made[`${name} ${what}`] = toBase64(bytes)
      expect(equalBytes(hello.subarray(6, 38), ticket?.name ?? new Uint8Array(32))).toBe(ticket !== undefined)
    }
    if (process.env['ATE_FREEZE'] === 'wire-1') writeFileSync(file, `${JSON.stringify(made, null, 1)}\n`)
    expect(made).toEqual(JSON.parse(readFileSync(file, 'utf8')))
  })
})
