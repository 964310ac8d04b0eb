/**
 * Verifies proofs without a chain, a place or this machine's state. What a proof shows: that the record of this hash stands
 * at its number in the log whose checkpoint comes along; of a commit, that the author's session key has signed it, and if an
 * attestation comes along, that his post-quantum key has; what a transaction asked for, and what one of its events wrote. It
 * does not show that the rules let a transaction through (who has the log folds it), nor that no newer value exists.
 */
import { platform as ownPlatform } from '#platform'
import { concatBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type ChainId, type EntityId, type Fingerprint, fingerprintOf, toBase32 } from '../base/ids.ts'
import { RECORD_BYTES_MAX } from '../base/limits.ts'
import { asProof, badProof, readAttestationPart, readCommitPart, type SignedCommit } from '../chain/signed-parts.ts'
import { Fields, jsonOf } from '../codec/json-fields.ts'
import { leafHash, treeRoot, verifyConsistency, verifyInclusion } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseRuns } from '../event/commit-spans.ts'
import { nameCreated } from '../event/derive-ids.ts'
import { textOfWords } from '../event/entity-words.ts'
import { KIND, OP, RECORD_HEAD_BYTES } from '../event/format.ts'
import type { RareFields } from '../event/rare-fields.ts'
import { hashRecordHead, parseRecordHead } from '../event/record.ts'
import type { TransactionEvent } from '../event/transaction-event.ts'
import type { Platform } from '../session/platform.ts'
import type { OpName } from './events.ts'
import {
  CONSISTENCY_FORMAT,
  type ConsistencyProof,
  type Origin,
  PROOF_FORMAT,
  type Proof,
  type ProofTrust,
  type ProvenCheckpoint,
  readCheckpoint,
  readOrigin,
  sameBytes,
} from './proof-format.ts'
import type { RecordKind } from './records.ts'

export interface ProvenRecord {
  readonly kind: 'record'
  readonly chain: ChainId
  readonly checkpoint: ProvenCheckpoint
  readonly record: {
    readonly seq: number
    readonly hash: Uint8Array
    readonly kind: RecordKind
    /** Unix ms; what the storing process says. */
    readonly admittedAt: number
  }
  /** Of a commit whose author is shown. */
  readonly commit?: ProvenCommit
  readonly transaction?: {
    readonly txId: string
    readonly guards: number
    /** False if only one run of events is there. */
    readonly whole: boolean
    readonly events: readonly ProvenEvent[]
  }
  /** The event that the proof is about. */
  readonly event?: ProvenEvent
}

export interface ProvenCommit {
  readonly author: Fingerprint
  /** The author's certificate. */
  readonly writer: string
  readonly writerSeq: number
  /** Unix ms, signed by the author. */
  readonly at: number
  /** Chain time up to which the certificate counts. */
  readonly until: number
  /** The record that the author relied on. */
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  /** `author`: his hybrid key has signed it too. `adopted`: that of another identity, in his place. `none`: Ed25519 alone. */
  readonly postQuantum: 'author' | 'adopted' | 'none'
  readonly adoptedBy?: Fingerprint
}

export interface ProvenEvent {
  readonly op: OpName
  /** Undefined for what was created without a name in a run that came alone. */
  readonly entity: EntityId | undefined
  /** Empty where the event does not say it. */
  readonly type: string
  readonly collection: string
  /** The version that it asks to make; 0 asks for none. */
  readonly version: number
  /** Of the sealed value: its bytes, and SHA-256 of its ciphertext. */
  readonly value?: { readonly bytes: number; readonly hash: Uint8Array; readonly ciphertext?: Uint8Array }
  /** What it asks for of retention, in clear. */
  readonly retention?: {
    /** Unix ms. */
    readonly until?: number
    readonly lock?: 'governance' | 'compliance'
    readonly digest?: Uint8Array
    readonly bypass?: 'governance'
  }
}

export interface ProvenConsistency {
  readonly kind: 'consistency'
  readonly chain: ChainId
  readonly from: ProvenCheckpoint
  readonly to: ProvenCheckpoint
}

export interface VerifyProofOptions extends ProofTrust {
  /** The sealed value, if it did not come with the proof. */
  readonly ciphertext?: Uint8Array
}

/**
 * What a proof proves, as an object or as text, made by `chain.prove` or `chain.proveConsistency`.
 * @throws AteError BAD_PROOF | BAD_COSIGNATURE | NOT_WITNESSED | BAD_ARGUMENT | BAD_ID
 */
