/** The verbs of one handle, and of two in one process: what is read after what was written. */
import { AteError } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { cache } from '../src/index.ts'
import { codeOf, expectCode, openWorld, storedCount, turns, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

describe('get, set, delete', () => {
  it('reads what it wrote, at once', async () => {
    const c = world.cache<{ n: number }>()
    expect(c.get('a')).toBeUndefined()
    const { seq, version } = await c.set('a', { n: 1 })
    expect(c.get('a')).toEqual({ n: 1 })
    expect([c.has('a'), c.has('b')]).toEqual([true, false])
    expect(c.entry('a')).toMatchObject({ key: 'a', value: { n: 1 }, state: 'fresh', version, seq, tags: [] })
    await c.set('a', { n: 2 })
    expect(c.get('a')).toEqual({ n: 2 })
    expect(await c.delete('a')).toBe(true)
    expect([c.get('a'), c.has('a'), c.entry('a')]).toEqual([undefined, false, undefined])
    expect(await c.delete('a')).toBe(false)
    await c.set('a', { n: 3 })
    expect(c.get('a')).toEqual({ n: 3 })
    expect(c.entry('a')?.version).toBe(4)
  })

  it('takes any text as key, within its limit', async () => {
    const c = world.cache<number>()
    for (const key of ['', '.', '__proto__', 'ate:x', 'ключ', '😀', 'x'.repeat(511)]) {
      await c.set(key, 1)
      expect(c.get(key)).toBe(1)
      expect(await c.fetch(key)).toBe(1)
    }
    await expectCode(c.set('x'.repeat(512), 1), 'BAD_ARGUMENT')
    await expectCode(c.set('a', 1, { tags: 'abc' as never }), 'BAD_ARGUMENT')
    await expectCode(c.setMany({ x: 1 } as never), 'BAD_ARGUMENT')
    await expectCode(c.deleteMany('ab'), 'BAD_ARGUMENT')
    await expectCode(c.invalidate({ tags: 'abc' as never }), 'BAD_ARGUMENT')
    await expectCode(c.set('ü'.repeat(256), 1), 'BAD_ARGUMENT')
    await expectCode(c.set(7 as never, 1), 'BAD_ARGUMENT')
  })

  it('keeps a copy: nobody changes what others read', async () => {
    const c = world.cache<{ list: number[]; bytes: Uint8Array }>()
    const value = { list: [1], bytes: Uint8Array.of(1) }
    await c.set('a', value)
    value.list.push(2)
    value.bytes[0] = 9
    expect(c.get('a')).toEqual({ list: [1], bytes: Uint8Array.of(1) })
    expect(() => c.get('a')!.list.push(3)).toThrow(TypeError)
  })

  it('refuses what the chain cannot store, and leaves what was there', async () => {
    const c = world.cache<unknown>()
    await c.set('a', 1)
    const self: unknown[] = []
    self.push(self)
    for (const bad of [() => 1, new Map(), Symbol('x'), self, [undefined], { a: new (class A {})() }])
      await expectCode(c.set('a', bad), 'BAD_VALUE')
    await expectCode(c.set('a', undefined), 'BAD_ARGUMENT')
    await expectCode(c.set('a', new Uint8Array(900 * 1024)), 'VALUE_TOO_LARGE')
    expect(c.get('a')).toBe(1)
  })

  it('sets of one turn share a record, and each has its own answer', async () => {
    const c = world.cache<number>()
    await c.set('a', 0)
    const [first, other, second] = await Promise.all([c.set('a', 1), c.set('b', 2), c.set('a', 3)])
    expect([first.version, other.version, second.version]).toEqual([2, 1, 3])
    expect(new Set([first.seq, other.seq, second.seq]).size).toBe(1)
    expect(c.getMany(['a', 'b'])).toEqual([3, 2])
    await c.set('b', 0, { if: 1 })
    const codes = await Promise.all([codeOf(c.set('a', 5)), codeOf(c.set('b', 5, { if: 1 })), codeOf(c.set('c', 5))])
    expect(codes).toEqual(['nothing was thrown', 'CAS_MISMATCH', 'nothing was thrown'])
    expect(c.getMany(['a', 'b', 'c'])).toEqual([5, 0, 5])
  })

  it('sets that do not fit into one record go into several', async () => {
    const c = world.cache<number>()
    const tags = (i: number) => Array.from({ length: 64 }, (_, j) => `${i}-${j}`.padEnd(128, '.'))
    const all = await Promise.all(Array.from({ length: 150 }, (_, i) => c.set(`k${i}`, i, { tags: tags(i) })))
    expect(new Set(all.map(({ seq }) => seq)).size).toBe(2)
    expect(c.getMany(['k0', 'k149'])).toEqual([0, 149])
  })

  it('works on many at a time', async () => {
    const c = world.cache<number>()
    const { seq } = await c.setMany(Array.from({ length: 2500 }, (_, i) => [`k${i}`, i] as const))
    expect(c.getMany(['k0', 'nothing', 'k2499'])).toEqual([0, undefined, 2499])
    expect(seq).toBeLessThan(40)
    expect([...c.keys('k249')].sort()).toEqual(['k249', ...Array.from({ length: 10 }, (_, i) => `k249${i}`)])
    await c.setMany([
      ['twice', 1],
      ['twice', 2],
    ])
    expect(c.get('twice')).toBe(2)
    expect(await c.deleteMany(['k1', 'nothing', 'k2'])).toEqual([true, false, true])
    expect(c.getMany(['k1', 'k2', 'k3'])).toEqual([undefined, undefined, 3])
    expect(c.stats.entries).toBe(2499)
  })

  it('of large values, many commits', async () => {
    const c = world.cache<string>()
    const text = 'ä'.repeat(150_000)
    await c.setMany(Array.from({ length: 8 }, (_, i) => [`k${i}`, text] as const))
    expect(c.getMany(['k0', 'k7']).map((value) => value?.length)).toEqual([150_000, 150_000])
  })
})

describe('compare and set', () => {
  it('sets only what is as it was seen', async () => {
    const c = world.cache<number>()
    expect(await codeOf(c.set('a', 1, { if: 'absent' }))).toBe('nothing was thrown')
    await expectCode(c.set('a', 2, { if: 'absent' }), 'CAS_MISMATCH')
    const { version } = c.entry('a')!
    await c.set('a', 2, { if: version })
    await expectCode(c.set('a', 3, { if: version }), 'CAS_MISMATCH')
    await c.delete('a')
    await expectCode(c.set('a', 3, { if: version + 1 }), 'CAS_MISMATCH')
    await c.set('a', 4, { if: 'absent' })
    expect(c.get('a')).toBe(4)
  })

  it('of many who try at once, one succeeds', async () => {
    const handles = Array.from({ length: 8 }, () => world.process().cache<number>())
    const codes = await Promise.all(handles.map((c, i) => codeOf(c.set('a', i, { if: 'absent' }))))
    expect(codes.filter((code) => code === 'nothing was thrown')).toHaveLength(1)
    expect(codes.filter((code) => code === 'CAS_MISMATCH')).toHaveLength(7)
  })

  it('an entry whose time is over is absent', async () => {
    const c = world.cache<number>()
    await c.set('a', 1, { ttl: 1000 })
    world.platform.advance(1001)
    await c.set('a', 2, { if: 'absent' })
    expect(c.get('a')).toBe(2)
  })
})

describe('in a transaction', () => {
  it('is seen as soon as that has committed, and not before', async () => {
    const c = world.cache<number>()
    await c.set('a', 1)
    await c.set('gone', 1, { tags: ['t'] })
    await c.set('tagged', 1, { tags: ['t'] })
    const seen = await world.chain.transact(async (tx) => {
      expect(await c.set('a', 2, { tx })).toMatchObject({ seq: undefined, version: 2 })
      expect(await c.delete('gone', { tx })).toBe(true)
      await c.invalidate({ tags: ['t'], tx })
      return c.getMany(['a', 'gone', 'tagged'])
    })
    expect(seen).toEqual([1, 1, 1])
    expect(c.getMany(['a', 'gone', 'tagged'])).toEqual([2, undefined, undefined])
  })

  it('leaves no trace if that fails', async () => {
    const c = world.cache<number>()
    await c.set('a', 1)
    const failed = world.chain.transact(async (tx) => {
      await c.set('a', 2, { tx })
      await c.setMany([['b', 2]], { tx })
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    await c.set('other', 1)
    await turns()
    expect(c.getMany(['a', 'b', 'other'])).toEqual([1, undefined, 1])
  })

  it('what is set behind an invalidation in it is of its time', async () => {
    const c = world.cache<number>()
    await world.chain.transact(async (tx) => {
      await c.invalidate({ tags: ['t'], prefix: 'a', tx })
      await c.set('a1', 1, { tags: ['t'], tx })
    })
    expect(c.get('a1')).toBe(1)
    expect(await world.process().cache<number>().fetch('a1')).toBe(1)
  })

  it('makes an entry anew that was deleted before in it, or by somebody else meanwhile', async () => {
    const c = world.cache<number>()
    await c.setMany([
      ['a', 1],
      ['b', 1],
    ])
    await world.chain.transact(async (tx) => {
      await c.delete('a', { tx })
      await c.set('a', 2, { tx })
    })
    expect(c.get('a')).toBe(2)
    const gone = world.process().cache<number>().delete('b')
    await c.set('b', 2)
    await gone
    await c.set('b', 3)
    await turns()
    expect(c.get('b')).toBe(3)
    const other = world.process().cache<number>()
    expect([await other.fetch('a'), await other.fetch('b')]).toEqual([2, 3])
  })

  it('cannot bring back what was deleted behind it', async () => {
    const c = world.cache<number>()
    const other = world.process().cache<number>()
    await world.chain.transact((tx) => c.set('a', 1, { tx }))
    await other.delete('a')
    await turns()
    expect(c.get('a')).toBeUndefined()
  })
})

describe('invalidation', () => {
  it('by tag: what has one of them', async () => {
    const c = world.cache<number>()
    await c.set('a', 1, { tags: ['x', 'y'] })
    await c.set('b', 2, { tags: ['y'] })
    await c.set('c', 3)
    await c.invalidate({ tags: ['x'] })
    expect(c.getMany(['a', 'b', 'c'])).toEqual([undefined, 2, 3])
    await c.set('a', 4, { tags: ['x'] })
    expect(c.get('a')).toBe(4)
    await c.invalidate({ tags: ['x', 'y'] })
    expect(c.getMany(['a', 'b', 'c'])).toEqual([undefined, undefined, 3])
  })

  it('by prefix, and everything', async () => {
    const c = world.cache<number>()
    await c.setMany(['a1', 'a2', 'b1'].map((key) => [key, 1] as const))
    await c.invalidate({ prefix: 'a' })
    expect(c.getMany(['a1', 'a2', 'b1'])).toEqual([undefined, undefined, 1])
    await c.set('a1', 2)
    expect(c.get('a1')).toBe(2)
    await c.clear()
    expect(c.getMany(['a1', 'b1'])).toEqual([undefined, undefined])
    await c.set('b1', 3)
    expect(c.get('b1')).toBe(3)
  })

  it('reaches other processes, whatever comes to them first', async () => {
    const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
    await c.set('a', 1, { tags: ['t'] })
    await d.sync()
    expect(d.get('a')).toBe(1)
    await d.invalidate({ tags: ['t'] })
    await c.sync()
    expect(c.get('a')).toBeUndefined()
    // A third one, that opens later, does not see it either.
    const late = world.process().cache<number>()
    await late.ready
    expect(late.get('a')).toBeUndefined()
    expect(await late.fetch('a')).toBeUndefined()
  })

  it('takes what is void out of the chain', async () => {
    const c = world.cache<number>()
    await c.setMany(Array.from({ length: 1500 }, (_, i) => [`k${i}`, i] as const))
    expect(await storedCount(c)).toBe(1500)
    await c.clear()
    await world.pass(3000, 1000)
    expect(await storedCount(c)).toBe(0)
  })
})

describe('counters', () => {
  it('add up, over processes, and share commits', async () => {
    const handles = [world.process().cache<number>(), world.process().cache<number>()]
    const all = await Promise.all(handles.flatMap((c) => Array.from({ length: 50 }, () => c.incr('n'))))
    expect([...all].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1))
    await handles[0]!.sync()
    expect(handles[0]!.get('n')).toBe(100)
    expect(handles[0]!.seq).toBeLessThan(40)
    expect(await handles[0]!.incr('n', -0.5)).toBe(99.5)
  })

  it('keep their time, and begin anew when it is over', async () => {
    const c = world.cache<number>()
    await c.incr('n', 1, { ttl: '1s' })
    world.platform.advance(600)
    expect(await c.incr('n', 1, { ttl: '1s' })).toBe(2)
    world.platform.advance(600)
    expect(c.get('n')).toBeUndefined()
    expect(await c.incr('n', 1, { ttl: '1s' })).toBe(1)
  })

  it('refuse what is no number', async () => {
    const c = world.cache<unknown>()
    await c.set('text', 'x')
    await expectCode(c.incr('text'), 'BAD_VALUE')
    await expectCode(c.incr('n', Number.NaN), 'BAD_ARGUMENT')
    await c.set('most', Number.MAX_SAFE_INTEGER)
    await expectCode(c.incr('most'), 'BAD_VALUE')
    expect(await c.incr('most', -1)).toBe(Number.MAX_SAFE_INTEGER - 1)
    // Of those that share a commit, the one that is too much fails alone.
    const together = [1, Number.MAX_SAFE_INTEGER, 2].map((by) => c.incr('shared', by).catch((error) => error.code))
    expect(await Promise.all(together)).toEqual([1, 'BAD_VALUE', 3])
    expect(c.get('text')).toBe('x')
  })
})

describe('typed values', () => {
  it('are checked when written and when read', async () => {
    const User = z.object({ id: z.number(), name: z.string().default('nobody') })
    const c = cache(world.chain, 'c', { value: User }, world.environment)
    await c.set('a', { id: 1 })
    expect(c.get('a')).toEqual({ id: 1, name: 'nobody' })
    await expectCode(c.set('a', { id: 'x' } as never), 'BAD_VALUE')
    await expectCode(
      c.getOrSet('b', () => ({ id: 'x' }) as never),
      'BAD_VALUE',
    )
    const seen: unknown[] = []
    const loose = cache<unknown>(world.chain, 'c', {}, world.environment)
    await loose.set('bad', { name: 'x' })
    const strict = cache(
      world.process().chain,
      'c',
      { value: User, observe: ({ kind, key }) => seen.push([kind, key]) },
      world.environment,
    )
    await strict.ready
    expect([strict.get('bad'), strict.get('a')]).toEqual([undefined, { id: 1, name: 'nobody' }])
    await turns()
    expect(seen).toEqual([['bad value', 'bad']])
    expect(strict.stats.badValues).toBe(1)
  })
})

it('what cannot be opened is not there, and what was before it neither', async () => {
  const seen: unknown[] = []
  const writer = world.process().cache<number>()
  let isLocked = false
  const chain = new Proxy(world.process().chain, {
    get: (target, property) =>
      property === 'get' && isLocked
        ? () => Promise.reject(new AteError('NO_READ_KEY', {}))
        : Reflect.get(target, property, target),
  })
  const reader = cache<number>(
    chain,
    'c',
    { observe: ({ kind, error }) => seen.push([kind, String(error)]) },
    world.environment,
  )
  await writer.set('a', 1)
  await reader.sync()
  expect(reader.get('a')).toBe(1)
  isLocked = true
  await writer.set('a', 2)
  await reader.sync()
  expect(reader.get('a')).toBeUndefined()
  await turns()
  expect(seen).toEqual([['bad value', expect.stringContaining('NO_READ_KEY')]])
  isLocked = false
  await writer.set('a', 3)
  await reader.sync()
  expect(reader.get('a')).toBe(3)
})

describe('namespaces', () => {
  it('are prefixes of one cache', async () => {
    const c = world.cache<number>()
    const [a, b] = [c.namespace('a'), c.namespace('b')]
    await a.set('x', 1)
    await b.set('x', 2)
    expect([a.get('x'), b.get('x'), c.get('x'), c.get('a:x')]).toEqual([1, 2, undefined, 1])
    expect([...a.keys()]).toEqual(['x'])
    expect(await a.getOrSet('y', ({ key }) => key.length)).toBe(1)
    await a.clear()
    expect([a.get('x'), b.get('x')]).toEqual([undefined, 2])
    await c.close()
    expect(() => b.get('nothing')).toThrow(expect.objectContaining({ code: 'CHAIN_CLOSED' }))
  })
})
