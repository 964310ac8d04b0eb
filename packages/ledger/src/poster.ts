/**
 * Posts groups of requests within one transaction. Each group applies wholly or not at all; later ones see what earlier ones
 * did. Accounts are read once and written once, however many requests touch them.
 */
import { AteError, type Entity, type ErrorFacts, isAteError, type Transaction } from '@ate/core'
import type { Currency } from './currencies.ts'
import { ledgerError } from './errors.ts'
import {
  type AccountValue,
  COUNTER,
  Entry,
  type EntryValue,
  GATE,
  HELD,
  Hold,
  type HoldValue,
  Page,
  type PageValue,
  RESOLVE,
  type SumsValue,
} from './ledger-records.ts'
import {
  type AccountTerms,
  accountTermsOf,
  applyCredit,
  applyDebit,
  areStored,
  boundsOf,
  type Effect,
  effectOf,
  type Refused,
  refusedCredit,
  refusedDebit,
  type Sums,
  storedSums,
  sumsOf,
} from './ledger-rules.ts'
import { type LedgerStore, type Node, type SettledAccount, sumsIn } from './ledger-store.ts'
import { PAGE_SLOTS, pageOf, pageValue, slotOf, slotsOf } from './pages.ts'
import {
  asksFor,
  isPost,
  type PostRequest,
  type Request,
  type ResolveRequest,
  type ReverseRequest,
  TIME_MAX_MS,
} from './requests.ts'
import { type Side, Sides } from './sides.ts'

/** What became of one request. */
export interface Posted {
  readonly id: string
  /** True if it was posted before, with the same body; false of an effect of a job, which runs later. */
  readonly existed: boolean
}

/** Expired holds that one refusal sets free. */
const RELEASE_MAX = 1000

/** An account while a batch is being judged, with its sums as they become. */
export interface Open extends Sums {
  readonly name: string
  readonly entity: Entity<AccountValue>
  readonly terms: AccountTerms
  readonly isClosed: boolean
  /** Of sealed amounts: the sums as they were read. */
  readonly stored: SumsValue | undefined
  /** Where they stand, if they do in a page. */
  readonly page: OpenPage | undefined
  readonly slot: number
  /** Where counters are written: of clear amounts, and of a guarded account. */
  readonly work: Work | undefined
}

/** What the transaction will write of an account. */
interface Work {
  debits: bigint
  freeUp: bigint
  freeDown: bigint
  out: bigint
  in: bigint
  top: bigint
}

/** A page while a batch is being judged. */
interface OpenPage {
  readonly number: number
  /** Undefined of one that is not there yet. */
  readonly entity: Entity<PageValue> | undefined
  /** As they were read. */
  readonly stored: readonly SumsValue[]
  /** As they become. */
  readonly slots: SumsValue[]
  /** As in its value. */
  readonly closed: readonly number[] | undefined
  isChanged: boolean
}

interface Step {
  readonly from: Open
  readonly to: Open
  readonly effect: Effect
  readonly entry: EntryValue
  readonly id: string
  /** The hold that it makes or resolves. */
  readonly hold?: HoldValue | Entity<HoldValue>
}

export class Poster {
  readonly #store: LedgerStore
  readonly #tx: Transaction
  readonly #node: Node
  readonly #ids: 'trusting' | 'looking'
  readonly #sides: Sides
  readonly #pages = new Map<number, OpenPage>()
  /**
   * What `postNow` has judged and not written yet: accounts and pages come first, since a transaction in which something stands
   * already looks for each of them in it.
   */
  #unwritten: PostRequest[] = []

  /**
   * With the sides of a batch, none of them open yet, it takes ids for new without looking: the chain refuses the transaction if
   * one is not, and whoever runs it again looks. A look costs as much as the posting.
   */
  constructor(store: LedgerStore, tx: Transaction, node: Node, sides: Sides | undefined) {
    this.#store = store
    this.#tx = tx
    this.#node = node
    this.#ids = sides ? 'trusting' : 'looking'
    this.#sides = sides ?? new Sides(store)
  }

