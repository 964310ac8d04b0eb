/**
 * The files of many logs behind a bounded number of the system's: the one that was used longest ago is closed, and opened
 * again when it is asked for.
 *
 * - One with bytes that were not synced stays open: an error of its sync is told to who holds it then, and to nobody else.
 * - Before a name is given to other bytes, or taken away, who has the old ones open gets a handle that he keeps.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CHAIN_FILES_MAX } from '../base/limits.ts'
import type { FileSystem, OpenFile } from '../log/file-system.ts'
import type { Platform } from '../session/platform.ts'
import { FLAGS, nodeFileSystem, openFile } from './file-system.ts'
import { lockBelow } from './folder-lock.ts'

/** Platform.foldersBelow. */
export function pooledFolders(holder: string): Pick<Platform, 'openFolder'> {
  const pool = new FilePool(Math.min(CHAIN_FILES_MAX, Math.floor((openFilesLimit() ?? 4 * CHAIN_FILES_MAX) / 4)))
  return {
    async openFolder(path) {
      const files = pool.folder(nodeFileSystem(path), path)
      return { ...files, lock: () => lockBelow(path, holder) }
    },
  }
}

export class FilePool {
  readonly #max: number
  /** Those that could be closed, the one that was used longest ago first. */
  readonly #idle = new Set<PooledFile>()
  #open = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Handles of the system that are open now. */
  get size(): number {
    return this.#open
  }

  /** As `inner`, whose files are at `root`. */
  folder(inner: FileSystem, root: string): FileSystem {
    const files = new Map<string, Set<PooledFile>>()
    const pin = (path: string): void => {
      for (const file of files.get(path) ?? []) file.pin()
    }
    return {
      ...inner,
      open: (path, mode) => {
        const same = files.get(path) ?? new Set()
        files.set(path, same)
        const forget = (file: PooledFile): void => {
          same.delete(file)
          if (same.size === 0 && files.get(path) === same) files.delete(path)
        }
        const file = new PooledFile(this, { path: join(root, path), mode, forget })
        same.add(file)
        return file
      },
      rename(from, to) {
        pin(from)
        pin(to)
        inner.rename(from, to)
      },
      remove(path) {
        pin(path)
        inner.remove(path)
      },
    }
  }

  /** @internal */
  opened(): void {
    this.#open++
    for (const file of this.#idle) {
      if (this.#open <= this.#max) return
      this.#idle.delete(file)
      file.park()
    }
  }

  /** @internal */
  closed(file: PooledFile): void {
    this.#idle.delete(file)
    this.#open--
  }

  /** @internal Whether it could be closed now; called whenever it was used. */
  used(file: PooledFile, mayPark: boolean): void {
    this.#idle.delete(file)
    if (mayPark) this.#idle.add(file)
  }
}

interface Held {
  readonly fd: number
  readonly file: OpenFile
}

interface PooledParts {
  readonly path: string
  readonly mode: 'read' | 'write' | 'create'
  readonly forget: (file: PooledFile) => void
}

class PooledFile implements OpenFile {
  readonly #pool: FilePool
  readonly #parts: PooledParts
  /** What it is, whatever has its name later. */
  readonly #id: string
  #held: Held | undefined
  #isDirty = false
  /** Calls that are under way in other threads. */
  #underWay = 0
  #isPinned = false
  #isClosed = false

  constructor(pool: FilePool, parts: PooledParts) {
    this.#pool = pool
    this.#parts = parts
    const fd = openSync(parts.path, FLAGS[parts.mode], 0o600)
    this.#id = idOf(fd)
    this.#take(fd)
  }

  size(): number {
    return this.#use((file) => file.size())
  }

  read(target: Uint8Array, at: number): number {
    return this.#use((file) => file.read(target, at))
  }

  write(parts: readonly Uint8Array[], at: number): number {
    this.#isDirty = true
    return this.#use((file) => file.write(parts, at))
  }

  writeLater(parts: readonly Uint8Array[], at: number): Promise<number> {
    this.#isDirty = true
    return this.#useLater((file) => file.writeLater(parts, at))
  }

  truncate(size: number): void {
    this.#isDirty = true
    this.#use((file) => file.truncate(size))
  }

  syncNow(): void {
    this.#use((file) => {
      file.syncNow()
      this.#isDirty = false
    })
  }

  async sync(): Promise<void> {
    // What is written meanwhile is not in it.
    this.#isDirty = false
    try {
      await this.#useLater((file) => file.sync())
    } catch (error) {
      this.#isDirty = true
      throw error
    }
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#parts.forget(this)
    if (this.#held) this.park()
  }

  /** Its name will no longer lead to it. */
  pin(): void {
    this.#hold()
    this.#isPinned = true
    this.#note()
  }

  park(): void {
    const { fd } = this.#held!
    this.#held = undefined
    this.#pool.closed(this)
    closeSync(fd)
  }

  #use<T>(work: (file: OpenFile) => T): T {
    const { file } = this.#hold()
    try {
      return work(file)
    } finally {
      this.#note()
    }
  }

  async #useLater<T>(work: (file: OpenFile) => Promise<T>): Promise<T> {
    const { file } = this.#hold()
    this.#underWay++
    this.#note()
    try {
      return await work(file)
    } finally {
      this.#underWay--
      this.#note()
    }
  }

  #note(): void {
    if (this.#held) this.#pool.used(this, !this.#isDirty && this.#underWay === 0 && !this.#isPinned)
  }

  #hold(): Held {
    if (this.#held) return this.#held
    if (this.#isClosed) throw Object.assign(new Error('the file is closed'), { code: 'EBADF' })
    const { path, mode } = this.#parts
    const fd = openSync(path, mode === 'read' ? FLAGS.read : FLAGS.write)
    if (idOf(fd) !== this.#id) {
      closeSync(fd)
      throw Object.assign(new Error('another file stands in its place'), { code: 'ESTALE' })
    }
    return this.#take(fd)
  }

  #take(fd: number): Held {
    this.#held = { fd, file: openFile(fd) }
    this.#pool.opened()
    this.#note()
    return this.#held
  }
}

function idOf(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true })
  return `${dev} ${ino}`
}

/** Files that this process may have open, sockets included; undefined where the system does not tell. */
export function openFilesLimit(): number | undefined {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
  }
}
