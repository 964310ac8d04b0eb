/**
 * What a server with the right key can do to who has a chain open: lies about what became of a change, commits that it
 * keeps and stores when it likes, records and answers that nobody asked for. No change counts twice, none is acknowledged
 * that is not there, and none that was refused turns up later. See docs/SECURITY.md.
 */
import { describe, expect, test } from 'vitest'
import type { ErrorCode } from '../../src/base/errors.ts'
import { parseId } from '../../src/base/ids.ts'
import type { Observation } from '../../src/chain/observation.ts'
import { ByteWriter } from '../../src/codec/writer.ts'
import type { Chain } from '../../src/data/chain.ts'
import { encodeAcknowledgement } from '../../src/event/acknowledgement.ts'
import { KIND, RECORD_HEAD_BYTES } from '../../src/event/format.ts'
import { encodeRecord } from '../../src/event/record.ts'
import { type ClientMessage, type ServerMessage, writeServerMessage } from '../../src/mesh/messages.ts'
import { onMessage, seqOf } from './evil-attacks.ts'
import type { Line, Tamper } from './evil-kit.ts'
import { EvilWorld } from './evil-world.ts'
import { simCrypto, simPerson } from './sim-world.ts'

type Submit = ClientMessage & { readonly type: 'submit' }

interface Scene {
  readonly world: EvilWorld
  readonly name: string
  readonly writer: Chain
  readonly reader: Chain
}

interface Attack {
  readonly name: string
  readonly tamper: (scene: Scene) => Tamper
  /** What the writer may be told of his changes, and what the reader's refresh may end in; `ok` if left out. */
  readonly writes: readonly string[]
  readonly reads?: readonly string[]
  /** It says that it has stored what it has not: seen when it is asked again, and by nobody before. */
  readonly isForgetful?: true
}

/** Takes submissions away, and does with each what it likes once it is whole. */
function submissions(
  take: (entries: readonly Submit[], line: Line, count: number) => void,
  more: Pick<Tamper, 'toClient'> = {},
): Tamper {
  let entries: Submit[] = []
  let count = 0
  return {
    ...more,
    toServer(message, line) {
      if (message.type !== 'submit') return [message]
      entries.push({ ...message, payload: message.payload.slice() })
      if (!message.isLast) return []
      const whole = entries
      entries = []
      take(whole, line, count++)
      return []
    },
  }
}

function refuseAll([first, ...rest]: readonly Submit[], line: Line, code: ErrorCode): void {
  const { channel, id } = first!
  const answers = [first!, ...rest].map(() => ({ refused: [{ code, facts: {} }] }))
  line.tellClient({ type: 'answers', channel, id, answers })
}

/** Under numbers of its own, so that what comes of it is no answer to the client. */
let hidden = 1_000_000
function store(entries: readonly Submit[], line: Line): void {
  const id = hidden++
  line.tellServer(...entries.map((entry, i): Submit => ({ ...entry, id, isLast: i === entries.length - 1 })))
}

/** What it stored in the name of the client comes to him as anybody's record. */
function unmask({ world, name }: Scene): Pick<Tamper, 'toClient'> {
  return {
    toClient(message) {
      if (message.type === 'answers' && message.id >= 1_000_000) return []
      if (message.type !== 'own' || message.id < 1_000_000) return [message]
      const { bytes } = world.world.stores.get(name)!.records.at(seqOf(message.head))!
      return [{ type: 'record', channel: message.channel, level: message.level, bytes }]
    },
  }
}

/** All of what a chain can refuse for, in the long run. */
const LIES: readonly ErrorCode[] = [
  'CONFLICT',
  'KEY_REMOVED',
  'UNKNOWN_WRITER',
  'CERT_ENDED',
  ...(process.env['ATE_RUNS'] === undefined
    ? []
    : ([
        'SEQ_GAP',
        'CERT_UNKNOWN',
        'SEQ_USED',
        'NOT_AUTHORIZED',
        'BASE_MISMATCH',
        'NOT_FOUND',
        'BAD_SIGNATURE',
      ] as const)),
]

