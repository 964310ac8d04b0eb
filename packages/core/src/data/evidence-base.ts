/** What every evidence says of itself. Small, and apart from what looks for evidence: that is loaded with the first alarm. */
import { toBase64 } from '../base/bytes.ts'
import { chainIdOf } from '../base/ids.ts'
import type { Replica } from '../chain/replica.ts'
import { encodeParameters } from '../event/genesis.ts'
import type { Head } from '../log/engine.ts'
import { EVIDENCE_FORMAT, type Evidence } from './evidence.ts'

export function evidenceBase(
  { chainId, genesis }: Replica,
  kind: Evidence['kind'],
  { remembered, shown: now }: { readonly remembered: Head; readonly shown: Head },
): Omit<Evidence, 'from' | 'count' | 'known' | 'against'> {
  return {
    format: EVIDENCE_FORMAT,
    kind,
    chain: chainIdOf(chainId),
    genesis: toBase64(encodeParameters(genesis.parameters)),
    remembered: { seq: remembered.seq, hash: toBase64(remembered.hash) },
    shown: { seq: now.seq, hash: toBase64(now.hash) },
  }
}
