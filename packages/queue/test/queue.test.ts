/** What a queue does, verb by verb. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Job, Queue, QueueObservation } from '../src/index.ts'
import { codeOf, EffectOf, expectCode, openWorld, turns, type World } from './kit.ts'

let world: World
async function open(): Promise<World> {
  world = await openWorld()
  return world
}
afterEach(() => world?.close())

/** A worker that notes what it runs. */
function recorder(
  jobs: Queue<number, number, unknown>,
  concurrency = 1,
): { readonly ran: number[]; stop(): Promise<void> } {
  const ran: number[] = []
  const worker = jobs.work((job) => void ran.push(job.data), { concurrency })
  return { ran, stop: () => worker.stop() }
}

describe('adding', () => {
  it('runs what was added, and gives its result to whoever has the handle', async () => {
    const { pass, process } = await open()
    const adder = process().queue<number, string>()
    const handle = await adder.add(7)
    const result = handle.result()
    process()
      .queue<number, string>()
      .work((job) => `got ${job.data}`)
    await pass(100)
    expect(await result).toBe('got 7')
    expect(await handle.result()).toBe('got 7')
    expect((await adder.get(handle.id))?.state).toBe('done')
  })

  it('takes the same id for the same job, also when both are on their way', async () => {
    const { process } = await open()
    const a = process().queue<number>()
    const b = process().queue<number>()
    const handles = await Promise.all([a.add(1, { id: 'x' }), b.add(1, { id: 'x' }), a.add(2, { id: 'x' })])
    expect(new Set(handles.map(({ id }) => id))).toEqual(new Set(['x']))
    expect((await a.counts()).waiting).toBe(1)
    expect((await a.get('x'))?.data).toBe(1)
  })

  it('starts nothing before its time', async () => {
    const { pass, process, chain } = await open()
    const jobs = process().queue<number>()
    const { ran } = recorder(jobs)
    await jobs.add(1, { delay: '2s' })
    await jobs.add(2, { at: new Date(chain.now + 1000) })
    await pass(900)
    expect(ran).toEqual([])
    expect((await jobs.counts()).scheduled).toBe(2)
    await pass(200)
    expect(ran).toEqual([2])
    await pass(1100)
    expect(ran).toEqual([2, 1])
  })

  it('takes larger priorities first, equal ones in order', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    await jobs.addMany([[1], [2, { priority: 5 }], [3, { priority: -1 }], [4], [5, { priority: 5 }]])
    const { ran } = recorder(jobs)
    await pass(100)
    expect(ran).toEqual([2, 5, 1, 4, 3])
  })

  it('adds with a transaction or not at all', async () => {
    const { process, chain } = await open()
    const jobs = process().queue<number>()
    const failing = chain.transact(async (tx) => {
      await jobs.add(1, { tx, id: 'a' })
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    await chain.transact(async (tx) => {
      const { id } = await jobs.add(2, { tx, id: 'b' })
      await jobs.add(3, { tx, after: [{ id }] })
    })
    const { waiting, blocked } = await jobs.counts()
    expect([waiting, blocked, await jobs.get('a')]).toEqual([1, 1, undefined])
  })

  it('adds two thousand at once, in several transactions', async () => {
    const { process } = await open()
    const jobs = process().queue<{ text: string }>()
    const handles = await jobs.addMany(Array.from({ length: 2000 }, () => ({ text: 'x'.repeat(500) })))
    expect(new Set(handles.map(({ id }) => id)).size).toBe(2000)
    expect((await jobs.counts()).waiting).toBe(2000)
  })
})

describe('unique', () => {
  it('keeps the one that is there for a while (throttle)', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const unique = { key: 'k', for: '1s' } as const
    const { ran } = recorder(jobs)
    await jobs.add(1, { unique })
    await pass(100)
    await jobs.add(2, { unique })
    await pass(1000)
    await jobs.add(3, { unique })
    await pass(100)
    expect(ran).toEqual([1, 3])
  })

  it('replaces the one that waits, and waits anew (debounce)', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const { ran } = recorder(jobs)
    for (const n of [1, 2, 3]) {
      await jobs.add(n, { unique: { key: 'k', for: '1s', onConflict: 'replace' } })
      await pass(500)
    }
    expect(ran).toEqual([])
    await pass(600)
    expect(ran).toEqual([3])
  })

  it('keeps the last one behind the active one', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const ran: number[] = []
    const gates: (() => void)[] = []
    jobs.work(async (job) => {
      ran.push(job.data)
      await new Promise<void>((resolve) => gates.push(resolve))
    })
    const unique = { key: 'k', onConflict: 'after' } as const
    await jobs.add(1, { unique })
    await pass(100)
    for (const n of [2, 3, 4]) await jobs.add(n, { unique })
    expect((await jobs.counts()).blocked).toBe(1)
    gates.shift()!()
    await pass(100)
    expect(ran).toEqual([1, 4])
    gates.shift()!()
    await pass(100)
    expect((await jobs.counts()).done).toBe(2)
  })
})

