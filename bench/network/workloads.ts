/** What is measured of a service: each workload starts a server, sets clients to work, and gives figures. */
import { setTimeout as sleep } from 'node:timers/promises'
import { quantile } from '../quantile.ts'
import type { Figures } from '../workloads.ts'
import { type Crew, runWorker, startWorker, type Worker } from './crew.ts'
import { processorSeconds } from './processes.ts'
import type { NetworkService, Running } from './service.ts'

export interface NetworkOptions {
  readonly folder: string
  readonly seconds: number
  readonly warmSeconds: number
  readonly scale: number
}

interface Bench extends NetworkOptions {
  readonly service: NetworkService
  readonly running: Running
  readonly crew: Crew
}

type Workload = (bench: Bench) => Promise<Figures | undefined>

const ENTITIES = 100_000
const CONNECTIONS = 1_000
const CHAINS = 10_000
const CHAINS_A_CONNECTION = 2_000
/** Written first: what a server keeps of a chain in memory is full then, and its code is compiled. */
const WARM_VALUES = 30_000
/** Written while a reader stands still: ten times what a server keeps of a chain in memory. */
const UNREAD_VALUES = 200_000
/** Until what a server has given up is gone from its memory. */
const SETTLE_MS = 500

const NETWORK_WORKLOADS: Record<string, Workload> = {
  'flight-1': (bench) => flying(bench, 1, 1),
  'flight-16': (bench) => flying(bench, 1, 16),
  'flight-256': (bench) => flying(bench, 1, 256),
  'flight-16x16': (bench) => flying(bench, 16, 16),
  reach: reaching,
  sync: syncing,
  idle: idling,
  chains: manyChains,
  shake: shaking,
  stopped: stoppedReader,
}

/** Starts the server of `service` for one workload, and stops it. */
export async function runNetwork(
  service: NetworkService,
  workload: string,
  options: NetworkOptions,
): Promise<Figures | undefined> {
  const running = await service.start(options.folder)
  const { folder, seconds, warmSeconds } = options
  const crew: Crew = { service: service.name, folder, address: running.address, seconds, warmSeconds }
  try {
    return await NETWORK_WORKLOADS[workload]!({ ...options, service, running, crew })
  } finally {
    await running.stop()
  }
}

/** Commits from `clients`, each with `inFlight` of them under way. */
async function flying({ running, crew }: Bench, clients: number, inFlight: number): Promise<Figures> {
  const workers: Worker[] = []
  try {
    workers.push(await startWorker(crew, { job: 'flight', count: inFlight, role: 'first' }))
    const others = Array.from({ length: clients - 1 }, () =>
      startWorker(crew, { job: 'flight', count: inFlight, role: 'another' }),
    )
    workers.push(...(await Promise.all(others)))
    const before = processorSeconds(running.pid)
    const figures = await Promise.all(workers.map((worker) => worker.run()))
    const used = processorSeconds(running.pid) - before
    const sum = (name: string): number => figures.reduce((total, one) => total + (one[name] ?? 0), 0)
    const middle = (name: string): number =>
      quantile(
        figures.map((one) => one[name] ?? Number.NaN),
        0.5,
      )
    return {
      rate: sum('rate'),
      p50: middle('p50'),
      p99: middle('p99'),
      serverUs: (used / sum('commits')) * 1e6,
      clientUs: middle('clientUs'),
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.end()))
  }
}

/** From the beginning of a commit to its arrival at another client, and to the writer's own answer. */
async function reaching({ crew }: Bench): Promise<Figures> {
  const writer = await startWorker(crew, { job: 'pace', count: 1, role: 'first' })
  const reader = await startWorker(crew, { job: 'follow', count: 1, role: 'another' })
  try {
    const [written, read] = await Promise.all([writer.run(), reader.run()])
    if (!read['count']) throw new Error('nothing has come to the reader')
    return { p50: read['p50']!, p99: read['p99']!, ownP50: written['p50']!, ownP99: written['p99']! }
  } finally {
    await Promise.all([writer.end(), reader.end()])
  }
}

async function syncing({ crew, scale }: Bench): Promise<Figures> {
  const count = Math.round(ENTITIES * scale)
  const { seconds: fillSeconds } = await runWorker(crew, { job: 'fill', count, role: 'first' })
  const { seconds, clientSeconds } = await runWorker(crew, { job: 'read', count, role: 'another' })
  return { seconds: seconds!, clientSeconds: clientSeconds!, fillSeconds: fillSeconds! }
}

