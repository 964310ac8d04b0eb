/** Frames: altered, dropped, repeated, reordered, reflected ones are refused for good; keys change where both ends say. */
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { concatBytes, equalBytes, toHex, utf8 } from '../../src/base/bytes.ts'
import { WIRE_PLAINTEXT_BYTES_MAX } from '../../src/base/limits.ts'
import { nobleProvider } from '../../src/crypto/noble.ts'
import { xWingSecret } from '../../src/crypto/x-wing.ts'
import type { WireKeys } from '../../src/mesh/handshake-keys.ts'
import { createWire, type Wire } from '../../src/mesh/wire.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { gcmOpen, OracleDirection, oracleExchange } from './oracle.ts'
import { codeOf, crypto, flipped } from './support.ts'

interface Limits {
  readonly keyFramesMax?: number
  readonly keyBytesMax?: number
  readonly mode?: 'sealed' | 'plain'
}

function wireKeys(): WireKeys {
  const fill = (mark: number, size = 32): Uint8Array => new Uint8Array(size).fill(mark)
  const direction = (mark: number) => ({ key: fill(mark), iv: fill(mark + 1, 12) })
  return { toServer: direction(1), toClient: direction(3), exporter: fill(5), chain: fill(6) }
}

function pair(limits: Limits = {}): { readonly client: Wire; readonly server: Wire } {
  const common = { crypto, mode: 'sealed' as const, ...limits }
  return {
    client: createWire({ ...common, random: seededRandom(1), role: 'client', keys: wireKeys() }),
    server: createWire({ ...common, random: seededRandom(2), role: 'server', keys: wireKeys() }),
  }
}

const text = (index: number): Uint8Array => utf8(`message ${index}`)

describe('a frame', () => {
  it('opens once, in its order, at the other end', () => {
    const { client, server } = pair()
    for (let index = 0; index < 50; index++) {
      const frame = client.seal(text(index))
      expect(frame.length).toBe(text(index).length + 16)
      expect(server.open(frame)).toEqual(text(index))
      expect(client.open(server.seal(text(index)))).toEqual(text(index))
    }
  })

  it('of the same text never looks the same', () => {
    const { client, server } = pair({ keyFramesMax: 7 })
    const frames = Array.from({ length: 50 }, () => [client.seal(text(0)), server.seal(text(0))]).flat()
    expect(new Set(frames.map(toHex)).size).toBe(100)
  })

  it.each([
    ['altered', (frames: Uint8Array[]) => [flipped(frames[0]!, 3)]],
    ['with an altered tag', (frames: Uint8Array[]) => [flipped(frames[0]!, frames[0]!.length - 1)]],
    ['cut', (frames: Uint8Array[]) => [frames[0]!.subarray(0, -1)]],
    ['cut below a tag', (frames: Uint8Array[]) => [frames[0]!.subarray(0, 15)]],
    ['empty', () => [new Uint8Array(0)]],
    ['lengthened', (frames: Uint8Array[]) => [concatBytes(frames[0]!, new Uint8Array(1))]],
    ['after one that was dropped', (frames: Uint8Array[]) => [frames[1]!]],
    ['before its turn', (frames: Uint8Array[]) => [frames[0]!, frames[2]!]],
    ['repeated', (frames: Uint8Array[]) => [frames[0]!, frames[0]!]],
  ])('that is %s ends the wire', (_name, deliver) => {
    const { client, server } = pair()
    const frames = [0, 1, 2].map((index) => client.seal(text(index)))
    const delivered = deliver(frames)
    for (const frame of delivered.slice(0, -1)) server.open(frame)
    expect(codeOf(() => server.open(delivered.at(-1)!))).toBe('WIRE_BROKEN')
    for (const frame of frames) expect(codeOf(() => server.open(frame))).toBe('WIRE_BROKEN')
    expect(codeOf(() => server.seal(text(9)))).toBe('WIRE_BROKEN')
    expect(codeOf(() => server.exporter)).toBe('WIRE_BROKEN')
    expect(codeOf(() => server.rekeyAnswer(new Uint8Array(1216)))).toBe('WIRE_BROKEN')
  })

  it('every byte of it counts', () => {
    const size = text(0).length + 16
    for (let at = 0; at < size; at++) {
      const { client, server } = pair()
      expect([at, codeOf(() => server.open(flipped(client.seal(text(0)), at, 1 << (at % 8))))]).toEqual([
        at,
        'WIRE_BROKEN',
      ])
    }
  })

  it('that comes back to its sender ends the wire', () => {
    const { client } = pair()
    const frame = client.seal(text(0))
    expect(codeOf(() => client.open(frame))).toBe('WIRE_BROKEN')
  })

  it('has a largest size, going out and coming in', () => {
    const { client, server } = pair()
    const most = new Uint8Array(WIRE_PLAINTEXT_BYTES_MAX)
    expect(server.open(client.seal(most)).length).toBe(most.length)
    expect(codeOf(() => client.seal(new Uint8Array(most.length + 1)))).toBe('INTERNAL')
    expect(server.open(client.seal(text(1)))).toEqual(text(1))
    // By its size, before any work is done on it.
    expect(() => server.open(new Uint8Array(most.length + 17))).toThrow('size')
    expect(codeOf(() => server.open(new Uint8Array(16)))).toBe('WIRE_BROKEN')
  })

  it('is sealed in its own memory', () => {
    const { client, server } = pair({ mode: 'plain' })
    const bytes = text(1)
    const frame = client.seal(bytes)
    bytes.fill(0)
    expect(server.open(frame)).toEqual(text(1))
  })
})

