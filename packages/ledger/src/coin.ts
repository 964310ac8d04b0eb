/// <reference lib="esnext.disposable" preserve="true" />
/**
 * @ate/ledger/coin: coins that only their owners hand on. Who owns one, that none comes from nothing, and that none is spent
 * twice are rules of the chain itself: every replica enforces them, whoever orders the records and whoever writes them.
 */
import {
  AteError,
  type Chain,
  type Entity,
  isAteError,
  isChain,
  objectOf,
  type Principal,
  type PublicId,
  stageIn,
  type Transaction,
  type TxTarget,
} from '@ate/core'
import {
  CoinCurrency,
  type CoinCurrencyValue,
  CoinMint,
  CoinPool,
  CoinType,
  CoinUnit,
  ISSUED,
  WORTH,
} from './coin-records.ts'
import { type Currency, checkCurrency } from './currencies.ts'
import { ledgerError } from './errors.ts'
import { findNode, findStagedNode, stageNode } from './find-node.ts'
import type { WriteOptions } from './ledger.ts'
import { checkAmount, type Money } from './money.ts'
import { NAMES } from './option-names.ts'
import { serially } from './serially.ts'

export interface Coin<C extends string = string> {
  readonly id: string
  readonly value: Money<C>
  /** Fingerprint of its owner's identity; undefined in what a call within a transaction gives. */
  readonly owner: string | undefined
}

export interface PurseOptions {
  /** Who mints, when the currency is made; whoever makes it if left out. */
  readonly issuers?: readonly Principal[]
}

/** Coins of one carving or joining: each is an event, and some more. */
const COINS_MAX = 256

/** The coins of a currency on a chain. The currency is made by its first minting; by who manages the root. */
export function purse<C extends string>(chain: Chain, currency: Currency<C>, options: PurseOptions = {}): Purse<C> {
  if (!isChain(chain)) throw new AteError('BAD_ARGUMENT', { what: 'purse takes an open chain' })
  checkCurrency(currency)
  return new Purse(chain, currency, objectOf(options, 'the options of a purse', NAMES.purse))
}

/** Within a transaction of the caller's: resolves when staged, and commits with it or not at all. */
interface InTransaction {
  readonly tx: Transaction
}
type WriteNow = WriteOptions | InTransaction
/** The `tx` of a job or a delivery, too: staged when that is done, and undefined where there would be a coin. */
type WriteAny = WriteNow | { readonly tx: TxTarget }
type Owner = PublicId | { readonly publicId: PublicId }

export class Purse<C extends string = string> {
  readonly currency: Currency<C>
  readonly #chain: Chain
  readonly #options: PurseOptions
  #known: CoinCurrencyValue | undefined

  /** @internal Made by purse(). */
  constructor(chain: Chain, currency: Currency<C>, options: PurseOptions) {
    this.#chain = chain
    this.currency = currency
    this.#options = options
  }

