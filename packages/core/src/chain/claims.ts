/**
 * What remembered statements (statements.ts) claim: nodes of the Merkle tree over the log. Two claims of one node with different
 * hashes cannot both be true. Loaded with the first alarm.
 */
import { fromBase64, toBase64 } from '../base/bytes.ts'
import { leafHash, type Peak, peaksOf } from '../crypto/merkle.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { parseAcknowledgement } from '../event/acknowledgement.ts'
import { parseAttestationPayload } from '../event/attestation.ts'
import { commitHeadOf } from './log-parts.ts'
import type { AcknowledgementPart, AttestationPart, CommitPart } from './signed-parts.ts'
import type { Statements } from './statements.ts'

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
