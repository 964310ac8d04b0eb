/**
 * Nonces of transactions, 16 random bytes each: views of one buffer, since an array of its own is twice the garbage. Few to
 * a buffer, because a nonce that is kept holds all of it.
 */
import type { Randomness } from '../base/environment.ts'

const NONCE_BYTES = 16
const BUFFER_BYTES: number = 32 * NONCE_BYTES

export class Nonces {
  readonly #random: Randomness
  #buffer = new Uint8Array(BUFFER_BYTES)
  #at = 0

  constructor(random: Randomness) {
    this.#random = random
  }

  next(): Uint8Array {
    if (this.#at === BUFFER_BYTES) {
      this.#buffer = new Uint8Array(BUFFER_BYTES)
      this.#at = 0
    }
    const nonce = this.#buffer.subarray(this.#at, this.#at + NONCE_BYTES)
    this.#at += NONCE_BYTES
    this.#random.fill(nonce)
    return nonce
  }
}
