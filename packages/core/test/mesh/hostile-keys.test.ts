/** Attached keys, and ends that break the rules: a client that asks for too much or gives what is not his, a server that lies. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ByteWriter } from '../../src/codec/writer.ts'
import type { Chain } from '../../src/data/chain.ts'
import { bytesOfWords, parseEntityId } from '../../src/event/entity-words.ts'
import { KIND } from '../../src/event/format.ts'
import {
  type ClientMessage,
  clientMessagesIn,
  type ServerMessage,
  serverMessagesIn,
  writeClientMessage,
  writeServerMessage,
} from '../../src/mesh/messages.ts'
import { actorOf } from '../../src/testing/chain-kit.ts'
import { EvilWorld, Note } from './evil-world.ts'
import { HostileClient } from './hostile-kit.ts'
import { simCrypto, simPerson } from './sim-world.ts'
import { codeOf } from './support.ts'

const mallory = actorOf(simCrypto, 'mallory')
const owner = actorOf(simCrypto, 'owner')
let evil: EvilWorld
let garden: Chain
/** Of the owner, with a key; mallory may write below it, and not read it. */
let note = ''

const bytesOf = (id: string): Uint8Array => bytesOfWords(parseEntityId(id))
const ring = (): Map<string, { readonly wrapped: Uint8Array }> => evil.world.stores.get('garden')!.keys

beforeAll(async () => {
  evil = await EvilWorld.start(12)
  const sim = evil.world
  garden = await sim.wait(evil.open('garden', { create: true, as: owner.identity }))
  note = await sim.wait(
    garden.transact((tx) => {
      const made = tx.create(Note, { text: 'with a key' }, { read: [owner.identity], write: [mallory.identity] })
      tx.attachKey(made, new Uint8Array(32).fill(7))
      return made.id
    }),
  )
})
afterAll(async () => {
  await evil.world.wait(garden.close())
})

async function inGarden(): Promise<HostileClient> {
  const tick = (): Promise<void> => evil.world.time.run(1)
  const client = await HostileClient.open({
    platform: evil.machine(),
    url: 'ws://localhost:5000/db',
    server: simPerson('server'),
    tick,
  })
  await client.prove(mallory.identity)
  client.open('garden')
  await client.until(() => client.heard('opened').length > 0)
  return client
}

async function isUntouched(): Promise<void> {
  await evil.world.time.run(3000)
  expect([...ring().values()].map(({ wrapped }) => wrapped)).toEqual([new Uint8Array(32).fill(7)])
  expect(await evil.world.wait(garden.attachedKey(note))).toEqual(new Uint8Array(32).fill(7))
}

function keyMessage(size: number, id = 1): ClientMessage {
  return { type: 'key', channel: 1, id, entity: new Uint8Array(16).fill(3), bytes: new Uint8Array(size) }
}

describe('a hostile client', () => {
  test('is told nothing that it may not read, and only how many keys there are', async () => {
    const client = await inGarden()
    const ask = { type: 'ask', channel: 1, entity: bytesOf(note) } as const
    client.send({ ...ask, id: 1, record: undefined }, { ...ask, id: 2, record: 0 }, { ...ask, id: 3, record: 2 ** 40 })
    client.send({ type: 'ring', channel: 1, id: 4, after: undefined })
    // A channel that is not open.
    client.send({ ...ask, channel: 9, id: 5, record: undefined })
    await client.until(() => client.heard('ring').length > 0)
    expect(client.heard('key').map(({ id, answer }) => [id, (answer as { code?: string }).code])).toEqual(
      [1, 2, 3].map((id) => [id, 'NOT_AUTHORIZED']),
    )
    expect(client.heard('ring')).toEqual([{ type: 'ring', channel: 1, id: 4, page: { total: 1, entries: [] } }])
    expect(client.ended).toBeUndefined()
    client.close()
    await isUntouched()
  })

  test('that asks for more than it may at a time loses its channel', async () => {
    const client = await inGarden()
    const ask = (id: number): ClientMessage => ({
      type: 'ask',
      channel: 1,
      id,
      entity: bytesOf(note),
      record: undefined,
    })
    client.burst(...Array.from({ length: 64 }, (_, i) => ask(i)))
    await client.until(() => client.heard('key').length === 64)
    client.burst(...Array.from({ length: 65 }, (_, i) => ask(i)))
    await client.until(() => client.heard('closed').length > 0)
    expect(client.heard('closed')[0]).toMatchObject({ channel: 1, code: 'BUSY' })
    client.close()
    await isUntouched()
  })

  test.each<[string, readonly ClientMessage[]]>([
    ['one key is too large', [keyMessage(256 * 1024 + 1)]],
    ['all of a commit are', Array.from({ length: 4 }, () => keyMessage(255 * 1024))],
    ['they are too many', Array.from({ length: 15_361 }, () => keyMessage(0))],
    ['they are of two submissions', [keyMessage(1), keyMessage(1, 2)]],
    [
      'they come with a record that creates nothing',
      [
        keyMessage(1),
        { type: 'submit', channel: 1, id: 1, isLast: true, kind: KIND.attestation, payload: new Uint8Array(9) },
      ],
    ],
  ])('that gives keys is cut off where %s', async (_what, messages) => {
    const client = await inGarden()
    for (let i = 0; i < messages.length; i += 1000) client.burst(...messages.slice(i, i + 1000))
    await client.until(() => false)
    expect(client.ended).toMatchObject({ text: 'BAD_MESSAGE' })
    await isUntouched()
  })

  test('puts no key in the place of one that is not his, whatever he writes', async () => {
    const sim = evil.world
    const theirs = await sim.wait(evil.open('garden', { as: mallory.identity, id: garden.id }))
    evil.evil.tamper = {
      toServer: (message) =>
        message.type === 'key'
          ? [
              { ...message, entity: bytesOf(note) },
              { ...message, bytes: new Uint8Array(3) },
            ]
          : [message],
    }
    const made = await sim.wait(
      theirs.transact((tx) => {
        const { id } = tx.create(Note, { text: 'his own' }, { parent: note })
        tx.attachKey(id, new Uint8Array(32).fill(9))
        return id
      }),
    )
    evil.evil.tamper = {}
    expect(await sim.wait(garden.attachedKey(note))).toEqual(new Uint8Array(32).fill(7))
    expect(await sim.wait(garden.attachedKey(made))).toEqual(new Uint8Array(3))
    expect(await evil.result(theirs.attachedKey(made))).toBe('NOT_AUTHORIZED')
    await sim.wait(theirs.transact((tx) => tx.delete(made)))
    await sim.wait(theirs.close())
    await isUntouched()
  })
})

