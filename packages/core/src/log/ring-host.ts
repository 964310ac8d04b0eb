/** What the parts of the key ring on a file system share. */
import type { AteError } from '../base/errors.ts'
import type { Crc32 } from './crc32.ts'
import { diskError, errnoOf, isOutOfFiles } from './file-errors.ts'
import type { FileSystem } from './file-system.ts'

export const RING = 'ring'

export interface RingHost {
  readonly fs: FileSystem
  readonly crc: Crc32
  /** Slots of the first file of slots, if it is not what they are by themselves. */
  readonly slotsMin?: number | undefined
  /** Throws if the log is closed, or cannot be written for `write`. */
  check(purpose: 'read' | 'write'): void
  /** After a sync that failed. */
  poison(error: unknown): AteError
  /** Syncs take less than a hop to another thread and back, and the event loop has turned lately. */
  syncsHere?(): boolean
  /** Before the first file of slots: MANIFEST says so, for software that knows of none. */
  announceSlots?(): void
}

export function listRing(fs: FileSystem): readonly string[] {
  try {
    return fs.list(RING)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw diskError(error, { file: RING })
  }
}

/** A folder is opened to be synced: where that is refused, nothing is lost, and whoever tries again syncs what was done by then. */
export function synced(host: RingHost, sync: () => void): void {
  try {
    sync()
  } catch (error) {
    throw isOutOfFiles(error) ? error : host.poison(error)
  }
}
