/**
 * Transactions of this process that write in the cache, until they are acknowledged: what the view is told of them then, and the
 * keys that they change. What a loader reads while such a transaction is on its way may be from before it, and what it brings
 * would be written behind it.
 */
import type { Receipt, Transaction } from '@ate/core'

/** Nobody tells of a caller's transaction that failed: after so many ms it counts as one. */
const PENDING_MS = 60_000
/** Transactions with something to tell, and keys, that are remembered; beyond, the oldest are forgotten. */
const TOLD_MAX = 1000
const KEYS_MAX = 65_536

type Tell = (receipt: Receipt) => void

interface Staged {
  readonly tx: Pick<Transaction, 'receipt'>
  readonly since: number
  readonly tells: Tell[]
  /** Known to be over: one of our own, of which we hear. */
  isOver: boolean
}

export class Pending {
  readonly #monotonic: () => number
  readonly #staged = new WeakMap<Staged['tx'], Staged>()
  readonly #telling = new Set<Staged>()
  /** The key that was changed last stands last. */
  readonly #changes = new Map<string, readonly Staged[]>()

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  /** Whether there may be something that `settle` tells. */
  get isTelling(): boolean {
    return this.#telling.size > 0
  }

  /** What `tx` stages is told as soon as it is acknowledged and somebody looks, before anybody can read behind it. */
  tell(tx: Staged['tx'], tell: Tell): void {
    const staged = this.#of(tx)
    staged.tells.push(tell)
    this.#telling.add(staged)
    if (this.#telling.size > TOLD_MAX) for (const oldest of this.#telling) return void this.#telling.delete(oldest)
  }

  settle(): void {
    for (const staged of this.#telling) {
      const { receipt } = staged.tx
      if (receipt) for (const tell of staged.tells) tell(receipt)
      if (this.#isOver(staged)) this.#telling.delete(staged)
    }
  }

  change(key: string, tx: Staged['tx']): void {
    const staged = this.#of(tx)
    const known = this.#changes.get(key)
    if (known) this.#changes.delete(key)
    this.#changes.set(key, known ? [...known.filter((one) => one !== staged && !this.#isOver(one)), staged] : [staged])
    if (this.#changes.size > KEYS_MAX)
      for (const oldest of this.#changes.keys()) return void this.#changes.delete(oldest)
  }

  /** Whether a transaction that changes the key is on its way. */
  isChanging(key: string): boolean {
    const known = this.#changes.get(key)
    if (!known) return false
    if (known.some((one) => !this.#isOver(one))) return true
    this.#changes.delete(key)
    return false
  }

  /** A transaction of our own has ended, or runs again as another one. */
  end(tx: Staged['tx'] | undefined): void {
    const staged = tx && this.#staged.get(tx)
    if (staged) staged.isOver = true
  }

  #of(tx: Staged['tx']): Staged {
    const known = this.#staged.get(tx)
    if (known) return known
    const staged: Staged = { tx, since: this.#monotonic(), tells: [], isOver: false }
    this.#staged.set(tx, staged)
    // Nothing is kept for keys of what is over.
    for (const [key, all] of this.#changes) {
      if (all.some((one) => !this.#isOver(one))) break
      this.#changes.delete(key)
    }
    return staged
  }

  #isOver({ tx, since, isOver }: Staged): boolean {
    return isOver || tx.receipt !== undefined || since <= this.#monotonic() - PENDING_MS
  }
}
