/**
 * What a server signs about what it stores. Its identity delegates to two Ed25519 keys for some days; with the first it
 * acknowledges records. Acknowledgement, delegation and the server's public keys together show to anybody what it said.
 *
 *   delegation      = format u8 | key 32 | checkpoint key 32 | from u64 | until u64 | composite signature 3373
 *                     signed under 'delegation': H(ctx(delegation) | server fingerprint 32 | the 81 bytes before)
 *   acknowledgement = format u8 | chain 32 | seq u64 | record hash 32 | level u8 | at u64 | Ed25519 signature 64
 *                     signed: H(ctx(acknowledgement) | the 82 bytes before)
 *
 * Times are ms since 1970 by the server's clock; `until` is the first ms at which the delegation counts no more.
 */
import { AteError, assert } from '../base/errors.ts'
import { DELEGATION_MS_MAX } from '../base/limits.ts'
import { ByteReader, ByteWriter } from '../codec/writer.ts'
import { COMPOSITE_PUBLIC_BYTES, COMPOSITE_SIGNATURE_BYTES, compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { ContextVerifier, CryptoProvider, Signer, Verifier } from '../crypto/provider.ts'
import { ED25519_PUBLIC_BYTES, ED25519_SIGNATURE_BYTES, HASH_BYTES } from '../crypto/sizes.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'

const FORMAT = 1
const DELEGATION_BODY_BYTES = 81
const ACKNOWLEDGEMENT_BODY_BYTES = 82
export const DELEGATION_BYTES: number = DELEGATION_BODY_BYTES + COMPOSITE_SIGNATURE_BYTES
export const ACKNOWLEDGEMENT_BYTES: number = ACKNOWLEDGEMENT_BODY_BYTES + ED25519_SIGNATURE_BYTES

export interface DelegationBody {
  /** Ed25519, 32 bytes: signs acknowledgements. */
  readonly key: Uint8Array
  /** Ed25519, 32 bytes: signs checkpoints. */
  readonly checkpointKey: Uint8Array
  readonly from: number
  readonly until: number
}

/** A delegation whose signature holds: only parseDelegation makes one. */
export interface Delegation extends DelegationBody {
  /** Of `key`, made when it is first asked for, and once. */
  readonly verifier: Verifier
}

/** What holds of the record when it is acknowledged; the numbers are the format. */
const LEVELS = ['memory', 'os', 'disk', 'quorum'] as const
export type AcknowledgedLevel = (typeof LEVELS)[number]

export interface AcknowledgementBody {
  readonly chain: Uint8Array
  readonly seq: number
  /** Record hash. */
  readonly hash: Uint8Array
  readonly level: AcknowledgedLevel
  readonly at: number
}

export interface Acknowledgement extends AcknowledgementBody {
  readonly signature: Uint8Array
}

/**
 * `sign` signs with the server's identity under the context 'delegation'; `server` is its fingerprint, 32 bytes.
 * @throws AteError BAD_ARGUMENT if it would last longer than seven days, or not at all
 */
export function makeDelegation(
  crypto: CryptoProvider,
  body: DelegationBody,
  server: { readonly fingerprintBytes: Uint8Array; readonly sign: (message: Uint8Array) => Uint8Array },
): Uint8Array {
  if (!isSpan(body))
    throw new AteError('BAD_ARGUMENT', {
      what: 'a delegation lasts at most seven days',
      from: body.from,
      until: body.until,
    })
  const out = new ByteWriter(DELEGATION_BYTES)
  out.u8(FORMAT)
  for (const key of [body.key, body.checkpointKey]) {
    assert(key.length === ED25519_PUBLIC_BYTES, 'an Ed25519 key is 32 bytes')
    out.raw(key)
  }
  out.u64(body.from)
  out.u64(body.until)
  out.raw(server.sign(delegationMessage(crypto, server.fingerprintBytes, out.copy())))
  return out.copy()
}

/**
 * The delegation of the server with these public keys (3200 bytes). Whether its time has come is for the caller, who may
 * have made the verifier of its signing key before.
 * @throws AteError BAD_ACKNOWLEDGEMENT
 */
export function parseDelegation(
  crypto: CryptoProvider,
  bytes: Uint8Array,
  serverKeys: Uint8Array,
  serverVerifier: ContextVerifier = compositeVerifier(crypto, serverKeys.subarray(0, COMPOSITE_PUBLIC_BYTES)),
): Delegation {
  if (bytes.length !== DELEGATION_BYTES) throw bad('the size of a delegation')
  const input = new ByteReader(bytes)
  if (input.u8() !== FORMAT) throw bad('the format of a delegation')
  const body: DelegationBody = {
    key: input.raw(ED25519_PUBLIC_BYTES).slice(),
    checkpointKey: input.raw(ED25519_PUBLIC_BYTES).slice(),
    from: timeIn(input),
    until: timeIn(input),
  }
  if (!isSpan(body)) throw bad('the time of a delegation')
  const fingerprint = taggedHash(crypto, 'identity', serverKeys)
  const message = delegationMessage(crypto, fingerprint, bytes.subarray(0, DELEGATION_BODY_BYTES))
  if (!serverVerifier.verify(message, bytes.subarray(DELEGATION_BODY_BYTES), contextBytes('delegation')))
    throw bad('the signature of a delegation')
  let verifier: Verifier | undefined
  return {
    ...body,
    get verifier() {
      verifier ??= crypto.ed25519Verifier(body.key)
      return verifier
    },
  }
}

/** `signer` holds the delegated key. 146 bytes. */
export function encodeAcknowledgement(crypto: CryptoProvider, body: AcknowledgementBody, signer: Signer): Uint8Array {
  assert(body.chain.length === HASH_BYTES && body.hash.length === HASH_BYTES, 'a chain and a hash are 32 bytes')
  const out = new ByteWriter(ACKNOWLEDGEMENT_BYTES)
  out.u8(FORMAT)
  out.raw(body.chain)
  out.u64(body.seq)
  out.raw(body.hash)
  out.u8(LEVELS.indexOf(body.level))
  out.u64(body.at)
  out.raw(signer.sign(taggedHash(crypto, 'acknowledgement', out.bytes())))
  return out.copy()
}

/** What it says, not yet that it is true. @throws AteError BAD_ACKNOWLEDGEMENT */
export function parseAcknowledgement(bytes: Uint8Array): Acknowledgement {
  if (bytes.length !== ACKNOWLEDGEMENT_BYTES) throw bad('the size of an acknowledgement')
  const input = new ByteReader(bytes)
  if (input.u8() !== FORMAT) throw bad('the format of an acknowledgement')
  const chain = input.raw(HASH_BYTES).slice()
  const seq = timeIn(input)
  const hash = input.raw(HASH_BYTES).slice()
  const level = LEVELS[input.u8()]
  if (level === undefined) throw bad('the level of an acknowledgement')
  return { chain, seq, hash, level, at: timeIn(input), signature: input.raw(ED25519_SIGNATURE_BYTES).slice() }
}

/**
 * An acknowledgement that the delegated key signed within the delegation's time, by the server's clock.
 * @throws AteError BAD_ACKNOWLEDGEMENT
 */
export function verifyAcknowledgement(
  crypto: CryptoProvider,
  bytes: Uint8Array,
  delegation: Delegation,
): Acknowledgement {
  const acknowledgement = parseAcknowledgement(bytes)
  const message = taggedHash(crypto, 'acknowledgement', bytes.subarray(0, ACKNOWLEDGEMENT_BODY_BYTES))
  if (acknowledgement.at < delegation.from || acknowledgement.at >= delegation.until)
    throw bad('an acknowledgement outside of the time of its delegation')
  if (!delegation.verifier.verify(message, acknowledgement.signature)) throw bad('the signature of an acknowledgement')
  return acknowledgement
}

/** The fingerprint covers the key that opens wraps too: the signing key alone would not name one identity. */
function delegationMessage(crypto: CryptoProvider, fingerprint: Uint8Array, body: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'delegation', fingerprint, body)
}

function isSpan({ from, until }: DelegationBody): boolean {
  const isTime = (ms: number): boolean => Number.isSafeInteger(ms) && ms >= 0
  return isTime(from) && isTime(until) && from < until && until - from <= DELEGATION_MS_MAX
}

/** A u64 below 2^53. */
function timeIn(input: ByteReader): number {
  try {
    return input.u64()
  } catch (cause) {
    throw new AteError('BAD_ACKNOWLEDGEMENT', { what: 'a number over 2^53' }, { cause })
  }
}

function bad(what: string): AteError {
  return new AteError('BAD_ACKNOWLEDGEMENT', { what })
}
