/**
 * Between the lane and those who take jobs: claims as much as they want, hands out what was claimed, and does what has to
 * be done from time to time. One for a handle; it runs while somebody wants jobs.
 */
import {
  AteError,
  type Chain,
  type Companion,
  type Entity,
  type EntityId,
  isAteError,
  type Transaction,
} from '@ate/core'
import type { QueueEnvironment } from './environment.ts'
import type { Follower } from './follower.ts'
import { Attempt, type HandlingParts } from './handling.ts'
import type { Held, Lane } from './lane.ts'
import type { Rules } from './queue-options.ts'
import { JobRecord, type JobValue, unlessBad } from './queue-records.ts'
import { isOfOne } from './queue-rules.ts'

/** How often leases are looked after, at most and at least. */
const TICK_MAX_MS = 1000
const TICK_MIN_MS = 20
/** The wait after a claim that failed for a reason that may pass. */
const AGAIN_MS = 1000

export interface Consumer<D> {
  /** Jobs that it would take now. */
  readonly wanted: number
  give(attempt: Attempt<D>): void
  /** Gives back what has not begun. */
  pause(): Promise<void>
  /** Nothing more comes: the chain is closed, or cannot be written. */
  ended(error: unknown): void
}

/** A job that a transaction adds. */
export interface AddedJob {
  readonly id: EntityId
  readonly value: JobValue
}

export interface DispatcherParts<D> {
  readonly chain: Chain
  readonly lane: Lane
  readonly follower: Follower
  readonly environment: QueueEnvironment
  readonly rules: () => Rules
  readonly handling: HandlingParts
  /** The data as its schema gives it; throws if it does not fit any more. */
  readonly parse: (data: unknown) => D
  /** What else is to be done from time to time. */
  readonly upkeep: () => Promise<void>
}

export class Dispatcher<D> {
  readonly #parts: DispatcherParts<D>
  readonly #consumers: Consumer<D>[] = []
  #pumping = false
  #again = false
  #tending = false
  #tick: { cancel(): void } | undefined
  #wake: { cancel(): void } | undefined
  #wakeAt = Number.POSITIVE_INFINITY
  #isOpen = true
  /** What ended its consumers. */
  #failure: unknown
  #first = 0

  constructor(parts: DispatcherParts<D>) {
    this.#parts = parts
  }

