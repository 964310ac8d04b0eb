/**
 * Seeded runs on a simulated network: processes on machines of their own work on one queue through a server. Lines are slow,
 * break and are cut, the server is killed and started again, processes are stopped, go on as zombies, die, and have wrong
 * clocks. Then everything heals, and the history is checked. ATE_QUEUE_RUNS sets how many runs there are, ATE_QUEUE_SEED the
 * first of them.
 * @newest-node-only: a server needs native post-quantum code to be quick
 */
import { type Chain, openChain } from '@ate/core'
import { type SeededRandom, seededRandom, type TestPlatform } from '@ate/core/testing'
import type { Job, Queue, QueueOptions } from '@ate/queue'
import { expect, it } from 'vitest'
import { SimWorld, simPerson } from '../../packages/core/test/mesh/sim-world.ts'
import { type Client, findingsOf } from '../../packages/queue/test/history.ts'
import { EffectOf, Process } from '../../packages/queue/test/kit.ts'

const FIRST = Number(process.env['ATE_QUEUE_SEED'] ?? 1)
const RUNS = Number(process.env['ATE_QUEUE_RUNS'] ?? 1)
const ROUNDS = 12
const ACTIVE_MAX = 4
const OPTIONS: QueueOptions<Data> = {
  lease: '4s',
  retry: { max: 500, backoff: '50ms' },
  limit: { active: ACTIVE_MAX },
}

interface Data {
  readonly n: number
}

/** A process on a machine of its own, with a connection of its own. */
interface Running {
  readonly machine: string
  readonly process: Process
  readonly queue: Queue<Data, Data, unknown>
}

class Net {
  readonly random: SeededRandom
  readonly world: SimWorld
  readonly client: Client = { acknowledged: new Set(), attempted: new Set() }
  readonly running: Running[] = []
  #seed: number
  #serverKey = ''
  #id: string | undefined
  #machines = 0

  constructor(seed: number) {
    this.#seed = seed
    this.random = seededRandom(seed)
    this.world = new SimWorld(seed, { delayMs: [1, 30], breakOneIn: 150, deadMs: 5000 })
  }

  async start(): Promise<void> {
    this.#serverKey = (await this.world.startServer()).identity.fingerprint
    const chain = await this.open('first', { create: true })
    this.#id = chain.id
    for (let i = 0; i < 3; i++) await this.join()
  }

  open(machine: string, how: { readonly create?: true } = {}): Promise<Chain> {
    const known = this.#id === undefined ? {} : { id: this.#id }
    const options = { as: simPerson('me'), serverKey: this.#serverKey, ...known, ...how }
    return this.world.wait(openChain(`${this.world.url}/jobs`, options, this.world.machine(machine)))
  }

  async join(): Promise<void> {
    const machine = `m${this.#machines++}`
    const chain = await this.open(machine)
    const { clock, timers } = this.world.time
    const platform = { environment: { clock, timers } } as unknown as TestPlatform
    const process = new Process(machine, chain, platform, this.#seed * 100 + this.#machines)
    const jobs = process.queue<Data>(OPTIONS)
    const { random } = this
    const worker = jobs.work(
      async (job: Job<Data>) => {
        job.effect((tx) => tx.create(EffectOf, { job: job.id, fence: job.fence }))
        if (random.oneIn(8)) throw new Error('flaky')
        if (random.oneIn(12)) job.snooze(100)
        if (random.oneIn(6)) await job.step('step', () => job.data.n)
        if (random.oneIn(3))
          await new Promise<void>((resolve) => process.environment.start(random.below(800), resolve, 'lets go'))
      },
      { concurrency: 1 + random.below(4), prefetch: random.below(3) },
    )
    worker.done.catch((error) => console.log('worker ended', error))
    this.running.push({ machine, process, queue: jobs })
  }

  addSome(): void {
    const { random, client, running } = this
    const { queue: jobs } = running[random.below(running.length)]!
    for (let i = random.below(5); i > 0; i--) {
      const id = `j${client.attempted.size}`
      client.attempted.add(id)
      const group = random.oneIn(2) ? { group: `g${random.below(3)}` } : {}
      void jobs
        .add({ n: i }, { id, ...(random.oneIn(4) ? { priority: random.below(3) } : {}), ...group })
        .then(() => client.acknowledged.add(id))
        .catch(() => undefined)
    }
  }

  async disturb(): Promise<void> {
    const { random, running, world } = this
    const { machine, process } = running[random.below(running.length)]!
    switch (random.below(10)) {
      case 0:
      case 1:
        world.network.partition(machine, 'server')
        break
      case 2:
        process.freeze()
        break
      case 3:
      case 4:
        this.heal()
        break
      case 5:
        world.setClock(machine, random.below(40_000) - 20_000)
        break
      case 6:
        world.killServer()
        await world.time.run(random.below(3000))
        await world.startServer()
        break
      case 7:
        process.killAt(random.below(4), random.oneIn(2) ? 'before' : 'after')
        break
      case 8:
        process.kill()
        break
    }
    for (const [index, one] of [...running].entries()) {
      if (!one.process.isDead) continue
      // The machine of a process that is dead says nothing more.
      world.network.partition(one.machine, 'server')
      if (random.oneIn(3)) continue
      running.splice(index, 1)
      await this.join()
      break
    }
  }

  heal(): void {
    for (const { machine, process } of this.running) {
      if (process.isDead) continue
      this.world.network.heal(machine, 'server')
      process.thaw()
    }
  }
}

async function run(seed: number): Promise<void> {
  const net = new Net(seed)
  await net.start()
  for (let round = 0; round < ROUNDS; round++) {
    net.addSome()
    await net.world.time.run(100 + net.random.below(1200))
    await net.disturb()
  }
  net.world.network.setLink({ breakOneIn: 0 })
  net.heal()
  await net.join()
  const { queue: jobs } = net.running.at(-1)!
  for (let i = 0; i < 120; i++) {
    await net.world.time.run(1000)
    const { waiting, scheduled, active, blocked } = await net.world.wait(jobs.counts())
    if (waiting + scheduled + active + blocked === 0) break
  }
  const found = await net.world.wait(findingsOf(await net.open('observer'), net.client))
  expect({ seed, ...found }).toMatchObject({ seed, lost: [], duplicated: [], unexpected: [], open: 0 })
  expect(found.done).toBeGreaterThanOrEqual(net.client.acknowledged.size)
  expect(found.mostActive).toBeLessThanOrEqual(ACTIVE_MAX)
  expect(found.mostActiveOfGroup).toBeLessThanOrEqual(1)
}

for (let i = FIRST; i < FIRST + RUNS; i++) it(`seed ${i}`, () => run(i))
