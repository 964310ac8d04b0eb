/**
 * Clients that break the rules, against an honest server: it ends their connections or refuses, stores nothing that is not
 * allowed, holds bounded memory, and serves everybody else all the while. See docs/SECURITY.md.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Replica } from '../../src/chain/replica.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../../src/crypto/composite.ts'
import type { Chain } from '../../src/data/chain.ts'
import { makeGenesis } from '../../src/data/create-chain.ts'
import { COMMIT, KIND, type Kind, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import type { ClientMessage } from '../../src/mesh/messages.ts'
import type { Identity } from '../../src/session/identity.ts'
import { actorOf, create, type ForgedSession, Forger } from '../../src/testing/chain-kit.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { recordsOf } from '../log/stored-records.ts'
import { EvilWorld, Note } from './evil-world.ts'
import { HostileClient, openOf } from './hostile-kit.ts'
import { simCrypto, simPerson } from './sim-world.ts'

const ROOT = '00000000000000000000000000'
const mallory = actorOf(simCrypto, 'mallory')
const owner = actorOf(simCrypto, 'owner')
const server: Identity = simPerson('server')

let evil: EvilWorld
/** Of the owner: mallory may read it, and write below one note. */
let garden: Chain
let stored = 0

beforeAll(async () => {
  evil = await EvilWorld.start(11)
  const sim = evil.world
  garden = await sim.wait(evil.open('garden', { create: true, as: owner.identity }))
  await sim.wait(garden.transact((tx) => void tx.create(Note, { text: 'of the owner' })))
  await sim.wait(
    garden.transact((tx) =>
      tx.create(Note, { text: 'shared' }, { read: [owner.identity, mallory.identity], write: [mallory.identity] }),
    ),
  )
  await sim.time.run(5000)
  stored = sim.stores.get('garden')!.records.size
})

afterAll(async () => {
  await evil.world.wait(garden.close())
})

function hostile(): Promise<HostileClient> {
  const { world } = evil
  const tick = (): Promise<void> => world.time.run(1)
  return HostileClient.open({ platform: evil.machine(), url: 'ws://localhost:5000/db', server, tick })
}

/** The server still works, for a client that is honest. */
async function stillServes(): Promise<void> {
  await evil.world.time.run(50)
  expect(await evil.world.wait(evil.write(garden, `note ${stored}`))).toBe('ok')
  await evil.world.time.run(3000)
  const { records } = evil.world.stores.get('garden')!
  // The note, its attestation, and a checkpoint if it was time for one.
  expect(records.size).toBeLessThanOrEqual(stored + 3)
  stored = records.size
}

function submit(payload: Uint8Array, kind: Kind = KIND.commit, more: Partial<ClientMessage> = {}): ClientMessage {
  return { type: 'submit', channel: 1, id: 1, isLast: true, kind, payload, ...more } as ClientMessage
}

/** A client of mallory's, in the garden. */
async function inGarden(): Promise<HostileClient> {
  const client = await hostile()
  await client.prove(mallory.identity)
  client.open('garden')
  await client.until(() => client.heard('opened').length > 0)
  client.send({ type: 'credit', channel: 1, bytes: 1 })
  await evil.world.time.run(20)
  return client
}

/** Makes commits as if the rules were none, on top of what is stored. */
function forger(): Forger {
  const records = recordsOf(evil.world.stores.get('garden')!)
  const replica = Replica.open({ crypto: simCrypto, seed: 1 }, records[0]!)
  for (const record of records.slice(1)) replica.accept(record)
  const made = new Forger({ crypto: simCrypto, roots: [mallory], timeMs: evil.world.time.clock.now(), seed: stored })
  return Object.assign(made, { chainId: replica.chainId, replica })
}

function payloadOf({ bytes }: { readonly bytes: Uint8Array }): Uint8Array {
  return bytes.slice(RECORD_HEAD_BYTES)
}

async function answerTo(client: HostileClient, ...messages: readonly ClientMessage[]): Promise<string> {
  const before = client.heard('answers').length
  client.send(...messages)
  await client.until(() => client.heard('answers').length > before)
  const [answer] = client.heard('answers').at(-1)?.answers ?? []
  if (answer === undefined) return `ended: ${client.ended?.text}`
  return 'refused' in answer ? answer.refused[0]!.code : 'stored'
}

