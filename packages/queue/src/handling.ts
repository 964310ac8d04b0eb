/**
 * One attempt of a job: the object that the handler gets, and what becomes of what the handler did. Everything that it
 * commits guards the fence of its session and the turn of its lease.
 */
import {
  AteError,
  type Chain,
  type Duration,
  durationMs,
  type Effect,
  type Entity,
  effectsInto,
  isAteError,
  type TxTarget,
} from '@ate/core'
import { asLost, End, type Endings, leaseLost, updateHeld } from './ending.ts'
import type { QueueEnvironment } from './environment.ts'
import { queueError } from './errors.ts'
import type { Held, Lane } from './lane.ts'
import { hasFence } from './lane-steps.ts'
import type { Rules } from './queue-options.ts'
import { JobRecord, type JobValue, type StoredStep } from './queue-records.ts'
import {
  barelyFailedValue,
  doneValue,
  type FailureFacts,
  failedValue,
  releasedValue,
  retryWait,
  snoozedValue,
} from './queue-rules.ts'
import type { Job } from './queue-types.ts'
import { withRoom } from './sizes.ts'

/** Effects of one attempt, and names of its steps. */
const EFFECTS_MAX = 10_000
const STEPS_MAX = 1000

export interface HandlingParts {
  readonly chain: Chain
  readonly lane: Lane
  readonly endings: Endings
  readonly environment: QueueEnvironment
  readonly queueKey: string
  readonly rules: () => Rules
  /** What the chain says of a job is to be looked at again. */
  readonly look: (job: string) => void
  /** The result as its schema gives it; throws if it does not fit. */
  readonly parseResult: (result: unknown) => unknown
}

/** A job as it was read when it was leased. */
export interface LeasedJob {
  readonly job: Entity<JobValue>
  readonly version: number
}

/** Told how an end went: undefined is well. */
export type Told = (failure: { readonly error: unknown } | undefined) => void

const NO_EFFECTS: readonly Effect[] = []

/** Thrown by snooze() and dead(), to get out of the handler. */
class Left {
  readonly how: 'snooze' | 'dead'
  readonly ms: number
  readonly reason: string

  constructor(how: 'snooze' | 'dead', ms: number, reason: string) {
    this.how = how
    this.ms = ms
    this.reason = reason
  }
}

export class Attempt<D> implements Job<D>, AsyncDisposable {
  readonly id: string
  readonly data: D
  readonly attempt: number
  readonly held: Held
  /** As it was when it was leased. */
  readonly job: Entity<JobValue>
  readonly version: number
  readonly added: number
  readonly #parts: HandlingParts
  /** Made when somebody asks for the signal: most handlers do not. */
  #controller: AbortController | undefined
  #onAbort: ((reason: unknown) => void) | undefined
  /** Why it was aborted. */
  reason: unknown
  #effects: Effect[] = []
  readonly #recorded: JobValue['steps']
  #lazySteps: Map<string, unknown> | undefined
  /** Steps that are not through yet. */
  #stepping: Map<string, Promise<unknown>> | undefined
  #left: Left | undefined
  #progress: { readonly value: unknown } | undefined
  #writing: Promise<void> | undefined
  #timer: { cancel(): void } | undefined
  #isOpen = true
  #tx: TxTarget | undefined

  constructor(parts: HandlingParts, held: Held, { job, version }: LeasedJob, data: D) {
    const { value } = job
    this.#parts = parts
    this.held = held
    this.job = job
    this.version = version
    this.id = job.name ?? held.job
    this.data = data
    this.added = Math.max(value.added, value.at ?? 0)
    this.attempt = (value.fails ?? 0) + 1
    this.#recorded = value.steps
    held.onLost = (error) => this.abort(error)
    if (held.isOver) this.abort(new AteError('LEASE_LOST', { job: held.job }))
    const { timeoutMs } = parts.rules()
    if (timeoutMs !== undefined)
      this.#timer = parts.environment.start(timeoutMs, () => this.#timeOut(timeoutMs), 'lets go')
  }

  get key(): string {
    return `${this.#parts.queueKey}/${this.held.job}`
  }

