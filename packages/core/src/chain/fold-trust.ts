/**
 * Events that change who may do what: policies, epochs, roles, settings of the root. Judged as stored before the event;
 * wraps must be for exactly those whom the policy names, at the newest generation of each role, so that an envelope's
 * own words decide nothing.
 */
import { toBinaryText } from '../base/bytes.ts'
import { ROLE_MEMBERS_MAX } from '../base/limits.ts'
import { entityKey, textOfWords, wordsOf } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { EpochFields, PolicyFields, PolicyListFields, RoleFields, WrapFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { fingerprintOfKeys } from '../trust/identity-keys.ts'
import { isGone } from '../trust/person.ts'
import {
  hasMember,
  mayManage,
  mayRead,
  mayWrite,
  type Policy,
  type PolicyEntry,
  type PolicyList,
  type Role,
} from '../trust/policy.ts'
import { type Epoch, type TrustState, wrapsFit } from '../trust/trust-state.ts'
import { ROW } from '../view/entity-table.ts'
import type { Journal } from '../view/journal.ts'
import type { FoldTarget } from './fold.ts'
import type { Judge } from './judge.ts'
import { type Refusal, refuse } from './verdict.ts'

/** Roles live here below their node; nothing else does. */
export const ROLES_COLLECTION = 'ate:roles'

export function isRolesCollection(collection: string): boolean {
  return collection === ROLES_COLLECTION
}

/** Remembers the public keys that an event introduces, under the fingerprint that they have. */
function introduce(target: FoldTarget, journal: Journal, event: TransactionEvent, judge: Judge): void {
  for (const keys of event.rare?.identities ?? []) {
    const name = toBinaryText(fingerprintOfKeys(judge.crypto, keys))
    const { identities } = target.trust
    // The key of a person is no name of its own.
    if (identities.has(name) || target.trust.personOfKey.has(name)) continue
    identities.set(name, keys.slice())
    journal.undoWith(() => identities.delete(name))
  }
}

/** A stored policy list of fields, or undefined if it names a role or identity that the chain does not know. */
export function resolvePolicyList(
  trust: TrustState,
  fields: Exclude<PolicyListFields, 'inherit'>,
): PolicyList | undefined {
  if (fields === 'everyone' || fields === 'nobody') return fields
  const entries: PolicyEntry[] = []
  for (const bytes of fields) {
    const entry = resolveEntry(trust, bytes)
    if (!entry) return undefined
    entries.push(entry)
  }
  return entries
}

function resolveEntry(trust: TrustState, bytes: Uint8Array): PolicyEntry | undefined {
  if (bytes.length === 16) {
    const role = trust.roles.get(entityKey(wordsOf(bytes)))
    return role && !role.dropped ? { role } : undefined
  }
  const identity = toBinaryText(bytes)
  return trust.identities.has(identity) && !isGone(trust.persons.get(identity)) ? { identity } : undefined
}

/** The policy that `fields` make of `before`, or undefined if they name somebody unknown. */
function mergePolicy(trust: TrustState, before: Policy | undefined, fields: PolicyFields): Policy | undefined {
  const list = (given: PolicyListFields | undefined, old: PolicyList | undefined): PolicyList | undefined | null => {
    if (given === undefined) return old
    if (given === 'inherit') return undefined
    return resolvePolicyList(trust, given) ?? null
  }
  const read = list(fields.read, before?.read)
  const write = list(fields.write, before?.write)
  const manage = list(fields.manage, before?.manage)
  const allow = fields.allow === undefined ? before?.allow : resolvePolicyList(trust, fields.allow)
  if (read === null || write === null || manage === null || typeof allow === 'string') return undefined
  if (fields.allow !== undefined && allow === undefined) return undefined
  const history = fields.history ?? before?.history ?? 'all'
  return { read, write, manage, closed: fields.closed ?? before?.closed ?? false, allow: allow ?? [], history }
}

function storePolicy(target: FoldTarget, journal: Journal, row: number, policy: Policy): void {
  const { policies, table } = target.view
  journal.changing(row)
  policies.push(policy)
  table.set(row, ROW.policy, policies.length - 1)
  journal.undoWith(() => policies.pop())
}

function storeEpoch(target: FoldTarget, journal: Journal, row: number, fields: EpochFields): void {
  const { trust } = target
  const epoch: Epoch = { number: fields.number, fields, tick: ++trust.tick }
  const list = trust.epochs.get(row)
  if (list) list.push(epoch)
  else trust.epochs.set(row, [epoch])
  journal.undoWith(() => {
    trust.tick--
    const epochs = trust.epochs.get(row)!
    if (epochs.length === 1) trust.epochs.delete(row)
    else epochs.pop()
  })
}

/** Sets a policy whose right to be set was judged, and the epoch that a new read policy brings. */
function setPolicyAndEpoch(target: FoldTarget, journal: Journal, event: TransactionEvent): Refusal | undefined {
  const { trust, view } = target
  const { row } = event
  const fields = event.rare?.policy ?? {}
  const epoch = event.rare?.epoch
  const before = view.policyOf(row)
  const policy = mergePolicy(trust, before, fields)
  if (!policy) return refuse('NO_ROLE', { what: 'a policy names a role or an identity that is not known' })
  // A node that has keys of its own keeps them: what is sealed under them must stay readable by rule, not by luck.
  if (before?.read !== undefined && policy.read === undefined)
    return refuse('EPOCH_SHAPE', { what: 'a read policy is replaced, not taken away' })
  if (row === 0 && (policy.write === undefined || !hasMember(policy.manage, trust.persons)))
    return refuse('LAST_MANAGER')
  // Nobody from above manages a closed node, so it names its own managers, even if that is nobody.
  if (policy.closed && policy.manage === undefined)
    return refuse('LAST_MANAGER', { what: 'a closed node names its managers' })
  if ((fields.read !== undefined && fields.read !== 'inherit') !== (epoch !== undefined)) {
    return refuse('EPOCH_SHAPE', { what: 'a read policy comes with its epoch, and an epoch with its policy' })
  }
  if (fields.history !== undefined && policy.read === undefined)
    return refuse('EPOCH_SHAPE', { what: 'history belongs to a node with readers of its own' })
  if (fields.read === 'nobody' || fields.read?.length === 0)
    return refuse('EPOCH_SHAPE', { what: 'somebody must be able to read' })
  storePolicy(target, journal, row, policy)
  if (!epoch) return undefined
  return checkEpoch(trust, row, epoch, policy) ?? storeAndAccept(target, journal, row, epoch)
}

function storeAndAccept(target: FoldTarget, journal: Journal, row: number, epoch: EpochFields): undefined {
  storeEpoch(target, journal, row, epoch)
  return undefined
}

function checkEpoch(
  trust: TrustState,
  row: number,
  epoch: EpochFields,
  { read, history }: Policy,
): Refusal | undefined {
  const next = (trust.newestEpoch(row)?.number ?? -1) + 1
  if (epoch.number !== next) return refuse('EPOCH_ORDER', { epoch: epoch.number, expected: next })
  if (history === 'live' && epoch.link !== undefined)
    return refuse('EPOCH_SHAPE', { what: 'a link where history is live' })
  return wrapsFit(trust, epoch, read!) ? undefined : refuse('EPOCH_SHAPE', { what: 'wraps and readers differ' })
}

/** The policy of an entity at its creation or move; the caller has judged the right to it. */
export function applyOwnPolicy(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  introduce(target, journal, event, judge)
  return setPolicyAndEpoch(target, journal, event)
}

export function applyPolicy(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  const { view } = target
  if (!mayManage(view, event.row, judge.identity)) return refuse('NOT_AUTHORIZED', { needs: 'manage' })
  if (event.rare?.policy === undefined) return refuse('EPOCH_SHAPE', { what: 'no policy' })
  if (event.rare.policy.closed && !view.policyOf(event.row)?.closed)
    return refuse('NOT_AUTHORIZED', { what: 'a node is closed at its creation only' })
  introduce(target, journal, event, judge)
  return setPolicyAndEpoch(target, journal, event)
}

/** A new epoch that changes no policy: by who manages, or by who reads and writes there. */
export function applyEpoch(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  const { view, trust } = target
  const { row } = event
  const fields = event.rare?.epoch
  const policy = view.policyOf(row)
  if (!fields || policy?.read === undefined)
    return refuse('EPOCH_SHAPE', { what: 'the node has no read policy of its own' })
  const may =
    mayManage(view, row, judge.identity) || (mayRead(view, row, judge.identity) && mayWrite(view, row, judge.identity))
  if (!may) return refuse('NOT_AUTHORIZED', { needs: 'manage, or read and write' })
  return checkEpoch(trust, row, fields, policy) ?? storeAndAccept(target, journal, row, fields)
}

export function createRole(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  const { trust } = target
  const fields = event.rare!.role!
  if (fields.generation !== 0 || fields.remove !== undefined)
    return refuse('EPOCH_ORDER', { generation: fields.generation, expected: 0 })
  if (!event.key || event.rare?.policy)
    return refuse('RESERVED_NAME', { what: 'a role is a named entity without policies' })
  if (fields.add?.[0] === undefined || toBinaryText(fields.add[0]) !== judge.identity) {
    return refuse('EPOCH_SHAPE', { what: 'who makes a role is its first member' })
  }
  introduce(target, journal, event, judge)
  const id = { a: event.a, b: event.b, c: event.c, d: event.d }
  const key = entityKey(id)
  const role: Role = {
    id,
    name: fields.name ?? '',
    node: target.view.parentOf(event.row),
    row: event.row,
    members: new Set(),
    generations: [],
    rotatedAt: 0,
    dropped: false,
    stale: false,
  }
  const before = trust.roles.get(key)
  trust.roles.set(key, role)
  journal.undoWith(() => (before ? trust.roles.set(key, before) : trust.roles.delete(key)))
  return changeMembers(trust, journal, role, fields)
}

export function applyRole(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  const { trust, view } = target
  const role = trust.roles.get(entityKey(event))
  const fields = event.rare?.role
  if (!role || !fields) return refuse('NO_ROLE', { entity: textOfWords(event) })
  if (!mayManage(view, role.node, judge.identity) && !mayFollow(role, fields, judge.identity))
    return refuse('NOT_AUTHORIZED', { role: role.name, needs: 'manage' })
  introduce(target, journal, event, judge)
  const newest = role.generations[role.generations.length - 1]!
  // A removal brings a new generation; an addition may, so that what was wrapped to the old one stays closed to it.
  const expected = newest.number + (fields.remove?.length || role.stale ? 1 : 0)
  if (fields.generation !== expected && fields.generation !== newest.number + 1)
    return refuse('EPOCH_ORDER', { generation: fields.generation, expected })
  return changeMembers(trust, journal, role, fields) ?? checkRootManaged(target)
}

/** A member may give a role that waits for it the new key that the changed keys of a member ask for, and change nobody. */
function mayFollow(role: Role, { add, remove }: RoleFields, identity: string): boolean {
  return role.stale && role.members.has(identity) && add === undefined && remove === undefined
}

/** Somebody manages the root, whatever became of a role or a person that its policy names. */
export function checkRootManaged({ view, trust }: FoldTarget): Refusal | undefined {
  return hasMember(view.policyOf(0)?.manage, trust.persons) ? undefined : refuse('LAST_MANAGER')
}

/**
 * Adds and removes members. A new generation is wrapped to all members; without one, the present one to the added.
 * Everybody who is wrapped to is a member, and every member of a new generation is wrapped to.
 */
function changeMembers(trust: TrustState, journal: Journal, role: Role, fields: RoleFields): Refusal | undefined {
  const remove = (fields.remove ?? []).map(toBinaryText)
  const add = (fields.add ?? []).map(toBinaryText)
  const before = new Set(role.members)
  const { rotatedAt, stale } = role
  const tickBefore = trust.tick
  const wraps = new Map(fields.wraps.map((wrap) => [toBinaryText(wrap.to), wrap] as const))
  const newest = role.generations[role.generations.length - 1]
  const addsGeneration = fields.generation !== newest?.number
  const added = newest ? add.filter((name) => !newest.wraps.has(name)) : []
  journal.undoWith(() => {
    role.members.clear()
    for (const member of before) role.members.add(member)
    role.rotatedAt = rotatedAt
    role.stale = stale
    trust.tick = tickBefore
    if (addsGeneration) role.generations.pop()
    else for (const name of added) newest!.wraps.delete(name)
  })
  for (const name of remove) role.members.delete(name)
  for (const name of add) role.members.add(name)
  if (addsGeneration && newest) role.rotatedAt = ++trust.tick
  if (addsGeneration) role.stale = false
  if (addsGeneration) role.generations.push({ number: fields.generation, publicKey: fields.publicKey, wraps })
  else for (const name of added) if (wraps.has(name)) newest!.wraps.set(name, wraps.get(name)!)
  return checkMembers(trust, role, fields, { add, wrapped: wraps, needed: addsGeneration ? [...role.members] : add })
}

function checkMembers(
  trust: TrustState,
  role: Role,
  fields: RoleFields,
  change: {
    readonly add: readonly string[]
    readonly wrapped: ReadonlyMap<string, WrapFields>
    readonly needed: readonly string[]
  },
): Refusal | undefined {
  if (role.members.size > ROLE_MEMBERS_MAX)
    return refuse('EPOCH_SHAPE', { members: role.members.size, max: ROLE_MEMBERS_MAX })
  if (change.add.some((name) => !trust.identities.has(name) || isGone(trust.persons.get(name))))
    return refuse('EPOCH_SHAPE', { what: 'a member whose keys are not known' })
  const fits = change.wrapped.size === fields.wraps.length && change.wrapped.size === change.needed.length
  if (!fits || change.needed.some((name) => !change.wrapped.has(name)))
    return refuse('EPOCH_SHAPE', { what: 'wraps and members differ' })
  if ([...change.wrapped].some(([name, wrap]) => !trust.isCurrent(wrap, name)))
    return refuse('EPOCH_SHAPE', { what: 'a wrap is made for an older key of a member' })
  const newest = role.generations[role.generations.length - 1]!
  const same = newest.publicKey.every((byte, i) => byte === fields.publicKey[i])
  return same ? undefined : refuse('EPOCH_SHAPE', { what: 'the key of a generation does not change' })
}

/** A deleted role has no members, and no epoch is wrapped to it: what was sealed for it is stale from then on. */
export function dropRole(target: FoldTarget, journal: Journal, role: Role): Refusal | undefined {
  const { trust } = target
  const members = [...role.members]
  const { rotatedAt } = role
  role.members.clear()
  role.dropped = true
  role.rotatedAt = ++trust.tick
  journal.undoWith(() => {
    for (const member of members) role.members.add(member)
    role.dropped = false
    role.rotatedAt = rotatedAt
    trust.tick--
  })
  return checkRootManaged(target)
}

/** Settings of the root, and the end of a certificate. */
export function applyRoot(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  if (event.op === OP.endCertificate) return endCertificate(target, journal, event, judge)
  const { trust, view } = target
  if (event.row !== 0 || !mayManage(view, 0, judge.identity))
    return refuse('NOT_AUTHORIZED', { needs: 'manage of the root' })
  const fields = event.rare?.root ?? {}
  const { level, sequencers, checkpointKeys } = trust
  // A raise above what is known here is no refusal: applyTransaction stops at it.
  if (fields.level !== undefined && fields.level < level)
    return refuse('LEVEL_SHRINKS', { level: fields.level, present: level })
  trust.level = fields.level ?? level
  trust.checkpointKeys = fields.checkpointKeys ?? checkpointKeys
  if (fields.sequencers !== undefined) {
    trust.sequencers = typeof fields.sequencers === 'string' ? 'writers' : fields.sequencers.map(toBinaryText)
  }
  journal.undoWith(() => {
    trust.level = level
    trust.sequencers = sequencers
    trust.checkpointKeys = checkpointKeys
  })
  return undefined
}

function endCertificate(
  target: FoldTarget,
  journal: Journal,
  event: TransactionEvent,
  judge: Judge,
): Refusal | undefined {
  const id = event.rare?.certificate
  const certificate = id && target.trust.certificates.get(toBinaryText(id))
  if (!certificate) return refuse('CERT_UNKNOWN')
  if (certificate.identity !== judge.key && !mayManage(target.view, 0, judge.identity)) {
    return refuse('NOT_AUTHORIZED', { needs: 'the same key, or manage of the root' })
  }
  // Ended already, as by a successor that was on its way when this was written: nothing is left to do.
  if (certificate.ended) return undefined
  certificate.ended = true
  journal.undoWith(() => {
    certificate.ended = certificate.succeeded === true
  })
  return undefined
}
