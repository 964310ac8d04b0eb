/**
 * One workload of one engine in a process of its own, so that no engine pays for another's heap or compiled code.
 * Started by run.ts (answers over IPC) and by profile.ts (no IPC: prints).
 */
import { loadEngine } from './engines.ts'
import { WORKLOADS, type WorkloadOptions } from './workloads.ts'

export interface Job extends WorkloadOptions {
  readonly engine: string
  readonly workload: string
}

const job = JSON.parse(process.argv[2] ?? '{}') as Job
const workload = WORKLOADS[job.workload]
if (!workload) throw new Error(`no workload ${job.workload}; there are ${Object.keys(WORKLOADS).join(', ')}`)

const engine = await loadEngine(job.engine)
await engine.load?.()
const figures = await workload(engine, job)
if (process.send) process.send(figures ?? {}, () => process.exit(0))
else {
  console.log(`${job.engine} ${job.workload}`, figures ?? 'no equal operation')
  process.exit(0)
}
