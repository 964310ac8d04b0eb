/** What has ended is taken out: grants and memberships with an `until` that has passed; and what no grant says. */
import type { Transaction } from '@ate/core'
import type { CallOptions, Context, Layout } from './context.ts'
import { everAt, reload, renewRole, setPolicies } from './grants.ts'
import { setValuePolicies } from './moving.ts'
import { takeOutStrays } from './strays.ts'
import { VaultType, type ZoneRecord, ZoneType } from './vault-records.ts'
import { isLapsed, type Zone } from './vault-rules.ts'

/**
 * Takes out what has ended: grants and memberships with an `until` that has passed; and from policies whom no grant names. Needs
 * manage of the vault. The number of them, patterns with such policies counted once.
 */
export async function tidy(context: Context, options: CallOptions = {}): Promise<number> {
  return context.change(async () => (await takeOutEnded(context, options)) + (await takeOutStrays(context, options)))
}

async function takeOutEnded(context: Context, options: CallOptions): Promise<number> {
  const layout = await context.layout(options.signal)
  if (!layout) return 0
  const { now } = context
  const members = layout.record.until.filter(({ at }) => isLapsed(at, now))
  const stale = layout.zones.filter(({ grants }) => grants.some(({ until }) => isLapsed(until, now)))
  if (members.length === 0 && stale.length === 0) return 0
  let ended = 0
  let changed: Zone[] = []
  let next: readonly Zone[] = []
  await context.write({ ...options, changing: true }, async (tx) => {
    ended = members.length
    changed = []
    const zones = await Promise.all(layout.zones.map((zone) => reload(tx, zone)))
    next = zones.map((zone) => ({ ...zone, grants: zone.grants.filter(({ until }) => !isLapsed(until, now)) }))
    for (const [i, zone] of zones.entries()) {
      const grants = next[i]!.grants
      if (grants.length === zone.grants.length) continue
      ended += zone.grants.length - grants.length
      await tx.update(ZoneType, zone.id, (record): ZoneRecord => ({ ...record, grants }))
    }
    for (const zone of zones) {
      const follows = setPolicies(tx, zone, everAt(context, zones, zone.pattern), context.accessAt(next, zone.pattern))
      if (follows) changed.push(zone)
    }
    for (const { role, member } of members) removeByFingerprint(context, tx, layout, role, member)
    if (members.length > 0)
      await tx.update(VaultType, layout.vault, (record) => ({
        ...record,
        until: record.until.filter(({ at }) => !isLapsed(at, now)),
      }))
  })
  for (const zone of changed) await setValuePolicies(context, { ...layout, zones: next }, zone, options)
  const roles = new Set(
    stale.flatMap(({ grants }) => grants.filter(({ until }) => isLapsed(until, now))).map(({ role }) => role),
  )
  for (const role of roles) await renewRole(context, role, options)
  return ended
}

function removeByFingerprint(context: Context, tx: Transaction, { vault }: Layout, role: string, member: string): void {
  const found = context.chain.role(role, vault)?.members.find(({ fingerprint }) => fingerprint === member)
  if (found) tx.role(role, vault).remove(found.publicId)
}
