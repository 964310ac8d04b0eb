/**
 * Entities in memory: fixed rows of signed 32-bit words in chunks, found by id through open addressing. No object an entity.
 *
 * - Rows are numbered from 0 in the order in which they were made, and never move; row 0 is the root.
 * - A small chain is small: the first chunk doubles up to the size of all, and a table without ids takes nothing.
 * - Chunks of rows, and 256 small tables instead of one large, keep growth without pauses: a table that doubles holds a
 *   256th of the ids. Ids are spread by a seed of the process, so that nobody can aim at one slot.
 * - `undoAdd` takes back the newest row only: transactions are undone in reverse order.
 */
import { assert } from '../base/errors.ts'

/** Words of a row. The first four are the id. */
export const ROW = {
  a: 0,
  b: 1,
  c: 2,
  d: 3,
  parent: 4,
  /** Index into the items of the parent's child list. */
  slot: 5,
  version: 6,
  /** Index into the policies; 0 inherits all. */
  policy: 7,
  collection: 8,
  type: 9,
  /** Seq of the record that holds the newest body; PENDING while it is staged; NO_RECORD without a body. */
  record: 10,
  /** Low 8 bits the block in the record, above them the flags. */
  blockAndFlags: 11,
  /** Of a stored body its offset in the block's plaintext; of a staged one the number of its transaction. */
  offset: 12,
  /** Of a stored body its bytes; of a staged one the index of its event. */
  size: 13,
  /** SHA-256 of the body's ciphertext, eight words. */
  hash: 14,
  /** Counts the changes of the entity and of all that is below it. */
  subtree: 22,
} as const

const STRIDE = 23
const CHUNK_BITS = 13
export const CHUNK_ROWS: number = 1 << CHUNK_BITS
const CHUNK_MASK: number = CHUNK_ROWS - 1
/** Rows of the first chunk at the beginning. */
const FIRST_ROWS = 16
const SHARDS = 256
const FIRST_SLOTS = 16
export const ROW_BYTES: number = STRIDE * 4
/** Bytes of a chunk of rows. */
export const CHUNK_BYTES: number = CHUNK_ROWS * ROW_BYTES

export const PENDING = -1
export const NO_RECORD = -2
/** Flags stand above the block's 8 bits. */
export const DEAD: number = 1 << 8
/** The id was made from a key: the entity does not move. */
export const NAMED: number = 1 << 9
/** Fields that few have (counters, expiry, retention) stand in the side table. */
export const HAS_EXTRA: number = 1 << 10
/** Its newest body is not in the log any more: compaction takes only older ones, so somebody else has. */
export const DROPPED: number = 1 << 11

/** Of no ids: a search in it ends at once, and nothing is written into it, since its first id makes it grow. */
const NO_IDS = new Uint32Array(1)

export class EntityTable {
  readonly #chunks: Int32Array[] = []
  readonly #tables: Uint32Array[] = []
  readonly #counts = new Uint32Array(SHARDS)
  readonly #seed: number
  #rows = 0

  /** `seed`: any 32-bit number that an outsider cannot know. */
  constructor(seed: number) {
    this.#seed = seed | 0
    for (let i = 0; i < SHARDS; i++) this.#tables.push(NO_IDS)
  }

  get rows(): number {
    return this.#rows
  }

  get(row: number, field: number): number {
    return this.#chunks[row >>> CHUNK_BITS]![(row & CHUNK_MASK) * STRIDE + field]!
  }

  set(row: number, field: number, value: number): void {
    this.#chunks[row >>> CHUNK_BITS]![(row & CHUNK_MASK) * STRIDE + field] = value
  }

  /** The chunk and the offset of a row, for loops that touch many of its words; until a row is added. */
  chunkOf(row: number): Int32Array {
    return this.#chunks[row >>> CHUNK_BITS]!
  }

  offsetOf(row: number): number {
    return (row & CHUNK_MASK) * STRIDE
  }