/** A refused change runs again by itself where that can help, and then it is stored. */
const REFUSED: readonly string[] = ['ok', ...LIES, 'INDETERMINATE']

const KEEPING: readonly Attack[] = LIES.flatMap((code): readonly Attack[] => [
  {
    name: `refuses with ${code}, and takes what comes in its place`,
    tamper: (scene) =>
      submissions((entries, line, count) => {
        if (count === 0) refuseAll(entries, line, code)
        else store(entries, line)
      }, unmask(scene)),
    writes: REFUSED,
  },
  {
    name: `refuses with ${code}, and stores it in the place of what comes next`,
    tamper: (scene) => {
      let kept: readonly Submit[] = []
      return submissions((entries, line, count) => {
        if (count === 0) {
          kept = entries
          refuseAll(entries, line, code)
        } else if (count === 1) store(kept, line)
        else store(entries, line)
      }, unmask(scene))
    },
    writes: REFUSED,
  },
  {
    name: `refuses with ${code}, and stores it behind what comes next`,
    tamper: (scene) => {
      let kept: readonly Submit[] = []
      return submissions((entries, line, count) => {
        if (count === 0) {
          kept = entries
          refuseAll(entries, line, code)
        } else store(count === 1 ? [...entries, ...kept] : entries, line)
      }, unmask(scene))
    },
    writes: REFUSED,
  },
  {
    name: `refuses everything with ${code}, and stores all of it in the end`,
    tamper: (scene) => {
      const kept: Submit[] = []
      return submissions((entries, line, count) => {
        kept.push(...entries)
        refuseAll(entries, line, code)
        if (count === 3) store(kept, line)
      }, unmask(scene))
    },
    writes: REFUSED,
  },
])

function own(
  change: (message: ServerMessage & { readonly type: 'own' }, line: Line) => readonly ServerMessage[],
): Tamper {
  return onMessage('own', change)
}

function headWith(head: Uint8Array, at: number, value: number): Uint8Array {
  const changed = head.slice()
  changed[at]! ^= value
  return changed
}

/** Records of its own making, as if they were stored. */
function pretend({ writer }: Scene, admittedAt = 1_700_000_000_000): Tamper {
  const chain = parseId(writer.id, 'chain')
  let { seq, hash } = writer.head
  return submissions((entries, line) => {
    entries.forEach(({ channel, id, kind, payload }, index) => {
      const head = { seq: seq + 1, prev: hash, admittedAt, sequencer: simPerson('server').fingerprintBytes, kind }
      const record = encodeRecord(simCrypto, chain, head, payload)
      seq = record.seq
      hash = record.hash
      const bytes = record.bytes.subarray(0, RECORD_HEAD_BYTES)
      line.tellClient({ type: 'own', channel, level: 'memory', id, index, head: bytes })
    })
    const { channel, id } = entries[0]!
    line.tellClient({ type: 'answers', channel, id, answers: entries.map(() => ({ seq })) })
  })
}

function acknowledgement(
  scene: Scene,
  change: { readonly seq?: number; readonly hash?: Uint8Array; readonly at?: number },
): Uint8Array {
  const { world, writer } = scene
  const { seq, hash } = writer.head
  const body = {
    chain: parseId(writer.id, 'chain')!,
    seq,
    hash,
    level: 'memory',
    at: world.world.time.clock.now(),
  } as const
  return encodeAcknowledgement(simCrypto, { ...body, ...change }, world.world.server!.signer)
}

const YEAR_2126 = 4_922_640_000_000

