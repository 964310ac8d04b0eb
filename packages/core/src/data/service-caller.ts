/**
 * The calls of one process to one service: a desk of its own, and slots that are used again and again. A slot belongs to
 * one call from the request on until its reply was read, or until it was withdrawn for certain.
 */
import { deferred } from '../base/deferred.ts'
import { type Duration, durationMs } from '../base/duration.ts'
import { AteError, isAteError, throwIfAborted } from '../base/errors.ts'
import { type EntityId, toBase32 } from '../base/ids.ts'
import { SERVICE_CALLS_MAX, SERVICE_TIMEOUT_MAX, SERVICE_WAITING_MAX } from '../base/limits.ts'
import type { ChainCore, PublishedRecord } from '../chain/chain-core.ts'
import type { Chain } from './chain.ts'
import type { EntityRef } from './entity.ts'
import { errorOfReply, Pending, type SlotHandle } from './service-pending.ts'
import {
  type AnsweredCall,
  authorOf,
  DESKS,
  Desk,
  deskPrincipals,
  expiryOf,
  type FailedCall,
  findService,
  isAllowed,
  LEASES,
  Lease,
  Lobby,
  type ServicePlace,
  SLOTS,
  Slot,
  type SlotValue,
} from './service-place.ts'

const TIMEOUT = '30s'
/** The request outlives the wait for it a little, so that a slow withdrawal finds it. */
const SLACK_MS = 5000
/** How long a call that has timed out waits to hear whether it was withdrawn. */
const WITHDRAW_MS = 1000
/** Replies that were read are removed when their slot was not used again for this long. */
const TIDY_MS = 1000
const TIDY_SLOTS = 256
/** Desks of processes that are gone are swept. A living one renews its desk in the second half of this. */
const DESK_MS = 24 * 3_600_000

export interface InvokeOptions {
  /** How long to wait for the reply; 30 s if left out, at most 12 hours. */
  readonly timeout?: Duration
  /** Withdraws the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

export class Caller {
  readonly #chain: Chain
  readonly #core: ChainCore
  readonly #name: string
  readonly #parent: EntityRef | undefined
  /** Calls whose requests are written or on their way, by slot. */
  readonly #asked = new Map<string, Pending>()
  /** All that have not been told. */
  readonly #open = new Set<Pending>()
  readonly #free: SlotHandle[] = []
  readonly #waiting: { readonly pending: Pending; readonly go: (slot: SlotHandle) => void }[] = []
  #slots = 0
  #nextSlot = 0
  #place: ServicePlace | undefined
  #desk: EntityId | undefined
  #opening: Promise<EntityId> | undefined
  readonly #foundWaiters = new Set<() => void>()
  #tidying: { cancel(): void } | undefined
  #isListening = false

  constructor(chain: Chain, core: ChainCore, at: { readonly name: string; readonly parent: EntityRef | undefined }) {
    this.#chain = chain
    this.#core = core
    this.#name = at.name
    this.#parent = at.parent
  }

