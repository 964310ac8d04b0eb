/** Opens the chain that a command works with: as whom, which one, and at which server. */
import process from 'node:process'
import { type Chain, openChain } from '@ate/core'
import { type ActingOptions, actingIdentity } from './acting.ts'
import { OPENED_TO, type Purpose, placeOf } from './place.ts'

export interface PlaceOptions extends ActingOptions {
  /** The id of the chain that is meant. */
  readonly id?: string
  /** The fingerprint or public id of the server, which this machine remembers from then on; else ATE_SERVER_KEY. */
  readonly serverKey?: string
}

export async function openPlace(place: string, options: PlaceOptions, purpose: Purpose): Promise<Chain> {
  const as = await actingIdentity(options)
  return openChain(placeOf(place), { as, ...whichOf(options), ...OPENED_TO[purpose] })
}

/** Which chain is meant, and which server. */
export function whichOf({ id, serverKey }: PlaceOptions): { readonly id?: string; readonly serverKey?: string } {
  const key = serverKey ?? process.env['ATE_SERVER_KEY']
  return { ...(id === undefined ? {} : { id }), ...(key ? { serverKey: key } : {}) }
}
