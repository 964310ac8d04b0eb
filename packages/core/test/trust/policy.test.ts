/** Who a policy names, on a tree of a few nodes; and whom an epoch must be wrapped to. */
import { describe, expect, it } from 'vitest'
import { EntityWords } from '../../src/event/entity-words.ts'
import { lends, type Person, type Standing } from '../../src/trust/person.ts'
import {
  hasMember,
  mayManage,
  mayOwn,
  mayRead,
  mayWrite,
  names,
  nodeWith,
  type Policy,
  type PolicyList,
  type Role,
  type Tree,
  withoutDropped,
} from '../../src/trust/policy.ts'
import { isStale, TrustState, wrapsFit } from '../../src/trust/trust-state.ts'

const OPEN: Policy = { read: undefined, write: undefined, manage: undefined, closed: false, allow: [], history: 'all' }
const of = (...identities: string[]): PolicyList => identities.map((identity) => ({ identity }))

function role(members: string[], change: Partial<Role> = {}): Role {
  const generations = [{ number: 3, publicKey: new Uint8Array(0), wraps: new Map() }]
  return {
    id: new EntityWords(1, 2, 3, -4),
    name: 'r',
    node: 0,
    row: 9,
    members: new Set(members),
    generations,
    rotatedAt: 0,
    dropped: false,
    stale: false,
    ...change,
  }
}

const NONE = new Map<string, Person>()
const trust = new TrustState()

function person(name: string, standings: readonly Standing[], change: Partial<Person> = {}): Person {
  const keys = standings.map((standing, i) => [`${name}${i}`, { keys: new Uint8Array(3200), standing }] as const)
  const generations = [0, 1].map((number) => ({ number, publicKey: new Uint8Array(0), wraps: new Map() }))
  return { name, keys: new Map(keys), generations, rotatedAt: 6, ...change }
}

/** A state of level 2 that knows these persons. */
function withPersons(...persons: readonly Person[]): TrustState {
  const state = new TrustState()
  state.level = 2
  for (const one of persons) {
    state.persons.set(one.name, one)
    for (const key of one.keys.keys()) state.personOfKey.set(key, one)
  }
  return state
}

/** 0 root, 1 below it, 2 below 1, 3 below 2. */
function tree(policies: Partial<Record<number, Partial<Policy>>>): Tree {
  const root: Policy = { ...OPEN, read: of('r'), write: of('r'), manage: of('r'), closed: true }
  return {
    parentOf: (row) => Math.max(0, row - 1),
    policyOf: (row) => (row === 0 ? { ...root, ...policies[0] } : policies[row] && { ...OPEN, ...policies[row] }),
  }
}

