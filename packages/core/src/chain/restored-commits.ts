/** What the outbox of this device holds when a chain is opened: commits that an earlier process has signed. */
import { equalBytes } from '../base/bytes.ts'
import { CommitParser, type ParsedCommit } from '../event/commit-parse.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { ChainCore } from './chain-core.ts'
import type { KeptCommit, Outbox } from './outbox.ts'
import type { Sent } from './sent.ts'
import { refuse } from './verdict.ts'
import type { WriterSession } from './writer-session.ts'

/** Those that can still be sent, in order; of the others it is told what became of them, and they go. */
export async function restoreCommits(core: ChainCore, writer: WriterSession, outbox: Outbox): Promise<readonly Sent[]> {
  const parser = new CommitParser(core.crypto)
  const sent: Sent[] = []
  for (const kept of await outbox.load()) {
    const commit = parser.parse(core.replica.chainId, recordLike(kept))
    if (commit.certificate) await writer.takeUpFresh(commit.certificate)
    const nonces = commit.transactions.map(({ nonce }) => nonce.slice())
    const current = writer.taken
    const isCurrent = current !== undefined && equalBytes(current.certificate.id, commit.writer)
    if (isCurrent && kept.number > current.certificate.mark) sent.push(sentOf(core, kept, commit, nonces))
    else {
      // Its number was taken while no process looked, or its certificate is not ours any more.
      const landed = await core.outcomeOf(commit.writer, kept.number, commit.commitHash)
      core.tellConflicts(nonces, landed ?? nonces.map(() => refuse('CERT_ENDED')))
      await outbox.remove(kept.number)
    }
  }
  return sent
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
