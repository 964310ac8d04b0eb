/** Adds jobs in a transaction: by id once, by unique key as its policy says, behind the jobs that they depend on. */
import {
  type Accompany,
  AteError,
  type Chain,
  Creations,
  type Entity,
  type EntityId,
  isWellFormed,
  objectOf,
  type Transaction,
} from '@ate/core'
import type { AddedJob } from './dispatcher.ts'
import { queueError } from './errors.ts'
import { bad, msOf, UNIQUE_NAMES, wholeNumber } from './queue-options.ts'
import {
  decodeLeases,
  type Ending,
  IN,
  JobRecord,
  type JobValue,
  LaneRecord,
  SessionRecord,
  UniqueRecord,
  type UniqueValue,
  unlessBad,
} from './queue-records.ts'
import { orphanValue } from './queue-rules.ts'
import type { AddOptions, When } from './queue-types.ts'
import { withRoom } from './sizes.ts'

/** Parents of one job. */
const PARENTS_MAX = 1000
const KEY_CHARS_MAX = 400
const PRIORITY_MAX = 1_000_000_000
const UNIQUE_POLICIES: readonly string[] = ['keep', 'replace', 'after']

/** A job that is checked, and not yet in a transaction. */
export interface Prepared {
  readonly value: JobValue
  readonly id: string | undefined
  readonly unique: (NonNullable<AddOptions['unique']> & { readonly forMs: number | undefined }) | undefined
  readonly after: readonly Parent[]
}

/** A job to run after: by its entity if its handle knows it, else by its id in the same queue. */
export interface Parent {
  readonly id: string
  readonly entity: string | undefined
  /** The queue's, if it is known. */
  readonly node: string | undefined
}

interface Known {
  readonly entity: string
  readonly node: string
}

/** Entities by the handles that add() gave: a job may wait for one of another queue. */
const entities = new WeakMap<object, Known>()

export function rememberHandle(handle: object, known: Known): void {
  if (known.entity !== '') entities.set(handle, known)
}

export interface Staged {
  /** The job's entity: this one's, or the one that was there. */
  readonly entity: string
  readonly id: string
  /** One that was there, and has ended. */
  readonly end?: Ending | undefined
}

/** A job to run after, as a transaction finds it. */
interface FoundParent {
  readonly entity: string
  /** Surely of this queue. */
  readonly isOwn: boolean
  readonly end: Ending | undefined
}

/** @throws AteError BAD_ARGUMENT */
export function prepare(data: unknown, group: string | undefined, options: AddOptions, now: number): Prepared {
  const { id, priority, after, onParentFail } = options
  const unique = objectOf(options.unique, 'the members of unique', UNIQUE_NAMES)
  if (id !== undefined) checkKey(id, 'id')
  if (group !== undefined) checkKey(group, 'group')
  if (onParentFail !== undefined && onParentFail !== 'fail' && onParentFail !== 'run')
    throw new AteError('BAD_ARGUMENT', { what: 'onParentFail is fail or run' })
  const at = startOf(options, now)
  const value: JobValue = {
    data,
    added: now,
    ...(at === undefined ? {} : { at }),
    ...(priority === undefined || priority === 0
      ? {}
      : { priority: wholeNumber(priority, 'priority', { min: -PRIORITY_MAX, max: PRIORITY_MAX }) }),
    ...(group === undefined ? {} : { group }),
    ...(unique === undefined ? {} : { unique: unique.key }),
    ...(onParentFail === 'run' ? { onParentFail } : {}),
  }
  const parents = parentsOf(after)
  return { value: withRoom(value, parents.length), id, unique: unique && checkUnique(unique, id, now), after: parents }
}

function checkUnique(
  unique: NonNullable<AddOptions['unique']>,
  id: string | undefined,
  now: number,
): NonNullable<Prepared['unique']> {
  checkKey(unique.key, 'unique.key')
  if (unique.onConflict !== undefined && !UNIQUE_POLICIES.includes(unique.onConflict))
    throw new AteError('BAD_ARGUMENT', { what: 'unique.onConflict is keep, replace or after' })
  if (id !== undefined) throw new AteError('BAD_ARGUMENT', { what: 'id or unique, not both' })
  return { ...unique, forMs: unique.for === undefined ? undefined : msOf(unique.for, 'unique.for', now) }
}

/** @throws AteError BAD_ARGUMENT */
export function checkKey(key: unknown, what: string): void {
  if (typeof key !== 'string' || key.length === 0 || key.length > KEY_CHARS_MAX)
    throw bad(`${what} is text of 1 to ${KEY_CHARS_MAX} characters`, typeof key)
  if (key.startsWith('ate:')) throw bad(`${what} does not begin with ate:, which is reserved`, key)
  // As bytes, all halves of surrogate pairs are one.
  if (!isWellFormed(key)) throw bad(`${what} is well-formed text: it has half a surrogate pair`, typeof key)
}

