/**
 * Proofs as JSON that stands alone: docs/FORMAT.md, section 16. Bytes are base64, ids are base32, notes are text. Nothing of a
 * proof is trusted: what must be known beforehand is the chain's id, whose hash covers the genesis that comes along.
 */
import { equalBytes, toBase64, utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { type AttestationPart, asProof, badProof, type CommitPart } from '../chain/signed-parts.ts'
import type { Fields } from '../codec/json-fields.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { checkpointOrigin, checkpointSigner } from '../event/checkpoint.ts'
import { type Cosigned, parseWitnesses, requireQuorum, type Witnesses } from '../event/cosignature.ts'
import { type GenesisParameters, PARAMETERS_BYTES_MAX, parseParameters } from '../event/genesis.ts'
import { type Note, parseNote } from '../event/note.ts'

export const PROOF_FORMAT = 'ate-proof/1'
export const CONSISTENCY_FORMAT = 'ate-consistency/1'

export interface Proof {
  readonly format: typeof PROOF_FORMAT
  readonly chain: string
  /** The parameters of the genesis, whose hash is the chain id. */
  readonly genesis: string
  /** A signed note over the tree of all records before it. */
  readonly checkpoint: string
  readonly record: {
    /** The 81 bytes of the record's head. */
    readonly head: string
    /** Hash of the payload, where the proof says nothing of what it holds. */
    readonly payload?: string
    readonly path: readonly string[]
  }
  readonly commit?: CommitPart
  readonly attestation?: AttestationPart & { readonly path: readonly string[] }
  readonly transaction?: TransactionPart
  readonly event?: EventPart
}

/** A transaction's place in the tree that its author has signed. */
export interface TransactionPart {
  /** From the nonce to the last guard. */
  readonly head: string
  readonly index: number
  /** Leaves of the commit's tree. */
  readonly size: number
  readonly path: readonly string[]
  /** Ids and names that the events point into: leaf 0. */
  readonly dictionary: string
  readonly dictionaryPath: readonly string[]
  /** All runs of 16 events each, or one of them with its path. */
  readonly runs: readonly string[]
  readonly runIndex: number
  readonly runCount: number
  /** Of a run that comes alone: the root over all of them, and its path to it. */
  readonly runRoot?: string
  readonly runPath?: readonly string[]
}

export interface EventPart {
  /** Counted from the first event of the runs that are there. */
  readonly index: number
  /** The sealed value. */
  readonly ciphertext?: string
}

/** That the tree of one checkpoint is a beginning of the tree of another. */
export interface ConsistencyProof {
  readonly format: typeof CONSISTENCY_FORMAT
  readonly chain: string
  readonly genesis: string
  readonly from: string
  readonly to: string
  readonly path: readonly string[]
}

/** What a verifier knows and trusts beforehand. */
export interface ProofTrust {
  /** The chain that is meant. */
  readonly chain: ChainId | string
  /** Ed25519 keys that sign its checkpoints, 32 bytes each. Those of the genesis if left out; the root may have named others since. */
  readonly checkpointKeys?: readonly Uint8Array[]
  /** Who must have cosigned the checkpoint. */
  readonly witnesses?: Witnesses
}

/** A checkpoint that verified. */
export interface ProvenCheckpoint {
  /** Records that it covers: 0 to size - 1. */
  readonly size: number
  readonly root: Uint8Array
  /** The key that signed it. */
  readonly key: Uint8Array
  /** Witnesses of those given that cosigned it, and when. */
  readonly witnesses: readonly Cosigned[]
}

/** The one text of a proof or an evidence: JSON in the order of its fields, and a line end. */
export function proofText(proof: object): string {
  return `${JSON.stringify(proof, undefined, 1)}\n`
}

export interface Origin {
  readonly chainId: Uint8Array
  readonly chain: ChainId
  readonly parameters: GenesisParameters
  readonly checkpointKeys: readonly Uint8Array[]
}

/** Reads `chain` and `genesis`. @throws AteError BAD_PROOF | BAD_ID | BAD_ARGUMENT */
export function readOrigin(crypto: CryptoProvider, fields: Fields, trust: ProofTrust): Origin {
  if (typeof trust !== 'object' || trust === null)
    throw new AteError('BAD_ARGUMENT', { what: 'the chain that is meant' })
  const chainId = parseId(trust.chain, 'chain')
  if (fields.text('chain', 60) !== chainIdOf(chainId)) throw badProof('it is of another chain')
  const genesis = fields.bytes('genesis', { min: 1, max: PARAMETERS_BYTES_MAX })
  const parameters = asProof('genesis', () => parseParameters(crypto, genesis, chainId))
  const given = trust.checkpointKeys
  if (
    given !== undefined &&
    !(Array.isArray(given) && given.every((key) => key instanceof Uint8Array && key.length === 32))
  )
    throw new AteError('BAD_ARGUMENT', { what: 'checkpointKeys are 32 bytes each' })
  return { chainId, chain: chainIdOf(chainId), parameters, checkpointKeys: given ?? parameters.checkpointKeys }
}

/** The note of a field: of this chain, signed by one of its checkpoint keys. @throws AteError BAD_PROOF */
export function readNote(
  crypto: CryptoProvider,
  text: string,
  origin: Origin,
): { readonly note: Note; readonly key: Uint8Array } {
  const note = asProof('checkpoint', () => parseNote(utf8(text)))
  if (note.checkpoint.origin !== checkpointOrigin(origin.chain)) throw badProof('origin of the checkpoint')
  const key = checkpointSigner(crypto, note, origin.checkpointKeys)
  if (key) return { note, key }
  const hint =
    'no checkpoint key that is known has signed it; if the root has named other keys since the genesis, pass checkpointKeys'
  throw new AteError('BAD_PROOF', { what: 'signature of the checkpoint' }, { hint })
}

/** @throws AteError BAD_PROOF | BAD_COSIGNATURE | NOT_WITNESSED | BAD_ARGUMENT */
export function readCheckpoint(
  crypto: CryptoProvider,
  text: string,
  origin: Origin,
  trust: ProofTrust,
): ProvenCheckpoint {
  const { note, key } = readNote(crypto, text, origin)
  const witnesses = trust.witnesses ? requireQuorum(crypto, note, parseWitnesses(crypto, trust.witnesses)) : []
  return { size: note.checkpoint.size, root: note.checkpoint.root, key, witnesses }
}

export function base64All(hashes: readonly Uint8Array[]): string[] {
  return hashes.map(toBase64)
}

export function sameBytes(a: Uint8Array, b: Uint8Array, what: string): void {
  if (!equalBytes(a, b)) throw badProof(what)
}
