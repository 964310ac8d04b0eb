// The memory of heads never goes down, whatever the order and however many processes write.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { utf8 } from '../../src/base/bytes.ts'
import { type ChainId, chainIdOf } from '../../src/base/ids.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { forgetHead, type RememberedHead, rememberedHead, rememberHead } from '../../src/session/remembered-heads.ts'
import type { StateStore } from '../../src/session/state-store.ts'
import { codeOf } from './fixtures.ts'

const chain: ChainId = chainIdOf(new Uint8Array(32).fill(7))
const other: ChainId = chainIdOf(new Uint8Array(32).fill(8))
const head = (seq: number, mark = 0): RememberedHead => ({
  seq,
  hash: new Uint8Array(32).fill(seq & 255).fill(mark, 0, 1),
  at: 1000 + (seq % 1000),
})

describe('remembered heads', () => {
  it('start with none, and go up only', async () => {
    const state = memoryState()
    expect(await rememberedHead(state, chain)).toBeUndefined()
    await rememberHead(state, chain, head(0))
    expect(await rememberedHead(state, chain)).toEqual(head(0))
    await rememberHead(state, chain, head(1_000_000))
    await rememberHead(state, chain, head(999_999))
    await rememberHead(state, chain, head(9))
    expect(await rememberedHead(state, chain)).toEqual(head(1_000_000))
    await rememberHead(state, chain, head(Number.MAX_SAFE_INTEGER))
    expect(await rememberedHead(state, chain)).toEqual(head(Number.MAX_SAFE_INTEGER))
    expect(await rememberedHead(state, other)).toBeUndefined()
    expect(await state.list('heads/')).toHaveLength(1)
  })

  it('write nothing for a head that is not news', async () => {
    const state = memoryState()
    await rememberHead(state, chain, head(5))
    const shut = { ...state, put: async () => expect.fail('written'), remove: async () => expect.fail('removed') }
    await rememberHead(shut, chain, head(4))
    await rememberHead(shut, chain, head(5))
  })

  it('refuse another record of the same number, and keep saying so', async () => {
    const state = memoryState()
    await rememberHead(state, chain, head(5))
    await rememberHead(state, chain, head(5))
    expect(await codeOf(() => rememberHead(state, chain, head(5, 1)))).toBe('FORK')
    expect(await codeOf(() => rememberedHead(state, chain))).toBe('FORK')
    expect(await codeOf(() => rememberHead(state, chain, head(6)))).toBe('FORK')
    await forgetHead(state, chain)
    expect(await rememberedHead(state, chain)).toBeUndefined()
  })

  it('go up also to a record of the same hash', async () => {
    const state = memoryState()
    for (const seq of [5, 6]) await rememberHead(state, chain, { ...head(5), seq })
    expect((await rememberedHead(state, chain))?.seq).toBe(6)
  })

  it('are a time on the first line and statements behind it, of which either may be missing', async () => {
    const state = memoryState()
    await rememberHead(state, chain, head(5))
    const [name] = await state.list(`heads/${chain}/`)
    for (const [text, at, statements] of [
      ['7\n8\n', 7, '8\n'],
      ['\n8', 0, '8'],
      ['\n', 0, undefined],
      ['7', 7, undefined],
      ['x\n8', 0, '8'],
    ] as const) {
      await state.put(name!, utf8(text))
      const { hash, seq } = head(5)
      expect(await rememberedHead(state, chain)).toEqual({ seq, hash, at, ...(statements ? { statements } : {}) })
    }
  })

  it('do not take names that are no heads for one', async () => {
    const state = memoryState()
    await rememberHead(state, chain, head(3))
    for (const name of ['9', '0000000000000009-x', `0000000000000009-${'i'.repeat(52)}`, `9-${chain}`]) {
      await state.put(`heads/${chain}/${name}`, utf8('1'))
    }
    expect(await rememberedHead(state, chain)).toEqual(head(3))
  })

  it('refuse what is no head', async () => {
    for (const wrong of [head(-1), head(0.5), head(2 ** 53), { ...head(1), hash: new Uint8Array(31) }]) {
      expect(await codeOf(() => rememberHead(memoryState(), chain, wrong))).toBe('INTERNAL')
    }
  })

  it('end at the highest with two processes in every order of their steps', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }),
        fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 4 }),
        async (scheduler, first, second) => {
          const state = memoryState()
          const scheduled = interleaved(state, scheduler)
          const run = async (seqs: number[]): Promise<void> => {
            for (const seq of seqs) {
              await rememberHead(scheduled, chain, head(seq))
              // What was remembered is not below what this process wrote, at any moment.
              const known = (await rememberedHead(scheduled, chain))!
              expect(known.seq).toBeGreaterThanOrEqual(seq)
              expect(known).toEqual(head(known.seq))
            }
          }
          const both = Promise.all([run(first), run(second)])
          await scheduler.waitFor(both)
          expect((await rememberedHead(state, chain))!.seq).toBe(Math.max(...first, ...second))
        },
      ),
      { numRuns: 300 },
    )
  })
})

/** The same state with each step delayed as the scheduler likes. */
function interleaved(state: StateStore, scheduler: fc.Scheduler): StateStore {
  const slow = async <T>(step: () => Promise<T>): Promise<T> => {
    await scheduler.schedule(Promise.resolve())
    return step()
  }
  return {
    location: state.location,
    get: (name) => slow(() => state.get(name)),
    put: (name, bytes) => slow(() => state.put(name, bytes)),
    remove: (name) => slow(() => state.remove(name)),
    list: (prefix) => slow(() => state.list(prefix)),
    lock: (name, options) => state.lock(name, options),
  }
}
