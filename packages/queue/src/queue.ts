/** A queue over a chain: what its handle does. */
import {
  AteError,
  type Chain,
  type Duration,
  type EntityId,
  isChain,
  objectOf,
  stageIn,
  type Transaction,
  type TxTarget,
  validated,
} from '@ate/core'
import { checkKey, type Prepared, prepare, rememberHandle, type Staged } from './adding.ts'
import { addAll, cancelJob, itemsOf, retryDead, retryJob, setPaused } from './changing.ts'
import type { Consumer } from './dispatcher.ts'
import type { QueueEnvironment } from './environment.ts'
import type { Attempt } from './handling.ts'
import { STATE } from './job-rows.ts'
import { jobInfo, listJobs, queueEvents } from './looking.ts'
import { errorType, messagingOf } from './observed.ts'
import { type OpenQueue, openQueue, type QueueSchemas } from './open-queue.ts'
import {
  ADD_NAMES,
  BATCH_NAMES,
  bad,
  CANCEL_NAMES,
  CONFIGURE_NAMES,
  changedOptions,
  checkHandleOptions,
  checkSignal,
  LEASES_NAMES,
  msOf,
  REPEAT_NAMES,
  RESULT_NAMES,
  RETRIED_NAMES,
  storedOptions,
  TX_NAMES,
  WORK_NAMES,
  wholeNumber,
} from './queue-options.ts'
import { IN, OptionsRecord, type StoredOptions } from './queue-records.ts'
import type {
  AddOptions,
  Counts,
  Handle,
  Job,
  JobInfo,
  JobState,
  Lease,
  Leases,
  ListOptions,
  Queue,
  QueueEvent,
  QueueObservation,
  QueueOptions,
  RepeatWhen,
  ResultOptions,
  Worker,
  WorkOptions,
} from './queue-types.ts'
import { repeatValue } from './repeats.ts'
import { type FoundJob, nextChange, resultOf } from './results.ts'
import { Taking } from './taking.ts'
import { type Ended, type Run, Runner, type RunnerOptions, runMany, runOne } from './working.ts'

const NAME_MAX = 200
const BATCH_MAX = 10_000

export class QueueHandle<I, D, R> implements Queue<I, D, R> {
  readonly name: string
  readonly #chain: Chain
  readonly #options: QueueSchemas<D>
  readonly #given: StoredOptions
  readonly #environment: QueueEnvironment
  readonly #workers = new Set<Worker>()
  readonly #taking = new Set<Taking<D, R>>()
  #opening: Promise<OpenQueue<D>> | undefined
  #opened: OpenQueue<D> | undefined
  /** Adds of this handle that have not settled. */
  #adding = 0
  #closing: Promise<void> | undefined

