/**
 * A writer certificate: an identity's hybrid signature over a fresh Ed25519 session key, for one chain, until a chain
 * time. Its id is the hash of its body, so nothing is identified by signature bytes.
 * certificate = body (sized canonical CBOR) | signature 3373
 */
import { AteError } from '../base/errors.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_SIGNATURE_BYTES } from '../crypto/composite.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'

export interface CertificateBody {
  readonly chain: Uint8Array
  /** Fingerprint of the identity. */
  readonly identity: Uint8Array
  /** The identity's public keys, if the chain may not have them. */
  readonly keys?: Uint8Array
  readonly session: Uint8Array
  readonly until: number
  /** The certificate that this one follows on the same device, and ends. */
  readonly after?: Uint8Array
}

export interface ParsedCertificate {
  readonly id: Uint8Array
  readonly body: CertificateBody
  readonly signature: Uint8Array
}

function certificateId(crypto: CryptoProvider, body: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'certificateId', body)
}

/** `sign` signs the id under the context 'certificate'. */
export function makeCertificate(
  crypto: CryptoProvider,
  body: CertificateBody,
  sign: (id: Uint8Array) => Uint8Array,
): { readonly id: Uint8Array; readonly bytes: Uint8Array } {
  const encoded = encodeCanonical(body)
  const id = certificateId(crypto, encoded)
  const out = new ByteWriter(8192)
  out.sized(encoded)
  out.raw(sign(id))
  return { id, bytes: out.copy() }
}

/** @throws AteError BAD_CERTIFICATE */
export function parseCertificate(crypto: CryptoProvider, bytes: Uint8Array): ParsedCertificate {
  try {
    const input = new ByteReader(bytes)
    const encoded = input.sized(8192)
    const signature = input.raw(COMPOSITE_SIGNATURE_BYTES)
    input.done()
    const body = decodeCanonical(encoded) as CertificateBody
    if (!isBody(body)) throw new AteError('BAD_CERTIFICATE', { what: 'body' })
    return { id: certificateId(crypto, encoded), body, signature }
  } catch (cause) {
    if (cause instanceof AteError && cause.code === 'BAD_CERTIFICATE') throw cause
    throw new AteError('BAD_CERTIFICATE', {}, { cause })
  }
}

function isBody(body: unknown): body is CertificateBody {
  if (typeof body !== 'object' || body === null) return false
  const given = body as CertificateBody
  const isHash = (value: unknown, size = 32): boolean => value instanceof Uint8Array && value.length === size
  const known = ['chain', 'identity', 'keys', 'session', 'until', 'after']
  return (
    Object.keys(body).every((name) => known.includes(name)) &&
    isHash(given.chain) &&
    isHash(given.identity) &&
    isHash(given.session) &&
    Number.isSafeInteger(given.until) &&
    (given.keys === undefined || isHash(given.keys, 3200)) &&
    (given.after === undefined || isHash(given.after))
  )
}
