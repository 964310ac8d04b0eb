/**
 * The crypto provider that runs everywhere, without Argon2 (noble.ts has all): @noble libraries, pure JavaScript, no native code.
 *
 * Invariant: deterministic. The same inputs and the same `random` give the same bytes, so a seed replays a run.
 * Not constant-time (JavaScript is not), and slow: 6 ms for an ML-DSA-65 signature. Platforms put native code before it.
 */
import { ctr, gcm } from '@noble/ciphers/aes.js'
import { ed25519, x25519 } from '@noble/curves/ed25519.js'
import { hkdf } from '@noble/hashes/hkdf.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256, sha512 } from '@noble/hashes/sha2.js'
import { sha3_256, shake256 } from '@noble/hashes/sha3.js'
import { ml_dsa65 } from '@noble/post-quantum/ml-dsa.js'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { concatBytes, wipe } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { assert } from '../base/errors.ts'
import { ed25519Key, ed25519Matches, ed25519SignatureAllowed } from './ed25519-rule.ts'
import type {
  AesKey,
  AgreementSecret,
  ContextSigner,
  ContextVerifier,
  CryptoProvider,
  KemSecret,
  Signer,
  Verifier,
} from './provider.ts'
import * as sizes from './sizes.ts'

export const nobleBase: Omit<CryptoProvider, 'argon2id'> = {
  name: 'noble',
  sha256: (data) => sha256(data),
  sha256Into(data, out, at) {
    assert(at >= 0 && at + sizes.HASH_BYTES <= out.length, 'the hash must fit the out buffer')
    sha256
      .create()
      .update(data)
      .digestInto(out.subarray(at, at + sizes.HASH_BYTES))
  },
  sha512: (data) => sha512(data),
  sha3_256: (data) => sha3_256(data),
  shake256: (data, size) => shake256(data, { dkLen: size }),
  hmacSha256: (key, data) => hmac(sha256, key, data),
  hkdfSha256: (secret, salt, info, size) => hkdf(sha256, secret, salt, info, size),
  hkdfSha512: (secret, salt, info, size) => hkdf(sha512, secret, salt, info, size),
  ed25519Signer,
  ed25519Verifier,
  x25519Secret,
  mlDsa65Signer,
  mlDsa65Verifier,
  mlKem768Secret,
  mlKem768Encapsulate(publicKey, random) {
    sizes.assertSize(publicKey, sizes.MLKEM768_PUBLIC_BYTES, 'an ML-KEM-768 public key')
    const message = randomBytes(random, 32)
    try {
      const { cipherText, sharedSecret } = ml_kem768.encapsulate(publicKey, message)
      return { ciphertext: cipherText, shared: sharedSecret }
    } catch {
      return undefined
    } finally {
      wipe(message)
    }
  },
  aesKey,
}

function ed25519Signer(seed: Uint8Array): Signer {
  sizes.assertSize(seed, sizes.ED25519_SEED_BYTES, 'an Ed25519 seed')
  const secret = seed.slice()
  return { publicKey: ed25519.getPublicKey(secret), sign: (message) => ed25519.sign(message, secret) }
}

function ed25519Verifier(publicKey: Uint8Array): Verifier {
  sizes.assertSize(publicKey, sizes.ED25519_PUBLIC_BYTES, 'an Ed25519 public key')
  const encoded = publicKey.slice()
  const key = ed25519Key(encoded)
  return {
    verify(message, signature) {
      if (!key || !ed25519SignatureAllowed(signature)) return false
      return ed25519Matches(key, sha512(concatBytes(signature.subarray(0, 32), encoded, message)), signature)
    },
  }
}

function x25519Secret(bytes: Uint8Array): AgreementSecret {
  sizes.assertSize(bytes, sizes.X25519_BYTES, 'an X25519 secret')
  const secret = bytes.slice()
  return {
    publicKey: x25519.getPublicKey(secret),
    agree(publicKey) {
      sizes.assertSize(publicKey, sizes.X25519_BYTES, 'an X25519 public key')
      try {
        return x25519.getSharedSecret(secret, publicKey)
      } catch {
        return undefined // the lengths are right, so it is the all-zero result of a low-order key
      }
    },
    wipe: () => wipe(secret),
  }
}

function mlDsa65Signer(seed: Uint8Array): ContextSigner {
  sizes.assertSize(seed, sizes.MLDSA65_SEED_BYTES, 'an ML-DSA-65 seed')
  const { secretKey, publicKey } = ml_dsa65.keygen(seed.slice())
  return {
    publicKey,
    sign(message, context, random) {
      const extraEntropy = randomBytes(random, 32)
      return ml_dsa65.sign(message, secretKey, { context, extraEntropy })
    },
  }
}

function mlDsa65Verifier(publicKey: Uint8Array): ContextVerifier {
  sizes.assertSize(publicKey, sizes.MLDSA65_PUBLIC_BYTES, 'an ML-DSA-65 public key')
  const encoded = publicKey.slice()
  return {
    verify(message, signature, context) {
      if (signature.length !== sizes.MLDSA65_SIGNATURE_BYTES || context.length > sizes.SIGNATURE_CONTEXT_BYTES_MAX)
        return false
      return ml_dsa65.verify(signature, message, encoded, { context })
    },
  }
}

function mlKem768Secret(seed: Uint8Array): KemSecret {
  sizes.assertSize(seed, sizes.MLKEM768_SEED_BYTES, 'an ML-KEM-768 seed')
  const { secretKey, publicKey } = ml_kem768.keygen(seed.slice())
  return {
    publicKey,
    decapsulate(ciphertext) {
      sizes.assertSize(ciphertext, sizes.MLKEM768_CIPHERTEXT_BYTES, 'an ML-KEM-768 ciphertext')
      return ml_kem768.decapsulate(ciphertext, secretKey)
    },
  }
}

function aesKey(key: Uint8Array): AesKey {
  sizes.assertSize(key, sizes.AES_KEY_BYTES, 'an AES key')
  const secret = key.slice()
  return {
    seal(nonce, plaintext) {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      const sealed = gcm(secret, nonce).encrypt(plaintext)
      return { ciphertext: sealed.subarray(0, plaintext.length), tag: sealed.slice(plaintext.length) }
    },
    open(nonce, ciphertext, tag) {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      if (tag.length !== sizes.AES_TAG_BYTES) return undefined
      try {
        return gcm(secret, nonce).decrypt(concatBytes(ciphertext, tag))
      } catch {
        return undefined
      }
    },
    openSlice(nonce, slice, offset) {
      const skip = offset % 16
      const padded = skip === 0 ? slice : concatBytes(new Uint8Array(skip), slice)
      const opened = ctr(secret, counterBlock(nonce, offset)).encrypt(padded)
      return skip === 0 ? opened : opened.slice(skip)
    },
    wipe: () => wipe(secret),
  }
}

/** The counter block of the byte at `offset` of a GCM ciphertext (SP 800-38D: block 1 makes the tag, the text begins at 2). */
export function counterBlock(nonce: Uint8Array, offset: number): Uint8Array {
  sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
  assert(Number.isSafeInteger(offset) && offset >= 0 && offset < 2 ** 35, 'an offset must be within one GCM message')
  const block = new Uint8Array(16)
  block.set(nonce)
  new DataView(block.buffer).setUint32(12, 2 + Math.floor(offset / 16))
  return block
}