  /**
   * Reads the accounts of a batch together, for `postNow`. What is not there, or cannot be read, is told to the request that
   * names it, by `run`.
   */
  async openAll(): Promise<void> {
    const unsettled: Side[] = []
    const numbers = new Set<number>()
    for (const side of this.#sides.all) {
      const settled = this.#settledOf(side)
      if (settled) numbers.add(pageOf(settled.place))
      else unsettled.push(side)
    }
    try {
      const names = unsettled.map(({ name }) => name)
      const found = names.length > 0 ? await this.#store.accountsOf(this.#tx, this.#node, names) : []
      for (const entity of found) {
        const place = entity && this.#placeOf(entity)
        if (place !== undefined) numbers.add(pageOf(place))
      }
      if (numbers.size > 0) await this.#openPages([...numbers])
      for (const side of this.#sides.all) this.#keepSettled(side)
      for (let i = 0; i < names.length; i++) if (found[i]) await this.#keepRead(unsettled[i]!, found[i]!)
    } catch (error) {
      if (!isAteError(error)) throw error
    }
  }

  #settledOf({ seen }: Side): SettledAccount | undefined {
    return seen?.terms && this.#node.value.amounts === 'sealed' ? (seen as SettledAccount) : undefined
  }

  /** Its page guards it, if that says whether it is closed; if not, `run` reads it. */
  #keepSettled(side: Side): void {
    const settled = this.#settledOf(side)
    const page = settled && this.#pages.get(pageOf(settled.place))
    if (!page?.closed) return
    const { entity, terms, place } = settled!
    const isClosed = page.closed.includes(slotOf(place))
    side.open = this.#opened(entity, { name: side.name, terms, isClosed, place, page })
  }

  async #keepRead(side: Side, entity: Entity<AccountValue>): Promise<void> {
    this.#keep(side, entity)
    const place = this.#placeOf(entity)
    if (place !== undefined && this.#pages.get(pageOf(place))?.closed) await this.#store.settle(side.name)
  }

  /**
   * The same at once, for one transfer between accounts that are open here already, which most of a batch are: those of
   * `pairs` from `at` on. False where it is not so simple, or where it is refused: then `run` says what becomes of it.
   */
  postNow(request: Request, pairs: readonly Side[], at: number): boolean {
    if (request.kind !== 'post') return false
    const { id, value: entry, currency } = request
    const from = pairs[at]!.open
    const to = pairs[at + 1]!.open
    if (!from || !to || from.isClosed || to.isClosed) return false
    if (!isOf(from, currency) || !isOf(to, currency)) return false
    const step: Step = { from, to, effect: effectOf('post', entry.units, 0n), entry, id }
    change(step, 1n)
    if (refusalOf(step)) {
      undo(step)
      return false
    }
    this.#unwritten.push(request as PostRequest)
    return true
  }

  /** Whoever looks for an id must see what was posted before him. */
  #writePosted(): void {
    for (const { id, value } of this.#unwritten) this.#tx.create(Entry, value, { parent: this.#node, name: id })
    this.#unwritten = []
  }

  /** Judges and stages a group. @throws AteError: then the group has left no trace */
  async run(requests: readonly Request[]): Promise<Posted[]> {
    this.#writePosted()
    if (this.#ids === 'looking') return this.#run(requests, 'looking')
    // What was posted before may well be refused now: only a look tells.
    return this.#run(requests, 'trusting').catch((error) => {
      if (!isAteError(error)) throw error
      return this.#run(requests, 'looking')
    })
  }

  /** Posts that holds of an account have expired. False if there are none. */
  async release(name: string): Promise<boolean> {
    const steps: Step[] = []
    const released = await this.#release(await this.#account(name), steps)
    for (const step of steps) this.#write(step)
    return released
  }

  async #run(requests: readonly Request[], ids: 'trusting' | 'looking'): Promise<Posted[]> {
    const steps: Step[] = []
    const posted: Posted[] = []
    const group = requests.length > 1 ? requests[0]!.id : undefined
    try {
      for (const request of requests) {
        if (steps.some(({ id }) => id === request.id))
          throw new AteError('ID_REUSED', { id: request.id }, { hint: 'an id stands twice in one group' })
        posted.push(await this.#one(request, group, steps, ids))
      }
      if (steps.length > 0 && posted.some(({ existed }) => existed))
        throw new AteError(
          'ID_REUSED',
          { id: posted.find(({ existed }) => existed)!.id },
          { hint: 'a part of the group was posted before' },
        )
    } catch (error) {
      for (const step of steps.toReversed()) undo(step)
      throw error
    }
    for (const step of steps) this.#write(step)
    return posted
  }

  /** Writes what all groups did to their accounts; once, at the end. */
  async flush(): Promise<void> {
    const unplaced: Open[] = []
    for (const { open } of this.#sides.all) {
      if (!open) continue
      const { entity, stored, page, work } = open
      if (stored) {
        if (!areStored(open, stored)) {
          if (page) writeSlot(page, open.slot, open)
          else if (this.#store.isPaged) unplaced.push(open)
          else this.#tx.replace(entity, { ...entity.value, sums: storedSums(open) })
        }
        if (work && work.debits > 0n) this.#tx.add(entity, GATE, work.debits)
      } else if (work) this.#addCounters(entity, work)
    }
    if (unplaced.length > 0) await this.#givePlaces(unplaced)
    for (const page of this.#pages.values()) if (page.isChanged) this.#writePage(page)
    this.#writePosted()
  }

  /** Accounts that are posted in for the first time get the next slots of the last page. */
  async #givePlaces(unplaced: readonly Open[]): Promise<void> {
    let page = await this.#openPage(this.#store.lastPage(this.#node))
    for (const open of unplaced) {
      const { entity } = open
      while (page.slots.length === PAGE_SLOTS) page = await this.#openPage(page.number + 1)
      const { sums: _, ...terms } = entity.value
      this.#tx.replace(entity, { ...terms, place: page.number * PAGE_SLOTS + page.slots.length })
      writeSlot(page, page.slots.length, open)
    }
  }

  #writePage({ number, entity, slots, closed }: OpenPage): void {
    const value = pageValue(slots, closed, entity?.value)
    if (entity) this.#tx.replace(entity, value)
    else this.#store.rememberPage(number, this.#tx.create(Page, value, { parent: this.#node, name: String(number) }))
  }

  async #openPage(number: number): Promise<OpenPage> {
    return this.#pages.get(number) ?? (await this.#openPages([number]))[0]!
  }

  async #openPages(numbers: readonly number[]): Promise<OpenPage[]> {
    const found = await this.#store.pagesOf(this.#tx, this.#node, numbers)
    return numbers.map((number, i) => {
      const entity = found[i]
      const stored = entity ? slotsOf(entity.value) : []
      if (!stored) throw ledgerError('RULE_BROKEN', { rule: 'a page is well formed', page: number })
      const closed = entity ? entity.value.closed : []
      const page: OpenPage = { number, entity, stored, slots: [...stored], closed, isChanged: false }
      this.#pages.set(number, page)
      return page
    })
  }

  /** Undefined of an account with its own sums. */
  #placeOf({ value }: Entity<AccountValue>): number | undefined {
    return this.#node.value.amounts === 'sealed' ? value.place : undefined
  }

  /** Debits and credits apart: a sum of both would hide a debit from those who say who may make one. */
  #addCounters(entity: Entity<AccountValue>, work: Work): void {
    const add = (counter: string, amount: bigint): void => {
      if (amount !== 0n) this.#tx.add(entity, counter, amount)
    }
    add(COUNTER.free, work.freeUp)
    add(COUNTER.free, work.freeDown)
    add(COUNTER.out, work.out)
    add(COUNTER.in, work.in)
    if (boundsOf(entity.value).high !== undefined) add(COUNTER.top, work.top)
  }

  async #one(request: Request, group: string | undefined, steps: Step[], ids: 'trusting' | 'looking'): Promise<Posted> {
    const look = ids === 'looking' || !isPost(request)
    const found = look && (await this.#tx.named(Entry, request.id, { parent: this.#node }))
    if (found) return this.#again(found.value, request)
    if (request.kind === 'reverse') await this.#reverse(request, steps)
    else if (isPost(request)) await this.#post(request, group, steps)
    else await this.#resolve(request, steps)
    return { id: request.id, existed: false }
  }

  #again(value: EntryValue, request: Request): Posted {
    if (isPost(request)) {
      if (asksFor(value, request)) return { id: request.id, existed: true }
      throw new AteError(
        'ID_REUSED',
        { id: request.id },
        { hint: 'this id was used for another transfer; choose another' },
      )
    }
    if (request.kind === 'reverse') {
      if (value.ref === request.reason) return { id: request.id, existed: true }
      throw ledgerError('ALREADY_REVERSED', { id: request.of })
    }
    const same =
      value.kind === request.kind &&
      (request.kind !== 'capture' || (request.amount?.units ?? value.units) === value.units)
    if (same) return { id: request.id, existed: true }
    throw new AteError(value.kind === 'expire' ? 'HOLD_EXPIRED' : 'HOLD_RESOLVED', { id: request.hold, by: value.kind })
  }

  async #post(request: PostRequest, group: string | undefined, steps: Step[]): Promise<void> {
    const from = await this.#account(request.value.from, request.currency)
    const to = await this.#account(request.value.to, request.currency)
    const entry: EntryValue = {
      ...request.value,
      ...(group === undefined ? {} : { group }),
      ...(request.expiresMs === undefined ? {} : { until: Math.min(this.#tx.now + request.expiresMs, TIME_MAX_MS) }),
    }
    const hold =
      request.kind === 'hold'
        ? { hold: { from: from.entity.id, to: to.entity.id, units: entry.units, until: entry.until! } }
        : {}
    await this.#apply(
      { from, to, effect: effectOf(request.kind, entry.units, 0n), entry, id: request.id, ...hold },
      steps,
    )
  }

  async #reverse(request: ReverseRequest, steps: Step[]): Promise<void> {
    const found = await this.#tx.named(Entry, request.of, { parent: this.#node })
    if (!found) throw new AteError('NOT_FOUND', { id: request.of }, { hint: 'there is no transfer of this id' })
    const { kind, from, to, units } = found.value
    if (kind !== 'post' && kind !== 'capture')
      throw new AteError('BAD_ARGUMENT', {
        what: 'only what was posted is reversed; void a hold',
        id: request.of,
        kind,
      })
    const entry: EntryValue = {
      kind: 'reverse',
      from: to,
      to: from,
      units,
      of: request.of,
      ...(request.reason === undefined ? {} : { ref: request.reason }),
    }
    const [debited, credited] = [await this.#account(to), await this.#account(from)]
    await this.#apply(
      { from: debited, to: credited, effect: effectOf('reverse', units, 0n), entry, id: request.id },
      steps,
    )
  }

  async #resolve({ kind, id, hold: holdId, amount }: ResolveRequest, steps: Step[]): Promise<void> {
    const held = await this.#tx.named(Entry, holdId, { parent: this.#node })
    if (held?.value.kind !== 'hold')
      throw new AteError('NOT_FOUND', { id: holdId }, { hint: 'there is no hold of this id' })
    const { from: fromName, to: toName, units: reserved, until = 0 } = held.value
    const from = await this.#account(fromName)
    const to = await this.#account(toName)
    const hold = await this.#tx.named(Hold, holdId, { parent: from.entity })
    if (!hold) throw ledgerError('HOLD_RESOLVED', { id: holdId })
    if (kind === 'expire') this.#tx.guard.notBefore(until)
    else if (this.#tx.now >= until) throw ledgerError('HOLD_EXPIRED', { id: holdId, until })
    else this.#tx.guard.before(until)
    const units = kind === 'capture' ? (amount?.units ?? reserved) : reserved
    if (amount) assertCurrency(from, amount.currency)
    if (units > reserved) throw ledgerError('BAD_AMOUNT', { what: 'more than the hold keeps', units, reserved })
    const entry: EntryValue = { kind, from: fromName, to: toName, units, of: holdId }
    await this.#apply({ from, to, effect: effectOf(kind, units, reserved), entry, id, hold }, steps)
  }

  /** Applies to the sums; what is refused is tried once more when expired holds are set free. */
  async #apply(step: Step, steps: Step[]): Promise<void> {
    for (let tries = 0; ; tries++) {
      for (const account of [step.from, step.to]) {
        if (account.isClosed) throw ledgerError('ACCOUNT_CLOSED', { account: account.name })
      }
      change(step, 1n)
      // What a resolution gives back breaks no bound; and what is over at its time must not be kept by one.
      const refused = step.entry.of !== undefined && step.entry.kind !== 'reverse' ? undefined : refusalOf(step)
      if (!refused) {
        steps.push(step)
        return
      }
      undo(step)
      if (tries > 0 || !(await this.#release(refused.account, steps))) throw ledgerError(refused.code, refused.facts)
    }
  }

  /** Sets expired holds of an account free, in the same transaction. False if there are none. */
  async #release(account: Open, steps: Step[]): Promise<boolean> {
    if (account.heldDebits === 0n && account.heldCredits === 0n) return false
    const expired = await this.#store.expiredHolds(account.entity.id, this.#tx.now, RELEASE_MAX)
    const before = steps.length
    for (const name of expired) {
      if (steps.some(({ id }) => id === RESOLVE + name)) continue
      const gone = await this.#tx.named(Entry, RESOLVE + name, { parent: this.#node })
      if (!gone) await this.#resolve({ kind: 'expire', id: RESOLVE + name, hold: name, amount: undefined }, steps)
    }
    return steps.length > before
  }

  async #account(name: string, currency?: Currency): Promise<Open> {
    const side = this.#sides.of(name)
    const open = side.open ?? (await this.#load(side))
    if (currency) assertCurrency(open, currency)
    return open
  }

  async #load(side: Side): Promise<Open> {
    const { name } = side
    const entity = await this.#store.account(this.#tx, this.#node, name)
    if (!entity) throw new AteError('NOT_FOUND', { account: name }, { hint: 'there is no such account; open it first' })
    const place = this.#placeOf(entity)
    if (place !== undefined) await this.#openPage(pageOf(place))
    return this.#keep(side, entity)
  }

  /** Its page is open. */
  #keep(side: Side, entity: Entity<AccountValue>): Open {
    const { name } = side
    const { value } = entity
    const place = this.#placeOf(entity)
    const page = place === undefined ? undefined : this.#pages.get(pageOf(place))
    side.open = this.#opened(entity, {
      name,
      terms: accountTermsOf(value),
      isClosed: value.closed === true,
      place,
      page,
    })
    return side.open
  }

  #opened(
    entity: Entity<AccountValue>,
    {
      name,
      terms,
      isClosed,
      place,
      page,
    }: Pick<Open, 'name' | 'terms' | 'isClosed' | 'page'> & { readonly place: number | undefined },
  ): Open {
    const slot = place === undefined ? 0 : slotOf(place)
    const stored = place === undefined ? entity.value.sums : sumsIn(page?.stored, place, name)
    const { debits, credits, heldDebits, heldCredits } = stored ? sumsOf(stored) : this.#counted(entity)
    const work = stored && !terms.isGuarded ? undefined : noWork()
    return { debits, credits, heldDebits, heldCredits, name, entity, terms, isClosed, stored, page, slot, work }
  }

  /** Sums of an account whose amounts are clear: of what is posted only the difference is kept there. */
  #counted(entity: Entity<AccountValue>): Sums {
    const heldDebits = this.#tx.counter(entity, COUNTER.out)
    const heldCredits = this.#tx.counter(entity, COUNTER.in)
    return { debits: 0n, credits: this.#tx.counter(entity, COUNTER.free) + heldDebits, heldDebits, heldCredits }
  }

  #write({ from, id, entry, hold, effect }: Step): void {
    const tx = this.#tx
    tx.create(Entry, entry, { parent: this.#node, name: id })
    if (hold === undefined) return
    if ('id' in hold) {
      tx.delete(hold)
      return
    }
    const { unit } = from.entity.value
    const counters = unit && { counters: { [HELD]: { value: effect.held, floor: 0n, unit: { id: unit } } } }
    tx.create(Hold, hold, { parent: from.entity, name: id, ...counters })
  }
}

