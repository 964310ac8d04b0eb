/** Handles: what those of one process share, how they end, barriers, changes and counts. */
import { memoryEngine, memoryStore, openChain } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cache } from '../src/index.ts'
import { codeOf, expectCode, openWorld, person, turns, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

describe('handles and their end', () => {
  it('of one process share what they know', async () => {
    const [c, d] = [world.cache<number>(), world.cache<number>()]
    await c.set('a', 1)
    expect(d.get('a')).toBe(1)
    await c.close()
    await c.close()
    expect(() => c.get('nothing')).toThrow(expect.objectContaining({ code: 'CHAIN_CLOSED' }))
    await expectCode(c.set('a', 2), 'CHAIN_CLOSED')
    expect(d.get('a')).toBe(1)
    await d.set('a', 2)
    await d.close()
    const again = world.cache<number>()
    await again.ready
    expect(again.get('a')).toBe(2)
  })

  it('of other bounds do not fit', async () => {
    await world.cache({ max: 10 }).ready
    await expectCode(world.process().cache({ max: 11 }).ready, 'CACHE_MISMATCH')
    expect(() => world.cache({ max: 11 })).toThrow(expect.objectContaining({ code: 'CACHE_MISMATCH' }))
    world.cache({ max: 5 }, 'unopened')
    expect(() => world.cache({ max: 6 }, 'unopened')).toThrow(expect.objectContaining({ code: 'CACHE_MISMATCH' }))
    // Who gives none leaves them to others, also if he is the first.
    await world.cache({}, 'open').ready
    await world.process().cache({ max: 7 }, 'open').ready
    await expectCode(world.process().cache({ max: 8 }, 'open').ready, 'CACHE_MISMATCH')
    await world.process().cache({ maxBytes: 8000 }, 'open').ready
    const c = world.process().cache<number>()
    await c.configure({ max: 11 })
    await world.process().cache({ max: 11 }).ready
    for (const max of [0, -1, 1.5, Number.NaN])
      expect(() => world.cache({ max }, 'other')).toThrow(/BAD_ARGUMENT|whole/)
  })

  it('end with the chain', async () => {
    const c = world.cache<number>()
    await c.set('a', 1)
    const changes = c.watch()
    await world.chain.close()
    await turns()
    expect((await changes.next()).done).toBe(true)
    expect(() => c.get('a')).toThrow(expect.objectContaining({ code: 'CHAIN_CLOSED' }))
    await expectCode(c.set('a', 2), 'CHAIN_CLOSED')
    await expectCode(c.sync(), 'CHAIN_CLOSED')
    await c.close()
  })

  it('take an open chain and a name', () => {
    expect(() => cache({} as never, 'c')).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
    for (const name of ['', 'x'.repeat(201), 7 as never])
      expect(() => cache(world.chain, name)).toThrow(expect.objectContaining({ code: 'BAD_ARGUMENT' }))
  })
})

describe('barriers', () => {
  it('waitFor holds until a record is here', async () => {
    const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
    const { seq } = await c.set('a', 1)
    await d.waitFor(seq!)
    expect(d.get('a')).toBe(1)
    const stop = new AbortController()
    const waiting = codeOf(d.waitFor(seq! + 1000, { signal: stop.signal }))
    stop.abort(new Error('enough'))
    expect(await waiting).toBe('Error: enough')
    await expectCode(d.waitFor(-1), 'BAD_ARGUMENT')
  })
})

it('tells changes as they come', async () => {
  const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
  await d.ready
  const stop = new AbortController()
  const changes = d.watch({ prefix: 'a', signal: stop.signal })
  await c.set('a1', 1)
  await c.set('b1', 1)
  await c.delete('a1')
  await c.set('a2', 2)
  expect((await changes.next()).value).toEqual({ kind: 'delete', key: '1', value: undefined })
  expect((await changes.next()).value).toEqual({ kind: 'set', key: '2', value: 2 })
  const next = changes.next()
  stop.abort(new Error('enough'))
  await expect(next).rejects.toThrow('enough')
})

it('counts hits, misses and what it holds', async () => {
  const c = world.cache<number>()
  await c.set('a', 1)
  c.get('a')
  c.get('a')
  c.get('b')
  await c.getOrSet('a', () => 2)
  await c.getOrSet('c', () => 2)
  expect(c.stats).toMatchObject({ hits: 3, misses: 2, sets: 1, loads: 1, entries: 2, inMemory: 2, hitRate: 0.6 })
  c.resetStats()
  expect(c.stats).toMatchObject({ hits: 0, misses: 0, entries: 2, hitRate: 0 })
})

it('reads beside a writer, and writes nothing', async () => {
  const store = memoryStore()
  const as = await person()
  const writer = await openChain(memoryEngine(store), { as })
  const c = cache<number>(writer, 'c', { max: 2 })
  await c.set('a', 1)
  const reader = await openChain(memoryEngine(store, { readOnly: true }), { as })
  const d = cache<number>(reader, 'c', { max: 2, maxBytes: 5000 })
  await d.sync()
  expect(d.get('a')).toBe(1)
  await expectCode(d.set('a', 2), 'READ_ONLY')
  await c.set('a', 3)
  await d.sync()
  expect(d.get('a')).toBe(3)
  await Promise.all([writer.close(), reader.close()])
})
