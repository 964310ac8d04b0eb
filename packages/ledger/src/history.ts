/** What was posted: balances, entries, statements, trial balance. What is read from the journal is checked on the way. */
import { AteError, type Chain, type Entity } from '@ate/core'
import { Audit, type JournalEntry, type Journaled } from './audit.ts'
import type { BookAccount } from './books.ts'
import type { Currency } from './currencies.ts'
import { Account, type AccountValue, COUNTER, type EntryKind, type Json, type NormalSide } from './ledger-records.ts'
import { noSums, type Position, positionOf, type Sums, sumsOf } from './ledger-rules.ts'
import type { LedgerStore, Node } from './ledger-store.ts'
import type { Money } from './money.ts'
import { type IsLater, Past } from './past.ts'
import { isEntryKind } from './stored-shapes.ts'

export interface Balance<C extends string = string> extends Position {
  readonly currency: Currency<C>
  /** The record up to which it counts. */
  readonly seq: number
}

export interface AccountInfo extends Balance {
  readonly name: string
  readonly normal: NormalSide
  readonly floor: bigint | 'none'
  readonly ceiling: bigint | undefined
  /** Only those named for it debit it. */
  readonly guarded: boolean
  readonly closed: boolean
}

export interface Entry {
  readonly id: string
  readonly kind: EntryKind
  readonly seq: number
  /** Chain time of its record. */
  readonly at: Date
  /** Fingerprint of the key that wrote it. */
  readonly author: string | undefined
  readonly from: string
  readonly to: string
  readonly amount: Money
  readonly code?: string
  readonly ref?: string
  readonly effective?: Date
  readonly meta?: Json
  /** The first id of its atomic group. */
  readonly group?: string
  /** The hold that it resolves, or the entry that it reverses. */
  readonly of?: string
  /** Of a hold. */
  readonly until?: Date
}

export interface EntryQuery {
  readonly account?: string
  readonly kind?: EntryKind
  readonly code?: string
  readonly ref?: string
  /** Chain time: from this on, and before that. */
  readonly since?: Date
  readonly until?: Date
  /** Newest first if `desc`. */
  readonly order?: 'asc' | 'desc'
  readonly limit?: number
  readonly signal?: AbortSignal
}

export interface Statement {
  readonly account: string
  readonly currency: Currency
  readonly normal: NormalSide
  readonly opening: bigint
  readonly closing: bigint
  /** What was posted, oldest first, each with the balance behind it. */
  readonly lines: readonly (Entry & { readonly change: bigint; readonly balance: bigint })[]
}

export interface TrialRow {
  readonly debits: bigint
  readonly credits: bigint
}

export interface Verified {
  /** The last record that was read. */
  readonly through: number
  readonly entries: number
  readonly accounts: number
  /** SHA-256 of all sums of all accounts: equal for all readers of the same records. */
  readonly root: string
}

/** Entries that `desc` keeps in memory at most. Tests lower it. */
export const limits = { descending: 100_000 }

export class History {
  readonly #store: LedgerStore
  /** The books up to what was asked for so far; the journal goes on from there. */
  #past: Past | undefined

  constructor(store: LedgerStore) {
    this.#store = store
  }

