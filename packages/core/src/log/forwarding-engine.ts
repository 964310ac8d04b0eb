/** A log engine in front of another one, which does everything: for those that change a few of its answers. No `scan`: it would pass by a `read` that was changed. */
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
  SnapshotStore,
} from './engine.ts'
import type { Standing } from './standing.ts'

export class ForwardingEngine implements LogEngine {
  readonly inner: LogEngine

  constructor(inner: LogEngine) {
    this.inner = inner
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

  append(records: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: Durability }> {
    return this.inner.append(records, options)
  }

  refresh(): Promise<Head | undefined> {
    return this.inner.refresh()
  }

  read(from: number, options?: Parameters<LogEngine['read']>[1]): AsyncIterable<readonly LogRecord[]> {
    return this.inner.read(from, options)
  }

  readPart(seq: number, offset: number, size: number, out?: Uint8Array): Uint8Array | Promise<Uint8Array> {
    return this.inner.readPart(seq, offset, size, out)
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

  sizeBytes(): number {
    return this.inner.sizeBytes()
  }

  close(): Promise<void> {
    return this.inner.close()
  }

  destroy(): Promise<void> {
    return this.inner.destroy()
  }
}
