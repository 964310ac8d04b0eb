/** getOrSet: one loader for all, what may be served meanwhile, and what wins over a loader that is late. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Cache, LoadContext } from '../src/index.ts'
import { codeOf, type Deferred, deferred, expectCode, openWorld, turns, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

/** A loader that ends when the test says so. */
class Source {
  calls = 0
  contexts: LoadContext<number>[] = []
  gates: Deferred<number | undefined>[] = []
  readonly load = (context: LoadContext<number>): Promise<number> => {
    this.calls++
    this.contexts.push(context)
    const gate = deferred<number | undefined>()
    this.gates.push(gate)
    return gate.promise as Promise<number>
  }
  async called(times: number): Promise<void> {
    for (let i = 0; i < 200 && this.calls < times; i++) await turns(1)
    expect(this.calls).toBe(times)
  }
}

describe('a stampede', () => {
  it('in one process runs one loader', async () => {
    const c = world.cache<number>()
    const source = new Source()
    const all = Array.from({ length: 100 }, () => c.getOrSet('a', source.load))
    await source.called(1)
    source.gates[0]!.resolve(7)
    expect(new Set(await Promise.all(all))).toEqual(new Set([7]))
    expect(c.get('a')).toBe(7)
    expect(c.stats).toMatchObject({ loads: 1, loadsShared: 99 })
  })

  it('of a whole fleet runs one loader a key', async () => {
    const fleet = Array.from({ length: 12 }, () => world.process().cache<number>())
    let calls = 0
    const load = async ({ key }: LoadContext<number>): Promise<number> => {
      calls++
      await turns(5)
      return key.length
    }
    const keys = ['a', 'bb', 'ccc']
    const all = fleet.flatMap((c) => keys.flatMap((key) => [c.getOrSet(key, load), c.getOrSet(key, load)]))
    expect(await Promise.all(all)).toEqual(fleet.flatMap(() => [1, 1, 2, 2, 3, 3]))
    expect(calls).toBe(3)
  })

  it('without the lease runs one in each process', async () => {
    const fleet = Array.from({ length: 4 }, () => world.process().cache<number>())
    const source = new Source()
    const all = fleet.map((c) => c.getOrSet('a', source.load, { flight: 'process' }))
    await source.called(4)
    for (const gate of source.gates) gate.resolve(1)
    await Promise.all(all)
  })

  it('goes on when who loads has died', async () => {
    const first = world.process()
    const second = world.process()
    const source = new Source()
    const lost = first.cache<number>().getOrSet('a', source.load)
    lost.catch(() => undefined)
    await source.called(1)
    first.kill()
    const found = second.cache<number>().getOrSet('a', source.load)
    await world.pass(9000, 500)
    expect(source.calls).toBe(1)
    await world.pass(2000, 500)
    await source.called(2)
    source.gates[1]!.resolve(2)
    expect(await found).toBe(2)
  })

  it('does not take a lease over from a loader that is slow and alive', async () => {
    const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
    const source = new Source()
    const all = [c.getOrSet('a', source.load), d.getOrSet('a', source.load)]
    await source.called(1)
    await world.pass(60_000, 500)
    expect(source.calls).toBe(1)
    source.gates[0]!.resolve(1)
    expect(await Promise.all(all)).toEqual([1, 1])
  })
})

