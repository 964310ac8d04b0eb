/** Those who take jobs: workers that call a handler, for one job or for many, and the iterator of leases. */
import { AteError, type Duration, isAteError, isChainClosed } from '@ate/core'
import type { Consumer } from './dispatcher.ts'
import type { QueueEnvironment } from './environment.ts'
import type { Attempt } from './handling.ts'
import { checkSignal, msOf, wholeNumber } from './queue-options.ts'
import type { Worker, WorkOptions } from './queue-types.ts'

const CONCURRENCY_MAX = 10_000
const PREFETCH_MAX = 10_000
/**
 * Attempts that have returned and whose commit is not acknowledged yet, beside twice the concurrency: what one transaction
 * takes, twice, so that one is filled while the other is synced. After a crash these run again.
 */
const ENDING_MAX = 1024
/** Without a given prefetch, as many jobs wait at a worker as it takes in this time. */
const AHEAD_MS = 10
/** What one transaction takes. */
const AHEAD_MAX = 512
const GRACE_MS = 10_000
/** What stop() waits for what is written behind the last handler. Without a connection that would be for ever. */
const SETTLE_MS = 5000
/** Waits before a failure that could not be recorded is recorded again. */
const AGAIN_FIRST_MS = 1000
const AGAIN_MAX_MS = 60_000

export interface Ended {
  readonly id: string
  readonly outcome: 'done' | 'retry' | 'dead' | 'snoozed' | 'lost' | 'released'
  readonly error?: unknown
  readonly waitMs: number
  readonly processMs: number
}

export interface WorkingParts<D> {
  /** Told that there is room. */
  readonly news: () => void
  /** Told when it has stopped, for whatever reason. */
  readonly onStopped: () => void
  /** Takes a runner that has stopped out. */
  readonly remove: (one: Consumer<D>) => Promise<void>
  readonly environment: QueueEnvironment
  readonly now: () => number
  /** Left out where nobody watches. */
  readonly onEnded: ((ended: Ended) => void) | undefined
}

/** Runs the attempts of a batch, and says what became of each; throws nothing. At once, if the handler answers at once. */
export type Run<D> = (attempts: readonly Attempt<D>[]) => readonly Outcome[] | Promise<readonly Outcome[]>

export type Outcome = { readonly result: unknown } | { readonly error: unknown }

export interface RunnerOptions extends WorkOptions {
  /** Attempts of one call. */
  readonly size: number
  readonly waitMs: number
}

export class Runner<D> implements Worker, Consumer<D> {
  readonly done: Promise<void>
  readonly #parts: WorkingParts<D>
  readonly #run: Run<D>
  readonly #concurrency: number
  readonly #prefetch: number | undefined
  readonly #size: number
  readonly #waitMs: number
  readonly #graceMs: number
  readonly #waiting: Attempt<D>[] = []
  readonly #running = new Set<Attempt<D>>()
  #calls = 0
  #ending = 0
  #averageMs = Number.POSITIVE_INFINITY
  /** Jobs that are handled at a time: handlers that answer at once run one after the other, and nobody else meanwhile. */
  #atOnce = 1
  #stopping: Promise<void> | undefined
  #isOpen = true
  #failure: unknown
  #collecting: { cancel(): void } | undefined
  #letGo = (): void => undefined
  #resolve!: () => void
  #reject!: (error: unknown) => void
  readonly #stirred: (() => void)[] = []
  /** Failures that wait to be recorded. */
  readonly #holding = new Set<() => void>()

  constructor(parts: WorkingParts<D>, run: Run<D>, options: RunnerOptions) {
    this.#parts = parts
    this.#run = run
    const { concurrency = 1, prefetch, grace, signal } = options
    checkSignal(signal)
    this.#concurrency = wholeNumber(concurrency, 'concurrency', { min: 1, max: CONCURRENCY_MAX })
    this.#prefetch =
      prefetch === undefined ? undefined : wholeNumber(prefetch, 'prefetch', { min: 0, max: PREFETCH_MAX })
    this.#size = options.size
    this.#waitMs = options.waitMs
    this.#graceMs = grace === undefined ? GRACE_MS : msOf(grace, 'grace')
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    const stop = (): void => {
      this.stop().catch(() => undefined)
    }
    if (signal?.aborted) queueMicrotask(stop)
    else signal?.addEventListener('abort', stop, { once: true })
    this.#letGo = () => signal?.removeEventListener('abort', stop)
  }

