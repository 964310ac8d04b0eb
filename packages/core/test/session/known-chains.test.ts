// Known chains: lines for people; nothing replaced in silence, nothing passed over, nothing lost between two writers.
import { describe, expect, it } from 'vitest'
import { fromUtf8, utf8 } from '../../src/base/bytes.ts'
import { type ChainId, chainIdOf } from '../../src/base/ids.ts'
import { STATE_BYTES_MAX } from '../../src/base/limits.ts'
import { addKnownChain, forgetKnownChain, knownChains, lookUpChain } from '../../src/session/known-chains.ts'
import { memoryState } from '../../src/session/memory-state.ts'
import { codeOf } from './fixtures.ts'

const id = (mark: number): ChainId => chainIdOf(new Uint8Array(32).fill(mark))

describe('known chains', () => {
  it('are lines of a place and an id', async () => {
    const state = memoryState()
    expect(await lookUpChain(state, 'file:./shop')).toBeUndefined()
    await addKnownChain(state, 'file:/home/me/my shop', id(1))
    await addKnownChain(state, 'wss://example.org/garage', id(2))
    expect(fromUtf8((await state.get('known-chains'))!)).toBe(
      `file:/home/me/my shop ${id(1)}\nwss://example.org/garage ${id(2)}\n`,
    )
    expect(await lookUpChain(state, 'file:/home/me/my shop')).toBe(id(1))
    expect(await knownChains(state)).toEqual([
      { place: 'file:/home/me/my shop', chainId: id(1) },
      { place: 'wss://example.org/garage', chainId: id(2) },
    ])
  })

  it('are never replaced, only forgotten', async () => {
    const state = memoryState()
    await addKnownChain(state, 'a', id(1))
    await addKnownChain(state, 'a', id(1))
    expect(await codeOf(() => addKnownChain(state, 'a', id(2)))).toBe('WRONG_CHAIN')
    expect(await lookUpChain(state, 'a')).toBe(id(1))
    await forgetKnownChain(state, 'a')
    await forgetKnownChain(state, 'never there')
    await addKnownChain(state, 'a', id(2))
    expect(await knownChains(state)).toEqual([{ place: 'a', chainId: id(2) }])
  })

  it('may be edited: comments, empty lines and spaces stay', async () => {
    const state = memoryState()
    await state.put('known-chains', utf8(`# ours\r\n\r\n  a \t ${id(1)}  \r\n# end`))
    expect(await lookUpChain(state, 'a')).toBe(id(1))
    await addKnownChain(state, 'b', id(2))
    expect(fromUtf8((await state.get('known-chains'))!)).toBe(`# ours\n\n  a \t ${id(1)}  \n# end\nb ${id(2)}\n`)
    await forgetKnownChain(state, 'a')
    expect(await knownChains(state)).toEqual([{ place: 'b', chainId: id(2) }])
  })

  it('with a line that cannot be read are an error that names the line, and are left as they are', async () => {
    for (const wrong of [`a ${id(1)}x`, `a ${id(1).slice(1)}`, id(1), 'a', `a ${id(1).toUpperCase()}`]) {
      const state = memoryState()
      await state.put('known-chains', utf8(`# one\n${wrong}\n`))
      await expect(lookUpChain(state, 'b')).rejects.toThrow(/^DAMAGED.*line: 2/)
      expect(await codeOf(() => addKnownChain(state, 'b', id(2)))).toBe('DAMAGED')
      expect(await codeOf(() => forgetKnownChain(state, 'b'))).toBe('DAMAGED')
      expect(fromUtf8((await state.get('known-chains'))!)).toBe(`# one\n${wrong}\n`)
    }
    const state = memoryState()
    await state.put('known-chains', Uint8Array.of(0xff))
    expect(await codeOf(() => lookUpChain(state, 'b'))).toBe('DAMAGED')
  })

  it('take no place that would read back otherwise, and no other id', async () => {
    const state = memoryState()
    for (const place of ['', ' a', 'a ', '#a', 'a\nb', 'a\rb', 'a\u2028b', 'a\0', 'x'.repeat(4097)]) {
      expect(await codeOf(() => addKnownChain(state, place, id(1)))).toBe('BAD_ARGUMENT')
    }
    expect(await codeOf(() => addKnownChain(state, 'a', 'x' as ChainId))).toBe('BAD_ID')
    expect(await state.get('known-chains')).toBeUndefined()
  })

  it('are all kept when many are added at once', async () => {
    const state = memoryState()
    const slow = {
      ...state,
      get: async (name: string) => {
        const bytes = await state.get(name)
        await new Promise((resume) => setTimeout(resume, 1))
        return bytes
      },
    }
    await Promise.all(Array.from({ length: 12 }, (_, i) => addKnownChain(slow, `place ${i}`, id(i))))
    expect(await knownChains(state)).toHaveLength(12)
  })

  it('have an end, and let go of the lock after every error', async () => {
    const state = memoryState()
    await state.put('known-chains', utf8(`#${'x'.repeat(STATE_BYTES_MAX - 20)}\n`))
    expect(await codeOf(() => addKnownChain(state, 'a', id(1)))).toBe('STATE_UNWRITABLE')
    expect(await state.lock('known-chains')).toBeDefined()
  })
})
