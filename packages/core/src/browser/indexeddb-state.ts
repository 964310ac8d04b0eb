/**
 * This machine's state in a browser: the database `ate:state` of the origin. Secrets are sealed with AES-256-GCM under a
 * key that was made here and cannot be exported: a copy of the browser's files, or of what a script reads from the
 * database, opens nothing without that key, and the browser hands that out to nobody. Code that runs in this origin can
 * use it all the same.
 *
 *   entries   name -> Uint8Array, or of a secret { iv, sealed }: the name is authenticated with it
 *   keys      'seal' -> CryptoKey
 */
import { utf8, wipe } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { STATE_BYTES_MAX } from '../base/limits.ts'
import { assertStateName, assertStatePrefix, type StateStore } from '../session/state-store.ts'
import { answerOf, openDatabase, transact } from './indexeddb.ts'
import { takeLock } from './web-locks.ts'

const DATABASE = 'ate:state'
const ENTRIES = 'entries'
const KEYS = 'keys'
const SEAL = 'seal'
const IV_BYTES = 12
/** Public facts. Everything else is sealed. */
const PUBLIC_ENTRIES = /^(known-chains$|heads\/|recoveries\/)/

/** Whether this page has what the store needs: pages that are neither https: nor of localhost have neither locks nor keys. */
export function canKeepState(): boolean {
  try {
    const { indexedDB, crypto, navigator } = globalThis
    return indexedDB !== undefined && crypto?.subtle !== undefined && navigator?.locks !== undefined
  } catch {
    // The browser forbids this page to have any.
    return false
  }
}

/** Nothing is made before something is asked of it. */
export function databaseState(database: string = DATABASE): StateStore {
  const connection = new Connection(database)
  return {
    location: `indexeddb:${database}`,
    async get(name) {
      assertStateName(name)
      const value = await connection.read(ENTRIES, (store) => store.get(name))
      return value === undefined ? undefined : open(connection, name, value)
    },
    async put(name, bytes) {
      assertStateName(name)
      const value = PUBLIC_ENTRIES.test(name) ? bytes.slice() : await seal(connection, name, bytes)
      await connection.write(ENTRIES, async (store) => void store.put(value, name))
    },
    async remove(name) {
      assertStateName(name)
      await connection.write(ENTRIES, async (store) => void store.delete(name))
    },
    async list(prefix) {
      assertStatePrefix(prefix)
      const range = IDBKeyRange.bound(prefix, `${prefix}~`)
      return (await connection.read(ENTRIES, (store) => store.getAllKeys(range))).map(String)
    },
    async lock(name, options) {
      assertStateName(name)
      const waitMs = options?.waitMs ?? 0
      if (waitMs === 0) return takeLock(`${database}:${name}`, { want: 'try' })
      const signal = AbortSignal.timeout(waitMs)
      try {
        return await takeLock(`${database}:${name}`, { want: 'wait', signal })
      } catch (error) {
        if (signal.aborted) return undefined
        throw error
      }
    },
  }
}

interface Sealed {
  readonly iv: Uint8Array<ArrayBuffer>
  readonly sealed: ArrayBuffer
}

async function seal(connection: Connection, name: string, bytes: Uint8Array): Promise<Sealed> {
  const iv = globalThis.crypto.getRandomValues(new Uint8Array(IV_BYTES))
  const own = bytes.slice()
  try {
    return { iv, sealed: await globalThis.crypto.subtle.encrypt(parameters(iv, name), await connection.sealKey(), own) }
  } finally {
    wipe(own)
  }
}

async function open(connection: Connection, name: string, value: unknown): Promise<Uint8Array> {
  const location = connection.location
  if (value instanceof Uint8Array && PUBLIC_ENTRIES.test(name)) {
    if (value.length <= STATE_BYTES_MAX) return value
    throw new AteError('STATE_UNWRITABLE', { location, name, bytes: value.length, max: STATE_BYTES_MAX })
  }
  // A secret that stands here unsealed was not put by us: it is not taken for one.
  const { iv, sealed } = (typeof value === 'object' && value !== null ? value : {}) as Partial<Sealed>
  if (iv instanceof Uint8Array && sealed instanceof ArrayBuffer && sealed.byteLength <= STATE_BYTES_MAX) {
    try {
      const key = await connection.sealKey()
      return new Uint8Array(await globalThis.crypto.subtle.decrypt(parameters(iv, name), key, sealed))
    } catch (error) {
      if (isAteError(error)) throw error
    }
  }
  throw new AteError('DAMAGED', { file: name, location, what: 'not sealed by this browser' })
}

function parameters(iv: Uint8Array<ArrayBuffer>, name: string): AesGcmParams {
  return { name: 'AES-GCM', iv, additionalData: utf8(name) as Uint8Array<ArrayBuffer> }
}

class Connection {
  readonly #database: string
  #db: Promise<IDBDatabase> | undefined
  #key: Promise<CryptoKey> | undefined

  constructor(database: string) {
    this.#database = database
  }

  get location(): string {
    return `indexeddb:${this.#database}`
  }

  read<T>(store: string, ask: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return this.#transact(store, 'read', (objects) => answerOf(ask(objects)))
  }

  write<T>(store: string, change: (store: IDBObjectStore) => Promise<T>): Promise<T> {
    return this.#transact(store, 'write', change)
  }

  /** Made on first use. Two tabs that begin at once take the one that was put first. */
  sealKey(): Promise<CryptoKey> {
    this.#key ??= this.#obtainKey().catch((error) => {
      this.#key = undefined
      throw error
    })
    return this.#key
  }

  async #obtainKey(): Promise<CryptoKey> {
    const found = await this.read(KEYS, (store) => store.get(SEAL))
    if (found instanceof CryptoKey) return found
    const made = await globalThis.crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, [
      'encrypt',
      'decrypt',
    ])
    return this.write(KEYS, async (store) => {
      const first: unknown = await answerOf(store.get(SEAL))
      if (first instanceof CryptoKey) return first
      store.put(made, SEAL)
      return made
    })
  }

  async #transact<T>(store: string, mode: 'read' | 'write', body: (store: IDBObjectStore) => Promise<T>): Promise<T> {
    try {
      const db = await this.#open()
      return await transact(db, { stores: [store], mode }, (tx) => body(tx.objectStore(store)))
    } catch (error) {
      if (!isAteError(error)) throw error
      const facts = { location: this.location, reason: String(error.facts['reason'] ?? error.code) }
      const hint = 'this browser keeps no data for this site; allow it to, or free some space'
      throw new AteError('STATE_UNWRITABLE', facts, { cause: error, hint })
    }
  }

  /** Opened again after the browser or somebody else closed it. */
  #open(): Promise<IDBDatabase> {
    this.#db ??= openDatabase(this.#database, makeStores).then(
      (db) => {
        db.onclose = () => this.#forget()
        db.onversionchange = () => {
          db.close()
          this.#forget()
        }
        return db
      },
      (error) => {
        this.#forget()
        throw error
      },
    )
    return this.#db
  }

  #forget(): void {
    this.#db = undefined
    this.#key = undefined
  }
}

function makeStores(db: IDBDatabase): void {
  db.createObjectStore(ENTRIES)
  db.createObjectStore(KEYS)
}
