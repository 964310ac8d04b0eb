/**
 * The jobs of a queue as this process sees them: which are ready, in which order, what holds the others back. It is a view
 * of the chain and decides nothing by itself: a claim is judged by the chain.
 *
 * - A ready job is in the heap, larger priority first, then in the order of arrival. Of a group only the first is.
 * - A group's line holds its open jobs in order; one that waits for a retry keeps its place, one with a date or with
 *   parents joins when its time has come.
 * - Leases lie over the rows: a job is active if a session holds a lease of its present turn.
 */
import { RowHeap, TimeHeap } from './heaps.ts'
import { FLAG, JobRows, STATE } from './job-rows.ts'
import { Parents } from './parents.ts'
import type { JobValue } from './queue-records.ts'

const NONE = 0xffffffff

export interface Group {
  readonly number: number
  readonly name: string
  /** Leased now. */
  active: number
  /** Rows in its line. */
  count: number
  head: number
  tail: number
  /** The row that stands in the heap for it, or NONE. */
  offered: number
  /** Chain time before which it starts nothing more. */
  until: number
  /** Rows of the table, those that have ended included. */
  jobs: number
}

/** A job that was chosen, where it stands, and the turn that it had. */
export interface TakenRow {
  readonly row: number
  readonly job: string
  readonly turn: number
}

interface HeldLease {
  readonly session: string
  readonly turn: number
}

export class JobTable {
  readonly rows: JobRows = new JobRows()
  readonly counts: number[] = [0, 0, 0, 0, 0, 0, 0]
  /** Scheduled because of a retry. */
  retries = 0
  /** Rows that have ended, by when. */
  readonly ended: TimeHeap = new TimeHeap()
  readonly endedBadly: TimeHeap = new TimeHeap()
  readonly parents: Parents = new Parents()
  /** How many of a group may be active. */
  groupMax = 1
  readonly #ready: RowHeap
  readonly #scheduled = new TimeHeap()
  readonly #groupsLater = new TimeHeap()
  readonly #groups: (Group | undefined)[] = [undefined]
  readonly #groupNumbers = new Map<string, number>()
  readonly #freeGroups: number[] = []
  readonly #leases = new Map<string, HeldLease>()
  readonly #sessions = new Map<string, Set<string>>()

  constructor() {
    this.#ready = new RowHeap((a, b) => this.#before(a, b))
  }

  /** When the next scheduled job or group is ready; undefined if none is scheduled. */
  get nextTime(): number | undefined {
    const a = this.#scheduled.time
    const b = this.#groupsLater.time
    return a === undefined || (b !== undefined && b < a) ? b : a
  }

  get hasReady(): boolean {
    return this.#ready.size > 0
  }

  groupOf(row: number): Group | undefined {
    return this.#groups[this.rows.group[row]!]
  }

