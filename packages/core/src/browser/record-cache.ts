/** Records as they stand in the database, for reading parts of them: it only gives whole ones. The oldest make room. */

const CACHE_BYTES: number = 8 * 1024 * 1024

export class RecordCache {
  readonly #records = new Map<number, Uint8Array>()
  #bytes = 0

  get(seq: number): Uint8Array | undefined {
    return this.#records.get(seq)
  }

  keep(seq: number, packed: Uint8Array): void {
    this.drop(seq)
    this.#records.set(seq, packed)
    this.#bytes += packed.length
    for (const oldest of this.#records.keys()) {
      if (this.#bytes <= CACHE_BYTES) break
      this.drop(oldest)
    }
  }

  drop(seq: number): void {
    this.#bytes -= this.#records.get(seq)?.length ?? 0
    this.#records.delete(seq)
  }

  clear(): void {
    this.#records.clear()
    this.#bytes = 0
  }
}
