/**
 * What a queue needs from time to time, done by whoever works: repeats that are due become jobs, children of parents that
 * failed are failed, and what has ended is removed when its time is over. Each is judged by the chain, so that two who do
 * it at once do it once.
 */
import { type Chain, type EntityId, isAteError, type Transaction } from '@ate/core'
import { heldBy } from './adding.ts'
import type { Follower } from './follower.ts'
import type { TimeHeap } from './heaps.ts'
import { type JobRows, STATE } from './job-rows.ts'
import type { Rules } from './queue-options.ts'
import { IN, JobRecord, type JobValue, UniqueRecord, unlessBad } from './queue-records.ts'
import { isOfOne, orphanValue } from './queue-rules.ts'
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
    (chosen) => counts[STATE.done]! - chosen > keep.doneCount || (ended.time ?? now) <= now - keep.doneMs,
  )
  const bad = (): number => counts[STATE.dead]! + counts[STATE.cancelled]!
  await removeEnded(
    parts,
    endedBadly,
    (chosen) => bad() - chosen > keep.deadCount || (endedBadly.time ?? now) <= now - keep.deadMs,
  )
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
    const there = await unlessBad(tx.get(JobRecord, parent))
    const end = there ? there.value.end : endOfGone(parent)
    if (end === 'dead' || end === 'cancelled') failed.push(parent)
  }
  if (job.value.onParentFail === 'run' || failed.length === 0) return failed
  await tx.update(JobRecord, id, (value) => orphanValue(value, failed[0]!, now))
  return []
}

/**
 * One that failed stays while somebody waits for it: when it is gone, it has been done. Who was added behind it was so before it
 * failed, and is known here once all is taken in that the chain has.
 */
async function removeEnded(parts: UpkeepParts, heap: TimeHeap, isOver: (chosen: number) => boolean): Promise<void> {
  const { table } = parts.follower
  const { rows } = table
  const kept: EndedRow[] = []
  try {
    while (heap.size > 0 && isOver(0)) {
      await parts.follower.caughtUp()
      const chosen: EndedRow[] = []
      while (chosen.length < REMOVE_MAX && heap.size > 0 && isOver(chosen.length)) {
        const { row, time } = heap.pop()!
        // One that was run again, or that is gone, stands here still.
        if (!hasEnded(rows, row, time)) continue
        const id = rows.idOf(row)
        if (table.parents.hasChildren(id)) kept.push({ row, time, id })
        else chosen.push({ row, time, id })
      }
      if (chosen.length === 0) return
      try {
        await parts.chain.transact((tx) => removeJobs(parts, tx, chosen))
      } catch (error) {
        // They are there still, for the next time.
        kept.push(...chosen)
        return ifLost(error)
      }
      for (const { row, time, id } of chosen) if (rows.find(id) === row && hasEnded(rows, row, time)) table.remove(id)
    }
  } finally {
    for (const { row, time } of kept) heap.push(time, row)
  }
}

interface EndedRow {
  readonly row: number
  /** When it ended. */
  readonly time: number
  readonly id: string
}

function hasEnded({ state, time }: JobRows, row: number, ended: number): boolean {
  return state[row]! >= STATE.done && state[row] !== STATE.free && time[row] === ended
}

async function removeJobs({ node, chain }: UpkeepParts, tx: Transaction, jobs: readonly EndedRow[]): Promise<void> {
  const { now } = chain
  for (const { id, time } of jobs) {
    const job = await unlessBad(tx.get(JobRecord, id))
    // One that has run again, and ended, is judged anew.
    if (job?.value.end === undefined || job.value.ended !== time) continue
    await removeUnique(tx, { chain, node, id, now }, job.value)
    tx.delete(job)
  }
}

/** A key that is taken for longer than its job is kept goes when its time is over. */
async function removeUnique(
  tx: Transaction,
  { chain, node, id, now }: Pick<UpkeepParts, 'chain' | 'node'> & { readonly id: string; readonly now: number },
  { unique }: JobValue,
): Promise<void> {
  if (unique === undefined) return
  const place = { parent: node, in: IN.uniques }
  const record = await unlessBad(tx.named(UniqueRecord, unique, place))
  if (!record || record.value.job !== id) return
  const { until } = record.value
  const held = await heldBy({ chain, node }, tx, record.value)
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
