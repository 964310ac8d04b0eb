/** Where a ledger stands on its chain: its node, its accounts, and the units of its currencies. */
import {
  AteError,
  type Chain,
  type Entity,
  type EntityType,
  isAteError,
  isWellFormed,
  type PolicyInput,
  type Principal,
  type Transaction,
} from '@ate/core'
import type { Currency } from './currencies.ts'
import { ledgerError } from './errors.ts'
import { assertAllReadable, findNode, findStagedNode, stageNode } from './find-node.ts'
import {
  Account,
  type AccountValue,
  type Amounts,
  COUNTER,
  CurrencyNode,
  GATE,
  Hold,
  type HoldValue,
  LedgerNode,
  type LedgerValue,
  NAME_MAX,
  Page,
  type PageValue,
  type SumsValue,
  Unit,
} from './ledger-records.ts'
import { type AccountTerms, accountTermsOf, areSameTerms, boundsOf, noSums, storedSums } from './ledger-rules.ts'
import { pageOf, pageValue, slotOf, slotsOf } from './pages.ts'

export interface LedgerOptions {
  /** Several ledgers stand on one chain under different names; `main` if left out. */
  readonly name?: string
  /** How amounts are stored, when the ledger is made: `sealed` if left out. A ledger keeps what it was made with. */
  readonly amounts?: Amounts
  /**
   * Where this handle keeps sealed balances: each `apart` with its account (if left out), or `paged`, those of 64 accounts in one
   * value. Paged is faster for batches that post in most accounts; transfers of different clients in accounts of one
   * page wait for each other. An account that was posted in so stays in its page, for all handles.
   */
  readonly balances?: 'apart' | 'paged'
  /** Policies of the ledger when it is made; inherited from the chain's root if left out. */
  readonly read?: PolicyInput['read']
  readonly write?: PolicyInput['write']
  readonly manage?: PolicyInput['manage']
}

/** Expired holds of one call. */
const EXPIRED_MAX = 4096
/** Accounts whose ids are remembered. */
const HANDLES_MAX = 65_536

export type Node = Entity<LedgerValue>

/** Who may debit the accounts that a transaction has made so far, sorted: until it is acknowledged nobody else says so. */
const stagedDebitors = new WeakMap<Transaction, Map<string, readonly string[]>>()

/** An account that this process has seen, in one object: a batch looks at thousands, and each object of them is a miss of the cache. */
export interface SeenAccount {
  /** As it was seen last, maybe by a transaction that failed: for its id. Once it is settled, as it was acknowledged. */
  entity: Entity<AccountValue>
  /**
   * Once it was acknowledged with a place, it is settled: this, and the place, stand for good, and are all of it but whether it
   * is closed. If its page says that too, it need not be read again, and the version of the page guards it.
   */
  terms: AccountTerms | undefined
  /** Once it is settled; -1 before. */
  place: number
}

/** One that is settled. */
export type SettledAccount = SeenAccount & { readonly terms: AccountTerms }

export class LedgerStore {
  readonly chain: Chain
  readonly name: string
  readonly #options: LedgerOptions
  #node: Node | undefined
  /** Below which the ids of accounts and pages were seen: a node that a transaction makes is another one if that fails. */
  #seenBelow: Node | undefined
  /** Accounts and pages as they were seen last, for their ids. */
  readonly #accounts = new Map<string, SeenAccount>()
  #lastTerms: AccountTerms | undefined
  readonly #pages = new Map<number, Entity<PageValue>>()

  constructor(chain: Chain, options: LedgerOptions) {
    this.chain = chain
    this.name = options.name ?? 'main'
    this.#options = options
    const { amounts, balances } = options
    if (typeof this.name !== 'string' || this.name === '' || this.name.length > NAME_MAX || !isWellFormed(this.name))
      throw new AteError('BAD_ARGUMENT', { what: `name of a ledger: well-formed text of 1 to ${NAME_MAX} characters` })
    // A word that is misspelt would have amounts in clear.
    if (amounts !== undefined && amounts !== 'sealed' && amounts !== 'clear')
      throw new AteError('BAD_ARGUMENT', { what: 'amounts are sealed or clear' })
    if (balances !== undefined && balances !== 'apart' && balances !== 'paged')
      throw new AteError('BAD_ARGUMENT', { what: 'balances are apart or paged' })
  }

