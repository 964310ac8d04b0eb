/**
 * Who may grant at a pattern may set its policies, and could name others there without a grant that anybody sees; they would stay
 * when he is removed. So an owner who removes somebody, or tidies up, has the policies say again what the grants say.
 */
import { type AccessEntry, role as roleName } from '@ate/core'
import { type CallOptions, type Context, type Layout, policiesOf } from './context.ts'
import { everAt } from './grants.ts'
import { STEP_POLICIES } from './moving.ts'
import { IN, OWNERS, ValueType } from './vault-records.ts'
import { type Access, needsOwnPolicy, sameRoles, union, type Zone } from './vault-rules.ts'

/** The number of zones whose policies said something else. By owners; others find none. Needs the turn of `context.change`. */
export async function takeOutStrays(context: Context, options: CallOptions): Promise<number> {
  const layout = await context.layout(options.signal)
  if (!layout || !context.chain.role(OWNERS, layout.vault)?.isMember) return 0
  const zones = layout.zones.filter((zone) => hasStrays(context, layout, zone))
  if (zones.length > 0) await takeOutOfZones(context, layout, zones, options)
  const found = new Set(zones)
  for (const zone of layout.zones) if (await takeOutOfVersions(context, layout, zone, options)) found.add(zone)
  return found.size
}

async function takeOutOfZones(
  context: Context,
  layout: Layout,
  zones: readonly Zone[],
  options: CallOptions,
): Promise<void> {
  await context.write({ ...options, changing: true }, async (tx) => {
    for (const zone of zones) {
      const access = everAt(context, layout.zones, zone.pattern)
      const policies = policiesOf(access)
      const ownReaders = context.chain.policy(zone.names).read === undefined ? {} : { read: access.list.map(roleName) }
      tx.setPolicy(zone.id, { ...policies.zone, allow: [] })
      tx.setPolicy(zone.names, { ...policies.names, ...ownReaders, manage: [], allow: [] })
      tx.setPolicy(zone.values, { ...policies.values, manage: [] })
    }
  })
}

/**
 * Who may destroy a version, or change that. Whom somebody let read one by hand may have read it: that is not taken back, and ends
 * with the version. False if there were none.
 */
async function takeOutOfVersions(context: Context, layout: Layout, zone: Zone, options: CallOptions): Promise<boolean> {
  const { chain } = context
  const roles = destroyersOf(context.accessAt(layout.zones, zone.pattern))
  const ever = new Set([...roles, ...destroyersOf(everAt(context, layout.zones, zone.pattern))])
  const ids = chain
    .children(ValueType, zone.values, IN.values)
    .ids()
    .filter((id) => isStrayVersion(context, layout, id, ever))
  for (let at = 0; at < ids.length; at += STEP_POLICIES) {
    await context.write({ ...options, changing: true }, async (tx) => {
      for (const id of ids.slice(at, at + STEP_POLICIES))
        if (chain.has(id)) tx.setPolicy(id, { write: roles.map(roleName), manage: [] })
    })
  }
  return ids.length > 0
}

function destroyersOf(access: Access): readonly string[] {
  return needsOwnPolicy(access) ? access.destroy : union(access.write, access.destroy)
}

/** One that is closed is governed by who made it alone. */
function isStrayVersion({ chain }: Context, { vault }: Layout, id: string, roles: ReadonlySet<string>): boolean {
  if (!chain.has(id)) return false
  const { write, manage = [], closed } = chain.policy(id)
  if (closed || (write === undefined && manage.length === 0)) return false
  const entries = chain.access(id).write
  const isNamed = (entry: AccessEntry): boolean =>
    entry.role !== undefined && entry.at === vault && roles.has(entry.role)
  return manage.length > 0 || entries === 'everyone' || (entries !== 'nobody' && !entries.every(isNamed))
}

function hasStrays(context: Context, { zones, vault }: Layout, { id, names, values, pattern }: Zone): boolean {
  const { chain } = context
  const is = everAt(context, zones, pattern)
  const { allow } = policiesOf(is).values
  const named = (entries: string | readonly AccessEntry[], roles: readonly string[]): boolean =>
    typeof entries !== 'string' &&
    entries.every((entry) => entry.role !== undefined && entry.at === vault) &&
    sameRoles(entries.map((entry) => String(entry.role)).sort(), roles)
  const [zone, name, value] = [id, names, values].map((node) => ({ ...chain.access(node), ...ownOf(context, node) }))
  return !(
    named(zone!.read, is.list) &&
    named(zone!.write, is.grant) &&
    sameRoles(zone!.managers, is.grant) &&
    sameRoles(zone!.makers, []) &&
    named(name!.read, is.list) &&
    named(name!.write, is.write) &&
    sameRoles(name!.managers, []) &&
    sameRoles(name!.makers, []) &&
    named(value!.read, is.read) &&
    named(value!.write, union(is.write, is.destroy)) &&
    sameRoles(value!.managers, []) &&
    sameRoles(
      value!.makers,
      allow.map(({ role }) => role),
    )
  )
}

/** What a node says itself: roles without their mark, and whoever is named by fingerprint. */
function ownOf({ chain }: Context, node: string): { managers: readonly string[]; makers: readonly string[] } {
  const { manage = [], allow } = chain.policy(node)
  const bare = (list: string | readonly string[]): readonly string[] =>
    (typeof list === 'string' ? [list] : list).map((one) => one.replace(/^role:/, '')).sort()
  return { managers: bare(manage), makers: bare(allow) }
}