describe('messages that are none', () => {
  test('of every type, cut, with lengths that lie, and by chance, end the connection and nothing else', async () => {
    const random = seededRandom(5)
    const bodies: Uint8Array[] = []
    for (let type = 0; type < 256; type += type < 8 || (type > 31 && type < 44) ? 1 : 41) {
      const noise = new Uint8Array(1 + random.below(60))
      random.fill(noise)
      noise[0] = type
      bodies.push(noise)
      // Varints of 2^53 and more, and lengths that go on behind the end.
      bodies.push(Uint8Array.of(type, 1, 255, 255, 255, 255, 255, 255, 255, 127))
      bodies.push(Uint8Array.of(type, 1, 1, 255, 255, 255, 255, 15, 1))
    }
    for (const body of bodies) {
      const client = await hostile()
      await client.prove(mallory.identity)
      client.raw(body)
      await evil.world.time.run(10)
      for (const { type } of client.inbox) expect(['welcome', 'session', 'closed', 'refused']).toContain(type)
      client.close()
    }
    await stillServes()
  })

  test('bombs in a genesis, a payload and a certificate are refused by their size and depth', async () => {
    const client = await inGarden()
    const deep = new Uint8Array(900_000).fill(0x81)
    const long = Uint8Array.of(0x9b, 0, 0, 0, 255, 255, 255, 255, 255)
    const text = Uint8Array.of(0x7b, 0, 0, 0, 1, 0, 0, 0, 0)
    const made = payloadOf(forger().commit(forger().session(mallory), []))
    for (const bomb of [deep, long, text]) {
      for (const kind of [KIND.commit, KIND.attestation, KIND.checkpoint, KIND.sweep, KIND.recover])
        expect(await answerTo(client, submit(bomb, kind))).toMatch(/^BAD_|UNSUPPORTED|NOT_AUTHORIZED/)
      const inCertificate = new Uint8Array(made.length + bomb.length)
      inCertificate.set(made)
      inCertificate.set(bomb, COMMIT.certificate - RECORD_HEAD_BYTES)
      expect(await answerTo(client, submit(inCertificate))).toMatch(/^BAD_/)
      const head = evil.world.stores.get('garden')!.records.at(0)!.bytes.slice(0, RECORD_HEAD_BYTES)
      const genesis = new Uint8Array(head.length + bomb.length)
      genesis.set(head)
      genesis.set(bomb, head.length)
      if (genesis.length < 900_000) client.open('bomb', 5, { genesis })
      await evil.world.time.run(20)
    }
    expect(client.heard('closed').map(({ code }) => code)).toEqual(['BAD_GENESIS', 'BAD_GENESIS'])
    expect(evil.world.stores.has('bomb')).toBe(false)
    client.close()
    await stillServes()
  })
})

describe('places', () => {
  test('who does not say who he is, loses his', async () => {
    const clients = await Promise.all(Array.from({ length: 20 }, hostile))
    await evil.world.time.run(11_000)
    for (const client of clients) expect(client.ended?.text).toBe('nobody has said who he is')
    await stillServes()
  })

  test('who does not even shake hands, his too', async () => {
    const ends: string[] = []
    const socket = await evil.world.wait(evil.machine().dial('ws://localhost:5000/db'))
    socket.start({ message: () => undefined, closed: ({ text }) => ends.push(text), drained: () => undefined })
    await evil.world.time.run(6000)
    expect(ends).toEqual(['too slow'])
    await stillServes()
  })

  test("another's proof, a session that is none, and a channel twice end the connection", async () => {
    const honest = await hostile()
    const stolen = honest.proof(owner.identity)
    const attacks: readonly ((client: HostileClient) => unknown)[] = [
      (client) => client.send({ type: 'session', ref: 1, proof: stolen }),
      (client) => client.open('garden', 1, { session: 7 }),
      async (client) => {
        await client.prove(mallory.identity)
        client.open('garden', 1)
        client.open('garden', 1)
      },
      async (client) => {
        await client.prove(mallory.identity)
        // A number is free again once what was asked before is done.
        const games = Array.from({ length: 100 }, (_, i) => [
          openOf(`none-${i}`, 1, { session: 1 }),
          { type: 'leave', channel: 1 } as const,
        ])
        client.burst(...games.flat())
      },
    ]
    for (const attack of attacks) {
      const client = await hostile()
      await attack(client)
      await client.until(() => client.ended !== undefined)
      expect(['BAD_SESSION', 'BAD_MESSAGE']).toContain(client.ended!.text)
    }
    honest.close()
    await stillServes()
  })

  test('sessions and channels have a maximum; what is over it is refused and holds nothing', async () => {
    const client = await hostile()
    const proof = client.proof(mallory.identity)
    for (let ref = 1; ref <= 300; ref++) client.send({ type: 'session', ref, proof })
    await client.until(() => client.heard('session').length + client.heard('refused').length >= 300)
    expect(client.heard('session')).toHaveLength(256)
    client.burst(...Array.from({ length: 4200 }, (_, i) => openOf('garden', i + 1, { session: 1 })))
    await client.until(() => client.heard('opened').length + client.heard('closed').length >= 4200)
    expect(client.heard('opened')).toHaveLength(4096)
    expect(new Set(client.heard('closed').map(({ code }) => code))).toEqual(new Set(['BUSY']))
    expect(evil.world.server!.host.size).toBe(1)
    client.close()
    await stillServes()
  })
})

