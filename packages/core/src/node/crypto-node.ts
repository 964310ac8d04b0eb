/**
 * The crypto provider of Node: node:crypto where this Node has an algorithm, noble's where it lacks one.
 *
 * Chosen by the self-test of each algorithm, once a process, at its first use: a version says nothing about the OpenSSL
 * below it. Measured on 2 cores (Node 20 and 26, us a call), and chosen by it:
 *   SHA-256 of 200 bytes   crypto.hash to text, read by char codes 0.40; to a Buffer 1.06 to 1.1; createHash 1.4
 *   HMAC-SHA-256           two crypto.hash in a scratch buffer 1.0; createHmac 2.1
 *   HKDF-SHA-256, 76 bytes the same way 4.1; hkdfSync 9.8 (Node 20) and 4.0 (Node 26)
 *   AES-256-GCM of 1 kB    5.3 with the raw key and with a KeyObject, whose making costs 0.7 to 1.3 more: raw key
 *   import of a public key JWK 4 to 6, DER 80 (Node 20) and 6
 * Texts of hashes cannot be wiped: they hold keys of single blocks for as long as the collector lets them, never an
 * epoch key or an identity's.
 */
import * as nodeCrypto from 'node:crypto'
import { concatBytes, wipe } from '../base/bytes.ts'
import { assert } from '../base/errors.ts'
import { ed25519Key, ed25519SignatureAllowed } from '../crypto/ed25519-rule.ts'
import { nobleProvider } from '../crypto/noble.ts'
import { counterBlock } from '../crypto/noble-base.ts'
import type {
  AesKey,
  AgreementSecret,
  ContextSigner,
  ContextVerifier,
  CryptoProvider,
  KemSecret,
  Signer,
  Verifier,
} from '../crypto/provider.ts'
import type { Algorithm } from '../crypto/self-test.ts'
import { ALGORITHMS, chooseProvider } from '../crypto/self-test.ts'
import * as sizes from '../crypto/sizes.ts'
import { hkdfSha256, hmacSha256, latin1Bytes } from './hash-node.ts'
import { HashThread } from './hash-thread.ts'
import { JobQueue } from './job-queue.ts'

/** What Node 24.7 and later add, and what the types of Node 20 do not know. */
interface NewerCrypto {
  encapsulate?(key: nodeCrypto.KeyObject): { readonly sharedKey: Uint8Array; readonly ciphertext: Uint8Array }
  decapsulate?(key: nodeCrypto.KeyObject, ciphertext: Uint8Array): Uint8Array
  argon2Sync?(algorithm: string, parameters: Readonly<Record<string, unknown>>): Uint8Array
}
const newer: NewerCrypto = nodeCrypto as NewerCrypto

/** PKCS#8 and SPKI headers: the key's bytes follow. The lattice ones are of RFC 9881 and 9935, seed only. */
const PKCS8 = {
  ed25519: header('302e020100300506032b657004220420'),
  x25519: header('302e020100300506032b656e04220420'),
  mlDsa65: header('3034020100300b0609608648016503040312042280' + '20'),
  mlKem768: header('3054020100300b0609608648016503040402044280' + '40'),
} as const
const SPKI = {
  mlDsa65: header('308207b2300b0609608648016503040312038207a100'),
  mlKem768: header('308204b2300b0609608648016503040402038204a100'),
} as const

/** Text before a slice in its first counter block, to be thrown away. */
const SKIPPED = new Uint8Array(16)
/** Buffers of this size are used again by the allocator, without new pages. */
const PIECE_BYTES: number = 64 * 1024

const native: CryptoProvider = {
  name: 'node:crypto',
  sha256: (data) => latin1Bytes(nodeCrypto.hash('sha256', data, 'binary')),
  sha256Into(data, out, at) {
    assert(at >= 0 && at + sizes.HASH_BYTES <= out.length, 'the hash must fit the out buffer')
    const text = nodeCrypto.hash('sha256', data, 'binary')
    for (let i = 0; i < sizes.HASH_BYTES; i++) out[at + i] = text.charCodeAt(i)
  },
  sha256Later,
  sha512: (data) => latin1Bytes(nodeCrypto.hash('sha512', data, 'binary')),
  sha3_256: (data) => latin1Bytes(nodeCrypto.hash('sha3-256', data, 'binary')),
  shake256: (data, size) => plain(nodeCrypto.createHash('shake256', { outputLength: size }).update(data).digest()),
  hmacSha256,
  hkdfSha256,
  hkdfSha512: (secret, salt, info, size) => new Uint8Array(nodeCrypto.hkdfSync('sha512', secret, salt, info, size)),
  ed25519Signer,
  ed25519Verifier,
  x25519Secret,
  mlDsa65Signer,
  mlDsa65Verifier,
  mlKem768Secret,
  mlKem768Encapsulate,
  aesKey,
  argon2id(password, salt, { memoryKiB, passes, lanes }, size) {
    assert(newer.argon2Sync, 'this Node has Argon2')
    const parameters = {
      message: password,
      nonce: salt,
      parallelism: lanes,
      tagLength: size,
      memory: memoryKiB,
      passes,
    }
    return plain(newer.argon2Sync('argon2id', parameters))
  },
}

