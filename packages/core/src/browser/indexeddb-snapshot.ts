/**
 * The snapshot beside a log in IndexedDB: one Blob, replaced by one put. Whoever has the old one open goes on reading it,
 * because the browser keeps a Blob for as long as somebody holds it.
 */
import { AteError } from '../base/errors.ts'
import type { SnapshotStore, StoredSnapshot } from '../log/engine.ts'
import { answerOf } from './indexeddb.ts'
import { LOG, SNAPSHOT_KEY } from './indexeddb-schema.ts'
import type { DatabaseStore } from './indexeddb-store.ts'

/** Bytes gathered into one part of the Blob: the browser has it then, and this thread does not. */
const PART_BYTES: number = 1024 * 1024

export function databaseSnapshot(store: DatabaseStore): SnapshotStore {
  return {
    async open() {
      const value: unknown = await store.read([LOG], (tx) => answerOf(tx.objectStore(LOG).get(SNAPSHOT_KEY)))
      return value instanceof Blob ? storedSnapshot(value) : undefined
    },
    async write(parts) {
      store.check('write')
      const blob = await gather(parts)
      await store.write([], async (tx, meta) => {
        tx.objectStore(LOG).put(blob, SNAPSHOT_KEY)
        return meta
      })
    },
  }
}

async function gather(parts: AsyncIterable<Uint8Array>): Promise<Blob> {
  const blobs: Blob[] = []
  let pending: Uint8Array<ArrayBuffer>[] = []
  let bytes = 0
  for await (const part of parts) {
    pending.push(part.slice())
    bytes += part.length
    if (bytes < PART_BYTES) continue
    blobs.push(new Blob(pending))
    pending = []
    bytes = 0
  }
  return new Blob([...blobs, ...pending])
}

function storedSnapshot(blob: Blob): StoredSnapshot {
  return {
    sizeBytes: blob.size,
    async read(target, at) {
      try {
        const bytes = new Uint8Array(await blob.slice(at, at + target.length).arrayBuffer())
        target.set(bytes)
        return bytes.length
      } catch (cause) {
        throw new AteError('IO_ERROR', { what: 'the snapshot' }, { cause })
      }
    },
    close() {},
  }
}
