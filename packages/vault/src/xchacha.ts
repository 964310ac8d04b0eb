/**
 * XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03): a key for the nonce by HChaCha20, then ChaCha20-Poly1305 (RFC 8439) by the
 * platform where it has it (Node), else noble's, which makes the same bytes. A secret is small: what counts is the price of a call.
 */
import { hchacha, xchacha20poly1305 } from '@noble/ciphers/chacha.js'

export interface XChaCha {
  /** Ciphertext, then the tag of 16 bytes. */
  encrypt(plain: Uint8Array): Uint8Array
  /** In memory of its own. Throws if anything was altered. */
  decrypt(box: Uint8Array): Uint8Array
}

/** Of `node:crypto`, what is taken where it is there. */
interface NodeCrypto {
  createCipheriv(
    name: string,
    key: Uint8Array,
    nonce: Uint8Array,
    options: TagOption,
  ): Cipher & { getAuthTag(): Uint8Array }
  createDecipheriv(name: string, key: Uint8Array, nonce: Uint8Array, options: TagOption): Cipher & Decipher
}
interface TagOption {
  readonly authTagLength: 16
}
interface Cipher {
  setAAD(bytes: Uint8Array, options: { readonly plaintextLength: number }): unknown
  update(bytes: Uint8Array): Uint8Array
  final(): Uint8Array
}
interface Decipher {
  setAuthTag(tag: Uint8Array): unknown
}

const NAME = 'chacha20-poly1305'
const TAG: TagOption = { authTagLength: 16 }
const TAG_BYTES = 16
const KEY_BYTES = 32
const NONCE_BYTES = 24
/** Of HChaCha20: its constant, the key, the front of the nonce, what comes out. Keys stand in them during a call only. */
const sigma = new Uint32Array(new Uint8Array(Array.from('expand 32-byte k', (c) => c.charCodeAt(0))).buffer)
const keyWords = new Uint32Array(8)
const nonceWords = new Uint32Array(4)
const outWords = new Uint32Array(8)
const keyBytes = new Uint8Array(keyWords.buffer)
const nonceBytes = new Uint8Array(nonceWords.buffer)
const outBytes = new Uint8Array(outWords.buffer)

let chosen: NodeCrypto | 'noble' | undefined

/** `nonce` of 24 bytes; a key and a nonce seal once. */
export function xchacha(key: Uint8Array, nonce: Uint8Array, purpose: Uint8Array): XChaCha {
  chosen ??= choose()
  return chosen === 'noble' ? xchacha20poly1305(key, nonce, purpose) : nativeXChaCha(chosen, key, nonce, purpose)
}

/** The platform's if its answer is noble's: an OpenSSL may lack the cipher, and a machine may order its bytes otherwise. */
function choose(): NodeCrypto | 'noble' {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }
  const node = process?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined
  const filled = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, i) => 7 * i + size)
  const [key, nonce, text] = [filled(KEY_BYTES), filled(NONCE_BYTES), filled(70)]
  const expected = xchacha20poly1305(key, nonce, text).encrypt(text)
  try {
    const box = node && nativeXChaCha(node, key, nonce, text).encrypt(text)
    return box?.every((byte, i) => byte === expected[i]) && box.length === expected.length ? node! : 'noble'
  } catch {
    // It has no such cipher.
    return 'noble'
  }
}

function nativeXChaCha(node: NodeCrypto, key: Uint8Array, nonce: Uint8Array, purpose: Uint8Array): XChaCha {
  return {
    encrypt: (plain) =>
      withSubkey(key, nonce, (subkey, rest) => {
        const cipher = node.createCipheriv(NAME, subkey, rest, TAG)
        cipher.setAAD(purpose, { plaintextLength: plain.length })
        const box = new Uint8Array(plain.length + TAG_BYTES)
        box.set(cipher.update(plain))
        cipher.final()
        box.set(cipher.getAuthTag(), plain.length)
        return box
      }),
    decrypt: (box) =>
      withSubkey(key, nonce, (subkey, rest) => {
        const size = box.length - TAG_BYTES
        const decipher = node.createDecipheriv(NAME, subkey, rest, TAG)
        decipher.setAAD(purpose, { plaintextLength: size })
        decipher.setAuthTag(box.subarray(size))
        const { buffer, byteOffset, length } = decipher.update(box.subarray(0, size))
        const plain = new Uint8Array(buffer, byteOffset, length)
        try {
          decipher.final()
          return plain
        } catch (error) {
          plain.fill(0)
          throw error
        }
      }),
  }
}

/** The key of the nonce's first 16 bytes, for the rest of it behind four zeros. */
function withSubkey(
  key: Uint8Array,
  nonce: Uint8Array,
  use: (subkey: Uint8Array, rest: Uint8Array) => Uint8Array,
): Uint8Array {
  if (key.length !== KEY_BYTES || nonce.length !== NONCE_BYTES) throw new Error('a key of 32 bytes and a nonce of 24')
  try {
    keyBytes.set(key)
    nonceBytes.set(nonce.subarray(0, 16))
    hchacha(sigma, keyWords, nonceWords, outWords)
    const rest = new Uint8Array(12)
    rest.set(nonce.subarray(16), 4)
    return use(outBytes, rest)
  } finally {
    keyBytes.fill(0)
    outBytes.fill(0)
  }
}
