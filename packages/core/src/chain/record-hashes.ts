/**
 * The hash of every record by seq, 32 bytes each, in chunks: what `base` and attestations are checked against. The first
 * chunk doubles up to the size of all, so that a small chain is small.
 */
const CHUNK = 4096
const FIRST = 16

export class RecordHashes {
  readonly #chunks: Uint8Array[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  push(hash: Uint8Array): void {
    const index = Math.floor(this.#size / CHUNK)
    const at = (this.#size % CHUNK) * 32
    let chunk = this.#chunks[index]
    if (chunk === undefined || at === chunk.length) chunk = this.#grow(index)
    chunk.set(hash, at)
    this.#size++
  }

  #grow(index: number): Uint8Array {
    const old = this.#chunks[index]
    const count = index > 0 ? CHUNK : old ? Math.min(CHUNK, (2 * old.length) / 32) : FIRST
    const chunk = new Uint8Array(count * 32)
    if (old) chunk.set(old)
    this.#chunks[index] = chunk
    return chunk
  }

  /** All of them, one behind the other, in pieces; views. */
  *pieces(): Generator<Uint8Array, void, undefined> {
    for (let seq = 0; seq < this.#size; seq += CHUNK) {
      yield this.#chunks[seq / CHUNK]!.subarray(0, Math.min(CHUNK, this.#size - seq) * 32)
    }
  }

  /** A view of the hash, or undefined for a record that is not there. */
  at(seq: number): Uint8Array | undefined {
    if (!(seq >= 0 && seq < this.#size)) return undefined
    const from = (seq % CHUNK) * 32
    return this.#chunks[Math.floor(seq / CHUNK)]!.subarray(from, from + 32)
  }
}