  /** Strikes a coin for somebody. @throws AteError NOT_AUTHORIZED for who is no issuer */
  mint(value: Money<C>, to: Owner, options?: WriteNow): Promise<Coin<C>>
  mint(value: Money<C>, to: Owner, options: WriteAny): Promise<Coin<C> | undefined>
  async mint(value: Money<C>, to: Owner, options: WriteAny = {}): Promise<Coin<C> | undefined> {
    const units = this.#units(value)
    return this.#whole(options, async (tx) => {
      const place = await this.#obtain(tx)
      tx.add(place.mint, ISSUED, -units)
      return this.#strike(tx, place.pool, place.unit, units, to)
    })
  }

  /** Hands a coin on: from then on `to` alone decides over it. @throws AteError NOT_AUTHORIZED for who does not own it */
  give(coin: Coin<C> | string, to: Owner, options?: WriteNow): Promise<Coin<C>>
  give(coin: Coin<C> | string, to: Owner, options: WriteAny): Promise<Coin<C> | undefined>
  async give(coin: Coin<C> | string, to: Owner, options: WriteAny = {}): Promise<Coin<C> | undefined> {
    const id = idOf(coin)
    return this.#whole(options, async (tx) => {
      const { value } = await this.#look(tx, id)
      const owner = [principalOf(to)]
      tx.setPolicy(id, { write: owner, manage: owner })
      return { id, value, owner: undefined }
    })
  }

  /** Melts a coin into coins of the same owner, worth together what it was worth. @throws AteError NOT_CONSERVED | NOT_AUTHORIZED */
  carve(coin: Coin<C> | string, values: readonly Money<C>[], options?: WriteNow): Promise<Coin<C>[]>
  carve(coin: Coin<C> | string, values: readonly Money<C>[], options: WriteAny): Promise<Coin<C>[] | undefined>
  async carve(
    coin: Coin<C> | string,
    values: readonly Money<C>[],
    options: WriteAny = {},
  ): Promise<Coin<C>[] | undefined> {
    if (!Array.isArray(values) || values.length < 1 || values.length > COINS_MAX)
      throw new AteError('BAD_ARGUMENT', { what: `a coin is carved into 1 to ${COINS_MAX}` })
    const worths = values.map((value) => this.#units(value))
    return this.#remake([idOf(coin)], () => worths, options)
  }

  /** Melts coins of one owner into one. @throws AteError NOT_AUTHORIZED */
  join(coins: readonly (Coin<C> | string)[], options?: WriteNow): Promise<Coin<C>>
  join(coins: readonly (Coin<C> | string)[], options: WriteAny): Promise<Coin<C> | undefined>
  async join(coins: readonly (Coin<C> | string)[], options: WriteAny = {}): Promise<Coin<C> | undefined> {
    if (!Array.isArray(coins) || coins.length < 1 || coins.length > COINS_MAX)
      throw new AteError('BAD_ARGUMENT', { what: `1 to ${COINS_MAX} coins are joined` })
    const ids = coins.map(idOf)
    if (new Set(ids).size < ids.length) throw new AteError('BAD_ARGUMENT', { what: 'a coin is named twice' })
    const made = await this.#remake(ids, (worths) => [worths.reduce((sum, worth) => sum + worth, 0n)], options)
    return made?.[0]
  }

  /** Takes a coin of one's own out of the world: the supply falls by it. */
  async burn(coin: Coin<C> | string, options: WriteAny = {}): Promise<void> {
    const id = idOf(coin)
    await this.#melting(options, async (tx, melt) => {
      const { value } = await this.#look(tx, id)
      const { mint } = await this.#obtain(tx)
      tx.add(mint, ISSUED, value.units)
      melt(id, value.units)
    })
  }

  /** The coins of this session's identity, or of `owner`, or of `everyone`. */
  async *coins(options: { readonly owner?: string | 'everyone' } = {}): AsyncGenerator<Coin<C>, void, void> {
    const place = await this.#place()
    if (!place) return
    const owner = options.owner ?? this.#chain.person()?.fingerprint ?? this.#chain.identity
    for (const id of this.#chain.children(CoinType, place.pool).ids()) {
      const coin = this.#coinOf(id, place)
      if (coin && (owner === 'everyone' || coin.owner === owner)) yield coin
    }
  }

  /** A coin by its id; undefined if there is none, or if it is no coin of this currency. */
  async coin(id: string): Promise<Coin<C> | undefined> {
    const place = await this.#place()
    return place && this.#coinOf(id, place)
  }

  /** What was minted, less what was burnt: the worth of all coins. */
  async supply(): Promise<Money<C>> {
    const place = await this.#place()
    return this.#money(place ? -this.#chain.counter(place.mint, ISSUED) : 0n)
  }

  /** Anybody may put an entity into the pool: a coin is one that counts in the unit, and that its owner alone governs. */
  #coinOf(id: string, { unit, pool }: CoinCurrencyValue): Coin<C> | undefined {
    try {
      const { value, unit: own, floor, up, down } = this.#chain.counterInfo(id, WORTH)
      const { write, manage, closed } = this.#chain.policy(id)
      const sole = Array.isArray(write) && Array.isArray(manage) && write.length === 1 && manage.length === 1
      if (own !== unit || floor === undefined || floor < 0n || !closed || !sole || write[0] !== manage[0])
        return undefined
      if (value === 0n) return undefined
      // Who manages what is above it says how long it is kept: elsewhere that may be for good, and it is never melted.
      if (this.#chain.parentOf(id) !== pool) return undefined
      // Who made it could keep the right to take its worth out again, and hand it on as if it were whole.
      if (up !== undefined || down !== undefined) return undefined
      return { id, value: this.#money(value), owner: write[0] as string }
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  async #remake(
    ids: readonly string[],
    worthsOf: (before: readonly bigint[]) => bigint[],
    options: WriteAny,
  ): Promise<Coin<C>[] | undefined> {
    const made = await this.#melting(options, async (tx, melt) => {
      const { pool, unit } = await this.#obtain(tx)
      const before: bigint[] = []
      for (const id of ids) before.push((await this.#look(tx, id)).value.units)
      const worths = worthsOf(before)
      const sum = worths.reduce((total, worth) => total + worth, 0n)
      const present = before.reduce((total, worth) => total + worth, 0n)
      if (sum !== present) throw new AteError('NOT_CONSERVED', { sum, present, currency: this.currency.code })
      // Only who governs a node gives policies below it, and that is his own coin: made there, then moved to the pool.
      const made = worths.map((units) => this.#strike(tx, ids[0]!, unit, units, { publicId: this.#chain.publicId }))
      for (const { id } of made) tx.move(id, { parent: pool, in: CoinType.name })
      for (const [i, id] of ids.entries()) melt(id, before[i]!)
      return made
    })
    return options.tx ? made : made && Promise.all(made.map(async (coin) => (await this.coin(coin.id)) ?? coin))
  }

  /**
   * As write, for what melts coins. One that has something below it, which who owned it before may have put there for good, is
   * not deleted: its worth is taken out, and what is left is no coin. Whether it has is not known before the chain says so; in a
   * transaction of the caller's it is NOT_EMPTY of that.
   */
  async #melting<R>(
    options: WriteAny,
    run: (tx: Transaction, melt: (id: string, units: bigint) => void) => Promise<R>,
  ): Promise<R | undefined> {
    const full = new Set<unknown>()
    for (;;) {
      try {
        return await this.#write(options, (tx) =>
          run(tx, (id, units) => (full.has(id) ? tx.add(id, WORTH, -units) : tx.delete(id))),
        )
      } catch (error) {
        const entity = isAteError(error) && error.code === 'NOT_EMPTY' ? error.facts['entity'] : undefined
        if (options.tx || entity === undefined || full.has(entity)) throw error
        full.add(entity)
      }
    }
  }

  #strike(tx: Transaction, parent: string, unit: string, units: bigint, to: Owner): Coin<C> {
    const owner = [principalOf(to)]
    const counters = { [WORTH]: { value: units, floor: 0n, unit: { id: unit } } }
    const { id } = tx.create(CoinType, null, { parent, closed: true, write: owner, manage: owner, counters })
    return { id, value: this.#money(units), owner: undefined }
  }

  /** The coin as the transaction sees it, guarded: who spends it at the same time makes this one run again. */
  async #look(tx: Transaction, id: string): Promise<{ value: Money<C> }> {
    const found = await tx.get(CoinType, id)
    if (!found) throw noCoin(id)
    // One that this transaction makes is not on the chain yet.
    if (this.#chain.has(id) && this.#chain.counterInfo(id, WORTH).unit !== (await this.#place())?.unit)
      throw ledgerError('CURRENCY_MISMATCH', { coin: id, currency: this.currency.code })
    const units = tx.counter(id, WORTH)
    if (units === 0n) throw noCoin(id)
    return { value: this.#money(units) }
  }

  async #place(): Promise<CoinCurrencyValue | undefined> {
    if (this.#known) return this.#known
    const found = await findNode(this.#chain, CoinCurrency, this.#isIt)
    if (found) this.#known = this.#checked(found)
    return this.#known
  }

  async #obtain(tx: Transaction): Promise<CoinCurrencyValue> {
    const known = await this.#place()
    if (known) return known
    const wanted = { type: CoinCurrency, key: this.currency.code, isIt: this.#isIt }
    const staged = await findStagedNode({ chain: this.#chain, tx }, wanted)
    if (staged) return this.#checked(staged)
    return stageNode(tx, wanted, ...this.#make(tx)).value
  }

  readonly #isIt = ({ code }: CoinCurrencyValue): boolean => code === this.currency.code

  #checked({ value }: Entity<CoinCurrencyValue>): CoinCurrencyValue {
    const { code, scale } = this.currency
    if (value.scale !== scale) throw ledgerError('CURRENCY_MISMATCH', { currency: code, scale, present: value.scale })
    return value
  }

  /** What its currency says, and who may do what with that. */
  #make(tx: Transaction): [CoinCurrencyValue, Parameters<typeof stageNode>[3]] {
    const { code, scale } = this.currency
    const manage = this.#options.issuers ?? [{ publicId: this.#chain.publicId }]
    const governed = { closed: true, manage, write: 'nobody' as const, read: 'everyone' as const }
    const unit = tx.create(CoinUnit, { code }, governed).id
    const issued = { [ISSUED]: { unit: { id: unit }, up: 'everyone' as const, down: manage } }
    const mint = tx.create(CoinMint, { code }, { ...governed, counters: issued }).id
    // Whoever has a coin puts its parts there.
    const pool = tx.create(CoinPool, { code }, { ...governed, write: 'everyone' }).id
    return [{ code, scale, unit, mint, pool }, governed]
  }

  #units(value: Money<C>): bigint {
    checkAmount(value)
    const { code, scale } = this.currency
    if (value.currency.code !== code || value.currency.scale !== scale)
      throw ledgerError('CURRENCY_MISMATCH', { given: value.currency.code, currency: code })
    return value.units
  }

  #money(units: bigint): Money<C> {
    return { currency: this.currency, units }
  }

  /** As it stands when it is acknowledged: with its owner. */
  async #whole(options: WriteAny, run: (tx: Transaction) => Promise<Coin<C>>): Promise<Coin<C> | undefined> {
    const made = await this.#write(options, run)
    return options.tx ? made : made && ((await this.coin(made.id)) ?? made)
  }

  async #write<R>(options: WriteAny, run: (tx: Transaction) => Promise<R>): Promise<R | undefined> {
    objectOf<WriteAny>(options, 'the options of a call', NAMES.write)
    if (options.tx) return stageIn(options.tx, (tx) => serially(tx, () => run(tx)), this.#chain)
    const { durability, signal } = options
    const given = { ...(durability === undefined ? {} : { durability }), ...(signal === undefined ? {} : { signal }) }
    return this.#chain.transact(run, given)
  }
}

function noCoin(coin: string): AteError {
  return new AteError('NOT_FOUND', { coin }, { hint: 'there is no such coin, or it was melted' })
}

function idOf(coin: Coin | string): string {
  const id = typeof coin === 'string' ? coin : coin?.id
  if (typeof id !== 'string') throw new AteError('BAD_ARGUMENT', { what: 'a coin, or its id' })
  return id
}

function principalOf(owner: Owner): PublicId {
  return typeof owner === 'string' ? owner : owner.publicId
}

function isMissing(error: unknown): boolean {
  const { code } = error as { code?: string }
  return code === 'NOT_FOUND' || code === 'NO_COUNTER'
}
