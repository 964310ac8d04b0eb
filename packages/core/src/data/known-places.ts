/** The chains that this machine knows: where they are, the newest record it has verified, and whether they are there. */
import { platform as ownPlatform } from '#platform'
import { type ErrorCode, isAteError } from '../base/errors.ts'
import { type ChainId, chainIdOf } from '../base/ids.ts'
import { checkStanding } from '../log/standing.ts'
import { knownChains } from '../session/known-chains.ts'
import type { Platform } from '../session/platform.ts'
import { rememberedHead } from '../session/remembered-heads.ts'
import { parsePlace } from './place.ts'

export interface KnownPlace {
  /** As openChain takes it. */
  readonly place: string
  readonly chain: ChainId
  /** The newest record that this machine has verified: its seq, hash and chain time in Unix ms. */
  readonly head: { readonly seq: number; readonly hash: Uint8Array; readonly at: number } | undefined
  /**
   * `there`, or why it is not: `gone`, or the code of the error; of a copy, or of what was moved, the code that a writer
   * is told. The log is opened, not verified.
   */
  readonly state: 'there' | 'gone' | ErrorCode
}

/** As `knownPlaces` of on-demand.ts says. */
export async function knownPlaces(platform: Platform = ownPlatform): Promise<readonly KnownPlace[]> {
  const places: KnownPlace[] = []
  for (const { place, chainId } of await knownChains(platform.state)) {
    const head = await headOf(platform, chainId)
    const state = head === 'FORK' ? 'FORK' : await stateOf(platform, place, chainId)
    places.push({ place, chain: chainId, head: head === 'FORK' ? undefined : head, state })
  }
  return places
}

/** `FORK` if two heads of one number were remembered. */
async function headOf(platform: Platform, chain: ChainId): Promise<KnownPlace['head'] | 'FORK'> {
  try {
    return await rememberedHead(platform.state, chain)
  } catch (error) {
    if (isAteError(error) && error.code === 'FORK') return 'FORK'
    throw error
  }
}

async function stateOf(platform: Platform, place: string, chain: ChainId): Promise<KnownPlace['state']> {
  try {
    const engine = await parsePlace(place, { readOnly: true }, platform).open({ create: false, label: undefined })
    try {
      checkStanding(engine.standing, 'write')
      return engine.label && chainIdOf(engine.label) === chain ? 'there' : 'WRONG_CHAIN'
    } finally {
      await engine.close()
    }
  } catch (error) {
    if (!isAteError(error)) throw error
    return error.code === 'CHAIN_NOT_FOUND' ? 'gone' : error.code
  }
}
