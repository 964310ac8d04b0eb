/**
 * What a chain says happened to a queue, and what a client saw, held against each other: nothing acknowledged is lost,
 * each job that is done has exactly one effect, fences rise, limits and the order of groups hold.
 */
import type { Chain } from '@ate/core'
import { expect } from 'vitest'
import { decodeLeases, JobRecord, type JobValue, SessionRecord } from '../src/queue-records.ts'
import { EffectOf } from './kit.ts'

export interface Client {
  /** Ids whose add was acknowledged, and those whose was not. */
  readonly acknowledged: Set<string>
  readonly attempted: Set<string>
}

export interface Findings {
  readonly lost: string[]
  readonly duplicated: string[]
  /** Not acknowledged, and there all the same. */
  readonly recovered: string[]
  readonly unexpected: string[]
  readonly done: number
  readonly dead: number
  readonly open: number
  readonly mostActive: number
  readonly mostActiveOfGroup: number
  /** Chain times of starts. */
  readonly starts: readonly number[]
}

interface Job {
  readonly id: string
  value: JobValue
  fence: number
}

export async function findingsOf(chain: Chain, client: Client): Promise<Findings> {
  const jobs = new Map<string, Job>()
  const active = new Map<string, number>()
  const holders = new Map<string, string>()
  const effects = new Map<string, number>()
  const starts: number[] = []
  const doneOfGroup = new Map<string, string[]>()
  const leases = new Set<string>()
  let highestFence = 0
  let mostActive = 0
  let mostActiveOfGroup = 0
  const named = new Map<string, string>()
  const node = await queueNode(chain)
  for await (const job of chain.children(JobRecord, node, 'jobs')) named.set(job.id, job.name ?? job.id)
  for await (const event of chain.events({ until: 'end' })) {
    const { type, op, entity } = event
    if (type === EffectOf.name && op === 'create') {
      const { job, fence } = await event.value(EffectOf)
      effects.set(job, (effects.get(job) ?? 0) + 1)
      const found = [...jobs.values()].find(({ id }) => id === job)
      expect(found?.fence, `the fence of the effect of ${job}`).toBe(Number(fence))
    } else if (type === JobRecord.name && (op === 'create' || op === 'put')) {
      const value = await event.value(JobRecord)
      const known = jobs.get(entity)
      // Other queues of the chain are not looked at.
      if (op === 'create' ? event.parent !== node : !known) continue
      if (known?.value.end === 'done') expect(value.end, 'what is done stays done').toBe('done')
      if (known) known.value = value
      else jobs.set(entity, { id: named.get(entity) ?? entity, value, fence: 0 })
      if (known && (value.end !== undefined || (value.turn ?? 0) !== active.get(entity))) active.delete(entity)
      if (value.end === 'done' && value.group !== undefined)
        doneOfGroup.set(value.group, [...(doneOfGroup.get(value.group) ?? []), entity])
    } else if (type === SessionRecord.name && op === 'delete') {
      // Given back, or taken over: whatever it still held is free.
      for (const [job, holder] of holders) if (holder === entity) active.delete(job)
    } else if (type === SessionRecord.name) {
      const claimed = new Set<number>()
      for (const { job, turn, fence } of decodeLeases((await event.value(SessionRecord)).leases)) {
        // A session lists what it holds: a lease that was not listed before is of the claim that wrote this.
        const lease = `${job} ${turn} ${fence}`
        if (leases.has(lease)) continue
        leases.add(lease)
        claimed.add(fence)
        const known = jobs.get(job)
        // Of a turn that is over it is void: whoever wrote it had not heard of the next one.
        if (!known || known.value.end !== undefined || (known.value.turn ?? 0) !== turn) continue
        known.fence = fence
        expect(active.has(job), `two leases of ${known.id} at once`).toBe(false)
        active.set(job, turn)
        holders.set(job, entity)
        starts.push(event.at)
      }
      expect(claimed.size, 'one fence of one claim').toBeLessThanOrEqual(1)
      for (const fence of claimed) {
        expect(fence, 'the fence of a claim is above those of all claims before it').toBeGreaterThan(highestFence)
        highestFence = fence
      }
      mostActive = Math.max(mostActive, active.size)
      const groups = new Map<string, number>()
      for (const job of active.keys()) {
        const group = jobs.get(job)!.value.group
        if (group !== undefined) groups.set(group, (groups.get(group) ?? 0) + 1)
      }
      mostActiveOfGroup = Math.max(mostActiveOfGroup, ...groups.values())
    }
  }
  const byId = new Map([...jobs.values()].map((job) => [job.id, job]))
  const ended = [...jobs.values()].filter(({ value }) => value.end === 'done')
  for (const [group, order] of doneOfGroup) {
    const added = [...jobs.keys()].filter(
      (id) => jobs.get(id)!.value.group === group && jobs.get(id)!.value.end === 'done',
    )
    expect(order, `order of group ${group}`).toEqual(added)
  }
  return {
    lost: [...client.acknowledged].filter((id) => !byId.has(id)),
    duplicated: [...effects].filter(([, count]) => count > 1).map(([id]) => id),
    recovered: [...byId.keys()].filter((id) => !client.acknowledged.has(id) && client.attempted.has(id)),
    unexpected: [
      ...[...byId.keys()].filter((id) => !client.attempted.has(id)),
      ...[...effects.keys()].filter((id) => byId.get(id)?.value.end !== 'done'),
      ...ended.filter(({ id }) => effects.get(id) !== 1).map(({ id }) => id),
    ],
    done: ended.length,
    dead: [...jobs.values()].filter(({ value }) => value.end === 'dead').length,
    open: [...jobs.values()].filter(({ value }) => value.end === undefined).length,
    mostActive,
    mostActiveOfGroup,
    starts,
  }
}

async function queueNode(chain: Chain): Promise<string> {
  const { QueueRecord } = await import('../src/queue-records.ts')
  const node = await chain.named(QueueRecord, 'jobs', { in: 'queues' })
  if (!node) throw new Error('there is no queue named jobs')
  return node.id
}

/** The most starts in any window of that length. */
export function mostStarts(starts: readonly number[], windowMs: number): number {
  let most = 0
  for (let first = 0, last = 0; last < starts.length; last++) {
    while (starts[first]! <= starts[last]! - windowMs) first++
    most = Math.max(most, last - first + 1)
  }
  return most
}