function isOf({ terms }: Open, { code, scale }: Currency): boolean {
  return terms.code === code && terms.scale === scale
}

function assertCurrency(account: Open, currency: Currency): void {
  if (isOf(account, currency)) return
  const [present] = account.entity.value.currency
  throw ledgerError('CURRENCY_MISMATCH', { account: account.name, currency: present, given: currency.code })
}

function change({ from, to, effect, entry }: Step, sign: 1n | -1n): void {
  const signed = sign === 1n ? effect : { posted: -effect.posted, held: -effect.held }
  applyDebit(from, signed)
  applyCredit(to, signed)
  if (from.work) {
    if (entry.kind !== 'expire') from.work.debits += sign
    note(from.work, -effect.posted - effect.held, sign)
    from.work.out += signed.held
    from.work.top -= signed.posted
  }
  if (to.work) {
    note(to.work, effect.posted, sign)
    to.work.in += signed.held
    to.work.top += signed.posted + signed.held
  }
}

function writeSlot(page: OpenPage, slot: number, sums: Sums): void {
  page.slots[slot] = storedSums(sums)
  page.isChanged = true
}

function noWork(): Work {
  return { debits: 0n, freeUp: 0n, freeDown: 0n, out: 0n, in: 0n, top: 0n }
}

function note(work: Work, free: bigint, sign: 1n | -1n): void {
  if (free > 0n) work.freeUp += free * sign
  else work.freeDown += free * sign
}

function undo(step: Step): void {
  change(step, -1n)
}

function refusalOf({ from, to, effect }: Step): { code: Refused; account: Open; facts: ErrorFacts } | undefined {
  const debit = refusedDebit(from, from.terms)
  const code = debit ?? refusedCredit(to, to.terms)
  if (!code) return undefined
  const account = debit ? from : to
  const { floor, ceiling } = account.entity.value
  return { code, account, facts: { account: account.name, asked: effect.posted + effect.held, floor, ceiling } }
}
