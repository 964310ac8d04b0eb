/**
 * The head that every record has, and the hash that links records:
 * SHA-256(context, chain id, the 81 bytes of the head, payload hash). The payload hash of a commit is that of its
 * signed head and signature, so that sealed bodies can be dropped and links still verify; of other kinds it is the hash
 * of the whole payload.
 */
import { AteError } from '../base/errors.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
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

/** A whole record, with its hash. @throws AteError BAD_RECORD */
export function encodeRecord(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  head: RecordHead,
  payload: Uint8Array,
): { readonly seq: number; readonly bytes: Uint8Array; readonly hash: Uint8Array } {
  const out = new ByteWriter(payload.length + RECORD_HEAD_BYTES)
  writeRecordHead(out, head)
  out.raw(payload)
  const bytes = out.copy()
  return recordOf(crypto, chainId, bytes, head)
}

/** A record as it came, with the hash that its bytes give. @throws AteError BAD_RECORD */
export function recordOf(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  bytes: Uint8Array,
  { seq, kind }: Pick<RecordHead, 'seq' | 'kind'> = parseRecordHead(bytes),
): { readonly seq: number; readonly bytes: Uint8Array; readonly hash: Uint8Array } {
  const commitHash = kind === KIND.commit ? commitHashOf(crypto, chainId, bytes) : undefined
  return { seq, bytes, hash: hashRecord(crypto, chainId, bytes, kind, commitHash) }
}

/** @throws AteError BAD_RECORD */
export function parseRecordHead(bytes: Uint8Array): RecordHead {
  const input = new ByteReader(bytes)
  const seq = input.u64()
  const prev = input.raw(32)
  const admittedAt = input.u64()
  const sequencer = input.raw(32)
  const kind = input.u8()
  if (kind < KIND.genesis || kind > KIND.recover) throw new AteError('BAD_RECORD', { seq, kind })
  return { seq, prev, admittedAt, sequencer, kind: kind as Kind }
}

/** What a writer signs: every byte of the commit head but the signature, and the certificate that rides with it. */
export function hashCommit(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  record: Uint8Array,
  certificate: Uint8Array | undefined,
): Uint8Array {
  const rides = certificate ? crypto.sha256(certificate) : NO_HASH
  return hashCommitHead(crypto, chainId, record.subarray(RECORD_HEAD_BYTES, COMMIT.sig), rides)
}

/** The same of a record as it came, whose certificate may or may not be there. @throws AteError BAD_RECORD */
export function commitHashOf(crypto: CryptoProvider, chainId: Uint8Array, record: Uint8Array): Uint8Array {
  if (record.length < COMMIT.certificate) throw new AteError('BAD_RECORD', { bytes: record.length })
  const size = new DataView(record.buffer, record.byteOffset).getUint32(COMMIT.certificateLength)
  const end = COMMIT.certificate + size
  if (end > record.length) throw new AteError('BAD_RECORD', { what: 'certificate', bytes: size })
  return hashCommit(crypto, chainId, record, size > 0 ? record.subarray(COMMIT.certificate, end) : undefined)
}

/** The same from its parts: the 122 bytes of the commit head, and the hash of the certificate, or zeros for none. */
export function hashCommitHead(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  head: Uint8Array,
  rides: Uint8Array,
): Uint8Array {
  return taggedHash(crypto, 'commit', chainId, head, rides)
}

export function hashCommitPayload(crypto: CryptoProvider, commitHash: Uint8Array, signature: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'commitPayload', commitHash, signature)
}

/** Of a record of another kind: sealed bodies are in commits alone. */
export function hashPayload(crypto: CryptoProvider, payload: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'payload', payload)
}

/** The hash that the next record names as `prev`. `commitHash` is needed for commits, and for them alone. */
export function hashRecord(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  record: Uint8Array,
  kind: Kind,
  commitHash?: Uint8Array,
): Uint8Array {
  const payload =
    kind === KIND.commit && commitHash
      ? hashCommitPayload(crypto, commitHash, record.subarray(COMMIT.sig, COMMIT.sig + 64))
      : hashPayload(crypto, record.subarray(RECORD_HEAD_BYTES))
  return hashRecordHead(crypto, chainId, record.subarray(0, RECORD_HEAD_BYTES), payload)
}

/** The same from its parts: the 81 bytes of the head, and the hash of the payload. */
export function hashRecordHead(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  head: Uint8Array,
  payloadHash: Uint8Array,
): Uint8Array {
  return taggedHash(crypto, 'record', chainId, head, payloadHash)
}
