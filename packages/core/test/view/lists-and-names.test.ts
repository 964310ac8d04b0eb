/** Child lists and their packing, names, and the images by which readers outside of transactions see the past. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { settleLists } from '../../src/chain/settle.ts'
import { type ChildList, ChildLists, packList, popChild, pushChild } from '../../src/view/child-lists.ts'
import { DEAD, HAS_EXTRA, NO_RECORD, PENDING, ROW } from '../../src/view/entity-table.ts'
import { Journal } from '../../src/view/journal.ts'
import { Names } from '../../src/view/names.ts'
import { NO_EXTRA, View } from '../../src/view/view.ts'

const SEED = Number(process.env['ATE_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`ATE_SEED=${SEED}`)

describe('ChildLists', () => {
  it('has one list a parent and collection', () => {
    const lists = new ChildLists()
    expect(lists.find(1, 2)).toBeUndefined()
    const list = lists.obtain(1, 2)
    expect(lists.obtain(1, 2)).toBe(list)
    const others = [lists.obtain(1, 3), lists.obtain(2, 2)]
    expect(lists.find(1, 2)).toBe(list)
    expect(lists.find(1, 3)).toBe(others[0])
    expect(lists.find(2, 2)).toBe(others[1])
    expect(lists.find(3, 2)).toBeUndefined()
    expect(lists.of(1)).toEqual([list, others[0]])
    expect(lists.of(9)).toEqual([])
    expect(lists.hasLive(1)).toBe(false)
    others[0]!.live = 1
    expect([lists.hasLive(1), lists.hasLive(2), lists.hasLive(9)]).toEqual([true, false, false])
  })

  it('packs what belongs, in order, and says where it went', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(1000), fc.boolean()), { maxLength: 100 }), (items) => {
        const list = new ChildLists().obtain(0, 1)
        for (const [i, [row]] of items.entries()) expect(pushChild(list, row)).toBe(i)
        const asked: number[] = []
        const moved: [number, number][] = []
        packList(
          list,
          (row, slot) => {
            asked.push(row)
            return items[slot]![1]
          },
          (row, slot) => moved.push([row, slot]),
        )
        const kept = items.filter(([, stays]) => stays).map(([row]) => row)
        expect([...list.items.subarray(0, list.length)]).toEqual(kept)
        expect(moved).toEqual(kept.map((row, slot) => [row, slot]))
        expect(asked).toEqual(items.map(([row]) => row))
        expect(pushChild(list, 7)).toBe(kept.length)
        popChild(list)
        expect(list.length).toBe(kept.length)
      }),
      { seed: SEED },
    )
  })
})

describe('Names', () => {
  it('gives each name one number, and the number its name', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('', 'a', 'b', 'c', 'd', '__proto__'), { maxLength: 60 }), (texts) => {
        const names = new Names()
        const numbers = new Map<string, number>([['', 0]])
        for (const text of texts) {
          expect(names.find(text)).toBe(numbers.get(text))
          const number = names.obtain(text)
          expect(number).toBe(numbers.get(text) ?? numbers.size)
          numbers.set(text, number)
          expect(names.text(number)).toBe(text)
        }
      }),
      { seed: SEED },
    )
  })
})

/** A view with the root and `count` children of it in one collection. */
function viewWith(count: number): { view: View; list: ChildList } {
  const view = new View(3)
  view.table.add(0, 0, 0, 0)
  const list = view.children.obtain(0, view.names.obtain('c'))
  for (let i = 1; i <= count; i++) {
    const row = view.table.add(i, 0, 0, 0)
    view.table.set(row, ROW.collection, list.collection)
    view.table.set(row, ROW.version, 1)
    view.table.set(row, ROW.slot, pushChild(list, row))
    list.live++
  }
  return { view, list }
}

describe('settling', () => {
  const kill = (view: View, list: ChildList, row: number): void => {
    view.setFlags(row, DEAD)
    list.live--
    view.children.loose.add(list)
  }
  const rows = (list: ChildList): number[] => [...list.items.subarray(0, list.length)]

  it('packs a list when more than half of it is gone, and slots follow', () => {
    const { view, list } = viewWith(100)
    for (let row = 1; row <= 50; row++) kill(view, list, row)
    settleLists(view)
    expect(list.length).toBe(100)
    kill(view, list, 51)
    settleLists(view)
    expect(rows(list)).toEqual(Array.from({ length: 49 }, (_, i) => i + 52))
    for (let slot = 0; slot < 49; slot++) expect(view.table.get(52 + slot, ROW.slot)).toBe(slot)
    expect(view.children.loose.size).toBe(0)
  })

  it('leaves short lists, and all lists while something is pending', () => {
    const short = viewWith(64)
    for (let row = 1; row <= 64; row++) kill(short.view, short.list, row)
    settleLists(short.view)
    expect(short.list.length).toBe(64)
    const { view, list } = viewWith(100)
    for (let row = 1; row <= 90; row++) kill(view, list, row)
    const journal = new Journal(view, true)
    journal.changing(95)
    settleLists(view)
    expect([list.length, view.children.loose.size]).toEqual([100, 1])
    journal.acknowledge()
    settleLists(view)
    expect(rows(list)).toEqual([91, 92, 93, 94, 95, 96, 97, 98, 99, 100])
  })

  it('keeps a row once that came back to the list it had left', () => {
    const { view, list } = viewWith(70)
    for (let row = 2; row <= 70; row++) kill(view, list, row)
    view.table.set(1, ROW.slot, pushChild(list, 1))
    settleLists(view)
    expect(rows(list)).toEqual([1])
    expect(view.table.get(1, ROW.slot)).toBe(0)
  })
})

