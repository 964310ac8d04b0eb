/** Many waiting jobs cost rows, and no objects. ATE_QUEUE_WAITING sets how many; a million in the long run. */
import { expect, it } from 'vitest'
import { JobTable } from '../src/job-table.ts'
import { readId } from '../src/queue-records.ts'

const WAITING = Number(process.env['ATE_QUEUE_WAITING'] ?? 50_000)
/** Room for tables that have just doubled. */
const BYTES_A_JOB_MAX = 260

it(`keeps ${WAITING} waiting jobs in typed arrays, and gives them in order`, () => {
  const table = new JobTable()
  const words = new Uint32Array(4)
  const before = process.memoryUsage().arrayBuffers
  for (let i = 0; i < WAITING; i++) {
    words[0] = Math.imul(i, 0x9e3779b1) >>> 0
    words[3] = i
    table.put(readId(words, 0), { data: undefined, added: i }, 0)
  }
  const bytes = process.memoryUsage().arrayBuffers - before
  expect(bytes / WAITING).toBeLessThan(BYTES_A_JOB_MAX)
  expect(table.counts[0]).toBe(WAITING)
  for (let i = 0; i < 1000; i++) expect(table.rows.ids[4 * table.take('s')!.row + 3]).toBe(i)
})