  constructor(chain: Chain, name: string, options: QueueSchemas<D>, environment: QueueEnvironment) {
    if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'queue takes an open chain' })
    if (typeof name !== 'string' || name.length === 0 || name.length > NAME_MAX)
      throw new AteError('BAD_ARGUMENT', { what: `a queue has a name of 1 to ${NAME_MAX} characters` })
    checkKey(name, 'the name of a queue')
    checkHandleOptions(options as QueueOptions<never>)
    this.name = name
    this.#chain = chain
    this.#options = options
    this.#environment = environment
    this.#given = storedOptions(options as QueueOptions<never>)
  }

  async entity(): Promise<EntityId> {
    return (await this.#open()).node
  }

  async add(data: I, options: AddOptions = {}): Promise<Handle<R>> {
    this.#adding++
    try {
      const { seq: since } = this.#chain.head
      const open = this.#closing ? await this.#open() : (this.#opened ?? (await this.#open()))
      const prepared = this.#prepare(data, options)
      const staged =
        options.tx === undefined ? await open.adder.addOne(prepared) : await this.#stageOne(open, prepared, options.tx)
      this.#sent(1)
      return this.#handle(open, staged, since)
    } finally {
      this.#adding--
    }
  }

  async addMany(
    items: Iterable<I | readonly [I, AddOptions?]>,
    options: { readonly tx?: TxTarget } = {},
  ): Promise<Handle<R>[]> {
    this.#adding++
    try {
      const { tx } = objectOf(options, 'the options of addMany', TX_NAMES)
      const { seq: since } = this.#chain.head
      const open = await this.#open()
      const all = itemsOf<I, AddOptions>(items).map(([data, options]) => this.#prepare(data, options ?? {}))
      const staged = tx === undefined ? await addAll(this.#chain, open.adder, all) : await this.#stageAll(open, all, tx)
      this.#sent(all.length)
      return staged.map((one) => this.#handle(open, one, since))
    } finally {
      this.#adding--
    }
  }

  async repeat(
    key: string,
    when: RepeatWhen,
    data: I,
    options: Pick<AddOptions, 'tx' | 'priority' | 'group'> = {},
  ): Promise<void> {
    const { repeats } = await this.#open()
    objectOf(options, 'the options of a repeat', REPEAT_NAMES)
    const { priority, group } = options
    this.#prepare(data, { ...(priority === undefined ? {} : { priority }), ...(group === undefined ? {} : { group }) })
    const value = repeatValue(when, data, options, this.#chain.now)
    await this.#inTx(options.tx, (tx) => repeats.set(tx, key, value))
  }

  async unrepeat(key: string, options: { readonly tx?: TxTarget } = {}): Promise<void> {
    const { tx: target } = objectOf(options, 'the options of unrepeat', TX_NAMES)
    const { repeats } = await this.#open()
    await this.#inTx(target, (tx) => repeats.unset(tx, key))
  }

  work(handler: (job: Job<D>) => R | Promise<R>, options: WorkOptions = {}): Worker {
    objectOf(options, 'the options of a worker', WORK_NAMES)
    if (typeof handler !== 'function') throw new AteError('BAD_ARGUMENT', { what: 'work takes a function of a job' })
    return this.#start(runOne(handler), { ...options, size: 1, waitMs: 0 })
  }

  workBatch(
    handler: (jobs: readonly Job<D>[]) => Promise<readonly (R | Error)[]>,
    options: WorkOptions & { readonly size: number; readonly wait?: Duration },
  ): Worker {
    if (typeof handler !== 'function')
      throw new AteError('BAD_ARGUMENT', { what: 'workBatch takes a function of jobs' })
    objectOf(options, 'the options of a worker', BATCH_NAMES)
    const size = wholeNumber(options?.size, 'size', { min: 1, max: BATCH_MAX })
    const waitMs = options.wait === undefined ? 0 : msOf(options.wait, 'wait')
    return this.#start(runMany(handler), { ...options, size, waitMs })
  }

  leases(options: Pick<WorkOptions, 'prefetch' | 'signal'> = {}): Leases<D, R> {
    this.#assertOpen()
    checkSignal(objectOf(options, 'the options of leases', LEASES_NAMES).signal)
    const leases: Taking<D, R> = new Taking<D, R>(
      {
        start: async (consumer) => (await this.#open()).dispatcher.add(consumer),
        stop: async (consumer) => {
          this.#taking.delete(leases)
          await this.#opened?.dispatcher.remove(consumer)
        },
        news: () => this.#opened?.dispatcher.news(),
        asLease: (attempt) => leaseOf<D, R>(attempt),
      },
      options,
    )
    this.#taking.add(leases)
    return leases
  }

  async get(id: string): Promise<JobInfo<D, R> | undefined> {
    const { node, follower } = await this.#open()
    return jobInfo<D, R>({ chain: this.#chain, node, follower }, id)
  }

  async result(id: string, options: ResultOptions = {}): Promise<R> {
    checkKey(id, 'the id of a job')
    objectOf(options, 'the options of result', RESULT_NAMES)
    const { adder, follower } = await this.#open()
    const parts = { chain: this.#chain, follower, environment: this.#environment }
    const find = async (): Promise<FoundJob | undefined> => foundAt(await adder.find(id))
    return (await resultOf(parts, id, { ...options, find, missing: 'is an error' })) as R
  }

  async *list(
    options: ListOptions = {},
  ): AsyncGenerator<{ readonly id: string; readonly state: JobState }, void, void> {
    const { node, follower } = await this.#open()
    yield* listJobs({ chain: this.#chain, node, follower }, options)
  }

  async counts(): Promise<Counts> {
    const { follower } = await this.#open()
    await follower.caughtUp()
    const { table, now } = follower
    table.promote(now)
    const { counts } = table
    return {
      waiting: counts[STATE.waiting]!,
      scheduled: counts[STATE.scheduled]!,
      blocked: counts[STATE.blocked]!,
      active: counts[STATE.active]!,
      done: counts[STATE.done]!,
      dead: counts[STATE.dead]!,
      cancelled: counts[STATE.cancelled]!,
      oldestWaitingMs: counts[STATE.waiting]! > 0 ? Math.max(0, table.oldestWaiting(now)) : 0,
      paused: follower.lane?.paused === true,
    }
  }

  async pause(options: { readonly tx?: TxTarget } = {}): Promise<void> {
    objectOf(options, 'the options of pause', TX_NAMES)
    const { node } = await this.#open()
    await this.#inTx(options.tx, (tx) => setPaused(tx, node, true))
  }

  async resume(options: { readonly tx?: TxTarget } = {}): Promise<void> {
    objectOf(options, 'the options of resume', TX_NAMES)
    const { node } = await this.#open()
    await this.#inTx(options.tx, (tx) => setPaused(tx, node, false))
  }

  async cancel(id: string, options: { readonly reason?: string; readonly tx?: TxTarget } = {}): Promise<boolean> {
    const { adder } = await this.#open()
    const { reason } = objectOf(options, 'the options of cancel', CANCEL_NAMES)
    if (reason !== undefined && typeof reason !== 'string') throw bad('reason is text', reason)
    const cancelled = await this.#inTx(options.tx, async (tx) =>
      cancelJob(tx, await adder.findIn(tx, id), reason, this.#chain.now),
    )
    return cancelled ?? true
  }

  async retry(which: string | { readonly state: 'dead'; readonly limit?: number }): Promise<number> {
    const { adder, follower } = await this.#open()
    if (typeof which === 'string') return retryJob(this.#chain, adder, which)
    if (which?.state !== 'dead') throw new AteError('BAD_ARGUMENT', { what: 'retry takes an id, or { state: dead }' })
    objectOf(which, 'which jobs are retried', RETRIED_NAMES)
    return retryDead(this.#chain, follower, which.limit)
  }

  async *events(
    options: { readonly from?: number | 'start' | 'end'; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<QueueEvent, void, void> {
    const { node, follower } = await this.#open()
    yield* queueEvents({ chain: this.#chain, node, follower }, options)
  }

  async idle(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = objectOf(options, 'the options of idle', { signal: true })
    const { follower } = await this.#open()
    const { table } = follower
    for (;;) {
      signal?.throwIfAborted()
      await follower.caughtUp()
      table.promote(follower.now)
      const { waiting, active, blocked } = STATE
      const open = table.counts[waiting]! + table.counts[active]! + table.counts[blocked]! + table.retries
      if (open === 0 && this.#adding === 0) return
      await nextChange({ chain: this.#chain, follower, environment: this.#environment, signal })
    }
  }

  async configure(options: Omit<QueueOptions<D>, 'observe' | 'group'>): Promise<void> {
    objectOf<object>(options, 'the options of configure', CONFIGURE_NAMES)
    const changes = storedOptions(options as QueueOptions<never>)
    const { node } = await this.#open()
    await this.#chain.transact(async (tx) => {
      const stored = (await tx.child(OptionsRecord, node, IN.options))?.value ?? {}
      tx.putChild(OptionsRecord, changedOptions(stored, changes), { parent: node, in: IN.options })
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await Promise.all([
      ...[...this.#workers].map((worker) => worker.stop()),
      ...[...this.#taking].map((leases) => leases.return()),
    ])
    await this.#opened?.lane.close()
    await this.#opened?.follower.close()
  }

  #prepare(data: I, options: AddOptions): Prepared {
    objectOf(options, 'the options of a job', ADD_NAMES)
    const { data: schema, group } = this.#options
    const valid = schema ? validated(schema, data, `queue ${this.name}`) : (data as unknown as D)
    // What was given is stored, and goes through the schema again when it is leased.
    return prepare(data, options.group ?? group?.(valid), options, this.#chain.now)
  }

  /** In the caller's transaction. As an effect of a job it gets an id now, since its entity is made later. */
  async #stageOne(open: OpenQueue<D>, prepared: Prepared, tx: TxTarget): Promise<Given> {
    const named = prepared.unique === undefined ? { ...prepared, id: prepared.id ?? this.#newId() } : prepared
    const later = new Later()
    const stage = (real: Transaction): Promise<Staged> => open.adder.stage(real, 'register' in tx ? named : prepared)
    const staged = await stageIn(tx, async (real) => later.staged(real, [await stage(real)])[0]!, this.#chain)
    return staged ?? { entity: '', id: named.id ?? '', found: () => later.found(0) }
  }

  async #stageAll(open: OpenQueue<D>, all: readonly Prepared[], tx: TxTarget): Promise<Given[]> {
    const named = all.map((one) => (one.unique === undefined ? { ...one, id: one.id ?? this.#newId() } : one))
    const later = new Later()
    const stage = (real: Transaction): Promise<Staged[]> => open.adder.stageAll(real, 'register' in tx ? named : all)
    const staged = await stageIn(tx, async (real) => later.staged(real, await stage(real)), this.#chain)
    return [...(staged ?? named.map(({ id }, at) => ({ entity: '', id: id ?? '', found: () => later.found(at) })))]
  }

  #newId(): string {
    const { random } = this.#environment
    const part = (): string =>
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return `${part()}${part()}${part()}${part()}`
  }

  #handle(open: OpenQueue<D>, { id, entity, found }: Given, since: number): Handle<R> {
    const chain = this.#chain
    const parts = { chain, follower: open.follower, environment: this.#environment }
    const find = async (): Promise<FoundJob | undefined> =>
      entity === '' ? (found?.() ?? foundAt(await open.adder.find(id))) : { entity, since }
    const handle: Handle<R> = {
      id,
      result: async (options = {}) => {
        objectOf(options, 'the options of result', RESULT_NAMES)
        return (await resultOf(parts, id, { ...options, find, missing: 'may come' })) as R
      },
    }
    rememberHandle(handle, { entity, node: open.node })
    return handle
  }

  #inTx<T>(target: TxTarget | undefined, run: (tx: Transaction) => Promise<T>): Promise<T | undefined> {
    return target === undefined ? this.#chain.transact(run) : stageIn(target, run, this.#chain)
  }

  #assertOpen(): void {
    if (this.#closing) throw new AteError('CHAIN_CLOSED', { queue: this.name }, { hint: 'the queue is closed' })
  }

  #start(run: Run<D>, options: RunnerOptions): Worker {
    this.#assertOpen()
    const parts = {
      onStopped: () => this.#workers.delete(runner),
      news: () => this.#opened?.dispatcher.news(),
      remove: async (one: Consumer<D>) => this.#opened?.dispatcher.remove(one),
      environment: this.#environment,
      now: () => this.#chain.now,
      onEnded: this.#options.observe && ((ended: Ended) => this.#ended(ended)),
    }
    const runner: Runner<D> = new Runner<D>(parts, run, options)
    this.#workers.add(runner)
    this.#open().then(
      ({ dispatcher }) => dispatcher.add(runner),
      (error) => runner.ended(error),
    )
    return runner
  }

  async #open(): Promise<OpenQueue<D>> {
    this.#assertOpen()
    if (!this.#opening) {
      const { name } = this
      this.#opening = openQueue<D>({
        chain: this.#chain,
        name,
        options: this.#options,
        given: this.#given,
        environment: this.#environment,
        prepare: (data, options) => this.#prepare(data as I, options),
        observe: (observation) => this.#observe(observation),
      })
      // The next call tries again: the disk may have room by then.
      this.#opening.catch(() => {
        this.#opening = undefined
      })
    }
    this.#opened = await this.#opening
    return this.#opened
  }

  #sent(count: number): void {
    this.#observe({
      kind: 'sent',
      ...messagingOf(this.name, 'add', 'send'),
      'messaging.batch.message_count': count,
    })
  }

  #ended({ id, outcome, error, waitMs, processMs }: Ended): void {
    this.#observe({
      kind: 'processed',
      ...messagingOf(this.name, 'process', 'process'),
      'messaging.message.id': id,
      outcome,
      waitMs,
      processMs,
      ...(error === undefined ? {} : { 'error.type': errorType(error) }),
    })
  }

  /** What an observer throws is its own affair: it must not end a job. */
  #observe(observation: QueueObservation): void {
    try {
      this.#options.observe?.(observation)
    } catch {
      // Nobody to tell.
    }
  }
}

/** What a handle of a job is made of. */
interface Given extends Staged {
  /** Of an effect of a job: where it was staged, once that is in the chain. */
  readonly found?: () => FoundJob | undefined
}

/** What effects have staged, in the newest run of their transaction. */
class Later {
  #tx: Transaction | undefined
  #staged: readonly Staged[] = []

  staged<S extends readonly Staged[]>(tx: Transaction, staged: S): S {
    this.#tx = tx
    this.#staged = staged
    return staged
  }

  found(at: number): FoundJob | undefined {
    const receipt = this.#tx?.receipt
    return receipt && { entity: this.#staged[at]!.entity, since: receipt.seq - 1 }
  }
}

function foundAt(entity: string | undefined): FoundJob | undefined {
  return entity === undefined ? undefined : { entity }
}

/** An attempt has all that a lease has; handlers of workers do not see the ends of it. */
function leaseOf<D, R>(attempt: Attempt<D>): Lease<D, R> {
  return attempt as unknown as Lease<D, R>
}
