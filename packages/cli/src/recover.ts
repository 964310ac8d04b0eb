/** `ate recover`: makes a copy, or a chain that lost its newest records, the one that is written. */
import { recover } from '@ate/core'
import { actingIdentity } from './acting.ts'
import { type PlaceOptions, whichOf } from './open-place.ts'
import { print, toHex, toJson } from './output.ts'
import { placeOf } from './place.ts'

export interface RecoverCommandOptions extends PlaceOptions {
  readonly from?: number
  readonly json?: boolean
}

export async function recoverCommand(place: string, options: RecoverCommandOptions): Promise<void> {
  const { from } = options
  const as = await actingIdentity(options)
  const receipt = await recover(placeOf(place), {
    as,
    ...whichOf(options),
    ...(from === undefined ? {} : { from }),
  })
  const lost = receipt.lost.map(({ seq, hash }) => ({ seq, hash: toHex(hash) }))
  if (options.json) return print(toJson({ ...receipt, lost }))
  const lines = [
    `recovered by record ${receipt.seq}: what stood in other copies from record ${receipt.from} on is lost`,
    `chain      ${receipt.chain}`,
    ...lost.map(({ seq, hash }) => `lost       record ${seq}, hash ${hash}`),
  ]
  await print(lines.join('\n'))
}
