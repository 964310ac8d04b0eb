/**
 * Evidence that a log came back older or different, for others: docs/FORMAT.md, section 17. A fork is proven by two statements,
 * both signed by keys of the chain, that claim one node of the log's tree with different hashes: whoever signed was shown two
 * histories, or lied. That a log was shown older than it was is what this machine says; the signed statement only shows that
 * the records were there.
 */
import { platform as ownPlatform } from '#platform'
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type ChainId, type Fingerprint, fingerprintOf } from '../base/ids.ts'
import { EVIDENCE_LINKS_MAX } from '../base/limits.ts'
import type { Statement } from '../chain/claims.ts'
import {
  asProof,
  badProof,
  readAcknowledgementPart,
  readAttestationPart,
  readCommitPart,
  type SignedAcknowledgement,
} from '../chain/signed-parts.ts'
import { Fields, jsonOf } from '../codec/json-fields.ts'
import { leafHash, verifySubtree } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { RECORD_HEAD_BYTES } from '../event/format.ts'
import { hashRecordHead, parseRecordHead } from '../event/record.ts'
import type { Platform } from '../session/platform.ts'
import { fingerprintOfKeys } from '../trust/identity-keys.ts'
import { type Origin, type ProofTrust, readNote, readOrigin } from './proof-format.ts'

export const EVIDENCE_FORMAT = 'ate-evidence/1'

/** Bytes are base64. */
export interface Evidence {
  readonly format: typeof EVIDENCE_FORMAT
  readonly kind: 'rollback' | 'fork'
  readonly chain: string
  readonly genesis: string
  /** The newest record that this machine had verified, and the newest of the log that it was shown. */
  readonly remembered: { readonly seq: number; readonly hash: string }
  readonly shown: { readonly seq: number; readonly hash: string }
  /** The node of the tree that both statements claim: `count` records from `from` on. */
  readonly from?: number
  readonly count?: number
  /** Of what this machine remembers. */
  readonly known?: Statement
  /** Of the log that it was shown. */
  readonly against?: Statement
}

/** A statement that verified: who signed it. */
export interface StatementSigner {
  readonly kind: Statement['kind']
  /** The key of a checkpoint. */
  readonly key?: Uint8Array
  /** Who signed an attestation, certified the writer of a commit, or has a server acknowledge for him. */
  readonly identity?: Fingerprint
}

export interface VerifiedEvidence {
  readonly kind: 'rollback' | 'fork'
  readonly chain: ChainId
  /**
   * `proof`: two statements contradict each other, and both are of keys of this chain. `claim`: what is missing is the word of
   * whoever shows the evidence, or the knowledge that `strangers` belong to the chain.
   */
  readonly verdict: 'proof' | 'claim'
  /** As the machine that made it says. */
  readonly remembered: { readonly seq: number; readonly hash: Uint8Array }
  readonly shown: { readonly seq: number; readonly hash: Uint8Array }
  /** The records that the statements are about, as far as there are some. */
  readonly records?: { readonly first: number; readonly last: number }
  readonly known?: StatementSigner
  readonly against?: StatementSigner
  /** Signers whom neither the genesis nor the caller names. */
  readonly strangers: readonly Fingerprint[]
}

export interface VerifyEvidenceOptions extends Omit<ProofTrust, 'witnesses'> {
  /** Identities that are known to belong to the chain, beside its first roots. */
  readonly signers?: readonly (Fingerprint | string)[]
}

/**
 * What a saved evidence shows, without a chain.
 * @throws AteError BAD_PROOF | BAD_ARGUMENT | BAD_ID
 */
export function verifyEvidence(
  evidence: Evidence | object | string,
  options: VerifyEvidenceOptions,
  { crypto }: Pick<Platform, 'crypto'> = ownPlatform,
): VerifiedEvidence {
  const fields = new Fields(jsonOf(evidence), 'evidence')
  if (fields.text('format', 40) !== EVIDENCE_FORMAT) throw new AteError('BAD_PROOF', { field: 'format' })
  const kind = fields.text('kind', 10)
  if (kind !== 'rollback' && kind !== 'fork') throw new AteError('BAD_PROOF', { field: 'kind' })
  const origin = readOrigin(crypto, fields, options)
  const heads = { remembered: readHead(fields.object('remembered')), shown: readHead(fields.object('shown')) }
  const both = fields.has('known') ? verifyStatements(crypto, fields, origin, kind) : undefined
  fields.done()
  if (kind === 'rollback' && heads.shown.seq >= heads.remembered.seq)
    throw badProof('the log that was shown is not shorter')
  const signers = both ? [both.known, ...(both.against ? [both.against] : [])] : []
  const strangers = strangersOf(crypto, signers, origin, options)
  const verdict = both?.against && strangers.length === 0 ? 'proof' : 'claim'
  return { kind, chain: origin.chain, verdict, ...heads, ...both, strangers }
}

function readHead(fields: Fields): { readonly seq: number; readonly hash: Uint8Array } {
  const head = { seq: fields.count('seq'), hash: fields.bytes('hash', 32) }
  fields.done()
  return head
}

function verifyStatements(
  crypto: CryptoProvider,
  fields: Fields,
  origin: Origin,
  kind: 'rollback' | 'fork',
): Pick<VerifiedEvidence, 'records' | 'against'> & { readonly known: StatementSigner } {
  const from = fields.count('from')
  const count = fields.count('count')
  if (count < 1 || !Number.isSafeInteger(from + count)) throw badProof('records')
  const records = { first: from, last: from + count - 1 }
  const known = readStatement(crypto, fields.object('known'), origin, { from, count })
  if (!fields.has('against')) return { records, known: known.signer }
  if (kind === 'rollback') {
    const against = readShorter(crypto, fields, origin, known)
    return { records, known: known.signer, ...(against ? { against } : {}) }
  }
  const against = readStatement(crypto, fields.object('against'), origin, { from, count })
  if (equalBytes(known.node, against.node)) throw badProof('the statements do not contradict each other')
  return { records, known: known.signer, against: against.signer }
}