function parentsOf(after: AddOptions['after']): Parent[] {
  if (after === undefined) return []
  if (!Array.isArray(after) || after.length > PARENTS_MAX)
    throw new AteError('BAD_ARGUMENT', { what: `after lists handles of jobs, at most ${PARENTS_MAX}` })
  const parents = new Map<string, Parent>()
  for (const handle of after as readonly { readonly id: string }[]) {
    if (typeof handle?.id !== 'string') throw new AteError('BAD_ARGUMENT', { what: 'after lists handles of jobs' })
    const { entity, node } = entities.get(handle) ?? { entity: undefined, node: undefined }
    parents.set(entity ?? handle.id, { id: handle.id, entity, node })
  }
  return [...parents.values()]
}

function startOf({ at, delay }: AddOptions, now: number): number | undefined {
  if (at !== undefined && delay !== undefined) throw new AteError('BAD_ARGUMENT', { what: 'at or delay, not both' })
  if (delay !== undefined) return now + msOf(delay, 'delay', now)
  return at === undefined ? undefined : timeOf(at, now)
}

function timeOf(when: When, now: number): number {
  if (!(when instanceof Date)) return now + msOf(when, 'at', now)
  const ms = when.getTime()
  if (!Number.isSafeInteger(ms)) throw new AteError('BAD_ARGUMENT', { what: 'at is no date' })
  return ms
}

export class Adder {
  readonly #chain: Chain
  readonly #node: EntityId
  readonly #creations: Creations

  /** `claim` may take what is added for workers of this handle that wait. */
  constructor(
    chain: Chain,
    node: EntityId,
    claim: (tx: Transaction, jobs: readonly AddedJob[]) => ReturnType<Accompany>,
  ) {
    this.#chain = chain
    this.#node = node
    this.#creations = new Creations(chain, (tx, made) => claim(tx, made as readonly AddedJob[]))
  }

  /** The place of a job: below the queue. */
  get #place(): { readonly parent: EntityId; readonly in: string } {
    return { parent: this.#node, in: IN.jobs }
  }

  /** Most jobs need nothing to be read; those without an id go together with others of the same turn. */
  async addOne(prepared: Prepared): Promise<Staged> {
    const { value, id, unique, after } = prepared
    if (unique === undefined && after.length === 0) {
      if (id === undefined) {
        const made = await this.#creations.create(JobRecord, value, this.#place)
        return { entity: made.id, id: made.id }
      }
      // In the order of the calls.
      await this.#creations.staged
      try {
        const made = await this.#creations.alone((tx) => this.#make(tx, value, id))
        return { entity: made.id, id }
      } catch (error) {
        if ((error as AteError).code !== 'NAME_TAKEN') throw error
      }
    }
    await this.#creations.staged
    return this.#chain.transact((tx) => this.stage(tx, prepared))
  }

  /** Resolves when what was added alone before is staged. */
  get staged(): Promise<void> | undefined {
    return this.#creations.staged
  }

