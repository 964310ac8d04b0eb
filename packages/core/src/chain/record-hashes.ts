/** The hash of every record by seq, 32 bytes each, in chunks: what `base` and attestations are checked against. */
const CHUNK = 4096

export class RecordHashes {
  readonly #chunks: Uint8Array[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  push(hash: Uint8Array): void {
    if (this.#size % CHUNK === 0) this.#chunks.push(new Uint8Array(CHUNK * 32))
    this.#chunks[Math.floor(this.#size / CHUNK)]!.set(hash, (this.#size % CHUNK) * 32)
    this.#size++
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