describe('a hostile client of a name', () => {
  test('puts no key under one: it would come back with another entity', async () => {
    const sim = evil.world
    const make = (): Promise<string> =>
      sim.wait(garden.transact((tx) => tx.create(Note, { text: 'named' }, { name: 'x' }).id))
    const named = await make()
    await sim.wait(garden.transact((tx) => tx.delete(named)))
    const chain = await sim.wait(
      evil.open('garden', { as: owner.identity, id: garden.id }, evil.world.machine('server')),
    )
    evil.evil.tamper = {
      toServer: (message) =>
        message.type === 'submit'
          ? [
              {
                type: 'key',
                channel: message.channel,
                id: message.id,
                entity: bytesOf(named),
                bytes: new Uint8Array(3),
              },
              message,
            ]
          : [message],
    }
    const again = await sim.wait(chain.transact((tx) => tx.create(Note, { text: 'named' }, { name: 'x' }).id))
    evil.evil.tamper = {}
    expect(again).toBe(named)
    await sim.wait(chain.close())
    await isUntouched()
  })
})

describe('a lying server', () => {
  const answer = (more: object): ServerMessage =>
    ({ type: 'key', channel: 1, id: 1, answer: undefined, ...more }) as never

  test.each<[string, (message: ServerMessage) => readonly ServerMessage[], string]>([
    ['that answers what nobody asked', (message) => [{ ...message, id: 99 } as ServerMessage], 'OFFLINE'],
    [
      'that answers with something else',
      (message) => [{ type: 'ring', channel: 1, id: (message as { id: number }).id, page: { total: 0, entries: [] } }],
      'OFFLINE',
    ],
    [
      'that refuses for a reason that nobody knows',
      (message) => [answer({ ...message, answer: { code: 'MADE_UP', facts: {} } })],
      'SERVER_REFUSED',
    ],
    ['that has forgotten it', (message) => [answer({ ...message, answer: undefined })], 'nothing'],
  ])('%s: an error of ours, or nothing', async (_what, lie, code) => {
    evil.evil.tamper = { toClient: (message) => (message.type === 'key' ? lie(message) : [message]) }
    const chain = await evil.world.wait(
      evil.open('garden', { as: owner.identity, id: garden.id }, evil.world.machine('server')),
    )
    const found = await evil.result(chain.attachedKey(note))
    evil.evil.tamper = {}
    expect(found ?? 'nothing').toBe(code)
    await evil.world.wait(chain.close())
    await isUntouched()
  })
})

describe('what is said of keys', () => {
  const name = new Uint8Array(32).fill(5)
  const asked: ClientMessage[] = [
    { type: 'key', channel: 3, id: 300, entity: new Uint8Array(16).fill(1), bytes: new Uint8Array(40).fill(2) },
    { type: 'ask', channel: 3, id: 300, entity: new Uint8Array(16).fill(1), record: undefined },
    { type: 'ask', channel: 3, id: 300, entity: new Uint8Array(16).fill(1), record: 0 },
    { type: 'ring', channel: 3, id: 1, after: undefined },
    { type: 'ring', channel: 3, id: 1, after: name },
  ]
  const said: ServerMessage[] = [
    { type: 'key', channel: 3, id: 300, answer: undefined },
    { type: 'key', channel: 3, id: 300, answer: new Uint8Array(0) },
    { type: 'key', channel: 3, id: 300, answer: new Uint8Array(32).fill(1) },
    { type: 'key', channel: 3, id: 300, answer: { code: 'NOT_AUTHORIZED', facts: { needs: 'read' } } },
    { type: 'ring', channel: 3, id: 1, page: { total: 300, entries: [{ name, wrapped: new Uint8Array(7) }] } },
  ]

  test.each([
    ...asked.map((message) => ['client', message] as const),
    ...said.map((message) => ['server', message] as const),
  ])('by a %s is read as it was written, and no part of it is: %o', (who, message) => {
    const out = new ByteWriter(64)
    if (who === 'client') writeClientMessage(out, message as ClientMessage)
    else writeServerMessage(out, message as ServerMessage)
    const bytes = out.copy()
    const read = (part: Uint8Array): unknown[] => [
      ...(who === 'client' ? clientMessagesIn(part) : serverMessagesIn(part)),
    ]
    expect(read(bytes)).toEqual([message])
    for (let size = 1; size < bytes.length; size++)
      expect(codeOf(() => read(bytes.subarray(0, size)))).toBe('BAD_MESSAGE')
  })

  test('a name has 32 bytes, or none', () => {
    const out = new ByteWriter(64)
    for (const byte of [14, 1, 1, 31]) out.u8(byte)
    out.raw(new Uint8Array(31))
    expect(codeOf(() => [...clientMessagesIn(out.copy())])).toBe('BAD_MESSAGE')
  })
})
