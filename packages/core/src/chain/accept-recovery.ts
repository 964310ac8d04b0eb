/**
 * What a record of recovery does to a replica: it ends every certificate that is known, so that numbers that were given
 * on the lost branch are not given again, and it is noted, so that machines that saw that branch take this one.
 */
import { equalBytes, toBinaryText } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { compositeVerifier } from '../crypto/composite.ts'
import { contextBytes } from '../crypto/contexts.ts'
import type { RecordHead } from '../event/record.ts'
import { parseRecovery } from '../event/recovery.ts'
import type { LogRecord } from '../log/engine.ts'
import { signingKeyOf } from '../trust/identity-keys.ts'
import { mayManage } from '../trust/policy.ts'
import type { Replica } from './replica.ts'

/** Rules of level 1 do not know the kind. */
export const RECOVER_LEVEL = 2

/** @throws AteError BAD_RECORD (below level 2) | BAD_RECOVERY. Nothing has changed then. */
export function acceptRecovery(replica: Replica, record: LogRecord, head: RecordHead): void {
  const { crypto, trust } = replica
  if (trust.level < RECOVER_LEVEL) throw new AteError('BAD_RECORD', { kind: head.kind, level: trust.level })
  const { body, message, signature } = parseRecovery(crypto, record.bytes)
  if (!equalBytes(body.chain, replica.chainId)) throw new AteError('BAD_RECOVERY', { what: 'chain' })
  // Signed for this place: a storing process cannot repeat it to end certificates again.
  if (!equalBytes(body.prev, head.prev)) throw new AteError('BAD_RECOVERY', { what: 'place' })
  // Undefined where `from` is behind this record: its own hash is not there yet.
  const before = replica.hashes.at(body.from - 1)
  if (!before || !equalBytes(before, body.hash)) throw new AteError('BAD_RECOVERY', { what: 'common part' })
  const by = toBinaryText(body.by)
  const keys = trust.keysOf(by)
  const actor = trust.actorOf(by)
  if (!keys || actor === undefined || !mayManage(replica.view, 0, actor))
    throw new AteError('BAD_RECOVERY', { what: 'who recovers must manage the root' })
  if (!compositeVerifier(crypto, signingKeyOf(keys)).verify(message, signature, contextBytes('recover')))
    throw new AteError('BAD_RECOVERY', { what: 'signature' })
  for (const certificate of trust.certificates.values()) certificate.ended = true
  trust.recoveries.push({ seq: record.seq, hash: record.hash.slice(), from: body.from })
}
