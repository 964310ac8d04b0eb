/** Locks: one holder, whose fence rises; a holder that was stopped cannot commit. */
import { defineType } from '@ate/core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { codeOf, expectCode, openWorld, turns, type World } from './kit.ts'

const Note = defineType<number>('note')
let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world.close())

it('has one holder at a time, and fences rise', async () => {
  const handles = Array.from({ length: 6 }, () => world.process().cache())
  let inside = 0
  const fences: number[] = []
  await Promise.all(
    handles.map(async (c) => {
      const lock = await c.lock('report')
      expect(++inside).toBe(1)
      fences.push(lock.fence)
      await turns(3)
      inside--
      await lock.release()
    }),
  )
  expect(fences).toHaveLength(6)
  expect([...fences].sort((a, b) => a - b)).toEqual(fences)
  expect(new Set(fences).size).toBe(6)
})

it('waits as long as it may', async () => {
  const [c, d] = [world.process().cache(), world.process().cache()]
  const held = await c.lock('a')
  await expectCode(d.lock('a', { wait: 0 }), 'LOCK_HELD')
  const late = codeOf(d.lock('a', { wait: '2s' }))
  await world.pass(2500)
  expect(await late).toBe('LOCK_HELD')
  const stop = new AbortController()
  const left = codeOf(d.lock('a', { signal: stop.signal }))
  await turns()
  stop.abort(new Error('enough'))
  expect(await left).toBe('Error: enough')
  const other = await d.lock('b', { wait: 0 })
  await held.release()
  await held.release()
  await (await d.lock('a', { wait: 0 })).release()
  await other.release()
})

it('is renewed while its holder runs', async () => {
  const [c, d] = [world.process().cache(), world.process().cache()]
  const held = await c.lock('a', { ttl: '3s' })
  await world.pass(30_000, 250)
  expect(held.signal.aborted).toBe(false)
  await expectCode(d.lock('a', { wait: 0 }), 'LOCK_HELD')
  await held.release()
})

it('of a holder that is gone ends by chain time, and what he had under way cannot land', async () => {
  const gone = world.process()
  const d = world.process().cache()
  const held = await gone.cache().lock('a', { ttl: '3s' })
  gone.kill()
  await expectCode(d.lock('a', { wait: 0 }), 'LOCK_HELD')
  const waiting = d.lock('a')
  await world.pass(4000, 250)
  const next = await waiting
  expect(next.fence).toBeGreaterThan(held.fence)
  // His transaction was begun before, and guards the lock.
  const zombie = world.chain.transact(async (tx) => {
    await held.guard(tx)
    tx.create(Note, 1)
  })
  await expectCode(zombie, 'LEASE_LOST')
  await world.chain.transact(async (tx) => {
    await next.guard(tx)
    tx.create(Note, 2)
  })
  expect(world.chain.children(Note).count()).toBe(1)
  await next.release()
})

it('a transaction that guards it is refused if it changes hands before it commits', async () => {
  const [c, d] = [world.process().cache(), world.process().cache()]
  const held = await c.lock('a')
  const begun = world.chain.begin()
  await held.guard(begun)
  begun.create(Note, 1)
  await held.release()
  await (await d.lock('a')).release()
  await expectCode(begun.commit(), 'CONFLICT')
})

it('tells its holder when its time ran out', async () => {
  const c = world.process()
  const lock = await c.cache().lock('a', { ttl: '3s' })
  // As a process that was stopped: time passes, and none of its timers run in between.
  world.platform.advance(10_000)
  await turns()
  expect(lock.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
  const other = await world.process().cache().lock('a', { wait: 0 })
  await lock.release()
  await expectCode(world.process().cache().lock('a', { wait: 0 }), 'LOCK_HELD')
  await other.release()
})

it('ends with the cache', async () => {
  const c = world.process().cache()
  const lock = await c.lock('a')
  await c.close()
  expect(lock.signal.reason).toMatchObject({ code: 'CHAIN_CLOSED' })
  await expectCode(world.cache().lock('a', { ttl: 1 }), 'BAD_ARGUMENT')
})
