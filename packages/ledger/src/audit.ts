/**
 * Reads the journal of a ledger from the log and applies it to books, so that whoever holds the keys repeats every check of
 * every author. What it yields has been checked; at the first record that breaks a rule it throws RULE_BROKEN and ends.
 */
import { type ChainRecord, type EntityType, isAteError, type RecordEvent } from '@ate/core'
import { Books, type ClearCounter, type LedgerEvent, type LedgerTransaction } from './books.ts'
import { Account, type AccountValue, Entry, type EntryValue, Hold, LedgerNode, Page } from './ledger-records.ts'
import { noSums, storedSums } from './ledger-rules.ts'
import type { LedgerStore, Node } from './ledger-store.ts'

/** An entry as it stands in the journal. */
export interface JournalEntry {
  readonly id: string
  readonly value: EntryValue
}

/** A committed transaction that posted something. */
export interface Journaled {
  readonly seq: number
  /** Chain time, Unix ms. */
  readonly at: number
  readonly txId: string
  readonly author: string | undefined
  readonly entries: readonly JournalEntry[]
}

/** How far an author's clock may be ahead of the record, in ms: the chain judges by no later time. */
const AHEAD_MS = 60_000

const PAGE_NAME = /^(0|[1-9]\d{0,8})$/

export class Audit {
  readonly books: Books
  readonly #store: LedgerStore
  readonly #node: Node
  /** The next record to read. */
  #next = 0
  #time = 0

  /** From the first record on; or behind record `seq`, with the books as they were there. */
  constructor(
    store: LedgerStore,
    node: Node,
    from?: { readonly books: Books; readonly seq: number; readonly time: number },
  ) {
    this.#store = store
    this.#node = node
    this.books = from?.books ?? new Books(node.value.amounts)
    if (!from) return
    this.#next = from.seq + 1
    this.#time = from.time
  }

  /** Seq of the last record that was read; -1 before the first. */
  get seq(): number {
    return this.#next - 1
  }

  /** Chain time of the newest record that was read, Unix ms. */
  get time(): number {
    return this.#time
  }

