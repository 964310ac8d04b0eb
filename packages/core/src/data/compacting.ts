/**
 * When a chain is compacted: by hand, or by a policy that looks now and then how far the log has grown. One compaction at a
 * time. One that a policy began and that failed is told by stats(), since nobody waits for it, and is tried again when
 * the policy next asks for it. Loaded for a chain that has a policy, or is compacted by hand.
 */
import { durationMs } from '../base/duration.ts'
import { type ErrorCode, isAteError } from '../base/errors.ts'
import { COMPACT_FROM_BYTES } from '../base/limits.ts'
import { Turns } from '../base/turns.ts'
import type { Compactable, CompactOptions, CompactReport } from '../chain/compaction.ts'
import { type CompactionState, type CompactPolicy, checkCompactPolicy, LOOK_EVERY_MS } from './compact-policy.ts'

/** What a policy looks at. `listeners` hear of each record, or group of them; `closers` are called once, at the end. */
export interface CompactingChain extends Compactable {
  readonly listeners: { add(listener: () => void): unknown }
  readonly closers: { add(close: () => void): unknown }
  readonly isClosed: boolean
  /** Told when the log has been written anew, or a part of it. */
  compacted?(): void
}

export class Compacting {
  readonly #core: CompactingChain
  readonly #policy: CompactPolicy
  readonly #everyMs: number | undefined
  readonly #turns = new Turns()
  readonly #listener = (): void => this.#look()
  #running = 0
  #last: CompactReport | undefined
  #failed: ErrorCode | undefined
  #sinceBytes: number
  #lookedAt: number
  #timer: { cancel(): void } | undefined

  constructor(core: CompactingChain, policy: CompactPolicy | undefined) {
    this.#core = core
    this.#policy = policy ?? {}
    this.#everyMs = policy?.every === undefined ? undefined : durationMs(policy.every, 0)
    this.#sinceBytes = core.engine.sizeBytes()
    this.#lookedAt = core.environment.clock.monotonic()
    if (core.engine.readOnly) return
    if (this.#policy.growth !== undefined || this.#policy.bytes !== undefined) core.listeners.add(this.#listener)
    core.closers.add(() => this.#timer?.cancel())
    this.#startTimer()
  }

  get state(): CompactionState {
    return { running: this.#running > 0, last: this.#last, failed: this.#failed }
  }

  async run(options: CompactOptions): Promise<CompactReport> {
    this.#running++
    try {
      const report = await this.#turns.run(async () => {
        const { compactLog } = await import('../chain/compaction.ts')
        return compactLog(this.#core, options)
      })
      this.#last = report
      this.#failed = undefined
      this.#sinceBytes = report.bytesAfter
      return report
    } catch (error) {
      this.#failed = isAteError(error) ? error.code : options.signal?.aborted ? undefined : 'INTERNAL'
      throw error
    } finally {
      this.#running--
      this.#core.compacted?.()
    }
  }

  /** What the policy has for the end; undefined if there is nothing. */
  beforeClose(signal: AbortSignal | undefined): Promise<void> | undefined {
    if (!this.#policy.onClose || this.#core.engine.readOnly || this.#core.isClosed) return undefined
    return this.run(signal ? { signal } : {}).then(
      () => undefined,
      (error) => {
        // Who is in a hurry wants it closed, and no report.
        if (!signal?.aborted) throw error
      },
    )
  }

  #look(): void {
    const now = this.#core.environment.clock.monotonic()
    if (now - this.#lookedAt < LOOK_EVERY_MS) return
    this.#lookedAt = now
    if (this.#running === 0 && this.#isDue(this.#core.engine.sizeBytes())) this.#begin()
  }

  #isDue(bytes: number): boolean {
    const { growth, growthFromBytes = COMPACT_FROM_BYTES, bytes: most } = this.#policy
    if (most !== undefined && bytes - this.#sinceBytes >= most) return true
    return growth !== undefined && bytes >= growthFromBytes && bytes >= growth * this.#sinceBytes
  }

  #begin(): void {
    // Nobody waits for this one: what becomes of it is in `state`. One that the end of the chain cut short is no failure.
    this.run({}).catch(() => {
      this.#sinceBytes = this.#core.engine.sizeBytes()
    })
  }

  #startTimer(): void {
    if (this.#everyMs === undefined) return
    this.#timer = this.#core.environment.timers.start(this.#everyMs, () => {
      if (this.#core.isClosed) return
      if (this.#running === 0) this.#begin()
      this.#startTimer()
    })
  }
}

/** What looks after the policy of a chain; undefined for `never`. @throws AteError BAD_ARGUMENT */
export function compactingOf(core: CompactingChain, compact: CompactPolicy | 'never'): Compacting | undefined {
  const policy = checkCompactPolicy(compact)
  return policy && new Compacting(core, policy)
}
