/** A worker in a process of its own, on a file chain; it tells when it has leases, and waits to be killed. */
import process from 'node:process'
import { openChain, queue } from '../src/index.ts'

const chain = await openChain(process.argv[2]!, { create: true })
const jobs = queue<number>(chain, 'jobs', { lease: '1s' })
await jobs.addMany(Array.from({ length: 30 }, (_, n) => [n, { id: `j${n}` }] as const))
jobs.work(
  async (job) => {
    if (job.data < 20) return
    process.send?.(job.data)
    await new Promise<void>(() => undefined)
  },
  { concurrency: 10 },
)