  /** @throws as invoke says */
  call(procedure: string, input: unknown, { timeout = TIMEOUT, signal }: InvokeOptions): Promise<unknown> {
    throwIfAborted(signal)
    this.#core.assertWritable()
    const timeoutMs = durationMs(timeout, this.#core.now)
    if (timeoutMs < 1 || timeoutMs > SERVICE_TIMEOUT_MAX)
      throw new AteError('BAD_ARGUMENT', { timeoutMs, max: SERVICE_TIMEOUT_MAX })
    if (this.#waiting.length >= SERVICE_WAITING_MAX)
      throw new AteError('TOO_MANY_CALLS', { ...this.#where(procedure), max: SERVICE_WAITING_MAX })
    this.#listen()
    return new Promise((resolve, reject) => {
      const call = toBase32(this.#core.newNonce())
      const pending = new Pending({ call, procedure, input, timeoutMs }, { resolve, reject })
      this.#open.add(pending)
      const timer = this.#core.environment.timers.start(timeoutMs, () => void this.#timeOut(pending), {
        holds: 'process',
      })
      const onAbort = (): void => this.#abort(pending, signal?.reason)
      signal?.addEventListener('abort', onAbort, { once: true })
      pending.stop = () => {
        this.#open.delete(pending)
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
      }
      this.#ask(pending).catch((error) => pending.reject(error))
    })
  }

  async #ask(pending: Pending): Promise<void> {
    const slot = await this.#takeSlot(pending)
    if (!slot) return
    try {
      const desk = await this.#openDesk(pending)
      if (desk === undefined || pending.isTold) return this.#release(slot)
      await this.#write(pending, slot, desk)
    } catch (error) {
      if (slot.id !== undefined) this.#asked.delete(slot.id)
      this.#release(slot)
      if (isAteError(error) && error.code === 'NOT_FOUND') this.#forgetPlace()
      throw error
    }
    // A reply may have come before our own acknowledgement was heard of.
    if (pending.state === 'asking') pending.state = 'asked'
    if (pending.isTold && pending.state === 'asked') await this.#withdraw(pending)
  }

  async #write(pending: Pending, slot: SlotHandle, desk: EntityId): Promise<void> {
    const { call, procedure, input, timeoutMs } = pending
    pending.slot = slot
    await this.#chain.transact((tx) => {
      const value = { state: 'asked', call, procedure, input } as const
      const made = tx.put(Slot, slot.name, value, { parent: desk, in: SLOTS, ttl: timeoutMs + SLACK_MS })
      const until = expiryOf(this.#core, desk)
      if (until !== undefined && until - this.#core.now < DESK_MS / 2) tx.expire(desk, { ttl: DESK_MS })
      slot.id = made.id
      slot.readAt = undefined
      pending.state = 'asking'
      // Before it is written: the reply cannot come before that.
      this.#asked.set(made.id, pending)
    })
  }

  /** A slot for this call alone; undefined if the call is over before there is one. */
  #takeSlot(pending: Pending): Promise<SlotHandle | undefined> | SlotHandle {
    const free = this.#free.pop()
    if (free) return free
    if (this.#slots < SERVICE_CALLS_MAX) {
      this.#slots++
      return this.#newSlot()
    }
    return new Promise((resolve) => {
      const waiter = { pending, go: resolve }
      this.#waiting.push(waiter)
      void pending.over.then(() => {
        const at = this.#waiting.indexOf(waiter)
        if (at < 0) return
        this.#waiting.splice(at, 1)
        resolve(undefined)
      })
    })
  }

