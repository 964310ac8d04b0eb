/**
 * A simulated disk: what a program sees (volatile) and what would be left after a power cut (durable).
 *
 * A power cut decides for each 512-byte sector that was written and not synced whether it landed, was lost or tore,
 * and for sectors that the file grew by also zeros or stale garbage; for the size whether it grew; and for each name
 * that was not synced with its folder whether it is there. Everything is drawn from one seed. Faults are set by the
 * index of the operation. The model is stricter than ext4 where POSIX promises less.
 */
import type { FileLock, FileSystem, OpenFile } from '../log/file-system.ts'
import { type SeededRandom, seededRandom } from './random.ts'
import { SimInode } from './sim-inode.ts'

/** Operation indexes count from 1 and count only what changes something (not reads, lists, closes). */
export interface SimFaults {
  /** The power goes after operation N: it is done, every later one fails until crash(). */
  cutAfter?: number
  /** The Nth sync of a file or folder (from 1) fails with EIO; pages of a file are dropped and marked clean. */
  failSync?: number
  /** The Nth read (from 1) fails with EIO. */
  failRead?: number
  /** The Nth write (from 1) fails with `code` after `written` bytes of it were taken. */
  failWrite?: { readonly at: number; readonly code: string; readonly written: number }
  /** The Nth truncate fails with EIO. */
  failTruncate?: number
  /** Bytes of all files together; over it, a write takes what fits, or fails with ENOSPC if nothing does. */
  spaceBytes?: number
  /** One write in so many is short. */
  shortWrites?: number
  /** Every change fails with this errno (EROFS, EACCES). */
  refuse?: string
}

type Entry = SimInode | 'folder'
interface NameChange {
  readonly folder: string
  readonly changes: readonly (readonly [path: string, entry: Entry | undefined])[]
}

function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code })
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '' : path.slice(0, slash)
}

export class SimFileSystem implements FileSystem {
  faults: SimFaults = {}
  /** Operations, syncs, reads, writes and truncates so far. */
  readonly counts = { operations: 0, syncs: 0, reads: 0, writes: 0, truncates: 0 }
  /** Durable bytes of files that were removed: what a disk may still hold. */
  readonly removed: Uint8Array[] = []
  readonly random: SeededRandom
  #names = new Map<string, Entry>()
  #durableNames = new Map<string, Entry>()
  #pendingNames: NameChange[] = []
  #hasPower = true
  /** Handles and locks of processes that ended are of an older life. */
  #life = 0
  #holder: number | undefined
  readonly #below: () => string[]

  /** `below`: folders that stand in this one, each a disk of its own. */
  constructor(seed: number, options: { readonly folder?: 'exists' | 'missing'; readonly below?: () => string[] } = {}) {
    this.random = seededRandom(seed)
    this.#below = options.below ?? (() => [])
    if (options.folder === 'missing') return
    this.#names.set('', 'folder')
    this.#durableNames.set('', 'folder')
  }

  open(path: string, mode: 'read' | 'write' | 'create'): OpenFile {
    this.#running()
    if (this.faults.refuse && mode !== 'read') throw errno(this.faults.refuse, path)
    const entry = this.#names.get(path)
    if (mode === 'create') {
      if (entry) throw errno('EEXIST', path)
      this.#mustBeFolder(parentOf(path))
      const inode = new SimInode()
      this.#change(parentOf(path), [[path, inode]])
      return this.#handle(inode, path)
    }
    if (!entry) throw errno('ENOENT', path)
    if (entry === 'folder') throw errno('EISDIR', path)
    return this.#handle(entry, path)
  }

  /** Whether the folder itself is there. */
  get hasFolder(): boolean {
    return this.#names.has('')
  }

  list(path: string): readonly string[] {
    this.#running()
    const below = path === '' ? this.#below() : []
    if (below.length > 0 && !this.hasFolder) return below
    this.#mustBeFolder(path)
    const prefix = path === '' ? '' : `${path}/`
    const names: string[] = below
    for (const name of this.#names.keys()) {
      if (name !== '' && name.startsWith(prefix) && parentOf(name) === path) names.push(name.slice(prefix.length))
    }
    return names
  }

