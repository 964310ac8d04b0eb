/**
 * The log engine on a file system: segments of frames, a manifest, a key ring, one writer and any number of readers.
 *
 * This file opens and closes; file-frame.ts has the bytes, file-recovery.ts judges what stands, file-repair.ts mends a
 * torn end, file-writer.ts appends, file-reader.ts reads. docs/FORMAT.md describes the folder.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Clock, Randomness } from '../base/environment.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { SEGMENT_BYTES } from '../base/limits.ts'
import { checkBatch, checkLabel } from './batch.ts'
import { type Crc32, crc32 } from './crc32.ts'
import type { AppendOptions, Head, KeyRing, LogEngine, LogProblem, LogRecord } from './engine.ts'
import { damaged, diskError } from './file-errors.ts'
import { NO_HASH, SEGMENT_HEADER_BYTES } from './file-frame.ts'
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
import { FileReader } from './file-reader.ts'
import { addSegment, countOf, inspectLog, judgeTail, type LogState, listFolder, walkOn } from './file-recovery.ts'
import { cutTornTail, QUARANTINE, removeLeftovers, settle } from './file-repair.ts'
import { fileRing, finishRing, RING, type RingHost, scrubRing } from './file-ring.ts'
import { segmentNumber } from './file-segment.ts'
import type { FileLock, FileSystem, OpenFile } from './file-system.ts'
import { FileWriter } from './file-writer.ts'

/** How far zeros are written ahead of small frames: some 60 commits of 4 kB share one growth of the file. */
export const ZERO_FILL_BYTES: number = 256 * 1024
const LOOKS_MAX = 3
const CHUNK_BYTES = 8 * 1024 * 1024
/** What may stand in a folder before there is a chain: a lock, a creation that a crash ended, a mounted volume's own. */
const HARMLESS: readonly string[] = ['LOCK', MANIFEST_NEW, 'lost+found', '.DS_Store']

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
  /** 32 bytes that name the chain; a log with another label is WRONG_CHAIN. */
  readonly label?: Uint8Array
  readonly segmentBytes?: number
  /** How far to write zeros ahead of small frames, in bytes; 0 for never. */
  readonly zeroFillBytes?: number
  /** A faster CRC-32, if the platform has one. */
  readonly crc32?: Crc32
  /** Gives way to other work during a scrub. */
  readonly pause?: () => Promise<void>
}

/**
 * Opens the log in the folder of `fs`.
 * @throws AteError CHAIN_NOT_FOUND, NOT_A_CHAIN, CHAIN_LOCKED, DAMAGED { segment, offset, firstSeq, lastSeq },
 * UNSUPPORTED_FORMAT, WRONG_CHAIN, READ_ONLY (the disk is), DISK_FULL, IO_ERROR
 */
export async function openFileLog(options: FileLogOptions): Promise<LogEngine> {
  try {
    return options.readOnly ? patiently(() => openReader(options)) : await openWriter(options)
  } catch (error) {
    throw diskError(error, { step: 'open' })
  }
}

/** A reader beside a writer may meet a frame or a slot while it is being written: it looks again before it judges. */
function patiently<T>(look: () => T): T {
  for (let attempt = 1; ; attempt++) {
    try {
      return look()
    } catch (error) {
      if (attempt === LOOKS_MAX || !isAteError(error) || error.code !== 'DAMAGED') throw error
    }
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
    const onDamage = options.onDamage ?? 'refuse'
    const { state, damage } = inspectLog(fs, { manifest, numbers: segmentNumbers(fs), onDamage }, crc)
    checkStoredLabel(manifest, state, options.label)
    return new FileLog(options, { state, crc, manifest, damage, writer: undefined, lock: undefined })
  } finally {
    file.close()
  }
}

