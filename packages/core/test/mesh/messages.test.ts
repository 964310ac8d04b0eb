/** Messages as bytes: each comes back as it was written, and what is outside of a size, count or kind is refused. */
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import {
  BODY_BYTES_MAX,
  COMMIT_TXS_MAX,
  ERROR_FACTS_BYTES_MAX,
  HELLO_OFFERS_MAX,
  SERVER_LIMITS_MAX,
  SUBMISSION_ENTRIES_MAX,
  WIRE_CLOCK_MS,
} from '../../src/base/limits.ts'
import { encodeCanonical } from '../../src/codec/cbor.ts'
import { ByteReader, ByteWriter } from '../../src/codec/writer.ts'
import { KIND } from '../../src/event/format.ts'
import { isCookie, makeCookie } from '../../src/mesh/cookie.ts'
import { FrameSender } from '../../src/mesh/frames.ts'
import * as format from '../../src/mesh/handshake-format.ts'
import { exchangedKeys, handshakeKeys, wipeHandshakeKeys, wireKeys } from '../../src/mesh/handshake-keys.ts'
import { refusalOf } from '../../src/mesh/handshake-server.ts'
import { keyAccessOf, keyLimits, readKeyClientMessage, readKeyServerMessage } from '../../src/mesh/key-messages.ts'
import {
  type ClientMessage,
  clientMessagesIn,
  type ServerMessage,
  serverMessagesIn,
  writeClientMessage,
  writeServerMessage,
} from '../../src/mesh/messages.ts'
import type { Wire } from '../../src/mesh/wire.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { oracleServer } from './oracle.ts'
import { crypto, NOW, newClient, newServer, refusal, testServer } from './support.ts'

const bytes = (size: number, value = 7): Uint8Array => new Uint8Array(size).fill(value)

function written(write: (out: ByteWriter) => void): Uint8Array {
  const out = new ByteWriter(64)
  write(out)
  return out.copy()
}

const head = { seq: 4, hash: bytes(32) }
const clientMessages: readonly ClientMessage[] = [
  { type: 'session', ref: 1, proof: bytes(5) },
  {
    type: 'open',
    channel: 1,
    session: 2,
    name: 'a/ü',
    chain: bytes(32),
    head,
    genesis: bytes(9),
    bodies: 'on-demand',
  },
  {
    type: 'open',
    channel: 1,
    session: 2,
    name: 'a',
    chain: undefined,
    head: undefined,
    genesis: undefined,
    bodies: 'all',
  },
  { type: 'submit', channel: 1, id: 300, isLast: true, kind: KIND.commit, payload: bytes(3) },
  { type: 'submit', channel: 1, id: 0, isLast: false, kind: KIND.recover, payload: bytes(0) },
  { type: 'credit', channel: 1, bytes: 2 ** 40 },
  { type: 'sync', channel: 1, id: 2 },
  { type: 'leave', channel: 1 },
  { type: 'take', channel: 1, id: 2 },
  { type: 'taken', channel: 1, id: 2, head: undefined },
  { type: 'taken', channel: 1, id: 2, head },
  { type: 'offer', channel: 1, session: 2, name: 'a' },
  { type: 'rekey', bytes: bytes(4096) },
  { type: 'body', channel: 1, id: 2, record: 3, block: 4, offset: 5, size: BODY_BYTES_MAX },
  { type: 'key', channel: 1, id: 2, entity: bytes(16), bytes: bytes(9) },
  { type: 'ask', channel: 1, id: 2, entity: bytes(16), record: undefined },
  { type: 'ask', channel: 1, id: 2, entity: bytes(16), record: 0 },
  { type: 'ring', channel: 1, id: 2, after: undefined },
  { type: 'ring', channel: 1, id: 2, after: bytes(32) },
]
const refused = { code: 'NOT_FOUND', facts: { what: 'x', count: 1, big: 2n, is: true, list: ['a', 'b'] } } as const
const serverMessages: readonly ServerMessage[] = [
  { type: 'welcome', level: 'memory', path: '/x' },
  { type: 'session', ref: 1 },
  { type: 'refused', ref: 1, ...refused },
  { type: 'opened', channel: 1, chain: bytes(32), level: 'quorum', head, resume: bytes(32, 9) },
  { type: 'opened', channel: 1, chain: bytes(32), level: 'disk', head, resume: undefined },
  { type: 'record', channel: 1, level: 'os', bytes: bytes(5) },
  { type: 'own', channel: 1, level: 'disk', id: 2, index: 3, head: bytes(81) },
  { type: 'ack', channel: 1, bytes: bytes(146) },
  { type: 'answers', channel: 1, id: 2, answers: [{ seq: 0 }, { refused: [refused, refused] }, { seq: 9 }] },
  { type: 'synced', channel: 1, id: 2 },
  { type: 'closed', channel: 1, ...refused },
  { type: 'redirect', channel: 1, why: 'moved', url: 'ws://x' },
  { type: 'redirect', channel: 1, why: 'ring', url: 'ws://x' },
  { type: 'rekey', bytes: bytes(4) },
  { type: 'body', channel: 1, id: 2, bytes: bytes(5) },
  { type: 'key', channel: 1, id: 2, answer: undefined },
  { type: 'key', channel: 1, id: 2, answer: bytes(9) },
  { type: 'key', channel: 1, id: 2, answer: refused },
  { type: 'ring', channel: 1, id: 2, page: { total: 5, entries: [{ name: bytes(32), wrapped: bytes(3) }] } },
]