  /** In a transaction: the job that is there if its id is known, or what its unique key says. */
  async stage(tx: Transaction, prepared: Prepared, known?: ReadonlyMap<string, Staged>): Promise<Staged> {
    const { id, unique, after } = prepared
    if (id !== undefined) {
      const there = await tx.named(JobRecord, id, this.#place)
      if (there) return { entity: there.id, id, end: there.value.end }
    }
    if (after.some((parent) => parent.entity === undefined && parent.id === id))
      throw queueError('DEPENDENCY_CYCLE', { job: id })
    const value = after.length > 0 ? await this.#behind(tx, prepared, known) : prepared.value
    if (unique !== undefined) return this.#stageUnique(tx, value, unique)
    return this.#create(tx, value, id)
  }

  /** Parents first; those that depend on each other in a circle are refused. */
  async stageAll(tx: Transaction, all: readonly Prepared[]): Promise<Staged[]> {
    const byId = new Map<string, number>()
    all.forEach(({ id }, index) => {
      if (id !== undefined && !byId.has(id)) byId.set(id, index)
    })
    const staged: (Staged | undefined)[] = new Array(all.length).fill(undefined)
    const known = new Map<string, Staged>()
    for (const index of inOrder(all, byId)) {
      const one = await this.stage(tx, all[index]!, known)
      staged[index] = one
      known.set(one.id, one)
    }
    return staged as Staged[]
  }

  /** The entity of a job by the id that its handle has. */
  async find(id: string): Promise<string | undefined> {
    return (await jobOf(this.#chain, this.#node, id))?.id
  }

  /** The same as a transaction sees it, with what it has added itself. */
  async findIn(tx: Transaction, id: string): Promise<Entity<JobValue> | undefined> {
    const named = await tx.named(JobRecord, id, this.#place)
    if (named || !isEntityId(id)) return named
    const job = await tx.get(JobRecord, id)
    // One that this transaction has made is not there yet.
    return job && (!this.#chain.has(job) || this.#chain.parentOf(job) === this.#node) ? job : undefined
  }

  /**
   * Behind those of its parents that are open, which is guarded: none of them ends, or is removed, before this one stands behind
   * it. By one that has failed already it is decided here: its queue may remove it before anybody hears of this job.
   */
  async #behind(
    tx: Transaction,
    { value, after }: Prepared,
    known: ReadonlyMap<string, Staged> | undefined,
  ): Promise<JobValue> {
    const parents: string[] = []
    const open: string[] = []
    let failed: string | undefined
    let isForeign = false
    for (const parent of after) {
      const own = known?.get(parent.id)
      const { entity, isOwn, end } = own ? { ...own, isOwn: true } : await this.#parent(tx, parent)
      parents.push(entity)
      if (end === undefined) {
        open.push(entity)
        isForeign ||= !isOwn
      } else if (end !== 'done') failed ??= entity
    }
    if (failed !== undefined && value.onParentFail !== 'run')
      return orphanValue({ ...value, after: parents }, failed, this.#chain.now)
    return {
      ...value,
      ...(open.length > 0 ? { after: open } : {}),
      ...(isForeign ? { foreign: true as const } : {}),
    }
  }

  /** @throws AteError NOT_FOUND */
  async #parent(tx: Transaction, { id, entity: known, node }: Parent): Promise<FoundParent> {
    const named = known === undefined ? await tx.named(JobRecord, id, this.#place) : undefined
    if (named) return { entity: named.id, isOwn: true, end: named.value.end }
    const entity = known !== undefined || isEntityId(id) ? await tx.get(JobRecord, known ?? id) : undefined
    if (!entity) throw new AteError('NOT_FOUND', { job: id.slice(0, 60), what: 'a job to run after' })
    return { entity: entity.id, isOwn: node === this.#node, end: entity.value.end }
  }

  #create(tx: Transaction, value: JobValue, id: string | undefined): Staged {
    const made = this.#make(tx, value, id)
    return { entity: made.id, id: id ?? made.id }
  }

  #make(tx: Transaction, value: JobValue, id: string | undefined): AddedJob {
    const made = tx.create(JobRecord, value, id === undefined ? this.#place : { ...this.#place, name: id })
    const before = id === undefined ? 0 : tx.versionOf(made) - 1
    if (before === 0) return { id: made.id, value }
    // An id that comes again is the same entity: its turns go on, or who still holds a lease of the earlier job would end
    // this one. No turn was above its version.
    const again = { ...value, turn: before }
    tx.guard.version(made, before)
    tx.replace(made, again)
    return { id: made.id, value: again }
  }

  async #stageUnique(tx: Transaction, value: JobValue, unique: NonNullable<Prepared['unique']>): Promise<Staged> {
    const place = { parent: this.#node, in: IN.uniques }
    const now = this.#chain.now
    const jobs = { chain: this.#chain, node: this.#node }
    const known = await heldBy(jobs, tx, (await unlessBad(tx.named(UniqueRecord, unique.key, place)))?.value)
    const there = known && (await ownJob(jobs, tx, known.job))
    // The time of a key may be longer than its job is kept.
    const isTaken =
      known?.until === undefined ? there?.value.end === undefined && there !== undefined : known.until > now
    const later = unique.onConflict === 'replace' && unique.forMs !== undefined ? { at: now + unique.forMs } : {}
    const put = (record: UniqueValue): void => {
      tx.put(UniqueRecord, unique.key, record, place)
    }
    const isKept = unique.onConflict === undefined || unique.onConflict === 'keep'
    if (isTaken && known && !there && isKept) return { entity: known.job, id: known.job }
    if (!isTaken || !there || !known) {
      const made = this.#create(tx, { ...value, ...later }, undefined)
      put({ job: made.entity, ...(unique.forMs === undefined ? {} : { until: now + unique.forMs }) })
      return made
    }
    const same = { entity: there.id, id: there.name ?? there.id, end: there.value.end }
    if (isKept) return same
    const isActive = await this.#isLeased(tx, there.id, there.value.turn ?? 0)
    if (!isActive && there.value.end === undefined) {
      // The turn goes on, so that whoever leases it meanwhile does not start with the older data.
      const turn = (there.value.turn ?? 0) + 1
      await tx.update(JobRecord, there.id, (before) => withRoom({ ...before, data: value.data, turn, ...later }))
      if (unique.forMs !== undefined) put({ ...known, until: now + unique.forMs })
      return same
    }
    if (isActive && unique.onConflict === 'after') return this.#stageBehind(tx, { known, there: there.id, value, put })
    const made = this.#create(tx, { ...value, ...later }, undefined)
    put({ job: made.entity, ...(unique.forMs === undefined ? {} : { until: now + unique.forMs }) })
    return made
  }

  /** Whether a session holds a lease of this turn. The lane is guarded: a claim meanwhile has this run again. */
  async #isLeased(tx: Transaction, job: string, turn: number): Promise<boolean> {
    const lane = await tx.child(LaneRecord, this.#node, IN.lane)
    for (const id of lane?.value.sessions ?? []) {
      const session = await unlessBad(tx.peek(SessionRecord, id))
      if (session && decodeLeases(session.value.leases).some((lease) => lease.job === job && lease.turn === turn))
        return true
    }
    return false
  }

  /** One that waits for the one that is there, with the newest data. */
  async #stageBehind(
    tx: Transaction,
    {
      known,
      there,
      value,
      put,
    }: {
      readonly known: UniqueValue
      readonly there: string
      readonly value: JobValue
      readonly put: (record: UniqueValue) => void
    },
  ): Promise<Staged> {
    const jobs = { chain: this.#chain, node: this.#node }
    const next = known.next === undefined ? undefined : await ownJob(jobs, tx, known.next)
    if (next && next.value.end === undefined && next.value.after?.includes(there)) {
      await tx.update(JobRecord, next.id, (before) =>
        withRoom({ ...before, data: value.data, turn: (before.turn ?? 0) + 1 }),
      )
      return { entity: next.id, id: next.id }
    }
    const made = this.#create(tx, { ...value, after: [there], onParentFail: 'run' }, undefined)
    put({ ...known, next: made.entity })
    return made
  }
}

interface JobsOf {
  readonly chain: Chain
  readonly node: EntityId
}

/**
 * A job of this queue by its entity, as a record names it: its author may write here and not elsewhere, and would have others write
 * into a job of another queue.
 */
async function ownJob({ chain, node }: JobsOf, tx: Transaction, id: string): Promise<Entity<JobValue> | undefined> {
  const job = await unlessBad(tx.get(JobRecord, id))
  // One that this transaction has made is not there yet.
  return job && (!chain.has(job) || chain.parentOf(job) === node) ? job : undefined
}

/** Whose a unique key is: when its job has ended, that of the one that waited behind it, if that is open. */
export async function heldBy<U extends UniqueValue | undefined>(
  jobs: JobsOf,
  tx: Transaction,
  record: U,
): Promise<U | UniqueValue> {
  if (record?.next === undefined) return record
  const job = await ownJob(jobs, tx, record.job)
  if (job && job.value.end === undefined) return record
  const next = await ownJob(jobs, tx, record.next)
  if (!next || next.value.end !== undefined) return record
  return { job: next.id, ...(record.until === undefined ? {} : { until: record.until }) }
}

/** Indexes of `all` with those that others wait for first. @throws AteError DEPENDENCY_CYCLE */
function inOrder(all: readonly Prepared[], byId: ReadonlyMap<string, number>): number[] {
  const order: number[] = []
  const state = new Uint8Array(all.length) // 1: on the way, 2: in order
  for (let start = 0; start < all.length; start++) {
    const stack = [start]
    while (stack.length > 0) {
      const index = stack.at(-1)!
      if (state[index] === 2) {
        stack.pop()
        continue
      }
      const open = all[index]!.after.flatMap(({ id, entity }) =>
        entity === undefined ? (byId.get(id) ?? []) : [],
      ).filter((parent) => state[parent] !== 2)
      if (open.some((parent) => state[parent] === 1)) throw queueError('DEPENDENCY_CYCLE', { job: all[index]!.id })
      if (open.length > 0 && state[index] === 0) {
        state[index] = 1
        stack.push(...open)
        continue
      }
      state[index] = 2
      order.push(index)
      stack.pop()
    }
  }
  return order
}

/** A job by the id that its handle has, its own or that of its entity; undefined of another queue's. */
export async function jobOf(chain: Chain, node: EntityId, id: string): Promise<Entity<JobValue> | undefined> {
  const named = await chain.named(JobRecord, id, { parent: node, in: IN.jobs })
  if (named || !isEntityId(id)) return named
  const job = await chain.get(JobRecord, id)
  return job && chain.parentOf(job) === node ? job : undefined
}

function isEntityId(text: string): boolean {
  return /^[0-9a-hjkmnp-tv-z]{26}$/.test(text)
}
