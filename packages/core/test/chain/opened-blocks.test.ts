/** Blocks that were opened whole: which answers of another thread count, and whose memory is used again. */
import { describe, expect, it } from 'vitest'
import { AskedSlices, SpareRooms } from '../../src/chain/asked-slices.ts'
import { OpenedBlocks } from '../../src/chain/opened-blocks.ts'
import type { StoredBody } from '../../src/chain/stored-bodies.ts'
import type { CryptoProvider, SliceHashes } from '../../src/crypto/provider.ts'
import type { ChainEvent } from '../../src/data/events.ts'
import { wordAt } from '../../src/event/entity-words.ts'
import { quickPlatform } from '../../src/testing/quick-platform.ts'
import { ROW } from '../../src/view/entity-table.ts'
import { Count, codeOf, crypto, memoryChain, Note, reopen } from '../data/kit.ts'

const ENDS = [10, 30, 30, 64]
const SLICES = [
  [0, 10],
  [10, 20],
  [30, 0],
  [30, 34],
] as const

function answersFor(bytes: Uint8Array, ends: readonly number[], count = ends.length): SliceHashes {
  const hashes = new Uint8Array(32 * ends.length)
  ends.forEach((end, i) => void crypto.sha256Into(bytes.subarray(ends[i - 1] ?? 0, end), hashes, 32 * i))
  return { hashes, count: () => count }
}

function bodyOf(bytes: Uint8Array, [offset, size]: readonly [number, number], record = 1): StoredBody {
  const hash = crypto.sha256(bytes.subarray(offset, offset + size))
  return {
    record,
    block: 0,
    offset,
    size,
    hash: Int32Array.from({ length: 8 }, (_, i) => wordAt(hash, 4 * i)),
    hashAt: 0,
  }
}

function filled(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => i * 7)
}

describe('an answer', () => {
  const bytes = filled(64)
  const opened = (answers: SliceHashes): AskedSlices => new AskedSlices(ENDS, answers)

  it('counts for its slice, in any order', () => {
    const block = opened(answersFor(bytes, ENDS))
    // The slice without bytes ends where the one before it does: whoever is asked for it may hash nothing himself.
    for (const index of [0, 1, 3, 3, 0, 2, 1])
      if (index !== 2) expect(block.isHashed(bodyOf(bytes, SLICES[index]!))).toBe(true)
  })

  it('counts for no other hash, no other bytes, and not before it is there', () => {
    const block = opened(answersFor(bytes, ENDS))
    const body = bodyOf(bytes, SLICES[1])
    expect(block.isHashed({ ...body, hash: body.hash.map((word, i) => (i === 7 ? word ^ 1 : word)) })).toBe(false)
    for (const [offset, size] of [
      [0, 30],
      [9, 21],
      [11, 19],
      [10, 19],
      [64, 1],
      [30, 35],
    ] as const)
      expect(block.isHashed({ ...body, offset, size })).toBe(false)
    const early = opened(answersFor(bytes, ENDS, 1))
    expect([SLICES[0], SLICES[1]].map((slice) => early.isHashed(bodyOf(bytes, slice)))).toEqual([true, false])
  })
})

describe('memory', () => {
  it('of a block that two have opened at the same time counts once', () => {
    const blocks = new OpenedBlocks(10_000)
    const keep = (record: number): void => {
      blocks.keep({ key: 256 * record, ciphertext: filled(1000), plaintext: filled(1000), asked: undefined })
    }
    for (let i = 0; i < 20; i++) keep(1)
    keep(2)
    keep(3)
    expect([1, 2, 3].map((record) => blocks.find(256 * record) !== undefined)).toEqual([true, true, true])
  })

  it('of blocks that are gone is used again, unless a thread still reads it or it is much too large', () => {
    const spare = new SpareRooms((size) => new Uint8Array(size))
    const blocks = new OpenedBlocks(1000, (gone) => spare.leave(gone))
    const keep = (record: number, size: number, count = 1): ArrayBufferLike => {
      const room = spare.room(size)
      expect(room.length).toBe(size)
      const asked = new AskedSlices([size], { hashes: new Uint8Array(32), count: () => count })
      blocks.keep({ key: 256 * record, ciphertext: room, plaintext: filled(size), asked })
      return room.buffer
    }
    const first = keep(1, 50_000)
    const second = keep(2, 60_000, 0)
    expect(blocks.find(256)).toBeUndefined()
    expect(blocks.find(512)).toBeDefined()
    expect(keep(3, 40_000)).toBe(first)
    // The thread had not hashed the second one when it went.
    expect(keep(4, 60_000)).not.toBe(second)
    expect(keep(5, 10_000)).not.toBe(first)
  })

  it('is bounded by bytes, those of answers too', () => {
    const blocks = new OpenedBlocks(10_000)
    const bytes = filled(1000)
    const ends = Array.from({ length: 50 }, (_, i) => 20 * (i + 1))
    for (let record = 0; record < 4; record++)
      blocks.keep({
        key: 256 * record,
        ciphertext: bytes,
        plaintext: bytes,
        asked: new AskedSlices(ends, answersFor(bytes, ends)),
      })
    expect([0, 1, 2, 3].map((record) => blocks.find(256 * record) !== undefined)).toEqual([false, false, true, true])
    blocks.clear()
    expect(blocks.find(768)).toBeUndefined()
  })
})

const COUNT = 200

