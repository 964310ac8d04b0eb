/** The edges of the fold's rules, each alone and quickly: what just holds commits, what just does not is refused. */
import { describe, expect, it } from 'vitest'
import { COUNTERS_MAX, ROLE_MEMBERS_MAX, TREE_DEPTH_MAX } from '../../src/base/limits.ts'
import { applyTransaction } from '../../src/chain/fold.ts'
import { createCounters } from '../../src/chain/fold-counters.ts'
import { isInList } from '../../src/chain/fold-tree.ts'
import { settleLists } from '../../src/chain/settle.ts'
import { CommitParser } from '../../src/event/commit-parse.ts'
import { bytesOfWords, EntityWords, ROOT_ENTITY } from '../../src/event/entity-words.ts'
import { FOLD_LEVEL, OP } from '../../src/event/format.ts'
import type { CounterFields } from '../../src/event/rare-fields.ts'
import { TransactionEvent } from '../../src/event/transaction-event.ts'
import { change, create, type ForgedSession, type Forger, guard, nameKey } from '../../src/testing/chain-kit.ts'
import type { Role } from '../../src/trust/policy.ts'
import type { ChildList } from '../../src/view/child-lists.ts'
import { ROW } from '../../src/view/entity-table.ts'
import { Journal } from '../../src/view/journal.ts'
import { stateText } from './digest.ts'
import { ann, bob, boxChain, commits, creates, errorOf, eve, forger, type Part, refuses, root } from './kit.ts'

const rowOf = ({ replica }: Forger, { a, b, c, d }: EntityWords): number => replica.view.table.find(a, b, c, d)

function listOf(chain: Forger, parent: EntityWords, collection: string): ChildList | undefined {
  const { view } = chain.replica
  const name = view.names.find(collection)
  return name === undefined ? undefined : view.children.find(rowOf(chain, parent), name)
}

/** What fails at the end of a transaction, so that all before it is taken back. */
const failing = (): Part => create({ parent: { a: 9, b: 9, c: 9, d: 9 } })

