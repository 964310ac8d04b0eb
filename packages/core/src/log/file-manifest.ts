/**
 * MANIFEST: two slots of 4,096 bytes, written in turn, so that a write that tears leaves the other one whole. The slot
 * of generation g is g mod 2; the higher valid generation counts. Both bad: the log is damaged, never "new".
 *
 *     0  u32  magic "ATEM"            56  u64  number of the first segment
 *     4  u8   format, 3 zeros         64  u64  count of segments that a writer finished to create
 *     8  u64  generation              72  u64  durable count: records known to be synced
 *    16  u64  writer epoch            80  [32] hash of record (durable count - 1)
 *    24  [32] label (zeros: not set) 112  zeros, 508  u32  CRC of bytes 0 to 507, then zeros
 *
 * Format 2 is a log that is not live, so that software of format 1 neither reads nor writes there:
 *   112  u8   standing (1 to 5)      114  u16  bytes of the note    116  note in UTF-8, at most 392 bytes
 * Format 3 is one whose key ring may have slots, which software of before would not see; its standing may be 0, live.
 */
import { fromUtf8, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { Crc32 } from './crc32.ts'
import { damaged, errnoOf } from './file-errors.ts'
import { BLOCK_BYTES, checkBlock, getU64, putU32, putU64 } from './file-frame.ts'
import type { FileSystem, OpenFile } from './file-system.ts'
import { LIVE, STANDINGS, type Standing } from './standing.ts'

export const MANIFEST = 'MANIFEST'
export const MANIFEST_NEW = 'MANIFEST.new'
export const SLOT_BYTES = 4096
const MAGIC = 0x4154454d
const FORMAT = 1
const STANDING_FORMAT = 2
const SLOTS_FORMAT = 3
const STANDING_AT = 112
const NOTE_AT = 116
const NOTE_BYTES_MAX: number = BLOCK_BYTES - 4 - NOTE_AT

export interface Manifest {
  readonly generation: number
  readonly writerEpoch: number
  readonly label: Uint8Array
  readonly firstSegment: number
  readonly segmentCount: number
  readonly durableCount: number
  readonly durableHash: Uint8Array
  readonly standing: Standing
  /** Keys of the ring may stand in slots. */
  readonly hasSlots: boolean
}

export function encodeSlot(manifest: Manifest, crc: Crc32): Uint8Array {
  const slot = new Uint8Array(SLOT_BYTES)
  putU32(slot, 0, MAGIC)
  slot[4] = manifest.hasSlots ? SLOTS_FORMAT : manifest.standing.state === 'live' ? FORMAT : STANDING_FORMAT
  putU64(slot, 8, manifest.generation)
  putU64(slot, 16, manifest.writerEpoch)
  slot.set(manifest.label, 24)
  putU64(slot, 56, manifest.firstSegment)
  putU64(slot, 64, manifest.segmentCount)
  putU64(slot, 72, manifest.durableCount)
  slot.set(manifest.durableHash, 80)
  putStanding(slot, manifest.standing)
  putU32(slot, BLOCK_BYTES - 4, crc(slot.subarray(0, BLOCK_BYTES - 4)))
  return slot
}

function decodeSlot(slot: Uint8Array, crc: Crc32): Manifest | 'newer' | undefined {
  const state = checkBlock(slot, { magic: MAGIC, formatMax: SLOTS_FORMAT }, crc)
  if (state !== 'good') return state === 'newer' ? state : undefined
  const format = slot[4]!
  const standing = format === FORMAT ? LIVE : getStanding(slot)
  if (!standing || (format === STANDING_FORMAT && standing.state === 'live')) return 'newer'
  return {
    generation: getU64(slot, 8),
    writerEpoch: getU64(slot, 16),
    label: slot.slice(24, 56),
    firstSegment: getU64(slot, 56),
    segmentCount: getU64(slot, 64),
    durableCount: getU64(slot, 72),
    durableHash: slot.slice(80, 112),
    standing,
    hasSlots: format === SLOTS_FORMAT,
  }
}

function putStanding(slot: Uint8Array, { state, note }: Standing): void {
  let text = note
  while (utf8(text).length > NOTE_BYTES_MAX) text = [...text].slice(0, -1).join('')
  const bytes = utf8(text)
  slot[STANDING_AT] = STANDINGS.indexOf(state)
  slot[STANDING_AT + 2] = bytes.length >>> 8
  slot[STANDING_AT + 3] = bytes.length
  slot.set(bytes, NOTE_AT)
}

/** Undefined for one that this software does not know. */
function getStanding(slot: Uint8Array): Standing | undefined {
  const state = STANDINGS[slot[STANDING_AT]!]
  const size = slot[STANDING_AT + 2]! * 256 + slot[STANDING_AT + 3]!
  if (state === undefined || size > NOTE_BYTES_MAX) return undefined
  return { state, note: fromUtf8(slot.subarray(NOTE_AT, NOTE_AT + size)) }
}

/** Both slots as they stand in the file, undefined where a slot is bad. @throws AteError UNSUPPORTED_FORMAT */
export function readSlots(file: OpenFile, crc: Crc32): readonly (Manifest | undefined)[] {
  const bytes = new Uint8Array(2 * SLOT_BYTES)
  return slotsIn(bytes.subarray(0, file.read(bytes, 0)), crc)
}

function slotsIn(bytes: Uint8Array, crc: Crc32): readonly (Manifest | undefined)[] {
  const size = bytes.length
  return [0, 1].map((index) => {
    const slot = bytes.subarray(
      index * SLOT_BYTES,
      Math.max(index * SLOT_BYTES, Math.min(size, (index + 1) * SLOT_BYTES)),
    )
    const manifest = decodeSlot(slot, crc)
    if (manifest === 'newer') throw new AteError('UNSUPPORTED_FORMAT', { file: MANIFEST, format: slot[4] ?? 0 })
    return manifest && manifest.generation % 2 === index ? manifest : undefined
  })
}

/** The newest valid slot. A reader beside a writer may meet a slot that is being written: it looks again. */
export function readManifest(file: OpenFile, crc: Crc32): Manifest {
  for (let attempt = 0; attempt < 3; attempt++) {
    const newest = newestOf(readSlots(file, crc))
    if (newest) return newest
  }
  throw damaged({ segment: MANIFEST, offset: 0 })
}

function newestOf([a, b]: readonly (Manifest | undefined)[]): Manifest | undefined {
  return a && b ? (a.generation > b.generation ? a : b) : (a ?? b)
}

/** Both slots, as far as they say something: read and compared in one step, so that all logs of a process share them. */
const looked = new Uint8Array(SLOT_BYTES + BLOCK_BYTES)

/** MANIFEST, looked at before each write: what stands there as it stood the last time is not judged anew. */
export class ManifestLook {
  readonly #file: OpenFile
  readonly #crc: Crc32
  /** What the two slots said, one behind the other. */
  readonly #known = new Uint8Array(2 * BLOCK_BYTES)
  #manifest: Manifest | undefined

  constructor(file: OpenFile, crc: Crc32) {
    this.#file = file
    this.#crc = crc
  }

  /** @throws as readManifest */
  read(): Manifest {
    const isWhole = this.#file.read(looked, 0) === looked.length
    if (isWhole && this.#manifest && this.#isKnown(0) && this.#isKnown(1)) return this.#manifest
    this.#manifest = isWhole ? newestOf(slotsIn(looked, this.#crc)) : undefined
    this.#known.set(looked.subarray(0, BLOCK_BYTES))
    this.#known.set(looked.subarray(SLOT_BYTES), BLOCK_BYTES)
    // It is being written: that needs a second look.
    return this.#manifest ?? readManifest(this.#file, this.#crc)
  }

  #isKnown(slot: 0 | 1): boolean {
    const [from, at] = [slot * SLOT_BYTES, slot * BLOCK_BYTES]
    for (let i = 0; i < BLOCK_BYTES; i++) if (looked[from + i] !== this.#known[at + i]) return false
    return true
  }
}

/** Opens MANIFEST, or undefined if there is none. */
export function openManifest(fs: FileSystem, mode: 'read' | 'write'): OpenFile | undefined {
  try {
    return fs.open(MANIFEST, mode)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Makes the first MANIFEST. It gets its name only when its bytes are on the disk, so a crash leaves it whole or absent.
 */
export function createManifest(fs: FileSystem, manifest: Manifest, crc: Crc32): void {
  try {
    fs.remove(MANIFEST_NEW)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  const file = fs.open(MANIFEST_NEW, 'create')
  try {
    const other = { ...manifest, generation: manifest.generation - 1 }
    const slots = manifest.generation % 2 === 0 ? [manifest, other] : [other, manifest]
    writeWhole(
      file,
      slots.map((slot) => encodeSlot(slot, crc)),
      0,
    )
    file.syncNow()
  } finally {
    file.close()
  }
  fs.rename(MANIFEST_NEW, MANIFEST)
  fs.syncFolder('')
}

/** Writes all of `parts`, however short the single writes are. */
export function writeWhole(file: OpenFile, parts: readonly Uint8Array[], at: number): void {
  for (const part of parts) {
    let done = 0
    while (done < part.length) {
      const size = file.write([part.subarray(done)], at + done)
      if (size === 0) throw fullDisk()
      done += size
    }
    at += part.length
  }
}

/** The same beside this thread, all parts in one call where that takes them. */
export async function writeWholeLater(file: OpenFile, parts: readonly Uint8Array[], at: number): Promise<void> {
  for (let rest = parts; rest.length > 0; ) {
    const size = await file.writeLater(rest, at)
    if (size === 0) throw fullDisk()
    at += size
    rest = behind(rest, size)
  }
}

/** What is left of `parts` behind their first `size` bytes, without empty ones. */
function behind(parts: readonly Uint8Array[], size: number): readonly Uint8Array[] {
  const rest: Uint8Array[] = []
  for (const part of parts) {
    if (part.length > size) rest.push(part.subarray(size))
    size = Math.max(0, size - part.length)
  }
  return rest
}

function fullDisk(): Error {
  return Object.assign(new Error('the disk takes no more bytes'), { code: 'ENOSPC' })
}
