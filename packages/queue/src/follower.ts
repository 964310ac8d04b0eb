/**
 * Follows the chain for one queue: reads what is there once, then what changes, into the table. It is started by the first
 * who needs more than single jobs; until then it only wakes those who wait for a result.
 */
import { AteError, type Chain, type ChainEvent, type EntityId } from '@ate/core'
import type { QueueEnvironment } from './environment.ts'
import { STATE } from './job-rows.ts'
import { JobTable } from './job-table.ts'
import {
  AnyJobRecord,
  decodeLeases,
  type Ending,
  IN,
  JobRecord,
  type JobValue,
  LaneRecord,
  type LaneValue,
  OptionsRecord,
  RepeatRecord,
  type RepeatValue,
  SessionRecord,
  type StoredOptions,
  unlessBad,
} from './queue-records.ts'
import { isJobValue } from './stored-shapes.ts'

/** Changes that are taken in before others get their turn. */
const TURN = 256

export interface FollowerEvents {
  /** Whether this handle is writing that the job is done: it takes that in itself, or asks for a look. */
  readonly isCompleting: (id: string) => boolean
  /** A job has ended, or a lease of an older turn; undefined: it is gone. */
  readonly job: (id: string, value: JobValue | undefined) => void
  readonly options: (options: StoredOptions) => void
  /** What stands there under a job's name is none: it is passed over. */
  readonly badJob: (id: string) => void
  /** Something may be ready, or the lane has changed. */
  readonly news: () => void
}

export class Follower {
  readonly table: JobTable = new JobTable()
  readonly repeats: Map<string, RepeatValue> = new Map()
  lane: LaneValue | undefined
  /** Why it follows no more. */
  failure: unknown
  readonly #chain: Chain
  readonly #node: EntityId
  readonly #environment: QueueEnvironment
  readonly #events: FollowerEvents
  readonly #stop = new AbortController()
  readonly #waiters = new Map<string, Set<(value: JobValue | undefined) => void>>()
  readonly #idle = new Set<() => void>()
  /** How jobs of other queues have ended that are not there any more. */
  readonly #gone = new Map<string, Ending>()
  #watching: Promise<void> | undefined
  #watchingParents: Promise<void> | undefined
  #loading: Promise<void> | undefined
  #loaded = false
  #busy = false
  /** The chain is closed, or this follower is. */
  isEnded = false
  /** The session of this handle, whose leases the lane itself keeps in the table. */
  ownSession: string | undefined

  constructor(chain: Chain, node: EntityId, environment: QueueEnvironment, events: FollowerEvents) {
    this.#chain = chain
    this.#node = node
    this.#environment = environment
    this.#events = events
  }

  get now(): number {
    return this.#chain.now
  }

