/**
 * Sealed blocks: the bodies of one commit under one epoch key, one AES-256-GCM call.
 *
 *   salt   = HMAC(HKDF(secret, 'seal-hedge'), random 32 || SHA-256(plaintext)), drawn inside at every sealing
 *   key 32 || nonce 12 || commitment 32 = HKDF-SHA-256(secret, salt, 'seal' || info, 76)
 *   block  = salt 32, commitment 32, tag 16, ciphertext as long as the plaintext
 *
 * No additional data: `info` binds the block to its place, and the commit's signature binds the event headers to the
 * slices by the hashes of their ciphertext. A slice is opened alone only against such a hash.
 */

import { wipe } from '../base/bytes.ts'
import type { Randomness } from '../base/environment.ts'
import { assert } from '../base/errors.ts'
import type { CommittedKey } from './committed-key.ts'
import { committedKey, confirmedKey, hedgedSalt, infoOf, SALT_BYTES } from './committed-key.ts'
import type { CryptoProvider, KemSecret } from './provider.ts'
import * as sizes from './sizes.ts'
import { XWING_CIPHERTEXT_BYTES, xWingEncapsulate } from './x-wing.ts'

export interface SealedBlock {
  readonly salt: Uint8Array
  readonly commitment: Uint8Array
  readonly tag: Uint8Array
  readonly ciphertext: Uint8Array
}

/** A block for the holder of a public key: its secret is in `encapsulated` (1120 bytes). */
export interface PublicSealedBlock extends SealedBlock {
  readonly encapsulated: Uint8Array
}

export interface BlockKey {
  /** The whole block; undefined if the ciphertext or the tag was altered. */
  open(ciphertext: Uint8Array, tag: Uint8Array): Uint8Array | undefined
  /** The ciphertext bytes at `offset`, alone. Not authenticated: the caller has compared the slice's hash before. `out`: as of an AES key. */
  openSlice(slice: Uint8Array, offset: number, out?: Uint8Array): Uint8Array
}

/** Where a block stands. Two blocks never have the same: a writer gives each of its numbers once, each epoch one block. */
export interface SealPlace {
  readonly suite: number
  /** 32 bytes */
  readonly chain: Uint8Array
  /** 16 bytes */
  readonly node: Uint8Array
  readonly epoch: number
  /** 32 bytes */
  readonly writer: Uint8Array
  readonly writerSeq: number
}

export const SEAL_INFO_BYTES = 97

/** suite 1 || chain 32 || node 16 || epoch 8 || writer 32 || writerSeq 8; integers big-endian. */
export function sealInfo(place: SealPlace): Uint8Array {
  assert(Number.isInteger(place.suite) && place.suite >= 0 && place.suite < 256, 'a suite is one byte')
  sizes.assertSize(place.chain, 32, 'a chain id')
  sizes.assertSize(place.node, 16, 'a node id')
  sizes.assertSize(place.writer, 32, 'a writer id')
  const info = new Uint8Array(SEAL_INFO_BYTES)
  info[0] = place.suite
  info.set(place.chain, 1)
  info.set(place.node, 33)
  putSafeInteger(info, 49, place.epoch)
  info.set(place.writer, 57)
  putSafeInteger(info, 89, place.writerSeq)
  return info
}

function putSafeInteger(bytes: Uint8Array, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'an epoch and a writer number are below 2^53')
  // By hand: a view of two integers costs more than a hash.
  let rest = value
  for (let i = 7; i >= 0; i--) {
    bytes[at + i] = rest % 256
    rest = Math.floor(rest / 256)
  }
}

/** What a large plaintext is sealed with: what stands for it in the hedge, and where to seal it to, as in the contract of an AES key. */
export interface SealingAhead {
  /** Two plaintexts never have the same, as far as anybody can tell who lacks `secret`; undefined: their SHA-256 stands for them. */
  readonly digest: (secret: Uint8Array) => Uint8Array | undefined
  readonly out: Uint8Array
}

