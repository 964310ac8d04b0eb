/**
 * One file of the simulated disk: what programs see, what is durable, and which sectors lie between. A power cut draws
 * for each of them, and for the size, what is left.
 */
import type { SeededRandom } from './random.ts'

const SECTOR_BYTES = 512

export class SimInode {
  /** What programs see; `size` bytes count. */
  bytes: Uint8Array
  size: number
  durable: Uint8Array
  /** Sectors written since the last sync. */
  readonly #dirty = new Set<number>()
  /** The smallest size since the last sync: what is beyond it may be old or new. */
  #sizeMin: number

  /** A file whose bytes are on the disk. */
  constructor(bytes: Uint8Array = new Uint8Array(0)) {
    this.bytes = bytes
    this.size = bytes.length
    this.durable = bytes.slice()
    this.#sizeMin = bytes.length
  }

  /** Sets bytes that are durable at once. */
  replace(bytes: Uint8Array): void {
    this.bytes = bytes
    this.size = bytes.length
    this.durable = bytes.slice()
    this.#dirty.clear()
    this.#sizeMin = bytes.length
  }

  /** Sets a byte that is durable already. */
  replaceByte(at: number, value: number): void {
    if (at >= Math.min(this.size, this.durable.length)) throw new Error(`no durable byte at ${at}`)
    this.bytes[at] = value
    this.durable[at] = value
  }

  /** A sync failed: the pages are dropped and marked clean, though programs go on seeing them. */
  dropDirty(): void {
    this.#dirty.clear()
  }

  put(parts: readonly Uint8Array[], at: number, size: number): void {
    if (at + size > this.size) this.resize(at + size)
    let to = at
    for (const part of parts) {
      const taken = part.subarray(0, Math.max(0, at + size - to))
      this.bytes.set(taken, to)
      to += taken.length
    }
    for (let s = Math.floor(at / SECTOR_BYTES); s * SECTOR_BYTES < at + size; s++) this.#dirty.add(s)
  }

  resize(size: number): void {
    if (size > this.bytes.length) {
      const grown = new Uint8Array(Math.max(size, 2 * this.bytes.length))
      grown.set(this.bytes.subarray(0, this.size))
      this.bytes = grown
    }
    if (size < this.size) this.bytes.fill(0, size, this.size)
    this.size = size
    this.#sizeMin = Math.min(this.#sizeMin, size)
  }

  /** Dirty sectors and the size land; a sector whose pages an earlier failed sync dropped stays as the disk has it. */
  landSynced(): void {
    const next = new Uint8Array(this.size)
    next.set(this.durable.subarray(0, Math.min(this.durable.length, this.size, Math.max(this.#sizeMin, 0))))
    for (const sector of this.#dirty) {
      const from = sector * SECTOR_BYTES
      if (from < this.size) next.set(this.bytes.subarray(from, Math.min(this.size, from + SECTOR_BYTES)), from)
    }
    this.durable = next
    this.#dirty.clear()
    this.#sizeMin = this.size
  }

  /** What a power cut leaves of a file. */
  powerCut(random: SeededRandom, removed: readonly Uint8Array[]): void {
    const stale = [this.bytes, ...removed]
    const old = this.durable
    const size = this.#sizeAfter(random)
    const next = new Uint8Array(size)
    next.set(old.subarray(0, Math.min(old.length, size)))
    for (let from = 0; from < size; from += SECTOR_BYTES) {
      const end = Math.min(size, from + SECTOR_BYTES)
      const fresh = this.bytes.subarray(from, Math.min(end, this.size))
      const isGrown = from >= Math.min(old.length, this.#sizeMin)
      if (this.#dirty.has(from / SECTOR_BYTES)) sector(next, { from, end, isGrown }, fresh, stale, random)
      else if (isGrown && random.oneIn(8)) garbage(next.subarray(from, end), stale, random)
    }
    this.replace(next)
  }

  #sizeAfter(random: SeededRandom): number {
    const old = this.durable.length
    if (this.size === old) return random.oneIn(2) ? old : Math.max(this.#sizeMin, 0)
    const [low, high] = old < this.size ? [old, this.size] : [this.size, old]
    const draw = random.below(3)
    return draw === 0 ? low : draw === 1 ? high : low + random.below(high - low + 1)
  }
}

function sector(
  next: Uint8Array,
  place: { readonly from: number; readonly end: number; readonly isGrown: boolean },
  fresh: Uint8Array,
  stale: readonly Uint8Array[],
  random: SeededRandom,
): void {
  const { from, end } = place
  const draw = random.below(place.isGrown ? 5 : 3)
  if (draw === 0) return
  if (draw === 1) next.set(fresh, from)
  else if (draw === 2) next.set(fresh.subarray(0, random.below(fresh.length + 1)), from)
  else if (draw === 3) next.fill(0, from, end)
  else garbage(next.subarray(from, end), stale, random)
}

/** What a block held before: bytes of a removed file, of another place in this one, or noise. */
function garbage(target: Uint8Array, stale: readonly Uint8Array[], random: SeededRandom): void {
  const source = stale[random.below(stale.length + 1)]
  const at = SECTOR_BYTES * random.below(1 + Math.floor((source?.length ?? 0) / SECTOR_BYTES))
  if (!source) random.fill(target)
  else target.set(source.subarray(at, at + target.length))
}
