/** Faults on memory and on files (over a server: scripts/test/queue-faults.test.ts), and those that only one of them has. */
import { createIdentity, memoryEngine, memoryStore, openChain, role } from '@ate/core'
import { quickPlatform, type SimFileSystem, testPlatform } from '@ate/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import { queue } from '../src/index.ts'
import { faultCases, LEASE } from './fault-cases.ts'
import { codeOf, expectCode, openWorld, person, realTime, turns, type World } from './kit.ts'

describe('in memory', () => faultCases((seed) => openWorld(seed)))
describe('on files', () => faultCases((seed) => openWorld(seed, 'file:/q', quickPlatform(seed))))

let world: World
afterEach(() => world?.close())

describe('the disk and the keys', () => {
  it('F14: a full disk refuses adds and claims, and what waits goes on later', async () => {
    const disks = new Map<string, SimFileSystem>()
    const platform = testPlatform(12, { disks })
    const chain = await openChain('file:/q', { as: await person() }, platform)
    const environment = {
      start: (delayMs: number, run: () => void) => platform.environment.timers.start(delayMs, run),
      pause: () => new Promise<void>((resolve) => setImmediate(resolve)),
      random: () => 0.5,
      monotonic: () => platform.environment.clock.monotonic(),
    }
    const jobs = queue<number>(chain, 'jobs', {}, environment)
    await jobs.add(1)
    const disk = disks.get('/q')!
    const fail = (): void => {
      disk.faults.failWrite = { at: disk.counts.writes + 1, code: 'ENOSPC', written: 0 }
    }
    fail()
    await expectCode(jobs.add(2, { id: 'two' }), 'DISK_FULL')
    const ran: number[] = []
    fail()
    const worker = jobs.work((job) => void ran.push(job.data))
    await turns(30)
    expect(ran).toEqual([])
    for (let i = 0; i < 40; i++) {
      platform.advance(100)
      await turns(4)
    }
    expect(ran).toEqual([1])
    expect(await jobs.get('two')).toBeUndefined()
    await worker.stop()
    await chain.close()
  })

  it('F14: a sync that fails ends the worker with an error', async () => {
    const disks = new Map<string, SimFileSystem>()
    const platform = testPlatform(13, { disks })
    const chain = await openChain('file:/q', { as: await person() }, platform)
    const jobs = queue<number>(chain, 'jobs')
    await jobs.add(1)
    disks.get('/q')!.faults.failSync = disks.get('/q')!.counts.syncs + 1
    const worker = jobs.work(() => undefined)
    await expectCode(worker.done, 'WRITER_POISONED')
    await expectCode(jobs.add(2), 'WRITER_POISONED')
    await chain.close().catch(() => undefined)
  })

  it.each(['memory', 'a file'])('F18: a worker whose rights are taken away commits nothing more, on %s', async (at) => {
    const boss = await person()
    const hand = await createIdentity()
    const store = memoryStore()
    const options = { lease: '200ms' } as const
    const disks = new Map<string, SimFileSystem>()
    // Real time: what waits for a lease waits for it.
    const open = (as: typeof boss, id?: string) => {
      const how = id === undefined ? { as } : { as, id }
      if (at === 'memory') return openChain(memoryEngine(store), how)
      return openChain('file:/q', how, quickPlatform(18, { disks, time: realTime() }))
    }
    const first = await open(boss)
    const jobs = queue<number>(first, 'jobs', options)
    const node = await jobs.entity()
    await first.transact((tx) => {
      tx.role('workers').add(hand.publicId)
      // The name of the queue stands below the root: who works reads there.
      tx.setPolicy('0'.repeat(26), { read: [role('workers')] })
      tx.setPolicy(node, { read: [role('workers')], write: [role('workers')] })
    })
    await jobs.add(1)
    await first.close()

    const his = await open(hand, first.id)
    const lease = (await queue<number>(his, 'jobs', options).leases().next()).value!
    expect(lease.data).toBe(1)
    await his.close()
    await expectCode(lease.complete(undefined), 'CHAIN_CLOSED')

    const boss2 = await open(boss)
    await boss2.transact((tx) => tx.role('workers').remove(hand.publicId))
    await boss2.close()

    const again = await open(hand, first.id)
    const worker = queue<number>(again, 'jobs', options).work(() => undefined)
    const code = await worker.done.then(() => 'stopped', codeOf)
    expect(['NOT_AUTHORIZED', 'NO_READ_KEY', 'LOCKED']).toContain(code)
    await again.close()

    const last = await open(boss)
    const mine = queue<number>(last, 'jobs', options)
    const done = mine.work((job) => job.attempt)
    await mine.idle()
    expect((await mine.counts()).done).toBe(1)
    await done.stop()
    await last.close()
  })
})

describe('a session that claims nothing', () => {
  it('does not hold a place with jobs that were removed', async () => {
    world = await openWorld(17)
    const options = { ...LEASE, lease: '1h', limit: { active: 1 }, keep: { done: 0 } } as const
    const [a, b] = [world.process(), world.process()]
    const jobs = a.queue<number>(options)
    jobs.work(() => undefined)
    await jobs.add(1)
    await world.pass(4000, 250)
    expect((await jobs.counts()).done).toBe(0)
    a.freeze()
    const ran: number[] = []
    const others = b.queue<number>(options)
    others.work((job) => void ran.push(job.data))
    await others.add(2)
    await world.pass(1000)
    expect(ran).toEqual([2])
  })
})
