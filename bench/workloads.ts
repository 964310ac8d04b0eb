/**
 * The workloads. Each runs in a process of its own on an empty store (or on a data set written before), warms up, then
 * times single transactions until its seconds are over. Values are made between the timed calls, never inside them.
 */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Engine, Store } from './engine.ts'
import { quantile } from './quantile.ts'
import { compacting, growing, verifyingOnes } from './scale.ts'
import { openValues, VALUE_BYTES } from './values.ts'

/** What a workload found; the names are looked up by rows.ts. Times in ms, rates a second. */
export type Figures = Record<string, number>

export interface WorkloadOptions {
  readonly folder: string
  readonly seconds: number
  readonly warmSeconds: number
  /** How many entities `dataset`, `open` and `memory` work on. */
  readonly entities: number
}

export type Workload = (engine: Engine, options: WorkloadOptions) => Promise<Figures | undefined>

const UPDATED_ENTITIES = 20_000
const CACHED_ENTITIES = 10_000
const COLD_ENTITIES = 20_000
const COLD_IN_FLIGHT = 100
const IN_FLIGHT = 500
const PAUSE_MS = 1
const SAMPLES_MIN = 20

export const WORKLOADS: Record<string, Workload> = {
  probe,
  'create-1': (engine, options) => creating(engine, options, 1),
  'create-100': (engine, options) => creating(engine, options, 100),
  'create-1000': (engine, options) => creating(engine, options, 1_000),
  'flight-500': inFlight,
  'update-1000': updating,
  alone,
  get: cachedGet,
  cold: coldGet,
  dataset,
  open: openAndVerify,
  'open-fully': openFully,
  memory: memoryOfCreated,
  grow: growing,
  ones: verifyingOnes,
  compact: compacting,
}

/** Opens, writes one entity and closes: an engine that cannot do this here is left out of the run. */
function probe(engine: Engine, options: WorkloadOptions): Promise<Figures> {
  return withStore(engine, options, async (store) => {
    await fill(store, 1)
    return { ok: 1 }
  })
}

function creating(engine: Engine, options: WorkloadOptions, size: number): Promise<Figures> {
  return withStore(engine, options, (store) => {
    const values = openValues()
    return timed(options, size, () => {
      const batch = values.batch(size)
      return () => store.create(batch)
    })
  })
}

async function inFlight(engine: Engine, options: WorkloadOptions): Promise<Figures | undefined> {
  return withStore(engine, options, async (store) => {
    const createEach = store.createEach
    if (!createEach) return undefined
    const values = openValues()
    return timed(options, IN_FLIGHT, () => {
      const batch = values.batch(IN_FLIGHT)
      return () => createEach(batch)
    })
  })
}

async function updating(engine: Engine, options: WorkloadOptions): Promise<Figures | undefined> {
  return withStore(engine, options, async (store) => {
    const update = store.update
    if (!update) return undefined
    const values = openValues()
    await fill(store, UPDATED_ENTITIES)
    let first = 0
    return timed(options, 1_000, () => {
      const batch = values.batch(1_000)
      const from = first
      first = (first + 1_000) % UPDATED_ENTITIES
      return () => update(from, batch)
    })
  })
}

/** One write at a time with a pause after each, so that nothing is waiting and no group forms. */
async function alone(engine: Engine, options: WorkloadOptions): Promise<Figures> {
  return withStore(engine, options, async (store) => {
    const values = openValues()
    const write = () => {
      const batch = [values.next()]
      return () => store.create(batch)
    }
    return timed(options, 1, write, () => sleep(PAUSE_MS))
  })
}

async function cachedGet(engine: Engine, options: WorkloadOptions): Promise<Figures | undefined> {
  return withStore(engine, options, async (store) => {
    if (!store.get) return undefined
    await fill(store, CACHED_ENTITIES)
    for (let i = 0; i < CACHED_ENTITIES; i++) assertFound(await store.get(i))
    return timed(options, CACHED_ENTITIES, () => () => getScattered(store, CACHED_ENTITIES))
  })
}

async function getScattered(store: Store, count: number): Promise<void> {
  // 7,919 is a prime that does not divide the count: every entity once, in an order that the allocator did not make.
  for (let i = 0, at = 0; i < count; i++, at = (at + 7_919) % count) {
    const found = store.get!(at)
    if (found instanceof Promise) assertFound(await found)
    else assertFound(found)
  }
}

/** Each entity once after opening again, 100 reads in flight: nothing is in this process's cache. */
async function coldGet(engine: Engine, options: WorkloadOptions): Promise<Figures | undefined> {
  return withStore(engine, options, async (store) => {
    if (!store.get || !store.reopen) return undefined
    await fill(store, COLD_ENTITIES)
    const rates: number[] = []
    const until = performance.now() + (options.seconds + options.warmSeconds) * 1_000
    while (rates.length < 4 || performance.now() < until) {
      await store.reopen()
      const started = performance.now()
      await getEachOnce(store, COLD_ENTITIES)
      rates.push((COLD_ENTITIES / (performance.now() - started)) * 1_000)
    }
    return { rate: quantile(rates.slice(1), 0.5) }
  })
}

