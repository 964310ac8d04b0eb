/** Small parts of records out of a log, without their bodies: what proofs and evidence are made of. */
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseCertificate } from '../event/certificate.ts'
import { placesEnd } from '../event/commit-parse.ts'
import { COMMIT, KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import { hashCommitHead, NO_HASH } from '../event/record.ts'
import type { LogEngine } from '../log/engine.ts'

/** The head of a commit as it is signed, and what else its hash needs. */
export interface CommitHead {
  /** The 122 bytes before the signature. */
  readonly bytes: Uint8Array
  readonly signature: Uint8Array
  readonly writer: Uint8Array
  readonly writerSeq: number
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  /** The certificate that rides in it, and its hash; zeros for none. */
  readonly certificate: Uint8Array | undefined
  readonly rides: Uint8Array
}

export async function kindAt(engine: LogEngine, seq: number): Promise<number> {
  return (await engine.readPart(seq, RECORD_HEAD_BYTES - 1, 1))[0]!
}

export async function headAt(engine: LogEngine, seq: number): Promise<Uint8Array> {
  return engine.readPart(seq, 0, RECORD_HEAD_BYTES)
}

/** All bytes of one record (a copy). */
export async function recordAt(engine: LogEngine, seq: number): Promise<Uint8Array> {
  for await (const chunk of engine.read(seq, { chunkBytes: 1 })) return chunk[0]!.bytes.slice()
  throw new AteError('NOT_FOUND', { seq })
}

/** The first bytes of a commit, up to the end of its clear part, and of the table of what compaction has kept. */
export async function clearPartAt(engine: LogEngine, seq: number): Promise<Uint8Array> {
  let prefix = await engine.readPart(seq, 0, COMMIT.certificate)
  for (let end = placesEnd(prefix); end > prefix.length; end = placesEnd(prefix))
    prefix = await engine.readPart(seq, 0, end)
  return prefix
}

export async function commitHeadAt(
  { engine, crypto }: { readonly engine: LogEngine; readonly crypto: CryptoProvider },
  seq: number,
): Promise<CommitHead> {
  const prefix = await engine.readPart(seq, 0, COMMIT.certificate)
  const view = new DataView(prefix.buffer, prefix.byteOffset)
  const size = view.getUint32(COMMIT.certificateLength)
  const certificate = size > 0 ? (await engine.readPart(seq, COMMIT.certificate, size)).slice() : undefined
  const rides = certificate ? crypto.sha256(certificate) : NO_HASH
  return {
    ...commitHeadOf(prefix.slice(RECORD_HEAD_BYTES, COMMIT.sig)),
    signature: prefix.slice(COMMIT.sig, COMMIT.sig + 64),
    certificate,
    rides,
  }
}

/** The fields of the 122 bytes. */
export function commitHeadOf(
  bytes: Uint8Array,
): Pick<CommitHead, 'bytes' | 'writer' | 'writerSeq' | 'base'> & { readonly at: number; readonly root: Uint8Array } {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const from = (offset: number): number => offset - RECORD_HEAD_BYTES
  const u64 = (offset: number): number => Number(view.getBigUint64(from(offset)))
  const hash = (offset: number): Uint8Array => bytes.subarray(from(offset), from(offset) + 32)
  return {
    bytes,
    writer: hash(COMMIT.writer),
    writerSeq: u64(COMMIT.writerSeq),
    base: { seq: u64(COMMIT.baseSeq), hash: hash(COMMIT.baseHash) },
    at: u64(COMMIT.at),
    root: hash(COMMIT.root),
  }
}

export function commitHashOf(crypto: CryptoProvider, chainId: Uint8Array, head: CommitHead): Uint8Array {
  return hashCommitHead(crypto, chainId, head.bytes, head.rides)
}

/** The newest record of a kind from `from` down to `to` that `suits`; undefined if there is none. */
export async function newestOfKind(
  engine: LogEngine,
  kind: (typeof KIND)[keyof typeof KIND],
  { from, to }: { readonly from: number; readonly to: number },
  suits: (seq: number) => boolean | Promise<boolean> = () => true,
): Promise<number | undefined> {
  for (let seq = from; seq >= to; seq--) {
    if ((await kindAt(engine, seq)) === kind && (await suits(seq))) return seq
  }
  return undefined
}

/** The certificate of `writer`, which rides in the first commit that it signed: looked for backwards from seq `from`, one of its commits. */
export async function certificateOf(
  parts: { readonly engine: LogEngine; readonly crypto: CryptoProvider },
  writer: Uint8Array,
  from: number,
): Promise<Uint8Array | undefined> {
  const { engine } = parts
  for (let seq = from; seq >= 0; seq--) {
    if ((await kindAt(engine, seq)) !== KIND.commit) continue
    const head = await commitHeadAt(parts, seq)
    if (equalBytes(head.writer, writer) && carriesOwn(parts.crypto, head)) return head.certificate
  }
  return undefined
}

/** Whether the certificate of its writer rides in a commit: where the chain knows it already, what rides may be anything. */
export function carriesOwn(crypto: CryptoProvider, { certificate, writer }: CommitHead): boolean {
  if (!certificate) return false
  try {
    return equalBytes(parseCertificate(crypto, certificate).id, writer)
  } catch (error) {
    if (isAteError(error) && error.code === 'BAD_CERTIFICATE') return false
    throw error
  }
}
