/**
 * The key ring of a log in IndexedDB. Erasing overwrites the entry, then deletes it, each in a transaction of its own. How
 * long the browser's files keep the old bytes after that is the browser's: it gives no way to destroy them at once.
 */
import { fromHex, toHex } from '../base/bytes.ts'
import { checkKey } from '../log/batch.ts'
import type { KeyRing, RingEntry } from '../log/engine.ts'
import { answerOf } from './indexeddb.ts'
import { RING } from './indexeddb-schema.ts'
import type { DatabaseStore } from './indexeddb-store.ts'

/** Names that one answer brings. */
const NAMES_MAX = 1024

export function databaseRing(store: DatabaseStore): KeyRing {
  const change = (body: (ring: IDBObjectStore) => void | Promise<void>): Promise<void> =>
    store.write([RING], async (tx, meta) => {
      await body(tx.objectStore(RING))
      return meta
    })
  const putAll = async (entries: readonly RingEntry[]): Promise<void> => {
    store.check('write')
    for (const { name, wrapped } of entries) checkKey(name, wrapped)
    await change((ring) => {
      for (const { name, wrapped } of entries) ring.put(wrapped.slice(), toHex(name))
    })
  }
  return {
    put: (name, wrapped) => putAll([{ name, wrapped }]),
    putAll,
    async get(name) {
      const value: unknown = await store.read([RING], (tx) => answerOf(tx.objectStore(RING).get(toHex(name))))
      return value instanceof Uint8Array ? value : undefined
    },
    async erase(name) {
      await change((ring) => overwrite(ring, toHex(name)))
      await change((ring) => void ring.delete(toHex(name)))
    },
    async *names() {
      for (let after = ''; ; ) {
        const range = IDBKeyRange.lowerBound(after, true)
        const keys = await store.read([RING], (tx) => answerOf(tx.objectStore(RING).getAllKeys(range, NAMES_MAX)))
        for (const key of keys) {
          const name = typeof key === 'string' ? fromHex(key) : undefined
          if (name) yield name
        }
        if (keys.length < NAMES_MAX) return
        after = String(keys.at(-1))
      }
    },
  }
}

/** Every entry, before the database itself goes. */
export async function overwriteRing(tx: IDBTransaction): Promise<void> {
  const store = tx.objectStore(RING)
  for (const key of await answerOf(store.getAllKeys())) await overwrite(store, String(key))
}

async function overwrite(store: IDBObjectStore, key: string): Promise<void> {
  const value: unknown = await answerOf(store.get(key))
  if (value instanceof Uint8Array) store.put(new Uint8Array(value.length), key)
}
