/** What a server's own signatures say against it, when it shows less than it has shown, or something else. */
import { fromBase64 } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import type { LinkAlarm } from '../chain/link.ts'
import type { Replica } from '../chain/replica.ts'
import { evidenceBase } from '../data/evidence-base.ts'
import { parseAcknowledgement } from '../event/acknowledgement.ts'

/** `replica` is what this process has verified. Of a fork only what was said before is shown: opening it anew shows both. */
export function serverAlarm(replica: Replica, { kind, shown, known, against }: LinkAlarm): AteError {
  const remembered = replica.head
  const said = known && parseAcknowledgement(fromBase64(known.acknowledgement)!)
  const evidence = {
    ...evidenceBase(replica, kind, { remembered, shown }),
    ...(known && said ? { from: said.seq, count: 1, known: { kind: 'acknowledgement', ...known } } : {}),
    ...(known && against && kind === 'rollback' ? { against: { kind: 'acknowledgement', ...against } } : {}),
  }
  const facts = { chain: chainIdOf(replica.chainId), seq: shown.seq, verified: remembered.seq }
  return new AteError(kind === 'rollback' ? 'ROLLBACK' : 'FORK', facts, { evidence })
}