  get #chain(): Chain {
    return this.#store.chain
  }

  async balance(name: string): Promise<Balance> {
    const node = await this.#store.toRead()
    const account = node && (await this.#store.knownAccount(node, name))
    if (!account) throw noAccount(name)
    return this.#balanceOf(node, account)
  }

  async *accounts(): AsyncGenerator<AccountInfo, void, void> {
    const node = await this.#store.toRead()
    if (!node) return
    for await (const account of this.#chain.children(Account, node))
      yield { name: account.name!, ...termsOf(account.value), ...(await this.#balanceOf(node, account)) }
  }

  async *accountsAt(at: Date | number, signal?: AbortSignal): AsyncGenerator<AccountInfo, void, void> {
    const found = await this.#booksAt(at, signal, (audit, time) =>
      [...audit.books.accounts.values()].map((account) => ({
        name: account.name,
        ...termsOf(account.value),
        ...balanceIn(audit, account, time),
      })),
    )
    yield* found ?? []
  }

  async #balanceOf(node: Node, account: Entity<AccountValue>): Promise<Balance> {
    const { currency, normal } = account.value
    const stored = await this.#store.knownSums(node, account)
    const sums = stored ? sumsOf(stored) : this.#counted(account)
    if (sums.heldDebits !== 0n || sums.heldCredits !== 0n) await this.#setFree(account, sums)
    return {
      currency: { code: currency[0], scale: currency[1] },
      ...positionOf(sums, normal),
      seq: this.#chain.head.seq,
    }
  }

  #counted(account: Entity<AccountValue>): Sums {
    const read = (name: string): bigint => this.#chain.counter(account, name)
    const heldDebits = read(COUNTER.out)
    return { ...noSums(), credits: read(COUNTER.free) + heldDebits, heldDebits, heldCredits: read(COUNTER.in) }
  }

  /** What holds keep is free from their time on, whether or not somebody has posted that. */
  async #setFree(account: Entity<AccountValue>, sums: Sums): Promise<void> {
    for (const { value } of await this.#store.openHolds(account.id)) {
      if (value.until > this.#chain.now) continue
      if (value.from === account.id) sums.heldDebits -= value.units
      if (value.to === account.id) sums.heldCredits -= value.units
    }
  }

  async balanceAt(name: string, at: Date | number, signal?: AbortSignal): Promise<Balance> {
    const balance = await this.#booksAt(at, signal, (audit, time) => {
      const account = audit.books.accounts.get(name)
      return account && balanceIn(audit, account, time)
    })
    if (!balance) throw noAccount(name)
    return balance
  }

  /** The books with all records up to a seq, or of a time and before; undefined if there is no ledger. */
  async #booksAt<R>(
    at: Date | number,
    signal: AbortSignal | undefined,
    look: (audit: Audit, time: number) => R,
  ): Promise<R | undefined> {
    const isLater = laterThan(at)
    const past = await this.#pastOf()
    // What is to come has no holds that have run out: nobody may spend them before chain time says so.
    const time = at instanceof Date ? Math.min(at.getTime(), this.#chain.now) : undefined
    return past?.at(isLater, (audit) => look(audit, time ?? audit.time), signal)
  }

  async #pastOf(): Promise<Past | undefined> {
    const node = await this.#store.toRead()
    if (node) this.#past ??= new Past(this.#store, node)
    return this.#past
  }

  /** From the first record on, or from one before `since`: what lies before that was checked. */
  async #auditSince(since: Date | undefined, signal: AbortSignal | undefined): Promise<Audit | undefined> {
    const past = await this.#pastOf()
    if (past && since) return past.before(({ at }) => at >= since.getTime(), signal)
    return past && new Audit(this.#store, (await this.#store.toRead())!)
  }

  async *entries(query: EntryQuery): AsyncGenerator<Entry, void, void> {
    const { order = 'asc', limit = Number.POSITIVE_INFINITY } = checkedQuery(query)
    const audit = limit === 0 ? undefined : await this.#auditSince(query.since, query.signal)
    if (!audit) return
    const kept: Entry[] = []
    let count = 0
    for await (const entry of this.#read(audit, query)) {
      if (order === 'desc') {
        kept.push(entry)
        if (kept.length > limit) kept.shift()
        else if (kept.length > limits.descending)
          throw new AteError(
            'BAD_ARGUMENT',
            { option: 'limit', max: limits.descending },
            { hint: 'newest first holds them in memory, and these are too many: give a limit, or a later since' },
          )
        continue
      }
      yield entry
      if (++count >= limit) return
    }
    yield* kept.reverse()
  }

  async *watch(query: EntryQuery & { readonly from?: number }): AsyncGenerator<Entry, void, void> {
    checkedQuery(query)
    const { signal, from = this.#chain.head.seq + 1 } = query
    let node: Node | undefined
    let audit: Audit | undefined
    // Woken by whatever is committed; what is told is read from the journal.
    for await (const _ of this.#wakes(signal)) {
      // Who is let in later hears it from then on.
      node ??= await this.#store.known()
      if (!node) continue
      audit ??= new Audit(this.#store, node)
      for await (const entry of this.#read(audit, query)) if (entry.seq >= from) yield entry
    }
  }

  /** Once at once, then after each committed event that nobody has taken yet. */
  async *#wakes(signal: AbortSignal | undefined): AsyncGenerator<void, void, void> {
    const changes = this.#chain.watch(signal ? { signal } : {})
    yield
    for await (const _ of changes) yield
  }

  async *#read(audit: Audit, query: EntryQuery): AsyncGenerator<Entry, void, void> {
    const { until, signal } = query
    const isPast = until && ((record: { seq: number; at: number }) => record.at >= until.getTime())
    for await (const journaled of audit.read({ ...(isPast ? { until: isPast } : {}), ...(signal ? { signal } : {}) })) {
      for (const entry of journaled.entries) {
        if (matches(query, journaled, entry)) yield entryOf(audit, journaled, entry)
      }
    }
  }

  async statement(name: string, query: Pick<EntryQuery, 'since' | 'until' | 'signal'>): Promise<Statement> {
    checkedQuery(query)
    const node = await this.#store.toRead()
    if (!node) throw noAccount(name)
    const { since, ...rest } = query
    const { until } = rest
    const first = since && until && until < since ? until : since
    const audit = (await this.#auditSince(first, query.signal))!
    const lines: (Entry & { change: bigint; balance: bigint })[] = []
    let account = audit.books.accounts.get(name)
    let balance = account ? audit.books.position(account, 0).posted : 0n
    let opening = balance
    for await (const entry of this.#read(audit, { ...rest, account: name })) {
      account ??= audit.books.accounts.get(name)
      if (entry.kind === 'hold' || entry.kind === 'void' || entry.kind === 'expire') continue
      const credited = entry.to === name
      const change = credited === (account!.value.normal === 'credit') ? entry.amount.units : -entry.amount.units
      balance += change
      if (since && entry.at < since) opening = balance
      else lines.push({ ...entry, change, balance })
    }
    account ??= audit.books.accounts.get(name)
    const { currency, normal } = account
      ? { currency: account.currency, normal: account.value.normal }
      : await this.#openedLater(node, name)
    return { account: name, currency, normal, opening, closing: balance, lines }
  }

  /** Of an account that is there now: before it was opened it had nothing. */
  async #openedLater(node: Node, name: string): Promise<Pick<Statement, 'currency' | 'normal'>> {
    const account = await this.#store.knownAccount(node, name)
    if (!account) throw noAccount(name)
    const [code, scale] = account.value.currency
    return { currency: { code, scale }, normal: account.value.normal }
  }

  async trial({
    at,
    signal,
  }: {
    readonly at?: Date | number
    readonly signal?: AbortSignal
  }): Promise<ReadonlyMap<string, TrialRow>> {
    const past = await this.#pastOf()
    const isLater = at === undefined ? () => false : laterThan(at)
    return past ? past.at(isLater, ({ books }) => books.trial(), signal) : new Map()
  }

  async verify(signal?: AbortSignal): Promise<Verified> {
    const node = await this.#store.toRead()
    if (!node) return { through: this.#chain.head.seq, entries: 0, accounts: 0, root: await digest([]) }
    const audit = new Audit(this.#store, node)
    for await (const journaled of audit.read(signal ? { signal } : {})) void journaled
    const { accounts, entries } = audit.books
    const lines = [...accounts.values()]
      .map(({ name, currency, sums }) => JSON.stringify([name, currency.code, ...Object.values(sums).map(String)]))
      .sort()
    return { through: audit.seq, entries, accounts: accounts.size, root: await digest(lines) }
  }
}

function balanceIn({ books, seq }: Audit, account: BookAccount, time: number): Balance {
  return { currency: account.currency, ...books.position(account, time), seq }
}

function termsOf(value: AccountValue): Omit<AccountInfo, 'name' | keyof Balance> {
  const { normal, floor = 'none', ceiling, guarded = false, closed = false } = value
  return { normal, floor, ceiling, guarded, closed }
}

function laterThan(at: Date | number): IsLater {
  if (at instanceof Date && !Number.isNaN(at.getTime())) return (record) => record.at > at.getTime()
  if (typeof at === 'number' && Number.isSafeInteger(at) && at >= 0) return ({ seq }) => seq > at
  throw new AteError('BAD_ARGUMENT', { what: 'at is a Date, or the seq of a record' })
}

function checkedQuery(query: EntryQuery & { readonly from?: number }): EntryQuery {
  const { limit, since, until, order, kind, account, code, ref, from } = query
  // A word that is misspelt would be another order, or no entries at all.
  if (order !== undefined && order !== 'asc' && order !== 'desc')
    throw new AteError('BAD_ARGUMENT', { option: 'order', words: ['asc', 'desc'] })
  if (kind !== undefined && !isEntryKind(kind)) throw new AteError('BAD_ARGUMENT', { option: 'kind' })
  for (const [option, text] of Object.entries({ account, code, ref }))
    if (text !== undefined && typeof text !== 'string') throw new AteError('BAD_ARGUMENT', { option, what: 'text' })
  if (from !== undefined && (!Number.isSafeInteger(from) || from < 0))
    throw new AteError('BAD_ARGUMENT', { option: 'from', what: 'the number of a record' })
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 0))
    throw new AteError('BAD_ARGUMENT', { what: 'limit' })
  for (const date of [since, until]) {
    if (date !== undefined && !(date instanceof Date && !Number.isNaN(date.getTime())))
      throw new AteError('BAD_ARGUMENT', { what: 'since and until are Dates' })
  }
  return query
}

