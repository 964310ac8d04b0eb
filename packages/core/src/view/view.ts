/**
 * The materialized view: entities, their children and their rare fields, as the newest staged transaction sees them.
 *
 * Readers outside of transactions see what is acknowledged: for each row that a pending transaction has changed, the
 * images before it are kept in order, and the first of them is what was acknowledged last. A row whose place is PENDING
 * and that has no image was created by a pending transaction, so outside it is not there yet.
 */
import type { EntityId } from '../base/ids.ts'
import { EntityWords, textOfWords } from '../event/entity-words.ts'
import type { Policy, PolicyList, Tree } from '../trust/policy.ts'
import { ChildLists } from './child-lists.ts'
import { DEAD, DROPPED, EntityTable, HAS_EXTRA, PENDING, ROW } from './entity-table.ts'
import { Names } from './names.ts'
import { WitnessTimes } from './witness-times.ts'

export interface Counter {
  readonly name: string
  readonly value: bigint
  readonly floor: bigint | undefined
  readonly ceiling: bigint | undefined
  /** Row of the unit. */
  readonly unit: number | undefined
  readonly up: PolicyList | undefined
  readonly down: PolicyList | undefined
}

/** It is written once, and so is all that is below it. */
export interface Lock {
  /** `governance`: who manages above may delete it before its time. `compliance`: nobody may. */
  readonly mode: 'governance' | 'compliance'
  /** Number of the set of witnesses whose time counts; NO_SET if none was named. */
  readonly witnesses: number
}

/** Fields that few entities have. Never changed in place: an image keeps the object that was. */
export interface Extra {
  readonly counters: readonly Counter[]
  /** Chain time in ms from which the entity counts as gone. */
  readonly expires: number | undefined
  /** Chain time in ms until which it cannot be changed or deleted. */
  readonly retain: number
  readonly holds: readonly string[]
  readonly lock: Lock | undefined
  /** Number of the set of witnesses that counts for what is locked below it from now on. */
  readonly witnesses: number | undefined
}

export const NO_EXTRA: Extra = {
  counters: [],
  expires: undefined,
  retain: 0,
  holds: [],
  lock: undefined,
  witnesses: undefined,
}

/** A row as it was before a change. */
export class RowImage {
  readonly row: number
  readonly words: Int32Array
  readonly extra: Extra | undefined

  constructor(row: number, words: Int32Array, extra: Extra | undefined) {
    this.row = row
    this.words = words
    this.extra = extra
  }
}

/** Where a body is, or that it is staged; fields as in ROW. */
export interface BodyPlace {
  readonly record: number
  readonly block: number
  readonly offset: number
  readonly size: number
}

export class View implements Tree {
  readonly table: EntityTable
  readonly children: ChildLists = new ChildLists()
  readonly names: Names = new Names()
  /** Index 0 stands for no policy of one's own. */
  readonly policies: (Policy | undefined)[] = [undefined]
  readonly extras: Map<number, Extra> = new Map()
  readonly images: Map<number, RowImage[]> = new Map()
  readonly witnesses: WitnessTimes = new WitnessTimes()
  /**
   * Of nodes whose height was asked for, and of all that has had children below them: how many children of each height a node has.
   * Kept as the tree changes: what is below a node would be walked for each of its moves, of which a commit has thousands.
   */
  readonly heights: Map<number, number[]> = new Map()

  constructor(seed: number) {
    this.table = new EntityTable(seed)
  }

  wordsOf(row: number): EntityWords {
    const chunk = this.table.chunkOf(row)
    const at = this.table.offsetOf(row)
    return new EntityWords(chunk[at]!, chunk[at + 1]!, chunk[at + 2]!, chunk[at + 3]!)
  }

  versionOf(row: number): number {
    return this.table.get(row, ROW.version)
  }

  typeOf(row: number): string {
    return this.names.text(this.table.get(row, ROW.type))
  }

  idText(row: number): EntityId {
    return textOfWords(this.wordsOf(row))
  }

  parentOf(row: number): number {
    return this.table.get(row, ROW.parent)
  }

  policyOf(row: number): Policy | undefined {
    return this.policies[this.table.get(row, ROW.policy)]
  }

  extraOf(row: number): Extra {
    return (this.table.get(row, ROW.blockAndFlags) & HAS_EXTRA) === 0 ? NO_EXTRA : (this.extras.get(row) ?? NO_EXTRA)
  }

  setExtra(row: number, extra: Extra): void {
    this.extras.set(row, extra)
    this.setFlags(row, HAS_EXTRA)
  }

  /** The nearest locked node at or above `row`, or -1; as the next transaction sees it, or as it was acknowledged. */
  lockedNode(row: number, state: 'staged' | 'acknowledged' = 'staged'): number {
    for (let node = row; ; node = this.parentOf(node)) {
      const extra = state === 'staged' ? this.extraOf(node) : this.acknowledgedExtra(node)
      if (extra.lock !== undefined) return node
      if (node === 0) return -1
    }
  }

  /** True if readers do not find it any more. What is locked is not hidden by an expiry that somebody set before. */
  isExpired(row: number, now: number, state: 'staged' | 'acknowledged'): boolean {
    const { expires } = state === 'staged' ? this.extraOf(row) : this.acknowledgedExtra(row)
    return expires !== undefined && expires <= now && this.lockedNode(row, state) < 0
  }

  isDead(row: number): boolean {
    return (this.table.get(row, ROW.blockAndFlags) & DEAD) !== 0
  }

