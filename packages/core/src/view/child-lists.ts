/**
 * The children of a node, one list a collection, in the order in which they came.
 *
 * A list keeps the rows of children that left (deleted, moved), because readers outside of the transaction still see
 * them; whether a row belongs at its slot is said by the row. Lists that were left are packed when nothing is pending.
 */
import { assert } from '../base/errors.ts'

export class ChildList {
  readonly parent: number
  readonly collection: number
  items: Uint32Array = new Uint32Array(4)
  /** Items in use, those of children that left included. */
  length = 0
  /** Children that are alive for the next transaction. */
  live = 0
  /** Counts creations, deletions and moves. */
  version = 0
  /** Records below this seq know nothing of a forgotten id: see forget. */
  floor = 0

  constructor(parent: number, collection: number) {
    this.parent = parent
    this.collection = collection
  }
}

export class ChildLists {
  readonly #byParent = new Map<number, ChildList[]>()
  #last: ChildList | undefined
  /** Lists that children left since they were packed. */
  readonly loose: Set<ChildList> = new Set()

  find(parent: number, collection: number): ChildList | undefined {
    const last = this.#last
    if (last !== undefined && last.parent === parent && last.collection === collection) return last
    const lists = this.#byParent.get(parent)
    if (lists === undefined) return undefined
    for (const list of lists) {
      if (list.collection === collection) {
        this.#last = list
        return list
      }
    }
    return undefined
  }

  obtain(parent: number, collection: number): ChildList {
    const found = this.find(parent, collection)
    if (found) return found
    const list = new ChildList(parent, collection)
    const lists = this.#byParent.get(parent)
    if (lists) lists.push(list)
    else this.#byParent.set(parent, [list])
    this.#last = list
    return list
  }

  /** Takes back the newest list of its parent, which nothing stands in. */
  drop(list: ChildList): void {
    const lists = this.#byParent.get(list.parent)
    assert(lists?.at(-1) === list, 'only the newest can be taken back')
    lists.pop()
    if (lists.length === 0) this.#byParent.delete(list.parent)
    this.#last = undefined
    this.loose.delete(list)
  }

  /** All lists; those of one parent in the order in which they were made. */
  *all(): Generator<ChildList, void, undefined> {
    for (const lists of this.#byParent.values()) yield* lists
  }

  of(parent: number): readonly ChildList[] {
    return this.#byParent.get(parent) ?? []
  }

  hasLive(parent: number): boolean {
    const lists = this.#byParent.get(parent)
    return lists?.some((list) => list.live > 0) ?? false
  }
}

/** Appends a row and gives its slot. */
export function pushChild(list: ChildList, row: number): number {
  if (list.length === list.items.length) {
    const grown = new Uint32Array(list.items.length * 2)
    grown.set(list.items)
    list.items = grown
  }
  list.items[list.length] = row
  return list.length++
}

/** Takes back the newest slot. */
export function popChild(list: ChildList): void {
  list.length--
}

/** Keeps the rows that belong at their slots, in order; `moved` learns the new slot of each. */
export function packList(
  list: ChildList,
  belongs: (row: number, slot: number) => boolean,
  moved: (row: number, slot: number) => void,
): void {
  let to = 0
  for (let i = 0; i < list.length; i++) {
    const row = list.items[i]!
    if (!belongs(row, i)) continue
    list.items[to] = row
    moved(row, to++)
  }
  list.length = to
}
