/** The public types of the queue. */
import type { Duration, EntityId, StandardSchema, Transaction, TxTarget } from '@ate/core'

export type When = Date | Duration

export type Limit =
  | { readonly active: number; readonly per?: 'queue' | 'group' }
  | { readonly starts: number; readonly every: Duration; readonly per?: 'queue' | 'group' }

export interface QueueOptions<D = unknown> {
  readonly retry?: {
    /** Attempts at most, the first one counted; 10 if left out. */
    readonly max?: number
    /**
     * The wait after the first failure, doubled after each (1 s if left out, at most 1 h, half of it random), or a function.
     * One that throws or gives no duration is noted with the error, and the wait is the default one.
     */
    readonly backoff?: Duration | ((attempt: number) => Duration)
  }
  /** How long a worker that is not heard of keeps its jobs; 30 s if left out. It is renewed. */
  readonly lease?: Duration
  /** The longest that one attempt may take; without bound if left out. */
  readonly timeout?: Duration
  /** The FIFO group of a job, unless it is added with one. */
  readonly group?: (data: D) => string | undefined
  /** Exact, over all workers. Jobs of a group run one at a time and in order, unless there is an active limit per group. */
  readonly limit?: Limit | readonly Limit[]
  /** How long, or how many, jobs that have ended are kept: done 1 d, dead and cancelled 30 d if left out. */
  readonly keep?: {
    readonly done?: Duration | { readonly count: number }
    readonly dead?: Duration | { readonly count: number }
  }
  /** Told what the queue does, with the names of OpenTelemetry's messaging conventions. */
  readonly observe?: QueueObserver
}

export interface AddOptions {
  /** Adds in the caller's transaction, or as an effect of a job; then it resolves when staged. */
  readonly tx?: TxTarget
  /** The same id is the same job, as long as the queue keeps it. */
  readonly id?: string
  /** Not before. */
  readonly at?: When
  /** The same, from now. */
  readonly delay?: Duration
  /** Whole number; larger goes first, 0 if left out. */
  readonly priority?: number
  readonly group?: string
  readonly unique?: {
    readonly key: string
    /** How long the key is taken, whether or not the job is still kept; until the job has ended, if left out. */
    readonly for?: Duration
    /**
     * `keep`: the job that is there stays as it is (throttle). `replace`: if it has not started it takes this data, and with
     * `for` waits anew (debounce). `after`: while it is active, one more waits behind it, with the newest data.
     */
    readonly onConflict?: 'keep' | 'replace' | 'after'
  }
  /** Jobs that have to be done before. */
  readonly after?: readonly { readonly id: string }[]
  /** What happens if one of them dies or is cancelled: `fail` if left out. */
  readonly onParentFail?: 'fail' | 'run'
}

export interface ResultOptions {
  readonly signal?: AbortSignal
  /** NO_RESULT if the job has not ended by then; the job goes on. Without an end if left out. */
  readonly timeout?: Duration
}

export interface Handle<R> {
  readonly id: string
  /**
   * What the handler returned, wherever it ran.
   * @throws AteError JOB_FAILED (dead) | JOB_CANCELLED | NO_RESULT | NOT_FOUND | CHAIN_CLOSED and the signal's reason
   */
  result(options?: ResultOptions): Promise<R>
}

export type JobState = 'waiting' | 'scheduled' | 'blocked' | 'active' | 'done' | 'dead' | 'cancelled'

