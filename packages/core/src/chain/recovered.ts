/**
 * What a machine that saw a lost branch does when it meets the chain that was recovered: a verified record of recovery
 * that it had not taken in, and that reaches back to the head that it remembers, is the one thing that ends that memory.
 */
import { equalBytes } from '../base/bytes.ts'
import { chainIdOf } from '../base/ids.ts'
import type { Head } from '../log/engine.ts'
import { newRecoveries, noteRecovery } from '../session/known-recoveries.ts'
import { forgetHead, type RememberedHead, rememberedHead, rememberHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import type { Recovery } from '../trust/trust-state.ts'
import type { Replica } from './replica.ts'

/** True if a recovery that this machine has not taken in says that the head which it remembers is lost. Changes nothing. */
export async function isRecovered(state: StateStore, replica: Replica, remembered: RememberedHead): Promise<boolean> {
  const fresh = await newRecoveries(state, chainIdOf(replica.chainId), replica.trust.recoveries)
  return isLost(replica, remembered, fresh)
}

/**
 * Takes in the recoveries of a verified replica: the head of a lost branch is forgotten, and each is noted. In this
 * order: a crash between the two forgets a head too early, and never leaves an alarm that nobody can end.
 */
export async function settleRecoveries(state: StateStore, replica: Replica): Promise<void> {
  const chain = chainIdOf(replica.chainId)
  const fresh = await newRecoveries(state, chain, replica.trust.recoveries)
  if (fresh.length === 0) return
  const remembered = await rememberedHead(state, chain)
  if (remembered && isLost(replica, remembered, fresh)) await forgetHead(state, chain)
  for (const recovery of fresh) await noteRecovery(state, chain, recovery)
}

/** Of who has recovered the chain himself: his record is taken in, and is what this machine goes on from. */
export async function rememberRecovered(state: StateStore, replica: Replica): Promise<void> {
  await settleRecoveries(state, replica)
  const { chainId, head, chainTime } = replica
  await rememberHead(state, chainIdOf(chainId), { ...head, at: chainTime })
}

/** Whether one of those recoveries says that this head, which the replica does not have, is lost. */
export function isLost({ hashes }: Replica, { seq, hash }: Head, fresh: readonly Recovery[]): boolean {
  const here = hashes.at(seq)
  if (here && equalBytes(here, hash)) return false
  return fresh.some(({ from }) => from <= seq)
}
