/**
 * Short keys of the ring: `ring/000000.slots` and the next, each a file of slots (ring-key.ts) that was written full of
 * zeros and synced before it got its name. A key goes into the next slot that is free, in one write and one sync, which
 * changes nothing of the file but these bytes; several that are put at once share both. To erase is to write zeros over it, and one sync.
 *
 * Slots are taken in order, so of two keys of one name the one behind counts: it was put in the place of the other, which is
 * overwritten next. A file all of whose keys were erased is removed when it is not the newest.
 * After a sync that failed the page cache may show what the disk lacks: `ring/UNSYNCED` tells the next writer on this
 * machine to write all of it again. A power cut may take that name away: it takes the cache away, too.
 */
import { equalBytes, fromBinaryText, toBinaryText } from '../base/bytes.ts'
import type { LogProblem, RingEntry } from './engine.ts'
import { damaged, errnoOf } from './file-errors.ts'
import { writeWhole } from './file-manifest.ts'
import type { OpenFile } from './file-system.ts'
import { removeIfThere } from './file-writer.ts'
import { listRing, RING, type RingHost, synced } from './ring-host.ts'
import { decodeSlot, encodeSlot, RING_SLOT_BYTES, type Slot } from './ring-key.ts'

/**
 * Slots of a file: as many as there are keys, within these bounds, and twice those of the one before up to a middle size: where
 * keys come and go, a new file is not needed often.
 */
const SLOTS_MIN = 16
const SLOTS_MIDDLE = 256
const SLOTS_MAX = 2048
const UNSYNCED: string = `${RING}/UNSYNCED`

interface SlotFile {
  readonly number: number
  readonly path: string
  readonly slots: number
  readonly file: OpenFile
  /** Slots that are not free. */
  held: number
}

export class RingSlots {
  readonly #host: RingHost
  readonly #purpose: 'read' | 'write'
  /** By number, ascending. */
  #files: SlotFile[] = []
  /** Where a key is: number of the file * SLOTS_MAX + slot. By its name, one byte a character. */
  readonly #places = new Map<string, number>()
  /** Damaged keys of which not even the name is left. */
  #unnamed: number[] = []
  /** The slot of the newest file that comes next. */
  #next = 0
  #isRead = false

  constructor(host: RingHost, purpose: 'read' | 'write') {
    this.#host = host
    this.#purpose = purpose
  }

  get unnamed(): readonly string[] {
    return this.#unnamed.map((place) => `${pathOf(numberOf(place))} at ${(place % SLOTS_MAX) * RING_SLOT_BYTES}`)
  }