describe('messages', () => {
  it('come back as they were written, several in a frame', () => {
    const fromClient = written((out) => clientMessages.forEach((message) => void writeClientMessage(out, message)))
    expect([...clientMessagesIn(fromClient)]).toEqual(clientMessages)
    const fromServer = written((out) => serverMessages.forEach((message) => void writeServerMessage(out, message)))
    expect([...serverMessagesIn(fromServer)]).toEqual(serverMessages)
  })

  const fromClient = (write: (out: ByteWriter) => void): string => refusal(() => [...clientMessagesIn(written(write))])
  const fromServer = (write: (out: ByteWriter) => void): string => refusal(() => [...serverMessagesIn(written(write))])

  it('of a client are of a kind and a size that there is', () => {
    const submit = (kind: number): string =>
      fromClient((out) => {
        out.raw(Uint8Array.of(3, 1, 1, 0, kind))
        out.sized(bytes(2))
      })
    expect([KIND.genesis, KIND.commit, KIND.recover, KIND.recover + 1, 0].map(submit)).toEqual([
      'BAD_MESSAGE',
      'nothing',
      'nothing',
      'BAD_MESSAGE',
      'BAD_MESSAGE',
    ])
    const body = { type: 'body', channel: 1, id: 2, record: 3, block: 4, offset: 5, size: BODY_BYTES_MAX + 1 } as const
    expect(fromClient((out) => writeClientMessage(out, body))).toBe('BAD_MESSAGE')
    const open = { ...clientMessages[2]!, chain: bytes(31) } as ClientMessage
    expect(fromClient((out) => writeClientMessage(out, open))).toBe('BAD_MESSAGE')
    for (const type of [0, 15, 32]) expect(fromClient((out) => out.u8(type))).toBe('BAD_MESSAGE')
    expect(fromClient((out) => out.raw(Uint8Array.of(4, 1)))).toBe('BAD_MESSAGE')
    expect(() => [...clientMessagesIn(Uint8Array.of(99))]).toThrow('99')
  })

  it('about keys have names and answers that there are, and so many entries a page', () => {
    for (const size of [1, 31, 33])
      expect(fromClient((out) => out.raw(Uint8Array.of(14, 1, 1, size, ...bytes(size))))).toBe('BAD_MESSAGE')
    expect(fromServer((out) => out.raw(Uint8Array.of(45, 1, 1, 3)))).toBe('BAD_MESSAGE')
    const page = (count: number): string =>
      fromServer((out) => {
        out.raw(Uint8Array.of(46, 1, 1, 0))
        out.varint(count)
        out.raw(bytes(33 * count, 0))
      })
    expect([page(8192), page(8193)]).toEqual(['nothing', 'BAD_MESSAGE'])
    for (const type of [11, 15])
      expect(refusal(() => readKeyClientMessage(type, new ByteReader(bytes(99, 0))))).toBe('BAD_MESSAGE')
    for (const type of [44, 47])
      expect(refusal(() => readKeyServerMessage(type, new ByteReader(bytes(99, 0))))).toBe('BAD_MESSAGE')
    expect([{}, { keys: 0 }, { keys: 1 }, { keys: 2 }, { keys: 3 }].map(keyAccessOf)).toEqual([
      ...['none', 'none', 'open', 'recorded'],
      'none',
    ])
    for (const access of ['none', 'open', 'recorded'] as const) expect(keyAccessOf(keyLimits(access))).toBe(access)
  })

  it('of a server have a level and a head', () => {
    expect(fromServer((out) => out.raw(Uint8Array.of(32, 3, 0)))).toBe('nothing')
    expect(fromServer((out) => out.raw(Uint8Array.of(32, 4, 0)))).toBe('BAD_MESSAGE')
    expect(fromServer((out) => out.raw(Uint8Array.of(34, 1, ...bytes(32), 0, 1, ...bytes(64))))).toBe('nothing')
    expect(fromServer((out) => out.raw(Uint8Array.of(34, 1, ...bytes(32), 0, 0, ...bytes(64))))).toBe('BAD_MESSAGE')
    for (const type of [1, 31, 47]) expect(fromServer((out) => out.u8(type))).toBe('BAD_MESSAGE')
  })

  it('of a server answer for as many records, and as many transactions, as there can be', () => {
    const answers = (count: number): string =>
      fromServer((out) => {
        out.raw(Uint8Array.of(38, 1, 1))
        out.varint(count)
        out.raw(bytes(2 * count, 0))
      })
    expect([answers(SUBMISSION_ENTRIES_MAX), answers(SUBMISSION_ENTRIES_MAX + 1)]).toEqual(['nothing', 'BAD_MESSAGE'])
    const refusals = (count: number): string =>
      fromServer((out) => {
        out.raw(Uint8Array.of(38, 1, 1, 1))
        out.varint(count)
        const facts = encodeCanonical({})
        for (let i = 0; i < count; i++) out.raw(Uint8Array.of(1, 88, facts.length, ...facts))
      })
    expect([refusals(COMMIT_TXS_MAX), refusals(COMMIT_TXS_MAX + 1)]).toEqual(['nothing', 'BAD_MESSAGE'])
  })

  it('carry reasons that a client knows, with facts that are plain and not too long', () => {
    const read = (code: string, facts: unknown): unknown => {
      const [message] = serverMessagesIn(
        written((out) => {
          out.raw(Uint8Array.of(42, 1))
          out.sized(utf8(code))
          out.sized(encodeCanonical(facts))
        }),
      )
      return message
    }
    const strange = { good: 1, none: null, map: { a: 1 }, mixed: ['a', 1], raw: bytes(2) }
    expect(read('NOT_FOUND', strange)).toEqual({ type: 'refused', ref: 1, code: 'NOT_FOUND', facts: { good: 1 } })
    for (const facts of [5, null, ['a'], 'text'])
      expect(read('NOT_FOUND', facts)).toEqual({ type: 'refused', ref: 1, code: 'NOT_FOUND', facts: {} })
    expect(read('FROM_THE_FUTURE', { a: 1 })).toMatchObject({
      code: 'SERVER_REFUSED',
      facts: { a: 1, code: 'FROM_THE_FUTURE' },
    })
    const sent = (size: number): unknown => {
      const facts = { what: 'x'.repeat(size - encodeCanonical({ what: '' }).length - 2) }
      expect(encodeCanonical(facts).length).toBe(size)
      const [message] = serverMessagesIn(
        written((out) => writeServerMessage(out, { type: 'refused', ref: 1, code: 'NOT_FOUND', facts })),
      )
      return Object.keys((message as { facts: object }).facts).length
    }
    expect([sent(ERROR_FACTS_BYTES_MAX), sent(ERROR_FACTS_BYTES_MAX + 1)]).toEqual([1, 0])
  })
})

