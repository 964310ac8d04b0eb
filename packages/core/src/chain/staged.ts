/** What waits to be written: transactions that the fold has accepted, in batches of one record each. */
import type { ByteWriter } from '../codec/writer.ts'
import type { Guard, TransactionEvent } from '../event/transaction-event.ts'
import type { Durability } from '../log/engine.ts'
import type { Journal } from '../view/journal.ts'

/** A transaction as its author made it; `bodies` holds the encoded values that its events point into. */
export interface TransactionDraft {
  readonly nonce: Uint8Array
  readonly guards: Guard[]
  readonly events: TransactionEvent[]
  readonly bodies: ByteWriter
  /** An upper bound of the bytes that the transaction needs in a record. */
  sizeBytes: number
}

export interface Receipt {
  /** Seq of the record that holds the transaction. */
  readonly seq: number
  readonly txId: string
  /** What the acknowledgement survives. */
  readonly durability: Durability
  /** Chain time of the record, Unix ms. */
  readonly at: number
}

export interface StagedTransaction {
  /** Counts staged transactions: rows point at their bodies by it. */
  readonly number: number
  readonly txId: string
  readonly draft: TransactionDraft
  readonly journal: Journal
  readonly durability: Durability
  readonly done: Promise<Receipt>
  readonly settle: { resolve(receipt: Receipt): void; reject(error: unknown): void }
}

/** One record to be. Time, seq and base are fixed when it is opened, so that the fold judges at staging what it will judge for ever. */
export interface Batch {
  readonly seq: number
  readonly time: number
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  readonly transactions: StagedTransaction[]
  /** Distinct (node, epoch) pairs, each a sealed block. */
  readonly blockKeys: Set<string>
  sizeBytes: number
}
