/**
 * Salvage: of a damaged log the longest beginning that verifies is written to a new place, and what is lost is said. The
 * damaged folder is only read. What stands behind the first loss is named, and not taken: it hangs on what is missing.
 */
import { platform as ownPlatform } from '#platform'
import { toHex } from '../base/bytes.ts'
import { randomBytes } from '../base/environment.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { type CopyOptions, copyLog } from '../chain/copy-log.ts'
import { Replica } from '../chain/replica.ts'
import { wordAt } from '../event/entity-words.ts'
import type { LogEngine } from '../log/engine.ts'
import {
  type BadPlace,
  type GoodRun,
  type Survey,
  salvagedRecords,
  salvagedRing,
  surveyLog,
} from '../log/file-salvage.ts'
import type { FileSystem } from '../log/file-system.ts'
import { checkStanding } from '../log/standing.ts'
import type { Platform } from '../session/platform.ts'
import type { CopyReceipt } from './backup.ts'
import { parsePlace } from './place.ts'
import { openTarget } from './target-place.ts'

export interface SalvageOptions extends CopyOptions {
  /** The chain that is meant. */
  readonly id?: ChainId | string
}

export interface SalvageReport extends CopyReceipt {
  /** Records that are lost, as far as the folder tells how many there were; undefined if none is. */
  readonly lost: { readonly firstSeq: number; readonly lastSeq: number } | undefined
  /** Why the record behind the last one that was taken was not: the code of its error, if it stands there whole. */
  readonly refused: { readonly code: string; readonly seq: number } | undefined
  /** Bytes that are no records any more. */
  readonly problems: readonly BadPlace[]
  /** Records that stand whole behind what is lost: they were not taken. */
  readonly beyond: readonly GoodRun[]
  /** Names of wrapped keys (hexadecimal) that are damaged; of one whose name is damaged too, its place. */
  readonly badKeys: readonly string[]
}

/** As `salvage` of on-demand.ts says. */
export async function salvage(
  from: string,
  to: string | LogEngine,
  options: SalvageOptions = {},
  platform: Platform = ownPlatform,
): Promise<SalvageReport> {
  const place = parsePlace(from, {}, platform)
  if (place.kind !== 'file')
    throw new AteError('BAD_URL', { given: place.kind }, { hint: 'a damaged log is a folder: file:PATH' })
  const fs = await platform.openFolder(platform.pathOf(from))
  const survey = surveyLog(fs, platform.crc32)
  if (survey.manifest) checkStanding(survey.manifest.standing, 'read')
  const { replica, refused } = await longestPrefix(fs, survey, { options, platform })
  const chain = chainIdOf(replica.chainId)
  const wanted = options.id === undefined ? chain : chainIdOf(parseId(options.id, 'chain'))
  if (wanted !== chain) throw new AteError('WRONG_CHAIN', { wanted, found: chain })
  const target = await openTarget(to, {}, platform)
  try {
    const { head } = await copyLog(
      platform,
      salvagedRecords(fs, survey, platform.crc32),
      target,
      replica.head.seq,
      options,
    )
    const { keys, badKeys } = await salvageKeys(fs, target, platform)
    await target.setStanding({ state: 'copy', note: '' })
    return { chain, head, records: head.seq + 1, keys, badKeys, refused, ...lossesOf(survey, head.seq) }
  } finally {
    if (typeof to === 'string') await target.close()
  }
}

/** A fresh replica, fed until a record is missing or does not verify. */
async function longestPrefix(
  fs: FileSystem,
  survey: Survey,
  { options, platform }: { readonly options: SalvageOptions; readonly platform: Platform },
): Promise<{ readonly replica: Replica; readonly refused: SalvageReport['refused'] }> {
  const { crypto, environment, crc32 } = platform
  const makers = { crypto, seed: wordAt(randomBytes(environment.random, 4), 0) }
  let replica: Replica | undefined
  let refused: SalvageReport['refused']
  reading: for await (const records of salvagedRecords(fs, survey, crc32)) {
    await environment.timers.pause()
    throwIfAborted(options.signal)
    for (const record of records) {
      try {
        if (replica) replica.accept(record)
        else replica = Replica.open(makers, record)
      } catch (error) {
        // Rules that this software does not know are no damage.
        if (!isAteError(error) || error.code === 'NEEDS_UPGRADE' || error.code === 'UNSUPPORTED_FORMAT') throw error
        refused = { code: error.code, seq: record.seq }
        break reading
      }
    }
  }
  if (replica) return { replica, refused }
  throw new AteError('DAMAGED', {
    what: `not even the first record can be trusted${refused ? `: ${refused.code}` : ''}`,
  })
}

function lossesOf(
  { runs, problems, lastSeq }: Survey,
  kept: number,
): Pick<SalvageReport, 'lost' | 'problems' | 'beyond'> {
  const beyond = runs
    .filter((run) => run.lastSeq > kept)
    .map((run) => ({ ...run, firstSeq: Math.max(run.firstSeq, kept + 1) }))
  return { lost: lastSeq > kept ? { firstSeq: kept + 1, lastSeq } : undefined, problems, beyond }
}

async function salvageKeys(
  fs: FileSystem,
  target: LogEngine,
  platform: Platform,
): Promise<{ readonly keys: number; readonly badKeys: readonly string[] }> {
  const ring = salvagedRing(fs, platform.crc32)
  const badKeys: string[] = []
  let keys = 0
  for await (const name of ring.names()) {
    try {
      const wrapped = await ring.get(name)
      if (!wrapped) continue
      await target.ring.put(name, wrapped)
      keys++
    } catch (error) {
      if (!isAteError(error) || error.code !== 'DAMAGED') throw error
      badKeys.push(toHex(name))
    }
  }
  badKeys.push(...ring.unnamed)
  await ring.close()
  return { keys, badKeys }
}
