/**
 * The one rule by which an Ed25519 signature is judged on every provider (RFC 8032 5.1.7, made strict).
 *
 * Invariant: two providers never disagree, since a disagreement splits replicas. By default they do: ZIP 215 code takes
 * small-order keys, keys outside the prime-order subgroup and encodings that are not canonical, OpenSSL takes some of
 * these (and other ones in each version), and cofactored equations take an R with a torsion part. So the key is checked
 * here once a handle, S and R are checked here, and R is compared byte by byte with the recomputed one (what OpenSSL
 * does; `ed25519Matches` for the others).
 */
import type { EdwardsPoint, EdwardsPointCons } from '@noble/curves/abstract/edwards.js'
import { ed25519 } from '@noble/curves/ed25519.js'
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { ED25519_PUBLIC_BYTES, ED25519_SIGNATURE_BYTES } from './sizes.ts'

const Point: EdwardsPointCons = ed25519.Point

/** The order of the prime-order subgroup. */
const L: bigint = Point.Fn.ORDER

/** L in big-endian order of bytes as 32 numbers, to compare without a bigint a signature. */
const L_BYTES: readonly number[] = Array.from({ length: 32 }, (_, i) => Number((L >> BigInt(8 * (31 - i))) & 255n))

/** Keys that were found good, newest last: servers and identities come back, and a good key stays one. */
const GOOD_KEYS_MAX = 1024
const good = new Map<string, EdwardsPoint>()

/**
 * The point of a public key, or undefined if the key breaks the rule: y >= p, x = 0 with the sign bit set, not on the
 * curve, of small order, or with a torsion part. About 1 ms the first time.
 */
export function ed25519Key(publicKey: Uint8Array): EdwardsPoint | undefined {
  if (publicKey.length !== ED25519_PUBLIC_BYTES) return undefined
  const name = toBinaryText(publicKey)
  const known = good.get(name)
  if (known) return known
  const point = checkedPoint(publicKey)
  if (!point) return undefined
  if (good.size >= GOOD_KEYS_MAX) good.delete(good.keys().next().value!)
  good.set(name, point)
  return point
}

function checkedPoint(publicKey: Uint8Array): EdwardsPoint | undefined {
  try {
    // Strict parsing is quick; the 26 other spellings that name a point all name one that the next line refuses too.
    const point = Point.fromBytes(publicKey, false)
    // The identity is torsion free, so the two checks are both needed.
    return point.isSmallOrder() || !point.isTorsionFree() ? undefined : point
  } catch {
    return undefined
  }
}

/**
 * True if the signature is 64 bytes, its S is below L, and its R is not the identity: Node 26 (OpenSSL 3.5) refuses that
 * R and Node 20 (3.0) takes it. No honest signer makes it, for it tells his secret; other points of small order never
 * equal the recomputed R. Signatures are public: no constant time.
 */
export function ed25519SignatureAllowed(signature: Uint8Array): boolean {
  return signature.length === ED25519_SIGNATURE_BYTES && isBelowOrder(signature) && !isIdentity(signature)
}

function isBelowOrder(signature: Uint8Array): boolean {
  for (let i = 0; i < 32; i++) {
    const difference = signature[63 - i]! - L_BYTES[i]!
    if (difference !== 0) return difference < 0
  }
  return false
}

/** R is 01 00 .. 00. */
function isIdentity(signature: Uint8Array): boolean {
  if (signature[0] !== 1) return false
  for (let i = 1; i < 32; i++) if (signature[i] !== 0) return false
  return true
}

/** The equation itself: encode(S*B - k*A) is R, byte by byte. `digest` is SHA-512(R || A || message). */
export function ed25519Matches(key: EdwardsPoint, digest: Uint8Array, signature: Uint8Array): boolean {
  const s = littleEndian(signature.subarray(32))
  const k = littleEndian(digest) % L
  const recomputed = Point.BASE.multiplyUnsafe(s).subtract(key.multiplyUnsafe(k))
  return equalBytes(recomputed.toBytes(), signature.subarray(0, 32))
}

function littleEndian(bytes: Uint8Array): bigint {
  let text = '0x'
  for (let i = bytes.length - 1; i >= 0; i--) text += bytes[i]!.toString(16).padStart(2, '0')
  return BigInt(text)
}
