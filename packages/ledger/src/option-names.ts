/** Which options there are: a misspelt floor, id or `dryRun` is refused, not passed over. */
import type { OptionNames } from '@ate/core'
import type { AccountSpec } from './account-spec.ts'
import type { PurseOptions } from './coin.ts'
import type { EntryQuery } from './history.ts'
import type { WriteOptions } from './ledger.ts'
import type { LedgerOptions } from './ledger-store.ts'
import type { Transfer } from './requests.ts'

const write: OptionNames<WriteOptions> = { durability: true, signal: true, tx: true }
const query: OptionNames<EntryQuery> = {
  account: true,
  kind: true,
  code: true,
  ref: true,
  since: true,
  until: true,
  order: true,
  limit: true,
  signal: true,
}

export const NAMES: {
  readonly ledger: OptionNames<LedgerOptions>
  readonly purse: OptionNames<PurseOptions>
  readonly account: OptionNames<AccountSpec>
  readonly transfer: OptionNames<Transfer>
  readonly write: OptionNames<WriteOptions>
  readonly post: OptionNames<WriteOptions & { readonly dryRun?: true }>
  readonly load: OptionNames<WriteOptions & { readonly batch?: number }>
  readonly hold: OptionNames<WriteOptions & { readonly expires: unknown }>
  readonly reverse: OptionNames<WriteOptions & { readonly reason?: string }>
  readonly at: OptionNames<{ readonly at?: Date | number; readonly signal?: AbortSignal }>
  readonly verify: OptionNames<{ readonly signal?: AbortSignal }>
  readonly entries: OptionNames<EntryQuery>
  readonly watch: OptionNames<EntryQuery & { readonly from?: number }>
  readonly statement: OptionNames<Pick<EntryQuery, 'since' | 'until' | 'signal'>>
} = {
  ledger: { name: true, amounts: true, balances: true, read: true, write: true, manage: true },
  purse: { issuers: true },
  account: { currency: true, normal: true, floor: true, ceiling: true, debitors: true },
  transfer: { id: true, from: true, to: true, amount: true, code: true, ref: true, effective: true, meta: true },
  write,
  post: { ...write, dryRun: true },
  load: { ...write, batch: true },
  hold: { ...write, expires: true },
  reverse: { ...write, reason: true },
  at: { at: true, signal: true },
  verify: { signal: true },
  entries: query,
  watch: { ...query, from: true },
  statement: { since: true, until: true, signal: true },
}
