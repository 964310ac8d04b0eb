/** Looks at a queue: single jobs by what stands in the chain, lists and counts by the table, events by the log. */
import { type Chain, type EntityId, objectOf } from '@ate/core'
import { jobOf } from './adding.ts'
import type { Follower } from './follower.ts'
import { STATE, STATE_NAMES } from './job-rows.ts'
import { bad, checkSignal, EVENTS_NAMES, LIST_NAMES, wholeNumber } from './queue-options.ts'
import { decodeLeases, IN, JobRecord, type JobValue, LaneRecord, SessionRecord, unlessBad } from './queue-records.ts'
import type { JobInfo, JobState, ListOptions, QueueEvent } from './queue-types.ts'

const LIST_MAX = 100_000
/** Jobs whose creation the stream remembers, until the table knows them. */
const SEEN_MAX = 10_000

export interface LookingParts {
  readonly chain: Chain
  readonly node: EntityId
  readonly follower: Follower
}

export async function jobInfo<D, R>(parts: LookingParts, id: string): Promise<JobInfo<D, R> | undefined> {
  const { chain, node } = parts
  const job = await jobOf(chain, node, id)
  if (!job) return undefined
  const { value } = job
  const state = await stateOf(parts, job.id, value)
  return {
    id: job.name ?? job.id,
    state,
    data: value.data as D,
    attempt: (value.fails ?? 0) + Number(state === 'active' || state === 'done'),
    added: new Date(value.added),
    errors: value.errors ?? [],
    ...(value.ended === undefined ? {} : { ended: new Date(value.ended) }),
    ...(value.progress === undefined ? {} : { progress: value.progress }),
    ...(value.result === undefined ? {} : { result: value.result as R }),
  }
}

async function stateOf({ chain, node }: LookingParts, id: string, value: JobValue): Promise<JobState> {
  if (value.end !== undefined) return value.end
  const lane = await chain.child(LaneRecord, node, IN.lane)
  for (const one of lane?.value.sessions ?? []) {
    const session = await unlessBad(chain.get(SessionRecord, one))
    const leases = session ? decodeLeases(session.value.leases) : []
    if (leases.some(({ job, turn }) => job === id && turn === (value.turn ?? 0))) return 'active'
  }
  for (const parent of value.after ?? []) {
    const end = (await unlessBad(chain.get(JobRecord, parent)))?.value.end
    if (end !== 'done' && !(end !== undefined && value.onParentFail === 'run')) return 'blocked'
  }
  return value.at !== undefined && value.at > chain.now ? 'scheduled' : 'waiting'
}

/** In the order in which they were added. */
export async function* listJobs(
  { chain, follower }: LookingParts,
  options: ListOptions,
): AsyncGenerator<{ readonly id: string; readonly state: JobState }, void, void> {
  const { state, group } = objectOf(options, 'the options of list', LIST_NAMES)
  if (state !== undefined && !STATE_NAMES.includes(state)) throw bad(`state is one of ${STATE_NAMES.join(', ')}`, state)
  if (group !== undefined && typeof group !== 'string') throw bad('group is text', group)
  const limit = wholeNumber(options.limit ?? 100, 'limit', { min: 1, max: LIST_MAX })
  await follower.caughtUp()
  const { table } = follower
  table.promote(follower.now)
  const { rows } = table
  const found: number[] = []
  for (let row = 0; row < rows.length; row++) {
    const is = rows.state[row]!
    if (is === STATE.free || (state !== undefined && STATE_NAMES[is] !== state)) continue
    if (group !== undefined && table.groupOf(row)?.name !== group) continue
    found.push(row)
  }
  found.sort((a, b) => rows.arrival[a]! - rows.arrival[b]!)
  const chosen = found.slice(0, limit).map((row) => ({ id: rows.idOf(row), state: STATE_NAMES[rows.state[row]!]! }))
  for (const { id, state } of chosen) {
    const job = await unlessBad(chain.get(JobRecord, id))
    if (job) yield { id: job.name ?? id, state }
  }
}

export async function* queueEvents(
  { chain, node, follower }: LookingParts,
  options: { readonly from?: number | 'start' | 'end'; readonly signal?: AbortSignal },
): AsyncGenerator<QueueEvent, void, void> {
  const { from = 'end', signal } = objectOf(options, 'the options of events', EVENTS_NAMES)
  checkSignal(signal)
  const first =
    from === 'start' ? 0 : from === 'end' ? chain.head.seq + 1 : wholeNumber(from, 'from', { min: 0, max: 2 ** 48 })
  await follower.load()
  const created = new Set<string>()
  const fences = new Map<string, number>()
  const nameOf = async (id: string): Promise<string> => (await unlessBad(chain.get(JobRecord, id)))?.name ?? id
  for await (const event of chain.events({ from: first, ...(signal ? { signal } : {}) })) {
    const { seq, entity, op, type } = event
    if (op !== 'create' && op !== 'put') continue
    if (type === JobRecord.name) {
      if (op === 'create' && (event.parent !== node || event.collection !== IN.jobs)) continue
      if (op === 'create') remember(created, entity)
      else if (!created.has(entity) && follower.table.rows.find(entity) < 0) continue
      const value = await event.value(JobRecord).catch(() => undefined)
      if (value) yield { seq, id: await nameOf(entity), state: eventState(value, event.at) }
    } else if (type === SessionRecord.name) {
      if (op === 'create' && event.parent !== node) continue
      if (op === 'create') fences.set(entity, 0)
      else if (!fences.has(entity) && !follower.lane?.sessions.includes(entity)) continue
      const value = await event.value(SessionRecord).catch(() => undefined)
      const before = fences.get(entity) ?? 0
      for (const { job, fence } of value ? decodeLeases(value.leases) : []) {
        if (fence <= before) continue
        fences.set(entity, fence)
        yield { seq, id: await nameOf(job), state: 'active' }
      }
    }
  }
}

function remember(seen: Set<string>, id: string): void {
  seen.add(id)
  if (seen.size > SEEN_MAX) for (const oldest of seen) return void seen.delete(oldest)
}

function eventState(value: JobValue, at: number): JobState {
  if (value.end !== undefined) return value.end
  if (value.after) return 'blocked'
  return value.at !== undefined && value.at > at ? 'scheduled' : 'waiting'
}
