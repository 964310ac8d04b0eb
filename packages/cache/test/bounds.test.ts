/**
 * Bounds: the least recently used go, in memory and in the chain, and the heap stays where it is however many keys come.
 * ATE_CACHE_KEYS sets how many (a million in the long run).
 */
import { memoryEngine, memoryStore, openChain } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { cache } from '../src/index.ts'
import { type Deferred, deferred, openWorld, person, storedCount, turns, type World } from './kit.ts'

const KEYS = Number(process.env['ATE_CACHE_KEYS'] ?? 20_000)

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

it('of a full cache the least recently used goes', async () => {
  const c = world.cache<number>({ max: 3 })
  for (const key of ['a', 'b', 'c']) await c.set(key, 1)
  c.get('a')
  c.has('b') // looking is no use
  await c.set('d', 1)
  await world.pass(500)
  expect([...c.keys()].sort()).toEqual(['a', 'c', 'd'])
  expect(await storedCount(c)).toBe(3)
  await c.getOrSet('c', () => 2)
  await c.set('e', 1)
  await world.pass(500)
  expect([...c.keys()].sort()).toEqual(['c', 'd', 'e'])
  expect(c.stats.evicted).toBe(2)
})

it('by bytes, of entries in other processes too', async () => {
  const [c, d] = [world.process().cache<string>({ maxBytes: 10_000 }), world.process().cache<string>()]
  await d.ready
  for (let i = 0; i < 40; i++) await c.set(`k${i}`, 'x'.repeat(1000))
  await world.pass(1000)
  await Promise.all([c.sync(), d.sync()])
  for (const one of [c, d]) {
    expect(one.stats.bytes).toBeLessThanOrEqual(10_000)
    expect(one.stats.entries).toBe(9)
    expect(one.get('k39')?.length).toBe(1000)
  }
  expect(await storedCount(c as never)).toBe(9)
})

it('what is written between the choice and the commit of a drop stays', async () => {
  const failed: unknown[] = []
  const { chain, environment } = world.process()
  let held: Deferred<void> | undefined
  const gated = new Proxy(chain, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (property !== 'transact') return value
      return async (...args: unknown[]) => {
        await held?.promise
        return (value as (...given: unknown[]) => unknown)(...args)
      }
    },
  })
  const c = cache<number>(gated, 'c', { max: 2, observe: (what) => failed.push(what) }, environment)
  const d = world.process().cache<number>()
  await Promise.all([c.ready, d.ready])
  for (const key of ['a', 'b', 'x']) await c.set(key, 1)
  held = deferred()
  await turns() // it has chosen the oldest, a
  await d.set('a', 9)
  held.resolve()
  await world.pass(5000, 500)
  await Promise.all([c.sync(), d.sync()])
  expect([c.get('a'), d.get('a')]).toEqual([9, 9])
  expect(await storedCount(c)).toBe(2)
  expect(failed).toEqual([])
})

it('what a writer leaves that is gone is dropped by others', async () => {
  const gone = world.process()
  const [c, d] = [world.process().cache<number>({ max: 5 }), gone.cache<number>()]
  await Promise.all([c.ready, d.ready])
  await Promise.all(Array.from({ length: 9 }, (_, i) => d.set(`k${i}`, i)))
  gone.kill()
  await world.pass(5000, 500)
  expect(c.stats.entries).toBe(5)
  expect(await storedCount(c)).toBe(5)
})

it('an entry larger than the bound does not stay', async () => {
  const c = world.cache<string>({ maxBytes: 1000 })
  await c.set('a', 'x'.repeat(2000))
  await world.pass(500)
  expect(c.stats).toMatchObject({ entries: 0, bytes: 0 })
})

it('what was written again since is not dropped', async () => {
  const [c, d] = [world.process().cache<number>({ max: 5 }), world.process().cache<number>()]
  await d.ready
  for (let round = 0; round < 8; round++) {
    await Promise.all([
      ...Array.from({ length: 6 }, (_, i) => c.set(`k${round}-${i}`, i)),
      d.set(`k${round}-0`, 100 + round),
    ])
    await world.pass(4000, 500)
    await Promise.all([c.sync(), d.sync()])
    const values = [c, d].map((one) => one.get(`k${round}-0`))
    expect(values[0]).toBe(values[1])
    expect(c.stats.entries).toBeLessThanOrEqual(5)
    expect(await storedCount(c)).toBe(c.stats.entries)
  }
})

it('memory holds fewer values than the cache has entries: fetch reads the others', async () => {
  const c = world.cache<{ i: number }>({ memory: { max: 10 } })
  await c.setMany(Array.from({ length: 100 }, (_, i) => [`k${i}`, { i }] as const))
  expect(c.stats).toMatchObject({ entries: 100, inMemory: 10 })
  expect([c.get('k0'), c.has('k0'), c.entry('k0')?.state]).toEqual([undefined, true, 'dropped'])
  expect(await c.fetch('k0')).toEqual({ i: 0 })
  expect(c.get('k0')).toEqual({ i: 0 })
  let calls = 0
  const load = (): { i: number } => ({ i: ++calls })
  expect(await c.getOrSet('k1', load)).toEqual({ i: 1 })
  expect(calls).toBe(0)
  expect(c.stats.inMemory).toBe(10)
  await c.set('k2', { i: 22 })
  expect(c.get('k2')).toEqual({ i: 22 })
  expect(await c.delete('k3')).toBe(true)
  expect(await c.fetch('k3')).toBeUndefined()
})

it('of values that were dropped the entries go first', async () => {
  const c = world.cache<number>({ max: 4, memory: { max: 2 } })
  for (const key of ['a', 'b', 'c', 'd']) await c.set(key, 1)
  expect(await c.fetch('a')).toBe(1) // a and d are in memory
  await c.set('e', 1)
  await world.pass(500)
  expect([...c.keys()].sort()).toEqual(['a', 'c', 'd', 'e'])
})

it(`${KEYS} keys through a cache of 1,000: it stays at its bound`, async () => {
  const chain = await openChain('memory:', { as: await person() })
  const c = cache<number>(chain, 'c', { max: 1000 })
  let most = 0
  for (let at = 0; at < KEYS; at += 500) {
    await Promise.all(Array.from({ length: 500 }, (_, i) => c.set(`k${at + i}`, at + i)))
    most = Math.max(most, c.stats.entries)
  }
  // Who writes faster than it is dropped waits: see upkeep.
  expect(most).toBeLessThanOrEqual(1000 + 1000 + 500)
  for (let i = 0; i < 100 && c.stats.entries > 1000; i++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(c.stats.entries).toBeLessThanOrEqual(1000)
  expect(c.get(`k${KEYS - 1}`)).toBe(KEYS - 1)
  expect(await storedCount(c)).toBe(c.stats.entries)
  expect(c.stats.evicted).toBe(KEYS - c.stats.entries)
  await chain.close()
}, 3_600_000)

it('after a restart as many are there as may be', async () => {
  const store = memoryStore()
  const as = await person()
  const first = await openChain(memoryEngine(store), { as })
  const before = cache<number>(first, 'c', { max: 50 })
  await before.setMany(Array.from({ length: 50 }, (_, i) => [`k${i}`, i] as const))
  await before.configure({ max: 20 })
  await first.close()
  const second = await openChain(memoryEngine(store), { as })
  const after = cache<number>(second, 'c')
  await after.ready
  for (let i = 0; i < 100 && after.stats.entries > 20; i++) await new Promise((resolve) => setTimeout(resolve, 20))
  expect(after.stats.entries).toBe(20)
  expect(await storedCount(after)).toBe(20)
  await second.close()
})
