/**
 * The contract of a log engine: what stores and orders the records of one chain.
 *
 * A record is opaque here: bytes, its seq and its hash. An engine never changes the bytes, gives them back as they
 * were, and tells a torn tail (a write that never finished: cut) from damage (an error that names the place).
 *
 * Invariants, proved for every engine by the suite in testing/log-suite.ts:
 * - seqs are contiguous from 0; `append` is compare-and-append: it is refused unless `after` is the last record;
 * - a batch is all there after a crash, or not at all; what was acknowledged at `disk` is there after a power cut;
 * - after a failed sync nothing is acknowledged any more (WRITER_POISONED);
 * - a key put into the ring before its record is appended is there whenever the record is.
 * - what `setStanding` has set is there after a power cut, for as long as the log is; nothing brings an older one back.
 */

import type { Standing } from './standing.ts'

/** What an acknowledgement survives: this process only, its end, a power cut, the loss of a machine. */
export type Durability = 'memory' | 'os' | 'disk' | 'quorum'

const LEVELS: readonly Durability[] = ['memory', 'os', 'disk', 'quorum']

/** Higher survives more. */
export function durabilityRank(durability: Durability): number {
  return LEVELS.indexOf(durability)
}

export function isDurability(value: unknown): value is Durability {
  return LEVELS.includes(value as Durability)
}

/** The newest record: its seq and its 32-byte hash. An empty log has none. */
export interface Head {
  readonly seq: number
  readonly hash: Uint8Array
}

export interface LogRecord {
  readonly seq: number
  readonly hash: Uint8Array
  readonly bytes: Uint8Array
}

export interface AppendOptions {
  /** The record that the batch follows; undefined for the first of a chain. */
  readonly after: Head | undefined
  readonly durability: Durability
  /** `alone`: nobody else waits, so a fast disk may be synced without a thread hop. */
  readonly load: 'alone' | 'group'
  /** Called when the batch outlives this process, before it is synced: by engines that have such a moment. Throws nothing. */
  readonly written?: (() => void) | undefined
}

export interface RingEntry {
  /** 32 bytes. */
  readonly name: Uint8Array
  readonly wrapped: Uint8Array
}

/** Wrapped data keys that can really be destroyed, kept beside the log. Names are 32-byte ids. */
export interface KeyRing {
  /**
   * `recorded`: somebody stands between readers and the ring, and gives an entry out only when a record of the reader's asking
   * is durable. Left out: who has the medium reads the ring.
   */
  readonly access?: 'recorded'
  put(name: Uint8Array, wrapped: Uint8Array): Promise<void>
  /**
   * Several at once, for the price of less. When it fails, some of them may be there. A caller that `works` asks for the result
   * later: unless another change runs, the medium begins before this returns, and it does not hold up this thread while it syncs.
   */
  putAll(entries: readonly RingEntry[], caller?: 'waits' | 'works'): Promise<void>
  get(name: Uint8Array): Promise<Uint8Array | undefined>
  /** Idempotent. When it resolves, the bytes were overwritten and the entry is gone, on disk too. */
  erase(name: Uint8Array): Promise<void>
  names(): AsyncIterable<Uint8Array>
}

/** What the owner of the records says of their compaction. Steps give way to appends by `pause`. */
export interface Compaction {
  /** Called before the records `from` to `to` - 1 are asked for; they are all there are of one file. */
  begin(from: number, to: number): Promise<void>
  /** Bytes of the record that nobody needs. */
  reclaimable(record: LogRecord): number
  /** The record in fewer bytes, valid until the next call; undefined if it stays as it is. Seq and hash are the same. */
  rewrite(record: LogRecord): Uint8Array | undefined
  /** Resolves when all is durable that made bytes superfluous. The old bytes go only then. */
  settle(): Promise<void>
  pause(): Promise<void>
  readonly signal: AbortSignal | undefined
}

export interface Compacted {
  /** Records that stand in fewer bytes now. */
  readonly records: number
  /** Bytes of the medium. */
  readonly bytesFreed: number
  /** Files that could not be replaced because another process holds them open, where that matters (Windows). */
  readonly inUse: number
}

/**
 * One file of this machine's own beside the log: a cache, which may be lost or be another's. It never counts as a part of
 * the log, and no error of it harms the log.
 */
export interface SnapshotStore {
  /** What stands there now: it stays readable while a writer replaces it. @throws AteError IO_ERROR | CHAIN_CLOSED */
  open(): Promise<StoredSnapshot | undefined>
  /**
   * Replaces it by the bytes of `parts`, one behind the other; each part is valid until the next is asked for. Whole and
   * durable when it resolves; after an error or a crash the old one stands there, or none.
   * @throws AteError READ_ONLY | DISK_FULL | TOO_MANY_FILES | IO_ERROR | WRITER_POISONED | CHAIN_CLOSED, and what `parts` throws
   */
  write(parts: AsyncIterable<Uint8Array>): Promise<void>
}

export interface StoredSnapshot {
  readonly sizeBytes: number
  /** Bytes read into `target` from offset `at`: fewer than asked for only at the end. */
  read(target: Uint8Array, at: number): number | Promise<number>
  close(): void
}

