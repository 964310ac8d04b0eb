/**
 * A ledger over an open chain. Verbs parse what they are given, hand requests to the group commit or to the transaction that
 * the caller has, and make receipts. What was posted is in history.ts; the rules are in ledger-rules.ts.
 */
import {
  AteError,
  type Chain,
  type Durability,
  type Duration,
  type Entity,
  isAteError,
  isChain,
  objectOf,
  stageIn,
  type Transaction,
  type TxTarget,
} from '@ate/core'
import { type AccountSpec, accountValue } from './account-spec.ts'
import { BATCH_MAX, Batching, type Call, type Settled } from './batching.ts'
import { ledgerError } from './errors.ts'
import {
  type AccountInfo,
  type Balance,
  type Entry,
  type EntryQuery,
  History,
  type Statement,
  type TrialRow,
  type Verified,
} from './history.ts'
import { LedgerHold } from './hold.ts'
import { type AccountValue, Entry as EntryType } from './ledger-records.ts'
import { type LedgerOptions, LedgerStore, type Node, otherTerms } from './ledger-store.ts'
import type { Money } from './money.ts'
import { OneByOne } from './one-by-one.ts'
import { NAMES } from './option-names.ts'
import { type Posted, Poster } from './poster.ts'
import {
  checkAccountName,
  postRequest,
  type Request,
  resolveRequest,
  reverseRequest,
  type Transfer,
} from './requests.ts'
import { serially } from './serially.ts'

export type { AccountSpec } from './account-spec.ts'
export type { AccountInfo, Balance, Entry, EntryQuery, Statement, TrialRow, Verified } from './history.ts'
export { LedgerHold } from './hold.ts'

export interface WriteOptions {
  /** The level that the acknowledgement waits for; what the engine reaches if left out. */
  readonly durability?: Durability
  /** After the call was staged an abort is INDETERMINATE: call again with the same id. */
  readonly signal?: AbortSignal
  readonly tx?: undefined
}

/**
 * Within a transaction of the caller's: resolves when staged, and commits with it or not at all. With the `tx` of a job or
 * a delivery it is staged when that is done; what is wrong with it fails the job then.
 */
export interface InTransaction {
  readonly tx: TxTarget
}

export interface Receipt extends Posted {
  /** Seq of the record that holds it. */
  readonly seq: number
  /** Chain time of that record. */
  readonly at: Date
}

/** What became of one transfer of a bulk load. */
export type Outcome =
  | (Receipt & { readonly ok: true })
  | { readonly ok: false; readonly id: string; readonly error: AteError; readonly transfer: Transfer }

export interface LoadOptions extends WriteOptions {
  /** Transfers of one transaction, at most and if left out 4,096. */
  readonly batch?: number
}

const WRITE = 'the options of a call'

/** The ledger of a chain. It is made when the first account is opened. */
export function ledger(chain: Chain, options: LedgerOptions = {}): Ledger {
  if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'ledger takes an open chain' })
  return new Ledger(chain, objectOf(options, 'the options of a ledger', NAMES.ledger))
}

export class Ledger {
  readonly #store: LedgerStore
  readonly #batching: Batching
  readonly #history: History
  readonly #prefix = randomPrefix()
  #made = 0

  /** @internal Made by ledger(). */
  constructor(chain: Chain, options: LedgerOptions) {
    this.#store = new LedgerStore(chain, options)
    this.#batching = new Batching(this.#store)
    this.#history = new History(this.#store)
  }

