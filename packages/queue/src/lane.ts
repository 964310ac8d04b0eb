/**
 * Claims jobs for all workers of one handle, many at a time, and keeps the session under which they are held.
 *
 * - A claim writes the lane under the version that it read: claims of all processes come one after the other, and each
 *   sees the leases of all that came before. So limits are exact, and no job has two leases of one turn.
 * - Where this process alone writes the chain, a claim of a session that is durable is handed out when it is written, while it
 *   is synced. A power cut may take it, with all that was built on it: the jobs wait again. Fences that were handed out so are
 *   never given again: a new session begins FENCE_STEP above what it finds. See docs/decisions/0060.
 * - A session is good until somebody else takes it over, which nobody may before its time is over. Who takes it over
 *   deletes its fence, in the same transaction in which its jobs are free again.
 */
import { AteError, type Chain, type Companion, type EntityId, isAteError, type Transaction } from '@ate/core'
import { chooseJobs, leasesOfOthers, type Taken } from './choosing.ts'
import type { QueueEnvironment } from './environment.ts'
import type { Follower } from './follower.ts'
import { freeJob, type LoadedLane, leaveLane, loadLane, requireFence } from './lane-steps.ts'
import type { Rules } from './queue-options.ts'
import {
  decodeLeases,
  encodeLeases,
  FenceRecord,
  IN,
  JobRecord,
  type JobValue,
  LaneRecord,
  type LeaseRecord,
  PulseRecord,
  SessionRecord,
  unlessBad,
} from './queue-records.ts'
import { Rates } from './queue-rules.ts'

/** Jobs of one claim: bounds what one transaction and one session hold. */
const CLAIM_MAX = 4096
/** How far above the fences of the log a session begins: more than all claims that a power cut can take. */
const FENCE_STEP = 2 ** 20
/** Claims of one handle that are handed out and not yet durable. */
const UNSYNCED_MAX = 64
/** Leases of one handle: their records are written with every claim. */
const HELD_MAX = 16_384

/** A lease as its holder knows it. */
export interface Held {
  readonly job: string
  readonly turn: number
  readonly fence: number
  readonly session: string
  readonly fenceId: string
  /** Told once if the lease is lost while it is held. */
  onLost: ((error: AteError) => void) | undefined
  isOver: boolean
  /** Its job is being written as done, and so whoever ends it knows first what becomes of it. */
  isCompleting: boolean
}

/** A claim on its way: what the newest run of its transaction has chosen. */
interface Claim {
  taken: readonly Taken[]
  session: Session | undefined
  fence: number
}

interface Session {
  readonly id: string
  readonly fence: string
  readonly pulse: string
  /** Monotonic time up to which it is surely good. */
  until: number
}

export interface LaneParts {
  readonly chain: Chain
  readonly node: EntityId
  readonly follower: Follower
  readonly environment: QueueEnvironment
  readonly rules: () => Rules
  readonly onLost: (leases: number) => void
  readonly onTakenOver: (leases: number) => void
}

export class Lane {
  readonly held: Map<string, Held> = new Map()
  readonly #parts: LaneParts
  #session: Session | undefined
  /** Claims that are handed out and not yet durable. */
  #unsynced = 0
  /** When the rate limit of the queue lets one more start; chain time. */
  opensAt = 0

  constructor(parts: LaneParts) {
    this.#parts = parts
  }

  get session(): string | undefined {
    return this.#session?.id
  }

  /** Room for more leases. */
  get room(): number {
    return Math.min(CLAIM_MAX, HELD_MAX - this.held.size)
  }

