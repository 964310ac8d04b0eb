/**
 * The key of an object that belongs to a subject follows from two halves, 32 random bytes each: one is sealed in the log for
 * readers, the other stands in the key ring beside the log. Erasing destroys the second, and nobody opens the object again.
 *
 *   key   = SHA-256('ate worm: key of an object' 00 | half in the log | half in the ring)
 *   chunk = nonce 12 | AES-256-GCM(key, nonce, bytes, additional data: number of the chunk as u32)
 */
import { AteError } from '@ate/core'
import { sha256Of } from './hashing.ts'

export const HALF_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const SEAL_BYTES: number = NONCE_BYTES + TAG_BYTES

const LABEL = new TextEncoder().encode('ate worm: key of an object\0')

export type ObjectKey = CryptoKey

/** Wipes what it is made from. */
export async function objectKey(inLog: Uint8Array, inRing: Uint8Array): Promise<ObjectKey> {
  const all = new Uint8Array(LABEL.length + 2 * HALF_BYTES)
  all.set(LABEL)
  all.set(inLog, LABEL.length)
  all.set(inRing, LABEL.length + HALF_BYTES)
  const bytes = sha256Of(all)
  try {
    return await crypto.subtle.importKey('raw', owned(bytes), 'AES-GCM', false, ['encrypt', 'decrypt'])
  } finally {
    all.fill(0)
    bytes.fill(0)
  }
}

export async function sealChunk(
  key: ObjectKey,
  { index, nonce }: { readonly index: number; readonly nonce: Uint8Array },
  bytes: Uint8Array,
): Promise<Uint8Array> {
  const sealed = await crypto.subtle.encrypt(parameters(index, nonce), key, owned(bytes))
  const box = new Uint8Array(NONCE_BYTES + sealed.byteLength)
  box.set(nonce)
  box.set(new Uint8Array(sealed), NONCE_BYTES)
  return box
}

/** @throws AteError BAD_BODY */
export async function openChunk(key: ObjectKey, index: number, box: Uint8Array): Promise<Uint8Array> {
  try {
    const nonce = box.subarray(0, NONCE_BYTES)
    return new Uint8Array(await crypto.subtle.decrypt(parameters(index, nonce), key, owned(box.subarray(NONCE_BYTES))))
  } catch {
    throw new AteError('BAD_BODY', { what: 'a sealed chunk was altered', chunk: index })
  }
}

export function newNonce(random: (size: number) => Uint8Array): Uint8Array {
  return random(NONCE_BYTES)
}

function parameters(index: number, nonce: Uint8Array): AesGcmParams {
  const additionalData = new Uint8Array(4)
  new DataView(additionalData.buffer).setUint32(0, index)
  return { name: 'AES-GCM', iv: owned(nonce), additionalData }
}

/** WebCrypto's types take no bytes over shared memory. */
function owned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>
}
