/** As recovered.ts says, whose code is loaded for chains that were recovered: few are. */
import type { RememberedHead } from '../session/remembered-heads.ts'
import type { StateStore } from '../session/state-store.ts'
import type { Replica } from './replica.ts'

export async function isRecovered(state: StateStore, replica: Replica, remembered: RememberedHead): Promise<boolean> {
  if (replica.trust.recoveries.length === 0) return false
  return (await import('./recovered.ts')).isRecovered(state, replica, remembered)
}

export async function settleRecoveries(state: StateStore, replica: Replica): Promise<void> {
  if (replica.trust.recoveries.length > 0) await (await import('./recovered.ts')).settleRecoveries(state, replica)
}