describe('the keys of a direction', () => {
  it('change after so many frames, as the oracle says', () => {
    const { client, server } = pair({ keyFramesMax: 3 })
    const oracle = new OracleDirection(Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(12, 2)]))
    for (let index = 0; index < 10; index++) {
      if (index > 0 && index % 3 === 0) oracle.rekey()
      const frame = client.seal(text(index))
      expect(gcmOpen(oracle.key, oracle.nonce(), frame)).toEqual(Buffer.from(text(index)))
      expect(server.open(frame)).toEqual(text(index))
    }
  })

  it('change after so many bytes of plaintext, before they would be over', () => {
    const { client, server } = pair({ keyBytesMax: 100 })
    const oracle = new OracleDirection(Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(12, 2)]))
    for (const [size, before] of [
      [60, 0],
      [40, 0],
      [1, 1],
      [99, 0],
      [1, 1],
      [200, 1],
      [1, 1],
    ] as const) {
      if (before === 1) oracle.rekey()
      const frame = client.seal(new Uint8Array(size))
      expect(gcmOpen(oracle.key, oracle.nonce(), frame).length).toBe(size)
      server.open(frame)
    }
  })

  it('go on from different limits only until they differ', () => {
    const { client } = pair({ keyFramesMax: 3 })
    const { server } = pair()
    for (let index = 0; index < 3; index++) server.open(client.seal(text(index)))
    expect(codeOf(() => server.open(client.seal(text(3))))).toBe('WIRE_BROKEN')
  })
})

/** The three messages, as an owner of connections carries them: behind a byte of its own. */
function exchange(client: Wire, server: Wire): void {
  const offer = server.open(client.seal(tagged(client.rekeyOffer()))).subarray(1)
  const answer = client.open(server.seal(tagged(server.rekeyAnswer(offer)))).subarray(1)
  server.rekeyEnd(server.open(client.seal(tagged(client.rekeyDone(answer)))).subarray(1))
}

function tagged(message: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of(9), message)
}

describe('an exchange', () => {
  it('gives both directions new keys, again and again, and leaves the exporter', () => {
    const { client, server } = pair({ keyFramesMax: 5 })
    const exporter = client.exporter.slice()
    for (let round = 0; round < 4; round++) {
      exchange(client, server)
      for (let index = 0; index < 7; index++) {
        expect(server.open(client.seal(text(index)))).toEqual(text(index))
        expect(client.open(server.seal(text(index)))).toEqual(text(index))
      }
    }
    expect([client.exporter, server.exporter]).toEqual([exporter, exporter])
  })

  it('makes the keys that the oracle makes, from both secrets', () => {
    const { client, server } = pair()
    const seed = new Uint8Array(32)
    seededRandom(1).fill(seed)
    const offer = client.rekeyOffer()
    server.open(client.seal(offer))
    const answer = server.rekeyAnswer(offer)
    client.open(server.seal(answer))
    const shared = xWingSecret(nobleProvider, seed).decapsulate(answer)
    const keys = oracleExchange(Buffer.alloc(32, 6), shared, offer, answer)
    const done = client.rekeyDone(answer)
    expect(done).toEqual(new Uint8Array(keys.confirmation))
    server.open(client.seal(done))
    server.rekeyEnd(done)
    expect(gcmOpen(keys.toServer.key, keys.toServer.nonce(), client.seal(text(1))).toString()).toBe('message 1')
    expect(gcmOpen(keys.toClient.key, keys.toClient.nonce(), server.seal(text(2))).toString()).toBe('message 2')
  })

  it('shuts out who had all keys before, and did not stand between', () => {
    const { client, server } = pair()
    const thief = pair()
    exchange(client, server)
    const frame = client.seal(text(1))
    // He has counted every frame that was sent.
    for (let index = 0; index < 2; index++) thief.client.seal(text(index))
    expect(codeOf(() => thief.server.open(frame))).toBe('WIRE_BROKEN')
    expect(server.open(frame)).toEqual(text(1))
  })

  it('goes on while both sides send at once: 60 seeded runs of frames in flight', () => {
    for (let seed = 1; seed <= 60; seed++) fullDuplex(seed)
  })

  it.each([
    [
      'a second offer',
      (client: Wire, server: Wire) => {
        const offer = client.rekeyOffer()
        server.seal(server.rekeyAnswer(offer))
        server.rekeyAnswer(offer)
      },
    ],
    ['an offer of another size', (_client: Wire, server: Wire) => server.rekeyAnswer(new Uint8Array(1215))],
    ['an offer whose key is none', (_client: Wire, server: Wire) => server.rekeyAnswer(new Uint8Array(1216).fill(255))],
    ['an offer to a client', (client: Wire) => client.rekeyAnswer(pair().client.rekeyOffer())],
    ['an answer to nothing', (client: Wire) => client.rekeyDone(new Uint8Array(1120))],
    [
      'an answer of another size',
      (client: Wire) => {
        client.rekeyOffer()
        client.rekeyDone(new Uint8Array(1119))
      },
    ],
    ['an end of nothing', (_client: Wire, server: Wire) => server.rekeyEnd(new Uint8Array(32))],
    [
      'an end that confirms other keys',
      (client: Wire, server: Wire) => {
        server.seal(server.rekeyAnswer(client.rekeyOffer()))
        server.rekeyEnd(new Uint8Array(32))
      },
    ],
    [
      'an answer that was altered',
      (client: Wire, server: Wire) => {
        const answer = server.rekeyAnswer(client.rekeyOffer())
        server.seal(answer)
        server.rekeyEnd(client.rekeyDone(flipped(answer, 1100)))
      },
    ],
  ])('with %s ends the wire', (_name, run) => {
    const { client, server } = pair()
    expect(codeOf(() => run(client, server))).toBe('WIRE_BROKEN')
  })

  it('tells its owner who carries other frames first, or offers twice', () => {
    const { client, server } = pair()
    const offer = client.rekeyOffer()
    expect(codeOf(() => client.rekeyOffer())).toBe('INTERNAL')
    server.rekeyAnswer(offer)
    expect(codeOf(() => server.seal(text(0)))).toBe('INTERNAL')
    expect(codeOf(() => server.rekeyOffer())).toBe('INTERNAL')
  })

  it('is carried by a plain wire too', () => {
    const { client, server } = pair({ mode: 'plain' })
    exchange(client, server)
    expect(server.open(client.seal(text(1)))).toEqual(text(1))
  })
})

