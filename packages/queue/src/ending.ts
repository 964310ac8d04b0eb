/**
 * Writes the ends of attempts, of one handle, many in one transaction: each under its fence and its turn, with its effects
 * behind it.
 *
 * One end is no other's affair. Where one cannot be written with the others (an effect throws, waits for something, or
 * conflicts, or all are too much for a commit), all are taken back, and each goes in a transaction of its own. So an effect
 * may run again, and commits once. See docs/decisions/0060.
 */

import { AteError, type Chain, type Effect, type Entity, isAteError, mayBeOneOf, type Transaction } from '@ate/core'
import type { QueueEnvironment } from './environment.ts'
import { queueError } from './errors.ts'
import type { Held } from './lane.ts'
import { hasFence } from './lane-steps.ts'
import type { JobValue } from './queue-records.ts'

/** Ends of one transaction. */
const ENDS_MAX = 512
/** How long the effects of one transaction may wait for something before each goes alone, in ms. */
const PATIENCE_MS = 50

/** An end on its way. Who asks for it is told once; what it is told throws nothing. */
export class End {
  readonly held: Held
  /** The id of the job, for errors. */
  readonly id: string
  readonly job: Entity<JobValue>
  /** Of the job as it was read. */
  readonly version: number
  readonly next: (value: JobValue, now: number) => JobValue
  readonly effects: readonly Effect[]
  /** What was written; or why nothing was: LEASE_LOST | JOB_CANCELLED, what an effect throws, as transact. */
  readonly tell: (written: JobValue | undefined, error: unknown) => void
  /** What the newest run of its transaction has written. */
  written: JobValue | undefined
  /** Why this run has left it out. */
  refusal: unknown

  constructor(
    of: Pick<End, 'held' | 'id' | 'job' | 'version'>,
    next: End['next'],
    effects: readonly Effect[],
    tell: End['tell'],
  ) {
    this.held = of.held
    this.id = of.id
    this.job = of.job
    this.version = of.version
    this.next = next
    this.effects = effects
    this.tell = tell
  }
}

/** What went wrong is one end's affair, and which one's is found out by each going alone. */
const APART = new Error('each alone')

export class Endings {
  readonly #chain: Chain
  readonly #environment: QueueEnvironment
  #waiting: End[] = []
  /** Ends that go together: fewer after each time that they had to be parted. */
  #together = ENDS_MAX

  constructor(chain: Chain, environment: QueueEnvironment) {
    this.#chain = chain
    this.#environment = environment
  }

  /** Writes it. Ends of one turn of the event loop go together. */
  add(end: End): void {
    this.#waiting.push(end)
    if (this.#waiting.length === 1) void this.#environment.pause().then(() => this.#flush())
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

  async #commit(ends: readonly End[]): Promise<void> {
    let runs = 0
    try {
      await this.#chain.transact((tx) => {
        // Of many, somebody else is in the way of one.
        if (++runs > 1 && ends.length > 1) throw APART
        return this.#stage(tx, ends)
      })
    } catch (error) {
      if (ends.length > 1 && mayBeOneOf(error)) this.#part(ends)
      else for (const end of ends) end.tell(undefined, end.refusal ?? error)
      return
    }
    this.#together = Math.min(this.#together + 1 + (ends.length >>> 3), ENDS_MAX)
    for (const end of ends) end.tell(end.written, end.refusal)
  }

  #part(ends: readonly End[]): void {
    this.#together = Math.max(1, ends.length >>> 1)
    for (const end of ends) void this.#commit([end])
  }

  async #stage(tx: Transaction, ends: readonly End[]): Promise<void> {
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

  async #stageAll(tx: Transaction, ends: readonly End[], isOver: () => boolean): Promise<void> {
    const fences = new Map<string, boolean>()
    const { now } = this.#chain
    for (const end of ends) {
      const { fenceId } = end.held
      let isThere = fences.get(fenceId)
      if (isThere === undefined) {
        isThere = await hasFence(tx, fenceId)
        fences.set(fenceId, isThere)
      }
      end.written = undefined
      end.refusal = undefined
      try {
        if (!isThere) throw leaseLost(end)
        // Most jobs are as they were when they were leased: those are not read again, and cost no promise.
        if (end.held.isOver || tx.versionOf(end.job) !== end.version) await writeNewest(tx, end, now)
        else {
          end.written = end.next(turnOf(end, end.job.value), now)
          tx.replace(end.job, end.written)
        }
      } catch (error) {
        end.written = undefined
        end.refusal = ofItsOwn(end, error)
        continue
      }
      for (const effect of end.effects) {
        const running = effect(tx)
        if (isThenable(running)) await running
        if (isOver()) return
      }
    }
  }
}

function writeNewest(tx: Transaction, end: End, now: number): Promise<unknown> {
  return updateHeld(tx, end, (value) => {
    end.written = end.next(value, now)
    return end.written
  })
}

/** Writes the job of a lease, if the lease is still the one of its turn. @throws AteError JOB_CANCELLED, and what `asLost` makes LEASE_LOST */
export function updateHeld(
  tx: Transaction,
  end: Pick<End, 'held' | 'id' | 'job'>,
  next: (value: JobValue) => JobValue,
): Promise<unknown> {
  if (end.held.isOver) throw leaseLost(end)
  return tx.update(end.job, (value) => next(turnOf(end, value)))
}

/** The value, if the lease is of its turn. @throws AteError LEASE_LOST | JOB_CANCELLED */
function turnOf(end: Pick<End, 'held' | 'id'>, value: JobValue): JobValue {
  if (value.end === 'cancelled') throw queueError('JOB_CANCELLED', { job: end.id })
  if (value.end !== undefined || (value.turn ?? 0) !== end.held.turn) throw leaseLost(end)
  return value
}

/** A job that was cancelled, and is not kept any more by the time at which that was heard of, is a lease lost. */
export function asLost(end: Pick<End, 'held' | 'id'>, error: unknown): unknown {
  return isAteError(error) && error.code === 'NOT_FOUND' ? leaseLost(end) : error
}

/** Why a job is left out. @throws the error, if it is not of this job alone */
function ofItsOwn(end: End, thrown: unknown): unknown {
  const error = asLost(end, thrown)
  if (!isAteError(error) || !ITS_OWN.has(error.code)) throw error
  return error
}

export function leaseLost({ held, id }: Pick<End, 'held' | 'id'>): AteError {
  return new AteError('LEASE_LOST', { job: id, fence: held.fence })
}

/** Of one job alone: the others of its transaction commit. */
const ITS_OWN: ReadonlySet<string> = new Set(['LEASE_LOST', 'JOB_CANCELLED'])

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
