/**
 * HMAC and HKDF with SHA-256 from crypto.hash (RFC 2104, RFC 5869): HMAC twice as fast as createHmac, HKDF 2.4 times
 * as fast as hkdfSync on Node 20, and the same on Node 26.
 *
 * Invariant: the scratch buffers hold a key only during a call; nothing between filling and wiping them can run code of
 * others. Keys and data over the sizes below go the long way round, to the same bytes.
 */
import { createHmac, hash, hkdfSync } from 'node:crypto'

const BLOCK_BYTES = 64
const HASH_BYTES = 32
/** Longest HMAC data that is worked in scratch: an HKDF block of the longest info that the formats have, with room. */
const DATA_BYTES_MAX = 1024

/** Key block XOR 0x36, then data; key block XOR 0x5c, then the inner hash. */
const inner = new Uint8Array(new ArrayBuffer(BLOCK_BYTES + DATA_BYTES_MAX))
const outer = new Uint8Array(new ArrayBuffer(BLOCK_BYTES + HASH_BYTES))
/** Of the beginnings of `inner`, by the bytes of data in them: a view costs more than a small hash. */
const views: (Uint8Array | undefined)[] = []

/** The bytes of a text with one byte a character, as crypto.hash gives it in 'binary'. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}

export function hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array {
  if (key.length > BLOCK_BYTES || data.length > DATA_BYTES_MAX) {
    const digest = createHmac('sha256', key).update(data).digest()
    return new Uint8Array(digest.buffer, digest.byteOffset, digest.length)
  }
  setKey(key)
  inner.set(data, BLOCK_BYTES)
  const digest = latin1Bytes(run(data.length))
  clear()
  return digest
}

export function hkdfSha256(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, size: number): Uint8Array {
  const blocks = Math.ceil(size / HASH_BYTES)
  if (
    secret.length > DATA_BYTES_MAX ||
    salt.length > BLOCK_BYTES ||
    info.length > DATA_BYTES_MAX - HASH_BYTES - 1 ||
    blocks > 255
  )
    return new Uint8Array(hkdfSync('sha256', secret, salt, info, size))
  setKey(salt)
  inner.set(secret, BLOCK_BYTES)
  setKeyText(run(secret.length))
  const out = new Uint8Array(size)
  expand(out, info)
  clear()
  return out
}

/** T(i) = HMAC(key, T(i - 1) || info || i), the first without a T before it. */
function expand(out: Uint8Array, info: Uint8Array): void {
  inner.set(info, BLOCK_BYTES)
  inner[BLOCK_BYTES + info.length] = 1
  let text = run(info.length + 1)
  let at = put(text, out, 0)
  if (at === out.length) return
  inner.set(info, BLOCK_BYTES + HASH_BYTES)
  for (let block = 2; at < out.length; block++) {
    put(text, inner, BLOCK_BYTES)
    inner[BLOCK_BYTES + HASH_BYTES + info.length] = block
    text = run(HASH_BYTES + info.length + 1)
    at = put(text, out, at)
  }
}

function setKey(key: Uint8Array): void {
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i < key.length ? key[i]! : 0
    inner[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  }
}

function setKeyText(key: string): void {
  for (let i = 0; i < BLOCK_BYTES; i++) {
    const byte = i < key.length ? key.charCodeAt(i) : 0
    inner[i] = byte ^ 0x36
    outer[i] = byte ^ 0x5c
  }
}

/** HMAC of the data that stands in `inner`, as text. */
function run(dataBytes: number): string {
  views[dataBytes] ??= inner.subarray(0, BLOCK_BYTES + dataBytes)
  put(hash('sha256', views[dataBytes], 'binary'), outer, BLOCK_BYTES)
  return hash('sha256', outer, 'binary')
}

/** Writes what fits of a hash, and says where it ends. */
function put(text: string, out: Uint8Array, at: number): number {
  const end = Math.min(at + HASH_BYTES, out.length)
  for (let i = at; i < end; i++) out[i] = text.charCodeAt(i - at)
  return end
}

function clear(): void {
  inner.fill(0)
  outer.fill(0)
}
