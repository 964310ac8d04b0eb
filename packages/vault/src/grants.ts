/** Grants: what is said for a pattern becomes policies of the zones that it covers. */
import type { Transaction } from '@ate/core'
import { type CallOptions, type Context, type Layout, makeZone, policiesOf, type WriteNowOptions } from './context.ts'
import { moveIntoZone, setValuePolicies } from './moving.ts'
import { type Grant, OWNERS, type ZoneRecord, ZoneType } from './vault-records.ts'
import { type Access, covers, sameRoles, type Zone } from './vault-rules.ts'

/** What has to follow a change of grants, in steps. */
export interface Changed {
  readonly made: Zone | undefined
  readonly layout: Layout
  /** Zones whose values get another policy of their own. */
  readonly policies: readonly Zone[]
  readonly tx: Transaction
  /** The role may list or read less than before: its key opens what was sealed until now. */
  readonly lost: boolean
}

export async function setGrant(
  context: Context,
  tx: Transaction,
  layout: Layout,
  pattern: string,
  grant: Grant,
): Promise<Changed> {
  const zones = await Promise.all(layout.zones.map((zone) => reload(tx, zone)))
  const existing = zones.find((zone) => zone.pattern === pattern)
  const grants = [
    ...(existing?.grants ?? []).filter(({ role }) => role !== grant.role),
    ...(grant.can.length > 0 ? [grant] : []),
  ]
  if (!existing) {
    if (grants.length === 0) return { made: undefined, layout, policies: [], tx, lost: false }
    const next = await makeZone(context, tx, { ...layout, zones }, { pattern, grants })
    const made = next.zones.at(-1)!
    // Narrower patterns that were there before are covered by this one too.
    const policies = applyPolicies(context, tx, { before: zones, after: next.zones, pattern, except: made })
    context.setLayout(tx, next)
    return { made, layout: next, policies, tx, lost: false }
  }
  const changed = { ...existing, grants }
  const after = zones.map((zone) => (zone === existing ? changed : zone))
  await tx.update(ZoneType, existing.id, (record): ZoneRecord => ({ ...record, grants }))
  const policies = applyPolicies(context, tx, { before: zones, after, pattern })
  context.setLayout(tx, { ...layout, zones: after })
  const lost = zones.some(
    ({ pattern: one }) =>
      covers(pattern, one) && losesSight(everAt(context, zones, one), context.accessAt(after, one), grant.role),
  )
  return { made: undefined, layout: { ...layout, zones: after }, policies, tx, lost }
}

/** The zone with its grants as the transaction sees them, guarded. What owners have vouched for stays as it was seen. */
export async function reload(tx: Transaction, zone: Zone): Promise<Zone> {
  return { ...zone, grants: (await tx.load(ZoneType, zone.id)).value.grants }
}

/** New policies for the zones that a pattern covers; those whose values follow. */
function applyPolicies(
  context: Context,
  tx: Transaction,
  {
    before,
    after,
    pattern,
    except,
  }: {
    readonly before: readonly Zone[]
    readonly after: readonly Zone[]
    readonly pattern: string
    /** Made with its policies. */
    readonly except?: Zone
  },
): Zone[] {
  const follow: Zone[] = []
  for (const zone of after.filter((one) => one !== except && covers(pattern, one.pattern))) {
    const [was, is] = [everAt(context, before, zone.pattern), context.accessAt(after, zone.pattern)]
    if (setPolicies(tx, zone, was, is)) follow.push(zone)
  }
  return follow
}

/** True if the policies of values change too. */
export function setPolicies(tx: Transaction, zone: Zone, was: Access, is: Access): boolean {
  const next = policiesOf(is)
  const [listed, granted] = [!sameRoles(was.list, is.list), !sameRoles(was.grant, is.grant)]
  const written = !sameRoles(was.write, is.write)
  const read = !sameRoles(was.read, is.read)
  const destroyed = !sameRoles(was.destroy, is.destroy)
  const { read: list, write, manage } = next.zone
  if (listed || granted) tx.setPolicy(zone.id, { ...(listed ? { read: list } : {}), write, manage })
  if (written) tx.setPolicy(zone.names, next.names)
  if (written || read || destroyed) {
    const { read: readers, ...others } = next.values
    tx.setPolicy(zone.values, { ...(read ? { read: readers } : {}), ...others })
  }
  return written || destroyed
}

/** What is stored below a new pattern moves there; values get the policies that say who may destroy them. */
export async function follow(
  context: Context,
  { made, layout, policies, tx }: Changed,
  options: WriteNowOptions,
): Promise<void> {
  const steps = options.tx ? { tx } : {}
  const signal = options.signal ? { signal: options.signal } : {}
  if (made) await moveIntoZone(context, layout, made, { ...steps, ...signal })
  for (const zone of policies) await setValuePolicies(context, layout, zone, { ...steps, ...signal })
}

/** The access that the stored policies give: what has ended counted, because nobody took it out yet. */
export function everAt(context: Context, zones: readonly Zone[], pattern: string): Access {
  const lasting = zones.map((zone) => ({ ...zone, grants: zone.grants.map(({ until: _, ...grant }) => grant) }))
  return context.accessAt(lasting, pattern)
}

function losesSight(was: Access, is: Access, role: string): boolean {
  return (['list', 'read'] as const).some((right) => was[right].includes(role) && !is[right].includes(role))
}

/** In a transaction behind the one that changed the policies: else the new key would be given for the old ones, too. */
export async function renewRole(context: Context, role: string, options: CallOptions): Promise<void> {
  const layout = await context.layout(options.signal)
  if (!layout || !context.chain.role(OWNERS, layout.vault)?.isMember || !context.chain.role(role, layout.vault)) return
  await context.write({ ...options, changing: true }, async (tx) => {
    tx.role(role, layout.vault).renew()
  })
}
