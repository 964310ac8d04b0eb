/** What waits to be written: transactions that the fold has accepted, in batches of one record each. */
import { toBase32 } from '../base/ids.ts'
import type { ByteWriter } from '../codec/writer.ts'
import type { EntityWords } from '../event/entity-words.ts'
import type { Guard, TransactionEvent } from '../event/transaction-event.ts'
import type { Durability } from '../log/engine.ts'
import type { Journal } from '../view/journal.ts'
import type { KeyChanges } from './entity-keys.ts'
import type { Judge } from './judge.ts'

/** A transaction as its author made it; `bodies` holds the encoded values that its events point into. */
export interface TransactionDraft {
  readonly nonce: Uint8Array
  readonly prefix: EntityWords | undefined
  readonly guards: Guard[]
  readonly events: TransactionEvent[]
  readonly bodies: ByteWriter
  /** What goes into the key ring before its record, and out of it after. */
  readonly keys?: KeyChanges | undefined
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

/** A receipt whose id becomes text only when somebody asks. */
export class TransactionReceipt implements Receipt {
  readonly seq: number
  readonly durability: Durability
  readonly at: number
  readonly #nonce: Uint8Array

  constructor(nonce: Uint8Array, seq: number, durability: Durability, at: number) {
    this.seq = seq
    this.durability = durability
    this.at = at
    this.#nonce = nonce
  }

  get txId(): string {
    return toBase32(this.#nonce)
  }

  toJSON(): Receipt {
    return { seq: this.seq, txId: this.txId, durability: this.durability, at: this.at }
  }
}

export interface StagedTransaction {
  /** Counts staged transactions: rows point at their bodies by it. */
  readonly number: number
  /** Another one, once what is ready has gone without the rest. */
  batch: Batch
  readonly draft: TransactionDraft
  /** Made anew when the transaction is staged again. */
  journal: Journal
  /** Counts up over all that is staged, each time that it is applied: what was applied last is undone first. */
  applied: number
  readonly durability: Durability
  /** Called once, with the receipt or the error. */
  readonly settlers: Settler[]
}

export interface Settler {
  /** Signed, and kept on this machine: whoever waits for no more than that is told, once. Left out by those who wait for the log. */
  kept?(): void
  /** Its record outlives this process, and not yet a power cut: its author is told once, where the log is in files of this process. */
  readonly written?: (() => void) | undefined
  resolve(receipt: Receipt): void
  reject(error: unknown): void
  /** In the place of `reject`, of one that has only read what the refused transaction wrote: the refusal is not its own. */
  undone?(): void
}

/** One record to be. Time, seq and base are fixed when it is opened, so that the fold judges at staging what it will judge for ever. */
export interface Batch {
  /** Moves up by one if the record planned before it is not made. */
  seq: number
  readonly time: number
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  readonly transactions: StagedTransaction[]
  /** By what its transactions are judged: follows from the three above. */
  judge: Judge
  /** Distinct (node, epoch) pairs, each a sealed block. */
  readonly blockKeys: Set<string>
  /** The newest of them, which the next transaction most likely needs again. */
  node: number
  epoch: number
  events: number
  sizeBytes: number
}
