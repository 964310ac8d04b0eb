/** Steps of transactions that claims, ends and takeovers share. */
import { AteError, type EntityId, type Transaction } from '@ate/core'
import { FenceRecord, IN, JobRecord, LaneRecord, type LaneValue, type LeaseRecord, unlessBad } from './queue-records.ts'
import { lostValue } from './queue-rules.ts'
import { hasRoom } from './sizes.ts'

export interface LoadedLane {
  readonly id: string
  readonly value: LaneValue
}

/** The lane of a queue, which its first claim makes. */
export async function loadLane(tx: Transaction, node: EntityId): Promise<LoadedLane> {
  const lane = await tx.child(LaneRecord, node, IN.lane)
  return lane ?? tx.putChild(LaneRecord, { claims: 0, sessions: [] }, { parent: node, in: IN.lane })
}

/** What every transaction of a lease's holder guards. */
export async function hasFence(tx: Transaction, fence: string): Promise<boolean> {
  return (await tx.get(FenceRecord, fence)) !== undefined
}

/** @throws AteError LEASE_LOST */
export async function requireFence(tx: Transaction, fence: string): Promise<void> {
  if (!(await hasFence(tx, fence))) throw new AteError('LEASE_LOST')
}

export async function leaveLane(tx: Transaction, lane: string, session: string): Promise<void> {
  await tx.update(LaneRecord, lane, (before) => ({
    ...before,
    sessions: before.sessions.filter((id) => id !== session),
  }))
}

/** A job of a session that is gone starts again, if the lease was still of its present turn. */
export async function freeJob(
  tx: Transaction,
  { job, turn }: LeaseRecord,
  retryMax: number,
  now: number,
): Promise<boolean> {
  const entity = await unlessBad(tx.get(JobRecord, job))
  if (!entity || entity.value.end !== undefined || (entity.value.turn ?? 0) !== turn) return false
  const next = lostValue(entity.value, retryMax, now)
  // One that was added when nothing was kept free for this is free at the turn that it has.
  if (hasRoom(next)) await tx.update(JobRecord, job, () => next)
  return true
}
