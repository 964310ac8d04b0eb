/**
 * Policies and epochs of a transaction: names become ids, and the wraps that the fold asks for are made when the
 * transaction is finished, so that the order of calls does not matter.
 */
import { fromBinaryText, toBinaryText } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { parseId } from '../base/ids.ts'
import { objectOf } from '../base/option-names.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { ROLES_COLLECTION } from '../chain/fold-trust.ts'
import { linkOf, newEpochEvents } from '../chain/rekey.ts'
import { namedEntity } from '../event/derive-ids.ts'
import {
  bytesOfWords,
  type EntityWords,
  entityKey,
  ROOT_ENTITY,
  sameEntity,
  textOfWords,
} from '../event/entity-words.ts'
import { OP } from '../event/format.ts'
import type { CounterFields, PolicyFields, PolicyListFields, RareFields } from '../event/rare-fields.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { blindName, clearName, type EpochSecrets, type Pending } from '../session/epoch-keys.ts'
import { nodeWith, type Persons, type PolicyList, withoutDropped } from '../trust/policy.ts'
import type { Draft } from './draft.ts'
import { DraftRoles } from './draft-roles.ts'
import { COUNTER_NAMES, type CounterInput, type PolicyInput, type Principal, type RoleName } from './policy-input.ts'
import { named } from './principals.ts'

export class DraftTrust {
  readonly roles: DraftRoles
  readonly #core: ChainCore
  readonly #draft: Draft
  /** Index keys of nodes that this transaction gives a read policy. */
  readonly #indexKeys = new Map<string, Uint8Array>()
  /** Public keys by fingerprint that this transaction brings to the chain, in the order of its events. */
  readonly #introduced = new Map<string, Uint8Array>()
  /** Nodes that get an epoch for writers who do not read. */
  readonly #opened = new Set<number>()
  /** Stored nodes whose readers this transaction sets, and those of them below which it names writers who do not read. */
  readonly #reset = new Set<number>()
  readonly #wanted = new Set<number>()

  constructor(core: ChainCore, draft: Draft) {
    this.#core = core
    this.#draft = draft
    this.roles = new DraftRoles(core, draft)
  }

  /** As Transaction.setPolicy. @throws AteError NOT_FOUND | BAD_ARGUMENT, and as setPolicy */
  changePolicy(words: EntityWords, policy: PolicyInput): void {
    const { view } = this.#core.replica
    const row = view.findLive(words.a, words.b, words.c, words.d)
    if (row >= 0) {
      this.#addPolicy(words, view.wordsOf(view.parentOf(row)), row, policy)
      return
    }
    if (this.#draft.localOf(words)?.parent === undefined)
      throw new AteError('NOT_FOUND', { entity: textOfWords(words) })
    if (policy.read !== undefined)
      throw new AteError('BAD_ARGUMENT', { what: 'read of an entity that is made here is given to create' })
    // Roles are looked for from the entity itself upwards.
    this.#addPolicy(words, words, -1, policy)
  }

  /** Whoever catches what it throws, and goes on, must not commit half of what was asked for. */
  #addPolicy(words: EntityWords, parent: EntityWords, row: number, policy: PolicyInput): void {
    const introduced = this.introducedCount
    try {
      this.setPolicy(this.#draft.add(OP.policy, words), words, parent, row, policy)
    } catch (error) {
      this.#draft.events.pop()
      this.takeBack(introduced)
      throw error
    }
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
    this.roles.followNamed(policy.read)
    if (input.read === undefined) {
      if (input.write === undefined) return
      this.#draft.defer('first', () => this.#wantWriters(lookUp, policy.write))
      this.#draft.defer('last', () => this.#openToWriters(lookUp, policy.write))
      return
    }
    const indexKey = row >= 0 ? this.#secretsOf(row)?.indexKey : randomBytes(this.#core.environment.random, 32)
    if (indexKey) this.#indexKeys.set(entityKey(words), indexKey)
    if (row >= 0) this.#reset.add(row)
    this.#draft.sizeBytes += 2048 + 1400 * (typeof input.read === 'string' ? 1 : input.read.length)
    this.#draft.defer('last', () => this.#makeEpoch(event, words, row, policy, indexKey))
  }

  /** The epoch that comes with new readers is made once, with a key for writers below if they are to have one. */
  #wantWriters(at: EntityWords, write: PolicyListFields | undefined): void {
    const row = this.#readNodeOf(at)
    if (row === undefined || !this.#reset.has(row)) return
    const read = this.#readersSet(row)
    if (read !== undefined && !covers(read, write)) this.#wanted.add(row)
  }

  /** The readers that the newest event of this transaction gives a stored node. */
  #readersSet(row: number): PolicyListFields | undefined {
    const words = this.#core.replica.view.wordsOf(row)
    return this.#draft.events.findLast((event) => sameEntity(event, words) && event.rare?.policy?.read !== undefined)
      ?.rare?.policy?.read
  }

