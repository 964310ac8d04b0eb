/** A witness for tests and examples: it signs whatever it is given. A real one checks first that the tree continues the last. */
import { utf8 } from '../base/bytes.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { cosignatureLine, witnessKeyText } from '../event/cosignature.ts'
import { parseNote } from '../event/note.ts'

export interface TestWitness {
  /** As `witnesses.keys` takes it. */
  readonly key: string
  /** Its line for a note; `atMs` in whole seconds. */
  cosign(note: string, atMs: number): string
}

export function testWitness(crypto: CryptoProvider, name: string): TestWitness {
  const signer = crypto.ed25519Signer(crypto.sha256(utf8(`witness/${name}`)))
  return {
    key: witnessKeyText(crypto, name, signer.publicKey),
    cosign: (note, atMs) =>
      cosignatureLine(crypto, parseNote(utf8(note)), { name, key: signer, seconds: Math.floor(atMs / 1000) }),
  }
}
