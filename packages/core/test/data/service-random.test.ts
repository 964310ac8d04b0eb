/**
 * Random programs of callers, instances and instances that stall, over time that passes in jumps, crashes and failed
 * appends: whatever happens, a call that was answered has the effect of exactly the try whose reply its caller got, a
 * call that was withdrawn has none, and none has two. The seed is in the name of the test; a twentieth of ATE_RUNS are run.
 */
import { afterAll, describe, expect, it } from 'vitest'
import { AteError, isAteError } from '../../src/base/errors.ts'
import type { Chain } from '../../src/data/chain.ts'
import { type Served, service } from '../../src/data/service.ts'
import { answerCall, giveBackCall, keepCall, type TakenCall, takeCall } from '../../src/data/service-calls.ts'
import { invoke } from '../../src/data/service-invoke.ts'
import { findService, foundService, slotsOf } from '../../src/data/service-place.ts'
import { defineService, type FromFunctions, type ServiceType } from '../../src/data/service-type.ts'
import { memoryEngine, memoryStore } from '../../src/log/memory.ts'
import { GatedEngine } from '../../src/testing/gated-engine.ts'
import { type SeededRandom, seededRandom } from '../../src/testing/random.ts'
import { assertSameAsLog, Count, coreOf, open, person, quickPlatform, turns } from './kit.ts'

const RUNS = Math.ceil(Number(process.env['ATE_RUNS'] ?? 400) / 20)
const STEPS = 60
const LEASE_MS = 3000

interface Work {
  work(input: { readonly n: number }): { readonly by: number }
}
const Worker: ServiceType<FromFunctions<Work>> = defineService<Work>('worker')

interface Call {
  readonly n: number
  outcome: { readonly by: number } | 'withdrawn' | 'failed' | 'unknown' | undefined
}

/** What all runs together have seen: a test that never sees a takeover shows nothing. */
const seen = { answered: 0, withdrawn: 0, taken: 0, lost: 0, crashes: 0, failed: 0 }

class World {
  readonly random: SeededRandom
  readonly platform = quickPlatform(5)
  readonly store = memoryStore()
  readonly calls: Call[] = []
  readonly instances: Served[] = []
  /** Tries that were taken and not finished: they wake up whenever they like, also behind a crash. */
  readonly zombies: { readonly taken: TakenCall; readonly token: number }[] = []
  engine!: GatedEngine
  chain!: Chain
  #tokens = 0

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  async open(): Promise<void> {
    const id = this.store.label ? this.chain.id : undefined
    this.engine = new GatedEngine(memoryEngine(this.store))
    this.chain = await open(this.engine, { as: person('alice'), ...(id ? { id } : {}) }, this.platform)
  }

  call(): void {
    const call: Call = { n: this.calls.length, outcome: undefined }
    this.calls.push(call)
    const stop = new AbortController()
    const timeout = 1000 + this.random.below(20_000)
    invoke(this.chain, Worker)
      .work({ n: call.n }, { timeout, signal: stop.signal })
      .then(
        (reply) => (call.outcome = reply),
        (error) => (call.outcome = outcomeOf(error)),
      )
    if (this.random.oneIn(8)) stop.abort(new AteError('INDETERMINATE'))
  }

  start(): void {
    const serve = async ({ n }: { readonly n: number }) => {
      const by = this.#tokens++
      if (this.random.oneIn(3))
        await new Promise((resolve) =>
          this.platform.environment.timers.start(this.random.below(9000), () => resolve(0)),
        )
      return (tx: Parameters<Parameters<Chain['transact']>[0]>[0]) => {
        tx.create(Count, { n: n * 1_000_000 + by })
        return { by }
      }
    }
    const options = { lease: LEASE_MS, grace: 0, concurrency: 1 + this.random.below(4), onError: () => undefined }
    this.instances.push(service(this.chain, Worker, { work: serve as never }, options))
  }

