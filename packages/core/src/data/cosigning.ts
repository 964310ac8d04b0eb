/** Asks witnesses for their signatures over a checkpoint that is not stored yet. Loaded with the first that asks for some. */
import { fromUtf8 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { COSIGN_MS } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { parseWitnesses, requireQuorum } from '../event/cosignature.ts'
import { addLines, parseNote } from '../event/note.ts'
import type { CheckpointOptions } from './checkpoints.ts'

/** The note with the lines that came. @throws AteError BAD_ARGUMENT | BAD_CHECKPOINT | BAD_COSIGNATURE | NOT_WITNESSED */
export async function cosigned(
  core: ChainCore,
  signed: Uint8Array,
  { cosign, witnesses }: CheckpointOptions,
): Promise<Uint8Array> {
  const wanted = witnesses && parseWitnesses(core.crypto, witnesses)
  const payload = cosign ? addLines(signed, await linesOf(core, cosign, fromUtf8(signed))) : signed
  if (wanted) requireQuorum(core.crypto, parseNote(payload), wanted)
  return payload
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
