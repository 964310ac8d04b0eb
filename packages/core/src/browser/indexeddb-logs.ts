/** The logs in the databases of this origin: opens one by its name, makes it, or destroys it. */
import { equalBytes } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import { chainIdOf } from '../base/ids.ts'
import { checkLabel } from '../log/batch.ts'
import type { Crc32 } from '../log/crc32.ts'
import type { DatabaseLogOptions, LogDatabases } from '../log/database.ts'
import type { LogEngine } from '../log/engine.ts'
import type { FileLock } from '../log/file-system.ts'
import { checkStanding, LIVE, STANDINGS } from '../log/standing.ts'
import { openDatabase, transact } from './indexeddb.ts'
import { DatabaseLog } from './indexeddb-engine.ts'
import { checkStores, databaseName, LOG, type LogMeta, META_KEY, makeStores, readMeta } from './indexeddb-schema.ts'
import { DatabaseStore } from './indexeddb-store.ts'
import { takeLock } from './web-locks.ts'

export function logDatabases(crc: Crc32): LogDatabases {
  return {
    open: (name, options) => (options.readOnly ? openReader(name, options, crc) : openWriter(name, options, crc)),
    async destroy(name, { label, standings = STANDINGS } = {}) {
      const log = await openWriter(name, { standings: STANDINGS }, crc)
      try {
        const found = { label: log.label, state: log.standing.state }
        if (label && found.label && !equalBytes(label, found.label))
          throw new AteError('WRONG_CHAIN', { wanted: chainIdOf(label), found: chainIdOf(found.label) })
        if (!standings.includes(found.state)) throw new AteError('CHAIN_EXISTS', { state: found.state })
        await log.destroy()
        return found
      } finally {
        await log.close()
      }
    },
  }
}

async function openReader(name: string, { label, standings }: DatabaseLogOptions, crc: Crc32): Promise<LogEngine> {
  const db = await openDatabase(databaseName(name), undefined)
  try {
    checkStores(db)
    const meta = await transact(db, { stores: [LOG], mode: 'read' }, readMeta)
    checkStanding(meta.standing, 'read', standings)
    checkStored(meta, label)
    return new DatabaseLog(new DatabaseStore(db, meta, undefined), crc)
  } catch (error) {
    db.close()
    throw error
  }
}

async function openWriter(name: string, options: DatabaseLogOptions, crc: Crc32): Promise<LogEngine> {
  let store: DatabaseStore | undefined
  const lock = await takeWriterLock(name, () => store?.fence())
  if (!lock) throw new AteError('CHAIN_LOCKED')
  try {
    const { db, meta } = await becomeWriter(name, options)
    store = new DatabaseStore(db, meta, lock)
    return new DatabaseLog(store, crc)
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** The lock of a tab that has just been closed, or of this page before it was loaded again, is free a moment later. */
const LOCK_WAIT_MS = 500

async function takeWriterLock(name: string, onStolen: () => void): Promise<FileLock | undefined> {
  const signal = AbortSignal.timeout(LOCK_WAIT_MS)
  try {
    return await takeLock(databaseName(name), { want: 'wait', signal, onStolen })
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  }
}

async function becomeWriter(
  name: string,
  { create, label, standing = LIVE, standings }: DatabaseLogOptions,
): Promise<{ readonly db: IDBDatabase; readonly meta: LogMeta }> {
  let made: LogMeta | undefined
  const db = await openDatabase(databaseName(name), (fresh, tx) => {
    if (!create) throw new AteError('CHAIN_NOT_FOUND', { database: databaseName(name) })
    made = firstMeta(label, standing)
    makeStores(fresh, tx, made)
  })
  try {
    if (made) return { db, meta: made }
    checkStores(db)
    const meta = await transact(db, { stores: [LOG], mode: 'write' }, async (tx) => {
      const found = await readMeta(tx)
      checkStanding(found.standing, 'write', standings)
      checkStored(found, label)
      const next = { ...found, label: label ?? found.label, writerEpoch: found.writerEpoch + 1 }
      tx.objectStore(LOG).put(next, META_KEY)
      return next
    })
    return { db, meta }
  } catch (error) {
    db.close()
    throw error
  }
}

function firstMeta(label: Uint8Array | undefined, standing: LogMeta['standing']): LogMeta {
  const empty = { count: 0, lastHash: undefined, bytes: 0, generation: 0 }
  return { format: 1, label, standing, writerEpoch: 1, ...empty }
}

function checkStored({ count, label: stored }: LogMeta, label: Uint8Array | undefined): void {
  if (label) checkLabel(label, count > 0 ? stored : undefined)
}
