/**
 * Who may grant at a pattern may set its policies, and could name others there without a grant that anybody sees; they would stay
 * when he is removed. So an owner who removes somebody, or tidies up, has the policies say again what the grants say.
 */
import { type AccessEntry, role as roleName } from '@ate/core'
import { type CallOptions, type Context, type Layout, policiesOf } from './context.ts'
import { everAt } from './grants.ts'
import { OWNERS } from './vault-records.ts'
import { sameRoles, union, type Zone } from './vault-rules.ts'

/** The number of zones whose policies said something else. By owners; others find none. Needs the turn of `context.change`. */
export async function takeOutStrays(context: Context, options: CallOptions): Promise<number> {
  const layout = await context.layout(options.signal)
  if (!layout || !context.chain.role(OWNERS, layout.vault)?.isMember) return 0
  const zones = layout.zones.filter((zone) => hasStrays(context, layout, zone))
  if (zones.length === 0) return 0
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
  return zones.length
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
