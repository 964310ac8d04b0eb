/**
 * Records of a log in memory: one behind the other in a few large arrays, because an object, a view and a buffer for each of
 * them take more than most records have bytes.
 *
 * A slab holds each record as its 32-byte hash and its bytes, and in a column where each ends: 36 to 40 bytes a record.
 *
 * Invariants:
 * - what was given out (`LogRecord` with views into a slab) stays as it is for as long as its reader has said so (`Room`);
 * - where bytes stood that were moved or dropped is overwritten with zeros as soon as nobody reads there;
 * - a small chain is small: a slab doubles up to its size, and leaves at most an eighth of itself unused when the next one begins.
 */
import type { LogRecord } from './engine.ts'

/** Of a slab; a record that is larger has its own. */
export const SLAB_BYTES: number = 256 * 1024
/** Of the first slab at the beginning, and of those behind it. */
const FIRST_BYTES = 1024
const NEXT_BYTES: number = SLAB_BYTES / 8
const FIRST_PLACES = 8
export const HASH_BYTES = 32

/** Memory that readers look into while it may be replaced. */
class Room {
  readonly bytes: Uint8Array
  #readers = 0
  #isOver = false

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
  }

  enter(): void {
    this.#readers++
  }

  leave(): void {
    if (--this.#readers === 0 && this.#isOver) this.bytes.fill(0)
  }

  /** All that is of use stands elsewhere. */
  retire(): void {
    this.#isOver = true
    if (this.#readers === 0) this.bytes.fill(0)
  }
}

export class Slab {
  /** Seq of its first record. */
  readonly first: number
  /** Another one when it grows. */
  room: Room
  /** Where each record begins, and the last one ends. */
  #places = new Uint32Array(FIRST_PLACES)
  #count = 0

  /** `size`: what is known to be needed. */
  constructor(first: number, size: number) {
    this.first = first
    this.room = new Room(size)
  }

  /** Seq behind its last record. */
  get end(): number {
    return this.first + this.#count
  }

  get usedBytes(): number {
    return this.#places[this.#count]!
  }

  push(hash: Uint8Array, bytes: Uint8Array): void {
    const at = this.usedBytes
    const end = at + HASH_BYTES + bytes.length
    const { length } = this.room.bytes
    if (end > length) this.#move(Math.max(end, Math.min(2 * length, SLAB_BYTES)))
    const places = this.#places
    if (++this.#count === places.length) {
      this.#places = new Uint32Array(2 * places.length)
      this.#places.set(places)
    }
    this.room.bytes.set(hash, at)
    this.room.bytes.set(bytes, at + HASH_BYTES)
    this.#places[this.#count] = end
  }

  /** Nothing more comes: what was kept free is given back, if it is much. */
  close(): void {
    const used = this.usedBytes
    if (this.room.bytes.length - used > this.room.bytes.length >> 3) this.#move(used)
  }

  /** Views, valid until the next change, or for as long as the room has this reader. */
  record(seq: number): LogRecord {
    const at = this.#startOf(seq)
    const { bytes } = this.room
    const from = at + HASH_BYTES
    return { seq, hash: bytes.subarray(at, from), bytes: bytes.subarray(from, from + this.sizeOf(seq)) }
  }

  sizeOf(seq: number): number {
    return this.#startOf(seq + 1) - this.#startOf(seq) - HASH_BYTES
  }

  /** A copy of what stands from `from` to `to` in the bytes of a record. */
  part(seq: number, from: number, to: number): Uint8Array {
    const at = this.#startOf(seq) + HASH_BYTES
    return this.room.bytes.slice(at + from, at + to)
  }

  #startOf(seq: number): number {
    return this.#places[seq - this.first]!
  }

  #move(size: number): void {
    const old = this.room
    this.room = new Room(size)
    this.room.bytes.set(size < old.bytes.length ? old.bytes.subarray(0, size) : old.bytes)
    old.retire()
  }
}

export class RecordSlabs {
  /** In order, none without records. */
  readonly slabs: Slab[] = []
  /** Of the records, without their hashes. */
  bytes = 0
  /** Grows when records are stored in fewer bytes. */
  generation = 0

  /** Records. */
  get size(): number {
    return this.slabs.length === 0 ? 0 : this.slabs[this.slabs.length - 1]!.end
  }

  push({ hash, bytes }: Pick<LogRecord, 'hash' | 'bytes'>): void {
    const needed = HASH_BYTES + bytes.length
    let slab = this.slabs[this.slabs.length - 1]
    if (!slab || slab.usedBytes + needed > SLAB_BYTES) {
      slab?.close()
      slab = new Slab(this.size, Math.max(needed, slab ? NEXT_BYTES : FIRST_BYTES))
      this.slabs.push(slab)
    }
    slab.push(hash, bytes)
    this.bytes += bytes.length
  }

  /** Views, valid until the next change; undefined for a record that is not there. */
  at(seq: number): LogRecord | undefined {
    return this.slabs[this.indexOf(seq)]?.record(seq)
  }

  /** A copy; undefined where so many bytes are not there. */
  part(seq: number, offset: number, size: number): Uint8Array | undefined {
    const slab = this.slabs[this.indexOf(seq)]
    if (!slab || offset < 0 || size < 0 || offset + size > slab.sizeOf(seq)) return undefined
    return slab.part(seq, offset, offset + size)
  }

  /** Index of the slab that holds the record; -1 if none does. */
  indexOf(seq: number): number {
    if (!(Number.isInteger(seq) && seq >= 0 && seq < this.size)) return -1
    let low = 0
    let high = this.slabs.length - 1
    if (seq >= this.slabs[high]!.first) return high
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.slabs[middle]!.first <= seq) low = middle
      else high = middle - 1
    }
    return low
  }

  /**
   * The records from seq `from` on, of which there is one, up to `to` - 1, of at most `chunkBytes`, one at least. They stay
   * as they are until `leave` is called, once.
   */
  read(from: number, to: number, chunkBytes: number): { readonly records: LogRecord[]; readonly leave: () => void } {
    const records: LogRecord[] = []
    const rooms: Room[] = []
    let left = chunkBytes
    for (let i = this.indexOf(from), seq = from; seq < to; i++) {
      const slab = this.slabs[i]!
      const end = Math.min(to, slab.end)
      const first = records.length
      for (; seq < end && (records.length === 0 || slab.sizeOf(seq) <= left); seq++) {
        left -= slab.sizeOf(seq)
        records.push(slab.record(seq))
      }
      if (records.length > first) rooms.push(slab.room)
      if (seq < end) break
    }
    for (const room of rooms) room.enter()
    return { records, leave: () => rooms.forEach((room) => void room.leave()) }
  }

  clear(): void {
    for (const { room } of this.slabs.splice(0)) room.retire()
    this.bytes = 0
  }
}