export interface Job<D> {
  readonly id: string
  readonly data: D
  /** From 1. */
  readonly attempt: number
  /** The same in every attempt: for interfaces that take an idempotency key. */
  readonly key: string
  /** Rises with every lease: for stores that can compare. */
  readonly fence: bigint
  /** Aborts when the lease is lost, the job cancelled, the time out, or the worker shut down. */
  readonly signal: AbortSignal
  /** For the `{ tx }` of verbs of kits: they run with "done", or not at all. */
  readonly tx: TxTarget
  /** Runs in the transaction of "done", and again if that conflicts. */
  effect(run: (tx: Transaction) => unknown): void
  /**
   * Runs once: what it gave is recorded, and given as it was recorded, in this attempt and in later ones. `key` is the same
   * in each. @throws AteError VALUE_TOO_LARGE | BAD_VALUE | LEASE_LOST and what `run` throws
   */
  step<T>(name: string, run: (key: string) => T | Promise<T>): Promise<T>
  /** Shown by get(); the newest counts. */
  progress(value: unknown): void
  /** Ends this attempt without counting it, drops its effects, and starts again after `delay`. */
  snooze(delay: Duration): never
  /** Ends the job. */
  dead(reason: string): never
}

export interface Lease<D, R> extends Job<D>, AsyncDisposable {
  complete(result: R): Promise<void>
  fail(error: unknown, options?: { readonly retryIn?: Duration }): Promise<void>
  /** Gives it back: no attempt. Also what happens when it is left without complete or fail. */
  release(): Promise<void>
}

/** Leases as they are asked for. */
export interface Leases<D, R> {
  next(): Promise<IteratorResult<Lease<D, R>, undefined>>
  /** Takes no more; leases that were taken stay. */
  return(): Promise<IteratorResult<Lease<D, R>, undefined>>
  [Symbol.asyncIterator](): this
}

export interface WorkOptions {
  /** Handlers at once; 1 if left out. */
  readonly concurrency?: number
  /** Jobs leased ahead; what handlers take in 10 ms if left out, at most 512, and none for leases(). */
  readonly prefetch?: number
  /** How long stop() waits for handlers before it aborts them; 10 s if left out. */
  readonly grace?: Duration
  /** Stops the worker. */
  readonly signal?: AbortSignal
}

export interface Worker extends AsyncDisposable {
  /** Resolves when the worker has stopped; rejects if it had to: an unhandled rejection, if nobody looks at this. */
  readonly done: Promise<void>
  /**
   * Takes no more jobs, waits `grace` for those that run, then aborts and gives them back. What is not written five seconds
   * later (the server is away) is left: others take these jobs when their leases are over. Close the chain then.
   */
  stop(options?: { readonly grace?: Duration }): Promise<void>
}

export interface JobInfo<D, R> {
  readonly id: string
  readonly state: JobState
  readonly data: D
  /** Attempts that have begun. */
  readonly attempt: number
  readonly added: Date
  readonly ended?: Date
  readonly progress?: unknown
  readonly result?: R
  /** The newest ten, oldest first. */
  readonly errors: readonly string[]
}

export interface ListOptions {
  readonly state?: JobState
  readonly group?: string
  /** 100 if left out. */
  readonly limit?: number
}

export type Counts = Readonly<Record<JobState, number>> & {
  /** Age of the oldest waiting job; 0 if there is none. */
  readonly oldestWaitingMs: number
  readonly paused: boolean
}

export type RepeatWhen =
  | { readonly cron: string; readonly tz?: string; readonly missed?: 'skip' | 'once' | 'all' }
  | { readonly every: Duration; readonly missed?: 'skip' | 'once' | 'all' }

export interface QueueEvent {
  /** Of the record; `from` of a later call may be the next one. */
  readonly seq: number
  readonly id: string
  readonly state: JobState
}

