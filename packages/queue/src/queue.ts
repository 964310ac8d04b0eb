/** A queue over a chain: what its handle does. */
import { AteError, type Chain, type Duration, type EntityId, isChain, type StandardSchema, stageIn } from '@ate/core'
import { Adder, type Prepared, prepare, type Staged } from './adding.ts'
import { Dispatcher } from './dispatcher.ts'
import { ownEnvironment, type QueueEnvironment } from './environment.ts'
import { Follower } from './follower.ts'
import { STATE } from './job-rows.ts'
import { Lane } from './lane.ts'
import { addsOptions, mergedOptions, type Rules, rulesOf, storedOptions } from './queue-options.ts'
import { IN, JobRecord, type JobValue, OptionsRecord, QueueRecord, type StoredOptions } from './queue-records.ts'
import type {
  AddOptions,
  Counts,
  Handle,
  Job,
  QueueObservation,
  QueueOptions,
  Worker,
  WorkOptions,
} from './queue-types.ts'
import { validated } from './schemas.ts'
import { type Ended, type Run, Runner, type RunnerOptions, runOne } from './working.ts'

/** What a handle has once its queue is there. */
export interface OpenQueue<D> {
  readonly node: EntityId
  readonly adder: Adder
  readonly follower: Follower
  readonly lane: Lane
  readonly dispatcher: Dispatcher<D>
}

export interface QueueSchemas<D> extends QueueOptions<D> {
  readonly data?: StandardSchema<unknown, D>
  readonly result?: StandardSchema
}

/** How often somebody who waits looks again by himself, in ms: a job may be due without a record that says so. */
const LOOK_MS = 1000
export class QueueHandle<I, D, R> {
  readonly name: string
  readonly #chain: Chain
  readonly #options: QueueSchemas<D>
  readonly #given: StoredOptions
  readonly #environment: QueueEnvironment
  readonly #backoff: ((attempt: number) => Duration) | undefined
  readonly #workers = new Set<Worker>()
  #rules: Rules
  #opening: Promise<OpenQueue<D>> | undefined
  #opened: OpenQueue<D> | undefined
  #adding = 0
  #closing: Promise<void> | undefined

