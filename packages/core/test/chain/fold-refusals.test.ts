/**
 * Every reason for which the fold refuses a transaction, reached by a crafted one, with its facts. `refuses` holds two
 * things more for each: the state is as before, and sound neighbours in the same commit are not touched by it.
 */
import { beforeEach, describe, expect, it } from 'vitest'
import { fromBinaryText } from '../../src/base/bytes.ts'
import type { ErrorCode } from '../../src/base/errors.ts'
import { COUNTER_BITS_MAX, ROLE_MEMBERS_MAX, TREE_DEPTH_MAX } from '../../src/base/limits.ts'
import { bytesOfWords, EntityWords, ROOT_ENTITY, textOfWords } from '../../src/event/entity-words.ts'
import { FOLD_LEVEL, OP } from '../../src/event/format.ts'
import type { RareFields } from '../../src/event/rare-fields.ts'
import {
  type Actor,
  actorOf,
  change,
  create,
  type ForgedSession,
  type Forger,
  guard,
  nameKey,
} from '../../src/testing/chain-kit.ts'
import { stateText } from './digest.ts'
import {
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

const NOBODY = new EntityWords(1, 2, 3, 4)
const ROLES = 'ate:roles'

function start(): { chain: Forger; boss: ForgedSession } {
  const chain = forger()
  return { chain, boss: chain.session(root) }
}

/** A role below `node` with these members beside its maker. */
function makeRole(
  chain: Forger,
  boss: ForgedSession,
  name: string,
  members: readonly Actor[],
  node = ROOT_ENTITY,
): EntityWords {
  const all = [boss.actor, ...members]
  return creates(
    chain,
    boss,
    create({
      parent: node,
      collection: ROLES,
      key: nameKey(name),
      rare: {
        identities: members.map(({ identity }) => identity.keys),
        role: chain.role(0, all, { name, add: all.map(({ id }) => id) }),
      },
    }),
  )
}

describe('who may do what (each row of the table)', () => {
  // Anew where a test has changed something: that is nothing to the others.
  const world = () => {
    const { chain, boss, writer, box } = boxChain()
    const outsider = chain.session(bob)
    const thing = creates(chain, writer, create({ parent: box, collection: 'things', body: chain.body() }))
    // Where ann manages but may not write, and where only root may write.
    const managed = creates(
      chain,
      boss,
      create({ collection: 'x', body: chain.body(), rare: { policy: { manage: [ann.id], write: [root.id] } } }),
    )
    const counted = creates(
      chain,
      boss,
      create({
        parent: box,
        collection: 'counted',
        rare: {
          counters: [
            { name: 'in', value: 0n, up: [bob.id], down: [root.id] },
            { name: 'plain', value: 0n },
          ],
        },
      }),
    )
    const allowing = creates(
      chain,
      boss,
      create({ collection: 'x', rare: { policy: { write: [root.id, ann.id, bob.id], allow: [bob.id] } } }),
    )
    const role = makeRole(chain, boss, 'crew', [])
    const boxRole = makeRole(chain, boss, 'box crew', [], box)
    const tomb = creates(chain, writer, create({ parent: box, collection: 'named', key: nameKey('gone') }))
    commits(chain, writer, change(OP.delete, tomb))
    return { chain, boss, writer, box, outsider, thing, managed, counted, allowing, role, boxRole, tomb }
  }
  let { chain, boss, writer, box, outsider, thing, managed, counted, allowing, role, boxRole, tomb } = world()
  const fresh = stateText(chain.replica)
  beforeEach(() => {
    if (stateText(chain.replica) !== fresh)
      ({ chain, boss, writer, box, outsider, thing, managed, counted, allowing, role, boxRole, tomb } = world())
  })

  const own: RareFields = { policy: { write: [ann.id] } }
  const cases: [string, 'boss' | 'writer' | 'outsider', () => Part[], Readonly<Record<string, unknown>>][] = [
    ['create without write at the parent', 'writer', () => [create({ body: chain.body() })], { needs: 'write' }],
    [
      'create by an outsider',
      'outsider',
      () => [create({ parent: box })],
      { needs: 'write', entity: textOfWords(box) },
    ],
    ['put without write', 'outsider', () => [change(OP.put, thing, { body: chain.body() })], { needs: 'write' }],
    ['put by who only manages', 'writer', () => [change(OP.put, managed, { body: chain.body() })], { needs: 'write' }],
    ['put without a body', 'writer', () => [change(OP.put, thing)], { what: 'a put needs a body' }],
    [
      'put of the root',
      'boss',
      () => [change(OP.put, ROOT_ENTITY, { body: chain.body() })],
      { what: 'a put needs a body' },
    ],
    ['delete without write', 'outsider', () => [change(OP.delete, thing)], { needs: 'write' }],
    ['delete of the root', 'boss', () => [change(OP.delete, ROOT_ENTITY)], { needs: 'write' }],
    ['delete of a role by who only writes', 'writer', () => [change(OP.delete, role)], { needs: 'manage' }],
    ['expire without write', 'outsider', () => [change(OP.expire, thing, { rare: { ttl: 1 } })], { needs: 'write' }],
    ['counter up', 'writer', () => [change(OP.add, counted, { rare: { counter: 'in', amount: 1n } })], { needs: 'up' }],
    [
      'counter down',
      'writer',
      () => [change(OP.add, counted, { rare: { counter: 'in', amount: -1n } })],
      { needs: 'down' },
    ],
    [
      'counter, default write',
      'outsider',
      () => [change(OP.add, counted, { rare: { counter: 'plain', amount: 1n } })],
      { needs: 'up' },
    ],
    [
      'counter, default write',
      'outsider',
      () => [change(OP.add, counted, { rare: { counter: 'plain', amount: -1n } })],
      { needs: 'down' },
    ],
    [
      'policy without manage',
      'writer',
      () => [change(OP.policy, thing, { rare: { policy: { write: [ann.id] } } })],
      { needs: 'manage' },
    ],
    [
      'epoch without read and write',
      'writer',
      () => [change(OP.epoch, ROOT_ENTITY, { rare: { epoch: chain.epoch(1, [root.id]) } })],
      {},
    ],
    ['delete of a role where one may write', 'writer', () => [change(OP.delete, boxRole)], { needs: 'manage' }],
    [
      'a deleted name again',
      'outsider',
      () => [create({ parent: box, collection: 'named', key: nameKey('gone') })],
      { needs: 'write' },
    ],
    ['forget without manage', 'writer', () => [change(OP.forget, tomb)], { needs: 'manage' }],
    [
      'move without manage',
      'writer',
      () => [change(OP.move, thing, { parent: box, collection: 'other' })],
      { needs: 'manage' },
    ],
    [
      'move of the root',
      'boss',
      () => [change(OP.move, ROOT_ENTITY, { parent: box, collection: 'other' })],
      { needs: 'manage' },
    ],
    [
      'move without write at the new parent',
      'writer',
      () => [change(OP.move, managed, { collection: 'other' })],
      { needs: 'write' },
    ],
    [
      'own policy at creation',
      'writer',
      () => [create({ parent: box, rare: own })],
      { needs: 'manage', entity: textOfWords(box) },
    ],
    [
      'closed at creation',
      'writer',
      () => [create({ parent: box, rare: { policy: { closed: true } } })],
      { needs: 'manage' },
    ],
    ['retain at creation', 'writer', () => [create({ parent: box, rare: { retain: 5 } })], { needs: 'manage' }],
    ['holds at creation', 'writer', () => [create({ parent: box, rare: { holds: ['x'] } })], { needs: 'manage' }],
    [
      'own policy where another is allowed',
      'writer',
      () => [create({ parent: allowing, rare: own })],
      { needs: 'manage' },
    ],
    ['retain later', 'writer', () => [change(OP.retain, thing, { rare: { retain: 5 } })], { needs: 'manage' }],
    [
      'a role',
      'writer',
      () => [
        create({
          parent: box,
          collection: ROLES,
          key: nameKey('r'),
          rare: { role: chain.role(0, [ann], { add: [ann.id] }) },
        }),
      ],
      { needs: 'manage' },
    ],
    [
      'a change of a role',
      'writer',
      () => [change(OP.role, role, { rare: { role: chain.role(0, [ann], { add: [ann.id] }) } })],
      { role: 'crew', needs: 'manage' },
    ],
    [
      'settings of the root',
      'writer',
      () => [change(OP.root, ROOT_ENTITY, { rare: { root: { sequencers: [ann.id] } } })],
      { needs: 'manage of the root' },
    ],
    [
      'settings of another entity',
      'boss',
      () => [change(OP.root, box, { rare: { root: { sequencers: [ann.id] } } })],
      { needs: 'manage of the root' },
    ],
    [
      "the end of another's certificate",
      'writer',
      () => [change(OP.endCertificate, ROOT_ENTITY, { rare: { certificate: boss.id } })],
      { needs: 'the same key, or manage of the root' },
    ],
    [
      'closed later',
      'boss',
      () => [change(OP.policy, thing, { rare: { policy: { closed: true } } })],
      { what: 'a node is closed at its creation only' },
    ],
    [
      'closed by a move',
      'boss',
      () => [change(OP.move, thing, { parent: box, collection: 'm', rare: { policy: { closed: true } } })],
      { what: 'a node is closed at its creation only' },
    ],
  ]
  it.each(cases)('%s', (_, who, parts, facts) => {
    refuses(chain, { boss, writer, outsider }[who], parts(), 'NOT_AUTHORIZED', facts)
  })

  it('lets those do it who may', () => {
    const before = stateText(chain.replica)
    commits(chain, outsider, change(OP.add, counted, { rare: { counter: 'in', amount: 3n } }))
    commits(chain, boss, change(OP.add, counted, { rare: { counter: 'in', amount: -2n } }))
    commits(chain, writer, change(OP.add, counted, { rare: { counter: 'plain', amount: -2n } }))
    commits(chain, writer, change(OP.policy, managed, { rare: { policy: { write: [ann.id, root.id] } } }))
    commits(chain, writer, change(OP.move, managed, { parent: box, collection: 'moved' }))
    commits(
      chain,
      outsider,
      create({ parent: allowing, rare: { policy: { manage: [bob.id], closed: true }, retain: 4 } }),
    )
    commits(chain, boss, change(OP.forget, tomb))
    commits(chain, boss, change(OP.epoch, ROOT_ENTITY, { rare: { epoch: chain.epoch(1, [root.id]) } }))
    commits(chain, boss, change(OP.endCertificate, ROOT_ENTITY, { rare: { certificate: writer.id } }))
    expect(stateText(chain.replica)).not.toBe(before)
  })
})

describe('guards', () => {
  // Anew where a test has changed something: that is nothing to the others.
  const world = () => {
    const { chain, boss, writer, box } = boxChain()
    const thing = creates(chain, writer, create({ parent: box, collection: 'things', body: chain.body() }))
    commits(chain, writer, change(OP.put, thing, { body: chain.body() }))
    return { chain, boss, writer, box, thing }
  }
  let { chain, boss, writer, box, thing } = world()
  const fresh = stateText(chain.replica)
  beforeEach(() => {
    if (stateText(chain.replica) !== fresh) ({ chain, boss, writer, box, thing } = world())
  })

  const cases: [string, () => Part[], Readonly<Record<string, unknown>>][] = [
    ['version', () => [guard('version', thing, 1)], { expected: 1, found: 2, entity: textOfWords(thing) }],
    ['version of what never was', () => [guard('version', NOBODY, 1)], { expected: 1, found: 0 }],
    ['members', () => [guard('members', box, 0, 'things')], { expected: 0, found: 1 }],
    ['members of an unknown collection', () => [guard('members', box, 3, 'never heard of')], { expected: 3, found: 0 }],
    ['subtree', () => [guard('subtree', box, 2)], { expected: 2, found: 3 }],
    ['version of a put', () => [change(OP.put, thing, { version: 2, body: chain.body() })], { expected: 1, found: 2 }],
    ['version of a delete', () => [change(OP.delete, thing, { version: 4 })], { expected: 3, found: 2 }],
    ['version of a create', () => [create({ parent: box, version: 2 })], { expected: 1, found: 0 }],
  ]
  it.each(cases)('CONFLICT: %s', (_, parts, facts) => {
    refuses(chain, writer, parts(), 'CONFLICT', facts)
  })

  it('CONFLICT: version of a move, and of a name that comes again', () => {
    const loose = creates(chain, boss, create({ collection: 'loose' }))
    refuses(chain, boss, [change(OP.move, loose, { collection: 'other', version: 3 })], 'CONFLICT', {
      expected: 2,
      found: 1,
    })
    const again = create({ parent: box, collection: 'named', key: nameKey('again') })
    const named = creates(chain, writer, again)
    commits(chain, writer, change(OP.delete, named))
    refuses(chain, writer, [{ ...again, version: 1 }], 'CONFLICT', { expected: 0, found: 2 })
    commits(chain, writer, { ...again, version: 3 })
  })

  it('guards that hold', () => {
    commits(chain, writer, guard('version', thing, 2), guard('members', box, 1, 'things'), guard('version', NOBODY, 0))
    const { view } = chain.replica
    commits(
      chain,
      writer,
      guard('subtree', thing, view.table.get(view.table.find(thing.a, thing.b, thing.c, thing.d), 22)),
    )
  })

  it('NOT_EXPIRED', () => {
    const lease = creates(chain, writer, create({ parent: box, collection: 'leases', rare: { ttl: 1000 } }))
    refuses(chain, writer, [guard('expired', lease)], 'NOT_EXPIRED', { entity: textOfWords(lease) })
    refuses(chain, writer, [guard('expired', thing)], 'NOT_EXPIRED', { entity: textOfWords(thing) })
    refuses(chain, writer, [guard('expired', NOBODY)], 'NOT_EXPIRED')
    chain.time += 999
    refuses(chain, writer, [guard('expired', lease)], 'NOT_EXPIRED')
    chain.time += 1
    commits(chain, writer, guard('expired', lease), change(OP.expire, lease, { rare: { expires: chain.time + 10 } }))
    refuses(chain, writer, [guard('expired', lease)], 'NOT_EXPIRED')
    commits(chain, writer, change(OP.expire, lease))
    chain.time += 100
    refuses(chain, writer, [guard('expired', lease)], 'NOT_EXPIRED')
  })

  it('time: before it, and from it on', () => {
    const now = chain.time
    commits(
      chain,
      writer,
      guard('before', ROOT_ENTITY, now + 1),
      guard('notBefore', ROOT_ENTITY, now),
      change(OP.put, thing, { body: chain.body() }),
    )
    refuses(chain, writer, [guard('before', ROOT_ENTITY, now)], 'CONFLICT', { before: now, found: now })
    refuses(chain, writer, [guard('notBefore', ROOT_ENTITY, now + 1)], 'CONFLICT', { notBefore: now + 1, found: now })
    chain.time += 1
    refuses(chain, writer, [guard('before', ROOT_ENTITY, now + 1)], 'CONFLICT')
    commits(chain, writer, guard('notBefore', ROOT_ENTITY, now + 1), change(OP.put, thing, { body: chain.body() }))
  })

  it('LEVEL_TOO_LOW: rules of level 2 know no guards on time, and no debts', () => {
    const old = forger({ parameters: { level: 2 } })
    const session = old.session(root)
    for (const kind of ['before', 'notBefore'] as const)
      refuses(old, session, [guard(kind, ROOT_ENTITY, old.time)], 'LEVEL_TOO_LOW', { level: 2, needs: 3 })
    const third = forger({ parameters: { level: 3 } })
    commits(third, third.session(root), guard('notBefore', ROOT_ENTITY, third.time), create({ collection: 'c' }))
  })

  it('STALE_BASE: who guards or creates from before an id was forgotten', () => {
    const event = create({ parent: box, collection: 'floor', key: nameKey('f') })
    const named = creates(chain, writer, event)
    const other = creates(chain, writer, create({ parent: box, collection: 'floor' }))
    const loose = creates(chain, boss, create({ parent: box, collection: 'loose' }))
    commits(chain, writer, change(OP.delete, named))
    const base = chain.replica.head
    commits(chain, boss, change(OP.forget, named))
    const cases: [ForgedSession, Part[]][] = [
      [writer, [guard('version', named, 0)]],
      [writer, [guard('version', other, 1)]],
      [writer, [guard('members', box, 0, 'floor')]],
      [writer, [guard('subtree', other, 1)]],
      [writer, [event]],
      [writer, [create({ parent: box, collection: 'floor' })]],
      [boss, [change(OP.move, loose, { parent: box, collection: 'floor' })]],
    ]
    for (const [session, parts] of cases) refuses(chain, session, parts, 'STALE_BASE', {}, { base })
    // The root stands in no list, whatever was forgotten in the one without a name.
    const bare = create({ key: nameKey('bare') })
    const gone = creates(chain, boss, bare)
    commits(chain, boss, change(OP.delete, gone))
    commits(chain, boss, change(OP.forget, gone))
    expect(outcomesOf(chain.write(boss, [chain.tx(guard('version', ROOT_ENTITY, 1))], { base }))).toEqual(['committed'])
    // Other collections have no such floor, and who has seen it may go on, from version 0.
    expect(outcomesOf(chain.write(writer, [chain.tx(create({ parent: box, collection: 'far' }))], { base }))).toEqual([
      'committed',
    ])
    commits(chain, writer, guard('version', named, 0), { ...event, version: 1 })
  })
})

describe('the tree', () => {
  it('TREE_CYCLE, NAMED_MOVE, NOT_FOUND', () => {
    const { chain, boss } = start()
    const top = creates(chain, boss, create({ collection: 'c' }))
    const middle = creates(chain, boss, create({ parent: top, collection: 'c' }))
    const low = creates(chain, boss, create({ parent: middle, collection: 'c' }))
    const named = creates(chain, boss, create({ collection: 'c', key: nameKey('n') }))
    refuses(chain, boss, [change(OP.move, top, { parent: top, collection: 'c' })], 'TREE_CYCLE', {
      entity: textOfWords(top),
    })
    refuses(chain, boss, [change(OP.move, top, { parent: middle, collection: 'c' })], 'TREE_CYCLE')
    refuses(chain, boss, [change(OP.move, top, { parent: low, collection: 'c' })], 'TREE_CYCLE')
    refuses(chain, boss, [change(OP.move, named, { parent: top, collection: 'c' })], 'NAMED_MOVE', {
      entity: textOfWords(named),
    })
    refuses(chain, boss, [change(OP.move, low, { parent: NOBODY, collection: 'c' })], 'NOT_FOUND', { what: 'parent' })
    refuses(chain, boss, [create({ parent: NOBODY, collection: 'c' })], 'NOT_FOUND', {
      what: 'parent',
      entity: textOfWords(NOBODY),
    })
    refuses(chain, boss, [change(OP.put, NOBODY, { body: chain.body() })], 'NOT_FOUND', { entity: textOfWords(NOBODY) })
    refuses(chain, boss, [change(OP.forget, low)], 'NOT_FOUND', { what: 'tombstone' })
    commits(chain, boss, change(OP.delete, low))
    for (const op of [OP.put, OP.delete, OP.move, OP.policy, OP.epoch, OP.add, OP.retain, OP.expire]) {
      refuses(chain, boss, [change(op, low)], 'NOT_FOUND')
    }
    refuses(chain, boss, [create({ parent: low, collection: 'c' })], 'NOT_FOUND', { what: 'parent' })
    // A swap in one transaction: each event sees what the one before left.
    commits(
      chain,
      boss,
      change(OP.move, middle, { collection: 'c' }),
      change(OP.move, top, { parent: middle, collection: 'c' }),
    )
  })

  it('TREE_DEPTH: below the deepest level, and by a move of something tall', () => {
    const { chain, boss } = start()
    let deepest = ROOT_ENTITY
    const path = [deepest]
    for (let i = 0; i < TREE_DEPTH_MAX; i++) {
      deepest = creates(chain, boss, create({ parent: deepest, collection: 'c' }))
      path.push(deepest)
    }
    refuses(chain, boss, [create({ parent: deepest, collection: 'c' })], 'TREE_DEPTH', { max: TREE_DEPTH_MAX })
    const tall = creates(chain, boss, create({ collection: 'c' }))
    creates(chain, boss, create({ parent: tall, collection: 'c' }))
    refuses(chain, boss, [change(OP.move, tall, { parent: path[TREE_DEPTH_MAX - 1]!, collection: 'c' })], 'TREE_DEPTH')
    commits(chain, boss, change(OP.move, tall, { parent: path[TREE_DEPTH_MAX - 2]!, collection: 'c' }))
  })

  it('NOT_EMPTY, NAME_TAKEN, ID_REUSED', () => {
    const { chain, boss } = start()
    const top = creates(chain, boss, create({ collection: 'c' }))
    const event = create({ parent: top, collection: 'c', key: nameKey('n') })
    const child = creates(chain, boss, event)
    refuses(chain, boss, [change(OP.delete, top)], 'NOT_EMPTY', { entity: textOfWords(top) })
    refuses(chain, boss, [event], 'NAME_TAKEN', { entity: textOfWords(child) })
    refuses(chain, boss, [{ ...event, version: 2 }], 'NAME_TAKEN')
    const made = chain.tx(create({ collection: 'c' }))
    chain.write(boss, [made])
    refuses(chain, boss, { ...made, events: [create({ collection: 'other' })] }, 'ID_REUSED', {
      entity: textOfWords(chain.idOf(root, made)),
    })
    commits(chain, boss, change(OP.delete, chain.idOf(root, made)))
    refuses(chain, boss, made, 'ID_REUSED')
    commits(chain, boss, change(OP.delete, child), change(OP.delete, top))
  })

  it('RESERVED_NAME: roles live in their collection, nothing else does', () => {
    const { chain, boss } = start()
    const role = chain.role(0, [root], { add: [root.id] })
    const loose = creates(chain, boss, create({ collection: 'c' }))
    refuses(chain, boss, [create({ collection: ROLES, key: nameKey('x') })], 'RESERVED_NAME', { collection: ROLES })
    refuses(chain, boss, [create({ collection: 'other', key: nameKey('x'), rare: { role } })], 'RESERVED_NAME', {
      collection: 'other',
    })
    refuses(chain, boss, [change(OP.move, loose, { collection: ROLES })], 'RESERVED_NAME', { collection: ROLES })
    refuses(chain, boss, [create({ collection: ROLES, rare: { role } })], 'RESERVED_NAME', {
      what: 'a role is a named entity without policies',
    })
    refuses(
      chain,
      boss,
      [create({ collection: ROLES, key: nameKey('x'), rare: { role, policy: { write: [root.id] } } })],
      'RESERVED_NAME',
    )
  })
})

describe('counters', () => {
  // Anew where a test has changed something: that is nothing to the others.
  const world = () => {
    const { chain, boss, writer, box } = boxChain()
    const unit = creates(chain, boss, create({ collection: 'units' }))
    const account = (value: bigint): ReturnType<typeof create> =>
      create({
        parent: box,
        collection: 'accounts',
        rare: { counters: [{ name: 'n', value, floor: 0n, ceiling: 100n, unit: bytesOfWords(unit) }] },
      })
    const rich = creates(chain, boss, account(60n))
    const poor = creates(chain, writer, account(0n))
    return { chain, boss, writer, box, unit, account, rich, poor }
  }
  let { chain, boss, writer, box, unit, account, rich, poor } = world()
  const fresh = stateText(chain.replica)
  beforeEach(() => {
    if (stateText(chain.replica) !== fresh) ({ chain, boss, writer, box, unit, account, rich, poor } = world())
  })
  const add = (entity: EntityWords, amount: bigint, counter = 'n'): Part =>
    change(OP.add, entity, { rare: { counter, amount } })

  it('COUNTER_BOUNDS', () => {
    refuses(chain, boss, [add(rich, -61n)], 'COUNTER_BOUNDS', { counter: 'n', floor: 0n, ceiling: 100n })
    refuses(chain, boss, [add(rich, 41n)], 'COUNTER_BOUNDS')
    refuses(chain, boss, [account(101n)], 'COUNTER_BOUNDS')
    refuses(
      chain,
      boss,
      [create({ rare: { counters: [{ name: 'n', value: 5n, floor: 6n, ceiling: 5n }] } })],
      'COUNTER_BOUNDS',
    )
    refuses(
      chain,
      boss,
      [
        create({
          rare: {
            counters: [
              { name: 'n', value: 0n },
              { name: 'n', value: 0n },
            ],
          },
        }),
      ],
      'COUNTER_BOUNDS',
      { what: 'named twice' },
    )
    // Judged on the state after the last event: on the way a counter may leave its bounds.
    commits(chain, boss, add(rich, -70n), add(rich, 70n))
    // What is gone at the end has no bounds.
    const brief = creates(chain, boss, create({ rare: { counters: [{ name: 'n', value: 0n, ceiling: 1n }] } }))
    commits(chain, boss, add(brief, 5n), change(OP.delete, brief))
  })

  it('COUNTER_BOUNDS: no sum runs over', () => {
    const most = (1n << BigInt(COUNTER_BITS_MAX)) - 1n
    const free = creates(chain, boss, create({ rare: { counters: [{ name: 'n', value: most }] } }))
    refuses(chain, boss, [add(free, 1n)], 'COUNTER_BOUNDS')
    refuses(chain, boss, [add(free, most)], 'COUNTER_BOUNDS')
    commits(chain, boss, add(free, -most), add(free, -most))
    refuses(chain, boss, [add(free, -1n)], 'COUNTER_BOUNDS')
  })

  it('NO_COUNTER', () => {
    refuses(chain, boss, [add(rich, 1n, 'other')], 'NO_COUNTER', { counter: 'other' })
    refuses(chain, boss, [add(box, 1n)], 'NO_COUNTER', { counter: 'n' })
    refuses(chain, boss, [change(OP.add, rich, { rare: { counter: 'n' } })], 'NO_COUNTER')
    refuses(chain, boss, [change(OP.add, rich)], 'NO_COUNTER')
  })

  it('NOT_CONSERVED', () => {
    const unitText = textOfWords(unit)
    refuses(chain, writer, [add(rich, 1n)], 'NOT_CONSERVED', { sum: 1n, unit: unitText })
    refuses(chain, writer, [add(rich, -5n), add(poor, 6n)], 'NOT_CONSERVED', { sum: 1n })
    refuses(chain, writer, [account(1n)], 'NOT_CONSERVED', { sum: 1n })
    commits(chain, writer, add(rich, -5n), add(poor, 5n))
    refuses(chain, writer, [change(OP.delete, poor)], 'NOT_CONSERVED', { sum: -5n })
    // Deleted after a payment in the same transaction: what it had then counts.
    refuses(chain, writer, [add(rich, 1n), change(OP.delete, poor)], 'NOT_CONSERVED', { sum: -4n })
    commits(chain, writer, add(rich, 5n), change(OP.delete, poor))
    commits(chain, writer, account(7n), add(rich, -7n))
    // Who may write the unit mints and burns.
    commits(chain, boss, add(rich, 3n))
  })

  it('a unit and a policy that are not there', () => {
    refuses(
      chain,
      boss,
      [create({ rare: { counters: [{ name: 'n', value: 0n, unit: bytesOfWords(NOBODY) }] } })],
      'NOT_FOUND',
      { what: 'unit' },
    )
    refuses(chain, boss, [create({ rare: { counters: [{ name: 'n', value: 0n, up: [eve.id] }] } })], 'NO_ROLE', {
      counter: 'n',
    })
    refuses(
      chain,
      boss,
      [create({ rare: { counters: [{ name: 'n', value: 0n, down: [bytesOfWords(NOBODY)] }] } })],
      'NO_ROLE',
    )
  })
})

describe('retention', () => {
  it.each<[string, (now: number) => RareFields]>([
    ['a time', (now) => ({ retain: now + 1000 })],
    ['a hold', () => ({ holds: ['court'] })],
  ])('RETAINED by %s: no change, no move, no end', (_, rare) => {
    const { chain, boss } = start()
    const counters = [{ name: 'n', value: 1n }]
    const kept = creates(
      chain,
      boss,
      create({ collection: 'c', body: chain.body(), rare: { ...rare(chain.time), counters } }),
    )
    const facts = rare(chain.time).retain === undefined ? { holds: ['court'] } : { until: chain.time + 1000 }
    for (const event of [
      change(OP.put, kept, { body: chain.body() }),
      change(OP.delete, kept),
      change(OP.move, kept, { collection: 'other' }),
      change(OP.expire, kept, { rare: { ttl: 0 } }),
      change(OP.add, kept, { rare: { counter: 'n', amount: 1n } }),
    ]) {
      refuses(chain, boss, [event], 'RETAINED', facts)
    }
    chain.time += 1000
    const after = rare(0).holds ? 'RETAINED' : 'committed'
    expect(outcomesOf(chain.write(boss, [chain.tx(change(OP.put, kept, { body: chain.body() }))]))).toEqual([after])
  })

  it('RETAIN_SHRINKS, and holds only grow', () => {
    const { chain, boss } = start()
    const kept = creates(chain, boss, create({ collection: 'c', rare: { retain: chain.time + 50 } }))
    refuses(chain, boss, [change(OP.retain, kept, { rare: { retain: chain.time + 49 } })], 'RETAIN_SHRINKS', {
      until: chain.time + 50,
    })
    commits(chain, boss, change(OP.retain, kept, { rare: { retain: chain.time + 60, holds: ['a'] } }))
    commits(chain, boss, change(OP.retain, kept, { rare: { holds: ['b', 'a'] } }))
    refuses(chain, boss, [change(OP.retain, kept, { rare: { retain: 0, holds: [] } })], 'RETAIN_SHRINKS', {
      until: chain.time + 60,
    })
    refuses(chain, boss, [change(OP.delete, kept)], 'RETAINED', { holds: ['a', 'b'] })
    const many = Array.from({ length: 62 }, (_, i) => `h${i}`)
    commits(chain, boss, change(OP.retain, kept, { rare: { holds: many } }))
    refuses(chain, boss, [change(OP.retain, kept, { rare: { holds: ['one more'] } })], 'RETAINED', {
      holds: 65,
      max: 64,
    })
  })
})

describe('epochs and policies', () => {
  it('STALE_EPOCH: another epoch, another node, no epoch, and one from before a removal', () => {
    const { chain, boss } = start()
    const role = makeRole(chain, boss, 'crew', [ann])
    const readers = [{ role, generation: 0 }]
    const room = creates(
      chain,
      boss,
      create({ collection: 'rooms', rare: { policy: { read: [bytesOfWords(role)] }, epoch: chain.epoch(0, readers) } }),
    )
    const inRoom = (body: Parameters<Forger['body']>[1], node = room): Part =>
      create({ parent: room, collection: 'c', body: chain.body(node, body) })
    refuses(chain, boss, [inRoom({ epoch: 1 })], 'STALE_EPOCH', { epoch: 1, newest: 0 })
    refuses(chain, boss, [inRoom({}, ROOT_ENTITY)], 'STALE_EPOCH', { epoch: 0, newest: 0 })
    refuses(chain, boss, [inRoom({}, NOBODY)], 'STALE_EPOCH')
    const thing = creates(chain, boss, inRoom({}) as ReturnType<typeof create>)
    commits(chain, boss, change(OP.epoch, room, { rare: { epoch: chain.epoch(1, readers) } }))
    refuses(chain, boss, [change(OP.put, thing, { body: chain.body(room, { epoch: 0 }) })], 'STALE_EPOCH', {
      epoch: 0,
      newest: 1,
    })
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [root], { remove: [ann.id] }) } }))
    refuses(chain, boss, [inRoom({})], 'STALE_EPOCH', { epoch: 1, node: textOfWords(room) })
    const renewed = change(OP.epoch, room, { rare: { epoch: chain.epoch(2, [{ role, generation: 1 }]) } })
    // The epoch comes in the same transaction, before or after the event that it seals.
    refuses(chain, boss, [inRoom({ epoch: 2 }), renewed], 'STALE_EPOCH')
    commits(chain, boss, renewed, inRoom({ epoch: 2 }))
  })

  it('EPOCH_ORDER', () => {
    const { chain, boss } = start()
    const epoch = (number: number): Part =>
      change(OP.epoch, ROOT_ENTITY, { rare: { epoch: chain.epoch(number, [root.id]) } })
    refuses(chain, boss, [epoch(0)], 'EPOCH_ORDER', { epoch: 0, expected: 1 })
    refuses(chain, boss, [epoch(2)], 'EPOCH_ORDER', { epoch: 2, expected: 1 })
    const own = (number: number): Part =>
      create({ rare: { policy: { read: [root.id] }, epoch: chain.epoch(number, [root.id]) } })
    refuses(chain, boss, [own(1)], 'EPOCH_ORDER', { epoch: 1, expected: 0 })
    commits(chain, boss, epoch(1), own(0))
    const role = makeRole(chain, boss, 'crew', [ann])
    const event = (generation: number, rest: object, wrapFor = [root]): Part =>
      change(OP.role, role, { rare: { role: chain.role(generation, wrapFor, rest) } })
    refuses(chain, boss, [event(0, { remove: [ann.id] })], 'EPOCH_ORDER', { generation: 0, expected: 1 })
    refuses(chain, boss, [event(2, { remove: [ann.id] })], 'EPOCH_ORDER', { generation: 2, expected: 1 })
    refuses(chain, boss, [event(2, { add: [ann.id] })], 'EPOCH_ORDER', { generation: 2, expected: 0 })
    const made = { add: [root.id] }
    const fresh = (generation: number, rest: object = {}): Part =>
      create({
        collection: ROLES,
        key: nameKey('y'),
        rare: { role: chain.role(generation, [root], { ...made, ...rest }) },
      })
    refuses(chain, boss, [fresh(1)], 'EPOCH_ORDER', { generation: 1, expected: 0 })
    refuses(chain, boss, [fresh(0, { remove: [ann.id] })], 'EPOCH_ORDER')
    commits(chain, boss, event(1, { remove: [ann.id] }))
  })

  // Anew where a test has changed something: that is nothing to the others.
  const world = () => {
    const { chain, boss, writer, box } = boxChain()
    const role = makeRole(chain, boss, 'crew', [ann])
    const at = { role, generation: 0 }
    const id = bytesOfWords(role)
    const room = creates(
      chain,
      boss,
      create({ collection: 'rooms', rare: { policy: { read: [id] }, epoch: chain.epoch(0, [at]) } }),
    )
    return { chain, boss, writer, box, role, at, id, room }
  }
  let { chain, boss, writer, box, role, at, id, room } = world()
  const fresh = stateText(chain.replica)
  beforeEach(() => {
    if (stateText(chain.replica) !== fresh) ({ chain, boss, writer, box, role, at, id, room } = world())
  })
  const onRoom = (epoch: RareFields['epoch'], policy?: RareFields['policy']): Part =>
    change(policy ? OP.policy : OP.epoch, room, { rare: { ...(epoch && { epoch }), ...(policy && { policy }) } })
  const many = Array.from({ length: ROLE_MEMBERS_MAX }, (_, i) => actorOf(crypto, `many${i % 3}`))

  const shapes: [string, () => Part][] = [
    [
      'an epoch of a node without readers of its own',
      () => change(OP.epoch, box, { rare: { epoch: chain.epoch(0, [root.id]) } }),
    ],
    ['no epoch', () => onRoom(undefined)],
    ['a policy event without a policy', () => change(OP.policy, room, { rare: {} })],
    ['readers without an epoch', () => onRoom(undefined, { read: [root.id] })],
    ['an epoch with a policy of writers', () => onRoom(chain.epoch(1, [at]), { write: [root.id] })],
    ['an epoch at creation without a policy', () => create({ rare: { epoch: chain.epoch(0, [root.id]) } })],
    ['nobody reads', () => onRoom(chain.epoch(1, []), { read: 'nobody' })],
    ['an empty list of readers', () => onRoom(chain.epoch(1, []), { read: [] })],
    ['own readers given up', () => onRoom(undefined, { read: 'inherit' })],
    ['too few wraps', () => onRoom(chain.epoch(1, []))],
    ['too many wraps', () => onRoom(chain.epoch(1, [at, root.id]))],
    ['a wrap for another', () => onRoom(chain.epoch(1, [root.id]))],
    [
      'a wrap for another beside a reader who is named twice',
      () => onRoom(chain.epoch(1, [at, eve.id]), { read: [id, id] }),
    ],
    ['a wrap for a newer generation than there is', () => onRoom(chain.epoch(1, [{ role, generation: 1 }]))],
    ['a role taken for an identity', () => onRoom(chain.epoch(1, [id]))],
    ['published for a list', () => onRoom(chain.epoch(1, [at], { published: chain.bytes(64) }))],
    ['not published for everyone', () => onRoom(chain.epoch(1, []), { read: 'everyone' })],
    [
      'wraps for everyone',
      () => onRoom(chain.epoch(1, 'everyone', { wraps: [chain.wrap(eve.id)] }), { read: 'everyone' }),
    ],
    ['history without readers of its own', () => change(OP.policy, box, { rare: { policy: { history: 'live' } } })],
    [
      'a link where history is live',
      () => onRoom(chain.epoch(1, [at], { link: chain.bytes(64) }), { read: [id], history: 'live' }),
    ],
    [
      'a role whose maker is not its first member',
      () => create({ collection: ROLES, key: nameKey('z'), rare: { role: chain.role(0, [ann], { add: [ann.id] }) } }),
    ],
    [
      'a role without members',
      () => create({ collection: ROLES, key: nameKey('z'), rare: { role: chain.role(0, []) } }),
    ],
    [
      'a member whose keys are not known',
      () => change(OP.role, role, { rare: { role: chain.role(0, [eve], { add: [eve.id] }) } }),
    ],
    ['a member without a wrap', () => change(OP.role, role, { rare: { role: chain.role(0, [], { add: [bob.id] }) } })],
    [
      'a wrap without a member',
      () => change(OP.role, role, { rare: { role: chain.role(0, [bob, eve], { add: [bob.id] }) } }),
    ],
    [
      'a wrap for another than the member',
      () => change(OP.role, role, { rare: { role: chain.role(0, [eve], { add: [bob.id] }) } }),
    ],
    [
      'a wrap for one who leaves',
      () => change(OP.role, role, { rare: { role: chain.role(1, [root, ann], { remove: [ann.id] }) } }),
    ],
    [
      'no wrap for one who stays',
      () => change(OP.role, role, { rare: { role: chain.role(1, [], { remove: [ann.id] }) } }),
    ],
    ['one wrap twice', () => change(OP.role, role, { rare: { role: chain.role(0, [bob, bob], { add: [bob.id] }) } })],
    [
      'another key for a generation',
      () =>
        change(OP.role, role, {
          rare: { role: chain.role(0, [bob], { add: [bob.id], publicKey: new Uint8Array(1216) }) },
        }),
    ],
    [
      'too many members',
      () =>
        change(OP.role, role, {
          rare: { role: chain.role(0, many, { add: Array.from({ length: ROLE_MEMBERS_MAX }, () => chain.bytes(32)) }) },
        }),
    ],
  ]
  it.each(shapes)('EPOCH_SHAPE: %s', (_, event) => {
    refuses(chain, boss, [event()], 'EPOCH_SHAPE')
  })

  it('EPOCH_SHAPE: one member too many', () => {
    const add = Array.from({ length: ROLE_MEMBERS_MAX }, () => chain.bytes(32))
    const event = change(OP.role, role, { rare: { role: chain.role(0, many, { add }) } })
    refuses(chain, boss, [event], 'EPOCH_SHAPE', { members: ROLE_MEMBERS_MAX + 2, max: ROLE_MEMBERS_MAX })
  })

  it('EPOCH_SHAPE: wraps of a generation that is over', () => {
    commits(chain, boss, change(OP.role, role, { rare: { role: chain.role(1, [root], { remove: [ann.id] }) } }))
    refuses(chain, boss, [onRoom(chain.epoch(1, [at]))], 'EPOCH_SHAPE')
    commits(chain, boss, onRoom(chain.epoch(1, [{ role, generation: 1 }])))
  })

  it('EPOCH_SHAPE: a move to other readers', () => {
    const thing = creates(chain, boss, create({ collection: 'c', body: chain.body() }))
    refuses(chain, boss, [change(OP.move, thing, { parent: room, collection: 'c' })], 'EPOCH_SHAPE', {
      what: 'a move to other readers carries a read policy',
    })
    refuses(
      chain,
      boss,
      [change(OP.move, thing, { parent: room, collection: 'c', rare: { policy: { read: 'inherit' } } })],
      'EPOCH_SHAPE',
    )
    commits(
      chain,
      boss,
      change(OP.move, thing, {
        parent: room,
        collection: 'c',
        rare: { policy: { read: [root.id] }, epoch: chain.epoch(0, [root.id]) },
      }),
    )
    // With readers of its own it takes them along, and a place with the same readers needs nothing.
    commits(chain, boss, change(OP.move, thing, { collection: 'd' }))
    commits(chain, boss, change(OP.move, room, { parent: box, collection: 'd' }))
  })

  it('NO_ROLE', () => {
    const missing = bytesOfWords(NOBODY)
    for (const policy of [{ write: [missing] }, { manage: [eve.id] }, { allow: [missing] }]) {
      refuses(chain, boss, [change(OP.policy, box, { rare: { policy } })], 'NO_ROLE')
    }
    refuses(chain, boss, [onRoom(chain.epoch(2, [eve.id]), { read: [eve.id] })], 'NO_ROLE')
    refuses(
      chain,
      boss,
      [change(OP.role, box, { rare: { role: chain.role(0, [bob], { add: [bob.id] }) } })],
      'NO_ROLE',
      { entity: textOfWords(box) },
    )
    refuses(chain, boss, [change(OP.role, role)], 'NO_ROLE')
  })

  it('LAST_MANAGER', () => {
    const policies: NonNullable<RareFields['policy']>[] = [
      { manage: [] },
      { manage: 'nobody' },
      { manage: 'inherit' },
      { write: 'inherit' },
    ]
    for (const policy of policies)
      refuses(chain, boss, [change(OP.policy, ROOT_ENTITY, { rare: { policy } })], 'LAST_MANAGER')
    refuses(chain, boss, [change(OP.policy, ROOT_ENTITY, { rare: { policy: { read: 'inherit' } } })], 'EPOCH_SHAPE')
  })

  it('LAST_MANAGER: a closed node names its managers, and goes on to', () => {
    const what = 'a closed node names its managers'
    refuses(chain, boss, [create({ rare: { policy: { closed: true } } })], 'LAST_MANAGER', { what })
    const coin = creates(chain, boss, create({ rare: { policy: { closed: true, manage: [root.id] } } }))
    refuses(chain, boss, [change(OP.policy, coin, { rare: { policy: { manage: 'inherit' } } })], 'LAST_MANAGER', {
      what,
    })
    commits(chain, boss, change(OP.policy, coin, { rare: { policy: { manage: 'nobody' } } }))
    refuses(chain, boss, [change(OP.policy, coin, { rare: { policy: { manage: [root.id] } } })], 'NOT_AUTHORIZED')
  })

  it('LEVEL_SHRINKS; a raise above what is known stops the reader, unless it is void', () => {
    const raise = change(OP.root, ROOT_ENTITY, { rare: { root: { level: FOLD_LEVEL + 1 } } })
    refuses(chain, boss, [change(OP.root, ROOT_ENTITY, { rare: { root: { level: 0 } } })], 'LEVEL_SHRINKS', {
      level: 0,
      present: FOLD_LEVEL,
    })
    refuses(chain, boss, [raise, change(OP.delete, ROOT_ENTITY)], 'NOT_AUTHORIZED')
    const before = stateText(chain.replica)
    expect(() => chain.write(boss, [chain.tx(create({ collection: 'x', type: 'x' })), chain.tx(raise)])).toThrow(
      'NEEDS_UPGRADE',
    )
    expect(stateText(chain.replica)).toBe(before)
    commits(chain, boss, change(OP.root, ROOT_ENTITY, { rare: { root: { level: FOLD_LEVEL } } }))
  })

  it('CERT_UNKNOWN: the end of a certificate that is not there; one that has ended is ended again', () => {
    const end = (certificate?: Uint8Array): Part =>
      change(OP.endCertificate, ROOT_ENTITY, { rare: certificate ? { certificate } : {} })
    refuses(chain, boss, [end()], 'CERT_UNKNOWN')
    refuses(chain, boss, [end(chain.bytes(32))], 'CERT_UNKNOWN')
    commits(chain, writer, create({ parent: box, collection: 'c' }))
    commits(chain, writer, end(writer.id))
    commits(chain, boss, end(writer.id))
  })
})

