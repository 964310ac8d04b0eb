/**
 * What a transit key is made of, and what it makes. All of one version follows from a seed of 32 bytes, which is the value of a
 * version of the secret `transit/NAME`; its public half stands where everyone reads who may list it.
 *
 *   symmetric   "atet1." || base64url(1 || version u32 || nonce 24 || XChaCha20-Poly1305)
 *   hybrid      "atet1." || base64url(2 || version u32 || X-Wing 1120 || XChaCha20-Poly1305, nonce 0)   made with the public half
 *   signature   "ates1." || base64url(version u32 || Ed25519 64 || ML-DSA-65 3309)                     both must verify
 */

import { ed25519 } from '@noble/curves/ed25519.js'
import { ml_kem768_x25519 as xWing } from '@noble/post-quantum/hybrid.js'
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'
import { fromBase64Url, toBase64Url } from './base64.ts'
import { vaultError } from './errors.ts'
import { derive } from './sealing.ts'
import type { OpenRecord } from './vault-records.ts'
import { xchacha } from './xchacha.ts'

const TOKEN = 'atet1.'
const SIGNATURE = 'ates1.'
const SYMMETRIC = 1
const HYBRID = 2
const NONCE_BYTES = 24
const KEM_BYTES = 1120
const CLASSICAL_BYTES = 64
const LATTICE_BYTES = 3309
const HEADER_BYTES = 5
const TAG_BYTES = 16
export const SEED_BYTES = 32

/** The public half of a seed. */
export function openHalf(seed: Uint8Array): OpenRecord {
  return {
    kem: xWing.keygen(derive('transitKem', seed)).publicKey,
    classical: ed25519.getPublicKey(derive('transitClassical', seed)),
    lattice: ml_dsa65.keygen(derive('transitLattice', seed)).publicKey,
  }
}

/** What a token is bound to beside its key. */
function purposeOf(name: string, version: number, context: string): Uint8Array {
  return new TextEncoder().encode(`ate vault: transit ${version} ${name}\0${context}`)
}

export interface Naming {
  readonly name: string
  readonly version: number
  readonly context: string
}

export function encryptWithSeed(
  seed: Uint8Array,
  { name, version, context }: Naming,
  data: Uint8Array,
  random: (size: number) => Uint8Array,
): string {
  const nonce = random(NONCE_BYTES)
  const key = derive('transit', seed)
  const sealed = xchacha(key, nonce, purposeOf(name, version, context)).encrypt(data)
  key.fill(0)
  return TOKEN + toBase64Url(head(SYMMETRIC, version), nonce, sealed)
}

/** For who may list the key, and not read it. */
export function encryptToOpenHalf(
  { kem }: OpenRecord,
  { name, version, context }: Naming,
  data: Uint8Array,
  random: (size: number) => Uint8Array,
): string {
  const { cipherText, sharedSecret } = xWing.encapsulate(kem, random(64))
  const key = derive('transitShared', sharedSecret)
  const sealed = xchacha(key, new Uint8Array(NONCE_BYTES), purposeOf(name, version, context)).encrypt(data)
  key.fill(0)
  return TOKEN + toBase64Url(head(HYBRID, version), cipherText, sealed)
}

export interface ParsedToken {
  readonly kind: number
  readonly version: number
  readonly rest: Uint8Array
}

/** @throws AteError BAD_TOKEN */
export function parseToken(token: unknown): ParsedToken {
  const bytes =
    typeof token === 'string' && token.startsWith(TOKEN) ? fromBase64Url(token.slice(TOKEN.length)) : undefined
  const kind = bytes?.[0] ?? 0
  const least = kind === SYMMETRIC ? NONCE_BYTES : KEM_BYTES
  if (!bytes || (kind !== SYMMETRIC && kind !== HYBRID) || bytes.length < HEADER_BYTES + least + TAG_BYTES)
    throw vaultError('BAD_TOKEN', {})
  return { kind, version: new DataView(bytes.buffer).getUint32(1), rest: bytes.subarray(HEADER_BYTES) }
}

