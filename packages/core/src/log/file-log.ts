/** An open file log: the contract of engine.ts over a writer, a reader and the ring. Made by openFileLog() only. */
import { equalBytes } from '../base/bytes.ts'
import type { Clock, Randomness } from '../base/environment.ts'
import { AteError, assert, throwIfAborted } from '../base/errors.ts'
import { checkBatch, checkLabel } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type {
  AppendOptions,
  Compacted,
  Compaction,
  Head,
  LogEngine,
  LogProblem,
  LogRecord,
  LogResidue,
  SnapshotStore,
} from './engine.ts'
import { compactFiles } from './file-compact.ts'
import { eraseLog } from './file-destroy.ts'
import { diskError } from './file-errors.ts'
import { NO_HASH } from './file-frame.ts'
import type { Manifest } from './file-manifest.ts'
import { FileReader } from './file-reader.ts'
import { countOf, type LogState, patiently, readOn } from './file-recovery.ts'
import { residueOf } from './file-residue.ts'
import { FileRing, scrubRing } from './file-ring.ts'
import { fileSnapshot, removeUnfinished } from './file-snapshot.ts'
import type { FileLock, FileSystem } from './file-system.ts'
import type { FileWriter } from './file-writer.ts'
import type { RingHost } from './ring-host.ts'
import type { Standing } from './standing.ts'

const CHUNK_BYTES = 8 * 1024 * 1024

export interface FileLogParts {
  readonly fs: FileSystem
  readonly crc: Crc32
  readonly random: Randomness
  readonly clock: Clock
  readonly state: LogState
  readonly manifest: Manifest
  /** Undefined for a reader. */
  readonly writer: FileWriter | undefined
  readonly lock: FileLock | undefined
  /** What stands behind the good part of a log that was opened with damage. */
  readonly damage: AteError | undefined
  readonly pause: () => Promise<void>
  readonly ringSlotsMin: number | undefined
}

export class FileLog implements LogEngine {
  readonly kind = 'file'
  readonly durability = 'disk'
  readonly readOnly: boolean
  readonly ring: FileRing
  readonly snapshot: SnapshotStore
  readonly #parts: FileLogParts
  readonly #state: LogState
  readonly #reader: FileReader
  readonly #writer: FileWriter | undefined
  readonly #ringHost: RingHost
  #manifest: Manifest
  #compacting: Promise<Compacted> | undefined
  #closed = false

  constructor(parts: FileLogParts) {
    const { fs, crc, state, writer } = parts
    this.#parts = parts
    this.#state = state
    this.#manifest = parts.manifest
    this.#writer = writer
    this.readOnly = !writer
    this.#reader = new FileReader(fs, state, crc)
    this.#ringHost = {
      fs,
      crc,
      check: (purpose) => {
        this.#check(purpose)
        if (purpose === 'write') writer!.fence()
      },
      poison: (error) => writer!.poison(error),
      slotsMin: parts.ringSlotsMin,
      syncsHere: () => writer!.syncsHere,
      announceSlots: () => writer!.announceSlots(),
    }
    this.ring = writer ? FileRing.forWriting(this.#ringHost) : FileRing.forReading(this.#ringHost)
    this.snapshot = fileSnapshot(fs, (purpose) => void this.#check(purpose))
    if (writer) removeUnfinished(fs)
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

  get standing(): Standing {
    return this.#writer?.standing ?? this.#manifest.standing
  }

  async setStanding(standing: Standing): Promise<void> {
    await this.#check('write').setStanding(standing)
  }

  durableSeq(): number {
    // A reader knows what marks on the disk say; after damage nothing is whole that they speak of.
    return this.#writer?.durableSeq ?? Math.min(this.#state.markedCount, countOf(this.#state)) - 1
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
    if (!this.readOnly || this.#parts.damage) return this.head()
    try {
      this.#manifest = patiently(() => readOn(this.#parts.fs, this.#state, this.#parts.crc))
    } catch (error) {
      throw diskError(error, { step: 'refresh' })
    }
    return this.head()
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
    if (this.#parts.damage) throw this.#parts.damage
  }

  readPart(seq: number, offset: number, size: number, out?: Uint8Array): Uint8Array {
    this.#check('read')
    return this.#reader.readPart(seq, offset, size, out)
  }

  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    return this.#reader.place(seq)
  }

  get generation(): number {
    return this.#state.generation
  }

  async compact(compaction: Compaction): Promise<Compacted> {
    const writer = this.#check('write')
    assert(!this.#compacting, 'compact while another compaction runs')
    const { fs, crc, random, clock } = this.#parts
    const check = (): void => void this.#check('write')
    const onReplaced = (name: string): void => this.#reader.release(name)
    this.#compacting = compactFiles(
      { fs, crc, random, clock, state: this.#state, writer, check, onReplaced },
      compaction,
    )
    try {
      return await this.#compacting
    } finally {
      this.#compacting = undefined
    }
  }

  async scrub(
    options: { readonly signal?: AbortSignal; readonly onProgress?: (done: number, total: number) => void } = {},
  ): Promise<readonly LogProblem[]> {
    const problems: LogProblem[] = []
    for await (const step of this.#scan(options.signal)) {
      if (typeof step === 'number') options.onProgress?.(step, this.sizeBytes())
      else if ('code' in step) problems.push(step)
    }
    return problems
  }

  async *scan(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<LogProblem | readonly LogRecord[]> {
    for await (const step of this.#scan(options.signal)) if (typeof step !== 'number') yield step
  }

  async *#scan(signal: AbortSignal | undefined): AsyncGenerator<LogProblem | number | readonly LogRecord[]> {
    this.#check('read')
    throwIfAborted(signal)
    const { pause, damage } = this.#parts
    for await (const step of this.#reader.scan({ pause, signal })) {
      yield step
      this.#check('read')
    }
    if (damage) yield problemOf(damage, countOf(this.#state))
    yield* scrubRing(this.#ringHost)
  }

  residue(): LogResidue {
    this.#check('read')
    return residueOf(this.#ringHost, this.#state.segments)
  }

  sizeBytes(): number {
    return this.#reader.sizeBytes()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    // It ends at its next step, and takes away what it has begun; its caller hears of it.
    await this.#compacting?.catch(() => undefined)
    await this.ring.close()
    try {
      await this.#writer?.close()
    } finally {
      this.#reader.close()
      await this.#parts.lock?.release()
    }
  }

  async destroy(): Promise<void> {
    const writer = this.#check('write')
    this.#closed = true
    await this.#compacting?.catch(() => undefined)
    const { fs, crc, lock } = this.#parts
    await this.ring.close()
    try {
      this.#reader.close()
      await writer.close()
      eraseLog(fs, crc)
    } catch (error) {
      throw diskError(error, { step: 'destroy' })
    } finally {
      await lock?.release()
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
