/**
 * Q9: a worker with 100 leases is killed (SIGKILL); a fresh process opens the chain and works. How long until all jobs are
 * done, and how many handlers ran twice. Run as `recovery.ts work FOLDER` it is that worker.
 */
import { fork } from 'node:child_process'
import { join } from 'node:path'
import { defineType, openChain, openIdentity } from '@ate/core'
import { queue } from '@ate/queue'
import type { Figures } from './engine.ts'

const JOBS = 300
const LEASES = 100
const LEASE_MS = 5000
const Effect = defineType<{ readonly n: number }>('effect')

async function openJobs(folder: string) {
  const as = await openIdentity(join(folder, 'me.id'), { create: true })
  const chain = await openChain(`file:${join(folder, 'chain')}`, { as, create: true })
  return { chain, jobs: queue<{ n: number }>(chain, 'jobs', { lease: LEASE_MS }) }
}

export async function recovery(folder: string): Promise<Figures> {
  const child = fork(import.meta.filename, ['work', folder], { execArgv: ['-C', '@ate/source', '--no-warnings'] })
  await new Promise((resolve) => child.once('message', resolve))
  const killed = performance.now()
  child.kill('SIGKILL')
  await new Promise((resolve) => child.once('exit', resolve))
  const as = await openIdentity(join(folder, 'me.id'))
  const chain = await openChain(`file:${join(folder, 'chain')}`, { as })
  const jobs = queue<{ n: number }>(chain, 'jobs', { lease: LEASE_MS })
  let again = 0
  const worker = jobs.work(
    (job) => {
      if (job.attempt > 1) again++
      job.effect((tx) => tx.create(Effect, { n: job.data.n }))
    },
    { concurrency: 100 },
  )
  await jobs.idle()
  const recoveredMs = performance.now() - killed
  await worker.stop()
  const effects = chain.children(Effect).count()
  await chain.close()
  return { recoveredMs, leaseMs: LEASE_MS, ranAgain: again, effects, jobs: JOBS }
}

if (process.argv[2] === 'work') {
  const { jobs } = await openJobs(process.argv[3]!)
  await jobs.addMany(Array.from({ length: JOBS }, (_, n) => ({ n })))
  let running = 0
  jobs.work(
    () => {
      if (++running === LEASES) process.send?.('leased')
      return new Promise<void>(() => undefined)
    },
    { concurrency: LEASES, prefetch: 0 },
  )
}