const OTHERS: readonly Attack[] = [
  { name: 'nothing', tamper: () => ({}), writes: ['ok'] },
  { name: 'never answers', tamper: () => submissions(() => undefined), writes: ['INDETERMINATE'] },
  {
    name: 'is busy for ever',
    tamper: () => submissions((entries, line) => refuseAll(entries, line, 'BUSY')),
    writes: ['INDETERMINATE'],
  },
  {
    name: 'refuses with a code that nobody knows',
    tamper: () => submissions((entries, line) => refuseAll(entries, line, 'HA_HA' as ErrorCode)),
    writes: ['INDETERMINATE', 'SERVER_REFUSED'],
  },
  {
    name: 'says that it has stored what it has not, without a record',
    tamper: () =>
      submissions((entries, line) => {
        const { channel, id } = entries[0]!
        line.tellClient({ type: 'answers', channel, id, answers: entries.map((_, i) => ({ seq: 4 + i })) })
      }),
    writes: ['INDETERMINATE', 'BAD_MESSAGE'],
  },
  {
    name: 'answers fewer than were submitted',
    tamper: () =>
      submissions((entries, line) => {
        const { channel, id } = entries[0]!
        line.tellClient({ type: 'answers', channel, id, answers: [] })
      }),
    writes: ['INDETERMINATE', 'BAD_MESSAGE'],
  },
  {
    name: 'stores, and leaves the record out of what it says',
    tamper: () => own(() => []),
    writes: ['INDETERMINATE', 'BAD_MESSAGE'],
  },
  {
    name: 'answers before the record, and then sends it',
    tamper: () => {
      const held: ServerMessage[] = []
      return {
        toClient(message) {
          if (message.type === 'own') {
            held.push(message)
            return []
          }
          return message.type === 'answers' ? [message, ...held.splice(0)] : [message]
        },
      }
    },
    writes: ['INDETERMINATE', 'BAD_MESSAGE'],
  },
  {
    name: 'sends a record of ours twice',
    tamper: () => own((message) => [message, message]),
    writes: ['ok', 'INDETERMINATE', 'LINK_MISMATCH'],
  },
  {
    name: 'sends a record of ours with a seq too many',
    tamper: () => own((message) => [{ ...message, head: headWith(message.head, 7, 2) }]),
    writes: ['INDETERMINATE', 'LINK_MISMATCH'],
  },
  {
    name: 'sends a record of ours with another link',
    tamper: () => own((message) => [{ ...message, head: headWith(message.head, 20, 1) }]),
    writes: ['INDETERMINATE', 'LINK_MISMATCH'],
  },
  {
    name: 'sends a record of ours in the name of another server',
    tamper: () => own((message) => [{ ...message, head: headWith(message.head, 60, 1) }]),
    writes: ['INDETERMINATE', 'BAD_SEQUENCER'],
  },
  {
    name: 'sends a record of ours as one of another kind',
    tamper: () => own((message) => [{ ...message, head: headWith(message.head, 80, KIND.commit ^ KIND.attestation) }]),
    writes: ['INDETERMINATE', 'BAD_ATTESTATION'],
  },
  {
    name: 'answers with a record of ours that does not exist',
    tamper: () => own((message) => [{ ...message, index: message.index + 500 }]),
    writes: ['INDETERMINATE', 'BAD_MESSAGE'],
  },
  {
    name: 'orders a record of ours in the year 2126, for us alone',
    tamper: () => {
      const stamp = new Uint8Array(8)
      new DataView(stamp.buffer).setBigUint64(0, BigInt(YEAR_2126))
      return own((message) => {
        const head = message.head.slice()
        head.set(stamp, 40)
        return [{ ...message, head }]
      })
    },
    // The next record, and what others see, do not link.
    writes: ['ok', 'INDETERMINATE', 'LINK_MISMATCH'],
  },
  {
    name: 'acknowledges without storing',
    tamper: (scene) => pretend(scene),
    writes: ['ok'],
    isForgetful: true,
  },
  {
    name: 'acknowledges without storing, in the year 2126',
    tamper: (scene) => pretend(scene, YEAR_2126),
    writes: ['ok'],
    isForgetful: true,
  },
  {
    name: 'acknowledges at a lower level than it promised',
    tamper: () => ({ toClient: (message) => ('level' in message ? [{ ...message, level: 'memory' }] : [message]) }),
    writes: ['ok'],
  },
  {
    name: 'never says that all was told',
    tamper: () => onMessage('synced', () => []),
    writes: ['ok'],
    reads: ['OFFLINE'],
  },
  {
    name: 'says that all was told of what nobody asked',
    tamper: () => onMessage('synced', (message) => [{ ...message, id: 99 }, message, message]),
    writes: ['ok'],
  },
  {
    name: 'answers submissions that never were',
    tamper: () =>
      onMessage('synced', (message) => [
        {
          type: 'answers',
          channel: message.channel,
          id: 7777,
          answers: [{ seq: 1 }, { refused: [{ code: 'CONFLICT', facts: {} }] }],
        },
        message,
      ]),
    writes: ['ok'],
  },
  {
    name: 'sends an acknowledgement with a signature of nobody',
    tamper: () => onMessage('ack', (message) => [{ ...message, bytes: headWith(message.bytes, 100, 1) }]),
    writes: ['ok', 'INDETERMINATE'],
    reads: ['BAD_ACKNOWLEDGEMENT', 'OFFLINE'],
  },
  {
    name: 'sends an acknowledgement of another chain',
    tamper: (scene) => {
      const bytes = encodeAcknowledgement(
        simCrypto,
        { chain: new Uint8Array(32), ...scene.writer.head, level: 'memory', at: 0 },
        scene.world.world.server!.signer,
      )
      return onMessage('ack', (message) => [{ ...message, bytes }])
    },
    writes: ['BAD_ACKNOWLEDGEMENT', 'ok', 'INDETERMINATE'],
    reads: ['BAD_ACKNOWLEDGEMENT', 'OFFLINE'],
  },
  {
    name: 'signs that it acknowledged in the year 2126',
    tamper: (scene) =>
      onMessage('ack', (message) => [{ ...message, bytes: acknowledgement(scene, { at: YEAR_2126 }) }]),
    writes: ['ok', 'INDETERMINATE'],
    reads: ['BAD_ACKNOWLEDGEMENT'],
  },
  {
    name: 'closes the chain with a reason of its own',
    tamper: () => onMessage('own', ({ channel }) => [{ type: 'closed', channel, code: 'DAMAGED', facts: { seq: 3 } }]),
    writes: ['INDETERMINATE', 'DAMAGED'],
  },
  {
    name: 'breaks the frame',
    tamper: () =>
      own((_message, line) => {
        line.rawToClient(new Uint8Array([99, 1, 2, 3]))
        return []
      }),
    writes: ['INDETERMINATE', 'BAD_MESSAGE'],
  },
  {
    name: 'floods with records',
    tamper: () =>
      own((message) => [
        message,
        ...Array.from({ length: 20 }, (_, i): ServerMessage => {
          const bytes = new Uint8Array(900 * 1024)
          bytes[7] = 50 + i
          bytes[80] = 3
          return { type: 'record', channel: message.channel, level: 'memory', bytes }
        }),
      ]),
    writes: ['ok', 'INDETERMINATE', 'LINK_MISMATCH', 'BAD_MESSAGE'],
  },
]

