/**
 * The key of an object that belongs to a subject follows from two halves, 32 random bytes each: one is sealed in the log for
 * readers, the other stands in the key ring beside the log. Erasing destroys the second, and nobody opens the object again.
 *
 *   key   = SHA-256('ate worm: key of an object' 00 | half in the log | half in the ring)
 *   chunk = nonce 12 | AES-256-GCM(key, nonce, bytes, additional data: number of the chunk as u32)
 */
import { AteError } from '@ate/core'
import { type NodeCipher, type NodeKey, nodeCrypto, sha256Of } from './hashing.ts'

export const HALF_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const SEAL_BYTES: number = NONCE_BYTES + TAG_BYTES
/** Buffers of this size are used again by Node's allocator; larger ones are new memory each time, which takes longer than the cipher. */
const PIECE_BYTES: number = 64 * 1024

const LABEL = new TextEncoder().encode('ate worm: key of an object\0')

/** Held by the platform: Node's own cipher, which writes where it is told, or WebCrypto. */
export type ObjectKey = { readonly node: NodeKey } | { readonly web: CryptoKey }

/** Wipes what it is made from. */
export async function objectKey(inLog: Uint8Array, inRing: Uint8Array): Promise<ObjectKey> {
  const all = new Uint8Array(LABEL.length + 2 * HALF_BYTES)
  all.set(LABEL)
  all.set(inLog, LABEL.length)
  all.set(inRing, LABEL.length + HALF_BYTES)
  const bytes = sha256Of(all)
  try {
    const node = nodeCrypto()
    if (node) return { node: node.createSecretKey(bytes) }
    return { web: await crypto.subtle.importKey('raw', owned(bytes), 'AES-GCM', false, ['encrypt', 'decrypt']) }
  } finally {
    all.fill(0)
    bytes.fill(0)
  }
}

/** The box is a view of `out`, if that is given and the platform can; it holds SEAL_BYTES more than `bytes`. */
export async function sealChunk(
  key: ObjectKey,
  { index, nonce }: { readonly index: number; readonly nonce: Uint8Array },
  bytes: Uint8Array,
  out?: Uint8Array,
): Promise<Uint8Array> {
  const box = (out ?? new Uint8Array(bytes.length + SEAL_BYTES)).subarray(0, bytes.length + SEAL_BYTES)
  box.set(nonce)
  if ('web' in key) {
    box.set(new Uint8Array(await crypto.subtle.encrypt(parameters(index, nonce), key.web, owned(bytes))), NONCE_BYTES)
    return box
  }
  const cipher = nodeCrypto()!.createCipheriv('aes-256-gcm', key.node, nonce)
  cipher.setAAD(numberOf(index))
  updateInto(cipher, bytes, box.subarray(NONCE_BYTES))
  cipher.final()
  box.set(cipher.getAuthTag(), NONCE_BYTES + bytes.length)
  return box
}

/** A view of `out`, if that is given, and holds it, and the platform can. @throws AteError BAD_BODY */
export async function openChunk(key: ObjectKey, index: number, box: Uint8Array, out?: Uint8Array): Promise<Uint8Array> {
  try {
    const nonce = box.subarray(0, NONCE_BYTES)
    if ('web' in key) {
      const sealed = owned(box.subarray(NONCE_BYTES))
      return new Uint8Array(await crypto.subtle.decrypt(parameters(index, nonce), key.web, sealed))
    }
    const size = box.length - SEAL_BYTES
    const opened = out && out.length >= size ? out.subarray(0, size) : new Uint8Array(size)
    const cipher = nodeCrypto()!.createDecipheriv('aes-256-gcm', key.node, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(numberOf(index))
    cipher.setAuthTag(box.subarray(box.length - TAG_BYTES))
    updateInto(cipher, box.subarray(NONCE_BYTES, box.length - TAG_BYTES), opened)
    cipher.final()
    return opened
  } catch {
    throw new AteError('BAD_BODY', { what: 'a sealed chunk was altered', chunk: index })
  }
}

function updateInto(cipher: NodeCipher, bytes: Uint8Array, out: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    moveInto(out, cipher.update(bytes.subarray(at, at + PIECE_BYTES)), at)
}

/** Copies a piece and frees its memory: left to the collector, a gigabyte of pieces costs more than to encrypt it. */
function moveInto(out: Uint8Array, piece: Uint8Array, at: number): void {
  out.set(piece, at)
  // Node 21 and later can. What shares its memory with others is left alone.
  const buffer = piece.buffer as ArrayBuffer & { transfer?(size: number): ArrayBuffer }
  if (buffer.byteLength === piece.length) buffer.transfer?.(0)
}

export function newNonce(random: (size: number) => Uint8Array): Uint8Array {
  return random(NONCE_BYTES)
}

function numberOf(index: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, index)
  return bytes
}

function parameters(index: number, nonce: Uint8Array): AesGcmParams {
  return { name: 'AES-GCM', iv: owned(nonce), additionalData: numberOf(index) }
}

/** WebCrypto's types take no bytes over shared memory. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>
}
