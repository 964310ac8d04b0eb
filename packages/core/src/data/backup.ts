/**
 * Backups: a copy of a log up to one durable head, with the wrapped keys of its ring and a list of its files with their
 * hashes; and how a chain is made of one again. A backup is a folder of a log itself, so every tool reads it; its
 * standing keeps everybody from writing there.
 */
import { platform as ownPlatform } from '#platform'
import { equalBytes, toHex } from '../base/bytes.ts'
import { AteError, throwIfAborted } from '../base/errors.ts'
import { type ChainId, chainIdOf, parseId } from '../base/ids.ts'
import { BACKUP_FILE_BYTES_MAX, BACKUP_SEGMENT_BYTES } from '../base/limits.ts'
import type { ChainCore } from '../chain/chain-core.ts'
import { type CopyOptions, copyLog, copyRing, isAt, steps } from '../chain/copy-log.ts'
import type { CryptoProvider } from '../crypto/provider.ts'
import type { LogEngine } from '../log/engine.ts'
import { HARMLESS } from '../log/file-engine.ts'
import { diskError, errnoOf } from '../log/file-errors.ts'
import type { FileSystem } from '../log/file-system.ts'
import { lookUpChain } from '../session/known-chains.ts'
import type { Platform } from '../session/platform.ts'
import {
  BACKUP,
  type BackupFile,
  type BackupList,
  hasBackupList,
  readBackupList,
  writeBackupList,
} from './backup-list.ts'
import { openEngine, parsePlace } from './place.ts'
import { openTarget } from './target-place.ts'

export interface BackupOptions extends CopyOptions {
  /**
   * `omit` leaves the wrapped keys of the ring out. What was destroyed by erasing its key comes back with a backup that
   * holds the key; without the keys, what they open is lost with the original. Default `include`.
   */
  readonly keys?: 'include' | 'omit'
}

export interface BackupPlaceOptions extends BackupOptions {
  /** The chain that is meant; what this machine knows of the place if left out. */
  readonly id?: ChainId | string
}

export interface RestoreOptions extends CopyOptions {
  /** The chain that is meant; the one that the backup names if left out. */
  readonly id?: ChainId | string
}

export interface CopyReceipt {
  readonly chain: ChainId
  /** The newest record of the copy. */
  readonly head: { readonly seq: number; readonly hash: Uint8Array }
  readonly records: number
  /** Entries of the key ring that were copied. */
  readonly keys: number
}

export interface BackupReceipt extends CopyReceipt {
  readonly files: number
  readonly bytes: number
}

/** As `backup` of on-demand.ts says. */
export async function backup(
  from: string | LogEngine,
  to: string,
  options: BackupPlaceOptions = {},
  platform: Platform = ownPlatform,
): Promise<BackupReceipt> {
  const place = parsePlace(from, { readOnly: true }, platform)
  const label = options.id === undefined ? undefined : parseId(options.id, 'chain')
  const known = place.name !== undefined && !label ? await lookUpChain(platform.state, place.name) : undefined
  const source = await openEngine(place, { create: false, label, known })
  try {
    const wanted = label ? chainIdOf(label) : known
    return await backupLog(source, { to, until: source.durableSeq(), wanted }, options, platform)
  } finally {
    if (typeof from === 'string') await source.close()
  }
}

/** As Chain.backup, up to seq `until`. */
export async function backupChain(
  core: ChainCore,
  { to, until }: { readonly to: string; readonly until: number },
  options: BackupOptions,
  platform: Platform,
): Promise<BackupReceipt> {
  if (options.keys !== 'omit') await assertHasKeys(core)
  return backupLog(core.engine, { to, until, wanted: core.chainId }, options, platform)
}

/** @throws AteError KEYS_UNAVAILABLE */
async function assertHasKeys({ writing, chainId: chain }: ChainCore): Promise<void> {
  const keys = await writing.countKeysElsewhere()
  if (keys === 0) return
  const hint = "this process does not have the keys: back up the folder where the log is kept, or give keys: 'omit'"
  throw new AteError('KEYS_UNAVAILABLE', { chain, keys }, { hint })
}

/** Backs up the records of an open engine up to seq `until`. */
async function backupLog(
  source: LogEngine,
  { to, until, wanted }: { readonly to: string; readonly until: number; readonly wanted: ChainId | undefined },
  options: BackupOptions,
  platform: Platform,
): Promise<BackupReceipt> {
  checkKeysOption(options)
  throwIfAborted(options.signal)
  if (until < 0) throw new AteError('CHAIN_NOT_FOUND', { what: 'no record is durable yet' })
  const fs = await folderOf(to, platform)
  const leftovers = hasBackupList(fs) ? [] : (['incomplete', 'destroyed', 'backup'] as const)
  const target = await openTarget(to, { segmentBytes: BACKUP_SEGMENT_BYTES, leftovers }, platform)
  let receipt: CopyReceipt
  try {
    const { chainId, head } = await copyLog(platform, steps(source, options.signal), target, until, options)
    const chain = chainIdOf(chainId)
    if (wanted !== undefined && wanted !== chain) throw new AteError('WRONG_CHAIN', { wanted, found: chain })
    const keys = options.keys === 'omit' ? 0 : await copyRing(source, target, options.signal)
    await target.setStanding({ state: 'backup', note: '' })
    receipt = { chain, head, records: head.seq + 1, keys }
  } finally {
    await target.close()
  }
  const files = await hashFolder(fs, platform, options.signal)
  writeBackupList(fs, { ...receipt, at: platform.environment.clock.now(), files }, platform.crypto)
  return { ...receipt, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) }
}