/**
 * A server that signs a record as its newest, and later an earlier one, has gone back. Undefined where its times do not say
 * which it signed later: it may well sign several in one ms, or in an hour by which its clock was set back.
 */
function readShorter(
  crypto: CryptoProvider,
  fields: Fields,
  origin: Origin,
  known: { readonly signer: StatementSigner; readonly said: SignedAcknowledgement | undefined },
): StatementSigner | undefined {
  const part = fields.object('against')
  if (part.text('kind', 20) !== 'acknowledgement' || !known.said) throw badProof('a rollback has one statement')
  const shorter = readAcknowledgementPart(crypto, origin.chainId, part)
  part.done()
  const { said } = known
  if (!equalBytes(shorter.signer, said.signer) || shorter.seq >= said.seq)
    throw badProof('the statements do not contradict each other')
  if (shorter.at <= said.at) return undefined
  return { kind: 'acknowledgement', identity: fingerprintOf(shorter.signer) }
}

interface Spot {
  readonly from: number
  readonly count: number
}

/** The node that a statement claims at a spot. @throws AteError BAD_PROOF if it does not verify, or claims none there */
function readStatement(crypto: CryptoProvider, fields: Fields, origin: Origin, spot: Spot): Stated {
  const kind = fields.text('kind', 20)
  if (kind === 'checkpoint') return readCheckpointClaim(crypto, fields, origin, spot)
  if (kind !== 'attestation' && kind !== 'commit' && kind !== 'acknowledgement') throw badProof('kind of a statement')
  if (spot.count !== 1) throw badProof('a signed name of one record')
  const links = fields.has('links') ? fields.bytesList('links', LINK_BYTES, EVIDENCE_LINKS_MAX) : []
  const named = READERS[kind](crypto, fields, origin)
  const hash = followLinks(crypto, origin.chainId, named, links)
  if (named.seq - links.length !== spot.from) throw badProof('the record that a statement names')
  return { node: leafHash(crypto, hash), signer: { kind, identity: fingerprintOf(named.identity) }, said: named.said }
}

function readCheckpointClaim(crypto: CryptoProvider, fields: Fields, origin: Origin, spot: Spot): Stated {
  const { note, key } = readNote(crypto, fields.text('note', 1 << 15), origin)
  const node = fields.bytes('node', 32)
  const path = fields.hashes('path')
  fields.done()
  const { size, root } = note.checkpoint
  if (!verifySubtree(crypto, { ...spot, node, size, root, path })) throw badProof('path to a checkpoint')
  return { node, signer: { kind: 'checkpoint', key }, said: undefined }
}

/** The node that a statement claims, and whose word it is. */
interface Stated {
  readonly node: Uint8Array
  readonly signer: StatementSigner
  /** Of an acknowledgement: all that it says. */
  readonly said: SignedAcknowledgement | undefined
}

interface Named {
  readonly seq: number
  readonly hash: Uint8Array
  readonly identity: Uint8Array
  readonly said?: SignedAcknowledgement
}

const READERS = { attestation: readAttestation, commit: readCommit, acknowledgement: readAcknowledgement } as const

function readAcknowledgement(crypto: CryptoProvider, fields: Fields, origin: Origin): Named {
  const said = readAcknowledgementPart(crypto, origin.chainId, fields)
  fields.done()
  return { seq: said.seq, hash: said.hash, identity: said.signer, said }
}

function readAttestation(crypto: CryptoProvider, fields: Fields, origin: Origin): Named {
  const { body, signer } = readAttestationPart(crypto, origin.chainId, fields)
  fields.done()
  return { seq: body.seq, hash: body.hash, identity: signer }
}

function readCommit(crypto: CryptoProvider, fields: Fields, origin: Origin): Named {
  const { base, author } = readCommitPart(crypto, origin.chainId, fields)
  return { ...base, identity: author }
}

/** Head of a record and the hash of its payload: all that its own hash needs. */
const LINK_BYTES: number = RECORD_HEAD_BYTES + 32

/** From the record that was named back to an earlier one, each by the hash that the next one holds. */
function followLinks(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  named: Named,
  links: readonly Uint8Array[],
): Uint8Array {
  let { hash, seq } = named
  for (const link of links) {
    const head = link.subarray(0, RECORD_HEAD_BYTES)
    if (!equalBytes(hashRecordHead(crypto, chainId, head, link.subarray(RECORD_HEAD_BYTES)), hash))
      throw badProof('link')
    const { seq: own, prev } = asProof('link', () => parseRecordHead(head))
    if (own !== seq) throw badProof('number of a link')
    hash = prev
    seq--
  }
  return hash
}

/** Anybody can sign anything about a chain: whose word counts must be known. Checkpoints are of keys that are known already. */
function strangersOf(
  crypto: CryptoProvider,
  signers: readonly StatementSigner[],
  { parameters }: Origin,
  { signers: given = [] }: VerifyEvidenceOptions,
): readonly Fingerprint[] {
  const members = new Set<string>([
    ...given,
    ...parameters.roots.map((keys) => fingerprintOf(fingerprintOfKeys(crypto, keys))),
    ...(parameters.sequencers === 'writers' ? [] : parameters.sequencers.map(fingerprintOf)),
  ])
  const identities = new Set(signers.flatMap(({ identity }) => (identity === undefined ? [] : [identity])))
  return [...identities].filter((identity) => !members.has(identity))
}