/** In one test. */
const ATTACKS_EACH = 10

async function run(attack: Attack, index: number): Promise<string | undefined> {
  const world = await EvilWorld.start(100 + index)
  const sim = world.world
  const name = 'garden'
  const writer = await sim.wait(world.open(name, { create: true }))
  const { id } = writer
  for (let i = 0; i < 3; i++) await sim.wait(world.write(writer, `before ${i}`))
  const reader = await sim.wait(world.open(name, { id, readOnly: true }))
  world.evil.tamper = attack.tamper({ world, name, writer, reader })
  const writes = [0, 1, 2].map((i) => world.write(writer, `mark ${i}`))
  writes.push(Promise.resolve('ok'))
  const codes = new Set(await sim.wait(Promise.all(writes)))
  codes.add(await sim.wait(world.write(writer, 'last')))
  const read = await world.result(reader.refresh().then(() => 'ok'))
  const seen = await sim.wait(world.texts(reader))
  for (const text of seen) if (!world.marks.has(text)) return `shows ${text}`
  if (new Set(seen).size !== seen.length) return 'shows one twice'
  if (attack.isForgetful) {
    world.evil.tamper = {}
    // Asked again, it has less than it acknowledged.
    for (const connection of [...sim.server!.connections]) connection.close()
    await sim.time.run(5_000)
    const after = await world.result(writer.refresh().then(() => 'ok'))
    if (after !== 'ROLLBACK') return `forgets, and ${after}`
    world.told.length = 0
  }
  for (const chain of [writer, reader]) await world.result(chain.close())
  await sim.time.run(100_000)
  await world.settle(name, id)
  // The one that it has connected to now is kept for a minute.
  await sim.time.run(100_000)
  if (sim.network.connections !== 0) return `${sim.network.connections} connections left`
  for (const code of codes) if (code !== 'ok' && !attack.writes.includes(code)) return `writes: ${code}`
  if (!attack.writes.includes('ok') && !world.told.some(({ code }) => attack.writes.includes(code)))
    return 'writes: all ok'
  return (attack.reads ?? ['ok']).includes(String(read)) ? undefined : `refreshes: ${read}`
}

