/**
 * F7, F9 and F10 in one process, on memory and on files: answers that are lost, calls that come twice and in another
 * order, power that fails, workers that the chain cannot be reached from. Over a server: server-faults.test.ts.
 */
import { type Durability, memoryStore } from '@ate/core'
import { quickPlatform, type SimFileSystem, seededRandom } from '@ate/core/testing'
import { afterEach, describe, expect, it } from 'vitest'
import type { Job, Queue } from '../src/index.ts'
import { type Client, findingsOf } from './history.ts'
import { codeOf, EffectOf, openWorld, person, turns, type World } from './kit.ts'

const CUTS = Math.min(Number(process.env['ATE_SEEDS'] ?? 6), 400)
const LEASE = { lease: '2s', retry: { max: 10, backoff: '100ms' } } as const
const effect = (job: Job<number>): void => job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))

let world: World
afterEach(() => world?.close())

const client = (): Client => ({ acknowledged: new Set(), attempted: new Set() })

async function add(jobs: Queue<number, number, unknown>, seen: Client, n: number): Promise<void> {
  const id = `j${n}`
  seen.attempted.add(id)
  await jobs.add(n, { id })
  seen.acknowledged.add(id)
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

describe.each(['memory', 'file'] as const)('on %s', (engine) => {
  const open = (seed: number): Promise<World> =>
    engine === 'memory' ? openWorld(seed) : openWorld(seed, 'file:/q', quickPlatform(seed))

  it('F7: adds whose answer was lost, sent again by another, twice and in another order: each once', async () => {
    world = await open(20)
    const seen = client()
    const [a, b, c] = [world.process(), world.process(), world.process()]
    // Opening is a commit, and two are answered before the process dies with the third under way.
    a.killAt(3, 'after')
    const first = a.queue<number>(LEASE)
    void (async () => {
      for (const n of upTo(6)) await add(first, seen, n)
    })()
    await world.pass(300)
    expect([a.isDead, seen.acknowledged.size, seen.attempted.size]).toEqual([true, 2, 3])
    const [second, third] = [b.queue<number>(LEASE), c.queue<number>(LEASE)]
    await Promise.all([
      ...upTo(6).map((n) => add(second, seen, n)),
      ...upTo(6)
        .reverse()
        .map((n) => add(third, seen, n)),
    ])
    second.work(effect, { concurrency: 2 })
    third.work(effect, { concurrency: 2 })
    await world.pass(500)
    expect(await findingsOf(world.chain, seen)).toMatchObject({ ...CLEAN, done: 6 })
  })

  it('F7: an add that nobody answered and nobody sent again is there, once: recovered', async () => {
    world = await open(21)
    const seen = client()
    const [a, b] = [world.process(), world.process()]
    a.killAt(1, 'after')
    void add(a.queue<number>(LEASE), seen, 0)
    await world.pass(300)
    b.queue<number>(LEASE).work(effect)
    await world.pass(500)
    expect(await findingsOf(world.chain, seen)).toMatchObject({ ...CLEAN, recovered: ['j0'], done: 1 })
  })

  it('F10: who cannot reach the chain stops before another begins, and what it sends late does nothing', async () => {
    world = await open(22)
    const seen = client()
    const [a, b] = [world.process(), world.process()]
    const said: string[] = []
    let goOn = (): void => undefined
    await add(b.queue<number>(LEASE), seen, 0)
    const cutOff = a.queue<number>({
      ...LEASE,
      observe: (one) => void (one.kind === 'processed' && said.push(`a: ${one.outcome}`)),
    })
    cutOff.work(async (job) => {
      effect(job)
      job.signal.addEventListener('abort', () => said.push(`a: ${codeOf(job.signal.reason)}`))
      await new Promise<void>((resolve) => {
        goOn = resolve
      })
    })
    await world.pass(300)
    a.partition()
    b.queue<number>(LEASE).work((job) => {
      said.push(`b: attempt ${job.attempt}`)
      effect(job)
    })
    await world.pass(5000)
    expect(said).toEqual(['a: LEASE_LOST', 'a: lost', 'b: attempt 2'])
    goOn()
    a.heal()
    await world.pass(1000)
    expect(await findingsOf(world.chain, seen)).toMatchObject({ ...CLEAN, done: 1 })
    await add(b.queue<number>(LEASE), seen, 1)
    await world.pass(500)
    // It works again.
    goOn()
    await world.pass(500)
    expect(await findingsOf(world.chain, seen)).toMatchObject({ ...CLEAN, done: 2 })
  })

  it.each([0, 40, 80, 120, 160, 200, 240])(
    'F10: it stops before the other one begins, whichever of both looks first (%i ms later)',
    async (later) => {
      world = await open(24)
      const seen = client()
      const [a, b] = [world.process(), world.process()]
      const said: string[] = []
      a.queue<number>(LEASE).work(async (job) => {
        job.signal.addEventListener('abort', () => said.push(`a: ${codeOf(job.signal.reason)}`))
        await new Promise<never>(() => undefined)
      })
      // Its lease does not begin when it looks.
      await world.pass(30, 10)
      await add(b.queue<number>(LEASE), seen, 0)
      await world.pass(20, 10)
      a.partition()
      await world.pass(later, 10)
      b.queue<number>(LEASE).work((job) => {
        said.push(`b: attempt ${job.attempt}`)
        effect(job)
      })
      await world.pass(3000, 10)
      expect(said).toEqual(['a: LEASE_LOST', 'b: attempt 2'])
    },
  )

  it('F10: its handler has returned, and the commit is under way when the lease is over: refused', async () => {
    world = await open(23)
    const seen = client()
    const [a, b] = [world.process(), world.process()]
    const outcomes: string[] = []
    let goOn = (): void => undefined
    await add(b.queue<number>(LEASE), seen, 0)
    a.queue<number>({ ...LEASE, observe: (one) => void (one.kind === 'processed' && outcomes.push(one.outcome)) }).work(
      async (job) => {
        effect(job)
        await new Promise<void>((resolve) => {
          goOn = resolve
        })
      },
    )
    await world.pass(300)
    a.partition()
    goOn()
    await turns()
    b.queue<number>(LEASE).work(effect)
    await world.pass(5000)
    a.heal()
    await world.pass(1000)
    expect(outcomes).toEqual(['lost'])
    expect(await findingsOf(world.chain, seen)).toMatchObject({ ...CLEAN, done: 1 })
  })
})

const CLEAN = { lost: [], duplicated: [], recovered: [], unexpected: [], open: 0 }

describe('F9: the power fails', () => {
  it('memory promises nothing, and says so', async () => {
    world = await openWorld(30)
    const jobs = world.process().queue<number>(LEASE)
    const tx = world.chain.begin()
    await jobs.add(1, { tx })
    const { durability } = await tx.commit()
    expect(durability).toBe('memory')
    await world.close()
    world = await openWorld(31, memoryStore())
    expect((await world.process().queue<number>(LEASE).counts()).waiting).toBe(0)
  })

  it(`on files, at ${CUTS} places of a run: what was acknowledged at disk is there, effects once; os may be gone`, async () => {
    await person()
    let gone = 0
    for (let cut = 1; cut <= CUTS; cut++) gone += await powerCut(cut)
    expect(gone).toBeGreaterThan(0)
  })
})

/** Adds at both levels and works, until the power fails; says how many that were acknowledged at `os` are gone. */
async function powerCut(seed: number): Promise<number> {
  const random = seededRandom(seed)
  const disks = new Map<string, SimFileSystem>()
  world = await openWorld(seed, 'file:/q', quickPlatform(seed, { disks }))
  const disk = disks.get('/q')!
  const [seen, onlyOs] = [client(), client()]
  const jobs = world.process().queue<number>(LEASE)
  await add(jobs, seen, 0)
  disk.faults.cutAfter = disk.counts.operations + 5 + random.below(60)
  jobs.work(effect, { concurrency: 3 }).done.catch(() => undefined)
  for (let n = 1; n < 60 && !disk.isCut; n++) {
    const level: Durability = random.oneIn(2) ? 'disk' : 'os'
    await addAt(level, { jobs, seen: level === 'disk' ? seen : onlyOs, n }).catch(() => undefined)
    if (random.oneIn(3)) await world.pass(50)
  }
  expect(disk.isCut).toBe(true)
  await turns(30)
  disk.crash()
  await world.close().catch(() => undefined)

  world = await openWorld(seed + 1000, 'file:/q', quickPlatform(seed + 1000, { disks }))
  world.platform.setWallClock(1_700_000_600_000)
  const again = world.process().queue<number>(LEASE)
  again.work(effect, { concurrency: 3 })
  await world.pass(6000, 200)
  const all: Client = {
    acknowledged: seen.acknowledged,
    attempted: new Set([...seen.attempted, ...onlyOs.attempted]),
  }
  const found = await findingsOf(world.chain, all)
  expect({ seed, ...found }).toMatchObject({ seed, lost: [], duplicated: [], unexpected: [], open: 0 })
  expect((await world.chain.verify()).ok).toBe(true)
  const there = await findingsOf(world.chain, onlyOs)
  await world.close()
  return there.lost.length
}

async function addAt(
  durability: Durability,
  { jobs, seen, n }: { readonly jobs: Queue<number, number, unknown>; readonly seen: Client; readonly n: number },
): Promise<void> {
  const id = `j${n}`
  seen.attempted.add(id)
  const tx = world.chain.begin({ durability })
  await jobs.add(n, { id, tx })
  const reached = (await tx.commit()).durability
  // What asked for less may get more.
  expect(durability === 'disk' ? ['disk'] : ['os', 'disk']).toContain(reached)
  if (reached === durability) seen.acknowledged.add(id)
}
