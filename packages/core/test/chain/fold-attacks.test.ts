/**
 * What an attacker with keys of his own would try: a member who writes, one who was removed, a manager of a part, a
 * stranger. Each test is an attack that must not work, and the honest act beside it that must.
 */
import { describe, expect, it } from 'vitest'
import { toBinaryText } from '../../src/base/bytes.ts'
import { treeRoot } from '../../src/crypto/merkle.ts'
import { makeCertificate } from '../../src/event/certificate.ts'
import { bytesOfWords, type EntityWords, ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { OP } from '../../src/event/format.ts'
import {
  type Actor,
  change,
  create,
  type ForgedEvent,
  type ForgedSession,
  type Forger,
  guard,
  nameKey,
  type RoleAt,
} from '../../src/testing/chain-kit.ts'
import { ed25519Cases } from '../../src/testing/ed25519-cases.ts'
import { stateText } from './digest.ts'
import {
  alarms,
  ann,
  bob,
  boxChain,
  commits,
  creates,
  crypto,
  eve,
  forger,
  outcomesOf,
  type Part,
  refuses,
  root,
} from './kit.ts'

const ROLES = 'ate:roles'
const PEOPLE = [ann.identity.keys, bob.identity.keys, eve.identity.keys]

interface Room {
  readonly chain: Forger
  readonly boss: ForgedSession
  readonly role: EntityWords
  readonly room: EntityWords
}

function roleEvent(chain: Forger, members: readonly Actor[], name = 'crew', node = ROOT_ENTITY): Part {
  const role = chain.role(0, members, { name, add: members.map(({ id }) => id) })
  return create({ parent: node, collection: ROLES, key: nameKey(name), rare: { identities: PEOPLE, role } })
}

/** A room that the role crew (root, ann, bob) reads and writes. */
function roomChain(): Room {
  const chain = forger()
  const boss = chain.session(root)
  const role = creates(chain, boss, roleEvent(chain, [root, ann, bob]) as ReturnType<typeof create>)
  const list = [bytesOfWords(role)]
  const rare = { policy: { read: list, write: list }, epoch: chain.epoch(0, [{ role, generation: 0 }]) }
  const room = creates(chain, boss, create({ collection: 'rooms', rare }))
  return { chain, boss, role, room }
}

const rowOf = ({ replica }: Forger, { a, b, c, d }: EntityWords): number => replica.view.table.find(a, b, c, d)

describe('places', () => {
  it('a node is not taken over by a new parent: who manages the parent only does not move it there', () => {
    const { chain, boss, writer, box } = boxChain()
    const mine = creates(
      chain,
      boss,
      create({ collection: 'x', rare: { policy: { manage: [ann.id], write: [ann.id] } } }),
    )
    const target = creates(chain, boss, create({ parent: box, collection: 'x', body: chain.body() }))
    refuses(chain, writer, [change(OP.move, target, { parent: mine, collection: 'x' })], 'NOT_AUTHORIZED', {
      needs: 'manage',
    })
    refuses(chain, writer, [change(OP.move, box, { parent: mine, collection: 'x' })], 'NOT_AUTHORIZED')
    // Nor is its parent moved away from above it.
    refuses(
      chain,
      writer,
      [
        change(OP.move, mine, { parent: target, collection: 'x' }),
        change(OP.move, target, { parent: mine, collection: 'x' }),
      ],
      'NOT_AUTHORIZED',
    )
  })

  it('a mover does not shut out the managers above', () => {
    const { chain, boss, writer, box } = boxChain()
    const part = creates(chain, boss, create({ parent: box, collection: 'x', rare: { policy: { manage: [ann.id] } } }))
    refuses(
      chain,
      writer,
      [change(OP.move, part, { parent: box, collection: 'y', rare: { policy: { closed: true } } })],
      'NOT_AUTHORIZED',
    )
    commits(chain, writer, change(OP.move, part, { parent: box, collection: 'y' }))
    commits(chain, boss, change(OP.policy, part, { rare: { policy: { manage: 'inherit' } } }))
    refuses(chain, writer, [change(OP.policy, part, { rare: { policy: { manage: [ann.id] } } })], 'NOT_AUTHORIZED')
  })

  it('a cycle is not made by two moves in one transaction, nor by two that pass each other', () => {
    const chain = forger()
    const boss = chain.session(root)
    const x = creates(chain, boss, create({ collection: 'c' }))
    const y = creates(chain, boss, create({ collection: 'c' }))
    const [down, up] = [
      change(OP.move, x, { parent: y, collection: 'c' }),
      change(OP.move, y, { parent: x, collection: 'c' }),
    ]
    refuses(chain, boss, [down, up], 'TREE_CYCLE')
    const accepted = chain.write(boss, [chain.tx(down), chain.tx(up)])
    expect(outcomesOf(accepted)).toEqual(['committed', 'TREE_CYCLE'])
  })

  it('ids are not squatted: they follow from place and key, from author and nonce', () => {
    const { chain, boss, writer, box } = boxChain()
    const planned = chain.tx(create({ parent: box, collection: 'c' }))
    const other = chain.session(bob)
    commits(chain, boss, change(OP.policy, box, { rare: { policy: { write: [ann.id, bob.id] } } }))
    // The same nonce in the hands of another makes another id, so the planned one is still free.
    expect(outcomesOf(chain.write(other, [planned]))).toEqual(['committed'])
    expect(outcomesOf(chain.write(writer, [planned]))).toEqual(['committed'])
    expect(rowOf(chain, chain.idOf(bob, planned))).toBeGreaterThan(0)
    expect(rowOf(chain, chain.idOf(ann, planned))).toBeGreaterThan(0)
    // A name below another parent, in another collection or with another key is another entity.
    const key = nameKey('wanted')
    const ids = [
      creates(chain, writer, create({ parent: box, collection: 'c', key })),
      creates(chain, writer, create({ parent: box, collection: 'd', key })),
      creates(chain, writer, create({ parent: box, collection: 'c', key: nameKey('other') })),
      creates(chain, boss, create({ collection: 'c', key })),
    ]
    expect(new Set(ids.map((id) => JSON.stringify(id))).size).toBe(4)
  })

  it('what was deleted does not come back; a name comes back with nothing but its version', () => {
    const { chain, boss, box } = boxChain()
    const unit = creates(chain, boss, create({ collection: 'units' }))
    const rare = {
      counters: [{ name: 'n', value: 100n, floor: 0n, unit: bytesOfWords(unit) }],
      ttl: 1000,
      policy: { write: [root.id, ann.id], read: [root.id] },
      epoch: chain.epoch(0, [root.id]),
      retain: chain.time + 10,
    }
    const key = nameKey('account')
    const account = creates(chain, boss, create({ parent: box, collection: 'accounts', key, rare }))
    chain.time += 10
    commits(chain, boss, change(OP.delete, account))
    commits(chain, boss, create({ parent: box, collection: 'accounts', key, version: 3 }))
    const { view } = chain.replica
    const row = rowOf(chain, account)
    expect(view.versionOf(row)).toBe(3)
    expect(view.policyOf(row)).toBeUndefined()
    expect(view.extraOf(row)).toEqual({ counters: [], expires: undefined, retain: 0, holds: [] })
    refuses(chain, boss, [change(OP.add, account, { rare: { counter: 'n', amount: -100n } })], 'NO_COUNTER')
    chain.time += 5000
    refuses(chain, boss, [guard('expired', account)], 'NOT_EXPIRED')
    // Its old readers have no say: what is written there is sealed for the readers above.
    commits(chain, boss, change(OP.put, account, { body: chain.body() }))
    // Readers of its own continue the count of epochs.
    const again = (number: number): Part =>
      change(OP.policy, account, { rare: { policy: { read: [root.id] }, epoch: chain.epoch(number, [root.id]) } })
    refuses(chain, boss, [again(0)], 'EPOCH_ORDER', { expected: 1 })
    commits(chain, boss, again(1))
  })

  it('a swept name comes back with nothing either', () => {
    const { chain, boss, box } = boxChain()
    const key = nameKey('lease')
    const event = create({
      parent: box,
      collection: 'leases',
      key,
      rare: { ttl: 10, counters: [{ name: 'n', value: 5n }] },
    })
    const lease = creates(chain, boss, event)
    chain.time += 11
    commits(chain, boss)
    expect(chain.feed(chain.sweep([lease])).swept).toEqual([rowOf(chain, lease)])
    commits(chain, boss, create({ parent: box, collection: 'leases', key }))
    expect(chain.replica.view.extraOf(rowOf(chain, lease)).counters).toEqual([])
    chain.time += 100
    commits(chain, boss)
    expect(chain.feed(chain.sweep([lease])).swept).toEqual([])
  })
})

describe('what is refused', () => {
  it('leaves nothing in the memory of who judges it: no name, no list, of who may write nothing and of who may', () => {
    const { chain, boss, writer, box } = boxChain()
    const note = creates(chain, writer, create({ parent: box, collection: 'notes', type: 'note', body: chain.body() }))
    const { names, children, table } = chain.replica.view
    const held = (): number[] => [names.size, [...children.all()].length, table.rows]
    const before = held()
    const bad = guard('version', note, 9)
    const unknown = chain.idOf(eve, chain.tx(create()))
    for (let i = 0; i < 3; i++) {
      const made = (parent?: EntityWords): ForgedEvent =>
        create({ ...(parent ? { parent } : {}), collection: `c${i}`, type: `t${i}`, body: chain.body() })
      const gone = change(OP.delete, unknown)
      for (const [session, tx] of [
        [chain.session(eve), chain.tx(made())],
        [writer, chain.tx(made(box), gone)],
        [writer, chain.tx(made(box), bad)],
        [boss, chain.tx(change(OP.move, note, { parent: ROOT_ENTITY, collection: `m${i}` }), gone)],
      ] as const)
        expect(chain.replica.offer(chain.commit(session, [tx]))).toHaveProperty('refused')
    }
    expect(held()).toEqual(before)
    // What counts is there.
    commits(chain, writer, create({ parent: box, collection: 'c0', type: 't0', body: chain.body() }))
    expect(held()).toEqual([before[0]! + 2, before[1]! + 1, before[2]! + 1])
  })
})

describe('time and base', () => {
  it('an author who dates back gains nothing: chain time does not go back', () => {
    const { chain, writer, box } = boxChain()
    const lease = creates(chain, writer, create({ parent: box, collection: 'leases', rare: { ttl: 1000 } }))
    chain.time += 2000
    commits(chain, writer)
    const put = chain.tx(guard('expired', lease))
    expect(outcomesOf(chain.write(writer, [put], { at: 5 }))).toEqual(['committed'])
    expect(outcomesOf(chain.write(writer, [put], { admittedAt: 5 }))).toEqual(['committed'])
    expect(chain.replica.chainTime).toBe(chain.time)
  })

  it('an author alone moves time no further than the record, and the record no further than a minute past its author', () => {
    const { chain, writer } = boxChain()
    const { time } = chain
    chain.write(writer, [chain.tx()], { at: time + 1e12 })
    expect(chain.replica.chainTime).toBe(time)
    chain.write(writer, [chain.tx()], { admittedAt: time + 1e12 })
    expect(chain.replica.chainTime).toBe(time + 60_000)
    // What is void moves nothing.
    expect(outcomesOf(chain.write(writer, [chain.tx(create())], { at: time + 1e7, admittedAt: time + 1e7 }))).toEqual([
      'NOT_AUTHORIZED',
    ])
    expect(chain.replica.chainTime).toBe(time + 60_000)
    // An empty commit neither.
    chain.write(writer, [], { at: time + 1e7, admittedAt: time + 1e7 })
    expect(chain.replica.chainTime).toBe(time + 60_000)
  })

  it('a ttl counts from chain time, not from what the author says', () => {
    const { chain, writer, box } = boxChain()
    chain.time += 5000
    commits(chain, writer)
    const tx = chain.tx(create({ parent: box, collection: 'leases', rare: { ttl: 10 } }))
    chain.write(writer, [tx], { at: 1 })
    expect(chain.replica.view.extraOf(rowOf(chain, chain.idOf(ann, tx))).expires).toBe(chain.time + 10)
  })
})

describe('rights', () => {
  it('a writer gives himself nothing', () => {
    const { chain, boss, writer, box } = boxChain()
    const thing = creates(chain, writer, create({ parent: box, collection: 'c' }))
    const role = chain.role(0, [ann], { add: [ann.id] })
    const grants: Part[] = [
      change(OP.policy, box, { rare: { policy: { manage: [ann.id] } } }),
      change(OP.policy, thing, { rare: { policy: { manage: [ann.id] } } }),
      change(OP.policy, thing, { rare: { policy: { allow: [ann.id] } } }),
      create({ parent: box, collection: 'c', rare: { policy: { allow: [ann.id] } } }),
      create({ parent: thing, collection: ROLES, key: nameKey('r'), rare: { role } }),
      change(OP.root, ROOT_ENTITY, { rare: { root: { checkpointKeys: [chain.bytes(32)] } } }),
    ]
    for (const event of grants) refuses(chain, writer, [event], 'NOT_AUTHORIZED')
    // A put and a delete carry no grants, whatever is in their rare fields.
    const before = chain.replica.view.policyOf(rowOf(chain, thing))
    const rare = { policy: { manage: [ann.id] }, retain: 5, role, root: { level: 1, sequencers: [ann.id] } }
    commits(chain, writer, change(OP.put, thing, { body: chain.body(), rare }))
    commits(chain, boss, change(OP.expire, thing, { rare }))
    expect(chain.replica.view.policyOf(rowOf(chain, thing))).toBe(before)
    expect(chain.replica.trust.sequencers).toBe('writers')
    expect(chain.replica.trust.roles.size).toBe(0)
  })

  it('being on allow is no right to write, and reaches one level', () => {
    const { chain, boss, writer, box } = boxChain()
    const hall = creates(
      chain,
      boss,
      create({ parent: box, collection: 'c', rare: { policy: { allow: [ann.id, bob.id] } } }),
    )
    const below = creates(chain, boss, create({ parent: hall, collection: 'c' }))
    const own = { policy: { manage: [ann.id] } }
    refuses(chain, chain.session(bob), [create({ parent: hall, collection: 'c', rare: own })], 'NOT_AUTHORIZED', {
      needs: 'write',
    })
    refuses(chain, writer, [create({ parent: below, collection: 'c', rare: own })], 'NOT_AUTHORIZED', {
      needs: 'manage',
    })
    refuses(chain, writer, [change(OP.policy, hall, { rare: { policy: { manage: [ann.id] } } })], 'NOT_AUTHORIZED')
    commits(chain, writer, create({ parent: hall, collection: 'c', rare: own }))
  })

  it('a manager above a closed node has no say below it; a rogue below it has none above', () => {
    const chain = forger()
    const boss = chain.session(root)
    const hall = creates(
      chain,
      boss,
      create({ rare: { identities: PEOPLE, policy: { manage: [bob.id], write: [bob.id, ann.id], allow: [ann.id] } } }),
    )
    const owner = chain.session(ann)
    const coin = creates(
      chain,
      owner,
      create({
        parent: hall,
        collection: 'coins',
        rare: { policy: { manage: [ann.id], write: [ann.id], closed: true } },
      }),
    )
    const inner = creates(chain, owner, create({ parent: coin, collection: 'c' }))
    for (const session of [boss, chain.session(bob)]) {
      for (const entity of [coin, inner]) {
        refuses(
          chain,
          session,
          [change(OP.policy, entity, { rare: { policy: { manage: [bob.id] } } })],
          'NOT_AUTHORIZED',
        )
        refuses(chain, session, [change(OP.move, entity, { parent: hall, collection: 'c' })], 'NOT_AUTHORIZED')
        refuses(chain, session, [change(OP.put, entity, { body: chain.body() })], 'NOT_AUTHORIZED')
        refuses(chain, session, [change(OP.delete, entity)], 'NOT_AUTHORIZED')
      }
      refuses(
        chain,
        session,
        [
          create({
            parent: coin,
            collection: ROLES,
            key: nameKey('r'),
            rare: { role: chain.role(0, [session.actor], { add: [session.actor.id] }) },
          }),
        ],
        'NOT_AUTHORIZED',
      )
    }
    refuses(chain, owner, [change(OP.policy, hall, { rare: { policy: { manage: [ann.id] } } })], 'NOT_AUTHORIZED')
    commits(chain, owner, change(OP.policy, coin, { rare: { policy: { manage: [bob.id], write: [bob.id] } } }))
    refuses(chain, owner, [change(OP.put, coin, { body: chain.body() })], 'NOT_AUTHORIZED')
  })

  it('an epoch is for exactly those whom the policy names, also where it names somebody twice', () => {
    const { chain, role, room } = roomChain()
    const member = chain.session(ann)
    const epoch = (...readers: (Uint8Array | RoleAt)[]): Part =>
      change(OP.epoch, room, { rare: { epoch: chain.epoch(1, readers) } })
    const at = { role, generation: 0 }
    for (const readers of [[at, eve.id], [eve.id], [ann.id], [at, at], []])
      refuses(chain, member, [epoch(...readers)], 'EPOCH_SHAPE')
    const boss = chain.session(root)
    const twice = { read: [bytesOfWords(role), bytesOfWords(role)] }
    commits(chain, boss, change(OP.policy, room, { rare: { policy: twice, epoch: chain.epoch(1, [at, at]) } }))
    refuses(chain, member, [change(OP.epoch, room, { rare: { epoch: chain.epoch(2, [at, eve.id]) } })], 'EPOCH_SHAPE')
  })

  it('an epoch is started by who manages, or by who reads and writes; not by who does one of these', () => {
    const chain = forger()
    const boss = chain.session(root)
    const rare = {
      identities: PEOPLE,
      policy: { read: [ann.id, bob.id], write: [ann.id, eve.id] },
      epoch: chain.epoch(0, [ann.id, bob.id]),
    }
    const room = creates(chain, boss, create({ rare }))
    const epoch = (number: number): Part =>
      change(OP.epoch, room, { rare: { epoch: chain.epoch(number, [ann.id, bob.id]) } })
    refuses(chain, chain.session(bob), [epoch(1)], 'NOT_AUTHORIZED')
    refuses(chain, chain.session(eve), [epoch(1)], 'NOT_AUTHORIZED')
    commits(chain, chain.session(ann), epoch(1))
    commits(chain, boss, epoch(2))
  })
})

describe('removal', () => {
  it('a removed member is refused from the removal on, whatever his base, and not before', () => {
    const { chain, boss, role, room } = roomChain()
    const member = chain.session(ann)
    const write = (epoch = 0): Part => create({ parent: room, collection: 'c', body: chain.body(room, { epoch }) })
    commits(chain, member, write())
    const seen = chain.replica.head
    const at = { role, generation: 1 }
    const removal = [
      change(OP.role, role, { rare: { role: chain.role(1, [root, bob], { remove: [ann.id] }) } }),
      change(OP.epoch, room, { rare: { epoch: chain.epoch(1, [at]) } }),
    ]
    // In the transaction before it and the one after it, in one commit of the remover's own.
    expect(
      outcomesOf(chain.write(boss, [chain.tx(write()), chain.tx(...removal), chain.tx(write()), chain.tx(write(1))])),
    ).toEqual(['committed', 'committed', 'STALE_EPOCH', 'committed'])
    for (const base of [seen, chain.replica.head]) {
      refuses(chain, member, [write()], 'NOT_AUTHORIZED', {}, { base })
      refuses(chain, member, [write(1)], 'NOT_AUTHORIZED', {}, { base })
      refuses(
        chain,
        member,
        [change(OP.epoch, room, { rare: { epoch: chain.epoch(2, [at]) } })],
        'NOT_AUTHORIZED',
        {},
        { base },
      )
      refuses(
        chain,
        member,
        [change(OP.role, role, { rare: { role: chain.role(1, [ann], { add: [ann.id] }) } })],
        'NOT_AUTHORIZED',
        {},
        { base },
      )
    }
    // Nothing but a signed addition brings him back.
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [ann], { add: [ann.id] }) } }))
    commits(chain, member, write(1))
  })

  it('nobody writes under a key that the removed one holds', () => {
    const { chain, boss, role, room } = roomChain()
    const other = chain.session(bob)
    const write = (epoch = 0): Part => create({ parent: room, collection: 'c', body: chain.body(room, { epoch }) })
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [root, bob], { remove: [ann.id] }) } }))
    refuses(chain, other, [write()], 'STALE_EPOCH')
    refuses(
      chain,
      other,
      [change(OP.epoch, room, { rare: { epoch: chain.epoch(1, [{ role, generation: 0 }]) } }), write(1)],
      'EPOCH_SHAPE',
    )
    commits(
      chain,
      other,
      change(OP.epoch, room, { rare: { epoch: chain.epoch(1, [{ role, generation: 1 }]) } }),
      write(1),
    )
  })

  it('a removal is not undone by taking the role away and making it again', () => {
    const { chain, boss, role, room } = roomChain()
    const member = chain.session(ann)
    const write = (epoch: number): Part => create({ parent: room, collection: 'c', body: chain.body(room, { epoch }) })
    commits(chain, boss, change(OP.delete, role))
    refuses(chain, member, [write(0)], 'NOT_AUTHORIZED')
    // Its key is in the hands of those who were members: no epoch is wrapped to it any more, and no policy names it.
    const at = { role, generation: 0 }
    refuses(chain, boss, [change(OP.epoch, room, { rare: { epoch: chain.epoch(1, [at]) } })], 'EPOCH_SHAPE')
    refuses(chain, boss, [change(OP.policy, room, { rare: { policy: { write: [bytesOfWords(role)] } } })], 'NO_ROLE')
    commits(chain, boss, roleEvent(chain, [root, bob]))
    refuses(chain, member, [write(0)], 'NOT_AUTHORIZED')
    refuses(chain, member, [write(1)], 'NOT_AUTHORIZED')
    commits(
      chain,
      boss,
      change(OP.policy, room, {
        rare: { policy: { read: [bytesOfWords(role)], write: [bytesOfWords(role)] }, epoch: chain.epoch(1, [at]) },
      }),
    )
    refuses(chain, member, [write(1)], 'NOT_AUTHORIZED')
    commits(chain, chain.session(bob), write(1))
  })

  it('a role is not frozen by letting it expire', () => {
    const chain = forger()
    const boss = chain.session(root)
    const role = creates(chain, boss, roleEvent(chain, [root, ann]) as ReturnType<typeof create>)
    commits(chain, boss, change(OP.policy, ROOT_ENTITY, { rare: { policy: { write: [root.id, eve.id] } } }))
    const writer = chain.session(eve)
    refuses(chain, writer, [change(OP.expire, role, { rare: { ttl: 0 } })], 'RESERVED_NAME')
    refuses(chain, writer, [change(OP.put, role, { body: chain.body(), rare: { ttl: 0 } })], 'RESERVED_NAME')
    const made = chain.role(0, [root], { add: [root.id] })
    refuses(
      chain,
      boss,
      [create({ collection: ROLES, key: nameKey('short'), rare: { role: made, ttl: 0 } })],
      'RESERVED_NAME',
    )
    chain.time += 10
    commits(chain, boss)
    expect(chain.feed(chain.sweep([role])).swept).toEqual([])
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [root], { remove: [ann.id] }) } }))
  })

  it('the root is not left without a manager by the end of a role or of its members', () => {
    const chain = forger()
    const boss = chain.session(root)
    const role = creates(chain, boss, roleEvent(chain, [root, ann]) as ReturnType<typeof create>)
    commits(chain, boss, change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: [bytesOfWords(role)] } } }))
    refuses(chain, boss, [change(OP.delete, role)], 'LAST_MANAGER')
    refuses(
      chain,
      boss,
      [change(OP.role, role, { rare: { role: chain.role(1, [], { remove: [root.id, ann.id] }) } })],
      'LAST_MANAGER',
    )
    const empty = { policy: { manage: [bytesOfWords(role)] } }
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [ann], { remove: [root.id] }) } }))
    const next = chain.session(ann)
    commits(chain, next, change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: [ann.id] } } }))
    commits(chain, next, change(OP.role, role, { rare: { role: chain.role(2, [], { remove: [ann.id] }) } }))
    refuses(chain, next, [change(OP.policy, ROOT_ENTITY, { rare: empty })], 'LAST_MANAGER')
    // One who goes when another has come.
    commits(chain, next, change(OP.policy, ROOT_ENTITY, { rare: { policy: { manage: [root.id] } } }))
  })
})

