/** What is measured of each engine. 10,000 keys that are there, a small object a key; a figure a second is of calls. */
import { quantile } from '../quantile.ts'
import type { CacheStore, Figures, Value } from './engine.ts'

export interface WorkloadOptions {
  readonly scale: number
  readonly seconds: number
}

const KEYS = 10_000
const IN_FLIGHT = 256
const BATCH = 1000
const SLICE = 20_000

const userOf = (id: number): Value => ({ id, name: `user number ${id}` })
const keyOf = (i: number): string => `user:${i}`
const KEY_LIST: readonly string[] = Array.from({ length: KEYS }, (_, i) => keyOf(i))

export const WORKLOADS: Readonly<
  Record<string, (store: CacheStore, options: WorkloadOptions) => Promise<Figures | undefined>>
> = {
  'C1 get, hit': async (store, options) => {
    await fill(store, (key, value) => store.set(key, value))
    return gets(store, options)
  },
  'C2 get, hit, with a time': async (store, options) => {
    if (!store.setFor) return undefined
    await fill(store, (key, value) => store.setFor!(key, value))
    return gets(store, options)
  },
  'C3 get, hit, 64 in flight': async (store, options) => {
    await fill(store, (key, value) => store.set(key, value))
    return inFlight(64, options, async (i) => store.get(KEY_LIST[i % KEYS]!))
  },
  'C4 getOrSet, hit': async (store, options) => {
    if (!store.getOrSet) return undefined
    await fill(store, (key, value) => store.set(key, value))
    return inFlight(1, options, (i) => store.getOrSet!(KEY_LIST[i % KEYS]!, async () => userOf(0)))
  },
  'C5 set, one in flight': async (store, options) =>
    inFlight(1, options, async (i) => store.set(KEY_LIST[i % KEYS]!, userOf(i))),
  'C6 set, 256 in flight': async (store, options) =>
    inFlight(IN_FLIGHT, options, async (i) => store.set(KEY_LIST[i % KEYS]!, userOf(i))),
  'C7 setMany of 1,000': async (store, options) => {
    if (!store.setMany) return undefined
    const figures = await inFlight(1, options, (i) =>
      store.setMany!(Array.from({ length: BATCH }, (_, j) => [KEY_LIST[(i * BATCH + j) % KEYS]!, userOf(j)] as const)),
    )
    return { 'a second': figures['a second']! * BATCH }
  },
  'C8 heap an entry': async (store, { scale }) => {
    const count = Math.max(1000, Math.round(200_000 * scale))
    const before = heap()
    for (let at = 0; at < count; at += BATCH)
      await Promise.all(Array.from({ length: BATCH }, (_, i) => store.set(`k${at + i}`, userOf(at + i))))
    const after = heap()
    return { 'heap bytes': (after.heapUsed - before.heapUsed) / count, 'all bytes': (after.rss - before.rss) / count }
  },
}

async function fill(store: CacheStore, set: (key: string, value: Value) => unknown): Promise<void> {
  for (let at = 0; at < KEYS; at += BATCH)
    await Promise.all(KEY_LIST.slice(at, at + BATCH).map((key, i) => set(key, userOf(at + i))))
  if ((await store.get(keyOf(KEYS - 1))) === undefined) throw new Error('what was set is not there')
}

/** Of an engine that answers at once no promise is waited for. */
async function gets(store: CacheStore, options: WorkloadOptions): Promise<Figures> {
  if (store.get(keyOf(0)) instanceof Promise) return inFlight(1, options, async (i) => store.get(KEY_LIST[i % KEYS]!))
  const best: number[] = []
  const until = performance.now() + options.seconds * 1000
  while (performance.now() < until) {
    const begun = performance.now()
    let sum = 0
    for (let i = 0; i < SLICE; i++) sum += (store.get(KEY_LIST[i % KEYS]!) as Value).id
    if (sum < 0) throw new Error('never')
    best.push((SLICE / (performance.now() - begun)) * 1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { 'a second': quantile(best, 0.5) }
}

async function inFlight(
  count: number,
  { seconds }: WorkloadOptions,
  run: (i: number) => Promise<unknown>,
): Promise<Figures> {
  let next = 0
  const latencies: number[] = []
  const begun = performance.now()
  const until = begun + seconds * 1000
  const one = async (): Promise<void> => {
    for (;;) {
      const at = performance.now()
      if (at >= until) return
      await run(next++)
      if (latencies.length < 200_000) latencies.push(performance.now() - at)
    }
  }
  await Promise.all(Array.from({ length: count }, one))
  const took = performance.now() - begun
  return { 'a second': (next / took) * 1000, 'p50 ms': quantile(latencies, 0.5), 'p99 ms': quantile(latencies, 0.99) }
}

function heap(): { readonly heapUsed: number; readonly rss: number } {
  globalThis.gc?.()
  globalThis.gc?.()
  return process.memoryUsage()
}
