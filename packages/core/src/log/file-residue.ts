/** What stands in a log's folder beside the log: torn tails that were kept, steps that did not end, keys that are not whole. */
import type { LogResidue } from './engine.ts'
import { COMPACTING } from './file-compact.ts'
import { diskError, errnoOf } from './file-errors.ts'
import { QUARANTINE } from './file-repair.ts'
import { scrubRing } from './file-ring.ts'
import { segmentNumber } from './file-segment.ts'
import { listRing, RING, type RingHost } from './ring-host.ts'

/** `lastSegment`: number of the newest segment of the log. What comes behind it was begun, and not finished. */
export function residueOf(host: RingHost, lastSegment: number): LogResidue {
  const { fs } = host
  const names = fs.list('').filter((name) => name.endsWith(COMPACTING) || (segmentNumber(name) ?? -1) > lastSegment)
  const steps = listRing(fs).filter((name) => /\.(?:tmp|next|gone)$/.test(name))
  return {
    quarantine: quarantined(host),
    leftovers: [...names, ...steps.map((name) => `${RING}/${name}`)].sort(),
    damagedKeys: scrubRing(host).map(({ segment, offset }) => (offset > 0 ? `${segment} at ${offset}` : segment)),
  }
}

function quarantined({ fs }: RingHost): LogResidue['quarantine'] {
  try {
    return fs.list(QUARANTINE).map((name) => {
      const path = `${QUARANTINE}/${name}`
      const file = fs.open(path, 'read')
      try {
        return { name: path, bytes: file.size() }
      } finally {
        file.close()
      }
    })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw diskError(error, { file: QUARANTINE })
  }
}