describe('what comes while a value is loaded', () => {
  async function both(run: (c: Cache<number>, other: Cache<number>) => Promise<unknown>, load?: { tags: string[] }) {
    const results: (number | undefined)[] = []
    for (const [c, other] of [
      [world.cache<number>({}, 'own'), world.cache<number>({}, 'own')],
      [world.process().cache<number>(), world.process().cache<number>()],
    ] as const) {
      await Promise.all([c.ready, other.ready])
      const source = new Source()
      const loaded = c.getOrSet('a', source.load, load)
      await source.called(1)
      await run(c, other)
      source.gates[0]!.resolve(1)
      results.push(await loaded)
      await Promise.all([c.sync(), other.sync()])
      expect(c.get('a')).toBe(other.get('a'))
      results.push(c.get('a'))
    }
    return results
  }

  it('a delete: it is given to who waited, and not kept', async () => {
    expect(await both((_, other) => other.delete('a'))).toEqual([1, undefined, 1, undefined])
  })

  it('a set: the newer one stays', async () => {
    expect((await both((_, other) => other.set('a', 2))).filter((_, i) => i % 2 === 1)).toEqual([2, 2])
  })

  it('an invalidation of its tag, or of a prefix: it is void', async () => {
    const tags = { tags: ['t'] }
    expect(await both((_, other) => other.invalidate({ tags: ['t'] }), tags)).toEqual([1, undefined, 1, undefined])
    expect(await both((_, other) => other.clear())).toEqual([1, undefined, 1, undefined])
  })

  it('who asks behind a delete does not join the old loader', async () => {
    const c = world.cache<number>()
    const source = new Source()
    const old = c.getOrSet('a', source.load)
    await source.called(1)
    await c.delete('a')
    const now = c.getOrSet('a', source.load)
    await source.called(2)
    source.gates[1]!.resolve(2)
    source.gates[0]!.resolve(1)
    expect(await Promise.all([old, now])).toEqual([1, 2])
    expect(c.get('a')).toBe(2)
  })
})

describe('stale while revalidate', () => {
  it('gives what is there, and loads it once behind it', async () => {
    for (const c of [world.cache<number>({}, 'own'), world.process().cache<number>()]) {
      const source = new Source()
      await c.set('a', 1, { ttl: '1s', swr: '1h' })
      world.platform.advance(1500)
      expect(c.get('a')).toBeUndefined()
      expect(c.entry('a')).toMatchObject({ state: 'stale', value: 1 })
      const options = { ttl: '1s', swr: '1h' } as const
      expect(await c.getOrSet('a', source.load, options)).toBe(1)
      expect(await c.getOrSet('a', source.load, options)).toBe(1)
      await source.called(1)
      expect(source.contexts[0]?.stale).toBe(1)
      source.gates[0]!.resolve(2)
      await turns()
      expect(await c.getOrSet('a', source.load, options)).toBe(2)
      expect(source.calls).toBe(1)
      expect(c.stats.staleHits).toBe(2)
    }
  })

  it('behind its window waits', async () => {
    const c = world.cache<number>()
    await c.set('a', 1, { ttl: '1s', swr: '1s' })
    world.platform.advance(2500)
    expect(await c.getOrSet('a', () => 2)).toBe(2)
  })

  it('tells of a refresh that failed', async () => {
    const seen: unknown[] = []
    const c = world.cache<number>({ observe: ({ kind, key, error }) => seen.push([kind, key, String(error)]) })
    await c.set('a', 1, { ttl: '1s', swr: '1h' })
    world.platform.advance(1500)
    expect(await c.getOrSet('a', () => Promise.reject(new Error('down')))).toBe(1)
    await turns()
    expect(seen).toEqual([['refresh failed', 'a', 'Error: down']])
    expect(c.stats).toMatchObject({ loads: 1, loadsFailed: 1 })
  })
})

