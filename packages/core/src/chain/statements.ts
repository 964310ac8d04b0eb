/**
 * What was signed about the records of a chain, and says which they are: a checkpoint over them, an attestation that names the
 * newest record its signer had seen, a commit that names its base. This machine keeps the newest of each beside the head that
 * it remembers, so that a log that comes back older or different is contradicted by keys of the chain itself (claims.ts).
 */
import { equalBytes, fromUtf8, toBase64, toBinaryText } from '../base/bytes.ts'
import { isAteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseAttestationPayload } from '../event/attestation.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { LogEngine } from '../log/engine.ts'
import { rememberedHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import { type CommitHead, carriesOwn, commitHeadAt, kindAt, recordAt } from './log-parts.ts'
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
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {}
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

/** That the record which a commit was based on stands in this log. */
export function followsLog({ hashes }: Replica, { base }: CommitHead): boolean {
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
