/** Databases behind the back of the code that keeps them: what a browser, a user or an attacker does to them. */
import { answerOf, deleteDatabase, openDatabase, transact } from '../../../src/browser/indexeddb.ts'
import { databaseName } from '../../../src/browser/indexeddb-schema.ts'

interface Copy {
  readonly stores: readonly { readonly name: string; readonly keys: IDBValidKey[]; readonly values: unknown[] }[]
}

const copies = new Map<string, Copy>()

export async function remove(name: string): Promise<void> {
  await deleteDatabase(databaseName(name))
}

/** Remembers the log as it stands, in this page. */
export async function keep(name: string): Promise<void> {
  copies.set(name, await copyOf(databaseName(name)))
}

/** Puts back what was kept. */
export async function putBack(name: string): Promise<void> {
  const { stores } = copies.get(name)!
  await remove(name)
  const db = await openDatabase(databaseName(name), (fresh) => {
    for (const store of stores) fresh.createObjectStore(store.name)
  })
  await transact(db, { stores: stores.map((store) => store.name), mode: 'write' }, async (tx) => {
    for (const store of stores)
      for (const [index, key] of store.keys.entries()) tx.objectStore(store.name).put(store.values[index], key)
  })
  db.close()
}

/** Turns a bit of a stored record. */
export async function flip(name: string, seq: number): Promise<void> {
  const db = await openDatabase(databaseName(name), undefined)
  await transact(db, { stores: ['records'], mode: 'write' }, async (tx) => {
    const store = tx.objectStore('records')
    const value: Uint8Array = await answerOf(store.get(seq))
    value[value.length - 1]! ^= 1
    store.put(value, seq)
  })
  db.close()
}

/** Takes the writer's lock by force, and lets it go. */
export async function stealLock(name: string): Promise<void> {
  await navigator.locks.request(databaseName(name), { steal: true }, async () => undefined)
}

/** As a writer that opened without a lock would. */
export async function raiseEpoch(name: string): Promise<void> {
  const db = await openDatabase(databaseName(name), undefined)
  await transact(db, { stores: ['log'], mode: 'write' }, async (tx) => {
    const store = tx.objectStore('log')
    const meta = await answerOf(store.get('log'))
    store.put({ ...meta, writerEpoch: meta.writerEpoch + 1 }, 'log')
  })
  db.close()
}

/** In the place of the identity: bytes that nobody sealed, or what was sealed as something else. */
export async function plantIdentity(how: 'plain' | 'swapped'): Promise<void> {
  const db = await openDatabase('ate:state', undefined)
  await transact(db, { stores: ['entries'], mode: 'write' }, async (tx) => {
    const store = tx.objectStore('entries')
    const [certificate] = await answerOf(store.getAll(IDBKeyRange.bound('certificates/', 'certificates/~'), 1))
    store.put(how === 'plain' ? new Uint8Array(100) : certificate, 'identity')
  })
  db.close()
}

export function removeState(): Promise<void> {
  return deleteDatabase('ate:state')
}

/** What a script that reads the databases of the origin gets: the state's entries as far as bytes go, and its key. */
export async function stolenState(): Promise<{
  readonly names: string[]
  readonly bytes: string
  readonly key: string
}> {
  const { stores } = await copyOf('ate:state')
  const entries = stores.find(({ name }) => name === 'entries')!
  const [key] = stores.find(({ name }) => name === 'keys')!.values as CryptoKey[]
  const exported = await crypto.subtle.exportKey('raw', key!).then(
    () => 'exported',
    (error) => error.name,
  )
  const bytes = entries.values.flatMap((value) =>
    value instanceof Uint8Array ? [value] : Object.values(value as object).map((part) => new Uint8Array(part)),
  )
  return {
    names: entries.keys.map(String),
    bytes: bytes.map((part) => String.fromCharCode(...part)).join('\n'),
    key: exported,
  }
}

async function copyOf(database: string): Promise<Copy> {
  const db = await openDatabase(database, undefined)
  const names = [...db.objectStoreNames]
  const copy = await transact(db, { stores: names, mode: 'read' }, async (tx) => {
    const stores = []
    for (const name of names) {
      const store = tx.objectStore(name)
      stores.push({ name, keys: await answerOf(store.getAllKeys()), values: await answerOf(store.getAll()) })
    }
    return { stores }
  })
  db.close()
  return copy
}
