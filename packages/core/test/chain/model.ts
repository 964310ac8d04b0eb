/**
 * The rules of the fold once more, plain and slow: maps and objects, everything copied for a transaction and thrown away
 * if it is refused. Written from the design, without a line of the fold: what the two say of the same transactions must
 * agree. A refusal here is the set of all rules that an event breaks, since the order in which they are looked at is the
 * fold's own matter.
 */
import { createHash } from 'node:crypto'
import type { EntityWords } from '../../src/event/entity-words.ts'
import type { EpochFields, PersonFields, PolicyFields, RoleFields } from '../../src/event/rare-fields.ts'
import type { ForgedEvent, ForgedTransaction } from '../../src/testing/chain-kit.ts'

const ROLES = 'ate:roles'
const DEPTH = 32
const BIT = 1n << 127n
export const ROOT: string = '00'.repeat(16)

/** `i:` and a fingerprint, or `r:` and an incarnation of a role. */
export type List = 'everyone' | 'nobody' | string[]

export interface Policy {
  read?: List
  write?: List
  manage?: List
  allow: string[]
  closed: boolean
  history: string
}

export interface Counter {
  name: string
  value: bigint
  floor?: bigint | undefined
  ceiling?: bigint | undefined
  unit?: string | undefined
  up?: List | undefined
  down?: List | undefined
}

export interface Entity {
  id: string
  parent: string
  collection: string
  version: number
  dead: boolean
  named: boolean
  policy?: Policy
  expires?: number | undefined
  retain: number
  holds: string[]
  counters: Counter[]
  changes: number
}

export interface Role {
  id: string
  node: string
  members: string[]
  generation: number
  key: string
  since: number
  gone: boolean
  /** Waits for the key that a member's new one asks for. */
  waits: boolean
}

/** Keys as `i:` and a fingerprint; `out` are those that were removed. */
export interface Person {
  keys: { id: string; standing: string }[]
  /** -1: none yet. `lent`: it is an owner's own. */
  generation: number
  lent: boolean
  key: string
  since: number
}

export interface Collection {
  version: number
  floor: number
  children: string[]
}

export interface State {
  entities: Record<string, Entity>
  collections: Record<string, Collection>
  /** By incarnation; `newest` says which one an id means. */
  roles: Record<string, Role>
  newest: Record<string, string>
  identities: string[]
  persons: Record<string, Person>
  /** Keys that wrote a commit that counted. */
  wrote: string[]
  epochs: Record<string, { number: number; since: number }[]>
  clock: number
}

export interface Author {
  /** The key. */
  readonly id: string
  readonly time: number
  readonly seq: number
  readonly base: number
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

export function hexOf(words: EntityWords): string {
  return [words.a, words.b, words.c, words.d].map((word) => (word >>> 0).toString(16).padStart(8, '0')).join('')
}

function sha(context: string, ...parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256').update(`ate/1/${context}\0`)
  for (const part of parts) hash.update(typeof part === 'string' ? Buffer.from(part, 'hex') : part)
  return hash.digest('hex')
}

export class Model {
  state: State
  /** Key, person and signature of what keys agreed to: the model takes no signature apart. */
  readonly agreed: Set<string> = new Set()
  readonly #chain: string
  #made = 0

  constructor(chain: Uint8Array, rootKeys: Uint8Array) {
    this.#chain = hex(chain)
    const id = `i:${sha('identity', rootKeys)}`
    const policy: Policy = { read: [id], write: [id], manage: [id], allow: [], closed: true, history: 'all' }
    this.state = {
      entities: { [ROOT]: { ...blank(ROOT, ROOT, ''), policy } },
      collections: {},
      roles: {},
      newest: {},
      identities: [id],
      persons: {},
      wrote: [],
      epochs: { [ROOT]: [{ number: 0, since: 0 }] },
      clock: 0,
    }
  }

  /** Undefined if it commits; else every rule that its first bad event breaks. */
  apply(transaction: ForgedTransaction, author: Author): string[] | undefined {
    const before = structuredClone(this.state)
    const whole = this.personOf(author.id)
    if (whole === undefined) return ['KEY_REMOVED']
    const broken = this.#judge(transaction, { ...author, key: author.id, id: whole })
    if (broken.length > 0) this.state = before
    return broken.length > 0 ? broken : undefined
  }