describe('what is submitted', () => {
  test('commits of others, with games of numbers and bases, and records of every kind: nothing is stored', async () => {
    const records = recordsOf(evil.world.stores.get('garden')!)
    const theirs = payloadOf(records.find(({ bytes }) => bytes[80] === KIND.commit)!)
    const altered = (at: number): Uint8Array => {
      const bytes = theirs.slice()
      bytes[at - RECORD_HEAD_BYTES]! ^= 1
      return bytes
    }
    const kit = forger()
    const note = create({ type: 'note', collection: 'note' })
    const session = (): ForgedSession => kit.session(mallory)
    const attacks: readonly (readonly [string, () => ClientMessage, RegExp])[] = [
      ['the commit of another, again', () => submit(theirs), /SEQ_USED/],
      ['with another number', () => submit(altered(COMMIT.writerSeq + 7)), /BAD_SIGNATURE/],
      ['with another base', () => submit(altered(COMMIT.baseSeq + 7)), /BAD_SIGNATURE/],
      ['with another signature', () => submit(altered(COMMIT.sig + 7)), /BAD_SIGNATURE/],
      ['of a writer that is none', () => submit(altered(COMMIT.writer)), /CERT_UNKNOWN|BAD_CERTIFICATE/],
      [
        'where he must not write',
        () => submit(payloadOf(kit.commit(session(), [kit.tx(note)]))),
        /NOT_AUTHORIZED|UNKNOWN_WRITER/,
      ],
      [
        'under a certificate that he made for another',
        () => submit(payloadOf(kit.commit(kit.session(owner, {}, mallory), [kit.tx(note)]))),
        /BAD_CERTIFICATE/,
      ],
      [
        'under a certificate of a year',
        () => submit(payloadOf(kit.commit(kit.session(mallory, { until: kit.time + 31_536_000_000 }), [kit.tx(note)]))),
        /CERT_ENDED/,
      ],
      ['with the number 7', () => submit(payloadOf(kit.commit(session(), [], { writerSeq: 7 }))), /SEQ_GAP/],
      [
        'with a number of 2^53',
        () => submit(payloadOf(kit.commit(session(), [], { writerSeq: 2 ** 53 - 1 }))),
        /SEQ_GAP|BAD_RECORD/,
      ],
      [
        'on a base that never was',
        () => submit(payloadOf(kit.commit(session(), [kit.tx(note)], { base: { seq: 1, hash: new Uint8Array(32) } }))),
        /BASE_MISMATCH/,
      ],
      [
        'on a base that is to come',
        () =>
          submit(payloadOf(kit.commit(session(), [kit.tx(note)], { base: { seq: 9999, hash: new Uint8Array(32) } }))),
        /BASE_MISMATCH|BAD_RECORD/,
      ],
      [
        'of the year 2126',
        () => submit(payloadOf(kit.commit(session(), [kit.tx(note)], { at: 4_922_640_000_000 }))),
        /NOT_AUTHORIZED|UNKNOWN_WRITER/,
      ],
      ['no commit at all', () => submit(new Uint8Array(0)), /BAD_RECORD/],
      ['a commit as an attestation', () => submit(theirs, KIND.attestation), /^BAD_/],
      ['a sweep of nothing', () => submit(new Uint8Array(3), KIND.sweep), /^BAD_/],
      ['a recovery of noise', () => submit(new Uint8Array(300), KIND.recover), /^BAD_/],
      ['a checkpoint of noise', () => submit(new Uint8Array(300), KIND.checkpoint), /^BAD_/],
    ]
    for (const [what, message, code] of attacks) {
      const client = await inGarden()
      expect([what, await answerTo(client, message())]).toEqual([what, expect.stringMatching(code)])
      client.close()
    }
    expect(evil.world.stores.get('garden')!.records.size).toBe(stored)
    await stillServes()
  })

  test('a genesis is for its roots, and for this server', async () => {
    const { environment } = evil.machine()
    const parts = { crypto: simCrypto, environment }
    const mine = { sequencers: [server.fingerprintBytes], checkpointKeys: [] }
    const ofOwner = makeGenesis({ ...parts, identity: owner.identity }, 'memory', mine).record.bytes
    const elsewhere = makeGenesis({ ...parts, identity: mallory.identity }, 'memory', {
      ...mine,
      sequencers: [mallory.id],
    }).record.bytes
    const client = await hostile()
    await client.prove(mallory.identity)
    client.open('theirs', 1, { genesis: ofOwner })
    client.open('elsewhere', 2, { genesis: elsewhere })
    client.open('copied', 3, { genesis: evil.world.stores.get('garden')!.records.at(0)!.bytes })
    await client.until(() => client.heard('closed').length >= 3)
    expect(
      client
        .heard('closed')
        .map(({ code }) => code)
        .sort(),
    ).toEqual(['BAD_GENESIS', 'NOT_AUTHORIZED', 'NOT_AUTHORIZED'])
    expect([...evil.world.stores.keys()]).toEqual(['garden'])
    client.close()
    await stillServes()
  })

  test('a stranger follows nothing, and submits nothing', async () => {
    const client = await hostile()
    await client.prove(simPerson('stranger'))
    client.open('garden')
    await client.until(() => client.heard('closed').length > 0)
    expect(client.heard('closed')[0]!.code).toBe('NOT_AUTHORIZED')
    client.send(
      submit(new Uint8Array(100)),
      { type: 'sync', channel: 1, id: 1 },
      { type: 'credit', channel: 1, bytes: 2 ** 52 },
    )
    await evil.world.time.run(50)
    expect(client.inbox.filter(({ type }) => type !== 'welcome' && type !== 'session')).toHaveLength(1)
    client.close()
    await stillServes()
  })
})

