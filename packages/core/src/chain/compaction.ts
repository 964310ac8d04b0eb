/**
 * Compaction of a chain: bodies that nobody needs are dropped from the log. Superseded and deleted values, those of void
 * transactions, and what a sweep took; never what a living entity points to, acknowledged or staged. Clear bytes,
 * signatures, links and proofs stay, so every reader folds the same state as before.
 *
 * Appends go on meanwhile. What is written meanwhile can only make bodies die (see live-bodies.ts), and a body goes only
 * when what took its place is durable.
 */
import type { Environment } from '../base/environment.ts'
import { assert, throwIfAborted } from '../base/errors.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import { bodyBytes } from '../event/commit-bodies.ts'
import { CommitCompactor } from '../event/commit-compact.ts'
import { CommitParser, parseBlockPlaces } from '../event/commit-parse.ts'
import { KIND } from '../event/format.ts'
import { parseRecordHead } from '../event/record.ts'
import type { Compaction, LogEngine, LogRecord } from '../log/engine.ts'
import { visitLiveBodies } from './live-bodies.ts'
import type { Replica } from './replica.ts'

export interface CompactOptions {
  /** Ends it at the next step; what is done by then stays done. */
  readonly signal?: AbortSignal
}

export interface CompactReport {
  /** Bytes of the log before and after; `bytesFreed` is what compaction took, whatever was appended meanwhile. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  readonly bytesFreed: number
  /** Records that hold fewer bodies now. */
  readonly records: number
  /** Files that another process holds open and that could not be replaced (Windows): try again when it has closed. */
  readonly filesInUse: number
}

/** What is compacted: a chain that is written here, or one that a server orders. */
export interface Compactable {
  readonly crypto: CryptoProvider
  readonly environment: Environment
  readonly engine: LogEngine
  readonly replica: Replica
  assertWritable(): void
  /** Resolves when all that the replica has folded now is durable. */
  durable(): Promise<void>
}

/** @throws AteError READ_ONLY | CHAIN_CLOSED | DAMAGED | DISK_FULL | TOO_MANY_FILES | IO_ERROR | WRITER_POISONED | WRITER_FENCED */
export async function compactLog(core: Compactable, { signal }: CompactOptions): Promise<CompactReport> {
  core.assertWritable()
  throwIfAborted(signal)
  const bytesBefore = core.engine.sizeBytes()
  const { records, bytesFreed, inUse } = await core.engine.compact(new ChainCompaction(core, signal))
  return { bytesBefore, bytesAfter: core.engine.sizeBytes(), bytesFreed, records, filesInUse: inUse }
}

class ChainCompaction implements Compaction {
  readonly signal: AbortSignal | undefined
  readonly #core: Compactable
  readonly #parser: CommitParser
  readonly #compactor = new CommitCompactor()
  #live = new LiveBodies(0, 0)

  constructor(core: Compactable, signal: AbortSignal | undefined) {
    this.#core = core
    this.signal = signal
    this.#parser = new CommitParser(core.crypto)
  }

  async begin(from: number, to: number): Promise<void> {
    const { view, head } = this.#core.replica
    // A record that is stored and not acknowledged yet has no row that points to it: it is left alone.
    const live = new LiveBodies(from, Math.min(to, head.seq + 1))
    const options = { pause: () => this.pause(), signal: this.signal }
    await visitLiveBodies(view, (record, block, offset, size) => live.add(record, block, offset, size), options)
    live.sort()
    this.#live = live
  }

  reclaimable({ seq, bytes }: LogRecord): number {
    if (!this.#live.covers(seq) || parseRecordHead(bytes).kind !== KIND.commit) return 0
    return Math.max(0, bodyBytes(parseBlockPlaces(bytes).blocks) - this.#live.bytesOf(seq))
  }

  rewrite(record: LogRecord): Uint8Array | undefined {
    if (this.reclaimable(record) === 0) return undefined
    const live = this.#live.of(record.seq)
    const commit = this.#parser.parse(this.#core.replica.chainId, record.bytes)
    return this.#compactor.compact(commit, (block, offset) => live.has(placeOf(block, offset)))
  }

  settle(): Promise<void> {
    return this.#core.durable()
  }

  pause(): Promise<void> {
    return this.#core.environment.timers.pause()
  }
}

function placeOf(block: number, offset: number): number {
  return block * 2 ** 32 + offset
}

/** Live bodies of the records `from` to `to` - 1: 12 bytes of memory a body, 8 a record. */
class LiveBodies {
  readonly #from: number
  readonly #to: number
  readonly #bytes: Uint32Array
  readonly #counts: Uint32Array
  #records: number[] = []
  #places: number[] = []

  constructor(from: number, to: number) {
    this.#from = from
    this.#to = Math.max(from, to)
    this.#bytes = new Uint32Array(this.#to - from)
    this.#counts = new Uint32Array(this.#to - from + 1)
  }

  covers(seq: number): boolean {
    return seq >= this.#from && seq < this.#to
  }

  add(record: number, block: number, offset: number, size: number): void {
    if (!this.covers(record)) return
    const at = record - this.#from
    this.#bytes[at] = this.#bytes[at]! + size
    this.#counts[at + 1] = this.#counts[at + 1]! + 1
    this.#records.push(at)
    this.#places.push(placeOf(block, offset))
  }

  /** Groups what was added by record. */
  sort(): void {
    for (let i = 1; i < this.#counts.length; i++) this.#counts[i] = this.#counts[i]! + this.#counts[i - 1]!
    const next = this.#counts.slice()
    const sorted = new Array<number>(this.#places.length)
    for (let i = 0; i < this.#records.length; i++) {
      const at = this.#records[i]!
      sorted[next[at]!] = this.#places[i]!
      next[at] = next[at]! + 1
    }
    this.#places = sorted
    this.#records = []
  }

  bytesOf(seq: number): number {
    return this.#bytes[seq - this.#from]!
  }

  of(seq: number): ReadonlySet<number> {
    assert(this.covers(seq), 'a record of the range')
    const at = seq - this.#from
    return new Set(this.#places.slice(this.#counts[at], this.#counts[at + 1]))
  }
}