  /** Writers who do not read need a key to seal to: the node's epoch publishes one from here on, if this session may say so. */
  #openToWriters(at: EntityWords, write: PolicyListFields | undefined): void {
    const { view, trust } = this.#core.replica
    const row = this.#readNodeOf(at)
    const readers = row === undefined ? undefined : view.policyOf(row)?.read
    if (row === undefined || readers === undefined || this.roles.rekeys(row) || this.#opened.has(row)) return
    if (this.#reset.has(row)) return
    if (trust.newestEpoch(row)?.fields.writeKey !== undefined || covers(fieldsOf(readers, trust.persons), write)) return
    const events = newEpochEvents(this.#core, row, view.wordsOf(row), { forWriters: true, before: this.#draft.events })
    if (!events) return
    this.#opened.add(row)
    for (const event of events) this.#draft.setRare(this.#draft.add(event.op, event), event.rare!)
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
    const read = fieldsOf(readers, this.#core.replica.trust.persons)
    this.#draft.setRare(event, { policy: { read } })
    this.#draft.sizeBytes += 2048 + 1400 * readers.length
    this.#draft.defer('last', () => {
      const made = this.#core.keys.makeEpoch(words, this.#nextEpoch(words), this.roles.resolve(read), {
        indexKey: secrets.indexKey,
        forWriters: true,
        pending: this.#pending(),
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
    objectOf(input, 'counters', COUNTER_NAMES)
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

  /**
   * The 16 bytes that stand for a name in a collection. Blinded with the index key of the parent's read node.
   * @throws AteError NO_READ_KEY if this session does not read there.
   */
  blind(parent: EntityWords, collection: string, name: string): EntityWords {
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
      const local = this.#indexKeys.size > 0 ? this.#indexKeys.get(entityKey(words)) : undefined
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

  #pending(): Pending {
    return { introduced: this.#introduced, persons: this.roles.pendingPersons }
  }

  /** How many identities this transaction introduces so far: what `takeBack` goes back to. */
  get introducedCount(): number {
    return this.#introduced.size
  }

  /** An event was taken out again, and with it the identities that it introduced. */
  takeBack(introducedCount: number): void {
    for (const name of [...this.#introduced.keys()].slice(introducedCount)) this.#introduced.delete(name)
  }

  #introduce(name: string, keys: Uint8Array): boolean {
    if (this.#introduced.has(name) || this.#core.replica.trust.identities.has(name)) return false
    this.#introduced.set(name, keys)
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
    const { name, keys } = named(this.#core, principal)
    if (this.#introduce(name, keys)) identities.push(keys)
    return fromBinaryText(name)
  }

  /** From `at` upwards, the first node that has a role of this name. */
  #findRole({ role: name }: RoleName, at: EntityWords): EntityWords {
    const { replica, crypto } = this.#core
    const { view, trust } = replica
    for (let words = at; ; ) {
      const found = namedEntity(crypto, replica.chainId, words, ROLES_COLLECTION, clearName(crypto, name))
      const stored = trust.roles.get(entityKey(found))
      if (this.roles.changes(found) || (stored && !view.isDead(stored.row))) return found
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
    if (row >= 0) this.roles.assertStill(row, words)
    const { view, trust } = this.#core.replica
    const own = row >= 0 && view.policyOf(row)?.read !== undefined ? trust.newestEpoch(row) : undefined
    // What follows from a change of keys stands in front of all other events.
    const before = this.roles.rekeys(row) ? this.roles.rekey(row, words) : undefined
    const previous = before?.secrets ?? (own && this.#core.keys.secretsOf({ row, id: words }, own.number))
    if (own && !previous)
      throw new AteError('NO_READ_KEY', { node: textOfWords(words), what: 'who changes readers must be one' })
    const readers = this.roles.resolve(policy.read as Exclude<PolicyListFields, 'inherit'>)
    const forWriters = !covers(policy.read, policy.write) || this.#wanted.has(row)
    const history = policy.history ?? (own ? view.policyOf(row)!.history : 'all')
    const link = previous ? linkOf({ history }, previous) : { indexKey }
    const number = before ? before.fields.number + 1 : this.#nextEpoch(words)
    const made = this.#core.keys.makeEpoch(words, number, readers, {
      ...link,
      forWriters,
      pending: this.#pending(),
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
function fieldsOf(list: PolicyList, persons: Persons): Exclude<PolicyListFields, 'inherit'> {
  if (typeof list === 'string') return list
  return withoutDropped(list, persons).map((entry) =>
    entry.role ? bytesOfWords(entry.role.id) : fromBinaryText(entry.identity),
  )
}
