/**
 * A log engine that keeps copies of records which others have ordered: those that were verified and are on their way to
 * the engine can be read already. What cannot be verified never reaches it.
 */
import { AteError } from '../base/errors.ts'
import type {
  AppendOptions,
  Compacted,
  Compaction,
  Durability,
  Head,
  KeyRing,
  LogEngine,
  LogProblem,
  LogRecord,
  LogResidue,
  SnapshotStore,
} from '../log/engine.ts'
import type { Standing } from '../log/standing.ts'

export class HeldTail implements LogEngine {
  readonly inner: LogEngine
  readonly #held = new Map<number, LogRecord>()
  readonly #close: () => Promise<void>

  /** `close`: in the place of closing the engine. */
  constructor(inner: LogEngine, close: () => Promise<void> = () => inner.close()) {
    this.inner = inner
    this.#close = close
  }

  /** Readable from here on, until `keep` has stored it, or `drop` has said that it is not to be. */
  hold(records: readonly LogRecord[]): void {
    for (const record of records) this.#held.set(record.seq, record)
  }

  drop(records: readonly LogRecord[]): void {
    for (const { seq } of records) this.#held.delete(seq)
  }

  /** Something was read of it that the engine does not have yet. */
  get isAhead(): boolean {
    return this.#held.size > 0
  }

  /** Stores what is held. @throws as append */
  async keep(records: readonly LogRecord[], durability: Durability): Promise<void> {
    const after = this.inner.head()
    await this.inner.append(records, { after, durability, load: 'group' })
    this.drop(records)
  }

  readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
    const held = this.#held.get(seq)
    if (!held) return this.inner.readPart(seq, offset, size)
    if (offset + size > held.bytes.length) throw new AteError('NOT_FOUND', { seq, offset, size })
    return held.bytes.subarray(offset, offset + size)
  }

  async *read(
    from: number,
    options?: { readonly chunkBytes?: number; readonly signal?: AbortSignal },
  ): AsyncGenerator<readonly LogRecord[], void, void> {
    let next = from
    for await (const chunk of this.inner.read(from, options)) {
      next = chunk[chunk.length - 1]!.seq + 1
      yield chunk
    }
    for (let held = this.#held.get(next); held; held = this.#held.get(++next)) yield [held]
  }

  get kind(): string {
    return this.inner.kind
  }
  get durability(): Durability {
    return this.inner.durability
  }
  get readOnly(): boolean {
    return this.inner.readOnly
  }
  get label(): Uint8Array | undefined {
    return this.inner.label
  }
  get standing(): Standing {
    return this.inner.standing
  }
  get generation(): number {
    return this.inner.generation
  }
  get ring(): KeyRing {
    return this.inner.ring
  }
  get snapshot(): SnapshotStore | undefined {
    return this.inner.snapshot
  }
  setLabel(label: Uint8Array): void {
    this.inner.setLabel(label)
  }
  setStanding(standing: Standing): Promise<void> {
    return this.inner.setStanding(standing)
  }
  durableSeq(): number {
    return this.inner.durableSeq()
  }
  head(): Head | undefined {
    return this.inner.head()
  }
  append(batch: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: Durability }> {
    return this.inner.append(batch, options)
  }
  refresh(): Promise<Head | undefined> {
    return this.inner.refresh()
  }
  compact(compaction: Compaction): Promise<Compacted> {
    return this.inner.compact(compaction)
  }
  place(seq: number): { readonly segment: string; readonly offset: number } | undefined {
    return this.inner.place(seq)
  }
  scrub(options?: Parameters<LogEngine['scrub']>[0]): Promise<readonly LogProblem[]> {
    return this.inner.scrub(options)
  }
  residue(): LogResidue {
    return this.inner.residue?.() ?? { quarantine: [], leftovers: [], damagedKeys: [] }
  }
  sizeBytes(): number {
    return this.inner.sizeBytes()
  }
  close(): Promise<void> {
    return this.#close()
  }
  destroy(): Promise<void> {
    return this.inner.destroy()
  }
}