  setFlags(row: number, flags: number): void {
    this.table.set(row, ROW.blockAndFlags, this.table.get(row, ROW.blockAndFlags) | flags)
  }

  clearFlags(row: number, flags: number): void {
    this.table.set(row, ROW.blockAndFlags, this.table.get(row, ROW.blockAndFlags) & ~flags)
  }

  /** The row of an id that is alive for the next transaction, or -1. */
  findLive(a: number, b: number, c: number, d: number): number {
    const row = this.table.find(a, b, c, d)
    return row >= 0 && !this.isDead(row) ? row : -1
  }

  imageOf(row: number): RowImage {
    const at = this.table.offsetOf(row)
    return new RowImage(row, this.table.chunkOf(row).slice(at, at + ROW.subtree + 1), this.extras.get(row))
  }

  restore(image: RowImage): void {
    this.table.chunkOf(image.row).set(image.words, this.table.offsetOf(image.row))
    if (image.extra) this.extras.set(image.row, image.extra)
    else this.extras.delete(image.row)
  }

  /** A word of a row as it was last acknowledged. */
  acknowledged(row: number, field: number): number {
    const images = this.images.get(row)
    return images ? images[0]!.words[field]! : this.table.get(row, field)
  }

  acknowledgedExtra(row: number): Extra {
    const images = this.images.get(row)
    return images ? (images[0]!.extra ?? NO_EXTRA) : this.extraOf(row)
  }

  /** True if readers outside of transactions see the entity. */
  isVisible(row: number): boolean {
    const images = this.images.size > 0 ? this.images.get(row) : undefined
    if (!images)
      return this.table.get(row, ROW.record) !== PENDING && (this.table.get(row, ROW.blockAndFlags) & DEAD) === 0
    const words = images[0]!.words
    return words[ROW.record] !== PENDING && (words[ROW.blockAndFlags]! & DEAD) === 0 && words[ROW.version] !== 0
  }

  /** Entities that readers outside of transactions see, the root not counted. Looks at every row. */
  countVisible(): number {
    let count = 0
    for (let row = 1; row < this.table.rows; row++) if (this.isVisible(row)) count++
    return count
  }

  /** Points a row at a staged body: event number `index` of staged transaction `staged`. */
  placePending(row: number, staged: number, index: number): void {
    const chunk = this.table.chunkOf(row)
    const at = this.table.offsetOf(row)
    chunk[at + ROW.record] = PENDING
    chunk[at + ROW.offset] = staged
    chunk[at + ROW.size] = index
  }

  /** Points a row at a stored body. */
  place(row: number, place: BodyPlace, hash: Uint8Array, hashAt: number): void {
    writePlace(this.table.chunkOf(row), this.table.offsetOf(row), place, hash, hashAt)
  }

  /** After an acknowledgement: every state of the row that still points at the staged body points at the stored one. */
  placeStaged(row: number, staged: number, index: number, place: BodyPlace, hash: Uint8Array, hashAt: number): void {
    const chunk = this.table.chunkOf(row)
    const at = this.table.offsetOf(row)
    if (isStagedAt(chunk, at, staged, index)) writePlace(chunk, at, place, hash, hashAt)
    const images = this.images.size > 0 ? this.images.get(row) : undefined
    if (!images) return
    for (const image of images)
      if (isStagedAt(image.words, 0, staged, index)) writePlace(image.words, 0, place, hash, hashAt)
  }

  /** A child of `node` that was of height `from` is of height `to` now; -1 where there is none. */
  changeHeight(node: number, from: number, to: number): void {
    const { heights } = this
    if (heights.size === 0) return
    for (let at = node, was = from, is = to; was !== is; at = this.parentOf(at)) {
      let counts = heights.get(at)
      if (!counts) {
        // Below one that is counted, who is not there has had no children yet.
        if (!heights.has(this.parentOf(at))) return
        counts = []
        heights.set(at, counts)
      }
      const { length } = counts
      if (is >= 0) counts[is] = (counts[is] ?? 0) + 1
      if (was >= 0) counts[was]!--
      while (counts.length > 0 && !counts.at(-1)) counts.pop()
      was = length
      is = counts.length
    }
  }

  /** Counts a change of `row` on it and on every node above it. */
  bumpSubtree(row: number, by: 1 | -1): void {
    for (let node = row; ; node = this.parentOf(node)) {
      const chunk = this.table.chunkOf(node)
      const at = this.table.offsetOf(node) + ROW.subtree
      chunk[at] = chunk[at]! + by
      if (node === 0) return
    }
  }
}

function isStagedAt(words: Int32Array, at: number, staged: number, index: number): boolean {
  return words[at + ROW.record] === PENDING && words[at + ROW.offset] === staged && words[at + ROW.size] === index
}

function writePlace(words: Int32Array, at: number, place: BodyPlace, hash: Uint8Array, hashAt: number): void {
  words[at + ROW.record] = place.record
  words[at + ROW.blockAndFlags] = (words[at + ROW.blockAndFlags]! & ~(0xff | DROPPED)) | place.block
  words[at + ROW.offset] = place.offset
  words[at + ROW.size] = place.size
  for (let i = 0; i < 8; i++) {
    const h = hashAt + 4 * i
    words[at + ROW.hash + i] = (hash[h]! << 24) | (hash[h + 1]! << 16) | (hash[h + 2]! << 8) | hash[h + 3]!
  }
}
