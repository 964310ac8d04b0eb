/**
 * The real disk under Node: synchronous calls, the group sync on a thread. Folders are 0700, files 0600: the clear part
 * of a log is nobody else's business either.
 */
import {
  closeSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writev,
  writevSync,
} from 'node:fs'
import { join, resolve } from 'node:path'
import type { FileSystem, OpenFile } from '../log/file-system.ts'
import { isHeldHere, lockFolder } from './folder-lock.ts'
import { makeFolders, syncFolder } from './folders.ts'

export const FLAGS = { read: 'r', write: 'r+', create: 'wx+' } as const

/** The files below `folder`, which is made when makeFolder('') asks for it. */
export function nodeFileSystem(folder: string): FileSystem {
  const root = resolve(folder)
  const at = (path: string): string => join(root, path)
  return {
    open: (path, mode) => openFile(openSync(at(path), FLAGS[mode], 0o600)),
    list: (path) => readdirSync(at(path)),
    makeFolder(path) {
      if (path === '') makeFolders(root)
      else mkdirSync(at(path), { mode: 0o700 })
    },
    rename: (from, to) => renameSync(at(from), at(to)),
    remove: (path) => unlinkSync(at(path)),
    removeFolder: (path) => rmdirSync(at(path)),
    syncFolder: (path) => syncFolder(at(path)),
    lock: () => lockFolder(root),
    isHeldHere: () => isHeldHere(root),
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
    writeLater: (parts, at) =>
      new Promise((done, failed) => {
        writev(fd, parts as Uint8Array[], at, (error, size) => (error ? failed(error) : done(size)))
      }),
    truncate: (size) => ftruncateSync(fd, size),
    syncNow: () => fdatasyncSync(fd),
    sync: () =>
      new Promise((done, failed) => {
        fdatasync(fd, (error) => (error ? failed(error) : done()))
      }),
    close: () => closeSync(fd),
  }
}
