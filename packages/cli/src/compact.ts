/** `ate compact`: drops from a chain's log the values that were replaced or deleted. */
import { openPlace, type PlaceOptions } from './open-place.ts'
import { bytesText, print, toJson } from './output.ts'

export interface CompactCommandOptions extends PlaceOptions {
  readonly json?: boolean
}

export async function compact(place: string, options: CompactCommandOptions): Promise<void> {
  const chain = await openPlace(place, options, 'write')
  try {
    const report = await chain.compact()
    if (options.json) return await print(toJson({ chain: chain.id, ...report }))
    const { bytesFreed, bytesAfter, records, filesInUse } = report
    await print(
      `freed ${bytesText(bytesFreed)} in ${records} record${records === 1 ? '' : 's'}; the log has ${bytesText(bytesAfter)}`,
    )
    if (filesInUse > 0)
      await print(`${filesInUse} files are held open by other programs; run it again when they have ended`)
  } finally {
    await chain.close()
  }
}
