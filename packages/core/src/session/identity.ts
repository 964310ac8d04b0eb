/**
 * Identities: who signs and who can be written to. The public half is 3200 bytes of keys, the secret half 96 bytes of
 * seed, which no property, inspection, JSON, clone or error shows.
 *
 *   keys        = composite signature 1984 (ML-DSA-65 || Ed25519) || X-Wing 1216
 *   seed        = composite 64 || X-Wing 32
 *   fingerprint = SHA-256(context 'identity' || keys)
 *   public id   = 'ate1' || base32(keys || the first 4 bytes of the fingerprint), 5131 characters
 */
import { concatBytes, equalBytes, wipe } from '../base/bytes.ts'
import { type Randomness, randomBytes } from '../base/environment.ts'
import { AteError, assert } from '../base/errors.ts'
import { type Fingerprint, fingerprintOf, fromBase32, type PublicId, toBase32 } from '../base/ids.ts'
import { COMPOSITE_SECRET_BYTES, compositeSigner } from '../crypto/composite.ts'
import { type ContextName, contextBytes } from '../crypto/contexts.ts'
import type { ContextSigner, CryptoProvider, KemSecret } from '../crypto/provider.ts'
import { XWING_SECRET_BYTES, xWingSecret } from '../crypto/x-wing.ts'
import { fingerprintOfKeys, IDENTITY_KEYS_BYTES, kemKeyOf, signingKeyOf } from '../trust/identity-keys.ts'

export const IDENTITY_SEED_BYTES: number = COMPOSITE_SECRET_BYTES + XWING_SECRET_BYTES

/** Whom others know. The byte arrays are shared, not copied: read them, do not change them. */
export interface PublicIdentity {
  /** 52 characters. */
  readonly fingerprint: Fingerprint
  /** 32 bytes. */
  readonly fingerprintBytes: Uint8Array
  /** Self-contained text of all public keys, 5131 characters. */
  readonly publicId: PublicId
  /** 3200 bytes: signingKey, then kemKey. */
  readonly keys: Uint8Array
  /** 1984 bytes of MLDSA65-Ed25519-SHA512. */
  readonly signingKey: Uint8Array
  /** 1216 bytes of X-Wing. */
  readonly kemKey: Uint8Array
}

/** Who acts: a PublicIdentity with its secrets, which only signLater, identityKem, identityCheckpointSeed and identitySeed reach. */
export interface Identity extends PublicIdentity {
  /** The hybrid signature, 3373 bytes, under a context of its own (crypto/contexts.ts). */
  sign(message: Uint8Array, context: ContextName): Uint8Array
}

/** What makes identities: the primitives, and the randomness of fresh seeds and hedged signatures. */
export interface IdentityMakers {
  readonly crypto: CryptoProvider
  readonly random: Randomness
}

/** A fresh identity, in memory. */
export function newIdentity(makers: IdentityMakers): Identity {
  const seed = randomBytes(makers.random, IDENTITY_SEED_BYTES)
  try {
    return identityFromSeed(makers, seed)
  } finally {
    wipe(seed)
  }
}

/** The identity of a 96-byte seed (copied). The same seed gives the same identity on every provider. */
export function identityFromSeed(makers: IdentityMakers, seed: Uint8Array): Identity {
  assert(seed.length === IDENTITY_SEED_BYTES, `an identity seed is ${IDENTITY_SEED_BYTES} bytes`)
  return new SecretIdentity(makers, seed.slice())
}

/** The public half of stored keys (copied), 3200 bytes. */
export function publicIdentity(crypto: CryptoProvider, keys: Uint8Array): PublicIdentity {
  assert(keys.length === IDENTITY_KEYS_BYTES, `public keys are ${IDENTITY_KEYS_BYTES} bytes`)
  return new KnownIdentity(crypto, keys.slice())
}

/** @throws AteError BAD_PUBLIC_ID */
export function parsePublicId(crypto: CryptoProvider, text: unknown): PublicIdentity {
  const size = IDENTITY_KEYS_BYTES + CHECKSUM_BYTES
  const body =
    typeof text === 'string' && text.startsWith(PREFIX) ? fromBase32(text.slice(PREFIX.length), size) : undefined
  if (!body) throw badPublicId(text)
  const identity = new KnownIdentity(crypto, body.slice(0, IDENTITY_KEYS_BYTES))
  const checksum = identity.fingerprintBytes.subarray(0, CHECKSUM_BYTES)
  if (!equalBytes(checksum, body.subarray(IDENTITY_KEYS_BYTES)))
    throw new AteError('BAD_PUBLIC_ID', { what: 'checksum' })
  return identity
}

/** 32 bytes, of a publicId or a fingerprint as text. @throws AteError BAD_PUBLIC_ID */
export function fingerprintInText(crypto: CryptoProvider, text: string): Uint8Array {
  return fromBase32(text, 32) ?? parsePublicId(crypto, text).fingerprintBytes
}

