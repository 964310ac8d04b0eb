/**
 * `npm run bench -- ledger [--seconds 1.5] [--transfers 20000] [--json FILE]`: transfers a second that are durable on the disk,
 * ours with amounts sealed, sealed with balances in pages, and clear, and the peers with a sane schema: SQLite by better-sqlite3 (WAL, synchronous FULL) and
 * PostgreSQL 15 by pgbench, where it is installed. Each row in a chain or database of its own, on the same disk, in turn.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { createIdentity, openChain } from '@ate/core'
import { currency, type Ledger, ledger, money, type Transfer } from '@ate/ledger'
import { installPeers } from './install.ts'
import { postgresRows } from './peers/postgres-ledger.ts'
import { sqliteRows } from './peers/sqlite-ledger.ts'
import { quantile } from './quantile.ts'
import { makeDataFolder } from './run.ts'

export interface LedgerRow {
  readonly engine: string
  readonly row: string
  readonly perSecond: number
  /** Of one alone, in ms. */
  readonly p50?: number
  readonly p99?: number
}

const ACCOUNTS = 10_000
const UNIT = currency('BENCH', 2)

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '1.5' },
    transfers: { type: 'string', default: '40000' },
    json: { type: 'string' },
  },
})
const seconds = Number(values.seconds)
const transfers = Number(values.transfers)

installPeers()
const base = makeDataFolder()
try {
  const rows: LedgerRow[] = []
  for (const kind of ['sealed', 'paged', 'clear'] as const) rows.push(...(await ourRows(join(base, kind), kind)))
  rows.push(...sqliteRows(join(base, 'sqlite'), { accounts: ACCOUNTS, transfers, seconds }))
  rows.push(...postgresRows(join(base, 'postgres'), { accounts: ACCOUNTS, seconds }))
  for (const { engine, row, perSecond, p50, p99 } of rows) {
    const times = p50 === undefined ? '' : `   p50 ${p50.toFixed(2)} ms, p99 ${p99?.toFixed(2)} ms`
    console.log(
      `${engine.padEnd(14)}${row.padEnd(32)}${Math.round(perSecond).toLocaleString('en').padStart(10)} /s${times}`,
    )
  }
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, null, 2)}\n`)
} finally {
  rmSync(base, { recursive: true, force: true })
}

/** `paged`: sealed amounts, with balances in pages. */
async function ourRows(folder: string, kind: 'sealed' | 'paged' | 'clear'): Promise<LedgerRow[]> {
  mkdirSync(folder, { recursive: true })
  const chain = await openChain(`file:${join(folder, 'chain')}`, { as: await createIdentity() })
  const bank = ledger(chain, kind === 'paged' ? { balances: kind } : { amounts: kind })
  await bank.account('world', { currency: UNIT, floor: 'none' })
  await Promise.all(
    Array.from({ length: ACCOUNTS }, (_, i) => bank.account(`account-${i}`, { currency: UNIT, floor: 'none' })),
  )
  const engine = `ate ${kind}`
  const rows: LedgerRow[] = []
  await loadAll(bank, many('warm', transfers), 4096)
  const times = await alone(bank)
  rows.push({
    engine,
    row: 'one at a time',
    perSecond: 1000 / mean(times),
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  })
  rows.push({
    engine,
    row: '1,000 in flight',
    perSecond: await rate(transfers, () => inFlight(bank, many('flight', transfers), 1000)),
  })
  for (const batch of [1000, 4000])
    rows.push({
      engine,
      row: `batches of ${batch}`,
      perSecond: await rate(transfers, () => loadAll(bank, many(`batch${batch}`, transfers), batch)),
    })
  rows.push({ engine, row: 'one hot account, 16 callers', perSecond: await hot(bank) })
  const from = performance.now()
  const { entries } = await bank.verify()
  rows.push({ engine, row: 'verify the journal, entries', perSecond: (entries / (performance.now() - from)) * 1000 })
  await chain.close()
  return rows
}

function many(round: string, count: number): Transfer[] {
  return Array.from({ length: count }, (_, i) => ({
    id: `${round}-${i}`,
    from: `account-${i % ACCOUNTS}`,
    to: `account-${(i * 7919 + 13) % ACCOUNTS === i % ACCOUNTS ? (i + 1) % ACCOUNTS : (i * 7919 + 13) % ACCOUNTS}`,
    amount: money(UNIT, 1n),
  }))
}

async function alone(bank: Ledger): Promise<number[]> {
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  for (let i = 0; performance.now() < end; i++) {
    const from = performance.now()
    await bank.transfer({ id: `alone-${i}`, from: `account-${i % ACCOUNTS}`, to: 'world', amount: money(UNIT, 1n) })
    times.push(performance.now() - from)
  }
  return times.sort((a, b) => a - b)
}

/** Each caller waits for its answer before it asks again, all on one account. */
async function hot(bank: Ledger): Promise<number> {
  let count = 0
  const end = performance.now() + seconds * 1000
  const caller = async (name: number): Promise<void> => {
    for (let i = 0; performance.now() < end; i++, count++)
      await bank.transfer({ id: `hot-${name}-${i}`, from: 'world', to: `account-${name}`, amount: money(UNIT, 1n) })
  }
  const from = performance.now()
  await Promise.all(Array.from({ length: 16 }, (_, name) => caller(name)))
  return (count / (performance.now() - from)) * 1000
}

async function loadAll(bank: Ledger, all: readonly Transfer[], batch: number): Promise<void> {
  for await (const outcome of bank.load(all, { batch })) if (!outcome.ok) throw outcome.error
}

async function inFlight(bank: Ledger, all: readonly Transfer[], at: number): Promise<void> {
  for (let i = 0; i < all.length; i += at) await Promise.all(all.slice(i, i + at).map((one) => bank.transfer(one)))
}

async function rate(count: number, run: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await run()
  return (count / (performance.now() - from)) * 1000
}

function mean(times: readonly number[]): number {
  return times.reduce((sum, time) => sum + time, 0) / times.length
}
