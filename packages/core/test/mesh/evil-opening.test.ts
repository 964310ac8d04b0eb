/**
 * What a server with the right key can do to who opens a chain: each attack, and the error it ends in. Nothing that it
 * invents is read, and nobody waits longer than his signal. See docs/SECURITY.md.
 */
import { describe, expect, test } from 'vitest'
import { Replica } from '../../src/chain/replica.ts'
import { COMMIT, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { parseGenesis } from '../../src/event/genesis.ts'
import { recordOf } from '../../src/event/record.ts'
import type { ServerMessage } from '../../src/mesh/messages.ts'
import type { Platform } from '../../src/session/platform.ts'
import { actorOf, create, Forger } from '../../src/testing/chain-kit.ts'
import { recordsOf } from '../log/stored-records.ts'
import { flipAt, onMessage, onRecords, type RecordMessage, seqOf, tail } from './evil-attacks.ts'
import type { Tamper } from './evil-kit.ts'
import { EvilWorld } from './evil-world.ts'

import { simCrypto as crypto, simPerson } from './sim-world.ts'

/** A chain of eight notes, another of the same owner, and one that a stranger made; their records. */
interface Scene {
  readonly world: EvilWorld
  readonly id: string
  /** Has opened the chain before, and remembers it. */
  readonly known: Platform
  readonly records: readonly Uint8Array[]
  readonly other: readonly Uint8Array[]
  readonly strange: readonly Uint8Array[]
}

async function scene(): Promise<Scene> {
  const world = await EvilWorld.start(7)
  const { world: sim } = world
  const known = world.machine()
  const chain = await sim.wait(world.open('garden', { create: true }, known))
  for (let i = 0; i < 8; i++) await sim.wait(world.write(chain, `note ${i}`))
  const { id } = chain
  await sim.wait(chain.close())
  for (const [name, as] of [['other', world.me] as const, ['strange', simPerson('stranger')] as const]) {
    const another = await sim.wait(world.open(name, { create: true, as }))
    for (let i = 0; i < 8; i++) await sim.wait(world.write(another, `${name} ${i}`))
    await sim.wait(another.close())
  }
  world.marks.clear()
  world.told.length = 0
  for (let i = 0; i < 8; i++) world.marks.add(`note ${i}`)
  // What is parked goes.
  await sim.time.run(70_000)
  const stored = (name: string): Uint8Array[] => recordsOf(sim.stores.get(name)!).map(({ bytes }) => bytes)
  return { world, id, known, records: stored('garden'), other: stored('other'), strange: stored('strange') }
}

interface Attack {
  readonly name: string
  readonly tamper: (scene: Scene) => Tamper
  /** What opening may end in; `ABORTED` is the caller's own signal. */
  readonly codes: readonly string[]
  /** Who opens: one who has the id, who remembers the chain, or who knows nothing; the first if left out. */
  readonly who?: 'by id' | 'who knows it' | 'by name'
  /** What the chain shows if opening succeeds: as the server had it, or as it was at some time. */
  readonly shows?: 'all' | 'older'
}

const FLIPS: readonly (readonly [string, number, readonly string[]])[] = [
  ['the seq', 7, ['LINK_MISMATCH']],
  ['the link', 20, ['LINK_MISMATCH']],
  ['the time of storing, which the next link covers', 47, ['LINK_MISMATCH']],
  ['who ordered it', 60, ['BAD_SEQUENCER']],
  ['the kind', 80, ['BAD_ATTESTATION', 'BAD_RECORD']],
  ['the format', COMMIT.format, ['UNSUPPORTED_FORMAT', 'BAD_RECORD', 'BAD_SIGNATURE']],
  ['the suite', COMMIT.suite, ['UNSUPPORTED_FORMAT', 'BAD_RECORD', 'BAD_SIGNATURE']],
  // A commit of nobody is void; the next one of its writer has no number then, and the links do not fit.
  ['the writer', COMMIT.writer + 5, ['LINK_MISMATCH']],
  ['the number of the writer', COMMIT.writerSeq + 7, ['BAD_SIGNATURE']],
  ['the base', COMMIT.baseHash + 3, ['BAD_SIGNATURE']],
  ["the author's time", COMMIT.at + 7, ['BAD_SIGNATURE']],
  ['the root', COMMIT.root + 1, ['BAD_ROOT']],
  ['the signature', COMMIT.sig + 9, ['BAD_SIGNATURE']],
  ['the length of the certificate', COMMIT.certificateLength + 3, ['BAD_RECORD']],
  ['the length of the clear part', COMMIT.clearLength + 3, ['BAD_RECORD', 'BAD_ROOT', 'BAD_BODY']],
  ['an event', COMMIT.certificate + 30, ['BAD_ROOT', 'BAD_RECORD']],
  ['the last byte of what is sealed', -1, ['BAD_BODY', 'BAD_ROOT']],
]

const ATTACKS: readonly Attack[] = [
  { name: 'nothing', tamper: () => ({}), codes: ['ok'], shows: 'all' },
  ...FLIPS.map(([what, at, codes]): Attack => ({ name: `alters ${what}`, tamper: () => flipAt(4, at), codes })),
  {
    name: 'leaves a record out',
    tamper: () => onRecords((record, seq) => (seq === 3 ? [] : [record])),
    codes: ['LINK_MISMATCH'],
  },
  {
    name: 'swaps two',
    tamper: () => {
      let held: RecordMessage | undefined
      return onRecords((record, seq) => {
        if (seq !== 3) return held && seq === 4 ? [record, held] : [record]
        held = record
        return []
      })
    },
    codes: ['LINK_MISMATCH'],
  },
  {
    name: 'sends one twice',
    tamper: () => onRecords((record, seq) => (seq === 3 ? [record, record] : [record])),
    codes: ['LINK_MISMATCH'],
  },
  {
    name: 'puts a record of another chain in',
    tamper: ({ other }) => onRecords((record, seq) => [seq === 3 ? { ...record, bytes: other[3]! } : record]),
    codes: ['LINK_MISMATCH', 'BAD_SEQUENCER', 'BAD_SIGNATURE'],
  },
  {
    name: 'puts a record of another chain in, relinked',
    tamper: ({ other, records }) =>
      onRecords((record, seq) => {
        if (seq !== 3) return [record]
        const bytes = other[3]!.slice()
        bytes.set(records[3]!.subarray(0, RECORD_HEAD_BYTES))
        return [{ ...record, bytes }]
      }),
    // Of an unknown writer: void, and what follows does not link.
    codes: ['LINK_MISMATCH', 'BAD_ROOT', 'BAD_SIGNATURE'],
  },
  {
    name: 'begins with a record that is no genesis',
    tamper: ({ records }) => onRecords((record, seq) => [seq === 0 ? { ...record, bytes: records[1]! } : record]),
    codes: ['BAD_GENESIS'],
  },
  {
    name: 'alters the genesis',
    tamper: () => flipAt(0, 200),
    codes: ['BAD_GENESIS', 'LINK_MISMATCH', 'BAD_SIGNATURE'],
  },
  {
    name: 'serves the chain of a stranger under this name',
    tamper: ({ strange }) => otherChain(strange),
    codes: ['WRONG_CHAIN'],
  },
  {
    name: 'serves the chain of a stranger to who knows this one',
    tamper: ({ strange }) => otherChain(strange),
    who: 'who knows it',
    codes: ['WRONG_CHAIN'],
  },
  {
    name: 'serves the chain of a stranger to who knows nothing',
    tamper: ({ strange }) => otherChain(strange),
    who: 'by name',
    codes: ['NOT_PINNED', 'WRONG_CHAIN', 'LINK_MISMATCH'],
  },
  {
    name: "says this chain's id, and sends another",
    tamper: ({ strange }) => onRecords((record, seq) => [{ ...record, bytes: strange[seq]! }]),
    codes: ['LINK_MISMATCH'],
  },
  ...[0, 1, 4, 8].map(
    (seq): Attack => ({
      name: `serves the log as it was at record ${seq} to who remembers more`,
      tamper: () => prefix(seq),
      who: 'who knows it',
      codes: ['ROLLBACK'],
    }),
  ),
  // Nobody can tell whom nobody has told.
  {
    name: 'serves the log as it was to who remembers nothing',
    tamper: () => prefix(4),
    codes: ['ok'],
    shows: 'older',
  },
  {
    name: 'says that there is no such chain',
    tamper: () =>
      onMessage('opened', ({ channel }) => [{ type: 'closed', channel, code: 'CHAIN_NOT_FOUND', facts: {} }]),
    codes: ['CHAIN_NOT_FOUND'],
  },
  {
    name: 'says so to who knows it',
    tamper: () =>
      onMessage('opened', ({ channel }) => [{ type: 'closed', channel, code: 'CHAIN_NOT_FOUND', facts: {} }]),
    who: 'who knows it',
    codes: ['CHAIN_GONE'],
  },
  {
    name: 'refuses with a code that nobody knows',
    tamper: () =>
      onMessage('opened', ({ channel }) => [
        { type: 'closed', channel, code: 'HA_HA' as 'BUSY', facts: { code: 'CHAIN_LOCKED', constructor: 'x' } },
      ]),
    codes: ['SERVER_REFUSED'],
  },
  {
    name: 'keeps the newest records back, and says that it has them',
    tamper: () => onRecords((record, seq) => (seq > 5 ? [] : [record])),
    codes: ['ABORTED'],
  },
  {
    name: 'says that there are records without end',
    tamper: () => onMessage('opened', (message) => [{ ...message, head: { ...message.head, seq: 2 ** 50 } }]),
    codes: ['ABORTED'],
  },
  { name: 'never answers an opening', tamper: () => onMessage('opened', () => []), codes: ['ABORTED'] },
  { name: 'never answers a session', tamper: () => onMessage('session', () => []), codes: ['ABORTED'] },
  {
    name: 'says no welcome',
    tamper: () => onMessage('welcome', () => []),
    codes: ['ABORTED', 'OFFLINE', 'SERVER_UNREACHABLE'],
  },
  {
    name: 'opens twice',
    tamper: () => onMessage('opened', (message) => [message, message]),
    codes: ['ok'],
    shows: 'all',
  },
  {
    name: 'answers what was never submitted, before any record',
    tamper: () =>
      onMessage('opened', (message) => [
        message,
        { type: 'answers', channel: message.channel, id: 1, answers: [{ seq: 3 }] },
        { type: 'synced', channel: message.channel, id: 9 },
      ]),
    codes: ['BAD_MESSAGE'],
  },
  {
    name: 'sends a record of ours that we never submitted',
    tamper: ({ records }) =>
      onRecords((record, seq) =>
        seq === 3
          ? [
              {
                type: 'own',
                channel: record.channel,
                level: 'memory',
                id: 1,
                index: 0,
                head: records[3]!.subarray(0, RECORD_HEAD_BYTES),
              },
            ]
          : [record],
      ),
    codes: ['BAD_MESSAGE', 'OFFLINE'],
  },
  {
    name: 'sends more than was asked for',
    tamper: () =>
      onMessage('opened', (message) => [
        message,
        ...Array.from(
          { length: 12 },
          (_, seq): ServerMessage => ({
            type: 'record',
            channel: message.channel,
            level: 'memory',
            bytes: bigRecord(seq),
          }),
        ),
      ]),
    codes: ['BAD_MESSAGE', 'BAD_GENESIS', 'BAD_RECORD', 'OFFLINE'],
  },
  {
    name: 'speaks for channels that nobody opened',
    tamper: () =>
      onMessage('opened', (message) => [
        { type: 'closed', channel: 77, code: 'BUSY', facts: {} },
        { type: 'record', channel: 78, level: 'disk', bytes: new Uint8Array(90) },
        { type: 'ack', channel: 79, bytes: new Uint8Array(90) },
        { type: 'session', ref: 9 },
        { type: 'refused', ref: 9, code: 'BUSY', facts: {} },
        message,
      ]),
    codes: ['ok'],
    shows: 'all',
  },
  {
    name: 'begins an exchange of keys that it must not begin',
    tamper: () => onMessage('opened', (message) => [{ type: 'rekey', bytes: new Uint8Array(1120) }, message]),
    codes: ['WIRE_BROKEN'],
  },
  {
    name: 'sends an acknowledgement that nobody signed',
    tamper: () =>
      onMessage('opened', (message) => [
        message,
        { type: 'ack', channel: message.channel, bytes: new Uint8Array(120) },
      ]),
    codes: ['BAD_ACKNOWLEDGEMENT', 'OFFLINE'],
  },
  {
    name: 'invents a member, who writes',
    tamper: ({ records, id }) => tail(() => forged(records, id)),
    codes: ['ok'],
    shows: 'all',
  },
]

function otherChain(records: readonly Uint8Array[]): Tamper {
  return {
    toClient(message) {
      if (message.type === 'opened') {
        const chain = chainOf(records)
        const head = { seq: records.length - 1, hash: message.head.hash }
        const { channel } = message
        return [
          { ...message, chain, head },
          ...records.map((bytes): ServerMessage => ({ type: 'record', channel, level: 'memory', bytes })),
        ]
      }
      return message.type === 'record' || message.type === 'ack' ? [] : [message]
    },
  }
}

/** An older state of the log, as a restored backup is. */
function prefix(last: number): Tamper {
  return {
    toClient(message) {
      if (message.type === 'opened') return [{ ...message, head: { ...message.head, seq: last } }]
      if (message.type === 'ack') return []
      return message.type === 'record' && seqOf(message.bytes) > last ? [] : [message]
    },
  }
}

function bigRecord(seq: number): Uint8Array {
  const bytes = new Uint8Array(900 * 1024)
  new DataView(bytes.buffer).setUint32(4, seq)
  bytes[80] = 3
  return bytes
}

function chainOf(records: readonly Uint8Array[]): Uint8Array {
  return parseGenesis(crypto, records[0]!).chainId
}

function replicaOf(records: readonly Uint8Array[]): Replica {
  const chain = chainOf(records)
  const all = records.map((bytes) => recordOf(crypto, chain, bytes))
  const replica = Replica.open({ crypto, seed: 1 }, all[0]!)
  for (const record of all.slice(1)) replica.accept(record)
  return replica
}

/** A commit of one whom nobody has named, with a certificate of his own. */
function forged(records: readonly Uint8Array[], _id: string): Uint8Array {
  const replica = replicaOf(records)
  const mallory = actorOf(crypto, 'mallory')
  const forger = Object.assign(new Forger({ crypto, roots: [mallory], timeMs: 1_700_000_100_000 }), {
    chainId: replica.chainId,
    replica,
  })
  const sequencer = simPerson('server').fingerprintBytes
  return forger.commit(forger.session(mallory), [forger.tx(create({ type: 'note', collection: 'note' }))], {
    sequencer,
  }).bytes
}

describe('a server that cheats who opens a chain', () => {
  test('ends in the error that says so, and shows nothing false', async () => {
    const made = await scene()
    const { world, id, known } = made
    const found: Record<string, string> = {}
    const wanted: Record<string, string> = {}
    for (const { name, tamper, codes, who = 'by id', shows } of ATTACKS) {
      world.evil.tamper = tamper(made)
      const aborting = new AbortController()
      const timer = world.world.time.timers.start(60_000, () => aborting.abort(new DOMException('', 'AbortError')))
      const options = { signal: aborting.signal, ...(who === 'by id' ? { id } : {}) }
      const platform = who === 'who knows it' ? known : world.machine()
      const opening = world.open('garden', options, platform).catch((error) => {
        if (error instanceof DOMException) return 'ABORTED'
        throw error
      })
      const chain = await world.result(opening, 100_000).catch((error) => String(error))
      timer.cancel()
      found[name] = typeof chain === 'string' ? chain : 'ok'
      if (typeof chain !== 'string') {
        const texts = await world.world.wait(world.texts(chain))
        world.check(texts)
        if (shows === 'all') expect(texts).toHaveLength(8)
        await world.world.wait(chain.close())
        await world.world.time.run(70_000)
      }
      wanted[name] = codes.includes(found[name]) ? found[name] : codes.join(' or ')
    }
    expect(found).toEqual(wanted)
    // And nobody was left behind.
    await world.world.time.run(200_000)
    expect(world.world.network.connections).toBe(0)
    await world.settle('garden', id)
  })
})