async function openWriter(options: FileLogOptions): Promise<LogEngine> {
  const { fs } = options
  if (!requireLog(fs, options.create ? 'may be empty' : 'must be there')) fs.makeFolder('')
  const lock = await fs.lock()
  if (!lock) throw new AteError('CHAIN_LOCKED')
  try {
    return recoverAsWriter(options, lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

function recoverAsWriter(options: FileLogOptions, lock: FileLock): LogEngine {
  const { fs } = options
  const crc = options.crc32 ?? crc32
  const segmentBytes = Math.max(SEGMENT_HEADER_BYTES, options.segmentBytes ?? SEGMENT_BYTES)
  let manifestFile = openManifest(fs, 'write')
  const isNew = !manifestFile
  if (!manifestFile) {
    requireLog(fs, 'may be empty')
    createManifest(fs, firstManifest(options.label), crc)
    manifestFile = openManifest(fs, 'write')!
  }
  let tailFile: OpenFile | undefined
  try {
    let manifest = readManifest(manifestFile, crc)
    const { state, torn, leftovers } = inspectLog(
      fs,
      { manifest, numbers: segmentNumbers(fs), onDamage: 'refuse' },
      crc,
    )
    checkStoredLabel(manifest, state, options.label)
    removeLeftovers(fs, leftovers)
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
    const { random, clock, zeroFillBytes = ZERO_FILL_BYTES } = options
    const parts = { fs, random, clock, crc, segmentBytes, zeroFillBytes }
    const writer = new FileWriter(parts, state, { manifest, manifestFile, tailFile })
    return new FileLog(options, { state, crc, manifest, damage: undefined, writer, lock })
  } catch (error) {
    tailFile?.close()
    manifestFile.close()
    throw error
  }
}

/**
 * A segment without any record, in a log without any: the first append was interrupted. Its header holds the label of a
 * chain that never began, so it is taken out, from the manifest first.
 */
function takeUnused(state: LogState): readonly string[] {
  if (countOf(state) > 0) return []
  const names = state.segments.map((segment) => segment.name)
  state.segments.length = 0
  state.lastHash = NO_HASH
  return names
}

function firstManifest(label: Uint8Array | undefined): Manifest {
  return {
    generation: 1,
    writerEpoch: 1,
    label: label ?? NO_HASH,
    firstSegment: 0,
    segmentCount: 0,
    durableCount: 0,
    durableHash: NO_HASH,
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
    segmentCount: state.segments.length,
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
  if (others.some((name) => name === RING || name === QUARANTINE || segmentNumber(name) !== undefined)) {
    throw damaged({ segment: MANIFEST, offset: 0, what: 'the file is missing' })
  }
  if (others.length > 0) throw new AteError('NOT_A_CHAIN', { found: others.slice(0, 3) })
  if (want === 'must be there') throw new AteError('CHAIN_NOT_FOUND')
  return names !== undefined
}

class FileLog implements LogEngine {
  readonly kind = 'file'
  readonly durability = 'disk'
  readonly readOnly: boolean
  readonly ring: KeyRing
  readonly #options: FileLogOptions
  readonly #state: LogState
  readonly #crc: Crc32
  readonly #reader: FileReader
  readonly #writer: FileWriter | undefined
  readonly #lock: FileLock | undefined
  readonly #ringHost: RingHost
  readonly #damage: AteError | undefined
  #manifest: Manifest
  #closed = false

  constructor(
    options: FileLogOptions,
    opened: {
      readonly state: LogState
      readonly crc: Crc32
      readonly manifest: Manifest
      readonly damage: AteError | undefined
      readonly writer: FileWriter | undefined
      readonly lock: FileLock | undefined
    },
  ) {
    this.#options = options
    this.#state = opened.state
    this.#crc = opened.crc
    this.#manifest = opened.manifest
    this.#damage = opened.damage
    this.#writer = opened.writer
    this.#lock = opened.lock
    this.readOnly = !opened.writer
    this.#reader = new FileReader(options.fs, opened.state, opened.crc)
    this.#ringHost = {
      fs: options.fs,
      crc: opened.crc,
      check: (purpose) => this.#check(purpose),
      poison: (error) => opened.writer!.poison(error),
    }
    this.ring = fileRing(this.#ringHost)
    if (opened.writer) finishRing(this.#ringHost)
  }

  get label(): Uint8Array | undefined {
    const label = this.#writer?.label ?? this.#manifest.label
    return equalBytes(label, NO_HASH) ? undefined : label.slice()
  }

  setLabel(label: Uint8Array): void {
    const writer = this.#check('write')
    checkLabel(label, this.#state.segments.length > 0 ? writer.label : undefined)
    writer.label = label.slice()
  }

  head(): Head | undefined {
    const count = countOf(this.#state)
    return count === 0 ? undefined : { seq: count - 1, hash: this.#state.lastHash.slice() }
  }

  async append(batch: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: 'os' | 'disk' }> {
    const writer = this.#check('write')
    if (options.durability === 'quorum')
      throw new AteError('DURABILITY_UNAVAILABLE', { asked: 'quorum', reaches: 'disk' })
    const recordBytes = checkBatch(batch, options.after, this.head())
    return { durability: await writer.append(batch, recordBytes, options) }
  }

  async refresh(): Promise<Head | undefined> {
    this.#check('read')
    if (!this.readOnly || this.#damage) return this.head()
    try {
      patiently(() => this.#readOn())
    } catch (error) {
      throw diskError(error, { step: 'refresh' })
    }
    return this.head()
  }

  /** Walks the tail on, and from segment to segment. */
  #readOn(): void {
    const { fs } = this.#options
    this.#manifest = readManifestNow(fs, this.#crc)
    // A log without records may have been begun anew, with other segments.
    if (countOf(this.#state) === 0) takeUnused(this.#state)
    this.#state.markedCount = Math.max(this.#state.markedCount, this.#manifest.durableCount)
    for (;;) {
      const last = this.#state.segments.at(-1)
      if (last && !last.sealed) {
        const file = fs.open(last.name, 'read')
        try {
          walkOn(file, this.#state, this.#crc)
        } finally {
          file.close()
        }
      }
      const number = last ? last.header.number + 1 : this.#manifest.firstSegment
      if (last && !last.sealed) break
      if (number >= this.#manifest.firstSegment + this.#manifest.segmentCount) break
      addSegment(fs, this.#state, { manifest: this.#manifest, number, walk: true }, this.#crc)
    }
    judgeTail(fs, this.#state, this.#manifest, this.#crc)
  }

  read(
    from: number,
    options: { readonly chunkBytes?: number; readonly signal?: AbortSignal } = {},
  ): AsyncIterable<readonly LogRecord[]> {
    this.#check('read')
    return this.#read(from, options.chunkBytes ?? CHUNK_BYTES, options.signal)
  }

  async *#read(
    from: number,
    chunkBytes: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<readonly LogRecord[]> {
    yield* this.#reader.read(from, { chunkBytes, signal, check: () => void this.#check('read') })
    if (this.#damage) throw this.#damage
  }

  readPart(seq: number, offset: number, size: number): Uint8Array {
    this.#check('read')
    return this.#reader.readPart(seq, offset, size)
  }

  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    return this.#reader.place(seq)
  }

  async scrub(
    options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<readonly LogProblem[]> {
    this.#check('read')
    throwIfAborted(options.signal)
    const pause = this.#options.pause ?? (() => Promise.resolve())
    const problems = await this.#reader.scrub({ pause, signal: options.signal, onProgress: options.onProgress })
    if (this.#damage) problems.push(problemOf(this.#damage, countOf(this.#state)))
    return [...problems, ...scrubRing(this.#ringHost)]
  }

  sizeBytes(): number {
    return this.#reader.sizeBytes()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    try {
      await this.#writer?.close()
    } finally {
      this.#reader.close()
      await this.#lock?.release()
    }
  }

  #check(purpose: 'read'): FileWriter | undefined
  #check(purpose: 'write'): FileWriter
  #check(purpose: 'read' | 'write'): FileWriter | undefined
  #check(purpose: 'read' | 'write'): FileWriter | undefined {
    if (this.#closed) throw new AteError('CHAIN_CLOSED')
    if (purpose === 'read') return this.#writer
    if (!this.#writer) throw new AteError('READ_ONLY')
    this.#writer.check()
    return this.#writer
  }
}

function problemOf(damage: AteError, count: number): LogProblem {
  const { segment, offset, firstSeq = count, lastSeq = firstSeq } = damage.facts
  return {
    code: 'DAMAGED',
    segment: String(segment),
    offset: Number(offset),
    firstSeq: Number(firstSeq),
    lastSeq: Number(lastSeq),
  }
}

function readManifestNow(fs: FileSystem, crc: Crc32): Manifest {
  const file = fs.open(MANIFEST, 'read')
  try {
    return readManifest(file, crc)
  } finally {
    file.close()
  }
}
