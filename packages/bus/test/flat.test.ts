/** Items of batches one by one, as an async generator of the same items gives them. */
import { describe, expect, it } from 'vitest'
import { Flat } from '../src/flat.ts'
import { collect } from './kit.ts'

/** What was done with it: how many batches were asked for, and whether it was left. */
function batches(all: readonly (readonly number[])[]): {
  readonly from: AsyncGenerator<readonly number[], void, void>
  readonly seen: { asked: number; left: boolean }
} {
  const seen = { asked: 0, left: false }
  async function* give(): AsyncGenerator<readonly number[], void, void> {
    try {
      for (const batch of all) {
        seen.asked++
        yield batch
      }
    } finally {
      seen.left = true
    }
  }
  return { from: give(), seen }
}

const tens = (item: number): number | Promise<number> | undefined => {
  if (item < 0) return undefined
  if (item === 13) throw new Error('thirteen')
  return item % 2 === 0 ? item * 10 : Promise.resolve(item * 10)
}

describe('flat', () => {
  it('gives what is opened, at once or later, in order, without what is left out', async () => {
    const { from, seen } = batches([[1, 2, -1], [], [-1, -1], [4, 5], []])
    expect(await collect(new Flat(from, tens))).toEqual([10, 20, 40, 50])
    expect(seen).toEqual({ asked: 5, left: true })
  })

  it('reads no batch before it is asked for', async () => {
    const { from, seen } = batches([[2, 4], [6]])
    const flat = new Flat(from, tens)
    expect(seen.asked).toBe(0)
    await flat.next()
    await flat.next()
    expect(seen.asked).toBe(1)
    expect(await flat.next()).toEqual({ done: false, value: 60 })
  })

  it('answers calls in their order, also those that did not wait', async () => {
    const flat = new Flat(batches([[1, 2], [3], [4]]).from, tens)
    const answers = Array.from({ length: 6 }, () => flat.next())
    expect((await Promise.all(answers)).map(({ value }) => value)).toEqual([10, 20, 30, 40, undefined, undefined])
  })

  it('ends with what cannot be opened', async () => {
    for (const given of [[[2, 13, 4]], [[2], [13, 4]]]) {
      const { from, seen } = batches(given)
      const flat = new Flat(from, tens)
      await flat.next()
      const [failed, later] = await Promise.allSettled([flat.next(), flat.next()])
      expect(failed).toMatchObject({ status: 'rejected', reason: { message: 'thirteen' } })
      expect(later).toEqual({ status: 'fulfilled', value: { done: true, value: undefined } })
      expect(seen.left).toBe(true)
    }
  })

  it('says that it is left before what is waited for comes', async () => {
    let leave = (): void => undefined
    const left = new Promise<void>((resolve) => {
      leave = resolve
    })
    async function* waits(): AsyncGenerator<readonly number[], void, void> {
      yield [2]
      await left
    }
    const flat = new Flat(waits(), tens, leave)
    await flat.next()
    const waiting = flat.next()
    expect(await flat.return()).toEqual({ done: true, value: undefined })
    expect(await waiting).toEqual({ done: true, value: undefined })
  })

  it('is left by return and by throw, behind what was asked for', async () => {
    for (const leave of ['return', 'throw'] as const) {
      const { from, seen } = batches([[2, 4]])
      const flat = new Flat(from, tens)
      const first = flat.next()
      const left = leave === 'return' ? flat.return() : flat.throw('enough')
      expect(await first).toEqual({ done: false, value: 20 })
      if (leave === 'throw') await expect(left).rejects.toBe('enough')
      else expect(await left).toEqual({ done: true, value: undefined })
      expect(seen.left).toBe(true)
      expect(await flat.next()).toEqual({ done: true, value: undefined })
    }
  })
})