  get isPaged(): boolean {
    return this.#options.balances === 'paged'
  }

  /** The node as it was acknowledged; undefined before anything was written. */
  async known(): Promise<Node | undefined> {
    if (this.#node) return this.#node
    const found = await findNode(this.chain, LedgerNode, this.#isIt)
    if (found) this.#keep(found)
    return found
  }

  /** As known, for who reads the books. @throws AteError NO_READ_KEY if it may be there, and this session has no key to it */
  async toRead(): Promise<Node | undefined> {
    const known = await this.known()
    if (!known) await assertAllReadable(this.chain, LedgerNode)
    return known
  }

  /** The node, made in this transaction if it is not there. */
  async obtain(tx: Transaction): Promise<Node> {
    const known = this.#node ?? (await this.known())
    if (known) return known
    const wanted = { type: LedgerNode, key: this.name, isIt: this.#isIt }
    const staged = await findStagedNode({ chain: this.chain, tx }, wanted)
    if (staged) return staged
    const { amounts = 'sealed', read, write, manage } = this.#options
    return stageNode(
      tx,
      wanted,
      { name: this.name, amounts },
      {
        ...(read === undefined ? {} : { read }),
        ...(write === undefined ? {} : { write }),
        ...(manage === undefined ? {} : { manage }),
      },
    )
  }

  readonly #isIt = ({ name }: LedgerValue): boolean => name === this.name

  #keep(node: Node): void {
    const { amounts } = this.#options
    if (amounts !== undefined && amounts !== node.value.amounts)
      throw new AteError('BAD_ARGUMENT', {
        what: 'the ledger was made with other amounts',
        ledger: this.name,
        amounts: node.value.amounts,
      })
    this.#node = node
  }

  /** Forgets what was seen below another node. */
  lookBelow(node: Node): void {
    if (node === this.#seenBelow) return
    if (node.id !== this.#seenBelow?.id) {
      this.#accounts.clear()
      this.#pages.clear()
    }
    this.#seenBelow = node
  }

  /** The account as the transaction sees it, guarded. */
  async account(tx: Transaction, node: Node, name: string): Promise<Entity<AccountValue> | undefined> {
    this.lookBelow(node)
    const handle = this.#accounts.get(name)?.entity
    const found = handle ? await tx.get(Account, handle) : await tx.named(Account, name, { parent: node })
    if (found && !handle) this.#remember(name, found)
    return found
  }

  /** Those of `names` that are there, as the transaction sees them, guarded, in their order: read together. */
  async accountsOf(
    tx: Transaction,
    node: Node,
    names: readonly string[],
  ): Promise<readonly (Entity<AccountValue> | undefined)[]> {
    this.lookBelow(node)
    const found: (Entity<AccountValue> | undefined)[] = []
    const handles: Entity<AccountValue>[] = []
    /** Of each handle, whose it is. */
    const indexes: number[] = []
    for (let i = 0; i < names.length; i++) {
      const handle = this.#accounts.get(names[i]!)?.entity
      found.push(handle ? undefined : await this.account(tx, node, names[i]!))
      if (!handle) continue
      handles.push(handle)
      indexes.push(i)
    }
    const read = await tx.getMany(Account, handles)
    for (let i = 0; i < read.length; i++) {
      const entity = read[i]
      const index = indexes[i]!
      if (entity && entity.value.place !== handles[i]!.value.place) this.#remember(names[index]!, entity)
      found[index] = entity
    }
    return found
  }

  /** The account as it was acknowledged. */
  async knownAccount(node: Node, name: string): Promise<Entity<AccountValue> | undefined> {
    this.lookBelow(node)
    const handle = this.#accounts.get(name)?.entity
    const found = handle
      ? await this.chain.get(Account, handle)
      : await this.chain.named(Account, name, { parent: node })
    if (found && !handle) this.#remember(name, found)
    return found
  }

  /** Undefined of one that was not seen yet, or too long ago. */
  seen(name: string): SeenAccount | undefined {
    return this.#accounts.get(name)
  }

  /** Notes what stands for good of an account, if that is acknowledged: what a transaction sees may be taken back. */
  async settle(name: string): Promise<void> {
    const seen = this.#accounts.get(name)
    const entity = seen && (await this.chain.get(Account, seen.entity))
    if (!entity || entity.value.place === undefined) return
    seen.entity = entity
    seen.terms = this.#sharedTerms(entity.value)
    seen.place = entity.value.place
  }

  /** Accounts that follow each other mostly have the same terms: one object for all of them stays in the cache. */
  #sharedTerms(value: AccountValue): AccountTerms {
    const terms = accountTermsOf(value)
    if (!this.#lastTerms || !areSameTerms(terms, this.#lastTerms)) this.#lastTerms = terms
    return this.#lastTerms
  }

  /** Pages as the transaction sees them, guarded, in the order of `numbers`. */
  async pagesOf(
    tx: Transaction,
    node: Node,
    numbers: readonly number[],
  ): Promise<readonly (Entity<PageValue> | undefined)[]> {
    this.lookBelow(node)
    const handles = numbers.map((number) => this.#pages.get(number))
    if (handles.every((handle) => handle !== undefined)) return tx.getMany(Page, handles)
    const found: (Entity<PageValue> | undefined)[] = []
    for (const number of numbers) {
      const handle = this.#pages.get(number)
      const page = handle ? await tx.get(Page, handle) : await tx.named(Page, String(number), { parent: node })
      if (page) this.rememberPage(number, page)
      found.push(page)
    }
    return found
  }

  rememberPage(number: number, page: Entity<PageValue>): void {
    if (this.#pages.size >= HANDLES_MAX) this.#pages.clear()
    this.#pages.set(number, page)
  }

  /** The page in which the next account gets its place, as far as is known. */
  lastPage(node: Node): number {
    return this.chain.has(node) ? Math.max(0, this.chain.children(Page, node).count() - 1) : 0
  }

  /** Stored sums of an account with sealed amounts, as they were acknowledged; undefined of one with clear amounts. */
  async knownSums(node: Node, { value, name }: Entity<AccountValue>): Promise<SumsValue | undefined> {
    if (value.place === undefined || node.value.amounts === 'clear') return value.sums
    this.lookBelow(node)
    const number = pageOf(value.place)
    const handle = this.#pages.get(number)
    const page = handle
      ? await this.chain.get(Page, handle)
      : await this.chain.named(Page, String(number), { parent: node })
    if (page && !handle) this.rememberPage(number, page)
    return sumsAt(page, value.place, name)
  }

  /** The same as the transaction sees them, guarded. */
  async stagedSums(tx: Transaction, node: Node, { value, name }: Entity<AccountValue>): Promise<SumsValue | undefined> {
    if (value.place === undefined || node.value.amounts === 'clear') return value.sums
    const [page] = await this.pagesOf(tx, node, [pageOf(value.place)])
    return sumsAt(page, value.place, name)
  }

  #remember(name: string, account: Entity<AccountValue>): void {
    if (this.#accounts.size >= HANDLES_MAX) this.#accounts.clear()
    this.#accounts.set(name, { entity: account, terms: undefined, place: -1 })
  }

  async create(
    tx: Transaction,
    node: Node,
    {
      name,
      value,
      debitors,
      currency,
    }: { name: string; value: AccountValue; debitors: readonly Principal[] | undefined; currency: Currency },
  ): Promise<Entity<AccountValue>> {
    const place = { parent: node, name }
    if (node.value.amounts === 'sealed') {
      await this.#assertScale(tx, node, currency)
      const stored = { ...value, sums: storedSums(noSums()) }
      if (!debitors) return tx.create(Account, stored, place)
      // An empty list of its own lets the gate name identities that the chain does not know yet.
      const counters = { [GATE]: { floor: 0n, up: debitors, down: 'nobody' as const } }
      return this.#keepStaged(tx, debitors, tx.create(Account, stored, { ...place, counters, allow: [] }))
    }
    const { unit } = await this.#currency(tx, node, currency)
    const { low, high } = boundsOf(value)
    const bounds = { ...(low === undefined ? {} : { floor: low }), ...(high === undefined ? {} : { ceiling: high }) }
    // Whoever pays in, or resolves a hold in the account's favour, is not one of those who may debit it.
    const free = debitors ? { up: 'everyone' as const } : {}
    const open = debitors ? { up: 'everyone' as const, down: 'everyone' as const } : {}
    const counters = {
      [COUNTER.free]: { unit: { id: unit }, ...bounds, ...free },
      [COUNTER.out]: { floor: 0n },
      [COUNTER.in]: { floor: 0n, ...open },
      ...(high === undefined ? {} : { [COUNTER.top]: { ceiling: high, ...open } }),
    }
    if (!debitors) return tx.create(Account, { ...value, unit }, { ...place, counters })
    return this.#keepStaged(
      tx,
      debitors,
      tx.create(Account, { ...value, unit }, { ...place, counters, write: debitors }),
    )
  }

  #keepStaged(tx: Transaction, debitors: readonly Principal[], account: Entity<AccountValue>): Entity<AccountValue> {
    const staged = stagedDebitors.get(tx) ?? new Map<string, readonly string[]>()
    stagedDebitors.set(tx, staged.set(account.id, this.#namesOf(debitors)))
    return account
  }

  /**
   * Of a guarded account that was acknowledged, or that `tx` has staged.
   * @throws AteError ID_REUSED if others than `debitors` may debit it
   */
  assertDebitors(account: Entity<AccountValue>, debitors: readonly Principal[] | undefined, tx?: Transaction): void {
    if (!account.value.guarded || debitors === undefined) return
    const staged = tx && stagedDebitors.get(tx)?.get(account.id)
    const present = staged ?? this.#debitorsOf(account)
    // Another transaction of this process has staged it, and nobody can say yet for whom.
    if (present === undefined) return
    const wanted = this.#namesOf(debitors)
    if (wanted.length !== present.length || wanted.some((name, i) => name !== present[i]))
      throw otherTerms(account.name!)
  }

  /** Those that stand in clear, as acknowledged. */
  #debitorsOf(account: Entity<AccountValue>): readonly string[] | undefined {
    try {
      const isSealed = account.value.unit === undefined
      const names = isSealed ? this.chain.counterInfo(account, GATE).up : this.chain.policy(account).write
      return typeof names === 'string' ? [names] : [...new Set(names)].sort()
    } catch (error) {
      if (isAteError(error) && (error.code === 'NOT_FOUND' || error.code === 'NO_COUNTER')) return undefined
      throw error
    }
  }

  /** As policies name them. */
  #namesOf(principals: readonly Principal[]): readonly string[] {
    const names = principals.map((one) =>
      typeof one === 'object' && 'role' in one
        ? `role:${one.role}`
        : this.chain.fingerprintOf(typeof one === 'string' ? one : one.publicId),
    )
    return [...new Set(names)].sort()
  }

  /** Closes an account that is empty, in its page too if that says who is closed. */
  async close(tx: Transaction, node: Node, account: Entity<AccountValue>): Promise<void> {
    const closed = await tx.update(Account, account, (value) => ({ ...value, closed: true as const }))
    const { place } = closed.value
    if (place === undefined || node.value.amounts === 'clear') return
    const [page] = await this.pagesOf(tx, node, [pageOf(place)])
    sumsAt(page, place, closed.name)
    const { value } = page!
    if (value.closed === undefined) return
    const slots = [...value.closed, slotOf(place)].sort((a, b) => a - b)
    tx.replace(page!, pageValue(slotsOf(value)!, slots, value))
  }

  /** A bound that the chain found broken, in the words of the ledger; other errors as they are. */
  async boundsError(error: AteError): Promise<AteError> {
    const { entity, value, floor, ceiling } = error.facts
    if (error.code !== 'COUNTER_BOUNDS' || typeof entity !== 'string') return error
    const account = await this.chain.get(Account, entity).catch(() => undefined)
    if (!account || typeof value !== 'bigint') return error
    const isLow = typeof floor === 'bigint' && value < floor
    const code = isLow === (account.value.normal === 'credit') ? 'INSUFFICIENT' : 'OVER_CEILING'
    const facts = { account: account.name, floor: account.value.floor, ceiling: account.value.ceiling }
    if (floor === undefined && ceiling === undefined) return error
    return ledgerError(code, facts, { cause: error })
  }

  /** Names of holds that touch the account, are open as far as is acknowledged, and have run out. */
  async expiredHolds(accountId: string, now: number, max: number): Promise<string[]> {
    return (await this.openHolds(accountId))
      .filter(({ value }) => value.until <= now)
      .slice(0, max)
      .map(({ name }) => name!)
  }

  /** Those that stand where writers of the ledger put them, under a name: anybody may make what is called a hold in a place of his own. */
  async openHolds(accountId: string): Promise<Entity<HoldValue>[]> {
    const node = await this.known()
    const found = [
      ...(await this.chain.find(Hold, 'from', accountId)),
      ...(await this.chain.find(Hold, 'to', accountId)),
    ]
    return found.filter(({ id, name, value: { from } }) => {
      const { chain } = this
      // It may have been resolved while the other index was asked.
      return name !== undefined && chain.has(id) && chain.parentOf(id) === from && chain.parentOf(from) === node?.id
    })
  }

  /** Names of all holds of this ledger that have run out, as far as is acknowledged. */
  async allExpired(now: number): Promise<string[]> {
    const node = await this.known()
    const names: string[] = []
    if (!node) return names
    for await (const account of this.chain.children(Account, node)) {
      for (const id of this.chain.children(Hold, account).ids()) {
        const hold = await this.#readable(Hold, id)
        if (hold?.name !== undefined && hold.value.until <= now && names.length < EXPIRED_MAX) names.push(hold.name)
      }
    }
    return names
  }

  /** Undefined of what is gone by now, and of what is none: it keeps nobody from the others, and `verify` names it. */
  async #readable<T>(type: EntityType<T>, id: string): Promise<Entity<T> | undefined> {
    try {
      return await this.chain.get(type, id)
    } catch (error) {
      if (isAteError(error) && error.code === 'BAD_VALUE') return undefined
      throw error
    }
  }

  /** Whether nothing is posted or held, with what this transaction has done. */
  async isEmpty(tx: Transaction, node: Node, account: Entity<AccountValue>): Promise<boolean> {
    const sums = await this.stagedSums(tx, node, account)
    if (sums) return sums[0] === sums[1] && sums[2] === 0n && sums[3] === 0n
    return [COUNTER.free, COUNTER.out, COUNTER.in].every((counter) => tx.counter(account, counter) === 0n)
  }

  /**
   * A currency has one scale in a ledger: sums of two would say nothing. With sealed amounts its node says that alone; a ledger
   * of before has none, and its accounts are asked, once for each currency.
   * @throws AteError CURRENCY_MISMATCH
   */
  async #assertScale(tx: Transaction, node: Node, { code, scale }: Currency): Promise<void> {
    const found = await tx.named(CurrencyNode, code, { parent: node })
    const present = found ? found.value.scale : await this.#scaleInUse(node, code)
    if (present !== undefined && present !== scale)
      throw ledgerError('CURRENCY_MISMATCH', { currency: code, scale, present })
    if (!found) tx.create(CurrencyNode, { scale, unit: '' }, { parent: node, name: code })
  }

  /** Of the first account of the currency, as acknowledged. */
  async #scaleInUse(node: Node, code: string): Promise<number | undefined> {
    if (!this.chain.has(node)) return undefined
    for (const id of this.chain.children(Account, node).ids()) {
      const account = await this.#readable(Account, id)
      if (account?.value.currency[0] === code) return account.value.currency[1]
    }
    return undefined
  }

