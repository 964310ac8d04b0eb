/**
 * A log engine between a chain and a real one, which a test drives by hand: appends can be held, made to fail, and
 * counted, and reads can be made slow. What it does not meddle with is what the inner engine does.
 */
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
} from '../log/engine.ts'
import type { Standing } from '../log/standing.ts'

export class GatedEngine implements LogEngine {
  readonly inner: LogEngine
  /** The records of each append that was asked for, whether or not it went through. */
  readonly appends: { readonly records: readonly LogRecord[]; readonly options: AppendOptions }[] = []
  /** Thrown by the next append, in its stead. */
  failNext: unknown
  /** Parts of records are given by promises, later. */
  slowReads = false
  #held: Promise<void> | undefined
  #release: (() => void) | undefined

  constructor(inner: LogEngine) {
    this.inner = inner
  }

  /** Appends from now on wait for release(). */
  hold(): void {
    if (this.#held) return
    this.#held = new Promise((resolve) => {
      this.#release = resolve
    })
  }

  release(): void {
    this.#release?.()
    this.#held = undefined
    this.#release = undefined
  }

  /** Appends that were asked for since the last call. */
  takeAppends(): (readonly LogRecord[])[] {
    return this.appends.splice(0).map(({ records }) => records)
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

  get ring(): KeyRing {
    return this.inner.ring
  }

  get snapshot(): SnapshotStore | undefined {
    return this.inner.snapshot
  }

  setLabel(label: Uint8Array): void {
    this.inner.setLabel(label)
  }

  get standing(): Standing {
    return this.inner.standing
  }

  setStanding(standing: Standing): Promise<void> {
    return this.inner.setStanding(standing)
  }

  durableSeq(): number {
    return this.inner.durableSeq()
  }

  destroy(): Promise<void> {
    this.release()
    return this.inner.destroy()
  }

  head(): Head | undefined {
    return this.inner.head()
  }

  async append(records: readonly LogRecord[], options: AppendOptions): Promise<{ readonly durability: Durability }> {
    this.appends.push({ records, options })
    await this.#held
    const failure = this.failNext
    this.failNext = undefined
    if (failure !== undefined) throw failure
    return this.inner.append(records, options)
  }

  refresh(): Promise<Head | undefined> {
    return this.inner.refresh()
  }

  read(from: number, options?: Parameters<LogEngine['read']>[1]): AsyncIterable<readonly LogRecord[]> {
    return this.inner.read(from, options)
  }

  readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
    if (!this.slowReads) return this.inner.readPart(seq, offset, size)
    return new Promise((resolve) => setTimeout(resolve, 1)).then(() => this.inner.readPart(seq, offset, size))
  }

  get generation(): number {
    return this.inner.generation
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
    this.release()
    return this.inner.close()
  }
}
