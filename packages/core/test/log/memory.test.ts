import { describe, expect, it } from 'vitest'
import type { Compaction, LogRecord } from '../../src/log/engine.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { appendTo, codeOf, logSuite, readAll, testBatch } from '../../src/testing/log-suite.ts'

describe('the memory engine', () => {
  logSuite({ describe, it, expect }, async () => {
    const store = memoryStore()
    return { open: async (options) => memoryEngine(store, options), dispose: async () => {} }
  })
})

describe('a store in memory', () => {
  it('has one writer, whom neither a reader that closes nor an older writer that closes again sets free', async () => {
    const store = memoryStore()
    const first = memoryEngine(store)
    await memoryEngine(store, { readOnly: true }).close()
    expect(await codeOf(() => memoryEngine(store))).toBe('CHAIN_LOCKED')
    await first.close()
    const second = memoryEngine(store)
    await first.close()
    expect(await codeOf(() => memoryEngine(store))).toBe('CHAIN_LOCKED')
    await second.close()
    await memoryEngine(store).close()
  })

  it('overwrites a key that is erased', async () => {
    const store = memoryStore()
    const log = memoryEngine(store)
    const name = new Uint8Array(32).fill(3)
    await log.ring.put(name, new Uint8Array(8).fill(9))
    const { wrapped } = [...store.keys.values()][0]!
    await log.ring.erase(name)
    expect(wrapped).toEqual(new Uint8Array(8))
    expect(store.keys.size).toBe(0)
  })

  it('gives parts and places of records that are there, and chunks no larger than asked for', async () => {
    const store = memoryStore()
    const log = memoryEngine(store)
    const reader = memoryEngine(store, { readOnly: true })
    await appendTo(log, testBatch(0, [10, 10, 10]))
    for (const [seq, at, size] of [
      [0, 5, -1],
      [0, -1, 2],
      [0, 8, 3],
      [3, 0, 0],
      [-1, 0, 0],
    ] as const) {
      expect(await codeOf(() => log.readPart(seq, at, size))).toBe('NOT_FOUND')
    }
    // What came since a reader looked is not there for it.
    expect(await codeOf(() => reader.readPart(0, 0, 1))).toBe('NOT_FOUND')
    expect([log.place(-1), log.place(3), reader.place(0), log.place(2)]).toEqual([
      undefined,
      undefined,
      undefined,
      { segment: 'memory', offset: 2 },
    ])
    const sizesOf = async (chunkBytes: number): Promise<number[]> => {
      const sizes: number[] = []
      for await (const chunk of log.read(0, { chunkBytes })) sizes.push(chunk.length)
      return sizes
    }
    expect([await sizesOf(1), await sizesOf(20), await sizesOf(29), await sizesOf(30)]).toEqual([
      [1, 1, 1],
      [2, 1],
      [2, 1],
      [3],
    ])
  })

  it('is compacted only after what made bytes superfluous is durable, where it pays, until a signal ends it', async () => {
    const log = memoryEngine()
    await appendTo(log, testBatch(0, [10, 20, 30]))
    const calls: string[] = []
    const half = (record: LogRecord): Uint8Array => record.bytes.subarray(0, record.bytes.length / 2)
    const compaction: Compaction = {
      begin: async (from, to) => void calls.push(`begin ${from} ${to}`),
      reclaimable: (record) => (record.seq === 1 ? 0 : 5),
      rewrite: (record) => {
        calls.push(`rewrite ${record.seq}`)
        return record.seq === 2 ? undefined : half(record)
      },
      settle: async () => void calls.push('settle'),
      pause: async () => {},
      signal: undefined,
    }
    expect(await log.compact(compaction)).toEqual({ records: 1, bytesFreed: 5, inUse: 0 })
    expect(calls).toEqual(['begin 0 3', 'settle', 'rewrite 0', 'rewrite 2'])
    expect((await readAll(log)).map(({ bytes }) => bytes.length)).toEqual([5, 20, 30])
    expect([log.sizeBytes(), log.generation]).toEqual([55, 1])
    const signal = AbortSignal.abort(new Error('enough'))
    expect(await log.compact({ ...compaction, signal }).catch((error) => error.message)).toBe('enough')
    await log.close()
    expect(await codeOf(() => log.compact(compaction))).toBe('CHAIN_CLOSED')
  })

  it('does not begin a scrub that was given up', async () => {
    const signal = AbortSignal.abort(new Error('enough'))
    expect(
      await memoryEngine()
        .scrub({ signal })
        .catch((error) => error.message),
    ).toBe('enough')
  })
})
