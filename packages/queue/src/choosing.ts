/** Which jobs a claim takes: those that are ready here, less what others hold and what the limits leave. */
import type { Transaction } from '@ate/core'
import type { Follower } from './follower.ts'
import { STATE } from './job-rows.ts'
import { decodeLeases, JobRecord, type LaneValue, type LeaseRecord, SessionRecord, unlessBad } from './queue-records.ts'
import type { Rates } from './queue-rules.ts'

/** A job that a claim has chosen, at the turn that it had then. */
export interface Taken {
  readonly job: string
  readonly turn: number
}

/** The leases of all sessions but `own`, as they are at this claim's place in the log. */
export async function leasesOfOthers(
  tx: Transaction,
  {
    lane,
    own,
    isKnown,
  }: { readonly lane: LaneValue; readonly own: string | undefined; readonly isKnown: (job: string) => boolean },
): Promise<Map<string, LeaseRecord[]>> {
  const others = new Map<string, LeaseRecord[]>()
  for (const id of lane.sessions) {
    const other = id === own ? undefined : await unlessBad(tx.peek(SessionRecord, id))
    if (!other) continue
    // A session that claims nothing lists what it had last; jobs of it may be gone, and others not have come here yet.
    const there: LeaseRecord[] = []
    for (const lease of decodeLeases(other.value.leases))
      if (isKnown(lease.job) || (await unlessBad(tx.peek(JobRecord, lease.job)))) there.push(lease)
    others.set(id, there)
  }
  return others
}

/** Marks at most `wanted` ready jobs as held by `holder`. `opensAt`: when the rate of the queue lets one more start, 0 if it does. */
export function chooseJobs(
  { table, now }: Follower,
  {
    wanted,
    activeMax,
    rates,
    holder,
  }: { readonly wanted: number; readonly activeMax: number; readonly rates: Rates; readonly holder: string },
): { readonly taken: Taken[]; readonly opensAt: number } {
  const taken: Taken[] = []
  let opensAt = 0
  const { isLimited } = rates
  const unseen = activeMax === Number.POSITIVE_INFINITY ? 0 : table.unseen()
  while (taken.length < wanted && table.counts[STATE.active]! + unseen < activeMax) {
    if (isLimited) {
      opensAt = rates.opensAt('queue', undefined)
      if (opensAt > now) break
    }
    const next = table.take(holder)
    if (!next) break
    const group = table.groupOf(next.row)?.name
    const groupOpensAt = group === undefined || !isLimited ? 0 : rates.opensAt('group', group)
    if (groupOpensAt > now) {
      table.giveBack(next, holder, groupOpensAt)
      continue
    }
    if (isLimited) rates.start(group, now)
    taken.push(next)
  }
  return { taken, opensAt }
}