/** A chain of one record of many values, read by a session that did not write it, with a thread that answers so. */
async function chainWith(answer: (bytes: Uint8Array, ends: readonly number[]) => SliceHashes | undefined) {
  const calls = { hashes: 0, asked: 0 }
  const provider: CryptoProvider = {
    ...crypto,
    sha256Into(data, out, at) {
      calls.hashes++
      crypto.sha256Into(data, out, at)
    },
    sha256Slices(data, ends) {
      calls.asked++
      expect(data.buffer).toBeInstanceOf(SharedArrayBuffer)
      return answer(data, ends)
    },
  }
  const written = await memoryChain({}, quickPlatform(3, { crypto: provider }))
  const write = (chain: typeof written.chain, count: number, text: string) =>
    chain.transact((tx) => {
      for (let i = 0; i < count; i++) tx.create(Note, { text: `${text} ${i}` })
    })
  await write(written.chain, COUNT, 'first')
  await write(written.chain, COUNT, 'second')
  const kit = await reopen(written)
  const read = async (): Promise<string[]> => {
    const found: string[] = []
    for await (const events of kit.chain.eventBatches({ until: 'end', type: Note })) {
      calls.hashes = 0
      for (const event of events) found.push((await event.value(Note)).text)
    }
    return found
  }
  return { kit, calls, read }
}

const EXPECTED = ['first', 'second'].flatMap((text) => Array.from({ length: COUNT }, (_, i) => `${text} ${i}`))

describe('a record that is read as a whole', () => {
  it.each([
    ['answers', (bytes: Uint8Array, ends: readonly number[]) => answersFor(bytes, ends), 5],
    [
      'wrong answers',
      (_: Uint8Array, { length }: readonly number[]) => ({ hashes: new Uint8Array(32 * length), count: () => length }),
      COUNT,
    ],
    [
      'half of the answers',
      (bytes: Uint8Array, ends: readonly number[]) => answersFor(bytes, ends, COUNT / 2),
      COUNT / 2 + 5,
    ],
    ['no answers', () => undefined, COUNT],
  ] as const)('gives the same values with %s', async (_, answer, hashesMax) => {
    const { kit, calls, read } = await chainWith(answer)
    expect(await read()).toEqual(EXPECTED)
    expect(calls.asked).toBe(2)
    expect(calls.hashes).toBeLessThanOrEqual(hashesMax + 2)
    expect(calls.hashes).toBeGreaterThanOrEqual(hashesMax - 5)
    await kit.chain.close()
  })

  it('gives no value whose hash is another one, whatever the thread has found', async () => {
    const { kit, read } = await chainWith(answersFor)
    expect((await read()).length).toBe(2 * COUNT)
    const { replica, bodies } = kit.core
    const { view } = replica
    const codes = new Map<string, number>()
    let last = 0
    for (let row = 0; row < view.table.rows; row++) last = Math.max(last, view.acknowledged(row, ROW.record))
    for (let row = 0; row < view.table.rows; row++) {
      const record = view.acknowledged(row, ROW.record)
      if (record !== last) continue
      const hash = Int32Array.from({ length: 8 }, (_, i) => view.acknowledged(row, ROW.hash + i))
      const block = view.acknowledged(row, ROW.blockAndFlags) & 0xff
      const place = {
        record,
        block,
        offset: view.acknowledged(row, ROW.offset),
        size: view.acknowledged(row, ROW.size),
      }
      expect(await codeOf(async () => bodies.read({ ...place, hash, hashAt: 0 }))).toBe('nothing was thrown')
      hash[row % 8]! ^= 1
      const code = await codeOf(async () => bodies.read({ ...place, hash, hashAt: 0 }))
      codes.set(code, (codes.get(code) ?? 0) + 1)
    }
    expect([...codes]).toEqual([['BAD_BODY', COUNT]])
    await kit.chain.close()
  })

  it('asks nobody about a few values', async () => {
    const { kit, calls } = await chainWith(answersFor)
    await kit.chain.transact((tx) => {
      for (let i = 0; i < 63; i++) tx.create(Note, { text: `few ${i}` })
    })
    const from = kit.chain.head.seq
    const again = await reopen(kit)
    let seen = 0
    for await (const events of again.chain.eventBatches({ until: 'end', type: Note, from }))
      for (const event of events) seen += (await event.value(Note)).text.length > 0 ? 1 : 0
    expect(seen).toBe(63)
    expect(calls.asked).toBe(0)
    await again.chain.close()
  })

  it('asks nobody about a few values of a type that stand among many of another', async () => {
    const { kit, calls } = await chainWith(answersFor)
    await kit.chain.transact((tx) => {
      for (let i = 0; i < COUNT; i++) {
        tx.create(Note, { text: `${i}` })
        if (i % 10 === 0) tx.create(Count, { n: i })
      }
    })
    const from = kit.chain.head.seq
    const again = await reopen(kit)
    const seen: number[] = []
    for await (const events of again.chain.eventBatches({ until: 'end', type: Count, from }))
      for (const event of events) seen.push((await event.value(Count)).n)
    expect(seen).toEqual(Array.from({ length: COUNT / 10 }, (_, i) => 10 * i))
    expect(calls.asked).toBe(0)
    await again.chain.close()
  })

  it('is read from the log again when what was read is forgotten', async () => {
    const { kit } = await chainWith(answersFor)
    const events: ChainEvent[] = []
    for await (const event of kit.chain.events({ until: 'end', type: Note })) {
      events.push(event)
      await event.value(Note)
    }
    let reads = 0
    const readPart = kit.engine.readPart.bind(kit.engine)
    kit.engine.readPart = (...given) => {
      reads++
      return readPart(...given)
    }
    const readLast = async (): Promise<number> => {
      reads = 0
      await events.at(-1)!.value(Note)
      return reads
    }
    expect(await readLast()).toBe(0)
    kit.core.bodies.forget()
    // The beginning of the record, what says where its blocks are, and the body.
    expect(await readLast()).toBe(3)
    await kit.chain.close()
  })
})
