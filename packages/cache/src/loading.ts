/**
 * One loader at a time for a key: in this process by a table, over the fleet by a lease in the chain.
 *
 * - What a loader brings is of the generation that was known before it began. So an invalidation that comes meanwhile voids it.
 * - A delete or a set of the key that comes meanwhile wins: the lease is gone, or the version is another one, and what was
 *   loaded goes to those who waited and is not kept. Those who ask from then on do not join the old flight.
 */
import type { Transaction } from '@ate/core'
import { endOf, type Lifetime } from './cache-rules.ts'
import type { Loader } from './cache-types.ts'
import { cacheError } from './errors.ts'
import { changeOrTime, Lease } from './lease.ts'
import { frozenCopy } from './plain-values.ts'
import { codeOf, type Store } from './store.ts'
import { DROPPED, type ViewEntry } from './view.ts'
import { findLive, type Prepared, seenPut, stagePut } from './writing.ts'

const LEASE_MS = 10_000
/** Why a lease is tried for again: somebody was faster, or chain time is behind this clock. */
const TRY_AGAIN: ReadonlySet<string> = new Set(['CONFLICT', 'TX_RETRIES'])
const RETRY_MS = 100

export interface LoadPlan {
  readonly key: string
  readonly load: Loader<unknown, unknown>
  readonly lifetime: Lifetime
  readonly tags: readonly string[]
  readonly negativeTtlMs: number | undefined
  readonly timeoutMs: number | undefined
  readonly isFleet: boolean
  readonly isForced: boolean
}

/** What a loader found; `undefined` is a value that means nothing. */
interface Loaded {
  readonly value: unknown
}

interface Flight {
  readonly plan: LoadPlan
  readonly stop: AbortController
  /** Callers that wait. */
  waiting: number
  isOvertaken: boolean
  isDone: boolean
  result: Promise<Loaded>
}

export class Loading {
  readonly #store: Store
  readonly #flights = new Map<string, Flight>()

  constructor(store: Store) {
    this.#store = store
  }

  /** `tx` writes or deletes the key. Until it is acknowledged, a loader may read what was before it. */
  changing(key: string, tx: Transaction): void {
    this.#store.pending.change(key, tx)
    this.#overtaken(key)
  }

  /** It is acknowledged: who asks from now on is not given what was loaded before. */
  changed(key: string): void {
    this.#store.pending.isChanging(key)
    this.#overtaken(key)
  }

