/**
 * Group commit: calls of one turn of the event loop share a transaction, in which each still succeeds or fails alone. If the
 * chain refuses the transaction as a whole, because of one of them, each gets a transaction of its own.
 */
import { AteError, type Durability, isAteError, type Receipt, type Transaction } from '@ate/core'
import type { LedgerStore } from './ledger-store.ts'
import { pageOf } from './pages.ts'
import { type Posted, Poster } from './poster.ts'
import { isPost, type Request } from './requests.ts'

/** Requests that share a transaction. */
export const BATCH_MAX = 4096
/**
 * About what a transaction may hold, by the sums below: it must fit into a record of 960 KiB. One that is too large all the same
 * is made again in halves, which costs as much as it took to find out.
 */
const BATCH_BYTES_MAX = 900_000
/** Of an entry, and of what is written of an account that is debited or credited, texts apart. */
const ENTRY_BYTES = 128
const ACCOUNT_BYTES = 165
/** Of a page of balances; its accounts cost nothing beside it. */
const PAGE_BYTES = 1200

export interface Call {
  /** One group: all or none. */
  readonly requests: readonly Request[]
  readonly durability: Durability | undefined
}

export type Settled =
  | { readonly posted: readonly Posted[]; readonly receipt: Receipt; readonly error?: undefined }
  | { readonly error: unknown }

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
  // Of an account that somebody wrote a wrong place into.
  'RULE_BROKEN',
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
        for (const call of batch) call.staged = true
        void this.#settle(batch)
      }
    }
  }

  async #settle(batch: readonly Waiting[]): Promise<void> {
    const settled = await this.#runBatch(batch)
    for (let i = 0; i < batch.length; i++) batch[i]!.settle(settled[i]!)
  }

  /** Runs calls in as few transactions as hold them. */
  async run(calls: readonly Call[]): Promise<Settled[]> {
    return (await Promise.all(this.#batchesOf(calls).map((batch) => this.#runBatch(batch)))).flat()
  }

  #batchesOf<C extends Call>(calls: readonly C[]): C[][] {
    const batches: C[][] = []
    let batch: C[] = []
    let requests = 0
    let bytes = 0
    let sides = new Sides(this.#store)
    const bytesOf = (call: C): number => call.requests.reduce((sum, request) => sum + sides.bytesOf(request), 0)
    for (const call of calls) {
      let size = bytesOf(call)
      if (batch.length > 0 && (requests + call.requests.length > BATCH_MAX || bytes + size > BATCH_BYTES_MAX)) {
        batches.push(batch)
        batch = []
        requests = bytes = 0
        sides = new Sides(this.#store)
        size = bytesOf(call)
      }
      batch.push(call)
      requests += call.requests.length
      bytes += size
    }
    if (batch.length > 0) batches.push(batch)
    return batches
  }

  /** Runs calls in one transaction, or, if it is refused for one of them, each in its own. */
  async #runBatch(calls: readonly Call[]): Promise<Settled[]> {
    try {
      return await this.#transact(calls)
    } catch (error) {
      if (calls.length > 1 && isAteError(error) && BLAMED.has(error.code)) {
        const half = error.code === 'TX_TOO_LARGE' ? Math.ceil(calls.length / 2) : 1
        const settled: Promise<Settled[]>[] = []
        for (let i = 0; i < calls.length; i += half) settled.push(this.#runBatch(calls.slice(i, i + half)))
        return (await Promise.all(settled)).flat()
      }
      const own = await this.#ownError(error, calls)
      return calls.map(() => ({ error: own }))
    }
  }

  async #transact(calls: readonly Call[]): Promise<Settled[]> {
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
    const judge = (tx: Transaction): Promise<(readonly Posted[] | AteError)[]> => {
      last = tx
      return this.#judge(tx, calls, ++runs === 1 ? 'trusting' : 'looking')
    }
    try {
      const outcomes = await chain.transact(judge, { staged, ...(durability === undefined ? {} : { durability }) })
      const receipt = last!.receipt!
      return outcomes.map((outcome) => (isAteError(outcome) ? { error: outcome } : { posted: outcome, receipt }))
    } finally {
      staged()
    }
  }

  async #judge(
    tx: Transaction,
    calls: readonly Call[],
    ids: 'trusting' | 'looking',
  ): Promise<(readonly Posted[] | AteError)[]> {
    const store = this.#store
    const poster = new Poster(store, tx, await store.obtain(tx), ids)
    if (ids === 'trusting') await poster.openAll(calls.flatMap(({ requests }) => requests))
    const found: (readonly Posted[] | AteError)[] = []
    for (const { requests } of calls) found.push(poster.postNow(requests) ?? (await postedOrRefused(poster, requests)))
    await poster.flush()
    return found
  }

  /** A bound of the fold that another client's transfer brought near: in the words of the ledger. */
  async #ownError(error: unknown, calls: readonly Call[]): Promise<unknown> {
    return isAteError(error) && calls.length === 1 ? this.#store.boundsError(error) : error
  }
}

async function postedOrRefused(poster: Poster, requests: readonly Request[]): Promise<readonly Posted[] | AteError> {
  try {
    return await poster.run(requests)
  } catch (error) {
    if (isAteError(error) && JUDGED.has(error.code)) return error
    throw error
  }
}

/** What a transaction writes of accounts: where amounts are clear, a debit and a credit are an event each. */
class Sides {
  readonly #store: LedgerStore
  readonly #debited = new Set<string>()
  readonly #credited = new Set<string>()
  readonly #pages = new Set<number>()

  constructor(store: LedgerStore) {
    this.#store = store
  }

  /** About what a request adds to a transaction. The accounts of a resolution are known only later. */
  bytesOf(request: Request): number {
    if (!isPost(request)) return 2 * (ENTRY_BYTES + ACCOUNT_BYTES + request.id.length)
    const { from, to, code = '', ref = '', meta } = request.value
    const texts = request.id.length + from.length + to.length + code.length + ref.length
    const size = ENTRY_BYTES + texts + (meta === undefined ? 0 : JSON.stringify(meta).length)
    return size + this.#firstTime(from, this.#debited) + this.#firstTime(to, this.#credited)
  }

  #firstTime(account: string, accounts: Set<string>): number {
    const known = accounts.size
    if (accounts.add(account).size === known) return 0
    const place = this.#store.placeOf(account)
    if (place === undefined) return ACCOUNT_BYTES + account.length
    const before = this.#pages.size
    return this.#pages.add(pageOf(place)).size === before ? 0 : PAGE_BYTES
  }
}