  /** What came since it was read last, up to `until` (the newest record): transactions with entries, checked. */
  async *read(
    options: {
      readonly until?: (record: { seq: number; at: number }) => boolean
      readonly signal?: AbortSignal
      /** Called behind each record. */
      readonly passed?: () => void
    } = {},
  ): AsyncGenerator<Journaled, void, void> {
    const { signal, until, passed } = options
    const { chain } = this.#store
    for await (const record of chain.records({ from: this.#next, ...(signal ? { signal } : {}) })) {
      const at = this.#timeOf(record)
      if (until?.({ seq: record.seq, at })) return
      if (record.transactions.some(({ refusal }) => !refusal)) this.#time = at
      for (const transaction of record.transactions) {
        if (transaction.refusal) continue
        const events = await this.#eventsOf(transaction.events)
        if (events.length === 0) continue
        const { seq, author } = record
        const decoded = { seq, at, txId: transaction.txId, author, events }
        this.books.apply(decoded, await this.#originals(decoded))
        const entries = entriesOf(events)
        if (entries.length > 0) yield { seq, at, txId: transaction.txId, author, entries }
      }
      this.#next = record.seq + 1
      passed?.()
    }
  }

  #timeOf(record: ChainRecord): number {
    const { at } = record.clear
    const own = typeof at === 'number' ? Math.min(record.admittedAt, at + AHEAD_MS) : 0
    return Math.max(this.#time, own)
  }

  async #eventsOf(events: readonly RecordEvent[]): Promise<LedgerEvent[]> {
    const found: LedgerEvent[] = []
    this.#opening.clear()
    for (const event of events) {
      const made = event.type.startsWith('ledger') || event.op === 'add' ? await this.#eventOf(event) : undefined
      if (made) found.push(made)
      if (made?.kind === 'open') this.#opening.add(made.entity)
    }
    return found
  }

  /** Accounts that the transaction at hand opens: the books do not know them yet. */
  readonly #opening = new Set<string>()
  /** Numbers of the pages that were met. */
  readonly #numbers = new Map<string, number | undefined>()

  #isAccount(entity: string): boolean {
    return this.books.isAccount(entity) || this.#opening.has(entity)
  }

  async #eventOf(event: RecordEvent): Promise<LedgerEvent | undefined> {
    const { op, type, entity } = event
    if (entity === undefined) return undefined
    if (op === 'create') return this.#created(event, entity)
    if (op === 'add') {
      const { counter, amount } = event.clear
      if (!this.#isAccount(entity) || typeof counter !== 'string' || typeof amount !== 'bigint') return undefined
      return { kind: 'add', entity, counter, amount }
    }
    if (type === Account.name && op === 'put')
      return this.#isAccount(entity)
        ? { kind: 'account', entity, value: (await opened(event, Account))?.value }
        : undefined
    if (type === Page.name && op === 'put') return this.#page(event, entity)
    if (type === Account.name && (op === 'delete' || op === 'expire'))
      return this.#isAccount(entity) ? { kind: 'tamper', what: `${op} of an account` } : undefined
    if (type === Entry.name || type === Page.name || (type === LedgerNode.name && entity === this.#node.id)) {
      if (op === 'put' || op === 'delete' || op === 'expire' || op === 'move')
        return { kind: 'tamper', what: `${op} of ${type}` }
    }
    return undefined
  }

  async #created(event: RecordEvent, entity: string): Promise<LedgerEvent | undefined> {
    const { type, parent = '' } = event
    if (parent === this.#node.id && event.collection === type) {
      if (type === Account.name) {
        const read = (await opened(event, Account)) ?? (await this.#asItBegan(entity))
        return { kind: 'open', entity, name: read?.name, value: read?.value, counters: countersOf(event) }
      }
      if (type === Page.name) return this.#page(event, entity)
      if (type === Entry.name) {
        const read = await opened(event, Entry)
        return { kind: 'entry', name: read?.name, value: read?.value }
      }
    }
    if (type === Hold.name && this.#isAccount(parent)) {
      const counters = countersOf(event)
      return {
        kind: 'hold',
        parent,
        counters,
        name: counters.length > 0 ? (await opened(event, Hold))?.name : undefined,
      }
    }
    return undefined
  }

  async #page(event: RecordEvent, entity: string): Promise<LedgerEvent | undefined> {
    const read = await opened(event, Page)
    if (!this.#numbers.has(entity)) this.#numbers.set(entity, await this.#numberOf(entity, read?.name))
    const number = this.#numbers.get(entity)
    return number === undefined ? undefined : { kind: 'page', number, value: read?.value }
  }

  /** Of a page that is found under its number; others are read by nobody. One that is gone now has the name that it was given. */
  async #numberOf(entity: string, given: string | undefined): Promise<number | undefined> {
    const { chain } = this.#store
    const page = await chain.get(Page, entity)
    const name = (page ? page.name : given) ?? ''
    if (!PAGE_NAME.test(name)) return undefined
    const found = await chain.named(Page, name, { parent: this.#node })
    return found?.id === page?.id ? Number(name) : undefined
  }

  /** Compaction has dropped what an account began with: its terms stand, and it began empty. */
  async #asItBegan(
    entity: string,
  ): Promise<{ readonly value: AccountValue; readonly name: string | undefined } | undefined> {
    const account = await this.#store.chain.get(Account, entity)
    if (!account) return undefined
    const { closed: _, sums, place, ...terms } = account.value
    const isSealed = sums !== undefined || place !== undefined
    return { name: account.name, value: { ...terms, ...(isSealed ? { sums: storedSums(noSums()) } : {}) } }
  }

  /** The entries that reversals name: of this transaction, or as they stand in the chain. */
  async #originals({ events, seq }: LedgerTransaction): Promise<(id: string) => EntryValue | undefined> {
    const found = new Map<string, EntryValue>()
    for (const { id, value } of entriesOf(events)) {
      found.set(id, value)
      if (value.kind !== 'reverse' || value.of === undefined || found.has(value.of)) continue
      const entry = await this.#store.chain.named(Entry, value.of, { parent: this.#node })
      if (entry && this.#store.chain.seqOf(entry) <= seq) found.set(value.of, entry.value)
    }
    return (id) => found.get(id)
  }
}

function entriesOf(events: readonly LedgerEvent[]): JournalEntry[] {
  const entries: JournalEntry[] = []
  for (const event of events) {
    if (event.kind === 'entry' && event.name !== undefined)
      entries.push({ id: event.name, value: event.value as EntryValue })
  }
  return entries
}

/** What an event wrote; undefined where compaction has dropped it, or where it is no value of its type. */
async function opened<T>(
  event: RecordEvent,
  type: EntityType<T>,
): Promise<{ value: unknown; name: string | undefined } | undefined> {
  try {
    return await event.open(type)
  } catch (error) {
    if (isAteError(error) && (error.code === 'BODY_DROPPED' || error.code === 'BAD_VALUE' || error.code === 'BAD_CBOR'))
      return undefined
    throw error
  }
}

function countersOf(event: RecordEvent): ClearCounter[] {
  const { counters } = event.clear
  return Array.isArray(counters) ? (counters as unknown as ClearCounter[]) : []
}