export interface Queue<I, D, R> extends AsyncDisposable {
  readonly name: string
  /** The entity below which all of it stands: for policies, that say who may add and work. */
  entity(): Promise<EntityId>
  /** @throws AteError BAD_VALUE | BAD_ARGUMENT | NOT_FOUND | DEPENDENCY_CYCLE | VALUE_TOO_LARGE | QUEUE_MISMATCH | CHAIN_CLOSED */
  add(data: I, options?: AddOptions): Promise<Handle<R>>
  /** All in one transaction, or in several if they do not fit into one; those that depend on each other stay together. */
  addMany(items: Iterable<I | readonly [I, AddOptions?]>, options?: { readonly tx?: TxTarget }): Promise<Handle<R>[]>
  /** Sets what is added again and again under this key. @throws AteError BAD_CRON | BAD_VALUE */
  repeat(key: string, when: RepeatWhen, data: I, options?: Pick<AddOptions, 'tx' | 'priority' | 'group'>): Promise<void>
  unrepeat(key: string, options?: { readonly tx?: TxTarget }): Promise<void>
  /** Returning is done, throwing is retry. */
  work(handler: (job: Job<D>) => R | Promise<R>, options?: WorkOptions): Worker
  /** One handler call for up to `size` jobs, which waits `wait` (0) for more; an Error in its answer fails that job alone. */
  workBatch(
    handler: (jobs: readonly Job<D>[]) => Promise<readonly (R | Error)[]>,
    options: WorkOptions & { readonly size: number; readonly wait?: Duration },
  ): Worker
  /** Jobs to take by hand, one with each next(). */
  leases(options?: Pick<WorkOptions, 'prefetch' | 'signal'>): Leases<D, R>
  get(id: string): Promise<JobInfo<D, R> | undefined>
  /**
   * What the handler of the job with this id returns, for who has no handle of it; waits until it has ended. An id that is not
   * there, or not any more (`keep`), is NOT_FOUND.
   * @throws AteError JOB_FAILED (dead) | JOB_CANCELLED | NO_RESULT | NOT_FOUND | BAD_ARGUMENT | OFFLINE | CHAIN_CLOSED and the
   * signal's reason
   */
  result(id: string, options?: ResultOptions): Promise<R>
  list(options?: ListOptions): AsyncIterable<{ readonly id: string; readonly state: JobState }>
  counts(): Promise<Counts>
  pause(options?: { readonly tx?: TxTarget }): Promise<void>
  resume(options?: { readonly tx?: TxTarget }): Promise<void>
  /** False if it had ended. */
  cancel(id: string, options?: { readonly reason?: string; readonly tx?: TxTarget }): Promise<boolean>
  /** Runs a dead or cancelled job again, or all that are dead. The number of them. */
  retry(which: string | { readonly state: 'dead'; readonly limit?: number }): Promise<number>
  /** What happened from record `from` on (`end`: from now), then what happens. */
  events(options?: {
    readonly from?: number | 'start' | 'end'
    readonly signal?: AbortSignal
  }): AsyncIterable<QueueEvent>
  /** This handle's adds have settled, and nothing waits, runs, is blocked or waits for a retry; dates and repeats do not count. */
  idle(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** Changes the options that are stored in the chain. */
  configure(options: Omit<QueueOptions<D>, 'observe' | 'group'>): Promise<void>
  /** Stops the workers of this handle. The chain stays open. */
  close(): Promise<void>
}

/** Under the names that OpenTelemetry has for messaging: they go on a span or a metric as they are. */
export interface Messaging {
  readonly 'messaging.system': 'ate'
  readonly 'messaging.destination.name': string
  readonly 'messaging.operation.name': string
  /** Left out of what has none there. */
  readonly 'messaging.operation.type'?: 'send' | 'process'
}

export type QueueObservation = Messaging &
  (
    | { readonly kind: 'sent'; readonly 'messaging.batch.message_count': number }
    | {
        readonly kind: 'processed'
        readonly 'messaging.message.id': string
        readonly outcome: 'done' | 'retry' | 'dead' | 'snoozed' | 'lost' | 'released'
        readonly 'error.type'?: string
        readonly waitMs: number
        readonly processMs: number
      }
    | { readonly kind: 'lease.lost'; readonly leases: number }
    | { readonly kind: 'taken over'; readonly leases: number }
    /** Somebody has written what is no job under a job's name: it is passed over. */
    | { readonly kind: 'bad value'; readonly 'messaging.message.id': string }
  )

export type QueueObserver = (observation: QueueObservation) => void

export type InputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['input']
export type OutputOf<S extends StandardSchema> = NonNullable<S['~standard']['types']>['output']
