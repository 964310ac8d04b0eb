/**
 * Verifies the log at a place without opening the chain: no identity is needed, and a log that is damaged or altered is
 * judged as far as it goes. What this machine remembers of the chain counts: an older or another copy is a problem.
 */
import { platform as ownPlatform } from '#platform'
import { fromBinaryText } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { type ChainId, chainIdOf, type Fingerprint, fingerprintOf, parseId } from '../base/ids.ts'
import { objectOf } from '../base/option-names.ts'
import type { Replica } from '../chain/replica.ts'
import {
  reportOf,
  type Verified,
  type VerifyOptions,
  type VerifyProblem,
  type VerifyReport,
  verifyEngine,
} from '../chain/verify-log.ts'
import type { LogEngine } from '../log/engine.ts'
import { lookUpChain } from '../session/known-chains.ts'
import type { Platform } from '../session/platform.ts'
import { alarmOf } from './check-head.ts'
import type { Evidence } from './evidence.ts'
import { openEngine, parsePlace } from './place.ts'

export interface VerifyPlaceOptions extends VerifyOptions {
  /** The chain that is meant; what this machine knows of the place if left out. */
  readonly id?: ChainId | string
}

export interface PlaceReport extends VerifyReport {
  /** The chain whose log this is; undefined if its genesis cannot be read. */
  readonly chain: ChainId | undefined
  /** Who orders its records: whoever writes it, or only the servers that its root has named last. */
  readonly sequencers: 'writers' | readonly Fingerprint[] | undefined
  /** Of a ROLLBACK or FORK: what others can check with `verifyEvidence`. */
  readonly evidence?: Evidence
}

/** As `verifyPlace` of on-demand.ts says. */
export async function verifyPlace(
  at: string | LogEngine,
  options: VerifyPlaceOptions = {},
  platform: Platform = ownPlatform,
): Promise<PlaceReport> {
  objectOf(options)
  const place = parsePlace(at, { readOnly: true, onDamage: 'keep' }, platform)
  const label = options.id === undefined ? undefined : parseId(options.id, 'chain')
  const known =
    place.name !== undefined && label === undefined ? await lookUpChain(platform.state, place.name) : undefined
  let engine: LogEngine
  try {
    engine = await openEngine(place, { create: false, label, known })
  } catch (error) {
    if (!isAteError(error) || error.code !== 'DAMAGED') throw error
    return {
      ...reportOf({ replica: undefined, problems: [problemOf(error)] }),
      chain: undefined,
      sequencers: undefined,
    }
  }
  try {
    return await verifyOpened(engine, options, { platform, wanted: options.id ?? known })
  } finally {
    if (typeof at === 'string') await engine.close()
  }
}

async function verifyOpened(
  engine: LogEngine,
  options: VerifyPlaceOptions,
  { platform, wanted }: { readonly platform: Platform; readonly wanted: string | undefined },
): Promise<PlaceReport> {
  const { crypto, environment } = platform
  const head = engine.head()
  if (!head) {
    const problems = await engine.scrub()
    if (problems.length === 0) throw new AteError('CHAIN_NOT_FOUND', { engine: engine.kind })
    const found = problems.map(({ code, segment, offset, firstSeq }) => ({ code, segment, offset, seq: firstSeq }))
    return { ...reportOf({ replica: undefined, problems: found }), chain: undefined, sequencers: undefined }
  }
  const verified = await verifyEngine({ engine, crypto, environment }, head, options)
  refuseOlderRules(verified)
  const { replica } = verified
  if (!replica) return { ...reportOf(verified), chain: undefined, sequencers: undefined }
  const chain = chainIdOf(replica.chainId)
  if (wanted !== undefined && wanted !== chain) throw new AteError('WRONG_CHAIN', { wanted, found: chain })
  const sequencers = sequencersOf(replica)
  const alarm = await rememberedAlarm(replica, engine, platform, verified.problems.length === 0)
  if (!alarm) return { ...reportOf(verified), chain, sequencers }
  const { code, facts, evidence } = alarm
  const seq = Number(facts['remembered'] ?? facts['seq'])
  const report = reportOf({ ...verified, problems: [...verified.problems, { code, seq }] })
  return { ...report, chain, sequencers, ...(evidence ? { evidence: evidence as Evidence } : {}) }
}

function sequencersOf({ trust }: Replica): 'writers' | readonly Fingerprint[] {
  const { sequencers } = trust
  return sequencers === 'writers' ? sequencers : sequencers.map((name) => fingerprintOf(fromBinaryText(name)))
}

/** What this software cannot judge is no finding about the log. */
function refuseOlderRules({ problems }: Verified): void {
  const found = problems.find(({ code }) => code === 'NEEDS_UPGRADE' || code === 'UNSUPPORTED_FORMAT')
  if (found)
    throw new AteError(found.code === 'NEEDS_UPGRADE' ? 'NEEDS_UPGRADE' : 'UNSUPPORTED_FORMAT', { seq: found.seq })
}

/** A log that ends early because it is damaged is not called a rollback too. */
async function rememberedAlarm(
  replica: Replica,
  engine: LogEngine,
  platform: Platform,
  isWhole: boolean,
): Promise<AteError | undefined> {
  try {
    const alarm = await alarmOf(replica, engine, platform, isWhole ? 'whole' : 'broken')
    return alarm?.code === 'ROLLBACK' && !isWhole ? undefined : alarm
  } catch (error) {
    if (!isAteError(error) || error.code !== 'FORK') throw error
    return error
  }
}

function problemOf({ code, facts }: AteError): VerifyProblem {
  const { segment, offset, seq = facts['firstSeq'] } = facts
  return {
    code,
    ...(typeof seq === 'number' ? { seq } : {}),
    ...(typeof segment === 'string' ? { segment } : {}),
    ...(typeof offset === 'number' ? { offset } : {}),
  }
}
