/** A transaction that is committed by hand. */
import type { ChainId } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { Receipt } from '../chain/staged.ts'
import { runOnce, type TransactOptions } from './run-transaction.ts'
import { Transaction } from './transaction.ts'
import type { Values } from './values.ts'

export class OpenTransaction extends Transaction {
  readonly #core: ChainCore
  readonly #options: TransactOptions

  /** @internal */
  constructor(core: ChainCore, values: Values, chain: ChainId, options: TransactOptions) {
    super(core, values, chain, options.signal)
    this.#core = core
    this.#options = options
  }

  /** @throws as transact; CONFLICT is not retried. */
  async commit(): Promise<Receipt> {
    await runOnce(this.#core, this, () => undefined, this.#options)
    return this.receipt!
  }

  /** Ends it without a trace. */
  rollback(): void {
    this.abandon()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.closed) this.abandon()
  }
}
