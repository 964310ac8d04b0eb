/**
 * The records of recovery that this machine has taken in, one name each: `recoveries/<chain id>/<seq>-<hash>`. One that
 * is not known yet lets the machine forget what it saw on a lost branch; one that is known does not, or else who stores
 * the chain could cut it back to its last recovery, again and again.
 */
import { utf8 } from '../base/bytes.ts'
import { type ChainId, toBase32 } from '../base/ids.ts'
import type { Recovery } from '../trust/trust-state.ts'
import type { StateStore } from './state-store.ts'

const SEQ_DIGITS = 16

/** Those of `recoveries` that this machine has not taken in. */
export async function newRecoveries(
  state: StateStore,
  chainId: ChainId,
  recoveries: readonly Recovery[],
): Promise<readonly Recovery[]> {
  if (recoveries.length === 0) return []
  const known = new Set(await state.list(`recoveries/${chainId}/`))
  return recoveries.filter((recovery) => !known.has(nameOf(chainId, recovery)))
}

export async function noteRecovery(state: StateStore, chainId: ChainId, recovery: Recovery): Promise<void> {
  await state.put(nameOf(chainId, recovery), utf8(`from ${recovery.from}\n`))
}

/** When the chain itself is gone from this machine. */
export async function forgetRecoveries(state: StateStore, chainId: ChainId): Promise<void> {
  for (const name of await state.list(`recoveries/${chainId}/`)) await state.remove(name)
}

function nameOf(chainId: ChainId, { seq, hash }: Recovery): string {
  return `recoveries/${chainId}/${String(seq).padStart(SEQ_DIGITS, '0')}-${toBase32(hash)}`
}