describe('a server that cheats who has a chain open', () => {
  const attacks = [...OTHERS, ...KEEPING]
  for (let from = 0; from < attacks.length; from += ATTACKS_EACH) {
    const to = Math.min(attacks.length, from + ATTACKS_EACH)
    test(`is found out, or does no harm: attacks ${from} to ${to - 1}`, async () => {
      const failures: Record<string, string> = {}
      for (let i = from; i < to; i++) {
        const failure = await run(attacks[i]!, i).catch((error) => String(error))
        if (failure !== undefined) failures[attacks[i]!.name] = failure
      }
      expect(failures).toEqual({})
    })
  }
})

describe('who is connected', () => {
  test('is not told so of a connection that was lost in the turn in which the chain was opened', async () => {
    const world = await EvilWorld.start(9)
    const { world: sim, evil } = world
    const states: string[] = []
    const observe = (one: Observation): void => {
      if (one.kind === 'connection') states.push(one.state)
    }
    const chain = await sim.wait(world.open('garden', { create: true, observe }))
    const closed = { type: 'closed', channel: 1, code: 'BUSY', facts: {} } as const
    evil.tamper = {
      toClient(message, line) {
        if (message.type !== 'opened') return [message]
        const frame = new ByteWriter(4096)
        for (const one of [message, { ...closed, channel: message.channel }]) writeServerMessage(frame, one)
        line.rawToClient(frame.copy())
        return []
      },
    }
    for (const line of evil.lines) line.tellClient(closed)
    await sim.time.run(5000)
    expect(new Set(states.splice(0).slice(1))).toEqual(new Set(['offline']))
    evil.tamper = {}
    expect(await world.result(world.write(chain, 'x'))).toBe('ok')
    expect(states.at(-1)).toBe('online')
    await sim.wait(chain.close())
  })

  test('is sent nowhere by what is no address, and leaves no connection behind', async () => {
    const world = await EvilWorld.start(9)
    const { world: sim, evil } = world
    const { id } = await sim.wait(
      world.open('garden', { create: true }).then((chain) => chain.close().then(() => chain)),
    )
    // What is parked goes.
    await sim.time.run(70_000)
    for (const url of ['no url', 'ws://[', 'http://x', 'ws+unix:/tmp/x', 'ws://server:5000/a?b']) {
      evil.tamper = {
        toClient: (message) =>
          message.type === 'opened' ? [{ type: 'redirect', channel: message.channel, why: 'ring', url }] : [message],
      }
      expect(await world.result(world.open('garden', { id })), url).toBe('CHAIN_ELSEWHERE')
      await sim.time.run(1000)
      expect(sim.server!.connections.size, url).toBe(0)
    }
  })
})