describe('replays and certificates', () => {
  it('a transaction that is sent again makes nothing twice', () => {
    const { chain, writer, box } = boxChain()
    const tx = chain.tx(create({ parent: box, collection: 'c' }))
    chain.write(writer, [tx])
    refuses(chain, writer, tx, 'ID_REUSED')
    const record = chain.commit(writer, [chain.tx(create({ parent: box, collection: 'c' }))])
    chain.feed(record)
    const before = stateText(chain.replica)
    // The same commit at the next place: its signature is good, its number is not.
    const { head } = chain.replica
    const again = record.bytes.slice()
    new DataView(again.buffer).setUint32(4, head.seq + 1)
    again.set(head.hash, 8)
    expect(outcomesOf(chain.feed(chain.rehashed(again, head.seq + 1)))).toEqual(['SEQ_USED'])
    expect(stateText(chain.replica)).toBe(before)
  })

  it('a commit of another chain is not one of this', () => {
    const { chain, boss } = boxChain()
    const other = forger({ seed: 2 })
    const foreign = other.session(root)
    const moved = other.commit(foreign, [other.tx()]).bytes.slice()
    const { head } = chain.replica
    new DataView(moved.buffer).setUint32(4, head.seq + 1)
    moved.set(head.hash, 8)
    alarms(chain, () => chain.feed(chain.rehashed(moved, head.seq + 1)), 'BAD_CERTIFICATE', { what: 'chain or keys' })
    // Nor is one of a session that both chains know by its keys: what is signed names the chain.
    const twin = other
      .commit({ ...foreign, id: boss.id, signer: boss.signer }, [other.tx()], { certificate: 'none' })
      .bytes.slice()
    new DataView(twin.buffer).setUint32(4, head.seq + 1)
    twin.set(head.hash, 8)
    alarms(chain, () => chain.feed(chain.rehashed(twin, head.seq + 1)), 'BAD_SIGNATURE')
  })

  it('an attestation of another chain, of others, with a gap', () => {
    const { chain, boss, writer } = boxChain()
    for (let i = 0; i < 3; i++) commits(chain, writer)
    const body = chain.attestationBody(writer)
    const { unattested } = chain.replica.trust.certificates.get(toBinaryText(writer.id))!
    const rootOf = (from: number, to: number): Uint8Array =>
      treeRoot(
        crypto,
        unattested.slice(from, to).map(({ hash }) => hash),
      )
    const bad = (attempt: Parameters<Forger['attestation']>[1], what: string, by = ann): void =>
      alarms(chain, () => chain.feed(chain.attestation(writer, attempt, by)), 'BAD_ATTESTATION', { what })
    bad({ chain: chain.bytes(32) }, 'certificate')
    bad({ certificate: chain.bytes(32) }, 'certificate')
    bad({ certificate: boss.id }, 'range', root)
    bad({ from: 2, root: rootOf(1, 3) }, 'range')
    bad({ from: 0 }, 'range')
    bad({ to: 4 }, 'range')
    bad({ to: Number.MAX_SAFE_INTEGER }, 'range')
    bad({ from: 3, to: 2 }, 'body')
    bad({ to: 2 }, 'root')
    bad({ root: chain.bytes(32) }, 'root')
    bad({ seq: body.seq + 1 }, 'newest record')
    bad({ hash: chain.bytes(32) }, 'newest record')
    bad({}, 'signature', bob)
    bad({ by: ann.id }, 'who adopts must manage the root')
    bad({ by: bob.id }, 'who adopts must manage the root', bob)
    bad({ by: root.id }, 'signature')
    chain.feed(chain.attestation(writer, { to: 2, root: rootOf(0, 2) }))
    expect(unattested.map(({ writerSeq }) => writerSeq)).toEqual([3])
    // What is attested is not attested twice.
    alarms(chain, () => chain.feed(chain.attestation(writer, body)), 'BAD_ATTESTATION', { what: 'range' })
    chain.feed(chain.attestation(writer, { by: root.id }, root))
    expect([unattested.length, chain.replica.adopted]).toEqual([0, 1])
    chain.feed(chain.attestation(boss))
    expect(chain.replica.attestedSeq).toBe(chain.replica.head.seq)
  })

  it('a successor ends a certificate of its own identity only', () => {
    const { chain, boss, writer } = boxChain()
    commits(chain, writer)
    const thief = chain.session(ann, { after: boss.id })
    commits(chain, thief)
    commits(chain, boss)
    const next = chain.session(ann, { after: writer.id })
    commits(chain, next)
    expect(outcomesOf(chain.write(writer, [chain.tx()]))).toEqual(['CERT_ENDED'])
    expect(outcomesOf(chain.write(thief, [chain.tx()]))).toEqual(['committed'])
    // One that is void for its number ends nothing.
    const early = chain.session(ann, { after: next.id })
    expect(outcomesOf(chain.write(early, [chain.tx()], { writerSeq: 2 }))).toEqual(['SEQ_GAP'])
    commits(chain, next)
  })

  it('keys that verify what nobody signed are no session keys', () => {
    const { chain } = boxChain()
    const keys = ed25519Cases().filter(({ accepted, name }) => !accepted && name.includes('key'))
    expect(keys.length).toBeGreaterThan(10)
    for (const { publicKey, signature } of keys) {
      const session = chain.session(ann, { session: publicKey })
      const signer = { publicKey, sign: () => signature }
      alarms(chain, () => chain.feed(chain.commit(session, [chain.tx()], { signer })), 'BAD_SIGNATURE')
    }
    expect(chain.replica.trust.certificates.size).toBe(1)
  })

  it('certificates that are not what they say', () => {
    const { chain } = boxChain()
    const bad = (
      session: ForgedSession,
      what: string | undefined,
      options: Parameters<Forger['commit']>[2] = {},
    ): void =>
      alarms(
        chain,
        () => chain.feed(chain.commit(session, [chain.tx()], options)),
        'BAD_CERTIFICATE',
        what === undefined ? {} : { what },
      )
    bad(chain.session(root, { chain: chain.bytes(32) }), 'chain or keys')
    bad(chain.session(root, {}, ann), 'signature')
    bad(chain.session(ann, { identity: root.id }), 'signature')
    bad(chain.session(ann), 'writer', { writer: chain.bytes(32) })
    const { keys: _, ...silent } = chain.session(eve).body
    const made = makeCertificate(crypto, silent, (id) => eve.identity.sign(id, 'certificate'))
    bad({ ...chain.session(eve), id: made.id, bytes: made.bytes }, 'chain or keys')
    const longer = chain.session(ann)
    bad({ ...longer, bytes: Uint8Array.of(...longer.bytes, 0) }, undefined)
    bad(chain.session(eve, { keys: ann.identity.keys }), 'fingerprint')
    bad(chain.session(eve, { identity: ann.id, keys: eve.identity.keys }), 'signature')
    bad(chain.session(root), 'writer', { certificate: chain.session(root).bytes })
  })
})

