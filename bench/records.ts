/** What was measured so far: every answer of every run, and medians of them. */
import { quantile } from './quantile.ts'
import type { Median } from './rows.ts'
import type { Answer } from './run.ts'
import type { Figures } from './workloads.ts'

export type RecordAnswer = (engine: string, workload: string, answer: Answer) => void

export interface Records {
  readonly record: RecordAnswer
  readonly median: Median
}

export function openRecords(): Records {
  const found = new Map<string, Figures[]>()
  function record(engine: string, workload: string, answer: Answer): void {
    const key = `${engine} ${workload}`
    if ('figures' in answer) found.set(key, [...(found.get(key) ?? []), answer.figures])
    else console.log(`${engine} failed in a run of ${workload}: ${answer.failure}`)
  }
  function median(engine: string, workload: string, figure: string): number | undefined {
    const runs = (found.get(`${engine} ${workload}`) ?? []).flatMap((figures) => figures[figure] ?? [])
    return runs.length > 0 ? quantile(runs, 0.5) : undefined
  }
  return { record, median }
}
