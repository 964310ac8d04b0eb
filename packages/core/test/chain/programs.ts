/**
 * Random programs over a few people, roles and nodes: sound and unsound steps mixed, chosen by numbers so that a failing
 * program shrinks. Each step is written through a Forger and told to the model; what they say must agree.
 */
import { expect } from 'vitest'
import { fromBinaryText, fromHex, toBinaryText, toHex } from '../../src/base/bytes.ts'
import type { Replica } from '../../src/chain/replica.ts'
import { bytesOfWords, EntityWords, ROOT_ENTITY, wordsOf } from '../../src/event/entity-words.ts'
import { OP } from '../../src/event/format.ts'
import type { PersonKeyFields, PolicyFields, RareFields } from '../../src/event/rare-fields.ts'
import {
  type Actor,
  change,
  create,
  type ForgedBody,
  type ForgedEvent,
  type ForgedSession,
  type ForgedTransaction,
  Forger,
  guard,
  nameKey,
  type RoleAt,
} from '../../src/testing/chain-kit.ts'
import { ROW } from '../../src/view/entity-table.ts'
import { ann, bob, crypto, devices, eve, outcomesOf, type Part, root } from './kit.ts'
import { entityLine, hexOf, Model, ROOT } from './model.ts'

/** Choices of a step: as many numbers as it asks for, then zeros. */
export type Step = readonly number[]

const PEOPLE: readonly Actor[] = [root, ann, bob, eve]
const COLLECTIONS = ['c', 'd', 'ate:roles']
const NAMES = ['x', 'y', 'z']

export interface Counts {
  committed: number
  void: number
  readonly codes: Map<string, number>
}

/** Called with each commit before it is fed. */
export type Watch = (chain: Forger, record: ReturnType<Forger['commit']>) => void

export class Program {
  readonly chain: Forger
  readonly model: Model
  readonly counts: Counts = { committed: 0, void: 0, codes: new Map() }
  readonly #sessions = new Map<string, ForgedSession>()
  readonly #watch: Watch
  /** Members who were removed, by role, and not added again since: as the committed events say. */
  readonly #denied = new Map<string, Set<string>>()
  #choices: number[] = []
  #fresh: EntityWords[] = []

