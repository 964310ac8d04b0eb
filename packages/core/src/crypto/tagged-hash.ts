/** SHA-256 of a context and parts of known sizes, one behind the other: how every hash of ours is made. */
import { concatBytes } from '../base/bytes.ts'
import { type ContextName, contextBytes } from './contexts.ts'
import type { CryptoProvider } from './provider.ts'

export function taggedHash(
  crypto: Pick<CryptoProvider, 'sha256'>,
  context: ContextName,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  return crypto.sha256(concatBytes(contextBytes(context), ...parts))
}
