/**
 * A checkpoint: an RFC 9162 tree head over the hashes of all records before it, as a signed note (note.ts). It vouches for
 * order, never for authorship.
 */
import { utf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { RECORD_HEAD_BYTES } from './format.ts'
import { type Checkpoint, KEY_TYPE, keyIdOf, type Note, parseNote, signatureIn } from './note.ts'

export type { Checkpoint } from './note.ts'

export function checkpointOrigin(chainIdText: string): string {
  return `ate/${chainIdText}`
}

/**
 * The checkpoint of a record, verified by one of `keys`; lines of others (witnesses) are not judged here.
 * @throws AteError BAD_CHECKPOINT
 */
export function parseCheckpoint(
  crypto: CryptoProvider,
  record: Uint8Array,
  origin: string,
  keys: readonly Uint8Array[],
): Checkpoint {
  const note = parseNote(record.subarray(RECORD_HEAD_BYTES))
  if (note.checkpoint.origin !== origin) throw new AteError('BAD_CHECKPOINT', { what: 'form' })
  if (!checkpointSigner(crypto, note, keys)) throw new AteError('BAD_CHECKPOINT', { what: 'signature' })
  return note.checkpoint
}

/** The first of `keys` that has signed the note; undefined if none has. */
export function checkpointSigner(
  crypto: CryptoProvider,
  { checkpoint, text, lines }: Note,
  keys: readonly Uint8Array[],
): Uint8Array | undefined {
  const { origin } = checkpoint
  const message = utf8(text)
  return keys.find((key) => {
    const keyId = keyIdOf(crypto, origin, KEY_TYPE.ed25519, key)
    const signatures = lines.map((line) => signatureIn(line, origin, keyId))
    return signatures.some((signature) => signature && crypto.ed25519Verifier(key).verify(message, signature))
  })
}
