/**
 * What is kept count of by a key that strangers choose: bounded, so that a flood of keys fills no memory. The one that
 * was used longest ago makes room, unless it is held; of what is held there is a bound elsewhere (connections).
 */
export class CountedTable<Entry> {
  readonly #entries = new Map<string, { readonly value: Entry; holds: number }>()
  readonly #make: () => Entry
  readonly #entriesMax: number

  constructor(entriesMax: number, make: () => Entry) {
    this.#entriesMax = entriesMax
    this.#make = make
  }

  get size(): number {
    return this.#entries.size
  }

  /** The entry of a key, made if there is none. */
  get(key: string): Entry {
    return this.#used(key).value
  }

  /** What is there, without counting as a use. */
  peek(key: string): Entry | undefined {
    return this.#entries.get(key)?.value
  }

  /** An entry that stays until it is released as often. */
  hold(key: string): Entry {
    const entry = this.#used(key)
    entry.holds++
    return entry.value
  }

  release(key: string): void {
    const entry = this.#entries.get(key)
    if (entry && entry.holds > 0) entry.holds--
  }

  holds(key: string): number {
    return this.#entries.get(key)?.holds ?? 0
  }

  #used(key: string): { readonly value: Entry; holds: number } {
    const known = this.#entries.get(key)
    if (known) {
      // The order of a Map is that of insertion: the newest use stands last.
      this.#entries.delete(key)
      this.#entries.set(key, known)
      return known
    }
    if (this.#entries.size >= this.#entriesMax) this.#makeRoom()
    const made = { value: this.#make(), holds: 0 }
    this.#entries.set(key, made)
    return made
  }

  /** Those that are held go to the end, so that each is passed once; if all are, there is one more. */
  #makeRoom(): void {
    let tries = this.#entries.size
    for (const [key, entry] of this.#entries) {
      this.#entries.delete(key)
      if (entry.holds === 0) return
      this.#entries.set(key, entry)
      if (--tries === 0) return
    }
  }
}