const chosen = new Map<Algorithm, CryptoProvider>()
let provider: CryptoProvider | undefined

/**
 * The provider of this process. Hashes, HMAC, HKDF, AES and X25519 are tested at the first call (about 5 ms), the rest
 * when first used.
 * @throws AteError CRYPTO_SELF_TEST here or at the first use of an algorithm that answers wrongly.
 */
export function nodeProvider(): CryptoProvider {
  provider ??= build()
  return provider
}

/** The algorithms that node:crypto does in this process, noble doing the others. Tests all of them. */
export function nativeAlgorithms(): readonly Algorithm[] {
  return ALGORITHMS.filter((algorithm) => choose(algorithm) === native)
}

/** node:crypto alone, without tests and completion: its methods throw where this Node lacks the algorithm. */
export function bareNodeProvider(): CryptoProvider {
  return native
}

function build(): CryptoProvider {
  const { sha256, sha256Into, sha256Later } = choose('sha256')
  const { hkdfSha256: hkdf256, hkdfSha512: hkdf512 } = choose('hkdf')
  return {
    name: 'node',
    sha256,
    sha256Into,
    ...(sha256Later ? { sha256Later } : {}),
    sha512: choose('sha512').sha512,
    hmacSha256: choose('hmac').hmacSha256,
    hkdfSha256: hkdf256,
    hkdfSha512: hkdf512,
    aesKey: choose('aes256Gcm').aesKey,
    x25519Secret: choose('x25519').x25519Secret,
    sha3_256: (data) => choose('sha3').sha3_256(data),
    shake256: (data, size) => choose('sha3').shake256(data, size),
    ed25519Signer: (seed) => choose('ed25519').ed25519Signer(seed),
    ed25519Verifier: (publicKey) => choose('ed25519').ed25519Verifier(publicKey),
    mlDsa65Signer: (seed) => choose('mlDsa65').mlDsa65Signer(seed),
    mlDsa65Verifier: (publicKey) => choose('mlDsa65').mlDsa65Verifier(publicKey),
    mlKem768Secret: (seed) => choose('mlKem768').mlKem768Secret(seed),
    mlKem768Encapsulate: (publicKey, random) => choose('mlKem768').mlKem768Encapsulate(publicKey, random),
    argon2id: (password, salt, parameters, size) => choose('argon2id').argon2id(password, salt, parameters, size),
  }
}

/** Tested once a process. */
function choose(algorithm: Algorithm): CryptoProvider {
  const known = chosen.get(algorithm)
  if (known) return known
  const choice = chooseProvider(native, nobleProvider, algorithm) === 'native' ? native : nobleProvider
  chosen.set(algorithm, choice)
  return choice
}

const hashThread = new HashThread()

async function sha256Later(data: Uint8Array): Promise<Uint8Array> {
  const isShared = data.buffer instanceof SharedArrayBuffer
  const answer = isShared ? hashThread.hash(data) : undefined
  if (answer) return answer
  // WebCrypto takes no shared memory.
  const own = isShared ? data.slice() : (data as Uint8Array<ArrayBuffer>)
  return new Uint8Array(await nodeCrypto.webcrypto.subtle.digest('SHA-256', own as Uint8Array<ArrayBuffer>))
}

function ed25519Signer(seed: Uint8Array): Signer {
  sizes.assertSize(seed, sizes.ED25519_SEED_BYTES, 'an Ed25519 seed')
  const key = privateKey(PKCS8.ed25519, seed)
  return { publicKey: publicBytesOf(key), sign: (message) => plain(nodeCrypto.sign(null, message, key)) }
}

function ed25519Verifier(publicKey: Uint8Array): Verifier {
  sizes.assertSize(publicKey, sizes.ED25519_PUBLIC_BYTES, 'an Ed25519 public key')
  // OpenSSL compares R byte by byte, but takes keys of small order and with a torsion part: ours is the check of the key.
  if (!ed25519Key(publicKey)) return { verify: () => false }
  const key = montgomeryOrEdwards('Ed25519', publicKey)
  return {
    verify: (message, signature) =>
      ed25519SignatureAllowed(signature) && nodeCrypto.verify(null, message, key, signature),
    verifyLater: async (message, signature) =>
      ed25519SignatureAllowed(signature) && (await verifyInPool(message, key, signature)),
  }
}