  /** Reads the queue into the table, if that has not been done. */
  load(): Promise<void> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** Calls once with the next value of a job; undefined when it is gone. The result takes it back. */
  onJob(id: string, tell: (value: JobValue | undefined) => void): () => void {
    this.#watch()
    const waiters = this.#waiters.get(id) ?? new Set()
    waiters.add(tell)
    this.#waiters.set(id, waiters)
    return () => {
      waiters.delete(tell)
      if (waiters.size === 0 && this.#waiters.get(id) === waiters) this.#waiters.delete(id)
    }
  }

  /** Takes in a job again: what was told of it was left to somebody who could not write it. */
  async look(id: string): Promise<void> {
    if (this.isEnded) return
    await this.#readJob(id, 'changed', this.#waiters.has(id))
    this.#wake()
  }

  /** Resolves when all that was acknowledged before the call has been taken in. */
  async caughtUp(): Promise<void> {
    await this.load()
    do await this.#environment.pause()
    while (this.#busy && !this.isEnded)
    if (this.failure !== undefined) throw this.failure
    if (this.isEnded) throw new AteError('CHAIN_CLOSED', { chain: this.#chain.id })
  }

  /** Resolves with the next change, or when the follower stops. */
  change(): Promise<void> {
    if (this.isEnded) return Promise.resolve()
    return new Promise((resolve) => this.#idle.add(resolve))
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#wake()
    await this.#watching
    await this.#watchingParents
  }

  #watch(): void {
    this.#watching ??= this.#follow()
  }

  async #load(): Promise<void> {
    this.#watch()
    // They may have changed since the queue was opened.
    const options = await this.#chain.child(OptionsRecord, this.#node, IN.options)
    if (options) this.#events.options(options.value)
    this.lane = (await this.#chain.child(LaneRecord, this.#node, IN.lane))?.value
    for (const id of this.lane?.sessions ?? []) await this.#takeSession(id)
    for (const id of this.#chain.children(RepeatRecord, this.#node, IN.repeats).ids()) await this.#takeRepeat(id)
    for await (const jobs of this.#chain.children(AnyJobRecord, this.#node, IN.jobs).batches({ size: TURN })) {
      for (const { id, value } of jobs) {
        if (!isJobValue(value)) {
          this.#events.badJob(id)
          continue
        }
        if (value.after && value.end === undefined) await this.#lookAtParents(value)
        this.table.put(id, value, this.now)
      }
      await this.#environment.pause()
    }
    this.#loaded = true
    this.#events.news()
  }

  async #follow(): Promise<void> {
    const { signal } = this.#stop
    try {
      const changes = this.#chain.watch({ parent: this.#node, signal })
      let count = 0
      for (;;) {
        const { value: change } = await changes.next()
        if (!change) break
        this.#busy = true
        // Jobs that come while those that are there are read come behind them.
        if (this.#loading !== undefined && !this.#loaded) await this.#loading
        const taking = this.#take(change)
        if (taking) await taking
        this.#busy = false
        this.#wake()
        if (++count % TURN === 0) {
          this.#busy = true
          await this.#environment.pause()
          this.#busy = false
        }
      }
    } catch (error) {
      if (!signal.aborted) this.failure = error
    } finally {
      this.#busy = false
      this.isEnded = true
      this.#wake()
      this.#events.news()
      for (const waiters of [...this.#waiters.values()]) for (const tell of [...waiters]) tell(undefined)
    }
  }

  /** At once, if nothing has to be read. */
  #take({
    kind,
    type,
    id,
  }: {
    readonly kind: string
    readonly type: string
    readonly id: string
  }): Promise<void> | undefined {
    return type === JobRecord.name ? this.#takeJob(id, kind) : this.#takeOther(type, id)
  }

  async #takeOther(type: string, id: string): Promise<void> {
    if (type === OptionsRecord.name) {
      const options = await this.#chain.get(OptionsRecord, id)
      if (options) this.#events.options(options.value)
      return
    }
    if (this.#loading === undefined) return
    if (type === LaneRecord.name) {
      this.lane = (await this.#chain.get(LaneRecord, id))?.value
      this.#events.news()
    } else if (type === SessionRecord.name) await this.#takeSession(id)
    else if (type === RepeatRecord.name) {
      await this.#takeRepeat(id)
      this.#events.news()
    }
  }

  /** Jobs of a repeat are named by its key: one without is none. */
  async #takeRepeat(id: string): Promise<void> {
    const repeat = await unlessBad(this.#chain.get(RepeatRecord, id))
    if (repeat?.name === undefined) this.repeats.delete(id)
    else this.repeats.set(id, repeat.value)
  }

  #takeJob(id: string, kind: string): Promise<void> | undefined {
    const wanted = this.#waiters.size > 0 && this.#waiters.has(id)
    if (!wanted && this.#loading === undefined) return undefined
    if (!wanted && kind === 'changed') {
      // What is done stays done: its own end is the change that is told here.
      if (this.#events.isCompleting(id)) return undefined
      const row = this.table.rows.find(id)
      if (row >= 0 && this.table.rows.state[row] === STATE.done) return undefined
    }
    return this.#readJob(id, kind, wanted)
  }

  async #readJob(id: string, kind: string, wanted: boolean): Promise<void> {
    const job = kind === 'deleted' ? undefined : await unlessBad(this.#chain.get(JobRecord, id))
    if (!job && kind !== 'deleted' && this.#chain.has(id)) this.#events.badJob(id)
    if (wanted) for (const tell of [...(this.#waiters.get(id) ?? [])]) tell(job?.value)
    if (this.#loading === undefined) return
    if (!job) this.table.remove(id)
    else {
      if (job.value.after && job.value.end === undefined) await this.#lookAtParents(job.value)
      this.table.put(id, job.value, this.now)
    }
    this.#events.job(id, job?.value)
    if (this.#loaded) this.#events.news()
  }

  /** Parents in other queues: they are watched from here on, and then looked at. */
  async #lookAtParents({ after = [], foreign }: JobValue): Promise<void> {
    for (const id of after) {
      if (this.table.rows.find(id) >= 0 || this.table.parents.hasForeign(id)) continue
      this.#watchingParents ??= this.#followParents()
      const parent = await unlessBad(this.#chain.get(JobRecord, id))
      if (parent) this.table.putForeign(id, parent.value, this.now)
      else if (foreign) this.table.putForeign(id, await this.#valueOfGone(id), this.now)
    }
  }

  /** Its queue kept it no longer than this one took to look. What the log does not say any more was not done. */
  async #valueOfGone(id: string): Promise<JobValue> {
    const end = this.#gone.get(id) ?? (await valueOfGone(this.#chain, id))?.end ?? 'dead'
    this.#gone.set(id, end)
    return { data: undefined, added: 0, end }
  }

  async #followParents(): Promise<void> {
    const { signal } = this.#stop
    try {
      for await (const { id, kind } of this.#chain.watch({ type: JobRecord, signal })) {
        if (kind === 'created' || !this.table.parents.hasForeign(id)) continue
        const parent = await unlessBad(this.#chain.get(JobRecord, id))
        this.table.putForeign(id, parent?.value ?? (await this.#valueOfGone(id)), this.now)
        this.#events.news()
        this.#wake()
      }
    } catch (error) {
      if (!signal.aborted) this.failure = error
    }
  }

  async #takeSession(id: string): Promise<void> {
    if (id === this.ownSession) return
    const session = await unlessBad(this.#chain.get(SessionRecord, id))
    // One that has expired and that nobody has taken over yet still holds its leases.
    if (session) this.table.putSession(id, decodeLeases(session.value.leases))
    else if (!this.lane?.sessions.includes(id) || this.#chain.has(id)) this.table.putSession(id, [])
  }

  #wake(): void {
    if (this.#idle.size === 0) return
    const waiting = [...this.#idle]
    this.#idle.clear()
    for (const resolve of waiting) resolve()
  }
}

/**
 * The last that the log says of a job that is not there any more; undefined if it does not either. Reads all of the log from
 * `from` on, so only where nothing else knows.
 */
export async function valueOfGone(
  chain: Chain,
  id: string,
  { from = 0, signal }: { readonly from?: number; readonly signal?: AbortSignal | undefined } = {},
): Promise<JobValue | undefined> {
  let last: ChainEvent | undefined
  for await (const event of chain.events({ type: JobRecord, from, until: 'end', ...(signal ? { signal } : {}) }))
    if (event.entity === id && (event.op === 'create' || event.op === 'put')) last = event
  return last?.value(JobRecord).catch(() => undefined)
}
