/**
 * What was signed about the records of a chain, and says which they are: a checkpoint over them, an attestation that names the
 * newest record its signer had seen, a commit that names its base. This machine keeps the newest of each beside the head that
 * it remembers, so that a log that comes back older or different is contradicted by keys of the chain itself.
 *
 * Each claims nodes of the Merkle tree over the log. Two claims of one node with different hashes cannot both be true.
 */
import { equalBytes, fromBase64, fromUtf8, toBase64, toBinaryText } from '../base/bytes.ts'
import { isAteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import { Fields, jsonOf } from '../codec/json-fields.ts'
import { leafHash, type Peak, peaksOf } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseAcknowledgement } from '../event/acknowledgement.ts'
import { parseAttestationPayload } from '../event/attestation.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { LogEngine } from '../log/engine.ts'
import { rememberedHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import {
  type CommitHead,
  carriesOwn,
  certificateOf,
  commitHeadAt,
  commitHeadOf,
  kindAt,
  recordAt,
} from './log-parts.ts'
import type { Replica } from './replica.ts'
import { type AcknowledgementPart, type AttestationPart, type CommitPart, commitPartOf } from './signed-parts.ts'

/** Records that are looked through, from the newest one back, each time the head is remembered. */
const SCAN_RECORDS = 64

/** The newest of each kind, as they are remembered. Bytes are base64. */
export interface Statements {
  /** `tree` is the saved frontier of the tree that the note is over. */
  readonly checkpoint?: { readonly note: string; readonly tree: string }
  readonly attestation?: AttestationPart
  readonly commit?: CommitPart
  readonly acknowledgement?: AcknowledgementPart
}

export interface StatementSource {
  readonly crypto: CryptoProvider
  readonly engine: LogEngine
  readonly replica: Replica
  readonly chainId: ChainId
  /** The newest of the server that orders the records, if one does. */
  readonly acknowledgement?: AcknowledgementPart | undefined
}

/** What is to be remembered with record `seq`: the newest statements of the log, and older ones of kinds that it lacks. */
export async function statementsFor(source: StatementSource, state: StateStore, seq: number): Promise<string> {
  const known = await rememberedHead(state, source.chainId)
  const older = known && known.seq <= seq ? parseStatements(known.statements) : {}
  const { acknowledgement } = source
  const newest = { ...(await readableStatements(source, seq)), ...(acknowledgement ? { acknowledgement } : {}) }
  return `${JSON.stringify({ ...older, ...newest })}\n`
}

/** A disk that does not read must not keep the head from being remembered: there is less evidence then. */
async function readableStatements(source: StatementSource, seq: number): Promise<Statements> {
  try {
    return await newestStatements(source, seq)
  } catch (error) {
    if (!isAteError(error) || error.code === 'INTERNAL') throw error
    return {}
  }
}

/** Our own state: what cannot be read is as if it were not there. */
export function parseStatements(text: string | undefined): Statements {
  if (text === undefined) return {}
  try {
    new Fields(jsonOf(text), 'statements')
    return JSON.parse(text) as Statements
  } catch {
    return {}
  }
}

async function newestStatements(source: StatementSource, seq: number): Promise<Statements> {
  const { engine, replica } = source
  const last = Math.max(1, seq - SCAN_RECORDS)
  const { newestCheckpoint } = replica
  const commits = new CommitsBackwards(source)
  let attestation: AttestationPart | undefined
  for (let at = seq; at >= last && !(attestation && commits.isFound); at--) {
    const kind = await kindAt(engine, at)
    if (kind === KIND.attestation) attestation ??= await attestationAt(source, at)
    if (kind === KIND.commit && !commits.isFound) commits.see(await commitHeadAt(source, at))
  }
  const commit = commits.newest
  return {
    ...(newestCheckpoint && newestCheckpoint.seq <= seq
      ? { checkpoint: { note: fromUtf8(newestCheckpoint.note), tree: toBase64(newestCheckpoint.tree) } }
      : {}),
    ...(attestation ? { attestation } : {}),
    ...(commit ? { commit } : {}),
  }
}

/**
 * Looks for the newest commit whose certificate stands at it or before it, shown one commit after the other from the newest
 * back: each is read once, however many of them there are without a certificate in sight.
 */
class CommitsBackwards {
  readonly #source: StatementSource
  /** The newest commit of each writer whose certificate has not come yet, newest first. */
  readonly #waiting = new Map<string, CommitHead>()
  #newest: CommitPart | undefined

  constructor(source: StatementSource) {
    this.#source = source
  }

  get newest(): CommitPart | undefined {
    return this.#newest
  }

  /** Nothing older can be newer than what was found. */
  get isFound(): boolean {
    return this.#newest !== undefined && this.#waiting.size === 0
  }

  see(head: CommitHead): void {
    const { crypto, replica } = this.#source
    const writer = toBinaryText(head.writer)
    if (!this.#newest && !this.#waiting.has(writer) && followsLog(replica, head)) this.#waiting.set(writer, head)
    const waiting = this.#waiting.get(writer)
    const known = replica.trust.certificates.get(writer)
    if (!waiting || !known || !head.certificate || !carriesOwn(crypto, head)) return
    this.#newest = commitPartOf(waiting, head.certificate, known.keys)
    this.#keepNewer(writer)
  }

  /** Those that were seen after `writer`'s are older than what was found for it. */
  #keepNewer(writer: string): void {
    let isOlder = false
    for (const other of this.#waiting.keys()) {
      isOlder ||= other === writer
      if (isOlder) this.#waiting.delete(other)
    }
  }
}

function followsLog({ hashes }: Replica, { base }: CommitHead): boolean {
  const hash = hashes.at(base.seq)
  return hash !== undefined && equalBytes(hash, base.hash)
}

/** The attestation of a record; undefined if its signer's keys are not at hand. */
export async function attestationAt(
  { crypto, engine, replica }: StatementSource,
  seq: number,
): Promise<AttestationPart | undefined> {
  const payload = (await recordAt(engine, seq)).subarray(RECORD_HEAD_BYTES)
  const { body } = parseAttestationPayload(crypto, payload)
  const { trust } = replica
  const keys = body.by
    ? trust.keysOf(toBinaryText(body.by))
    : trust.certificates.get(toBinaryText(body.certificate))?.keys
  return keys && { payload: toBase64(payload), keys: toBase64(keys) }
}

/** The commit of a record, if it names a record of this log, and its certificate stands at `from` or behind. */
export async function commitAt(source: StatementSource, seq: number, from: number): Promise<CommitPart | undefined> {
  const { replica } = source
  const head = await commitHeadAt(source, seq)
  const certificate = replica.trust.certificates.get(toBinaryText(head.writer))
  if (!certificate || !followsLog(replica, head)) return undefined
  const bytes = await certificateOf(source, head.writer, { from: seq, to: from })
  return bytes && commitPartOf(head, bytes, certificate.keys)
}

/** What a remembered statement claims: a node of the tree, and how the statement is shown with it. */
export interface Claim extends Peak {
  readonly statement: Statement
}

/** A statement as evidence shows it. `node` and `path` lead from the claimed node to the note's root. */
export type Statement =
  | { readonly kind: 'checkpoint'; readonly note: string; readonly node: string; readonly path: readonly string[] }
  | ({ readonly kind: 'attestation'; readonly links?: readonly string[] } & AttestationPart)
  | ({ readonly kind: 'commit'; readonly links?: readonly string[] } & CommitPart)
  | ({ readonly kind: 'acknowledgement'; readonly links?: readonly string[] } & AcknowledgementPart)

/**
 * All nodes that the statements claim, those that reach furthest first. Signatures were verified when they were remembered;
 * what cannot be read any more claims nothing.
 */
export function claimsOf(crypto: CryptoProvider, statements: Statements): readonly Claim[] {
  const claims: Claim[] = []
  for (const claim of [attestationClaim, commitClaim, acknowledgementClaim, checkpointClaims]) {
    try {
      claims.push(...claim(crypto, statements))
    } catch {
      // Our own state, from another version or damaged.
    }
  }
  return claims.sort((a, b) => b.from + b.count - (a.from + a.count))
}

function attestationClaim(crypto: CryptoProvider, { attestation }: Statements): readonly Claim[] {
  if (!attestation) return []
  const { body } = parseAttestationPayload(crypto, fromBase64(attestation.payload)!)
  return [{ ...leafOf(crypto, body), statement: { kind: 'attestation', ...attestation } }]
}

function commitClaim(crypto: CryptoProvider, { commit }: Statements): readonly Claim[] {
  if (!commit) return []
  return [{ ...leafOf(crypto, commitHeadOf(fromBase64(commit.head)!).base), statement: { kind: 'commit', ...commit } }]
}

function acknowledgementClaim(crypto: CryptoProvider, { acknowledgement }: Statements): readonly Claim[] {
  if (!acknowledgement) return []
  const body = parseAcknowledgement(fromBase64(acknowledgement.acknowledgement)!)
  return [{ ...leafOf(crypto, body), statement: { kind: 'acknowledgement', ...acknowledgement } }]
}

function checkpointClaims(crypto: CryptoProvider, { checkpoint }: Statements): readonly Claim[] {
  if (!checkpoint) return []
  const peaks = peaksOf(crypto, fromBase64(checkpoint.tree)!) ?? []
  return peaks.map((peak) => ({ ...peak, statement: checkpointStatement(checkpoint.note, peak.node, peak.path) }))
}

function leafOf(crypto: CryptoProvider, { seq, hash }: { readonly seq: number; readonly hash: Uint8Array }): Peak {
  return { from: seq, count: 1, node: leafHash(crypto, hash), path: [] }
}

export function checkpointStatement(note: string, node: Uint8Array, path: readonly Uint8Array[]): Statement {
  return { kind: 'checkpoint', note, node: toBase64(node), path: path.map(toBase64) }
}
