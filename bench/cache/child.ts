/**
 * One row of one engine in a process of its own; answers over IPC. `seen` is the row of several processes: a server, who writes
 * and who reads; their parts are `server` and `reader`.
 */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import { cache, openChain, openIdentity } from '@ate/cache'
import { serve } from '@ate/core/server'
import { quantile } from '../quantile.ts'
import type { Figures } from './engine.ts'
import { loadCacheEngine } from './engines.ts'
import { WORKLOADS, type WorkloadOptions } from './workloads.ts'

export interface CacheJob extends WorkloadOptions {
  readonly part: 'row' | 'seen' | 'server' | 'reader'
  readonly engine: string
  readonly row: string
  readonly folder: string
  readonly port: number
  readonly at?: { readonly url: string; readonly key: string; readonly id: string }
}

const WARM = 500
const job = JSON.parse(process.argv[2] ?? '{}') as CacheJob
process.env['ATE_HOME'] = join(job.folder, job.part)

const PARTS: Readonly<Record<CacheJob['part'], () => Promise<void>>> = { row, seen, server, reader }
await PARTS[job.part]()

async function row(): Promise<void> {
  const engine = await loadCacheEngine(job.engine)
  const store = await engine.open(job.port)
  const figures = (await WORKLOADS[job.row]!(store, job)) ?? {}
  await store.close()
  answer(figures)
}

function answer(figures: Figures): void {
  process.send?.(figures, () => process.exit(0))
}

async function server(): Promise<void> {
  // Whoever started it is gone.
  process.once('disconnect', () => process.exit(0))
  const served = await serve({ listen: 'ws://127.0.0.1:0/db', data: join(job.folder, 'served'), durability: 'os' })
  process.send?.({ url: served.url, key: served.publicKey })
}

function identity() {
  return openIdentity(join(job.folder, 'identity'), { create: true })
}

/** Says when it sees each value, by the clock of the machine. */
async function reader(): Promise<void> {
  process.once('disconnect', () => process.exit(0))
  const { url, key, id } = job.at!
  const chain = await openChain(`${url}/bench`, { as: await identity(), serverKey: key, id })
  const values = cache<number>(chain, 'bench')
  await values.ready
  const changes = values.watch()
  process.send?.('ready')
  for await (const { value } of changes) process.send?.({ value, at: performance.timeOrigin + performance.now() })
}

/** From the call of `set` to the moment at which another process can read it. */
async function seen(): Promise<void> {
  const part = (of: Partial<CacheJob>) =>
    fork(process.argv[1]!, [JSON.stringify({ ...job, ...of })], { execArgv: process.execArgv })
  const serving = part({ part: 'server' })
  const at = await new Promise<{ url: string; key: string }>((resolve) => serving.once('message', resolve as never))
  const chain = await openChain(`${at.url}/bench`, { as: await identity(), serverKey: at.key, create: true })
  const values = cache<number>(chain, 'bench')
  await values.ready
  const reading = part({ part: 'reader', at: { ...at, id: chain.id } })
  await new Promise((resolve) => reading.once('message', resolve))
  const count = Math.max(100, Math.round(1000 * job.scale))
  const lags: number[] = []
  const answered: number[] = []
  for (let i = 0; i < count + WARM; i++) {
    const there = new Promise<number>((resolve) =>
      reading.once('message', (message) => resolve((message as { at: number }).at)),
    )
    const begun = performance.timeOrigin + performance.now()
    await values.set('a', i)
    const set = performance.timeOrigin + performance.now()
    const lag = (await there) - begun
    if (i < WARM) continue
    lags.push(lag)
    answered.push(set - begun)
  }
  await chain.close()
  for (const child of [reading, serving]) child.kill()
  answer({ 'p50 ms': quantile(lags, 0.5), 'p99 ms': quantile(lags, 0.99), 'set p50 ms': quantile(answered, 0.5) })
}