  constructor(chain: Chain, name: string, options: QueueSchemas<D>, environment: QueueEnvironment) {
    if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'queue takes an open chain' })
    this.name = name
    this.#chain = chain
    this.#options = options
    this.#environment = environment
    this.#given = storedOptions(options as QueueOptions<never>)
    const backoff = options.retry?.backoff
    this.#backoff = typeof backoff === 'function' ? backoff : undefined
    this.#rules = rulesOf(this.#given, this.#backoff)
  }

  async add(data: I, options: AddOptions = {}): Promise<Handle<R>> {
    this.#adding++
    try {
      const open = this.#opened ?? (await this.#open())
      const prepared = this.#prepare(data, options)
      const staged =
        options.tx === undefined ? await open.adder.addOne(prepared) : await this.#stageIn(open, prepared, options.tx)
      this.#observe({ kind: 'sent', 'messaging.destination.name': this.name, 'messaging.batch.message_count': 1 })
      return this.#handle(open, staged)
    } finally {
      this.#adding--
    }
  }

  work(handler: (job: Job<D>) => R | Promise<R>, options: WorkOptions = {}): Worker {
    if (typeof handler !== 'function') throw new AteError('BAD_ARGUMENT', { what: 'work takes a function of a job' })
    return this.#start(runOne(handler), { ...options, size: 1, waitMs: 0 })
  }

  async counts(): Promise<Counts> {
    const { follower } = await this.#open()
    await follower.caughtUp()
    const { table, now } = follower
    table.promote(now)
    const [waiting, scheduled, blocked, active, done, dead, cancelled] = table.counts as [
      number,
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    const oldestWaitingMs = waiting > 0 ? Math.max(0, table.oldestWaiting(now)) : 0
    const paused = follower.lane?.paused === true
    return { waiting, scheduled, blocked, active, done, dead, cancelled, oldestWaitingMs, paused }
  }

  async idle(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    const { signal } = options
    const { follower } = await this.#open()
    for (;;) {
      signal?.throwIfAborted()
      await follower.caughtUp()
      const { table } = follower
      table.promote(follower.now)
      const { waiting, active, blocked } = STATE
      const open = table.counts[waiting]! + table.counts[active]! + table.counts[blocked]! + table.retries
      if (open === 0 && this.#adding === 0) return
      await this.#changed(follower, signal)
    }
  }

  dbg(): any {
    return this.#opened!.follower
  }
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.stop()))
    await this.#opened?.follower.close()
  }

  #prepare(data: I, options: AddOptions): Prepared {
    const { data: schema, group } = this.#options
    const valid = schema ? validated(schema, data, `queue ${this.name}`) : (data as unknown as D)
    return prepare(valid, options.group ?? group?.(valid), options, this.#chain.now)
  }

  /** In the caller's transaction; as an effect of a job it needs an id that is known now. */
  async #stageIn(open: OpenQueue<D>, prepared: Prepared, tx: NonNullable<AddOptions['tx']>): Promise<Staged> {
    const id = prepared.id ?? (prepared.unique === undefined ? this.#newId() : undefined)
    const named = { ...prepared, id }
    const staged = await stageIn(tx, (real) => open.adder.stage(real, 'register' in tx ? named : prepared))
    return staged ?? { entity: '', id: id ?? '' }
  }

  #newId(): string {
    const part = (): string =>
      Math.floor(this.#environment.random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return `${part()}${part()}${part()}${part()}`
  }

  #handle(open: OpenQueue<D>, staged: Staged): Handle<R> {
    return { id: staged.id, result: (options) => this.#result(open, staged, options?.signal) }
  }

  /** The result of a job, as soon as it is there. */
  async #result(open: OpenQueue<D>, staged: Staged, signal: AbortSignal | undefined): Promise<R> {
    let entity: string | undefined = staged.entity || undefined
    const hold = this.#holdProcess()
    try {
      for (;;) {
        signal?.throwIfAborted()
        entity ??= await open.adder.find(staged.id)
        const job = entity === undefined ? undefined : await this.#chain.get(JobRecord, entity)
        if (job?.value.end !== undefined) return resultOf<R>(staged.id, job.value)
        if (!job && entity !== undefined) throw new AteError('NOT_FOUND', { job: staged.id })
        if (entity === undefined) await this.#changed(open.follower, signal)
        else await nextOf(open.follower, entity, signal)
        this.#assertOpen()
      }
    } finally {
      hold.cancel()
    }
  }

  #assertOpen(): void {
    void this.#chain.counter
    if (this.#closing) throw new AteError('CHAIN_CLOSED', { queue: this.name }, { hint: 'the queue is closed' })
  }

  /** A timer that keeps the process alive while somebody waits. */
  #holdProcess(): { cancel(): void } {
    let timer: { cancel(): void } | undefined
    const again = (): void => {
      timer = this.#environment.start(LOOK_MS, again, 'holds')
    }
    again()
    return { cancel: () => timer?.cancel() }
  }

  /** The next change, or a moment later: time alone may change what is there. */
  async #changed(follower: Follower, signal: AbortSignal | undefined): Promise<void> {
    let timer: { cancel(): void } | undefined
    let abort: (() => void) | undefined
    const later = new Promise<void>((resolve, reject) => {
      timer = this.#environment.start(LOOK_MS / 10, resolve, 'holds')
      abort = () => reject(signal?.reason)
      signal?.addEventListener('abort', abort, { once: true })
    })
    try {
      await Promise.race([follower.change(), later])
    } finally {
      timer?.cancel()
      if (abort) signal?.removeEventListener('abort', abort)
    }
  }

  #start(run: Run<D>, options: RunnerOptions): Worker {
    this.#assertOpen()
    const parts = {
      dispatcher: {
        news: () => this.#opened?.dispatcher.news(),
        remove: async (one: Runner<D>) => this.#opened?.dispatcher.remove(one),
      } as unknown as Dispatcher<D>,
      environment: this.#environment,
      now: () => this.#chain.now,
      onEnded: (ended: Ended) => this.#ended(ended),
    }
    const runner = new Runner<D>(parts, run, options)
    this.#workers.add(runner)
    runner.done.finally(() => this.#workers.delete(runner)).catch(() => undefined)
    this.#open().then(
      ({ dispatcher }) => dispatcher.add(runner),
      (error) => runner.ended(error),
    )
    return runner
  }

  #open(): Promise<OpenQueue<D>> {
    if (!this.#opening) {
      this.#opening = this.#openOnce()
      // The next call tries again: the disk may have room by then.
      this.#opening.catch(() => {
        this.#opening = undefined
      })
    }
    return this.#opening
  }

  async #openOnce(): Promise<OpenQueue<D>> {
    const { node, stored } = await this.#ensureNode()
    this.#rules = rulesOf(stored, this.#backoff)
    const chain = this.#chain
    const environment = this.#environment
    const rules = (): Rules => this.#rules
    const follower = new Follower(chain, node, environment, {
      job: (id, value) => this.#jobChanged(id, value),
      options: (options) => {
        this.#rules = rulesOf(options, this.#backoff)
      },
      news: () => this.#opened?.dispatcher.news(),
    })
    const lane = new Lane({
      chain,
      node,
      follower,
      environment,
      rules,
      onLost: (leases) => this.#observe({ kind: 'lease.lost', 'messaging.destination.name': this.name, leases }),
      onTakenOver: (leases) => this.#observe({ kind: 'taken over', 'messaging.destination.name': this.name, leases }),
    })
    const { data: schema } = this.#options
    const dispatcher = new Dispatcher<D>({
      chain,
      lane,
      follower,
      environment,
      rules,
      handling: { chain, lane, environment, rules, queueKey: `${chain.id}/${this.name}` },
      parse: (data) => (schema ? validated(schema, data, `queue ${this.name}`) : (data as D)),
      upkeep: async () => undefined,
    })
    this.#opened = { node, adder: new Adder(chain, node), follower, lane, dispatcher }
    return this.#opened
  }

  /** The queue's place in the chain, made if it is not there, and its options as they are stored. */
  async #ensureNode(): Promise<{ readonly node: EntityId; readonly stored: StoredOptions }> {
    const there = await this.#chain.named(QueueRecord, this.name, { in: IN.queues })
    if (there) {
      const options = await this.#chain.child(OptionsRecord, there, IN.options)
      const stored = options?.value ?? {}
      const merged = mergedOptions(this.name, stored, this.#given)
      if (!addsOptions(stored, this.#given)) return { node: there.id, stored: merged }
    }
    return this.#chain.transact(async (tx) => {
      const node =
        (await tx.named(QueueRecord, this.name, { in: IN.queues })) ??
        tx.create(QueueRecord, {}, { in: IN.queues, name: this.name })
      const stored = (await tx.child(OptionsRecord, node, IN.options))?.value
      const merged = mergedOptions(this.name, stored ?? {}, this.#given)
      if (stored === undefined || addsOptions(stored, this.#given))
        tx.putChild(OptionsRecord, merged, { parent: node, in: IN.options })
      return { node: node.id, stored: merged }
    })
  }

  /** A job that this handle works on was ended, or its lease was, by somebody else. */
  #jobChanged(id: string, value: JobValue): void {
    const held = this.#opened?.lane.held.get(id)
    if (!held) return
    if (value.end === 'cancelled') this.#opened!.lane.lose(held, new AteError('JOB_CANCELLED', { job: id }))
    else if (value.end === undefined && (value.turn ?? 0) > held.turn)
      this.#opened!.lane.lose(held, new AteError('LEASE_LOST', { job: id, fence: held.fence }))
  }

  #ended({ id, outcome, error, waitMs, processMs }: Ended): void {
    this.#observe({
      kind: 'processed',
      'messaging.destination.name': this.name,
      'messaging.message.id': id,
      outcome,
      waitMs,
      processMs,
      ...(error === undefined
        ? {}
        : { 'error.type': (error as { code?: string }).code ?? (error as Error).name ?? 'Error' }),
    })
  }

  #observe(observation: QueueObservation): void {
    this.#options.observe?.(observation)
  }
}

function resultOf<R>(id: string, value: JobValue): R {
  if (value.end === 'done') return value.result as R
  const error = value.errors?.at(-1)
  throw new AteError(value.end === 'cancelled' ? 'JOB_CANCELLED' : 'JOB_FAILED', { job: id, error })
}

/** Waits for the next value of a job. */
function nextOf(follower: Follower, entity: string, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      leave()
      reject(signal?.reason)
    }
    const leave = follower.onJob(entity, () => {
      leave()
      signal?.removeEventListener('abort', abort)
      resolve()
    })
    signal?.addEventListener('abort', abort, { once: true })
  })
}

export { ownEnvironment }