describe('load', () => {
  test('halves of submissions on many channels are bounded by connection', async () => {
    const client = await hostile()
    await client.prove(mallory.identity)
    for (let channel = 1; channel <= 60; channel++) client.open('garden', channel)
    await client.until(() => client.heard('opened').length >= 60)
    const payload = new Uint8Array(800 * 1024)
    for (let channel = 1; channel <= 60 && !client.ended; channel++) {
      client.send({ type: 'submit', channel, id: 1, isLast: false, kind: KIND.commit, payload })
      await evil.world.time.run(100)
    }
    expect(client.ended?.text).toBe('BAD_MESSAGE')
    await stillServes()
  })

  test('behind a forged signature nothing is verified, and the connection ends', async () => {
    const kit = forger()
    const session = kit.session(mallory)
    // The half of it that is dear to verify.
    const certificate = session.bytes.slice()
    certificate[certificate.length - COMPOSITE_SIGNATURE_BYTES + 100]! ^= 1
    const forged = payloadOf(kit.commit(session, [], { certificate }))
    const client = await inGarden()
    let verified = 0
    const inner = simCrypto.mlDsa65Verifier
    const counting = (key: Uint8Array): ReturnType<typeof inner> => {
      const verifier = inner.call(simCrypto, key)
      return {
        ...verifier,
        verify: (...args) => {
          verified++
          return verifier.verify(...args)
        },
      }
    }
    Object.defineProperty(simCrypto, 'mlDsa65Verifier', { value: counting, configurable: true })
    try {
      const messages = Array.from({ length: 1000 }, (_, i) => submit(forged, KIND.commit, { isLast: i === 999 }))
      expect(await answerTo(client, ...messages)).toBe('BAD_CERTIFICATE')
    } finally {
      Reflect.deleteProperty(simCrypto, 'mlDsa65Verifier')
    }
    expect(verified).toBe(1)
    await client.until(() => client.ended !== undefined)
    expect(client.ended?.text).toBe('BAD_CERTIFICATE')
    await stillServes()
  })

  test('exchanges of keys come no faster than one a minute', async () => {
    const client = await hostile()
    await client.prove(mallory.identity)
    for (let i = 0; i < 3 && !client.ended; i++) {
      client.send({ type: 'rekey', bytes: simCrypto.sha256(new Uint8Array(1)) })
      await evil.world.time.run(20)
    }
    expect(client.ended).toBeDefined()
    await stillServes()
  })

  test('a reader that stops, and one that asks without listening, cost a bounded memory and are cut off', async () => {
    const sim = evil.world
    const big = await sim.wait(evil.open('big', { create: true, as: owner.identity }))
    const text = 'x'.repeat(700_000)
    for (let i = 0; i < 12; i++) await sim.wait(big.transact((tx) => void tx.create(Note, { text: text + i })))
    let most = 0
    for (const how of ['reads', 'asks'] as const) {
      const client = await hostile()
      await client.prove(owner.identity)
      client.open('big')
      await client.until(() => client.heard('opened').length > 0)
      client.socket.pause()
      for (let i = 0; i < 40; i++) {
        client.send({ type: 'credit', channel: 1, bytes: 2 ** 40 })
        if (how === 'asks') for (let k = 0; k < 500; k++) client.send({ type: 'sync', channel: 1, id: k })
        await sim.time.run(2000)
        for (const { bufferedBytes } of sim.server!.connections) most = Math.max(most, bufferedBytes)
      }
      client.socket.resume()
      await sim.time.run(1000)
      expect(client.ended).toBeDefined()
    }
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThan(4.5 * 1024 * 1024)
    await sim.wait(big.close())
    await stillServes()
  })
})