describe('a transaction makes', () => {
  it('a tree down to the deepest level, and no deeper', () => {
    const { chain, boss } = boxChain()
    const chainOf = (depth: number): Parameters<typeof chain.write>[1][number] => {
      const tx = chain.tx()
      const parent = (i: number): EntityWords => (i === 0 ? ROOT_ENTITY : chain.idOf(root, tx, i))
      const events = Array.from({ length: depth }, (_, i) => create({ parent: parent(i), collection: 'c' }))
      return { ...tx, events }
    }
    expect(chain.write(boss, [chainOf(TREE_DEPTH_MAX + 1)]).outcomes?.[0]?.code).toBe('TREE_DEPTH')
    expect(chain.write(boss, [chainOf(TREE_DEPTH_MAX)]).outcomes).toEqual([undefined])
  })

  it('children in several collections, and in one collection below several parents', () => {
    const { chain, boss, box } = boxChain()
    commits(
      chain,
      boss,
      create({ parent: box, collection: 'a' }),
      create({ parent: box, collection: 'b' }),
      create({ collection: 'b' }),
      create({ parent: box, collection: 'b' }),
    )
    expect([
      listOf(chain, box, 'a')?.live,
      listOf(chain, box, 'b')?.live,
      listOf(chain, ROOT_ENTITY, 'b')?.live,
    ]).toEqual([1, 2, 1])
    // What may be written is asked for each parent: ann writes in the box only.
    const writer = chain.session(ann)
    refuses(chain, writer, [create({ parent: box, collection: 'b' }), create({ collection: 'b' })], 'NOT_AUTHORIZED')
  })

  it('nothing of a name that comes again, if a later event is refused', () => {
    const { chain, boss, box } = boxChain()
    const event = create({ parent: box, collection: 'c', key: nameKey('n') })
    const named = creates(chain, boss, event)
    commits(chain, boss, change(OP.delete, named))
    const { length, version } = listOf(chain, box, 'c')!
    refuses(chain, boss, [event, failing()], 'NOT_FOUND')
    expect(listOf(chain, box, 'c')).toMatchObject({ live: 0, length, version })
    refuses(chain, boss, [change(OP.forget, named), failing()], 'NOT_FOUND')
    expect(listOf(chain, box, 'c')?.floor).toBe(0)
  })

  it('no identity unknown that was known before it', () => {
    const { chain, boss, box } = boxChain()
    const rare = { identities: [ann.identity.keys, eve.identity.keys], policy: { write: [ann.id] } }
    refuses(chain, boss, [change(OP.policy, box, { rare }), failing()], 'NOT_FOUND')
    commits(chain, boss, change(OP.policy, box, { rare: { policy: { write: [ann.id] } } }))
    refuses(chain, boss, [change(OP.policy, box, { rare: { policy: { write: [eve.id] } } })], 'NO_ROLE')
  })

  it('no certificate ended, if a later event is refused', () => {
    const { chain, boss, writer } = boxChain()
    commits(chain, writer)
    const end = change(OP.endCertificate, ROOT_ENTITY, { rare: { certificate: writer.id } })
    refuses(chain, boss, [end, failing()], 'NOT_FOUND')
    commits(chain, writer)
    // Nor begun again, if it had ended before.
    commits(chain, boss, end)
    refuses(chain, boss, [end, failing()], 'NOT_FOUND')
    expect(chain.write(writer, [chain.tx()]).outcomes?.[0]?.code).toBe('CERT_ENDED')
  })

  it('no policy and no epoch, if a later event is refused', () => {
    const { chain, boss, box } = boxChain()
    const { policies } = chain.replica.view
    const { length } = policies
    const rare = { policy: { read: [root.id] }, epoch: chain.epoch(0, [root.id]) }
    refuses(chain, boss, [change(OP.policy, box, { rare }), failing()], 'NOT_FOUND')
    const next = change(OP.epoch, ROOT_ENTITY, { rare: { epoch: chain.epoch(1, [root.id]) } })
    refuses(chain, boss, [next, failing()], 'NOT_FOUND')
    expect(policies.length).toBe(length)
    commits(chain, boss, next, change(OP.policy, box, { rare }))
  })

  it('nothing of what is not there', () => {
    const { chain, boss, box } = boxChain()
    const nobody = new EntityWords(9, 9, 9, 9)
    for (const op of [OP.forget, OP.put, OP.delete]) refuses(chain, boss, [change(op, nobody)], 'NOT_FOUND')
    refuses(chain, boss, [change(OP.forget, ROOT_ENTITY)], 'NOT_FOUND')
    refuses(chain, boss, [change(OP.forget, box)], 'NOT_FOUND')
  })
})

describe('a role', () => {
  const made = (name: string): { chain: Forger; boss: ForgedSession; role: EntityWords; stored: Role } => {
    const { chain, boss } = boxChain()
    const rare = { role: chain.role(0, [root], { name, add: [root.id] }) }
    const role = creates(chain, boss, create({ collection: 'ate:roles', key: nameKey(name), rare }))
    return { chain, boss, role, stored: [...chain.replica.trust.roles.values()][0]! }
  }

  it('gives its present key to whom it adds, or a next one to all; and nothing, if a later event is refused', () => {
    const { chain, boss, role, stored } = made('crew')
    expect(stored.rotatedAt).toBe(0)
    const event = (generation: number, to: readonly (typeof root)[], add: readonly (typeof root)[]): Part =>
      change(OP.role, role, { rare: { role: chain.role(generation, to, { add: add.map(({ id }) => id) }) } })
    commits(chain, boss, event(0, [ann], [ann]))
    expect([...stored.generations[0]!.wraps.keys()]).toEqual([root.key, ann.key])
    refuses(chain, boss, [event(0, [ann], [ann]), failing()], 'NOT_FOUND')
    refuses(chain, boss, [event(0, [bob], [bob]), failing()], 'NOT_FOUND')
    expect([...stored.generations[0]!.wraps.keys()]).toEqual([root.key, ann.key])
    refuses(chain, boss, [event(2, [root, ann, bob], [bob])], 'EPOCH_ORDER')
    commits(chain, boss, event(1, [root, ann, bob], [bob]))
    expect([stored.generations.length, stored.rotatedAt > 0]).toEqual([2, true])
  })

  it('has so many members, and not one more', () => {
    const { chain, boss, role, stored } = made('crowd')
    for (let i = 1; i < ROLE_MEMBERS_MAX - 1; i++) stored.members.add(`somebody ${i}`)
    const add = ({ id }: typeof root, by: typeof root): Part =>
      change(OP.role, role, { rare: { role: chain.role(0, [by], { add: [id] }) } })
    commits(chain, boss, add(ann, ann))
    expect(stored.members.size).toBe(ROLE_MEMBERS_MAX)
    refuses(chain, boss, [add(bob, bob)], 'EPOCH_SHAPE', { members: ROLE_MEMBERS_MAX + 1 })
  })
})

