/** What this machine keeps of a chain, and how it is forgotten when the chain itself is destroyed here. */
import type { ChainId } from '../base/ids.ts'
import { forgetKnownChain, knownChains } from './known-chains.ts'
import { forgetRecoveries } from './known-recoveries.ts'
import { forgetHead } from './remembered-heads.ts'
import type { StateStore } from './state-store.ts'

/** Kept writer certificates: a copy that is older than the machine remembers must not go on under them. */
export async function forgetCertificates(state: StateStore, chainId: ChainId): Promise<void> {
  for (const name of await state.list('certificates/')) {
    if (name.startsWith(`certificates/${chainId}-`)) await state.remove(name)
  }
}

/**
 * Forgets the place; and the chain's head, recoveries and certificates, unless it goes on elsewhere: at another place
 * that is known, or, with `goesOn`, where only the caller knows.
 */
export async function forgetPlace(
  state: StateStore,
  place: string | undefined,
  chainId: ChainId,
  options: { readonly goesOn: boolean },
): Promise<void> {
  if (place !== undefined) await forgetKnownChain(state, place)
  if (options.goesOn || (await knownChains(state)).some((known) => known.chainId === chainId)) return
  await forgetCertificates(state, chainId)
  await forgetRecoveries(state, chainId)
  await forgetHead(state, chainId)
}
