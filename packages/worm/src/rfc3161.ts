/**
 * Time-stamp tokens (RFC 3161, RFC 5816) of a proof, by authorities outside of the chain: a second clock that a court may
 * know, beside the witnesses. The token stands in a file of its own; `openssl ts -verify` takes it as it is.
 *
 * X.509 and CMS are read by PKI.js, within limits; which checks have to hold is decided here. Whether a certificate was
 * revoked is not looked up: that takes a network, and an answer of today.
 */
import { AteError } from '@ate/core'
import { Integer, Null, OctetString, type Sequence } from 'asn1js'
import {
  AlgorithmIdentifier,
  Certificate,
  ContentInfo,
  ExtKeyUsage,
  getRandomValues,
  MessageImprint,
  SignedData,
  TimeStampReq,
  TimeStampResp,
  TSTInfo,
} from 'pkijs'
import { fromBase64, sha256Of, toHex } from './hashing.ts'

/** Bytes of an answer: a token with a chain of post-quantum certificates, and as much again. */
const REPLY_BYTES_MAX = 64 * 1024
const ROOTS_MAX = 64
const ROOT_BYTES_MAX = 32 * 1024
const NONCE_BYTES = 16

const OID = {
  tstInfo: '1.2.840.113549.1.9.16.1.4',
  signedData: '1.2.840.113549.1.7.2',
  contentType: '1.2.840.113549.1.9.3',
  signingCertificate: '1.2.840.113549.1.9.16.2.12',
  signingCertificateV2: '1.2.840.113549.1.9.16.2.47',
  extKeyUsage: '2.5.29.37',
  timeStamping: '1.3.6.1.5.5.7.3.8',
  sha1: '1.3.14.3.2.26',
  sha256: '2.16.840.1.101.3.4.2.1',
} as const

/** Digests that nobody has found two texts for. */
const DIGESTS: Readonly<Record<string, string>> = {
  [OID.sha256]: 'SHA-256',
  '2.16.840.1.101.3.4.2.2': 'SHA-384',
  '2.16.840.1.101.3.4.2.3': 'SHA-512',
}

export interface TimestampQuery {
  /** DER, to be sent as `application/timestamp-query`. */
  readonly query: Uint8Array<ArrayBuffer>
  /** Hexadecimal: in the answer too, so that no older one is taken for it. */
  readonly nonce: string
}

export interface TimestampTrust {
  /** Certificates of authorities, each as PEM text or DER bytes: the token's chain must end in one of them. */
  readonly roots: readonly (string | Uint8Array)[]
  /** The policy that the token must be under, as an OID in dots. */
  readonly policy?: string
  /** That of the query. A token that is checked years later has none to compare. */
  readonly nonce?: string
}

export interface Timestamp {
  /** The data was there by then. */
  readonly time: Date
  /** Hexadecimal. */
  readonly serial: string
  readonly policy: string
  /** The certificate that signed it: SHA-256 of its DER, hexadecimal. */
  readonly certificate: string
}

/** Asks for the time of `data`, of which the authority sees the SHA-256 only. */
export function timestampQuery(data: Uint8Array | string, options: { readonly policy?: string } = {}): TimestampQuery {
  const nonce = getRandomValues(new Uint8Array(NONCE_BYTES))
  // A positive number of full length, so that it has one form.
  nonce[0] = (nonce[0]! & 0x7f) | 0x40
  const request = new TimeStampReq({
    version: 1,
    messageImprint: new MessageImprint({
      hashAlgorithm: new AlgorithmIdentifier({ algorithmId: OID.sha256, algorithmParams: new Null() }),
      hashedMessage: new OctetString({ valueHex: bufferOf(sha256Of(bytesOf(data))) }),
    }),
    certReq: true,
    ...(options.policy === undefined ? {} : { reqPolicy: options.policy }),
  })
  request.nonce = integer(nonce)
  return { query: new Uint8Array(request.toSchema().toBER()), nonce: toHex(nonce) }
}

/**
 * Checks the answer of an authority, or the token out of it (DER, at most 64 KiB): the signature, the chain up to one of
 * `roots` at the time that it names, that the certificate is for time stamps and is the one that the signature means,
 * and that the time is of `data`.
 * @throws AteError BAD_PROOF | BAD_ARGUMENT
 */
export async function verifyTimestamp(
  reply: Uint8Array,
  data: Uint8Array | string,
  trust: TimestampTrust,
): Promise<Timestamp> {
  const roots = rootsOf(trust)
  if (!(reply instanceof Uint8Array) || reply.length > REPLY_BYTES_MAX) throw bad('size')
  const { signed, info } = parsed(reply)
  checkInfo(info, trust)
  const signer = await verifiedSigner(signed, bytesOf(data), roots)
  checkUsage(signer)
  await checkMeans(signed, signer)
  return {
    time: info.genTime,
    serial: toHex(info.serialNumber.valueBlock.valueHexView),
    policy: info.policy,
    certificate: toHex(sha256Of(new Uint8Array(derOf(signer)))),
  }
}

function parsed(reply: Uint8Array): { readonly signed: SignedData; readonly info: TSTInfo } {
  try {
    const content = tokenOf(reply)
    if (content.contentType !== OID.signedData) throw bad('it is no signed data')
    const signed = new SignedData({ schema: content.content })
    const { eContentType, eContent } = signed.encapContentInfo
    if (eContentType !== OID.tstInfo || !eContent) throw bad('it is no time stamp')
    if (signed.signerInfos.length !== 1) throw bad('signers')
    return { signed, info: TSTInfo.fromBER(eContent.getValue()) }
  } catch (cause) {
    throw cause instanceof AteError ? cause : bad('form', cause)
  }
}