/** Seals `plaintext` under a 32-byte epoch key. */
export function sealBlock(
  crypto: CryptoProvider,
  random: Randomness,
  input: { readonly secret: Uint8Array; readonly info: Uint8Array; readonly plaintext: Uint8Array },
  ahead?: SealingAhead,
): SealedBlock {
  sizes.assertSize(input.secret, sizes.SECRET_BYTES, 'an epoch key')
  const salt = hedgedSalt(crypto, random, input.secret, 'sealHedge', input.plaintext, ahead?.digest(input.secret))
  const key = committedKey(crypto, input.secret, salt, infoOf('seal', input.info))
  const { ciphertext, tag } = key.aes.seal(key.nonce, input.plaintext, ahead?.out)
  return { salt, commitment: key.commitment, tag, ciphertext }
}

/** The key of a block, or undefined if `secret`, `info` or `salt` do not fit the commitment. */
export function openBlockKey(
  crypto: CryptoProvider,
  input: {
    readonly secret: Uint8Array
    readonly info: Uint8Array
    readonly salt: Uint8Array
    readonly commitment: Uint8Array
  },
): BlockKey | undefined {
  sizes.assertSize(input.secret, sizes.SECRET_BYTES, 'an epoch key')
  // HKDF pads a salt with zeros, so a salt of another length could be the same key: one block has one form.
  if (input.salt.length !== SALT_BYTES) return undefined
  const key = confirmedKey(crypto, input.secret, input.salt, infoOf('seal', input.info), input.commitment)
  return key && blockKey(key)
}

function blockKey({ aes, nonce }: CommittedKey): BlockKey {
  return {
    open: (ciphertext, tag) => aes.open(nonce, ciphertext, tag),
    openSlice: (slice, offset, out) => aes.openSlice(nonce, slice, offset, out),
  }
}

/**
 * Seals for whoever holds the secret of an X-Wing public key: for writers who may not read. The sealer forgets the
 * block's secret. Undefined for an invalid public key.
 */
export function sealBlockTo(
  crypto: CryptoProvider,
  random: Randomness,
  input: { readonly publicKey: Uint8Array; readonly info: Uint8Array; readonly plaintext: Uint8Array },
): PublicSealedBlock | undefined {
  const encapsulation = xWingEncapsulate(crypto, input.publicKey, random)
  if (!encapsulation) return undefined
  const { ciphertext: encapsulated, shared } = encapsulation
  const secret = publicBlockSecret(crypto, { shared, encapsulated, publicKey: input.publicKey, info: input.info })
  const block = sealBlock(crypto, random, { secret, info: input.info, plaintext: input.plaintext })
  wipe(secret)
  return { ...block, encapsulated }
}

/** The secret of a block made by `sealBlockTo`, for `openBlockKey`, whose commitment says whether it fits. */
export function blockSecretFrom(
  crypto: CryptoProvider,
  kemSecret: KemSecret,
  encapsulated: Uint8Array,
  info: Uint8Array,
): Uint8Array | undefined {
  if (encapsulated.length !== XWING_CIPHERTEXT_BYTES) return undefined
  const shared = kemSecret.decapsulate(encapsulated)
  return publicBlockSecret(crypto, { shared, encapsulated, publicKey: kemSecret.publicKey, info })
}

/** Binds the recipient's key and the encapsulation, so that neither can be exchanged for another with the same secret. */
function publicBlockSecret(
  crypto: CryptoProvider,
  parts: {
    readonly shared: Uint8Array
    readonly encapsulated: Uint8Array
    readonly publicKey: Uint8Array
    readonly info: Uint8Array
  },
): Uint8Array {
  const info = infoOf('sealPublic', crypto.sha256(parts.encapsulated), crypto.sha256(parts.publicKey), parts.info)
  const secret = crypto.hkdfSha256(parts.shared, new Uint8Array(0), info, sizes.SECRET_BYTES)
  wipe(parts.shared)
  return secret
}