describe('images', () => {
  it('show what was acknowledged last, through any number of staged changes', () => {
    const { view } = viewWith(1)
    const hash = new Uint8Array(64).fill(7)
    view.place(1, { record: 4, block: 2, offset: 8, size: 16 }, hash, 3)
    const stage = (version: number): Journal => {
      const journal = new Journal(view, true)
      journal.changing(1)
      view.table.set(1, ROW.version, version)
      view.setExtra(1, { ...NO_EXTRA, retain: version })
      view.placePending(1, version, 0)
      return journal
    }
    const journals = [stage(2), stage(3), stage(4)]
    const seen = (): number[] => [
      view.acknowledged(1, ROW.version),
      view.acknowledgedExtra(1).retain,
      view.acknowledged(1, ROW.record),
    ]
    expect([view.versionOf(1), ...seen()]).toEqual([4, 1, 0, 4])
    // The newest is taken back; the first is acknowledged and its body gets its place, in the image of the second too.
    journals[2]!.undo()
    expect([view.versionOf(1), ...seen()]).toEqual([3, 1, 0, 4])
    journals[0]!.acknowledge()
    view.placeStaged(1, 2, 0, { record: 9, block: 0, offset: 0, size: 1 }, hash, 0)
    expect([view.versionOf(1), ...seen()]).toEqual([3, 2, 2, 9])
    expect(view.table.get(1, ROW.record)).toBe(PENDING)
    journals[1]!.undo()
    expect([view.versionOf(1), ...seen()]).toEqual([2, 2, 2, 9])
    expect(view.images.size).toBe(0)
  })

  it('hide what is staged: a creation is not there yet, a deletion is not yet', () => {
    const { view } = viewWith(2)
    const made = view.table.add(50, 0, 0, 0)
    view.table.set(made, ROW.version, 1)
    view.table.set(made, ROW.record, PENDING)
    expect([view.isVisible(1), view.isVisible(2), view.isVisible(made), view.countVisible()]).toEqual([
      true,
      true,
      false,
      2,
    ])
    const journal = new Journal(view, true)
    journal.changing(1)
    view.setFlags(1, DEAD)
    journal.changing(made)
    view.table.set(made, ROW.version, 2)
    expect([view.isVisible(1), view.isVisible(made), view.countVisible()]).toEqual([true, false, 2])
    journal.acknowledge()
    view.table.set(made, ROW.record, NO_RECORD)
    expect([view.isVisible(1), view.isVisible(made), view.countVisible()]).toEqual([false, true, 2])
    expect(view.findLive(1, 0, 0, 0)).toBe(-1)
    expect(view.findLive(2, 0, 0, 0)).toBe(2)
  })

  it('restore words and rare fields, also where there were none', () => {
    const { view } = viewWith(1)
    const image = view.imageOf(1)
    view.setExtra(1, { ...NO_EXTRA, holds: ['x'] })
    view.table.set(1, ROW.type, 5)
    expect(view.extraOf(1).holds).toEqual(['x'])
    view.restore(image)
    expect([view.extras.size, view.table.get(1, ROW.type), view.table.get(1, ROW.blockAndFlags) & HAS_EXTRA]).toEqual([
      0, 0, 0,
    ])
    expect(view.extraOf(1)).toBe(NO_EXTRA)
  })

  it('count changes on the whole path, and back', () => {
    const { view } = viewWith(1)
    const low = view.table.add(60, 0, 0, 0)
    view.table.set(low, ROW.parent, 1)
    view.bumpSubtree(low, 1)
    view.bumpSubtree(1, 1)
    expect([0, 1, low].map((row) => view.table.get(row, ROW.subtree))).toEqual([2, 2, 1])
    view.bumpSubtree(low, -1)
    expect([0, 1, low].map((row) => view.table.get(row, ROW.subtree))).toEqual([1, 1, 0])
  })
})
