/** SQLite by better-sqlite3: WAL with synchronous=FULL, a prepared statement, one table keyed by text. */
import { join } from 'node:path'
import type { Engine, Store } from '../engine.ts'
import { keyOf, loadCommonJs } from './load.ts'

export interface Statement {
  run(...args: unknown[]): unknown
  get(...args: unknown[]): { v: string } | undefined
  all(...args: unknown[]): unknown[]
}
export interface Database {
  pragma(text: string): unknown
  exec(sql: string): void
  prepare(sql: string): Statement
  transaction<Args extends unknown[]>(run: (...args: Args) => void): (...args: Args) => void
  close(): void
}

export const engine: Engine = {
  name: 'sqlite',
  durability: 'disk',
  note: 'better-sqlite3, WAL, synchronous=FULL; 500 in flight are 500 in turn, for its calls are synchronous',
  open: async (folder) => openStore(folder),
}

export function openDatabase(file: string): Database {
  const Database = loadCommonJs<new (path: string) => Database>('better-sqlite3')
  const database = new Database(file)
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  return database
}

function openStore(folder: string): Store {
  let database: Database
  let insert: Statement
  let select: Statement
  let change: Statement
  let insertAll: (values: readonly string[]) => void
  let updateAll: (first: number, values: readonly string[]) => void
  let count = 0
  function openAgain(): void {
    database = openDatabase(join(folder, 'data.sqlite'))
    database.exec('CREATE TABLE IF NOT EXISTS thing (id TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID')
    insert = database.prepare('INSERT INTO thing (id, v) VALUES (?, ?)')
    select = database.prepare('SELECT v FROM thing WHERE id = ?')
    change = database.prepare('UPDATE thing SET v = ? WHERE id = ?')
    insertAll = database.transaction((values) => {
      for (const value of values) insert.run(keyOf(count++), value)
    })
    updateAll = database.transaction((first, values) => {
      for (let i = 0; i < values.length; i++) {
        if (!select.get(keyOf(first + i))) throw new Error('not found')
        change.run(values[i], keyOf(first + i))
      }
    })
  }
  openAgain()
  return {
    create(values) {
      if (values.length === 1) insert.run(keyOf(count++), values[0])
      else insertAll(values)
      return undefined
    },
    createEach(values) {
      for (const value of values) insert.run(keyOf(count++), value)
      return undefined
    },
    update(first, values) {
      updateAll(first, values)
      return undefined
    },
    get: (index) => select.get(keyOf(index)),
    async reopen() {
      database.close()
      openAgain()
    },
    verifyAll() {
      database.pragma('integrity_check')
      const row = database.prepare('SELECT count(*) AS v FROM thing WHERE length(v) > 0').get()
      return Number(row?.v)
    },
    close() {
      database.close()
      return undefined
    },
  }
}
