/**
 * IndexedDB in promises: databases, transactions, requests, and its errors as ours.
 *
 * A transaction ends by itself when nothing is asked of it any more, so inside of one nothing else may be awaited than
 * its own requests. What was changed counts when `transact` resolves, and not before.
 */
import { AteError, isAteError } from '../base/errors.ts'

/** What makes the object stores of a new database. Throwing leaves no database behind. */
export type Upgrade = (db: IDBDatabase, tx: IDBTransaction) => void

/**
 * Opens the database `name`. Version 1 is the only one so far.
 * @throws AteError CHAIN_NOT_FOUND if there is none and `upgrade` is undefined; UNSUPPORTED_FORMAT | DISK_FULL | IO_ERROR,
 * and what `upgrade` throws
 */
export async function openDatabase(name: string, upgrade: Upgrade | undefined): Promise<IDBDatabase> {
  let refused: unknown
  try {
    const request = globalThis.indexedDB.open(name, 1)
    request.onupgradeneeded = () => {
      try {
        if (!upgrade) throw new AteError('CHAIN_NOT_FOUND', { database: name })
        upgrade(request.result, request.transaction!)
      } catch (error) {
        refused = error
        request.transaction!.abort()
      }
    }
    return await answerOf(request)
  } catch (error) {
    throw databaseError(refused ?? error, { database: name })
  }
}

/** Deletes it, or leaves that to the browser for as long as others have it open. */
export async function deleteDatabase(name: string): Promise<void> {
  const request = globalThis.indexedDB.deleteDatabase(name)
  const blocked = new Promise<undefined>((resolve) => {
    request.onblocked = () => resolve(undefined)
  })
  try {
    await Promise.race([answerOf(request), blocked])
  } catch (error) {
    throw databaseError(error, { database: name })
  }
}

/** The answer of one request. */
export function answerOf<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

export interface TransactOptions<T> {
  readonly stores: readonly string[]
  /** `write` asks for strict durability: the browser is to give the bytes to the disk before it says that they are stored. */
  readonly mode: 'read' | 'write'
  /** Runs in the same turn in which the browser says that all is stored. */
  readonly stored?: (result: T) => void
}

/**
 * Runs `body` in one transaction: all of it, or nothing.
 * @throws what `body` throws; AteError DISK_FULL | IO_ERROR
 */
export function transact<T>(
  db: IDBDatabase,
  { stores, mode, stored }: TransactOptions<T>,
  body: (tx: IDBTransaction) => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const tx = begin(db, stores, mode)
    let outcome: { readonly result: T } | undefined
    let refused: unknown
    tx.oncomplete = () => {
      if (!outcome) return reject(refused ?? new AteError('INTERNAL', { what: 'a transaction ended before its body' }))
      stored?.(outcome.result)
      resolve(outcome.result)
    }
    // The transaction's error tells more than that of the request whose failure ended it: a quota, for one.
    tx.onabort = () => reject(databaseError(isAteError(refused) ? refused : (tx.error ?? refused), { stores }))
    body(tx).then(
      (result) => {
        outcome = { result }
      },
      (error) => {
        refused = error
        abort(tx)
      },
    )
  }).catch((error) => {
    throw databaseError(error, { stores })
  })
}

function begin(db: IDBDatabase, stores: readonly string[], mode: 'read' | 'write'): IDBTransaction {
  if (mode === 'read') return db.transaction(stores as string[], 'readonly')
  return db.transaction(stores as string[], 'readwrite', { durability: 'strict' })
}

/** One that has failed already cannot be aborted once more. */
function abort(tx: IDBTransaction): void {
  try {
    tx.abort()
  } catch {
    // Its own end tells of it.
  }
}

/** As an AteError: what the browser refuses for want of space is DISK_FULL, everything else IO_ERROR. */
function databaseError(error: unknown, facts: { readonly [name: string]: string | readonly string[] }): AteError {
  if (isAteError(error)) return error
  const reason = error instanceof Error ? error.name : String(error)
  if (reason === 'QuotaExceededError') return new AteError('DISK_FULL', { ...facts, reason }, { cause: error })
  if (reason === 'VersionError') return new AteError('UNSUPPORTED_FORMAT', { ...facts, reason }, { cause: error })
  return new AteError('IO_ERROR', { ...facts, reason }, { cause: error })
}