/** Both owners send when they like and read when they like; each handles what it reads before it opens the next frame. */
function fullDuplex(seed: number): void {
  const random = seededRandom(seed)
  const { client, server } = pair({ keyFramesMax: 4 + random.below(20) })
  const toServer: Uint8Array[] = []
  const toClient: Uint8Array[] = []
  const sent = { client: 0, server: 0 }
  const read = { client: 0, server: 0 }
  let exchanges = 0
  let isOffered = false
  const data = (from: 'client' | 'server'): Uint8Array => concatBytes(Uint8Array.of(0), text(sent[from]++))
  const isData = (end: 'client' | 'server', plaintext: Uint8Array): boolean => {
    if (plaintext[0] !== 0) return false
    expect(plaintext.subarray(1)).toEqual(text(read[end]++))
    return true
  }
  const steps = [
    () => toServer.push(client.seal(data('client'))),
    () => toClient.push(server.seal(data('server'))),
    () => {
      if (isOffered) return
      isOffered = true
      toServer.push(client.seal(concatBytes(Uint8Array.of(1), client.rekeyOffer())))
    },
    () => {
      const frame = toServer.shift()
      const plaintext = frame && server.open(frame)
      if (!plaintext || isData('server', plaintext)) return
      const message = plaintext.subarray(1)
      if (plaintext[0] === 1) toClient.push(server.seal(concatBytes(Uint8Array.of(2), server.rekeyAnswer(message))))
      else {
        server.rekeyEnd(message)
        exchanges++
        isOffered = false
      }
    },
    () => {
      const frame = toClient.shift()
      const plaintext = frame && client.open(frame)
      if (!plaintext || isData('client', plaintext)) return
      toServer.push(client.seal(concatBytes(Uint8Array.of(3), client.rekeyDone(plaintext.subarray(1)))))
    },
  ]
  for (let turn = 0; turn < 120; turn++) steps[random.below(steps.length)]!()
  while (toServer.length > 0 || toClient.length > 0) for (const step of steps.slice(3)) step()
  expect([seed, read]).toEqual([seed, { client: sent.server, server: sent.client }])
  expect([seed, exchanges > 0]).toEqual([seed, true])
}

describe('secrets of a wire', () => {
  it('are wiped when it ends, and shown by nothing', () => {
    const keys = wireKeys()
    const wire = createWire({ crypto, random: seededRandom(1), role: 'client', mode: 'sealed', keys })
    const shown = inspect(wire, { depth: 9, showHidden: true }) + JSON.stringify(wire)
    expect(shown).not.toMatch(/(?:\b[1-6], ?){4}/)
    wire.close()
    wire.close()
    const held = [keys.toServer.key, keys.toServer.iv, keys.toClient.key, keys.toClient.iv, keys.chain, keys.exporter]
    for (const bytes of held) expect(equalBytes(bytes, new Uint8Array(bytes.length))).toBe(true)
    expect(codeOf(() => wire.seal(text(0)))).toBe('WIRE_BROKEN')
  })
})
