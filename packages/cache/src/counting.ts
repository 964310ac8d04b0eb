/** Counters: numbers that are added to. Calls of one key that come while a commit is on its way share the next one. */
import { AteError, type Duration, durationMs, type Transaction } from '@ate/core'
import type { StoredEntry } from './cache-records.ts'
import { checkKey } from './cache-rules.ts'
import { bytesOf } from './plain-values.ts'
import { codeOf, type Store } from './store.ts'
import { findLive, putStored, type StagedEntry, seenPut } from './writing.ts'

interface Add {
  readonly by: number
  readonly ttlMs: number | undefined
  readonly resolve: (value: number) => void
  readonly reject: (error: unknown) => void
}

export class Counting {
  readonly #store: Store
  readonly #waiting = new Map<string, Add[]>()

  constructor(store: Store) {
    this.#store = store
  }

  /** @throws AteError BAD_ARGUMENT | BAD_VALUE and what transact throws */
  async add(key: string, by: number, ttl: Duration | undefined): Promise<number> {
    checkKey(key)
    if (!Number.isFinite(by))
      throw new AteError('BAD_ARGUMENT', { what: 'a counter is added a number', given: String(by) })
    const ttlMs = ttl === undefined ? undefined : durationMs(ttl, 0)
    await this.#store.open()
    return new Promise<number>((resolve, reject) => {
      const add = { by, ttlMs, resolve, reject }
      const waiting = this.#waiting.get(key)
      if (waiting) waiting.push(add)
      else {
        this.#waiting.set(key, [add])
        void this.#run(key)
      }
    })
  }

  async #run(key: string): Promise<void> {
    // Those of one turn of the event loop go together.
    await this.#store.environment.pause()
    for (;;) {
      const adds = this.#waiting.get(key)!
      if (adds.length === 0) break
      this.#waiting.set(key, [])
      await this.#commit(key, adds)
    }
    this.#waiting.delete(key)
  }

  async #commit(key: string, adds: readonly Add[]): Promise<void> {
    const store = this.#store
    try {
      store.gathering.flush()
      const { tx, staged, from } = await store.chain.transact(async (tx) => ({
        tx,
        ...(await stage(store, tx, key, adds)),
      }))
      seenPut(
        store,
        { key, shown: store.parse(staged.entity.value.v), bytes: bytesOf(staged.entity.value.v) },
        staged,
        tx.receipt!.seq,
      )
      let value = from
      for (const { by, resolve } of adds) {
        value += by
        resolve(value)
      }
    } catch (error) {
      // What one of them is too much for is none of the others' business.
      if (adds.length > 1 && codeOf(error) === 'BAD_VALUE') for (const add of adds) await this.#commit(key, [add])
      else for (const { reject } of adds) reject(error)
    }
  }
}

async function stage(
  store: Store,
  tx: Transaction,
  key: string,
  adds: readonly Add[],
): Promise<{ readonly staged: StagedEntry; readonly from: number }> {
  store.loading.changing(key, tx)
  const live = await findLive(store, tx, key)
  // What is not fresh any more begins anew.
  const before: StoredEntry = live && (live.stored.x === undefined || tx.now < live.stored.x) ? live.stored : {}
  const from = before.v ?? 0
  if (typeof from !== 'number')
    throw new AteError('BAD_VALUE', { cache: store.name, what: 'this is no number to be added to' })
  let sum = from
  for (const { by } of adds) sum += by
  // Beyond, adding 1 changes nothing.
  if (Number.isInteger(sum) && !Number.isSafeInteger(sum))
    throw new AteError('BAD_VALUE', { cache: store.name, what: 'a counter ends at 2^53 - 1' })
  const ttlMs = adds[0]!.ttlMs
  const begins = before.v === undefined
  const generation = store.view.generation
  const stored: StoredEntry = {
    ...before,
    v: sum,
    ...(begins && ttlMs !== undefined ? { x: tx.now + ttlMs } : {}),
    ...(begins && generation > 0 ? { g: generation } : {}),
  }
  return { staged: putStored(store, tx, key, stored), from }
}