async function getEachOnce(store: Store, count: number): Promise<void> {
  for (let from = 0; from < count; from += COLD_IN_FLIGHT) {
    const reads: unknown[] = []
    for (let i = from; i < from + COLD_IN_FLIGHT; i++) reads.push(store.get!(i))
    for (const read of reads) assertFound(read instanceof Promise ? await read : read)
  }
}

/** Writes the data set that `open` reads, 1,000 a transaction; its folder is kept by the caller. */
async function dataset(engine: Engine, options: WorkloadOptions): Promise<Figures> {
  const store = await engine.open(options.folder)
  const started = performance.now()
  await fill(store, options.entities)
  const seconds = (performance.now() - started) / 1_000
  const logBytes = store.logBytes?.()
  await store.close()
  const figures: Figures = { seconds, folderOverhead: overhead(folderBytes(options.folder), options.entities) }
  if (logBytes !== undefined) figures['logOverhead'] = overhead(logBytes, options.entities)
  return figures
}

/** Opens the data set in a fresh process; `seconds` includes the check of everything, `openSeconds` does not. */
async function openAndVerify(engine: Engine, options: WorkloadOptions): Promise<Figures | undefined> {
  const before = memory()
  const turns = watchTurns()
  const started = performance.now()
  const store = await engine.open(options.folder)
  const opened = performance.now()
  const longestTurn = turns.stop()
  const after = memory()
  const checking = performance.now()
  const seen = await store.verifyAll?.()
  const checked = performance.now()
  await store.close()
  if (seen === undefined) return undefined
  if (seen < options.entities) throw new Error(`${engine.name} saw ${seen} of ${options.entities} entities`)
  const openSeconds = (opened - started) / 1_000
  return {
    openSeconds,
    longestTurn,
    seconds: openSeconds + (checked - checking) / 1_000,
    heapBytes: (after.heap - before.heap) / options.entities,
    residentBytes: (after.resident - before.resident) / options.entities,
  }
}

/** The same data set, opened as if nobody here had opened it before. */
async function openFully(engine: Engine, options: WorkloadOptions): Promise<Figures | undefined> {
  if (!engine.openFully) return undefined
  const started = performance.now()
  const store = await engine.openFully(options.folder)
  const seconds = (performance.now() - started) / 1_000
  await store.close()
  return { seconds }
}

/** The longest time, in ms, for which nothing else of this process had its turn. */
function watchTurns(): { stop(): number } {
  let last = performance.now()
  let longest = 0
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  let next = setImmediate(function again() {
    look()
    next = setImmediate(again)
  })
  return {
    stop() {
      clearImmediate(next)
      look()
      return longest
    },
  }
}

/** For an engine that keeps everything in memory and has no data set to open: what creating left behind. */
async function memoryOfCreated(engine: Engine, options: WorkloadOptions): Promise<Figures> {
  const entities = Math.min(options.entities, 20_000)
  return withStore(engine, options, async (store) => {
    await fill(store, 1_000)
    const before = memory()
    await fill(store, entities)
    const after = memory()
    return {
      heapBytes: (after.heap - before.heap) / entities,
      residentBytes: (after.resident - before.resident) / entities,
    }
  })
}

async function withStore<Result>(
  engine: Engine,
  options: WorkloadOptions,
  run: (store: Store) => Promise<Result>,
): Promise<Result> {
  const store = await engine.open(options.folder)
  const result = await run(store)
  await store.close()
  return result
}

async function fill(store: Store, count: number): Promise<void> {
  const values = openValues(7)
  for (let left = count; left > 0; left -= 1_000) {
    const done = store.create(values.batch(Math.min(left, 1_000)))
    if (done) await done
  }
}

/** Prepares and times one call after the other; the rate counts only the time inside the calls. */
async function timed(
  options: WorkloadOptions,
  eventsPerCall: number,
  prepare: () => () => Promise<unknown> | undefined,
  between?: () => Promise<unknown>,
): Promise<Figures> {
  const times: number[] = []
  const warmUntil = performance.now() + options.warmSeconds * 1_000
  const until = warmUntil + options.seconds * 1_000
  while (performance.now() < until || times.length < SAMPLES_MIN) {
    const call = prepare()
    const started = performance.now()
    const done = call()
    if (done) await done
    const ended = performance.now()
    if (started >= warmUntil) times.push(ended - started)
    if (between) await between()
  }
  const total = times.reduce((sum, time) => sum + time, 0)
  return {
    rate: ((times.length * eventsPerCall) / total) * 1_000,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  }
}

function memory(): { heap: number; resident: number } {
  for (let i = 0; i < 3; i++) globalThis.gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { heap: heapUsed + external, resident: rss }
}

function overhead(bytes: number, entities: number): number {
  return bytes / entities - VALUE_BYTES
}

function folderBytes(folder: string): number {
  let bytes = 0
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += lstatSync(join(entry.parentPath, entry.name)).size
  }
  return bytes
}

function assertFound(value: unknown): void {
  if (value === undefined || value === null) throw new Error('an entity that was written is not found')
}
