/** SHA-256 of a stream: the platform's own where it can be fed in parts (Node), else that of noble. */
import { sha256 } from '@noble/hashes/sha2.js'

export interface Hasher {
  update(bytes: Uint8Array): void
  /** Hexadecimal; once. */
  hex(): string
}

/** Of `node:crypto`, what this package takes where it is there. */
interface NodeCrypto {
  createHash(name: 'sha256'): { update(bytes: Uint8Array): unknown; digest(form: 'hex'): string }
  createSecretKey(key: Uint8Array): NodeKey
  createCipheriv(name: 'aes-256-gcm', key: NodeKey, nonce: Uint8Array): NodeCipher & { getAuthTag(): Uint8Array }
  createDecipheriv(
    name: 'aes-256-gcm',
    key: NodeKey,
    nonce: Uint8Array,
    options: { readonly authTagLength: 16 },
  ): NodeCipher & { setAuthTag(tag: Uint8Array): unknown }
}
/** A key as Node holds it. */
export interface NodeKey {
  readonly type: string
}
export interface NodeCipher {
  setAAD(bytes: Uint8Array): unknown
  update(bytes: Uint8Array): Uint8Array
  final(): Uint8Array
}

export function newHasher(): Hasher {
  const node = nodeCrypto()
  if (node) {
    const hash = node.createHash('sha256')
    return { update: (bytes) => void hash.update(bytes), hex: () => hash.digest('hex') }
  }
  const hash = sha256.create()
  return { update: (bytes) => void hash.update(bytes), hex: () => toHex(hash.digest()) }
}

/** Asked for at run time, so that this file runs in browsers too. */
export function nodeCrypto(): NodeCrypto | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }
  return process?.getBuiltinModule?.('node:crypto') as NodeCrypto | undefined
}

export function sha256Of(bytes: Uint8Array): Uint8Array {
  return sha256(bytes)
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

export function toBase64(bytes: Uint8Array): string {
  // Engines since 2025 have it.
  const native = (bytes as { toBase64?(): string }).toBase64?.()
  if (native !== undefined) return native
  let text = ''
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096))
  return btoa(text)
}

/** Undefined unless the text is the one encoding of some bytes. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined
  const binary = atob(text)
  // Only the last group can have bits that no byte has.
  if (btoa(binary.slice(binary.length - (binary.length % 3 || 3))) !== text.slice(-4)) return undefined
  const bytes = new Uint8Array(binary.length)
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i)
  return bytes
}