describe('policies', () => {
  it('names identities, members of roles, everyone, nobody', () => {
    const list: PolicyList = [{ identity: 'a' }, { role: role(['b']) }]
    expect(['a', 'b', 'c'].map((who) => names(list, who))).toEqual([true, true, false])
    expect([names('everyone', 'x'), names('nobody', 'x'), names([], 'x')]).toEqual([true, false, false])
  })

  it('read and write come from the nearest node that has its own', () => {
    const given = tree({ 1: { write: of('w') }, 2: { read: of('x') } })
    expect([nodeWith(given, 'write', 3), nodeWith(given, 'read', 3), nodeWith(given, 'read', 1)]).toEqual([1, 2, 0])
    expect([mayWrite(given, 3, 'w'), mayWrite(given, 3, 'r'), mayWrite(given, 0, 'r')]).toEqual([true, false, true])
    expect([mayRead(given, 3, 'x'), mayRead(given, 1, 'x'), mayRead(given, 1, 'r')]).toEqual([true, false, true])
  })

  it('manage holds from above, down to a closed node', () => {
    const open = tree({ 2: { manage: of('m') } })
    expect(['r', 'm'].map((who) => mayManage(open, 3, who))).toEqual([true, true])
    expect(mayManage(open, 1, 'm')).toBe(false)
    const closed = tree({ 1: { manage: of('h') }, 2: { manage: of('m'), closed: true } })
    expect(['r', 'h', 'm'].map((who) => mayManage(closed, 3, who))).toEqual([false, false, true])
    expect(['r', 'h', 'm'].map((who) => mayManage(closed, 2, who))).toEqual([false, false, true])
    expect(['r', 'h', 'm'].map((who) => mayManage(closed, 1, who))).toEqual([true, true, false])
  })

  it('allow reaches one level', () => {
    const given = tree({ 2: { allow: [{ identity: 'a' }] } })
    expect([mayOwn(given, 2, 'a'), mayOwn(given, 3, 'a'), mayOwn(given, 1, 'a'), mayOwn(given, 3, 'r')]).toEqual([
      true,
      false,
      false,
      true,
    ])
  })

  it('a list that names nobody, and a role that is gone', () => {
    const gone = role([], { dropped: true })
    expect([
      hasMember([], NONE),
      hasMember('nobody', NONE),
      hasMember(undefined, NONE),
      hasMember([{ role: role([]) }], NONE),
      hasMember([{ role: gone }], NONE),
    ]).toEqual([false, false, false, false, false])
    expect([hasMember('everyone', NONE), hasMember(of('a'), NONE), hasMember([{ role: role(['a']) }], NONE)]).toEqual([
      true,
      true,
      true,
    ])
    const list = [{ role: gone }, { identity: 'a' }] as const
    expect(withoutDropped(list, NONE)).toEqual([{ identity: 'a' }])
    const whole = [{ identity: 'a' }] as const
    expect(withoutDropped(whole, NONE)).toBe(whole)
  })
})

