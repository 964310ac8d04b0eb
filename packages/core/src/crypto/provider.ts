/**
 * The contract of a crypto provider: the primitives of suite 1, nothing of ours on top.
 *
 * Every provider gives the same bytes for the same input (proved by one suite of vectors and by random interop in
 * test/crypto). Keys are handles: what is costly (import, the check of a public key) is done once, when one is made.
 * Keys, nonces, seeds and KEM ciphertexts have exact lengths; a wrong one is a mistake of ours, so it is asserted (INTERNAL).
 * A signature or a tag of a wrong length comes from outside: it is refused like any other that does not fit. A handle
 * keeps a copy of its secret, so the caller may wipe his.
 */
import type { Randomness } from '../base/environment.ts'

export interface Signer {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

export interface Verifier {
  verify(message: Uint8Array, signature: Uint8Array): boolean
  /**
   * The same answer, worked out beside this thread; absent, or undefined, where the platform has no other thread for it. The bytes stay
   * as they are until then. A provider that fails rejects, and says nothing about the signature.
   */
  verifyLater?(message: Uint8Array, signature: Uint8Array): Promise<boolean> | undefined
}

export interface ContextSigner {
  readonly publicKey: Uint8Array
  /** Hedged; a provider that can takes its randomness from `random`, so that a seeded run repeats. */
  sign(message: Uint8Array, context: Uint8Array, random: Randomness): Uint8Array
  /**
   * The same, made beside this thread; absent, or undefined, where the platform has no other thread for it, or has given it as
   * much as it takes. The bytes stay as they are until then.
   */
  signLater?(message: Uint8Array, context: Uint8Array, random: Randomness): Promise<Uint8Array> | undefined
}

export interface ContextVerifier {
  verify(message: Uint8Array, signature: Uint8Array, context: Uint8Array): boolean
}

export interface AgreementSecret {
  readonly publicKey: Uint8Array
  /** Undefined for a low-order public key (an all-zero shared secret). */
  agree(publicKey: Uint8Array): Uint8Array | undefined
  /** As an AES key's. */
  wipe?(): void
}

export interface KemSecret {
  readonly publicKey: Uint8Array
  /** Never fails on a wrong ciphertext of the right length (implicit rejection): confirm by a commitment. */
  decapsulate(ciphertext: Uint8Array): Uint8Array
}

/** An AES-256 key, imported once. */
export interface AesKey {
  /**
   * GCM, 12-byte nonce, no additional data: the ciphertext, as long as the plaintext, and a 16-byte tag. A provider that can
   * writes the ciphertext to `out`, which is at least as long, and gives a view of that.
   */
  seal(
    nonce: Uint8Array,
    plaintext: Uint8Array,
    out?: Uint8Array,
  ): { readonly ciphertext: Uint8Array; readonly tag: Uint8Array }
  /** Undefined if the tag does not fit. */
  open(nonce: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array | undefined
  /** The bytes of a GCM ciphertext that stand at `offset`, opened alone: counter mode, no tag. The caller has checked a hash. `out` as in seal. */
  openSlice(nonce: Uint8Array, slice: Uint8Array, offset: number, out?: Uint8Array): Uint8Array
  /** GMAC (SP 800-38D): the 16-byte tag of `bytes` as additional data of an empty text. Absent where it would not be faster than a hash. */
  mac?(nonce: Uint8Array, bytes: Uint8Array): Uint8Array
  /** Overwrites the handle's copy of the key; afterwards it seals and opens nothing of use. Absent where the platform holds keys itself. */
  wipe?(): void
}

export interface Argon2Parameters {
  readonly memoryKiB: number
  readonly passes: number
  readonly lanes: number
}

/** Synchronous primitives. All algorithms are there: a platform completes a native provider with noble's. */
export interface CryptoProvider {
  readonly name: string
  sha256(data: Uint8Array): Uint8Array
  /** Writes the 32 bytes of the hash to `out` at `at`: the hot path makes no object an event. */
  sha256Into(data: Uint8Array, out: Uint8Array, at: number): void
  /**
   * The same hash, worked out beside this thread; absent where the platform has no other thread for it. The bytes stay as they are until
   * then. Of memory that threads share it costs this one least.
   */
  sha256Later?(data: Uint8Array): Promise<Uint8Array>
  sha512(data: Uint8Array): Uint8Array
  sha3_256(data: Uint8Array): Uint8Array
  /** The first `size` bytes of SHAKE256: the key expansion of X-Wing. */
  shake256(data: Uint8Array, size: number): Uint8Array
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array
  hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array
  hkdfSha512(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array
  /** RFC 8032 with a 32-byte seed. */
  ed25519Signer(seed: Uint8Array): Signer
  /**
   * One rule on every provider: the key is a canonical encoding of a point of the prime-order subgroup other than the
   * identity (no small order, no torsion part), S < L, R is not the identity, and R is compared byte by byte with the
   * recomputed one.
   * A key that breaks the rule gives a verifier that refuses everything.
   */
  ed25519Verifier(publicKey: Uint8Array): Verifier
  /** RFC 7748. */
  x25519Secret(secret: Uint8Array): AgreementSecret
  /** FIPS 204 from a 32-byte seed; pure ML-DSA with context. */
  mlDsa65Signer(seed: Uint8Array): ContextSigner
  mlDsa65Verifier(publicKey: Uint8Array): ContextVerifier
  /** FIPS 203 from a 64-byte seed (d || z). */
  mlKem768Secret(seed: Uint8Array): KemSecret
  /** Undefined for a public key that is not reduced (FIPS 203, 7.2). A native provider may draw randomness of its own. */
  mlKem768Encapsulate(
    publicKey: Uint8Array,
    random: Randomness,
  ): { readonly ciphertext: Uint8Array; readonly shared: Uint8Array } | undefined
  aesKey(key: Uint8Array): AesKey
  /** May come later: it is asked for at most once an identity, and a platform may load it then. */
  argon2id(
    password: Uint8Array,
    salt: Uint8Array,
    parameters: Argon2Parameters,
    size: number,
  ): Uint8Array | Promise<Uint8Array>
}

type Later<F> = F extends (...args: infer A) => infer R ? (...args: A) => R | Promise<R> : F
type LaterHandle<H> = { readonly [K in keyof H]: Later<H[K]> }

/**
 * The same primitives where they may answer later (WebCrypto), and where some may be missing. Every synchronous provider
 * is one of these.
 */
export type AsyncCryptoProvider = { readonly name: string } & {
  readonly [K in keyof Omit<CryptoProvider, 'name' | 'sha256Into' | 'sha256Later'>]?: LaterPrimitive<CryptoProvider[K]>
}

/** Bytes may come later; so may handles, and what their methods answer. (In brackets: a union is one answer, not two.) */
type LaterPrimitive<F> = F extends (...args: infer A) => infer R
  ? (
      ...args: A
    ) => [Awaited<R>] extends [Uint8Array | { readonly ciphertext: Uint8Array } | undefined]
      ? R | Promise<R>
      : LaterHandle<R> | Promise<LaterHandle<R>>
  : never
