/** The books at one record, for the formats that hold all of them: accounts with their balances, and what was posted. */
import { AteError } from '@ate/core'
import type { Currency } from '../currencies.ts'
import type { Entry, Ledger } from '../ledger.ts'
import type { NormalSide } from '../ledger-records.ts'

export interface BooksText {
  readonly accounts: readonly {
    readonly name: string
    readonly currency: Currency
    readonly normal: NormalSide
    /** Posted credits less debits, in units. */
    readonly net: bigint
  }[]
  /** Days of the first and the last entry. */
  readonly first: Date
  readonly last: Date
  /** Entries that moved something, oldest first. */
  posted(): AsyncGenerator<Entry, void, void>
}

const TRIES_MAX = 20

/** Balances come from the accounts, entries from the journal: whoever adds them up compares the two. */
export async function booksText(bank: Ledger): Promise<BooksText> {
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const accounts: BooksText['accounts'][number][] = []
    const seqs = new Set<number>()
    for await (const { name, currency, normal, posted, seq } of bank.accounts()) {
      seqs.add(seq)
      accounts.push({ name, currency, normal, net: normal === 'credit' ? posted : -posted })
    }
    // Somebody wrote while they were read: the balances are of different times.
    if (seqs.size > 1) continue
    const until = [...seqs][0] ?? 0
    const posted = async function* (): AsyncGenerator<Entry, void, void> {
      for await (const entry of bank.entries()) {
        if (entry.seq > until) return
        if (entry.kind === 'post' || entry.kind === 'capture' || entry.kind === 'reverse') yield entry
      }
    }
    let [first, last] = [new Date(0), new Date(0)]
    for await (const { at } of posted()) {
      if (first.getTime() === 0) first = at
      last = at
    }
    return { accounts, first, last, posted }
  }
  throw new AteError('TX_RETRIES', {
    what: 'accounts were written all the time; read them from a copy',
    tries: TRIES_MAX,
  })
}
