/**
 * The record of recovery of a chain that is open for writing: what it says, who may say it, and that it covers what this
 * machine remembers of the lost branch.
 */
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { ChainId } from '../base/ids.ts'
import { RECOVER_LOST_MAX } from '../base/limits.ts'
import { RECOVER_LEVEL } from '../chain/accept-recovery.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import type { Replica } from '../chain/replica.ts'
import { KIND } from '../event/format.ts'
import { encodeRecovery } from '../event/recovery.ts'
import type { Head } from '../log/engine.ts'
import { type RememberedHead, rememberedHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import { mayManage } from '../trust/policy.ts'

export interface RecoverOptions {
  /**
   * The first seq at which other copies may differ from this one; the one behind its newest record if left out. Lower
   * where this copy was written to after the loss: machines that saw the lost branch remember a head from there on.
   */
  readonly from?: number
  /** Heads of the lost branch that are known, for the record; this machine's own memory of it is added. */
  readonly lost?: readonly { readonly seq: number; readonly hash: Uint8Array }[]
}

export interface RecoverReceipt {
  readonly chain: ChainId
  /** The record of recovery. */
  readonly seq: number
  readonly from: number
  /** The heads that it names as lost. */
  readonly lost: readonly { readonly seq: number; readonly hash: Uint8Array }[]
}

/** Appends the record to a chain that is open for writing. */
export async function appendRecovery(
  core: ChainCore,
  options: RecoverOptions,
  state: StateStore,
): Promise<RecoverReceipt> {
  const { replica, identityName, identity, crypto, chainId: chain } = core
  if (replica.trust.level < RECOVER_LEVEL)
    throw new AteError('LEVEL_TOO_LOW', { level: replica.trust.level, needs: RECOVER_LEVEL })
  if (!mayManage(replica.view, 0, identityName)) throw new AteError('NOT_AUTHORIZED', { needs: 'manage of the root' })
  const remembered = await rememberedHead(state, chain)
  let from = 0
  let lost: readonly Head[] = []
  const record = await core.appendOther(KIND.recover, () => {
    const { head } = replica
    from = options.from ?? head.seq + 1
    lost = lostHeads(replica, from, options.lost ?? [], remembered)
    // What was staged while this waited may have changed who manages: a record that nobody takes must not be stored.
    if (!mayManage(replica.view, 0, identityName)) throw new AteError('NOT_AUTHORIZED', { needs: 'manage of the root' })
    const hash = replica.hashes.at(from - 1)!
    const body = { chain: replica.chainId, by: identity.fingerprintBytes, prev: head.hash, from, hash, lost }
    return encodeRecovery(crypto, body, (message) => identity.sign(message, 'recover'))
  })
  return { chain, seq: record.seq, from, lost }
}

/** @throws AteError BAD_ARGUMENT | FORK { seq }: this machine remembers a head that the record would not cover */
function lostHeads(
  { head, hashes }: Replica,
  from: number,
  given: readonly Head[],
  remembered: RememberedHead | undefined,
): readonly Head[] {
  if (!Number.isSafeInteger(from) || from < 1 || from > head.seq + 1)
    throw new AteError('BAD_ARGUMENT', { what: 'from', from, least: 1, most: head.seq + 1 })
  const bySeq = new Map<number, Uint8Array>()
  const here = remembered && hashes.at(remembered.seq)
  if (remembered && !(here && equalBytes(here, remembered.hash))) {
    if (remembered.seq < from)
      throw new AteError(
        'FORK',
        { seq: remembered.seq, from },
        { hint: 'this machine saw another record at that seq: recover from there, or from before it' },
      )
    bySeq.set(remembered.seq, remembered.hash)
  }
  for (const { seq, hash } of given) {
    if (!Number.isSafeInteger(seq) || seq < from || !(hash instanceof Uint8Array) || hash.length !== 32)
      throw new AteError('BAD_ARGUMENT', { what: 'lost: heads from `from` on, of a seq and 32 bytes' })
    bySeq.set(seq, hash.slice())
  }
  if (bySeq.size > RECOVER_LOST_MAX)
    throw new AteError('BAD_ARGUMENT', { what: 'lost', heads: bySeq.size, max: RECOVER_LOST_MAX })
  return [...bySeq].map(([seq, hash]) => ({ seq, hash })).sort((x, y) => x.seq - y.seq)
}