/** In a thread of libuv's pool: about 10 us of this thread instead of 90. */
function verifyInPool(message: Uint8Array, key: nodeCrypto.KeyObject, signature: Uint8Array): Promise<boolean> {
  return new Promise((resolve, reject) => {
    nodeCrypto.verify(null, message, key, signature, (error, isValid) => (error ? reject(error) : resolve(isValid)))
  })
}

function x25519Secret(secret: Uint8Array): AgreementSecret {
  sizes.assertSize(secret, sizes.X25519_BYTES, 'an X25519 secret')
  const mine = privateKey(PKCS8.x25519, secret)
  return {
    publicKey: publicBytesOf(mine),
    agree(publicKey) {
      sizes.assertSize(publicKey, sizes.X25519_BYTES, 'an X25519 public key')
      const theirs = montgomeryOrEdwards('X25519', publicKey)
      try {
        return plain(nodeCrypto.diffieHellman({ privateKey: mine, publicKey: theirs }))
      } catch {
        return undefined // both keys were imported, so it is the all-zero result of a low-order one
      }
    },
  }
}

function mlDsa65Signer(seed: Uint8Array): ContextSigner {
  sizes.assertSize(seed, sizes.MLDSA65_SEED_BYTES, 'an ML-DSA-65 seed')
  const key = privateKey(PKCS8.mlDsa65, seed)
  return {
    publicKey: latticePublic(key, sizes.MLDSA65_PUBLIC_BYTES),
    // Hedged by OpenSSL's own randomness: a seeded run takes noble's.
    sign: (message, context) => plain(nodeCrypto.sign(null, message, withContext(key, context))),
    signLater: (message, context) => signingQueue.add(() => signInPool(message, withContext(key, context))),
  }
}

/** Signing takes a thread for about a millisecond, and syncs of files wait for the same threads: half of them stay free. */
const SIGNING_THREADS = 2
const SIGNATURES_WAITING_MAX = 256
const signingQueue = new JobQueue({ atOnce: SIGNING_THREADS, waitingMax: SIGNATURES_WAITING_MAX })

function signInPool(message: Uint8Array, key: nodeCrypto.SignKeyObjectInput): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    nodeCrypto.sign(null, message, key, (error, signature) => (error ? reject(error) : resolve(plain(signature))))
  })
}

function mlDsa65Verifier(publicKey: Uint8Array): ContextVerifier {
  sizes.assertSize(publicKey, sizes.MLDSA65_PUBLIC_BYTES, 'an ML-DSA-65 public key')
  const key = spkiKey(SPKI.mlDsa65, publicKey)
  return {
    verify(message, signature, context) {
      if (signature.length !== sizes.MLDSA65_SIGNATURE_BYTES) return false
      if (context.length > sizes.SIGNATURE_CONTEXT_BYTES_MAX) return false
      return nodeCrypto.verify(null, message, withContext(key, context), signature)
    },
  }
}

/** The types of Node 20 lack `context`. */
function withContext(key: nodeCrypto.KeyObject, context: Uint8Array): nodeCrypto.SignKeyObjectInput {
  const input: nodeCrypto.SignKeyObjectInput & { context: Uint8Array } = { key, context }
  return input
}

function mlKem768Secret(seed: Uint8Array): KemSecret {
  sizes.assertSize(seed, sizes.MLKEM768_SEED_BYTES, 'an ML-KEM-768 seed')
  const key = privateKey(PKCS8.mlKem768, seed)
  return {
    publicKey: latticePublic(key, sizes.MLKEM768_PUBLIC_BYTES),
    decapsulate(ciphertext) {
      sizes.assertSize(ciphertext, sizes.MLKEM768_CIPHERTEXT_BYTES, 'an ML-KEM-768 ciphertext')
      assert(newer.decapsulate, 'this Node has ML-KEM')
      return plain(newer.decapsulate(key, ciphertext))
    },
  }
}

/** OpenSSL draws its own randomness: a seeded run takes noble's. */
function mlKem768Encapsulate(
  publicKey: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly shared: Uint8Array } | undefined {
  sizes.assertSize(publicKey, sizes.MLKEM768_PUBLIC_BYTES, 'an ML-KEM-768 public key')
  assert(newer.encapsulate, 'this Node has ML-KEM')
  let key: nodeCrypto.KeyObject
  try {
    key = spkiKey(SPKI.mlKem768, publicKey)
  } catch {
    return undefined // not reduced: OpenSSL checks it at the import
  }
  const { ciphertext, sharedKey } = newer.encapsulate(key)
  return { ciphertext: plain(ciphertext), shared: plain(sharedKey) }
}

