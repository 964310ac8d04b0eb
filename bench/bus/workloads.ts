/** What is timed. Each workload has a folder and a process of its own; figures are named, rates in a second, times in ms. */
import { performance } from 'node:perf_hooks'
import { quantile } from '../quantile.ts'
import type { BusStore } from './engine.ts'

export interface BusJob {
  readonly engine: string
  readonly workload: string
  readonly folder: string
  readonly seconds: number
  /** Events that are written before they are read. */
  readonly events: number
}

export type BusFigures = Record<string, number>

const IN_FLIGHT = 500
const WARM = 2000
const TEXTS: Readonly<Record<string, string>> = { '128': 'x'.repeat(128), '1024': 'x'.repeat(1024) }

export const WORKLOADS: Readonly<Record<string, (store: BusStore, job: BusJob) => Promise<BusFigures>>> = {
  emit: async (store, { seconds }) => {
    let heard = 0
    await store.listenPassing(() => heard++)
    const started = performance.now()
    let sent = 0
    while (performance.now() - started < seconds * 1000) {
      for (let i = 0; i < 100; i++) store.emit(TEXTS['128']!)
      sent += 100
      await new Promise((resolve) => setImmediate(resolve))
    }
    while (heard < sent) await new Promise((resolve) => setImmediate(resolve))
    return { rate: rateOf(heard, started) }
  },
  'publish-128-1': (store, job) => publishing(store, job, '128', 1),
  'publish-128-500': (store, job) => publishing(store, job, '128', IN_FLIGHT),
  'publish-1024-1': (store, job) => publishing(store, job, '1024', 1),
  'publish-1024-500': (store, job) => publishing(store, job, '1024', IN_FLIGHT),
  consume: async (store, { events }) => {
    await fill(store, events)
    const started = performance.now()
    await store.consume(events, 'reader')
    const figures: BusFigures = { rate: rateOf(events, started) }
    if (!store.consumeWithEffect) return figures
    const again = performance.now()
    await store.consumeWithEffect(events, 'effects')
    return { ...figures, effects: rateOf(events, again) }
  },
  replay: async (store, { events }) => {
    await fill(store, events)
    const before = memory()
    const started = performance.now()
    const count = await store.replay()
    return { rate: rateOf(count, started), grown: memory() - before }
  },
  fanout: async (store, { seconds }) => {
    let heard = 0
    for (let i = 0; i < 4; i++) await store.listen(() => heard++)
    const started = performance.now()
    const { count } = await publishFor(store, seconds, '128', IN_FLIGHT)
    while (heard < count * 4) await new Promise((resolve) => setImmediate(resolve))
    return { rate: rateOf(heard, started) }
  },
  'request-stored': (store, job) => requests(store, job, 'stored'),
  'request-passing': (store, job) => requests(store, job, 'passing'),
  slow: async (store, { events }) => {
    await fill(store, WARM)
    const idle = memory()
    await fill(store, events)
    const without = memory() - idle
    await store.listenSlowly()
    const before = memory()
    await fill(store, events)
    return { grown: memory() - before - without, plain: without }
  },
}

/** MiB that live, and what is outside of the heap. */
function memory(): number {
  globalThis.gc?.()
  const { heapUsed, external, arrayBuffers } = process.memoryUsage()
  return (heapUsed + external + arrayBuffers) / 2 ** 20
}

function rateOf(count: number, started: number): number {
  return count / ((performance.now() - started) / 1000)
}

async function fill(store: BusStore, events: number): Promise<void> {
  let left = events
  await Promise.all(
    Array.from({ length: IN_FLIGHT }, async () => {
      while (left-- > 0) await store.publish(TEXTS['128']!)
    }),
  )
}

async function publishing(store: BusStore, { seconds }: BusJob, text: string, inFlight: number): Promise<BusFigures> {
  await fill(store, WARM)
  const bytes = store.bytes()
  const started = performance.now()
  const { count, times } = await publishFor(store, seconds, text, inFlight)
  const rate = rateOf(count, started)
  return { rate, ...quantiles(times), bytes: (store.bytes() - bytes) / count }
}

async function publishFor(
  store: BusStore,
  seconds: number,
  text: string,
  inFlight: number,
): Promise<{ count: number; times: number[] }> {
  const until = performance.now() + seconds * 1000
  const times: number[] = []
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      for (let now = performance.now(); now < until; ) {
        await store.publish(TEXTS[text]!)
        const then = performance.now()
        times.push(then - now)
        now = then
      }
    }),
  )
  return { count: times.length, times }
}

async function requests(store: BusStore, { seconds }: BusJob, kind: 'stored' | 'passing'): Promise<BusFigures> {
  for (let i = 0; i < 20; i++) await store.request(kind)
  const times: number[] = []
  for (const until = performance.now() + seconds * 1000; performance.now() < until; ) {
    const now = performance.now()
    await store.request(kind)
    times.push(performance.now() - now)
  }
  return quantiles(times)
}

function quantiles(times: readonly number[]): BusFigures {
  return { p50: quantile(times, 0.5), p95: quantile(times, 0.95), p99: quantile(times, 0.99) }
}