export function verifyProof(
  proof: Proof | ConsistencyProof | string,
  options: VerifyProofOptions,
  platform: Pick<Platform, 'crypto'> = ownPlatform,
): ProvenRecord | ProvenConsistency {
  const { crypto } = platform
  const fields = new Fields(jsonOf(proof), 'proof')
  const format = fields.text('format', 40)
  if (format !== PROOF_FORMAT && format !== CONSISTENCY_FORMAT)
    throw new AteError('BAD_PROOF', { field: 'format', given: format })
  const origin = readOrigin(crypto, fields, options)
  return format === PROOF_FORMAT
    ? verifyRecord(crypto, fields, origin, options)
    : verifyGrowth(crypto, fields, origin, options)
}

function verifyGrowth(crypto: CryptoProvider, fields: Fields, origin: Origin, trust: ProofTrust): ProvenConsistency {
  // Of two checkpoints the newer one must be witnessed: it says all that the older one does.
  const { witnesses: _, ...rest } = trust
  const from = readCheckpoint(crypto, fields.text('from', 1 << 15), origin, rest)
  const to = readCheckpoint(crypto, fields.text('to', 1 << 15), origin, trust)
  const path = fields.hashes('path')
  fields.done()
  if (!verifyConsistency(crypto, { from, to, path })) throw badProof('path between the checkpoints')
  return { kind: 'consistency', chain: origin.chain, from, to }
}

const KIND_NAMES = new Map<number, RecordKind>(Object.entries(KIND).map(([name, kind]) => [kind, name as RecordKind]))
const OP_NAMES = new Map<number, OpName>(Object.entries(OP).map(([name, op]) => [op, name as OpName]))

function verifyRecord(
  crypto: CryptoProvider,
  fields: Fields,
  origin: Origin,
  options: VerifyProofOptions,
): ProvenRecord {
  const checkpoint = readCheckpoint(crypto, fields.text('checkpoint', 1 << 15), origin, options)
  const given = fields.object('record')
  const bytes = given.bytes('head', RECORD_HEAD_BYTES)
  const head = asProof('head of the record', () => parseRecordHead(bytes))
  const signed = fields.has('commit') ? readCommitPart(crypto, origin.chainId, fields.object('commit')) : undefined
  if (signed && head.kind !== KIND.commit) throw badProof('a commit of a record of another kind')
  const payload = signed ? signed.payloadHash : given.bytes('payload', 32)
  const hash = hashRecordHead(crypto, origin.chainId, bytes, payload)
  const { size, root } = checkpoint
  const claim = { leafHash: leafHash(crypto, hash), index: head.seq, size, root, path: given.hashes('path') }
  given.done()
  if (!verifyInclusion(crypto, claim)) throw badProof('path of the record')
  const { seq, admittedAt } = head
  const proven: ProvenRecord = {
    kind: 'record',
    chain: origin.chain,
    checkpoint,
    record: { seq, hash, kind: KIND_NAMES.get(head.kind)!, admittedAt },
    ...(signed ? { commit: verifyAuthor(crypto, fields, origin, signed) } : {}),
    ...(signed && fields.has('transaction') ? verifyTransaction(crypto, fields, origin, { signed, options }) : {}),
  }
  fields.done()
  return proven
}

function verifyAuthor(crypto: CryptoProvider, fields: Fields, origin: Origin, signed: SignedCommit): ProvenCommit {
  const { author, writer, writerSeq, at, base, certificate } = signed
  const facts = {
    author: fingerprintOf(author),
    writer: toBase32(writer),
    writerSeq,
    at,
    until: certificate.until,
    base: { seq: base.seq, hash: base.hash.slice() },
  }
  if (!fields.has('attestation')) return { ...facts, postQuantum: 'none' }
  const part = fields.object('attestation')
  const { body, signer } = readAttestationPart(crypto, origin.chainId, part)
  const path = part.hashes('path')
  part.done()
  sameBytes(body.certificate, writer, 'certificate of the attestation')
  const size = body.to - body.from + 1
  const claim = {
    leafHash: leafHash(crypto, signed.commitHash),
    index: writerSeq - body.from,
    size,
    root: body.root,
    path,
  }
  if (!verifyInclusion(crypto, claim)) throw badProof('path of the attestation')
  if (body.by) return { ...facts, postQuantum: 'adopted', adoptedBy: fingerprintOf(signer) }
  sameBytes(signer, author, 'signer of the attestation')
  return { ...facts, postQuantum: 'author' }
}

