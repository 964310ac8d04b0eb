/**
 * Who may do what with a secret: by the grants, and by the policies of the chain, which alone decide. They say the same, unless
 * somebody who may grant has set policies by hand, or what has ended was not taken out yet.
 */
import type { AccessEntry, PublicId } from '@ate/core'
import { type CallOptions, type Context, type Layout, required } from './context.ts'
import { membersOf } from './roles.ts'
import { CANS, type Can, OWNERS } from './vault-records.ts'
import { type Access, checkPath, isLapsed, needsOwnPolicy, type Zone, zonesOf } from './vault-rules.ts'
import { findSecret } from './versions.ts'
import { isBelow } from './vouched.ts'

export interface WhoMember {
  readonly fingerprint: string
  /** Undefined of one whom a policy names by his fingerprint. */
  readonly publicId?: PublicId
  readonly until?: Date
}

export interface WhoMay {
  /** `grants`: what was granted, and counts. `policies`: what the chain lets them do beyond that, whatever honest programs do. */
  readonly from: 'grants' | 'policies'
  /** Undefined of who is named by a fingerprint, and of everybody. */
  readonly role: string | undefined
  /** Of a role that is not the vault's: the entity that it belongs to. */
  readonly at?: string
  readonly can: readonly Can[]
  /** The grants, by pattern; owners need none. */
  readonly by: readonly { readonly pattern: string; readonly can: readonly Can[]; readonly until?: Date }[]
  readonly members: readonly WhoMember[]
  /** A policy names everybody. */
  readonly everyone?: true
}

/**
 * Who may do something at a path: by grants, owners first; then who may by policies alone. Zones that this session does not see are
 * left out: owners see all. @throws AteError NOT_FOUND | BAD_PATH
 */
export async function whoMay(context: Context, path: string, { signal }: CallOptions): Promise<WhoMay[]> {
  checkPath(path)
  const layout = required(await context.layout(signal), path)
  return [...granted(context, layout, path), ...(await beyond(context, layout, path))]
}

function granted(context: Context, layout: Layout, path: string): WhoMay[] {
  const { now } = context
  const by = new Map<string, { pattern: string; can: readonly Can[]; until?: Date }[]>()
  for (const zone of zonesOf(layout.zones, path))
    for (const { role, can, until } of zone.grants) {
      if (isLapsed(until, now)) continue
      const list = by.get(role) ?? []
      list.push({ pattern: zone.pattern, can, ...(until === undefined ? {} : { until: new Date(until) }) })
      by.set(role, list)
    }
  const members = (role: string): WhoMember[] =>
    membersOf(context, layout, role).filter(({ until }) => !until || until.getTime() > now)
  const owners: WhoMay = { from: 'grants', role: OWNERS, can: CANS, by: [], members: members(OWNERS) }
  const others = [...by].map(
    ([role, list]): WhoMay => ({
      from: 'grants',
      role,
      can: CANS.filter((one) => list.some(({ can }) => can.includes(one))),
      by: list,
      members: members(role),
    }),
  )
  return [owners, ...others.sort((a, b) => (a.role! < b.role! ? -1 : 1))]
}

/** Whom a policy names: everybody, somebody by fingerprint, or a role of an entity. */
type Named = 'everyone' | AccessEntry

async function beyond(context: Context, layout: Layout, path: string): Promise<WhoMay[]> {
  const place = await findSecret(context, layout, path)
  if (!place) return []
  const versions = (place.record?.versions ?? []).map(({ value }) => value)
  // A secret that still stands in a wider zone is on its way to the narrowest one.
  const zones = new Map<string, Zone>([place.zone, zonesOf(layout.zones, path)[0]!].map((zone) => [zone.id, zone]))
  const found = new Map<string, { readonly named: Named; readonly can: Set<Can> }>()
  for (const zone of zones.values()) {
    const counts = context.accessAt(layout.zones, zone.pattern)
    for (const right of rightsOf(context, layout, zone, { versions, counts })) {
      if (isOwed(right, layout)) continue
      const { named, can } = right
      const key = keyOf(named)
      const one = found.get(key) ?? { named, can: new Set() }
      found.set(key, one)
      one.can.add(can)
    }
  }
  return [
    ...leftMembers(context, layout, path),
    ...[...found.values()].map(({ named, can }) => rowOf(context, layout, named, can)),
  ]
}

function rowOf(context: Context, layout: Layout, named: Named, can: ReadonlySet<Can>): WhoMay {
  const row = { from: 'policies', by: [], can: CANS.filter((one) => can.has(one)) } as const
  if (named === 'everyone') return { ...row, role: undefined, members: [], everyone: true }
  if (named.role === undefined) return { ...row, role: undefined, members: [{ fingerprint: named.fingerprint }] }
  const { role, at } = named
  if (at === layout.vault) return { ...row, role, members: membersOf(context, layout, role) }
  return { ...row, role, at, members: context.chain.role(role, at)?.members ?? [] }
}

interface Right {
  readonly can: Can
  readonly named: Named
  /** Roles that the grants give it. */
  readonly owed: readonly string[]
}

/** What the policies of a zone, and of the versions of the secret, let whom do. */
function* rightsOf(
  { chain }: Context,
  { vault }: Layout,
  { id, names, values }: Zone,
  { versions, counts }: { readonly versions: readonly string[]; readonly counts: Access },
): Generator<Right, void, void> {
  const above = new Set(chain.access(vault).manage.map(keyOf))
  const own = (manage: readonly AccessEntry[]): readonly Named[] => manage.filter((one) => !above.has(keyOf(one)))
  const all = function* (can: Can, names: Names, owed: readonly string[]): Generator<Right, void, void> {
    for (const named of listed(names)) yield { can, named, owed }
  }
  const [zone, name, value] = [chain.access(id), chain.access(names), chain.access(values)]
  yield* all('list', name.read, counts.list)
  yield* all('read', value.read, counts.read)
  yield* all('write', name.write, counts.write)
  // Who writes creates there, and destroys what has no policy of its own.
  yield* all('destroy', value.write, [...counts.write, ...counts.destroy])
  yield* all('grant', zone.write, counts.grant)
  for (const { manage } of [zone, name, value]) yield* all('grant', own(manage), counts.grant)
  for (const version of versions) {
    // A record may name what is another's.
    if (!isBelow(chain, version, values)) continue
    const { read, write, manage } = chain.access(version)
    yield* all('read', read, counts.read)
    yield* all('destroy', write, needsOwnPolicy(counts) ? counts.destroy : [...counts.write, ...counts.destroy])
    yield* all('grant', own(manage), counts.grant)
  }
}

type Names = 'everyone' | 'nobody' | readonly Named[]

function listed(names: Names): readonly Named[] {
  return names === 'everyone' ? ['everyone'] : names === 'nobody' ? [] : names
}

function keyOf(named: Named): string {
  return typeof named === 'string' ? named : (named.fingerprint ?? `${named.at} ${named.role}`)
}

/** True of what the grants that count ask for. */
function isOwed({ named, owed }: Right, { vault }: Layout): boolean {
  return typeof named !== 'string' && named.role !== undefined && named.at === vault && owed.includes(named.role)
}

/** Memberships that have ended: the role's keys are theirs until somebody tidies up. */
function leftMembers(context: Context, layout: Layout, path: string): WhoMay[] {
  const rows: WhoMay[] = []
  for (const { role, can } of granted(context, layout, path)) {
    const members = membersOf(context, layout, role!).filter(({ until }) => until && until.getTime() <= context.now)
    if (members.length > 0) rows.push({ from: 'policies', role, can, by: [], members })
  }
  return rows
}
