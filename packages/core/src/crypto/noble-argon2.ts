/** Argon2id of @noble/hashes. Apart from the others, because few programs ever open what is sealed by a passphrase. */
import { argon2id } from '@noble/hashes/argon2.js'
import type { Argon2Parameters } from './provider.ts'

export function nobleArgon2id(
  password: Uint8Array,
  salt: Uint8Array,
  { memoryKiB, passes, lanes }: Argon2Parameters,
  size: number,
): Uint8Array {
  return argon2id(password, salt, { m: memoryKiB, t: passes, p: lanes, dkLen: size })
}