describe('a transaction alone', () => {
  /** Applied to the replica without a record, as while staging. */
  const applied = (chain: Forger, boss: ForgedSession, parts: readonly Part[], blocks?: []): unknown => {
    const { replica } = chain
    const record = chain.commit(boss, [chain.tx(...parts)])
    const [transaction] = new CommitParser(replica.crypto).parse(chain.chainId, record.bytes).transactions
    const [certificate] = replica.trust.certificates.values()
    const judge = replica.judgeFor(certificate!, replica.chainTime, record.seq, replica.head.seq)
    return applyTransaction(replica, transaction!, judge, new Journal(replica.view, false), blocks)
  }

  it('leaves nothing behind where it raises the level above what is known', () => {
    const { chain, boss } = boxChain()
    const before = stateText(chain.replica)
    const raise = change(OP.root, ROOT_ENTITY, { rare: { root: { level: FOLD_LEVEL + 1 } } })
    expect(errorOf(() => applied(chain, boss, [create({ collection: 'c' }), raise], []))).toMatchObject({
      code: 'NEEDS_UPGRADE',
    })
    expect(stateText(chain.replica)).toBe(before)
  })

  it('is sealed under the newest epoch where no block says under which', () => {
    const { chain, boss } = boxChain()
    expect(applied(chain, boss, [create({ collection: 'c', body: chain.body() })])).toBeUndefined()
  })
})

it('a child stands in one list: of its parent, of its collection, at its slot', () => {
  const { chain, boss, box } = boxChain()
  const child = creates(chain, boss, create({ parent: box, collection: 'c' }))
  const row = rowOf(chain, child)
  const { view } = chain.replica
  const stands = (): boolean[] =>
    [listOf(chain, box, 'c'), listOf(chain, box, 'd'), listOf(chain, ROOT_ENTITY, 'd')].map(
      (list) => list !== undefined && list.length > 0 && isInList(view, list, 0, row),
    )
  expect(stands()).toEqual([true, false, false])
  commits(chain, boss, change(OP.move, child, { parent: box, collection: 'd' }))
  expect(stands()).toEqual([false, true, false])
  commits(chain, boss, change(OP.move, child, { collection: 'd' }))
  expect(stands()).toEqual([false, false, true])
  expect(isInList(view, listOf(chain, ROOT_ENTITY, 'd')!, 1, row)).toBe(false)
  commits(chain, boss, change(OP.delete, child))
  expect(stands()).toEqual([false, false, false])
})

describe('versions', () => {
  it('are those that the writer has seen', () => {
    const { chain, boss, box } = boxChain()
    const thing = creates(chain, boss, create({ parent: box, collection: 'c', version: 1, body: chain.body() }))
    commits(chain, boss, change(OP.put, thing, { version: 2, body: chain.body() }))
    refuses(chain, boss, [change(OP.put, thing, { version: 2, body: chain.body() })], 'CONFLICT')
    commits(chain, boss, change(OP.delete, thing, { version: 3 }))
  })

  it('and the expiry of the root, if it has one', () => {
    const { chain, boss } = boxChain()
    commits(chain, boss, change(OP.expire, ROOT_ENTITY, { rare: { ttl: 0 } }))
    commits(chain, boss, guard('expired', ROOT_ENTITY))
  })

  it('of the root and of its lists are guarded like others', () => {
    const { chain, boss, box } = boxChain()
    commits(chain, boss, guard('version', ROOT_ENTITY, 1), guard('members', ROOT_ENTITY, 1, 'boxes'))
    refuses(chain, boss, [guard('version', ROOT_ENTITY, 0)], 'CONFLICT', { found: 1 })
    const gone = creates(chain, boss, create({ collection: 'boxes', key: nameKey('gone') }))
    commits(chain, boss, change(OP.delete, gone))
    const base = chain.replica.head
    commits(chain, boss, change(OP.forget, gone))
    const since = chain.replica.head
    refuses(chain, boss, [guard('members', ROOT_ENTITY, 3, 'boxes')], 'STALE_BASE', {}, { base })
    // Who has seen the record that forgets, and nothing behind it, has seen enough.
    commits(chain, boss)
    const parts: Part[] = [
      guard('members', ROOT_ENTITY, 3, 'boxes'),
      create({ collection: 'boxes' }),
      change(OP.move, creates(chain, boss, create({ parent: box, collection: 'c' })), { collection: 'boxes' }),
    ]
    expect(chain.write(boss, [chain.tx(...parts)], { base: since }).outcomes).toEqual([undefined])
  })
})

