/**
 * Shared by the tests: a world with one chain in memory and time that is moved by hand, and processes in it, each with a
 * handle of its own on the chain, that can be stopped, killed and started again.
 */
import {
  type Chain,
  createIdentity,
  type Identity,
  isAteError,
  type MemoryStore,
  memoryEngine,
  memoryStore,
  openChain,
} from '@ate/core'
import { type SimTime, seededRandom, type TestPlatform, testPlatform } from '@ate/core/testing'
import { expect } from 'vitest'
import { type Queue, type QueueEnvironment, type QueueOptions, queue } from '../src/index.ts'

export { EffectOf } from './effect-of.ts'

/** Costly to make: one for all tests of a file. */
let someone: Promise<Identity> | undefined
export function person(): Promise<Identity> {
  someone ??= createIdentity()
  return someone
}

export const codeOf = (error: unknown): string => (isAteError(error) ? error.code : String(error))

/** Lets everything run that waits for nothing but the event loop. */
export async function turns(count = 12): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

export interface World {
  readonly chain: Chain
  readonly platform: Pick<TestPlatform, 'advance' | 'setWallClock' | 'environment'>
  /** Waits, and lets time pass where answers need some. */
  wait<T>(promise: Promise<T>): Promise<T>
  /** Compacts the log, and starts anew from it: other processes, which know nothing. Time is some minutes later. */
  restart(): Promise<World>
  /** Moves time on in steps, and lets everything run after each. */
  pass(ms: number, step?: number): Promise<void>
  process(name?: string): Process
  close(): Promise<void>
}

const RESTARTED_MS = 600_000

/** `at` is a store in memory, or `file:PATH` on a simulated disk of the platform. */
export async function openWorld(
  seed = 1,
  at: MemoryStore | string = memoryStore(),
  platform: TestPlatform = testPlatform(seed),
): Promise<World> {
  const place = typeof at === 'string' ? at : memoryEngine(at)
  const chain = await openChain(place, { as: await person() }, platform)
  const processes: Process[] = []
  const world: World = {
    chain,
    platform,
    wait: (promise) => promise,
    async restart() {
      await chain.compact()
      await world.close()
      platform.advance(RESTARTED_MS)
      return openWorld(seed + 1, at, platform)
    },
    async pass(ms, step = 50) {
      for (let left = ms; left > 0; left -= step) {
        platform.advance(Math.min(step, left))
        await turns(4)
      }
      await turns()
    },
    process(name = `p${processes.length}`) {
      const made = new Process(name, chain, platform, seed * 100 + processes.length)
      processes.push(made)
      return made
    },
    async close() {
      for (const one of processes) one.thaw()
      await chain.close()
    },
  }
  return world
}

/** One process: between it and the chain stands a gate. */
export class Process {
  readonly name: string
  readonly chain: Chain
  readonly environment: QueueEnvironment
  /** Transactions that reached the chain. */
  committed = 0
  #state: 'runs' | 'stopped' | 'dead' = 'runs'
  /** Cut off from the chain: it runs, and what it asks the chain waits. */
  #cut: Promise<void> | undefined
  #heal = (): void => undefined
  /** Dies at this many transactions from now: before the chain has it, or after it has. */
  #dies: { count: number; readonly when: 'before' | 'after' } | undefined
  #freezes = -1
  readonly #thawing = new Set<() => void>()

