/** Locks with fences. */
import { AteError, durationMs, isAteError, stageIn, type TxTarget } from '@ate/core'
import { checkKey } from './cache-rules.ts'
import type { Lock, LockOptions } from './cache-types.ts'
import { cacheError } from './errors.ts'
import { changeOrTime, Lease } from './lease.ts'
import type { Hold } from './slots.ts'
import type { Store } from './store.ts'

const TTL_MS = 30_000
const TTL_MIN_MS = 100
const RETRY_MS = 100
/** Somebody was faster, or chain time is behind this clock. */
const TRY_AGAIN: ReadonlySet<string> = new Set(['CONFLICT', 'TX_RETRIES'])

/** @throws AteError LOCK_HELD | BAD_ARGUMENT and what transact throws */
export async function takeLock(store: Store, key: string, options: LockOptions): Promise<Lock> {
  checkKey(key)
  const ttlMs = options.ttl === undefined ? TTL_MS : durationMs(options.ttl, 0)
  if (ttlMs < TTL_MIN_MS) throw new AteError('BAD_ARGUMENT', { what: `the ttl of a lock is at least ${TTL_MIN_MS} ms` })
  const waitMs = options.wait === undefined ? Number.POSITIVE_INFINITY : durationMs(options.wait, 0)
  await store.open()
  const { environment } = store
  const giveUpAt = environment.monotonic() + waitMs
  const by = environment.uniqueId()
  for (;;) {
    options.signal?.throwIfAborted()
    const begun = environment.monotonic()
    const taken = await tryLock(store, key, { by, ttlMs })
    if ('hold' in taken) return new HeldLock(store, taken.hold, { ttlMs, begun })
    const leftMs = giveUpAt - environment.monotonic()
    if (leftMs <= 0) throw cacheError('LOCK_HELD', { cache: store.name })
    await changeOrTime(store, Math.min(taken.until, store.now + leftMs), [options.signal, store.closing.signal])
  }
}

async function tryLock(
  store: Store,
  key: string,
  wanted: { readonly by: string; readonly ttlMs: number },
): Promise<{ readonly hold: Hold } | { readonly until: number }> {
  try {
    return await store.chain.transact((tx) => store.slots.locks.take(tx, key, wanted))
  } catch (error) {
    if (!isAteError(error) || !TRY_AGAIN.has(error.code)) throw error
    return { until: store.now + RETRY_MS }
  }
}

class HeldLock implements Lock {
  readonly key: string
  readonly fence: number
  readonly #store: Store
  readonly #lease: Lease
  #released: Promise<void> | undefined

  constructor(store: Store, hold: Hold, time: { readonly ttlMs: number; readonly begun: number }) {
    this.key = hold.key
    this.fence = hold.fence
    this.#store = store
    this.#lease = new Lease({ store, slots: store.slots.locks }, hold, time)
  }

  get signal(): AbortSignal {
    return this.#lease.signal
  }

  async guard(tx: TxTarget): Promise<void> {
    const { chain, slots } = this.#store
    await stageIn(tx, (real) => slots.locks.guard(real, this.#lease.hold), chain)
  }

  release(): Promise<void> {
    this.#released ??= this.#release()
    return this.#released
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release()
  }

  async #release(): Promise<void> {
    this.#lease.stop()
    if (this.#store.isClosed) return
    await this.#store.chain.transact((tx) => this.#store.slots.locks.release(tx, this.#lease.hold))
  }
}
