/**
 * The record of a large body, whose ciphertext stands in its place before the rest is written: nothing large is copied.
 *
 *     0      what stands before the ciphertext, as it is written
 *     HEAD   the ciphertext
 *
 * When the ciphertext is asked to be written, what stands before it is copied to end at HEAD: there the record is in one piece. What
 * was written first stays too, since events point at their hashes there. Where it needs more than half of the room, the record is
 * written elsewhere, ciphertext and all.
 */
import { BODY_BYTES_MAX, RECORD_BYTES_MAX } from '../base/limits.ts'
import { ByteWriter } from '../codec/writer.ts'

const HEAD_BYTES: number = 32 * 1024

export class LargeRecord extends ByteWriter {
  readonly #memory: Uint8Array
  #isSealed = false
  #start = 0

  /** Of memory that threads share, where there is such. */
  constructor(sharedBytes: (size: number) => Uint8Array) {
    super(0)
    this.#memory = sharedBytes(HEAD_BYTES + BODY_BYTES_MAX)
    this.buffer = this.#memory
  }

  /** For the ciphertext of its only block. */
  room(): Uint8Array {
    this.#isSealed = true
    return this.#memory.subarray(HEAD_BYTES)
  }

  /** For another record. */
  clear(): void {
    this.#isSealed = false
    this.reset()
  }

  override reset(): void {
    super.reset()
    this.buffer = this.#memory
    this.#start = 0
  }

  override need(size: number): void {
    if (this.#isSealed && this.buffer === this.#memory && this.at + size > HEAD_BYTES / 2) {
      const all = new Uint8Array(RECORD_BYTES_MAX)
      all.set(this.#memory.subarray(0, this.at))
      this.buffer = all
    }
    super.need(size)
  }

  override raw(bytes: Uint8Array): void {
    if (bytes.buffer !== this.#memory.buffer || this.buffer !== this.#memory) {
      super.raw(bytes)
      return
    }
    this.#start = HEAD_BYTES - this.at
    this.#memory.copyWithin(this.#start, 0, this.at)
    this.at = HEAD_BYTES + bytes.length
  }

  override bytes(): Uint8Array {
    return this.buffer.subarray(this.#start, this.at)
  }
}
