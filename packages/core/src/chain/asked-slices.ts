/**
 * What another thread says of the slices of a block that is read as a whole, while this one opens and decodes them (decision 0099).
 * Part of `#large`: a page has no such thread.
 *
 * Invariant: an answer is of the very bytes that were opened, in memory that nobody writes, and counts where it is the hash that the
 * verified chain has of the body. Where it is not there yet, or is another one, the slice is hashed in place.
 */
import type { CryptoProvider, SliceHashes } from '../crypto/provider.ts'
import type { ParsedCommit } from '../event/commit-parse.ts'
import type { OpenedBlock } from './opened-blocks.ts'
import { isHashOf, type StoredBody } from './stored-bodies.ts'

/** Slices of a block for which another thread is asked: for fewer its answer comes too late. */
const SLICES_MIN = 64

/** Of a commit that is read as a whole, by block: where its slices end. Undefined of a block with too few of them. */
export interface ExpectedSlices {
  readonly record: number
  readonly ends: readonly (readonly number[] | undefined)[]
}

/** Undefined if `count` bodies of the commit are too few. */
export function expectSlices(
  { record, blocks, transactions }: ParsedCommit,
  count: number,
): ExpectedSlices | undefined {
  if (count < SLICES_MIN) return undefined
  const ends: number[][] = blocks.map(() => [])
  // Those of void transactions are among them.
  for (const { events } of transactions) {
    for (const { body, block, offset, size } of events) if (body) ends[block]!.push(offset + size)
  }
  return { record: record.seq, ends: ends.map((all) => (all.length < SLICES_MIN ? undefined : all)) }
}

/** Memory of blocks that are gone: as many as a reader has at a time, the one that is read and the one that comes. */
const SPARE_MAX = 2
/** Sizes of memory are multiples of it: blocks of one log are about as long as each other. */
const SPARE_STEP: number = 64 * 1024

/** Memory for such blocks, which is used again: new memory costs more than to decrypt into it. */
export class SpareRooms {
  readonly #made: (size: number) => Uint8Array
  readonly #spare: Uint8Array[] = []

  constructor(made: (size: number) => Uint8Array) {
    this.#made = made
  }

  /** That of a block that is gone, or new. */
  room(size: number): Uint8Array {
    const room = this.#spare.pop()
    const isFitting = room && room.buffer.byteLength >= size && room.buffer.byteLength <= 4 * size
    return isFitting
      ? new Uint8Array(room.buffer, 0, size)
      : this.#made(Math.ceil(size / SPARE_STEP) * SPARE_STEP).subarray(0, size)
  }

  /** Of a block that nobody holds. What a thread still reads is not written over. */
  leave({ ciphertext, asked }: OpenedBlock): void {
    if (asked?.isDone !== false && this.#spare.length < SPARE_MAX) this.#spare.push(ciphertext)
  }
}

/** Undefined where no thread takes it. */
export function askSlices(
  crypto: CryptoProvider,
  ciphertext: Uint8Array,
  ends: readonly number[],
): AskedSlices | undefined {
  const answers = crypto.sha256Slices?.(ciphertext, ends)
  return answers && new AskedSlices(ends, answers)
}

export class AskedSlices {
  readonly #ends: readonly number[]
  readonly #answers: SliceHashes
  /** The slice behind the one that was read last: most are read in their order. */
  #next = 0

  constructor(ends: readonly number[], answers: SliceHashes) {
    this.#ends = ends
    this.#answers = answers
  }

  get bytes(): number {
    return this.#answers.hashes.length
  }

  /** Whether the thread looks at the ciphertext no more. */
  get isDone(): boolean {
    return this.#answers.count() === this.#ends.length
  }

  /** Whether the thread has found the body's own hash. If not, that says nothing about the body. */
  isHashed(body: StoredBody): boolean {
    const ends = this.#ends
    const end = body.offset + body.size
    const index = ends[this.#next] === end ? this.#next : firstNotBefore(ends, end)
    if (ends[index] !== end || (index === 0 ? 0 : ends[index - 1]) !== body.offset) return false
    this.#next = index + 1
    return index < this.#answers.count() && isHashOf(body, this.#answers.hashes, 32 * index)
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
