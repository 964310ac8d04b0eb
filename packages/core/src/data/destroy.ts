/** Destroys a chain at its place, and what this machine keeps of it. */
import { platform as ownPlatform } from '#platform'
import { equalBytes } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import type { LogEngine } from '../log/engine.ts'
import type { StandingState } from '../log/standing.ts'
import { forgetPlace } from '../session/forget-chain.ts'
import { lookUpChain } from '../session/known-chains.ts'
import type { Platform } from '../session/platform.ts'
import { type DestroyedLog, type Place, parsePlace } from './place.ts'

export interface DestroyOptions {
  /** The chain that is meant: another one is left as it is. Left out: whatever stands there. */
  readonly id?: ChainId | string
}

/** Copies of a chain that goes on elsewhere: with them its head and its certificates are not forgotten. */
const COPIES: readonly StandingState[] = ['copy', 'backup', 'moved', 'incomplete']

/** As `destroy` of on-demand.ts says. */
export async function destroy(
  at: string | LogEngine,
  options: DestroyOptions = {},
  platform: Platform = ownPlatform,
): Promise<{ readonly chain: ChainId | undefined }> {
  const label = options.id === undefined ? undefined : parseId(options.id, 'chain')
  const place = parsePlace(at, {}, platform)
  if (place.kind === 'memory') throw new AteError('CHAIN_NOT_FOUND', { place: 'memory:' })
  const found = typeof at === 'string' ? await destroyAt(place, label, platform) : await destroyEngine(at, label)
  const chain = found.label?.some((byte) => byte !== 0) ? chainIdOf(found.label) : undefined
  if (chain !== undefined)
    await forgetPlace(platform.state, place.name, chain, { goesOn: COPIES.includes(found.state) })
  return { chain }
}

/** Where the log is gone already, a destruction was interrupted before this machine forgot the place. */
async function destroyAt(place: Place, label: Uint8Array | undefined, platform: Platform): Promise<DestroyedLog> {
  const name = place.name!
  try {
    return await place.destroy!(label ? { label } : {})
  } catch (error) {
    if (!isAteError(error) || error.code !== 'CHAIN_NOT_FOUND') throw error
    const known = await lookUpChain(platform.state, name)
    if (known === undefined || (label && chainIdOf(label) !== known))
      throw new AteError('CHAIN_NOT_FOUND', { place: name }, { cause: error })
    return { label: parseId(known, 'chain'), state: 'live' }
  }
}

async function destroyEngine(engine: LogEngine, label: Uint8Array | undefined): Promise<DestroyedLog> {
  const found = { label: engine.label, state: engine.standing.state }
  if (label && found.label && !equalBytes(label, found.label))
    throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(label), found: chainIdOf(found.label) })
  await engine.destroy()
  return found
}
