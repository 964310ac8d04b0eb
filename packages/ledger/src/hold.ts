/** A hold as its maker has it. */
import { isAteError } from '@ate/core'
import type { InTransaction, Ledger, Receipt, WriteOptions } from './ledger.ts'
import type { Money } from './money.ts'
import type { Posted } from './poster.ts'

export class LedgerHold<C extends string = string> {
  readonly id: string
  readonly existed: boolean
  readonly #ledger: Ledger
  #over = false

  /** @internal Made by ledger.hold(). */
  constructor(ledger: Ledger, { id, existed }: Posted) {
    this.#ledger = ledger
    this.id = id
    this.existed = existed
  }

  /** Posts all of it, or the part that is given; the rest is free again. @throws AteError HOLD_RESOLVED | HOLD_EXPIRED | BAD_AMOUNT */
  async capture(amount?: Money<C>, options: WriteOptions | InTransaction = {}): Promise<Receipt | Posted> {
    const done = await (options.tx
      ? this.#ledger.capture(this.id, amount, options)
      : this.#ledger.capture(this.id, amount, options))
    this.#over = true
    return done
  }

  /** Sets it free. @throws AteError HOLD_RESOLVED | HOLD_EXPIRED */
  async void(options: WriteOptions | InTransaction = {}): Promise<Receipt | Posted> {
    const done = await (options.tx ? this.#ledger.void(this.id, options) : this.#ledger.void(this.id, options))
    this.#over = true
    return done
  }

  /** Voids it, unless it was captured or voided, or has run out. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return
    try {
      await this.void()
    } catch (error) {
      if (!isAteError(error) || (error.code !== 'HOLD_RESOLVED' && error.code !== 'HOLD_EXPIRED')) throw error
    }
  }
}