  constructor(seed: number, watch: Watch = () => undefined) {
    this.chain = new Forger({ crypto, roots: [root], seed })
    this.model = new Model(this.chain.chainId, root.identity.keys)
    this.#watch = watch
    this.#prelude()
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) this.step(step)
  }

  step(step: Step): void {
    this.#choices = [...step]
    const kind = this.#pick(12)
    if (kind === 0) this.chain.time += this.#pick(200)
    else if (kind === 1) this.#sweep()
    else if (kind === 2) this.#attest()
    else {
      const author = this.#one([root, root, root, ann, ann, bob, eve, ...devices.filter((one) => this.#isTaken(one))])
      const count = 1 + this.#pick(3)
      const transactions: ForgedTransaction[] = []
      for (let i = 0; i < count; i++) transactions.push(this.#transaction(author))
      this.#write(author, transactions)
    }
    expect(replicaLines(this.chain.replica)).toEqual(this.model.lines())
    this.#checkDenials()
  }

  /** The key is or was one of a person. */
  #isTaken({ id }: Actor): boolean {
    return this.model.personOf(`i:${toHex(id)}`) !== `i:${toHex(id)}`
  }

  /**
   * A box that ann writes to, a role with ann and bob, a room that they read, a unit with two accounts; ann has taken a
   * second key.
   */
  #prelude(): void {
    const { chain } = this
    const key = nameKey('crew')
    const role = chain.nameOf(ROOT_ENTITY, 'ate:roles', key)
    const members = [root, ann, bob]
    const list = [bytesOfWords(role)]
    const unit = chain.tx(create({ collection: 'units' }))
    const unitId = bytesOfWords(chain.idOf(root, unit))
    const account = (value: bigint): ForgedEvent =>
      create({ collection: 'c', rare: { counters: [{ name: 'n', value, floor: 0n, unit: unitId }] } })
    const identities = [ann.identity.keys, bob.identity.keys]
    const rare = { identities, policy: { write: [root.id, ann.id], allow: [ann.id] } }
    this.#write(root, [chain.tx(create({ collection: 'c', rare }))])
    const person = chain.person(ann, 0, [ann, devices[0]!], { add: [this.#personKey(devices[0]!, ann)] })
    this.#write(ann, [chain.tx(change(OP.person, ROOT_ENTITY, { rare: { person } }))])
    this.#write(root, [
      chain.tx(
        create({
          collection: 'ate:roles',
          key,
          rare: {
            role: chain.role(0, members, { add: members.map(({ id }) => id) }),
          },
        }),
      ),
      chain.tx(
        create({
          collection: 'c',
          rare: { policy: { read: list, write: list }, epoch: chain.epoch(0, [{ role, generation: 0 }]) },
        }),
      ),
      unit,
      chain.tx(account(50n), account(0n), create({ collection: 'c', rare: { policy: { write: 'everyone' } } })),
    ])
    expect(this.counts.void).toBe(0)
  }

  #pick(below: number): number {
    return (this.#choices.shift() ?? 0) % below
  }

  #one<T>(list: readonly T[]): T {
    return list[this.#pick(list.length)]!
  }

  #oneIn(times: number): boolean {
    return this.#pick(times) === times - 1
  }

  #session(actor: Actor): ForgedSession {
    let session = this.#sessions.get(actor.name)
    const ended = session && this.chain.replica.trust.certificates.get(toBinaryText(session.id))?.ended
    if (!session || session.body.until < this.chain.time || (ended && this.#oneIn(2))) {
      session = this.chain.session(actor)
      this.#sessions.set(actor.name, session)
    }
    return session
  }

  #write(actor: Actor, transactions: readonly ForgedTransaction[]): void {
    const { chain, model } = this
    const session = this.#session(actor)
    const { head } = chain.replica
    const back = this.#oneIn(6) ? Math.max(0, head.seq - this.#pick(4)) : head.seq
    const base = { seq: back, hash: chain.replica.hashes.at(back)! }
    this.#watch(chain, chain.commit(session, transactions, { base }))
    const stranger = !chain.replica.trust.keysOf(actor.key) && session.fresh
    const key = `i:${toHex(actor.id)}`
    const ended = chain.replica.trust.certificates.get(toBinaryText(session.id))?.ended
    const denied = ended ? 'CERT_ENDED' : model.personOf(key) === undefined ? 'KEY_REMOVED' : undefined
    const accepted = chain.write(session, transactions, { base })
    const author = { id: key, time: accepted.time, seq: head.seq + 1, base: back }
    const wanted = transactions.map((transaction) => (denied ? [denied] : model.apply(transaction, author)))
    const wrote = wanted.some((broken, i) => !broken && transactions[i]!.events.length > 0)
    if (!denied && (!stranger || wrote)) model.state.wrote.push(key)
    const found = outcomesOf(accepted)
    found.forEach((code, i) => {
      const broken = stranger && !wrote ? ['UNKNOWN_WRITER'] : (wanted[i] ?? ['committed'])
      expect(broken, `transaction ${i} of ${head.seq + 1}: ${code}`).toContain(code)
      if (code === 'committed') this.#note(transactions[i]!)
      this.counts[code === 'committed' ? 'committed' : 'void']++
      this.counts.codes.set(code, (this.counts.codes.get(code) ?? 0) + 1)
    })
  }

  #note(transaction: ForgedTransaction): void {
    for (const { op, entity, rare } of transaction.events) {
      if (op !== OP.role || !rare?.role) continue
      const denied = this.#denied.get(hexOf(entity!)) ?? new Set()
      this.#denied.set(hexOf(entity!), denied)
      for (const name of rare.role.remove ?? []) denied.add(toBinaryText(name))
      for (const name of rare.role.add ?? []) denied.delete(toBinaryText(name))
    }
  }

  /** Who was removed is out until a committed event adds him. */
  #checkDenials(): void {
    for (const role of this.chain.replica.trust.roles.values()) {
      if (role.generations.length < 2) continue
      for (const name of this.#denied.get(hexOf(new EntityWords(role.id.a, role.id.b, role.id.c, role.id.d))) ?? [])
        expect(role.members.has(name)).toBe(false)
    }
  }

  #sweep(): void {
    const { chain, model } = this
    const ids = Object.keys(model.state.entities)
      .filter(() => !this.#oneIn(3))
      .map((id) => wordsOf(fromHex(id)!))
    const before = chain.replica.chainTime
    chain.feed(chain.sweep(ids))
    model.sweep(ids, before)
  }

  #attest(): void {
    const { chain } = this
    if (this.#oneIn(2)) {
      chain.feed(chain.checkpoint())
      return
    }
    const session = this.#session(this.#one([root, ann]))
    const stored = chain.replica.trust.certificates.get(toBinaryText(session.id))
    if (stored && stored.unattested.length > 0) chain.feed(chain.attestation(session))
  }

  #transaction(author: Actor): ForgedTransaction {
    const { chain } = this
    this.#fresh = []
    const tx = chain.tx()
    const guards = this.#oneIn(3) ? [this.#guard()] : []
    const events: ForgedEvent[] = []
    let unnamed = 0
    for (let n = 1 + this.#pick(3); n > 0; n--) {
      const event = this.#event(author)
      events.push(event)
      if (event.op !== OP.create) continue
      this.#fresh.push(
        event.key
          ? chain.nameOf(event.parent ?? ROOT_ENTITY, event.collection ?? '', event.key)
          : chain.idOf(author, tx, ++unnamed),
      )
    }
    return { nonce: tx.nonce, guards: guards as ForgedTransaction['guards'], events }
  }

  #guard(): Part {
    const id = this.#entity()
    const known = this.model.state.entities[hexOf(id)]
    const off = this.#oneIn(4) ? 1 : 0
    const collection = this.#one(COLLECTIONS)
    switch (this.#pick(6)) {
      case 0:
        return guard('version', id, (known?.version ?? 0) + off)
      case 1:
        return guard('members', id, (this.model.listOf(hexOf(id), collection)?.version ?? 0) + off, collection)
      case 2:
        return guard('subtree', id, (known?.changes ?? 0) + off)
      case 3:
        return guard('expired', id)
      case 4:
        return guard('before', id, this.chain.time - 30 + this.#pick(100))
      default:
        return guard('notBefore', id, this.chain.time - 70 + this.#pick(100))
    }
  }

  /** Mostly one that is there; sometimes the newest of this transaction, the root, or one that never was. */
  #entity(): EntityWords {
    const draw = this.#pick(16)
    if (draw === 0) return new EntityWords(9, 9, 9, 9)
    if (draw < 3) return ROOT_ENTITY
    if (draw < 5 && this.#fresh.length > 0) return this.#fresh[this.#fresh.length - 1]!
    const all = Object.values(this.model.state.entities)
    const some = draw < 7 ? all : all.filter(({ dead }) => !dead)
    return wordsOf(fromHex(this.#one(some).id)!)
  }

  #event(author: Actor): ForgedEvent {
    const draw = this.#pick(22)
    if (draw < 6) return this.#create(author)
    if (draw > 19) return this.#person(author)
    const id = this.#entity()
    const known = this.model.state.entities[hexOf(id)]
    const version = this.#oneIn(3) ? (known?.version ?? 0) + (this.#oneIn(4) ? 2 : 1) : 0
    const timed = { ...(this.#oneIn(2) ? { ttl: this.#pick(100) } : { expires: this.chain.time + this.#pick(100) }) }
    switch (draw) {
      case 6:
      case 7:
      case 8:
        return change(OP.put, id, {
          version,
          ...(this.#oneIn(9) ? {} : { body: this.#body(id) }),
          ...(this.#oneIn(5) ? { rare: timed } : {}),
        })
      case 9:
      case 10:
        return change(OP.delete, id, { version })
      case 11:
      case 12:
        return change(OP.move, id, {
          version,
          parent: this.#entity(),
          collection: this.#one(COLLECTIONS),
          ...(this.#oneIn(3) ? { rare: this.#policy(id, 'moved') } : {}),
        })
      case 13:
        return change(OP.policy, id, { rare: this.#policy(id, 'set') })
      case 14:
        return change(OP.epoch, id, { rare: { epoch: this.#epoch(id, undefined) } })
      case 15:
        return change(OP.add, id, {
          rare: { counter: this.#oneIn(9) ? 'm' : 'n', amount: BigInt(this.#pick(60)) - 30n },
        })
      case 16:
        return change(OP.forget, id)
      case 17:
        return change(OP.retain, id, {
          rare: this.#oneIn(4) ? { holds: ['h'] } : { retain: this.chain.time - 50 + this.#pick(100) },
        })
      case 18:
        return change(OP.expire, id, { rare: timed })
      default:
        return this.#role()
    }
  }

  #create(author: Actor): ForgedEvent {
    const { chain } = this
    const parent = this.#entity()
    const collection = this.#one(['c', 'c', 'd', 'd', 'ate:roles'])
    const named = this.#oneIn(2) || collection === 'ate:roles'
    const key = named ? { key: nameKey(this.#one(NAMES)) } : {}
    const version = this.#oneIn(4) ? { version: 1 + this.#pick(3) } : {}
    if (collection === 'ate:roles') {
      const members = this.#oneIn(2) ? [author] : [author, ...PEOPLE.filter((one) => one !== author && this.#oneIn(2))]
      const role = chain.role(0, this.#oneIn(8) ? [] : members, { add: members.map(({ id }) => id) })
      return create({
        parent,
        collection,
        ...key,
        rare: { role, ...(this.#oneIn(3) ? { identities: [eve.identity.keys] } : {}) },
      })
    }
    const rare: RareFields = {
      ...(this.#oneIn(4) ? { ttl: this.#pick(100) } : {}),
      ...(this.#oneIn(8) ? { retain: chain.time + this.#pick(100) } : {}),
      ...(this.#oneIn(4) ? { counters: [this.#counter()] } : {}),
      ...(this.#oneIn(4) ? this.#policy(hexOf(parent) === ROOT ? ROOT_ENTITY : parent, 'new') : {}),
    }
    const own = rare.policy?.read !== undefined || rare.epoch !== undefined
    const body = this.#oneIn(2) && !own ? { body: this.#body(parent) } : {}
    return create({
      parent,
      collection,
      ...key,
      ...version,
      ...body,
      ...(Object.keys(rare).length > 0 ? { rare } : {}),
    })
  }

  #counter(): NonNullable<RareFields['counters']>[number] {
    const units = Object.values(this.model.state.entities).filter(({ collection }) => collection === 'units')
    const unit = this.#oneIn(2) || units.length === 0 ? {} : { unit: fromHex(units[0]!.id)! }
    const up = this.#oneIn(3) ? { up: this.#list() as PolicyFields['allow'] & object } : {}
    return {
      name: 'n',
      value: BigInt(this.#pick(4)) - 1n,
      ...(this.#oneIn(3) ? {} : { floor: 0n }),
      ceiling: 60n,
      ...unit,
      ...up,
    }
  }

  #body(id: EntityWords): ForgedBody {
    const { node, epoch } = this.model.sealOf(hexOf(id))
    const off = this.#oneIn(10) ? 1 : 0
    return { node: wordsOf(fromHex(node)!), epoch: epoch + off, bytes: this.chain.bytes(1 + this.#pick(9)) }
  }

  #list(): Uint8Array[] {
    const roles = Object.keys(this.model.state.newest).map((id) => fromHex(id)!)
    const entries = [...PEOPLE.map(({ id }) => id), ...roles]
    return Array.from({ length: 1 + this.#pick(2) }, () => this.#one(entries))
  }

  #policy(id: EntityWords, when: 'new' | 'set' | 'moved'): RareFields {
    const policy: PolicyFields = {
      ...(this.#oneIn(2) ? { write: this.#oneIn(6) ? ('inherit' as const) : this.#list() } : {}),
      ...(this.#oneIn(3) ? { manage: this.#oneIn(6) ? ('inherit' as const) : this.#list() } : {}),
      ...(this.#oneIn(5) ? { allow: this.#list() } : {}),
      ...(this.#oneIn(6) ? { closed: true } : {}),
      ...(this.#oneIn(9) ? { history: 'live' as const } : {}),
    }
    const identities = this.#oneIn(4) ? { identities: [eve.identity.keys] } : {}
    if (!this.#oneIn(2)) return { policy, ...identities }
    const read = this.#oneIn(5) ? ('everyone' as const) : this.#list()
    const epoch = this.#epoch(when === 'new' ? undefined : id, read)
    return { policy: { ...policy, read }, ...(this.#oneIn(9) ? {} : { epoch }), ...identities }
  }

  /** Mostly the next epoch for the readers that the policy names, at the generations that their roles have. */
  #epoch(
    id: EntityWords | undefined,
    read: 'everyone' | readonly Uint8Array[] | undefined,
  ): NonNullable<RareFields['epoch']> {
    const { model, chain } = this
    const next = id ? (model.state.epochs[hexOf(id)]?.length ?? 0) : 0
    const number = next + (this.#oneIn(12) ? 1 : 0)
    const link = this.#oneIn(3) ? { link: chain.bytes(8) } : {}
    const stored = id && model.state.entities[hexOf(id)]?.policy?.read
    const readers =
      read ?? (Array.isArray(stored) ? stored.map((name) => fromHex(name.slice(2).split('#')[0]!)!) : 'everyone')
    if (readers === 'everyone') return chain.epoch(number, readers, link)
    const wraps = readers.flatMap((entry): (Uint8Array | RoleAt)[] => {
      if (entry.length === 32) return [entry]
      const role = model.roleOf(toHex(entry))
      return role && !role.gone
        ? [{ role: wordsOf(entry), generation: role.generation - (this.#oneIn(12) ? 1 : 0) }]
        : []
    })
    if (this.#oneIn(12)) wraps.push(eve.id)
    return chain.epoch(
      number,
      wraps.map((wrap) => (wrap instanceof Uint8Array || wrap.generation >= 0 ? wrap : { ...wrap, generation: 0 })),
      link,
    )
  }

  #role(): ForgedEvent {
    const { model, chain } = this
    const ids = Object.keys(model.state.newest)
    const id = ids[this.#pick(ids.length)]!
    const role = model.roleOf(id)!
    // Now and then what a member may do too: the next key for those who are in.
    if (this.#oneIn(4)) {
      const after = PEOPLE.filter(({ id: name }) => role.members.includes(`i:${toHex(name)}`))
      return change(OP.role, wordsOf(fromHex(id)!), { rare: { role: chain.role(role.generation + 1, after) } })
    }
    const isIn = ({ id: name }: Actor): boolean => role.members.includes(`i:${toHex(name)}`)
    const remove = PEOPLE.filter((one) => isIn(one) && this.#oneIn(3))
    const add = PEOPLE.filter((one) => !isIn(one) && this.#oneIn(3))
    const fresh = remove.length > 0 || role.waits || this.#oneIn(4)
    const after = PEOPLE.filter((one) => (isIn(one) && !remove.includes(one)) || add.includes(one))
    const generation = role.generation + (fresh ? 1 : 0) + (this.#oneIn(12) ? 1 : 0)
    const fields = chain.role(generation, fresh ? after : add, {
      ...(add.length > 0 ? { add: add.map((one) => one.id) } : {}),
      ...(remove.length > 0 ? { remove: remove.map((one) => one.id) } : {}),
    })
    return change(OP.role, wordsOf(fromHex(id)!), { rare: { role: fields, identities: [eve.identity.keys] } })
  }

  #personKey(key: Actor, of: Actor, standing: 'owner' | 'device' = 'device'): PersonKeyFields {
    const fields = this.chain.personKey(key, of, standing)
    this.model.agreed.add(`i:${toHex(key.id)} i:${toHex(of.id)} ${toHex(fields.consent)}`)
    return fields
  }

  #person(author: Actor): ForgedEvent {
    const { model, chain } = this
    const own = PEOPLE.find(({ id }) => `i:${toHex(id)}` === model.personOf(`i:${toHex(author.id)}`)) ?? eve
    const of = this.#oneIn(4) ? this.#one(PEOPLE) : own
    const stored = model.state.persons[`i:${toHex(of.id)}`]
    const living = stored ? livingKeys(stored.keys) : [of]
    const remove = living.filter(() => this.#oneIn(5))
    const removed = remove.length > 0 ? { remove: remove.map(({ id }) => id) } : {}
    if (of !== own ? !this.#oneIn(4) : this.#oneIn(6))
      return change(OP.person, ROOT_ENTITY, { rare: { person: { person: of.id, ...removed } } })
    const add = [...devices, bob].filter((one) => !living.includes(one) && this.#oneIn(one === bob ? 20 : 5))
    const keys = add.map((one) => this.#personKey(one, this.#oneIn(12) ? eve : of, this.#oneIn(2) ? 'owner' : 'device'))
    const fresh = !stored || stored.generation < 0 || stored.lent || remove.length > 0 || this.#oneIn(4)
    const after = [...living.filter((one) => !remove.includes(one)), ...add]
    const generation = (stored?.generation ?? -1) + (fresh ? 1 : 0) + (this.#oneIn(12) ? 1 : 0)
    const wrapFor = this.#oneIn(12) ? living : fresh ? after : add
    const person = chain.person(of, Math.max(0, generation), wrapFor, {
      ...removed,
      ...(add.length > 0 ? { add: keys } : {}),
    })
    return change(OP.person, this.#oneIn(12) ? this.#entity() : ROOT_ENTITY, { rare: { person } })
  }
}

/** Keys of a person: mostly as its owner would change them, or as who manages the root would revoke one. */
function livingKeys(keys: readonly { readonly id: string; readonly standing: string }[]): Actor[] {
  const living = keys.filter(({ standing }) => standing !== 'removed').map(({ id }) => id)
  return [...PEOPLE, ...devices].filter(({ id }) => living.includes(`i:${toHex(id)}`))
}

/** A replica's state in the words of the model. */
function replicaLines({ view, trust }: Replica): string[] {
  const { table, names } = view
  const idOf = (row: number): string => hexOf(view.wordsOf(row))
  const lines = [`clock ${trust.tick} identities ${trust.identities.size}`]
  for (let row = 0; row < table.rows; row++) {
    const { counters, expires, retain, holds } = view.extraOf(row)
    lines.push(
      entityLine({
        id: idOf(row),
        parent: idOf(view.parentOf(row)),
        collection: names.text(table.get(row, ROW.collection)),
        version: view.versionOf(row),
        dead: view.isDead(row),
        named: (table.get(row, ROW.blockAndFlags) & (1 << 9)) !== 0,
        expires,
        retain,
        holds: [...holds],
        counters: counters.map(({ name, value, unit }) => ({
          name,
          value,
          unit: unit === undefined ? undefined : idOf(unit),
        })),
        changes: table.get(row, ROW.subtree),
      }),
    )
    for (const list of view.children.of(row)) {
      if (list.version === 0 && list.floor === 0) continue
      const children: string[] = []
      for (let i = 0; i < list.length; i++) {
        const child = list.items[i]!
        const isHere =
          table.get(child, ROW.slot) === i &&
          view.parentOf(child) === row &&
          table.get(child, ROW.collection) === list.collection
        if (isHere && !view.isDead(child)) children.push(idOf(child))
      }
      expect(list.live).toBe(children.length)
      lines.push(`list ${idOf(row)}/${names.text(list.collection)} ${list.version} ${list.floor} ${children.join()}`)
    }
  }
  for (const role of trust.roles.values()) {
    const { id, node, members, generations, dropped, rotatedAt, stale } = role
    const list = [...members].map(hexOfName).sort()
    lines.push(
      `role ${hexOf(new EntityWords(id.a, id.b, id.c, id.d))} ${idOf(node)} ${generations.at(-1)!.number} ${dropped} ${rotatedAt} ${stale} ${list}`,
    )
  }
  for (const { name, keys, generations, rotatedAt } of trust.persons.values()) {
    const list = [...keys].map(([key, { standing }]) => `${hexOfName(key)}=${standing}`)
    lines.push(`person ${hexOfName(name)} ${generations.at(-1)?.number ?? -1} ${rotatedAt} ${list}`)
  }
  for (const [row, epochs] of trust.epochs)
    lines.push(`epochs ${idOf(row)} ${epochs.map(({ number, tick }) => `${number}/${tick}`)}`)
  return lines.sort()
}

function hexOfName(name: string): string {
  return toHex(fromBinaryText(name))
}
