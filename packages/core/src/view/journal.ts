/**
 * What a transaction changed, so that it can be taken back, newest change first. A refused transaction leaves no trace;
 * a staged one keeps its journal until it is acknowledged.
 */
import { popChild } from './child-lists.ts'
import { ROW } from './entity-table.ts'
import { RowImage, type View } from './view.ts'

/** A created row is its number; a count of changes on a path is -1 - row; an image and a closure speak for themselves. */
type Entry = number | RowImage | (() => void)

export class Journal {
  readonly #view: View
  /** Staged journals keep images for readers outside of the transaction. */
  readonly #staged: boolean
  /** Undefined while there is none: most transactions make one, and an array that is pushed to first takes room for 17. */
  #entries: Entry[] | undefined

  constructor(view: View, staged: boolean) {
    this.#view = view
    this.#staged = staged
  }

  created(row: number): void {
    this.#note(row)
  }

  /** Counts a change of `row` in the subtrees above it. */
  bump(row: number): void {
    this.#view.bumpSubtree(row, 1)
    this.#note(-1 - row)
  }

  /** Call before the first change of a row's words or rare fields by an event. */
  changing(row: number): void {
    // Nothing else has changed since the image that was made last: it says what was here too.
    const last = this.#entries?.[this.#entries.length - 1]
    if (last instanceof RowImage && last.row === row) return
    const image = this.#view.imageOf(row)
    this.#note(image)
    if (!this.#staged) return
    const images = this.#view.images.get(row)
    if (images) images.push(image)
    else this.#view.images.set(row, [image])
  }

  undoWith(run: () => void): void {
    this.#note(run)
  }

  undo(): void {
    const entries = this.#entries ?? []
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i]!
      if (typeof entry === 'function') entry()
      else if (typeof entry === 'number') entry >= 0 ? this.#undoCreated(entry) : this.#view.bumpSubtree(-1 - entry, -1)
      else this.#undoChange(entry)
    }
    this.#entries = undefined
  }

  /** The transaction is acknowledged: its images are no longer what readers outside see. */
  acknowledge(): void {
    const { images } = this.#view
    const entries = this.#entries ?? []
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      if (!(entry instanceof RowImage)) continue
      const list = images.get(entry.row)!
      if (list.length === 1) images.delete(entry.row)
      else list.shift()
    }
    this.#entries = undefined
  }

  #note(entry: Entry): void {
    if (this.#entries) this.#entries.push(entry)
    else this.#entries = [entry]
  }

  #undoCreated(row: number): void {
    const { table, children } = this.#view
    this.#view.bumpSubtree(row, -1)
    const list = children.find(table.get(row, ROW.parent), table.get(row, ROW.collection))!
    popChild(list)
    list.live--
    list.version--
    this.#view.changeHeight(list.parent, 0, -1)
    this.#view.extras.delete(row)
    table.undoAdd(row)
  }

  #undoChange(image: RowImage): void {
    this.#view.restore(image)
    if (!this.#staged) return
    const list = this.#view.images.get(image.row)!
    if (list.length === 1) this.#view.images.delete(image.row)
    else list.pop()
  }
}