function aesKey(key: Uint8Array): AesKey {
  sizes.assertSize(key, sizes.AES_KEY_BYTES, 'an AES key')
  const secret = key.slice()
  return {
    seal(nonce, plaintext, out) {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      const cipher = nodeCrypto.createCipheriv('aes-256-gcm', secret, nonce)
      const ciphertext = updated(cipher, plaintext, out)
      cipher.final()
      return { ciphertext, tag: plain(cipher.getAuthTag()) }
    },
    open(nonce, ciphertext, tag) {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      if (tag.length !== sizes.AES_TAG_BYTES) return undefined
      const decipher = nodeCrypto.createDecipheriv('aes-256-gcm', secret, nonce, { authTagLength: sizes.AES_TAG_BYTES })
      decipher.setAuthTag(tag)
      const plaintext = plain(decipher.update(ciphertext))
      try {
        decipher.final()
        return plaintext
      } catch {
        wipe(plaintext)
        return undefined
      }
    },
    openSlice(nonce, slice, offset, out) {
      const decipher = nodeCrypto.createDecipheriv('aes-256-ctr', secret, counterBlock(nonce, offset))
      if (offset % 16 !== 0) decipher.update(SKIPPED.subarray(0, offset % 16))
      return updated(decipher, slice, out)
    },
    mac(nonce, bytes) {
      sizes.assertSize(nonce, sizes.AES_NONCE_BYTES, 'a GCM nonce')
      const cipher = nodeCrypto.createCipheriv('aes-256-gcm', secret, nonce)
      cipher.setAAD(bytes)
      cipher.final()
      return plain(cipher.getAuthTag())
    },
    wipe: () => wipe(secret),
  }
}

/** To `out` in pieces, if it is given: a new buffer of a megabyte has new pages, which take longer than the cipher. */
function updated(cipher: nodeCrypto.Cipher | nodeCrypto.Decipher, bytes: Uint8Array, out?: Uint8Array): Uint8Array {
  if (!out) return plain(cipher.update(bytes))
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    moveInto(out, cipher.update(bytes.subarray(at, at + PIECE_BYTES)), at)
  return out.subarray(0, bytes.length)
}

/** Copies a piece and frees its memory: left to the collector, a gigabyte of pieces costs more than to encrypt it. */
function moveInto(out: Uint8Array, piece: Uint8Array, at: number): void {
  out.set(piece, at)
  // Node 21 and later can. What shares its memory with others is left alone.
  const buffer = piece.buffer as ArrayBuffer & { transfer?(size: number): ArrayBuffer }
  if (buffer.byteLength === piece.length) buffer.transfer?.(0)
}

function header(hex: string): Uint8Array {
  return plain(Buffer.from(hex, 'hex'))
}

/** The same bytes, not a Buffer: its `slice` shares memory, and it prints otherwise. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length)
}

function privateKey(prefix: Uint8Array, secret: Uint8Array): nodeCrypto.KeyObject {
  const der = concatBytes(prefix, secret)
  try {
    return nodeCrypto.createPrivateKey({ key: Buffer.from(der.buffer), format: 'der', type: 'pkcs8' })
  } finally {
    wipe(der)
  }
}

function spkiKey(prefix: Uint8Array, publicKey: Uint8Array): nodeCrypto.KeyObject {
  const der = concatBytes(prefix, publicKey)
  return nodeCrypto.createPublicKey({ key: Buffer.from(der.buffer), format: 'der', type: 'spki' })
}

function montgomeryOrEdwards(curve: 'Ed25519' | 'X25519', publicKey: Uint8Array): nodeCrypto.KeyObject {
  const x = Buffer.from(publicKey).toString('base64url')
  return nodeCrypto.createPublicKey({ key: { kty: 'OKP', crv: curve, x }, format: 'jwk' })
}

/** The raw public key of an Ed25519 or X25519 private key. */
function publicBytesOf(key: nodeCrypto.KeyObject): Uint8Array {
  const { x } = nodeCrypto.createPublicKey(key).export({ format: 'jwk' })
  assert(x, 'a public key has x')
  return new Uint8Array(Buffer.from(x, 'base64url'))
}

/** The raw public key of a lattice private key. Before Node 26, and seven times slower, the end of its SPKI form. */
function latticePublic(key: nodeCrypto.KeyObject, size: number): Uint8Array {
  const publicKey = nodeCrypto.createPublicKey(key)
  givesRawKeys ??= triesRaw(publicKey)
  if (givesRawKeys) return plain(publicKey.export(RAW_PUBLIC))
  const der = publicKey.export({ format: 'der', type: 'spki' })
  return new Uint8Array(der.subarray(der.length - size))
}

/** The types of Node 20 lack it. */
const RAW_PUBLIC = { format: 'raw-public' } as unknown as nodeCrypto.KeyExportOptions<'der'>
/** `undefined` until it was tried. */
let givesRawKeys: boolean | undefined

function triesRaw(publicKey: nodeCrypto.KeyObject): boolean {
  try {
    return publicKey.export(RAW_PUBLIC).length > 0
  } catch {
    return false // what it says of a format that it does not know
  }
}