describe('what an event does not say', () => {
  it('stays: the expiry at a change, the policy at a creation and at a move', () => {
    const { chain, boss, box } = boxChain()
    const { view } = chain.replica
    const expires = chain.time + 50
    const lease = creates(chain, boss, create({ parent: box, collection: 'c', body: chain.body(), rare: { expires } }))
    const row = rowOf(chain, lease)
    commits(chain, boss, change(OP.put, lease, { body: chain.body(), rare: { counter: 'n' } }))
    expect(view.extraOf(row).expires).toBe(expires)
    commits(chain, boss, change(OP.put, lease, { body: chain.body(), rare: { expires: expires + 1 } }))
    expect(view.extraOf(row).expires).toBe(expires + 1)
    commits(chain, boss, change(OP.put, lease, { body: chain.body(), rare: { ttl: 7 } }))
    expect(view.extraOf(row).expires).toBe(chain.replica.chainTime + 7)
    commits(chain, boss, change(OP.expire, lease))
    expect(view.extraOf(row).expires).toBeUndefined()
    expect(view.policyOf(row)).toBeUndefined()
    commits(chain, boss, change(OP.move, lease, { parent: box, collection: 'd' }))
    expect(view.policyOf(row)).toBeUndefined()
    refuses(
      chain,
      boss,
      [change(OP.move, lease, { parent: box, collection: 'c', rare: { epoch: chain.epoch(0, [root.id]) } })],
      'EPOCH_SHAPE',
    )
    const rare = { policy: { write: [bob.id] } }
    commits(chain, boss, change(OP.move, lease, { parent: box, collection: 'c', rare }))
    expect(view.policyOf(row)?.write).toEqual([{ identity: bob.key }])
  })

  it('a node that is closed is closed after a move and a policy that say so again', () => {
    const { chain, boss, box } = boxChain()
    const policy = { closed: true, manage: [root.id] }
    const coin = creates(chain, boss, create({ parent: box, collection: 'c', rare: { policy } }))
    commits(chain, boss, change(OP.move, coin, { parent: box, collection: 'd', rare: { policy } }))
    commits(chain, boss, change(OP.policy, coin, { rare: { policy } }))
    expect(chain.replica.view.policyOf(rowOf(chain, coin))?.closed).toBe(true)
  })

  it('a node with readers of its own takes them along to wherever it goes', () => {
    const { chain, boss, box } = boxChain()
    const own = { policy: { read: [root.id] }, epoch: chain.epoch(0, [root.id]) }
    const [room, other] = [1, 2].map(() => creates(chain, boss, create({ collection: 'c', rare: own }))) as [
      EntityWords,
      EntityWords,
    ]
    commits(chain, boss, change(OP.move, room, { parent: other, collection: 'c' }))
    const plain = creates(chain, boss, create({ parent: box, collection: 'c' }))
    refuses(chain, boss, [change(OP.move, plain, { parent: other, collection: 'c' })], 'EPOCH_SHAPE')
  })
})