describe('members', () => {
  test('one who was taken out while he was away, and writes late, is refused', async () => {
    const sim = evil.world
    const chain = await sim.wait(evil.open('club', { create: true, as: owner.identity }))
    await sim.wait(
      chain.transact(
        (tx) =>
          void tx.setPolicy(ROOT, {
            write: [owner.identity, mallory.identity],
            read: [owner.identity, mallory.identity],
          }),
      ),
    )
    const hers = await sim.wait(evil.open('club', { id: chain.id, as: mallory.identity }))
    expect(await sim.wait(evil.write(hers, 'in time'))).toBe('ok')
    // Her machine hears nothing of what happens next.
    const lines = evil.evil
    const hold: (() => void)[] = []
    lines.tamper = {
      toServer: (message, line) => {
        if (message.type !== 'submit') return [message]
        hold.push(() => line.tellServer(message))
        return []
      },
    }
    const late = evil.write(hers, 'late')
    await sim.time.run(100)
    lines.tamper = {}
    await sim.wait(chain.transact((tx) => void tx.setPolicy(ROOT, { write: [owner.identity], read: [owner.identity] })))
    for (const go of hold) go()
    expect(await sim.wait(late)).toBe('NOT_AUTHORIZED')
    await sim.wait(chain.refresh())
    expect(await sim.wait(evil.texts(chain))).not.toContain('late')
    await sim.wait(hers.close())
    await sim.wait(chain.close())
  })

  test('two devices of one identity write at once, and each change counts once', async () => {
    const sim = evil.world
    const one = await sim.wait(evil.open('twins', { create: true }))
    const two = await sim.wait(evil.open('twins', { id: one.id }))
    const writes = Array.from({ length: 40 }, (_, i) => evil.write(i % 2 ? one : two, `twin ${i}`))
    expect(new Set(await sim.wait(Promise.all(writes)))).toEqual(new Set(['ok']))
    await sim.wait(one.close())
    await sim.wait(two.close())
    const both = await sim.wait(evil.open('twins', { id: one.id }))
    const texts = await sim.wait(evil.texts(both))
    expect(texts).toHaveLength(40)
    expect(new Set(texts).size).toBe(40)
    await sim.wait(both.close())
  })
})
