/**
 * Roles of a transaction, and the keys that follow from a change of members or of persons: next generations of roles, next
 * epochs of the nodes that they read, as far as this session may. Wraps are made when the transaction is finished.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { EntityId } from '../base/ids.ts'
import { RECORD_BYTES_MAX } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { ROLES_COLLECTION } from '../chain/fold-trust.ts'
import { canRekey, linkOf, mayFollow } from '../chain/rekey.ts'
import { namedEntity } from '../event/derive-ids.ts'
import { type EntityWords, entityKey, textOfWords, wordsOf } from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { PolicyListFields, RoleFields, WrapFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { clearName, type NewEpoch } from '../session/epoch-keys.ts'
import type { Policy, PolicyEntry, PolicyList, Role, RoleGeneration } from '../trust/policy.ts'
import type { Draft } from './draft.ts'
import type { Principal } from './policy-input.ts'
import { named } from './principals.ts'

/** How large a transaction may become by the wraps that follow from a change of keys: there is room for what it writes. */
const FOLLOW_BYTES_MAX: number = RECORD_BYTES_MAX / 2

/** What a removed member of a role, or a removed key of a person, could read. */
export interface Removal {
  /** All nodes with readers of their own that the member read through the role, or the key as its person. */
  readonly couldRead: readonly EntityId[]
  /** Nodes whose read key this transaction replaces. */
  readonly rekeyed: readonly EntityId[]
  /** Nodes whose read key waits for somebody who may replace it; writers are told NEEDS_REKEY until then. */
  readonly stale: readonly EntityId[]
}

/** A role as this transaction will leave it. */
interface RoleDraft {
  readonly words: EntityWords
  readonly name: string
  readonly stored: Role | undefined
  readonly event: TransactionEvent
  /** Public keys by the fingerprint that names the member. */
  readonly add: Map<string, Uint8Array>
  readonly remove: Set<string>
  /** A new generation although nobody leaves. */
  rotate: boolean
  /** What wraps go to: the stored role, or the one to be. Known after its fields are made. */
  resolved: Role | undefined
}

interface ReadNode {
  readonly row: number
  readonly policy: Policy
  readonly readers: readonly PolicyEntry[]
}

export class DraftRoles {
  readonly #core: ChainCore
  readonly #draft: Draft
  readonly #roles = new Map<string, RoleDraft>()
  /** Nodes whose next epoch follows from a change of keys, and those epochs, once they are made. */
  readonly #rekeyedRows = new Set<number>()
  readonly #rekeyed = new Map<number, NewEpoch>()
  readonly #epochs: TransactionEvent[] = []
  /** Events that what is wrapped here depends on, and that stand in front of it: changes of persons. */
  readonly #leading: TransactionEvent[] = []
  /** Persons that change here. */
  readonly #followed = new Set<string>()
  /** Their keys, and those that have none any more: known when the transaction is finished. */
  readonly pendingPersons: Map<string, RoleGeneration> = new Map()
  readonly pendingGone: Set<string> = new Set()

  constructor(core: ChainCore, draft: Draft) {
    this.#core = core
    this.#draft = draft
  }

  /** This transaction makes or changes the role of that id. */
  changes(role: EntityWords): boolean {
    return this.#roles.has(entityKey(role))
  }

  /** The node gets its next epoch here because keys change. */
  rekeys(row: number): boolean {
    return this.#rekeyedRows.has(row)
  }

