/**
 * Shares of an identity (Shamir, over GF(2^8)): any `threshold` of them make it again, fewer say nothing about it. What is split
 * is the text of the identity itself, so the shares recover it, and not merely a permission to ask somebody.
 *
 *   share = "ates-" || base64url(1 || threshold || shares || set 8 || fingerprint 32 || share || first 4 of SHA-256 of all before)
 */
import { AteError, type Identity, identityFromText, identityToText } from '@ate/core'
import { sha256 } from '@noble/hashes/sha2.js'
import { combine, split } from 'shamir-secret-sharing'
import { fromBase64Url, toBase64Url } from './base64.ts'
import { vaultError } from './errors.ts'
import { webMakers } from './makers.ts'
import { equalBytes } from './sealing.ts'

const PREFIX = 'ates-'
const SET_BYTES = 8
const FINGERPRINT_BYTES = 32
const HEADER_BYTES: number = 3 + SET_BYTES + FINGERPRINT_BYTES
const CHECKSUM_BYTES = 4
/** Characters: several times what is written. */
const SHARE_TEXT_MAX = 8192

export interface ShareInfo {
  readonly threshold: number
  readonly shares: number
  /** Equal for shares of one split. */
  readonly set: string
  /** Of the identity. */
  readonly fingerprint: string
}

interface Share extends ShareInfo {
  readonly bytes: Uint8Array
}

/** @throws AteError BAD_ARGUMENT (2 to 255 shares, a threshold of 2 up to their number) */
export async function splitIdentity(
  identity: Identity,
  { shares, threshold }: { readonly shares: number; readonly threshold: number },
): Promise<string[]> {
  const isCount = (n: number): boolean => Number.isSafeInteger(n) && n >= 2 && n <= 255
  if (!isCount(shares) || !isCount(threshold) || threshold > shares)
    throw new AteError('BAD_ARGUMENT', {
      what: 'two shares or more, and a threshold of two up to their number',
      shares,
      threshold,
    })
  const secret = new TextEncoder().encode(await identityToText(identity))
  const parts = await split(secret, shares, threshold)
  secret.fill(0)
  const set = webMakers.random(SET_BYTES)
  const fingerprint = identity.fingerprintBytes
  return parts.map((part) => {
    const body = new Uint8Array(HEADER_BYTES + part.length)
    body.set([1, threshold, shares])
    body.set(set, 3)
    body.set(fingerprint, 3 + SET_BYTES)
    body.set(part, HEADER_BYTES)
    part.fill(0)
    return PREFIX + toBase64Url(body, checksum(body))
  })
}

/** What stands on a share, without its secret part. @throws AteError BAD_SHARE */
export function shareInfo(text: string): ShareInfo {
  const { bytes: _, ...info } = parseShare(text)
  return info
}

/** The identity. @throws AteError BAD_SHARE | SHARES_MISMATCH */
export async function joinIdentity(shares: readonly string[]): Promise<Identity> {
  const parsed = distinct(shares.map(parseShare))
  return join(parsed.slice(0, parsed[0]?.threshold))
}

/** What a drill found: `weak` are the shares, by their order, that recover nothing together with others that do. */
export interface DrillReport {
  readonly ok: boolean
  readonly fingerprint: string
  readonly threshold: number
  readonly tried: number
  readonly weak: readonly number[]
}

/**
 * Tries shares without giving the identity out: each of them takes part in making it at least once, and what is made is held
 * against the fingerprint. @throws AteError BAD_SHARE | SHARES_MISMATCH (fewer than the threshold, or of different sets)
 */
export async function drill(shares: readonly string[], fingerprint: string): Promise<DrillReport> {
  const parsed = distinct(shares.map(parseShare))
  const { threshold } = parsed[0]!
  const fails = new Set<number>()
  const good = new Set<number>()
  let tried = 0
  for (let first = 0; first < parsed.length; first++) {
    const places = Array.from({ length: threshold }, (_, i) => (first + i) % parsed.length)
    tried++
    const isIt = await makes(
      places.map((place) => parsed[place]!),
      fingerprint,
    )
    for (const place of places) (isIt ? good : fails).add(place)
  }
  const weak = [...fails].filter((place) => !good.has(place)).sort((a, b) => a - b)
  return { ok: fails.size === 0, fingerprint: parsed[0]!.fingerprint, threshold, tried, weak }
}

async function makes(shares: readonly Share[], fingerprint: string): Promise<boolean> {
  try {
    return (await join(shares)).fingerprint === fingerprint
  } catch {
    return false
  }
}

async function join(shares: readonly Share[]): Promise<Identity> {
  const secret = await combine(shares.map(({ bytes }) => bytes.slice()))
  try {
    const identity = await identityFromText(new TextDecoder('utf-8', { fatal: true }).decode(secret))
    if (identity.fingerprint === shares[0]!.fingerprint) return identity
  } catch {
    // No cause: it was raised over the secret.
  } finally {
    secret.fill(0)
  }
  throw vaultError('SHARES_MISMATCH', { what: 'what they make is no identity' })
}

/** Of one split, each once, and enough of them. @throws AteError SHARES_MISMATCH */
function distinct(shares: readonly Share[]): readonly Share[] {
  const [first] = shares
  if (!first) throw vaultError('SHARES_MISMATCH', { shares: 0 })
  if (shares.some(({ set, fingerprint }) => set !== first.set || fingerprint !== first.fingerprint))
    throw vaultError('SHARES_MISMATCH', { what: 'of different sets' })
  const unique = shares.filter((share, i) => shares.findIndex((one) => equalBytes(one.bytes, share.bytes)) === i)
  if (unique.length < first.threshold)
    throw vaultError('SHARES_MISMATCH', { shares: unique.length, threshold: first.threshold })
  return unique
}

function parseShare(text: unknown): Share {
  const isText = typeof text === 'string' && text.length <= SHARE_TEXT_MAX && text.trim().startsWith(PREFIX)
  const bytes = isText ? fromBase64Url(text.trim().slice(PREFIX.length)) : undefined
  if (!bytes || bytes.length < HEADER_BYTES + 2 + CHECKSUM_BYTES) throw vaultError('BAD_SHARE', {})
  const body = bytes.subarray(0, bytes.length - CHECKSUM_BYTES)
  if (!equalBytes(checksum(body), bytes.subarray(body.length))) throw vaultError('BAD_SHARE', { what: 'checksum' })
  const [format, threshold = 0, shares = 0] = body
  if (format !== 1 || threshold < 2 || shares < threshold) throw vaultError('BAD_SHARE', { format })
  return {
    threshold,
    shares,
    set: toBase64Url(body.subarray(3, 3 + SET_BYTES)),
    fingerprint: fingerprintText(body.subarray(3 + SET_BYTES, HEADER_BYTES)),
    bytes: body.slice(HEADER_BYTES),
  }
}

function checksum(body: Uint8Array): Uint8Array {
  return sha256(body).subarray(0, CHECKSUM_BYTES)
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz'

/** Base32 as fingerprints are written everywhere. */
function fingerprintText(bytes: Uint8Array): string {
  let text = ''
  let bits = 0
  let buffer = 0
  for (const byte of bytes) {
    buffer = ((buffer << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += ALPHABET[(buffer >> bits) & 31]
    }
  }
  return bits > 0 ? text + ALPHABET[(buffer << (5 - bits)) & 31] : text
}
