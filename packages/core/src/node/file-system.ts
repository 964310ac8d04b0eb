/**
 * The real disk under Node: synchronous calls, the group sync on a thread. Folders are 0700, files 0600: the clear part
 * of a log is nobody else's business either.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writevSync,
} from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { FileSystem, OpenFile } from '../log/file-system.ts'
import { lockFolder } from './folder-lock.ts'

export const FLAGS = { read: 'r', write: 'r+', create: 'wx+' } as const

/** The files below `folder`, which is made when makeFolder('') asks for it. */
export function nodeFileSystem(folder: string): FileSystem {
  const root = resolve(folder)
  const at = (path: string): string => join(root, path)
  return {
    open: (path, mode) => openFile(openSync(at(path), FLAGS[mode], 0o600)),
    list: (path) => readdirSync(at(path)),
    makeFolder(path) {
      if (path === '') makeRoot(root)
      else mkdirSync(at(path), { mode: 0o700 })
    },
    rename: (from, to) => renameSync(at(from), at(to)),
    remove: (path) => unlinkSync(at(path)),
    removeFolder: (path) => rmdirSync(at(path)),
    syncFolder: (path) => syncFolder(at(path)),
    lock: () => lockFolder(root),
  }
}

/** Each folder that is new, and the name of the first in the folder that was there, are made durable. */
function makeRoot(root: string): void {
  const first = mkdirSync(root, { recursive: true, mode: 0o700 })
  if (first === undefined) return
  for (let made = root; ; made = dirname(made)) {
    syncFolder(dirname(made))
    if (made === first || made === dirname(made)) return
  }
}

/** Windows cannot open a folder; NTFS journals names by itself. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

export function openFile(fd: number): OpenFile {
  return {
    size: () => fstatSync(fd).size,
    read(target, at) {
      let done = 0
      while (done < target.length) {
        const size = readSync(fd, target, done, target.length - done, at + done)
        if (size === 0) break
        done += size
      }
      return done
    },
    write: (parts, at) => writevSync(fd, parts as Uint8Array[], at),
    truncate: (size) => ftruncateSync(fd, size),
    syncNow: () => fdatasyncSync(fd),
    sync: () =>
      new Promise((done, failed) => {
        fdatasync(fd, (error) => (error ? failed(error) : done()))
      }),
    close: () => closeSync(fd),
  }
}
