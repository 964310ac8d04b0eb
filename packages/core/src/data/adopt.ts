/** Vouching for the commits of a writer that is gone and did not sign them with its hybrid key. */
import { toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { parseId } from '../base/ids.ts'
import { ATTEST_COMMITS_MAX } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { KIND } from '../event/format.ts'
import { mayManage } from '../trust/policy.ts'

/** As Chain.adopt. @throws AteError CERT_UNKNOWN | NOT_AUTHORIZED */
export async function adoptCommits(core: ChainCore, writer: string): Promise<number> {
  await core.settled()
  const { replica, identity } = core
  const certificate = replica.trust.certificates.get(toBinaryText(parseId(writer, 'fingerprint')))
  if (!certificate) throw new AteError('CERT_UNKNOWN', { writer })
  assertManages(core)
  if (certificate.unattested.length === 0) return 0
  let adopted = 0
  await core.appendOther(KIND.attestation, () => {
    const commits = certificate.unattested.slice(0, ATTEST_COMMITS_MAX)
    adopted = commits.length
    if (adopted === 0) throw new AteError('CERT_UNKNOWN', { writer, what: 'all of its commits are attested by now' })
    // What was staged while this waited may have changed who manages: a record that nobody takes must not be stored.
    assertManages(core)
    return core.attest({ certificate: certificate.id, commits }, identity.fingerprintBytes)
  })
  return adopted
}

function assertManages({ replica, identityName }: ChainCore): void {
  if (!mayManage(replica.view, 0, identityName)) throw new AteError('NOT_AUTHORIZED', { needs: 'manage of the root' })
}
