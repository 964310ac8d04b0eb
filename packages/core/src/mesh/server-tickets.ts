/**
 * The tickets of a server: what its clients may show it in the place of asking for its signature again. They are in the memory
 * of this process alone, so that no key unlocks them later, and each is gone when it is named, whoever names it.
 *
 * Invariant: one is taken only where the server would sign the very same of itself now.
 */
import { equalBytes, toBinaryText, wipe } from '../base/bytes.ts'
import { TICKET_MS, TICKETS_MAX } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { ticketOf } from './handshake-keys.ts'

export interface Standing {
  /** SHA-256 of what the server has signed. */
  readonly said: Uint8Array
  /** Milliseconds since 1970. */
  readonly until: number
}

type Kept = Standing & { readonly secret: Uint8Array }

export class ServerTickets {
  readonly #crypto: CryptoProvider
  readonly #max: number
  /** By their names, the oldest first. */
  readonly #kept = new Map<string, Kept>()

  constructor(crypto: CryptoProvider, max: number = TICKETS_MAX) {
    this.#crypto = crypto
    this.#max = max
  }

  get size(): number {
    return this.#kept.size
  }

  /** The ticket of this name, if it still stands for what the server says of itself. The caller wipes its secret. */
  take(name: Uint8Array, now: { readonly said: Uint8Array; readonly at: number }): Kept | undefined {
    const key = toBinaryText(name)
    const kept = this.#kept.get(key)
    if (!kept) return undefined
    this.#kept.delete(key)
    // A clock that goes back makes none of them younger than it is.
    if (equalBytes(kept.said, now.said) && now.at < kept.until && now.at >= kept.until - TICKET_MS) return kept
    wipe(kept.secret)
    return undefined
  }

  /** Of a connection whose handshake has ended well. */
  put(exporter: Uint8Array, { said, until }: Standing): void {
    const { name, secret } = ticketOf(this.#crypto, exporter)
    this.#kept.set(toBinaryText(name), { secret, said, until })
    if (this.#kept.size > this.#max) this.#drop(this.#kept.keys().next().value!)
  }

  close(): void {
    for (const key of [...this.#kept.keys()]) this.#drop(key)
  }

  #drop(key: string): void {
    wipe(this.#kept.get(key)!.secret)
    this.#kept.delete(key)
  }
}
