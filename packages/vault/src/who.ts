/** Who may do what with a secret: by the grants, with the people who are in the roles now. */
import { type CallOptions, type Context, required } from './context.ts'
import { membersOf, type RoleMember } from './roles.ts'
import { CANS, type Can, OWNERS } from './vault-records.ts'
import { checkPath, isLapsed, zonesOf } from './vault-rules.ts'

export interface WhoMay {
  readonly role: string
  readonly can: readonly Can[]
  /** By pattern; undefined of owners, who need no grant. */
  readonly by: readonly { readonly pattern: string; readonly can: readonly Can[]; readonly until?: Date }[]
  readonly members: readonly RoleMember[]
}

/** Roles that may do something at a path, owners first. What has ended is left out. @throws AteError NOT_FOUND | BAD_PATH */
export async function whoMay(context: Context, path: string, { signal }: CallOptions): Promise<WhoMay[]> {
  checkPath(path)
  const layout = required(await context.layout(signal), path)
  const { now } = context
  const by = new Map<string, { pattern: string; can: readonly Can[]; until?: Date }[]>()
  for (const zone of zonesOf(layout.zones, path))
    for (const { role, can, until } of zone.grants) {
      if (isLapsed(until, now)) continue
      const list = by.get(role) ?? []
      list.push({ pattern: zone.pattern, can, ...(until === undefined ? {} : { until: new Date(until) }) })
      by.set(role, list)
    }
  const membersNow = (role: string): RoleMember[] =>
    membersOf(context, layout, role).filter(({ until }) => !until || until.getTime() > now)
  const owners: WhoMay = { role: OWNERS, can: CANS, by: [], members: membersNow(OWNERS) }
  const others = [...by].map(([role, list]) => ({
    role,
    can: CANS.filter((one) => list.some(({ can }) => can.includes(one))),
    by: list,
    members: membersNow(role),
  }))
  return [owners, ...others.sort((a, b) => (a.role < b.role ? -1 : 1))]
}