  constructor(name: string, chain: Chain, platform: Pick<TestPlatform, 'environment'>, seed: number) {
    this.name = name
    const random = seededRandom(seed)
    const { clock, timers } = platform.environment
    this.chain = this.#gated(chain)
    this.environment = {
      start: (delayMs, run) => timers.start(delayMs, () => void this.#gate().then(run)),
      pause: () => new Promise((resolve) => setImmediate(resolve)).then(() => this.#gate()),
      random: () => random.below(1 << 30) / (1 << 30),
      monotonic: () => clock.monotonic(),
    }
  }

  queue<D = unknown, R = unknown>(options: QueueOptions<D> = {}, name = 'jobs'): Queue<D, D, R> {
    return queue<D, R>(this.chain, name, options, this.environment)
  }

  /** As SIGSTOP: nothing of it goes on. */
  freeze(): void {
    // What is dead stays so: thawed, it would renew what its handlers hold, which stand still for ever.
    if (this.#state === 'runs') this.#state = 'stopped'
  }

  /** As SIGCONT. */
  thaw(): void {
    if (this.#state === 'stopped') this.#state = 'runs'
    this.#freezes = -1
    const waiting = [...this.#thawing]
    // Before they run: whoever waits from then on waits for the next thaw.
    this.#thawing.clear()
    for (const go of waiting) go()
  }

  /** A partition between it and the chain. Its clock, its timers and its handlers go on. */
  partition(): void {
    this.#cut ??= new Promise((resolve) => {
      this.#heal = resolve
    })
  }

  heal(): void {
    this.#cut = undefined
    this.#heal()
  }

  /** As SIGKILL: what it had sent to the chain lands, and it never hears of it. */
  kill(): void {
    this.#state = 'dead'
  }

  /** Stops before this transaction from now. */
  freezeAt(count: number): void {
    this.#freezes = count
  }

  killAt(count: number, when: 'before' | 'after'): void {
    this.#dies = { count, when }
  }

  get isDead(): boolean {
    return this.#state === 'dead'
  }

  /** Waits while it is stopped; for ever once it is dead. */
  async #gate(): Promise<void> {
    while (this.#state === 'stopped') {
      await new Promise<void>((resolve) => this.#thawing.add(resolve))
    }
    if (this.#state === 'dead') await new Promise<never>(() => undefined)
  }

  async #reach(): Promise<void> {
    await this.#gate()
    while (this.#cut) await this.#cut
    await this.#gate()
  }

  async #transact(run: () => Promise<unknown>): Promise<unknown> {
    if (this.#freezes >= 0 && this.#freezes-- === 0) this.freeze()
    await this.#reach()
    const dies = this.#dies
    if (dies && --dies.count < 0) {
      if (dies.when === 'before') {
        this.kill()
        return this.#gate()
      }
      void run().catch(() => undefined)
      this.kill()
      return this.#gate()
    }
    try {
      return await run()
    } finally {
      this.committed++
      await this.#reach()
    }
  }

  /** News comes when the partition is over. */
  async *#heard(news: AsyncGenerator<unknown, void, void>): AsyncGenerator<unknown, void, void> {
    for await (const one of news) {
      while (this.#cut) await this.#cut
      yield one
    }
  }

  #gated(chain: Chain): Chain {
    return new Proxy(chain, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        const call = value.bind(target) as (...args: unknown[]) => unknown
        if (property === 'transact')
          return (...args: unknown[]) => this.#transact(() => call(...args) as Promise<unknown>)
        if (property === 'watch')
          return (...args: unknown[]) => this.#heard(call(...args) as AsyncGenerator<unknown, void, void>)
        if (property === 'get' || property === 'named' || property === 'child')
          return async (...args: unknown[]) => {
            await this.#reach()
            const result = await call(...args)
            await this.#reach()
            return result
          }
        return call
      },
    })
  }
}

/** For a simulated disk whose program goes by real time. */
export function realTime(): SimTime {
  return {
    clock: { now: () => Date.now(), monotonic: () => performance.now() },
    timers: {
      start(delayMs, run) {
        const timer = setTimeout(run, delayMs)
        timer.unref()
        return { cancel: () => clearTimeout(timer) }
      },
      pause: () => new Promise((resolve) => setImmediate(resolve)),
    },
    advance: () => undefined,
    run: async () => undefined,
    runUntil: async () => true,
  }
}

export async function expectCode(promise: Promise<unknown>, code: string): Promise<void> {
  await expect(promise.then(() => 'fulfilled', codeOf)).resolves.toBe(code)
}