  names(): Uint8Array[] {
    if (this.#purpose === 'read') this.#scan(0)
    return [...this.#places.keys()].map(fromBinaryText)
  }

  /** @throws AteError DAMAGED */
  get(name: Uint8Array): Uint8Array | undefined {
    const text = toBinaryText(name)
    // A reader's own picture may be old, and a writer may be writing right now.
    for (let tries = this.#purpose === 'read' ? 2 : 1; ; tries--) {
      const place = this.#places.get(text)
      const slot = place === undefined ? undefined : this.#read(place)
      if (slot?.kind === 'key' && equalBytes(slot.name, name)) return slot.wrapped.slice()
      if (tries > 1) this.#scan(this.#isRead ? (this.#files.at(-1)?.number ?? 0) : 0)
      else if (place !== undefined && (slot?.kind === 'damaged' || this.#purpose === 'write')) throw damagedAt(place)
      else if (this.#unnamed.length > 0) throw damagedAt(this.#unnamed[0]!)
      else return undefined
    }
  }

  /** Of each name at most one. When it resolves they are on the disk. `works`: its caller does, so the sync is in another thread. */
  async put(entries: readonly RingEntry[], caller: 'waits' | 'works'): Promise<void> {
    const places = this.#write(entries)
    const isAlone = caller === 'waits' && entries.length === 1 && this.#host.syncsHere?.() === true
    for (const one of this.#filesOf(places)) {
      if (isAlone) this.#syncedNow(one)
      else await this.#synced(one)
    }
    const replaced: number[] = []
    entries.forEach(({ name }, i) => {
      const text = toBinaryText(name)
      const old = this.#places.get(text)
      if (old !== undefined) replaced.push(old)
      this.#places.set(text, places[i]!)
    })
    this.#wipe(replaced)
  }

  erase(name: Uint8Array): void {
    const text = toBinaryText(name)
    const place = this.#places.get(text)
    if (place === undefined) return
    this.#wipe([place])
    this.#places.delete(text)
  }

  /**
   * What a writer does first. Ends what a crash interrupted, and sees to it that what is seen from here on is on the disk.
   * `filed`: names of keys that have files of their own. Those are the newer ones.
   */
  finish(filed: (name: Uint8Array) => boolean): void {
    const left = this.#scan(0)
    for (const [text, place] of this.#places) {
      if (!filed(fromBinaryText(text))) continue
      left.push(place)
      this.#places.delete(text)
    }
    const again = listRing(this.#host.fs).includes('UNSYNCED')
    for (const one of this.#files) {
      if (again) rewrite(one)
      for (const place of left) if (numberOf(place) === one.number) this.#zero(one, place)
      this.#syncedNow(one)
    }
    removeIfThere(this.#host.fs, UNSYNCED)
    for (const one of [...this.#files]) this.#removeIfEmpty(one)
  }

  /** Keys that are not whole. */
  static problems(host: RingHost): LogProblem[] {
    const problems: LogProblem[] = []
    const slots = new RingSlots(host, 'read')
    try {
      slots.#scan(0, (segment, offset) => problems.push({ code: 'DAMAGED', segment, offset, firstSeq: 0, lastSeq: -1 }))
    } finally {
      slots.close()
    }
    return problems
  }

  close(): void {
    for (const { file } of this.#files.splice(0)) file.close()
  }

  /** Takes up what stands in the files from number `from` on; the places that a writer has to overwrite. */
  #scan(from: number, onDamage?: (path: string, offset: number) => void): number[] {
    const known = this.#files.filter(({ number }) => number < from)
    for (const { number, file } of this.#files) if (number >= from) file.close()
    if (from === 0) this.#places.clear()
    this.#unnamed = this.#unnamed.filter((place) => numberOf(place) < from)
    this.#files = known
    this.#isRead = true
    const left: number[] = []
    for (const number of slotFiles(this.#host)) {
      const one = number < from ? undefined : this.#open(number)
      if (!one) continue
      this.#files.push(one)
      this.#next = this.#scanFile(one, left, onDamage)
    }
    return left
  }

  #open(number: number): SlotFile | undefined {
    const path = pathOf(number)
    try {
      const file = this.#host.fs.open(path, this.#purpose)
      return { number, path, file, slots: Math.floor(file.size() / RING_SLOT_BYTES), held: 0 }
    } catch (error) {
      // A writer removes those that are empty.
      if (errnoOf(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** The slot behind the last one that is not free. */
  #scanFile(one: SlotFile, left: number[], onDamage?: (path: string, offset: number) => void): number {
    const bytes = new Uint8Array(one.slots * RING_SLOT_BYTES)
    one.file.read(bytes, 0)
    let next = 0
    for (let index = 0; index < one.slots; index++) {
      const at = index * RING_SLOT_BYTES
      const slot = decodeSlot(bytes.subarray(at, at + RING_SLOT_BYTES), this.#host.crc)
      if (slot.kind === 'free') continue
      one.held++
      next = index + 1
      const place = one.number * SLOTS_MAX + index
      if (slot.kind === 'damaged') onDamage?.(one.path, at)
      if (slot.kind === 'unfinished') left.push(place)
      else if (!slot.name) this.#unnamed.push(place)
      else this.#take(toBinaryText(slot.name), place, left)
    }
    return next
  }

  #take(text: string, place: number, left: number[]): void {
    const old = this.#places.get(text)
    if (old !== undefined) left.push(old)
    this.#places.set(text, place)
  }

  #read(place: number): Slot | undefined {
    const one = this.#fileOf(place)
    if (!one) return undefined
    const bytes = new Uint8Array(RING_SLOT_BYTES)
    one.file.read(bytes, (place % SLOTS_MAX) * RING_SLOT_BYTES)
    return decodeSlot(bytes, this.#host.crc)
  }

  /** Where each of them went. If one does not fit on the disk, nothing is left of any. */
  #write(entries: readonly RingEntry[]): number[] {
    const places: number[] = []
    try {
      while (places.length < entries.length) {
        let newest = this.#files.at(-1)
        if (!newest || this.#next === newest.slots) newest = this.#begin()
        const some = entries.slice(places.length, places.length + newest.slots - this.#next)
        const at = this.#next * RING_SLOT_BYTES
        for (const _ of some) places.push(newest.number * SLOTS_MAX + this.#next++)
        newest.held += some.length
        writeWhole(newest.file, [this.#encode(some)], at)
      }
      return places
    } catch (error) {
      this.#wipe(places)
      throw error
    }
  }

  #encode(entries: readonly RingEntry[]): Uint8Array {
    const bytes = new Uint8Array(entries.length * RING_SLOT_BYTES)
    entries.forEach(({ name, wrapped }, i) => {
      encodeSlot(bytes.subarray(i * RING_SLOT_BYTES, (i + 1) * RING_SLOT_BYTES), name, wrapped, this.#host.crc)
    })
    return bytes
  }

  /** A new file, which counts once it is full of zeros and these are on the disk. */
  #begin(): SlotFile {
    const { fs, slotsMin = SLOTS_MIN } = this.#host
    const last = this.#files.at(-1)
    const number = last ? last.number + 1 : 0
    const path = pathOf(number)
    const temporary = `${path}.tmp`
    const file = fs.open(temporary, 'create')
    try {
      const doubled = Math.min(SLOTS_MIDDLE, 2 * (last?.slots ?? 0))
      const slots = Math.min(SLOTS_MAX, Math.max(slotsMin, doubled, this.#places.size))
      writeWhole(file, [new Uint8Array(slots * RING_SLOT_BYTES)], 0)
      synced(this.#host, () => file.syncNow())
    } catch (error) {
      file.close()
      removeIfThere(fs, temporary)
      throw error
    }
    file.close()
    fs.rename(temporary, path)
    synced(this.#host, () => fs.syncFolder(RING))
    const one = this.#open(number)!
    this.#files.push(one)
    this.#next = 0
    if (last) this.#removeIfEmpty(last)
    return one
  }

  /** Zeros over the slots, on the disk. */
  #wipe(places: readonly number[]): void {
    for (const one of this.#filesOf(places)) {
      for (const place of places) if (numberOf(place) === one.number) this.#zero(one, place)
      this.#syncedNow(one)
      this.#removeIfEmpty(one)
    }
  }

  #zero(one: SlotFile, place: number): void {
    writeWhole(one.file, [new Uint8Array(RING_SLOT_BYTES)], (place % SLOTS_MAX) * RING_SLOT_BYTES)
    one.held--
  }

  /** Not synced: a file of zeros that comes back says nothing. The newest stays, so that its number is not used again. */
  #removeIfEmpty(one: SlotFile): void {
    if (one.held > 0 || one === this.#files.at(-1)) return
    one.file.close()
    this.#host.fs.remove(one.path)
    this.#files = this.#files.filter((other) => other !== one)
  }

  #syncedNow({ file }: SlotFile): void {
    try {
      file.syncNow()
    } catch (error) {
      throw this.#failed(error)
    }
  }

  async #synced({ file }: SlotFile): Promise<void> {
    try {
      await file.sync()
    } catch (error) {
      throw this.#failed(error)
    }
  }

  #failed(error: unknown): Error {
    try {
      this.#host.fs.open(UNSYNCED, 'create').close()
    } catch {
      // It is there, or the disk takes nothing any more: then nobody writes here before it is mounted anew.
    }
    return this.#host.poison(error)
  }

  #filesOf(places: readonly number[]): SlotFile[] {
    const numbers = new Set(places.map(numberOf))
    return this.#files.filter(({ number }) => numbers.has(number))
  }

  #fileOf(place: number): SlotFile | undefined {
    const number = numberOf(place)
    return this.#files.find((one) => one.number === number)
  }
}

/** The same bytes once more: only what is written is synced. */
function rewrite({ file, slots }: SlotFile): void {
  const bytes = new Uint8Array(slots * RING_SLOT_BYTES)
  file.read(bytes, 0)
  writeWhole(file, [bytes], 0)
}

function slotFiles({ fs }: RingHost): number[] {
  return listRing(fs)
    .flatMap((entry) => /^(\d{6,12})\.slots$/.exec(entry)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

function numberOf(place: number): number {
  return Math.floor(place / SLOTS_MAX)
}

function pathOf(number: number): string {
  return `${RING}/${String(number).padStart(6, '0')}.slots`
}

function damagedAt(place: number): Error {
  return damaged({ segment: pathOf(numberOf(place)), offset: (place % SLOTS_MAX) * RING_SLOT_BYTES })
}