  /**
   * Opens an account. One that is there with the same terms is as good.
   * @throws AteError ID_REUSED for other terms, other debitors too | CURRENCY_MISMATCH for another scale of a currency than
   * other accounts of the ledger have | NOT_AUTHORIZED | BAD_ARGUMENT
   */
  account<C extends string>(
    name: string,
    spec: AccountSpec<C>,
    options: InTransaction,
  ): Promise<{ readonly account: string }>
  account<C extends string>(name: string, spec: AccountSpec<C>, options?: WriteOptions): Promise<Balance<C>>
  async account(
    name: string,
    spec: AccountSpec,
    options: WriteOptions | InTransaction = {},
  ): Promise<Balance | { account: string }> {
    checkAccountName(name)
    objectOf(options, WRITE, NAMES.write)
    const value = accountValue(spec)
    const open = (tx: Transaction): Promise<Entity<AccountValue>> => this.#open(tx, name, value, spec)
    if (options.tx) {
      await stageIn(
        options.tx,
        (tx) =>
          serially(tx, async () => {
            const entity = await open(tx)
            this.#store.assertDebitors(entity, spec.debitors, tx)
          }),
        this.#store.chain,
      )
      return { account: name }
    }
    const entity = await this.#store.chain.transact((tx) => open(tx), transactOptions(options))
    // Behind the acknowledgement: whoever opened it may have staged it just before.
    this.#store.assertDebitors(entity, spec.debitors)
    return this.balance(name)
  }

