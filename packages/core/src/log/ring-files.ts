/**
 * Keys of the ring that are too long for a slot, and those of before there were slots: `ring/<name in hex>.key`, one each
 * (ring-key.ts).
 *
 * put:   NAME.tmp written and synced, renamed to NAME.key, folder synced: from here on it counts. Where NAME.key is there
 *        already it is renamed to NAME.next, which counts before it; the older NAME.key is overwritten, then NAME.next
 *        takes its name. Several share the sync of the folder.
 * erase: NAME.key is renamed to NAME.gone, folder synced: from here on it is gone; its bytes are overwritten and
 *        synced, then the file is removed and the folder synced.
 */
import { equalBytes, fromHex, toHex } from '../base/bytes.ts'
import { RING_KEY_BYTES_MAX } from '../base/limits.ts'
import type { LogProblem, RingEntry } from './engine.ts'
import { damaged, errnoOf } from './file-errors.ts'
import { writeWhole } from './file-manifest.ts'
import type { FileSystem } from './file-system.ts'
import { listRing, RING, type RingHost, synced } from './ring-host.ts'
import { decodeKey, encodeKey, KEY_HEADER_BYTES } from './ring-key.ts'

const KEY_FILE = /^([0-9a-f]{64})\.(?:key|next)$/

export function ringPath(name: Uint8Array): string {
  return `${RING}/${toHex(name)}`
}

/** Names of those that count, in hexadecimal. */
export function filedNames(fs: FileSystem): Set<string> {
  return new Set(listRing(fs).flatMap((entry) => KEY_FILE.exec(entry)?.[1] ?? []))
}

/** All of them count, or after a crash some. */
export function putKeyFiles(host: RingHost, entries: readonly RingEntry[]): void {
  const { fs, crc } = host
  const files = new Map(entries.map(({ name, wrapped }) => [ringPath(name), encodeKey(name, wrapped, crc)]))
  const bases = [...files.keys()]
  try {
    for (const [base, bytes] of files) {
      finishPut(host, base)
      destroy(host, `${base}.tmp`)
      writeTemporary(host, `${base}.tmp`, bytes)
    }
  } catch (error) {
    // What was written of them is overwritten: the same keys may be put and destroyed later.
    for (const base of bases) destroy(host, `${base}.tmp`)
    throw error
  }
  const replaced = new Set(bases.filter((base) => exists(fs, `${base}.key`)))
  for (const base of bases) fs.rename(`${base}.tmp`, replaced.has(base) ? `${base}.next` : `${base}.key`)
  synced(host, () => fs.syncFolder(RING))
  for (const base of replaced) finishPut(host, base)
}

export function eraseKeyFile(host: RingHost, name: Uint8Array): void {
  const base = ringPath(name)
  finishPut(host, base)
  if (renameIfThere(host.fs, `${base}.key`, `${base}.gone`)) synced(host, () => host.fs.syncFolder(RING))
  destroy(host, `${base}.gone`)
}

/** Ends what a crash interrupted. Only a writer does this, under the lock. */
export function finishKeyFiles(host: RingHost): void {
  const entries = listRing(host.fs)
  for (const entry of entries) {
    if (entry.endsWith('.gone') || entry.endsWith('.tmp')) destroy(host, `${RING}/${entry}`)
    if (entry.endsWith('.next')) finishPut(host, `${RING}/${entry.slice(0, -5)}`)
  }
  // A key whose put was killed before the sync of its name is seen from here on, so it has to stay.
  if (entries.length > 0) synced(host, () => host.fs.syncFolder(RING))
}

/** Every file of the ring, whole or not: overwritten and removed, and the folder with them. */
export function destroyRing(host: RingHost): void {
  const entries = listRing(host.fs)
  for (const entry of entries) destroy(host, `${RING}/${entry}`)
  removeFolderIfThere(host.fs, RING)
}

/** Keys that are not whole. */
export function keyFileProblems(host: RingHost): LogProblem[] {
  const problems: LogProblem[] = []
  for (const entry of listRing(host.fs)) {
    const name = KEY_FILE.test(entry) ? fromHex(entry.slice(0, 64)) : undefined
    if (!name) continue
    const bytes = readWhole(host.fs, `${RING}/${entry}`)
    const isGood = bytes === undefined || keyIn(host, bytes, name) !== undefined
    if (!isGood) problems.push({ code: 'DAMAGED', segment: `${RING}/${entry}`, offset: 0, firstSeq: 0, lastSeq: -1 })
  }
  return problems
}

/** @throws AteError DAMAGED */
export function readKeyFile(host: RingHost, name: Uint8Array): Uint8Array | undefined {
  const base = ringPath(name)
  // A reader beside a writer may look between the two names: the order next, key, next meets the key under one.
  for (const end of ['.next', '.key', '.next']) {
    const bytes = readWhole(host.fs, base + end)
    if (!bytes) continue
    const wrapped = keyIn(host, bytes, name)
    if (!wrapped) throw damaged({ segment: base + end, offset: 0 })
    return wrapped
  }
  return undefined
}

function keyIn({ crc }: RingHost, bytes: Uint8Array, name: Uint8Array): Uint8Array | undefined {
  const key = decodeKey(bytes, crc)
  return key && equalBytes(key.name, name) ? key.wrapped : undefined
}

function readWhole(fs: FileSystem, path: string): Uint8Array | undefined {
  try {
    const file = fs.open(path, 'read')
    try {
      const bytes = new Uint8Array(Math.min(file.size(), KEY_HEADER_BYTES + RING_KEY_BYTES_MAX + 5))
      return bytes.subarray(0, file.read(bytes, 0))
    } finally {
      file.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function writeTemporary(host: RingHost, path: string, bytes: Uint8Array): void {
  const file = host.fs.open(path, 'create')
  try {
    writeWhole(file, [bytes], 0)
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
