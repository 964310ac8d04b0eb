/**
 * An instance of a service: it sees requests, takes those that wait, runs their handlers, and writes replies. What it keeps
 * in memory is a hint: whether a call is to be taken, and whose reply counts, the log decides (service-calls.ts). Requests
 * that nobody told it of, and leases that ran out, it finds when it looks round.
 */
import { deferred } from '../base/deferred.ts'
import { type Duration, durationMs } from '../base/duration.ts'
import { AteError, isAlarm, isAteError } from '../base/errors.ts'
import { SERVICE_CONCURRENCY_MAX, SERVICE_SEEN_MAX } from '../base/limits.ts'
import type { ChainCore, PublishedRecord } from '../chain/chain-core.ts'
import { Chain } from './chain.ts'
import { answerCall, giveBackCall, keepCall, lost, type Reply, type TakenCall, takeCall } from './service-calls.ts'
import {
  type AnyHandlers,
  checkHandlers,
  failed,
  handleCall,
  type MakeReply,
  type ServiceCall,
  type ServiceHandlers,
} from './service-handling.ts'
import {
  type FoundOptions,
  findService,
  foundService,
  isAllowed,
  isSlotOf,
  type ServicePlace,
  Slot,
  slotsOf,
} from './service-place.ts'
import { isServiceError, type ServiceType } from './service-type.ts'

const CONCURRENCY = 16
const LEASE: Duration = '30s'
/** A lease that a slow machine cannot renew in time is lost for nothing. */
const LEASE_MS_MIN = 300
const GRACE: Duration = '5s'
/** What close waits, behind the grace, for what is written. Without a connection that would be for ever. */
const SETTLE_MS = 5000
/** An instance looks for what it has missed at least this often, and sweeps what has expired on the chain this often. */
const LOOK_MS = 15_000
const SWEEP_MS = 60_000

/** `by`, `callers`: as foundService takes them, for a service that is not there yet. */
export interface ServiceOptions extends FoundOptions {
  /** Handlers at a time; 16 if left out. */
  readonly concurrency?: number
  /** How long another instance waits for this one, should it vanish; 30 s if left out. Renewed while a handler runs. */
  readonly lease?: Duration
  /** How long close waits for handlers that run; 5 s if left out. */
  readonly grace?: Duration
  /** Closes the instance. */
  readonly signal?: AbortSignal
  /** Told of what handlers throw, other than ServiceError, and of what fails beside them. A warning of the process if left out. */
  readonly onError?: (error: unknown, call?: ServiceCall) => void
}

export interface Served extends AsyncDisposable {
  /** Resolves when the service is founded and this instance takes calls. @throws AteError NO_SERVICE | NOT_AUTHORIZED */
  readonly ready: Promise<void>
  /** Calls that this instance is at. */
  readonly running: number
  /**
   * Takes nothing more, waits for what runs as long as `grace` says, and gives the rest back to other instances. What is not
   * given back five seconds later (the server is away) is taken by others when its lease is over.
   */
  close(): Promise<void>
}

/**
 * Serves `type` on a chain: every call of every caller is answered by one of the instances, once. A handler that throws
 * a ServiceError tells its caller why; anything else arrives there as HANDLER_FAILED, and here at `onError`. A handler may
 * be run again, by another instance, if this one vanishes in the middle; its reply, and what it commits with it, count once.
 * The service is founded if it is not there and this identity manages the parent.
 * @throws AteError BAD_ARGUMENT | CHAIN_CLOSED | READ_ONLY
 */
export function service<P extends object>(
  chain: Chain,
  type: ServiceType<P>,
  handlers: ServiceHandlers<P>,
  options: ServiceOptions = {},
): Served {
  return new Instance(chain, type, handlers as unknown as AnyHandlers, options)
}

/** A call that this instance looks at, or is at. */
interface Running {
  readonly abort: AbortController
  taken: TakenCall | undefined
  /** The handler is done: what becomes of the slot now is our own doing. */
  answering: boolean
  /** Something happened to the slot meanwhile, perhaps the next request. */
  again: boolean
  /** Others may take it: this instance says nothing of it any more. */
  givenBack: boolean
  readonly done: Promise<void>
}

