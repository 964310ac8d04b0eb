/**
 * Blocks that were opened whole, kept for those who read on in them, and what another thread says of their slices (decision
 * 0099). Bounded: the oldest goes first.
 *
 * Invariant: an answer is of the very bytes that were opened, in memory that nobody writes, and counts where it is the hash that the
 * verified chain has of the body. Where it is not there yet, or is another one, the slice is hashed in place.
 */
import type { SliceHashes } from '../crypto/provider.ts'
import { blockKeyOf, type WholeBlock } from './own-bodies.ts'
import { isHashOf, type StoredBody } from './stored-bodies.ts'

/** Where the slices of a block end, one behind the other, and their hashes as they come. */
export interface AskedSlices {
  readonly ends: readonly number[]
  readonly answers: SliceHashes
}

export class OpenedBlock implements WholeBlock {
  readonly key: number
  readonly ciphertext: Uint8Array
  readonly plaintext: Uint8Array
  readonly #asked: AskedSlices | undefined
  /** The slice behind the one that was read last: most are read in their order. */
  #next = 0

  constructor(
    { record, block }: StoredBody,
    ciphertext: Uint8Array,
    plaintext: Uint8Array,
    asked: AskedSlices | undefined,
  ) {
    this.key = blockKeyOf(record, block)
    this.ciphertext = ciphertext
    this.plaintext = plaintext
    this.#asked = asked
  }

  get bytes(): number {
    return this.ciphertext.length + this.plaintext.length + (this.#asked?.answers.hashes.length ?? 0)
  }

  /** Whether no thread looks at the ciphertext any more. */
  get isFree(): boolean {
    return this.#asked === undefined || this.#asked.answers.count() === this.#asked.ends.length
  }

  /** Whether another thread has found the body's own hash. If not, that says nothing about the body. */
  isHashed(body: StoredBody): boolean {
    if (!this.#asked) return false
    const { ends, answers } = this.#asked
    const end = body.offset + body.size
    const index = ends[this.#next] === end ? this.#next : firstNotBefore(ends, end)
    if (ends[index] !== end || (index === 0 ? 0 : ends[index - 1]) !== body.offset) return false
    this.#next = index + 1
    return index < answers.count() && isHashOf(body, answers.hashes, 32 * index)
  }
}

/** The index of the first end that is not below `end`. */
function firstNotBefore(ends: readonly number[], end: number): number {
  let low = 0
  let high = ends.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (ends[middle]! < end) low = middle + 1
    else high = middle
  }
  return low
}

/** Memory of blocks that are gone: as many as a reader has at a time, the one that is read and the one that comes. */
const SPARE_MAX = 2
/** Sizes of memory are multiples of it: blocks of one log are about as long as each other. */
const SPARE_STEP: number = 64 * 1024

export class OpenedBlocks {
  readonly #blocks = new Map<number, OpenedBlock>()
  readonly #bytesMax: number
  readonly #spare: Uint8Array[] = []
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  find(key: number): OpenedBlock | undefined {
    return this.#blocks.get(key)
  }

  /** For a ciphertext of `size` bytes: memory of a block that is gone, or `made`. New memory costs more than to decrypt it. */
  room(size: number, made: (size: number) => Uint8Array): Uint8Array {
    const room = this.#spare.pop()
    const isFitting = room && room.buffer.byteLength >= size && room.buffer.byteLength <= 4 * size
    return isFitting
      ? new Uint8Array(room.buffer, 0, size)
      : made(Math.ceil(size / SPARE_STEP) * SPARE_STEP).subarray(0, size)
  }

  /** The newest stays, however large it is. What goes may be written over: nobody may hold it. */
  keep(opened: OpenedBlock): void {
    this.#bytes += opened.bytes
    this.#blocks.set(opened.key, opened)
    for (const oldest of this.#blocks.values()) {
      if (this.#bytes <= this.#bytesMax || oldest === opened) break
      this.#blocks.delete(oldest.key)
      this.#bytes -= oldest.bytes
      if (oldest.isFree && this.#spare.length < SPARE_MAX) this.#spare.push(oldest.ciphertext)
    }
  }

  clear(): void {
    this.#blocks.clear()
    this.#spare.length = 0
    this.#bytes = 0
  }
}
