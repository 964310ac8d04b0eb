/**
 * Workloads that grow a store to its full size: whether appending slows down, what pauses, and how long it takes to verify
 * a log of the smallest commits.
 */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine, Store } from './engine.ts'
import { quantile } from './quantile.ts'
import { openValues, type ValueSource } from './values.ts'
import type { Figures, WorkloadOptions } from './workloads.ts'

const PER_TRANSACTION = 1_000
const FIRST_ENTITIES = 10_000
/** Transactions whose times make a rate. */
const SAMPLES = 40
const WARM_TRANSACTIONS = 60
const ONES_AT_ONCE = 1_000
/** How long the writer beside a compaction writes before it, ms. */
const WRITER_WARM_MS = 1_000

/**
 * Appends 1,000 a transaction up to `entities`: the rate at the end against that at 10,000, of the middle transaction of
 * 40, and the longest time that the event loop did not turn.
 */
export async function growing(engine: Engine, { folder, entities }: WorkloadOptions): Promise<Figures | undefined> {
  const store = await engine.open(folder)
  const { append } = store
  if (!append) return undefined
  const values = openValues()
  // Compiled code first: else the beginning is measured in the interpreter. These entities count as well.
  await appendMany(append, values, Math.min(WARM_TRANSACTIONS, FIRST_ENTITIES / PER_TRANSACTION))
  const early = await appendMany(append, values, SAMPLES)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const written = FIRST_ENTITIES + SAMPLES * PER_TRANSACTION
  await appendMany(append, values, Math.max(0, (entities - written) / PER_TRANSACTION - SAMPLES))
  const late = await appendMany(append, values, SAMPLES)
  delay.disable()
  await store.close()
  return { rateKept: early / late, pauseMs: delay.max / 1e6, earlyMs: early, lateMs: late }
}

/** The median time of a transaction, ms. */
async function appendMany(append: NonNullable<Store['append']>, values: ValueSource, count: number): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < count; i++) {
    const batch = values.batch(PER_TRANSACTION)
    const started = performance.now()
    await append(batch)
    times.push(performance.now() - started)
  }
  return quantile(times, 0.5)
}

/** Writes `entities` one a commit, then verifies the whole log; the seconds of the second part. */
export async function verifyingOnes(
  engine: Engine,
  { folder, entities }: WorkloadOptions,
): Promise<Figures | undefined> {
  const store = await engine.open(folder)
  const { appendOnes, verifyAll } = store
  if (!appendOnes || !verifyAll) return undefined
  const values = openValues()
  for (let left = entities; left > 0; left -= ONES_AT_ONCE) await appendOnes(values.batch(Math.min(left, ONES_AT_ONCE)))
  const started = performance.now()
  const seen = await verifyAll()
  const seconds = (performance.now() - started) / 1_000
  await store.close()
  if (seen < entities) throw new Error(`${engine.name} saw ${seen} of ${entities} entities`)
  return { seconds }
}

/**
 * Writes `entities` and replaces each, then compacts while one writer goes on, one transaction at a time: the longest time
 * that the event loop did not turn, and the longest of the writer's transactions.
 */
export async function compacting(engine: Engine, { folder, entities }: WorkloadOptions): Promise<Figures | undefined> {
  const store = await engine.open(folder)
  const { compact, update } = store
  if (!compact || !update) return undefined
  const values = openValues()
  const steps = Math.max(1, Math.round(entities / PER_TRANSACTION))
  for (let i = 0; i < steps; i++) await store.create(values.batch(PER_TRANSACTION))
  for (let i = 0; i < steps; i++) await update(i * PER_TRANSACTION, values.batch(PER_TRANSACTION))
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const times: number[] = []
  let isOver = false
  const writer = (async () => {
    while (!isOver) {
      const started = performance.now()
      await store.create(values.batch(1))
      times.push(performance.now() - started)
      await sleep(1)
    }
  })()
  await sleep(WRITER_WARM_MS)
  times.length = 0
  delay.enable()
  const started = performance.now()
  const freed = await compact()
  const seconds = (performance.now() - started) / 1_000
  delay.disable()
  isOver = true
  await writer
  await store.close()
  return { seconds, pauseMs: delay.max / 1e6, writeMs: Math.max(...times), freedMiB: freed / 2 ** 20 }
}