/** The answer has a status in front of the token. */
function tokenOf(reply: Uint8Array): ContentInfo {
  let answer: TimeStampResp
  try {
    answer = TimeStampResp.fromBER(bufferOf(reply))
  } catch {
    return ContentInfo.fromBER(bufferOf(reply))
  }
  const { status } = answer.status
  if ((status !== 0 && status !== 1) || !answer.timeStampToken) throw bad(`the authority refused: status ${status}`)
  return answer.timeStampToken
}

function checkInfo(info: TSTInfo, { policy, nonce }: TimestampTrust): void {
  if (info.version !== 1) throw bad('version')
  if (DIGESTS[info.messageImprint.hashAlgorithm.algorithmId] === undefined) throw bad('a weak digest')
  if (policy !== undefined && info.policy !== policy) throw bad(`policy ${info.policy}`)
  if (nonce !== undefined && (!info.nonce || toHex(info.nonce.valueBlock.valueHexView) !== nonce)) throw bad('nonce')
}

/** The certificate whose key has signed, its chain checked. */
async function verifiedSigner(signed: SignedData, data: Uint8Array, roots: Certificate[]): Promise<Certificate> {
  const [{ digestAlgorithm, signedAttrs }] = signed.signerInfos as [SignedData['signerInfos'][number]]
  if (DIGESTS[digestAlgorithm.algorithmId] === undefined) throw bad('a weak digest')
  const type = signedAttrs?.attributes.find((attribute) => attribute.type === OID.contentType)
  if (type?.values[0]?.valueBlock?.toString() !== OID.tstInfo) throw bad('content type')
  try {
    const { signatureVerified, signerCertificateVerified, signerCertificate } = await signed.verify({
      signer: 0,
      data: bufferOf(data),
      trustedCerts: roots,
      checkChain: true,
      passedWhenNotRevValues: true,
      extendedMode: true,
    })
    if (!signatureVerified || !signerCertificateVerified || !signerCertificate) throw bad('signature')
    return signerCertificate
  } catch (cause) {
    throw cause instanceof AteError ? cause : bad('signature, chain or data', cause)
  }
}

/** RFC 3161, 2.3: for time stamps alone, and critical. */
function checkUsage({ extensions }: Certificate): void {
  const usage = extensions?.find(({ extnID }) => extnID === OID.extKeyUsage)
  const purposes = usage?.parsedValue instanceof ExtKeyUsage ? usage.parsedValue.keyPurposes : []
  if (!usage?.critical || purposes.length !== 1 || purposes[0] !== OID.timeStamping)
    throw bad('the certificate is not for time stamps alone')
}

/** The signed attribute names the certificate by its hash: else another one of the same key could stand in for it. */
async function checkMeans(signed: SignedData, signer: Certificate): Promise<void> {
  const attributes = signed.signerInfos[0]!.signedAttrs?.attributes ?? []
  const named = attributes.find(({ type }) => type === OID.signingCertificateV2 || type === OID.signingCertificate)
  if (!named) throw bad('it does not name its certificate')
  // SigningCertificate(V2) ::= SEQUENCE { certs SEQUENCE OF ESSCertID(v2), .. }; the first is the signer's.
  const id = children(children(children(named.values[0])[0])[0])
  const algorithm = id[0]?.idBlock.tagNumber === SEQUENCE ? String(children(id[0])[0]?.valueBlock) : undefined
  const hash = id.find(({ idBlock }) => idBlock.tagNumber === OCTET_STRING)
  const digest = named.type === OID.signingCertificate ? 'SHA-1' : DIGESTS[algorithm ?? OID.sha256]
  if (!hash || digest === undefined) throw bad('it does not name its certificate')
  const own = new Uint8Array(await crypto.subtle.digest(digest, derOf(signer)))
  if (toHex(own) !== toHex((hash as OctetString).valueBlock.valueHexView)) throw bad('it names another certificate')
}

const SEQUENCE = 16
const OCTET_STRING = 4

function children(block: unknown): Sequence['valueBlock']['value'] {
  const value = (block as Partial<Sequence> | undefined)?.valueBlock?.value
  return Array.isArray(value) ? value : []
}

function rootsOf({ roots }: TimestampTrust): Certificate[] {
  if (!Array.isArray(roots) || roots.length === 0 || roots.length > ROOTS_MAX)
    throw new AteError('BAD_ARGUMENT', { what: `roots: 1 to ${ROOTS_MAX} certificates` })
  return roots.map((root) => {
    const der = typeof root === 'string' ? fromPem(root) : root
    if (!(der instanceof Uint8Array) || der.length > ROOT_BYTES_MAX) throw notRoot()
    try {
      return Certificate.fromBER(bufferOf(der))
    } catch (cause) {
      throw notRoot(cause)
    }
  })
}

function fromPem(text: string): Uint8Array | undefined {
  if (text.length > 2 * ROOT_BYTES_MAX) return undefined
  const body = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/.exec(text)?.[1]
  return body === undefined ? undefined : fromBase64(body.replace(/\s/g, ''))
}

function notRoot(cause?: unknown): AteError {
  return new AteError('BAD_ARGUMENT', { what: 'a root is one certificate, as PEM text or DER bytes' }, { cause })
}

function integer(bytes: Uint8Array): NonNullable<TimeStampReq['nonce']> {
  return new Integer({ valueHex: bufferOf(bytes) })
}

function derOf(certificate: Certificate): ArrayBuffer {
  return certificate.toSchema().toBER()
}

function bytesOf(data: Uint8Array | string): Uint8Array {
  return typeof data === 'string' ? new TextEncoder().encode(data) : data
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return bytes.slice().buffer as ArrayBuffer
}

function bad(what: string, cause?: unknown): AteError {
  return new AteError('BAD_PROOF', { what: `time stamp: ${what}` }, cause === undefined ? {} : { cause })
}
