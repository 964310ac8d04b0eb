/** What the outbox of this device holds when a chain is opened: commits that an earlier process has signed. */
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import type { AteError } from '../base/errors.ts'
import { CommitParser, type ParsedCommit } from '../event/commit-parse.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { ChainCore } from './chain-core.ts'
import type { KeptCommit, Outbox } from './outbox.ts'
import type { Sent } from './sent.ts'
import { type Refusal, refuse } from './verdict.ts'
import type { WriterSession } from './writer-session.ts'

/**
 * Those that can still be sent, in order; of the others it is told what became of them, and they go.
 * @throws `away`, the error of a server that is not there, if only he can tell that: all of them stay
 */
export async function restoreCommits(
  core: ChainCore,
  writer: WriterSession,
  outbox: Outbox,
  away: AteError | undefined,
): Promise<readonly Sent[]> {
  const parser = new CommitParser(core.crypto)
  const sent: Sent[] = []
  const gone: Gone[] = []
  for (const kept of await outbox.load()) {
    const commit = parser.parse(core.replica.chainId, recordLike(kept))
    if (commit.certificate) await writer.takeUpFresh(commit.certificate)
    const nonces = commit.transactions.map(({ nonce }) => nonce.slice())
    const current = writer.taken
    const isCurrent = current !== undefined && equalBytes(current.certificate.id, commit.writer)
    if (isCurrent && kept.number > current.certificate.mark) sent.push(sentOf(core, kept, commit, nonces))
    else if (away && !isDecided(core, kept, commit)) throw away
    else gone.push({ number: kept.number, writer: commit.writer.slice(), hash: commit.commitHash.slice(), nonces })
  }
  for (const { number, writer: by, hash, nonces } of gone) {
    const landed = await outcomeOf(core, by, number, hash)
    core.tellConflicts(nonces, landed ?? nonces.map(() => refuse('CERT_ENDED')))
    await outbox.remove(number)
  }
  return sent
}

/** What the commit of this writer number was, if it is that one: a refusal, or undefined, for each of its transactions. */
async function outcomeOf(
  { crypto, engine, replica }: ChainCore,
  writer: Uint8Array,
  writerSeq: number,
  commitHash: Uint8Array,
): Promise<readonly (Refusal | undefined)[] | undefined> {
  const parser = new CommitParser(crypto)
  for await (const chunk of engine.read(1)) {
    for (const { bytes, seq } of chunk) {
      if (bytes[RECORD_HEAD_BYTES - 1] !== KIND.commit) continue
      const commit = parser.parse(replica.chainId, bytes)
      if (commit.writerSeq !== writerSeq || !equalBytes(commit.writer, writer)) continue
      if (!equalBytes(commit.commitHash, commitHash)) return undefined
      return commit.transactions.map((_, i) => replica.voids.get(seq)?.get(i))
    }
  }
  return undefined
}

/** Its number was taken while no process looked, or its certificate is not ours any more. */
interface Gone {
  readonly number: number
  readonly writer: Uint8Array
  readonly hash: Uint8Array
  /** Of its transactions. */
  readonly nonces: readonly Uint8Array[]
}

/** Also of a copy that is older than what the server has: its number is taken, or nothing more can take it. */
function isDecided({ replica }: ChainCore, { number }: KeptCommit, { writer }: ParsedCommit): boolean {
  const certificate = replica.trust.certificates.get(toBinaryText(writer))
  return certificate !== undefined && (certificate.ended || number <= certificate.mark)
}

function sentOf(
  { staging }: ChainCore,
  { number, payload }: KeptCommit,
  { base, at: time, commitHash: hash }: ParsedCommit,
  restored: readonly Uint8Array[],
): Sent {
  const batch = staging.emptyBatch({ time, base: { seq: base.seq, hash: base.hash.slice() } })
  return { number, batch, payload, hash, isKept: true, restored }
}

/** A record, for the parser: the head is not known yet, and of it only the kind is looked at. */
function recordLike({ payload }: KeptCommit): Uint8Array {
  const record = new Uint8Array(RECORD_HEAD_BYTES + payload.length)
  record[RECORD_HEAD_BYTES - 1] = KIND.commit
  record.set(payload, RECORD_HEAD_BYTES)
  return record
}