  /** The bytes of the rows, chunk by chunk, in the byte order of this machine; views, valid until a row changes. */
  *chunkBytes(): Generator<Uint8Array, void, undefined> {
    for (let row = 0; row < this.#rows; row += CHUNK_ROWS) {
      const { buffer } = this.#chunks[row >>> CHUNK_BITS]!
      yield new Uint8Array(buffer, 0, Math.min(CHUNK_ROWS, this.#rows - row) * ROW_BYTES)
    }
  }

  /** Makes the tables of ids large enough for `rows`, so that they need not grow on the way there. Stops between some. */
  *reserve(rows: number): Generator<void, void, undefined> {
    assert(this.#rows === 0, 'room is made before the first row')
    let slots = FIRST_SLOTS
    // For the mean: the few shards that are fuller grow once.
    while (slots < (2 * rows) / SHARDS) slots *= 2
    for (let i = 0; i < SHARDS; i++) {
      this.#tables[i] = new Uint32Array(slots)
      if (i % 16 === 0) yield
    }
  }

  /** Takes over a chunk that `chunkBytes` gave, with `rows` rows; none but the last may have fewer than all. */
  adopt(chunk: Int32Array, rows: number): void {
    assert((this.#rows & CHUNK_MASK) === 0 && this.#chunks.length === this.#rows >>> CHUNK_BITS, 'chunks are full')
    assert(chunk.length === CHUNK_ROWS * STRIDE && rows <= CHUNK_ROWS, 'a chunk has its size')
    this.#chunks.push(chunk)
    for (let i = 0, at = 0; i < rows; i++, at += STRIDE) {
      const hash = this.#hash(chunk[at]!, chunk[at + 1]!, chunk[at + 2]!, chunk[at + 3]!)
      this.#enter(hash, this.#rows++)
    }
  }

  /** The row of an id, or -1. */
  find(a: number, b: number, c: number, d: number): number {
    const hash = this.#hash(a, b, c, d)
    const table = this.#tables[hash & 255]!
    const mask = table.length - 1
    for (let slot = (hash >>> 8) & mask; ; slot = (slot + 1) & mask) {
      const found = table[slot]!
      if (found === 0) return -1
      if (this.#is(found - 1, a, b, c, d)) return found - 1
    }
  }

  /** A new row with all words zero but the id. The id must not be there. */
  add(a: number, b: number, c: number, d: number): number {
    const row = this.#rows++
    const at = (row & CHUNK_MASK) * STRIDE
    let chunk = this.#chunks[row >>> CHUNK_BITS]
    if (chunk === undefined || at === chunk.length) chunk = this.#growChunk(row >>> CHUNK_BITS)
    chunk.fill(0, at + 4, at + STRIDE)
    chunk[at] = a
    chunk[at + 1] = b
    chunk[at + 2] = c
    chunk[at + 3] = d
    this.#enter(this.#hash(a, b, c, d), row)
    return row
  }

  #growChunk(index: number): Int32Array {
    const old = this.#chunks[index]
    const rows = index > 0 ? CHUNK_ROWS : old ? Math.min(CHUNK_ROWS, (2 * old.length) / STRIDE) : FIRST_ROWS
    const chunk = new Int32Array(rows * STRIDE)
    if (old) chunk.set(old)
    this.#chunks[index] = chunk
    return chunk
  }

  #enter(hash: number, row: number): void {
    const shard = hash & 255
    let table = this.#tables[shard]!
    if (++this.#counts[shard]! * 2 > table.length) table = this.#grow(shard)
    insert(table, hash, row)
  }

  /** Takes back the newest row. */
  undoAdd(row: number): void {
    assert(row === this.#rows - 1, 'only the newest can be taken back')
    const hash = this.#hashOfRow(row)
    const table = this.#tables[hash & 255]!
    const mask = table.length - 1
    let slot = (hash >>> 8) & mask
    while (table[slot] !== row + 1) slot = (slot + 1) & mask
    this.#removeSlot(table, slot)
    this.#counts[hash & 255]!--
    this.#rows--
  }

  /** Closes the gap that a removal would leave in a run of probes. */
  #removeSlot(table: Uint32Array, from: number): void {
    const mask = table.length - 1
    let gap = from
    for (let slot = (gap + 1) & mask; table[slot] !== 0; slot = (slot + 1) & mask) {
      const home = (this.#hashOfRow(table[slot]! - 1) >>> 8) & mask
      if (((slot - home) & mask) >= ((slot - gap) & mask)) {
        table[gap] = table[slot]!
        gap = slot
      }
    }
    table[gap] = 0
  }

  #grow(shard: number): Uint32Array {
    const old = this.#tables[shard]!
    const table = new Uint32Array(Math.max(FIRST_SLOTS, old.length * 2))
    for (let i = 0; i < old.length; i++) if (old[i] !== 0) insert(table, this.#hashOfRow(old[i]! - 1), old[i]! - 1)
    this.#tables[shard] = table
    return table
  }

  #is(row: number, a: number, b: number, c: number, d: number): boolean {
    const chunk = this.#chunks[row >>> CHUNK_BITS]!
    const at = (row & CHUNK_MASK) * STRIDE
    return chunk[at + 3] === d && chunk[at] === a && chunk[at + 1] === b && chunk[at + 2] === c
  }

  #hashOfRow(row: number): number {
    const chunk = this.#chunks[row >>> CHUNK_BITS]!
    const at = (row & CHUNK_MASK) * STRIDE
    return this.#hash(chunk[at]!, chunk[at + 1]!, chunk[at + 2]!, chunk[at + 3]!)
  }

  #hash(a: number, b: number, c: number, d: number): number {
    let h = Math.imul(this.#seed ^ a, 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 15) ^ b, 0xc2b2ae35)
    h = Math.imul(h ^ (h >>> 13) ^ c, 0x9e3779b1)
    h = Math.imul(h ^ (h >>> 16) ^ d, 0x85ebca6b)
    return (h ^ (h >>> 14)) >>> 0
  }
}

function insert(table: Uint32Array, hash: number, row: number): void {
  const mask = table.length - 1
  let slot = (hash >>> 8) & mask
  while (table[slot] !== 0) slot = (slot + 1) & mask
  table[slot] = row + 1
}