  /** Whom a key acts for; undefined for one that was removed. */
  personOf(key: string): string | undefined {
    for (const [name, { keys }] of Object.entries(this.state.persons)) {
      const found = keys.find(({ id }) => id === key)
      if (found) return found.standing === 'removed' ? undefined : name
    }
    return key
  }

  sweep(ids: readonly EntityWords[], time: number): void {
    for (const words of ids) {
      const entity = this.#live(hexOf(words))
      if (!entity || entity.id === ROOT || entity.expires === undefined || entity.expires > time) continue
      if (entity.retain > time || entity.holds.length > 0 || this.#hasChildren(entity.id)) continue
      if (entity.counters.some(({ unit, value }) => unit !== undefined && value !== 0n)) continue
      this.#remove(entity)
    }
  }

  /** What would seal a body there: the node and the number of its newest epoch. */
  sealOf(id: string): { node: string; epoch: number } {
    const node = this.state.entities[id] ? this.#node('read', id) : ROOT
    return { node, epoch: this.state.epochs[node]?.at(-1)?.number ?? 0 }
  }

  roleOf(id: string): Role | undefined {
    return this.state.roles[this.state.newest[id] ?? '']
  }

  listOf(parent: string, collection: string): Collection | undefined {
    return this.#list(parent, collection)
  }

  /** The state as lines, for comparison with what a replica says of its own. */
  lines(): string[] {
    const { entities, collections, roles, newest, epochs, identities } = this.state
    const lines = [`clock ${this.state.clock} identities ${identities.length}`]
    for (const entity of Object.values(entities)) lines.push(entityLine(entity))
    for (const [place, { version, floor, children }] of Object.entries(collections)) {
      if (version > 0 || floor > 0) lines.push(`list ${place} ${version} ${floor} ${children.join()}`)
    }
    for (const name of Object.values(newest)) {
      const { id, node, members, generation, gone, since, waits } = roles[name]!
      lines.push(
        `role ${id} ${node} ${generation} ${gone} ${since} ${waits} ${members.map((member) => member.slice(2)).sort()}`,
      )
    }
    for (const [name, { keys, generation, since }] of Object.entries(this.state.persons))
      lines.push(
        `person ${name.slice(2)} ${generation} ${since} ${keys.map(({ id, standing }) => `${id.slice(2)}=${standing}`)}`,
      )
    for (const [id, list] of Object.entries(epochs))
      lines.push(`epochs ${id} ${list.map(({ number, since }) => `${number}/${since}`)}`)
    return lines.sort()
  }

  #judge(transaction: ForgedTransaction, author: Judged): string[] {
    for (const guard of transaction.guards) {
      const broken = this.#guard(guard, author)
      if (broken.length > 0) return broken
    }
    const sums = new Map<string, bigint>()
    const touched = new Set<string>()
    const add = (unit: string | undefined, by: bigint): void => {
      if (unit !== undefined) sums.set(unit, (sums.get(unit) ?? 0n) + by)
    }
    let created = 0
    for (const event of transaction.events) {
      const broken: string[] = []
      const bad: Bad = (code, ...when) => {
        if (when.length === 0 || when[0]) broken.push(code)
      }
      let id = event.entity ? hexOf(event.entity) : ''
      if (event.op === 1) {
        const parent = hexOf(event.parent ?? zero)
        if (event.key)
          id = sha('named-entity', this.#chain, parent, event.key, Buffer.from(event.collection ?? '')).slice(0, 32)
        else
          id =
            sha('entity', this.#chain, author.key.slice(2), transaction.nonce).slice(0, 24) +
            (++created).toString(16).padStart(8, '0')
        this.#create(event, id, parent, author, bad, add)
        touched.add(id)
      } else this.#change(event, id, author, bad, add, touched)
      if (event.body && broken.length === 0) this.#seal(event, id, bad)
      if (broken.length > 0) return broken
    }
    return this.#numbers(author, sums, touched)
  }

  #numbers(author: Author, sums: ReadonlyMap<string, bigint>, touched: ReadonlySet<string>): string[] {
    const broken: string[] = []
    for (const id of touched) {
      for (const { value, floor, ceiling } of this.#live(id)?.counters ?? []) {
        if (value < (floor ?? 1n - BIT) || value > (ceiling ?? BIT - 1n)) broken.push('COUNTER_BOUNDS')
      }
    }
    for (const [unit, sum] of sums) if (sum !== 0n && !this.#mayWrite(unit, author.id)) broken.push('NOT_CONSERVED')
    return broken
  }

  #guard({ kind, entity, collection, count }: ForgedTransaction['guards'][number], author: Author): string[] {
    const found = this.state.entities[hexOf(entity)]
    if (kind === 5) return author.time < count ? [] : ['CONFLICT']
    if (kind === 6) return author.time >= count ? [] : ['CONFLICT']
    if (kind === 4) return found?.expires !== undefined && found.expires <= author.time ? [] : ['NOT_EXPIRED']
    const list =
      kind === 2 ? this.#list(hexOf(entity), collection) : found && this.#list(found.parent, found.collection)
    const broken: string[] = []
    if (found && found.id !== ROOT && (list?.floor ?? 0) > author.base) broken.push('STALE_BASE')
    if (found?.id === ROOT && kind === 2 && (list?.floor ?? 0) > author.base) broken.push('STALE_BASE')
    const number =
      kind === 1 ? (found?.version ?? 0) : kind === 3 ? (found?.changes ?? 0) : found ? (list?.version ?? 0) : 0
    if (number !== count) broken.push('CONFLICT')
    return broken
  }

  #create(event: ForgedEvent, id: string, parent: string, author: Author, bad: Bad, add: Add): void {
    const { rare = {}, collection = '', version = 0 } = event
    if (!this.#live(parent)) {
      bad('NOT_FOUND')
      return
    }
    bad('TREE_DEPTH', this.#depth(parent) + 1 > DEPTH)
    bad('STALE_BASE', (this.#list(parent, collection)?.floor ?? 0) > author.base)
    bad('RESERVED_NAME', (collection === ROLES) !== (rare.role !== undefined))
    bad('NOT_AUTHORIZED', rare.role ? !this.#mayManage(parent, author.id) : !this.#mayWrite(parent, author.id))
    bad('NOT_AUTHORIZED', (rare.policy || rare.retain !== undefined || rare.holds) && !this.#mayOwn(parent, author.id))
    const known = this.state.entities[id]
    bad('ID_REUSED', known && !event.key)
    bad('NAME_TAKEN', known && !known.dead)
    bad('CONFLICT', version > 0 && version !== (known?.version ?? 0) + 1 && !(version === 1 && !known))
    if (known && (!event.key || !known.dead)) return
    const entity = {
      ...blank(id, parent, collection),
      version: (known?.version ?? 0) + 1,
      named: event.key !== undefined,
      changes: known?.changes ?? 0,
    }
    this.state.entities[id] = entity
    this.#enter(entity)
    this.#count(id)
    if (rare.policy || rare.epoch) this.#own(entity, event, bad)
    if (rare.role) this.#makeRole(event, entity, author, bad)
    for (const field of rare.counters ?? []) {
      const unit = field.unit && hex(field.unit)
      bad(
        'COUNTER_BOUNDS',
        entity.counters.some((counter) => counter.name === field.name),
      )
      bad('NOT_FOUND', unit !== undefined && !this.#live(unit))
      // Who may make money in a unit, or decide who may, may also make a counter that owes it.
      const owes = unit !== undefined && this.#live(unit) && (field.floor === undefined || field.floor < 0n)
      bad('NOT_AUTHORIZED', owes && !this.#mayWrite(unit, author.id) && !this.#mayManage(unit, author.id))
      const [up, down] = [this.#resolve(field.up), this.#resolve(field.down)]
      bad('NO_ROLE', up === null || down === null)
      entity.counters.push({
        name: field.name,
        value: field.value,
        floor: field.floor,
        ceiling: field.ceiling,
        unit,
        up: up ?? undefined,
        down: down ?? undefined,
      })
      if (!unit || this.#live(unit)) add(unit, field.value)
    }
    this.#expire(entity, rare, author, bad, rare.expires !== undefined || rare.ttl !== undefined)
    if (rare.retain !== undefined || rare.holds) this.#retain(entity, rare, bad)
  }

  #change(event: ForgedEvent, id: string, author: Judged, bad: Bad, add: Add, touched: Set<string>): void {
    const { rare = {}, version = 0 } = event
    const entity = this.state.entities[id]
    if (event.op === 8) {
      if (!entity?.dead) {
        bad('NOT_FOUND')
        return
      }
      bad('NOT_AUTHORIZED', !this.#mayManage(entity.parent, author.id))
      entity.version = 0
      this.#obtain(entity.parent, entity.collection).floor = author.seq
      return
    }
    if (!entity || entity.dead) {
      bad('NOT_FOUND')
      return
    }
    const role = this.state.roles[this.state.newest[id] ?? '']
    const kept = entity.retain > author.time || entity.holds.length > 0
    const [write, manage] = [this.#mayWrite(id, author.id), this.#mayManage(id, author.id)]
    const wrong = version > 0 && version !== entity.version + 1
    switch (event.op) {
      case 2: {
        bad('NOT_AUTHORIZED', !write || !event.body || id === ROOT)
        bad('CONFLICT', wrong)
        bad('RETAINED', kept)
        entity.version++
        this.#count(id)
        this.#expire(entity, rare, author, bad, rare.expires !== undefined || rare.ttl !== undefined)
        return
      }
      case 3: {
        bad('NOT_AUTHORIZED', id === ROOT || (role ? !this.#mayManage(role.node, author.id) : !write))
        bad('CONFLICT', wrong)
        bad('RETAINED', kept)
        bad('NOT_EMPTY', this.#hasChildren(id))
        for (const { unit, value } of entity.counters) add(unit, -value)
        touched.delete(id)
        if (id !== ROOT) this.#remove(entity)
        if (role) {
          Object.assign(role, { gone: true, members: [], since: ++this.state.clock })
          bad('LAST_MANAGER', !this.#rootManaged())
        }
        return
      }
      case 4:
        this.#move(event, entity, author, bad, { wrong, kept, manage })
        return
      case 5: {
        bad('NOT_AUTHORIZED', !manage || (rare.policy?.closed && !entity.policy?.closed))
        bad('EPOCH_SHAPE', !rare.policy)
        this.#own(entity, event, bad)
        return
      }
      case 6: {
        const readers = entity.policy?.read
        if (!rare.epoch || !readers) {
          bad('EPOCH_SHAPE')
          return
        }
        bad('NOT_AUTHORIZED', !manage && !(names(this.state, readers, author.id) && write))
        this.#epoch(entity, rare.epoch, readers, bad)
        return
      }
      case 7: {
        const counter = entity.counters.find(({ name }) => name === rare.counter)
        if (!counter || rare.amount === undefined) {
          bad('NO_COUNTER')
          return
        }
        const list = rare.amount < 0n ? counter.down : counter.up
        bad('NOT_AUTHORIZED', list ? !names(this.state, list, author.id) : !write)
        bad('RETAINED', kept)
        counter.value += rare.amount
        add(counter.unit, rare.amount)
        touched.add(id)
        return
      }
      case 9: {
        bad('NOT_AUTHORIZED', !this.#mayOwn(entity.parent, author.id))
        this.#retain(entity, rare, bad)
        return
      }
      case 10: {
        if (!role || !rare.role) {
          bad('NO_ROLE')
          return
        }
        const follows = role.waits && role.members.includes(author.id) && !rare.role.add && !rare.role.remove
        bad('NOT_AUTHORIZED', !this.#mayManage(role.node, author.id) && !follows)
        this.#introduce(event)
        this.#changeRole(role, rare.role, bad)
        return
      }
      case 14: {
        if (rare.person) this.#person(rare.person, author, bad)
        else bad('NO_PERSON')
        return
      }
      case 12: {
        bad('NOT_AUTHORIZED', !write)
        bad('RETAINED', kept)
        this.#expire(entity, rare, author, bad, true)
        return
      }
    }
  }

  #move(
    event: ForgedEvent,
    entity: Entity,
    author: Author,
    bad: Bad,
    facts: { wrong: boolean; kept: boolean; manage: boolean },
  ): void {
    const { rare = {}, collection = '' } = event
    const to = hexOf(event.parent ?? zero)
    bad('NOT_AUTHORIZED', !facts.manage || entity.id === ROOT || (rare.policy?.closed && !entity.policy?.closed))
    bad('CONFLICT', facts.wrong)
    bad('RETAINED', facts.kept)
    bad('NAMED_MOVE', entity.named)
    bad('RESERVED_NAME', collection === ROLES)
    bad('NOT_FOUND', !this.#live(to))
    if (!this.#live(to) || entity.id === ROOT) return
    bad('NOT_AUTHORIZED', !this.#mayWrite(to, author.id))
    bad('STALE_BASE', (this.#list(to, collection)?.floor ?? 0) > author.base)
    const cycle = this.#path(to).includes(entity.id)
    bad('TREE_CYCLE', cycle)
    if (cycle) return
    bad('TREE_DEPTH', this.#depth(to) + 1 + this.#height(entity.id) > DEPTH)
    const readers = this.#node('read', entity.id)
    this.#count(entity.id)
    this.#leave(entity)
    Object.assign(entity, { parent: to, collection, version: entity.version + 1 })
    this.#enter(entity)
    this.#count(entity.id)
    const { read } = rare.policy ?? {}
    bad(
      'EPOCH_SHAPE',
      readers !== entity.id && this.#node('read', entity.id) !== readers && (!read || read === 'inherit'),
    )
    if (rare.policy || rare.epoch) this.#own(entity, event, bad)
  }

  /** A policy of an entity's own, with the epoch that new readers bring. */
  #own(entity: Entity, event: ForgedEvent, bad: Bad): void {
    this.#introduce(event)
    const fields: PolicyFields = event.rare?.policy ?? {}
    const epoch = event.rare?.epoch
    const before = entity.policy
    const policy: Policy = { allow: [], closed: false, history: 'all', ...before }
    for (const kind of ['read', 'write', 'manage'] as const) {
      const given = fields[kind]
      if (given === undefined) continue
      const list = this.#resolve(given)
      bad('NO_ROLE', list === null)
      if (list === undefined) delete policy[kind]
      else if (list !== null) policy[kind] = list
    }
    const allow = this.#resolve(fields.allow)
    bad('NO_ROLE', allow === null)
    if (Array.isArray(allow)) policy.allow = allow
    if (fields.closed) policy.closed = true
    if (fields.history) policy.history = fields.history
    bad('EPOCH_SHAPE', before?.read && !policy.read)
    bad('LAST_MANAGER', policy.closed && !policy.manage)
    bad('LAST_MANAGER', entity.id === ROOT && (!policy.write || !policy.manage || !this.#has(policy.manage)))
    const brings = fields.read !== undefined && fields.read !== 'inherit'
    bad('EPOCH_SHAPE', brings !== (epoch !== undefined))
    bad('EPOCH_SHAPE', fields.history && !policy.read)
    bad('EPOCH_SHAPE', fields.read === 'nobody' || fields.read?.length === 0)
    entity.policy = policy
    if (epoch && policy.read) this.#epoch(entity, epoch, policy.read, bad)
  }

  #epoch(entity: Entity, fields: EpochFields, readers: List, bad: Bad): void {
    this.state.epochs[entity.id] ??= []
    const epochs = this.state.epochs[entity.id]!
    bad('EPOCH_ORDER', fields.number !== epochs.length)
    bad('EPOCH_SHAPE', entity.policy?.history === 'live' && fields.link)
    epochs.push({ number: fields.number, since: ++this.state.clock })
    if (!Array.isArray(readers)) {
      bad('EPOCH_SHAPE', readers === 'nobody' || !fields.published || fields.wraps.length > 0)
      return
    }
    const wanted = readers.flatMap((name) => {
      const role = this.state.roles[name.slice(2)]
      if (!name.startsWith('r:')) return this.#revoked(name) ? [] : [`${name}@${this.#generation(name)}`]
      return role && !role.gone ? [role.waits ? 'nothing fits' : `r:${role.id}@${role.generation}`] : []
    })
    const given = fields.wraps.map(({ to, generation }) =>
      to.length === 16 ? `r:${hex(to)}@${generation}` : `i:${hex(to)}@${generation}`,
    )
    const fits =
      given.length === wanted.length &&
      new Set([...given, ...wanted]).size === new Set(given).size &&
      new Set(given).size === new Set(wanted).size
    bad('EPOCH_SHAPE', fields.published || !fits)
  }

  #makeRole(event: ForgedEvent, entity: Entity, author: Author, bad: Bad): void {
    const fields = event.rare!.role!
    bad('EPOCH_ORDER', fields.generation !== 0 || fields.remove)
    bad('RESERVED_NAME', !event.key || event.rare?.policy)
    bad('EPOCH_SHAPE', !fields.add?.[0] || `i:${hex(fields.add[0])}` !== author.id)
    this.#introduce(event)
    const name = `${entity.id}#${this.#made++}`
    const role: Role = {
      id: entity.id,
      node: entity.parent,
      members: [],
      generation: -1,
      key: '',
      since: 0,
      gone: false,
      waits: false,
    }
    this.state.roles[name] = role
    this.state.newest[entity.id] = name
    this.#members(role, fields, bad, true)
  }

  #changeRole(role: Role, fields: RoleFields, bad: Bad): void {
    const next = role.generation + 1
    const fresh = fields.generation === next
    const must = (fields.remove?.length ?? 0) > 0 || role.waits
    bad('EPOCH_ORDER', !fresh && (fields.generation !== role.generation || must))
    if (!fresh && fields.generation !== role.generation) return
    if (fresh) role.since = ++this.state.clock
    this.#members(role, fields, bad, fresh)
    bad('LAST_MANAGER', !this.#rootManaged())
  }

  #members(role: Role, fields: RoleFields, bad: Bad, fresh: boolean): void {
    const names = (list: readonly Uint8Array[] = []): string[] => list.map((bytes) => `i:${hex(bytes)}`)
    const added = names(fields.add)
    role.members = [...new Set([...role.members.filter((name) => !names(fields.remove).includes(name)), ...added])]
    const wraps = names(fields.wraps.map(({ to }) => to))
    const wanted = fresh ? role.members : added
    bad(
      'EPOCH_SHAPE',
      wraps.length !== wanted.length ||
        new Set(wraps).size !== wraps.length ||
        wanted.some((name) => !wraps.includes(name)),
    )
    bad(
      'EPOCH_SHAPE',
      added.some((name) => !this.state.identities.includes(name) || this.#revoked(name)),
    )
    bad(
      'EPOCH_SHAPE',
      fields.wraps.some(({ to, generation }) => generation !== this.#generation(`i:${hex(to)}`)),
    )
    if (fresh) role.waits = false
    bad('EPOCH_SHAPE', !fresh && role.key !== hex(fields.publicKey))
    role.key = hex(fields.publicKey)
    role.generation = fields.generation
  }

  /** A person's next keys; see the rows of the design: owners change it, who manages the root removes. */
  #person(fields: PersonFields, author: Judged, bad: Bad): void {
    const name = `i:${hex(fields.person)}`
    if (!this.state.identities.includes(name)) {
      bad('NO_PERSON')
      return
    }
    const mine = author.id === name
    this.state.persons[name] ??= {
      keys: [{ id: name, standing: 'owner' }],
      generation: -1,
      lent: false,
      key: '',
      since: 0,
    }
    const person = this.state.persons[name]
    const owner = mine && person.keys.some(({ id, standing }) => id === author.key && standing === 'owner')
    bad('NOT_OWNER', mine && !owner)
    bad('NOT_AUTHORIZED', fields.key ? !mine : !this.#mayManage(ROOT, author.id))
    for (const bytes of fields.remove ?? []) {
      const key = person.keys.find(({ id, standing }) => id === `i:${hex(bytes)}` && standing !== 'removed')
      bad('NO_PERSON', !key)
      if (key) key.standing = 'removed'
    }
    if (fields.key) this.#asOwner(person, name, fields, bad)
    else this.#revoke(person, name, fields, bad)
    bad('LAST_MANAGER', !this.#rootManaged())
  }

  #asOwner(person: Person, name: string, { key, add = [], remove = [] }: PersonFields, bad: Bad): void {
    const { generation, publicKey, wraps, link } = key!
    const next = person.generation + 1
    const must = remove.length > 0 || person.generation < 0 || person.lent
    bad('EPOCH_ORDER', generation !== next && (must || generation !== person.generation))
    const added: string[] = []
    for (const { keys, standing, consent } of add) {
      const id = `i:${sha('identity', keys)}`
      const known = this.state.identities.includes(id) || this.state.wrote.includes(id)
      bad('KEY_IN_USE', known || Object.values(this.state.persons).some((one) => one.keys.some((own) => own.id === id)))
      bad('BAD_CONSENT', !this.agreed.has(`${id} ${name} ${hex(consent)}`))
      person.keys.push({ id, standing })
      added.push(id)
    }
    const left = person.keys.filter(({ standing }) => standing !== 'removed')
    bad('LAST_OWNER', !left.some(({ standing }) => standing === 'owner'))
    bad('EPOCH_SHAPE', left.length > 64)
    const fresh = generation === next
    const wanted = fresh ? left.map(({ id }) => id) : added
    const given = wraps.map(({ to }) => `i:${hex(to)}`)
    bad('EPOCH_SHAPE', given.length !== wanted.length || wanted.some((id) => !given.includes(id)))
    bad('EPOCH_SHAPE', new Set(given).size !== given.length || wraps.some((wrap) => wrap.generation !== undefined))
    bad('EPOCH_SHAPE', !fresh && (hex(publicKey) !== person.key || link))
    if (fresh) this.#nextKey(person, name, { key: hex(publicKey), lent: false })
  }

  #revoke(person: Person, name: string, { add, remove }: PersonFields, bad: Bad): void {
    bad('EPOCH_SHAPE', add || !remove?.length)
    const left = person.keys.filter(({ standing }) => standing !== 'removed')
    if (left.some(({ standing }) => standing === 'owner')) {
      this.#nextKey(person, name, { key: 'lent', lent: true })
      return
    }
    for (const key of left) key.standing = 'removed'
    person.since = ++this.state.clock
    for (const role of this.#rolesOf(name)) {
      role.waits = true
      role.members = role.members.filter((member) => member !== name)
    }
  }

  #nextKey(person: Person, name: string, { key, lent }: { key: string; lent: boolean }): void {
    Object.assign(person, { generation: person.generation + 1, key, lent, since: ++this.state.clock })
    for (const role of this.#rolesOf(name)) role.waits = true
  }

  #rolesOf(name: string): Role[] {
    return Object.values(this.state.roles).filter(({ members }) => members.includes(name))
  }

  #revoked(name: string): boolean {
    return this.state.persons[name]?.keys.every(({ standing }) => standing === 'removed') ?? false
  }

  #generation(name: string): number | undefined {
    const generation = this.state.persons[name]?.generation ?? -1
    return generation < 0 ? undefined : generation
  }

  #seal(event: ForgedEvent, id: string, bad: Bad): void {
    const node = this.#node('read', id)
    const epoch = this.state.epochs[node]?.at(-1)
    const readers = this.state.entities[node]!.policy?.read
    const rotated =
      Array.isArray(readers) &&
      readers.some((name) => {
        const role = this.state.roles[name.slice(2)]
        return role?.waits || ((role ?? this.state.persons[name])?.since ?? 0) > (epoch?.since ?? 0)
      })
    bad('STALE_EPOCH', !epoch || rotated || hexOf(event.body!.node) !== node || event.body!.epoch !== epoch.number)
  }

  #expire(entity: Entity, rare: NonNullable<ForgedEvent['rare']>, author: Author, bad: Bad, sets: boolean): void {
    if (!sets) return
    bad(
      'RESERVED_NAME',
      this.state.newest[entity.id] !== undefined && !this.state.roles[this.state.newest[entity.id]!]!.gone,
    )
    entity.expires = rare.expires ?? (rare.ttl === undefined ? undefined : author.time + rare.ttl)
  }

  #retain(entity: Entity, rare: NonNullable<ForgedEvent['rare']>, bad: Bad): void {
    bad('RETAIN_SHRINKS', rare.retain !== undefined && rare.retain < entity.retain)
    entity.retain = rare.retain ?? entity.retain
    entity.holds = [...new Set([...entity.holds, ...(rare.holds ?? [])])]
  }

  #introduce(event: ForgedEvent): void {
    for (const keys of event.rare?.identities ?? []) {
      const id = `i:${sha('identity', keys)}`
      const isKey = Object.values(this.state.persons).some((one) => one.keys.some((own) => own.id === id))
      if (!this.state.identities.includes(id) && !isKey) this.state.identities.push(id)
    }
  }

  /** Undefined: inherited. Null: it names somebody whom the chain does not know. */
  #resolve(fields: PolicyFields['read']): List | undefined | null {
    if (fields === undefined || fields === 'inherit') return undefined
    if (typeof fields === 'string') return fields
    const list = fields.map((bytes) => {
      const name = `i:${hex(bytes)}`
      if (bytes.length === 32) return this.state.identities.includes(name) && !this.#revoked(name) ? name : undefined
      const newest = this.state.newest[hex(bytes)]
      return newest && !this.state.roles[newest]!.gone ? `r:${newest}` : undefined
    })
    return list.includes(undefined) ? null : (list as string[])
  }

  #has(list: List): boolean {
    if (!Array.isArray(list)) return list === 'everyone'
    return list.some((name) =>
      name.startsWith('i:') ? !this.#revoked(name) : (this.state.roles[name.slice(2)]?.members.length ?? 0) > 0,
    )
  }

  #rootManaged(): boolean {
    return this.#has(this.state.entities[ROOT]!.policy!.manage!)
  }

  #live(id: string): Entity | undefined {
    const entity = this.state.entities[id]
    return entity && !entity.dead ? entity : undefined
  }

  /** From an entity up to the root. */
  #path(id: string): string[] {
    const path = [id]
    while (path.at(-1) !== ROOT) path.push(this.state.entities[path.at(-1)!]!.parent)
    return path
  }

  #depth(id: string): number {
    return this.#path(id).length - 1
  }

  #height(id: string): number {
    const below = Object.values(this.state.entities).filter(
      (entity) => !entity.dead && this.#path(entity.id).includes(id),
    )
    return Math.max(0, ...below.map((entity) => this.#path(entity.id).indexOf(id)))
  }

  #hasChildren(id: string): boolean {
    return Object.values(this.state.entities).some(
      (entity) => entity.parent === id && entity.id !== ROOT && !entity.dead,
    )
  }

  #node(kind: 'read' | 'write', id: string): string {
    return this.#path(id).find((one) => this.state.entities[one]!.policy?.[kind] !== undefined)!
  }

  #mayWrite(id: string, who: string): boolean {
    return names(this.state, this.state.entities[this.#node('write', id)]!.policy!.write!, who)
  }

  #mayManage(id: string, who: string): boolean {
    const path = this.#path(id)
    const closed = path.findIndex((one) => this.state.entities[one]!.policy?.closed)
    return path.slice(0, closed + 1).some((one) => {
      const list = this.state.entities[one]!.policy?.manage
      return list !== undefined && names(this.state, list, who)
    })
  }

  #mayOwn(id: string, who: string): boolean {
    return this.#mayManage(id, who) || names(this.state, this.state.entities[id]!.policy?.allow ?? [], who)
  }

  #list(parent: string, collection: string): Collection | undefined {
    return this.state.collections[`${parent}/${collection}`]
  }

  #obtain(parent: string, collection: string): Collection {
    const place = `${parent}/${collection}`
    this.state.collections[place] ??= { version: 0, floor: 0, children: [] }
    return this.state.collections[place]
  }

  #enter(entity: Entity): void {
    const list = this.#obtain(entity.parent, entity.collection)
    list.children.push(entity.id)
    list.version++
  }

  #leave(entity: Entity): void {
    const list = this.#obtain(entity.parent, entity.collection)
    list.children = list.children.filter((id) => id !== entity.id)
    list.version++
  }

  #remove(entity: Entity): void {
    entity.dead = true
    entity.version++
    this.#leave(entity)
    this.#count(entity.id)
  }