describe('money', () => {
  const { chain, boss, writer, box } = boxChain()
  const unit = creates(chain, boss, create({ collection: 'units' }))
  const key = nameKey('mine')
  const counters = (
    value: bigint,
  ): { counters: NonNullable<import('../../src/event/rare-fields.ts').RareFields['counters']> } => ({
    counters: [{ name: 'n', value, floor: 0n, unit: bytesOfWords(unit) }],
  })
  const account = (value: bigint, name?: Uint8Array): ReturnType<typeof create> =>
    create({ parent: box, collection: 'accounts', rare: counters(value), ...(name ? { key: name } : {}) })
  const add = (entity: EntityWords, amount: bigint): Part => change(OP.add, entity, { rare: { counter: 'n', amount } })
  const total = (): bigint => {
    let sum = 0n
    for (const [row, extra] of chain.replica.view.extras) {
      if (!chain.replica.view.isDead(row))
        for (const counter of extra.counters) if (counter.unit !== undefined) sum += counter.value
    }
    return sum
  }

  it('is not made by owing it: a counter that may fall below 0 is for who writes or manages the unit', () => {
    const mine = creates(chain, writer, account(0n))
    const owing = (floor: bigint | undefined): ReturnType<typeof create> =>
      create({
        parent: box,
        collection: 'accounts',
        rare: {
          counters: [{ name: 'n', value: -5n, unit: bytesOfWords(unit), ...(floor === undefined ? {} : { floor }) }],
        },
      })
    for (const floor of [undefined, -5n]) {
      refuses(chain, writer, [owing(floor), add(mine, 5n)], 'NOT_AUTHORIZED', { counter: 'n' })
      const debt = creates(chain, boss, owing(floor))
      commits(chain, boss, change(OP.delete, debt))
    }
    // Who manages the unit, and does not write it: it cannot mint, and may owe.
    const own = creates(
      chain,
      boss,
      create({ collection: 'units', rare: { policy: { write: 'nobody', manage: [ann.id] } } }),
    )
    const counter = { name: 'n', unit: bytesOfWords(own) }
    const debt = creates(
      chain,
      writer,
      create({ parent: box, collection: 'accounts', rare: { counters: [{ ...counter, value: 0n }] } }),
    )
    refuses(chain, writer, [add(debt, 1n)], 'NOT_CONSERVED')
    commits(
      chain,
      writer,
      add(debt, -7n),
      create({ parent: box, collection: 'accounts', rare: { counters: [{ ...counter, value: 7n, floor: 0n }] } }),
    )
  })

  it('is not made by deleting an account and making it again', () => {
    const bank = creates(chain, boss, account(100n))
    const mine = creates(chain, writer, account(0n, key))
    commits(chain, writer, add(bank, -60n), add(mine, 60n))
    refuses(chain, writer, [change(OP.delete, mine), account(60n, key)].slice(0, 1), 'NOT_CONSERVED', { sum: -60n })
    commits(chain, writer, change(OP.delete, mine), add(bank, 60n))
    commits(chain, writer, create({ parent: box, collection: 'accounts', key }))
    expect(total()).toBe(100n)
    refuses(chain, writer, [add(mine, -60n), add(bank, 60n)], 'NO_COUNTER')
    commits(chain, writer, change(OP.delete, mine))
    // In one transaction: away, and back with what it had.
    commits(chain, writer, account(0n, nameKey('x')), add(bank, 0n))
    refuses(chain, writer, [account(60n, key)], 'NOT_CONSERVED', { sum: 60n })
    commits(chain, writer, account(60n, key), add(bank, -60n))
    commits(chain, writer, change(OP.delete, mine), account(60n, key))
    refuses(chain, writer, [change(OP.delete, mine), account(61n, key)], 'NOT_CONSERVED', { sum: 1n })
    expect(total()).toBe(100n)
  })

  it('is not burned by a sweep, nor lost with its account', () => {
    const held = creates(
      chain,
      boss,
      create({ parent: box, collection: 'accounts', rare: { ...counters(5n), ttl: 1 } }),
    )
    chain.time += 10
    commits(chain, boss)
    expect(chain.feed(chain.sweep([held])).swept).toEqual([])
    expect(total()).toBe(105n)
    commits(chain, boss, add(held, -5n))
    expect(chain.feed(chain.sweep([held])).swept).toHaveLength(1)
  })
})

