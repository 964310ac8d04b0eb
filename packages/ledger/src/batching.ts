/**
 * Group commit: calls of one turn of the event loop share a transaction, in which each still succeeds or fails alone. If the
 * chain refuses the transaction as a whole, because of one of them, each gets a transaction of its own.
 */
import { AteError, type Durability, isAteError, type Receipt, type Transaction } from '@ate/core'
import type { LedgerStore } from './ledger-store.ts'
import { type Posted, Poster } from './poster.ts'
import { isPost, type Request } from './requests.ts'
import { Sides } from './sides.ts'

/** Requests that share a transaction. */
export const BATCH_MAX = 4096
/**
 * About what a transaction may hold, by the sums below: it must fit into a record of 960 KiB. One that is too large all the same
 * is made again in halves, which costs as much as it took to find out.
 */
const BATCH_BYTES_MAX = 900_000

export interface Call {
  /** One group: all or none. */
  readonly requests: readonly Request[]
  readonly durability: Durability | undefined
}

export type Settled =
  /** `posted` is undefined where all of its requests were posted, for the first time: one object for all such calls. */
  | { readonly posted: readonly Posted[] | undefined; readonly receipt: Receipt; readonly error?: undefined }
  | { readonly error: unknown }

/** Calls that share a transaction, and what they post in. */
interface Batch<C extends Call> {
  readonly calls: C[]
  readonly sides: Sides
}

type Judged = readonly Posted[] | AteError

interface Waiting extends Call {
  readonly settle: (settled: Settled) => void
  /** Set once it was aborted before it was staged. */
  aborted: boolean
  staged: boolean
}

/** Refusals of one request, judged by the ledger itself: the others of its batch go on. */
const JUDGED: ReadonlySet<string> = new Set([
  'BAD_AMOUNT',
  'BAD_ARGUMENT',
  'INSUFFICIENT',
  'OVER_CEILING',
  'CURRENCY_MISMATCH',
  'ACCOUNT_CLOSED',
  'HOLD_EXPIRED',
  'HOLD_RESOLVED',
  'ALREADY_REVERSED',
  'ID_REUSED',
  'NOT_FOUND',
  // Of an account that somebody wrote a wrong place into, and of what he wrote that is none.
  'RULE_BROKEN',
  'BAD_VALUE',
])
/** Refusals of a whole transaction that one of its requests may have caused. */
const BLAMED: ReadonlySet<string> = new Set([
  'NOT_AUTHORIZED',
  'COUNTER_BOUNDS',
  'NAME_TAKEN',
  'TX_TOO_LARGE',
  'TX_RETRIES',
  'NOT_CONSERVED',
])

export class Batching {
  readonly #store: LedgerStore
  #waiting: Waiting[] = []
  /** Resolves when the newest batch is staged: read before that, its accounts would be those of before, and all would run again. */
  #staged: Promise<void> = Promise.resolve()

  constructor(store: LedgerStore) {
    this.#store = store
  }