  async #open(
    tx: Transaction,
    name: string,
    value: AccountValue,
    { currency, debitors }: AccountSpec,
  ): Promise<Entity<AccountValue>> {
    const node = await this.#store.obtain(tx)
    const found = await this.#store.account(tx, node, name)
    if (!found) return this.#store.create(tx, node, { name, value, debitors, currency })
    const same =
      found.value.currency[0] === value.currency[0] &&
      found.value.currency[1] === value.currency[1] &&
      found.value.normal === value.normal &&
      found.value.floor === value.floor &&
      found.value.ceiling === value.ceiling &&
      found.value.guarded === value.guarded
    if (!same) throw otherTerms(name)
    return found
  }

  /** Closes an account for good. @throws AteError ACCOUNT_NOT_EMPTY | NOT_FOUND | NOT_AUTHORIZED */
  async close(name: string, options: WriteOptions | InTransaction = {}): Promise<void> {
    checkAccountName(name)
    objectOf(options, WRITE, NAMES.write)
    const close = async (tx: Transaction): Promise<void> => {
      const node = await this.#store.obtain(tx)
      const found = await this.#store.account(tx, node, name)
      if (!found) throw new AteError('NOT_FOUND', { account: name })
      if (found.value.closed) return
      if (!(await this.#store.isEmpty(tx, node, found))) await this.#emptied(tx, node, name)
      await this.#store.close(tx, node, found)
    }
    if (options.tx) await stageIn(options.tx, (tx) => serially(tx, () => close(tx)), this.#store.chain)
    else await this.#store.chain.transact(close, transactOptions(options))
  }

  /** What keeps an account from being empty may be holds that have run out. */
  async #emptied(tx: Transaction, node: Node, name: string): Promise<void> {
    const poster = new Poster(this.#store, tx, node, undefined)
    await poster.release(name)
    await poster.flush()
    const found = await this.#store.account(tx, node, name)
    if (!found || !(await this.#store.isEmpty(tx, node, found)))
      throw ledgerError('ACCOUNT_NOT_EMPTY', { account: name })
  }

  /**
   * Moves money: debits `from`, credits `to`. The same id twice has one effect.
   * @throws AteError INSUFFICIENT | OVER_CEILING | CURRENCY_MISMATCH | NOT_FOUND | ACCOUNT_CLOSED | ID_REUSED (another body) |
   * NOT_AUTHORIZED | BAD_AMOUNT | BAD_ARGUMENT | INDETERMINATE
   */
  transfer<C extends string>(transfer: Transfer<C>, options: InTransaction | { readonly dryRun: true }): Promise<Posted>
  transfer<C extends string>(transfer: Transfer<C>, options?: WriteOptions): Promise<Receipt>
  async transfer(
    transfer: Transfer,
    options: WriteOptions | InTransaction | { readonly dryRun: true } = {},
  ): Promise<Posted> {
    objectOf(options, WRITE, NAMES.post)
    const request = postRequest(transfer, this.#makeId)
    if ('dryRun' in options && options.dryRun) return (await this.#dryRun([request]))[0]!
    return (await this.#write([request], options as WriteOptions | InTransaction))[0]!
  }

  /** Posts all of them or none; later ones see what earlier ones did. @throws as transfer */
  atomic(transfers: readonly Transfer[], options: InTransaction | { readonly dryRun: true }): Promise<Posted[]>
  atomic(transfers: readonly Transfer[], options?: WriteOptions): Promise<Receipt[]>
  async atomic(
    transfers: readonly Transfer[],
    options: WriteOptions | InTransaction | { readonly dryRun: true } = {},
  ): Promise<Posted[]> {
    objectOf(options, WRITE, NAMES.post)
    if (!Array.isArray(transfers) || transfers.length === 0 || transfers.length > BATCH_MAX)
      throw new AteError('BAD_ARGUMENT', { what: `a group has 1 to ${BATCH_MAX} transfers` })
    const requests = transfers.map((transfer) => postRequest(transfer, this.#makeId))
    if ('dryRun' in options && options.dryRun) return this.#dryRun(requests)
    return this.#write(requests, options as WriteOptions | InTransaction)
  }

  /**
   * Posts each of many on its own, in batches; what becomes of them comes in their order. Who leaves before the end, or has it
   * fail, does not end what was begun: of what was taken in by then, one batch behind the outcomes that came is posted still.
   */
  load(
    transfers: AsyncIterable<Transfer> | Iterable<Transfer>,
    options: LoadOptions = {},
  ): AsyncGenerator<Outcome, void, void> {
    return new OneByOne(this.#load(transfers, options))
  }

  async *#load(
    transfers: AsyncIterable<Transfer> | Iterable<Transfer>,
    options: LoadOptions,
  ): AsyncGenerator<readonly Outcome[], void, void> {
    const { batch = BATCH_MAX, signal } = objectOf(options, WRITE, NAMES.load)
    if (!Number.isSafeInteger(batch) || batch < 1 || batch > BATCH_MAX)
      throw new AteError('BAD_ARGUMENT', { what: 'batch', max: BATCH_MAX })
    let running: Promise<Outcome[]> | undefined
    for await (const taken of inBatches(transfers, batch)) {
      if (signal?.aborted) throw signal.reason
      const next = this.#loadBatch(taken, options)
      // Nobody hears of it where the loop is left before.
      next.catch(() => undefined)
      // The next batch is judged while the one before is being written.
      if (running) yield await running
      running = next
    }
    if (running) yield await running
  }

  /**
   * Keeps an amount for a later capture, until it is voided or `expires` has passed in chain time. Leaving an `await using`
   * voids it, unless it was captured.
   * @throws as transfer
   */
  async hold<C extends string>(
    transfer: Transfer<C>,
    options: (WriteOptions | InTransaction) & { readonly expires: Duration },
  ): Promise<LedgerHold<C>> {
    objectOf<object>(options, WRITE, NAMES.hold)
    const request = postRequest(transfer, this.#makeId, { expires: options?.expires, now: this.#store.chain.now })
    const [receipt] = await this.#write([request], options)
    return new LedgerHold<C>(this, receipt!, options.tx)
  }

  /** Posts what a hold keeps, or a part of it; the rest is free again. @throws AteError HOLD_RESOLVED | HOLD_EXPIRED | NOT_FOUND | BAD_AMOUNT */
  capture(hold: string, amount: Money | undefined, options: InTransaction): Promise<Posted>
  capture(hold: string, amount?: Money, options?: WriteOptions): Promise<Receipt>
  async capture(hold: string, amount?: Money, options: WriteOptions | InTransaction = {}): Promise<Posted> {
    objectOf(options, WRITE, NAMES.write)
    return (await this.#write([resolveRequest('capture', hold, amount)], options))[0]!
  }

  /** Sets free what a hold keeps. @throws AteError HOLD_RESOLVED | HOLD_EXPIRED | NOT_FOUND */
  void(hold: string, options: InTransaction): Promise<Posted>
  void(hold: string, options?: WriteOptions): Promise<Receipt>
  async void(hold: string, options: WriteOptions | InTransaction = {}): Promise<Posted> {
    objectOf(options, WRITE, NAMES.write)
    return (await this.#write([resolveRequest('void', hold)], options))[0]!
  }

  /**
   * Posts that holds have expired. What they kept is free from their time on, whether or not this is called: a transfer that
   * needs it posts that too. How many.
   */
  async expire(options: WriteOptions = {}): Promise<number> {
    objectOf(options, WRITE, NAMES.write)
    const tx = this.#store.chain.begin()
    const names = await this.#store.allExpired(tx.now)
    tx.rollback()
    const settled = await this.#batching.run(names.map((name) => callOf([resolveRequest('expire', name)], options)))
    for (const { error } of settled) if (error && !(isAteError(error) && error.code === 'HOLD_RESOLVED')) throw error
    return settled.filter(({ error }) => !error).length
  }

  /** Posts the opposite of a transfer or a capture, once. @throws AteError ALREADY_REVERSED | NOT_FOUND and as transfer */
  reverse(of: string, options: InTransaction & { readonly reason?: string }): Promise<Posted>
  reverse(of: string, options?: WriteOptions & { readonly reason?: string }): Promise<Receipt>
  async reverse(
    of: string,
    options: (WriteOptions | InTransaction) & { readonly reason?: string } = {},
  ): Promise<Posted> {
    objectOf(options, WRITE, NAMES.reverse)
    return (await this.#write([reverseRequest(of, options.reason)], options))[0]!
  }

  /** The balance now, or as it was at a time or a record (seq): that one is read from the journal. @throws AteError NOT_FOUND | RULE_BROKEN */
  balance(
    account: string,
    options: { readonly at?: Date | number; readonly signal?: AbortSignal } = {},
  ): Promise<Balance> {
    checkAccountName(account)
    objectOf(options, 'the options of balance', NAMES.at)
    return options.at === undefined
      ? this.#history.balance(account)
      : this.#history.balanceAt(account, options.at, options.signal)
  }

  /** All accounts in the order in which they were opened, with their balances now, or as it was: then read from the journal. */
  accounts(
    options: { readonly at?: Date | number; readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<AccountInfo, void, void> {
    objectOf(options, 'the options of accounts', NAMES.at)
    return options.at === undefined ? this.#history.accounts() : this.#history.accountsAt(options.at, options.signal)
  }

  /** Entries of the journal, checked on the way. @throws AteError RULE_BROKEN at the first record that breaks a rule */
  entries(query: EntryQuery = {}): AsyncGenerator<Entry, void, void> {
    return this.#history.entries(objectOf(query, 'the members of a query', NAMES.entries))
  }

  /** Entries from now on, or from record `from` on. Ends with the signal or the chain. @throws AteError RULE_BROKEN */
  watch(query: EntryQuery & { readonly from?: number } = {}): AsyncGenerator<Entry, void, void> {
    return this.#history.watch(objectOf(query, 'the members of a query', NAMES.watch))
  }

  /** Opening balance, entries and closing balance of an account. @throws AteError NOT_FOUND | RULE_BROKEN */
  statement(account: string, query: Pick<EntryQuery, 'since' | 'until' | 'signal'> = {}): Promise<Statement> {
    checkAccountName(account)
    return this.#history.statement(account, objectOf(query, 'the members of a query', NAMES.statement))
  }

  /**
   * Posted debits and credits of each currency by its code; in the books of the journal they are equal. Where a version that
   * did not refuse it has opened accounts of another scale of a code, those stand under `CODE:SCALE`.
   */
  trial(
    options: { readonly at?: Date | number; readonly signal?: AbortSignal } = {},
  ): Promise<ReadonlyMap<string, TrialRow>> {
    return this.#history.trial(objectOf(options, 'the options of trial', NAMES.at))
  }

  /** Applies the whole journal again and compares every balance. @throws AteError RULE_BROKEN, naming the first record that breaks a rule */
  verify(options: { readonly signal?: AbortSignal } = {}): Promise<Verified> {
    return this.#history.verify(objectOf(options, 'the options of verify', NAMES.verify).signal)
  }

  readonly #makeId = (): string => `${this.#prefix}${(this.#made++).toString(36)}`

  async #write(requests: readonly Request[], options: WriteOptions | InTransaction): Promise<Posted[]> {
    const { tx } = options
    if (tx) {
      const staged = await stageIn(tx, (real) => serially(real, () => this.#stage(real, requests)), this.#store.chain)
      return staged ?? requests.map(({ id }) => ({ id, existed: false }))
    }
    const { posted, receipt } = await this.#batching.submit(callOf(requests, options), options.signal)
    if (!posted) return requests.map(({ id }) => ({ id, existed: false, seq: receipt.seq, at: new Date(receipt.at) }))
    return Promise.all(posted.map((one) => this.#receiptOf(one, receipt)))
  }

  async #stage(tx: Transaction, requests: readonly Request[]): Promise<Posted[]> {
    const poster = new Poster(this.#store, tx, await this.#store.obtain(tx), undefined)
    const posted = await poster.run(requests)
    await poster.flush()
    return posted
  }

  async #dryRun(requests: readonly Request[]): Promise<Posted[]> {
    await using tx = this.#store.chain.begin()
    return await this.#stage(tx, requests)
  }

  async #loadBatch(transfers: readonly Transfer[], options: LoadOptions): Promise<Outcome[]> {
    const parsed = transfers.map((transfer) => this.#parsed(transfer))
    const calls: Call[] = []
    for (const request of parsed) if (!isAteError(request)) calls.push(callOf([request], options))
    const settled = calls.length > 0 ? await this.#batching.run(calls) : []
    let next = 0
    const outcomes: Outcome[] = []
    for (let i = 0; i < parsed.length; i++) {
      const request = parsed[i]!
      const transfer = transfers[i]!
      if (isAteError(request)) outcomes.push({ ok: false, id: String(transfer?.id ?? ''), error: request, transfer })
      else {
        const outcome = this.#outcomeOf(request.id, settled[next++]!, transfer)
        outcomes.push(outcome instanceof Promise ? await outcome : outcome)
      }
    }
    return outcomes
  }

  #parsed(transfer: Transfer): Request | AteError {
    try {
      return postRequest(transfer, this.#makeId)
    } catch (error) {
      if (isAteError(error)) return error
      throw error
    }
  }

  #outcomeOf(id: string, settled: Settled, transfer: Transfer): Outcome | Promise<Outcome> {
    if (settled.error !== undefined) {
      if (isAteError(settled.error)) return { ok: false, id, error: settled.error, transfer }
      throw settled.error
    }
    const { posted, receipt } = settled as Extract<Settled, { posted: unknown }>
    const one = posted?.[0]
    if (one?.existed) return this.#receiptOf(one, receipt).then((found) => ({ ...found, ok: true }))
    return { id, existed: false, seq: receipt.seq, at: new Date(receipt.at), ok: true }
  }

  async #receiptOf(posted: Posted, { seq, at }: { readonly seq: number; readonly at: number }): Promise<Receipt> {
    if (!posted.existed) return { ...posted, seq, at: new Date(at) }
    const { chain } = this.#store
    const entry = await chain.named(EntryType, posted.id, { parent: (await this.#store.known())! })
    const first = chain.seqOf(entry!)
    for await (const record of chain.records({ from: first }))
      return { ...posted, seq: first, at: new Date(record.admittedAt) }
    return { ...posted, seq: first, at: new Date(at) }
  }
}

/** What comes at once is not awaited one by one. */
async function* inBatches<T>(all: AsyncIterable<T> | Iterable<T>, size: number): AsyncGenerator<T[], void, void> {
  let batch: T[] = []
  if (Symbol.asyncIterator in all) {
    for await (const one of all) {
      if (batch.push(one) < size) continue
      yield batch
      batch = []
    }
  } else {
    for (const one of all) {
      if (batch.push(one) < size) continue
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}

function callOf(requests: readonly Request[], { durability }: WriteOptions): Call {
  return { requests, durability }
}

function transactOptions({ durability, signal }: WriteOptions): { durability?: Durability; signal?: AbortSignal } {
  return { ...(durability === undefined ? {} : { durability }), ...(signal === undefined ? {} : { signal }) }
}

/** Ids that the ledger makes begin with 80 bits of this handle's own. */
function randomPrefix(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(10))
  return `${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}-`
}