describe('policies', () => {
  it('each list names what is known', () => {
    const { chain, boss, box } = boxChain()
    for (const policy of [{ write: [eve.id] }, { manage: [eve.id] }, { allow: [eve.id] }])
      refuses(chain, boss, [change(OP.policy, box, { rare: { policy } })], 'NO_ROLE')
    const rare = { policy: { read: [eve.id] }, epoch: chain.epoch(0, [eve.id]) }
    refuses(chain, boss, [change(OP.policy, box, { rare })], 'NO_ROLE')
  })

  it('of readers come with their epoch; nobody is no reader; `inherit` needs none where there were none', () => {
    const { chain, boss, box } = boxChain()
    const read = (list: 'inherit' | 'nobody' | readonly Uint8Array[], epoch?: ReturnType<Forger['epoch']>): Part =>
      change(OP.policy, box, { rare: { policy: { read: list }, ...(epoch && { epoch }) } })
    commits(chain, boss, read('inherit'))
    refuses(chain, boss, [read('inherit', chain.epoch(0, [root.id]))], 'EPOCH_SHAPE')
    refuses(chain, boss, [read([root.id])], 'EPOCH_SHAPE')
    refuses(chain, boss, [read('nobody', chain.epoch(0, []))], 'EPOCH_SHAPE', { what: 'somebody must be able to read' })
    refuses(chain, boss, [read([], chain.epoch(0, []))], 'EPOCH_SHAPE', { what: 'somebody must be able to read' })
    commits(chain, boss, read([root.id], chain.epoch(0, [root.id])))
  })

  it('live history goes with readers of its own, and takes no link; other history takes one', () => {
    const { chain, boss, box } = boxChain()
    const link = { link: chain.bytes(64) }
    const epoch = (number: number, more = {}): Part =>
      change(OP.epoch, box, { rare: { epoch: chain.epoch(number, [root.id], more) } })
    const rare = { policy: { read: [root.id] }, epoch: chain.epoch(0, [root.id]) }
    commits(chain, boss, change(OP.policy, box, { rare }), epoch(1, link))
    commits(chain, boss, change(OP.policy, box, { rare: { policy: { history: 'live' } } }), epoch(2))
    refuses(chain, boss, [epoch(3, link)], 'EPOCH_SHAPE', { what: 'a link where history is live' })
  })

  it('the sequencers of the root are writers or a list', () => {
    const { chain, boss } = boxChain()
    const set = (sequencers: 'writers' | readonly Uint8Array[]): Part =>
      change(OP.root, ROOT_ENTITY, { rare: { root: { sequencers } } })
    commits(chain, boss, set([root.id, ann.id]))
    expect(chain.replica.trust.sequencers).toEqual([root.key, ann.key])
    refuses(chain, boss, [set('writers'), failing()], 'NOT_FOUND')
    expect(chain.replica.trust.sequencers).toEqual([root.key, ann.key])
    commits(chain, boss, set('writers'))
    expect(chain.replica.trust.sequencers).toBe('writers')
    commits(chain, boss, change(OP.root, ROOT_ENTITY, { rare: { root: {} } }))
  })
})

