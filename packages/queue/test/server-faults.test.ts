/**
 * F7, F9 and F10 at a server: answers that are lost on the line and requests that are sent again, a server whose power
 * fails, a worker that cannot reach it past its lease. The line is a port in this process that can be cut.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Chain, createIdentity, type Identity, role } from '@ate/core'
import { type Served, serve } from '@ate/core/server'
import { quickPlatform, type SimFileSystem } from '@ate/core/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Job, openChain, type Queue, queue } from '../src/index.ts'
import { type Client, findingsOf } from './history.ts'
import { codeOf, EffectOf, person, realTime } from './kit.ts'
import { Line } from './line.ts'

const OPTIONS = { lease: '600ms', retry: { max: 10, backoff: 0 } } as const
/** How often the power of the server fails: first while jobs are added, then while they are worked on as well. */
const CUTS = Math.min(Math.max(Number(process.env['ATE_SEEDS'] ?? 2), 2), 5)
const CLEAN = { lost: [], duplicated: [], recovered: [], unexpected: [], open: 0 }

let folder: string
let server: Served
let line: Line
const chains: Chain[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ate-queue-faults-'))
  server = await serve({ listen: 'ws://127.0.0.1:0/db', data: folder })
  line = await Line.to(server.url)
})
afterEach(async () => {
  // A test that failed may have left it held, or without a server: closing would wait for an answer.
  line.target = undefined
  line.heal()
  line.sever()
  for (const chain of chains.splice(0)) await chain.close().catch(() => undefined)
  await line.close()
  await server.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A connection of its own, by the line that can be cut or beside it. */
async function open(url: string, id?: string, someone?: Identity): Promise<Chain> {
  const as = someone ?? (await person())
  const wanted = id === undefined ? { create: true } : { id }
  const chain = await openChain(`${url}/jobs`, { as, serverKey: server.fingerprint, share: false, ...wanted })
  chains.push(chain)
  return chain
}

const effect = (job: Job<number>): void => job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
const client = (): Client => ({ acknowledged: new Set(), attempted: new Set() })

async function add(jobs: Queue<number, number, unknown>, seen: Client, n: number): Promise<void> {
  const id = `j${n}`
  seen.attempted.add(id)
  await jobs.add(n, { id })
  seen.acknowledged.add(id)
}

async function until(holds: () => boolean): Promise<void> {
  const end = performance.now() + 20_000
  while (!holds()) {
    if (performance.now() > end) throw new Error('this did not happen')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** What a client that was not there sees. */
async function findings(id: string, seen: Client): Promise<Awaited<ReturnType<typeof findingsOf>>> {
  return findingsOf(await open(server.url, id), seen)
}

it('F7: answers are lost and requests come again after it: each job is added and done once', async () => {
  const far = await open(line.url)
  const near = await open(server.url, far.id)
  const seen = client()
  const jobs = queue<number>(far, 'jobs', OPTIONS)
  await add(jobs, seen, 0)
  line.drop('from the server')
  const adds = Promise.all([1, 2, 3, 4, 5].map((n) => add(jobs, seen, n)))
  const there = queue<number>(near, 'jobs', OPTIONS)
  await until(() => near.head.seq >= 2)
  for (let waiting = 0; waiting < 6; waiting = (await there.counts()).waiting)
    await new Promise((resolve) => setTimeout(resolve, 10))
  expect(seen.acknowledged.size).toBe(1)
  line.sever()
  await adds
  const attempts: number[] = []
  let cut = false
  jobs.work(
    (job) => {
      attempts.push(job.data)
      effect(job)
      if (cut) return
      cut = true
      // The answer to this one's "done" is lost, and the line with it a little later.
      line.drop('from the server')
      setTimeout(() => line.sever(), 150)
    },
    { concurrency: 1, prefetch: 0 },
  )
  await jobs.idle()
  expect(attempts.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5])
  expect(await findings(far.id, seen)).toMatchObject({ ...CLEAN, done: 6 })
})

it.each(['in its handler', 'with its commit under way'] as const)(
  'F10: a worker that does not reach the server past its lease, %s: LEASE_LOST, and none of its effects',
  async (where) => {
    const far = await open(line.url)
    const near = await open(server.url, far.id)
    const seen = client()
    const said: string[] = []
    let goOn = (): void => undefined
    let begun = false
    const there = queue<number>(near, 'jobs', OPTIONS)
    await add(there, seen, 0)
    const observe = (one: { readonly kind: string; readonly outcome?: string }): void => {
      if (one.kind === 'processed') said.push(`a: ${one.outcome}`)
    }
    queue<number>(far, 'jobs', { ...OPTIONS, observe }).work(async (job) => {
      effect(job)
      if (job.data > 0) return
      job.signal.addEventListener('abort', () => said.push(`a: ${codeOf(job.signal.reason)}`))
      begun = true
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
    })
    await until(() => begun)
    line.hold()
    if (where === 'with its commit under way') goOn()
    there.work((job) => {
      said.push(`b: attempt ${job.attempt}`)
      effect(job)
    })
    await there.idle()
    // Nothing has reached it: it goes by its own clock. That it stops before the other begins, matrix.test.ts says.
    if (where === 'in its handler') {
      await until(() => said.includes('a: lost'))
      expect(said.filter((one) => one.startsWith('a')).slice(0, 2)).toEqual(['a: LEASE_LOST', 'a: lost'])
    }
    line.heal()
    goOn()
    await until(() => said.includes('a: lost'))
    expect(said).toContain('b: attempt 2')
    // Both work on.
    await Promise.all([1, 2, 3].map((n) => add(there, seen, n)))
    await there.idle()
    expect(await findings(far.id, seen)).toMatchObject({ ...CLEAN, done: 4 })
  },
)

it('a worker whose chain is closed while it does not reach the server has ended, and not failed', async () => {
  const far = await open(line.url)
  const jobs = queue<number>(far, 'jobs', OPTIONS)
  const worker = jobs.work(effect)
  await add(jobs, client(), 0)
  await jobs.idle()
  line.hold()
  // By then it has asked for its lease again, and has no answer.
  await new Promise((resolve) => setTimeout(resolve, 200))
  await far.close({ signal: AbortSignal.abort() }).catch(() => undefined)
  await worker.done
  line.heal()
})

it('F18: a worker whose rights are taken away while it holds a lease: its commit is refused, and its effects with it', async () => {
  const near = await open(server.url)
  const hand = await createIdentity()
  const seen = client()
  const jobs = queue<number>(near, 'jobs', OPTIONS)
  const node = await jobs.entity()
  await near.transact((tx) => {
    tx.role('workers').add(hand.publicId)
    // The name of the queue stands below the root: who works reads there, and his effects stand there too.
    tx.setPolicy('0'.repeat(26), { read: [role('workers')], write: [role('workers')] })
    tx.setPolicy(node, { read: [role('workers')], write: [role('workers')] })
  })
  await add(jobs, seen, 0)
  const his = await open(server.url, near.id, hand)
  const lease = (await queue<number>(his, 'jobs', OPTIONS).leases().next()).value!
  effect(lease)
  await near.transact((tx) => tx.role('workers').remove(hand.publicId))
  const code = await lease.complete(undefined).then(() => 'done', codeOf)
  // On a machine that has much to do the time of the lease may be over first.
  expect(['NOT_AUTHORIZED', 'NO_READ_KEY', 'LOCKED', 'LEASE_LOST']).toContain(code)
  expect((await jobs.counts()).done).toBe(0)
  jobs.work(effect)
  await jobs.idle()
  expect(await findings(near.id, seen)).toMatchObject({ ...CLEAN, done: 1 })
})

/** The server again, on simulated disks; the line goes to it. */
async function serveOnDisks(disks: Map<string, SimFileSystem>): Promise<() => Promise<void>> {
  const platform = quickPlatform(9, { disks, time: realTime() })
  const data = join(folder, 'other')
  const start = async (): Promise<void> => {
    server = await serve({ listen: 'ws://127.0.0.1:0/db', data }, platform)
    line.target = Number(new URL(server.url).port)
  }
  await server.close()
  await start()
  return start
}

const diskOf = (disks: ReadonlyMap<string, SimFileSystem>): SimFileSystem =>
  [...disks].find(([path]) => path.endsWith('jobs'))![1]

it('F14: the disk of the server is full: nothing is acknowledged, and what waits goes on when there is room', async () => {
  const disks = new Map<string, SimFileSystem>()
  await serveOnDisks(disks)
  const far = await open(line.url)
  const seen = client()
  const jobs = queue<number>(far, 'jobs', OPTIONS)
  await add(jobs, seen, 0)
  const disk = diskOf(disks)
  const { counts, faults } = disk
  const fail = (): void => {
    faults.failWrite = { at: counts.writes + 1, code: 'ENOSPC', written: 0 }
  }
  const from = counts.writes
  fail()
  const adding = add(jobs, seen, 1)
  // It is sent again by itself, and refused again.
  for (let fails = 1; fails <= 2; fails++) {
    await until(() => counts.writes >= from + fails)
    expect(seen.acknowledged.size).toBe(1)
    if (fails < 2) fail()
  }
  await adding
  fail()
  jobs.work(effect, { concurrency: 2 })
  await jobs.idle()
  expect(await findings(far.id, seen)).toMatchObject({ ...CLEAN, done: 2 })
})

it('F9: the power of the server fails: what it acknowledged is there, and effects happen once', async () => {
  const disks = new Map<string, SimFileSystem>()
  const startAgain = await serveOnDisks(disks)
  const far = await open(line.url)
  const seen = client()
  const jobs = queue<number>(far, 'jobs', OPTIONS)
  await add(jobs, seen, 0)
  const disk = diskOf(disks)
  // Whoever loses his power says nothing more.
  line.isDeaf = () => disk.isCut
  jobs.work(effect, { concurrency: 2 })
  let added = 0
  for (let cut = 1; cut <= CUTS; cut++) {
    disk.faults.cutAfter = disk.counts.operations + 4 * cut - 3
    const adds = Array.from({ length: 12 }, () => add(jobs, seen, ++added))
    // Adds of one moment share a record: more of them come until the disk has been asked so often.
    await until(() => {
      if (!disk.isCut) adds.push(add(jobs, seen, ++added))
      return disk.isCut
    })
    // Nobody reaches it, and it says no goodbye.
    line.target = undefined
    line.sever()
    await server.close().catch(() => undefined)
    disk.crash()
    await startAgain()
    await Promise.all(adds)
  }
  await jobs.idle()
  expect(await findings(far.id, seen)).toMatchObject({ ...CLEAN, done: 1 + added })
})

it('a worker stops while the server is away: what it cannot write is left, and others do it', async () => {
  const far = await open(line.url)
  const near = await open(server.url, far.id)
  const jobs = queue<number>(far, 'jobs', OPTIONS)
  await jobs.addMany([0, 1, 2])
  let begun = 0
  const worker = jobs.work(
    () => {
      begun++
      return new Promise(() => undefined)
    },
    { concurrency: 2, prefetch: 1 },
  )
  await until(() => begun === 2)
  const { target } = line
  line.target = undefined
  line.sever()
  const start = performance.now()
  await worker.stop({ grace: '100ms' })
  await worker.done
  expect(performance.now() - start).toBeLessThan(9000)

  line.target = target
  const done: number[] = []
  queue<number>(near, 'jobs', OPTIONS).work((job) => {
    done.push(job.data)
  })
  await until(() => done.length === 3)
  expect(done.sort()).toEqual([0, 1, 2])
}, 40_000)
