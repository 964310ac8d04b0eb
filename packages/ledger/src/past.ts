/**
 * What the books were at records along the journal, held in memory: read once and checked on the way, as far as anybody has
 * asked. A question goes back to the last mark before its place, and reads on from there; between two marks lie at most so many
 * entries as twice the accounts and open holds, or 4,096. What compaction drops later is known here already.
 */
import { Audit } from './audit.ts'
import type { OpenHold } from './book-holds.ts'
import { type AccountMark, type BookAccount, Books } from './books.ts'
import type { LedgerStore, Node } from './ledger-store.ts'

/** Entries between two marks, by what a mark keeps. */
const entriesBetween = (accountsAndHolds: number): number => Math.max(4096, 2 * accountsAndHolds)

/** True of records that are later than what is asked for. */
export type IsLater = (record: { readonly seq: number; readonly at: number }) => boolean

interface Mark {
  readonly seq: number
  readonly at: number
  readonly entries: number
  /** How many were opened. */
  readonly accounts: number
  readonly holds: ReadonlyMap<string, OpenHold>
}

interface AccountAt extends AccountMark {
  /** Index of the mark before which it changed. */
  readonly mark: number
}

export class Past {
  readonly #store: LedgerStore
  readonly #node: Node
  readonly #between: (accountsAndHolds: number) => number
  readonly #marks: Mark[] = []
  readonly #accounts = new Map<string, AccountAt[]>()
  /** As far as anybody has asked. */
  #front: Audit
  #turn: Promise<unknown> = Promise.resolve()

  constructor(store: LedgerStore, node: Node, between: (accountsAndHolds: number) => number = entriesBetween) {
    this.#store = store
    this.#node = node
    this.#between = between
    this.#front = new Audit(store, node)
  }

  /** What `look` sees in the books behind the last record that is not later. @throws AteError RULE_BROKEN | NO_READ_KEY */
  at<R>(isLater: IsLater, look: (audit: Audit) => R, signal?: AbortSignal): Promise<R> {
    return this.#inTurn(async () => {
      if (!this.#isLater(isLater)) {
        await this.#advance(isLater, signal)
        return look(this.#front)
      }
      const audit = this.#restored(this.#lastMark(isLater))
      await readTo(audit, isLater, signal)
      return look(audit)
    })
  }

  /** Checked up to there, an audit that goes on from a mark that is not later. */
  before(isLater: IsLater, signal?: AbortSignal): Promise<Audit> {
    return this.#inTurn(async () => {
      if (!this.#isLater(isLater)) await this.#advance(isLater, signal)
      return this.#restored(this.#lastMark(isLater))
    })
  }

  #inTurn<R>(run: () => Promise<R>): Promise<R> {
    const turn = this.#turn.then(run, run)
    this.#turn = turn.catch(() => {})
    return turn
  }

  #isLater(isLater: IsLater): boolean {
    const { seq, time: at } = this.#front
    return seq >= 0 && isLater({ seq, at })
  }

  async #advance(isLater: IsLater, signal: AbortSignal | undefined): Promise<void> {
    try {
      await readTo(this.#front, isLater, signal, () => this.#mark())
    } catch (error) {
      // It may have stopped within a record.
      this.#front = this.#restored(this.#marks.length - 1)
      throw error
    }
  }

  #mark(): void {
    const { books, seq, time } = this.#front
    const { accounts, holds, entries } = books
    const last = this.#marks.at(-1)?.entries ?? 0
    if (entries - last < this.#between(accounts.size + holds.size)) return
    const mark = this.#marks.length
    for (const account of books.changed) this.#keep(account, mark)
    books.changed.clear()
    this.#marks.push({ seq, at: time, entries, accounts: accounts.size, holds: new Map(holds) })
  }

  #keep({ name, value, sums }: BookAccount, mark: number): void {
    let kept = this.#accounts.get(name)
    if (!kept) {
      kept = []
      this.#accounts.set(name, kept)
    }
    const before = kept.at(-1)?.value
    // Of what was written only the terms count: one object for all marks between which they are the same.
    const isSame = before && before.closed === value.closed && before.place === value.place
    kept.push({ mark, value: isSame ? before : value, sums: { ...sums } })
  }

  /** -1 if there is none. */
  #lastMark(isLater: IsLater): number {
    return lastWhere(this.#marks, ({ seq, at }) => !isLater({ seq, at }))
  }

  #restored(mark: number): Audit {
    const at = this.#marks[mark]
    if (!at) return new Audit(this.#store, this.#node)
    const books = Books.restored(this.#node.value.amounts, this.#accountsAt(mark, at.accounts), at)
    return new Audit(this.#store, this.#node, { books, seq: at.seq, time: at.at })
  }

  *#accountsAt(mark: number, count: number): Generator<readonly [BookAccount, AccountMark]> {
    let left = count
    for (const account of this.#front.books.accounts.values()) {
      if (left-- === 0) return
      const kept = this.#accounts.get(account.name)!
      yield [account, kept[lastWhere(kept, (one) => one.mark <= mark)]!]
    }
  }
}

async function readTo(
  audit: Audit,
  isLater: IsLater,
  signal: AbortSignal | undefined,
  passed?: () => void,
): Promise<void> {
  const options = { until: isLater, ...(signal ? { signal } : {}), ...(passed ? { passed } : {}) }
  for await (const journaled of audit.read(options)) void journaled
}

/** Index of the last item that fits; those that fit come first. */
function lastWhere<T>(items: readonly T[], fits: (item: T) => boolean): number {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (fits(items[middle]!)) low = middle + 1
    else high = middle
  }
  return low - 1
}
