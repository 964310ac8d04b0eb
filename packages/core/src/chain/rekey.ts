/**
 * A new epoch for a node whose read key is stale: in the same transaction as the write that needs it, by who reads and
 * writes there, for exactly the stored readers. Roles among them that wait for a new key of their own get it first.
 */
import { type EntityWords, parseEntityId, sameEntity } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { RareFields } from '../event/rare-fields.ts'
import { TransactionEvent } from '../event/transaction-event.ts'
import type { EpochSecrets, SessionKeys } from '../session/epoch-keys.ts'
import { mayManage, mayRead, mayWrite, type Policy, type PolicyEntry, type Role } from '../trust/policy.ts'
import type { Replica } from './replica.ts'
import type { Refusal } from './verdict.ts'

export interface RekeyParts {
  readonly replica: Replica
  readonly keys: SessionKeys
  /** Whom policies name. */
  readonly identityName: string
}

/**
 * Puts the events that mend the node which `refusal` names in front of `events`, and gives them; undefined if this
 * session may not or cannot.
 */
export function mendNode(
  parts: RekeyParts,
  refusal: Refusal,
  events: TransactionEvent[],
): readonly TransactionEvent[] | undefined {
  const id = refusal.facts['node']
  if (typeof id !== 'string') return undefined
  const words = parseEntityId(id)
  const row = parts.replica.view.findLive(words.a, words.b, words.c, words.d)
  const made = row < 0 ? undefined : newEpochEvents(parts, row, words, { before: events })
  if (!made) return undefined
  // Keys of roles first: an epoch is wrapped to the newest ones, also to those that an earlier try has made.
  events.unshift(...made.slice(0, -1))
  const at = events.findIndex(({ op }) => op !== OP.role)
  events.splice(at < 0 ? events.length : at, 0, made[made.length - 1]!)
  return made
}

/** True if this session may start the node's next epoch, and holds the key of the present one. */
export function canRekey({ replica, keys, identityName }: RekeyParts, row: number, words: EntityWords): boolean {
  const { view, trust } = replica
  const epoch = trust.newestEpoch(row)
  const may =
    mayManage(view, row, identityName) || (mayRead(view, row, identityName) && mayWrite(view, row, identityName))
  return may && epoch !== undefined && keys.secretsOf({ row, id: words }, epoch.number) !== undefined
}

/** True if this session may give the role the new key that it waits for. */
export function mayFollow({ replica, identityName }: RekeyParts, role: Role): boolean {
  return mayManage(replica.view, role.node, identityName) || role.members.has(identityName)
}

/** The event that starts the next epoch of a node, behind those of roles; undefined if this session may not or cannot. */
export function newEpochEvents(
  parts: RekeyParts,
  row: number,
  words: EntityWords,
  options: { readonly forWriters?: boolean; readonly before?: readonly TransactionEvent[] } = {},
): TransactionEvent[] | undefined {
  const { view, trust } = parts.replica
  const policy = view.policyOf(row)
  const readers = policy?.read
  if (readers === undefined || !canRekey(parts, row, words)) return undefined
  const events: TransactionEvent[] = []
  const known = options.before ?? []
  const resolved = typeof readers === 'string' ? readers : followAll(parts, readers, { known, events })
  if (!resolved) return undefined
  const epoch = trust.newestEpoch(row)!
  const previous = parts.keys.secretsOf({ row, id: words }, epoch.number)!
  const made = parts.keys.makeEpoch(words, epoch.number + 1, resolved, {
    ...linkOf(policy!, previous),
    forWriters: options.forWriters ?? epoch.fields.writeKey !== undefined,
  })
  parts.keys.remember(made)
  events.push(eventOf(OP.epoch, words, { epoch: made.fields }))
  return events
}

/** The readers with the roles as the events will leave them; undefined if one waits for somebody else. */
function followAll(
  parts: RekeyParts,
  readers: readonly PolicyEntry[],
  { known, events }: { readonly known: readonly TransactionEvent[]; readonly events: TransactionEvent[] },
): readonly PolicyEntry[] | undefined {
  const resolved: PolicyEntry[] = []
  for (const entry of readers) {
    if (!entry.role?.stale || entry.role.dropped) {
      resolved.push(entry)
      continue
    }
    const { role } = entry
    let event = known.find(({ op, a, b, c, d }) => op === OP.role && sameEntity(role.id, { a, b, c, d }))
    if (!event && !mayFollow(parts, role)) return undefined
    if (!event) {
      event = follow(parts, role)
      events.push(event)
    }
    resolved.push({ role: followed(role, event) })
  }
  return resolved
}

/** The next generation of a role for the members that it has. */
function follow({ keys }: RekeyParts, role: Role): TransactionEvent {
  const generation = role.generations[role.generations.length - 1]!.number + 1
  const { publicKey, wraps } = keys.makeRoleKey(role.id, generation, [...role.members])
  return eventOf(OP.role, role.id, { role: { generation, publicKey, wraps } })
}

/** The role as the event will leave it, for wraps. */
function followed(role: Role, { rare }: TransactionEvent): Role {
  const { generation: number, publicKey } = rare!.role!
  return { ...role, stale: false, generations: [{ number, publicKey, wraps: new Map() }] }
}

function eventOf(op: typeof OP.epoch | typeof OP.role, words: EntityWords, rare: RareFields): TransactionEvent {
  const event = new TransactionEvent(op)
  event.a = words.a
  event.b = words.b
  event.c = words.c
  event.d = words.d
  event.rare = rare
  return event
}

/** What a next epoch takes along: the index key always, the older key where history is open to who comes later. */
export function linkOf(
  policy: Pick<Policy, 'history'>,
  previous: EpochSecrets,
): { readonly previous: EpochSecrets } | { readonly indexKey: Uint8Array } {
  return policy.history === 'live' ? { indexKey: previous.indexKey } : { previous }
}
