/**
 * An identity as the text of its file. One line says what it is, the body is base32 in lines of 64 characters:
 *
 *   body   = canonical CBOR map || the first 4 bytes of SHA-256(context 'identityFile' || map)
 *   plain  = { version 1, fingerprint 32, seed 96 }
 *   sealed = { version 1, fingerprint 32, memoryKiB, passes, lanes, salt 32, commitment 32, tag 16, ciphertext 96 }
 *   secret = Argon2id(passphrase in NFC, salt, parameters, 32), then committedKey() with
 *            info = context 'identityFile' || fingerprint || memoryKiB u32 || passes u32 || lanes u32
 *
 * The checksum tells damage from a wrong passphrase; the commitment tells a wrong passphrase from a forged body.
 */
import { concatBytes, equalBytes, utf8, wipe } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { fromBase32, toBase32 } from '../base/ids.ts'
import { ARGON2_LANES_MAX, ARGON2_MEMORY_KIB_MAX, ARGON2_PASSES_MAX, IDENTITY_TEXT_MAX } from '../base/limits.ts'
import { decodeCanonical, encodeCanonical } from '../codec/cbor.ts'
import { ByteWriter } from '../codec/writer.ts'
import { committedKey, confirmedKey, infoOf } from '../crypto/committed-key.ts'
import type { Argon2Parameters, CryptoProvider } from '../crypto/provider.ts'
import { taggedHash } from '../crypto/tagged-hash.ts'
import { IDENTITY_SEED_BYTES, type Identity, type IdentityMakers, identityFromSeed, identitySeed } from './identity.ts'

/** 64 MiB, three passes, four lanes: the second choice of RFC 9106 (4), for machines of every size. */
export const PASSPHRASE_PARAMETERS: Argon2Parameters = { memoryKiB: 65_536, passes: 3, lanes: 4 }

/** Text, or a function that is asked only if the file is sealed. */
export type Passphrase = string | (() => string | Promise<string>)

export interface SealOptions {
  readonly passphrase?: Passphrase
  /** For tests; stored in the text. */
  readonly parameters?: Argon2Parameters
}

/** The text of an identity: sealed if a passphrase is given, else the plain secret. */
export async function identityText(
  makers: IdentityMakers,
  identity: Identity,
  options: SealOptions = {},
): Promise<string> {
  if (options.passphrase === undefined) {
    const seed = identitySeed(identity)
    const body = { version: 1, fingerprint: identity.fingerprintBytes, seed }
    try {
      return armor(makers.crypto, PLAIN_LABEL, body)
    } finally {
      wipe(seed)
    }
  }
  const secret = await passphraseBytes(options.passphrase)
  return armor(
    makers.crypto,
    SEALED_LABEL,
    await sealed(makers, identity, secret, options.parameters ?? PASSPHRASE_PARAMETERS),
  )
}

/**
 * The identity of a text. White space around and inside it does not matter.
 * @throws AteError BAD_IDENTITY | UNSUPPORTED_FORMAT | PASSPHRASE_NEEDED | WRONG_PASSPHRASE
 */
export async function readIdentityText(
  makers: IdentityMakers,
  text: string,
  passphrase?: Passphrase,
): Promise<Identity> {
  const { label, body } = unarmor(makers.crypto, text)
  if (label === PLAIN_LABEL) return checkedIdentity(makers, bytesOf(body, 'seed', IDENTITY_SEED_BYTES), body)
  const parameters = parametersOf(body)
  if (passphrase === undefined)
    throw new AteError('PASSPHRASE_NEEDED', { fingerprint: toBase32(bytesOf(body, 'fingerprint', 32)) })
  return opened(makers, body, parameters, await passphraseBytes(passphrase))
}

const PLAIN_LABEL = 'ATE IDENTITY'
const SEALED_LABEL = 'SEALED ATE IDENTITY'
const CHECKSUM_BYTES = 4
const LINE_CHARACTERS = 64

type Body = Readonly<Record<string, unknown>>

async function sealed(
  { crypto, random }: IdentityMakers,
  identity: Identity,
  passphrase: Uint8Array,
  parameters: Argon2Parameters,
): Promise<Body> {
  const salt = randomBytes(random, 32)
  const fingerprint = identity.fingerprintBytes
  const secret = await crypto.argon2id(passphrase, salt, parameters, 32)
  const seed = identitySeed(identity)
  try {
    const key = committedKey(crypto, secret, salt, fileInfo(fingerprint, parameters))
    const { ciphertext, tag } = key.aes.seal(key.nonce, seed)
    const { memoryKiB, passes, lanes } = parameters
    return { version: 1, fingerprint, memoryKiB, passes, lanes, salt, commitment: key.commitment, tag, ciphertext }
  } finally {
    wipe(seed)
    wipe(secret)
    wipe(passphrase)
  }
}