  /** Takes in the newest value of a job. `parents` says whether a job that it waits for is done, failed, or still open. */
  put(id: string, value: JobValue, now: number): number {
    let row = this.rows.find(id)
    const isNew = row < 0
    if (isNew) {
      row = this.rows.add(id)
      // Not yet known: any state will do in which nothing is kept about it elsewhere.
      this.rows.state[row] = STATE.blocked
      this.counts[STATE.blocked]!++
      this.rows.priority[row] = value.priority ?? 0
      this.rows.group[row] = value.group === undefined ? 0 : this.#joinGroup(value.group)
    }
    this.rows.turn[row] = value.turn ?? 0
    this.rows.added[row] = value.added
    this.#noteWait(row, value)
    this.setState(row, this.#stateOf(row, id, value, now))
    if (value.end !== undefined) for (const child of this.parents.tellChildren(id, value)) this.#free(child, now)
    return row
  }

  /** Takes in the newest value of a job of another queue, that jobs of this one wait for. */
  putForeign(id: string, value: JobValue, now: number): void {
    for (const child of this.parents.putForeign(id, value)) this.#free(child, now)
  }

  remove(id: string): void {
    const row = this.rows.find(id)
    if (row < 0) return
    this.#unline(row)
    this.parents.unblock(id)
    if (this.#isRetry(row)) this.retries--
    const { state } = this.rows
    this.counts[state[row]!]!--
    const group = this.groupOf(row)
    if (group && state[row] === STATE.active) group.active--
    const waits = (this.rows.flags[row]! & FLAG.ready) !== 0
    this.rows.drop(row)
    if (group) this.#leaveGroup(group)
    // A row that the heap still has is used again when it comes out of there: its order must not change.
    if (!waits) this.rows.release(row)
  }

  /** The leases of a session are these now. */
  putSession(session: string, leases: readonly { readonly job: string; readonly turn: number }[]): void {
    const before = this.#sessions.get(session)
    const now = new Set<string>()
    for (const { job, turn } of leases) {
      now.add(job)
      const held = this.#leases.get(job)
      if (held && held.turn > turn) continue
      this.#leases.set(job, { session, turn })
      const row = this.rows.find(job)
      if (row >= 0 && this.#isOpen(row) && this.rows.turn[row] === turn) this.setState(row, STATE.active)
    }
    this.#sessions.set(session, now)
    for (const job of before ?? []) if (!now.has(job)) this.endLease(session, job)
    if (now.size === 0) this.#sessions.delete(session)
  }

  /** A lease is over, whatever became of the job. Who knows its row says so. */
  endLease(session: string, job: string, known?: number): void {
    this.#sessions.get(session)?.delete(job)
    if (this.#leases.get(job)?.session !== session) return
    this.#leases.delete(job)
    const row = known ?? this.rows.find(job)
    if (row >= 0 && this.rows.state[row] === STATE.active) this.setState(row, STATE.waiting)
  }

  /** Leases of others for jobs, or turns of jobs, that have not come here yet. They count for limits all the same. */
  unseen(): number {
    let count = 0
    for (const [job, { turn }] of this.#leases) {
      const row = this.rows.find(job)
      if (row < 0 || this.rows.turn[row]! < turn) count++
    }
    return count
  }

  /** The next ready job, marked active for `session`; undefined if there is none. */
  take(session: string): TakenRow | undefined {
    const { rows } = this
    for (;;) {
      const row = this.#ready.pop()
      if (row === undefined) return undefined
      rows.flags[row]! &= ~FLAG.ready
      if (rows.state[row] === STATE.free) {
        rows.release(row)
        continue
      }
      const group = this.groupOf(row)
      if (group) {
        // Another of its group came before it meanwhile, or the group has no room any more.
        if (group.offered !== row) continue
        group.offered = NONE
        if (group.active >= this.groupMax) continue
      }
      if (rows.state[row] !== STATE.waiting) {
        if (group) this.#offer(group)
        continue
      }
      const taken = { row, job: rows.idOf(row), turn: rows.turn[row]! }
      this.promise(taken.job, session, taken.turn)
      this.setState(row, STATE.active)
      return taken
    }
  }

  /** A lease of a job that may not have come here yet, of this handle: who promises it ends it, whatever becomes of the session. */
  promise(job: string, session: string, turn: number): void {
    this.#leases.set(job, { session, turn })
  }

  /** Undoes a take. The group, if it has one, starts nothing before `until`. */
  giveBack({ row, job }: TakenRow, session: string, until = 0): void {
    const group = this.groupOf(row)
    if (group && until > group.until) {
      group.until = until
      this.#groupsLater.push(until, group.number)
    }
    this.endLease(session, job, row)
  }

  /** Other limits hold: what held groups back is judged anew. */
  reopen(groupMax: number): void {
    this.groupMax = groupMax
    for (const group of this.#groups) {
      if (!group) continue
      group.until = 0
      this.#offer(group)
    }
  }

  /** Moves what is due at `now` to the ready ones. */
  promote(now: number): void {
    while (this.#scheduled.size > 0 && this.#scheduled.time! <= now) {
      const { time, row } = this.#scheduled.pop()!
      if (this.rows.state[row] === STATE.scheduled && this.rows.time[row] === time) this.setState(row, STATE.waiting)
    }
    while (this.#groupsLater.size > 0 && this.#groupsLater.time! <= now) {
      const group = this.#groups[this.#groupsLater.pop()!.row]
      if (group) this.#offer(group, now)
    }
  }

  setState(row: number, state: number): void {
    const { rows } = this
    const before = rows.state[row]!
    const group = this.groupOf(row)
    if (this.#isRetry(row)) this.retries--
    this.counts[before]!--
    this.counts[state]!++
    rows.state[row] = state
    if (this.#isRetry(row)) this.retries++
    if (group) group.active += Number(state === STATE.active) - Number(before === STATE.active)
    if (state === STATE.scheduled) this.#scheduled.push(rows.time[row]!, row)
    if (state >= STATE.done) {
      if (state !== before) (state === STATE.done ? this.ended : this.endedBadly).push(rows.time[row]!, row)
      this.#unline(row)
    } else if (group && this.#belongsInLine(row)) this.#line(row, group)
    if (group) this.#offer(group)
    else if (state === STATE.waiting) this.#push(row)
  }

  /** The age in ms of the waiting job that was added first. Looks at every row. */
  oldestWaiting(now: number): number {
    const { state, added, length } = this.rows
    let oldest = now
    for (let row = 0; row < length; row++)
      if (state[row] === STATE.waiting && added[row]! < oldest) oldest = added[row]!
    return now - oldest
  }

  #stateOf(row: number, id: string, value: JobValue, now: number): number {
    this.rows.time[row] = value.ended ?? value.at ?? 0
    if (value.end !== undefined) {
      this.parents.unblock(id)
      return STATE[value.end]
    }
    const lease = this.#leases.size === 0 ? undefined : this.#leases.get(id)
    if (lease && lease.turn === this.rows.turn[row]) return STATE.active
    if (value.after && this.parents.isBlocked(id, value, (parent) => this.#parentState(parent))) return STATE.blocked
    return value.at !== undefined && value.at > now ? STATE.scheduled : STATE.waiting
  }

  #noteWait(row: number, { wait }: JobValue): void {
    const isScheduled = this.rows.state[row] === STATE.scheduled
    if (isScheduled && (this.rows.flags[row]! & FLAG.retry) !== 0) this.retries--
    this.rows.flags[row] =
      (this.rows.flags[row]! & ~(FLAG.retry | FLAG.snooze)) |
      (wait === 'retry' ? FLAG.retry : wait === 'snooze' ? FLAG.snooze : 0)
    if (isScheduled && wait === 'retry') this.retries++
  }

  #isRetry(row: number): boolean {
    return this.rows.state[row] === STATE.scheduled && (this.rows.flags[row]! & FLAG.retry) !== 0
  }

  #isOpen(row: number): boolean {
    return this.rows.state[row]! < STATE.done
  }

  #parentState(parent: string): 'done' | 'open' | 'failed' | undefined {
    const row = this.rows.find(parent)
    if (row < 0) return undefined
    return this.#isOpen(row) ? 'open' : this.rows.state[row] === STATE.done ? 'done' : 'failed'
  }

  /** A child of a failed parent that runs all the same. */
  forgive(child: string, parent: string, now: number): void {
    if (this.parents.forgive(child, parent)) this.#free(child, now)
  }

  /** What was blocked is ready, or has a date. */
  #free(id: string, now: number): void {
    const row = this.rows.find(id)
    if (row < 0 || this.rows.state[row] !== STATE.blocked) return
    this.setState(row, this.rows.time[row]! > now ? STATE.scheduled : STATE.waiting)
  }

  #joinGroup(name: string): number {
    const known = this.#groups[this.#groupNumbers.get(name) ?? 0]
    if (known) {
      known.jobs++
      return known.number
    }
    const number = this.#freeGroups.pop() ?? this.#groups.length
    this.#groups[number] = {
      number,
      name,
      active: 0,
      count: 0,
      head: NONE,
      tail: NONE,
      offered: NONE,
      until: 0,
      jobs: 1,
    }
    this.#groupNumbers.set(name, number)
    return number
  }

  #leaveGroup(group: Group): void {
    if (--group.jobs > 0) {
      this.#offer(group)
      return
    }
    this.#groupNumbers.delete(group.name)
    this.#groups[group.number] = undefined
    this.#freeGroups.push(group.number)
  }

