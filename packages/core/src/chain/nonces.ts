/**
 * Nonces of transactions, 16 random bytes each: views of one buffer, since an array of its own is twice the garbage. Few to
 * a buffer, because a nonce that is kept holds all of it.
 */
import { type Randomness, randomBytes } from '../base/environment.ts'

const NONCE_BYTES = 16
const BUFFER_BYTES: number = 32 * NONCE_BYTES

export class Nonces {
  readonly #random: Randomness
  #buffer: Uint8Array = new Uint8Array(0)
  #at = BUFFER_BYTES

  constructor(random: Randomness) {
    this.#random = random
  }

  next(): Uint8Array {
    if (this.#at === BUFFER_BYTES) {
      // Drawn together: they are no secrets, and a draw of each is a call of the platform's, or a copy from its pool.
      this.#buffer = randomBytes(this.#random, BUFFER_BYTES)
      this.#at = 0
    }
    this.#at += NONCE_BYTES
    return this.#buffer.subarray(this.#at - NONCE_BYTES, this.#at)
  }
}