class Instance implements Served {
  readonly ready: Promise<void>
  readonly #chain: Chain
  readonly #core: ChainCore
  readonly #type: ServiceType<object>
  readonly #handlers: AnyHandlers
  readonly #options: ServiceOptions
  readonly #concurrency: number
  readonly #leaseMs: number
  readonly #graceMs: number
  readonly #seen = new Set<string>()
  /** By slot, as long as what is run is the call that stands there. */
  readonly #running = new Map<string, Running>()
  readonly #active = new Set<Running>()
  readonly #onRecord: (record: PublishedRecord) => void
  readonly #onChainClosed: () => void
  readonly #onAbort: () => void
  #place: ServicePlace | undefined
  #look: { cancel(): void } | undefined
  #sweptAt: number
  #isClosing = false
  #closing: Promise<void> | undefined

  constructor(chain: Chain, type: ServiceType<object>, handlers: AnyHandlers, options: ServiceOptions) {
    this.#chain = chain
    this.#core = Chain.coreOf(chain)
    this.#core.assertWritable()
    this.#type = type
    this.#handlers = checkHandlers(type, handlers)
    this.#options = options
    this.#concurrency = concurrencyOf(options)
    this.#leaseMs = Math.max(LEASE_MS_MIN, durationMs(options.lease ?? LEASE, this.#core.now))
    this.#graceMs = durationMs(options.grace ?? GRACE, this.#core.now)
    this.#sweptAt = this.#core.now
    this.#onRecord = (record) => this.#hear(record)
    this.#onChainClosed = () => this.#end('CHAIN_CLOSED')
    this.#onAbort = () => void this.close()
    this.ready = this.#start().catch((error) => {
      const isAsked = this.#isClosing
      this.#stop()
      if (!isAsked) throw error
    })
    // Who gave a listener hears of it there.
    if (options.onError) this.ready.catch((error) => this.#report(error))
  }

  get running(): number {
    return this.#active.size
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #start(): Promise<void> {
    const { signal, parent } = this.#options
    const { name } = this.#type
    if (signal?.aborted) return this.#stop()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#core.closers.add(this.#onChainClosed)
    if (!findService(this.#chain, name, parent)) await this.#found()
    const place = findService(this.#chain, name, parent)
    if (!place) throw new AteError('NO_SERVICE', { service: name })
    if (!isAllowed(this.#core, place, this.#core.identityName, 'serve'))
      throw new AteError('NOT_AUTHORIZED', { service: name, needs: 'to be named by the service' })
    if (this.#isClosing) return
    this.#place = place
    this.#core.listeners.add(this.#onRecord)
    await this.#lookRound()
  }

  async #found(): Promise<void> {
    try {
      await foundService(this.#chain, this.#type, this.#options)
    } catch (error) {
      if (!isAteError(error) || error.code !== 'NOT_AUTHORIZED') throw error
      throw new AteError('NO_SERVICE', { service: this.#type.name }, { cause: error })
    }
  }

  /** Rows first, entities later: what a record says is there for readers only when all of it is acknowledged. */
  #hear({ transactions }: PublishedRecord): void {
    const { view } = this.#core.replica
    const rows: number[] = []
    for (const { events } of transactions)
      for (const { row } of events) if (row > 0 && view.typeOf(row) === Slot.name) rows.push(row)
    if (rows.length > 0) queueMicrotask(() => this.#noteSlots(rows))
  }

  #noteSlots(rows: readonly number[]): void {
    if (this.#isClosing || !this.#place) return
    for (const row of rows) {
      const slot = this.#core.replica.view.idText(row)
      const running = this.#running.get(slot)
      if (running) this.#noteRunning(slot, running)
      else if (isSlotOf(this.#core, this.#place, row)) this.#see(slot)
    }
    this.#pump()
  }

  #noteRunning(slot: string, running: Running): void {
    const { taken } = running
    running.again = true
    if (!taken || running.answering) return
    this.#waiting(slot).then((call) => {
      if (call === taken.call || running.answering) return
      running.abort.abort(lost(taken, 'withdrawn'))
      // A handler that does not listen is no reason to leave the next call in this slot alone.
      if (this.#running.get(slot) === running) this.#running.delete(slot)
      if (call !== undefined) this.#see(slot)
      this.#pump()
    })
  }

  /** Beyond the limit it is found again when the instance looks round. */
  #see(slot: string): void {
    if (this.#seen.size < SERVICE_SEEN_MAX) this.#seen.add(slot)
  }

  #pump(): void {
    for (const slot of this.#seen) {
      if (this.#isClosing || this.#active.size >= this.#concurrency) return
      this.#seen.delete(slot)
      this.#serve(slot)
    }
  }

  /** The call that waits in a slot. What cannot be read or has no shape is nothing that anybody serves. */
  async #waiting(slot: string): Promise<string | undefined> {
    const found = await this.#chain.get(Slot, slot).catch(() => undefined)
    return found?.value.state === 'asked' ? found.value.call : undefined
  }

  #serve(slot: string): void {
    const { promise: done, resolve } = deferred()
    const abort = new AbortController()
    const running: Running = { abort, taken: undefined, answering: false, again: false, givenBack: false, done }
    this.#running.set(slot, running)
    this.#active.add(running)
    this.#takeAndRun(slot, running)
      .catch((error) => this.#report(error))
      .finally(() => {
        this.#active.delete(running)
        if (this.#running.get(slot) === running) this.#running.delete(slot)
        if (running.again) this.#see(slot)
        resolve()
        this.#pump()
      })
  }

  async #takeAndRun(slot: string, running: Running): Promise<void> {
    if ((await this.#waiting(slot)) === undefined || this.#isClosing) return
    running.again = false
    running.taken = await takeCall(this.#chain, this.#place!, slot as TakenCall['slot'], this.#leaseMs)
    if (!running.taken) return
    // The slot may have changed while it was taken, and nobody looked.
    if (running.again) this.#noteRunning(slot, running)
    await this.#run(running.taken, running)
  }

  async #run(taken: TakenCall, running: Running): Promise<void> {
    const { call: id, procedure, caller, deadline } = taken
    const { signal } = running.abort
    const call: ServiceCall = { id, procedure, caller, deadline, signal }
    const stop = this.#keep(taken, running)
    let make: MakeReply
    try {
      make = await handleCall(this.#type, this.#handlers, taken, call)
    } catch (error) {
      // It gave up because it was told to, and the call is somebody else's now.
      if (signal.aborted || running.givenBack) return
      const reply = this.#failure(error, call)
      make = () => reply
    } finally {
      stop()
    }
    running.answering = true
    await this.#answer(taken, call, make)
  }

  /** What cannot be written as it is, is answered with the reason. */
  async #answer(taken: TakenCall, call: ServiceCall, make: MakeReply): Promise<void> {
    try {
      await answerCall(this.#chain, this.#place!, taken, make)
    } catch (error) {
      if (isOver(error)) return
      // No fault of the handler's: the call waits for the end of the lease, and is tried again.
      if (isAteError(error) && isAlarm(error.code)) return this.#report(error, call)
      const reply = this.#failure(error, call)
      await answerCall(this.#chain, this.#place!, taken, () => reply).catch((again) => {
        if (!isOver(again)) this.#report(again, call)
      })
    }
  }

  #failure(error: unknown, call: ServiceCall): Reply {
    if (isServiceError(error)) return failed('SERVICE_ERROR', { reason: error.reason, text: error.text })
    this.#report(error, call)
    const isLarge = isAteError(error) && (error.code === 'VALUE_TOO_LARGE' || error.code === 'TX_TOO_LARGE')
    return isLarge ? failed('VALUE_TOO_LARGE', { what: 'the reply' }) : failed('HANDLER_FAILED', {})
  }

  /** Renews the lease while the handler runs, and tells it when there is no use in going on. */
  #keep(taken: TakenCall, { abort }: Running): () => void {
    const { timers } = this.#core.environment
    let next: { cancel(): void } | undefined
    let isOn = true
    const renew = async (): Promise<void> => {
      try {
        await keepCall(this.#chain, this.#place!, taken, this.#leaseMs)
      } catch (error) {
        if (isOn && isOver(error)) abort.abort(error)
        else if (isOn) this.#report(error)
      }
      if (isOn && !abort.signal.aborted) again()
    }
    const again = (): void => {
      next = timers.start(Math.ceil(this.#leaseMs / 3), () => void renew())
    }
    again()
    const untilDeadline = Math.max(0, taken.deadline - this.#core.now)
    const end = timers.start(untilDeadline, () => abort.abort(lost(taken, 'expired')))
    return () => {
      isOn = false
      next?.cancel()
      end.cancel()
    }
  }

  /** Looks at every slot, for what was missed and what others have let go; now and then drops what has expired. */
  async #lookRound(): Promise<void> {
    try {
      for (const slot of slotsOf(this.#chain, this.#place!)) {
        if (this.#isClosing) return
        if (!this.#running.has(slot) && (await this.#waiting(slot)) !== undefined) this.#see(slot)
      }
      this.#pump()
      if (this.#core.now - this.#sweptAt >= SWEEP_MS) {
        this.#sweptAt = this.#core.now
        await this.#chain.sweep()
      }
    } catch (error) {
      if (!isOver(error)) this.#report(error)
    }
    if (this.#isClosing) return
    const delayMs = Math.min(LOOK_MS, Math.ceil(this.#leaseMs / 2))
    this.#look = this.#core.environment.timers.start(delayMs, () => void this.#lookRound())
  }

  async #close(): Promise<void> {
    this.#stop()
    await this.#within(
      SETTLE_MS,
      this.ready.catch(() => undefined),
    )
    const running = [...this.#active]
    if (running.length > 0) await this.#within(this.#graceMs, Promise.all(running.map(({ done }) => done)))
    const left = [...this.#active]
    this.#end('closing')
    await this.#within(SETTLE_MS, Promise.all(left.map((one) => this.#giveBack(one))))
  }

  async #within(ms: number, done: Promise<unknown>): Promise<void> {
    const { promise, resolve } = deferred()
    const timer = this.#core.environment.timers.start(ms, resolve, { holds: 'process' })
    await Promise.race([done, promise])
    timer.cancel()
  }

  async #giveBack({ taken }: Running): Promise<void> {
    if (!taken) return
    await giveBackCall(this.#chain, this.#place!, taken).catch((error) => {
      if (!isOver(error)) this.#report(error)
    })
  }

  #stop(): void {
    this.#isClosing = true
    this.#seen.clear()
    this.#look?.cancel()
    this.#core.listeners.delete(this.#onRecord)
    this.#core.closers.delete(this.#onChainClosed)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
  }

  /** Handlers that still run are told that nobody waits for them here. */
  #end(why: string): void {
    this.#stop()
    for (const running of this.#active) {
      running.givenBack = true
      running.abort.abort(new AteError('CALL_LOST', { service: this.#type.name, why }))
    }
  }

  #report(error: unknown, call?: ServiceCall): void {
    try {
      if (this.#options.onError) this.#options.onError(error, call)
      else this.#core.observing.warn(error)
    } catch (thrown) {
      this.#core.observing.warn(thrown)
    }
  }
}

function concurrencyOf({ concurrency = CONCURRENCY }: ServiceOptions): number {
  if (Number.isSafeInteger(concurrency) && concurrency >= 1 && concurrency <= SERVICE_CONCURRENCY_MAX)
    return concurrency
  throw new AteError('BAD_ARGUMENT', { concurrency, max: SERVICE_CONCURRENCY_MAX })
}

/** The call is not ours any more, or nothing can be written any more: nothing went wrong here. */
function isOver(error: unknown): boolean {
  return isAteError(error) && (error.code === 'CALL_LOST' || error.code === 'CHAIN_CLOSED')
}
