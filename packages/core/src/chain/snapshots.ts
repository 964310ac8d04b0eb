/**
 * The snapshot of one open chain: whether it can be gone on from, and when a new one is worth its writing.
 *
 * It is a cache. Whatever is wrong with it, the log is verified from its start, and whatever fails while it is written
 * is told in `info` and fails nothing else. It is written only while nobody writes to the chain (after the opening,
 * before the first transaction, and at close), so that it is of one record without copying anything.
 */
import { equalBytes } from '../base/bytes.ts'
import type { Environment } from '../base/environment.ts'
import { AteError, type ErrorCode, isAteError, throwIfAborted } from '../base/errors.ts'
import { SNAPSHOT_NEW_BYTES_MIN, SNAPSHOT_RECORD_BYTES, SNAPSHOT_STATE_SHARE } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { CommitParser } from '../event/commit-parse.ts'
import { FOLD_LEVEL, KIND } from '../event/format.ts'
import { hashRecord, parseRecordHead } from '../event/record.ts'
import type { LogEngine, LogRecord, SnapshotStore } from '../log/engine.ts'
import { findSnapshotKey, obtainSnapshotKey } from '../session/snapshot-key.ts'
import type { StateStore } from '../session/state-store.ts'
import { ROW_BYTES } from '../view/entity-table.ts'
import { Replica, type ReplicaMakers } from './replica.ts'
import {
  canKeepSnapshots,
  SealedSnapshot,
  type SnapshotFoot,
  type SnapshotMakers,
  snapshotParts,
} from './snapshot-file.ts'

export interface SnapshotInfo {
  /** The record from which this opening went on; undefined if it verified the log from its start. */
  readonly openedFrom: number | undefined
  /** The record of the newest snapshot that is known to stand beside the log. */
  readonly seq: number | undefined
  /** Why the last one that was tried could not be used or written. */
  readonly problem: ErrorCode | undefined
}

export interface SnapshotParts {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  /** Where this machine keeps its key. */
  readonly state: StateStore
}

export class Snapshots {
  readonly #parts: SnapshotParts
  readonly #store: SnapshotStore
  #last: Pick<SnapshotFoot, 'seq' | 'logBytes'> | undefined
  #openedFrom: number | undefined
  #problem: ErrorCode | undefined
  /** One stands there that this machine did not make of this log. */
  #isWrong = false

  private constructor(parts: SnapshotParts, store: SnapshotStore) {
    this.#parts = parts
    this.#store = store
  }

  /** Undefined where nothing is kept beside the log. */
  static for(parts: SnapshotParts): Snapshots | undefined {
    const store = parts.engine.snapshot
    return store && canKeepSnapshots() ? new Snapshots(parts, store) : undefined
  }

  get info(): SnapshotInfo {
    return { openedFrom: this.#openedFrom, seq: this.#last?.seq, problem: this.#problem }
  }

  /** A replica that stands at the snapshot's record, or undefined: then the log is verified from its start. */
  async load(makers: ReplicaMakers, signal: AbortSignal | undefined): Promise<Replica | undefined> {
    try {
      const stored = await this.#store.open()
      if (!stored) return undefined
      try {
        return await this.#resume(makers, await SealedSnapshot.open(await this.#makers(), stored), signal)
      } finally {
        stored.close()
      }
    } catch (error) {
      throwIfAborted(signal)
      this.#refuse(error)
      return undefined
    }
  }

  /** The log that follows does not fit the state that `load` gave. */
  discard(error: unknown): void {
    this.#last = undefined
    this.#openedFrom = undefined
    this.#refuse(error)
  }

  /** Writes a new one if enough is new, or if what stands there is wrong. `replica` must not change meanwhile. */
  async keep(replica: Replica): Promise<void> {
    const { engine, environment, state } = this.#parts
    if (engine.readOnly || !this.#isWorth(replica)) return
    const { seq } = replica.head
    const logBytes = engine.sizeBytes()
    try {
      const key = await obtainSnapshotKey(state, environment.random)
      await this.#store.write(snapshotParts({ ...this.#tools, key }, replica, logBytes))
      this.#last = { seq, logBytes }
      this.#isWrong = false
      this.#problem = undefined
    } catch (error) {
      this.#problem = codeOf(error)
    }
  }

  #isWorth({ head, view, hashes }: Replica): boolean {
    if (this.#isWrong) return true
    const { seq, logBytes } = this.#last ?? { seq: -1, logBytes: 0 }
    const records = head.seq - seq
    // A log that was compacted is smaller than it was.
    const bytes = Math.max(0, this.#parts.engine.sizeBytes() - logBytes)
    const stateBytes = view.table.rows * ROW_BYTES + hashes.size * 32
    const least = Math.max(SNAPSHOT_NEW_BYTES_MIN, stateBytes * SNAPSHOT_STATE_SHARE)
    return records > 0 && bytes + records * SNAPSHOT_RECORD_BYTES >= least
  }

  async #resume(makers: ReplicaMakers, sealed: SealedSnapshot, signal: AbortSignal | undefined): Promise<Replica> {
    const { engine } = this.#parts
    const { level, chainId, seq, hash, logBytes } = sealed.foot
    if (level !== FOLD_LEVEL) throw new AteError('BAD_SNAPSHOT', { what: 'level', level })
    const newest = await recordAt(engine, seq, signal)
    if (!equalBytes(hashOf(makers.crypto, chainId, newest), hash))
      throw new AteError('BAD_SNAPSHOT', { what: 'another record stands in the log', seq })
    const state = await sealed.state(makers.seed)
    const genesis = await recordAt(engine, 0, signal)
    const replica = Replica.resume(makers, genesis, state)
    // A folder put together from two chains of this machine would else open as one with the state of the other.
    if (!equalBytes(replica.hashes.at(0)!, genesis.hash)) throw new AteError('BAD_SNAPSHOT', { what: 'first record' })
    this.#last = { seq, logBytes }
    this.#openedFrom = seq
    return replica
  }

  get #tools(): Omit<SnapshotMakers, 'key'> {
    const { crypto, environment } = this.#parts
    return { crypto, pause: () => environment.timers.pause() }
  }

  async #makers(): Promise<SnapshotMakers> {
    const key = await findSnapshotKey(this.#parts.state)
    if (!key) throw new AteError('BAD_SNAPSHOT', { what: 'this machine has made none yet' })
    return { ...this.#tools, key }
  }

  #refuse(error: unknown): void {
    this.#isWrong = true
    this.#problem = codeOf(error)
  }
}

/** @throws AteError DAMAGED | IO_ERROR | BAD_SNAPSHOT */
async function recordAt(engine: LogEngine, seq: number, signal: AbortSignal | undefined): Promise<LogRecord> {
  for await (const [record] of engine.read(seq, { chunkBytes: 1, ...(signal ? { signal } : {}) })) {
    if (record) return { seq: record.seq, hash: record.hash.slice(), bytes: record.bytes.slice() }
  }
  throw new AteError('BAD_SNAPSHOT', { what: 'the log is shorter', seq })
}

/** From the bytes that stand there: what the frame says beside them is not believed. @throws AteError BAD_RECORD | BAD_ROOT */
function hashOf(crypto: CryptoProvider, chainId: Uint8Array, { bytes }: LogRecord): Uint8Array {
  const { kind } = parseRecordHead(bytes)
  const commitHash = kind === KIND.commit ? new CommitParser(crypto).parse(chainId, bytes).commitHash : undefined
  return hashRecord(crypto, chainId, bytes, kind, commitHash)
}

function codeOf(error: unknown): ErrorCode {
  return isAteError(error) ? error.code : 'INTERNAL'
}
