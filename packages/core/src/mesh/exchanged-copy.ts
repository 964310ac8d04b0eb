/**
 * A kept copy that another one takes the place of: it was damaged, or it has what the server does not show. The chain is fetched
 * into memory and verified first. Loaded when that happens.
 */
import { toHex } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { isLost } from '../chain/recovered.ts'
import type { Replica } from '../chain/replica.ts'
import { openEngine, parsePlace } from '../data/place.ts'
import type { LogEngine } from '../log/engine.ts'
import { memoryEngine } from '../log/memory.ts'
import type { Platform } from '../session/platform.ts'
import type { Wanted } from './open-ordered.ts'
import type { Ahead, Copy } from './remote-copy.ts'

/**
 * What the chain is fetched into instead of a copy that has more, or other records: its rest may have been declared lost since. Then the
 * copy goes, which is known once all of it is verified. @throws AteError `error`, where there is no copy that is kept, or where it is
 * accepted as the server has it
 */
export async function freshCopy(
  { engine, replica }: Copy,
  error: AteError,
  { options, platform }: Wanted,
): Promise<Copy> {
  const place = options.replica ?? 'memory:'
  if (!parsePlace(place, {}, platform).destroy) throw error
  if (options.rollback === 'accept') {
    const hint = `the copy at ${place} has records that the server does not show. Keep it, and give another replica to take what the server has; how the server gets them back is in the guide, under backups`
    throw new AteError(error.code, error.facts, { hint, cause: error })
  }
  await engine.close()
  return { engine: memoryEngine(), replica: undefined, ahead: { replica: replica!, error } }
}

/** Who manages the root has said, behind where the copies part, that what this one has more is lost. @throws AteError ROLLBACK | FORK */
export function assertRecovered(fetched: Replica, { replica, error }: Ahead): void {
  const known = new Set(replica.trust.recoveries.map(({ hash }) => toHex(hash)))
  const fresh = fetched.trust.recoveries.filter(({ hash }) => !known.has(toHex(hash)))
  if (!isLost(fetched, replica.head, fresh)) throw error
}

/** Puts what was fetched and verified in the place of the copy. A crash in between leaves an empty one. */
export async function exchangeCopy(fetched: LogEngine, at: string, platform: Platform): Promise<LogEngine> {
  const place = parsePlace(at, {}, platform)
  await place.destroy!({})
  const engine = await openEngine(place, { create: true, label: undefined, known: undefined })
  engine.setLabel(fetched.label!)
  for await (const chunk of fetched.read(0))
    await engine.append(chunk, { after: engine.head(), durability: engine.durability, load: 'group' })
  await fetched.close()
  return engine
}