  #release(slot: SlotHandle): void {
    const waiter = this.#waiting.shift()
    if (waiter) {
      waiter.go(slot)
      return
    }
    this.#free.push(slot)
    if (slot.readAt !== undefined) this.#tidyLater()
  }

  /** The slot may still be written to: nobody uses it again, and it expires. */
  #abandonSlot(): void {
    if (this.#waiting.length === 0) this.#slots--
    else this.#release(this.#newSlot())
  }

  #newSlot(): SlotHandle {
    return { name: String(this.#nextSlot++), id: undefined, readAt: undefined }
  }

  /** The desk of this process, made at the first call; undefined if the call is over before there is one. */
  async #openDesk(pending: Pending): Promise<EntityId | undefined> {
    while (!pending.isTold) {
      this.#place ??= findService(this.#chain, this.#name, this.#parent)
      if (this.#place) {
        if (this.#desk !== undefined) return this.#desk
        this.#opening ??= this.#makeDesk(this.#place).finally(() => {
          this.#opening = undefined
        })
        return this.#opening
      }
      const { promise, resolve } = deferred()
      this.#foundWaiters.add(resolve)
      await Promise.race([promise, pending.over])
      this.#foundWaiters.delete(resolve)
    }
    return undefined
  }

  /** Its id follows from who makes it, so nobody can have made one for us; its policies are set with it. */
  async #makeDesk(place: ServicePlace): Promise<EntityId> {
    const who = deskPrincipals(this.#core, place)
    const desk = await this.#chain.transact((tx) =>
      tx.create(Desk, null, { parent: place.lobby, in: DESKS, read: who, write: who, ttl: DESK_MS }),
    )
    this.#desk = desk.id
    return desk.id
  }

  /** The service, or the desk, was taken away: the next call looks again. */
  #forgetPlace(): void {
    this.#place = undefined
    this.#desk = undefined
  }

  #listen(): void {
    if (this.#isListening) return
    this.#isListening = true
    this.#core.listeners.add((record) => this.#hear(record))
    this.#core.closers.add(() => this.#end())
  }

  #hear({ transactions }: PublishedRecord): void {
    if (this.#asked.size === 0 && this.#foundWaiters.size === 0) return
    const { view } = this.#core.replica
    const rows: number[] = []
    let founded = false
    for (const { events } of transactions) {
      for (const { row } of events) {
        if (row <= 0) continue
        const type = view.typeOf(row)
        if (type === Slot.name) rows.push(row)
        if (type === Lobby.name) founded = true
      }
    }
    if (rows.length > 0) queueMicrotask(() => this.#noteSlots(rows))
    if (founded) queueMicrotask(() => this.#noteFounded())
  }

  #noteFounded(): void {
    for (const go of [...this.#foundWaiters]) go()
  }

  #noteSlots(rows: readonly number[]): void {
    for (const row of rows) {
      const pending = this.#asked.get(this.#core.replica.view.idText(row))
      if (pending) this.#look(pending).catch((error) => this.#finish(pending, () => pending.reject(error)))
    }
  }

  /** Takes the reply, if there is one. */
  async #look(pending: Pending): Promise<void> {
    const id = pending.slot!.id!
    const found = await this.#chain.get(Slot, id)
    const isService = await this.#isByService(id)
    if (this.#asked.get(id) !== pending) return
    if (!found) return this.#finish(pending, () => pending.reject(this.#lost(pending, 'the request was removed')))
    const { value } = found
    if (value.state !== 'answered' && value.state !== 'failed') return
    if (value.call !== pending.call) return
    if (!isService)
      throw new AteError('NOT_AUTHORIZED', { ...this.#facts(pending), what: 'the reply is not of the service' })
    this.#finish(pending, () => this.#deliver(pending, value))
  }

  /** The fold lets nobody but the service write there; who has been taken off its list since is not believed any more. */
  async #isByService(slot: EntityId): Promise<boolean> {
    const author = await authorOf(this.#core, slot)
    return author !== undefined && this.#place !== undefined && isAllowed(this.#core, this.#place, author, 'serve')
  }

  #deliver(pending: Pending, value: AnsweredCall | FailedCall): void {
    if (value.state === 'answered') pending.resolve(value.output)
    else pending.reject(errorOfReply(value, this.#facts(pending)))
  }

  /** The slot is free for the next call, and the caller is told. */
  #finish(pending: Pending, tell: () => void): void {
    const slot = pending.slot!
    if (this.#asked.get(slot.id!) !== pending) return
    this.#asked.delete(slot.id!)
    pending.state = 'over'
    slot.readAt = this.#core.environment.clock.monotonic()
    tell()
    this.#release(slot)
  }

  #abort(pending: Pending, reason: unknown): void {
    const { state } = pending
    pending.reject(reason)
    if (state === 'asked') void this.#withdraw(pending)
  }

  async #timeOut(pending: Pending): Promise<void> {
    if (!this.#place) return pending.reject(new AteError('NO_SERVICE', { ...this.#where(pending.procedure) }))
    if (pending.state === 'new') return pending.reject(this.#timeout(pending, 'not taken'))
    if (pending.state === 'asking') return pending.reject(this.#timeout(pending, 'unknown'))
    const { promise, resolve } = deferred<'unknown'>()
    const timer = this.#core.environment.timers.start(WITHDRAW_MS, () => resolve('unknown'), { holds: 'process' })
    const outcome = await Promise.race([this.#withdraw(pending), promise])
    timer.cancel()
    // A reply that came at the last moment is one.
    if (typeof outcome === 'object') this.#deliver(pending, outcome)
    else pending.reject(this.#timeout(pending, outcome))
  }

  #timeout(pending: Pending, state: 'taken' | 'not taken' | 'unknown'): AteError {
    return new AteError('TIMEOUT', { ...this.#facts(pending), timeoutMs: pending.timeoutMs, state })
  }

  /**
   * Takes the request back, whether or not an instance is at it: its reply finds no request then. What became of it; a
   * reply that is there already.
   */
  async #withdraw(pending: Pending): Promise<'taken' | 'not taken' | 'unknown' | AnsweredCall | FailedCall> {
    const slot = pending.slot!
    const id = slot.id!
    const place = this.#place
    // From here on the slot is this withdrawal's.
    if (!place || this.#asked.get(id) !== pending) return 'unknown'
    this.#asked.delete(id)
    pending.state = 'over'
    try {
      const outcome = await this.#chain.transact(
        async (tx): Promise<'taken' | 'not taken' | AnsweredCall | FailedCall> => {
          const found = await tx.get(Slot, id)
          const value = found?.value
          if (!value || value.state === 'free' || value.call !== pending.call) return 'not taken'
          if (value.state !== 'asked') return (await this.#isByService(id)) ? value : 'not taken'
          const lease = await tx.named(Lease, id, { parent: place.service, in: LEASES })
          await tx.update<SlotValue>(Slot, id, () => ({ state: 'free' }))
          return lease?.value.call === pending.call ? 'taken' : 'not taken'
        },
      )
      slot.readAt = this.#core.environment.clock.monotonic()
      this.#release(slot)
      return outcome
    } catch {
      this.#abandonSlot()
      return 'unknown'
    }
  }

  #tidyLater(): void {
    this.#tidying ??= this.#core.environment.timers.start(TIDY_MS, () => void this.#tidy())
  }

  /** Removes replies that were read and that no request has replaced since. */
  async #tidy(): Promise<void> {
    const before = this.#core.environment.clock.monotonic() - TIDY_MS
    const idle = this.#free.filter(({ readAt }) => readAt !== undefined && readAt <= before).slice(0, TIDY_SLOTS)
    for (const slot of idle) this.#free.splice(this.#free.indexOf(slot), 1)
    try {
      if (idle.length > 0)
        await this.#chain.transact(
          async (tx) => {
            for (const { id } of idle) if (await tx.get(Slot, id!)) tx.delete(id!)
          },
          { durability: 'memory' },
        )
    } catch {
      // They expire, and are swept: whoever runs the service does that too.
    }
    for (const slot of idle) {
      slot.readAt = undefined
      this.#release(slot)
    }
    this.#tidying = undefined
    if (this.#free.some(({ readAt }) => readAt !== undefined) && !this.#core.isClosed) this.#tidyLater()
  }

  #end(): void {
    this.#tidying?.cancel()
    for (const pending of [...this.#open])
      pending.reject(new AteError('CHAIN_CLOSED', { chain: this.#core.chainId, ...this.#facts(pending) }))
  }

  #lost(pending: Pending, why: string): AteError {
    return new AteError('CALL_LOST', { ...this.#facts(pending), why })
  }

  #where(procedure: string): { readonly service: string; readonly procedure: string } {
    return { service: this.#name, procedure }
  }

  #facts({ call, procedure }: Pending): {
    readonly service: string
    readonly procedure: string
    readonly call: string
  } {
    return { ...this.#where(procedure), call }
  }
}
