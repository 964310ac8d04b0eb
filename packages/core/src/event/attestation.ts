/**
 * An attestation: an identity's hybrid signature over a range of commits that its certificate signed. It makes
 * authorship post-quantum for a few bytes an event.
 * payload = body (sized canonical CBOR) | signature 3373
 */
import { AteError } from '../base/errors.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../crypto/composite.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import { RECORD_HEAD_BYTES } from './format.ts'

export interface AttestationBody {
  readonly chain: Uint8Array
  readonly certificate: Uint8Array
  /** First and last writer number of the range. */
  readonly from: number
  readonly to: number
  /** RFC 9162 root over the commit hashes of the range. */
  readonly root: Uint8Array
  /** The newest record that the attester had seen. */
  readonly seq: number
  readonly hash: Uint8Array
  /** A manager of the root who vouches in the place of a writer that is gone. */
  readonly by?: Uint8Array
}

export interface ParsedAttestation {
  readonly body: AttestationBody
  readonly message: Uint8Array
  readonly signature: Uint8Array
}

function attestationMessage(crypto: CryptoProvider, body: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'attestation', body)
}

/** `sign` signs the message under the context 'attestation'. */
export function encodeAttestation(
  crypto: CryptoProvider,
  body: AttestationBody,
  sign: (message: Uint8Array) => Uint8Array,
): Uint8Array {
  const encoded = encodeCanonical(body)
  const out = new ByteWriter(4096)
  out.sized(encoded)
  out.raw(sign(attestationMessage(crypto, encoded)))
  return out.copy()
}

/** @throws AteError BAD_ATTESTATION */
export function parseAttestation(crypto: CryptoProvider, record: Uint8Array): ParsedAttestation {
  return parseAttestationPayload(crypto, record.subarray(RECORD_HEAD_BYTES))
}

/** @throws AteError BAD_ATTESTATION */
export function parseAttestationPayload(crypto: CryptoProvider, payload: Uint8Array): ParsedAttestation {
  try {
    const input = new ByteReader(payload)
    const encoded = input.sized(1024)
    const signature = input.raw(COMPOSITE_SIGNATURE_BYTES)
    input.done()
    const body = decodeCanonical(encoded) as AttestationBody
    if (!isBody(body)) throw new AteError('BAD_ATTESTATION', { what: 'body' })
    return { body, message: attestationMessage(crypto, encoded), signature }
  } catch (cause) {
    if (cause instanceof AteError && cause.code === 'BAD_ATTESTATION') throw cause
    throw new AteError('BAD_ATTESTATION', {}, { cause })
  }
}

function isBody(body: unknown): body is AttestationBody {
  if (typeof body !== 'object' || body === null) return false
  const given = body as AttestationBody
  if (Object.keys(body).length !== (given.by === undefined ? 7 : 8)) return false
  const hashes = [given.chain, given.certificate, given.root, given.hash, ...(given.by === undefined ? [] : [given.by])]
  const counts = [given.from, given.to, given.seq]
  return (
    hashes.every((hash) => hash instanceof Uint8Array && hash.length === 32) &&
    counts.every((count) => Number.isSafeInteger(count) && count >= 0) &&
    given.from <= given.to
  )
}
