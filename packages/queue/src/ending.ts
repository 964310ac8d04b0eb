/**
 * Writes the ends of attempts, of one handle, many in one transaction: each under its fence and its turn, with its effects
 * behind it.
 *
 * One end is no other's affair. Where one cannot be written with the others (an effect throws, waits for something, or
 * conflicts, or all are too much for a commit), all are taken back, and each goes in a transaction of its own. So an effect
 * may run again, and commits once. See docs/decisions/0060.
 */

import { AteError, type Chain, type Effect, isAteError, mayBeOneOf, type Transaction } from '@ate/core'
import type { QueueEnvironment } from './environment.ts'
import { queueError } from './errors.ts'
import type { Held } from './lane.ts'
import { hasFence } from './lane-steps.ts'
import { JobRecord, type JobValue } from './queue-records.ts'

/** Ends of one transaction. */
const ENDS_MAX = 512
/** How long the effects of one transaction may wait for something before each goes alone, in ms. */
const PATIENCE_MS = 50

export interface End {
  readonly held: Held
  /** The id of the job, for errors. */
  readonly id: string
  readonly next: (value: JobValue, now: number) => JobValue
  readonly effects: readonly Effect[]
}

interface Waiting extends End {
  /** What the newest run of its transaction has written. */
  written: JobValue | undefined
  /** Why this run has left it out. */
  refusal: unknown
  readonly resolve: (written: JobValue) => void
  readonly reject: (error: unknown) => void
}

/** What went wrong is one end's affair, and which one's is found out by each going alone. */
const APART = new Error('each alone')

export class Endings {
  readonly #chain: Chain
  readonly #environment: QueueEnvironment
  #waiting: Waiting[] = []
  /** Ends that go together: fewer after each time that they had to be parted. */
  #together = ENDS_MAX

  constructor(chain: Chain, environment: QueueEnvironment) {
    this.#chain = chain
    this.#environment = environment
  }

  /** What was written. Ends of one turn of the event loop go together. @throws AteError LEASE_LOST | JOB_CANCELLED, what an effect throws, as transact */
  end(end: End): Promise<JobValue> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...end, written: undefined, refusal: undefined, resolve, reject })
      if (this.#waiting.length === 1) void this.#environment.pause().then(() => this.#flush())
    })
  }

  #flush(): void {
    const all = this.#waiting
    this.#waiting = []
    for (let at = 0; at < all.length; ) {
      const some = all.slice(at, at + this.#together)
      at += some.length
      void this.#commit(some)
    }
  }

  async #commit(ends: readonly Waiting[]): Promise<void> {
    let runs = 0
    try {
      await this.#chain.transact((tx) => {
        // Of many, somebody else is in the way of one.
        if (++runs > 1 && ends.length > 1) throw APART
        return this.#stage(tx, ends)
      })
    } catch (error) {
      if (ends.length > 1 && mayBeOneOf(error)) this.#part(ends)
      else for (const end of ends) end.reject(end.refusal ?? error)
      return
    }
    this.#together = Math.min(this.#together + 1 + (ends.length >>> 3), ENDS_MAX)
    for (const end of ends) {
      if (end.written) end.resolve(end.written)
      else end.reject(end.refusal)
    }
  }

  #part(ends: readonly Waiting[]): void {
    this.#together = Math.max(1, ends.length >>> 1)
    for (const end of ends) void this.#commit([end])
  }

  async #stage(tx: Transaction, ends: readonly Waiting[]): Promise<void> {
    if (ends.length === 1) return this.#stageAll(tx, ends, () => false)
    let isLate = false
    let patience: { cancel(): void } | undefined
    const late = new Promise<never>((_, reject) => {
      patience = this.#environment.start(
        PATIENCE_MS,
        () => {
          isLate = true
          reject(APART)
        },
        'lets go',
      )
    })
    try {
      await Promise.race([this.#stageAll(tx, ends, () => isLate), late])
    } finally {
      patience?.cancel()
    }
  }

  async #stageAll(tx: Transaction, ends: readonly Waiting[], isOver: () => boolean): Promise<void> {
    const fences = new Map<string, boolean>()
    for (const end of ends) {
      const { fenceId } = end.held
      let isThere = fences.get(fenceId)
      if (isThere === undefined) {
        isThere = await hasFence(tx, fenceId)
        fences.set(fenceId, isThere)
      }
      await this.#stageOne(tx, end, isThere)
      if (!end.written) continue
      for (const effect of end.effects) {
        const running = effect(tx)
        if (isThenable(running)) await running
        if (isOver()) return
      }
    }
  }

  async #stageOne(tx: Transaction, end: Waiting, hasFence: boolean): Promise<void> {
    end.written = undefined
    end.refusal = undefined
    try {
      if (!hasFence) throw leaseLost(end)
      await updateHeld(tx, end, (value) => {
        end.written = end.next(value, this.#chain.now)
        return end.written
      })
    } catch (error) {
      end.written = undefined
      if (!isAteError(error) || !ITS_OWN.has(error.code)) throw error
      end.refusal = error
    }
  }
}

/** Writes the job of a lease, if the lease is still the one of its turn. @throws AteError LEASE_LOST | JOB_CANCELLED */
export async function updateHeld(
  tx: Transaction,
  { held, id }: Pick<End, 'held' | 'id'>,
  next: (value: JobValue) => JobValue,
): Promise<void> {
  if (held.isOver) throw leaseLost({ held, id })
  try {
    await tx.update(JobRecord, held.job, (value) => {
      if (value.end === 'cancelled') throw queueError('JOB_CANCELLED', { job: id })
      if (value.end !== undefined || (value.turn ?? 0) !== held.turn) throw leaseLost({ held, id })
      return next(value)
    })
  } catch (error) {
    // Cancelled, and not kept any more by the time at which that was heard of.
    throw isAteError(error) && error.code === 'NOT_FOUND' ? leaseLost({ held, id }) : error
  }
}

export function leaseLost({ held, id }: Pick<End, 'held' | 'id'>): AteError {
  return new AteError('LEASE_LOST', { job: id, fence: held.fence })
}

/** Of one job alone: the others of its transaction commit. */
const ITS_OWN: ReadonlySet<string> = new Set(['LEASE_LOST', 'JOB_CANCELLED'])

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
