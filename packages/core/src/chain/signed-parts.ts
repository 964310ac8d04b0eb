/**
 * Signatures taken out of a log, as JSON that verifies alone: a commit with its writer's certificate, and an attestation. Used
 * by proofs and by evidence. Whose keys they are on the chain is not said here: an identity is the fingerprint of its keys.
 */
import { equalBytes, toBase64 } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import type { Fields } from '../codec/json-fields.ts'
import { COMPOSITE_SIGNATURE_BYTES, compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import {
  ACKNOWLEDGEMENT_BYTES,
  type AcknowledgementBody,
  DELEGATION_BYTES,
  parseDelegation,
  verifyAcknowledgement,
} from '../event/acknowledgement.ts'
import { type AttestationBody, parseAttestationPayload } from '../event/attestation.ts'
import { type CertificateBody, parseCertificate } from '../event/certificate.ts'
import { COMMIT, FORMAT, RECORD_HEAD_BYTES, SUITE } from '../event/format.ts'
import { hashCommitHead, hashCommitPayload } from '../event/record.ts'
import { fingerprintOfKeys, IDENTITY_KEYS_BYTES, signingKeyOf } from '../trust/identity-keys.ts'
import { type CommitHead, commitHeadOf } from './log-parts.ts'

const COMMIT_HEAD_BYTES: number = COMMIT.sig - RECORD_HEAD_BYTES
const CERTIFICATE_BYTES_MAX: number = 8192 + 8 + COMPOSITE_SIGNATURE_BYTES
const ATTESTATION_BYTES_MAX: number = 1024 + 8 + COMPOSITE_SIGNATURE_BYTES

/** All of it base64. */
export interface CommitPart {
  /** The 122 bytes of the commit head that are signed. */
  readonly head: string
  readonly signature: string
  /** Hash of the certificate that rides in the commit, or 32 zeros. */
  readonly rides: string
  /** The certificate of the writer, wherever it rode. */
  readonly certificate: string
  /** Public keys of the identity that signed it. */
  readonly keys: string
}

/** A commit whose signature and certificate verify. */
export interface SignedCommit {
  readonly commitHash: Uint8Array
  readonly payloadHash: Uint8Array
  /** Fingerprint. */
  readonly author: Uint8Array
  readonly authorKeys: Uint8Array
  readonly certificate: CertificateBody
  readonly writer: Uint8Array
  readonly writerSeq: number
  readonly base: { readonly seq: number; readonly hash: Uint8Array }
  readonly at: number
  readonly root: Uint8Array
}

export function commitPartOf(head: CommitHead, certificate: Uint8Array, keys: Uint8Array): CommitPart {
  return {
    head: toBase64(head.bytes),
    signature: toBase64(head.signature),
    rides: toBase64(head.rides),
    certificate: toBase64(certificate),
    keys: toBase64(keys),
  }
}

/** @throws AteError BAD_PROOF */
export function readCommitPart(crypto: CryptoProvider, chainId: Uint8Array, part: Fields): SignedCommit {
  const bytes = part.bytes('head', COMMIT_HEAD_BYTES)
  const signature = part.bytes('signature', 64)
  const rides = part.bytes('rides', 32)
  const certificateBytes = part.bytes('certificate', { min: 1, max: CERTIFICATE_BYTES_MAX })
  const keys = part.bytes('keys', IDENTITY_KEYS_BYTES)
  part.done()
  const { writer, writerSeq, base, at, root } = commitHeadOf(bytes)
  if (bytes[0] !== FORMAT || bytes[1] !== SUITE) throw badProof('format of the commit')
  if (![writerSeq, base.seq, at].every((count) => Number.isSafeInteger(count))) throw badProof('a number of the commit')
  const certificate = readCertificate(crypto, chainId, { bytes: certificateBytes, keys, id: writer })
  const commitHash = hashCommitHead(crypto, chainId, bytes, rides)
  if (!crypto.ed25519Verifier(certificate.session).verify(commitHash, signature))
    throw badProof('signature of the commit')
  return {
    commitHash,
    payloadHash: hashCommitPayload(crypto, commitHash, signature),
    author: certificate.identity,
    authorKeys: keys,
    certificate,
    writer,
    writerSeq,
    base,
    at,
    root,
  }
}

function readCertificate(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  given: { readonly bytes: Uint8Array; readonly keys: Uint8Array; readonly id: Uint8Array },
): CertificateBody {
  const { id, body, signature } = asProof('certificate', () => parseCertificate(crypto, given.bytes))
  if (!equalBytes(id, given.id) || !equalBytes(body.chain, chainId)) throw badProof('certificate of the writer')
  if (!equalBytes(fingerprintOfKeys(crypto, given.keys), body.identity)) throw badProof('keys of the author')
  if (!compositeVerifier(crypto, signingKeyOf(given.keys)).verify(id, signature, contextBytes('certificate')))
    throw badProof('signature of the certificate')
  return body
}

/** All of it base64. */
export interface AttestationPart {
  /** The payload of the attestation's record. */
  readonly payload: string
  /** Public keys of who signed it. */
  readonly keys: string
}

export interface SignedAttestation {
  readonly body: AttestationBody
  /** Fingerprint. */
  readonly signer: Uint8Array
}

/** @throws AteError BAD_PROOF */
export function readAttestationPart(crypto: CryptoProvider, chainId: Uint8Array, part: Fields): SignedAttestation {
  const payload = part.bytes('payload', { min: 1, max: ATTESTATION_BYTES_MAX })
  const keys = part.bytes('keys', IDENTITY_KEYS_BYTES)
  const { body, message, signature } = asProof('attestation', () => parseAttestationPayload(crypto, payload))
  const signer = fingerprintOfKeys(crypto, keys)
  if (!equalBytes(body.chain, chainId)) throw badProof('chain of the attestation')
  if (body.by && !equalBytes(body.by, signer)) throw badProof('keys of the attestation')
  if (!compositeVerifier(crypto, signingKeyOf(keys)).verify(message, signature, contextBytes('attestation')))
    throw badProof('signature of the attestation')
  return { body, signer }
}

/** What a server said of the newest record that it has stored. All of it base64. */
export interface AcknowledgementPart {
  readonly acknowledgement: string
  readonly delegation: string
  /** Public keys of the server. */
  readonly keys: string
}

export interface SignedAcknowledgement extends AcknowledgementBody {
  /** Fingerprint of the server. */
  readonly signer: Uint8Array
}

/** @throws AteError BAD_PROOF */
export function readAcknowledgementPart(
  crypto: CryptoProvider,
  chainId: Uint8Array,
  part: Fields,
): SignedAcknowledgement {
  const bytes = part.bytes('acknowledgement', ACKNOWLEDGEMENT_BYTES)
  const delegation = part.bytes('delegation', DELEGATION_BYTES)
  const keys = part.bytes('keys', IDENTITY_KEYS_BYTES)
  const body = asProof('acknowledgement', () =>
    verifyAcknowledgement(crypto, bytes, parseDelegation(crypto, delegation, keys)),
  )
  if (!equalBytes(body.chain, chainId)) throw badProof('chain of the acknowledgement')
  return { ...body, signer: fingerprintOfKeys(crypto, keys) }
}

export function badProof(what: string): AteError {
  return new AteError('BAD_PROOF', { what })
}

/** Parsers of records say what they find in their own words: here it is a proof that does not hold. */
export function asProof<T>(what: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!isAteError(cause) || cause.code === 'INTERNAL') throw cause
    throw new AteError('BAD_PROOF', { what, why: cause.code }, { cause })
  }
}
