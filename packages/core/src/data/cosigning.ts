/** Signs a checkpoint that is not stored yet, and asks witnesses for their signatures over it. Loaded with the first. */
import { equalBytes, fromUtf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { COSIGN_MS } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { checkpointOrigin } from '../event/checkpoint.ts'
import { encodeCheckpoint } from '../event/checkpoint-encode.ts'
import { parseWitnesses, requireQuorum } from '../event/cosignature.ts'
import { addLines, parseNote } from '../event/note.ts'
import { type CheckpointOptions, withSigner } from './checkpoints.ts'

/**
 * The note, with the lines of witnesses that came.
 * @throws AteError NOT_AUTHORIZED if the root has not named this session's key; BAD_ARGUMENT | BAD_CHECKPOINT | BAD_COSIGNATURE | NOT_WITNESSED
 */
export async function checkpointPayload(
  core: ChainCore,
  { cosign, witnesses }: CheckpointOptions,
): Promise<Uint8Array> {
  const signed = signedPayload(core)
  const wanted = witnesses && parseWitnesses(core.crypto, witnesses)
  const payload = cosign ? addLines(signed, await linesOf(core, cosign, fromUtf8(signed))) : signed
  if (wanted) requireQuorum(core.crypto, parseNote(payload), wanted)
  return payload
}

function signedPayload({ crypto, identity, replica, chainId }: ChainCore): Uint8Array {
  return withSigner(crypto, identity, replica.genesis.parameters.nonce, (key) => {
    if (!replica.trust.checkpointKeys.some((known) => equalBytes(known, key.publicKey))) {
      throw new AteError('NOT_AUTHORIZED', { needs: 'a checkpoint key that the root named' })
    }
    const { tree } = replica
    return encodeCheckpoint(crypto, { origin: checkpointOrigin(chainId), size: tree.size, root: tree.root() }, key)
  })
}

/** A witness that never answers must not hold the chain. */
async function linesOf(
  { environment }: ChainCore,
  cosign: NonNullable<CheckpointOptions['cosign']>,
  note: string,
): Promise<readonly string[]> {
  let stop: { cancel(): void } | undefined
  const late = new Promise<never>((_, reject) => {
    stop = environment.timers.start(COSIGN_MS, () => reject(new AteError('NOT_WITNESSED', { afterMs: COSIGN_MS })))
  })
  try {
    const lines = await Promise.race([cosign(note), late])
    if (!Array.isArray(lines)) throw new AteError('BAD_ARGUMENT', { what: 'cosign gives a list of signature lines' })
    return lines
  } finally {
    stop?.cancel()
  }
}