  /** What ended the others may be over: it is tried again, unless nothing is followed any more. */
  add(consumer: Consumer<D>): void {
    const { follower } = this.#parts
    if (!this.#isOpen && (follower.failure !== undefined || follower.isEnded)) {
      consumer.ended(this.#failure)
      return
    }
    this.#isOpen = true
    this.#consumers.push(consumer)
    if (this.#consumers.length === 1) this.#startTicking()
    follower.load().then(
      () => this.news(),
      (error) => this.end(error),
    )
  }

  /** The last one to go gives back the session. */
  async remove(consumer: Consumer<D>): Promise<void> {
    const at = this.#consumers.indexOf(consumer)
    if (at >= 0) this.#consumers.splice(at, 1)
    if (this.#consumers.length > 0) return
    this.#stopTicking()
    while (this.#pumping) await this.#parts.environment.pause()
    await this.#closeLane()
  }

  /** Leases that were taken by hand may outlive the loop that took them. */
  async #closeLane(): Promise<void> {
    if (this.#consumers.length > 0) return
    if (this.#parts.lane.held.size === 0) await this.#parts.lane.close()
    else this.#startTicking()
  }

  /** Something may be ready, or somebody wants more. */
  news(): void {
    if (!this.#isOpen || this.#consumers.length === 0) return
    if (this.#pumping) {
      this.#again = true
      return
    }
    this.#pumping = true
    this.#endPump(this.#pump())
  }

  #endPump(pump: Promise<void>): void {
    pump.then(
      () => this.#pumped(),
      (error) => {
        this.#pumping = false
        this.#failed(error)
      },
    )
  }

  #pumped(): undefined {
    this.#pumping = false
    if (this.#again) this.news()
  }

  async #deliverAll(leases: readonly Held[]): Promise<void> {
    const { chain } = this.#parts
    for (const held of leases) {
      // Of what is read: it may change while that is on its way.
      const version = chain.versionOf(held.job)
      const later = this.#deliver(held, await unlessBad(chain.get(JobRecord, held.job)), version)
      if (later) await later
    }
  }

  /** Ends all consumers. */
  end(error: unknown): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#failure = error
    this.#stopTicking()
    for (const consumer of this.#consumers.splice(0)) consumer.ended(error)
  }

  /** Leases of jobs for workers that wait, in the transaction that adds them; undefined where they are left to a claim of their own. */
  claimAdded(tx: Transaction, jobs: readonly AddedJob[]): Promise<Companion | undefined> | undefined {
    const { follower, lane } = this.#parts
    const { table, now } = follower
    if (this.#pumping) return undefined
    table.promote(now)
    if (table.hasReady || jobs.some(({ value }) => value.group !== undefined)) return undefined
    const due = jobs.filter(({ value }) => value.at === undefined || value.at <= now)
    due.sort((a, b) => (b.value.priority ?? 0) - (a.value.priority ?? 0))
    const taken = due
      .slice(0, Math.min(this.#wanted, lane.room))
      .map(({ id, value }) => ({ job: id, turn: value.turn ?? 0 }))
    if (taken.length === 0) return undefined
    const staging = lane.claimAdded(tx, taken, (leases) => this.#endPump(this.#deliverAll(leases)))
    if (!staging) return undefined
    // Claims of one handle come one after the other.
    this.#pumping = true
    return staging.then(
      (claim) => claim ?? this.#pumped(),
      (error) => {
        this.#pumped()
        throw error
      },
    )
  }

  async #pump(): Promise<void> {
    const { chain, follower, lane, environment } = this.#parts
    let isFirst = true
    for (;;) {
      this.#again = false
      if (follower.failure !== undefined) throw follower.failure
      if (follower.isEnded) throw new AteError('CHAIN_CLOSED', { chain: chain.id })
      const { table } = follower
      table.promote(follower.now)
      const opens = lane.opensAt > follower.now
      if (this.#wanted > 0 && table.hasReady && lane.room > 0 && !opens && !follower.lane?.paused) {
        // What is wanted in one turn is one claim. A chain in memory never waits: others must have their turn all the same.
        if (!isFirst) await environment.pause()
        isFirst = false
        const claimed = await lane.claim(() => this.#wanted)
        await this.#deliverAll(claimed)
        if (claimed.length > 0 || this.#again) continue
      }
      if (this.#again) continue
      if (follower.lane?.paused) await this.#pause()
      if (table.parents.orphans.size > 0) this.#tend()
      this.#wakeLater(opens ? lane.opensAt : table.nextTime)
      return
    }
  }

  get #wanted(): number {
    let wanted = 0
    for (const consumer of this.#consumers) wanted += consumer.wanted
    return wanted
  }

  async #pause(): Promise<void> {
    for (const consumer of this.#consumers) await consumer.pause()
  }

  #deliver(held: Held, job: Entity<JobValue> | undefined, version: number): Promise<void> | undefined {
    const { lane, parse, handling, follower } = this.#parts
    if (!job) follower.table.remove(held.job)
    if (!job || job.value.end !== undefined || (job.value.turn ?? 0) !== held.turn) {
      lane.end(held, job?.value)
      return undefined
    }
    let data: D
    try {
      data = parse(job.value.data)
    } catch (error) {
      return this.#setAside(new Attempt(handling, held, { job, version }, undefined), error)
    }
    const consumer = this.#nextConsumer()
    const attempt = new Attempt(handling, held, { job, version }, data)
    if (!consumer) return attempt.release().catch(() => undefined)
    consumer.give(attempt)
    return undefined
  }

  /** With what is wrong: a later version of the program may retry it. */
  async #setAside(attempt: Attempt<undefined>, error: unknown): Promise<void> {
    // If even that cannot be stored, the lease is kept: what is wrong with one job must not end the work on all.
    await attempt.setAside(error).catch((failure) => {
      if (!isOfOne(failure)) throw failure
    })
    attempt.close()
  }

  /** In turn, so that nobody starves. */
  #nextConsumer(): Consumer<D> | undefined {
    const { length } = this.#consumers
    for (let i = 0; i < length; i++) {
      const consumer = this.#consumers[(this.#first + i) % length]!
      if (consumer.wanted <= 0) continue
      this.#first = (this.#first + i + 1) % length
      return consumer
    }
    return undefined
  }

  #failed(error: unknown): void {
    const { follower, environment } = this.#parts
    if (isAteError(error) && PASSING.has(error.code) && follower.failure === undefined) {
      environment.start(AGAIN_MS, () => this.news(), 'lets go')
      return
    }
    this.end(error)
  }

  #wakeLater(time: number | undefined): void {
    if (time === undefined || time >= this.#wakeAt) return
    this.#wake?.cancel()
    this.#wakeAt = time
    const run = (): void => {
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.news()
    }
    this.#wake = this.#parts.environment.start(Math.max(time - this.#parts.follower.now, 0) + 1, run, 'lets go')
  }

  /** A worker holds its process. */
  #startTicking(): void {
    const { environment, rules, lane } = this.#parts
    const delayMs = Math.min(Math.max(rules().leaseMs / 8, TICK_MIN_MS), TICK_MAX_MS)
    this.#tick = environment.start(
      // When leases end, their holders are told at once: another process may begin from then on.
      Math.min(delayMs, Math.max(Math.ceil(lane.endsInMs), 1)),
      () => {
        this.#tick = undefined
        if (this.#consumers.length === 0 && this.#parts.lane.held.size === 0)
          void this.#closeLane().catch(() => undefined)
        else this.#startTicking()
        this.#tend()
      },
      'holds',
    )
  }

  #stopTicking(): void {
    this.#tick?.cancel()
    this.#wake?.cancel()
    this.#wakeAt = Number.POSITIVE_INFINITY
    this.#tick = undefined
  }

  #tend(): void {
    this.#parts.lane.checkTime()
    if (this.#tending) return
    this.#tending = true
    this.#tendOnce()
      .catch((error) => this.#failed(error))
      .finally(() => {
        this.#tending = false
      })
  }

  async #tendOnce(): Promise<void> {
    const { lane, follower, upkeep } = this.#parts
    await lane.renew()
    await follower.load()
    await lane.takeOver()
    await upkeep()
    this.news()
  }
}

/** What may be otherwise in a while. */
const PASSING: ReadonlySet<string> = new Set(['DISK_FULL', 'TOO_MANY_FILES', 'TX_RETRIES', 'CONFLICT', 'NEEDS_REKEY'])
