/** What every engine checks before it takes anything: compare-and-append, shapes and sizes. Nothing is written before. */
import { equalBytes, toHex } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { BATCH_BYTES_MAX, RECORD_BYTES_MAX, RING_KEY_BYTES_MAX } from '../base/limits.ts'
import type { Head, LogRecord } from './engine.ts'

/** Bytes that go with each record in a batch: a length and a hash. */
export const RECORD_HEADER_BYTES = 36
/**
 * The bytes that the batch takes in a frame, record headers counted in.
 * @throws AteError LINK_MISMATCH if `after` is not the last record, or the seqs do not follow it; BAD_ARGUMENT
 */
export function checkBatch(batch: readonly LogRecord[], after: Head | undefined, head: Head | undefined): number {
  if (after?.seq !== head?.seq || (after && head && !equalBytes(after.hash, head.hash))) {
    throw new AteError('LINK_MISMATCH', {
      after: after ? `${after.seq} ${toHex(after.hash)}` : 'nothing',
      last: head ? `${head.seq} ${toHex(head.hash)}` : 'nothing',
    })
  }
  let seq = head ? head.seq + 1 : 0
  let bytes = 0
  for (const record of batch) {
    if (record.seq !== seq) throw new AteError('LINK_MISMATCH', { seq: record.seq, expected: seq })
    if (record.hash.length !== 32 || record.bytes.length > RECORD_BYTES_MAX) {
      throw new AteError('BAD_ARGUMENT', { seq, hashBytes: record.hash.length, bytes: record.bytes.length })
    }
    bytes += RECORD_HEADER_BYTES + record.bytes.length
    seq++
  }
  if (bytes > BATCH_BYTES_MAX) throw new AteError('BAD_ARGUMENT', { bytes, max: BATCH_BYTES_MAX })
  return bytes
}

/** `fixed`: the label under which records stand already. @throws AteError BAD_ARGUMENT | WRONG_CHAIN */
export function checkLabel(label: Uint8Array, fixed: Uint8Array | undefined): void {
  if (label.length !== 32 || label.every((byte) => byte === 0)) throw new AteError('BAD_ARGUMENT', { what: 'label' })
  if (fixed && !equalBytes(label, fixed))
    throw new AteError('WRONG_CHAIN', { label: toHex(label), stored: toHex(fixed) })
}

/** @throws AteError BAD_ARGUMENT */
export function checkKey(name: Uint8Array, wrapped: Uint8Array): void {
  if (name.length === 32 && wrapped.length <= RING_KEY_BYTES_MAX) return
  throw new AteError('BAD_ARGUMENT', { nameBytes: name.length, bytes: wrapped.length, max: RING_KEY_BYTES_MAX })
}
