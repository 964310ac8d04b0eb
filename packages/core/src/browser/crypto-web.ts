/**
 * The crypto provider of a WebCrypto runtime: the algorithms that it has, and that pass the self-test; the others are
 * left out, and the caller takes noble's.
 *
 * Every call answers later. Keys are imported once a handle, and cannot be exported again. Ed25519 follows the one rule:
 * our check of the key, and a runtime whose verification takes what the rule refuses (a cofactored equation) counts as
 * one without Ed25519.
 */
import { concatBytes, wipe } from '../base/bytes.ts'
import { AteError, assert } from '../base/errors.ts'
import { ed25519Key, ed25519SignatureAllowed } from '../crypto/ed25519-rule.ts'
import { counterBlock } from '../crypto/noble-base.ts'
import type { AsyncCryptoProvider } from '../crypto/provider.ts'
import { ALGORITHM_METHODS, ALGORITHMS, testAlgorithmLater } from '../crypto/self-test.ts'
import * as sizes from '../crypto/sizes.ts'

/** What newer runtimes add (WICG Modern Algorithms), and what the DOM types do not know yet. */
interface ModernSubtle {
  importKey(
    format: 'raw-seed' | 'raw-public',
    key: Uint8Array,
    algorithm: string,
    extractable: boolean,
    usages: string[],
  ): Promise<CryptoKey>
  exportKey(format: 'raw-public', key: CryptoKey): Promise<ArrayBuffer>
  getPublicKey(key: CryptoKey, usages: string[]): Promise<CryptoKey>
  encapsulateBits(
    algorithm: string,
    key: CryptoKey,
  ): Promise<{ readonly sharedKey: ArrayBuffer; readonly ciphertext: ArrayBuffer }>
  decapsulateBits(algorithm: string, key: CryptoKey, ciphertext: Uint8Array): Promise<ArrayBuffer>
}

/**
 * The algorithms of `subtle` that work.
 * @throws AteError CRYPTO_SELF_TEST if one answers wrongly: the runtime is broken.
 */
export async function webCryptoProvider(subtle: SubtleCrypto): Promise<AsyncCryptoProvider> {
  const everything = candidates(subtle)
  const working = new Set<string>(['name'])
  for (const algorithm of ALGORITHMS) {
    const result = await testAlgorithmLater(everything, algorithm)
    if (result === 'wrong') throw new AteError('CRYPTO_SELF_TEST', { provider: everything.name, algorithm, result })
    if (result === 'works') for (const method of ALGORITHM_METHODS[algorithm]) working.add(method)
  }
  const kept = Object.entries(everything).filter(([name]) => working.has(name))
  return Object.fromEntries(kept) as AsyncCryptoProvider
}

