/**
 * What a queue needs from time to time, done by whoever works: repeats that are due become jobs, children of parents that
 * failed are failed, and what has ended is removed when its time is over. Each is judged by the chain, so that two who do
 * it at once do it once.
 */
import { type Chain, type EntityId, isAteError, type Transaction } from '@ate/core'
import { heldBy } from './adding.ts'
import type { Follower } from './follower.ts'
import type { TimeHeap } from './heaps.ts'
import { STATE } from './job-rows.ts'
import type { Rules } from './queue-options.ts'
import { IN, JobRecord, type JobValue, UniqueRecord } from './queue-records.ts'
import { failedValue, isOfOne } from './queue-rules.ts'
import type { Repeats } from './repeats.ts'

/** Jobs that one transaction removes. */
const REMOVE_MAX = 500

export interface UpkeepParts {
  readonly chain: Chain
  readonly node: EntityId
  readonly follower: Follower
  readonly rules: () => Rules
  readonly repeats: Repeats
}

export async function upkeep(parts: UpkeepParts): Promise<void> {
  await fireRepeats(parts)
  await failOrphans(parts)
  const { table, now } = parts.follower
  const { keep } = parts.rules()
  const { counts, ended, endedBadly } = table
  await removeEnded(
    parts,
    ended,
    () => counts[STATE.done]! > keep.doneCount || (ended.time ?? now) <= now - keep.doneMs,
  )
  const bad = (): number => counts[STATE.dead]! + counts[STATE.cancelled]!
  await removeEnded(parts, endedBadly, () => bad() > keep.deadCount || (endedBadly.time ?? now) <= now - keep.deadMs)
}

async function fireRepeats({ follower, repeats }: UpkeepParts): Promise<void> {
  for (const [id, { next }] of follower.repeats) {
    if (next > follower.now) continue
    // One that cannot be fired holds up neither the others nor the work.
    await repeats.fire(id).catch((error) => {
      if (!isOfOne(error)) ifLost(error)
    })
  }
}

async function failOrphans({ chain, follower }: UpkeepParts): Promise<void> {
  const { table } = follower
  for (const id of [...table.parents.orphans]) {
    const endOfGone = (parent: string): JobValue['end'] => table.parents.foreignEnd(parent)
    try {
      const failed = await chain.transact((tx) => failOrphan(tx, { id, now: chain.now, endOfGone }))
      for (const parent of failed) table.forgive(id, parent, follower.now)
    } catch (error) {
      // It stays blocked: what is wrong with one job must not end the work on the others.
      if (!isOfOne(error)) throw error
    }
    table.parents.orphans.delete(id)
  }
}

/** Fails a job whose parent has failed; or gives the parents that it does not mind. */
async function failOrphan(
  tx: Transaction,
  {
    id,
    now,
    endOfGone,
  }: { readonly id: string; readonly now: number; readonly endOfGone: (parent: string) => JobValue['end'] },
): Promise<readonly string[]> {
  const job = await tx.get(JobRecord, id)
  if (!job || job.value.end !== undefined) return []
  const failed: string[] = []
  for (const parent of job.value.after ?? []) {
    const there = await tx.get(JobRecord, parent)
    const end = there ? there.value.end : endOfGone(parent)
    if (end === 'dead' || end === 'cancelled') failed.push(parent)
  }
  if (job.value.onParentFail === 'run' || failed.length === 0) return failed
  const error = `the job that it waited for was not done: ${failed[0]}`
  await tx.update(JobRecord, id, (value) => failedValue(value, { error, now, retryAt: undefined }))
  return []
}

async function removeEnded(parts: UpkeepParts, heap: TimeHeap, isOver: () => boolean): Promise<void> {
  const { rows } = parts.follower.table
  while (heap.size > 0 && isOver()) {
    const ids: string[] = []
    while (ids.length < REMOVE_MAX && heap.size > 0 && isOver()) {
      const { row, time } = heap.pop()!
      // One that was run again, or that is gone, stands here still.
      if (rows.state[row]! < STATE.done || rows.state[row] === STATE.free || rows.time[row] !== time) continue
      const id = rows.idOf(row)
      ids.push(id)
      parts.follower.table.remove(id)
    }
    if (ids.length === 0) return
    await parts.chain.transact((tx) => removeJobs(parts, tx, ids)).catch(ifLost)
  }
}

async function removeJobs({ node, chain }: UpkeepParts, tx: Transaction, ids: readonly string[]): Promise<void> {
  const { now } = chain
  for (const id of ids) {
    const job = await tx.get(JobRecord, id)
    if (!job || job.value.end === undefined) continue
    await removeUnique(tx, { node, id, now }, job.value)
    tx.delete(job)
  }
}

/** A key that is taken for longer than its job is kept goes when its time is over. */
async function removeUnique(
  tx: Transaction,
  { node, id, now }: { readonly node: EntityId; readonly id: string; readonly now: number },
  { unique }: JobValue,
): Promise<void> {
  if (unique === undefined) return
  const place = { parent: node, in: IN.uniques }
  const record = await tx.named(UniqueRecord, unique, place)
  if (!record || record.value.job !== id) return
  const { until } = record.value
  const held = await heldBy(tx, record.value)
  if (held.job !== id) {
    tx.replace(record, held)
    return
  }
  if (until !== undefined && until > now) tx.expire(record, { expires: until })
  else tx.delete(record)
}

/** Somebody else has done it meanwhile. */
function ifLost(error: unknown): void {
  if (!isAteError(error) || (error.code !== 'NOT_FOUND' && error.code !== 'TX_RETRIES')) throw error
}
