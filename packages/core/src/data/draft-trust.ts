/**
 * Roles, policies and epochs of a transaction: names become ids, and the wraps that the fold asks for are made when the
 * transaction is finished, so that the order of calls does not matter.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { type EntityId, parseId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { ROLES_COLLECTION } from '../chain/fold-trust.ts'
import { linkOf, newEpochEvent } from '../chain/rekey.ts'
import { namedEntity } from '../event/derive-ids.ts'
import {
  bytesOfWords,
  type EntityWords,
  entityKey,
  ROOT_ENTITY,
  sameEntity,
  textOfWords,
  wordsOf,
} from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type {
  CounterFields,
  PolicyFields,
  PolicyListFields,
  RareFields,
  RoleFields,
  WrapFields,
} from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { blindName, clearName, type EpochSecrets } from '../session/epoch-keys.ts'
import { isIdentity, type PublicIdentity, parsePublicId } from '../session/identity.ts'
import { nodeWith, type Policy, type PolicyEntry, type PolicyList, type Role, withoutDropped } from '../trust/policy.ts'
import type { Draft } from './draft.ts'
import type { CounterInput, PolicyInput, Principal, RoleName } from './policy-input.ts'

/** What a removed member could read. */
export interface Removal {
  /** All nodes with readers of their own that the member read through the role. */
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
  readonly add: Map<string, PublicIdentity>
  readonly remove: Map<string, PublicIdentity>
  /** A new generation although nobody leaves. */
  rotate: boolean
  /** What wraps go to: the stored role, or the one to be. Known after its fields are made. */
  resolved: Role | undefined
}

export class DraftTrust {
  readonly #core: ChainCore
  readonly #draft: Draft
  readonly #roles = new Map<string, RoleDraft>()
  /** Index keys of nodes that this transaction gives a read policy. */
  readonly #indexKeys = new Map<string, Uint8Array>()
  /** Public keys by fingerprint that this transaction brings to the chain, in the order of its events. */
  readonly #introduced = new Map<string, Uint8Array>()
  readonly #rekeyedRows = new Set<number>()
  /** Next epochs of nodes whose readers change. */
  readonly #epochs: TransactionEvent[] = []

  constructor(core: ChainCore, draft: Draft) {
    this.#core = core
    this.#draft = draft
  }

  addMember(name: string, node: EntityWords, member: Principal): void {
    const draft = this.#roleDraft(name, node, 'make')!
    const identity = this.identityOf(member)
    const key = toBinaryText(identity.fingerprintBytes)
    draft.remove.delete(key)
    if (draft.stored?.members.has(key)) return
    draft.add.set(key, identity)
    // Where history is live, a new member must not open what is wrapped to the role's present key.
    if (draft.stored && this.#readBy(draft.stored).some(({ policy }) => policy.history === 'live')) {
      draft.rotate = true
      this.#rekeyReaders(draft)
    }
  }

  removeMember(name: string, node: EntityWords, member: Principal): Removal {
    const draft = this.#roleDraft(name, node, 'find')
    if (!draft) throw new AteError('NO_ROLE', { role: name })
    const identity = this.identityOf(member)
    const key = toBinaryText(identity.fingerprintBytes)
    draft.add.delete(key)
    if (!draft.stored?.members.has(key)) return { couldRead: [], rekeyed: [], stale: [] }
    draft.remove.set(key, identity)
    return this.#rekeyReaders(draft)
  }

  /** Own policies of an event, and the epoch that a read policy brings. `row` is -1 for what is created here. */
  setPolicy(
    event: TransactionEvent,
    words: EntityWords,
    parent: EntityWords,
    row: number,
    input: PolicyInput & { readonly closed?: boolean },
  ): void {
    const lookUp = row >= 0 ? words : parent
    const identities: Uint8Array[] = []
    const list = (given: PolicyInput['write']): PolicyListFields | undefined => this.#fields(given, lookUp, identities)
    const policy: PolicyFields = {
      ...optional('read', list(input.read)),
      ...optional('write', list(input.write)),
      ...optional('manage', list(input.manage)),
      ...optional('allow', list(input.allow) as readonly Uint8Array[] | undefined),
      ...(input.closed ? { closed: true } : {}),
      ...optional('history', input.history),
    }
    const before: RareFields = event.rare ?? {}
    identities.unshift(...(before.identities ?? []))
    this.#draft.setRare(event, { ...before, policy, ...(identities.length > 0 ? { identities } : {}) })
    if (input.read === undefined) {
      if (input.write !== undefined) this.#draft.defer('last', () => this.#openToWriters(lookUp, policy.write))
      return
    }
    const indexKey = row >= 0 ? this.#secretsOf(row)?.indexKey : randomBytes(this.#core.environment.random, 32)
    if (indexKey) this.#indexKeys.set(entityKey(words), indexKey)
    this.#draft.sizeBytes += 2048 + 1400 * (typeof input.read === 'string' ? 1 : input.read.length)
    this.#draft.defer('last', () => this.#makeEpoch(event, words, row, policy, indexKey))
  }