  get wanted(): number {
    if (!this.#isOpen) return 0
    const slots = this.#concurrency * this.#size - this.#running.size
    return Math.max(0, Math.min(slots, this.#endingRoom) + this.#ahead - this.#waiting.length)
  }

  give(attempt: Attempt<D>): void {
    this.#waiting.push(attempt)
    this.#start()
  }

  async pause(): Promise<void> {
    await Promise.all(this.#waiting.splice(0).map((attempt) => this.#giveBack(attempt)))
  }

  ended(error: unknown): void {
    this.#failure = error
    for (const attempt of this.#running) attempt.abort(error)
    this.stop({ grace: 0 }).catch(() => undefined)
  }

  stop(options: { readonly grace?: Duration } = {}): Promise<void> {
    this.#stopping ??= this.#stop(options.grace === undefined ? this.#graceMs : msOf(options.grace, 'grace'))
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  get #ahead(): number {
    if (this.#prefetch !== undefined) return this.#prefetch
    return Math.min(AHEAD_MAX, Math.floor((this.#atOnce * AHEAD_MS) / this.#averageMs))
  }

  get #endingRoom(): number {
    return ENDING_MAX + 2 * this.#concurrency * this.#size - this.#ending
  }

  #start(): void {
    while (this.#calls < this.#concurrency && this.#waiting.length > 0 && this.#endingRoom > 0 && this.#isOpen) {
      if (this.#waiting.length < this.#size && this.#waitMs > 0 && !this.#collected) {
        this.#collect()
        return
      }
      this.#collected = false
      this.#call(this.#waiting.splice(0, this.#size))
    }
  }

  #collected = false

  /** A batch that is not full waits a while for more. */
  #collect(): void {
    this.#collecting ??= this.#parts.environment.start(
      this.#waitMs,
      () => {
        this.#collecting = undefined
        this.#collected = true
        this.#start()
      },
      'lets go',
    )
  }

  #call(all: readonly Attempt<D>[]): void {
    const attempts = this.#stillHeld(all)
    if (attempts.length === 0) return
    this.#calls++
    for (const attempt of attempts) this.#running.add(attempt)
    const begun = this.#parts.environment.monotonic()
    const running = this.#run(attempts)
    this.#atOnce = running instanceof Promise ? this.#concurrency * this.#size : 1
    if (running instanceof Promise) {
      void running.then((outcomes) => {
        this.#called(attempts, outcomes, begun)
        this.#start()
        this.#parts.news()
      })
    } else {
      // Who has called this goes on with the next.
      this.#called(attempts, running, begun)
      this.#parts.news()
    }
  }

  #stillHeld(all: readonly Attempt<D>[]): readonly Attempt<D>[] {
    let lost = 0
    for (const attempt of all) {
      if (!attempt.held.isOver) continue
      this.#tell(attempt, 'lost', 0)
      lost++
    }
    return lost === 0 ? all : all.filter(({ held }) => !held.isOver)
  }

  #called(attempts: readonly Attempt<D>[], outcomes: readonly Outcome[], begun: number): void {
    const tookMs = this.#parts.environment.monotonic() - begun
    this.#averageMs = this.#averageMs === Number.POSITIVE_INFINITY ? tookMs : this.#averageMs * 0.9 + tookMs * 0.1
    this.#calls--
    for (let i = 0; i < attempts.length; i++) {
      const attempt = attempts[i]!
      this.#running.delete(attempt)
      this.#ending++
      this.#finish(attempt, outcomes[i] ?? { error: new Error('the batch handler answered for fewer jobs') }, tookMs)
    }
    this.#stir()
  }

  #finish(attempt: Attempt<D>, outcome: Outcome, tookMs: number): void {
    if (!('result' in outcome)) {
      void this.#finishFailed(attempt, outcome.error, tookMs)
      return
    }
    attempt.completeThen(outcome.result, (failure) => {
      if (failure) {
        void this.#finishFailed(attempt, failure.error, tookMs)
        return
      }
      this.#tell(attempt, 'done', tookMs)
      this.#finished(attempt)
    })
  }

  async #finishFailed(attempt: Attempt<D>, error: unknown, tookMs: number): Promise<void> {
    try {
      await this.#failed(attempt, error, tookMs)
    } finally {
      this.#finished(attempt)
    }
  }

