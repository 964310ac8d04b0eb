/** Numbers of an open chain for whoever runs it: what is known without reading the log. */

import type { ChainCore } from '../chain/chain-core.ts'
import type { SnapshotInfo } from '../chain/snapshots.ts'
import { countVoids } from '../chain/voids.ts'
import type { CompactionState } from './compact-policy.ts'

export interface ChainStats {
  readonly records: number
  /** Chain time of the newest record that moved it, Unix ms. */
  readonly headTime: number
  readonly logBytes: number
  /** Entities that are alive, the root not counted. */
  readonly entities: number
  /** Transactions that are stored and void for everybody. */
  readonly voids: number
  /** Transactions staged and not yet acknowledged. */
  readonly pending: number
  /** The newest record up to which every commit carries a post-quantum signature. */
  readonly attestedSeq: number
  /** Commits that carry none yet. */
  readonly unattested: number
  /** Certificates under which somebody may still write. */
  readonly writers: number
  readonly checkpoints: number
  /** Seq of the newest one. */
  readonly newestCheckpoint: number | undefined
  readonly compaction: CompactionState
  /** Of the state that this machine keeps beside the log; undefined where it keeps none. */
  readonly snapshot: SnapshotInfo | undefined
}

/** What compaction could free is not known without reading: `chain.doctor()` counts it. Looks at every entity and certificate, in memory: some ten milliseconds for a million entities. */
export function chainStats(
  { replica, engine, staging, now, snapshots }: ChainCore,
  compaction: CompactionState,
): ChainStats {
  const certificates = [...replica.trust.certificates.values()]
  return {
    records: replica.head.seq + 1,
    headTime: replica.chainTime,
    logBytes: engine.sizeBytes(),
    entities: replica.view.countVisible(),
    voids: countVoids(replica),
    pending: staging.size,
    attestedSeq: replica.attestedSeq,
    unattested: certificates.reduce((count, { unattested }) => count + unattested.length, 0),
    writers: certificates.filter(({ ended, until }) => !ended && until >= now).length,
    checkpoints: replica.checkpoints,
    newestCheckpoint: replica.newestCheckpoint?.seq,
    compaction,
    snapshot: snapshots?.info,
  }
}
