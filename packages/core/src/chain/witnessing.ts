/** Which checkpoint of a log enough witnesses have cosigned. */
import { AteError } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { type Cosigned, cosignersOf, type ParsedWitnesses } from '../event/cosignature.ts'
import { KIND, RECORD_HEAD_BYTES } from '../event/format.ts'
import { parseNote } from '../event/note.ts'
import type { LogEngine } from '../log/engine.ts'
import { newestOfKind, recordAt } from './log-parts.ts'

/** The newest checkpoint that reaches the quorum: its record, how many records it covers, and who cosigned it, and when. */
export interface Witnessed {
  readonly seq: number
  readonly size: number
  readonly by: readonly Cosigned[]
}

interface Parts {
  readonly crypto: CryptoProvider
  readonly engine: LogEngine
}

/** Looks backwards from record `from`. @throws AteError NOT_WITNESSED | BAD_COSIGNATURE */
export async function newestWitnessed(
  { crypto, engine }: Parts,
  from: number,
  witnesses: ParsedWitnesses,
): Promise<Witnessed> {
  let found: Witnessed | undefined
  await newestOfKind(engine, KIND.checkpoint, { from, to: 1 }, async (seq) => {
    found = witnessedBy(crypto, { seq, bytes: await recordAt(engine, seq) }, witnesses)
    return found !== undefined
  })
  if (!found) throw new AteError('NOT_WITNESSED', { quorum: witnesses.quorum })
  return found
}

/** Undefined unless the record is a checkpoint that reaches the quorum. @throws AteError BAD_COSIGNATURE */
export function witnessedBy(
  crypto: CryptoProvider,
  { seq, bytes }: { readonly seq: number; readonly bytes: Uint8Array },
  witnesses: ParsedWitnesses,
): Witnessed | undefined {
  if (bytes[RECORD_HEAD_BYTES - 1] !== KIND.checkpoint) return undefined
  const by = cosignersOf(crypto, parseNote(bytes.subarray(RECORD_HEAD_BYTES)), witnesses)
  return by.length >= witnesses.quorum ? { seq, size: seq, by } : undefined
}
