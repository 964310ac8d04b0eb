/** One row of one engine in a process of its own; answers over IPC, or prints. */
import { loadQueueEngine } from './engines.ts'
import { WORKLOADS, type WorkloadOptions } from './workloads.ts'

export interface QueueJob extends WorkloadOptions {
  readonly engine: string
  readonly row: string
  readonly folder: string
  readonly port: number
}

const job = JSON.parse(process.argv[2] ?? '{}') as QueueJob
const workload = WORKLOADS[job.row]
if (!workload) throw new Error(`no row ${job.row}; there are ${Object.keys(WORKLOADS).join(', ')}`)

const engine = await loadQueueEngine(job.engine)
const store = await engine.open(job.folder, job.port)
const figures = (await workload(store, job)) ?? {}
await store.close()
if (process.send) process.send(figures, () => process.exit(0))
else {
  console.log(job.engine, job.row, figures)
  process.exit(0)
}
