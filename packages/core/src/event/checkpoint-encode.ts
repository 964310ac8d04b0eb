/** The bytes of a checkpoint (checkpoint.ts), signed. Apart, since few pages sign any. */
import { utf8 } from '../base/bytes.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import { type Checkpoint, KEY_TYPE, keyIdOf, noteLine, noteText } from './note.ts'

/** `key` is an Ed25519 key that the root named. */
export function encodeCheckpoint(crypto: CryptoProvider, checkpoint: Checkpoint, key: Signer): Uint8Array {
  const text = noteText(checkpoint)
  const keyId = keyIdOf(crypto, checkpoint.origin, KEY_TYPE.ed25519, key.publicKey)
  return utf8(`${text}\n${noteLine(checkpoint.origin, keyId, key.sign(utf8(text)))}\n`)
}