  /** Writers who do not read need a key to seal to: the node's epoch publishes one from here on, if this session may say so. */
  #openToWriters(at: EntityWords, write: PolicyListFields | undefined): void {
    const { view, trust } = this.#core.replica
    const row = this.#readNodeOf(at)
    const readers = row === undefined ? undefined : view.policyOf(row)?.read
    if (row === undefined || readers === undefined || this.#rekeyedRows.has(row)) return
    if (trust.newestEpoch(row)?.fields.writeKey !== undefined || covers(fieldsOf(readers), write)) return
    const event = newEpochEvent(this.#core, row, view.wordsOf(row), { forWriters: true })
    if (!event) return
    this.#rekeyedRows.add(row)
    this.#draft.setRare(this.#draft.add(OP.epoch, view.wordsOf(row)), event.rare!)
  }

  /** A move that would change who reads takes the present readers along, under an epoch of the moved node's own. */
  keepReaders(event: TransactionEvent, words: EntityWords): void {
    this.#draft.defer('last', () => this.#keepReaders(event, words))
  }

  #keepReaders(event: TransactionEvent, words: EntityWords): void {
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    if (row <= 0) return
    const before = nodeWith(view, 'read', row)
    if (before === row || this.#readNodeOf(event.parent) === before) return
    const secrets = this.#secretsOf(before)
    if (!secrets)
      throw new AteError('NO_READ_KEY', { entity: textOfWords(words), what: 'who moves between readers must be one' })
    const readers = view.policyOf(before)!.read!
    const read = fieldsOf(readers)
    this.#draft.setRare(event, { policy: { read } })
    this.#draft.sizeBytes += 2048 + 1400 * readers.length
    this.#draft.defer('last', () => {
      const made = this.#core.keys.makeEpoch(words, this.#nextEpoch(words), this.#resolve(read), {
        indexKey: secrets.indexKey,
        forWriters: true,
      })
      this.#core.keys.remember(made)
      this.#draft.setRare(event, { ...event.rare, epoch: made.fields })
    })
  }

  /** The stored node whose readers read there; undefined where this transaction gives a node readers of its own. */
  #readNodeOf(parent: EntityWords): number | undefined {
    const { view } = this.#core.replica
    for (let words = parent; ; ) {
      const row = view.findLive(words.a, words.b, words.c, words.d)
      if (row >= 0) return nodeWith(view, 'read', row)
      const made = this.#draft.events.find((event) => event.op === OP.create && sameEntity(event, words))
      if (!made || made.rare?.policy?.read !== undefined) return undefined
      words = made.parent
    }
  }

  /**
   * A counter's fields. Roles in `up` and `down` are looked up from the root; keys of identities that the chain does not
   * know are added to `identities`.
   */
  counterFields(name: string, input: CounterInput, identities: Uint8Array[]): CounterFields {
    const up = this.#fields(input.up, ROOT_ENTITY, identities)
    const down = this.#fields(input.down, ROOT_ENTITY, identities)
    for (const number of [input.value ?? 0n, input.floor ?? 0n, input.ceiling ?? 0n]) {
      if (typeof number !== 'bigint')
        throw new AteError('BAD_ARGUMENT', { counter: name, what: 'counters are bigints' })
    }
    return {
      name,
      value: input.value ?? 0n,
      ...optional('floor', input.floor),
      ...optional('ceiling', input.ceiling),
      ...optional('unit', input.unit && parseId(input.unit.id, 'entity')),
      ...optional('up', up),
      ...optional('down', down),
    }
  }

  /** Public keys of an identity, introduced once by this transaction if the chain does not know them. */
  identityOf(principal: Principal): PublicIdentity {
    if (isIdentity(principal)) return principal
    const text = typeof principal === 'string' ? principal : (principal as { publicId?: unknown } | null)?.publicId
    return parsePublicId(this.#core.crypto, text)
  }

  /**
   * The 16 bytes that stand for a name in a collection. Blinded with the index key of the parent's read node.
   * @throws AteError NO_READ_KEY if this session does not read there.
   */
  blind(parent: EntityWords, collection: string, name: string): Uint8Array {
    const indexKey = this.#indexKeyFor(parent)
    if (!indexKey)
      throw new AteError('NO_READ_KEY', {
        parent: textOfWords(parent),
        what: 'names are blinded with a key of the readers',
      })
    return blindName(this.#core.crypto, indexKey, collection, name)
  }

  #indexKeyFor(parent: EntityWords): Uint8Array | undefined {
    for (let words = parent; ; ) {
      const local = this.#indexKeys.get(entityKey(words))
      if (local) return local
      const { view } = this.#core.replica
      const row = view.findLive(words.a, words.b, words.c, words.d)
      if (row >= 0) return this.#secretsOf(nodeWith(view, 'read', row))?.indexKey
      const parent = this.#draft.localOf(words)?.parent
      if (!parent) throw new AteError('NOT_FOUND', { entity: textOfWords(words), what: 'parent' })
      words = parent
    }
  }

  #secretsOf(node: number): EpochSecrets | undefined {
    const { view, trust } = this.#core.replica
    const read = nodeWith(view, 'read', node)
    const epoch = trust.newestEpoch(read)
    return epoch && this.#core.keys.secretsOf({ row: read, id: view.wordsOf(read) }, epoch.number)
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
    const event = this.#draft.add(alive ? OP.role : OP.create, words)
    if (!alive) {
      event.parent = node
      event.collection = ROLES_COLLECTION
      event.type = 'ate:role'
      event.key = clearName(crypto, name)
      this.#draft.countName(ROLES_COLLECTION)
      this.#draft.countName('ate:role')
    }
    const draft: RoleDraft = {
      words,
      name,
      stored: alive,
      event,
      add: new Map(),
      remove: new Map(),
      rotate: false,
      resolved: alive,
    }
    const me = this.#core.identity
    if (!alive) draft.add.set(this.#core.identityName, me)
    this.#roles.set(entityKey(words), draft)
    this.#draft.sizeBytes += 4096 + 1400 * (alive ? alive.members.size : 4)
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
    const staying = [...(stored?.members ?? [])].filter((member) => !remove.has(member) && !add.has(member))
    // Each role brings the keys of its own members: a policy that brings them too may stand behind it.
    const { identities: known } = this.#core.replica.trust
    const identities = [...add].filter(([member]) => !known.has(member)).map(([, identity]) => identity.keys)
    let publicKey = newest?.publicKey
    let wraps: WrapFields[]
    if (fresh) {
      const members = [
        ...staying.map((member) => this.#known(member)),
        ...[...add.values()].map((one) => [one.fingerprintBytes, one.keys] as const),
      ]
      const made = this.#core.keys.makeRoleKey(words, generation, members)
      publicKey = made.publicKey
      wraps = made.wraps
      draft.resolved = provisional(draft, generation, publicKey)
    } else {
      wraps = [...add.values()].map((one) => this.#core.keys.wrapRoleFor(stored!, one.fingerprintBytes, one.keys))
    }
    const fields: RoleFields = {
      generation,
      publicKey: publicKey!,
      wraps,
      ...(stored ? {} : { name }),
      ...(add.size > 0 ? { add: [...add.values()].map((one) => one.fingerprintBytes) } : {}),
      ...(remove.size > 0 ? { remove: [...remove.values()].map((one) => one.fingerprintBytes) } : {}),
    }
    this.#draft.setRare(draft.event, { role: fields, ...(identities.length > 0 ? { identities } : {}) })
  }

  #known(member: string): readonly [Uint8Array, Uint8Array] {
    const keys = this.#core.replica.trust.identities.get(member)!
    return [fromBinaryText(member), keys]
  }

  /** How many identities this transaction introduces so far: what `takeBack` goes back to. */
  get introducedCount(): number {
    return this.#introduced.size
  }

  /** An event was taken out again, and with it the identities that it introduced. */
  takeBack(introducedCount: number): void {
    for (const name of [...this.#introduced.keys()].slice(introducedCount)) this.#introduced.delete(name)
  }

  #introduce(identity: PublicIdentity): boolean {
    const key = toBinaryText(identity.fingerprintBytes)
    if (this.#introduced.has(key) || this.#core.replica.trust.identities.has(key)) return false
    this.#introduced.set(key, identity.keys)
    return true
  }

  #fields(given: PolicyInput['write'], at: EntityWords, identities: Uint8Array[]): PolicyListFields | undefined {
    if (given === undefined || typeof given === 'string') {
      if (given !== undefined && given !== 'everyone' && given !== 'nobody')
        throw new AteError('BAD_ARGUMENT', { policy: given })
      return given
    }
    if (!Array.isArray(given)) throw new AteError('BAD_ARGUMENT', { what: 'a policy is a list, everyone or nobody' })
    return given.map((principal: Principal) => this.#entryFields(principal, at, identities))
  }

  #entryFields(principal: Principal, at: EntityWords, identities: Uint8Array[]): Uint8Array {
    if (typeof principal === 'object' && principal !== null && 'role' in principal)
      return bytesOfWords(this.#findRole(principal, at))
    const identity = this.identityOf(principal as Exclude<Principal, RoleName>)
    if (this.#introduce(identity)) identities.push(identity.keys)
    return identity.fingerprintBytes
  }

  /** From `at` upwards, the first node that has a role of this name. */
  #findRole({ role: name }: RoleName, at: EntityWords): EntityWords {
    const { replica, crypto } = this.#core
    const { view, trust } = replica
    for (let words = at; ; ) {
      const found = namedEntity(crypto, replica.chainId, words, ROLES_COLLECTION, clearName(crypto, name))
      const stored = trust.roles.get(entityKey(found))
      if (this.#roles.has(entityKey(found)) || (stored && !view.isDead(stored.row))) return found
      if (words.a === 0 && words.b === 0 && words.c === 0 && words.d === 0)
        throw new AteError('NO_ROLE', { role: name })
      const row = view.findLive(words.a, words.b, words.c, words.d)
      words = this.#draft.localOf(words)?.parent ?? (row > 0 ? view.wordsOf(view.parentOf(row)) : ROOT_ENTITY)
    }
  }

  #makeEpoch(
    event: TransactionEvent,
    words: EntityWords,
    row: number,
    policy: PolicyFields,
    indexKey: Uint8Array | undefined,
  ): void {
    if (row >= 0) this.#assertStill(row, words)
    const { view, trust } = this.#core.replica
    const own = row >= 0 && view.policyOf(row)?.read !== undefined ? trust.newestEpoch(row) : undefined
    const previous = own && this.#core.keys.secretsOf({ row, id: words }, own.number)
    if (own && !previous)
      throw new AteError('NO_READ_KEY', { node: textOfWords(words), what: 'who changes readers must be one' })
    const readers = this.#resolve(policy.read as Exclude<PolicyListFields, 'inherit'>)
    const forWriters = !covers(policy.read, policy.write)
    const history = policy.history ?? (own ? view.policyOf(row)!.history : 'all')
    const link = previous ? linkOf({ history }, previous) : { indexKey }
    const made = this.#core.keys.makeEpoch(words, this.#nextEpoch(words), readers, {
      ...link,
      forWriters,
      introduced: this.#introduced,
    })
    this.#core.keys.remember(made)
    this.#draft.setRare(event, { ...event.rare, epoch: made.fields })
  }

  /** Epochs of a named entity that was deleted count on in its next life. */
  #nextEpoch({ a, b, c, d }: EntityWords): number {
    const { view, trust } = this.#core.replica
    const row = view.table.find(a, b, c, d)
    return (row < 0 ? -1 : (trust.newestEpoch(row)?.number ?? -1)) + 1
  }

  /** Entries with the roles as this transaction will leave them. */
  #resolve(fields: Exclude<PolicyListFields, 'inherit'>): PolicyList {
    if (typeof fields === 'string') return fields
    return fields.map((bytes): PolicyEntry => {
      if (bytes.length === 32) return { identity: toBinaryText(bytes) }
      const key = entityKey(wordsOf(bytes))
      return { role: this.#roles.get(key)?.resolved ?? this.#core.replica.trust.roles.get(key)! }
    })
  }

  /** New epochs for the nodes that the role reads, as far as this session may; once for each role. */
  #rekeyReaders(draft: RoleDraft): Removal {
    const { view } = this.#core.replica
    const rekeyed: EntityId[] = []
    const stale: EntityId[] = []
    for (const { row, readers } of this.#readBy(draft.stored!)) {
      const words = view.wordsOf(row)
      // Whether this session may and can is asked now; the wraps are made when the role's new key is known.
      if (!newEpochEvent(this.#core, row, words)) {
        stale.push(view.idText(row))
        continue
      }
      rekeyed.push(view.idText(row))
      if (this.#rekeyedRows.has(row)) continue
      this.#rekeyedRows.add(row)
      this.#draft.sizeBytes += 2048 + readers.length * 1400
      this.#draft.defer('last', () => this.#rekey(row, words))
    }
    return { couldRead: [...rekeyed, ...stale], rekeyed, stale }
  }

  /** Nodes whose own read policy names the role. */
  #readBy(role: Role): { readonly row: number; readonly policy: Policy; readonly readers: readonly PolicyEntry[] }[] {
    const { view, trust } = this.#core.replica
    const found = []
    for (const row of trust.epochs.keys()) {
      const policy = view.policyOf(row)
      const readers = policy?.read
      if (view.isDead(row) || readers === undefined || typeof readers === 'string') continue
      if (readers.some((entry) => entry.role === role)) found.push({ row, policy: policy!, readers })
    }
    return found
  }

  #rekey(row: number, words: EntityWords): void {
    this.#assertStill(row, words)
    const { trust, view } = this.#core.replica
    const policy = view.policyOf(row)
    const readers = policy?.read
    const epoch = trust.newestEpoch(row)
    const previous = epoch && this.#core.keys.secretsOf({ row, id: words }, epoch.number)
    if (!policy || !previous || readers === undefined || typeof readers === 'string') throw changed(words)
    const resolved = readers.map((entry) =>
      entry.role ? { role: this.#roles.get(entityKey(entry.role.id))?.resolved ?? entry.role } : entry,
    )
    const made = this.#core.keys.makeEpoch(words, epoch.number + 1, resolved, {
      ...linkOf(policy, previous),
      forWriters: epoch.fields.writeKey !== undefined,
    })
    this.#core.keys.remember(made)
    const event = this.#draft.add(OP.epoch, words)
    this.#draft.setRare(event, { epoch: made.fields })
    this.#epochs.push(event)
    // New keys of roles, then the epochs that are wrapped to them, then what this transaction seals under those.
    const roles = [...this.#roles.values()].filter(({ stored }) => stored).map((changing) => changing.event)
    const first = [...roles, ...this.#epochs]
    const { events } = this.#draft
    events.splice(0, events.length, ...first, ...events.filter((other) => !first.includes(other)))
  }

  /** Others may have written while the transaction's function waited, or what it saw staged was taken back. */
  #assertStill(row: number, words: EntityWords): void {
    if (this.#core.replica.view.findLive(words.a, words.b, words.c, words.d) !== row) throw changed(words)
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
  }
}

/** True if everyone who writes is sure to read, by name: else the epoch publishes a key that writers seal to. */
function covers(read: PolicyListFields | undefined, write: PolicyListFields | undefined): boolean {
  if (read === 'everyone' || write === 'nobody') return true
  if (!Array.isArray(read) || !Array.isArray(write)) return false
  return write.every((entry: Uint8Array) =>
    read.some((other: Uint8Array) => toBinaryText(entry) === toBinaryText(other)),
  )
}

function optional<K extends string, V>(name: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [name]: value } as { readonly [P in K]: V })
}

/** A stored list as an event names it. */
function fieldsOf(list: PolicyList): Exclude<PolicyListFields, 'inherit'> {
  if (typeof list === 'string') return list
  return withoutDropped(list).map((entry) =>
    entry.role ? bytesOfWords(entry.role.id) : fromBinaryText(entry.identity),
  )
}
