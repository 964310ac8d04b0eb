/**
 * Destroys the log in a folder, under its lock. MANIFEST says so first and goes last, so that a folder in which this was
 * interrupted is never taken for a chain, nor for an empty place.
 *
 * Order: both slots of MANIFEST, synced; the keys of the ring, each overwritten; the segments and what stands beside
 * them; the names of the folder, synced; MANIFEST.
 */
import { toHex } from '../base/bytes.ts'
import { AteError } from '../base/errors.ts'
import type { Crc32 } from './crc32.ts'
import { diskError, errnoOf, locked } from './file-errors.ts'
import { encodeSlot, MANIFEST, openManifest, readManifest, SLOT_BYTES, writeWhole } from './file-manifest.ts'
import { listFolder } from './file-recovery.ts'
import { QUARANTINE } from './file-repair.ts'
import { segmentNumber } from './file-segment.ts'
import type { FileSystem } from './file-system.ts'
import { destroyRing, removeFolderIfThere } from './ring-files.ts'
import { STANDINGS, type Standing, type StandingState } from './standing.ts'

/** Files beside the segments that are of this log; others that stand in the folder are not ours. */
const BESIDE = /^(?:seg-\d{6,15}\.ate(?:\.new)?|SNAPSHOT(?:\.new)?|BACKUP(?:\.new)?|MANIFEST\.new)$/

export interface Destroyed {
  readonly label: Uint8Array
  /** What it was before. */
  readonly state: StandingState
}

/**
 * Destroys what stands in the folder, whole, damaged or half destroyed, and gives the label that it had.
 * @throws AteError CHAIN_NOT_FOUND | CHAIN_LOCKED | WRONG_CHAIN { stored } | CHAIN_EXISTS (its standing is not in
 * `standings`) | DAMAGED (MANIFEST is: nobody can say what this is) | IO_ERROR | READ_ONLY
 */
export async function destroyFileLog(options: {
  readonly fs: FileSystem
  readonly crc: Crc32
  /** The chain that is meant; left out: whatever it is. */
  readonly label?: Uint8Array
  /** Only a log of one of these standings. */
  readonly standings?: readonly StandingState[]
}): Promise<Destroyed> {
  const { fs, crc, label, standings } = options
  try {
    if (!listFolder(fs)?.includes(MANIFEST)) throw new AteError('CHAIN_NOT_FOUND')
    const lock = await fs.lock()
    if (!lock) throw locked(fs)
    try {
      const found = look(fs, crc)
      if (label && toHex(label) !== toHex(found.label))
        throw new AteError('WRONG_CHAIN', { wanted: toHex(label), stored: toHex(found.label) })
      if (standings && !standings.includes(found.standing)) throw new AteError('CHAIN_EXISTS')
      eraseLog(fs, crc)
      return found
    } finally {
      await lock.release()
    }
  } catch (error) {
    throw diskError(error, { step: 'destroy' })
  }
}

/** What MANIFEST says of the log in the folder. @throws AteError CHAIN_NOT_FOUND | DAMAGED | UNSUPPORTED_FORMAT */
function look(fs: FileSystem, crc: Crc32): Destroyed & { readonly standing: StandingState } {
  const file = openManifest(fs, 'read')
  if (!file) throw new AteError('CHAIN_NOT_FOUND')
  try {
    const { label, standing } = readManifest(file, crc)
    return { label, standing: standing.state, state: stateBefore(standing) ?? standing.state }
  } finally {
    file.close()
  }
}

/** Only under the lock, with every handle closed. Errors are those of the file system. */
export function eraseLog(fs: FileSystem, crc: Crc32): void {
  markDestroyed(fs, crc)
  const failed = (error: unknown): AteError => diskError(error, { step: 'destroy' })
  destroyRing({ fs, crc, check: () => undefined, poison: failed })
  for (const name of listIfThere(fs, QUARANTINE)) fs.remove(`${QUARANTINE}/${name}`)
  removeFolderIfThere(fs, QUARANTINE)
  for (const name of fs.list('')) if (segmentNumber(name) !== undefined || BESIDE.test(name)) fs.remove(name)
  fs.syncFolder('')
  fs.remove(MANIFEST)
  fs.syncFolder('')
}

/** Of a log whose destruction was interrupted: what it was. */
function stateBefore({ state, note }: Standing): StandingState | undefined {
  return state === 'destroyed' ? STANDINGS.find((known) => known === note) : undefined
}

function markDestroyed(fs: FileSystem, crc: Crc32): void {
  const file = openManifest(fs, 'write')
  if (!file) throw new AteError('CHAIN_NOT_FOUND')
  try {
    let manifest = readManifest(file, crc)
    for (let slot = 0; slot < 2; slot++) {
      const standing = {
        state: 'destroyed',
        note: stateBefore(manifest.standing) ?? manifest.standing.state,
      } as const
      // The epoch fences a writer that the lock does not know of.
      const { generation, writerEpoch } = manifest
      manifest = { ...manifest, generation: generation + 1, writerEpoch: writerEpoch + 1, standing }
      writeWhole(file, [encodeSlot(manifest, crc)], (manifest.generation % 2) * SLOT_BYTES)
      file.syncNow()
    }
  } finally {
    file.close()
  }
}

function listIfThere(fs: FileSystem, folder: string): readonly string[] {
  try {
    return fs.list(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}