function matches({ account, kind, code, ref, since }: EntryQuery, { at }: Journaled, { value }: JournalEntry): boolean {
  return (
    (account === undefined || value.from === account || value.to === account) &&
    (kind === undefined || value.kind === kind) &&
    (code === undefined || value.code === code) &&
    (ref === undefined || value.ref === ref) &&
    (since === undefined || at >= since.getTime())
  )
}

function entryOf({ books }: Audit, { seq, at, author }: Journaled, { id, value }: JournalEntry): Entry {
  const { kind, from, to, units, effective, until, code, ref, meta, group, of } = value
  const { currency } = books.accounts.get(from)!
  return {
    id,
    kind,
    seq,
    at: new Date(at),
    author,
    from,
    to,
    amount: { currency, units },
    ...(code === undefined ? {} : { code }),
    ...(ref === undefined ? {} : { ref }),
    ...(effective === undefined ? {} : { effective: new Date(effective) }),
    ...(meta === undefined ? {} : { meta }),
    ...(group === undefined ? {} : { group }),
    ...(of === undefined ? {} : { of }),
    ...(until === undefined ? {} : { until: new Date(until) }),
  }
}

async function digest(lines: readonly string[]): Promise<string> {
  const bytes = new TextEncoder().encode(lines.join('\n'))
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function noAccount(account: string): AteError {
  return new AteError('NOT_FOUND', { account }, { hint: 'there is no such account' })
}
