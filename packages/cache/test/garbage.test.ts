/** What somebody who may write puts under the cache's types that is no value of them: the cache does without it, and is told. */
import { inspect } from 'node:util'
import { defineType } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { EntryRecord, GenerationRecord, IN, PrefixRecord, SlotRecord, TagRecord } from '../src/cache-records.ts'
import type { CacheObservation } from '../src/index.ts'
import { expectCode, openWorld, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

const GARBAGE: readonly unknown[] = [null, 5, 'x', [], [1], { v: 1, x: 5n, w: 5, t: 7, n: 'a', rows: 5 }]

/** Writes them as somebody does who knows no shapes: over those that are there, and beside them. */
async function spoil(type: { readonly name: string }, collection: string, value: unknown): Promise<void> {
  const { chain } = world
  const any = defineType<unknown>(type.name)
  const parent = await world.cache().node()
  await chain.transact(async (tx) => {
    for (const id of chain.children(any, parent, collection).ids()) await tx.update(any, id, () => value)
    tx.create(any, value, { parent, in: collection, name: 'odd' })
    tx.create(any, value, { parent, in: collection })
  })
}

describe.each(GARBAGE.map((value) => [inspect(value), value]))('%s', (_, value) => {
  it('as an entry: it is not there, is told of, and is set, loaded, counted and deleted as one that is not there', async () => {
    const before = world.cache<number>()
    await before.setMany(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => [key, 1, { tags: ['t'], ttl: '1h', swr: '1h' }]))
    const told: CacheObservation[] = []
    await spoil(EntryRecord, IN.entries, value)
    const seen = world.process().cache<number>({ observe: (one) => told.push(one) })
    await seen.sync()
    await before.sync()
    for (const cache of [before, seen]) {
      expect(cache.get('a')).toBeUndefined()
      expect(await cache.fetch('a')).toBeUndefined()
      expect([...cache.keys()]).toEqual([])
    }
    expect(told.map(({ kind }) => kind)).toContain('bad value')
    await seen.set('a', 2)
    expect(await seen.getOrSet('b', () => 3)).toBe(3)
    expect(await seen.incr('c')).toBe(1)
    expect(await seen.delete('d')).toBe(false)
    expect(await seen.touch('e')).toBe(false)
    await seen.set('f', 4, { if: 'absent' })
    const later = world.process().cache<number>()
    await later.sync()
    expect(later.getMany(['a', 'b', 'c', 'd', 'e', 'f'])).toEqual([2, 3, 1, undefined, undefined, 4])
    await world.pass(10_000, 1000)
    await before.sync()
  })

  it('as what invalidates: what comes behind it invalidates all the same', async () => {
    const before = world.cache<number>()
    await before.invalidate({ tags: ['t'], prefix: 'p' })
    await before.set('x', 1, { tags: ['t'] })
    for (const [type, collection] of [
      [TagRecord, IN.tags],
      [PrefixRecord, IN.prefixes],
      [GenerationRecord, IN.generation],
    ] as const)
      await spoil(type, collection, value === 5 ? 'x' : value)
    const seen = world.process().cache<number>()
    await seen.sync()
    expect(seen.get('x')).toBe(1)
    await seen.invalidate({ tags: ['t'] })
    await before.sync()
    expect([seen.get('x'), before.get('x')]).toEqual([undefined, undefined])
  })

  it('as a lock: whoever held it has lost it, and fences go on', async () => {
    const [first, second] = [world.process().cache(), world.process().cache()]
    const lock = await first.lock('k')
    await spoil(SlotRecord, IN.locks, value)
    await expectCode(
      world.chain.transact((tx) => lock.guard(tx)),
      'LEASE_LOST',
    )
    const next = await second.lock('k')
    expect(next.fence).toBeGreaterThan(lock.fence)
    await next.release()
  })
})

it('a cache that is stored as something else says so', async () => {
  await world.chain.transact((tx) => void tx.put(defineType<unknown>('cache'), 'c', null, { in: IN.caches }))
  await expectCode(world.cache().ready, 'BAD_VALUE')
})