/** As `restore` of on-demand.ts says. */
export async function restore(
  from: string,
  to: string | LogEngine,
  options: RestoreOptions = {},
  platform: Platform = ownPlatform,
): Promise<CopyReceipt> {
  const fs = await folderOf(from, platform)
  const list = readBackupList(fs, platform.crypto)
  const wanted = options.id === undefined ? list.chain : chainIdOf(parseId(options.id, 'chain'))
  if (wanted !== list.chain) throw new AteError('WRONG_CHAIN', { wanted, found: list.chain })
  await checkFiles(fs, list, platform, options.signal)
  const place = parsePlace(from, { readOnly: true, standings: ['backup'] }, platform)
  const source = await place.open({ create: false, label: parseId(list.chain, 'chain') })
  try {
    if (!isAt(source, list.head)) throw new AteError('BAD_BACKUP', { file: BACKUP, what: 'the log has another head' })
    return await restoreFrom(source, to, list, { options, platform })
  } finally {
    await source.close()
  }
}

async function restoreFrom(
  source: LogEngine,
  to: string | LogEngine,
  { chain, head, keys }: BackupList,
  { options, platform }: { readonly options: CopyOptions; readonly platform: Platform },
): Promise<CopyReceipt> {
  const target = await openTarget(to, {}, platform)
  try {
    const replica = await copyLog(platform, steps(source, options.signal), target, head.seq, options)
    if (chainIdOf(replica.chainId) !== chain || !equalBytes(replica.head.hash, head.hash))
      throw new AteError('BAD_BACKUP', { file: BACKUP, what: 'the log has another head' })
    const copied = await copyRing(source, target, options.signal)
    if (copied !== keys) throw new AteError('BAD_BACKUP', { file: BACKUP, keys, found: copied })
    await target.setStanding({ state: 'copy', note: '' })
    return { chain, head, records: head.seq + 1, keys }
  } finally {
    if (typeof to === 'string') await target.close()
  }
}

function checkKeysOption({ keys = 'include' }: BackupOptions): void {
  if (keys !== 'include' && keys !== 'omit')
    throw new AteError('BAD_ARGUMENT', { option: 'keys', words: ['include', 'omit'] })
}

async function folderOf(at: string, platform: Platform): Promise<FileSystem> {
  const place = parsePlace(at, {}, platform)
  if (place.kind !== 'file')
    throw new AteError('BAD_URL', { given: place.kind }, { hint: 'a backup is a folder: file:PATH' })
  return platform.openFolder(platform.pathOf(at))
}

/** Files of the folder, and of its ring; what may stand beside a log is left out. */
function filesOf(fs: FileSystem): string[] {
  try {
    const names = fs.list('').filter((name) => name !== BACKUP && name !== 'ring' && !HARMLESS.includes(name))
    return [...names, ...(fs.list('').includes('ring') ? fs.list('ring').map((name) => `ring/${name}`) : [])]
  } catch (error) {
    throw diskError(error, { step: 'list' })
  }
}

async function hashFolder(fs: FileSystem, platform: Platform, signal?: AbortSignal): Promise<BackupFile[]> {
  const files: BackupFile[] = []
  for (const name of filesOf(fs)) {
    await platform.environment.timers.pause()
    throwIfAborted(signal)
    files.push(hashFile(fs, name, platform.crypto))
  }
  return files
}

/** Each file of the list, byte for byte, and no other. @throws AteError BAD_BACKUP { file } */
async function checkFiles(fs: FileSystem, list: BackupList, platform: Platform, signal?: AbortSignal): Promise<void> {
  const listed = new Set(list.files.map(({ name }) => name))
  const extra = filesOf(fs).find((name) => !listed.has(name))
  if (extra !== undefined) throw new AteError('BAD_BACKUP', { file: extra, what: 'it is not in the list' })
  for (const { name, bytes, sha256 } of list.files) {
    await platform.environment.timers.pause()
    throwIfAborted(signal)
    const found = hashFile(fs, name, platform.crypto, bytes)
    if (found.bytes !== bytes) throw new AteError('BAD_BACKUP', { file: name, bytes: found.bytes, listed: bytes })
    if (found.sha256 !== sha256) throw new AteError('BAD_BACKUP', { file: name, what: 'its bytes were changed' })
  }
}

/** A file of another size than `listed` is not read. */
function hashFile(fs: FileSystem, name: string, crypto: CryptoProvider, listed?: number): BackupFile {
  try {
    const file = fs.open(name, 'read')
    try {
      const size = file.size()
      if (listed !== undefined && size !== listed) return { name, bytes: size, sha256: '' }
      if (size > BACKUP_FILE_BYTES_MAX)
        throw new AteError('BAD_BACKUP', { file: name, bytes: size, max: BACKUP_FILE_BYTES_MAX })
      const bytes = new Uint8Array(size)
      const read = file.read(bytes, 0)
      return { name, bytes: read, sha256: toHex(crypto.sha256(bytes.subarray(0, read))) }
    } finally {
      file.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') throw new AteError('BAD_BACKUP', { file: name, what: 'the file is missing' })
    throw diskError(error, { file: name })
  }
}
