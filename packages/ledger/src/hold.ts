/** A hold as its maker has it. */
import { isAteError, isEffects, type TxTarget } from '@ate/core'
import type { InTransaction, Ledger, Receipt, WriteOptions } from './ledger.ts'
import type { Money } from './money.ts'
import type { Posted } from './poster.ts'

export class LedgerHold<C extends string = string> {
  readonly id: string
  readonly existed: boolean
  readonly #ledger: Ledger
  #over = false
  /** The caller's transaction that made or ended it last: it may still fail, and then this hold is not there, or not over. */
  #within: TxTarget | undefined

  /** @internal Made by ledger.hold(). */
  constructor(ledger: Ledger, { id, existed }: Posted, within: TxTarget | undefined) {
    this.#ledger = ledger
    this.#within = within
    this.id = id
    this.existed = existed
  }

  /** Posts all of it, or the part that is given; the rest is free again. @throws AteError HOLD_RESOLVED | HOLD_EXPIRED | BAD_AMOUNT */
  async capture(amount?: Money<C>, options: WriteOptions | InTransaction = {}): Promise<Receipt | Posted> {
    const done = await (options.tx
      ? this.#ledger.capture(this.id, amount, options)
      : this.#ledger.capture(this.id, amount, options))
    this.#endedBy(options.tx)
    return done
  }

  /** Sets it free. @throws AteError HOLD_RESOLVED | HOLD_EXPIRED */
  async void(options: WriteOptions | InTransaction = {}): Promise<Receipt | Posted> {
    const done = await (options.tx ? this.#ledger.void(this.id, options) : this.#ledger.void(this.id, options))
    this.#endedBy(options.tx)
    return done
  }

  /** What a job will do is taken for done: it cannot be asked. */
  #endedBy(tx: TxTarget | undefined): void {
    if (tx && !isEffects(tx)) this.#within = tx
    else this.#over = true
  }

  /**
   * Voids it, unless it was captured or voided, or has run out: within the transaction that made it, or that was to end it, while
   * that is open; later, if that one has failed.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#over) return
    const within = this.#within
    try {
      if (!within || (await this.#isOver(this.#ledger.void(this.id, { tx: within }))) === 'closed') await this.void()
    } catch (error) {
      if (isAteError(error) && GONE.has(error.code)) return
      // The transaction that would have made it did not.
      if (!within || !isAteError(error) || error.code !== 'NOT_FOUND') throw error
    }
  }

  /** `closed` if the transaction takes nothing any more. */
  async #isOver(ending: Promise<unknown>): Promise<'over' | 'closed'> {
    try {
      await ending
      return 'over'
    } catch (error) {
      if (isAteError(error) && error.code === 'TX_CLOSED') return 'closed'
      throw error
    }
  }
}

const GONE: ReadonlySet<string> = new Set(['HOLD_RESOLVED', 'HOLD_EXPIRED'])