describe('flows', () => {
  it('runs parents first, in whatever order they are given', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const { ran } = recorder(jobs, 4)
    await jobs.addMany([
      [3, { id: 'c', after: [{ id: 'a' }, { id: 'b' }] }],
      [1, { id: 'a' }],
      [2, { id: 'b', after: [{ id: 'a' }] }],
    ])
    await pass(200)
    expect(ran).toEqual([1, 2, 3])
  })

  it('fails the children of a parent that dies, or runs them', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ retry: { max: 1 } })
    const ran: number[] = []
    jobs.work((job) => {
      ran.push(job.data)
      if (job.data === 1) throw new Error('broken')
    })
    const parent = await jobs.add(1)
    const child = await jobs.add(2, { after: [parent] })
    await jobs.add(3, { after: [child] })
    await jobs.add(4, { after: [parent], onParentFail: 'run' })
    await pass(2000)
    expect(ran.sort()).toEqual([1, 4])
    const { dead, done, blocked } = await jobs.counts()
    expect([dead, done, blocked]).toEqual([3, 1, 0])
    await jobs.idle()
  })
})

describe('flows over several queues', () => {
  it('waits for jobs of another queue, also after a restart', async () => {
    const { pass, process } = await open()
    const adder = process()
    const bills = adder.queue<number>({ retry: { max: 1 } }, 'bills')
    const mails = adder.queue<number>({}, 'mails')
    const good = await bills.add(1)
    const bad = await bills.add(2)
    await mails.add(1, { after: [good] })
    await mails.add(2, { after: [bad] })
    await mails.add(3, { after: [good, bad], onParentFail: 'run' })
    const ran: number[] = []
    process()
      .queue<number>({}, 'mails')
      .work((job) => void ran.push(job.data))
    await pass(500)
    expect(ran).toEqual([])
    expect((await mails.counts()).blocked).toBe(3)
    process()
      .queue<number>({ retry: { max: 1 } }, 'bills')
      .work((job) => {
        if (job.data === 2) throw new Error('no')
      })
    await pass(3000)
    expect(ran.sort()).toEqual([1, 3])
    expect(await mails.counts()).toMatchObject({ done: 2, dead: 1, blocked: 0 })
  })
})

describe('groups', () => {
  it('runs a group in order, one at a time, and a retry holds it up', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ retry: { backoff: '1s' }, group: (n) => String(n % 2) })
    const ran: number[] = []
    jobs.work(
      (job) => {
        ran.push(job.data)
        if (job.data === 1 && job.attempt === 1) throw new Error('again')
      },
      { concurrency: 8 },
    )
    await jobs.addMany([1, 2, 3, 4, 5, 6])
    await pass(300)
    expect(ran).toEqual([1, 2, 4, 6])
    await pass(1500)
    expect(ran).toEqual([1, 2, 4, 6, 1, 3, 5])
  })
})

