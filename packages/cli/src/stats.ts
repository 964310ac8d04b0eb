/** `ate stats`: numbers of a chain. Opens it for reading only, so it runs beside a writer. */
import type { Chain, ChainStats } from '@ate/core'
import { type LookOptions, look } from './look.ts'
import { bytesText, print, timeText, toJson } from './output.ts'

export function stats(place: string, options: LookOptions): Promise<void> {
  return look(place, options, async (chain) => {
    const found = chain.stats()
    await print(options.json ? toJson({ chain: chain.id, ...found }) : statsText(chain, found))
  })
}

function statsText(chain: Chain, found: ChainStats): string {
  const rows: readonly (readonly [string, string])[] = [
    ['chain', chain.id],
    ['records', `${found.records}, the newest of ${timeText(found.headTime)}`],
    ['log', bytesText(found.logBytes)],
    ['entities', String(found.entities)],
    ['void', `${found.voids} transactions`],
    ['attested', attestedText(found)],
    ['checkpoints', checkpointText(found)],
    ['writers', `${found.writers} with a certificate that has not ended`],
  ]
  return rows.map(([name, text]) => `${name.padEnd(12)}${text}`).join('\n')
}

function attestedText({ attestedSeq, unattested, records }: ChainStats): string {
  if (attestedSeq === records - 1) return 'all commits'
  return `up to record ${attestedSeq}; ${unattested} commits wait for their hybrid signature`
}

function checkpointText({ checkpoints, newestCheckpoint }: ChainStats): string {
  return newestCheckpoint === undefined ? 'none' : `${checkpoints}, the newest is record ${newestCheckpoint}`
}
