/**
 * Reads the journal of a ledger from the log and applies it to books, so that whoever holds the keys repeats every check of
 * every author. What it yields has been checked; at the first record that breaks a rule it throws RULE_BROKEN and ends.
 */
import { type ChainRecord, defineType, type EntityType, type ErrorFacts, isAteError, type RecordEvent } from '@ate/core'
import { Books, type ClearCounter, type LedgerEvent, type LedgerTransaction } from './books.ts'
import { Account, type AccountValue, Entry, type EntryValue, Hold, LedgerNode, Page } from './ledger-records.ts'
import { noSums, storedSums } from './ledger-rules.ts'
import type { LedgerStore, Node } from './ledger-store.ts'
import { isEntryValue } from './stored-shapes.ts'

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
        const events = await this.#eventsOf(transaction.events, record.seq)
        if (events.length === 0) continue
        const { seq, author } = record
        const decoded = { seq, at, txId: transaction.txId, author, events }
        this.books.apply(decoded, { original: await this.#originals(decoded), holdEntity: this.#holdEntity })
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

  async #eventsOf(events: readonly RecordEvent[], seq: number): Promise<LedgerEvent[]> {
    const found: LedgerEvent[] = []
    this.#opening.clear()
    for (const event of events) {
      const made = event.type.startsWith('ledger') || event.op === 'add' ? await this.#eventOf(event, seq) : undefined
      if (made) found.push(made)
      if (made?.kind === 'open') this.#opening.add(made.entity)
    }
    return found
  }

  /** Accounts that the transaction at hand opens: the books do not know them yet. */
  readonly #opening = new Set<string>()
  /** Numbers of the pages that were met. */
  readonly #numbers = new Map<string, number | undefined>()
  /** Entries and pages that were made in this ledger, once somebody has touched one that may be another ledger's. */
  #made: Set<string> | undefined

  #isAccount(entity: string): boolean {
    return this.books.isAccount(entity) || this.#opening.has(entity)
  }

  #isOfLedger(entity = ''): boolean {
    return entity === this.#node.id || this.#isAccount(entity)
  }

  async #eventOf(event: RecordEvent, seq: number): Promise<LedgerEvent | undefined> {
    const { op, type, entity } = event
    if (entity === undefined) return undefined
    if (op === 'create') return this.#created(event, entity)
    if (op === 'add') {
      const { counter, amount } = event.clear
      if (!this.#isAccount(entity) || typeof counter !== 'string' || typeof amount !== 'bigint') return undefined
      return { kind: 'add', entity, counter, amount }
    }
    if (op !== 'put' && op !== 'delete' && op !== 'expire' && op !== 'move') return undefined
    if (op === 'move' && this.#isOfLedger(event.parent)) return tampered(`${op} of ${type}`)
    if (type === Hold.name) return { kind: op === 'delete' ? 'hold-gone' : 'hold-changed', entity }
    if (type === Account.name) {
      if (!this.#isAccount(entity)) return undefined
      if (op !== 'put') return tampered(`${op} of an account`)
      const read = await opened(event, Account)
      return { kind: 'account', entity, name: read?.name, value: read?.value }
    }
    if (type === Page.name && op === 'put') return this.#page(event, entity)
    if (type === LedgerNode.name) return entity === this.#node.id ? tampered(`${op} of ${type}`) : undefined
    if (type === Entry.name || type === Page.name)
      return (await this.#isOurs(entity, seq)) ? tampered(`${op} of ${type}`) : undefined
    return undefined
  }

  async #created(event: RecordEvent, entity: string): Promise<LedgerEvent | undefined> {
    const { type, parent = '' } = event
    if (type === Hold.name && this.#isAccount(parent)) {
      if (expires(event)) return tampered('a hold that expires by itself')
      return { kind: 'hold', entity, value: (await opened(event, Hold))?.value, counters: countersOf(event) }
    }
    if (parent !== this.#node.id || event.collection !== type) return undefined
    if (type !== Account.name && type !== Page.name && type !== Entry.name) return undefined
    // What is swept leaves its name to be used again.
    if (expires(event)) return tampered(`a ${type} that expires`)
    if (type === Account.name) {
      const read = (await opened(event, Account)) ?? (await this.#asItBegan(entity))
      if (read?.name !== undefined && !this.#isNamed(Account, entity, read.name))
        return misnamed('an account has the name that it is opened under', { account: read.name })
      return { kind: 'open', entity, name: read?.name, value: read?.value, counters: countersOf(event) }
    }
    this.#made?.add(entity)
    if (type === Page.name) return this.#page(event, entity)
    const read = await opened(event, Entry)
    if (read?.name !== undefined && !this.#isNamed(Entry, entity, read.name))
      return misnamed('an entry has the id that it is posted under', { entry: read.name })
    return { kind: 'entry', name: read?.name, value: read?.value }
  }

  /** A name is sealed beside the value: the key holder who wrote it may have told another than that of the id. */
  #isNamed<T>(type: EntityType<T>, entity: string, name: string): boolean {
    return this.#store.chain.idOf(type, name, { parent: this.#node }) === entity
  }

  readonly #holdEntity = (name: string, account: string): string | undefined => {
    const { chain } = this.#store
    return chain.has(account) ? chain.idOf(Hold, name, { parent: account }) : undefined
  }

  async #page(event: RecordEvent, entity: string): Promise<LedgerEvent | undefined> {
    const read = await opened(event, Page)
    if (!this.#numbers.has(entity)) this.#numbers.set(entity, this.#numberOf(entity, read?.name))
    const number = this.#numbers.get(entity)
    if (number === undefined) return undefined
    if (read && read.name !== String(number))
      return misnamed('a page has the number that it is found under', { page: number })
    return { kind: 'page', number, value: read?.value }
  }

  /** Of a page that is found under its number, whatever it calls itself; others are read by nobody. */
  #numberOf(entity: string, given = ''): number | undefined {
    if (PAGE_NAME.test(given) && this.#isNamed(Page, entity, given)) return Number(given)
    const count = this.#store.chain.children(Page, this.#node).count()
    for (let number = 0; number < count; number++) {
      if (this.#isNamed(Page, entity, String(number))) return number
    }
    return undefined
  }

  /**
   * Whether an entry or a page was made in this ledger: anybody may make what is called so in a place of his own. Where it stands
   * now does not tell, if it was moved or is gone: then the journal is read once for what was made here.
   */
  async #isOurs(entity: string, seq: number): Promise<boolean> {
    const { chain } = this.#store
    if (chain.has(entity) && chain.parentOf(entity) === this.#node.id) return true
    this.#made ??= await this.#madeUntil(seq)
    return this.#made.has(entity)
  }

  async #madeUntil(last: number): Promise<Set<string>> {
    const made = new Set<string>()
    for await (const { seq, transactions } of this.#store.chain.records()) {
      if (seq > last) break
      for (const { refusal, events } of transactions) {
        if (refusal) continue
        for (const { op, type, parent, entity } of events) {
          if (op === 'create' && (type === Entry.name || type === Page.name) && parent === this.#node.id && entity)
            made.add(entity)
        }
      }
    }
    return made
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
    if (event.kind === 'entry' && event.name !== undefined && isEntryValue(event.value))
      entries.push({ id: event.name, value: event.value })
  }
  return entries
}

function tampered(what: string): LedgerEvent {
  return { kind: 'broken', rule: 'what is posted stands', facts: { what } }
}

function misnamed(rule: string, facts: ErrorFacts): LedgerEvent {
  return { kind: 'broken', rule, facts }
}

function expires({ clear }: RecordEvent): boolean {
  return clear['expires'] !== undefined || clear['ttl'] !== undefined
}

/** What shape a value has is for the books to say. */
const UNCHECKED: ReadonlyMap<string, EntityType<unknown>> = new Map(
  [Account, Entry, Hold, Page].map(({ name, version, migrate }) => [
    name,
    defineType<unknown>(name, { version, ...(migrate ? { migrate } : {}) }),
  ]),
)

/** What an event wrote; undefined where compaction has dropped it. What is no value is none of any type. */
async function opened(
  event: RecordEvent,
  { name }: { readonly name: string },
): Promise<{ readonly value: unknown; readonly name: string | undefined } | undefined> {
  try {
    return await event.open(UNCHECKED.get(name)!)
  } catch (error) {
    if (isAteError(error) && error.code === 'BODY_DROPPED') return undefined
    if (isAteError(error) && (error.code === 'BAD_VALUE' || error.code === 'BAD_CBOR' || error.code === 'BAD_RECORD'))
      return { value: null, name: undefined }
    throw error
  }
}

function countersOf(event: RecordEvent): ClearCounter[] {
  const { counters } = event.clear
  return Array.isArray(counters) ? (counters as unknown as ClearCounter[]) : []
}