/** A fingerprint is the likeliest mistake. */
function badPublicId(text: unknown): AteError {
  const isFingerprint = typeof text === 'string' && fromBase32(text, FINGERPRINT_BYTES) !== undefined
  const hint = 'this is a fingerprint, which holds no keys; give the publicId of the identity'
  return new AteError(
    'BAD_PUBLIC_ID',
    { length: typeof text === 'string' ? text.length : undefined },
    isFingerprint ? { hint } : {},
  )
}

/** True for an Identity (with secrets) of any copy of this package. */
export function isIdentity(value: unknown): value is Identity {
  return typeof value === 'object' && value !== null && (value as { [BRAND]?: unknown })[BRAND] === true
}

/** What opens secrets that were wrapped to this identity. */
export function identityKem(identity: Identity): KemSecret {
  return SecretIdentity.secretsOf(identity).kem
}

/** As `identity.sign`, beside this thread; undefined where the platform has no other thread for it, or none to spare. */
export function signLater(
  identity: Identity,
  message: Uint8Array,
  context: ContextName,
): Promise<Uint8Array> | undefined {
  const { signer, random } = SecretIdentity.secretsOf(identity)
  return signer.signLater?.(message, contextBytes(context), random)
}

/** 32 bytes for a key that signs checkpoints, one for each nonce (at least 16 bytes). Wipe it after use. */
export function identityCheckpointSeed(identity: Identity, nonce: Uint8Array): Uint8Array {
  assert(nonce.length >= 16, 'a checkpoint nonce is at least 16 bytes')
  const { crypto, seed } = SecretIdentity.secretsOf(identity)
  return crypto.hkdfSha256(seed, nonce, contextBytes('checkpointKey'), 32)
}

const kept = new WeakSet<Identity>()

/** The identity outlives this process: what is remembered in its name is worth keeping. */
export function markKept(identity: Identity): Identity {
  kept.add(identity)
  return identity
}

export function isKept(identity: Identity): boolean {
  return kept.has(identity)
}

/** A copy of the 96 bytes, for saving. Wipe it after use. */
export function identitySeed(identity: Identity): Uint8Array {
  return SecretIdentity.secretsOf(identity).seed.slice()
}

const BRAND: unique symbol = Symbol.for('ate.identity')
const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')
const PREFIX = 'ate1'
const CHECKSUM_BYTES = 4
const FINGERPRINT_BYTES = 32

class KnownIdentity implements PublicIdentity {
  // The only property of the object itself: what a structured clone carries.
  readonly fingerprint: Fingerprint
  readonly #fingerprintBytes: Uint8Array
  readonly #keys: Uint8Array
  #publicId: PublicId | undefined

  constructor(crypto: CryptoProvider, keys: Uint8Array) {
    this.#keys = keys
    this.#fingerprintBytes = fingerprintOfKeys(crypto, keys)
    this.fingerprint = fingerprintOf(this.#fingerprintBytes)
  }

  get fingerprintBytes(): Uint8Array {
    return this.#fingerprintBytes
  }

  get publicId(): PublicId {
    if (this.#publicId === undefined) {
      const checksum = this.#fingerprintBytes.subarray(0, CHECKSUM_BYTES)
      this.#publicId = (PREFIX + toBase32(concatBytes(this.#keys, checksum))) as PublicId
    }
    return this.#publicId
  }

  get keys(): Uint8Array {
    return this.#keys
  }

  get signingKey(): Uint8Array {
    return signingKeyOf(this.#keys)
  }

  get kemKey(): Uint8Array {
    return kemKeyOf(this.#keys)
  }

  toString(): string {
    return `Identity(${this.fingerprint})`
  }

  toJSON(): { readonly fingerprint: Fingerprint } {
    return { fingerprint: this.fingerprint }
  }

  [INSPECT](): string {
    return this.toString()
  }
}

interface Secrets {
  readonly crypto: CryptoProvider
  readonly random: Randomness
  readonly seed: Uint8Array
  readonly signer: ContextSigner
  readonly kem: KemSecret
}

class SecretIdentity extends KnownIdentity implements Identity {
  readonly #secrets: Secrets

  /** Takes `seed` over. */
  constructor({ crypto, random }: IdentityMakers, seed: Uint8Array) {
    const signer = compositeSigner(crypto, seed.subarray(0, COMPOSITE_SECRET_BYTES))
    const kem = xWingSecret(crypto, seed.subarray(COMPOSITE_SECRET_BYTES))
    super(crypto, concatBytes(signer.publicKey, kem.publicKey))
    this.#secrets = { crypto, random, seed, signer, kem }
  }

  get [BRAND](): true {
    return true
  }

  sign(message: Uint8Array, context: ContextName): Uint8Array {
    return this.#secrets.signer.sign(message, contextBytes(context), this.#secrets.random)
  }

  /** Private state is reached through the class that made it: neither a look-alike nor another copy's object passes. */
  static secretsOf(identity: Identity): Secrets {
    if (typeof identity === 'object' && identity !== null && #secrets in identity) return identity.#secrets
    const hint = isIdentity(identity)
      ? 'the identity was made by another copy of @ate/core; install one copy'
      : undefined
    throw new AteError(
      'BAD_ARGUMENT',
      { argument: 'identity', wanted: 'an Identity' },
      hint === undefined ? {} : { hint },
    )
  }
}