function candidates(subtle: SubtleCrypto): AsyncCryptoProvider {
  const modern = subtle as unknown as ModernSubtle
  return {
    name: 'webcrypto',
    sha256: (data) => digest(subtle, 'SHA-256', data),
    sha512: (data) => digest(subtle, 'SHA-512', data),
    async hmacSha256(key, data) {
      // WebCrypto refuses an empty key; HMAC pads with zeros, so one zero byte is the same key.
      const bytes = own(key.length === 0 ? new Uint8Array(1) : key)
      const imported = await subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
      return new Uint8Array(await subtle.sign('HMAC', imported, own(data)))
    },
    hkdfSha256: (secret, salt, info, size) => hkdf(subtle, 'SHA-256', { secret, salt, info, size }),
    hkdfSha512: (secret, salt, info, size) => hkdf(subtle, 'SHA-512', { secret, salt, info, size }),
    ed25519Signer: (seed) => ed25519Signer(subtle, seed),
    ed25519Verifier: (publicKey) => ed25519Verifier(subtle, publicKey),
    x25519Secret: (secret) => x25519Secret(subtle, secret),
    async mlDsa65Signer(seed) {
      sizes.assertSize(seed, sizes.MLDSA65_SEED_BYTES, 'an ML-DSA-65 seed')
      const key = await modern.importKey('raw-seed', seed.slice(), 'ML-DSA-65', false, ['sign'])
      const publicKey = await modern.exportKey('raw-public', await modern.getPublicKey(key, ['verify']))
      return {
        publicKey: new Uint8Array(publicKey),
        sign: async (message, context) =>
          new Uint8Array(await subtle.sign(withContext('ML-DSA-65', context), key, own(message))),
      }
    },
    async mlDsa65Verifier(publicKey) {
      sizes.assertSize(publicKey, sizes.MLDSA65_PUBLIC_BYTES, 'an ML-DSA-65 public key')
      const key = await modern.importKey('raw-public', publicKey.slice(), 'ML-DSA-65', false, ['verify'])
      return {
        async verify(message, signature, context) {
          if (signature.length !== sizes.MLDSA65_SIGNATURE_BYTES) return false
          if (context.length > sizes.SIGNATURE_CONTEXT_BYTES_MAX) return false
          return subtle.verify(withContext('ML-DSA-65', context), key, own(signature), own(message))
        },
      }
    },
    async mlKem768Secret(seed) {
      sizes.assertSize(seed, sizes.MLKEM768_SEED_BYTES, 'an ML-KEM-768 seed')
      const key = await modern.importKey('raw-seed', seed.slice(), 'ML-KEM-768', false, ['decapsulateBits'])
      const publicKey = await modern.exportKey('raw-public', await modern.getPublicKey(key, ['encapsulateBits']))
      return {
        publicKey: new Uint8Array(publicKey),
        async decapsulate(ciphertext) {
          sizes.assertSize(ciphertext, sizes.MLKEM768_CIPHERTEXT_BYTES, 'an ML-KEM-768 ciphertext')
          return new Uint8Array(await modern.decapsulateBits('ML-KEM-768', key, ciphertext))
        },
      }
    },
    async mlKem768Encapsulate(publicKey) {
      sizes.assertSize(publicKey, sizes.MLKEM768_PUBLIC_BYTES, 'an ML-KEM-768 public key')
      const key = await imported(
        modern.importKey('raw-public', publicKey.slice(), 'ML-KEM-768', false, ['encapsulateBits']),
      )
      if (!key) return undefined // not reduced
      const { ciphertext, sharedKey } = await modern.encapsulateBits('ML-KEM-768', key)
      return { ciphertext: new Uint8Array(ciphertext), shared: new Uint8Array(sharedKey) }
    },
    aesKey: (key) => aesKey(subtle, key),
  }
}

async function digest(subtle: SubtleCrypto, name: string, data: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await subtle.digest(name, own(data)))
}

async function hkdf(
  subtle: SubtleCrypto,
  hash: string,
  input: {
    readonly secret: Uint8Array
    readonly salt: Uint8Array
    readonly info: Uint8Array
    readonly size: number
  },
): Promise<Uint8Array> {
  const key = await subtle.importKey('raw', own(input.secret), 'HKDF', false, ['deriveBits'])
  const parameters = { name: 'HKDF', hash, salt: own(input.salt), info: own(input.info) }
  return new Uint8Array(await subtle.deriveBits(parameters, key, 8 * input.size))
}

async function ed25519Signer(subtle: SubtleCrypto, seed: Uint8Array) {
  sizes.assertSize(seed, sizes.ED25519_SEED_BYTES, 'an Ed25519 seed')
  const copy = seed.slice() // the caller may wipe his between the two imports
  const publicKey = await publicBytes(subtle, await importSecret(subtle, 'Ed25519', copy, true))
  const key = await importSecret(subtle, 'Ed25519', copy, false)
  wipe(copy)
  return {
    publicKey,
    sign: async (message: Uint8Array) => new Uint8Array(await subtle.sign('Ed25519', key, own(message))),
  }
}

async function ed25519Verifier(subtle: SubtleCrypto, publicKey: Uint8Array) {
  sizes.assertSize(publicKey, sizes.ED25519_PUBLIC_BYTES, 'an Ed25519 public key')
  if (!ed25519Key(publicKey)) return { verify: async () => false }
  const key = await subtle.importKey('raw', own(publicKey.slice()), 'Ed25519', false, ['verify'])
  return {
    verify: async (message: Uint8Array, signature: Uint8Array) =>
      ed25519SignatureAllowed(signature) && subtle.verify('Ed25519', key, own(signature), own(message)),
  }
}

