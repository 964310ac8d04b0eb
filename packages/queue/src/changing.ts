/** What is done to jobs and queues from outside: cancel, retry, pause, and jobs that are added many at a time. */
import { AteError, type Chain, type Entity, type EntityId, isAteError, type Transaction } from '@ate/core'
import type { Adder, Prepared, Staged } from './adding.ts'
import type { Follower } from './follower.ts'
import { STATE } from './job-rows.ts'
import { wholeNumber } from './queue-options.ts'
import { IN, JobRecord, type JobValue, LaneRecord } from './queue-records.ts'
import { cancelledValue, revivedValue } from './queue-rules.ts'

/** Jobs of one transaction of addMany, at first; halved while they do not fit. */
const ADD_CHUNK = 1000
/** Jobs that one transaction runs again. */
const RETRY_CHUNK = 200
const RETRY_MAX = 1_000_000

/** False if there is no such job, or it has ended. */
export async function cancelJob(
  tx: Transaction,
  job: Entity<JobValue> | undefined,
  reason: string | undefined,
  now: number,
): Promise<boolean> {
  if (!job || job.value.end !== undefined) return false
  await tx.update(JobRecord, job.id, (value) => cancelledValue(value, reason, now))
  return true
}

export async function setPaused(tx: Transaction, node: EntityId, paused: boolean): Promise<void> {
  const there = (await tx.child(LaneRecord, node, IN.lane))?.value ?? { claims: 0, sessions: [] }
  const { paused: before, ...lane } = there
  if ((before === true) === paused) return
  tx.putChild(LaneRecord, paused ? { ...lane, paused: true as const } : lane, { parent: node, in: IN.lane })
}

/** Runs a job again if it is dead or cancelled; the number of jobs. */
export function retryJob(chain: Chain, adder: Adder, id: string): Promise<number> {
  return chain.transact(async (tx) => {
    const job = await adder.findIn(tx, id)
    if (job?.value.end !== 'dead' && job?.value.end !== 'cancelled') return 0
    await tx.update(JobRecord, job.id, revivedValue)
    return 1
  })
}

/** Runs dead jobs again, oldest first. */
export async function retryDead(chain: Chain, follower: Follower, limit: number | undefined): Promise<number> {
  const most = wholeNumber(limit ?? RETRY_MAX, 'limit', { min: 1, max: RETRY_MAX })
  await follower.caughtUp()
  const { rows } = follower.table
  const dead: number[] = []
  for (let row = 0; row < rows.length; row++) if (rows.state[row] === STATE.dead) dead.push(row)
  dead.sort((a, b) => rows.arrival[a]! - rows.arrival[b]!)
  const ids = dead.slice(0, most).map((row) => rows.idOf(row))
  let count = 0
  for (let at = 0; at < ids.length; at += RETRY_CHUNK) {
    count += await chain.transact(async (tx) => {
      let revived = 0
      for (const id of ids.slice(at, at + RETRY_CHUNK)) {
        const job = await tx.get(JobRecord, id)
        if (job?.value.end !== 'dead') continue
        await tx.update(JobRecord, id, revivedValue)
        revived++
      }
      return revived
    })
  }
  return count
}

/** In as few transactions as they fit in; those that depend on each other in one. */
export async function addAll(chain: Chain, adder: Adder, all: readonly Prepared[]): Promise<Staged[]> {
  await adder.staged
  const ids = new Set(all.flatMap(({ id }) => id ?? []))
  const isFlow = all.some(({ after }) => after.some((parent) => ids.has(parent.id)))
  if (isFlow) return chain.transact((tx) => adder.stageAll(tx, all))
  const parts: Promise<Staged[]>[] = []
  for (let at = 0; at < all.length; at += ADD_CHUNK) parts.push(addChunk(chain, adder, all.slice(at, at + ADD_CHUNK)))
  return (await Promise.all(parts)).flat()
}

async function addChunk(chain: Chain, adder: Adder, all: readonly Prepared[]): Promise<Staged[]> {
  try {
    return await chain.transact((tx) => adder.stageAll(tx, all))
  } catch (error) {
    if (!isAteError(error) || error.code !== 'TX_TOO_LARGE' || all.length < 2) throw error
    const half = all.length >>> 1
    return [...(await addChunk(chain, adder, all.slice(0, half))), ...(await addChunk(chain, adder, all.slice(half)))]
  }
}

/** The items of addMany: data, or data with options. */
export function itemsOf<I, O>(items: Iterable<I | readonly [I, O?]>): (readonly [I, O | undefined])[] {
  if (typeof items !== 'object' || items === null || !(Symbol.iterator in items))
    throw new AteError('BAD_ARGUMENT', { what: 'addMany takes a list' })
  return [...items].map((item) =>
    Array.isArray(item) ? [item[0] as I, item[1] as O | undefined] : [item as I, undefined],
  )
}
