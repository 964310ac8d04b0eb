/**
 * A log engine that keeps copies of records which others have ordered: those that were verified and are on their way to
 * the engine can be read already. What cannot be verified never reaches it.
 */
import { AteError } from '../base/errors.ts'
import type { Durability, LogEngine, LogRecord, LogResidue } from '../log/engine.ts'
import { ForwardingEngine } from '../log/forwarding-engine.ts'

export class HeldTail extends ForwardingEngine {
  readonly #held = new Map<number, LogRecord>()
  readonly #close: () => Promise<void>

  /** `close`: in the place of closing the engine. */
  constructor(inner: LogEngine, close: () => Promise<void> = () => inner.close()) {
    super(inner)
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

  override readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
    const held = this.#held.get(seq)
    if (!held) return this.inner.readPart(seq, offset, size)
    if (offset + size > held.bytes.length) throw new AteError('NOT_FOUND', { seq, offset, size })
    return held.bytes.subarray(offset, offset + size)
  }

  override async *read(
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
  residue(): LogResidue {
    return this.inner.residue?.() ?? { quarantine: [], leftovers: [], damagedKeys: [] }
  }
  override close(): Promise<void> {
    return this.#close()
  }
}
