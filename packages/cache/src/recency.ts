/** Entries from the most to the least recently used: a doubly linked list through the entries themselves. */

export interface Linked<T> {
  newer: T | undefined
  older: T | undefined
}

export class Recency<T extends Linked<T>> {
  newest: T | undefined
  oldest: T | undefined
  size = 0

  addNewest(item: T): void {
    item.newer = undefined
    item.older = this.newest
    if (this.newest) this.newest.newer = item
    else this.oldest = item
    this.newest = item
    this.size++
  }

  clear(): void {
    this.newest = undefined
    this.oldest = undefined
    this.size = 0
  }

  remove(item: T): void {
    const { newer, older } = item
    if (newer) newer.older = older
    else this.newest = older
    if (older) older.newer = newer
    else this.oldest = newer
    item.newer = undefined
    item.older = undefined
    this.size--
  }

  used(item: T): void {
    if (item === this.newest) return
    const newer = item.newer!
    const { older } = item
    newer.older = older
    if (older) older.newer = newer
    else this.oldest = newer
    item.newer = undefined
    item.older = this.newest
    this.newest!.newer = item
    this.newest = item
  }
}
