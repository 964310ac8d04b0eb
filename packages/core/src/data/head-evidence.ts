/** The evidence of an alarm: what was signed about the records that this machine remembers, against what the log shows. */
import { equalBytes, fromBase64, fromUtf8, toBase64, toBinaryText } from '../base/bytes.ts'
import { EVIDENCE_LINKS_MAX } from '../base/limits.ts'
import { type Claim, checkpointStatement, claimsOf, type Statement } from '../chain/claims.ts'
import {
  certificateOf,
  commitHashOf,
  commitHeadAt,
  headAt,
  kindAt,
  newestOfKind,
  recordAt,
} from '../chain/log-parts.ts'
import { type CommitPart, commitPartOf } from '../chain/signed-parts.ts'
import { attestationAt, followsLog, parseStatements, type StatementSource } from '../chain/statements.ts'
import { RangeTree } from '../crypto/merkle-range.ts'
import { parseAcknowledgement } from '../event/acknowledgement.ts'
import { parseAttestationPayload } from '../event/attestation.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import { hashCommitPayload, hashPayload } from '../event/record.ts'
import type { RememberedHead } from '../session/remembered-heads.ts'
import type { Evidence } from './evidence.ts'
import { evidenceBase } from './evidence-base.ts'

export async function evidenceOf(source: StatementSource, remembered: RememberedHead): Promise<Evidence> {
  const { crypto, replica } = source
  const tree = new RangeTree(crypto, replica.hashes)
  const claims = claimsOf(crypto, parseStatements(remembered.statements))
  const differ = claims.filter(
    ({ from, count, node }) => from + count <= replica.hashes.size && !equalBytes(tree.subtree(from, count), node),
  )
  const isFork = differ.length > 0 || remembered.seq <= replica.head.seq
  const common = evidenceBase(replica, isFork ? 'fork' : 'rollback', { remembered, shown: replica.head })
  for (const claim of differ) {
    const against = await statementAgainst(source, tree, claim)
    if (against) return { ...common, ...shown(claim), against }
  }
  // Without a statement that the shown log contradicts, the one that reaches furthest says that records are missing.
  const missing = claims.filter(({ from, count }) => from + count > replica.hashes.size)
  const said = missing.find(({ statement }) => statement.kind === 'acknowledgement')
  // A server that has gone back has said both itself.
  const claim = isFork ? differ[0] : ((source.acknowledgement && said) ?? missing[0])
  const against = claim?.statement.kind === 'acknowledgement' ? source.acknowledgement : undefined
  return {
    ...common,
    ...(claim ? shown(claim) : {}),
    ...(against && !isFork ? { against: { kind: 'acknowledgement', ...against } } : {}),
  }
}

function shown({ from, count, statement }: Claim): Pick<Evidence, 'from' | 'count' | 'known'> {
  return { from, count, known: statement }
}

/** A signed statement of the shown log about the same node; undefined if there is none. */
async function statementAgainst(
  source: StatementSource,
  tree: RangeTree,
  { from, count }: Claim,
): Promise<Statement | undefined> {
  const { engine, replica } = source
  const { head, checkpoints } = replica
  const newest =
    checkpoints > 0 ? await newestOfKind(engine, KIND.checkpoint, { from: head.seq, to: from + count }) : undefined
  if (newest !== undefined) {
    const note = fromUtf8((await recordAt(engine, newest)).subarray(RECORD_HEAD_BYTES))
    return checkpointStatement(note, tree.subtree(from, count), tree.subtreePath(from, count, newest))
  }
  if (count !== 1) return undefined
  return (await acknowledged(source, from)) ?? namingStatement(source, from)
}

/** What the server said of the log that it shows, with the links from there back to record `seq`. */
export async function acknowledged(source: StatementSource, seq: number): Promise<Statement | undefined> {
  const { acknowledgement } = source
  if (!acknowledgement) return undefined
  const named = parseAcknowledgement(fromBase64(acknowledgement.acknowledgement)!).seq
  if (named < seq || named > source.replica.head.seq || named - seq > EVIDENCE_LINKS_MAX) return undefined
  return { kind: 'acknowledgement', ...acknowledgement, links: await linksOf(source, named, seq) }
}

/** The first attestation or commit behind record `seq` that names it or one soon after it, and the links back to it. */
async function namingStatement(source: StatementSource, seq: number): Promise<Statement | undefined> {
  const { crypto, engine, replica } = source
  const last = Math.min(replica.head.seq, seq + EVIDENCE_LINKS_MAX)
  for (let at = seq + 1; at <= last; at++) {
    const kind = await kindAt(engine, at)
    if (kind === KIND.attestation) {
      const part = await attestationAt(source, at)
      const named = parseAttestationPayload(crypto, (await recordAt(engine, at)).subarray(RECORD_HEAD_BYTES)).body.seq
      if (part && named >= seq) return { kind: 'attestation', ...part, links: await linksOf(source, named, seq) }
    } else if (kind === KIND.commit) {
      const named = (await commitHeadAt(source, at)).base.seq
      const part = named >= seq ? await commitAt(source, at) : undefined
      if (part) return { kind: 'commit', ...part, links: await linksOf(source, named, seq) }
    }
  }
  return undefined
}

/** What the hashes of records `from` down to `to + 1` are made of. */
async function linksOf({ crypto, engine, replica }: StatementSource, from: number, to: number): Promise<string[]> {
  const links: string[] = []
  for (let seq = from; seq > to; seq--) {
    const link = new Uint8Array(RECORD_HEAD_BYTES + 32)
    link.set(await headAt(engine, seq), 0)
    link.set(await payloadHashAt({ crypto, engine, replica }, seq), RECORD_HEAD_BYTES)
    links.push(toBase64(link))
  }
  return links
}

async function payloadHashAt(
  { crypto, engine, replica }: Pick<StatementSource, 'crypto' | 'engine' | 'replica'>,
  seq: number,
): Promise<Uint8Array> {
  if ((await kindAt(engine, seq)) !== KIND.commit)
    return hashPayload(crypto, (await recordAt(engine, seq)).subarray(RECORD_HEAD_BYTES))
  const head = await commitHeadAt({ crypto, engine }, seq)
  return hashCommitPayload(crypto, commitHashOf(crypto, replica.chainId, head), head.signature)
}

/** The commit of a record, if it names a record of this log, and its certificate stands in it. */
async function commitAt(source: StatementSource, seq: number): Promise<CommitPart | undefined> {
  const { replica } = source
  const head = await commitHeadAt(source, seq)
  const certificate = replica.trust.certificates.get(toBinaryText(head.writer))
  if (!certificate || !followsLog(replica, head)) return undefined
  const bytes = await certificateOf(source, head.writer, seq)
  return bytes && commitPartOf(head, bytes, certificate.keys)
}
