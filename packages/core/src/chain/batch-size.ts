/** What fits into one record: bytes, events, transactions, sealed blocks. All of it is bounded before a transaction joins. */
import { AteError } from '../base/errors.ts'
import { COMMIT_BLOCKS_MAX, COMMIT_EVENTS_MAX, COMMIT_TXS_MAX, RECORD_BYTES_MAX } from '../base/limits.ts'
import type { Batch, TransactionDraft } from './staged.ts'

/** Room for the head of a record, its certificate and the identity's keys. */
export const RECORD_OVERHEAD_BYTES: number = 10 * 1024
/** A sealed block's header, its secret encapsulated. */
export const BLOCK_OVERHEAD_BYTES = 1280

/** True if the transaction and the blocks that it needs go into the batch's record. */
export function fits(batch: Batch, draft: TransactionDraft, newKeys: readonly string[]): boolean {
  const blocks = batch.blockKeys.size + newKeys.length
  return (
    batch.sizeBytes + draft.sizeBytes + blocks * BLOCK_OVERHEAD_BYTES <= RECORD_BYTES_MAX &&
    batch.events + draft.events.length <= COMMIT_EVENTS_MAX &&
    batch.transactions.length < COMMIT_TXS_MAX &&
    blocks <= COMMIT_BLOCKS_MAX
  )
}

export function addBlocks(batch: Batch, draft: TransactionDraft, keys: readonly string[]): void {
  for (const key of keys) batch.blockKeys.add(key)
  const { readNode, epoch } = draft.events.findLast((event) => event.body)!
  batch.node = readNode
  batch.epoch = epoch
}

export function checkSize(draft: TransactionDraft): void {
  const bytes = RECORD_OVERHEAD_BYTES + draft.sizeBytes
  if (bytes > RECORD_BYTES_MAX || draft.events.length > COMMIT_EVENTS_MAX) throw tooLarge(draft)
}

export function tooLarge(draft: TransactionDraft): AteError {
  return new AteError('TX_TOO_LARGE', {
    bytes: draft.sizeBytes,
    max: RECORD_BYTES_MAX - RECORD_OVERHEAD_BYTES,
    events: draft.events.length,
    eventsMax: COMMIT_EVENTS_MAX,
  })
}
