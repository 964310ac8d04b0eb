/** The rows Q1 to Q9: what is done, and the figures that it gives. */
import { quantile } from '../quantile.ts'
import type { Data, Figures, QueueStore, WorkOptions } from './engine.ts'

export interface WorkloadOptions {
  /** Of counts: 1 as documented. */
  readonly scale: number
  readonly seconds: number
}

export type Workload = (store: QueueStore, options: WorkloadOptions) => Promise<Figures | undefined>

/** 200 bytes or so, as a job of an application has. */
const dataOf = (n: number): Data => ({ n, text: 'x'.repeat(180) })
const list = (count: number, from = 0): Data[] => Array.from({ length: count }, (_, i) => dataOf(from + i))

function latencies(samples: readonly number[]): Figures {
  return { p50: quantile(samples, 0.5), p95: quantile(samples, 0.95), p99: quantile(samples, 0.99) }
}

/** Adds for `seconds`, with `inFlight` at a time. */
function adding(inFlight: number): Workload {
  return async (store, { seconds }) => {
    const samples: number[] = []
    let n = 0
    const addOne = async (until: number): Promise<void> => {
      while (performance.now() < until) {
        const begun = performance.now()
        await store.add(dataOf(n++))
        samples.push(performance.now() - begun)
      }
    }
    const run = async (ms: number): Promise<number> => {
      const begun = performance.now()
      await Promise.all(Array.from({ length: inFlight }, () => addOne(begun + ms)))
      return performance.now() - begun
    }
    await run(500)
    samples.length = 0
    const ms = await run(seconds * 1000)
    return { perSecond: (samples.length / ms) * 1000, ...latencies(samples) }
  }
}

const addMany: Workload = async (store, { seconds }) => {
  const samples: number[] = []
  let n = 0
  const run = async (ms: number): Promise<number> => {
    const begun = performance.now()
    while (performance.now() < begun + ms) {
      const at = performance.now()
      await store.addMany(list(100, n))
      n += 100
      samples.push(performance.now() - at)
    }
    return performance.now() - begun
  }
  await run(500)
  samples.length = 0
  const ms = await run(seconds * 1000)
  return { perSecond: ((samples.length * 100) / ms) * 1000, ...latencies(samples) }
}

/** Runs all that waits; from the start of the worker to the acknowledged end of the last job. */
async function drain(store: QueueStore, count: number, options: WorkOptions): Promise<number> {
  let left = count
  let all = (): void => undefined
  const ran = new Promise<void>((resolve) => {
    all = resolve
  })
  const begun = performance.now()
  const stop = await store.work(() => {
    if (--left === 0) all()
  }, options)
  await ran
  // Stopping waits for what has been handled and is not acknowledged yet.
  await stop()
  return performance.now() - begun
}

function draining(options: WorkOptions, add: 'plain' | 'grouped' = 'plain'): Workload {
  return async (store, { scale }) => {
    const addAll = add === 'plain' ? store.addMany : store.addGrouped
    if (!addAll) return undefined
    const count = Math.round(10_000 * scale)
    await addAll(list(1000))
    await drain(store, 1000, options)
    for (let at = 0; at < count; at += 1000) await addAll(list(1000, at))
    const before = (await store.bytes?.()) ?? Number.NaN
    const cpu = process.cpuUsage()
    const ms = await drain(store, count, options)
    const { user, system } = process.cpuUsage(cpu)
    const bytes = ((await store.bytes?.()) ?? Number.NaN) - before
    return { perSecond: (count / ms) * 1000, bytesPerJob: bytes / count, cpuUsPerJob: (user + system) / count }
  }
}

/** One job at a time: from the call of add to the start of its handler. */
const starting: Workload = async (store, { scale }) => {
  let started = (_: number): void => undefined
  const stop = await store.work(() => started(performance.now()), { concurrency: 1, effect: 'none' })
  const samples: number[] = []
  for (let n = 0; n < Math.round(1000 * scale) + 100; n++) {
    const start = new Promise<number>((resolve) => {
      started = resolve
    })
    const begun = performance.now()
    void store.add(dataOf(n))
    samples.push((await start) - begun)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await stop()
  return latencies(samples.slice(100))
}

/** Many that wait: how long adding them takes, what they cost, how long the next ones take to start. */
async function restarted(store: QueueStore, count: number, addAll: () => Promise<unknown>): Promise<Figures> {
  const gc = (globalThis as { gc?: () => void }).gc
  gc?.()
  const empty = process.memoryUsage().rss
  const begun = performance.now()
  await addAll()
  const addMs = performance.now() - begun
  await store.reopen?.()
  const opened = performance.now()
  let first = 0
  let ran = 0
  let some = (): void => undefined
  const thousand = new Promise<void>((resolve) => {
    some = resolve
  })
  const stop = await store.work(
    () => {
      if (ran++ === 0) first = performance.now() - opened
      if (ran === 1000) some()
    },
    { concurrency: 10, effect: 'none' },
  )
  await thousand
  const afterFirst = performance.now() - opened - first
  await stop()
  gc?.()
  const { rss } = process.memoryUsage()
  return {
    addedPerSecond: (count / addMs) * 1000,
    firstMs: first,
    nextPerSecond: 999_000 / afterFirst,
    rssMiB: rss / 2 ** 20,
    overEmptyMiB: (rss - empty) / 2 ** 20,
  }
}

const million: Workload = (store, { scale }) => {
  const count = Math.round(1_000_000 * scale)
  return restarted(store, count, async () => {
    for (let at = 0; at < count; at += 1000) await store.addMany(list(1000, at))
  })
}

/** As they come from requests, a few at a time: each record of the log holds a few jobs. */
const millionAlone: Workload = (store, { scale }) => {
  const count = Math.round(300_000 * scale)
  let n = 0
  const add = async (): Promise<void> => {
    while (n < count) await store.add(dataOf(n++))
  }
  return restarted(store, count, () => Promise.all(Array.from({ length: 8 }, add)))
}

export const WORKLOADS: Readonly<Record<string, Workload>> = {
  'Q1 add, 1 in flight': adding(1),
  'Q2 add, 500 in flight': adding(500),
  'Q3 addMany of 100': addMany,
  'Q4 drain, c=1': draining({ concurrency: 1, effect: 'none' }),
  'Q4 drain, c=10': draining({ concurrency: 10, effect: 'none' }),
  'Q4 drain, c=100': draining({ concurrency: 100, effect: 'none' }),
  'Q5 add to start': starting,
  'Q6 drain with an effect, c=100': draining({ concurrency: 100, effect: 'atomic' }),
  'Q7 drain of 1,000 groups, c=100': draining({ concurrency: 100, effect: 'none' }, 'grouped'),
  'Q8 a million waiting': million,
  'Q8 300,000 added 8 in flight': millionAlone,
}
