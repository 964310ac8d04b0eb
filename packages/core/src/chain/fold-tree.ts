/** The tree of entities: depth, height, who is where, and what leaving or changing a place does to the lists. */
import type { EntityWords } from '../event/entity-words.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import { type ChildList, pushChild } from '../view/child-lists.ts'
import { DEAD, ROW } from '../view/entity-table.ts'
import type { Journal } from '../view/journal.ts'
import type { View } from '../view/view.ts'

/** The number of a name. One that is new goes with the transaction: what is refused would fill the memory of who judges it. */
export function obtainName({ names }: View, journal: Journal, text: string): number {
  const { size } = names
  const number = names.obtain(text)
  if (number === size) journal.undoWith(() => names.drop(number))
  return number
}

/** The list of a collection; the same holds for it. */
export function obtainList({ children }: View, journal: Journal, parent: number, collection: number): ChildList {
  const found = children.find(parent, collection)
  if (found) return found
  const made = children.obtain(parent, collection)
  journal.undoWith(() => children.drop(made))
  return made
}

export function wordsOfEvent(event: TransactionEvent): EntityWords {
  return { a: event.a, b: event.b, c: event.c, d: event.d }
}

export function depthOf(view: View, row: number): number {
  let depth = 0
  for (let node = row; node !== 0; node = view.parentOf(node)) depth++
  return depth
}

export function isBelow(view: View, row: number, top: number): boolean {
  for (let node = row; ; node = view.parentOf(node)) {
    if (node === top) return true
    if (node === 0) return false
  }
}

/** Levels below `row`. All that is there is walked once; from then on it is known (view.heights). */
export function heightOf(view: View, row: number): number {
  const known = view.heights.get(row)
  if (known) return known.length
  const lists = view.children.of(row)
  if (lists.length === 0) return 0
  const counts: number[] = []
  for (const list of lists) {
    for (let i = 0; i < list.length; i++) {
      const child = list.items[i]!
      if (!isInList(view, list, i, child)) continue
      const height = heightOf(view, child)
      counts[height] = (counts[height] ?? 0) + 1
    }
  }
  view.heights.set(row, counts)
  return counts.length
}

/** True if the row that stands at slot `i` of a list is alive there for the next transaction. */
export function isInList(view: View, list: ChildList, i: number, row: number): boolean {
  if (view.isDead(row)) return false
  const chunk = view.table.chunkOf(row)
  const at = view.table.offsetOf(row)
  return (
    chunk[at + ROW.slot] === i &&
    chunk[at + ROW.parent] === list.parent &&
    chunk[at + ROW.collection] === list.collection
  )
}

/** The row counts as deleted: its version goes on, its place in the list stays until the deletion is acknowledged. */
export function removeRow(view: View, journal: Journal, row: number): void {
  journal.changing(row)
  view.setFlags(row, DEAD)
  view.table.set(row, ROW.version, view.table.get(row, ROW.version) + 1)
  leaveList(view, journal, row)
  journal.bump(row)
}

/** That `row` counts in its list, or does so no longer. Taken back, it may have others below it than it had then. */
function count(view: View, list: ChildList, row: number, by: 1 | -1): void {
  list.live += by
  const height = view.heights.size > 0 ? heightOf(view, row) : 0
  view.changeHeight(list.parent, by < 0 ? height : -1, by < 0 ? -1 : height)
}

function leaveList(view: View, journal: Journal, row: number): void {
  const list = view.children.obtain(view.parentOf(row), view.table.get(row, ROW.collection))
  count(view, list, row, -1)
  list.version++
  view.children.loose.add(list)
  journal.undoWith(() => {
    count(view, list, row, 1)
    list.version--
  })
}

/** To the end of `list`, as which its parent and collection stand in the row already. */
export function enterList(view: View, journal: Journal, row: number, list: ChildList): void {
  view.table.set(row, ROW.slot, pushChild(list, row))
  count(view, list, row, 1)
  list.version++
  journal.undoWith(() => {
    list.length--
    count(view, list, row, -1)
    list.version--
  })
}

export function moveRow(view: View, journal: Journal, row: number, list: ChildList): void {
  journal.bump(row)
  leaveList(view, journal, row)
  journal.changing(row)
  view.table.set(row, ROW.version, view.table.get(row, ROW.version) + 1)
  view.table.set(row, ROW.parent, list.parent)
  view.table.set(row, ROW.collection, list.collection)
  enterList(view, journal, row, list)
  journal.bump(row)
}
