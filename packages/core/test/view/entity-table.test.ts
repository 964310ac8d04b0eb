/** The table of entities against a Map: what was added is found, what was taken back is not, whatever it grows to. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isAteError } from '../../src/base/errors.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { EntityTable, ROW } from '../../src/view/entity-table.ts'

type Id = readonly [number, number, number, number]
const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`ATE_SEED=${SEED}`)

const keyOf = (id: Id): string => id.join()

/** Few ids, so that they meet; and some that differ in one word only. */
const id: fc.Arbitrary<Id> = fc.oneof(
  fc.tuple(fc.integer(), fc.integer(), fc.integer(), fc.integer()),
  fc.tuple(fc.constantFrom(0, -1, 1, 0x7fffffff), fc.constant(0), fc.constant(0), fc.integer({ min: -3, max: 40 })),
)

describe('EntityTable', () => {
  it('is a Map from ids to rows, whose newest entry can be taken back', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.array(fc.tuple(fc.boolean(), id), { maxLength: 400, size: 'max' }),
        (seed, steps) => {
          const table = new EntityTable(seed)
          const model = new Map<string, number>()
          const added: Id[] = []
          for (const [takesBack, one] of steps) {
            if (takesBack && added.length > 0) {
              const last = added.pop()!
              table.undoAdd(added.length)
              model.delete(keyOf(last))
            } else if (!model.has(keyOf(one))) {
              expect(table.add(...one)).toBe(added.length)
              model.set(keyOf(one), added.length)
              added.push(one)
            }
            expect(table.find(...one)).toBe(model.get(keyOf(one)) ?? -1)
          }
          expect(table.rows).toBe(added.length)
          for (const [, one] of steps) expect(table.find(...one)).toBe(model.get(keyOf(one)) ?? -1)
          added.forEach((one, row) => {
            expect([ROW.a, ROW.b, ROW.c, ROW.d].map((field) => table.get(row, field) | 0)).toEqual(
              one.map((word) => word | 0),
            )
          })
        },
      ),
      { seed: SEED, numRuns: 120 },
    )
  })

  it('grows past a chunk of rows and many doublings, and shrinks back', () => {
    const table = new EntityTable(5)
    const random = seededRandom(9)
    const ids: Id[] = Array.from({ length: 30_000 }, () => [
      random.next() | 0,
      random.next() | 0,
      random.next() | 0,
      random.next() | 0,
    ])
    ids.forEach((one, row) => {
      expect(table.add(...one)).toBe(row)
      table.set(row, ROW.version, row)
    })
    ids.forEach((one, row) => {
      if (table.find(...one) !== row || table.get(row, ROW.version) !== row) throw new Error(`row ${row}`)
    })
    while (table.rows > 10_000) table.undoAdd(table.rows - 1)
    for (const [row, one] of ids.entries())
      if (table.find(...one) !== (row < 10_000 ? row : -1)) throw new Error(`row ${row}`)
    // A row that is used again is all zeros but the id.
    const again = table.add(1, 2, 3, 4)
    expect(again).toBe(10_000)
    for (let field = 4; field <= ROW.subtree; field++) expect(table.get(again, field)).toBe(0)
  })

  it('takes back the newest row only', () => {
    const table = new EntityTable(1)
    table.add(1, 1, 1, 1)
    table.add(2, 2, 2, 2)
    for (const row of [0, 2, -1]) {
      const run = (): void => table.undoAdd(row)
      expect(run).toThrow(expect.objectContaining({ code: 'INTERNAL' }))
      expect(isAteError(new Error('x'))).toBe(false)
    }
    expect([table.find(1, 1, 1, 1), table.find(2, 2, 2, 2)]).toEqual([0, 1])
  })

  it('closes the gaps of removals: runs of probes that wrap around stay whole', () => {
    // One shard after the other fills and empties: each id that is left is found after every removal.
    for (let seed = 0; seed < 60; seed++) {
      const table = new EntityTable(seed)
      const ids: Id[] = Array.from({ length: 900 }, (_, i) => [seed, 0, 0, i])
      for (const one of ids) table.add(...one)
      for (let left = 900; left > 0; left -= 1) {
        table.undoAdd(left - 1)
        if (left % 90 !== 0) continue
        for (let i = 0; i < 900; i++)
          if (table.find(...ids[i]!) !== (i < left - 1 ? i : -1)) throw new Error(`seed ${seed}: ${i} of ${left}`)
      }
    }
  })
})
