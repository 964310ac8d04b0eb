/**
 * Looks an open chain over: what waits for somebody, what is about to end, what could be freed. Findings are facts of the
 * log, of its folder and of this machine's clock; nothing is changed. What is damaged or forged inside of records,
 * chain.verify() finds.
 */
import { throwIfAborted } from '../base/errors.ts'
import { type ChainId, type Fingerprint, fingerprintOf, toBase32 } from '../base/ids.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { bodyBytesOfRecord, liveBodyBytes, type WalkOptions } from '../chain/live-bodies.ts'
import { textOfWords } from '../event/entity-words.ts'
import { FOLD_LEVEL, RECORD_HEAD_BYTES } from '../event/format.ts'
import { parseRecordHead } from '../event/record.ts'
import type { Certificate } from '../trust/trust-state.ts'
import type { CompactionState } from './compact-policy.ts'
import { keyFindings, managerFindings, roleFindings } from './doctor-keys.ts'
import { type Finding, finding, findingAbout, inOrder } from './findings.ts'
import { expiredWords } from './sweeping.ts'

/** Commits are attested within a second; ten leave room for a slow machine. */
const UNATTESTED_MS = 10_000
/** A writer takes a new certificate in the last hour of the old one. */
const ENDING_MS = 3_600_000
/** As far as clocks of writers may differ: what a record's author may be ahead. */
const CLOCK_MS = 60_000
const CHECKPOINT_RECORDS = 1000
/** Each takes some microseconds. */
const RECORDS_BEFORE_PAUSE = 256

export interface DoctorOptions {
  readonly signal?: AbortSignal
}

export interface DoctorReport {
  readonly chain: ChainId
  /** Whose keys were tried. */
  readonly identity: Fingerprint
  /** The newest record that was looked at. */
  readonly head: number
  /** No finding is an error or a warning. */
  readonly ok: boolean
  /** Worst first. */
  readonly findings: readonly Finding[]
}

/** A reader takes in what is new first, so that it does not call late what it has not seen. */
export async function examine(
  core: ChainCore,
  compaction: CompactionState,
  { signal }: DoctorOptions,
): Promise<DoctorReport> {
  throwIfAborted(signal)
  await core.refresh()
  const walk = { pause: () => core.environment.timers.pause(), signal }
  const found = [
    ...writerFindings(core, compaction),
    ...(await certificateFindings(core)),
    ...clockFindings(core),
    ...folderFindings(core),
    ...settingFindings(core),
    ...expiryFindings(core),
    ...roleFindings(core),
    ...(await managerFindings(core, walk)),
    ...(await keyFindings(core, walk)),
    ...(await bodyFindings(core, walk)),
  ]
  const findings = inOrder(found)
  const { identity, replica, chainId } = core
  const ok = findings.every(({ severity }) => severity === 'note')
  return { chain: chainId, identity: identity.fingerprint, head: replica.head.seq, ok, findings }
}

function writerFindings({ failure, observing }: ChainCore, { failed }: CompactionState): Finding[] {
  return [
    ...(failure ? [finding('WRITER_STOPPED', { error: failure.code })] : []),
    ...(failed ? [finding('COMPACTION_FAILED', { error: failed })] : []),
    ...(observing.failures > 0 ? [finding('OBSERVER_FAILED', { times: observing.failures })] : []),
  ]
}

/** A certificate that is over will sign nothing more; its commits wait for their identity, or for a manager. */
async function certificateFindings(core: ChainCore): Promise<Finding[]> {
  const { replica } = core
  const latest = latestTime(core)
  const found: Finding[] = []
  const ending: Certificate[] = []
  for (const certificate of replica.trust.certificates.values()) {
    const isOver = certificate.ended || certificate.until < latest
    if (!isOver && certificate.until - latest <= ENDING_MS) ending.push(certificate)
    const oldest = certificate.unattested[0]
    const age = oldest ? latest - (await admittedAt(core, oldest.seq)) : 0
    if (age <= UNATTESTED_MS) continue
    const facts = {
      writer: toBase32(certificate.id),
      identity: fingerprintOf(certificate.identityBytes),
      commits: certificate.unattested.length,
      from: oldest!.seq,
      seconds: Math.floor(age / 1000),
    }
    found.push(finding(isOver ? 'UNADOPTED' : 'UNATTESTED', facts))
  }
  const ids = ending.map(({ id }) => toBase32(id))
  return [...found, ...findingAbout('CERTIFICATE_ENDING', 'writers', ids)]
}

/** A chain that nobody writes to stands still, so this machine's clock counts where it is ahead of chain time. */
function latestTime({ now, environment }: ChainCore): number {
  return Math.max(now, environment.clock.now())
}

async function admittedAt({ engine }: ChainCore, seq: number): Promise<number> {
  return parseRecordHead(await engine.readPart(seq, 0, RECORD_HEAD_BYTES)).admittedAt
}

/** That a clock is ahead cannot be told: a chain that nobody writes to stands still. */
function clockFindings({ now, environment }: ChainCore): Finding[] {
  const behind = now - environment.clock.now()
  return behind > CLOCK_MS ? [finding('CLOCK_BEHIND', { seconds: Math.floor(behind / 1000) })] : []
}

function folderFindings({ engine }: ChainCore): Finding[] {
  const residue = engine.residue?.()
  if (!residue) return []
  const bytes = residue.quarantine.reduce((sum, file) => sum + file.bytes, 0)
  const kept = residue.quarantine.map(({ name }) => name)
  return [
    ...findingAbout('DAMAGED_KEYS', 'files', residue.damagedKeys),
    ...findingAbout('QUARANTINE', 'files', kept, { bytes }),
    ...findingAbout('LEFTOVERS', 'files', residue.leftovers),
  ]
}

function settingFindings({ replica }: ChainCore): Finding[] {
  const { trust, head, newestCheckpoint } = replica
  const records = head.seq - (newestCheckpoint?.seq ?? -1)
  const isDue = trust.checkpointKeys.length > 0 && records > CHECKPOINT_RECORDS
  return [
    ...(isDue ? [finding('CHECKPOINT_DUE', { records })] : []),
    ...(trust.level < FOLD_LEVEL ? [finding('LEVEL_OLD', { level: trust.level, known: FOLD_LEVEL })] : []),
  ]
}

function expiryFindings({ replica }: ChainCore): Finding[] {
  const expired = expiredWords(replica, Number.POSITIVE_INFINITY)
  return findingAbout('EXPIRED', 'entities', expired.map(textOfWords))
}

/** Counts as compaction does: of each record, what it holds of bodies and no living entity points to. */
async function bodyFindings({ replica, engine }: ChainCore, walk: WalkOptions): Promise<Finding[]> {
  const records = replica.head.seq + 1
  const live = await liveBodyBytes(replica.view, records, walk)
  let bytes = 0
  let total = 0
  for (let seq = 0; seq < records; seq++) {
    if (seq % RECORDS_BEFORE_PAUSE === RECORDS_BEFORE_PAUSE - 1) await walk.pause()
    throwIfAborted(walk.signal)
    const held = await bodyBytesOfRecord(engine, seq)
    total += held
    bytes += Math.max(0, held - live[seq]!)
  }
  return bytes > 0 ? [finding('RECLAIMABLE', { bytes, of: total })] : []
}
