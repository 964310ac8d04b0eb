/**
 * The contract of a file system, small enough to simulate: SimFileSystem (testing/) drops, tears and reorders what was
 * not synced; NodeFileSystem (node/) is the real one. Paths are relative to one chain's folder and use `/`.
 *
 * Calls are synchronous (OPFS has only those where it counts, and they are the fastest for small writes), except the
 * sync of a group commit, which must not stop the event loop, and large writes.
 *
 * Errors are thrown as Error with the errno name in `code` (ENOSPC, EIO, EROFS, EACCES, ENOENT, ...).
 */
export interface FileSystem {
  /** `create` fails with EEXIST if the file is there. */
  open(path: string, mode: 'read' | 'write' | 'create'): OpenFile
  /** Names in the folder (`''` is the chain's own), in no order; ENOENT if there is none. */
  list(path: string): readonly string[]
  makeFolder(path: string): void
  rename(from: string, to: string): void
  remove(path: string): void
  /** Of a folder that is empty: ENOTEMPTY if it is not. */
  removeFolder(path: string): void
  /** Makes the names of a folder durable. */
  syncFolder(path: string): void
  /**
   * One holder at a time, freed when its process dies. Undefined if another holds it.
   * The name stands for the folder, whatever path leads there.
   */
  lock(): Promise<FileLock | undefined>
  /** Whether it is this process that holds it; left out where nobody can say. */
  isHeldHere?(): boolean
}

export interface FileLock {
  release(): Promise<void>
}

export interface OpenFile {
  size(): number
  /** Bytes read into `target` from file offset `at`: fewer than asked for only at the end of the file. */
  read(target: Uint8Array, at: number): number
  /** Bytes written of `parts` at file offset `at`; may be fewer than given (a short write). */
  write(parts: readonly Uint8Array[], at: number): number
  /** The same beside this thread; the parts stay as they are until then. */
  writeLater(parts: readonly Uint8Array[], at: number): Promise<number>
  truncate(size: number): void
  /** fdatasync: bytes and size. Never retried after an error. */
  syncNow(): void
  sync(): Promise<void>
  close(): void
}
