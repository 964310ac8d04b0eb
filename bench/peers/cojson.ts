/** cojson with its native crypto: one CoMap an entity in one group, private (encrypted) transactions. */
import { join } from 'node:path'
import type { Engine, Store } from '../engine.ts'
import { load } from './load.ts'
import { openDatabase, type Statement } from './sqlite.ts'

interface CoMap {
  id: string
  get(key: string): string | undefined
  set(key: string, value: string, privacy: 'private'): void
}
interface Group {
  createMap(init: { v: string }, meta: null, privacy: 'private'): CoMap
}
interface LocalNode {
  createGroup(): Group
  gracefulShutdown(): Promise<void> | void
}
interface Package {
  LocalNode: { internalCreateAccount(options: { crypto: object; storage?: unknown }): { core: { node: LocalNode } } }
  getSqliteStorage(driver: object): unknown
}
interface Crypto {
  NapiCrypto: { create(): Promise<object> }
}

export const engine: Engine = {
  name: 'cojson',
  durability: 'memory',
  note: 'cojson with NapiCrypto, one CoMap an entity, nothing stored',
  open: () => openStore(undefined),
}

export const stored: Engine = {
  name: 'cojson+sqlite',
  durability: 'disk',
  note: 'the same with its own SQLite storage over better-sqlite3 (WAL, synchronous=FULL)',
  open: openStore,
}

/** It hands changes to its storage in a microtask that the first change queued; this one comes after that. */
const handedOn = Promise.resolve()

async function openStore(folder: string | undefined): Promise<Store> {
  const { LocalNode, getSqliteStorage } = await load<Package>('cojson')
  const { NapiCrypto } = await load<Crypto>('cojson/crypto/NapiCrypto')
  const crypto = await NapiCrypto.create()
  // It falls back to WASM without a word when the native module is missing; that would be another comparison.
  if (crypto.constructor.name !== 'NapiCrypto') throw new Error('cojson runs without its native crypto here')
  const storage = folder === undefined ? undefined : getSqliteStorage(driver(join(folder, 'cojson.sqlite')))
  const { node } = LocalNode.internalCreateAccount(storage ? { crypto, storage } : { crypto }).core
  const group = node.createGroup()
  const maps: CoMap[] = []
  return {
    async create(values) {
      for (const value of values) maps.push(group.createMap({ v: value }, null, 'private'))
      await handedOn
    },
    async update(first, values) {
      for (let i = 0; i < values.length; i++) maps[first + i]!.set('v', values[i]!, 'private')
      await handedOn
    },
    get: (index) => maps[index]!.get('v'),
    close: async () => node.gracefulShutdown(),
  }
}

/** The driver that cojson asks for: its packages for Node wrap better-sqlite3 the same way. */
function driver(file: string): object {
  const database = openDatabase(file)
  const prepared = new Map<string, Statement>()
  function statement(sql: string): Statement {
    const known = prepared.get(sql) ?? database.prepare(sql)
    prepared.set(sql, known)
    return known
  }
  return {
    run: (sql: string, params: unknown[]) => void statement(sql).run(params),
    get: (sql: string, params: unknown[]) => statement(sql).get(params),
    query: (sql: string, params: unknown[]) => statement(sql).all(params),
    transaction: (run: () => unknown) => database.transaction(() => void run())(),
    closeDb: () => database.close(),
  }
}