  /** The unit of a currency, made with the first account of it. Nobody may write it: nothing is minted, not even by its managers. */
  async #currency(tx: Transaction, node: Node, { code, scale }: Currency): Promise<{ unit: string }> {
    const found = await tx.named(CurrencyNode, code, { parent: node })
    if (found && found.value.scale !== scale)
      throw ledgerError('CURRENCY_MISMATCH', { currency: code, scale, present: found.value.scale })
    if (found) return found.value
    const manage = this.#options.manage ?? [this.chain.publicId]
    const unit = tx.create(Unit, { code }, { parent: node, closed: true, manage, write: 'nobody' })
    tx.create(CurrencyNode, { scale, unit: unit.id }, { parent: node, name: code })
    return { unit: unit.id }
  }
}

export function otherTerms(account: string): AteError {
  return new AteError('ID_REUSED', { account }, { hint: 'an account of this name has other terms' })
}

/** @throws as sumsIn */
function sumsAt(page: Entity<PageValue> | undefined, place: number, account: string | undefined): SumsValue {
  return sumsIn(page && slotsOf(page.value), place, account)
}

/** @throws AteError RULE_BROKEN where somebody has written an account that says another place than it has */
export function sumsIn(slots: readonly SumsValue[] | undefined, place: number, account: string | undefined): SumsValue {
  const sums = slots?.[slotOf(place)]
  if (!sums) throw ledgerError('RULE_BROKEN', { rule: 'a balance stands in its page', account, place })
  return sums
}