describe('attempts', () => {
  it('retries with a wait, and is dead after the last one', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ retry: { max: 3, backoff: '1s' } })
    const attempts: number[] = []
    jobs.work((job) => {
      attempts.push(job.attempt)
      throw new TypeError(`no ${job.attempt}`)
    })
    const handle = await jobs.add(1)
    const result = handle.result().catch(codeOf)
    await pass(200)
    expect(attempts).toEqual([1])
    await pass(1000)
    expect(attempts).toEqual([1, 2])
    await pass(4000)
    expect(attempts).toEqual([1, 2, 3])
    expect(await result).toBe('JOB_FAILED')
    const info = await jobs.get(handle.id)
    expect([info?.state, info?.errors]).toEqual(['dead', ['TypeError: no 1', 'TypeError: no 2', 'TypeError: no 3']])
  })

  it('runs dead jobs again', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ retry: { max: 1 } })
    let works = false
    jobs.work(() => {
      if (!works) throw new Error('no')
    })
    const handles = await jobs.addMany([1, 2, 3])
    await pass(100)
    expect((await jobs.counts()).dead).toBe(3)
    works = true
    expect(await jobs.retry(handles[0]!.id)).toBe(1)
    expect(await jobs.retry({ state: 'dead' })).toBe(2)
    expect(await jobs.retry(handles[0]!.id)).toBe(0)
    await pass(100)
    expect((await jobs.counts()).done).toBe(3)
  })

  it('records steps once', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ retry: { backoff: '100ms' } })
    const calls: string[] = []
    jobs.work(async (job) => {
      const a = await job.step('a', (key) => {
        calls.push(key)
        return { n: 1 }
      })
      const b = await job.step('b', () => a.n + 1)
      if (job.attempt < 3) throw new Error('again')
      return [a, b]
    })
    const handle = await jobs.add(1)
    await pass(1000)
    expect(await handle.result()).toEqual([{ n: 1 }, 2])
    expect(calls).toHaveLength(1)
    expect(calls[0]).toMatch(/\/jobs\/.*\/a$/)
  })

  it('shows progress, snoozes without an attempt, and can be ended by its handler', async () => {
    const { pass, process, chain } = await open()
    const jobs = process().queue<string>()
    let naps = 0
    jobs.work(async (job) => {
      job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
      if (job.data === 'nap' && naps++ < 2) job.snooze('1s')
      if (job.data === 'bad') job.dead('not our job')
      job.progress({ at: 50 })
      await job.step('x', () => 1)
    })
    const nap = await jobs.add('nap')
    const bad = await jobs.add('bad')
    await pass(500)
    expect((await jobs.get(nap.id))?.state).toBe('scheduled')
    await pass(3000)
    const info = await jobs.get(nap.id)
    expect([info?.state, info?.attempt, info?.progress]).toEqual(['done', 1, { at: 50 }])
    expect((await jobs.get(bad.id))?.errors).toEqual(['not our job'])
    expect(chain.children(EffectOf).count()).toBe(1)
  })

  it('ends an attempt that takes too long, whatever its handler does', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ timeout: '1s', retry: { max: 2, backoff: 0 } })
    const aborted: unknown[] = []
    jobs.work(
      (job) =>
        new Promise<void>(() => {
          job.signal.addEventListener('abort', () => aborted.push(codeOf(job.signal.reason)))
        }),
    )
    await jobs.add(1)
    await pass(3000)
    expect(aborted).toEqual(['JOB_TIMEOUT', 'JOB_TIMEOUT'])
    expect((await jobs.counts()).dead).toBe(1)
  })

  it('cancels what waits and what runs, from another process', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const other = process().queue<number>()
    const reasons: string[] = []
    jobs.work(
      (job) =>
        new Promise<void>((resolve) => {
          job.signal.addEventListener('abort', () => {
            reasons.push(codeOf(job.signal.reason))
            resolve()
          })
        }),
    )
    const [a, b] = await other.addMany([1, 2])
    await pass(200)
    expect(await other.cancel(a!.id, { reason: 'changed our mind' })).toBe(true)
    expect(await other.cancel(b!.id)).toBe(true)
    expect(await other.cancel(b!.id)).toBe(false)
    await pass(200)
    expect(reasons).toEqual(['JOB_CANCELLED'])
    expect((await jobs.counts()).cancelled).toBe(2)
    await expectCode(a!.result(), 'JOB_CANCELLED')
  })

  it('gives jobs back at stop, and that is no attempt', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const worker = jobs.work(
      (job) =>
        new Promise<void>((_, reject) => {
          job.signal.addEventListener('abort', () => reject(job.signal.reason))
        }),
    )
    const handle = await jobs.add(1)
    await pass(100)
    expect((await jobs.get(handle.id))?.state).toBe('active')
    const stopped = worker.stop({ grace: '1s' })
    await pass(1100)
    await stopped
    expect((await jobs.get(handle.id))?.state).toBe('waiting')
    const attempts: number[] = []
    process()
      .queue<number>()
      .work((job) => void attempts.push(job.attempt))
    await pass(100)
    expect(attempts).toEqual([1])
  })
})