describe('a sender of frames', () => {
  function sender(): { readonly frames: Uint8Array[]; readonly sender: FrameSender<Uint8Array> } {
    const frames: Uint8Array[] = []
    const socket = { bufferedBytes: 5, send: (frame: Uint8Array) => void frames.push(frame) }
    const wire = { seal: (plaintext: Uint8Array) => plaintext.slice() } as Wire
    return { frames, sender: new FrameSender(socket, wire, (out, message) => out.raw(message)) }
  }

  it('puts what is said in one turn into one frame, and begins another when it is full', async () => {
    const { frames, sender: one } = sender()
    one.send(bytes(3))
    one.send(bytes(4))
    expect([frames.length, one.bufferedBytes]).toEqual([0, 12])
    // A record and the answer to who submitted it are said a few microtasks apart.
    for (let tick = 0; tick < 3; tick++) await Promise.resolve()
    expect(frames.length).toBe(0)
    await Promise.resolve()
    expect(frames.map(({ length }) => length)).toEqual([7])
    one.send(bytes(64 * 1024))
    expect(frames.length).toBe(2)
    one.send(bytes(64 * 1024 - 1))
    expect(frames.length).toBe(2)
    one.flush()
    one.flush()
    expect(frames.length).toBe(3)
    // One that has grown is not kept: the next one begins small, and with nothing in it.
    one.send(bytes(300 * 1024))
    one.send(bytes(1))
    one.flush()
    expect(frames.map(({ length }) => length).slice(3)).toEqual([300 * 1024, 1])
  })

  it('says nothing once it is closed', async () => {
    const { frames, sender: one } = sender()
    one.send(bytes(3))
    one.close()
    one.flush()
    one.send(bytes(64 * 1024))
    // Its keys are overwritten by now.
    one.sendFrame(bytes(10))
    await Promise.resolve()
    expect([frames, one.bufferedBytes]).toEqual([[], 5])
  })
})