async function opened(
  makers: IdentityMakers,
  body: Body,
  parameters: Argon2Parameters,
  passphrase: Uint8Array,
): Promise<Identity> {
  const salt = bytesOf(body, 'salt', 32)
  const fingerprint = bytesOf(body, 'fingerprint', 32)
  const secret = await makers.crypto.argon2id(passphrase, salt, parameters, 32)
  wipe(passphrase)
  const info = fileInfo(fingerprint, parameters)
  const key = confirmedKey(makers.crypto, secret, salt, info, bytesOf(body, 'commitment', 32))
  wipe(secret)
  if (!key) throw new AteError('WRONG_PASSPHRASE', { fingerprint: toBase32(fingerprint) })
  const seed = key.aes.open(key.nonce, bytesOf(body, 'ciphertext', IDENTITY_SEED_BYTES), bytesOf(body, 'tag', 16))
  if (!seed) throw damaged('the sealed part was altered')
  return checkedIdentity(makers, seed, body)
}

/** Takes the seed over and wipes it. The file's fingerprint must be the seed's: a swapped seed is no other identity. */
function checkedIdentity(makers: IdentityMakers, seed: Uint8Array, body: Body): Identity {
  try {
    const identity = identityFromSeed(makers, seed)
    if (!equalBytes(identity.fingerprintBytes, bytesOf(body, 'fingerprint', 32)))
      throw damaged('the fingerprint is of another identity')
    return identity
  } finally {
    wipe(seed)
  }
}

function fileInfo(fingerprint: Uint8Array, parameters: Argon2Parameters): Uint8Array {
  const numbers = new ByteWriter(12)
  numbers.u32(parameters.memoryKiB)
  numbers.u32(parameters.passes)
  numbers.u32(parameters.lanes)
  return infoOf('identityFile', fingerprint, numbers.bytes())
}

/** Bounded before use: a file must not be able to ask for all memory, or for hours. */
function parametersOf(body: Body): Argon2Parameters {
  const lanes = numberOf(body, 'lanes', 1, ARGON2_LANES_MAX)
  return {
    memoryKiB: numberOf(body, 'memoryKiB', 8 * lanes, ARGON2_MEMORY_KIB_MAX),
    passes: numberOf(body, 'passes', 1, ARGON2_PASSES_MAX),
    lanes,
  }
}

async function passphraseBytes(passphrase: Passphrase): Promise<Uint8Array> {
  const text = typeof passphrase === 'function' ? await passphrase() : passphrase
  if (typeof text !== 'string' || text === '')
    throw new AteError('BAD_ARGUMENT', { argument: 'passphrase', wanted: 'text that is not empty' })
  // One passphrase typed on two keyboards may differ in composition only.
  return utf8(text.normalize('NFC'))
}

function armor(crypto: CryptoProvider, label: string, body: Body): string {
  const map = encodeCanonical(body)
  const whole = concatBytes(map, checksumOf(crypto, map))
  const lines = toBase32(whole).match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []
  wipe(map)
  wipe(whole)
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}

function unarmor(crypto: CryptoProvider, text: string): { readonly label: string; readonly body: Body } {
  if (text.length > IDENTITY_TEXT_MAX) throw damaged('too long')
  const match = /^\s*-----BEGIN ((?:SEALED )?ATE IDENTITY)-----([\s0-9a-z]*)-----END \1-----\s*$/.exec(text)
  if (!match) throw damaged('no BEGIN ATE IDENTITY line, or no END line')
  const characters = match[2]!.replace(/\s+/g, '')
  const whole = fromBase32(characters, Math.floor((characters.length * 5) / 8))
  if (!whole || whole.length < CHECKSUM_BYTES) throw damaged('a character is wrong or missing')
  const map = whole.subarray(0, whole.length - CHECKSUM_BYTES)
  if (!equalBytes(checksumOf(crypto, map), whole.subarray(map.length))) throw damaged('a character is wrong or missing')
  return { label: match[1]!, body: bodyOf(map) }
}

function bodyOf(map: Uint8Array): Body {
  let body: unknown
  try {
    body = decodeCanonical(map)
  } catch {
    // No cause: it was raised over the secret.
    throw damaged('the body does not decode')
  }
  const version = typeof body === 'object' && body !== null ? (body as Body)['version'] : undefined
  if (version !== 1) throw new AteError('UNSUPPORTED_FORMAT', { what: 'identity' })
  return body as Body
}

function checksumOf(crypto: CryptoProvider, map: Uint8Array): Uint8Array {
  return taggedHash(crypto, 'identityFile', map).subarray(0, CHECKSUM_BYTES)
}

function bytesOf(body: Body, name: string, size: number): Uint8Array {
  const value = body[name]
  if (!(value instanceof Uint8Array) || value.length !== size) throw damaged(`${name} is not ${size} bytes`)
  return value
}

function numberOf(body: Body, name: string, min: number, max: number): number {
  const value = body[name]
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw damaged(`${name} is not between ${min} and ${max}`)
  }
  return value
}

function damaged(what: string): AteError {
  return new AteError('BAD_IDENTITY', { what })
}