  /** What is loaded for the key now is not kept, and nobody joins it any more. */
  #overtaken(key: string): void {
    const flight = this.#flights.get(key)
    if (!flight) return
    flight.isOvertaken = true
    this.#flights.delete(key)
  }

  invalidated(tags: readonly string[], prefix: string | undefined): void {
    for (const { plan } of [...this.#flights.values()]) {
      const isMeant =
        (prefix !== undefined && plan.key.startsWith(prefix)) || plan.tags.some((tag) => tags.includes(tag))
      if (isMeant) this.#overtaken(plan.key)
    }
  }

  /** @throws what the loader throws, or the signal's reason */
  async get(plan: LoadPlan, signal: AbortSignal | undefined): Promise<unknown> {
    signal?.throwIfAborted()
    const store = this.#store
    await store.open()
    const { counts, view } = store
    const entry = view.entries.get(plan.key)
    const now = store.now
    if (entry && !plan.isForced) {
      const { x = Number.POSITIVE_INFINITY, w = 0 } = entry.stored
      if (now < x + w && entry.value !== DROPPED) {
        counts.hits++
        view.hot.used(entry)
        if (now < x) store.upkeep.used(entry)
        else {
          counts.staleHits++
          this.#refresh(plan)
        }
        return entry.value
      }
      if (now < x) {
        const value = await store.fetchValue(plan.key)
        if (value !== undefined) return value.value
      }
    }
    counts.misses++
    return this.#join(plan, signal)
  }

  /** Nobody waits for it: what it throws is observed. */
  #refresh(plan: LoadPlan): void {
    if (this.#flights.has(plan.key)) return
    const flight = this.#begin(plan)
    // Held by the cache itself, not by a caller who could leave.
    flight.waiting++
    flight.result.catch((error) => this.#store.observe({ kind: 'refresh failed', key: plan.key, error }))
  }

  async #join(plan: LoadPlan, signal: AbortSignal | undefined): Promise<unknown> {
    const known = plan.isForced ? undefined : this.#flights.get(plan.key)
    if (known) this.#store.counts.loadsShared++
    const flight = known ?? this.#begin(plan)
    flight.waiting++
    try {
      return (await orAborted(flight.result, signal)).value
    } catch (error) {
      const stale = signal?.aborted ? undefined : this.#afterError(plan.key)
      if (!stale) throw error
      this.#store.counts.staleHits++
      this.#store.observe({ kind: 'refresh failed', key: plan.key, error })
      return stale.value
    } finally {
      // Nobody is left who needs it, and nobody joins what ends.
      if (--flight.waiting === 0 && !flight.isDone) {
        this.#leave(flight)
        flight.stop.abort(signal?.reason)
      }
    }
  }

  #begin(plan: LoadPlan): Flight {
    const flight: Flight = {
      plan,
      stop: new AbortController(),
      waiting: 0,
      isOvertaken: this.#store.pending.isChanging(plan.key),
      isDone: false,
      result: Promise.resolve(NOTHING),
    }
    flight.result = this.#fly(flight).finally(() => {
      flight.isDone = true
      this.#leave(flight)
    })
    // Callers may have left before it fails.
    flight.result.catch(() => undefined)
    this.#flights.set(plan.key, flight)
    return flight
  }

  #leave(flight: Flight): void {
    if (this.#flights.get(flight.plan.key) === flight) this.#flights.delete(flight.plan.key)
  }

  /** What may be served if loading failed. */
  #afterError(key: string): ViewEntry | undefined {
    const { view, now } = this.#store
    const entry = view.entries.get(key)
    if (!entry || entry.value === DROPPED || entry.isNegative) return undefined
    const { x = Number.POSITIVE_INFINITY, e = 0 } = entry.stored
    return now < x + e ? entry : undefined
  }

  async #fly(flight: Flight): Promise<Loaded> {
    const store = this.#store
    const { plan } = flight
    const onClose = (): void => flight.stop.abort(store.closing.signal.reason)
    store.closing.signal.addEventListener('abort', onClose, { once: true })
    const { timeoutMs } = plan
    const timer =
      timeoutMs === undefined
        ? undefined
        : store.environment.start(
            timeoutMs,
            () => flight.stop.abort(cacheError('LOAD_TIMEOUT', { cache: store.name, ms: timeoutMs })),
            'holds',
          )
    try {
      return plan.isFleet && !store.chain.isAlone ? await this.#lead(flight) : await this.#load(flight, undefined)
    } finally {
      timer?.cancel()
      store.closing.signal.removeEventListener('abort', onClose)
    }
  }

  /** Takes the lease and loads; or waits until who has it has loaded. */
  async #lead(flight: Flight): Promise<Loaded> {
    const store = this.#store
    const { plan, stop } = flight
    const { leases } = store.slots
    const by = store.environment.uniqueId()
    for (;;) {
      stop.signal.throwIfAborted()
      const generation = store.view.generation
      const begun = store.environment.monotonic()
      const taken = await this.#take(plan, by)
      if ('value' in taken) return taken
      if ('until' in taken) {
        await changeOrTime(store, taken.until, [stop.signal])
        continue
      }
      const lease = new Lease({ store, slots: leases }, taken.hold, { ttlMs: LEASE_MS, begun })
      try {
        return await this.#load(flight, { lease, generation, version: taken.version })
      } finally {
        lease.stop()
      }
    }
  }

  async #take(
    plan: LoadPlan,
    by: string,
  ): Promise<
    Loaded | { readonly until: number } | { readonly hold: Lease['hold']; readonly version: number | undefined }
  > {
    const store = this.#store
    const { key, isForced } = plan
    try {
      return await store.chain.transact(async (tx) => {
        const live = await findLive(store, tx, key)
        const isFresh = live && (live.stored.x === undefined || tx.now < live.stored.x)
        if (isFresh && !isForced) return { value: live.stored.v === undefined ? undefined : store.parse(live.stored.v) }
        const taken = await store.slots.leases.take(tx, key, { by, ttlMs: LEASE_MS })
        return 'until' in taken ? taken : { hold: taken.hold, version: live?.version }
      })
    } catch (error) {
      if (!TRY_AGAIN.has(codeOf(error))) throw error
      return { until: store.now + RETRY_MS }
    }
  }

  /** Runs the loader, and keeps what it brings, under the lease if there is one. */
  async #load(
    flight: Flight,
    held: { readonly lease: Lease; readonly generation: number; readonly version: number | undefined } | undefined,
  ): Promise<Loaded> {
    const store = this.#store
    const { plan, stop } = flight
    const { key } = plan
    const generation = held?.generation ?? store.view.generation
    const stale = store.view.entries.get(key)
    store.counts.loads++
    const onLost = (): void => this.#overtaken(key)
    held?.lease.signal.addEventListener('abort', onLost)
    try {
      stop.signal.throwIfAborted()
      const context = { key, stale: stale && stale.value !== DROPPED ? stale.value : undefined, signal: stop.signal }
      const value = await orAborted(Promise.resolve(plan.load(context)), stop.signal)
      return await this.#keep(flight, value, { generation, ...held })
    } catch (error) {
      store.counts.loadsFailed++
      if (held) await this.#giveBack(held.lease)
      throw error
    } finally {
      held?.lease.signal.removeEventListener('abort', onLost)
    }
  }

  async #keep(
    flight: Flight,
    value: unknown,
    of: { readonly generation: number; readonly lease?: Lease; readonly version?: number | undefined },
  ): Promise<Loaded> {
    const store = this.#store
    const { plan } = flight
    const { key, negativeTtlMs } = plan
    const { lease } = of
    const copy = frozenCopy(value)
    const shown = value === undefined ? undefined : store.parse(copy.value)
    if (value === undefined && negativeTtlMs === undefined) {
      if (lease) await this.#giveBack(lease)
      return { value: shown }
    }
    const negative = { ttlMs: negativeTtlMs, swrMs: 0, staleIfErrorMs: 0, isSliding: false }
    const lifetime = value === undefined ? negative : plan.lifetime
    const prepared: Prepared = { ...copy, key, shown, lifetime, tags: plan.tags, expected: undefined }
    await store.upkeep.room()
    try {
      const { tx, staged } = await store.chain.transact(async (tx) => {
        if (lease) {
          await store.slots.leases.guard(tx, lease.hold)
          await store.slots.leases.release(tx, lease.hold)
          const live = await findLive(store, tx, key)
          if (live && live.version !== of.version) return { tx, staged: undefined }
        }
        return { tx, staged: flight.isOvertaken ? undefined : stagePut(store, tx, prepared, of.generation) }
      })
      if (staged) seenPut(store, prepared, staged, tx.receipt!.seq)
      else if (lease) return (await this.#newer(key)) ?? { value: shown }
    } catch (error) {
      // Deleted meanwhile, or taken over: it is good for who asked, and not to be kept.
      if (codeOf(error) !== 'LEASE_LOST') throw error
    }
    return { value: shown }
  }

  /** Somebody has set the key while it was loaded. */
  async #newer(key: string): Promise<Loaded | undefined> {
    const store = this.#store
    await store.caughtUp()
    const entry = store.view.entries.get(key)
    if (!entry || entry.value === DROPPED || store.now >= endOf(entry.stored)) return undefined
    return { value: entry.value }
  }

  /** Others may load at once, and need not wait for its end. If that fails, they wait for its end. */
  async #giveBack(lease: Lease): Promise<void> {
    const store = this.#store
    lease.stop()
    await store.chain
      .transact((tx) => store.slots.leases.release(tx, lease.hold))
      .catch((error) => store.observe({ kind: 'refresh failed', key: lease.hold.key, error }))
  }
}

const NOTHING: Loaded = { value: undefined }

/** @throws the signal's reason */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise
  return new Promise<T>((resolve, reject) => {
    if (signal.aborted) {
      promise.catch(() => undefined)
      reject(signal.reason)
      return
    }
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
