/**
 * What became of the newest transactions, for chain.outcome: flat bytes and one shared object a record, because thousands
 * of small objects that live for a while cost the collector more than those that die at once.
 */
import type { Receipt } from './staged.ts'

/** Outcomes that are remembered. */
const OUTCOMES_MAX = 16_384
const NONCE_BYTES = 16

/** What all transactions of a record share. */
type Acknowledgement = Omit<Receipt, 'txId'>

export class RecentOutcomes {
  #nonces = new Uint8Array(64 * NONCE_BYTES)
  readonly #acknowledgements: Acknowledgement[] = []
  /** The next to be written, over the oldest once all are taken. */
  #next = 0

  note(nonce: Uint8Array, acknowledgement: Acknowledgement): void {
    const at = this.#next * NONCE_BYTES
    if (at === this.#nonces.length) this.#grow()
    for (let i = 0; i < NONCE_BYTES; i++) this.#nonces[at + i] = nonce[i]!
    this.#acknowledgements[this.#next] = acknowledgement
    this.#next = (this.#next + 1) % OUTCOMES_MAX
  }

  find(nonce: Uint8Array): Acknowledgement | undefined {
    for (let i = 0; i < this.#acknowledgements.length; i++)
      if (this.#isAt(i * NONCE_BYTES, nonce)) return this.#acknowledgements[i]
    return undefined
  }

  #isAt(at: number, nonce: Uint8Array): boolean {
    for (let i = 0; i < NONCE_BYTES; i++) if (this.#nonces[at + i] !== nonce[i]) return false
    return true
  }

  #grow(): void {
    const grown = new Uint8Array(this.#nonces.length * 2)
    grown.set(this.#nonces)
    this.#nonces = grown
  }
}
