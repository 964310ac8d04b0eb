/** Blocks that were opened whole, kept for those who read on in them. Bounded: the oldest goes first. */
import type { AskedSlices } from './asked-slices.ts'
import type { WholeBlock } from './own-bodies.ts'

export interface OpenedBlock extends WholeBlock {
  /** Of blockKeyOf. */
  readonly key: number
  readonly asked: AskedSlices | undefined
}

export class OpenedBlocks {
  readonly #blocks = new Map<number, OpenedBlock>()
  readonly #bytesMax: number
  readonly #gone: ((block: OpenedBlock) => void) | undefined
  #bytes = 0

  /** `gone` is told of each that goes for another one. */
  constructor(bytesMax: number, gone?: (block: OpenedBlock) => void) {
    this.#bytesMax = bytesMax
    this.#gone = gone
  }

  find(key: number): OpenedBlock | undefined {
    return this.#blocks.get(key)
  }

  /** The newest stays, however large it is. */
  keep(opened: OpenedBlock): void {
    const before = this.#blocks.get(opened.key)
    // Two who read at the same time have both opened it.
    if (before && this.#blocks.delete(opened.key)) this.#bytes -= bytesOf(before)
    this.#bytes += bytesOf(opened)
    this.#blocks.set(opened.key, opened)
    for (const oldest of this.#blocks.values()) {
      if (this.#bytes <= this.#bytesMax || oldest === opened) break
      this.#blocks.delete(oldest.key)
      this.#bytes -= bytesOf(oldest)
      this.#gone?.(oldest)
    }
  }

  clear(): void {
    this.#blocks.clear()
    this.#bytes = 0
  }
}

function bytesOf({ ciphertext, plaintext, asked }: OpenedBlock): number {
  return ciphertext.length + plaintext.length + (asked?.bytes ?? 0)
}
