/**
 * Small files that must be whole, durable and closed to others: identity files and this machine's state. A file is
 * written beside its place, synced, and then takes its name, so that a crash leaves the old one or the new one.
 */
import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { AteError } from '../base/errors.ts'
import { STATE_BYTES_MAX } from '../base/limits.ts'
import type { SecretFiles } from '../session/platform.ts'
import { makeFolders, syncFolder } from './folders.ts'

/** Windows has no permission bits; its folders in the user's profile are closed to others. */
const HAS_MODES = process.platform !== 'win32'

export const nodeSecretFiles: SecretFiles = {
  async read(path) {
    const found = readSmallFile(path)
    return found && { text: new TextDecoder().decode(found.bytes), mode: found.mode }
  },
  async create(path, text) {
    return ioErrors(path, () => {
      makeFolders(dirname(resolve(path)))
      return createFile(path, new TextEncoder().encode(text))
    })
  },
}

/** Undefined if there is none. @throws AteError IO_ERROR { file, reason }, also for more than STATE_BYTES_MAX bytes */
export function readSmallFile(
  path: string,
): { readonly bytes: Uint8Array; readonly mode: number | undefined } | undefined {
  return ioErrors(path, () => {
    let file: number
    try {
      file = fs.openSync(path, 'r')
    } catch (error) {
      if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined
      throw error
    }
    try {
      // Of the open file, so that the bits are those of what is read.
      const { mode, size } = fs.fstatSync(file)
      if (size > STATE_BYTES_MAX) throw new AteError('IO_ERROR', { file: path, bytes: size, max: STATE_BYTES_MAX })
      return { bytes: new Uint8Array(fs.readFileSync(file)), mode: HAS_MODES ? mode & 0o777 : undefined }
    } finally {
      fs.closeSync(file)
    }
  })
}

/** Replaces `path`, or makes it, with mode 0600. Errors are those of node:fs. */
export function replaceFile(path: string, bytes: Uint8Array): void {
  const beside = writeBeside(path, bytes)
  try {
    fs.renameSync(beside, path)
  } catch (error) {
    fs.rmSync(beside, { force: true })
    throw error
  }
  syncFolder(dirname(path))
}

export function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? (error as { code?: string }).code : undefined
}

/** False if `path` is there. A link takes the name only if it is free, with the content already complete. */
function createFile(path: string, bytes: Uint8Array): boolean {
  const beside = writeBeside(path, bytes)
  try {
    fs.linkSync(beside, path)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    if (!NO_LINKS.has(codeOf(error) ?? '')) throw error
    return writeFile(path, bytes)
  } finally {
    fs.rmSync(beside, { force: true })
  }
  syncFolder(dirname(path))
  return true
}

/** What file systems without hard links answer (FAT, some network shares). */
const NO_LINKS: ReadonlySet<string> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EACCES'])

function writeBeside(path: string, bytes: Uint8Array): string {
  const beside = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}`)
  if (!writeFile(beside, bytes)) throw new AteError('IO_ERROR', { file: beside, reason: 'EEXIST' })
  return beside
}

/** False if the name is taken. After an error the file is removed. */
function writeFile(path: string, bytes: Uint8Array): boolean {
  let file: number
  try {
    file = fs.openSync(path, 'wx', 0o600)
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  }
  try {
    // The umask only takes bits away, but a default ACL of the folder may add some.
    if (HAS_MODES) fs.fchmodSync(file, 0o600)
    fs.writeFileSync(file, bytes)
    fs.fsyncSync(file)
  } catch (error) {
    fs.rmSync(path, { force: true })
    throw error
  } finally {
    fs.closeSync(file)
  }
  return true
}

function ioErrors<T>(path: string, run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof AteError) throw error
    throw new AteError('IO_ERROR', { file: path, reason: codeOf(error) }, { cause: error })
  }
}
