/**
 * The books as the journal makes them: every entry is applied again, by the same rules, and what authors wrote of balances is
 * compared with it. The first transaction that does not fit is RULE_BROKEN. Pure: events come in decoded.
 */
import type { ErrorFacts } from '@ate/core'
import { brokenHold, HoldsDone, type MadeEntity, type OpenHold } from './book-holds.ts'
import type { Currency } from './currencies.ts'
import { ledgerError } from './errors.ts'
import {
  type AccountValue,
  type Amounts,
  COUNTER,
  type EntryValue,
  GATE,
  type PageValue,
  RESOLVE,
  REVERSE,
  type SumsValue,
} from './ledger-records.ts'
import {
  applyCredit,
  applyDebit,
  areStored,
  effectOf,
  noSums,
  type Position,
  positionOf,
  refusedCredit,
  refusedDebit,
  type Sums,
  storedSums,
  type Terms,
  termsOf,
} from './ledger-rules.ts'
import { PAGE_SLOTS, pageOf, slotOf, slotsOf } from './pages.ts'
import { isAccountValue, isEntryValue } from './stored-shapes.ts'

export interface ClearCounter {
  readonly name: string
  readonly value: bigint
  readonly floor?: bigint
  readonly ceiling?: bigint
  readonly unit?: string
}

/** Events of a ledger, in the order of their transaction. */
export type LedgerEvent =
  | {
      readonly kind: 'open'
      readonly entity: string
      readonly name: string | undefined
      readonly value: unknown
      readonly counters: readonly ClearCounter[]
    }
  /** `value` is undefined where compaction has dropped it. */
  | { readonly kind: 'account'; readonly entity: string; readonly name: string | undefined; readonly value: unknown }
  /** Of a page that readers find under its number; `value` is undefined where compaction has dropped it. */
  | { readonly kind: 'page'; readonly number: number; readonly value: unknown }
  | { readonly kind: 'entry'; readonly name: string | undefined; readonly value: unknown }
  | MadeEntity
  /** The entity of a hold is deleted; or it is changed, which it never is. */
  | { readonly kind: 'hold-gone' | 'hold-changed'; readonly entity: string }
  | { readonly kind: 'add'; readonly entity: string; readonly counter: string; readonly amount: bigint }
  /** What nobody may do, whatever else the transaction says. */
  | { readonly kind: 'broken'; readonly rule: string; readonly facts: ErrorFacts }

export interface LedgerTransaction {
  readonly seq: number
  /** Chain time, Unix ms. */
  readonly at: number
  readonly txId: string
  readonly author: string | undefined
  readonly events: readonly LedgerEvent[]
}

export interface BookAccount {
  readonly id: string
  readonly name: string
  readonly currency: Currency
  value: AccountValue
  readonly terms: Terms
  readonly sums: Sums
  /** Of sealed amounts: what was written of them last, as far as it is known. */
  stored: SumsValue
  /** False while what was written last of it was dropped by compaction: then the next value is compared. */
  sure: boolean
  /** The same of its value apart from its sums, which may stand in a page. */
  known: boolean
}

/** What the books ask of the chain. */
export interface Lookups {
  /** The entry that a reversal names, as it stands in the journal. */
  original(id: string): EntryValue | undefined
  /** The id that the entity of a hold has below an account; undefined if there is no such account any more. */
  holdEntity(name: string, account: string): string | undefined
}

/** What there is to know of an account at some record; what was written of it is looked at again by the next check. */
export type AccountMark = Pick<BookAccount, 'value' | 'sums'>

/** What a transaction did, for the comparison at its end. */
interface Doing {
  readonly touched: Set<BookAccount>
  readonly debits: Map<BookAccount, bigint>
  /** What the counters of an account should have been told, and were told, by `ACCOUNT counter`. */
  readonly due: Map<string, bigint>
  readonly told: Map<string, bigint>
  readonly put: Map<BookAccount, AccountValue | undefined>
  readonly pages: Map<number, unknown>
  readonly holds: HoldsDone
}