describe('messages of a handshake', () => {
  const hello = {
    versions: [1],
    suites: [1],
    modes: 1,
    nonce: bytes(32),
    kemKey: bytes(1216),
    hint: undefined,
    cookie: undefined,
  }
  const read = (change: object): unknown => format.parseHello(format.encodeHello({ ...hello, ...change }))

  it('a Hello comes back, with up to eight offers in their order, and is exactly of its form', () => {
    const eight = Array.from({ length: HELLO_OFFERS_MAX }, (_, i) => i + 1)
    for (const good of [{}, { versions: eight, suites: eight }, { hint: bytes(32) }, { cookie: bytes(40) }])
      expect(read(good)).toEqual({ ...hello, ...good })
    for (const wrong of [
      { versions: [] },
      { suites: [] },
      { versions: [...eight, 9] },
      { suites: [...eight, 9] },
      { suites: [2, 1] },
      { suites: [1, 1] },
    ])
      expect(read(wrong)).toBeUndefined()
    const whole = format.encodeHello(hello)
    const at = whole.length - 2
    expect([whole[at], whole[at + 1]]).toEqual([0, 0])
    const changed = (index: number, value: number, ...more: number[]): Uint8Array =>
      Uint8Array.of(...whole.subarray(0, index), value, ...whole.subarray(index + 1), ...more)
    for (const wrong of [
      changed(0, 2),
      changed(at, 2),
      changed(at + 1, 39, ...bytes(39)),
      Uint8Array.of(...whole, 0),
      whole.subarray(0, -1),
    ])
      expect(format.parseHello(wrong)).toBeUndefined()
  })

  it('a Reply has something sealed in it, whose parts are as long as they must be', () => {
    const clear = { kind: 'reply', version: 1, suite: 1, mode: 1, nonce: bytes(32), encapsulated: bytes(1120) } as const
    const reply = (sealed: number): Uint8Array =>
      Uint8Array.of(...format.encodeReplyClear(clear), ...new Uint8Array(sealed))
    expect(format.parseReply(reply(17))?.clear).toEqual(clear)
    expect([0, 16].map((size) => format.parseReply(reply(size)))).toEqual([undefined, undefined])
    expect(format.parseSealed(bytes(3405))?.body).toEqual(bytes(0))
    expect(format.parseSealed(bytes(3404))).toBeUndefined()
    expect([format.parseFinish(format.encodeFinish(bytes(32))), format.parseRetry(bytes(41, 2))]).toEqual([
      bytes(32),
      bytes(40, 2),
    ])
    for (const wrong of [bytes(33, 5), bytes(34, 4), bytes(32, 4)]) expect(format.parseFinish(wrong)).toBeUndefined()
  })

  it('limits of a server are few small numbers by name', () => {
    const body = { keys: bytes(3200), delegation: bytes(3454), succession: undefined }
    const readBody = (limits: unknown): unknown =>
      format.parseReplyBody(format.encodeReplyBody({ ...body, limits: limits as never }))?.limits
    const many = (count: number): object =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [`x${'abcdefghijklmnopqrstu'[i]}`, i]))
    for (const good of [{}, { a: 0 }, many(SERVER_LIMITS_MAX)]) expect(readBody(good)).toEqual(good)
    for (const wrong of [
      many(SERVER_LIMITS_MAX + 1),
      { a: -1 },
      { a: 0.5 },
      { a: '1' },
      { a1: 1 },
      { '': 1 },
      [],
      5,
      null,
    ])
      expect(readBody(wrong)).toBeUndefined()
    expect([format.areLimits(many(SERVER_LIMITS_MAX)), format.areLimits(null)]).toEqual([true, false])
  })

  it('a refusal says whether it is for the version', () => {
    const read = (error: unknown): unknown => format.parseRefusal(refusalOf(error))
    expect(read(new Error('x'))).toBe('failed')
    expect(read({ code: 'WIRE_VERSION' })).toBe('failed')
    const server = testServer(3)
    const of = (run: () => unknown): unknown => {
      try {
        run()
      } catch (error) {
        return read(error)
      }
      return 'nothing'
    }
    const future = format.encodeHello({ ...hello, versions: [2] })
    expect(of(() => newServer(server).receive(future))).toBe('version')
    // No version is one that is not ours; no Hello at all is none either.
    expect(of(() => newServer(server).receive(bytes(5)))).toBe('failed')
    expect(of(() => newServer(server).receive(format.encodeHello({ ...hello, kemKey: bytes(1216, 255) })))).toBe(
      'failed',
    )
    expect(of(() => newClient().receive(bytes(5)))).toBe('failed')
    const noKey = format.encodeHello({ ...hello, kemKey: bytes(1216, 255) })
    expect(refusal(() => newServer(server).receive(noKey))).toBe('HANDSHAKE_FAILED')
  })
})

