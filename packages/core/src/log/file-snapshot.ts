/**
 * SNAPSHOT: what a machine keeps of a log that it has verified, beside it. Opaque here. Written as SNAPSHOT.new, synced,
 * renamed, the folder synced: so under its name it is whole, the old one or the new. A writer removes at open what a
 * crash left half written.
 *
 * A sync that fails here does not end the writer: no byte of the log stands in this file, and the folder's other names
 * were synced when they were made. The file is given up, and the caller told.
 */
import type { SnapshotStore, StoredSnapshot } from './engine.ts'
import { diskError, errnoOf } from './file-errors.ts'
import { writeWhole } from './file-manifest.ts'
import type { FileSystem } from './file-system.ts'

export const SNAPSHOT = 'SNAPSHOT'
const SNAPSHOT_NEW = 'SNAPSHOT.new'
/** Written between two syncs: a log on the same disk does not wait for more than this at its own. */
const SYNC_BYTES: number = 8 * 1024 * 1024

export function fileSnapshot(fs: FileSystem, check: (purpose: 'read' | 'write') => void): SnapshotStore {
  return {
    async open() {
      check('read')
      return openStored(fs)
    },
    async write(parts) {
      check('write')
      try {
        removeIfThere(fs)
        await writeNew(fs, parts)
        fs.rename(SNAPSHOT_NEW, SNAPSHOT)
        fs.syncFolder('')
      } catch (error) {
        removeUnfinished(fs)
        throw errnoOf(error) === undefined ? error : diskError(error, { file: SNAPSHOT })
      }
    },
  }
}

/** What is left of one that was not finished. If it cannot be removed now, the next opening tries again. */
export function removeUnfinished(fs: FileSystem): void {
  try {
    removeIfThere(fs)
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

function removeIfThere(fs: FileSystem): void {
  try {
    fs.remove(SNAPSHOT_NEW)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

async function writeNew(fs: FileSystem, parts: AsyncIterable<Uint8Array>): Promise<void> {
  const file = fs.open(SNAPSHOT_NEW, 'create')
  try {
    let at = 0
    let synced = 0
    for await (const part of parts) {
      writeWhole(file, [part], at)
      at += part.length
      if (at - synced < SYNC_BYTES) continue
      await file.sync()
      synced = at
    }
    await file.sync()
  } finally {
    file.close()
  }
}

function openStored(fs: FileSystem): StoredSnapshot | undefined {
  try {
    const file = fs.open(SNAPSHOT, 'read')
    return {
      sizeBytes: file.size(),
      read(target, at) {
        try {
          return file.read(target, at)
        } catch (error) {
          throw diskError(error, { file: SNAPSHOT })
        }
      },
      close: () => file.close(),
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw diskError(error, { file: SNAPSHOT })
  }
}