export class Books {
  readonly amounts: Amounts
  readonly accounts: Map<string, BookAccount> = new Map()
  readonly holds: Map<string, OpenHold> = new Map()
  entries = 0
  /** Accounts that were opened, posted in or closed since somebody emptied it. */
  readonly changed: Set<BookAccount> = new Set()
  readonly #byId = new Map<string, BookAccount>()
  readonly #byPlace = new Map<number, BookAccount>()
  /** Undefined while compaction has dropped what was written of one last. */
  readonly #pages = new Map<number, PageValue | undefined>()
  /** Open holds by the entities that stand for them. */
  readonly #holdsByEntity = new Map<string, OpenHold>()
  #transaction: LedgerTransaction | undefined

  constructor(amounts: Amounts) {
    this.amounts = amounts
  }

  /** Books as they were at a record: `accounts` in the order in which they were opened. */
  static restored(
    amounts: Amounts,
    accounts: Iterable<readonly [BookAccount, AccountMark]>,
    { holds, entries }: { readonly holds: ReadonlyMap<string, OpenHold>; readonly entries: number },
  ): Books {
    const books = new Books(amounts)
    books.entries = entries
    for (const hold of holds.values()) books.#keepHold(hold)
    for (const [account, { value, sums }] of accounts) {
      const then = { ...account, value, sums: { ...sums }, sure: false, known: false }
      books.accounts.set(then.name, then)
      books.#byId.set(then.id, then)
      const { place } = value
      if (place === undefined) continue
      books.#byPlace.set(place, then)
      books.#pages.set(pageOf(place), undefined)
    }
    return books
  }

  isAccount(entity: string): boolean {
    return this.#byId.has(entity)
  }

  /** @throws AteError RULE_BROKEN */
  apply(transaction: LedgerTransaction, look: Lookups): void {
    this.#transaction = transaction
    const doing: Doing = {
      touched: new Set(),
      debits: new Map(),
      due: new Map(),
      told: new Map(),
      put: new Map(),
      pages: new Map(),
      holds: new HoldsDone(),
    }
    for (const event of transaction.events) {
      if (event.kind === 'open') this.#openAccount(event)
      else if (event.kind === 'account') this.#putAccount(event, doing)
      else if (event.kind === 'entry') this.#entry(event, doing, look)
      else if (event.kind === 'hold') doing.holds.entities.set(event.entity, event)
      else if (event.kind === 'hold-gone') doing.holds.gone.add(event.entity)
      else if (event.kind === 'hold-changed') this.#changeHold(event.entity, doing)
      else if (event.kind === 'add') this.#add(event, doing)
      else if (event.kind === 'page') doing.pages.set(event.number, event.value)
      else if (event.kind === 'broken') this.#broken(event.rule, event.facts)
    }
    this.#compare(doing)
  }

  #openAccount({ entity, name, value, counters }: Extract<LedgerEvent, { kind: 'open' }>): void {
    if (name === undefined || !isAccountValue(value)) this.#broken('an account is well formed', { account: name })
    if (this.accounts.has(name)) this.#broken('an account is opened once', { account: name })
    if (value.closed || value.place !== undefined || (value.sums && !areStored(noSums(), value.sums)))
      this.#broken('an account begins open and empty', { account: name })
    const [code, scale] = value.currency
    const account: BookAccount = {
      id: entity,
      name,
      currency: { code, scale },
      value,
      terms: termsOf(value),
      sums: noSums(),
      stored: storedSums(noSums()),
      sure: true,
      known: true,
    }
    if (this.amounts === 'sealed' ? value.sums === undefined : !this.#boundedAs(account, counters))
      this.#broken('counters of an account are as its value says', { account: name })
    this.accounts.set(name, account)
    this.#byId.set(entity, account)
    this.changed.add(account)
  }

