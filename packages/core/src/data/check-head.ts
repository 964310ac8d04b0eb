/**
 * Holds a log against what this machine remembers of the chain. An older copy, or one with another record where this machine
 * has verified one, is an alarm, with the evidence that there is.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import { catchUp } from '../chain/catch-up.ts'
import { isRecovered } from '../chain/recoveries.ts'
import type { Replica } from '../chain/replica.ts'
import type { AcknowledgementPart } from '../chain/signed-parts.ts'
import type { Head, LogEngine } from '../log/engine.ts'
import type { Platform } from '../session/platform.ts'
import { rememberedHead } from '../session/remembered-heads.ts'

/** Of a log that a server shows. */
export interface ServerSide {
  /** What it has said of the log. */
  readonly acknowledgement?: AcknowledgementPart | undefined
  /** Takes in what it has more by now. */
  readonly catchUp?: () => Promise<void>
  /** It did not answer: what this machine remembers beyond the log is held against the server when it does. */
  readonly isAway?: true
}

/** What this machine has verified beyond a copy that is all there is for now. */
export async function headBeyond(replica: Replica, { state }: Platform): Promise<Head | undefined> {
  const remembered = await rememberedHead(state, chainIdOf(replica.chainId))
  if (!remembered || remembered.seq <= replica.head.seq || (await isRecovered(state, replica, remembered)))
    return undefined
  return { seq: remembered.seq, hash: remembered.hash }
}

/** Undefined if the log is as new as what is remembered, and the same. @throws AteError FORK if two histories are remembered */
export async function alarmOf(
  replica: Replica,
  engine: LogEngine,
  { state, crypto }: Platform,
  log: 'whole' | 'broken' = 'whole',
  server: ServerSide = {},
): Promise<AteError | undefined> {
  const chain = chainIdOf(replica.chainId)
  const remembered = await rememberedHead(state, chain)
  if (!remembered || (await isRecovered(state, replica, remembered))) return undefined
  if (server.isAway && remembered.seq > replica.head.seq) return undefined
  // Beside a writer, that is no older copy but an opening that took a while.
  if (remembered.seq > replica.head.seq && log === 'whole') await (server.catchUp?.() ?? catchUp(engine, replica))
  const there = replica.hashes.at(remembered.seq)
  if (there && equalBytes(there, remembered.hash)) return undefined
  const { evidenceOf } = await import('./head-evidence.ts')
  const evidence = await evidenceOf(
    { crypto, engine, replica, chainId: chain, acknowledgement: server.acknowledgement },
    remembered,
  )
  const facts = { chain, seq: replica.head.seq, remembered: remembered.seq }
  return new AteError(evidence.kind === 'fork' ? 'FORK' : 'ROLLBACK', facts, { evidence })
}