describe('retention', () => {
  it('is not dodged by a sweep, a forgetting, or the end of what is above', () => {
    const chain = forger()
    const boss = chain.session(root)
    const shelf = creates(chain, boss, create({ collection: 'shelves' }))
    const key = nameKey('doc')
    const rare = { retain: chain.time + 1000, ttl: 5 }
    const doc = creates(chain, boss, create({ parent: shelf, collection: 'docs', key, body: chain.body(), rare }))
    const held = creates(chain, boss, create({ parent: shelf, collection: 'docs', rare: { holds: ['x'], ttl: 5 } }))
    chain.time += 10
    commits(chain, boss)
    expect(chain.feed(chain.sweep([doc, held, shelf, ROOT_ENTITY])).swept).toEqual([])
    refuses(chain, boss, [change(OP.delete, shelf)], 'NOT_EMPTY')
    refuses(chain, boss, [change(OP.forget, doc)], 'NOT_FOUND')
    refuses(chain, boss, [create({ parent: shelf, collection: 'docs', key, body: chain.body() })], 'NAME_TAKEN')
    // Its expiry goes nowhere while it is retained, and its retention goes one way.
    refuses(chain, boss, [change(OP.retain, doc, { rare: { retain: 1 } })], 'RETAIN_SHRINKS')
    chain.time += 1000
    commits(chain, boss)
    expect(chain.feed(chain.sweep([doc, doc, held])).swept).toHaveLength(1)
    refuses(chain, boss, [change(OP.delete, shelf)], 'NOT_EMPTY')
  })

  it('a sweep takes what has expired and is a leaf, by chain time', () => {
    const { chain, boss, box } = boxChain()
    const make = (rare: object, parent = box): EntityWords =>
      creates(chain, boss, create({ parent, collection: 'c', rare }))
    const gone = make({ ttl: 5 })
    const later = make({ ttl: 50 })
    const full = make({ ttl: 5 })
    const child = make({ ttl: 5 }, full)
    const lasting = make({})
    chain.time += 6
    // The time of the sweep itself counts for nothing.
    expect(chain.feed(chain.sweep([gone])).swept).toEqual([])
    commits(chain, boss)
    const swept = chain.feed(chain.sweep([lasting, later, full, gone, child, gone])).swept
    expect(swept).toEqual([rowOf(chain, gone), rowOf(chain, child)])
    expect(chain.feed(chain.sweep([full])).swept).toEqual([rowOf(chain, full)])
    refuses(chain, boss, [change(OP.put, gone, { body: chain.body() })], 'NOT_FOUND')
  })
})
