/**
 * BACKUP: the list of a backup's files. JSON in one form: keys and file names ascend, no white space, one line end;
 * `sum` is the SHA-256 of the same text without it. It is written last, so a folder without it is no backup; it tells accidents from sound bytes, and is no defence against an
 * attacker: the chain's own hashes and signatures are.
 */
import { equalBytes, fromHex, fromUtf8, toHex, utf8 } from '../base/bytes.ts'
import { AteError, isAteError } from '../base/errors.ts'
import { type ChainId, fromBase32 } from '../base/ids.ts'
import { BACKUP_LIST_BYTES_MAX } from '../base/limits.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { Head } from '../log/engine.ts'
import { diskError, errnoOf } from '../log/file-errors.ts'
import { writeWhole } from '../log/file-manifest.ts'
import type { FileSystem, OpenFile } from '../log/file-system.ts'

export const BACKUP = 'BACKUP'
const BACKUP_NEW = 'BACKUP.new'
const VERSION = 2

export interface BackupFile {
  readonly name: string
  readonly bytes: number
  readonly sha256: string
}

export interface BackupList {
  readonly chain: ChainId
  readonly head: Head
  /** Entries of the key ring that are in it. */
  readonly keys: number
  /** When it was finished, Unix ms. */
  readonly at: number
  readonly files: readonly BackupFile[]
}

/** The name of a file of a backup: what a log consists of. */
const BACKUP_NAME = /^(?:MANIFEST|seg-\d{6,15}\.ate|ring\/(?:[0-9a-f]{64}\.key|\d{6,12}\.slots))$/

function encodeList({ chain, head, keys, at, files }: BackupList, crypto: CryptoProvider): Uint8Array {
  const sorted = [...files].sort((x, y) => (x.name < y.name ? -1 : 1))
  const json = {
    at,
    chain,
    files: sorted.map(({ name, bytes, sha256 }) => ({ bytes, name, sha256 })),
    format: 'ate-backup',
    head: { hash: toHex(head.hash), seq: head.seq },
    keys,
  }
  // Slots came with version 2; what has none stays readable for software of before.
  const version = files.some(({ name }) => name.endsWith('.slots')) ? VERSION : 1
  const sum = toHex(crypto.sha256(utf8(JSON.stringify({ ...json, version }))))
  return utf8(`${JSON.stringify({ ...json, sum, version })}\n`)
}

/** Whole or absent: under another name first, synced, then renamed. */
export function writeBackupList(fs: FileSystem, list: BackupList, crypto: CryptoProvider): void {
  try {
    removeIfThere(fs, BACKUP_NEW)
    const file = fs.open(BACKUP_NEW, 'create')
    try {
      writeWhole(file, [encodeList(list, crypto)], 0)
      file.syncNow()
    } finally {
      file.close()
    }
    fs.rename(BACKUP_NEW, BACKUP)
    fs.syncFolder('')
  } catch (error) {
    throw diskError(error, { file: BACKUP })
  }
}

export function hasBackupList(fs: FileSystem): boolean {
  try {
    return fs.list('').includes(BACKUP)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw diskError(error, { file: BACKUP })
  }
}

/** @throws AteError BAD_BACKUP | UNSUPPORTED_FORMAT | IO_ERROR */
export function readBackupList(fs: FileSystem, crypto: CryptoProvider): BackupList {
  let file: OpenFile
  try {
    file = fs.open(BACKUP, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new AteError('BAD_BACKUP', { file: BACKUP, what: 'the list is missing' })
    throw diskError(error, { file: BACKUP })
  }
  try {
    const size = file.size()
    if (size > BACKUP_LIST_BYTES_MAX) throw bad({ bytes: size, max: BACKUP_LIST_BYTES_MAX })
    const bytes = new Uint8Array(size)
    return parseList(bytes.subarray(0, file.read(bytes, 0)), crypto)
  } catch (error) {
    throw diskError(error, { file: BACKUP })
  } finally {
    file.close()
  }
}

function parseList(bytes: Uint8Array, crypto: CryptoProvider): BackupList {
  const json = parseJson(bytes)
  if (json['format'] !== 'ate-backup') throw bad({ what: 'another format' })
  if (json['version'] !== 1 && json['version'] !== VERSION)
    throw new AteError('UNSUPPORTED_FORMAT', { file: BACKUP, format: String(json['version']) })
  const list = listOf(json)
  // One encoding for each list: whatever else could be read into the bytes is refused here.
  if (!list || !equalBytes(encodeList(list, crypto), bytes)) throw bad({ what: 'form' })
  return list
}

function listOf({ chain, head, keys, at, files }: Record<string, unknown>): BackupList | undefined {
  if (typeof chain !== 'string' || !fromBase32(chain, 32) || !isCount(keys) || !isCount(at)) return undefined
  const { seq, hash } = (typeof head === 'object' && head !== null ? head : {}) as Record<string, unknown>
  const hashBytes = typeof hash === 'string' ? fromHex(hash) : undefined
  if (!isCount(seq) || hashBytes?.length !== 32 || !Array.isArray(files) || !files.every(isFile)) return undefined
  if (new Set(files.map(({ name }) => name)).size !== files.length) return undefined
  return { chain: chain as ChainId, head: { seq, hash: hashBytes }, keys, at, files }
}

function isFile(file: unknown): file is BackupFile {
  if (typeof file !== 'object' || file === null) return false
  const { name, bytes, sha256 } = file as Record<string, unknown>
  return (
    typeof name === 'string' &&
    BACKUP_NAME.test(name) &&
    isCount(bytes) &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256)
  )
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function parseJson(bytes: Uint8Array): Record<string, unknown> {
  try {
    const json: unknown = JSON.parse(fromUtf8(bytes))
    if (typeof json === 'object' && json !== null) return json as Record<string, unknown>
  } catch (error) {
    if (isAteError(error)) throw error
  }
  throw bad({ what: 'no JSON' })
}

function bad(facts: Readonly<Record<string, string | number>>): AteError {
  return new AteError('BAD_BACKUP', { file: BACKUP, ...facts })
}

function removeIfThere(fs: FileSystem, name: string): void {
  try {
    fs.remove(name)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
}
