/**
 * The key ring on a file system: `ring/<name in hex>.key`, one wrapped key each, written so that it can be destroyed.
 *
 *     0  u32 magic "ATEK"   4  u32 size   8  [32] name   40  wrapped bytes   then u32 CRC of all before
 *
 * put:   NAME.tmp written and synced, renamed to NAME.key, folder synced: from here on it counts. Where NAME.key is there
 *        already it is renamed to NAME.next, which counts before it; the older NAME.key is overwritten, then NAME.next
 *        takes its name. Several share the sync of the folder.
 * erase: NAME.key is renamed to NAME.gone, folder synced: from here on it is gone; its bytes are overwritten and
 *        synced, then the file is removed and the folder synced.
 * A writer finishes at open what a crash interrupted, so no wrapped bytes are left in a file without a purpose.
 */
import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import type { AteError } from '../base/errors.ts'
import { RING_KEY_BYTES_MAX } from '../base/limits.ts'
import { checkKey } from './batch.ts'
import type { Crc32 } from './crc32.ts'
import type { KeyRing, LogProblem, RingEntry } from './engine.ts'
import { damaged, diskError, errnoOf } from './file-errors.ts'
import { getU32, putU32 } from './file-frame.ts'
import { writeWhole } from './file-manifest.ts'
import { makeSyncedFolder } from './file-repair.ts'
import type { FileSystem } from './file-system.ts'

export const RING = 'ring'
const MAGIC = 0x4154454b
const HEADER_BYTES = 40

export interface RingHost {
  readonly fs: FileSystem
  readonly crc: Crc32
  /** Throws if the log is closed, or cannot be written for `write`. */
  check(purpose: 'read' | 'write'): void
  /** After a sync that failed. */
  poison(error: unknown): AteError
}

function encodeKey(name: Uint8Array, wrapped: Uint8Array, crc: Crc32): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + wrapped.length + 4)
  putU32(bytes, 0, MAGIC)
  putU32(bytes, 4, wrapped.length)
  bytes.set(name, 8)
  bytes.set(wrapped, HEADER_BYTES)
  putU32(bytes, bytes.length - 4, crc(bytes.subarray(0, bytes.length - 4)))
  return bytes
}

function decodeKey(bytes: Uint8Array, name: Uint8Array, crc: Crc32): Uint8Array | undefined {
  const size = bytes.length - HEADER_BYTES - 4
  if (size < 0 || getU32(bytes, 0) !== MAGIC || getU32(bytes, 4) !== size) return undefined
  if (crc(bytes.subarray(0, bytes.length - 4)) !== getU32(bytes, bytes.length - 4)) return undefined
  return equalBytes(bytes.subarray(8, HEADER_BYTES), name) ? bytes.slice(HEADER_BYTES, HEADER_BYTES + size) : undefined
}

export function fileRing(host: RingHost): KeyRing {
  const { fs, crc } = host
  let isMade = false
  const run = <T>(purpose: 'read' | 'write', name: Uint8Array, work: (base: string) => T): T => {
    host.check(purpose)
    const base = pathOf(name)
    try {
      return work(base)
    } catch (error) {
      throw diskError(error, { file: base })
    }
  }
  const putAll = (entries: readonly RingEntry[]): void => {
    for (const { name, wrapped } of entries) checkKey(name, wrapped)
    const [first] = entries
    if (!first) return
    run('write', first.name, () => {
      if (!isMade) makeSyncedFolder(fs, RING)
      isMade = true
      putKeys(host, new Map(entries.map(({ name, wrapped }) => [pathOf(name), encodeKey(name, wrapped, crc)])))
    })
  }
  return {
    async put(name, wrapped) {
      putAll([{ name, wrapped }])
    },
    async putAll(entries) {
      putAll(entries)
    },
    async get(name) {
      return run('read', name, (base) => readKey(host, base, name))
    },
    async erase(name) {
      run('write', name, (base) => {
        finishPut(host, base)
        if (renameIfThere(fs, `${base}.key`, `${base}.gone`)) synced(host, () => fs.syncFolder(RING))
        destroy(host, `${base}.gone`)
      })
    },
    async *names() {
      host.check('read')
      const seen = new Set<string>()
      for (const entry of listRing(fs)) {
        const match = /^([0-9a-f]{64})\.(?:key|next)$/.exec(entry)
        if (match) seen.add(match[1]!)
      }
      for (const text of seen) yield fromHex(text)!
    },
  }
}

function pathOf(name: Uint8Array): string {
  return `${RING}/${toHex(name)}`
}

/** Whole files, by the path without its end. All of them count, or after a crash some. */
function putKeys(host: RingHost, files: ReadonlyMap<string, Uint8Array>): void {
  const { fs } = host
  const bases = [...files.keys()]
  try {
    for (const [base, bytes] of files) {
      finishPut(host, base)
      destroy(host, `${base}.tmp`)
      writeTemporary(host, `${base}.tmp`, bytes)
    }
  } catch (error) {
    // Those that fitted on the disk, too.
    for (const base of bases) destroy(host, `${base}.tmp`)
    throw error
  }
  const replaced = new Set(bases.filter((base) => exists(fs, `${base}.key`)))
  for (const base of bases) fs.rename(`${base}.tmp`, replaced.has(base) ? `${base}.next` : `${base}.key`)
  synced(host, () => fs.syncFolder(RING))
  for (const base of replaced) finishPut(host, base)
}

