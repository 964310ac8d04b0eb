/**
 * Shared by the tests: a chain in memory whose time is moved by hand, and processes on it. Each has a handle of its own on the
 * chain, which says that others write too, so that they meet in the chain only; and it can die.
 */
import { type Chain, createIdentity, type Identity, isAteError, memoryEngine, openChain } from '@ate/core'
import { quickPlatform, seededRandom, type TestPlatform } from '@ate/core/testing'
import { expect } from 'vitest'
import { EntryRecord, IN } from '../src/cache-records.ts'
import { type Cache, type CacheEnvironment, type CacheOptions, cache } from '../src/index.ts'

/** Costly to make: one for all tests of a file. */
let someone: Promise<Identity> | undefined
export function person(): Promise<Identity> {
  someone ??= createIdentity()
  return someone
}

export async function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing was thrown',
    (error: unknown) => (isAteError(error) ? error.code : String(error)),
  )
}

/** Lets everything run that waits for nothing but the event loop. */
export async function turns(count = 12): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T = void>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((done, fail) => {
    resolve = done
    reject = fail
  })
  promise.catch(() => undefined)
  return { promise, resolve, reject }
}

export interface World {
  readonly chain: Chain
  readonly platform: TestPlatform
  readonly environment: CacheEnvironment
  /** On the chain itself. */
  cache<V = unknown>(options?: CacheOptions, name?: string): Cache<V>
  process(): Process
  /** Moves time on in steps, and lets everything run after each. */
  pass(ms: number, step?: number): Promise<void>
  close(): Promise<void>
}

export async function openWorld(seed = 1): Promise<World> {
  const platform = quickPlatform(seed)
  const chain = await openChain(memoryEngine(), { as: await person() }, platform)
  const environment = environmentOf(platform, seed)
  let count = 0
  return {
    chain,
    platform,
    environment,
    cache: <V>(options: CacheOptions = {}, name = 'c') => cache<V>(chain, name, options, environment),
    process: () => new Process(chain, environmentOf(platform, seed * 100 + ++count)),
    async pass(ms, step = 100) {
      for (let left = ms; left > 0; left -= step) {
        platform.advance(Math.min(step, left))
        await turns(4)
      }
      await turns()
    },
    close: () => chain.close(),
  }
}

function environmentOf(platform: TestPlatform, seed: number): CacheEnvironment {
  const random = seededRandom(seed)
  const { clock, timers } = platform.environment
  let ids = 0
  return {
    start: (delayMs, run) => timers.start(delayMs, run),
    pause: () => new Promise((resolve) => setImmediate(resolve)),
    now: (chain) => chain.now,
    random: () => random.below(1 << 30) / (1 << 30),
    uniqueId: () => `${seed}-${++ids}`,
    monotonic: () => clock.monotonic(),
  }
}

const LOOKS: ReadonlySet<unknown> = new Set(['get', 'named', 'child', 'transact', 'refresh'])

export class Process {
  readonly chain: Chain
  readonly environment: CacheEnvironment
  #isDead = false

  constructor(chain: Chain, environment: CacheEnvironment) {
    this.chain = new Proxy(chain, {
      get: (target, property) => {
        if (property === 'isAlone') return false
        const value: unknown = Reflect.get(target, property, target)
        if (typeof value !== 'function') return value
        const call = value.bind(target) as (...args: unknown[]) => unknown
        if (!LOOKS.has(property)) return call
        return async (...args: unknown[]) => {
          await this.#gate()
          const result = await call(...args)
          await this.#gate()
          return result
        }
      },
    })
    this.environment = {
      ...environment,
      start: (delayMs, run, holds) => environment.start(delayMs, () => void this.#gate().then(run), holds),
    }
  }

  cache<V = unknown>(options: CacheOptions = {}, name = 'c'): Cache<V> {
    return cache<V>(this.chain, name, options, this.environment)
  }

  /** As SIGKILL. */
  kill(): void {
    this.#isDead = true
  }

  async #gate(): Promise<void> {
    if (this.#isDead) await new Promise<never>(() => undefined)
  }
}

export async function expectCode(promise: Promise<unknown>, code: string): Promise<void> {
  expect(await codeOf(promise)).toBe(code)
}

/** Entries in the chain, whether or not they count. */
export async function storedCount(c: Cache<never> | Cache<unknown> | Cache<number>): Promise<number> {
  return c.chain.children(EntryRecord, await c.node(), IN.entries).count()
}