/** @throws AteError BAD_TOKEN */
export function decryptWithSeed(
  seed: Uint8Array,
  { kind, rest, version }: ParsedToken,
  { name, context }: Naming,
): Uint8Array {
  const [key, nonce, sealed] = kind === SYMMETRIC ? symmetricParts(seed, rest) : hybridParts(seed, rest)
  try {
    return xchacha(key, nonce, purposeOf(name, version, context)).decrypt(sealed)
  } catch {
    throw vaultError('BAD_TOKEN', { what: 'it was altered, or belongs to another key or context' })
  } finally {
    key.fill(0)
  }
}

function symmetricParts(seed: Uint8Array, rest: Uint8Array): readonly [Uint8Array, Uint8Array, Uint8Array] {
  return [derive('transit', seed), rest.subarray(0, NONCE_BYTES), rest.subarray(NONCE_BYTES)]
}

function hybridParts(seed: Uint8Array, rest: Uint8Array): readonly [Uint8Array, Uint8Array, Uint8Array] {
  const { secretKey } = xWing.keygen(derive('transitKem', seed))
  const shared = xWing.decapsulate(rest.subarray(0, KEM_BYTES), secretKey)
  return [derive('transitShared', shared), new Uint8Array(NONCE_BYTES), rest.subarray(KEM_BYTES)]
}

export function signWithSeed(
  seed: Uint8Array,
  { name, version }: Naming,
  data: Uint8Array,
  random: (size: number) => Uint8Array,
): string {
  const message = signed(name, version, data)
  const classical = ed25519.sign(message, derive('transitClassical', seed))
  const { secretKey } = ml_dsa65.keygen(derive('transitLattice', seed))
  const lattice = ml_dsa65.sign(message, secretKey, { extraEntropy: random(32) })
  secretKey.fill(0)
  return SIGNATURE + toBase64Url(head(0, version).subarray(1), classical, lattice)
}

/** Undefined for what is no signature at all. */
export function versionOfSignature(signature: unknown): number | undefined {
  const bytes = signatureBytes(signature)
  return bytes && new DataView(bytes.buffer).getUint32(0)
}

/** Both must hold: who breaks one of the two gains nothing. */
export function verifyWithOpenHalf(
  { classical, lattice }: OpenRecord,
  name: string,
  data: Uint8Array,
  signature: string,
): boolean {
  const bytes = signatureBytes(signature)
  if (!bytes) return false
  const message = signed(name, new DataView(bytes.buffer).getUint32(0), data)
  const first = bytes.subarray(4, 4 + CLASSICAL_BYTES)
  const second = bytes.subarray(4 + CLASSICAL_BYTES)
  return (
    isSigned(() => ed25519.verify(first, message, classical, { zip215: false })) &&
    isSigned(() => ml_dsa65.verify(second, message, lattice))
  )
}

/** Noble throws for keys and signatures that are no points. */
function isSigned(verify: () => boolean): boolean {
  try {
    return verify()
  } catch {
    return false
  }
}

function signatureBytes(signature: unknown): Uint8Array | undefined {
  const text =
    typeof signature === 'string' && signature.startsWith(SIGNATURE) ? signature.slice(SIGNATURE.length) : undefined
  const bytes = text === undefined ? undefined : fromBase64Url(text)
  return bytes?.length === 4 + CLASSICAL_BYTES + LATTICE_BYTES ? bytes : undefined
}

function signed(name: string, version: number, data: Uint8Array): Uint8Array {
  const label = new TextEncoder().encode(`ate vault: transit signature ${version} ${name}\0`)
  const message = new Uint8Array(label.length + data.length)
  message.set(label)
  message.set(data, label.length)
  return message
}

function head(kind: number, version: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES)
  bytes[0] = kind
  new DataView(bytes.buffer).setUint32(1, version)
  return bytes
}