  #finished(attempt: Attempt<D>): void {
    attempt.close()
    this.#ending--
    this.#start()
    this.#parts.news()
    this.#stir()
  }

  /** Who stops looks again whether there is something to wait for. */
  #stir(): void {
    for (const look of this.#stirred.splice(0)) look()
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise<void>((resolve) => this.#stirred.push(resolve))
  }

  /**
   * The handler threw, or its effects did, or the commit. If that cannot be recorded (the disk is full), the lease goes on
   * and it is tried again after a while: the job does not start anew with an attempt that nobody has counted.
   */
  async #failed(attempt: Attempt<D>, error: unknown, tookMs: number): Promise<void> {
    for (let waitMs = AGAIN_FIRST_MS; ; waitMs = Math.min(2 * waitMs, AGAIN_MAX_MS)) {
      if (attempt.held.isOver) return this.#tell(attempt, 'lost', tookMs, error)
      try {
        // What a shutdown has aborted is no attempt.
        if (isShutdown(attempt.reason)) {
          await attempt.release()
          return this.#tell(attempt, 'released', tookMs)
        }
        const outcome = await attempt.fail(error)
        return this.#tell(attempt, outcome, tookMs, outcome === 'snoozed' ? undefined : error)
      } catch (failure) {
        if (this.#isOpen && !isChainClosed(failure) && !attempt.held.isOver) {
          await this.#holdOn(waitMs)
          continue
        }
        // Nothing of it is in the chain; the session is given back with its leases, or taken over.
        attempt.drop()
        return this.#tell(attempt, 'lost', tookMs, failure)
      }
    }
  }

  /** For so long, or until the worker stops. */
  async #holdOn(waitMs: number): Promise<void> {
    let goOn = (): void => undefined
    const over = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const timer = this.#parts.environment.start(waitMs, goOn, 'lets go')
    this.#holding.add(goOn)
    await over
    this.#holding.delete(goOn)
    timer.cancel()
  }

  #tell(attempt: Attempt<D>, outcome: Ended['outcome'], processMs: number, error?: unknown): void {
    const { onEnded, now } = this.#parts
    if (!onEnded) return
    const waitMs = Math.max(0, now() - attempt.added - processMs)
    onEnded({ id: attempt.id, outcome, waitMs, processMs, ...(error === undefined ? {} : { error }) })
  }

  async #stop(graceMs: number): Promise<void> {
    this.#isOpen = false
    this.#collecting?.cancel()
    const givenBack = this.pause()
    for (const goOn of this.#holding) goOn()
    await this.#letRun(graceMs)
    await this.#settle(givenBack)
    this.#letGo()
    this.#parts.onStopped()
    // Nothing of this package waits for `done`: a failure that nobody looks at is an unhandled rejection, and so is heard.
    if (this.#failure === undefined || isChainClosed(this.#failure)) this.#resolve()
    else this.#reject(this.#failure)
  }

  /** Until no handler runs: those that do after `graceMs` are aborted. */
  async #letRun(graceMs: number): Promise<void> {
    const abort = (): void => {
      for (const attempt of this.#running) attempt.abort(shutdown())
    }
    if (graceMs === 0) abort()
    const timer = graceMs > 0 ? this.#parts.environment.start(graceMs, abort, 'holds') : undefined
    await this.#until(() => this.#running.size === 0)
    timer?.cancel()
  }

  /**
   * Until all is written, or SETTLE_MS. What is not goes on behind the back of who stops, under its lease: it is written when
   * the connection is there again, or fails when the chain is closed, and others take the jobs once their leases are over.
   */
  async #settle(givenBack: Promise<void>): Promise<void> {
    const { environment, remove } = this.#parts
    let leave = (): void => undefined
    const late = new Promise<void>((resolve) => {
      leave = resolve
    })
    const timer = environment.start(SETTLE_MS, leave, 'holds')
    await Promise.race([Promise.all([givenBack, this.#until(() => this.#ending === 0)]), late])
    const removed = remove(this).catch((error) => {
      this.#failure ??= error
    })
    await Promise.race([removed, late])
    timer.cancel()
  }

  async #giveBack(attempt: Attempt<D>): Promise<void> {
    await attempt.release().catch(() => attempt.drop())
    attempt.close()
  }
}

const SHUTDOWN = 'the worker is shut down'

function shutdown(): AteError {
  return new AteError('LEASE_LOST', {}, { hint: SHUTDOWN })
}

function isShutdown(reason: unknown): boolean {
  return isAteError(reason) && reason.message.includes(SHUTDOWN)
}

/** Calls a handler of one job; ends early if the attempt is aborted, whatever the handler does. */
export function runOne<D, R>(handler: (job: Attempt<D>) => R | Promise<R>): Run<D> {
  return ([attempt]) => {
    try {
      const running = handler(attempt!)
      if (!isThenable(running)) return [{ result: running }]
      return untilAborted([attempt!], running).then(
        (result) => [{ result }],
        (error: unknown) => [{ error }],
      )
    } catch (error) {
      return [{ error }]
    }
  }
}

/** Not only promises: query builders run when they are awaited. */
function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** A handler that goes on after all of its attempts were aborted does so for nobody. */
async function untilAborted<D, R>(attempts: readonly Attempt<D>[], running: PromiseLike<R>): Promise<R> {
  return new Promise<R>((resolve, reject) => {
    running.then(resolve, reject)
    let left = attempts.length
    for (const attempt of attempts)
      attempt.onAbort((reason) => {
        if (--left === 0) reject(reason)
      })
  })
}

/** Calls a handler of many jobs. An Error in its answer fails that job; if it throws, all of them fail. */
export function runMany<D, R>(handler: (jobs: readonly Attempt<D>[]) => Promise<readonly (R | Error)[]>): Run<D> {
  return async (attempts) => {
    try {
      const answers = await untilAborted(attempts, Promise.resolve(handler(attempts)))
      if (!Array.isArray(answers) || answers.length !== attempts.length)
        throw new AteError('BAD_ARGUMENT', { what: 'a batch handler answers for each job', jobs: attempts.length })
      return attempts.map(({ reason }, index) => {
        const answer: unknown = answers[index]
        if (reason !== undefined) return { error: reason }
        return answer instanceof Error ? { error: answer } : { result: answer }
      })
    } catch (error) {
      return attempts.map(({ reason }) => ({ error: reason ?? error }))
    }
  }
}