  makeFolder(path: string): void {
    this.#running()
    if (this.faults.refuse) throw errno(this.faults.refuse, path)
    if (this.#names.has(path)) throw errno('EEXIST', path)
    if (path === '') {
      this.#names.set('', 'folder')
      this.#durableNames.set('', 'folder')
      this.#done()
      return
    }
    this.#mustBeFolder(parentOf(path))
    this.#change(parentOf(path), [[path, 'folder']])
  }

  rename(from: string, to: string): void {
    this.#running()
    if (this.faults.refuse) throw errno(this.faults.refuse, from)
    const entry = this.#names.get(from)
    if (!entry) throw errno('ENOENT', from)
    this.#retire(this.#names.get(to))
    this.#change(parentOf(to), [
      [from, undefined],
      [to, entry],
    ])
  }

  remove(path: string): void {
    this.#running()
    if (this.faults.refuse) throw errno(this.faults.refuse, path)
    const entry = this.#names.get(path)
    if (!entry) throw errno('ENOENT', path)
    this.#retire(entry)
    this.#change(parentOf(path), [[path, undefined]])
  }

  removeFolder(path: string): void {
    this.#running()
    if (this.faults.refuse) throw errno(this.faults.refuse, path)
    this.#mustBeFolder(path)
    if (this.list(path).length > 0) throw errno('ENOTEMPTY', path)
    this.#change(parentOf(path), [[path, undefined]])
  }

  syncFolder(path: string): void {
    this.#running()
    this.#mustBeFolder(path)
    // Names stay pending: a later sync that succeeds writes the folder whole.
    if (this.#syncFails()) throw errno('EIO', `sync of folder ${path}`)
    for (const change of this.#pendingNames) if (change.folder === path) this.#land(change)
    this.#pendingNames = this.#pendingNames.filter((change) => change.folder !== path)
    this.#done()
  }

  async lock(): Promise<FileLock | undefined> {
    this.#running()
    if (this.faults.refuse) throw errno(this.faults.refuse, 'lock')
    this.#mustBeFolder('')
    if (this.#holder === this.#life) return undefined
    const life = this.#life
    this.#holder = life
    return {
      release: async () => {
        if (this.#holder === life) this.#holder = undefined
      },
    }
  }

  /** The power goes and comes back: unsynced state is decided, handles and locks are dead, faults are gone. */
  crash(): void {
    const left = new Set<SimInode>()
    for (const change of this.#pendingNames) if (!this.random.oneIn(2)) this.#land(change)
    // What stands in a folder that did not land is gone with it.
    for (const path of [...this.#durableNames.keys()]) {
      if (path !== '' && this.#durableNames.get(parentOf(path)) !== 'folder') this.#durableNames.delete(path)
    }
    for (const entry of this.#durableNames.values()) if (entry !== 'folder') left.add(entry)
    for (const inode of left) inode.powerCut(this.random, this.removed)
    this.#names = new Map(this.#durableNames)
    this.#pendingNames = []
    this.kill()
    this.#hasPower = true
    this.faults = {}
  }

  /** The process dies: its handles and its lock with it; what it wrote is still in the page cache. */
  kill(): void {
    this.#life++
  }

  get isCut(): boolean {
    return !this.#hasPower
  }

  /** The bytes of a file as a program sees them. */
  peek(path: string): Uint8Array {
    return this.#inode(path).bytes.slice(0, this.#inode(path).size)
  }

  /** Changes a file behind everybody's back, on the disk and in the cache. */
  poke(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
    const inode = this.#inode(path)
    inode.replace(change(inode.bytes.slice(0, inode.size)))
  }

  /** Sets one byte of a file behind everybody's back, on the disk and in the cache. */
  pokeByte(path: string, at: number, value: number): void {
    this.#inode(path).replaceByte(at, value)
  }

  /** A durable copy under another name, in this or another disk. */
  copyTo(target: SimFileSystem, from: string, to: string): void {
    const inode = new SimInode(this.peek(from))
    target.#names.set(to, inode)
    target.#durableNames.set(to, inode)
  }

  /** Takes a file away, durably. */
  drop(path: string): void {
    this.#names.delete(path)
    this.#durableNames.delete(path)
  }

  /** Paths of all files. */
  files(): readonly string[] {
    return [...this.#names].filter(([, entry]) => entry !== 'folder').map(([path]) => path)
  }

  /** What is durable now, for a search of bytes that should be destroyed: files, and files removed. */
  durableBytes(): readonly (readonly [name: string, bytes: Uint8Array])[] {
    const files = [...this.#durableNames].map(
      ([name, entry]) => [name, entry === 'folder' ? new Uint8Array(0) : entry.durable] as const,
    )
    return [...files, ...this.removed.map((bytes) => ['a removed file', bytes] as const)]
  }

  #inode(path: string): SimInode {
    const entry = this.#names.get(path)
    if (!entry || entry === 'folder') throw errno('ENOENT', path)
    return entry
  }

  #running(): void {
    if (!this.#hasPower) throw errno('EIO', 'the power is off')
  }

  #mustBeFolder(path: string): void {
    if (this.#names.get(path) !== 'folder') throw errno('ENOENT', path === '' ? 'the folder' : path)
  }

  /** Counts an operation that changed something; the power may go after it. */
  #done(): void {
    this.counts.operations++
    if (this.counts.operations === this.faults.cutAfter) this.#hasPower = false
  }

  #change(folder: string, changes: NameChange['changes']): void {
    for (const [path, entry] of changes) {
      if (entry) this.#names.set(path, entry)
      else this.#names.delete(path)
    }
    this.#pendingNames.push({ folder, changes })
    this.#done()
  }

  /** There are no hard links: a name that lands takes the file from any other name, whichever changes were lost before. */
  #land(change: NameChange): void {
    for (const [path, entry] of change.changes) {
      if (entry && entry !== 'folder') {
        for (const [other, held] of this.#durableNames) if (held === entry) this.#durableNames.delete(other)
      }
      if (entry) this.#durableNames.set(path, entry)
      else this.#durableNames.delete(path)
    }
  }

  #retire(entry: Entry | undefined): void {
    if (entry && entry !== 'folder') this.removed.push(entry.durable)
  }

  #syncFails(): boolean {
    this.counts.syncs++
    return this.counts.syncs === this.faults.failSync
  }

  #handle(inode: SimInode, path: string): OpenFile {
    const life = this.#life
    let isOpen = true
    const check = (): void => {
      this.#running()
      if (!isOpen || life !== this.#life) throw errno('EBADF', path)
    }
    return {
      size: () => {
        check()
        return inode.size
      },
      read: (target, at) => {
        check()
        this.counts.reads++
        if (this.counts.reads === this.faults.failRead) throw errno('EIO', `read of ${path}`)
        const part = inode.bytes.subarray(at, Math.min(inode.size, at + target.length))
        target.set(part)
        return part.length
      },
      write: (parts, at) => {
        check()
        return this.#write(inode, path, parts, at)
      },
      writeLater: async (parts, at) => {
        check()
        await Promise.resolve()
        this.#running()
        return this.#write(inode, path, parts, at)
      },
      truncate: (size) => {
        check()
        if (this.faults.refuse) throw errno(this.faults.refuse, path)
        this.counts.truncates++
        if (this.counts.truncates === this.faults.failTruncate) throw errno('EIO', `truncate of ${path}`)
        inode.resize(size)
        this.#done()
      },
      syncNow: () => {
        check()
        this.#sync(inode, path)
      },
      sync: async () => {
        check()
        await Promise.resolve()
        this.#running()
        this.#sync(inode, path)
      },
      close: () => {
        isOpen = false
      },
    }
  }

  #write(inode: SimInode, path: string, parts: readonly Uint8Array[], at: number): number {
    if (this.faults.refuse) throw errno(this.faults.refuse, path)
    this.counts.writes++
    let size = 0
    for (const part of parts) size += part.length
    const { failWrite, shortWrites } = this.faults
    if (failWrite && this.counts.writes === failWrite.at) {
      if (failWrite.written === 0) throw errno(failWrite.code, path)
      size = Math.min(size, failWrite.written)
    }
    if (shortWrites && size > 1 && this.random.oneIn(shortWrites)) size = 1 + this.random.below(size - 1)
    size = this.#fitting(inode, at, size, path)
    inode.put(parts, at, size)
    this.#done()
    return size
  }

  #fitting(inode: SimInode, at: number, size: number, path: string): number {
    if (this.faults.spaceBytes === undefined) return size
    let used = 0
    for (const entry of this.#names.values()) if (entry !== 'folder') used += entry.size
    const fits = Math.max(0, this.faults.spaceBytes - used) + Math.max(0, inode.size - at)
    if (fits <= 0 && size > 0) throw errno('ENOSPC', path)
    return Math.min(size, fits)
  }

  #sync(inode: SimInode, path: string): void {
    const fails = this.#syncFails()
    if (fails) {
      inode.dropDirty()
      throw errno('EIO', `sync of ${path}`)
    }
    inode.landSynced()
    this.#done()
  }
}