  get fence(): bigint {
    return BigInt(this.held.fence)
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.reason !== undefined) this.#controller.abort(this.reason)
    }
    return this.#controller.signal
  }

  get tx(): TxTarget {
    this.#tx ??= effectsInto((effect) => this.effect(effect))
    return this.#tx
  }

  effect(run: Effect): void {
    if (typeof run !== 'function')
      throw new AteError('BAD_ARGUMENT', { what: 'effect takes a function of a transaction' })
    if (!this.#isOpen)
      throw new AteError('TX_CLOSED', { job: this.id }, { hint: 'the handler of this job has returned' })
    if (this.#effects.length >= EFFECTS_MAX) throw new AteError('TX_TOO_LARGE', { effects: EFFECTS_MAX })
    this.#effects.push(run)
  }

  async step<T>(name: string, run: (key: string) => T | Promise<T>): Promise<T> {
    if (typeof name !== 'string' || name.length === 0 || typeof run !== 'function')
      throw new AteError('BAD_ARGUMENT', { what: 'a step has a name and a function' })
    this.#stepping ??= new Map()
    const stepping = this.#stepping
    const running = stepping.get(name)
    if (running) return running as Promise<T>
    if (this.#steps.has(name)) return this.#steps.get(name) as T
    if (this.#steps.size + stepping.size >= STEPS_MAX)
      throw new AteError('BAD_ARGUMENT', { what: `steps: at most ${STEPS_MAX}` })
    if (this.reason !== undefined) throw this.reason
    // Asked for again before it is through, it is the same step.
    const step = this.#runStep(name, run).finally(() => stepping.delete(name))
    stepping.set(name, step)
    return step as Promise<T>
  }

  /** What it gave, as a later attempt gets it: as it was recorded. */
  async #runStep(name: string, run: (key: string) => unknown): Promise<unknown> {
    const given = await run(`${this.key}/${name}`)
    const step: StoredStep = given === undefined ? [name] : [name, given]
    await this.#write((value) => withRoom({ ...value, steps: [...(value.steps ?? []), step] }))
    const job = await this.#parts.chain.get(JobRecord, this.held.job)
    const recorded = job?.value.steps?.find(([known]) => known === name)
    if (!recorded) throw new AteError('LEASE_LOST', { job: this.id, fence: this.held.fence })
    this.#steps.set(name, recorded[1])
    return recorded[1]
  }

  progress(value: unknown): void {
    if (!this.#isOpen) return
    this.#progress = { value }
    // One write at a time: what comes meanwhile goes with the next, and only the newest counts.
    this.#writing ??= this.#writeProgress()
  }

  snooze(delay: Duration): never {
    this.#left = new Left('snooze', durationMs(delay, this.#parts.chain.now), '')
    throw this.#left
  }

  dead(reason: string): never {
    this.#left = new Left('dead', 0, reason)
    throw this.#left
  }

  /** Most handlers have none. */
  get #steps(): Map<string, unknown> {
    this.#lazySteps ??= new Map(this.#recorded?.map(([name, result]) => [name, result]))
    return this.#lazySteps
  }

  /** True if the handler left by snooze() or dead() and nobody caught what they throw. */
  isLeft(error: unknown): boolean {
    return error instanceof Left
  }

  /** Ends the attempt as done, with its effects. @throws AteError LEASE_LOST, or what an effect throws */
  complete(given: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.completeThen(given, (failure) => (failure ? reject(failure.error) : resolve()))
    })
  }

  /** The same without a promise: `told` is called once, and throws nothing. */
  completeThen(given: unknown, told: Told): void {
    let result: unknown
    try {
      result = this.#parts.parseResult(given)
    } catch (error) {
      told({ error })
      return
    }
    this.#isOpen = false
    if (this.#writing) void this.#writing.then(() => this.#complete(result, told))
    else this.#complete(result, told)
  }

  #complete(result: unknown, told: Told): void {
    this.held.isCompleting = true
    this.#endThen(
      (value, now) => doneValue(value, result, now),
      this.#effects,
      (failure) => {
        if (failure) {
          this.held.isCompleting = false
          this.#parts.look(this.held.job)
        }
        told(failure)
      },
    )
  }

  /** Ends it as failed, snoozed or dead, by what was thrown. What became of it, for those who watch. */
  async fail(error: unknown, { retryIn }: { readonly retryIn?: Duration } = {}): Promise<'retry' | 'dead' | 'snoozed'> {
    if (retryIn !== undefined) durationMs(retryIn, 0)
    this.#isOpen = false
    await this.#writing
    if (error instanceof Left && error.how === 'snooze') {
      await this.#end((value, now) => snoozedValue(value, now + error.ms))
      return 'snoozed'
    }
    const { rules, environment, chain } = this.#parts
    const isDead = error instanceof Left || this.attempt >= rules().retryMax
    const reason = error instanceof Left ? error.reason : error
    const wait =
      retryIn === undefined
        ? retryWait(rules(), this.attempt, environment.random(), chain.now)
        : { ms: durationMs(retryIn, chain.now) }
    await this.#endFailed((now) =>
      isDead
        ? { error: reason, now, retryAt: undefined }
        : { error: reason, now, retryAt: now + wait.ms, problem: wait.problem },
    )
    return isDead ? 'dead' : 'retry'
  }

  async #endFailed(facts: (now: number) => FailureFacts): Promise<void> {
    try {
      await this.#end((value, now) => failedValue(value, facts(now)))
    } catch (error) {
      // Data that was added when nothing was kept free for this.
      if (!isAteError(error) || (error.code !== 'VALUE_TOO_LARGE' && error.code !== 'BAD_VALUE')) throw error
      await this.#end((value, now) => barelyFailedValue(value, facts(now)))
    }
  }

  /** Gives the job back; no attempt. */
  async release(): Promise<void> {
    this.#isOpen = false
    await this.#end((value) => releasedValue(value))
  }

  /** Left without an end: given back. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.held.isOver) await this.release().catch(() => this.drop())
    this.close()
  }

  /** Its data does not fit the schema: dead, with what is wrong, and not lost. */
  async setAside(error: unknown): Promise<void> {
    this.#isOpen = false
    await this.#endFailed((now) => ({ error, now, retryAt: undefined }))
  }

  /** The first reason counts. */
  abort(reason: unknown): void {
    if (this.reason !== undefined) return
    this.reason = reason
    this.#controller?.abort(reason)
    this.#onAbort?.(reason)
  }

  /** Calls once if the attempt is aborted, at once if it is already. */
  onAbort(tell: (reason: unknown) => void): void {
    this.#onAbort = tell
    if (this.reason !== undefined) tell(this.reason)
  }

  /** This process lets go of the lease without a word to the chain. */
  drop(): void {
    this.#parts.lane.end(this.held)
  }

  /** Nothing more is done for it. */
  close(): void {
    this.#isOpen = false
    this.#timer?.cancel()
    this.held.onLost = undefined
  }

  /** The slot is free and the lease over, whether or not the handler listens. */
  #timeOut(timeoutMs: number): void {
    this.abort(queueError('JOB_TIMEOUT', { job: this.id, timeoutMs }))
  }

  #end(next: End['next']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#endThen(next, NO_EFFECTS, (failure) => (failure ? reject(failure.error) : resolve()))
    })
  }

  #endThen(next: End['next'], effects: readonly Effect[], told: Told): void {
    this.#timer?.cancel()
    const { lane, endings } = this.#parts
    const { held } = this
    const tell: End['tell'] = (written, error) => {
      if (written) {
        held.onLost = undefined
        lane.end(held, written)
        told(undefined)
        return
      }
      if (isAteError(error) && (error.code === 'LEASE_LOST' || error.code === 'JOB_CANCELLED')) lane.lose(held, error)
      told({ error })
    }
    endings.add(new End(this, next, effects, tell))
  }

  async #write(next: (value: JobValue) => JobValue): Promise<void> {
    await this.#parts.chain.transact(async (tx) => {
      if (!(await hasFence(tx, this.held.fenceId))) throw leaseLost(this)
      try {
        await updateHeld(tx, this, next)
      } catch (error) {
        throw asLost(this, error)
      }
    })
  }

  async #writeProgress(): Promise<void> {
    try {
      while (this.#progress !== undefined) {
        const { value } = this.#progress
        this.#progress = undefined
        await this.#write((job) => withRoom({ ...job, progress: value }))
      }
    } catch {
      // Progress is for those who look on; why it could not be written, the end of the attempt will say.
    } finally {
      this.#writing = undefined
    }
  }
}
