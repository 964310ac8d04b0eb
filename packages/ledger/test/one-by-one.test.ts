/** What comes in batches, one by one: what a caller sees is what an async generator would have given. */
import { describe, expect, it } from 'vitest'
import { OneByOne } from '../src/one-by-one.ts'

interface Source {
  readonly first?: readonly number[]
  readonly fails?: boolean
}

async function* batches(
  log: string[],
  { first = [1, 2], fails = false }: Source,
): AsyncGenerator<readonly number[], void, void> {
  try {
    yield first
    log.push('first taken')
    yield []
    yield [3]
    if (fails) throw new Error('no more of them')
  } catch (error) {
    log.push(String(error))
    throw error
  } finally {
    log.push('left')
  }
}

/** The same by a generator. */
async function* plain(log: string[], source: Source = {}): AsyncGenerator<number, void, void> {
  for await (const batch of batches(log, source)) for (const one of batch) yield one
}

const KINDS = [
  ['one by one', (log: string[], source: Source = {}) => new OneByOne(batches(log, source))],
  ['a generator', plain],
] as const

describe.each(KINDS)('%s', (kind, open) => {
  it('gives all in their order, and then says for good that it is over', async () => {
    const log: string[] = []
    const numbers = open(log)
    const given: number[] = []
    for await (const number of numbers) given.push(number)
    expect(given).toEqual([1, 2, 3])
    expect([await numbers.next(), await numbers.next()]).toEqual([
      { value: undefined, done: true },
      { value: undefined, done: true },
    ])
    expect(log).toEqual(['first taken', 'left'])
  })

  it('asked for more before an answer came, answers in the order of asking', async () => {
    const numbers = open([])
    const order: number[] = []
    const answers = Array.from({ length: 5 }, (_, i) =>
      numbers.next().then((answer) => {
        order.push(i)
        return answer.value
      }),
    )
    expect(await Promise.all(answers)).toEqual([1, 2, 3, undefined, undefined])
    expect(order).toEqual([0, 1, 2, 3, 4])
  })

  it('asked again while others wait for their answers, answers those first', async () => {
    const numbers = open([], { first: [1, 2, 3, 4, 5] })
    const asked = Array.from({ length: 4 }, () => numbers.next())
    const later = asked[0]!.then(() => numbers.next())
    const answers = await Promise.all([...asked, later])
    expect(answers.map(({ value }) => value)).toEqual([1, 2, 3, 4, 5])
  })

  it('takes no batch in before the one before it was given', async () => {
    const log: string[] = []
    const numbers = open(log)
    await numbers.next()
    await numbers.next()
    expect(log).toEqual([])
    await numbers.next()
    expect(log).toEqual(['first taken'])
  })

  it('left in the middle, it leaves its source, and is over', async () => {
    const log: string[] = []
    const numbers = open(log)
    for await (const number of numbers) if (number === 1) break
    expect(log).toEqual(['left'])
    expect(await numbers.next()).toEqual({ value: undefined, done: true })
    const scoped = open(log)
    await scoped.next()
    await scoped[Symbol.asyncDispose]()
    expect(log).toEqual(['left', 'left'])
  })

  it('left while it is asked, it answers first', async () => {
    const numbers = open([])
    const answers = await Promise.all([numbers.next(), numbers.return(), numbers.next()])
    expect(answers).toEqual([
      { value: 1, done: false },
      { value: undefined, done: true },
      { value: undefined, done: true },
    ])
  })

  it('fails where its source does, and is over', async () => {
    const numbers = open([], { fails: true })
    const given: number[] = []
    const run = async (): Promise<void> => {
      for await (const number of numbers) given.push(number)
    }
    await expect(run()).rejects.toThrow('no more of them')
    expect(given).toEqual([1, 2, 3])
    expect(await numbers.next()).toEqual({ value: undefined, done: true })
  })

  it('what is thrown into it reaches its source', async () => {
    const log: string[] = []
    const numbers = open(log)
    await numbers.next()
    await expect(numbers.throw(new Error('thrown in'))).rejects.toThrow('thrown in')
    // A generator over another one only leaves that.
    expect(log).toEqual(kind === 'a generator' ? ['left'] : ['Error: thrown in', 'left'])
    expect(await numbers.next()).toEqual({ value: undefined, done: true })
  })
})
