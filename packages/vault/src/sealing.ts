/**
 * The key of a value follows from two halves, 32 random bytes each: one is sealed in the log for those who read, the other
 * stands in the key ring beside the log. Neither opens anything alone; when the ring's half is destroyed, nothing does.
 *
 *   key        = SHA-256(label 'value' || half in the log || half in the ring)
 *   commitment = SHA-256(label 'commitment' || key)           one box, one key, one plaintext
 *   box        = XChaCha20-Poly1305(key, nonce 0, purpose)    each key seals once
 */
import { AteError } from '@ate/core'
import { sha256 } from '@noble/hashes/sha2.js'
import { xchacha } from './xchacha.ts'

export const HALF_BYTES = 32
const NONCE = new Uint8Array(24)
const TAG_BYTES = 16
const encoder = new TextEncoder()

/** Domain labels: none is used for two things. */
const LABELS = {
  value: 'ate vault: key of a value',
  commitment: 'ate vault: commitment to a key',
  pattern: 'ate vault: commitment to the pattern of a zone',
  wrap: 'ate vault: key of a wrapped value',
  transit: 'ate vault: transit, symmetric key',
  transitKem: 'ate vault: transit, seed of the hybrid key',
  transitClassical: 'ate vault: transit, seed of Ed25519',
  transitLattice: 'ate vault: transit, seed of ML-DSA-65',
  transitShared: 'ate vault: transit, key of a hybrid secret',
} as const
export type Label = keyof typeof LABELS
const LABEL_BYTES = Object.fromEntries(
  Object.entries(LABELS).map(([label, text]) => [label, encoder.encode(`${text}\0`)]),
) as Record<Label, Uint8Array>

/** SHA-256 of a label and parts, of which at most one has a size that is not fixed. */
export function derive(label: Label, ...parts: readonly Uint8Array[]): Uint8Array {
  // In one call: a hash that is fed piece by piece costs twice as much.
  let size = LABEL_BYTES[label].length
  for (const part of parts) size += part.length
  const input = new Uint8Array(size)
  try {
    input.set(LABEL_BYTES[label])
    let at = LABEL_BYTES[label].length
    for (const part of parts) {
      input.set(part, at)
      at += part.length
    }
    return sha256(input)
  } finally {
    input.fill(0)
  }
}

export interface Sealed {
  readonly commitment: Uint8Array
  readonly box: Uint8Array
}

/** Seals under a key that was made for this, and wipes both. `purpose` must be the same when it is opened. */
export function sealOnce(key: Uint8Array, purpose: string, plain: Uint8Array): Sealed {
  try {
    const box = xchacha(key, NONCE, encoder.encode(purpose)).encrypt(plain)
    return { commitment: derive('commitment', key), box }
  } finally {
    key.fill(0)
    plain.fill(0)
  }
}

/** Wipes the key. @throws AteError BAD_BODY */
export function openSealed(key: Uint8Array, purpose: string, { commitment, box }: Sealed): Uint8Array {
  try {
    if (box.length < TAG_BYTES || !equalBytes(derive('commitment', key), commitment))
      throw new AteError('BAD_BODY', { what: 'the key does not fit its commitment' })
    return xchacha(key, NONCE, encoder.encode(purpose)).decrypt(box)
  } catch (error) {
    // The cipher's error says no more, and must not carry bytes.
    throw error instanceof AteError ? error : new AteError('BAD_BODY', { what: 'the sealed value was altered' })
  } finally {
    key.fill(0)
  }
}

/** In time that depends on the lengths only. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ b[i]!
  return difference === 0
}

/** A value belongs to one version of one path: nobody can show it under another. */
export function purposeOf(path: string, version: number): string {
  return `value ${version} ${path}`
}