/** Ends what a crash interrupted. Only a writer does this, under the lock. */
export function finishRing(host: RingHost): void {
  const entries = listRing(host.fs)
  for (const entry of entries) {
    if (entry.endsWith('.gone') || entry.endsWith('.tmp')) destroy(host, `${RING}/${entry}`)
    if (entry.endsWith('.next')) finishPut(host, `${RING}/${entry.slice(0, -5)}`)
  }
  // A key whose put was killed before the sync of its name is seen from here on, so it has to stay.
  if (entries.length > 0) synced(host, () => host.fs.syncFolder(RING))
}

/** Every key, whole or not: overwritten and removed, and the folder with them. */
export function destroyRing(host: RingHost): void {
  const entries = listRing(host.fs)
  for (const entry of entries) destroy(host, `${RING}/${entry}`)
  removeFolderIfThere(host.fs, RING)
}

/** Keys that are not whole. */
export function scrubRing(host: RingHost): LogProblem[] {
  const problems: LogProblem[] = []
  for (const entry of listRing(host.fs)) {
    const name = /^[0-9a-f]{64}\.(?:key|next)$/.test(entry) ? fromHex(entry.slice(0, 64)) : undefined
    if (!name) continue
    const bytes = readWhole(host.fs, `${RING}/${entry}`)
    const isGood = bytes === undefined || decodeKey(bytes, name, host.crc) !== undefined
    if (!isGood) problems.push({ code: 'DAMAGED', segment: `${RING}/${entry}`, offset: 0, firstSeq: 0, lastSeq: -1 })
  }
  return problems
}

export function listRing(fs: FileSystem): readonly string[] {
  try {
    return fs.list(RING)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw diskError(error, { file: RING })
  }
}

function readKey(host: RingHost, base: string, name: Uint8Array): Uint8Array | undefined {
  // A reader beside a writer may look between the two names: the order next, key, next meets the key under one.
  for (const end of ['.next', '.key', '.next']) {
    const bytes = readWhole(host.fs, base + end)
    if (!bytes) continue
    const wrapped = decodeKey(bytes, name, host.crc)
    if (!wrapped) throw damaged({ segment: base + end, offset: 0 })
    return wrapped
  }
  return undefined
}

function readWhole(fs: FileSystem, path: string): Uint8Array | undefined {
  try {
    const file = fs.open(path, 'read')
    try {
      const bytes = new Uint8Array(Math.min(file.size(), HEADER_BYTES + RING_KEY_BYTES_MAX + 5))
      return bytes.subarray(0, file.read(bytes, 0))
    } finally {
      file.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

/** If it does not fit on the disk, what was written is overwritten too: the same key may be put and destroyed later. */
function writeTemporary(host: RingHost, path: string, bytes: Uint8Array): void {
  const file = host.fs.open(path, 'create')
  try {
    writeWhole(file, [bytes], 0)
  } catch (error) {
    file.close()
    destroy(host, path)
    throw error
  }
  try {
    synced(host, () => file.syncNow())
  } finally {
    file.close()
  }
}

/** NAME.next takes the place of NAME.key, whose bytes are overwritten first. */
function finishPut(host: RingHost, base: string): void {
  const { fs } = host
  if (!exists(fs, `${base}.next`)) return
  overwrite(host, `${base}.key`)
  fs.rename(`${base}.next`, `${base}.key`)
  synced(host, () => fs.syncFolder(RING))
}

function destroy(host: RingHost, path: string): void {
  if (!overwrite(host, path)) return
  host.fs.remove(path)
  synced(host, () => host.fs.syncFolder(RING))
}

/** Zeros over the whole file, on the disk. False if there is no such file. */
function overwrite(host: RingHost, path: string): boolean {
  if (!exists(host.fs, path)) return false
  const file = host.fs.open(path, 'write')
  try {
    const zeros = new Uint8Array(Math.min(file.size(), 64 * 1024))
    for (let at = 0, size = file.size(); at < size; at += zeros.length) {
      writeWhole(file, [zeros.subarray(0, size - at)], at)
    }
    synced(host, () => file.syncNow())
  } finally {
    file.close()
  }
  return true
}

function synced(host: RingHost, sync: () => void): void {
  try {
    sync()
  } catch (error) {
    throw host.poison(error)
  }
}

function exists(fs: FileSystem, path: string): boolean {
  try {
    fs.open(path, 'read').close()
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

export function removeFolderIfThere(fs: FileSystem, path: string): void {
  try {
    fs.removeFolder(path)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}

function renameIfThere(fs: FileSystem, from: string, to: string): boolean {
  try {
    fs.rename(from, to)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
