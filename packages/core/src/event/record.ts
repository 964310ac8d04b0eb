/**
 * The head that every record has, and the hash that links records:
 * SHA-256(context, chain id, the 81 bytes of the head, payload hash). The payload hash of a commit is that of its
 * signed head and signature, so that sealed bodies can be dropped and links still verify; of other kinds it is the hash
 * of the whole payload.
 */
import { AteError } from '../base/errors.ts'
import { ByteReader, type ByteWriter } from '../codec/writer.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { COMMIT, KIND, type Kind, RECORD_HEAD_BYTES } from './format.ts'

export interface RecordHead {
  readonly seq: number
  readonly prev: Uint8Array
  readonly admittedAt: number
  readonly sequencer: Uint8Array
  readonly kind: Kind
}

export const NO_HASH: Uint8Array = new Uint8Array(32)

export function writeRecordHead(out: ByteWriter, head: RecordHead): void {
  out.u64(head.seq)
  out.raw(head.prev)
  out.u64(head.admittedAt)
  out.raw(head.sequencer)
  out.u8(head.kind)
}

/** @throws AteError BAD_RECORD */
export function parseRecordHead(bytes: Uint8Array): RecordHead {
  const input = new ByteReader(bytes)
  const seq = input.u64()
  const prev = input.raw(32)
  const admittedAt = input.u64()
  const sequencer = input.raw(32)
  const kind = input.u8()
  if (kind < KIND.genesis || kind > KIND.sweep) throw new AteError('BAD_RECORD', { seq, kind })
  return { seq, prev, admittedAt, sequencer, kind: kind as Kind }
}

/** What a writer signs: every byte of the commit head but the signature, and the certificate that rides with it. */
export function hashCommit(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  record: Uint8Array,
  certificate: Uint8Array | undefined,
): Uint8Array {
  const context = contextBytes('commit')
  const signed = COMMIT.sig - RECORD_HEAD_BYTES
  const bytes = new Uint8Array(context.length + 32 + signed + 32)
  bytes.set(context, 0)
  bytes.set(chainId, context.length)
  bytes.set(record.subarray(RECORD_HEAD_BYTES, COMMIT.sig), context.length + 32)
  if (certificate) crypto.sha256Into(certificate, bytes, context.length + 32 + signed)
  return crypto.sha256(bytes)
}

function hashPayload(
  crypto: CryptoProvider,
  record: Uint8Array,
  kind: Kind,
  commitHash: Uint8Array | undefined,
): Uint8Array {
  const commit = kind === KIND.commit && commitHash !== undefined
  const context = contextBytes(commit ? 'commitPayload' : 'payload')
  const content = commit ? record.subarray(COMMIT.sig, COMMIT.sig + 64) : record.subarray(RECORD_HEAD_BYTES)
  const head = commit ? commitHash : new Uint8Array(0)
  const bytes = new Uint8Array(context.length + head.length + content.length)
  bytes.set(context, 0)
  bytes.set(head, context.length)
  bytes.set(content, context.length + head.length)
  return crypto.sha256(bytes)
}

/** The hash that the next record names as `prev`. `commitHash` is needed for commits, and for them alone. */
export function hashRecord(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  record: Uint8Array,
  kind: Kind,
  commitHash?: Uint8Array,
): Uint8Array {
  const context = contextBytes('record')
  const bytes = new Uint8Array(context.length + 32 + RECORD_HEAD_BYTES + 32)
  bytes.set(context, 0)
  bytes.set(chainId, context.length)
  bytes.set(record.subarray(0, RECORD_HEAD_BYTES), context.length + 32)
  bytes.set(hashPayload(crypto, record, kind, commitHash), context.length + 32 + RECORD_HEAD_BYTES)
  return crypto.sha256(bytes)
}