  #keepPlace(place: number | undefined, account: BookAccount): void {
    if (place === undefined) return
    const other = this.#byPlace.get(place)
    if (other && other !== account)
      this.#broken('a place is of one account', { account: account.name, other: other.name, place })
    this.#byPlace.set(place, account)
  }

  #boundedAs({ value, terms: { bounds } }: BookAccount, counters: readonly ClearCounter[]): boolean {
    const find = (name: string): ClearCounter | undefined => counters.find((counter) => counter.name === name)
    const free = find(COUNTER.free)
    const same = free?.floor === bounds.low && free?.ceiling === bounds.high && free?.unit === value.unit
    const empty = counters.every(({ value: begin }) => begin === 0n)
    return (
      same &&
      empty &&
      value.unit !== undefined &&
      value.sums === undefined &&
      find(COUNTER.top)?.ceiling === bounds.high
    )
  }

  #putAccount({ entity, name, value }: Extract<LedgerEvent, { kind: 'account' }>, doing: Doing): void {
    const account = this.#byId.get(entity)!
    if (value !== undefined && !isAccountValue(value))
      this.#broken('an account is well formed', { account: account.name })
    if (value !== undefined && name !== account.name)
      this.#broken('an account has the name that it is opened under', { account: account.name, given: name })
    this.#keepPlace((value as AccountValue | undefined)?.place, account)
    doing.put.set(account, value as AccountValue | undefined)
  }

  #entry(event: Extract<LedgerEvent, { kind: 'entry' }>, doing: Doing, look: Lookups): void {
    const { name, value } = event
    if (name === undefined || !isEntryValue(value)) this.#broken('an entry is well formed', { entry: name })
    const from = this.accounts.get(value.from)
    const to = this.accounts.get(value.to)
    if (!from || !to || from === to) this.#broken('an entry has two accounts', { entry: name })
    if (from.currency.code !== to.currency.code || from.currency.scale !== to.currency.scale)
      this.#broken('both accounts have one currency', { entry: name })
    if (from.value.closed || to.value.closed) this.#broken('nothing is posted to a closed account', { entry: name })
    const reserved = this.#checkKind(name, value, doing, look)
    const effect = effectOf(value.kind, value.units, reserved)
    applyDebit(from.sums, effect)
    applyCredit(to.sums, effect)
    this.entries++
    this.#note(from, to, value, effect, doing)
    if (this.amounts === 'sealed' && reserved === 0n) this.#checkBounds(from, to, name)
  }

  /** The names and amounts of its kind; what the hold that it resolves kept. */
  #checkKind(name: string, value: EntryValue, doing: Doing, look: Lookups): bigint {
    const { kind, of = '', units } = value
    if (kind === 'post' || kind === 'hold') {
      if (name.startsWith(RESOLVE) || name.startsWith(REVERSE))
        this.#broken('ids of the ledger are its own', { entry: name })
      if (kind === 'hold') doing.holds.made.push(this.#makeHold(name, value, look))
      return 0n
    }
    if (kind === 'reverse') {
      const before = look.original(of)
      const fits =
        name === REVERSE + of &&
        (before?.kind === 'post' || before?.kind === 'capture') &&
        before.units === units &&
        before.from === value.to &&
        before.to === value.from
      if (!fits) this.#broken('a reversal is the opposite of one transfer', { entry: name })
      return 0n
    }
    const hold = this.holds.get(of)
    if (!hold || name !== RESOLVE + of) this.#broken('a hold is resolved once', { entry: name })
    const fits = hold.fromName === value.from && hold.toName === value.to
    if (!fits || units > hold.units || (kind !== 'capture' && units !== hold.units))
      this.#broken('what is captured was held', { entry: name, units, held: hold.units })
    const { at } = this.#transaction!
    if (kind === 'expire' ? at < hold.until : at >= hold.until)
      this.#broken('a hold ends at its time', { entry: name, until: hold.until, at })
    this.holds.delete(of)
    doing.holds.resolved.push(hold)
    return hold.units
  }

  #makeHold(name: string, { from, to, units, until }: EntryValue, look: Lookups): OpenHold {
    if (until === undefined) this.#broken('a hold has a time', { entry: name })
    const [debited, credited] = [this.accounts.get(from)!, this.accounts.get(to)!]
    const entity = look.holdEntity(name, debited.id)
    const hold = { name, entity, from: debited.id, to: credited.id, fromName: from, toName: to, units, until }
    this.#keepHold(hold)
    return hold
  }

  #keepHold(hold: OpenHold): void {
    this.holds.set(hold.name, hold)
    if (hold.entity !== undefined) this.#holdsByEntity.set(hold.entity, hold)
  }

  #changeHold(entity: string, { holds }: Doing): void {
    if (this.#holdsByEntity.has(entity) || holds.entities.has(entity))
      this.#broken('what is posted stands', { what: 'change of a hold' })
  }

  #compareHolds({ holds }: Doing): void {
    const broken = brokenHold(holds, this.#holdsByEntity, this.amounts)
    if (broken) this.#broken(broken.rule, { entry: broken.entry })
    for (const { entity } of holds.resolved) if (entity !== undefined) this.#holdsByEntity.delete(entity)
  }

  #note(
    from: BookAccount,
    to: BookAccount,
    value: EntryValue,
    { posted, held }: { posted: bigint; held: bigint },
    doing: Doing,
  ): void {
    doing.touched.add(from).add(to)
    this.changed.add(from).add(to)
    if (value.kind !== 'expire') doing.debits.set(from, (doing.debits.get(from) ?? 0n) + 1n)
    if (this.amounts === 'sealed') return
    due(doing, from, COUNTER.free, -posted - held)
    due(doing, to, COUNTER.free, posted)
    due(doing, from, COUNTER.out, held)
    due(doing, to, COUNTER.in, held)
    if (from.terms.bounds.high !== undefined) due(doing, from, COUNTER.top, -posted)
    if (to.terms.bounds.high !== undefined) due(doing, to, COUNTER.top, posted + held)
  }

  #add({ entity, counter, amount }: Extract<LedgerEvent, { kind: 'add' }>, doing: Doing): void {
    const account = this.#byId.get(entity)
    if (!account) return
    const key = `${account.id} ${counter}`
    doing.told.set(key, (doing.told.get(key) ?? 0n) + amount)
  }

  #checkBounds(from: BookAccount, to: BookAccount, entry?: string): void {
    const debit = refusedDebit(from.sums, from.terms)
    const credit = debit ?? refusedCredit(to.sums, to.terms)
    if (!credit) return
    const rule = credit === 'INSUFFICIENT' ? 'an account stays above its floor' : 'an account stays below its ceiling'
    this.#broken(rule, { entry, account: debit ? from.name : to.name })
  }

  #compare(doing: Doing): void {
    for (const [account, value] of doing.put) {
      account.sure = account.known = value !== undefined
      if (value) this.#compareValue(account, value, doing)
    }
    this.#compareHolds(doing)
    if (this.amounts === 'clear') {
      this.#compareCounters(doing)
      return
    }
    for (const [number, value] of doing.pages) this.#comparePage(number, value)
    for (const account of doing.touched) {
      const debits = doing.debits.get(account) ?? 0n
      if (account.value.guarded && (doing.told.get(`${account.id} ${GATE}`) ?? 0n) !== debits)
        this.#broken('only those named for it debit an account', { account: account.name })
      // Entries of one transaction may cancel out, so that nothing is written.
      if (account.sure && !areStored(account.sums, account.stored))
        this.#broken('every entry is in the balance of its accounts', { account: account.name })
    }
  }

  #compareValue(account: BookAccount, value: AccountValue, doing: Doing): void {
    const { value: before, name } = account
    const { place } = value
    const sameTerms =
      value.currency[0] === before.currency[0] &&
      value.currency[1] === before.currency[1] &&
      value.normal === before.normal &&
      value.floor === before.floor &&
      value.ceiling === before.ceiling &&
      value.guarded === before.guarded &&
      value.unit === before.unit &&
      (before.place === undefined || place === before.place) &&
      (value.closed || !before.closed)
    if (!sameTerms) this.#broken('the terms of an account stand', { account: name })
    if (this.amounts === 'sealed') {
      const stored = place === undefined ? value.sums : this.#inPage(account, value, doing)
      if (stored ? !areStored(account.sums, stored) : place === undefined)
        this.#broken('a balance is the sum of its entries', { account: name })
      account.stored = stored ?? account.stored
      account.sure = stored !== undefined
      const { posted, pending, available } = positionOf(account.sums, value.normal)
      if (value.closed && (posted !== 0n || pending !== 0n || available !== 0n))
        this.#broken('an account is closed when it is empty', { account: name })
    } else if (value.sums !== undefined || place !== undefined)
      this.#broken('the terms of an account stand', { account: name })
    account.value = value
    this.changed.add(account)
  }

  /** The sums of an account that has a place; undefined if compaction has dropped the page that said them. */
  #inPage({ name }: BookAccount, { place, sums, closed }: AccountValue, { pages }: Doing): SumsValue | undefined {
    const number = pageOf(place!)
    const page = pages.has(number) ? pages.get(number) : this.#pages.get(number)
    const slots = slotsOf(page)
    const stored = slots?.[slotOf(place!)]
    if (slots) this.#compareClosed(name, closed, page as PageValue, slotOf(place!))
    const isDropped = slots === undefined && (pages.has(number) || this.#pages.has(number))
    if (sums !== undefined || (!stored && !isDropped))
      this.#broken('a balance stands in its page', { account: name, place })
    return stored
  }

  /** Every account that has its place there is in it, with the sum of its entries. */
  #comparePage(number: number, value: unknown): void {
    const slots = slotsOf(value)
    if (value !== undefined && !slots) this.#broken('a page is well formed', { page: number })
    const page = slots && (value as PageValue)
    const before = this.#pages.get(number)
    if (page && before && (page.closed === undefined) !== (before.closed === undefined))
      this.#broken('a page says who is closed from its beginning on', { page: number })
    this.#pages.set(number, page)
    for (let slot = 0; slot < PAGE_SLOTS; slot++) {
      const account = this.#byPlace.get(number * PAGE_SLOTS + slot)
      if (!account) continue
      const stored = slots?.[slot]
      const isMissing = slots !== undefined && account.value.place !== undefined
      if (stored ? !areStored(account.sums, stored) : isMissing)
        this.#broken('a balance is the sum of its entries', { account: account.name, page: number })
      if (page && account.known) this.#compareClosed(account.name, account.value.closed, page, slot)
      if (stored) account.stored = stored
      if (stored || !slots) account.sure = stored !== undefined
    }
  }

  /** Who posts in an account with a place looks for it in the page alone. */
  #compareClosed(account: string, isClosed: true | undefined, { closed }: PageValue, slot: number): void {
    if (closed !== undefined && closed.includes(slot) !== (isClosed === true))
      this.#broken('an account that is closed is so in its page', { account })
  }

  #compareCounters({ due, told, touched }: Doing): void {
    for (const key of new Set([...due.keys(), ...told.keys()])) {
      if ((due.get(key) ?? 0n) === (told.get(key) ?? 0n)) continue
      this.#broken('counters change by what is posted', { account: this.#byId.get(key.split(' ')[0]!)?.name })
    }
    for (const account of touched) this.#checkBounds(account, account)
  }

  /** Chain time decides whether what a hold keeps is free again, whether or not somebody has said so. */
  position(account: BookAccount, time: number): Position {
    const sums = { ...account.sums }
    for (const { fromName, toName, units, until } of this.holds.values()) {
      if (until > time) continue
      if (fromName === account.name) sums.heldDebits -= units
      if (toName === account.name) sums.heldCredits -= units
    }
    return positionOf(sums, account.value.normal)
  }

  /**
   * Posted debits and credits by the code of their currency. A ledger may have two scales of one, of a version that did not refuse the
   * second or of who writes by hand: their units are not added up, and those of the second stand under `CODE:SCALE`.
   */
  trial(): Map<string, { debits: bigint; credits: bigint }> {
    const sums = new Map<string, { debits: bigint; credits: bigint }>()
    const scales = new Map<string, number>()
    for (const { currency, sums: own } of this.accounts.values()) {
      const { code, scale } = currency
      const first = scales.get(code) ?? scale
      scales.set(code, first)
      const key = scale === first ? code : `${code}:${scale}`
      const sum = sums.get(key) ?? { debits: 0n, credits: 0n }
      sums.set(key, { debits: sum.debits + own.debits, credits: sum.credits + own.credits })
    }
    return sums
  }

  #broken(rule: string, facts: ErrorFacts): never {
    const { seq, txId, author } = this.#transaction!
    throw ledgerError('RULE_BROKEN', { rule, seq, txId, author, ...facts })
  }
}

function due(doing: Doing, { id }: BookAccount, counter: string, amount: bigint): void {
  const key = `${id} ${counter}`
  doing.due.set(key, (doing.due.get(key) ?? 0n) + amount)
}