async function x25519Secret(subtle: SubtleCrypto, secret: Uint8Array) {
  sizes.assertSize(secret, sizes.X25519_BYTES, 'an X25519 secret')
  const copy = secret.slice()
  const publicKey = await publicBytes(subtle, await importSecret(subtle, 'X25519', copy, true))
  const mine = await importSecret(subtle, 'X25519', copy, false)
  wipe(copy)
  return {
    publicKey,
    async agree(publicKey: Uint8Array): Promise<Uint8Array | undefined> {
      sizes.assertSize(publicKey, sizes.X25519_BYTES, 'an X25519 public key')
      const theirs = await subtle.importKey('raw', own(publicKey), 'X25519', false, [])
      try {
        return new Uint8Array(await subtle.deriveBits({ name: 'X25519', public: theirs }, mine, 256))
      } catch {
        return undefined // both keys were imported, so it is the all-zero result of a low-order one
      }
    },
  }
}

async function aesKey(subtle: SubtleCrypto, bytes: Uint8Array) {
  sizes.assertSize(bytes, sizes.AES_KEY_BYTES, 'an AES key')
  const copy = bytes.slice()
  const whole = await subtle.importKey('raw', own(copy), 'AES-GCM', false, ['encrypt', 'decrypt'])
  const counter = await subtle.importKey('raw', own(copy), 'AES-CTR', false, ['encrypt'])
  wipe(copy)
  return {
    async seal(nonce: Uint8Array, plaintext: Uint8Array) {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      const sealed = await subtle.encrypt({ name: 'AES-GCM', iv: own(nonce) }, whole, own(plaintext))
      const size = plaintext.length
      return { ciphertext: new Uint8Array(sealed, 0, size), tag: new Uint8Array(sealed, size) }
    },
    async open(nonce: Uint8Array, ciphertext: Uint8Array, tag: Uint8Array): Promise<Uint8Array | undefined> {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      if (tag.length !== sizes.AES_TAG_BYTES) return undefined
      try {
        const sealed = own(concatBytes(ciphertext, tag))
        return new Uint8Array(await subtle.decrypt({ name: 'AES-GCM', iv: own(nonce) }, whole, sealed))
      } catch {
        return undefined
      }
    },
    async openSlice(nonce: Uint8Array, slice: Uint8Array, offset: number): Promise<Uint8Array> {
      const skip = offset % 16
      const padded = skip === 0 ? slice : concatBytes(new Uint8Array(skip), slice)
      const parameters = { name: 'AES-CTR', counter: own(counterBlock(nonce, offset)), length: 32 }
      return new Uint8Array(await subtle.encrypt(parameters, counter, own(padded)), skip)
    },
  }
}

/** PKCS#8 (RFC 8410): `raw` is for public keys only. */
async function importSecret(
  subtle: SubtleCrypto,
  curve: 'Ed25519' | 'X25519',
  secret: Uint8Array,
  extractable: boolean,
): Promise<CryptoKey> {
  const last = curve === 'Ed25519' ? 0x70 : 0x6e
  const header = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, last, 4, 0x22, 4, 0x20)
  const der = concatBytes(header, secret)
  try {
    const usages: KeyUsage[] = curve === 'Ed25519' ? ['sign'] : ['deriveBits']
    return await subtle.importKey('pkcs8', own(der), curve, extractable, usages)
  } finally {
    wipe(der)
  }
}

/** The public key of an extractable private key: only its JWK form tells it. */
async function publicBytes(subtle: SubtleCrypto, key: CryptoKey): Promise<Uint8Array> {
  const { x } = await subtle.exportKey('jwk', key)
  assert(x, 'a private key has x')
  const text = atob(x.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(text, (character) => character.charCodeAt(0))
}

async function imported(key: Promise<CryptoKey>): Promise<CryptoKey | undefined> {
  try {
    return await key
  } catch {
    return undefined
  }
}

function withContext(name: string, context: Uint8Array): AlgorithmIdentifier {
  const parameters: Algorithm & { context: Uint8Array } = { name, context }
  return parameters
}

/** The DOM types want bytes that are not shared between threads; ours never are. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>
}