export interface LogEngine {
  readonly kind: string
  /** The strongest level that `append` reaches. */
  readonly durability: Durability
  readonly readOnly: boolean
  /** 32 bytes that name the chain in the files, so that segments of two chains cannot be mixed up; undefined until set. */
  readonly label: Uint8Array | undefined
  /**
   * Sets the label, kept with the first append. Setting the same label again is no error.
   * @throws AteError BAD_ARGUMENT (not 32 bytes, all zeros), WRONG_CHAIN (records stand under another label), READ_ONLY.
   */
  setLabel(label: Uint8Array): void
  /** Whether this copy is the one that is written. Engines take appends in every standing: who opens them checks it. */
  readonly standing: Standing
  /** Durable when it resolves. No append may be under way. @throws as append */
  setStanding(standing: Standing): Promise<void>
  /** Seq of the newest record that is known to have reached the engine's own level; -1 if none has. */
  durableSeq(): number
  /** The newest record that is stored (for a writer: whether or not it is synced yet). */
  head(): Head | undefined
  /**
   * Appends the records of `batch` as one: seqs follow `after`. Resolves once `durability` holds. Batches of one engine
   * are appended one after the other: the caller waits for one before it calls again. An empty batch writes nothing and
   * waits until what stands reaches `durability`. The bytes are copied or written before it resolves. At most
   * BATCH_BYTES_MAX bytes a batch, RECORD_BYTES_MAX a record.
   * @throws AteError BAD_ARGUMENT, LINK_MISMATCH (not the last), DURABILITY_UNAVAILABLE, DISK_FULL or TOO_MANY_FILES (nothing was kept, appending may
   * go on later), READ_ONLY, WRITER_POISONED, WRITER_FENCED, CHAIN_CLOSED.
   */
  append(batch: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: Durability }>
  /**
   * Looks for what another process appended since, and gives the newest record; for a writer the same as head().
   * @throws AteError DAMAGED, IO_ERROR, CHAIN_CLOSED
   */
  refresh(): Promise<Head | undefined>
  /**
   * The records from seq `from` on, in order, in chunks of at most `chunkBytes` (one record at least). Bytes are valid
   * until the next chunk is asked for.
   * @throws AteError DAMAGED { segment, offset, seq }
   */
  read(
    from: number,
    options?: { readonly chunkBytes?: number; readonly signal?: AbortSignal },
  ): AsyncIterable<readonly LogRecord[]>
  /**
   * `size` bytes at `offset` of the bytes of record `seq`. Synchronous where it can be. An engine that reads at once may write
   * them to `out`, which is at least as long, and give a view of that. @throws AteError NOT_FOUND | DAMAGED | IO_ERROR
   */
  readPart(seq: number, offset: number, size: number, out?: Uint8Array): Uint8Array | Promise<Uint8Array>
  /** Grows when parts of records stand at other offsets than before: what was remembered of them no longer counts. */
  readonly generation: number
  /**
   * Stores records in fewer bytes while appends and reads go on: at any moment, also after a crash, each record is there
   * as it was or as it will be. One at a time.
   * @throws AteError DAMAGED, DISK_FULL, TOO_MANY_FILES, IO_ERROR, READ_ONLY, WRITER_POISONED, WRITER_FENCED, CHAIN_CLOSED; what is not
   * done by then is as before
   */
  compact(compaction: Compaction): Promise<Compacted>
  /** Where record `seq` stands, for reports: `{ segment: 'seg-000000.ate', offset: 4096 }`. */
  place(seq: number): { readonly segment: string; readonly offset: number } | undefined
  /**
   * Checks every stored byte again, from the disk, not from memory, without stopping at the first problem.
   */
  scrub(options?: {
    readonly signal?: AbortSignal
    readonly onProgress?: (done: number, total: number) => void
  }): Promise<readonly LogProblem[]>
  /**
   * As scrub, and on the way gives the records from the first on, in order, up to where the first is lost: so that who judges
   * them does not read them again. Bytes are valid until the next step is asked for. Left out where reading is for nothing.
   */
  scan?(options?: { readonly signal?: AbortSignal }): AsyncIterable<LogProblem | readonly LogRecord[]>
  /** What stands beside the log on its medium, for reports; left out where there is nothing beside it. */
  residue?(): LogResidue
  readonly ring: KeyRing
  /** Undefined where nothing is kept beside the log. */
  readonly snapshot?: SnapshotStore | undefined
  /** Bytes of the log on its medium. */
  sizeBytes(): number
  close(): Promise<void>
  /**
   * Ends the log: the keys of the ring first, overwritten, then everything else; and closes. What an interruption leaves
   * is a log that says so, until it is destroyed again.
   * @throws AteError READ_ONLY | IO_ERROR | CHAIN_CLOSED
   */
  destroy(): Promise<void>
}

export interface LogProblem {
  readonly code: 'DAMAGED'
  readonly segment: string
  readonly offset: number
  /** First and last seq that may be affected, as far as they are known. */
  readonly firstSeq: number
  readonly lastSeq: number
}

/** Names as they stand in the log's folder. */
export interface LogResidue {
  /** Torn tails that were cut off and kept. */
  readonly quarantine: readonly { readonly name: string; readonly bytes: number }[]
  /** Steps of a writer that are not finished. */
  readonly leftovers: readonly string[]
  /** Entries of the key ring that are not whole. */
  readonly damagedKeys: readonly string[]
}