  async take(): Promise<void> {
    const place = findService(this.chain, Worker.name, undefined)!
    const slots = slotsOf(this.chain, place)
    if (slots.length === 0) return
    const taken = await takeCall(this.chain, place, slots[this.random.below(slots.length)]!, LEASE_MS)
    if (!taken) return
    seen.taken++
    this.zombies.push({ taken, token: this.#tokens++ })
  }

  async wake(): Promise<void> {
    const at = this.random.below(this.zombies.length + 1)
    const zombie = this.zombies[at]
    if (!zombie) return
    const { taken, token } = zombie
    const place = findService(this.chain, Worker.name, undefined)!
    const what = this.random.below(5)
    if (what === 0) return keepCall(this.chain, place, taken, LEASE_MS)
    if (what === 1) return giveBackCall(this.chain, place, taken)
    // It may wake up once more, though it is done.
    if (!this.random.oneIn(3)) this.zombies.splice(at, 1)
    return answerCall(this.chain, place, taken, (tx) => {
      tx.create(Count, { n: (taken.input as { n: number }).n * 1_000_000 + token })
      return { state: 'answered', output: { by: token } }
    })
  }

  async crash(): Promise<void> {
    seen.crashes++
    this.instances.length = 0
    await this.chain.close()
    await turns(2)
    await this.open()
    this.start()
  }

  async step(): Promise<void> {
    const { random, platform } = this
    const what = random.below(20)
    if (what < 6) this.call()
    else if (what < 9) await this.take().catch(expected)
    else if (what < 13) await this.wake().catch(expected)
    else if (what < 17) platform.advance(random.below(random.oneIn(4) ? 8000 : 1500))
    else if (what === 17) {
      if (this.instances.length < 3) this.start()
      else this.instances.shift()!.close().catch(expected)
    } else if (what === 18) {
      if (random.oneIn(4)) await this.crash()
      else if (random.oneIn(2)) this.engine.failNext = new AteError('DISK_FULL')
    } else await turns(1)
    if (!random.oneIn(3)) await turns(1)
  }

  /** Until every caller has heard something. */
  async end(): Promise<void> {
    for (let i = 0; i < 80 && this.calls.some(({ outcome }) => outcome === undefined); i++) {
      this.platform.advance(1000)
      await turns(2)
    }
    await coreOf(this.chain).settled()
  }

  async check(): Promise<void> {
    const done = new Map<number, number[]>()
    for await (const { value } of this.chain.children(Count)) {
      const n = Math.floor(value.n / 1_000_000)
      done.set(n, [...(done.get(n) ?? []), value.n % 1_000_000])
    }
    for (const { n, outcome } of this.calls) {
      const effects = done.get(n) ?? []
      expect(effects.length, `call ${n} has effects ${effects}`).toBeLessThanOrEqual(1)
      expect(outcome, `call ${n} was never told`).toBeDefined()
      if (typeof outcome === 'object') expect(effects, `call ${n}`).toEqual([outcome.by])
      if (outcome === 'withdrawn' || outcome === 'failed') expect(effects, `call ${n} ${outcome}`).toEqual([])
      if (typeof outcome === 'object') seen.answered++
      if (outcome === 'withdrawn') seen.withdrawn++
      if (outcome === 'failed') seen.failed++
    }
    await assertSameAsLog(this.chain)
  }
}

function outcomeOf(error: unknown): Call['outcome'] {
  if (!isAteError(error)) throw error
  const { code, facts } = error
  if (code === 'TIMEOUT') return facts['state'] === 'unknown' ? 'unknown' : 'withdrawn'
  if (code === 'HANDLER_FAILED') return 'failed'
  // The chain was closed, or a write of the caller's did not go through: it may have been answered all the same.
  if (['CHAIN_CLOSED', 'INDETERMINATE', 'DISK_FULL', 'CALL_LOST'].includes(code)) return 'unknown'
  throw error
}

function expected(error: unknown): void {
  if (!isAteError(error) || !['CALL_LOST', 'DISK_FULL', 'CHAIN_CLOSED'].includes(error.code)) throw error
  if (error.code === 'CALL_LOST') seen.lost++
}

describe('services under random programs', () => {
  for (let seed = 1; seed <= RUNS; seed++) {
    it(`answer each call once, seed ${seed}`, async () => {
      const world = new World(seed)
      await world.open()
      await foundService(world.chain, Worker)
      world.start()
      for (let i = 0; i < STEPS; i++) await world.step()
      await world.end()
      await Promise.all(world.instances.map((instance) => settleClose(world, instance)))
      await world.check()
      await world.chain.close()
    })
  }

  afterAll(() => {
    for (const [what, count] of Object.entries(seen))
      if (what !== 'failed') expect(count, `no run has seen: ${what}`).toBeGreaterThan(0)
  })
})

/** Closing waits for a time that somebody has to let pass. */
async function settleClose(world: World, instance: Served): Promise<void> {
  const closed = instance.close()
  await turns(2)
  world.platform.advance(1)
  await closed
}
