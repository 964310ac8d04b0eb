/**
 * Checkpoints of this session: signed with a key that follows from the identity and the chain's nonce, and cosigned by
 * witnesses before they are stored, if the caller has some. Other records of this session wait meanwhile, since a
 * checkpoint is over all records before its own.
 */
import { fromUtf8, utf8, wipe } from '../base/bytes.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { CryptoProvider, Signer } from '../crypto/provider.ts'
import type { Witnesses } from '../event/cosignature.ts'
import { KIND } from '../event/format.ts'
import { addLines } from '../event/note.ts'
import { type Identity, identityCheckpointSeed } from '../session/identity.ts'

/** The public key by which an identity signs checkpoints of the chain with this nonce. */
export function checkpointKeyOf(crypto: CryptoProvider, identity: Identity, nonce: Uint8Array): Uint8Array {
  return withSigner(crypto, identity, nonce, ({ publicKey }) => publicKey)
}

/** What `run` gives for that key, which is gone afterwards. */
export function withSigner<R>(
  crypto: CryptoProvider,
  identity: Identity,
  nonce: Uint8Array,
  run: (key: Signer) => R,
): R {
  const seed = identityCheckpointSeed(identity, nonce)
  try {
    return run(crypto.ed25519Signer(seed))
  } finally {
    wipe(seed)
  }
}

export interface CheckpointOptions {
  /**
   * Asks witnesses for their signature lines over the note, as C2SP has them, and gives those that came. It has ten seconds.
   */
  readonly cosign?: (note: string) => readonly string[] | Promise<readonly string[]>
  /** Who must have cosigned it; else nothing is stored. */
  readonly witnesses?: Witnesses
}

/** Appends a checkpoint. @throws AteError NOT_AUTHORIZED | BAD_CHECKPOINT | BAD_COSIGNATURE | NOT_WITNESSED and as append */
export async function appendCheckpoint(
  core: ChainCore,
  options: CheckpointOptions,
): Promise<{ readonly seq: number; readonly size: number; readonly note: string }> {
  let note = ''
  const { seq } = await core.appendOther(KIND.checkpoint, async () => {
    // Loaded in its place in the log: few programs sign any.
    const payload = await (await import('./cosigning.ts')).checkpointPayload(core, options)
    note = fromUtf8(payload)
    return payload
  })
  return { seq, size: seq, note }
}

/**
 * A note with more signature lines: those of witnesses that came after it was stored.
 * @throws AteError BAD_CHECKPOINT if a line has no form of one, or the note would be too large
 */
export function addCosignatures(note: string, lines: readonly string[]): string {
  return fromUtf8(addLines(utf8(note), lines))
}
