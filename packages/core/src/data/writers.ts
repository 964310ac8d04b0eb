/** Who has written on a chain: a writer is a certificate, of one process at a time. */
import { type Fingerprint, fingerprintOf, toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'

export interface WriterInfo {
  /** For tx.endWriter and chain.adopt. */
  readonly id: string
  readonly identity: Fingerprint
  /** Chain time up to which it may write, Unix ms. */
  readonly until: number
  readonly ended: boolean
  readonly commits: number
  /** Commits that carry no post-quantum signature yet. */
  readonly unattested: number
}

export function writersOf({ replica, now }: ChainCore): WriterInfo[] {
  return [...replica.trust.certificates.values()].map((certificate) => ({
    id: toBase32(certificate.id),
    identity: fingerprintOf(certificate.identityBytes),
    until: certificate.until,
    ended: certificate.ended || certificate.until < now,
    commits: certificate.mark,
    unattested: certificate.unattested.length,
  }))
}
