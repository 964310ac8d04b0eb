/** What stands in a log's folder beside the log: torn tails that were kept, steps that did not end, keys that are not whole. */
import type { LogResidue } from './engine.ts'
import { diskError, errnoOf } from './file-errors.ts'
import { QUARANTINE } from './file-repair.ts'
import { COMPACTING } from './file-rewrite.ts'
import { scrubRing } from './file-ring.ts'
import { type Segment, segmentNumber } from './file-segment.ts'
import { listRing, RING, type RingHost } from './ring-host.ts'

/** `segments`: those of the log. What is none of them was begun and not finished, or was merged into one and not taken away. */
export function residueOf(host: RingHost, segments: readonly Segment[]): LogResidue {
  const { fs } = host
  const own = new Set(segments.map(({ name }) => name))
  const isLeft = (name: string): boolean => segmentNumber(name) !== undefined && !own.has(name)
  const names = fs.list('').filter((name) => name.endsWith(COMPACTING) || isLeft(name))
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