describe('a whole commit', () => {
  const voids = (
    chain: Forger,
    session: ForgedSession,
    code: ErrorCode,
    facts: object,
    options: Parameters<Forger['write']>[2] = {},
  ): void => {
    const before = stateText(chain.replica)
    const time = chain.replica.chainTime
    const accepted = chain.write(session, [chain.tx(), chain.tx(create({ collection: 'c' }))], options)
    expect(accepted.outcomes?.map((outcome) => outcome?.code)).toEqual([code, code])
    expect(accepted.outcomes?.[0]?.facts).toMatchObject(facts)
    expect(stateText(chain.replica)).toBe(before)
    expect(chain.replica.chainTime).toBe(time)
    expect([...chain.replica.voids.get(chain.replica.head.seq)!.keys()]).toEqual([0, 1])
  }

  it('CERT_UNKNOWN, CERT_ENDED', () => {
    const { chain, boss } = start()
    voids(chain, boss, 'CERT_UNKNOWN', {}, { certificate: 'none' })
    expect(chain.replica.trust.certificates.size).toBe(0)
    commits(chain, boss)
    const short = chain.session(root, { until: chain.time + 5 })
    chain.time += 5
    commits(chain, short)
    chain.time += 1
    voids(chain, short, 'CERT_ENDED', {})
    const next = chain.session(root, { after: boss.id })
    commits(chain, next)
    voids(chain, boss, 'CERT_ENDED', {})
    commits(chain, next, change(OP.endCertificate, ROOT_ENTITY, { rare: { certificate: next.id } }))
    voids(chain, next, 'CERT_ENDED', {})
    // A certificate that was over before it came is not remembered.
    const late = chain.session(root, { until: chain.time - 1 })
    voids(chain, late, 'CERT_ENDED', {})
    expect(chain.replica.trust.certificates.size).toBe(3)
  })

  it('SEQ_USED, SEQ_GAP: what is void for its number uses none up', () => {
    const { chain, boss } = start()
    voids(chain, boss, 'SEQ_GAP', { writerSeq: 2, mark: 0 }, { writerSeq: 2 })
    voids(chain, boss, 'SEQ_USED', { writerSeq: 0, mark: 0 }, { writerSeq: 0 })
    expect(chain.replica.trust.certificates.size).toBe(0)
    commits(chain, boss)
    voids(chain, boss, 'SEQ_USED', { writerSeq: 1, mark: 1 }, { writerSeq: 1 })
    voids(chain, boss, 'SEQ_GAP', { writerSeq: 3, mark: 1 }, { writerSeq: 3 })
    expect(boss.mark).toBe(1)
    // Judged and void for its contents: the number is used up.
    refuses(chain, boss, [create({ parent: NOBODY })], 'NOT_FOUND')
    expect(boss.mark).toBe(3)
  })

  it('BASE_MISMATCH: a record that is not there, or another one', () => {
    const { chain, boss } = start()
    commits(chain, boss)
    const { seq, hash } = chain.replica.head
    voids(chain, boss, 'BASE_MISMATCH', { base: 9 }, { base: { seq: 9, hash } })
    voids(chain, boss, 'BASE_MISMATCH', { base: seq }, { base: { seq, hash: chain.bytes(32) } })
    voids(chain, boss, 'BASE_MISMATCH', { base: 0 }, { base: { seq: 0, hash } })
    // The commit's own place: not one that its author could have seen.
    voids(chain, boss, 'BASE_MISMATCH', {}, { base: { seq: chain.replica.head.seq + 1, hash } })
    expect(boss.mark).toBe(5)
    expect(outcomesOf(chain.write(boss, [chain.tx()], { base: { seq: 0, hash: chain.records[0]!.hash } }))).toEqual([
      'committed',
    ])
  })

  it('UNKNOWN_WRITER: counts only where everyone may write', () => {
    const { chain, boss } = start()
    const open = creates(chain, boss, create({ rare: { policy: { write: 'everyone' } } }))
    const stranger = chain.session(eve)
    const unknown = (...parts: Part[]): string[] => outcomesOf(chain.write(stranger, [chain.tx(...parts)]))
    const before = stateText(chain.replica)
    expect(unknown(create({ collection: 'c' }))).toEqual(['UNKNOWN_WRITER'])
    expect(unknown(guard('version', open, 4))).toEqual(['UNKNOWN_WRITER'])
    // What changes nothing writes nowhere: it does not make a stranger known.
    expect(unknown()).toEqual(['UNKNOWN_WRITER'])
    expect(unknown(guard('version', open, 1))).toEqual(['UNKNOWN_WRITER'])
    expect(outcomesOf(chain.write(stranger, []))).toEqual([])
    expect(stateText(chain.replica)).toBe(before)
    expect(chain.replica.trust.certificates.has(String.fromCharCode(...stranger.id))).toBe(false)
    expect(unknown(create({ parent: open, collection: 'c' }))).toEqual(['committed'])
    expect(fromBinaryText(eve.key)).toEqual(stranger.body.identity)
    expect(chain.replica.trust.identities.has(eve.key)).toBe(false)
  })
})