  /** Leases of at most `wanted()` jobs that are ready: committed, or written where that is enough. */
  claim(wanted: () => number): Promise<Held[]> {
    const { follower, rules, environment } = this.#parts
    follower.table.groupMax = rules().groupActiveMax
    const begun = environment.monotonic()
    const claim: Claim = { taken: [], session: undefined, fence: 0 }
    return new Promise((resolve, reject) => {
      let isOut = false
      const handOut = (): void => {
        isOut = true
        resolve(this.#handOut(claim, begun))
      }
      const written = (): void => {
        this.#unsynced++
        handOut()
      }
      this.#parts.chain
        .transact((tx) => this.#stage(tx, claim, wanted), this.#maySkipSync ? { written } : {})
        .then(() => {
          if (isOut) this.#unsynced--
          else handOut()
        })
        .catch((error) => {
          if (isOut) this.#unsynced--
          else this.#giveBack(claim)
          const isLost = isAteError(error) && LOST.has(error.code) && this.#session !== undefined
          if (isOut || isLost) this.#loseSession()
          if (isLost) resolve([])
          else reject(error)
        })
    })
  }

  /** What a power cut takes of claims must not take their session: its fence would be the next one's too. */
  get #maySkipSync(): boolean {
    return this.#session !== undefined && this.#unsynced < UNSYNCED_MAX && this.#parts.chain.isAlone
  }

  async #stage(tx: Transaction, claim: Claim, wanted: () => number): Promise<void> {
    const { follower, rules } = this.#parts
    this.#giveBack(claim)
    claim.session = undefined
    const lane = await loadLane(tx, this.#parts.node)
    if (lane.value.paused) return
    const others = await leasesOfOthers(tx, {
      lane: lane.value,
      own: this.#session?.id,
      isKnown: (job) => follower.table.rows.find(job) >= 0,
    })
    // Nothing may come between these and the choice: what is acknowledged is older, and the follower goes by that.
    for (const [id, leases] of others) follower.table.putSession(id, leases)
    const rates = new Rates(rules().limits, lane.value, follower.now)
    const chosen = chooseJobs(follower, {
      wanted: Math.min(wanted(), this.room),
      activeMax: rules().activeMax,
      rates,
      holder: HELD_BY_CLAIM,
    })
    claim.taken = chosen.taken
    this.opensAt = chosen.opensAt
    if (claim.taken.length === 0) return
    claim.fence = lane.value.claims + (this.#session ? 1 : FENCE_STEP)
    claim.session = await this.#writeClaim(tx, { ...claim, lane, rates })
  }

  /**
   * Claims jobs in the transaction that adds them, and so with its sync: for a worker that waits, where nothing is in the way
   * that only a claim of its own can judge. `handOut` gets the leases when it is acknowledged, none if it is not.
   */
  claimAdded(
    tx: Transaction,
    taken: readonly Taken[],
    handOut: (leases: readonly Held[]) => void,
  ): Promise<Companion | undefined> | undefined {
    const { chain, node, follower, rules } = this.#parts
    if (!this.#session || !chain.isAlone || rules().limits.length > 0) return undefined
    // One that the follower has not heard of would be overtaken.
    const newest = chain.children(JobRecord, node, IN.jobs).newest()
    if (newest !== undefined && follower.table.rows.find(newest) < 0) return undefined
    return this.#stageAdded(tx, taken, handOut)
  }

  async #stageAdded(
    tx: Transaction,
    taken: readonly Taken[],
    handOut: (leases: readonly Held[]) => void,
  ): Promise<Companion | undefined> {
    const { follower, rules, environment } = this.#parts
    const begun = environment.monotonic()
    const lane = await loadLane(tx, this.#parts.node)
    if (lane.value.paused || !this.#session) return undefined
    const claim: Claim = { taken, session: undefined, fence: lane.value.claims + 1 }
    // Before the follower hears of the jobs: they are not ready for anybody else of this handle.
    for (const { job, turn } of claim.taken) follower.table.promise(job, HELD_BY_CLAIM, turn)
    try {
      claim.session = await this.#writeClaim(tx, { ...claim, lane, rates: new Rates(rules().limits, {}, follower.now) })
    } catch (error) {
      this.#giveBack(claim)
      throw error
    }
    return {
      committed: () => handOut(this.#handOut(claim, begun)),
      dropped: () => {
        this.#giveBack(claim)
        handOut([])
      },
    }
  }

  #giveBack(claim: Claim): void {
    for (const { job } of claim.taken) this.#parts.follower.table.endLease(HELD_BY_CLAIM, job)
    claim.taken = []
  }

  #handOut({ taken, session, fence }: Claim, begun: number): Held[] {
    if (!session || taken.length === 0) return []
    const { rules, follower } = this.#parts
    session.until = begun + rules().leaseMs
    this.#session = session
    follower.ownSession = session.id
    return this.#hold(taken, session, fence)
  }

  /** The lease is over: by its own end, or by somebody else's doing. `value` is the job's newest, if it is known. */
  end(held: Held, value?: JobValue): void {
    if (held.isOver) return
    held.isOver = true
    if (this.held.get(held.job) === held) this.held.delete(held.job)
    const { follower } = this.#parts
    const { table } = follower
    // Before the lease goes, or the job would be ready for a moment.
    const row = value && table.put(held.job, value, value.ended ?? follower.now)
    table.endLease(held.session, held.job, row)
  }

  lose(held: Held, error: AteError): void {
    if (held.isOver) return
    this.end(held)
    held.onLost?.(error)
  }

  /** Makes the session last: called often, writes when a third of the lease is over. @throws as transact */
  async renew(): Promise<void> {
    const session = this.#session
    if (!session || this.held.size === 0) return
    const { environment, rules, chain } = this.#parts
    const now = environment.monotonic()
    if (now < session.until - (rules().leaseMs * 2) / 3) return
    try {
      await chain.transact(async (tx) => {
        await requireFence(tx, session.fence)
        tx.expire(session.pulse, { ttl: rules().leaseMs })
      })
      session.until = now + rules().leaseMs
    } catch (error) {
      if (!isAteError(error) || !LOST.has(error.code)) throw error
      if (this.#session === session) this.#loseSession()
    }
  }

  /** Until the leases end if nothing renews them; Infinity without any. */
  get endsInMs(): number {
    if (!this.#session || this.held.size === 0) return Number.POSITIVE_INFINITY
    return this.#session.until - this.#parts.environment.monotonic()
  }

  /** Leases that could not be renewed in time: their holders stop before somebody else begins. */
  checkTime(): void {
    const session = this.#session
    if (session && this.held.size > 0 && this.#parts.environment.monotonic() >= session.until) this.#loseSession()
  }

  /** Frees the jobs of sessions whose time is over. */
  async takeOver(): Promise<void> {
    const { follower, chain } = this.#parts
    for (const id of follower.lane?.sessions ?? []) {
      if (id === this.#session?.id) continue
      if (!chain.has(id)) continue
      const session = (await unlessBad(chain.get(SessionRecord, id)))?.value
      if (session && (await unlessBad(chain.get(PulseRecord, session.pulse))) !== undefined) continue
      await this.#takeOverOne(id, 'with its pulse').catch(async (error) => {
        // The pulse is gone already if somebody has swept the chain.
        if (isAteError(error) && error.code === 'NOT_FOUND') await this.#takeOverOne(id, 'without')
        // Somebody was faster, or its time is not over at the record that this would have been in.
        else if (!isAteError(error) || !TRY_AGAIN.has(error.code)) throw error
      })
    }
  }

  /** Gives all leases back in one commit; no attempt is counted. */
  async close(): Promise<void> {
    const session = this.#session
    if (!session) return
    this.#session = undefined
    for (const held of [...this.held.values()]) this.lose(held, new AteError('LEASE_LOST', { job: held.job }))
    try {
      await this.#parts.chain.transact(async (tx) => {
        if (!(await tx.get(FenceRecord, session.fence))) return
        await leaveLane(tx, (await loadLane(tx, this.#parts.node)).id, session.id)
        tx.delete(session.pulse)
        tx.delete(session.fence)
        tx.delete(session.id)
      })
    } catch (error) {
      if (!isAteError(error) || !CLOSED.has(error.code)) throw error
    }
  }

  async #writeClaim(
    tx: Transaction,
    claim: {
      readonly lane: LoadedLane
      readonly taken: readonly Taken[]
      readonly fence: number
      readonly rates: Rates
    },
  ): Promise<Session> {
    const { node, rules } = this.#parts
    const { lane, taken, fence, rates } = claim
    const leases: LeaseRecord[] = [...this.held.values()]
    for (const { job, turn } of taken) leases.push({ job, turn, fence })
    const value = { leases: encodeLeases(leases) }
    let session = this.#session
    if (session) {
      await requireFence(tx, session.fence)
      await tx.update(SessionRecord, session.id, (before) => ({ ...before, ...value }))
      tx.expire(session.pulse, { ttl: rules().leaseMs })
    } else {
      const fence = tx.create(FenceRecord, {}, { parent: node, in: IN.fences }).id
      const pulse = tx.create(PulseRecord, {}, { parent: node, in: IN.pulses, ttl: rules().leaseMs }).id
      const { id } = tx.create(SessionRecord, { ...value, fence, pulse }, { parent: node, in: IN.sessions })
      session = { id, fence, pulse, until: 0 }
    }
    const { id } = session
    await tx.update(LaneRecord, lane.id, (before) => ({
      claims: fence,
      sessions: before.sessions.includes(id) ? before.sessions : [...before.sessions, id],
      ...(before.paused ? { paused: true as const } : {}),
      ...rates.stored(),
    }))
    return session
  }

  /** What was written counts: a job may have changed meanwhile, and then its lease is void. */
  #hold(taken: readonly Taken[], session: Session, fence: number): Held[] {
    const { table } = this.#parts.follower
    return taken.map(({ job, turn }) => {
      const held: Held = {
        job,
        turn,
        fence,
        session: session.id,
        fenceId: session.fence,
        onLost: undefined,
        isOver: false,
        isCompleting: false,
      }
      this.held.set(job, held)
      table.promise(job, session.id, turn)
      return held
    })
  }

  #loseSession(): void {
    this.#session = undefined
    const lost = [...this.held.values()]
    if (lost.length > 0) this.#parts.onLost(lost.length)
    for (const held of lost) this.lose(held, new AteError('LEASE_LOST', { job: held.job, fence: held.fence }))
  }

  /**
   * Whether an entity stands below this queue. Who writes a session by hand names what he likes in it, and may do less elsewhere
   * than who takes it over.
   */
  #isOwn(id: string): boolean {
    const { chain, node } = this.#parts
    return chain.has(id) && chain.parentOf(id) === node
  }

  async #takeOverOne(id: string, how: 'with its pulse' | 'without'): Promise<void> {
    const { chain, rules, follower } = this.#parts
    const count = await chain.transact(async (tx) => {
      const lane = await loadLane(tx, this.#parts.node)
      if (!lane.value.sessions.includes(id)) return 0
      const session = await unlessBad(tx.get(SessionRecord, id))
      await leaveLane(tx, lane.id, id)
      if (!this.#isOwn(id)) return 0
      let freed = 0
      if (session) {
        const { fence, pulse, leases } = session.value
        if (how === 'with its pulse' && this.#isOwn(pulse)) {
          tx.guard.expired(pulse)
          tx.delete(pulse)
        }
        if (this.#isOwn(fence)) tx.delete(fence)
        for (const lease of decodeLeases(leases))
          if (this.#isOwn(lease.job) && (await freeJob(tx, lease, rules().retryMax, follower.now))) freed++
      }
      tx.delete(id)
      return freed
    })
    if (count > 0) this.#parts.onTakenOver(count)
  }
}

/** What a session loses its place by: its fence is gone, or its own records are, or somebody has spoilt them. */
const LOST: ReadonlySet<string> = new Set(['LEASE_LOST', 'NOT_FOUND', 'BAD_VALUE'])
const TRY_AGAIN: ReadonlySet<string> = new Set(['NOT_EXPIRED', 'CONFLICT', 'TX_RETRIES'])
const CLOSED: ReadonlySet<string> = new Set(['CHAIN_CLOSED', 'LEASE_LOST', 'NOT_FOUND'])
/** Under which the table holds what a claim has chosen until it is committed. */
const HELD_BY_CLAIM = 'claim'
