/**
 * What somebody who may write in a queue puts there by hand: records that are none keep nobody from the others, and records that
 * name what is of elsewhere have nobody write or delete there.
 */
import { inspect } from 'node:util'
import { defineType } from '@ate/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QueueObservation } from '../src/index.ts'
import {
  encodeLeases,
  FenceRecord,
  IN,
  JobRecord,
  LaneRecord,
  RepeatRecord,
  SessionRecord,
  UniqueRecord,
} from '../src/queue-records.ts'
import { openWorld, turns, type World } from './kit.ts'

let world: World
beforeEach(async () => {
  world = await openWorld(1)
})
afterEach(() => world.close())

const GARBAGE: readonly unknown[] = [
  null,
  5,
  'x',
  [],
  {},
  { data: 1, added: 1, after: ['x'], steps: 5, errors: 7, leases: 5, missed: 'once', next: 'x', job: 5 },
]

describe.each(GARBAGE.map((value) => [inspect(value), value]))('%s', (_, value) => {
  it('in place of jobs, sessions, keys and repeats: the others go on, and it is told', async () => {
    const { chain } = world
    const told: QueueObservation[] = []
    const jobs = world.process().queue<string>({ observe: (one) => told.push(one) })
    await jobs.add('a', { id: 'a' })
    await jobs.add('u', { unique: { key: 'k' } })
    await jobs.repeat('r', { every: '1h' }, 'x')
    const first = await world.wait(jobs.leases().next())
    expect(first.done).toBe(false)
    const node = await jobs.entity()
    for (const [type, collection] of [
      [JobRecord, IN.jobs],
      [SessionRecord, IN.sessions],
      [UniqueRecord, IN.uniques],
      [RepeatRecord, IN.repeats],
    ] as const) {
      const any = defineType<unknown>(type.name)
      await chain.transact(async (tx) => {
        for (const id of chain.children(any, node, collection).ids()) await tx.update(any, id, () => value)
        tx.create(any, value, { parent: node, in: collection })
        tx.create(any, value, { parent: node, in: collection, name: 'odd' })
      })
    }
    const done: string[] = []
    const others = world.process().queue<string>()
    for (const one of [jobs, others]) {
      const worker = one.work(({ data }) => void done.push(data), { concurrency: 4 })
      const handle = await one.add(`of ${done.length}`, { unique: { key: 'k', onConflict: 'replace' } })
      const result = handle.result()
      await world.pass(60_000, 5000)
      await result
      await worker.stop()
      await worker.done
    }
    expect(done).toEqual(['of 0', 'of 1'])
    expect((await others.counts()).done).toBe(2)
    await turns()
    expect(told.map(({ kind }) => kind)).toContain('bad value')
  })
})

it('a repeat without a key ends no worker', async () => {
  const { chain } = world
  const jobs = world.process().queue<string>()
  const node = await jobs.entity()
  const value = { everyMs: 1000, missed: 'all' as const, data: 'x', next: 0 }
  await chain.transact((tx) => void tx.create(RepeatRecord, value, { parent: node, in: IN.repeats }))
  const worker = jobs.work(() => undefined)
  await world.pass(5000)
  await world.wait((await jobs.add('a')).result())
  await worker.stop()
  await worker.done
})

describe('who writes in one queue by hand', () => {
  it('has nobody delete what is of elsewhere: who takes over his session leaves it', async () => {
    const { chain } = world
    const Note = defineType<string>('note')
    const [victim, jobs] = [world.process().queue<string>({}, 'victim'), world.process().queue<string>()]
    const { id: job } = await victim.add('of the victim')
    const note = await chain.transact((tx) => tx.create(Note, 'kept'))
    const node = await jobs.entity()
    const session = await chain.transact((tx) => {
      const leases = encodeLeases([{ job, turn: 0, fence: 1 }])
      const made = tx.create(
        SessionRecord,
        { leases, fence: note.id, pulse: note.id },
        { parent: node, in: IN.sessions },
      )
      tx.putChild(LaneRecord, { claims: 1, sessions: [made.id] }, { parent: node, in: IN.lane })
      return made
    })
    const worker = jobs.work(() => undefined)
    await world.wait((await jobs.add('own')).result())
    await world.pass(5000)
    await worker.stop()
    expect(chain.has(session.id)).toBe(false)
    expect((await chain.load(Note, note)).value).toBe('kept')
    expect((await chain.load(JobRecord, job)).value).toEqual({ data: 'of the victim', added: expect.any(Number) })
  })

  it('has nobody delete a fence of another queue', async () => {
    const { chain } = world
    const [victim, jobs] = [world.process().queue<string>({}, 'victim'), world.process().queue<string>()]
    await victim.add('of the victim')
    const lease = await world.wait(victim.leases().next())
    const [fence] = chain.children(FenceRecord, await victim.entity(), IN.fences).ids()
    const node = await jobs.entity()
    await chain.transact((tx) => {
      const value = { leases: new Uint8Array(), fence: fence!, pulse: `${'1'.repeat(25)}0` }
      const { id } = tx.create(SessionRecord, value, { parent: node, in: IN.sessions })
      tx.putChild(LaneRecord, { claims: 1, sessions: [id] }, { parent: node, in: IN.lane })
    })
    const worker = jobs.work(() => undefined)
    await world.pass(5000)
    await worker.stop()
    expect(chain.has(fence!)).toBe(true)
    await world.wait(lease.value!.complete(undefined))
  })

  it('has nobody write into a job of another: a unique key that names one is free', async () => {
    const { chain } = world
    const [victim, jobs] = [world.process().queue<string>({}, 'victim'), world.process().queue<string>()]
    const { id: job } = await victim.add('of the victim')
    const node = await jobs.entity()
    await chain.transact((tx) => {
      tx.put(UniqueRecord, 'k', { job }, { parent: node, in: IN.uniques })
      tx.put(UniqueRecord, 'l', { job: '0'.repeat(26), next: job }, { parent: node, in: IN.uniques })
    })
    for (const key of ['k', 'l']) await jobs.add('mine', { unique: { key, onConflict: 'replace' } })
    expect((await victim.get(job))?.data).toBe('of the victim')
    expect((await jobs.counts()).waiting).toBe(2)
  })
})
