/** A ledger in SQLite: accounts with a checked balance, transfers under a unique id; WAL, synchronous FULL. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import type { LedgerRow } from '../ledger.ts'
import { quantile } from '../quantile.ts'
import { openDatabase } from './sqlite.ts'

const SCHEMA = `
  CREATE TABLE account (id INTEGER PRIMARY KEY, floor INTEGER, balance INTEGER NOT NULL DEFAULT 0, CHECK (floor IS NULL OR balance >= floor));
  CREATE TABLE transfer (id TEXT PRIMARY KEY, debit INTEGER NOT NULL, credit INTEGER NOT NULL, units INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;`

export function sqliteRows(
  folder: string,
  { accounts, transfers, seconds }: { accounts: number; transfers: number; seconds: number },
): LedgerRow[] {
  mkdirSync(folder, { recursive: true })
  let database: ReturnType<typeof openDatabase>
  try {
    database = openDatabase(join(folder, 'ledger.db'))
  } catch {
    console.log('better-sqlite3 is not installed: left out')
    return []
  }
  database.exec(SCHEMA)
  const open = database.prepare('INSERT INTO account (id) VALUES (?)')
  database.transaction(() => {
    for (let i = 0; i < accounts; i++) open.run(i)
  })()
  const insert = database.prepare('INSERT INTO transfer VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING')
  const change = database.prepare('UPDATE account SET balance = balance + ? WHERE id = ?')
  const post = (id: string, debit: number, credit: number): void => {
    insert.run(id, debit, credit, 1, Date.now())
    change.run(-1, debit)
    change.run(1, credit)
  }
  const batch = database.transaction((round: string, from: number, size: number) => {
    for (let i = from; i < from + size; i++) post(`${round}-${i}`, i % accounts, (i * 7919 + 13) % accounts)
  })
  const rows: LedgerRow[] = []
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  for (let i = 0; performance.now() < end; i++) {
    const from = performance.now()
    batch('alone', i, 1)
    times.push(performance.now() - from)
  }
  times.sort((a, b) => a - b)
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  rows.push({
    engine: 'sqlite',
    row: 'one at a time',
    perSecond: 1000 / mean,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
  })
  for (const size of [1000, 4000]) {
    const from = performance.now()
    for (let i = 0; i < transfers; i += size) batch(`batch${size}`, i, size)
    rows.push({
      engine: 'sqlite',
      row: `batches of ${size}`,
      perSecond: (transfers / (performance.now() - from)) * 1000,
    })
  }
  database.close()
  return rows
}
