/**
 * Blocks that stand in memory whole: those that this session has sealed and that are acknowledged, since what was just written is read
 * again soon, and those that were opened whole, for who reads on in them. Whoever reads compares the slice with the hash of the view
 * all the same: the record of that number may be another one by now.
 * Bounded: the oldest blocks go first.
 */

/** Bytes that are kept, ciphertext and plaintext counted, and blocks. */
const BYTES_MAX: number = 16 * 1024 * 1024
const BLOCKS_MAX = 4096

export interface WholeBlock {
  readonly ciphertext: Uint8Array
  readonly plaintext: Uint8Array
}

export class WholeBlocks {
  readonly #blocks = new Map<number, WholeBlock>()
  #bytes = 0

  /** One for each block of the record; undefined where this session could not open it. */
  keep(record: number, blocks: readonly (WholeBlock | undefined)[]): void {
    for (let i = 0; i < blocks.length; i++) {
      const block = blocks[i]
      if (!block) continue
      this.#drop(blockKeyOf(record, i))
      this.#blocks.set(blockKeyOf(record, i), block)
      this.#bytes += bytesOf(block)
    }
    for (const key of this.#blocks.keys()) {
      // The newest stays, however large it is: the next body may stand in it.
      if ((this.#bytes <= BYTES_MAX && this.#blocks.size <= BLOCKS_MAX) || this.#blocks.size === 1) break
      this.#drop(key)
    }
  }

  find(record: number, block: number): WholeBlock | undefined {
    return this.#blocks.get(blockKeyOf(record, block))
  }

  clear(): void {
    this.#blocks.clear()
    this.#bytes = 0
  }

  #drop(key: number): void {
    const block = this.#blocks.get(key)
    if (block && this.#blocks.delete(key)) this.#bytes -= bytesOf(block)
  }
}

function bytesOf({ ciphertext, plaintext }: WholeBlock): number {
  return ciphertext.length + plaintext.length
}

/** A record has at most 256 blocks. */
export function blockKeyOf(record: number, block: number): number {
  return record * 256 + block
}
