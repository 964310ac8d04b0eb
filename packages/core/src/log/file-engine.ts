/**
 * The log engine on a file system: segments of frames, a manifest, a key ring, one writer and any number of readers.
 *
 * This file opens; file-frame.ts has the bytes, file-recovery.ts judges what stands, file-repair.ts mends a torn end,
 * file-writer.ts appends, file-reader.ts reads, file-log.ts puts them together. docs/FORMAT.md describes the folder.
 */
import type { Clock, Randomness } from '../base/environment.ts'
import { AteError } from '../base/errors.ts'
import { SEGMENT_BYTES } from '../base/limits.ts'
import { atOnce, givingWay } from '../base/steps.ts'
import { checkLabel } from './batch.ts'
import { type Crc32, crc32 } from './crc32.ts'
import type { LogEngine } from './engine.ts'
import { damaged, diskError, locked } from './file-errors.ts'
import { NO_HASH, SEGMENT_HEADER_BYTES } from './file-frame.ts'
import { FileLog } from './file-log.ts'
import {
  createManifest,
  encodeSlot,
  MANIFEST,
  MANIFEST_NEW,
  type Manifest,
  openManifest,
  readManifest,
  SLOT_BYTES,
  writeWhole,
} from './file-manifest.ts'
import { countOf, inspectLog, type LogState, listFolder, numbersUsed, patiently, takeUnused } from './file-recovery.ts'
import { cutTornTail, QUARANTINE, removeLeftovers, settle } from './file-repair.ts'
import { removeMerged, removeUnfinished } from './file-rewrite.ts'
import { segmentNumber } from './file-segment.ts'
import { SNAPSHOT } from './file-snapshot.ts'
import type { FileLock, FileSystem, OpenFile } from './file-system.ts'
import { FileWriter } from './file-writer.ts'
import { RING } from './ring-host.ts'
import { checkStanding, LIVE, type Standing, type StandingState } from './standing.ts'

/** How far zeros are written ahead of small frames: some 60 commits of 4 kB share one growth of the file. */
const ZERO_FILL_BYTES: number = 256 * 1024
/** So much that nobody waits for is written before the disk is told to begin: a few records more would not pay for a sync. */
const SYNC_BEHIND_BYTES: number = 16 * 1024 * 1024
/** What may stand in a folder before there is a chain: a lock, a creation that a crash ended, a mounted volume's own. */
export const HARMLESS: readonly string[] = ['LOCK', 'SHARE', MANIFEST_NEW, 'lost+found', '.DS_Store']

export interface FileLogOptions {
  readonly fs: FileSystem
  readonly random: Randomness
  readonly clock: Clock
  /** Opens beside a live writer, without the lock and without changing anything. */
  readonly readOnly?: boolean
  /**
   * For a reader: 'keep' opens a damaged log for what is good before the damage, which `read` throws when it gets there
   * and `scrub` reports. Default 'refuse': opening throws.
   */
  readonly onDamage?: 'refuse' | 'keep'
  /** Makes the log if the folder is missing or empty; default false. */
  readonly create?: boolean
  /** What a log that is made begins as; `live` if left out. */
  readonly standing?: Standing
  /** The standings in which it is opened; left out: what may be read, or written. */
  readonly standings?: readonly StandingState[]
  /** 32 bytes that name the chain; a log with another label is WRONG_CHAIN. */
  readonly label?: Uint8Array
  readonly segmentBytes?: number
  /** How far to write zeros ahead of small frames, in bytes; 0 for never. */
  readonly zeroFillBytes?: number
  /** After how many bytes that nobody waits for a sync begins. */
  readonly syncBehindBytes?: number
  /** Slots of the first file of the key ring; its own choice if left out. */
  readonly ringSlotsMin?: number
  /** A faster CRC-32, if the platform has one. */
  readonly crc32?: Crc32
  /** Told how long a sync of the newest segment took, in ms. */
  readonly onSync?: (tookMs: number) => void
  /** Gives way to other work during a scrub, while a writer walks the newest segment at opening, and after syncs on the spot. */
  readonly pause?: () => Promise<void>
}

/**
 * Opens the log in the folder of `fs`.
 * @throws AteError CHAIN_NOT_FOUND, NOT_A_CHAIN, CHAIN_LOCKED, DAMAGED { segment, offset, firstSeq, lastSeq },
 * UNSUPPORTED_FORMAT, WRONG_CHAIN, READ_ONLY (the disk is), DISK_FULL, IO_ERROR, and those of checkStanding
 */
export async function openFileLog(options: FileLogOptions): Promise<LogEngine> {
  try {
    return options.readOnly ? patiently(() => openReader(options)) : await openWriter(options)
  } catch (error) {
    throw diskError(error, { step: 'open' })
  }
}

function openReader(options: FileLogOptions): LogEngine {
  const { fs } = options
  const crc = options.crc32 ?? crc32
  requireLog(fs)
  const file = openManifest(fs, 'read')
  if (!file) throw new AteError('CHAIN_NOT_FOUND')
  try {
    const manifest = readManifest(file, crc)
    checkStanding(manifest.standing, 'read', options.standings)
    const onDamage = options.onDamage ?? 'refuse'
    const { state, damage } = atOnce(inspectLog(fs, { manifest, numbers: segmentNumbers(fs), onDamage }, crc))
    checkStoredLabel(manifest, state, options.label)
    return new FileLog({
      fs,
      crc,
      random: options.random,
      clock: options.clock,
      state,
      manifest,
      damage,
      writer: undefined,
      lock: undefined,
      pause: pauseOf(options),
      ringSlotsMin: undefined,
    })
  } finally {
    file.close()
  }
}