describe('counters', () => {
  const named = (count: number): CounterFields[] =>
    Array.from({ length: count }, (_, i) => ({ name: `n${i}`, value: 0n }))

  it('are at most so many, also before anybody has parsed them', () => {
    const { chain, boss } = boxChain()
    commits(chain, boss)
    const { replica } = chain
    const [certificate] = replica.trust.certificates.values()
    const judge = replica.judgeFor(certificate!, replica.chainTime, 9, 1)
    const event = new TransactionEvent(OP.create)
    event.row = 0
    const made = (count: number): string | undefined => {
      event.rare = { counters: named(count) }
      const changes = { units: new Map<number, bigint>(), touched: new Set<number>() }
      const journal = new Journal(replica.view, false)
      const refusal = createCounters(replica, journal, event, judge, changes, COUNTERS_MAX)
      journal.undo()
      return refusal?.code
    }
    expect([made(COUNTERS_MAX), made(COUNTERS_MAX + 1)]).toEqual([undefined, 'COUNTER_BOUNDS'])
  })

  it('without a unit are for whoever writes there; `inherit` is a list like none', () => {
    const { chain, writer, box } = boxChain()
    const counters: CounterFields[] = [...named(2), { name: 'x', value: -3n, up: 'inherit', down: 'inherit' }]
    const made = creates(chain, writer, create({ parent: box, collection: 'c', rare: { counters } }))
    commits(chain, writer, change(OP.add, made, { rare: { counter: 'x', amount: 1n } }))
  })

  it('that may owe are for who writes the unit, or manages it; below level 3 for anybody', () => {
    const debt = (unit: EntityWords): CounterFields[] => [{ name: 'n', value: 0n, unit: bytesOfWords(unit) }]
    const { chain, boss, writer, box } = boxChain()
    const owe = (unit: EntityWords, floor?: bigint): Part =>
      create({
        parent: box,
        collection: 'c',
        rare: { counters: debt(unit).map((one) => (floor === undefined ? one : { ...one, floor })) },
      })
    const unit = creates(chain, boss, create({ collection: 'u' }))
    const written = creates(chain, boss, create({ collection: 'u', rare: { policy: { write: [ann.id] } } }))
    const managed = creates(chain, boss, create({ collection: 'u', rare: { policy: { manage: [ann.id] } } }))
    refuses(chain, writer, [owe(unit)], 'NOT_AUTHORIZED', { counter: 'n' })
    refuses(chain, writer, [owe(unit, -1n)], 'NOT_AUTHORIZED', { counter: 'n' })
    commits(chain, writer, owe(unit, 0n), owe(written), owe(managed))
    for (const level of [2, 3]) {
      const old = forger({ parameters: { level } })
      const oldBoss = old.session(root)
      const rare = { identities: [ann.identity.keys], policy: { write: [ann.id] } }
      const oldBox = creates(old, oldBoss, create({ collection: 'c', rare }))
      const oldUnit = creates(old, oldBoss, create({ collection: 'u' }))
      const owing = create({ parent: oldBox, collection: 'c', rare: { counters: debt(oldUnit) } })
      if (level < 3) commits(old, old.session(ann), owing)
      else refuses(old, old.session(ann), [owing], 'NOT_AUTHORIZED', { counter: 'n' })
    }
  })

  it('a change by nothing counts as one upwards; retention ends at its time', () => {
    const { chain, boss, writer, box } = boxChain()
    const retain = chain.time + 10
    const counters = [{ name: 'n', value: 0n, up: [ann.id], down: [root.id] }]
    const made = creates(chain, boss, create({ parent: box, collection: 'c', rare: { counters, retain } }))
    const add = change(OP.add, made, { rare: { counter: 'n', amount: 0n } })
    chain.time += 9
    refuses(chain, writer, [add], 'RETAINED')
    chain.time += 1
    commits(chain, writer, add)
    refuses(chain, boss, [add], 'NOT_AUTHORIZED', { needs: 'up' })
  })
})

it('lists that children left are packed when nothing is pending, and only where it is worth it', () => {
  const { chain, boss, box } = boxChain()
  const make = (count: number, collection: string): EntityWords[] => {
    const tx = chain.tx(...Array.from({ length: count }, () => create({ parent: box, collection })))
    chain.write(boss, [tx])
    return Array.from({ length: count }, (_, i) => chain.idOf(root, tx, i + 1))
  }
  const drop = (ids: readonly EntityWords[]): void =>
    void commits(chain, boss, ...ids.map((id) => change(OP.delete, id)))
  const { view } = chain.replica
  const ids = make(200, 'c')
  const list = listOf(chain, box, 'c')!
  // One that moves away and back stands in the list twice, and counts once.
  commits(chain, boss, change(OP.move, ids[0]!, { parent: box, collection: 'd' }))
  commits(chain, boss, change(OP.move, ids[0]!, { parent: box, collection: 'c' }))
  drop(ids.slice(1, 100))
  expect([list.live, list.length]).toEqual([101, 201])
  const row = rowOf(chain, ids[150]!)
  view.images.set(row, [view.imageOf(row)])
  drop(ids.slice(100, 102))
  expect([list.live, list.length]).toEqual([99, 201])
  view.images.delete(row)
  settleLists(view)
  expect([list.live, list.length, view.children.loose.size]).toEqual([99, 99, 0])
  const standing = [...ids.slice(102), ids[0]!].map((id) => rowOf(chain, id))
  expect([...list.items.subarray(0, 99)]).toEqual(standing)
  expect(standing.map((one) => view.table.get(one, ROW.slot))).toEqual(standing.map((_, slot) => slot))
  drop(make(64, 'small').slice(1))
  expect(listOf(chain, box, 'small')).toMatchObject({ live: 1, length: 64 })
})
