/** Who a policy names, on a tree of a few nodes; and whom an epoch must be wrapped to. */
import { describe, expect, it } from 'vitest'
import { EntityWords } from '../../src/event/entity-words.ts'
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
import { isStale, wrapsFit } from '../../src/trust/trust-state.ts'

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
    ...change,
  }
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
      hasMember([]),
      hasMember('nobody'),
      hasMember(undefined),
      hasMember([{ role: role([]) }]),
      hasMember([{ role: gone }]),
    ]).toEqual([false, false, false, false, false])
    expect([hasMember('everyone'), hasMember(of('a')), hasMember([{ role: role(['a']) }])]).toEqual([true, true, true])
    const list = [{ role: gone }, { identity: 'a' }] as const
    expect(withoutDropped(list)).toEqual([{ identity: 'a' }])
    const whole = [{ identity: 'a' }] as const
    expect(withoutDropped(whole)).toBe(whole)
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
    ['another identity', false, [{ identity: A }], [wrap(b)]],
    ['one twice for two', false, [{ identity: A }, { identity: B }], [wrap(a), wrap(a)]],
    ['another beside one who is named twice', false, [{ identity: A }, { identity: A }], [wrap(a), wrap(b)]],
    ['one who is named twice', true, [{ identity: A }, { identity: A }], [wrap(a), wrap(a)]],
    ['a role that is gone', true, [{ identity: A }, { role: role([], { dropped: true }) }], [wrap(a)]],
    ['a role that is gone, wrapped to', false, [{ role: role([], { dropped: true }) }], [wrap(roleId, 3)]],
    ['nobody', false, 'nobody', []],
    ['everyone, unpublished', false, 'everyone', []],
  ])('%s: %s', (_, fits, readers, wraps) => {
    expect(wrapsFit({ ...fields, wraps }, readers)).toBe(fits)
  })

  it('published for everyone, and for everyone only', () => {
    const published = { ...fields, published: new Uint8Array(64) }
    expect([
      wrapsFit(published, 'everyone'),
      wrapsFit({ ...published, wraps: [wrap(a)] }, 'everyone'),
      wrapsFit({ ...published, wraps: [wrap(a)] }, [{ identity: A }]),
    ]).toEqual([true, false, false])
  })

  it('is stale once a role of its readers has another key', () => {
    const epoch = { number: 0, fields, tick: 5 }
    const at = (rotatedAt: number): PolicyList => [{ identity: 'x' }, { role: role(['x'], { rotatedAt }) }]
    expect([
      isStale(epoch, at(4)),
      isStale(epoch, at(5)),
      isStale(epoch, at(6)),
      isStale(epoch, 'everyone'),
      isStale(epoch, of('x')),
    ]).toEqual([false, false, true, false, false])
  })
})