describe('a cookie', () => {
  it('is of its size, for its peer and nonce, and of the last half minute', () => {
    const demand = { key: bytes(32), peer: '192.0.2.1' }
    const facts = { nonce: bytes(32), now: 1_000_000 }
    const cookie = makeCookie(crypto, demand, facts)
    const at = (now: number, given = cookie): boolean => isCookie(crypto, demand, given, { ...facts, now })
    expect([at(1_000_000), at(1_030_000), at(1_030_001), at(970_001), at(970_000)]).toEqual([
      true,
      true,
      false,
      true,
      false,
    ])
    expect(
      [cookie.subarray(1), Uint8Array.of(...cookie, 0), bytes(0), bytes(40)].map((one) => at(1_000_000, one)),
    ).toEqual(Array(4).fill(false))
    expect(isCookie(crypto, { ...demand, peer: '192.0.2.2' }, cookie, facts)).toBe(false)
  })
})

describe('keys of a handshake', () => {
  it('are overwritten when they have been used, and what they come from', () => {
    const derived: Uint8Array[] = []
    const wiped: number[] = []
    const keyed: Uint8Array[] = []
    const spied = {
      ...crypto,
      hkdfSha512(...input: Parameters<typeof crypto.hkdfSha512>) {
        const out = crypto.hkdfSha512(...input)
        derived.push(out)
        return out
      },
      aesKey(key: Uint8Array) {
        keyed.push(key)
        return { ...crypto.aesKey(key), wipe: () => void wiped.push(1) }
      },
    }
    const shared = bytes(32)
    const keys = handshakeKeys(spied, shared, bytes(64))
    expect([shared, keyed[0], derived[0]!.every((byte) => byte === 0)]).toEqual([bytes(32, 0), bytes(32, 0), true])
    const { serverMacKey, clientMacKey, next } = keys
    const first = wireKeys(spied, next.slice(), bytes(64))
    expect(derived[1]!.every((byte) => byte === 0)).toBe(true)
    wipeHandshakeKeys(keys)
    expect([serverMacKey, clientMacKey, next, wiped]).toEqual([bytes(32, 0), bytes(32, 0), bytes(32, 0), [1]])
    const secrets = { chain: first.chain, shared: bytes(32, 3) }
    const exchanged = exchangedKeys(spied, secrets, { offer: bytes(3), answer: bytes(4) })
    expect([secrets.chain, secrets.shared]).toEqual([bytes(32, 0), bytes(32, 0)])
    expect(exchanged.confirmation).not.toEqual(bytes(32, 0))
  })

  it('of a server that is closed in between, or fails at the end, and of a client that fails, are overwritten', () => {
    const handles: { wiped: number }[] = []
    const drawn: Uint8Array[] = []
    const spied = {
      ...crypto,
      aesKey(key: Uint8Array) {
        const handle = { wiped: 0 }
        handles.push(handle)
        return { ...crypto.aesKey(key), wipe: () => void handle.wiped++ }
      },
    }
    const server = testServer(4)
    const closed = newServer(server, { crypto: spied })
    closed.receive(newClient().hello())
    closed.close()
    const failing = newServer(server, { crypto: spied })
    failing.receive(newClient().hello())
    expect(refusal(() => failing.receive(format.encodeFinish(bytes(32))))).toBe('HANDSHAKE_FAILED')
    expect(handles.map(({ wiped }) => wiped)).toEqual([1, 1])
    const random = { fill: (out: Uint8Array) => void drawn.push(out.fill(9)) }
    const client = newClient({
      crypto: spied,
      random,
      expect: () => {
        throw new Error('not this one')
      },
    })
    expect(drawn[0]).toEqual(bytes(32, 0))
    const reply = newServer(server).receive(client.hello()).send!
    expect(() => client.receive(reply)).toThrow('not this one')
    expect(handles.map(({ wiped }) => wiped)).toEqual([1, 1, 1])
  })
})