/** Connections of clients that have shown who they are, and do nothing. */
async function idling({ running, crew, scale }: Bench): Promise<Figures> {
  const count = Math.round(CONNECTIONS * scale)
  const some = await startWorker(crew, { job: 'hold', count: Math.max(10, count / 10), role: 'another' })
  const many = await startWorker(crew, { job: 'hold', count, role: 'another' })
  try {
    // The first ones bring compiled code and pools that do not grow with their number.
    await some.run()
    await sleep(SETTLE_MS)
    const before = await running.memory()
    await many.run()
    await sleep(SETTLE_MS)
    return grown(before, await running.memory(), count)
  } finally {
    await Promise.all([some.end(), many.end()])
  }
}

async function manyChains({ service, running, crew, scale }: Bench): Promise<Figures | undefined> {
  if (!service.openChains) return undefined
  const count = Math.round(CHAINS * scale)
  const workers: Worker[] = []
  try {
    const first = await startWorker(crew, { job: 'chains', count: Math.max(10, count / 100), role: 'another' })
    workers.push(first)
    await first.run()
    const before = await running.memory()
    const started = processorSeconds(running.pid)
    for (let left = count; left > 0; left -= CHAINS_A_CONNECTION) {
      const worker = await startWorker(crew, {
        job: 'chains',
        count: Math.min(left, CHAINS_A_CONNECTION),
        role: 'another',
      })
      workers.push(worker)
      await worker.run()
    }
    const serverMs = ((processorSeconds(running.pid) - started) / count) * 1_000
    return { ...grown(before, await running.memory(), count), serverMs }
  } finally {
    await Promise.all(workers.map((worker) => worker.end()))
  }
}

function grown(before: Awaited<ReturnType<Running['memory']>>, after: typeof before, count: number): Figures {
  const resident = (after.resident - before.resident) / count / 1_000
  if (before.heap === undefined || after.heap === undefined) return { resident }
  return { resident, heap: (after.heap - before.heap) / count / 1_000 }
}

/** Two processes of clients, which connect and leave again: a server that they know, and whose delegation they have verified before. */
async function shaking({ service, running, crew }: Bench): Promise<Figures | undefined> {
  if (!service.shake) return undefined
  const work = { job: 'shake', count: 1, role: 'another' } as const
  const workers = [await startWorker(crew, work), await startWorker(crew, work)]
  try {
    const before = processorSeconds(running.pid)
    const figures = await Promise.all(workers.map((worker) => worker.run()))
    const used = processorSeconds(running.pid) - before
    const count = figures.reduce((sum, one) => sum + one['count']!, 0)
    return {
      rate: figures.reduce((sum, one) => sum + one['rate']!, 0),
      serverMs: (used / count) * 1_000,
      clientMs: figures.reduce((sum, one) => sum + one['clientMs']! * one['count']!, 0) / count,
    }
  } finally {
    await Promise.all(workers.map((worker) => worker.end()))
  }
}

/**
 * What a server's memory grows by while a client writes to a reader whose process stands still, less what it grows by
 * when the same is written without one: the chain itself grows.
 */
async function stoppedReader({ running, crew, scale }: Bench): Promise<Figures> {
  const count = Math.round(UNREAD_VALUES * scale)
  await runWorker(crew, { job: 'fill', count: WARM_VALUES, role: 'first' })
  const first = await running.memory()
  await runWorker(crew, { job: 'fill', count, role: 'another' })
  const reader = await startWorker(crew, { job: 'listen', count: 1, role: 'another' })
  try {
    const second = await running.memory()
    reader.child.kill('SIGSTOP')
    await runWorker(crew, { job: 'fill', count, role: 'another' })
    const third = await running.memory()
    const growth = (of: 'resident' | 'heap'): number =>
      ((third[of] ?? Number.NaN) - 2 * (second[of] ?? Number.NaN) + (first[of] ?? Number.NaN)) / 1e6
    return { resident: growth('resident'), ...(first.heap === undefined ? {} : { heap: growth('heap') }) }
  } finally {
    reader.child.kill('SIGCONT')
    await reader.end()
  }
}
