/**
 * Crafted Ed25519 cases on which implementations disagree: each is valid under some reading of RFC 8032, and the one rule
 * (crypto/ed25519-rule.ts) says which we take. Made from the curve itself, so that no constant has to be believed.
 */
import { ED25519_TORSION_SUBGROUP, ed25519 } from '@noble/curves/ed25519.js'
import { sha512 } from '@noble/hashes/sha2.js'
import { concatBytes, fromHex, toHex } from '../base/bytes.ts'

export interface Ed25519Case {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly message: Uint8Array
  readonly signature: Uint8Array
  readonly accepted: boolean
}

const Point = ed25519.Point
const L: bigint = Point.Fn.ORDER
const P: bigint = 2n ** 255n - 19n
const SEED: Uint8Array = Uint8Array.from({ length: 32 }, (_, i) => i)

export function ed25519Cases(): readonly Ed25519Case[] {
  return [...goodCases(), ...keyCases(), ...scalarCases(), ...nonceCases()]
}

/** Encodings with y >= p, or x = 0 and the sign bit: another spelling of a point, never accepted as a key. */
export function nonCanonicalKeys(): readonly Uint8Array[] {
  const keys: Uint8Array[] = [withSign(littleEndian(1n)), withSign(littleEndian(P - 1n))]
  for (let y = P; y < 2n ** 255n; y++) keys.push(littleEndian(y), withSign(littleEndian(y)))
  return keys
}

function goodCases(): Ed25519Case[] {
  const { publicKey } = keyPair()
  const message = messageOf(0)
  return [{ name: 'an honest signature', publicKey, message, signature: ed25519.sign(message, SEED), accepted: true }]
}

/** Keys outside the rule, with signatures that satisfy the equation in all readings (k is a multiple of 8). */
function keyCases(): Ed25519Case[] {
  const smallOrder = [
    ...ED25519_TORSION_SUBGROUP.map((hex) => ({ name: 'canonical', bytes: fromHex(hex)! })),
    ...[P, P + 1n].flatMap((y) => [
      { name: 'y >= p', bytes: littleEndian(y) },
      { name: 'y >= p, sign bit', bytes: withSign(littleEndian(y)) },
    ]),
    { name: 'x = 0, sign bit', bytes: withSign(littleEndian(1n)) },
    { name: 'x = 0, sign bit', bytes: withSign(littleEndian(P - 1n)) },
  ]
  const cases = smallOrder.map(({ name, bytes }) => {
    const nonce = Point.BASE.multiply(7n).toBytes()
    const message = messageWithFactor8(nonce, bytes)
    const signature = concatBytes(nonce, littleEndian(7n))
    return {
      name: `small-order key ${name} ${toHex(bytes).slice(0, 4)}`,
      publicKey: bytes,
      message,
      signature,
      accepted: false,
    }
  })
  const { scalar } = keyPair()
  const mixed = Point.BASE.multiply(scalar).add(order8()).toBytes()
  const nonce = Point.BASE.multiply(9n).toBytes()
  const message = messageWithFactor8(nonce, mixed)
  const signature = signed({ publicKey: mixed, scalar, message, nonce: 9n, encodedNonce: nonce })
  return [...cases, { name: 'key with a torsion part', publicKey: mixed, message, signature, accepted: false }]
}

function scalarCases(): Ed25519Case[] {
  const { publicKey } = keyPair()
  const message = messageOf(1)
  const good = ed25519.sign(message, SEED)
  const raised = littleEndian(numberOf(good.subarray(32)) + L)
  return [{ name: 'S + L', publicKey, message, signature: concatBytes(good.subarray(0, 32), raised), accepted: false }]
}

function nonceCases(): Ed25519Case[] {
  const { publicKey, scalar } = keyPair()
  const message = messageOf(2)
  const mixed = Point.BASE.multiply(5n).add(order8()).toBytes()
  const variants = [
    // Canonical, and right byte by byte: Node 20 takes it, Node 26 does not.
    { name: 'R the identity', nonce: 0n, encodedNonce: littleEndian(1n) },
    { name: 'non-canonical R, y = p + 1', nonce: 0n, encodedNonce: littleEndian(P + 1n) },
    { name: 'non-canonical R, x = 0 and sign bit', nonce: 0n, encodedNonce: withSign(littleEndian(1n)) },
    { name: 'R with a torsion part', nonce: 5n, encodedNonce: mixed },
    { name: 'R of order 8', nonce: 0n, encodedNonce: order8().toBytes() },
  ]
  return variants.map(({ name, ...nonce }) => {
    const signature = signed({ publicKey, scalar, message, ...nonce })
    return { name, publicKey, message, signature, accepted: false }
  })
}

function signed(input: {
  readonly publicKey: Uint8Array
  readonly scalar: bigint
  readonly message: Uint8Array
  readonly nonce: bigint
  readonly encodedNonce: Uint8Array
}): Uint8Array {
  const challenge = challengeOf(input.encodedNonce, input.publicKey, input.message) % L
  return concatBytes(input.encodedNonce, littleEndian((input.nonce + challenge * input.scalar) % L))
}

/** A message whose challenge, reduced, is a multiple of 8, so that torsion in the key has no part in the equation. */
function messageWithFactor8(nonce: Uint8Array, publicKey: Uint8Array): Uint8Array {
  for (let i = 0; i < 1000; i++) if ((challengeOf(nonce, publicKey, messageOf(i)) % L) % 8n === 0n) return messageOf(i)
  throw new Error('one of eight messages has such a challenge')
}

function challengeOf(nonce: Uint8Array, publicKey: Uint8Array, message: Uint8Array): bigint {
  return numberOf(sha512(concatBytes(nonce, publicKey, message)))
}

function keyPair(): { readonly publicKey: Uint8Array; readonly scalar: bigint } {
  const { pointBytes, scalar } = ed25519.utils.getExtendedPublicKey(SEED)
  return { publicKey: pointBytes, scalar }
}

function order8() {
  return Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05')
}

function messageOf(index: number): Uint8Array {
  return Uint8Array.of(index >> 8, index & 255)
}

function withSign(encoded: Uint8Array): Uint8Array {
  const bytes = encoded.slice()
  bytes[31]! |= 0x80
  return bytes
}

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n))
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${toHex(bytes.slice().reverse())}`)
}
