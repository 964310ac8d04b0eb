/** The columns of the jobs that a queue keeps, and the way from an id to its row. Typed arrays only: a million jobs are 70 MB. */
import { grown } from './heaps.ts'
import { readId, writeId } from './queue-records.ts'

/** Numbers of the states, as they stand in a row. */
export const STATE = {
  waiting: 0,
  scheduled: 1,
  blocked: 2,
  active: 3,
  done: 4,
  dead: 5,
  cancelled: 6,
  free: 7,
} as const
export const STATE_NAMES = ['waiting', 'scheduled', 'blocked', 'active', 'done', 'dead', 'cancelled'] as const

/** Bits of `flags`. */
export const FLAG = {
  /** Waits in the heap of those that are ready. */
  ready: 1,
  /** Stands in the line of its group. */
  lined: 2,
  /** Scheduled because an attempt failed. */
  retry: 4,
  /** Scheduled because its handler said so. */
  snooze: 8,
} as const

const NONE = 0xffffffff

export class JobRows {
  ids: Uint32Array = new Uint32Array(4 * 64)
  state: Uint8Array = new Uint8Array(64).fill(STATE.free)
  flags: Uint8Array = new Uint8Array(64)
  priority: Int32Array = new Int32Array(64)
  /** Order in which they came. */
  arrival: Float64Array = new Float64Array(64)
  added: Float64Array = new Float64Array(64)
  /** Of a scheduled job when it starts, of an ended one when it ended. */
  time: Float64Array = new Float64Array(64)
  turn: Uint32Array = new Uint32Array(64)
  /** Number of its group, 0 for none. */
  group: Uint32Array = new Uint32Array(64)
  next: Uint32Array = new Uint32Array(64)
  before: Uint32Array = new Uint32Array(64)
  /** Rows in use or free. */
  length = 0
  /** Rows in use. */
  size = 0
  #free = NONE
  /** Row + 1 by hash of the id, 0 for none. */
  #slots = new Uint32Array(128)
  #arrivals = 0
  readonly #seed: number = Math.floor(Math.random() * 2 ** 32)
  readonly #id = new Uint32Array(4)

  idOf(row: number): string {
    return readId(this.ids, 4 * row)
  }

  /** The row of an id, or -1. */
  find(id: string): number {
    writeId(id, this.#id, 0)
    const slot = this.#slotOf(this.#id, 0)
    return this.#slots[slot]! - 1
  }

  add(id: string): number {
    if ((this.size + 1) * 2 > this.#slots.length) this.#rehash()
    writeId(id, this.#id, 0)
    const row = this.#newRow()
    this.ids.set(this.#id, 4 * row)
    this.#slots[this.#slotOf(this.#id, 0)] = row + 1
    this.arrival[row] = ++this.#arrivals
    this.flags[row] = 0
    this.group[row] = 0
    this.size++
    return row
  }

  /** Takes the id out; the row is used again once `release` is called. */
  drop(row: number): void {
    let hole = this.#slotOf(this.ids, 4 * row)
    const mask = this.#slots.length - 1
    // What stands behind the hole moves up, unless it is at or before its own place: no tombstones.
    for (let at = (hole + 1) & mask; this.#slots[at] !== 0; at = (at + 1) & mask) {
      const home = this.#hash(this.ids, 4 * (this.#slots[at]! - 1)) & mask
      if (((at - home) & mask) < ((at - hole) & mask)) continue
      this.#slots[hole] = this.#slots[at]!
      hole = at
    }
    this.#slots[hole] = 0
    this.state[row] = STATE.free
    this.size--
  }

  release(row: number): void {
    this.next[row] = this.#free
    this.#free = row
  }

  #newRow(): number {
    if (this.#free !== NONE) {
      const row = this.#free
      this.#free = this.next[row]!
      return row
    }
    if (this.length === this.state.length) this.#grow()
    return this.length++
  }

  #grow(): void {
    const { length } = this.state
    this.ids = grown(this.ids, Uint32Array)
    this.state = grown(this.state, Uint8Array)
    this.state.fill(STATE.free, length)
    this.flags = grown(this.flags, Uint8Array)
    this.priority = grown(this.priority, Int32Array)
    this.arrival = grown(this.arrival, Float64Array)
    this.added = grown(this.added, Float64Array)
    this.time = grown(this.time, Float64Array)
    this.turn = grown(this.turn, Uint32Array)
    this.group = grown(this.group, Uint32Array)
    this.next = grown(this.next, Uint32Array)
    this.before = grown(this.before, Uint32Array)
  }

  #rehash(): void {
    this.#slots = new Uint32Array(this.#slots.length * 2)
    for (let row = 0; row < this.length; row++) {
      if (this.state[row] !== STATE.free) this.#slots[this.#slotOf(this.ids, 4 * row)] = row + 1
    }
  }

  /** All words, mixed with a number of this table's own: nobody can aim at one slot. Its sign is of no account. */
  #hash(words: Uint32Array, at: number): number {
    let hash = this.#seed
    for (let i = 0; i < 4; i++) {
      hash = Math.imul(hash ^ words[at + i]!, 0x85ebca6b)
      hash ^= hash >>> 15
    }
    return hash
  }

  /** Where the id stands, or the free slot where it would. */
  #slotOf(words: Uint32Array, at: number): number {
    const mask = this.#slots.length - 1
    let slot = this.#hash(words, at) & mask
    for (;;) {
      const row = this.#slots[slot]! - 1
      if (row < 0) return slot
      const own = 4 * row
      const { ids } = this
      if (
        ids[own] === words[at] &&
        ids[own + 1] === words[at + 1] &&
        ids[own + 2] === words[at + 2] &&
        ids[own + 3] === words[at + 3]
      )
        return slot
      slot = (slot + 1) & mask
    }
  }
}