describe('loaders that fail', () => {
  it('fail their callers with their own error, and nothing is kept', async () => {
    for (const c of [world.cache<number>({}, 'own'), world.process().cache<number>()]) {
      const failing = (): Promise<number> => Promise.reject(new Error('down'))
      await expect(Promise.all([c.getOrSet('a', failing), c.getOrSet('a', failing)])).rejects.toThrow('down')
      await turns()
      expect(await c.getOrSet('a', () => 1)).toBe(1)
    }
  })

  it('let others try at once', async () => {
    const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
    const source = new Source()
    const first = c.getOrSet('a', source.load)
    await source.called(1)
    const second = d.getOrSet('a', source.load)
    source.gates[0]!.reject(new Error('down'))
    await expect(first).rejects.toThrow('down')
    await source.called(2)
    source.gates[1]!.resolve(2)
    expect(await second).toBe(2)
  })

  it('are covered by staleIfError, as long as that lasts', async () => {
    const c = world.cache<number>()
    const failing = (): Promise<number> => Promise.reject(new Error('down'))
    await c.set('a', 1, { ttl: '1s', staleIfError: '10s' })
    world.platform.advance(5000)
    expect(await c.getOrSet('a', failing)).toBe(1)
    world.platform.advance(7000)
    await expect(c.getOrSet('a', failing)).rejects.toThrow('down')
  })

  it('have their time', async () => {
    const c = world.cache<number>()
    const source = new Source()
    const loaded = codeOf(c.getOrSet('a', source.load, { timeout: '1s' }))
    await source.called(1)
    world.platform.advance(1001)
    expect(await loaded).toBe('LOAD_TIMEOUT')
    expect(source.contexts[0]?.signal.aborted).toBe(true)
    await c.set('a', 1, { ttl: '1s', staleIfError: '1h' })
    world.platform.advance(1500)
    const stale = c.getOrSet('a', source.load, { timeout: '1s' })
    await source.called(2)
    world.platform.advance(1001)
    expect(await stale).toBe(1)
  })

  it('end with their last caller', async () => {
    const c = world.cache<number>()
    const source = new Source()
    const [one, two] = [new AbortController(), new AbortController()]
    const first = codeOf(c.getOrSet('a', source.load, { signal: one.signal }))
    const second = codeOf(c.getOrSet('a', source.load, { signal: two.signal }))
    await source.called(1)
    one.abort(new Error('first'))
    expect(await first).toBe('Error: first')
    expect(source.contexts[0]?.signal.aborted).toBe(false)
    two.abort(new Error('second'))
    expect(await second).toBe('Error: second')
    expect(source.contexts[0]?.signal.aborted).toBe(true)
    await expectCode(c.getOrSet('a', source.load, { signal: two.signal }), 'Error: second' as never)
  })

  it('end with the cache', async () => {
    const c = world.cache<number>()
    const source = new Source()
    const loaded = codeOf(c.getOrSet('a', source.load))
    await source.called(1)
    await c.close()
    expect(await loaded).toBe('CHAIN_CLOSED')
    expect(source.contexts[0]?.signal.aborted).toBe(true)
  })
})

describe('what a loader does not find', () => {
  it('is kept as long as negativeTtl says', async () => {
    const c = world.cache<number>()
    let calls = 0
    const load = (): number | undefined => {
      calls++
      return undefined
    }
    expect(await c.getOrSet('a', load)).toBeUndefined()
    expect(await c.getOrSet('a', load)).toBeUndefined()
    expect(calls).toBe(2)
    expect(await c.getOrSet('a', load, { negativeTtl: '5s' })).toBeUndefined()
    expect(await c.getOrSet('a', load)).toBeUndefined()
    expect(calls).toBe(3)
    expect([c.get('a'), c.has('a'), c.entry('a')?.state, [...c.keys()]]).toEqual([undefined, false, 'negative', []])
    expect(await c.delete('a')).toBe(false)
    world.platform.advance(1)
    expect(await c.getOrSet('a', load, { negativeTtl: '5s' })).toBeUndefined()
    world.platform.advance(5001)
    expect(await c.getOrSet('a', () => 1)).toBe(1)
  })
})

it('fresh loads whatever is there', async () => {
  const c = world.cache<number>()
  await c.set('a', 1)
  expect(await c.getOrSet('a', () => 2, { fresh: true })).toBe(2)
  expect(c.get('a')).toBe(2)
})

it('refuses what is no option', async () => {
  const c = world.cache<number>()
  await expectCode(c.getOrSet('a', 7 as never), 'BAD_ARGUMENT')
  await expectCode(
    c.getOrSet('a', () => 1, { flight: 'x' as never }),
    'BAD_ARGUMENT',
  )
  await expectCode(
    c.getOrSet('a', () => 1, { ttl: -1 }),
    'BAD_ARGUMENT',
  )
  await expectCode(c.set('a', 1, { sliding: true }), 'BAD_ARGUMENT')
  await expectCode(c.set('a', 1, { tags: [''] }), 'BAD_ARGUMENT')
  await expectCode(c.set('a', 1, { if: 'x' as never }), 'BAD_ARGUMENT')
  await expectCode(c.invalidate({}), 'BAD_ARGUMENT')
})