describe('epochs', () => {
  const fields = { number: 0, commitment: new Uint8Array(32), wraps: [] }
  const wrap = (to: Uint8Array, generation?: number): { to: Uint8Array; wrapped: Uint8Array; generation?: number } => ({
    to,
    wrapped: new Uint8Array(1),
    ...(generation === undefined ? {} : { generation }),
  })
  const roleId = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 255, 255, 255, 252)
  const a = new Uint8Array(32).fill(97)
  const b = new Uint8Array(32).fill(98)
  const A = 'a'.repeat(32)
  const B = 'b'.repeat(32)

  it.each<[string, boolean, PolicyList, ReturnType<typeof wrap>[]]>([
    ['one each', true, [{ identity: A }, { role: role([]) }], [wrap(roleId, 3), wrap(a)]],
    ['one missing', false, [{ identity: A }, { role: role([]) }], [wrap(a)]],
    ['an older generation', false, [{ role: role([]) }], [wrap(roleId, 2)]],
    ['no generation', false, [{ role: role([]) }], [wrap(roleId)]],
    ['another role', false, [{ role: role([], { id: new EntityWords(1, 2, 3, 4) }) }], [wrap(roleId, 3)]],
    ['a role, and bytes behind its id', false, [{ role: role([]) }], [wrap(new Uint8Array([...roleId, ...roleId]), 3)]],
    ['an identity cut short', false, [{ identity: A }], [wrap(a.slice(0, 16))]],
    ['an identity that goes on', false, [{ identity: A }], [wrap(new Uint8Array(33).fill(97))]],
    ['another identity', false, [{ identity: A }], [wrap(b)]],
    ['one twice for two', false, [{ identity: A }, { identity: B }], [wrap(a), wrap(a)]],
    ['another beside one who is named twice', false, [{ identity: A }, { identity: A }], [wrap(a), wrap(b)]],
    ['one who is named twice', true, [{ identity: A }, { identity: A }], [wrap(a), wrap(a)]],
    ['one who is named once, wrapped to twice', false, [{ identity: A }], [wrap(a), wrap(a)]],
    ['a role that is gone', true, [{ identity: A }, { role: role([], { dropped: true }) }], [wrap(a)]],
    ['a role that is gone, wrapped to', false, [{ role: role([], { dropped: true }) }], [wrap(roleId, 3)]],
    ['nobody', false, 'nobody', []],
    ['everyone, unpublished', false, 'everyone', []],
  ])('%s: %s', (_, fits, readers, wraps) => {
    expect(wrapsFit(trust, { ...fields, wraps }, readers)).toBe(fits)
  })

  it.each<[string, boolean, PolicyList, ReturnType<typeof wrap>[]]>([
    ['a person at its newest key', true, [{ identity: A }], [wrap(a, 1)]],
    ['at an older one', false, [{ identity: A }], [wrap(a, 0)]],
    ['at its first key', false, [{ identity: A }], [wrap(a)]],
    ['an identity that is no person', true, [{ identity: B }], [wrap(b)]],
    ['the same with a generation', false, [{ identity: B }], [wrap(b, 1)]],
    ['a revoked person', true, [{ identity: A }, { identity: 'gone' }], [wrap(a, 1)]],
    ['a role that waits for its next key', false, [{ role: role([], { stale: true }) }], [wrap(roleId, 3)]],
  ])('of persons: %s: %s', (_, fits, readers, wraps) => {
    const state = withPersons(person(A, ['owner']), person('gone', ['removed', 'removed']))
    expect(wrapsFit(state, { ...fields, wraps }, readers)).toBe(fits)
  })

  it('of level 1 do not look at the generation of a wrap for an identity', () => {
    expect(wrapsFit(trust, { ...fields, wraps: [wrap(a, 7)] }, [{ identity: A }])).toBe(true)
  })

  it('published for everyone, and for everyone only', () => {
    const published = { ...fields, published: new Uint8Array(64) }
    expect([
      wrapsFit(trust, published, 'everyone'),
      wrapsFit(trust, { ...published, wraps: [wrap(a)] }, 'everyone'),
      wrapsFit(trust, { ...published, wraps: [wrap(a)] }, [{ identity: A }]),
    ]).toEqual([true, false, false])
  })

  it('is stale once a role of its readers has another key', () => {
    const epoch = { number: 0, fields, tick: 5 }
    const at = (rotatedAt: number): PolicyList => [{ identity: 'x' }, { role: role(['x'], { rotatedAt }) }]
    expect([
      isStale(trust, epoch, at(4)),
      isStale(trust, epoch, at(5)),
      isStale(trust, epoch, at(6)),
      isStale(trust, epoch, 'everyone'),
      isStale(trust, epoch, of('x')),
    ]).toEqual([false, false, true, false, false])
  })

  it('is stale once a person of its readers has another key, or a role of them must follow one', () => {
    const state = withPersons(person('p', ['owner']))
    const at = (tick: number) => ({ number: 0, fields, tick })
    expect([
      isStale(state, at(5), of('x', 'p')),
      isStale(state, at(6), of('p')),
      isStale(state, at(5), of('x')),
    ]).toEqual([true, false, false])
    expect(isStale(state, at(9), [{ role: role(['p'], { stale: true }) }])).toBe(true)
  })
})

describe('keys', () => {
  it('act for their person, or for themselves, or for nobody', () => {
    const state = withPersons(person('p', ['removed', 'owner', 'device']))
    expect(['p0', 'p1', 'p2', 'q'].map((key) => state.actorOf(key))).toEqual([undefined, 'p', 'p', 'q'])
    expect(['p0', 'q'].map((key) => state.keysOf(key)?.length)).toEqual([3200, undefined])
  })

  it('open a generation that was borrowed from them, and no other', () => {
    const owner = new Uint8Array(3200).fill(7)
    const borrowed = { number: 2, publicKey: owner.slice(1984), wraps: new Map() }
    const wrap = { to: new Uint8Array(32), wrapped: new Uint8Array(1) }
    expect([
      lends(owner, borrowed),
      lends(new Uint8Array(3200), borrowed),
      lends(owner, { ...borrowed, wraps: new Map([['p', wrap]]) }),
    ]).toEqual([true, false, false])
  })

  it('a list that names a revoked person names nobody', () => {
    const { persons } = withPersons(person('p', ['removed']), person('q', ['removed', 'device']))
    expect([hasMember(of('p'), persons), hasMember(of('p', 'q'), persons)]).toEqual([false, true])
    expect(withoutDropped([{ identity: 'p' }, { identity: 'q' }], persons)).toEqual([{ identity: 'q' }])
  })
})
