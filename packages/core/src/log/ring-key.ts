/**
 * The bytes of one wrapped key, in a file of its own and at the front of a slot:
 *
 *     0  u32 magic "ATEK"   4  u32 size   8  [32] name   40  wrapped bytes   then u32 CRC of all before
 *
 * A slot is a sector of 512 bytes, so that a write that tears harms no other key. Bytes 472 to 503 are the name once more,
 * with its CRC and "KETA" behind it: whose a key is can be said when the key itself is damaged.
 *
 * A sector is written from its front to its end, or at once. So a first byte of zero is a slot that is free, or whose key was
 * being overwritten with zeros; a last byte of zero is one whose write never ended. What no single flipped bit looks like.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Crc32 } from './crc32.ts'
import { getU32, putU32 } from './file-frame.ts'

const MAGIC = 0x4154454b
const END_MAGIC = 0x4b455441
export const KEY_HEADER_BYTES = 40
const KEY_EXTRA_BYTES = KEY_HEADER_BYTES + 4
export const RING_SLOT_BYTES = 512
const NAME_AT: number = RING_SLOT_BYTES - 40
/** Longer ones have files of their own. */
export const SLOT_KEY_BYTES_MAX: number = NAME_AT - KEY_EXTRA_BYTES

export function encodeKey(name: Uint8Array, wrapped: Uint8Array, crc: Crc32): Uint8Array {
  const bytes = new Uint8Array(wrapped.length + KEY_EXTRA_BYTES)
  putKey(bytes, name, wrapped, crc)
  return bytes
}

function putKey(bytes: Uint8Array, name: Uint8Array, wrapped: Uint8Array, crc: Crc32): void {
  const end = KEY_HEADER_BYTES + wrapped.length
  putU32(bytes, 0, MAGIC)
  putU32(bytes, 4, wrapped.length)
  bytes.set(name, 8)
  bytes.set(wrapped, KEY_HEADER_BYTES)
  putU32(bytes, end, crc(bytes.subarray(0, end)))
}

/** A view of the wrapped key, if all of `bytes` is one. */
export function decodeKey(bytes: Uint8Array, crc: Crc32): { name: Uint8Array; wrapped: Uint8Array } | undefined {
  const end = bytes.length - 4
  if (end < KEY_HEADER_BYTES || getU32(bytes, 0) !== MAGIC || getU32(bytes, 4) !== end - KEY_HEADER_BYTES)
    return undefined
  if (crc(bytes.subarray(0, end)) !== getU32(bytes, end)) return undefined
  return { name: bytes.subarray(8, KEY_HEADER_BYTES), wrapped: bytes.subarray(KEY_HEADER_BYTES, end) }
}

export type Slot =
  | { readonly kind: 'free' }
  /** Of a put or an erasure that never ended. */
  | { readonly kind: 'unfinished' }
  | { readonly kind: 'key'; readonly name: Uint8Array; readonly wrapped: Uint8Array }
  /** `name` is undefined if that is damaged too. */
  | { readonly kind: 'damaged'; readonly name: Uint8Array | undefined }

const FREE: Slot = { kind: 'free' }
const UNFINISHED: Slot = { kind: 'unfinished' }

export function encodeSlot(target: Uint8Array, name: Uint8Array, wrapped: Uint8Array, crc: Crc32): void {
  putKey(target, name, wrapped, crc)
  target.set(name, NAME_AT)
  putU32(target, RING_SLOT_BYTES - 8, crc(name))
  putU32(target, RING_SLOT_BYTES - 4, END_MAGIC)
}

/** Names and keys are views of `bytes`. */
export function decodeSlot(bytes: Uint8Array, crc: Crc32): Slot {
  if (bytes[0] === 0) return isZero(bytes) ? FREE : UNFINISHED
  if (bytes[RING_SLOT_BYTES - 1] === 0) return UNFINISHED
  const key = decodeKey(bytes.subarray(0, getU32(bytes, 4) + KEY_EXTRA_BYTES), crc)
  const again = bytes.subarray(NAME_AT, NAME_AT + 32)
  const isNamed = crc(again) === getU32(bytes, RING_SLOT_BYTES - 8)
  if (key && isNamed && equalBytes(key.name, again)) return { kind: 'key', ...key }
  return { kind: 'damaged', name: isNamed ? again : key?.name }
}

function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false
  return true
}
