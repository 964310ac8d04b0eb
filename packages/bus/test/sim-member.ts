/**
 * A process as the simulation sees it: a bus over a chain that it reaches through a gate, with a clock and timers of its
 * own. It can be stopped between any two calls, go on later as a zombie, or die; what it asked for while it died may
 * still be committed, and it never hears of it.
 */
import type { Chain } from '@ate/core'
import type { BusEnvironment } from '../src/environment.ts'
import { type Bus, bus } from '../src/index.ts'

export interface Random {
  (): number
  below(n: number): number
}

/** mulberry32: small, and the same everywhere. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return Object.assign(next, { below: (n: number) => Math.floor(next() * n) })
}

const NEVER = new Promise<never>(() => undefined)
let count = 0

export class Member<T> {
  readonly id: string = `member-${++count}`
  readonly chain: Chain
  readonly events: Bus<T, T>
  #gate: Promise<void> | undefined
  #open: (() => void) | undefined
  isDead = false
  /** Ms that its clock is wrong by. */
  skewMs = 0
  #timeMs = 0
  #timers: { at: number; run: () => void }[] = []

  constructor(real: Chain, random: Random) {
    this.chain = new Proxy(real, { get: (target, name) => this.#property(target, name) })
    const environment: BusEnvironment = {
      timer: (ms, run) => {
        const timer = { at: this.#timeMs + ms, run }
        this.#timers.push(timer)
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer)
        }
      },
      now: () => 1_700_000_000_000 + this.#timeMs + this.skewMs,
      turn: () => new Promise((resolve) => setImmediate(resolve)),
      random,
      uniqueId: () => `${this.id}-${++count}`,
      monotonicMs: () => this.#timeMs,
    }
    this.events = bus<T & object>(this.chain, {}, environment) as unknown as Bus<T, T>
  }

  #property(target: Chain, name: string | symbol): unknown {
    const value: unknown = Reflect.get(target, name, target)
    if (name === 'isAlone') return false
    if (typeof value !== 'function') return value
    const run = value.bind(target) as (...args: unknown[]) => unknown
    if (['watch', 'events'].includes(String(name)))
      return (...args: unknown[]) => this.#gated(run(...args) as AsyncGenerator<unknown>)
    if (!['transact', 'get', 'load', 'named'].includes(String(name))) return run
    return async (...args: unknown[]): Promise<unknown> => {
      await this.pass()
      const result = await run(...args)
      await this.pass()
      return result
    }
  }

  /** News comes late to a process that was stopped: it may commit before it hears that it has lost. */
  async *#gated(news: AsyncGenerator<unknown>): AsyncGenerator<unknown, void, void> {
    for await (const one of news) {
      await this.pass()
      await new Promise((resolve) => setImmediate(resolve))
      yield one
    }
  }

  /** Goes on when the process does. */
  async pass(): Promise<void> {
    if (this.isDead) await NEVER
    while (this.#gate) await this.#gate
    if (this.isDead) await NEVER
  }

  get isStopped(): boolean {
    return this.#gate !== undefined
  }

  stop(): void {
    this.#gate ??= new Promise((resolve) => {
      this.#open = resolve
    })
  }

  go(): void {
    this.#gate = undefined
    this.#open?.()
  }

  die(): void {
    this.isDead = true
    this.go()
    this.#timers = []
  }

  /** Lets its time pass, whether or not it runs; timers wait for it to run. */
  elapse(ms: number): void {
    this.#timeMs += ms
    if (this.isDead || this.#gate) return
    const due = this.#timers.filter(({ at }) => at <= this.#timeMs).sort((a, b) => a.at - b.at)
    this.#timers = this.#timers.filter(({ at }) => at > this.#timeMs)
    for (const { run } of due) run()
  }
}
