/** What builds on changes that are open: of each way to ask for a number, and of what asks for none. */
import { expect, it } from 'vitest'
import { OpenChanges } from '../../src/chain/dependence.ts'
import type { TransactionDraft } from '../../src/chain/staged.ts'
import { GUARD, OP } from '../../src/event/format.ts'
import type { Guard } from '../../src/event/transaction-event.ts'

const id = (n: number) => ({ a: n, b: n, c: n, d: n })

interface Change {
  readonly op: number
  readonly of: number
  readonly below?: number
  readonly key?: Uint8Array
  readonly rare?: object
}

function draft(changes: readonly Change[], guards: readonly Partial<Guard>[] = []): TransactionDraft {
  const events = changes.map(({ op, of, below = 0, key = null, rare = null }) => {
    return { ...id(of), op, parent: id(below), key, rare }
  })
  return { events, guards } as unknown as TransactionDraft
}

function opened(...changes: readonly Change[]): OpenChanges {
  const open = new OpenChanges()
  open.add(draft(changes))
  return open
}

const guarded = (kind: number, of: number): TransactionDraft => draft([], [{ kind, entity: id(of) } as Guard])

it('nothing is under nothing', () => {
  const open = new OpenChanges()
  expect(open.isUnder(draft([{ op: OP.put, of: 1 }]))).toBe(false)
  expect(open.isUnder(guarded(GUARD.subtree, 1))).toBe(false)
})

it('a change of what is changed is, and a new one of another id is not', () => {
  const open = opened({ op: OP.put, of: 1 })
  expect(open.isUnder(draft([{ op: OP.put, of: 1 }]))).toBe(true)
  expect(open.isUnder(draft([{ op: OP.put, of: 2 }]))).toBe(false)
  expect(open.isUnder(draft([{ op: OP.create, of: 1 }]))).toBe(false)
  // Of a name the id is the same for everybody.
  expect(open.isUnder(draft([{ op: OP.create, of: 1, key: new Uint8Array(1) }]))).toBe(true)
  expect(open.isUnder(draft([{ op: OP.add, of: 1 }]))).toBe(false)
})

it('a guard of what is changed is, also of what came while others were looked at', () => {
  const open = opened({ op: OP.put, of: 1 })
  expect(open.isUnder(guarded(GUARD.version, 1))).toBe(true)
  expect(open.isUnder(guarded(GUARD.version, 2))).toBe(false)
  open.add(draft([{ op: OP.create, of: 2, below: 5 }]))
  expect(open.isUnder(guarded(GUARD.version, 2))).toBe(true)
  expect(open.isUnder(guarded(GUARD.subtree, 9))).toBe(true)
})

it('a list is by what came into it, and every list by what left one', () => {
  const open = opened({ op: OP.create, of: 1, below: 5 })
  expect([5, 6].map((of) => open.isUnder(guarded(GUARD.members, of)))).toEqual([true, false])
  for (const op of [OP.move, OP.delete, OP.forget])
    expect(opened({ op, of: 1 }).isUnder(guarded(GUARD.members, 6))).toBe(true)
})

it('everything is under a change of who may do what', () => {
  for (const rare of ['policy', 'epoch', 'role', 'person', 'root', 'certificate'])
    expect(opened({ op: OP.put, of: 1, rare: { [rare]: {} } }).isUnder(draft([{ op: OP.add, of: 2 }]))).toBe(true)
  expect(opened({ op: OP.put, of: 1, rare: { counters: {} } }).isUnder(draft([{ op: OP.add, of: 2 }]))).toBe(false)
})