describe('effects', () => {
  it('commits effects with done, runs them again on a conflict, and the handler not', async () => {
    const { pass, process, chain } = await open()
    const jobs = process().queue<number>()
    const total = await chain.transact((tx) => tx.create(EffectOf, { job: 'total', fence: 0n }))
    let handlers = 0
    jobs.work(
      (job) => {
        handlers++
        job.effect(async (tx) => {
          const { value } = await tx.load(EffectOf, total)
          await turns(1)
          await tx.update(EffectOf, total, () => ({ ...value, fence: value.fence + 1n }))
        })
      },
      { concurrency: 16 },
    )
    await jobs.addMany(Array.from({ length: 50 }, (_, i) => i))
    await pass(3000)
    expect((await jobs.counts()).done).toBe(50)
    expect((await chain.load(EffectOf, total)).value.fence).toBe(50n)
    expect(handlers).toBe(50)
  })

  it('adds jobs of another queue with done, or not at all', async () => {
    const { pass, process } = await open()
    const one = process()
    const jobs = one.queue<number>({ retry: { max: 2, backoff: 0 } })
    const mails = one.queue<string>({}, 'mails')
    const ids: string[] = []
    jobs.work(async (job) => {
      const mail = await mails.add(`to ${job.data}`, { tx: job.tx })
      ids.push(mail.id)
      if (job.attempt === 1) throw new Error('no mail of this attempt')
    })
    await jobs.add(1)
    await pass(500)
    expect((await mails.counts()).waiting).toBe(1)
    expect((await mails.get(ids[1]!))?.data).toBe('to 1')
    expect(await mails.get(ids[0]!)).toBeUndefined()
  })

  it('retries the job if an effect throws, and keeps nothing of it', async () => {
    const { pass, process, chain } = await open()
    const jobs = process().queue<number>({ retry: { max: 1 } })
    jobs.work((job) => {
      job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
      job.effect(() => {
        throw new Error('too poor')
      })
    })
    const { id } = await jobs.add(1)
    await pass(100)
    expect((await jobs.get(id))?.errors).toEqual(['Error: too poor'])
    expect(chain.children(EffectOf).count()).toBe(0)
  })
})

describe('limits', () => {
  it('pauses and resumes everywhere', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>()
    const { ran } = recorder(jobs)
    const other = process().queue<number>()
    await other.pause()
    await other.addMany([1, 2])
    await pass(200)
    expect([ran, (await jobs.counts()).paused]).toEqual([[], true])
    await other.resume()
    await pass(200)
    expect(ran).toEqual([1, 2])
  })

  it('removes what has ended when its time is over', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ keep: { done: '5s', dead: { count: 1 } }, retry: { max: 1 } })
    jobs.work((job) => {
      if (job.data > 2) throw new Error('no')
    })
    await jobs.addMany([1, 2, 3, 4, 5])
    await pass(3000, 200)
    const { done, dead } = await jobs.counts()
    expect([done, dead]).toEqual([2, 1])
    await pass(5000, 500)
    expect((await jobs.counts()).done).toBe(0)
  })

  it('knows an id as long as it keeps the job, and takes it for a new one after that', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ keep: { done: '5s' } })
    const { ran } = recorder(jobs)
    await jobs.add(1, { id: 'same' })
    await pass(3000, 250)
    await jobs.add(2, { id: 'same' })
    await pass(500)
    expect(ran).toEqual([1])
    await pass(5000, 500)
    await jobs.add(3, { id: 'same' })
    await pass(500)
    expect(ran).toEqual([1, 3])
  })

  it('has options that are the same for all, and changes them on purpose', async () => {
    const { process } = await open()
    await process()
      .queue({ retry: { max: 3 } })
      .add(1)
    await process().queue({ lease: '10s' }).add(1)
    await expectCode(
      process()
        .queue({ retry: { max: 4 } })
        .add(1),
      'QUEUE_MISMATCH',
    )
    await expectCode(process().queue({ lease: '11s' }).counts(), 'QUEUE_MISMATCH')
    await process()
      .queue()
      .configure({ retry: { max: 4 } })
    await process()
      .queue({ retry: { max: 4 }, lease: '10s' })
      .add(1)
  })
})