  #count(id: string): void {
    for (const one of this.#path(id)) this.state.entities[one]!.changes++
  }
}

export function entityLine(entity: Omit<Entity, 'policy'>): string {
  const { id, parent, collection, version, dead, named, expires, retain, holds, counters, changes } = entity
  const numbers = dead ? '' : counters.map(({ name, value, unit }) => `${name}=${value}/${unit ?? ''}`).join()
  return `${id} in ${parent}/${collection} v${version} ${dead ? 'dead' : 'alive'} ${named} c${changes} ${expires} ${retain} ${holds} ${numbers}`
}

/** Breaks a rule: always, or if the condition holds. */
type Bad = (code: string, ...when: readonly [] | readonly [unknown]) => void
/** `id` is whom policies name. */
type Judged = Author & { readonly key: string }
type Add = (unit: string | undefined, by: bigint) => void

const zero: EntityWords = { a: 0, b: 0, c: 0, d: 0 }

function blank(id: string, parent: string, collection: string): Entity {
  return {
    id,
    parent,
    collection,
    version: 1,
    dead: false,
    named: false,
    retain: 0,
    holds: [],
    counters: [],
    changes: 0,
  }
}

function names(state: State, list: List, who: string): boolean {
  if (!Array.isArray(list)) return list === 'everyone'
  return list.some((name) => name === who || (state.roles[name.slice(2)]?.members.includes(who) ?? false))
}
