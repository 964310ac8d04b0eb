/**
 * A log engine between a chain and a real one, which a test drives by hand: appends can be held, made to fail, and
 * counted, and reads can be made slow. What it does not meddle with is what the inner engine does.
 */
import type { AppendOptions, Durability, LogRecord } from '../log/engine.ts'
import { ForwardingEngine } from '../log/forwarding-engine.ts'

export class GatedEngine extends ForwardingEngine {
  /** The records of each append that was asked for, whether or not it went through. */
  readonly appends: { readonly records: readonly LogRecord[]; readonly options: AppendOptions }[] = []
  /** Thrown by the next append, in its stead. */
  failNext: unknown
  /** Parts of records are given by promises, later. */
  slowReads = false
  #held: Promise<void> | undefined
  #release: (() => void) | undefined

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

  override destroy(): Promise<void> {
    this.release()
    return super.destroy()
  }

  override async append(
    records: readonly LogRecord[],
    options: AppendOptions,
  ): Promise<{ readonly durability: Durability }> {
    this.appends.push({ records, options })
    await this.#held
    const failure = this.failNext
    this.failNext = undefined
    if (failure !== undefined) throw failure
    return super.append(records, options)
  }

  override readPart(seq: number, offset: number, size: number): Uint8Array | Promise<Uint8Array> {
    if (!this.slowReads) return super.readPart(seq, offset, size)
    return new Promise((resolve) => setTimeout(resolve, 1)).then(() => super.readPart(seq, offset, size))
  }

  override close(): Promise<void> {
    this.release()
    return super.close()
  }
}