function verifyTransaction(
  crypto: CryptoProvider,
  fields: Fields,
  origin: Origin,
  { signed, options }: { readonly signed: SignedCommit; readonly options: VerifyProofOptions },
): Pick<ProvenRecord, 'transaction' | 'event'> {
  const part = fields.object('transaction')
  const parts = { min: 0, max: RECORD_BYTES_MAX }
  const head = part.bytes('head', parts)
  const size = part.count('size')
  const runs = part.bytesList('runs', parts, 4096)
  const events = rootOfRuns(crypto, part, runs)
  const leaf = leafHash(crypto, concatBytes(Uint8Array.of(2), head, events.root))
  const inTree = { size, root: signed.root }
  if (!verifyInclusion(crypto, { ...inTree, leafHash: leaf, index: part.count('index'), path: part.hashes('path') }))
    throw badProof('path of the transaction')
  const dictionary = part.bytes('dictionary', parts)
  const first = leafHash(crypto, concatBytes(Uint8Array.of(0), dictionary))
  if (!verifyInclusion(crypto, { ...inTree, leafHash: first, index: 0, path: part.hashes('dictionaryPath') }))
    throw badProof('path of the dictionary')
  part.done()
  const parsed = asProof('events', () => parseRuns(dictionary, head, runs))
  nameCreated(crypto, origin.chainId, signed.author, parsed)
  const shown = parsed.events.map((event) => provenEvent(event, events.whole))
  const transaction = { txId: toBase32(parsed.nonce), guards: parsed.guards.length, whole: events.whole, events: shown }
  if (!fields.has('event')) return { transaction }
  return { transaction, event: verifyEvent(crypto, fields.object('event'), shown, options.ciphertext) }
}

/** The root over all runs if they are all there, or the one that the path of a single run leads to. */
function rootOfRuns(
  crypto: CryptoProvider,
  part: Fields,
  runs: readonly Uint8Array[],
): { readonly root: Uint8Array; readonly whole: boolean } {
  const leaves = runs.map((run) => concatBytes(Uint8Array.of(3), run))
  const index = part.count('runIndex')
  const size = part.count('runCount')
  if (!part.has('runPath')) {
    if (index !== 0 || size !== runs.length) throw badProof('count of the runs')
    return { root: treeRoot(crypto, leaves), whole: true }
  }
  const path = part.hashes('runPath')
  const root = part.bytes('runRoot', 32)
  if (
    runs.length !== 1 ||
    !verifyInclusion(crypto, { leafHash: leafHash(crypto, leaves[0]!), index, size, root, path })
  )
    throw badProof('path of the events')
  return { root, whole: false }
}

function provenEvent(event: TransactionEvent, whole: boolean): ProvenEvent {
  const { op, type, collection, version, key } = event
  // The id of what was created without a name counts the creations before it, which a run that came alone does not show.
  const entity = op === OP.create && !key && !whole ? undefined : textOfWords(event)
  const hash = event.body ? event.hashBytes!.slice(event.hashAt, event.hashAt + 32) : undefined
  return {
    op: OP_NAMES.get(op)!,
    entity,
    type,
    collection,
    version,
    ...(hash ? { value: { bytes: event.size, hash } } : {}),
    ...(event.rare ? { retention: retentionOf(event.rare) } : {}),
  }
}

function retentionOf({ retain, lock, digest, bypass }: RareFields): NonNullable<ProvenEvent['retention']> {
  return {
    ...(retain === undefined ? {} : { until: retain }),
    ...(lock === undefined ? {} : { lock }),
    ...(digest === undefined ? {} : { digest }),
    ...(bypass === undefined ? {} : { bypass }),
  }
}

function verifyEvent(
  crypto: CryptoProvider,
  part: Fields,
  events: readonly ProvenEvent[],
  given: Uint8Array | undefined,
): ProvenEvent {
  const event = events[part.count('index')]
  const own = part.has('ciphertext') ? part.bytes('ciphertext', { min: 0, max: RECORD_BYTES_MAX }) : undefined
  part.done()
  if (!event) throw badProof('event')
  for (const ciphertext of [own, given]) {
    if (!ciphertext) continue
    if (!event.value) throw badProof('a value of an event that writes none')
    sameBytes(crypto.sha256(ciphertext), event.value.hash, 'the sealed value')
  }
  const ciphertext = own ?? given
  return ciphertext && event.value ? { ...event, value: { ...event.value, ciphertext } } : event
}