describe('other ways to work', () => {
  it('hands out batches, and fails one of them alone', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number, number>({ retry: { max: 1 } })
    const sizes: number[] = []
    jobs.workBatch(
      async (batch) => {
        sizes.push(batch.length)
        return batch.map((job) => (job.data === 3 ? new Error('three') : job.data * 2))
      },
      { size: 4, wait: '100ms' },
    )
    const handles = await jobs.addMany([1, 2, 3, 4, 5])
    await pass(1000)
    expect(sizes).toEqual([4, 1])
    expect(await handles[1]!.result()).toBe(4)
    await expectCode(handles[2]!.result(), 'JOB_FAILED')
  })

  it('gives leases by hand, and takes them back when they are left', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number, string>()
    const handles = await jobs.addMany([1, 2, 3])
    const stop = new AbortController()
    const seen: number[] = []
    const loop = (async () => {
      for await (const lease of jobs.leases({ signal: stop.signal })) {
        seen.push(lease.data)
        if (seen.length === 1) await lease.complete('one')
        else if (seen.length === 2) await lease.fail(new Error('two'), { retryIn: '1s' })
        else await lease[Symbol.asyncDispose]()
        if (seen.length === 3) break
      }
    })()
    await pass(300)
    await loop
    expect(seen).toEqual([1, 2, 3])
    expect(await handles[0]!.result()).toBe('one')
    expect((await jobs.get(handles[1]!.id))?.state).toBe('scheduled')
    expect((await jobs.get(handles[2]!.id))?.state).toBe('waiting')
    stop.abort()
  })
})

describe('looking', () => {
  it('lists, counts and tells what happens', async () => {
    const { pass, process } = await open()
    const jobs = process().queue<number>({ retry: { max: 1 }, group: (n) => (n > 2 ? 'large' : 'small') })
    await jobs.addMany([
      [1, { id: 'one' }],
      [2, { id: 'two' }],
      [3, { id: 'three' }],
    ])
    await pass(1000)
    expect((await jobs.counts()).oldestWaitingMs).toBeGreaterThanOrEqual(1000)
    const ids = async (options: Parameters<typeof jobs.list>[0]): Promise<string[]> => {
      const found: string[] = []
      for await (const { id } of jobs.list(options)) found.push(id)
      return found
    }
    expect(await ids({ group: 'small' })).toEqual(['one', 'two'])
    jobs.work((job: Job<number>) => {
      if (job.data === 2) throw new Error('no')
    })
    await pass(200)
    expect(await ids({ state: 'dead' })).toEqual(['two'])
    const stop = new AbortController()
    const told: string[] = []
    for await (const { id, state } of jobs.events({ from: 'start', signal: stop.signal })) {
      told.push(`${id} ${state}`)
      if (told.length === 9) break
    }
    expect(told.slice(0, 3)).toEqual(['one waiting', 'two waiting', 'three waiting'])
    expect(told.slice(3).sort()).toEqual([
      'one active',
      'one done',
      'three active',
      'three done',
      'two active',
      'two dead',
    ])
  })
})

it('tells an observer what happens, under the names of OpenTelemetry, and goes on if it throws', async () => {
  world = await openWorld(1)
  const told: QueueObservation[] = []
  const jobs = world.process().queue<number>({
    retry: { max: 1 },
    observe: (one) => {
      told.push(one)
      throw new Error('not your affair')
    },
  })
  await jobs.addMany([1, 2])
  jobs.work((job) => {
    if (job.data === 2) throw new RangeError('two')
  })
  await world.pass(300)
  const named = { 'messaging.system': 'ate', 'messaging.destination.name': 'jobs' }
  const processed = {
    ...named,
    kind: 'processed',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
  }
  expect(told).toMatchObject([
    {
      ...named,
      kind: 'sent',
      'messaging.operation.name': 'add',
      'messaging.operation.type': 'send',
      'messaging.batch.message_count': 2,
    },
    { ...processed, outcome: 'done' },
    { ...processed, outcome: 'dead', 'error.type': 'RangeError' },
  ])
  expect((await jobs.counts()).done).toBe(1)
})