  #belongsInLine(row: number): boolean {
    const state = this.rows.state[row]
    if (state === STATE.blocked) return false
    return state !== STATE.scheduled || (this.rows.flags[row]! & (FLAG.retry | FLAG.snooze)) !== 0
  }

  /** In the order of arrival: what comes back into the line takes its old place. */
  #line(row: number, group: Group): void {
    const { rows } = this
    if ((rows.flags[row]! & FLAG.lined) !== 0) return
    let behind = group.tail
    while (behind !== NONE && rows.arrival[behind]! > rows.arrival[row]!) behind = rows.before[behind]!
    const ahead = behind === NONE ? group.head : rows.next[behind]!
    rows.before[row] = behind
    rows.next[row] = ahead
    if (behind === NONE) group.head = row
    else rows.next[behind] = row
    if (ahead === NONE) group.tail = row
    else rows.before[ahead] = row
    rows.flags[row]! |= FLAG.lined
    group.count++
  }

  #unline(row: number): void {
    const group = this.groupOf(row)
    const { rows } = this
    if (!group || (rows.flags[row]! & FLAG.lined) === 0) return
    const behind = rows.before[row]!
    const ahead = rows.next[row]!
    if (behind === NONE) group.head = ahead
    else rows.next[behind] = ahead
    if (ahead === NONE) group.tail = behind
    else rows.before[ahead] = behind
    rows.flags[row]! &= ~FLAG.lined
    group.count--
  }

  /** Puts the first of a group's line that may start into the heap. */
  #offer(group: Group, now = 0): void {
    if (now >= group.until) group.until = 0
    if (group.active >= this.groupMax || group.until > 0) return
    const first = this.#firstOf(group)
    if (first === NONE || first === group.offered) return
    group.offered = first
    this.#push(first)
  }

  #firstOf(group: Group): number {
    const { state, next } = this.rows
    if (this.groupMax === 1) return group.head !== NONE && state[group.head] === STATE.waiting ? group.head : NONE
    for (let row = group.head; row !== NONE; row = next[row]!) if (state[row] === STATE.waiting) return row
    return NONE
  }

  #push(row: number): void {
    if ((this.rows.flags[row]! & FLAG.ready) !== 0) return
    this.rows.flags[row]! |= FLAG.ready
    this.#ready.push(row)
  }

  #before(a: number, b: number): boolean {
    const { priority, arrival } = this.rows
    const pa = priority[a]!
    const pb = priority[b]!
    return pa === pb ? arrival[a]! < arrival[b]! : pa > pb
  }
}
