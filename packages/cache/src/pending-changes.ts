/**
 * Keys that transactions of this process change and that are not acknowledged yet. What a loader reads while such a
 * transaction is on its way may be from before it, and what it brings would be written behind it.
 */

/** What is to be known of a transaction: it has a receipt once it is acknowledged. */
interface Acknowledged {
  readonly receipt?: unknown
}

/** Nobody tells of a transaction that failed: after so many ms it counts as one. Until then nothing is kept for its keys. */
const PENDING_MS = 30_000
/** Changes that are remembered; beyond, the oldest are forgotten. */
const CHANGES_MAX = 65_536

export class PendingChanges {
  readonly #monotonic: () => number
  readonly #changes = new Map<string, Map<Acknowledged, number>>()
  #count = 0

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  add(key: string, tx: Acknowledged): void {
    const of = this.#changes.get(key) ?? new Map<Acknowledged, number>()
    // The key that was changed last stands last.
    this.#changes.delete(key)
    this.#changes.set(key, of)
    if (!of.has(tx)) this.#count++
    of.set(tx, this.#monotonic())
    for (const oldest of this.#changes.keys()) {
      if (oldest === key || (this.#count <= CHANGES_MAX && this.has(oldest))) return
      this.#drop(oldest)
    }
  }

  /** Forgets what is acknowledged, or must have failed. */
  has(key: string): boolean {
    const of = this.#changes.get(key)
    if (!of) return false
    const oldest = this.#monotonic() - PENDING_MS
    for (const [tx, since] of of) {
      if (tx.receipt === undefined && since > oldest) continue
      of.delete(tx)
      this.#count--
    }
    if (of.size === 0) this.#changes.delete(key)
    return of.size > 0
  }

  #drop(key: string): void {
    this.#count -= this.#changes.get(key)?.size ?? 0
    this.#changes.delete(key)
  }
}
