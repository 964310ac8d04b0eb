/** Time is the chain's: entries end by it, for everybody, and what is over is taken out of the chain. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openWorld, storedCount, turns, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

it('ends exactly at its time, for who wrote it and for others', async () => {
  const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
  await c.set('a', 1, { ttl: '1m' })
  await d.sync()
  const { expires } = c.entry('a')!
  for (const one of [c, d]) {
    expect(one.get('a')).toBe(1)
    expect(one.entry('a')?.expires).toBe(expires)
  }
  world.platform.advance(expires! - world.chain.now - 1)
  for (const one of [c, d]) expect(one.get('a')).toBe(1)
  world.platform.advance(1)
  for (const one of [c, d]) {
    expect([one.get('a'), one.has('a'), one.entry('a')?.state]).toEqual([undefined, false, 'stale'])
    expect([...one.keys()]).toEqual([])
    expect(await one.fetch('a')).toBeUndefined()
  }
})

it('a wall clock that jumps changes nothing', async () => {
  const c = world.cache<number>()
  await c.set('a', 1, { ttl: '1m' })
  world.platform.setWallClock(world.platform.environment.clock.now() + 3_600_000)
  expect(c.get('a')).toBe(1)
  world.platform.setWallClock(world.platform.environment.clock.now() - 7_200_000)
  world.platform.advance(60_000)
  expect(c.get('a')).toBeUndefined()
})

it('many reads of one moment share a look at the clock, and see its end', async () => {
  const c = world.cache<number>()
  await c.set('a', 1, { ttl: 10 })
  for (let i = 0; i < 1000; i++) expect(c.get('a')).toBe(1)
  world.platform.advance(10)
  expect(c.get('a')).toBeUndefined()
})

it('the options of the cache hold where a set has none, and a set takes all of its own', async () => {
  const c = world.cache<number>({ ttl: '1s' })
  await c.set('a', 1)
  await c.set('b', 1, { ttl: '1h' })
  world.platform.advance(1001)
  expect([c.get('a'), c.get('b')]).toEqual([undefined, 1])
})

it('a set without time takes away the one before', async () => {
  const c = world.cache<number>()
  await c.set('a', 1, { ttl: '1s' })
  await c.set('a', 2)
  world.platform.advance(3_600_000)
  expect(c.get('a')).toBe(2)
})

it('touch gives it a new time', async () => {
  const c = world.cache<{ n: number }>({ ttl: '1s' })
  await c.set('a', { n: 1 })
  world.platform.advance(800)
  expect(await c.touch('a')).toBe(true)
  world.platform.advance(800)
  expect(c.get('a')).toEqual({ n: 1 })
  expect(await c.touch('a', { ttl: '1h' })).toBe(true)
  world.platform.advance(1_800_000)
  expect(c.get('a')).toEqual({ n: 1 })
  expect(await c.touch('b')).toBe(false)
})

it('a sliding end moves with use, at most once in a quarter of its length, and is seen by others', async () => {
  const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
  await c.set('a', 1, { ttl: '100s', sliding: true })
  await d.sync()
  const { version } = c.entry('a')!
  for (let second = 0; second < 300; second++) {
    await world.pass(1000, 1000)
    expect(c.get('a')).toBe(1)
  }
  const moved = c.entry('a')!.version - version
  expect(moved).toBeGreaterThan(5)
  expect(moved).toBeLessThan(13)
  expect(d.get('a')).toBe(1)
  await world.pass(110_000, 10_000)
  expect([c.get('a'), d.get('a')]).toEqual([undefined, undefined])
})

it('what is over is dropped from memory and from the chain; what may be served stale is not', async () => {
  const c = world.cache<number>()
  await c.setMany(Array.from({ length: 1200 }, (_, i) => [`k${i}`, i, { ttl: '1s' }] as const))
  await c.set('stale', 1, { ttl: '1s', swr: '1h' })
  await c.set('live', 1)
  expect(await storedCount(c)).toBe(1202)
  await world.pass(20_000, 500)
  expect(await storedCount(c)).toBe(2)
  expect(c.stats).toMatchObject({ entries: 2, expired: 1200 })
})

it('what was written again while it was dropped stays', async () => {
  const [c, d] = [world.process().cache<number>(), world.process().cache<number>()]
  await d.ready
  for (let round = 0; round < 30; round++) {
    await c.set('a', round, { ttl: 10 })
    await world.pass(2500, 250)
    await d.set('a', round)
    await turns()
    await c.sync()
    expect([c.get('a'), d.get('a')]).toEqual([round, round])
  }
})