  /** Settles when the call is acknowledged. @throws the refusal | INDETERMINATE if the signal aborts it once it is staged */
  submit(call: Call, signal?: AbortSignal): Promise<Exclude<Settled, { error: unknown }>> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const waiting: Waiting = {
        ...call,
        aborted: false,
        staged: false,
        settle: (settled) => {
          signal?.removeEventListener('abort', onAbort)
          if ('error' in settled && settled.error !== undefined) reject(settled.error)
          else resolve(settled as Exclude<Settled, { error: unknown }>)
        },
      }
      const onAbort = (): void => {
        waiting.aborted = true
        const { id } = call.requests[0]!
        const hint = 'the outcome is not known yet; the same call with the same id has one effect'
        reject(waiting.staged ? new AteError('INDETERMINATE', { id }, { cause: signal?.reason, hint }) : signal?.reason)
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      if (this.#waiting.length === 0) queueMicrotask(() => this.#flush())
      this.#waiting.push(waiting)
    })
  }

  #flush(): void {
    const waiting = this.#waiting.filter(({ aborted }) => !aborted)
    this.#waiting = []
    for (const level of new Set(waiting.map(({ durability }) => durability))) {
      for (const batch of this.#batchesOf(waiting.filter(({ durability }) => Object.is(durability, level)))) {
        for (const call of batch.calls) call.staged = true
        void this.#settle(batch)
      }
    }
  }

  async #settle({ calls, sides }: Batch<Waiting>): Promise<void> {
    const settled = await this.#runBatch(calls, sides)
    for (let i = 0; i < calls.length; i++) calls[i]!.settle(settled[i]!)
  }

  /** Runs calls in as few transactions as hold them. */
  async run(calls: readonly Call[]): Promise<Settled[]> {
    const batches = this.#batchesOf(calls).map((batch) => this.#runBatch(batch.calls, batch.sides))
    return batches.length === 1 ? batches[0]! : (await Promise.all(batches)).flat()
  }

  #batchesOf<C extends Call>(calls: readonly C[]): Batch<C>[] {
    const batches: Batch<C>[] = []
    let batch: Batch<C> = { calls: [], sides: new Sides(this.#store) }
    let requests = 0
    let bytes = 0
    for (const call of calls) {
      const { all, pairs } = batch.sides
      const before = { sides: all.length, pairs: pairs.length }
      let size = added(batch.sides, call)
      if (batch.calls.length > 0 && (requests + call.requests.length > BATCH_MAX || bytes + size > BATCH_BYTES_MAX)) {
        batch.sides.backTo(before)
        batches.push(batch)
        batch = { calls: [], sides: new Sides(this.#store) }
        requests = bytes = 0
        size = added(batch.sides, call)
      }
      batch.calls.push(call)
      requests += call.requests.length
      bytes += size
    }
    if (batch.calls.length > 0) batches.push(batch)
    return batches
  }

  /** Runs calls in one transaction, or, if it is refused for one of them, each in its own. */
  async #runBatch(calls: readonly Call[], sides: Sides): Promise<Settled[]> {
    try {
      return await this.#transact(calls, sides)
    } catch (error) {
      if (calls.length > 1 && isAteError(error) && BLAMED.has(error.code)) {
        const half = error.code === 'TX_TOO_LARGE' ? Math.ceil(calls.length / 2) : 1
        const settled: Promise<Settled[]>[] = []
        for (let i = 0; i < calls.length; i += half) {
          const part = calls.slice(i, i + half)
          settled.push(this.#runBatch(part, this.#sidesOf(part)))
        }
        return (await Promise.all(settled)).flat()
      }
      const own = await this.#ownError(error, calls)
      return calls.map(() => ({ error: own }))
    }
  }

  #sidesOf(calls: readonly Call[]): Sides {
    const sides = new Sides(this.#store)
    for (const call of calls) added(sides, call)
    return sides
  }

  async #transact(calls: readonly Call[], sides: Sides): Promise<Settled[]> {
    const { chain } = this.#store
    const durability = calls[0]?.durability
    const before = this.#staged
    let staged = (): void => undefined
    this.#staged = new Promise((resolve) => {
      staged = resolve
    })
    await before
    let last: Transaction | undefined
    let runs = 0
    const judge = (tx: Transaction): Promise<(Judged | undefined)[]> => {
      last = tx
      return this.#judge(tx, calls, ++runs === 1 ? sides : undefined)
    }
    try {
      const outcomes = await chain.transact(judge, { staged, ...(durability === undefined ? {} : { durability }) })
      const receipt = last!.receipt!
      const now: Settled = { posted: undefined, receipt }
      return outcomes.map((outcome) => {
        if (!outcome) return now
        return isAteError(outcome) ? { error: outcome } : { posted: outcome, receipt }
      })
    } finally {
      staged()
    }
  }

  /**
   * What becomes of each call; undefined of one that was posted as it is. With `sides`, ids are taken for new; a run after the
   * first one has none, and looks.
   */
  async #judge(tx: Transaction, calls: readonly Call[], sides: Sides | undefined): Promise<(Judged | undefined)[]> {
    const store = this.#store
    const poster = new Poster(store, tx, await store.obtain(tx), sides)
    if (sides) await poster.openAll()
    const found: (Judged | undefined)[] = []
    let pair = 0
    for (const { requests } of calls) {
      const isPosted = sides && requests.length === 1 && poster.postNow(requests[0]!, sides.pairs, pair)
      found.push(isPosted ? undefined : await postedOrRefused(poster, requests))
      for (const request of requests) if (isPost(request)) pair += 2
    }
    await poster.flush()
    return found
  }

  /** A bound of the fold that another client's transfer brought near: in the words of the ledger. */
  async #ownError(error: unknown, calls: readonly Call[]): Promise<unknown> {
    return isAteError(error) && calls.length === 1 ? this.#store.boundsError(error) : error
  }
}

/** About what a call adds to its transaction, in bytes. */
function added(sides: Sides, { requests }: Call): number {
  let size = 0
  for (const request of requests) size += sides.add(request)
  return size
}

async function postedOrRefused(poster: Poster, requests: readonly Request[]): Promise<Judged> {
  try {
    return await poster.run(requests)
  } catch (error) {
    if (isAteError(error) && JUDGED.has(error.code)) return error
    throw error
  }
}
