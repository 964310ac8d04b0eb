/** One workload of one engine in a process of its own; answers over IPC. */
import { type BusJob, WORKLOADS } from './workloads.ts'

const job = JSON.parse(process.argv[2] ?? '{}') as BusJob
const { engine } = job.engine === 'nats' ? await import('./nats.ts') : await import('./us.ts')
const store = await engine.open(job.folder)
const figures = await WORKLOADS[job.workload]!(store, job)
process.send?.(figures)
await store.close()
process.exit(0)