describe('a client', () => {
  const server = testServer(6)

  it('takes no reply before it has said hello, though it would fit', () => {
    const [said, silent] = [1, 2].map(() => newClient({ random: seededRandom(99) })) as [
      ReturnType<typeof newClient>,
      ReturnType<typeof newClient>,
    ]
    const reply = newServer(server).receive(said.hello()).send!
    expect(refusal(() => silent.receive(reply))).toBe('HANDSHAKE_FAILED')
    expect(refusal(() => said.receive(reply))).toBe('nothing')
  })

  it('takes a mode that it has offered, and no number beside them', () => {
    const met = (mode: number, plain?: 'allow'): string => {
      const client = newClient(plain ? { plain } : {})
      const { reply } = oracleServer(client.hello(), { ...server, seed: 8 }, { mode })
      return refusal(() => client.receive(reply))
    }
    expect([1, 2, 0, 3].map((mode) => met(mode, 'allow'))).toEqual([
      ...['nothing', 'nothing'],
      ...['HANDSHAKE_FAILED', 'HANDSHAKE_FAILED'],
    ])
    expect([met(1), met(2)]).toEqual(['nothing', 'HANDSHAKE_FAILED'])
  })

  it.each([
    ['from five minutes before', NOW - WIRE_CLOCK_MS, 'nothing'],
    ['not before that', NOW - WIRE_CLOCK_MS - 1, 'HANDSHAKE_FAILED'],
    ['for five minutes behind', NOW + 1000 + WIRE_CLOCK_MS - 1, 'nothing'],
    ['not after that', NOW + 1000 + WIRE_CLOCK_MS, 'HANDSHAKE_FAILED'],
  ])('bears with the clock of a server, as its own: %s', (_, at, code) => {
    const short = testServer(7, { from: NOW, until: NOW + 1000 })
    const client = newClient({ now: () => at })
    const reply = newServer(short).receive(client.hello()).send!
    expect(refusal(() => client.receive(reply))).toBe(code)
  })
})