  addMember(name: string, node: EntityWords, member: Principal): void {
    const draft = this.#roleDraft(name, node, 'make')!
    const { name: key, keys } = named(this.#core, member)
    draft.remove.delete(key)
    if (draft.stored?.members.has(key)) return
    draft.add.set(key, keys)
    // Where history is live, a new member must not open what is wrapped to the role's present key.
    if (draft.stored && this.#readBy(draft.stored).some(({ policy }) => policy.history === 'live')) {
      draft.rotate = true
      this.#rekeyReaders(draft.stored)
    }
  }

  removeMember(name: string, node: EntityWords, member: Principal): Removal {
    const draft = this.#roleDraft(name, node, 'find')
    if (!draft) throw new AteError('NO_ROLE', { role: name })
    const { name: key } = named(this.#core, member)
    draft.add.delete(key)
    if (!draft.stored?.members.has(key)) return { couldRead: [], rekeyed: [], stale: [] }
    draft.remove.add(key)
    return this.#rekeyReaders(draft.stored)
  }

  /** The next key, although nobody leaves. */
  renew(name: string, node: EntityWords): Removal {
    const draft = this.#roleDraft(name, node, 'find')
    if (!draft) throw new AteError('NO_ROLE', { role: name })
    if (!draft.stored) return { couldRead: [], rekeyed: [], stale: [] }
    draft.rotate = true
    return this.#rekeyReaders(draft.stored)
  }

  /** The event stands in front of all whose wraps depend on it. */
  leads(event: TransactionEvent): void {
    this.#leading.push(event)
  }

  /** Next keys for the roles that the person is in, and for the nodes that it reads, as far as this session may. */
  followPerson(name: string): Removal {
    const { roles } = this.#core.replica.trust
    this.#followed.add(name)
    for (const role of roles.values()) {
      if (role.members.has(name) && mayFollow(this.#core, role) && this.#hasRoom(role.members.size))
        this.#followRole(role)
    }
    return this.#rekeyAll((entry) => (entry.role ? entry.role.members.has(name) : entry.identity === name))
  }

  /** A read policy names a role only at a key that all its members have. */
  followNamed(read: PolicyListFields | undefined): void {
    if (!Array.isArray(read)) return
    for (const bytes of read as readonly Uint8Array[]) {
      const role = bytes.length === 16 ? this.#core.replica.trust.roles.get(entityKey(wordsOf(bytes))) : undefined
      if (role && !role.dropped && this.#waits(role)) this.#followRole(role)
    }
  }

  /** Entries with roles and persons as this transaction will leave them. */
  resolve(fields: Exclude<PolicyListFields, 'inherit'>): PolicyList {
    if (typeof fields === 'string') return fields
    const { roles } = this.#core.replica.trust
    const entries = fields.map((bytes): PolicyEntry => {
      if (bytes.length === 32) return { identity: toBinaryText(bytes) }
      const key = entityKey(wordsOf(bytes))
      return { role: this.#roles.get(key)?.resolved ?? roles.get(key)! }
    })
    return this.#leave(entries)
  }

  #leave(entries: readonly PolicyEntry[]): PolicyEntry[] {
    return entries
      .filter((entry) => entry.role || !this.pendingGone.has(entry.identity))
      .map((entry) =>
        entry.role ? { role: this.#roles.get(entityKey(entry.role.id))?.resolved ?? entry.role } : entry,
      )
  }

  rekey(row: number, words: EntityWords): NewEpoch {
    const known = this.#rekeyed.get(row)
    if (known) return known
    this.assertStill(row, words)
    const { trust, view } = this.#core.replica
    const policy = view.policyOf(row)
    const readers = policy?.read
    const epoch = trust.newestEpoch(row)
    const previous = epoch && this.#core.keys.secretsOf({ row, id: words }, epoch.number)
    if (!policy || !previous || readers === undefined || typeof readers === 'string') throw changed(words)
    const made = this.#core.keys.makeEpoch(words, epoch.number + 1, this.#leave(readers), {
      ...linkOf(policy, previous),
      forWriters: epoch.fields.writeKey !== undefined,
      pending: { persons: this.pendingPersons },
    })
    this.#core.keys.remember(made)
    const event = this.#draft.add(OP.epoch, words)
    this.#draft.setRare(event, { epoch: made.fields })
    this.#epochs.push(event)
    this.#rekeyed.set(row, made)
    return made
  }

  /** Changes of persons, new keys of roles, epochs that are wrapped to both, and then what is sealed under those. */
  arrange(): void {
    const { events } = this.#draft
    if (this.#leading.length === 0 && this.#epochs.length === 0) return
    const raises = this.#leading.length > 0 ? events.filter(({ rare }) => rare?.root?.level !== undefined) : []
    const roles = [...this.#roles.values()].filter(({ stored }) => stored).map((changing) => changing.event)
    const first = [...raises, ...this.#leading, ...roles, ...this.#epochs]
    events.splice(0, events.length, ...first, ...events.filter((other) => !first.includes(other)))
  }

  /** Others may have written while the transaction's function waited, or what it saw staged was taken back. */
  assertStill(row: number, words: EntityWords): void {
    if (this.#core.replica.view.findLive(words.a, words.b, words.c, words.d) !== row) throw changed(words)
  }

  /** The role of a name at the nearest ancestor that has it, made at `node` if it is asked for and missing. */
  #roleDraft(name: string, node: EntityWords, missing: 'make' | 'find'): RoleDraft | undefined {
    const { replica, crypto } = this.#core
    const words = namedEntity(crypto, replica.chainId, node, ROLES_COLLECTION, clearName(crypto, name))
    const known = this.#roles.get(entityKey(words))
    if (known) return known
    const stored = replica.trust.roles.get(entityKey(words))
    const alive = stored && !replica.view.isDead(stored.row) ? stored : undefined
    if (!alive && missing === 'find') return undefined
    if (alive) {
      const draft = this.#draftOf(alive)
      // A role that waits for a new key gets it with its next change.
      if (alive.stale && !draft.rotate) this.#followRole(alive)
      return draft
    }
    const event = this.#draft.add(OP.create, words)
    event.parent = node
    event.collection = ROLES_COLLECTION
    event.type = 'ate:role'
    event.key = clearName(crypto, name)
    this.#draft.countName(ROLES_COLLECTION)
    this.#draft.countName('ate:role')
    const draft = this.#keepDraft({ words, name, stored: undefined, event })
    const {
      identityName,
      identity,
      replica: { trust },
    } = this.#core
    draft.add.set(identityName, trust.identities.get(identityName) ?? identity.keys)
    return draft
  }

  #draftOf(stored: Role): RoleDraft {
    const { id: words, name } = stored
    const known = this.#roles.get(entityKey(words))
    return known ?? this.#keepDraft({ words, name, stored, event: this.#draft.add(OP.role, words) })
  }

  #keepDraft(made: Pick<RoleDraft, 'words' | 'name' | 'stored' | 'event'>): RoleDraft {
    const draft: RoleDraft = { ...made, add: new Map(), remove: new Set(), rotate: false, resolved: made.stored }
    this.#roles.set(entityKey(made.words), draft)
    this.#draft.sizeBytes += 4096 + 1400 * (made.stored ? made.stored.members.size : 4)
    this.#draft.defer('first', () => this.#makeRole(draft))
    return draft
  }

  /** The fields of a role's event, made when all its members are known. */
  #makeRole(draft: RoleDraft): void {
    const { stored, add, remove, words, name } = draft
    if (stored && this.#core.replica.trust.roles.get(entityKey(words)) !== stored) throw changed(words)
    const newest = stored?.generations[stored.generations.length - 1]
    // The key of a role without members is in nobody's hands: who comes gets a new one.
    const fresh = !newest || remove.size > 0 || draft.rotate || stored?.members.size === 0
    const generation = newest ? newest.number + (fresh ? 1 : 0) : 0
    const staying = [...(stored?.members ?? [])].filter(
      (member) => !remove.has(member) && !add.has(member) && !this.pendingGone.has(member),
    )
    // Each role brings the keys of its own members: a policy that brings them too may stand behind it.
    const { identities: known } = this.#core.replica.trust
    const identities = [...add].filter(([member]) => !known.has(member)).map(([, keys]) => keys)
    const pending = { introduced: add, persons: this.pendingPersons }
    let publicKey = newest?.publicKey
    let wraps: WrapFields[]
    if (fresh) {
      const made = this.#core.keys.makeRoleKey(words, generation, [...staying, ...add.keys()], pending)
      publicKey = made.publicKey
      wraps = made.wraps
      draft.resolved = provisional(draft, generation, publicKey)
    } else {
      wraps = [...add.keys()].map((member) => this.#core.keys.wrapRoleFor(stored!, member, pending))
    }
    const fields: RoleFields = {
      generation,
      publicKey: publicKey!,
      wraps,
      ...(stored ? {} : { name }),
      ...(add.size > 0 ? { add: [...add.keys()].map(fromBinaryText) } : {}),
      ...(remove.size > 0 ? { remove: [...remove].map(fromBinaryText) } : {}),
    }
    this.#draft.setRare(draft.event, { role: fields, ...(identities.length > 0 ? { identities } : {}) })
  }

  /** A new key for the members that the role has. */
  #followRole(role: Role): void {
    const draft = this.#draftOf(role)
    if (draft.rotate) return
    draft.rotate = true
    this.#rekeyReaders(role)
  }

  /** The role needs a new key, and this transaction does not make it yet. */
  #waits(role: Role): boolean {
    const draft = this.#roles.get(entityKey(role.id))
    if (draft && (!draft.stored || draft.rotate || draft.remove.size > 0)) return false
    return role.stale || [...this.#followed].some((name) => role.members.has(name))
  }

  /** Wraps of what follows from a change fill a commit at most: what does not fit waits for its next writer. */
  #hasRoom(wraps: number): boolean {
    return this.#draft.sizeBytes + 6144 + 1400 * wraps < FOLLOW_BYTES_MAX
  }

  #rekeyReaders(role: Role): Removal {
    return this.#rekeyAll((entry) => entry.role === role)
  }

  /** New epochs for the nodes whose own readers include such an entry, as far as this session may; once for each node. */
  #rekeyAll(includes: (entry: PolicyEntry) => boolean): Removal {
    const { view } = this.#core.replica
    const rekeyed: EntityId[] = []
    const stale: EntityId[] = []
    for (const { row, readers } of this.#nodesOf(includes)) {
      const list = this.#rekeyLater(row, readers) ? rekeyed : stale
      list.push(view.idText(row))
    }
    return { couldRead: [...rekeyed, ...stale], rekeyed, stale }
  }

  /** Whether this session may and can is asked now; the wraps are made when the new keys of roles are known. */
  #rekeyLater(row: number, readers: readonly PolicyEntry[]): boolean {
    if (this.#rekeyedRows.has(row)) return true
    const words = this.#core.replica.view.wordsOf(row)
    const waiting = readers.flatMap(({ role }) => (role && !role.dropped && this.#waits(role) ? [role] : []))
    const wraps = waiting.reduce((count, { members }) => count + members.size, readers.length)
    if (!canRekey(this.#core, row, words) || !this.#hasRoom(wraps)) return false
    if (waiting.some((role) => !mayFollow(this.#core, role))) return false
    this.#rekeyedRows.add(row)
    this.#draft.sizeBytes += 2048 + readers.length * 1400
    this.#draft.defer('last', () => this.rekey(row, words))
    for (const role of waiting) this.#followRole(role)
    return true
  }

  /** Nodes whose own read policy names the role. */
  #readBy(role: Role): ReadNode[] {
    return this.#nodesOf((entry) => entry.role === role)
  }

  #nodesOf(includes: (entry: PolicyEntry) => boolean): ReadNode[] {
    const { view, trust } = this.#core.replica
    const found = []
    for (const row of trust.epochs.keys()) {
      const policy = view.policyOf(row)
      const readers = policy?.read
      if (view.isDead(row) || readers === undefined || typeof readers === 'string') continue
      if (readers.some(includes)) found.push({ row, policy: policy!, readers })
    }
    return found
  }
}

function changed(words: EntityWords): AteError {
  return new AteError('CONFLICT', { entity: textOfWords(words) })
}

/** A role that does not stand on the chain yet: enough of it to wrap for. */
function provisional(draft: RoleDraft, number: number, publicKey: Uint8Array): Role {
  return {
    id: draft.words,
    name: draft.name,
    node: 0,
    row: -1,
    members: new Set(),
    generations: [{ number, publicKey, wraps: new Map() }],
    rotatedAt: 0,
    dropped: false,
    stale: false,
  }
}