async function openWriter(options: FileLogOptions): Promise<LogEngine> {
  const { fs } = options
  if (!requireLog(fs, options.create ? 'may be empty' : 'must be there')) fs.makeFolder('')
  const lock = await fs.lock()
  if (!lock) throw locked(fs)
  try {
    return await recoverAsWriter(options, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function recoverAsWriter(options: FileLogOptions, lock: FileLock): Promise<LogEngine> {
  const { fs } = options
  const crc = options.crc32 ?? crc32
  const pause = pauseOf(options)
  const segmentBytes = Math.max(SEGMENT_HEADER_BYTES, options.segmentBytes ?? SEGMENT_BYTES)
  let manifestFile = openManifest(fs, 'write')
  const isNew = !manifestFile
  if (!manifestFile) {
    requireLog(fs, 'may be empty')
    createManifest(fs, firstManifest(options), crc)
    manifestFile = openManifest(fs, 'write')!
  }
  let tailFile: OpenFile | undefined
  try {
    let manifest = readManifest(manifestFile, crc)
    if (!isNew) checkStanding(manifest.standing, 'write', options.standings)
    const inspecting = inspectLog(fs, { manifest, numbers: segmentNumbers(fs), onDamage: 'refuse' }, crc)
    const { state, torn, leftovers } = await givingWay(inspecting, pause)
    checkStoredLabel(manifest, state, options.label)
    // A process that died may have left the name of MANIFEST where a power cut undoes it: no segment may outlive that.
    if (!isNew && countOf(state) === 0) fs.syncFolder('')
    removeLeftovers(fs, leftovers)
    removeUnfinished(fs, fs.list(''))
    removeMerged(fs, state.segments)
    if (torn) cutTornTail(fs, torn, manifest.writerEpoch)
    settle(fs, state)
    const unused = takeUnused(state)
    if (!isNew) {
      manifest = nextManifest(manifest, state, options.label)
      writeWhole(manifestFile, [encodeSlot(manifest, crc)], (manifest.generation % 2) * SLOT_BYTES)
      manifestFile.syncNow()
    }
    removeLeftovers(fs, unused)
    const tail = state.segments.at(-1)
    tailFile = tail && !tail.sealed ? fs.open(tail.name, 'write') : undefined
    const { random, clock, zeroFillBytes = ZERO_FILL_BYTES, syncBehindBytes = SYNC_BEHIND_BYTES, onSync } = options
    const parts = { fs, random, clock, crc, segmentBytes, zeroFillBytes, syncBehindBytes, onSync, pause }
    const writer = new FileWriter(parts, state, { manifest, manifestFile, tailFile })
    const { ringSlotsMin } = options
    return new FileLog({
      fs,
      crc,
      random,
      clock,
      state,
      manifest,
      damage: undefined,
      writer,
      lock,
      pause,
      ringSlotsMin,
    })
  } catch (error) {
    tailFile?.close()
    manifestFile.close()
    throw error
  }
}

function pauseOf(options: FileLogOptions): () => Promise<void> {
  return options.pause ?? (() => Promise.resolve())
}

function firstManifest({ label, standing }: FileLogOptions): Manifest {
  return {
    generation: 1,
    writerEpoch: 1,
    label: label ?? NO_HASH,
    firstSegment: 0,
    segmentCount: 0,
    durableCount: 0,
    durableHash: NO_HASH,
    standing: standing ?? LIVE,
    hasSlots: false,
  }
}

/** A new writer's epoch is above every one that stands in the manifest or in a frame. */
function nextManifest(manifest: Manifest, state: LogState, label: Uint8Array | undefined): Manifest {
  const inFrames = state.segments.at(-1)?.walked.writerEpoch ?? 0
  return {
    ...manifest,
    generation: manifest.generation + 1,
    writerEpoch: Math.max(manifest.writerEpoch, inFrames) + 1,
    label: label ?? (countOf(state) > 0 ? manifest.label : NO_HASH),
    segmentCount: numbersUsed(state, manifest.firstSegment),
    durableCount: countOf(state),
    durableHash: state.lastHash,
  }
}

function checkStoredLabel(manifest: Manifest, state: LogState, label: Uint8Array | undefined): void {
  if (label) checkLabel(label, countOf(state) > 0 ? manifest.label : undefined)
}

function segmentNumbers(fs: FileSystem): number[] {
  return fs
    .list('')
    .map(segmentNumber)
    .filter((number) => number !== undefined)
}

/**
 * True if the folder is there. A folder with other files is never taken, and one with parts of a log but no manifest
 * is damaged, not empty.
 * @throws AteError CHAIN_NOT_FOUND | NOT_A_CHAIN | DAMAGED
 */
function requireLog(fs: FileSystem, want: 'must be there' | 'may be empty' = 'must be there'): boolean {
  const names = listFolder(fs)
  if (names?.includes(MANIFEST)) return true
  const others = names?.filter((name) => !HARMLESS.includes(name)) ?? []
  const parts = [RING, QUARANTINE, SNAPSHOT]
  if (others.some((name) => parts.includes(name) || segmentNumber(name) !== undefined)) {
    throw damaged({ segment: MANIFEST, offset: 0, what: 'the file is missing' })
  }
  if (others.length > 0) throw new AteError('NOT_A_CHAIN', { found: others.slice(0, 3) })
  if (want === 'must be there') throw new AteError('CHAIN_NOT_FOUND')
  return names !== undefined
}
